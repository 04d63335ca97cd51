//! Whatever one byte of a chunked message is made, left out or put in: the request behind it is answered only where RFC 9112,
//! sections 6 and 7, lets it begin. Who reads on anywhere else takes a stretch of a body for a request.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::house::House;
use crate::request::{get_with, say_chunked};
use crate::scene::Scene;
use crate::wire::Wire;

/// What a byte is made.
const MADE: &[u8] = b"\0\t\n\x0b\r \",:;019af\x7f\x80\xff";
/// What is put before one.
const PUT_IN: &[u8] = b"\0\t\n\r ,:;0";

/// All that `message` becomes when one byte from `start` on is another.
fn changes(message: &[u8], start: usize) -> Vec<Vec<u8>> {
    let mut changed = Vec::new();
    for at in start..message.len() {
        let (before, behind) = (&message[..at], &message[at + 1..]);
        changed.push([before, behind].concat());
        changed
            .extend(MADE.iter().filter(|&&byte| byte != message[at]).map(|&byte| [before, &[byte], behind].concat()));
        changed.extend(PUT_IN.iter().map(|&byte| [before, &[byte], &message[at..]].concat()));
    }
    changed
}

/// What stands behind a message with one field for the chunked coding and a body in it, read by nothing but the grammar.
fn behind(message: &[u8]) -> Option<&[u8]> {
    let head = memchr::memmem::find(message, b"\r\n\r\n")?;
    let is_chunked = |line: &&[u8]| {
        line.split_at_checked(18).is_some_and(|(name, value)| {
            name.eq_ignore_ascii_case(b"transfer-encoding:") && value.trim_ascii().eq_ignore_ascii_case(b"chunked")
        })
    };
    if message[..head].split(|&byte| byte == b'\n').filter(is_chunked).count() != 1 {
        return None;
    }
    let mut rest = &message[head + 4..];
    loop {
        let (line, after) = line(rest)?;
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let extension = line[digits..].trim_ascii_start();
        let is_extension = extension.starts_with(b";") || line[digits..].is_empty();
        if !is_extension || !extension.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~')) {
            return None;
        }
        let size = usize::from_str_radix(std::str::from_utf8(&line[..digits]).ok()?, 16).ok()?;
        rest = after;
        if size == 0 {
            break;
        }
        rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
    }
    loop {
        let (line, after) = line(rest)?;
        rest = after;
        if line.is_empty() {
            return Some(rest);
        }
        let name = line.iter().position(|&byte| byte == b':').filter(|&at| at > 0)?;
        let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        let is_value = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~' | 0x80..);
        if !line[..name].iter().all(is_token) || !line[name..].iter().all(is_value) {
            return None;
        }
    }
}

/// A line that CRLF ends, with no other of the two in it, and what follows.
fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n'))?;
    Some((&bytes[..end], bytes[end..].strip_prefix(b"\r\n")?))
}

#[test]
fn whatever_byte_of_a_chunked_message_is_another_no_request_is_found_inside_it() {
    let house = House::usual();
    let scene = Scene::of(&house);
    let message = scene.fill(&say_chunked("8;a=\"b\"\r\nmessage=\r\n2\r\nhi\r\n0;z\r\nX-T: u\r\n\r\n"));
    let hidden = scene.fill(&get_with("/page.html", &["X-Hidden: 1"]));
    let start = memchr::memmem::find(&message, b"Transfer-Encoding").expect("its coding");
    let messages = changes(&message, start);
    let (next, answered, wrong) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(Vec::new()));
    let play = || {
        while let Some(changed) = messages.get(next.fetch_add(1, Ordering::Relaxed)) {
            let all = [changed.as_slice(), &hidden].concat();
            let mut wire = Wire::connect(house.address());
            wire.send(&all);
            wire.end_our_half();
            let mut answers = Vec::new();
            let end = loop {
                match wire.hear(false) {
                    Ok(answer) => answers.push(answer.status),
                    Err(end) => break end,
                }
            };
            let is_answered = answers.last() == Some(&200);
            answered.fetch_add(usize::from(is_answered), Ordering::Relaxed);
            let is_apart = behind(&all) == Some(hidden.as_slice());
            if is_answered && !is_apart || end != "the connection closed without an answer" {
                wrong.lock().expect("nobody panics").push(format!("{answers:?}, {end}\n{}", wire.transcript()));
            }
        }
    };
    thread::scope(|scope| (0..8).for_each(|_| drop(scope.spawn(play))));
    let wrong = wrong.into_inner().expect("nobody panics");
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), messages.len(), wrong[..wrong.len().min(5)].join("\n"));
    // Some changes change nothing, a letter of the content for one.
    assert!(answered.into_inner() > 100, "hardly any request behind a message was found");
}
