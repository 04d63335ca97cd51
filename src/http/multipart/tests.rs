//! Multipart bodies under test, cut at every place.

use super::*;
use proptest::prelude::*;

const TYPE: &[u8] = b"multipart/form-data; boundary=xYz";

#[derive(Clone, Debug, PartialEq, Eq)]
struct Read {
    part: Part,
    data: Vec<u8>,
    is_whole: bool,
}

fn machine() -> Multipart {
    Multipart::new(TYPE, Limits::default()).unwrap()
}

/// All parts of a body that comes in these windows, and how it ended.
fn read<'w>(mut machine: Multipart, windows: impl IntoIterator<Item = &'w [u8]>) -> (Vec<Read>, Result<(), Fault>) {
    let mut parts: Vec<Read> = Vec::new();
    let mut ends = 0;
    for window in windows {
        let mut at = 0;
        loop {
            let rest = &window[at..];
            let (used, event) = match machine.push(rest) {
                Ok(seen) => seen,
                Err(fault) => return (parts, Err(fault)),
            };
            at += used;
            match event {
                Event::NeedBytes => break,
                Event::Part(part) => parts.push(Read { part, data: vec![], is_whole: false }),
                Event::Data(range) => {
                    assert!(!range.is_empty() && range.end <= used);
                    parts.last_mut().unwrap().data.extend_from_slice(&rest[range]);
                }
                Event::Held(held) => parts.last_mut().unwrap().data.extend_from_slice(held),
                Event::PartEnd => parts.last_mut().unwrap().is_whole = true,
                Event::End => ends += 1,
            }
        }
        assert_eq!(at, window.len(), "a window is used up before more is asked for");
    }
    let end = machine.finish();
    assert_eq!(ends, i32::from(end.is_ok()));
    (parts, end)
}

fn whole(body: &[u8]) -> (Vec<Read>, Result<(), Fault>) {
    read(machine(), [body])
}

fn part(name: &str, filename: Option<&str>, content_type: Option<&str>, data: &[u8]) -> Read {
    Read {
        part: Part {
            name: name.to_owned(),
            filename: filename.map(str::to_owned),
            content_type: content_type.map(str::to_owned),
        },
        data: data.to_vec(),
        is_whole: true,
    }
}

fn fault_of(body: &[u8]) -> String {
    let (_, end) = whole(body);
    let fault = end.expect_err(&String::from_utf8_lossy(body));
    assert_eq!((fault.status, fault.code, fault.closes), (Status::BAD_REQUEST, "bad_multipart", false));
    fault.detail.into_owned()
}

#[test]
fn a_form_of_a_browser_is_read() {
    let body = b"--xYz\r\nContent-Disposition: form-data; name=\"dir\"\r\n\r\na/b\r\n\
        --xYz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"\xc3\xa9 %22.txt\"\r\n\
        Content-Type: text/plain\r\n\r\none\r\n--xY\r\n\r\ntwo\r\n\r\n\
        --xYz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"\"\r\n\
        Content-Type: application/octet-stream\r\n\r\n\r\n--xYz--\r\n";
    let (parts, end) = whole(body);
    assert_eq!(end, Ok(()));
    assert_eq!(
        parts,
        [
            part("dir", None, None, b"a/b"),
            part("file", Some("é \".txt"), Some("text/plain"), b"one\r\n--xY\r\n\r\ntwo\r\n"),
            part("file", Some(""), Some("application/octet-stream"), b""),
        ]
    );
}

#[test]
fn what_surrounds_the_parts_is_thrown_away() {
    const PART: &[u8] = b"--xYz \t\r\ncontent-disposition: Form-Data; Name=a\r\n\r\nb\r\n--xYz--";
    for (before, after) in [
        (&b""[..], &b""[..]),
        (b"\r\n", b"\r\n"),
        (b"hello\r\n", b" \r\nbye\r\n--xYz\r\n--xYz--"),
        (b"--xY\r\n\r\r\n", b"--"),
        (b"x--xYz\r\n", b"x"),
    ] {
        let body = [before, PART, after].concat();
        assert_eq!(whole(&body), (vec![part("a", None, None, b"b")], Ok(())), "{before:?} {after:?}");
    }
    assert_eq!(whole(b"--xYz--"), (vec![], Ok(())));
}

