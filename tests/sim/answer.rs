//! Reads answers as they come, more strictly than any client would: whatever is not exactly by RFC 9112 ends the story.

use std::{fmt, mem};

/// An answer, or the head of one that does not end.
#[derive(Clone, Default)]
pub struct Answer {
    pub status: u16,
    /// Names in small letters.
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether it says that nothing follows.
    pub closes: bool,
    /// Whether its body goes on until the connection closes.
    pub is_endless: bool,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.body[..self.body.len().min(200)].escape_ascii();
        write!(f, "{} {:?} \"{shown}\" of {}", self.status, self.fields, self.body.len())
    }
}

impl Answer {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a document is JSON")
    }
}

/// What came.
#[derive(Debug)]
pub enum Said {
    /// `100 Continue`.
    GoOn,
    /// A whole answer.
    Whole(Answer),
    /// The head of an endless one.
    Begun(Answer),
    /// More of an endless one.
    More(Vec<u8>),
}

#[derive(Debug, Default)]
enum Place {
    #[default]
    Head,
    Body(Answer, usize),
    Chunks(Answer),
    Endless,
    Over,
}

/// The state of reading.
#[derive(Debug, Default)]
pub struct Reader {
    held: Vec<u8>,
    place: Place,
}

impl Reader {
    /// Takes bytes in.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// Whether it stands between two answers, with nothing of the next.
    pub fn is_between(&self) -> bool {
        matches!(self.place, Place::Over | Place::Head if self.held.is_empty())
    }

    /// Whether the last answer has come.
    pub fn is_over(&self) -> bool {
        matches!(self.place, Place::Over)
    }

    /// The next that is complete. `is_head` tells whether what was asked was HEAD.
    pub fn next(&mut self, is_head: bool) -> Option<Said> {
        match mem::take(&mut self.place) {
            Place::Head => {
                let end = self.held.windows(4).position(|four| four == b"\r\n\r\n");
                assert!(end.is_some() || self.held.len() < 8 << 10, "a head has an end");
                let head: Vec<u8> = self.held.drain(..end? + 4).collect();
                let (answer, length) = parse(&head, is_head);
                if answer.status == 100 {
                    return Some(Said::GoOn);
                }
                if is_head && answer.status == 408 {
                    // Nobody knows how much of HEAD had come by then.
                    self.held.clear();
                }
                match length {
                    Length::UntilClose => {
                        self.place = Place::Endless;
                        Some(Said::Begun(answer))
                    }
                    Length::Chunked => {
                        self.place = Place::Chunks(answer);
                        self.next(is_head)
                    }
                    Length::Known(length) => {
                        self.place = Place::Body(answer, length);
                        self.next(is_head)
                    }
                }
            }
            Place::Body(mut answer, length) => {
                if self.held.len() < length {
                    self.place = Place::Body(answer, length);
                    return None;
                }
                answer.body = self.held.drain(..length).collect();
                self.place = if answer.closes { Place::Over } else { Place::Head };
                Some(Said::Whole(answer))
            }
            Place::Chunks(mut answer) => {
                while let Some(chunk) = self.chunk() {
                    if chunk.is_empty() {
                        self.place = if answer.closes { Place::Over } else { Place::Head };
                        return Some(Said::Whole(answer));
                    }
                    answer.body.extend_from_slice(&chunk);
                }
                self.place = Place::Chunks(answer);
                None
            }
            Place::Endless => {
                self.place = Place::Endless;
                let more = mem::take(&mut self.held);
                (!more.is_empty()).then_some(Said::More(more))
            }
            Place::Over => {
                self.place = Place::Over;
                assert!(self.held.is_empty(), "nothing follows the last answer: {}", self.held.escape_ascii());
                None
            }
        }
    }
}

impl Reader {
    /// The next chunk, if it is all there; the last one is empty. Ours have neither extensions nor trailers.
    fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = self.held.windows(2).position(|two| two == b"\r\n")?;
        let size = std::str::from_utf8(&self.held[..line]).expect("a size is ASCII");
        let size = usize::from_str_radix(size, 16).unwrap_or_else(|_| panic!("no size of a chunk: {size:?}"));
        if self.held.len() < line + 2 + size + 2 {
            return None;
        }
        let chunk = self.held[line + 2..][..size].to_vec();
        assert_eq!(&self.held[line + 2 + size..][..2], b"\r\n", "a chunk ends where its size says");
        self.held.drain(..line + 2 + size + 2);
        Some(chunk)
    }
}

/// How the end of a body is told.
enum Length {
    Known(usize),
    Chunked,
    UntilClose,
}

/// A head, and how its body ends.
fn parse(head: &[u8], is_head: bool) -> (Answer, Length) {
    let text = std::str::from_utf8(head).expect("a head is ASCII");
    assert!(text.is_ascii(), "a head is ASCII: {text:?}");
    let mut lines = text.strip_suffix("\r\n\r\n").expect("it ends so").split("\r\n");
    let line = lines.next().expect("there is one");
    let (version, rest) = line.split_at_checked(9).expect("a status line has a version");
    assert_eq!(version, "HTTP/1.1 ", "{text:?}");
    let (status, reason) = rest.split_once(' ').expect("a space follows the status, whatever the reason");
    assert!(status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit()), "{line:?}");
    assert!(!reason.is_empty() && !reason.contains(|character: char| character.is_control()), "{line:?}");
    let mut answer = Answer { status: status.parse().expect("three digits"), ..Answer::default() };
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("a field has a name: {line:?}"));
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') && !name.is_empty(), "{line:?}");
        assert!(value.trim() == value && !value.contains(|character: char| character.is_control()), "{line:?}");
        answer.fields.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let count = |name: &str| answer.fields.iter().filter(|(known, _)| known == name).count();
    if answer.status == 100 {
        assert!(answer.fields.is_empty(), "100 has no fields");
        return (answer, Length::Known(0));
    }
    // What is left to say when a handler panicked is said without ceremony.
    let is_bare = answer.status == 500 && answer.field("content-length") == Some("0");
    for name in ["date", "server", "x-content-type-options"] {
        assert!(is_bare || count(name) == 1, "{name} in {text:?}");
    }
    assert!(answer.fields.iter().all(|(name, value)| name != "transfer-encoding" || value == "chunked"), "{text:?}");
    assert!(count("content-length") + count("transfer-encoding") <= 1, "{text:?}");
    assert!(count("connection") <= 1, "{text:?}");
    if answer.status == 101 {
        let upgrade = (answer.field("upgrade"), answer.field("connection"));
        assert_eq!(upgrade, (Some("websocket"), Some("Upgrade")), "{text:?}");
        assert!(count("content-length") + count("transfer-encoding") == 0, "{text:?}");
        return (answer, Length::UntilClose);
    }
    answer.closes = answer.field("connection").is_some_and(|value| value == "close");
    let is_bodiless = matches!(answer.status, 204 | 304);
    let length = answer.field("content-length").map(|value| value.parse().expect("a length is a number"));
    if is_bodiless {
        assert_eq!(length, None, "{text:?}");
    }
    if is_head || is_bodiless {
        return (answer, Length::Known(0));
    }
    let length = match length {
        Some(length) => Length::Known(length),
        None if count("transfer-encoding") == 1 => Length::Chunked,
        None => {
            answer.is_endless = true;
            assert!(answer.closes, "an endless answer is the last: {text:?}");
            Length::UntilClose
        }
    };
    (answer, length)
}
