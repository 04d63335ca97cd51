//! WebSocket frames (RFC 6455), without the connection: bytes in, whole messages and control frames out.
//!
//! A message is unmasked into its own memory as its bytes come, and text is checked on the way: what can no longer become UTF-8
//! is refused at the byte that spoils it, with at most three bytes carried from one look to the next. What is announced is held
//! against the limit before it comes. A frame's head, and a control frame as a whole, is used only when all of it is there:
//! between two calls the reader remembers nothing that it could read again.
//!
//! Cutting the same input differently never changes the events. No extension is negotiated, so every reserved bit is refused.

use std::fmt;

/// The payload of a control frame, at most (section 5.5).
pub const CONTROL_MAX: usize = 125;

/// The longest head of a frame: two bytes, eight of length, four of mask.
const HEAD_MAX: usize = 14;

/// How much text is unmasked and checked at a time.
const STRETCH: usize = 4 << 10;

/// The least room a message is given.
const ROOM_MIN: usize = 128;

/// Why a conversation ends (section 7.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseCode(u16);

impl CloseCode {
    /// It has served its purpose.
    pub const NORMAL: CloseCode = CloseCode(1000);
    /// The server is closing, or the client is going elsewhere.
    pub const GOING_AWAY: CloseCode = CloseCode(1001);
    /// A frame was none.
    pub const PROTOCOL: CloseCode = CloseCode(1002);
    /// A kind of message that is not taken here.
    pub const UNSUPPORTED: CloseCode = CloseCode(1003);
    /// A message that is not what its kind says: text that is not UTF-8.
    pub const BAD_DATA: CloseCode = CloseCode(1007);
    /// Not allowed, or no longer.
    pub const POLICY: CloseCode = CloseCode(1008);
    /// A message that is too large.
    pub const TOO_BIG: CloseCode = CloseCode(1009);
    /// A mistake of the server's.
    pub const INTERNAL: CloseCode = CloseCode(1011);
    /// The server starts again.
    pub const RESTART: CloseCode = CloseCode(1012);
    /// Come back later: the server has too much to do, or the client was too slow.
    pub const TRY_LATER: CloseCode = CloseCode(1013);

    /// A code that may stand in a close frame: those that are registered for it, and the ranges for libraries and programs.
    pub const fn new(code: u16) -> Option<CloseCode> {
        match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(CloseCode(code)),
            _ => None,
        }
    }

    /// The code as a number.
    pub const fn code(self) -> u16 {
        self.0
    }
}

/// What is wrong with what a client sent; the conversation is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What it is told.
    pub code: CloseCode,
    /// Why, for its close frame.
    pub reason: &'static str,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code.0, self.reason)
    }
}

impl std::error::Error for Failure {}

const fn protocol(reason: &'static str) -> Failure {
    Failure { code: CloseCode::PROTOCOL, reason }
}

const NOT_UTF8: Failure = Failure { code: CloseCode::BAD_DATA, reason: "the text is not UTF-8" };
const TEXT_ONLY: Failure = Failure { code: CloseCode::UNSUPPORTED, reason: "text only" };
const TOO_BIG: Failure = Failure { code: CloseCode::TOO_BIG, reason: "the message is too large" };

/// A whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
}

/// The payload of a control frame.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Control {
    bytes: [u8; CONTROL_MAX],
    length: u8,
}

impl Control {
    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.bytes().escape_ascii())
    }
}

/// What has come.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// Not enough yet.
    NeedBytes,
    /// A whole message.
    Message(Message),
    /// A question that wants a pong with the same payload.
    Ping(Control),
    /// An answer to a ping, or a sign of life that nobody asked for.
    Pong,
    /// The client ends the conversation, with a code or without. Nothing may follow it.
    Close(Option<CloseCode>),
}

#[derive(Debug, Default)]
enum Gathered {
    #[default]
    Nothing,
    Text(String),
    Binary(Vec<u8>),
}

/// What is taken of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// A message's bytes, at most.
    pub message_max: u32,
    /// Whether a binary message is refused: at its first byte, and not when all of it has come.
    pub is_text_only: bool,
}

impl Limits {
    /// Messages of both kinds, up to so many bytes.
    pub const fn new(message_max: u32) -> Limits {
        Limits { message_max, is_text_only: false }
    }
}

/// Reads what a client sends.
#[derive(Debug, Default)]
pub struct Decoder {
    /// The message so far.
    gathered: Gathered,
    /// How much of the running frame's payload is still to come; zero between frames.
    rest: u32,
    /// The frame's mask, turned so that its first byte is for the next of the payload.
    mask: [u8; 4],
    /// The beginning of a character whose end has not come.
    carried: [u8; 3],
    carried_length: u8,
    /// Whether the running frame is its message's last.
    is_last: bool,
}

/// A frame's head.
struct Head {
    opcode: u8,
    is_last: bool,
    length: u32,
    mask: [u8; 4],
    /// How many bytes it takes.
    bytes: usize,
}

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

