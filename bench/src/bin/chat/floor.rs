//! The floors: a bare loop that tells every listener what a publisher has posted. It looks at nothing but what it must, has no
//! limits and no manners, and keeps nothing.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use hythe_bench::net::{Moved, RecvFlags, Tuning, give, listener, newcomer, take};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

const LISTENER: u64 = u64::MAX;
const ANSWER: &[u8] = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}";
const PAGE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const SOCKET: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
const EVENTS: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";

struct Client {
    socket: OwnedFd,
    /// What the socket would not take.
    owed: Vec<u8>,
}

/// Serves until it is killed. `joined`: what came in a turn leaves in one send a listener.
pub fn serve(joined: bool) -> io::Result<()> {
    crate::house::raise_descriptors();
    let tuning = Tuning { unsent_bytes: Some(128 << 10), congestion: Some("reno"), ..Tuning::default() };
    let (door, bound) = listener(SocketAddr::from(([127, 0, 0, 1], 0)), tuning)?;
    eprintln!("ready on http://{bound}");
    let poll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&poll, &door, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut clients: Vec<Client> = Vec::new();
    let mut hearers: Vec<usize> = Vec::new();
    let mut is_socket = false;
    let mut events: Vec<Event> = Vec::with_capacity(1024);
    let mut buffer = vec![0; 64 << 10];
    let mut id = 0u64;
    let mut said: Vec<Vec<u8>> = Vec::new();
    loop {
        events.clear();
        epoll::wait(&poll, spare_capacity(&mut events), None)?;
        for event in &events {
            let (place, flags) = (event.data.u64(), event.flags);
            if place == LISTENER {
                while let Some(socket) = newcomer(&door)? {
                    let flags = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
                    epoll::add(&poll, &socket, EventData::new_u64(clients.len() as u64), flags)?;
                    clients.push(Client { socket, owed: Vec::new() });
                }
                continue;
            }
            let place = place as usize;
            let client = &mut clients[place];
            if !client.owed.is_empty() && flags.contains(EventFlags::OUT) {
                let owed = std::mem::take(&mut client.owed);
                tell(client, &owed);
            }
            if !flags.contains(EventFlags::IN) {
                continue;
            }
            let Moved::Bytes(got) = take(&client.socket, &mut buffer, RecvFlags::empty()) else { continue };
            let request = &buffer[..got];
            if request.starts_with(b"POST") {
                let Some(at) = request.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
                id += 1;
                said.push(write(is_socket, id, &request[at + 4..]));
                give(&client.socket, ANSWER, false);
            } else if request.starts_with(b"GET /ws") || request.starts_with(b"GET /events") {
                is_socket = request.starts_with(b"GET /ws");
                give(&client.socket, if is_socket { SOCKET } else { EVENTS }, false);
                hearers.push(place);
            } else {
                give(&client.socket, PAGE, false);
            }
        }
        if joined && !said.is_empty() {
            said = vec![said.concat()];
        }
        for text in said.drain(..) {
            for &place in &hearers {
                tell(&mut clients[place], &text);
            }
        }
    }
}

fn tell(client: &mut Client, text: &[u8]) {
    if !client.owed.is_empty() {
        return client.owed.extend_from_slice(text);
    }
    let sent = match give(&client.socket, text, false) {
        Moved::Bytes(sent) => sent,
        Moved::Later => 0,
        Moved::End | Moved::Broken(_) => text.len(),
    };
    client.owed.extend_from_slice(&text[sent..]);
}

fn write(is_socket: bool, id: u64, text: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(text);
    let members = format!(
        "\"id\":{id},\"room\":\"lobby\",\"ts\":\"2026-11-20T10:11:12Z\",\"user\":null,\"name\":\"guest-12ab\",\
         \"message\":\"{text}\"}}"
    );
    if is_socket {
        let json = format!("{{\"type\":\"message\",{members}");
        let length = u16::try_from(json.len()).unwrap_or(u16::MAX).to_be_bytes();
        [&[0x81, 126, length[0], length[1]], json.as_bytes()].concat()
    } else {
        format!("id: {id}\ndata: {{{members}\n\n").into_bytes()
    }
}
