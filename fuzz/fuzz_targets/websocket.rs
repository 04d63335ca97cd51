//! A client's frames, cut anywhere and whole; a message that comes out is what went in.
#![no_main]

use hythe::http::websocket::{Decoder, Event, Failure, Limits, Message, write_binary_head, write_text};
use libfuzzer_sys::fuzz_target;

const MESSAGE_MAX: u32 = 1 << 12;

fn read(parts: &[&[u8]]) -> (Vec<Event>, Option<Failure>) {
    let mut decoder = Decoder::default();
    let (mut held, mut events) = (Vec::new(), Vec::new());
    for part in parts {
        held.extend_from_slice(part);
        loop {
            match decoder.decode(&held, Limits::new(MESSAGE_MAX)) {
                Err(failure) => return (events, Some(failure)),
                Ok((used, event)) => {
                    held.drain(..used);
                    match event {
                        Event::NeedBytes => {
                            assert!(held.len() < 14 + 125, "all but a head or a control frame is used");
                            break;
                        }
                        Event::Message(Message::Text(text)) if text.len() > MESSAGE_MAX as usize => panic!("too large"),
                        Event::Message(Message::Binary(bytes)) if bytes.len() > MESSAGE_MAX as usize => {
                            panic!("too large")
                        }
                        Event::Close(_) => {
                            events.push(event);
                            return (events, None);
                        }
                        event => events.push(event),
                    }
                }
            }
        }
    }
    (events, None)
}

/// What a server has written, as a client would send it: with a mask, of zeros.
fn masked(mut frame: Vec<u8>) -> Vec<u8> {
    let head = match frame[1] {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    frame[1] |= 0x80;
    frame.splice(head..head, [0; 4]);
    frame
}

fuzz_target!(|bytes: &[u8]| {
    let Some((whole, parts)) = hythe_fuzz::cut(bytes) else { return };
    let once = read(&[whole]);
    assert_eq!(read(&parts), once, "cut, and whole");
    for event in once.0 {
        let mut out = Vec::new();
        match &event {
            Event::Message(Message::Text(text)) => write_text(text, &mut out),
            Event::Message(Message::Binary(bytes)) => {
                write_binary_head(bytes.len(), &mut out);
                out.extend_from_slice(bytes);
            }
            _ => continue,
        }
        assert_eq!(read(&[&masked(out)]), (vec![event], None), "what is written is read back");
    }
});
