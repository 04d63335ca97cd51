//! The frames of a client, good and bad, whole and cut anywhere.

use super::*;
use proptest::prelude::*;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame as a client sends it; `first` is its first byte.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_head(first & 0x0f, payload.len(), &mut out);
    out[0] = first;
    out[1] |= 0x80;
    out.extend(MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

/// Everything that comes of an input that is cut into parts, and the failure that ends it.
fn read<'a>(parts: impl IntoIterator<Item = &'a [u8]>, message_max: u32) -> (Vec<String>, Option<Failure>) {
    let mut decoder = Decoder::default();
    let (mut held, mut told) = (Vec::new(), Vec::new());
    for part in parts {
        held.extend_from_slice(part);
        loop {
            match decoder.decode(&held, Limits::new(message_max)) {
                Err(failure) => return (told, Some(failure)),
                Ok((used, event)) => {
                    held.drain(..used);
                    if event == Event::NeedBytes {
                        assert!(held.len() < HEAD_MAX + CONTROL_MAX, "{} bytes are not used", held.len());
                        break;
                    }
                    told.push(format!("{event:?}"));
                    if matches!(event, Event::Close(_)) {
                        return (told, None);
                    }
                }
            }
        }
    }
    (told, None)
}

/// What a whole input comes to: its events, and the code of the failure that ends it.
fn whole(input: &[u8]) -> (String, u16) {
    let (told, failure) = read([input], 1 << 20);
    let each: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(read(each, 1 << 20), (told.clone(), failure), "byte by byte, and whole");
    (told.join(" "), failure.map_or(0, |failure| failure.code.code()))
}

