//! The two ways of listening: how one asks, and how a message is told from the next.

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// A way of listening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Frames of a WebSocket.
    WebSocket,
    /// An event stream.
    Events,
}

/// A message as it was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Its id.
    pub id: u64,
    /// When it was sent, as its text says.
    pub sent_ns: u64,
}

impl Dialect {
    pub fn name(self) -> &'static str {
        match self {
            Dialect::WebSocket => "ws",
            Dialect::Events => "sse",
        }
    }

    /// What asks to listen.
    pub fn request(self, host: &str) -> String {
        match self {
            Dialect::WebSocket => format!(
                "GET /ws HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            ),
            Dialect::Events => format!("GET /events HTTP/1.1\r\nHost: {host}\r\n\r\n"),
        }
    }

    /// The next message in `input` and how long it is with all before it that is none; `None` if it is not all there.
    pub fn next(self, input: &[u8]) -> Option<(usize, Option<Heard>)> {
        match self {
            Dialect::WebSocket => {
                let (length, head) = match *input.get(1)? {
                    126 => (usize::from(u16::from_be_bytes([*input.get(2)?, *input.get(3)?])), 4),
                    length => (usize::from(length), 2),
                };
                let text = input.get(head..head + length)?;
                Some((head + length, if input[0] == 0x81 { heard(text) } else { None }))
            }
            Dialect::Events => {
                let end = WORDS.end.find(input)? + 2;
                Some((end, heard(&input[..end])))
            }
        }
    }
}

/// What is looked for in every message, made ready once: the crowd must cost less than the server it measures.
struct Words {
    id: Finder<'static>,
    text: Finder<'static>,
    end: Finder<'static>,
}

static WORDS: LazyLock<Words> = LazyLock::new(|| Words {
    id: Finder::new("\"id\":"),
    text: Finder::new("\"message\":\""),
    end: Finder::new("\n\n"),
});

fn heard(text: &[u8]) -> Option<Heard> {
    let words = &*WORDS;
    let (id, at) = (words.id.find(text)?, words.text.find(text)?);
    Some(Heard { id: number(&text[id + 5..]), sent_ns: number(&text[at + 11..]) })
}

fn number(text: &[u8]) -> u64 {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_apart_in_both_dialects() {
        let text = "{\"id\":7,\"message\":\"0042 x\"}";
        let frame = [&[0x81, text.len() as u8], text.as_bytes(), &[0x89, 0]].concat();
        let expected = Some(Heard { id: 7, sent_ns: 42 });
        assert_eq!(Dialect::WebSocket.next(&frame), Some((text.len() + 2, expected)));
        assert_eq!(Dialect::WebSocket.next(&frame[..9]), None);
        assert_eq!(Dialect::WebSocket.next(&frame[text.len() + 2..]), Some((2, None)));
        let event = format!("id: 7\ndata: {text}\n\n:\n\n");
        assert_eq!(Dialect::Events.next(event.as_bytes()), Some((event.len() - 3, expected)));
        assert_eq!(Dialect::Events.next(b":\n\n"), Some((3, None)));
        assert_eq!(Dialect::Events.next(b"id: 7\n"), None);
    }
}