#[test]
fn a_part_without_a_body_may_share_its_blank_line_with_the_delimiter() {
    let body = b"--xYz\r\nContent-Disposition: form-data; name=a\r\n\r\n--xYz\r\n\
        Content-Disposition: form-data; name=b\r\n\r\n--xY\r\n--xYz--";
    let expected = vec![part("a", None, None, b""), part("b", None, None, b"--xY")];
    assert_eq!(whole(body), (expected.clone(), Ok(())));
    assert_eq!(read(machine(), body.chunks(1)), (expected, Ok(())));
}

#[test]
fn names_are_read_as_clients_write_them() {
    for (disposition, name, filename) in [
        ("form-data; name=\"a\"", "a", None),
        ("form-data;name=a;filename=b.txt", "a", Some("b.txt")),
        ("form-data ; name=\"a\" ; filename=\"b\" ;", "a", Some("b")),
        ("form-data; name=\"\"", "", None),
        ("form-data; filename=\"a;b=\\\"c\\\".txt\"; name=\"n\"", "n", Some("a;b=\"c\".txt")),
        ("form-data; name=\"a\"; filename=\"C:\\dir\\f.txt\"", "a", Some("C:\\dir\\f.txt")),
        ("form-data; name=\"a\"; filename=\"a\\\\b\"", "a", Some("a\\b")),
        ("form-data; name=\"a\"; filename=\"%22%0d%0A%41%2%\"", "a", Some("\"\r\n%41%2%")),
        ("form-data; name=\"a\"; filename=\"%é\"", "a", Some("%é")),
        ("form-data; name=\"a\"; filename=\"../../etc/passwd\"", "a", Some("../../etc/passwd")),
        ("form-data; name=\"a\"; filename*=UTF-8''x", "a", None),
        ("form-data; name=\"a\"; filename=\"b\"; filename*=UTF-8''x", "a", Some("b")),
        ("form-data; name=\"%22\"", "\"", None),
    ] {
        let body = format!("--xYz\r\nContent-Disposition: {disposition}\r\n\r\n\r\n--xYz--");
        assert_eq!(whole(body.as_bytes()), (vec![part(name, filename, None, b"")], Ok(())), "{disposition}");
    }
}

#[test]
fn heads_that_say_too_little_or_too_much_are_refused() {
    for (head, told) in [
        ("\r\n", "no Content-Disposition"),
        ("Content-Type: text/plain\r\n\r\n", "no Content-Disposition"),
        ("Content-Disposition: form-data\r\n\r\n", "no name"),
        ("Content-Disposition: form-data; filename=\"b\"\r\n\r\n", "no name"),
        ("Content-Disposition: form-data; name=a; name=b\r\n\r\n", "twice"),
        ("Content-Disposition: form-data; name=a; filename=b; Filename=c\r\n\r\n", "twice"),
        ("Content-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b\r\n\r\n", "two"),
        ("Content-Disposition: form-data; name=a\r\nContent-Type: a/b\r\ncontent-type: a/b\r\n\r\n", "two"),
        ("Content-Disposition: attachment; name=a\r\n\r\n", "not form-data"),
        ("Content-Disposition: form-data; name\r\n\r\n", "not form-data"),
        ("Content-Disposition: form-data; name=\"a\r\n\r\n", "not form-data"),
        ("Content-Disposition: form-data; name=\"a\\\"\r\n\r\n", "not form-data"),
        ("Content-Disposition: form-data; name=\"a\" x\r\n\r\n", "not form-data"),
        ("Content-Disposition: form-data; name=a b\r\n\r\n", "not form-data"),
        ("Content-Disposition: form-data; x y=\"1\"; name=a\r\n\r\n", "not form-data"),
        ("Content-Disposition form-data; name=a\r\n\r\n", "cannot be read"),
        ("Content-Disposition: form-data; name=a\n\r\n\r\n", "cannot be read"),
        ("X: y\nContent-Disposition: form-data; name=a\r\n\r\n", "cannot be read"),
        ("Content-Disposition: form-data;\r\n name=a\r\n\r\n", "cannot be read"),
        ("Content-Disposition: form-data; name=a\0\r\n\r\n", "cannot be read"),
        ("Content-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64\r\n\r\n", "Transfer"),
    ] {
        let detail = fault_of(format!("--xYz\r\n{head}data\r\n--xYz--").as_bytes());
        assert!(detail.contains(told), "{head:?}: {detail}");
    }
    for head in
        ["--xYz: a\r\nContent-Disposition: form-data; name=a", "Content-Disposition: form-data; name=a\r\n--xYz--: b"]
    {
        let detail = fault_of(format!("--xYz\r\n{head}\r\n\r\ndata\r\n--xYz--").as_bytes());
        assert!(detail.contains("boundary"), "{head:?}: {detail}");
    }
    assert!(fault_of(b"--xYz\r\nContent-Disposition: form-data; name=\"\xff\"\r\n\r\n").contains("UTF-8"));
    let lines = "X: y\r\n".repeat(16);
    let body = format!("--xYz\r\n{lines}Content-Disposition: form-data; name=a\r\n\r\n");
    assert!(fault_of(body.as_bytes()).contains("16 header lines"));
}

