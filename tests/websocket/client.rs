//! The other side of a WebSocket, in raw bytes over a real socket: it can say everything, right or wrong.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

pub const CONTINUATION: u8 = 0;
pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// The bit of a frame that is its message's last.
pub const FIN: u8 = 0x80;

const HANDSHAKE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

const MASK: [u8; 4] = [0xa1, 0x07, 0x5c, 0x3e];

/// A frame of a client.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        length @ 0..=125 => out.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            out.push(0x80 | 126);
            out.extend((length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend((length as u64).to_be_bytes());
        }
    }
    out.extend(MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

/// A whole message in one frame.
pub fn message(opcode: u8, payload: &[u8]) -> Vec<u8> {
    frame(FIN | opcode, payload)
}

/// What a server has sent: a whole frame.
#[derive(Debug, PartialEq, Eq, Clone)]
pub struct Heard {
    pub opcode: u8,
    pub payload: Vec<u8>,
}

pub fn heard(opcode: u8, payload: &[u8]) -> Heard {
    Heard { opcode, payload: payload.to_vec() }
}

pub struct Client {
    socket: TcpStream,
    held: Vec<u8>,
}

impl Client {
    /// Shakes hands at `/echo`.
    pub fn open(address: SocketAddr) -> Client {
        let mut client = Client::ask(address, &format!("GET /echo HTTP/1.1\r\nHost: a\r\n{HANDSHAKE}\r\n"));
        let head = client.head();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(head.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{head}");
        assert!(!head.contains("Connection: close") && !head.contains("Content-Length"), "{head}");
        client
    }

    /// Sends a request, and whatever stands behind it.
    pub fn ask(address: SocketAddr, request: &str) -> Client {
        Client::ask_bytes(address, request.as_bytes())
    }

    pub fn ask_bytes(address: SocketAddr, request: &[u8]) -> Client {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.write_all(request).unwrap();
        Client { socket, held: Vec::new() }
    }

    /// The head of the answer.
    pub fn head(&mut self) -> String {
        loop {
            if let Some(end) = self.held.windows(4).position(|four| four == b"\r\n\r\n") {
                let rest = self.held.split_off(end + 4);
                return String::from_utf8(std::mem::replace(&mut self.held, rest)).unwrap();
            }
            assert!(self.fill(), "the answer ends in its head");
        }
    }

    /// Ends its half of the connection.
    pub fn end(&mut self) {
        self.socket.shutdown(Shutdown::Write).unwrap();
    }

    pub fn send(&mut self, bytes: &[u8]) {
        // A server that has had enough may have shut its door.
        let _ = self.socket.write_all(bytes);
    }

    /// Sends in pieces of this size, each in a packet of its own.
    pub fn send_chopped(&mut self, bytes: &[u8], size: usize) {
        for piece in bytes.chunks(size) {
            self.send(piece);
            thread::sleep(Duration::from_micros(200));
        }
    }

    /// Sends while another thread reads, as a client must whose messages are large.
    pub fn send_meanwhile(&self, bytes: Vec<u8>) -> thread::JoinHandle<()> {
        let mut socket = self.socket.try_clone().unwrap();
        thread::spawn(move || {
            let _ = socket.write_all(&bytes);
        })
    }

    fn fill(&mut self) -> bool {
        let mut buffer = vec![0; 64 << 10];
        let read = self.socket.read(&mut buffer).expect("bytes, or the end, in time");
        self.held.extend_from_slice(&buffer[..read]);
        read > 0
    }

    /// The next frame, or `None` at the end of the connection. A server's frames are whole messages without a mask.
    pub fn hear(&mut self) -> Option<Heard> {
        loop {
            if let Some((used, heard)) = parse(&self.held) {
                self.held.drain(..used);
                return Some(heard);
            }
            if !self.fill() {
                assert!(self.held.is_empty(), "the connection ends inside a frame");
                return None;
            }
        }
    }

    /// All frames up to the end of the connection.
    pub fn hear_all(&mut self) -> Vec<Heard> {
        std::iter::from_fn(|| self.hear()).collect()
    }
}

fn parse(bytes: &[u8]) -> Option<(usize, Heard)> {
    let &[first, second, ref behind @ ..] = bytes else { return None };
    assert_eq!((first & 0xf0, second & 0x80), (0x80, 0), "a whole message, without a mask");
    let (length, behind) = match second {
        126 => (u64::from(u16::from_be_bytes(*behind.first_chunk()?)), &behind[2..]),
        127 => (u64::from_be_bytes(*behind.first_chunk()?), &behind[8..]),
        length => (u64::from(length), behind),
    };
    let payload = behind.get(..length as usize)?;
    let used = bytes.len() - behind.len() + payload.len();
    Some((used, Heard { opcode: first & 0x0f, payload: payload.to_vec() }))
}
