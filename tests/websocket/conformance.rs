//! Frames, pings, reserved bits, opcodes, fragments, UTF-8, closing, limits: what is said, and what must be heard.

use crate::client::*;
use crate::serve;

/// What a case comes to: frames that must be heard before the end, and the code of the close frame.
struct Case {
    name: String,
    say: Vec<u8>,
    hear: Vec<Heard>,
    close: u16,
}

fn case(name: impl Into<String>, say: impl IntoIterator<Item = Vec<u8>>, hear: Vec<Heard>, close: u16) -> Case {
    Case { name: name.into(), say: say.into_iter().collect::<Vec<_>>().concat(), hear, close }
}

fn normal() -> Vec<u8> {
    message(CLOSE, &1000u16.to_be_bytes())
}

fn play(cases: Vec<Case>) {
    let address = serve();
    for Case { name, say, hear, close } in cases {
        for chop in [usize::MAX, 1, 997] {
            // Byte by byte only what is short.
            if chop == 1 && say.len() > 400 || chop == 997 && say.len() <= 997 {
                continue;
            }
            let mut client = Client::open(address);
            if chop == usize::MAX {
                client.send(&say)
            } else {
                client.send_chopped(&say, chop)
            }
            let mut told = client.hear_all();
            let last = told.pop().unwrap_or_else(|| panic!("{name}: no close frame, in pieces of {chop}"));
            let code = last.payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
            assert!(told == hear, "{name}, in pieces of {chop}: heard {} frames", told.len());
            assert_eq!((last.opcode, code), (CLOSE, close), "{name}, in pieces of {chop}");
        }
    }
}

#[test]
fn messages_of_all_sizes_come_back() {
    let mut cases = Vec::new();
    for size in [0, 125, 126, 127, 128, 65535, 65536] {
        for opcode in [TEXT, BINARY] {
            let payload = vec![if opcode == TEXT { b'*' } else { 0xfe }; size];
            let say = [message(opcode, &payload), normal()];
            cases.push(case(format!("1: opcode {opcode}, {size} bytes"), say, vec![heard(opcode, &payload)], 1000));
        }
    }
    play(cases);
}

#[test]
fn pings_are_answered_and_pongs_are_not() {
    let full: Vec<u8> = (0..125).collect();
    let ten: Vec<Vec<u8>> = (0..10).map(|number| message(PING, &[b'0' + number])).chain([normal()]).collect();
    let ten_pongs = (0..10).map(|number| heard(PONG, &[b'0' + number])).collect();
    play(vec![
        case("2.1", [message(PING, b""), normal()], vec![heard(PONG, b"")], 1000),
        case("2.2", [message(PING, b"Hello, world!"), normal()], vec![heard(PONG, b"Hello, world!")], 1000),
        case("2.3", [message(PING, b"\x00\xff\xfe\xfd"), normal()], vec![heard(PONG, b"\x00\xff\xfe\xfd")], 1000),
        case("2.4", [message(PING, &full), normal()], vec![heard(PONG, &full)], 1000),
        case("2.5", [message(PING, &[0xfe; 126])], vec![], 1002),
        case("2.7", [message(PONG, b""), normal()], vec![], 1000),
        case("2.8", [message(PONG, b"unasked"), normal()], vec![], 1000),
        case("2.9", [message(PONG, b"unasked"), message(PING, b"?"), normal()], vec![heard(PONG, b"?")], 1000),
        case("2.10", ten, ten_pongs, 1000),
    ]);
}

#[test]
fn reserved_bits_and_opcodes_end_it_after_what_was_right() {
    let hello = || heard(TEXT, b"Hello");
    let mut cases = Vec::new();
    for bits in 1..8u8 {
        let wrong = frame(FIN | bits << 4 | TEXT, b"Hello");
        cases.push(case(format!("3: bits {bits}"), [message(TEXT, b"Hello"), wrong], vec![hello()], 1002));
        let wrong = frame(FIN | bits << 4 | PING, b"Hello");
        cases.push(case(format!("3: bits {bits} of a ping"), [message(TEXT, b"Hello"), wrong], vec![hello()], 1002));
    }
    for opcode in (3..8).chain(11..16) {
        let say = [message(TEXT, b"Hello"), message(opcode, b""), message(PING, b"")];
        cases.push(case(format!("4: opcode {opcode}"), say, vec![hello()], 1002));
        cases.push(case(format!("4: opcode {opcode} with more"), [message(opcode, b"reserved")], vec![], 1002));
    }
    play(cases);
}