#[test]
fn frames_become_messages_and_control_frames_come_between() {
    type Frames<'a> = &'a [(u8, &'a [u8])];
    let cases: &[(Frames<'_>, &str)] = &[
        (&[(0x81, b"Hello")], "Message(Text(\"Hello\"))"),
        (&[(0x81, b"")], "Message(Text(\"\"))"),
        (&[(0x82, b"\x00\xff")], "Message(Binary([0, 255]))"),
        (&[(0x01, b"Hel"), (0x80, b"lo")], "Message(Text(\"Hello\"))"),
        (&[(0x01, b""), (0x00, b""), (0x80, b"")], "Message(Text(\"\"))"),
        (
            &[(0x01, b"a"), (0x89, b"?"), (0x00, b"b"), (0x8a, b"!"), (0x80, b"c")],
            "Ping(\"?\") Pong Message(Text(\"abc\"))",
        ),
        (&[(0x01, b"\xce"), (0x80, b"\xba")], "Message(Text(\"\u{3ba}\"))"),
        (&[(0x01, b"\xf0\x9f"), (0x89, b""), (0x00, b"\x98"), (0x80, b"\x80")], "Ping(\"\") Message(Text(\"😀\"))"),
        (&[(0x89, &[7; 125])], &format!("Ping(\"{}\")", "\\x07".repeat(125))),
        (&[(0x88, b"")], "Close(None)"),
        (&[(0x88, b"\x03\xe8")], "Close(Some(CloseCode(1000)))"),
        (&[(0x88, b"\x0b\xb8bye \xce\xba")], "Close(Some(CloseCode(3000)))"),
        (&[(0x01, b"a"), (0x88, b"")], "Close(None)"),
        (&[(0x88, b""), (0x83, b"never read")], "Close(None)"),
    ];
    for (frames, told) in cases {
        let input: Vec<u8> = frames.iter().flat_map(|(first, payload)| frame(*first, payload)).collect();
        assert_eq!(whole(&input), (told.to_string(), 0), "{frames:?}");
    }
}

#[test]
fn each_broken_rule_has_its_code() {
    let long = |first: u8, length: &[u8]| [&[first, 0x80 | if length.len() == 2 { 126 } else { 127 }], length].concat();
    let cases: Vec<(Vec<u8>, u16)> = vec![
        (vec![0x81, 0x05], 1002),
        (frame(0xc1, b"rsv1"), 1002),
        (frame(0xa1, b"rsv2"), 1002),
        (frame(0x91, b"rsv3"), 1002),
        (frame(0x83, b""), 1002),
        (frame(0x87, b""), 1002),
        (frame(0x8b, b""), 1002),
        (frame(0x8f, b""), 1002),
        (frame(0x09, b"ping in pieces"), 1002),
        (frame(0x08, b""), 1002),
        (vec![0x89, 0xfe], 1002),
        (vec![0x88, 0xff], 1002),
        (frame(0x80, b"continues nothing"), 1002),
        (frame(0x00, b"continues nothing"), 1002),
        ([frame(0x01, b"a"), frame(0x81, b"b")].concat(), 1002),
        ([frame(0x01, b"a"), frame(0x82, b"b")].concat(), 1002),
        (long(0x82, &125u16.to_be_bytes()), 1002),
        (long(0x82, &0xffffu64.to_be_bytes()), 1002),
        (long(0x82, &(1u64 << 63).to_be_bytes()), 1002),
        (long(0x82, &u64::MAX.to_be_bytes()), 1002),
        (long(0x82, &((1u64 << 63) - 1).to_be_bytes()), 1009),
        (long(0x82, &(u64::from(u32::MAX) + 1).to_be_bytes()), 1009),
        (long(0x82, &((1u64 << 20) + 1).to_be_bytes()), 1009),
        (frame(0x88, b"\x03"), 1002),
        (frame(0x88, b"\x03\xe8\xff"), 1007),
        (frame(0x81, b"\xff"), 1007),
        (frame(0x81, b"\xed\xa0\x80"), 1007),
        (frame(0x81, b"\xc0\xaf"), 1007),
        (frame(0x81, b"ends in the middle \xe2\x82"), 1007),
        ([frame(0x01, b"\xe2"), frame(0x80, b"(")].concat(), 1007),
    ];
    for (input, code) in cases {
        assert_eq!(whole(&input), (String::new(), code), "{}", input.escape_ascii());
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535u16] {
        assert_eq!(whole(&frame(0x88, &code.to_be_bytes())), (String::new(), 1002), "close code {code}");
    }
    for code in (1000..=1003).chain(1007..=1014).chain([3000, 3999, 4000, 4999u16]) {
        let told = format!("Close(Some(CloseCode({code})))");
        assert_eq!(whole(&frame(0x88, &code.to_be_bytes())), (told, 0));
    }
}

/// Text that is lost already is refused at the byte that loses it, though its frame is far from complete.
#[test]
fn text_fails_at_the_byte_that_spoils_it() {
    let text = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80edited";
    let spoilt = text.iter().position(|&byte| byte == 0x90).unwrap();
    let input = frame(0x81, text);
    let head = input.len() - text.len();
    let mut decoder = Decoder::default();
    let (used, event) = decoder.decode(&input[..head + spoilt], Limits::new(99)).unwrap();
    assert_eq!((used, event), (head + spoilt, Event::NeedBytes));
    assert_eq!(decoder.decode(&input[head + spoilt..head + spoilt + 1], Limits::new(99)), Err(NOT_UTF8));
}

#[test]
fn a_message_may_be_as_large_as_allowed_and_no_larger() {
    let (told, failure) = read([&frame(0x82, &[1; 1000])[..]], 1000);
    assert_eq!((told.len(), failure), (1, None));
    let announced = &frame(0x82, &[1; 1001])[..8];
    assert_eq!(read([announced], 1000), (vec![], Some(TOO_BIG)), "told by its head alone");
    let pieces = [frame(0x01, &[b'a'; 600]), frame(0x00, &[b'b'; 400]), frame(0x80, b"c")].concat();
    assert_eq!(read([&pieces[..]], 1000), (vec![], Some(TOO_BIG)));
    assert_eq!(read([&pieces[..]], 1001).0.len(), 1);
    let endless: Vec<u8> =
        std::iter::once(frame(0x02, b"x")).chain(std::iter::repeat_n(frame(0x00, &[0; 100]), 99)).flatten().collect();
    assert_eq!(read([&endless[..]], 5000), (vec![], Some(TOO_BIG)));
}

/// A message is given room as it comes: what is only announced costs nothing.
#[test]
fn an_announced_message_takes_no_room_and_a_whole_one_little_more_than_itself() {
    let size = 3 << 20;
    let payload = vec![7; size];
    let input = frame(0x82, &payload);
    let mut decoder = Decoder::default();
    decoder.decode(&input[..20], Limits::new(16 << 20)).unwrap();
    assert!(matches!(&decoder.gathered, Gathered::Binary(bytes) if bytes.capacity() <= ROOM_MIN));
    let mut got = None;
    for part in input[20..].chunks(64 << 10) {
        if let (_, Event::Message(message)) = decoder.decode(part, Limits::new(16 << 20)).unwrap() {
            got = Some(message);
        }
    }
    let Some(Message::Binary(bytes)) = got else { panic!("no message") };
    assert!(bytes == payload && bytes.capacity() == size, "{} bytes of room", bytes.capacity());
    assert!(decoder.is_between());
}

#[test]
fn what_the_server_writes_is_not_masked_and_has_the_shortest_length() {
    for (length, head) in [
        (0, &b"\x82\x00"[..]),
        (125, b"\x82\x7d"),
        (126, b"\x82\x7e\x00\x7e"),
        (0xffff, b"\x82\x7e\xff\xff"),
        (0x10000, b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ] {
        let mut out = Vec::new();
        write_binary_head(length, &mut out);
        assert_eq!(out, head);
    }
    let mut out = Vec::new();
    write_text("Hi", &mut out);
    write_ping(&mut out);
    write_close(None, "", &mut out);
    write_close(Some(CloseCode::GOING_AWAY), "bye", &mut out);
    assert_eq!(out, b"\x81\x02Hi\x89\x00\x88\x00\x88\x05\x03\xe9bye");
    out.clear();
    write_close(Some(CloseCode::POLICY), &"é".repeat(99), &mut out);
    assert_eq!((out[1], out.len()), (124, 126), "a long reason is cut, and not in the middle of a character");
}

#[test]
fn an_idle_reader_is_small() {
    assert!(size_of::<Decoder>() <= 48, "{} bytes", size_of::<Decoder>());
}

/// Frames of which many are as they should be.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![6 => Just(0x81u8), 3 => Just(0x01), 3 => Just(0x00), 3 => Just(0x80), 2 => Just(0x82),
        2 => Just(0x02), 2 => Just(0x89), 1 => Just(0x8a), 1 => Just(0x88), 1 => any::<u8>()];
    let payload = prop_oneof![
        3 => ".{0,12}".prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..12),
        1 => "[a-zé€😀]{60,99}".prop_map(String::into_bytes),
    ];
    let one = (first, payload).prop_map(|(first, payload)| frame(first, &payload));
    proptest::collection::vec(one, 1..8).prop_map(|frames| frames.concat())
}

proptest! {
    #[test]
    fn cutting_the_input_differently_never_changes_the_events(input in frames(), cuts in proptest::collection::vec(0..400usize, 0..9)) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(input.len())).collect();
        cuts.sort_unstable();
        let (mut parts, mut from) = (Vec::new(), 0);
        for cut in cuts {
            parts.push(&input[from..cut]);
            from = cut;
        }
        parts.push(&input[from..]);
        prop_assert_eq!(read(parts, 150), read([&input[..]], 150));
    }

    #[test]
    fn a_long_text_comes_through_whole(text in "[a-zé€😀]{0,9000}", cut in 1..5000usize) {
        let input = frame(0x81, text.as_bytes());
        let mut decoder = Decoder::default();
        let mut got = None;
        let (mut held, mut at) = (Vec::new(), 0);
        while at < input.len() {
            let end = (at + cut).min(input.len());
            held.extend_from_slice(&input[at..end]);
            at = end;
            let (used, event) = decoder.decode(&held, Limits::new(1 << 20)).unwrap();
            held.drain(..used);
            if let Event::Message(message) = event {
                got = Some(message);
            }
        }
        prop_assert_eq!(got, Some(Message::Text(text)));
    }
}