impl Decoder {
    /// Reads as far as the next event. Says how many bytes were used; what is not used is to be offered again with more behind
    /// it. After a close frame or a failure nothing more is to be read.
    ///
    /// # Errors
    /// What the client did wrong.
    pub fn decode(&mut self, input: &[u8], limits: Limits) -> Result<(usize, Event), Failure> {
        let mut used = 0;
        loop {
            if self.rest == 0 {
                match self.head(&input[used..], limits)? {
                    None => return Ok((used, Event::NeedBytes)),
                    Some(head) if head.opcode >= CLOSE => {
                        return Ok(match control(&head, &input[used..])? {
                            None => (used, Event::NeedBytes),
                            Some(event) => (used + head.bytes + head.length as usize, event),
                        });
                    }
                    Some(head) => {
                        used += head.bytes;
                        self.begin(&head);
                    }
                }
            }
            let stretch = (input.len() - used).min(self.rest as usize);
            self.take(&input[used..used + stretch])?;
            used += stretch;
            if self.rest > 0 {
                return Ok((used, Event::NeedBytes));
            }
            if self.is_last {
                return Ok((used, Event::Message(self.finish()?)));
            }
        }
    }

    /// Whether it stands between two messages, with nothing in hand.
    pub fn is_between(&self) -> bool {
        matches!(self.gathered, Gathered::Nothing)
    }

    fn gathered(&self) -> usize {
        match &self.gathered {
            Gathered::Nothing => 0,
            Gathered::Text(text) => text.len() + usize::from(self.carried_length),
            Gathered::Binary(bytes) => bytes.len(),
        }
    }

    /// The next head, if all of it is there. What is wrong with a part of it is told without waiting for the rest.
    fn head(&self, input: &[u8], limits: Limits) -> Result<Option<Head>, Failure> {
        let &[first, ref behind @ ..] = input else { return Ok(None) };
        let (opcode, is_last) = (first & 0x0f, first & 0x80 != 0);
        if first & 0x70 != 0 {
            return Err(protocol("a reserved bit is set"));
        }
        match (opcode, &self.gathered) {
            (CLOSE | PING | PONG, _) if !is_last => return Err(protocol("a control frame is in pieces")),
            (CLOSE | PING | PONG, _) => {}
            (CONTINUATION, Gathered::Nothing) => return Err(protocol("there is no message to continue")),
            (BINARY, Gathered::Nothing) if limits.is_text_only => return Err(TEXT_ONLY),
            (CONTINUATION, _) | (TEXT | BINARY, Gathered::Nothing) => {}
            (TEXT | BINARY, _) => return Err(protocol("a message begins inside another")),
            _ => return Err(protocol("an unknown opcode")),
        }
        let &[second, ref behind @ ..] = behind else { return Ok(None) };
        if second & 0x80 == 0 {
            return Err(protocol("a frame without a mask"));
        }
        let short = second & 0x7f;
        if opcode >= CLOSE && usize::from(short) > CONTROL_MAX {
            return Err(protocol("a control frame is too long"));
        }
        let (length, behind) = match short {
            126 => match behind.split_first_chunk() {
                None => return Ok(None),
                Some((length, behind)) => (u64::from(u16::from_be_bytes(*length)), behind),
            },
            127 => match behind.split_first_chunk() {
                None => return Ok(None),
                Some((length, behind)) => (u64::from_be_bytes(*length), behind),
            },
            short => (u64::from(short), behind),
        };
        if short == 126 && length < 126 || short == 127 && length <= 0xffff {
            return Err(protocol("a length is not written in the shortest way"));
        }
        if length >> 63 != 0 {
            return Err(protocol("a length has its highest bit set"));
        }
        let length = u32::try_from(length).map_err(|_| TOO_BIG)?;
        if opcode < CLOSE && length as usize > (limits.message_max as usize).saturating_sub(self.gathered()) {
            return Err(TOO_BIG);
        }
        let Some((&mask, behind)) = behind.split_first_chunk() else { return Ok(None) };
        let bytes = input.len() - behind.len();
        debug_assert!(bytes <= HEAD_MAX);
        Ok(Some(Head { opcode, is_last, length, mask, bytes }))
    }

    fn begin(&mut self, head: &Head) {
        self.rest = head.length;
        self.mask = head.mask;
        self.is_last = head.is_last;
        match head.opcode {
            TEXT => self.gathered = Gathered::Text(String::new()),
            BINARY => self.gathered = Gathered::Binary(Vec::new()),
            _ => {}
        }
    }