#[test]
fn a_body_without_its_delimiters_is_refused() {
    for body in [
        &b""[..],
        b"--xYz",
        b"--xYz\r\n",
        b"--xYz-",
        b"--XYZ--",
        b"hello",
        b"--xYz\r\nContent-Disposition: form-data; name=a\r\n\r\n",
        b"--xYz\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n--xYz",
        b"--xYz\r\nContent-Disposition: form-data; name=a\r\n\r\nb\n--xYz--",
        b"--xYz\r\nContent-Disposition: form-data; name=a\r\n\r\nb--xYz--",
    ] {
        assert!(fault_of(body).contains("before its last boundary"), "{body:?}");
    }
    for body in [
        &b"--xYz\n"[..],
        b"--xYzz\r\n",
        b"--xYz-\r\n",
        b"--xYz\rx",
        b"--xYz -",
        b"--xYz\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n--xYzzy\r\nc\r\n--xYz--",
    ] {
        assert!(fault_of(body).contains("does not end as a delimiter"), "{body:?}");
    }
    let spaces = |count| format!("--xYz{}\r\n", " ".repeat(count));
    assert!(fault_of(spaces(64).as_bytes()).contains("before its last"));
    assert!(fault_of(spaces(65).as_bytes()).contains("does not end"));
}

#[test]
fn each_limit_holds_and_one_past_it_does_not() {
    const PART: &str = "--xYz\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n";
    let parts = |count: usize| format!("{}--xYz--", PART.repeat(count));
    assert_eq!(whole(parts(64).as_bytes()).0.len(), 64);
    assert!(fault_of(parts(65).as_bytes()).contains("at most 64 parts"));

    let head = |size: usize| {
        let line = "Content-Disposition: form-data; name=a\r\nX: ";
        format!("--xYz\r\n{line}{}\r\n\r\n\r\n--xYz--", "y".repeat(size - line.len() - 2))
    };
    assert_eq!(whole(head(8192).as_bytes()).1, Ok(()));
    assert!(fault_of(head(8193).as_bytes()).contains("larger than 8192 bytes"));

    let before = |size: usize| format!("{}\r\n--xYz--", "x".repeat(size));
    assert_eq!(whole(before(8192).as_bytes()).1, Ok(()));
    assert!(fault_of(before(8193).as_bytes()).contains("first boundary"));
    let after = |size: usize| format!("--xYz--{}", "x".repeat(size));
    assert_eq!(whole(after(8192).as_bytes()).1, Ok(()));
    assert!(fault_of(after(8193).as_bytes()).contains("last boundary"));
}

#[test]
fn boundaries_are_those_of_the_rfc() {
    let seventy = "x".repeat(70);
    for boundary in ["x", "0'()+_,-./:=?x", "a b", &seventy] {
        let content_type = format!("Multipart/Form-Data; charset=utf-8; Boundary=\"{boundary}\"");
        let machine = Multipart::new(content_type.as_bytes(), Limits::default()).unwrap();
        let body = format!("--{boundary}\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n--{boundary}--");
        assert_eq!(read(machine, [body.as_bytes()]), (vec![part("a", None, None, b"b")], Ok(())));
    }
    for (content_type, status) in [
        ("multipart/form-data".to_owned(), Status::BAD_REQUEST),
        ("multipart/form-data; boundary=".to_owned(), Status::BAD_REQUEST),
        ("multipart/form-data; boundary=\"\"".to_owned(), Status::BAD_REQUEST),
        ("multipart/form-data; boundary=\"a \"".to_owned(), Status::BAD_REQUEST),
        ("multipart/form-data; boundary=\"a\\\"b\"".to_owned(), Status::BAD_REQUEST),
        ("multipart/form-data; boundary=a*b".to_owned(), Status::BAD_REQUEST),
        ("multipart/form-data; boundary=a; boundary=b".to_owned(), Status::BAD_REQUEST),
        (format!("multipart/form-data; boundary={seventy}x"), Status::BAD_REQUEST),
        (String::new(), Status::BAD_REQUEST),
        ("multipart/mixed; boundary=a".to_owned(), Status::UNSUPPORTED_MEDIA_TYPE),
        ("text/plain".to_owned(), Status::UNSUPPORTED_MEDIA_TYPE),
    ] {
        let fault = Multipart::new(content_type.as_bytes(), Limits::default()).unwrap_err();
        assert_eq!(fault.status, status, "{content_type}");
    }
}