#[test]
fn fragments_make_messages_and_nothing_else_does() {
    let (one, two, last) = (frame(TEXT, b"frag1"), frame(CONTINUATION, b"frag2"), frame(FIN, b"frag3"));
    let whole = || heard(TEXT, b"frag1frag2frag3");
    let ping = || message(PING, b"ping");
    let pong = || heard(PONG, b"ping");
    let all = |parts: &[&Vec<u8>]| parts.iter().flat_map(|part| part.iter().copied()).collect::<Vec<u8>>();
    play(vec![
        case("5.1", [frame(PING, b"frag1"), frame(FIN, b"frag2")], vec![], 1002),
        case("5.2", [frame(PONG, b"frag1"), frame(FIN, b"frag2")], vec![], 1002),
        case("5.3", [all(&[&one, &two, &last]), normal()], vec![whole()], 1000),
        case(
            "5.6",
            [one.clone(), ping(), two.clone(), ping(), last.clone(), normal()],
            vec![pong(), pong(), whole()],
            1000,
        ),
        case("5.9", [frame(FIN, b"nothing to continue"), message(TEXT, b"Hello")], vec![], 1002),
        case("5.12", [frame(CONTINUATION, b"nothing to continue"), message(TEXT, b"Hello")], vec![], 1002),
        case("5.15", [all(&[&one, &two, &last]), frame(CONTINUATION, b"")], vec![whole()], 1002),
        case("5.18", [one.clone(), message(TEXT, b"another")], vec![], 1002),
        case(
            "5.19",
            [one, two.clone(), ping(), two, ping(), last, normal()],
            vec![pong(), pong(), heard(TEXT, b"frag1frag2frag2frag3")],
            1000,
        ),
        case(
            "5: empty pieces",
            [frame(TEXT, b""), frame(CONTINUATION, b""), frame(FIN, b""), normal()],
            vec![heard(TEXT, b"")],
            1000,
        ),
    ]);
}

const GREEK: &[u8] = "Hello-µ@ßöäüàá-UTF-8!! κόσμε".as_bytes();

#[test]
fn text_is_utf_8_or_the_end() {
    let mut cases = vec![
        case(
            "6.1",
            [frame(TEXT, b""), frame(CONTINUATION, b"middle"), frame(FIN, b""), normal()],
            vec![heard(TEXT, b"middle")],
            1000,
        ),
        case("6.2", [message(TEXT, GREEK), normal()], vec![heard(TEXT, GREEK)], 1000),
    ];
    let letters = GREEK.chunks(1).enumerate().map(|(at, byte)| frame(if at == 0 { TEXT } else { CONTINUATION }, byte));
    let pieces: Vec<Vec<u8>> = letters.chain([frame(FIN, b""), normal()]).collect();
    cases.push(case("6.2.3: a byte a frame", pieces, vec![heard(TEXT, GREEK)], 1000));
    for good in [
        &b"\x00"[..],
        b"\x7f",
        b"\xc2\x80",
        b"\xdf\xbf",
        b"\xe0\xa0\x80",
        b"\xed\x9f\xbf",
        b"\xee\x80\x80",
        b"\xef\xbf\xbd",
        b"\xef\xbf\xbf",
        b"\xf0\x90\x80\x80",
        b"\xf4\x8f\xbf\xbf",
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5",
    ] {
        cases.push(case(
            format!("6: {}", good.escape_ascii()),
            [message(TEXT, good), normal()],
            vec![heard(TEXT, good)],
            1000,
        ));
    }
    for bad in [
        &b"\x80"[..],
        b"\xbf",
        b"\xc0\x80",
        b"\xc1\xbf",
        b"\xc3",
        b"\xe0\x80\x80",
        b"\xe0\x9f\xbf",
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xed\xa0\x80\xed\xb0\x80",
        b"\xf0\x80\x80\x80",
        b"\xf0\x8f\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\xf5\x80\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\xfc\x84\x80\x80\x80\x80",
        b"\xfe",
        b"\xff",
        b"\xe2\x28\xa1",
        b"\xf0\x28\x8c\xbc",
        b"a\xe2\x82",
    ] {
        cases.push(case(format!("6: {}", bad.escape_ascii()), [message(TEXT, bad), message(PING, b"")], vec![], 1007));
        let (first, last) = bad.split_at(bad.len() / 2);
        cases.push(case(
            format!("6: {} in two", bad.escape_ascii()),
            [frame(TEXT, first), frame(FIN, last)],
            vec![],
            1007,
        ));
    }
    play(cases);
}

