//! Event-stream framing (WHATWG HTML, section 9.2): one event, written once, for all who listen.

use std::io::Write;

/// A comment, which says only that the connection lives (section 9.2.7). Its blank line keeps it apart from any event.
pub const HEARTBEAT: &[u8] = b":\n\n";

/// Appends an event (section 9.2.6).
///
/// An event of the default kind, `message`, goes without its name. The lines of `data` end in LF, CR or both; the other side
/// gets them joined by LF. Of `event` the first line counts: a name cannot have two.
pub fn message(id: Option<i64>, event: Option<&str>, data: &str, out: &mut Vec<u8>) {
    if let Some(id) = id {
        number("id: ", id, out);
    }
    if let Some(event) = event {
        field("event: ", event.split(['\r', '\n']).next().unwrap_or_default(), out);
    }
    for line in lines(data) {
        field("data: ", line, out);
    }
    out.push(b'\n');
}

/// Appends how long a client should wait before it connects again (section 9.2.6).
pub fn retry(ms: u32, out: &mut Vec<u8>) {
    number("retry: ", ms.into(), out);
    out.push(b'\n');
}

fn field(name: &str, value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(value.as_bytes());
    out.push(b'\n');
}

fn number(name: &str, value: i64, out: &mut Vec<u8>) {
    writeln!(out, "{name}{value}").expect("a Vec takes all that is written");
}

/// The lines of a text, at least one; the last may be empty.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some((line, after)) =
            memchr::memchr2(b'\r', b'\n', text.as_bytes()).and_then(|at| text.split_at_checked(at))
        else {
            rest = None;
            return Some(text);
        };
        rest = after.strip_prefix("\r\n").or_else(|| after.strip_prefix(['\r', '\n']));
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Default, PartialEq, Eq)]
    struct Heard {
        id: String,
        event: String,
        data: String,
    }

    /// What a browser hears: section 9.2.6 to the letter.
    fn hear(stream: &[u8]) -> (Vec<Heard>, Option<u64>) {
        let text = std::str::from_utf8(stream).unwrap().replace("\r\n", "\n").replace('\r', "\n");
        let (mut heard, mut retry) = (Vec::new(), None);
        let (mut id, mut event, mut data) = (String::new(), String::new(), String::new());
        // A last line without its end is not processed.
        for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            if line.is_empty() {
                let event = std::mem::take(&mut event);
                let mut data = std::mem::take(&mut data);
                if !data.is_empty() {
                    data.pop();
                    let event = if event.is_empty() { "message".to_owned() } else { event };
                    heard.push(Heard { id: id.clone(), event, data });
                }
                continue;
            }
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                "id" if !value.contains('\0') => value.clone_into(&mut id),
                "event" => value.clone_into(&mut event),
                "data" => data += &format!("{value}\n"),
                "retry" => retry = value.parse().ok(),
                _ => {}
            }
        }
        (heard, retry)
    }

    fn written(id: Option<i64>, event: Option<&str>, data: &str) -> String {
        let mut out = Vec::new();
        message(id, event, data, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn events_are_written_line_by_line() {
        for (id, event, data, expected) in [
            (Some(17), None, "{}", "id: 17\ndata: {}\n\n"),
            (None, Some("join"), "ada", "event: join\ndata: ada\n\n"),
            (Some(-1), Some("gap"), "", "id: -1\nevent: gap\ndata: \n\n"),
            (None, None, "a\nb\r\nc\rd", "data: a\ndata: b\ndata: c\ndata: d\n\n"),
            (None, None, "\n", "data: \ndata: \n\n"),
            (None, None, "a\n\nb\n", "data: a\ndata: \ndata: b\ndata: \n\n"),
            (None, None, "\n\r", "data: \ndata: \ndata: \n\n"),
            (None, None, " a", "data:  a\n\n"),
            (None, None, "é: €", "data: é: €\n\n"),
            (None, Some("a\ndata: b"), "c", "event: a\ndata: c\n\n"),
        ] {
            assert_eq!(written(id, event, data), expected, "{data:?}");
        }
    }

    #[test]
    fn heartbeats_and_waits_are_no_events() {
        let mut out = Vec::new();
        retry(2000, &mut out);
        assert_eq!(out, b"retry: 2000\n\n");
        out.extend_from_slice(HEARTBEAT);
        assert_eq!(hear(&out), (vec![], Some(2000)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_heard(
            events in proptest::collection::vec(
                (any::<i64>(), proptest::option::of("[a-z]{1,8}"), "[ -~\r\n\0é]{0,30}|(data: |id: 5|:|\r|\n){0,6}"),
                0..6,
            ),
        ) {
            let mut out = Vec::new();
            let mut expected = Vec::new();
            for (id, event, data) in &events {
                message(Some(*id), event.as_deref(), data, &mut out);
                out.extend_from_slice(HEARTBEAT);
                expected.push(Heard {
                    id: id.to_string(),
                    event: event.clone().unwrap_or_else(|| "message".to_owned()),
                    data: data.replace("\r\n", "\n").replace('\r', "\n"),
                });
            }
            prop_assert_eq!(hear(&out).0, expected);
        }
    }
}