#[test]
fn data_is_not_copied_and_a_false_delimiter_is_held_over() {
    let mut machine = machine();
    let head = b"--xYz\r\nContent-Disposition: form-data; name=a\r\n\r\n";
    assert!(matches!(machine.push(head), Ok((used, Event::Part(_))) if used == head.len()));
    assert_eq!(machine.push(b"one\r\n--x"), Ok((8, Event::Data(0..3))));
    assert_eq!(machine.push(b""), Ok((0, Event::NeedBytes)));
    assert_eq!(machine.push(b"Y"), Ok((1, Event::NeedBytes)));
    assert_eq!(machine.push(b"\r\n"), Ok((0, Event::Held(b"\r\n--xY"))));
    assert_eq!(machine.push(b"\r\n"), Ok((2, Event::NeedBytes)));
    assert_eq!(machine.push(b"--xYz"), Ok((5, Event::PartEnd)));
    assert_eq!(machine.push(b"--"), Ok((2, Event::End)));
    assert_eq!(machine.finish(), Ok(()));
}

/// The body cut at these places.
fn cut<'b>(body: &'b [u8], cuts: &[prop::sample::Index]) -> Vec<&'b [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
    places.extend([0, body.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &body[pair[0]..pair[1]]).collect()
}

/// Bytes that are mostly pieces of a delimiter.
fn data() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"\r\n--xY".to_vec()),
        Just(b"\r\n--".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\r".to_vec()),
        Just(b"--xY".to_vec()),
        Just(b"-".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..20),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat()).prop_filter("no delimiter", |data| {
        memchr::memmem::find(&[b"\r\n", &data[..], b"\r\n"].concat(), b"\r\n--xYz").is_none()
    })
}

/// What a body is made of, and a little else.
const PIECES: &[&[u8]] = &[
    b"--xYz",
    b"\r\n--xYz",
    b"--",
    b"\r\n",
    b"\r",
    b"\n",
    b" ",
    b"Content-Disposition: form-data; name=a\r\n\r\n",
    b"Content-Disposition: form-data; name=\"",
    b"X: y",
    b"xxxxxxxxxxxxxxxxxxxxxxxx",
    b"\xff\0",
];

proptest! {
    #[test]
    fn however_it_is_cut_a_form_is_the_same(
        parts in proptest::collection::vec((data(), "[a-zé]{0,5}", proptest::option::of("[a-z.é ]{0,9}")), 0..4),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let mut body = Vec::new();
        let mut expected = Vec::new();
        for (data, name, filename) in &parts {
            let file = filename.as_ref().map_or(String::new(), |filename| format!("; filename=\"{filename}\""));
            let head = format!("--xYz\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n");
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(data);
            body.extend_from_slice(b"\r\n");
            expected.push(part(name, filename.as_deref(), None, data));
        }
        body.extend_from_slice(b"--xYz--\r\n");
        prop_assert_eq!(whole(&body), (expected.clone(), Ok(())));
        prop_assert_eq!(read(machine(), cut(&body, &cuts)), (expected.clone(), Ok(())));
        prop_assert_eq!(read(machine(), body.chunks(1)), (expected, Ok(())));
    }

    #[test]
    fn however_it_is_cut_a_broken_form_is_broken_alike(
        pieces in proptest::collection::vec(prop::sample::select(PIECES), 0..20),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let body = pieces.concat();
        let limits = Limits { parts_max: 2, head_bytes_max: 60, margin_bytes_max: 30 };
        let machine = || Multipart::new(TYPE, limits).unwrap();
        let (parts, end) = read(machine(), [&body[..]]);
        let (parts_cut, end_cut) = read(machine(), cut(&body, &cuts));
        prop_assert_eq!(end_cut, end);
        prop_assert_eq!(parts_cut, parts);
        prop_assert_eq!(read(machine(), body.chunks(1)), read(machine(), [&body[..]]));
    }
}