    /// Takes a stretch of the running frame's payload.
    fn take(&mut self, stretch: &[u8]) -> Result<(), Failure> {
        let rest = self.rest;
        self.rest -= stretch.len() as u32;
        match &mut self.gathered {
            Gathered::Nothing => {}
            Gathered::Binary(bytes) => {
                let from = bytes.len();
                bytes.reserve_exact(room(from, bytes.capacity(), stretch.len(), rest));
                bytes.extend_from_slice(stretch);
                unmask(&mut bytes[from..], &mut self.mask);
            }
            Gathered::Text(text) => {
                let mut buffer = [0; 3 + STRETCH];
                for stretch in stretch.chunks(STRETCH) {
                    let carried = usize::from(self.carried_length);
                    let end = carried + stretch.len();
                    buffer[..carried].copy_from_slice(&self.carried[..carried]);
                    buffer[carried..end].copy_from_slice(stretch);
                    unmask(&mut buffer[carried..end], &mut self.mask);
                    let (valid, cut) = check(&buffer[..end])?;
                    text.reserve_exact(room(text.len(), text.capacity(), valid.len(), rest.saturating_add(3)));
                    text.push_str(valid);
                    self.carried[..cut.len()].copy_from_slice(cut);
                    self.carried_length = cut.len() as u8;
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Message, Failure> {
        if std::mem::take(&mut self.carried_length) > 0 {
            return Err(NOT_UTF8);
        }
        Ok(match std::mem::take(&mut self.gathered) {
            Gathered::Text(text) => Message::Text(text),
            Gathered::Binary(bytes) => Message::Binary(bytes),
            Gathered::Nothing => Message::Binary(Vec::new()),
        })
    }
}

/// How much room to ask for beyond what is there: twice as much each time, so that no message is moved often, but never more
/// than its frame has announced, and never all of what is only announced.
fn room(held: usize, capacity: usize, coming: usize, rest: u32) -> usize {
    if capacity - held >= coming {
        return 0;
    }
    let announced = (rest as usize).max(coming);
    coming.max(held).max(ROOM_MIN).min(announced)
}

/// Splits bytes into what is text and the beginning of a character that was cut off.
fn check(bytes: &[u8]) -> Result<(&str, &[u8]), Failure> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok((text, &[])),
        Err(error) if error.error_len().is_some() => Err(NOT_UTF8),
        Err(error) => {
            let (valid, cut) = bytes.split_at(error.valid_up_to());
            Ok((std::str::from_utf8(valid).map_err(|_| NOT_UTF8)?, cut))
        }
    }
}

/// Unmasks in place and turns the mask (section 5.3). Four bytes at a time, which compiles to vector code.
fn unmask(bytes: &mut [u8], mask: &mut [u8; 4]) {
    let word = u32::from_ne_bytes(*mask);
    let mut fours = bytes.chunks_exact_mut(4);
    for four in &mut fours {
        let plain = u32::from_ne_bytes([four[0], four[1], four[2], four[3]]) ^ word;
        four.copy_from_slice(&plain.to_ne_bytes());
    }
    let tail = fours.into_remainder();
    for (byte, mask) in tail.iter_mut().zip(*mask) {
        *byte ^= mask;
    }
    mask.rotate_left(tail.len());
}

/// The control frame behind a head, if all of it is there.
fn control(head: &Head, input: &[u8]) -> Result<Option<Event>, Failure> {
    let Some(payload) = input.get(head.bytes..head.bytes + head.length as usize) else { return Ok(None) };
    let mut control = Control { bytes: [0; CONTROL_MAX], length: head.length as u8 };
    let bytes = &mut control.bytes[..payload.len()];
    bytes.copy_from_slice(payload);
    unmask(bytes, &mut head.mask.clone());
    Ok(Some(match (head.opcode, &*bytes) {
        (PING, _) => Event::Ping(control),
        (PONG, _) => Event::Pong,
        (_, []) => Event::Close(None),
        (_, [_]) => return Err(protocol("half a close code")),
        (_, [high, low, reason @ ..]) => {
            let code = CloseCode::new(u16::from_be_bytes([*high, *low])).ok_or(protocol("no such close code"))?;
            std::str::from_utf8(reason).map_err(|_| NOT_UTF8)?;
            Event::Close(Some(code))
        }
    }))
}

/// Writes the head of a message's only frame, so that its payload can follow from where it is.
fn write_head(opcode: u8, length: usize, out: &mut Vec<u8>) {
    out.push(0x80 | opcode);
    match length {
        0..=125 => out.push(length as u8),
        126..=0xffff => {
            out.push(126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

/// Writes the head of a text of so many bytes, which have to follow.
pub fn write_text_head(length: usize, out: &mut Vec<u8>) {
    write_head(TEXT, length, out);
}

/// Writes the head of a binary message of so many bytes, which have to follow.
pub fn write_binary_head(length: usize, out: &mut Vec<u8>) {
    write_head(BINARY, length, out);
}

/// Writes a text.
pub fn write_text(text: &str, out: &mut Vec<u8>) {
    write_head(TEXT, text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

/// Writes a ping without a payload.
pub fn write_ping(out: &mut Vec<u8>) {
    write_head(PING, 0, out);
}

/// Writes the answer to a ping.
pub fn write_pong(ping: &Control, out: &mut Vec<u8>) {
    write_head(PONG, ping.bytes().len(), out);
    out.extend_from_slice(ping.bytes());
}

/// Writes a close frame; a reason that is too long is cut where a character ends.
pub fn write_close(code: Option<CloseCode>, reason: &str, out: &mut Vec<u8>) {
    let Some(code) = code else { return write_head(CLOSE, 0, out) };
    let reason = &reason[..reason.floor_char_boundary(CONTROL_MAX - 2)];
    write_head(CLOSE, 2 + reason.len(), out);
    out.extend_from_slice(&code.0.to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
}

#[cfg(test)]
mod tests;