/// The rest of the message is never sent: the failure does not wait for it.
#[test]
fn spoilt_text_fails_fast() {
    let spoilt = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80";
    play(vec![
        case("6.4.1", [frame(TEXT, b"\xce\xba\xe1\xbd\xb9"), frame(CONTINUATION, b"\xf4\x90\x80\x80")], vec![], 1007),
        case("6.4.3", [[&frame(TEXT | FIN, &[b'a'; 99])[..6], b""].concat(), masked(spoilt)], vec![], 1007),
    ]);
}

/// A payload under the mask of [`frame`], for a frame whose head stands elsewhere.
fn masked(payload: &[u8]) -> Vec<u8> {
    frame(FIN, payload)[6..].to_vec()
}

#[test]
fn closing_is_answered_in_kind() {
    let close = |payload: &[u8]| message(CLOSE, payload);
    let with = |code: u16, reason: &[u8]| [&code.to_be_bytes()[..], reason].concat();
    let mut cases = vec![
        case("7.1.1", [message(TEXT, b"Hello"), normal()], vec![heard(TEXT, b"Hello")], 1000),
        case("7.1.2", [normal(), normal()], vec![], 1000),
        case("7.1.3", [normal(), message(PING, b"late")], vec![], 1000),
        case("7.1.4", [normal(), message(TEXT, b"late")], vec![], 1000),
        case("7.1.5", [frame(TEXT, b"frag1"), normal(), frame(FIN, b"frag2")], vec![], 1000),
        case("7.1.6", [normal(), message(BINARY, &[1; 256 << 10])], vec![], 1000),
        case("7.3.1", [close(b"")], vec![], 1005),
        case("7.3.2", [close(b"a")], vec![], 1002),
        case("7.3.4", [close(&with(1000, b"Hello"))], vec![], 1000),
        case("7.3.5", [close(&with(1000, &[b'*'; 123]))], vec![], 1000),
        case("7.3.6", [close(&with(1000, &[b'*'; 124]))], vec![], 1002),
        case("7.5.1", [close(&with(1000, b"\xce\xba\xed\xa0\x80"))], vec![], 1007),
        case("7: a close in pieces", [frame(CLOSE, b"")], vec![], 1002),
    ];
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        cases.push(case(format!("7.7: {code}"), [close(&with(code, b""))], vec![], code));
    }
    for code in [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65535] {
        cases.push(case(format!("7.9: {code}"), [close(&with(code, b""))], vec![], 1002));
    }
    play(cases);
}

#[test]
fn heads_are_written_in_the_shortest_way_and_masked() {
    let mut unmasked = message(TEXT, b"");
    unmasked[1] = 0;
    play(vec![
        case("no mask", [unmasked[..2].to_vec()], vec![], 1002),
        case("125 in two bytes", [vec![FIN | BINARY, 0x80 | 126, 0, 125]], vec![], 1002),
        case("65535 in eight bytes", [vec![FIN | BINARY, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff]], vec![], 1002),
        case("2^63", [vec![FIN | BINARY, 0x80 | 127, 0x80, 0, 0, 0, 0, 0, 0, 0]], vec![], 1002),
        case("2^62", [vec![FIN | BINARY, 0x80 | 127, 0x40, 0, 0, 0, 0, 0, 0, 0]], vec![], 1009),
        case("one over the limit", [vec![FIN | BINARY, 0x80 | 127, 0, 0, 0, 0, 1, 0, 0, 1]], vec![], 1009),
    ]);
}
