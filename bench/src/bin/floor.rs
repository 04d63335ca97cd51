//! The floor: what nobody who serves through epoll, recv and send can go below.
//!
//! One process, one thread, edge-triggered epoll. It never looks at what it reads: it counts bytes, takes a known
//! number of them for a request and sends an answer that was made before it started. It has no timers, no limits and
//! no manners; it is no server, it is a ruler.
//!
//! What it sends (an *answer*: a head and a body) is known by its length alone, so a connection is two numbers: how
//! many answers are owed, and how much of the present one has left.

use std::fs::File;
use std::io;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use hythe_bench::args::Args;
use hythe_bench::net::{Moved, RecvFlags, Tuning, failed, give, listener, newcomer, take};
use hythe_bench::raw;
use rustix::event::epoll;

const USAGE: &str = "floor: a bare epoll loop that answers without reading

  --listen ADDRESS       127.0.0.1:0
  --body N               a body of N bytes from memory (1024)
  --head-bytes N         the head is padded to N bytes (300)
  --status N             the status it claims (200)
  --request-bytes N      length of a request; otherwise each connection's first one is measured
  --close                closes after each answer
  --file PATH            the body is this file
  --file-mem             ... held in memory, and sent with its head by one writev
  --how WAY              of sending a file: sendfile, pread-send, mmap-send, splice, zerocopy (sendfile)
  --chunk N              bytes a call may send (no limit; 256k where there is a buffer of ours)
  --turn N               bytes a connection may send before the next one has its turn (no limit)
  --put PATH             requests carry a body, which is written to this file
  --sndbuf N             SO_SNDBUF
  --notsent-lowat N      TCP_NOTSENT_LOWAT
  --congestion NAME      TCP_CONGESTION, such as reno, cubic or bbr";

/// How many events are taken at once.
const EVENTS: usize = 1024;
/// How much is read at once.
const READ_BYTES: usize = 64 * 1024;
/// How many answers stand ready behind one another.
const ANSWERS: usize = 64;

fn main() {
    let mut args = Args::from_env(USAGE);
    let address: SocketAddr = match args.text("--listen").as_deref().unwrap_or("127.0.0.1:0").parse() {
        Ok(address) => address,
        Err(error) => args.complain(&format!("--listen: {error}")),
    };
    let how = match args.text("--how").as_deref() {
        None | Some("sendfile") => How::Sendfile,
        Some("pread-send") => How::ReadSend,
        Some("mmap-send") => How::MapSend,
        Some("splice") => How::Splice,
        Some("zerocopy") => How::Zerocopy,
        Some(other) => args.complain(&format!("--how {other}: not a way I know")),
    };
    let tuning = Tuning {
        send_buffer_bytes: args.count("--sndbuf"),
        unsent_bytes: args.count("--notsent-lowat").and_then(|bytes| u32::try_from(bytes).ok()),
        defer_accept_s: Some(5),
        is_zerocopy: how == How::Zerocopy,
        congestion: args.text("--congestion").map(|name| &*name.leak()),
        ..Tuning::default()
    };
    let closes = args.flag("--close");
    let head_bytes = args.count("--head-bytes").unwrap_or(300);
    let status = args.count("--status").unwrap_or(200);
    let request_bytes = args.count("--request-bytes").and_then(|bytes| u32::try_from(bytes).ok());
    let body_bytes = args.count("--body").unwrap_or(1024);
    let file = args.text("--file");
    let from_memory = args.flag("--file-mem");
    let chunk = args.count("--chunk");
    let turn = args.count("--turn").unwrap_or(usize::MAX);
    let put = args.text("--put");
    if !args.words().is_empty() {
        eprintln!("{USAGE}");
        std::process::exit(2);
    }

    let started = listener(address, tuning).and_then(|(socket, bound)| {
        println!("floor: ready on http://{bound}");
        io::stdout().flush()?;
        let keeps = !closes;
        if let Some(path) = put {
            return run(&socket, &mut Receiver::new(&path, chunk.unwrap_or(READ_BYTES), head_bytes)?);
        }
        match file {
            None => run(
                &socket,
                &mut Answerer::new(&head(status, body_bytes, head_bytes, keeps), body_bytes, request_bytes, keeps),
            ),
            Some(path) => run(
                &socket,
                &mut Deliverer::new(&path, from_memory, how, chunk, turn, |n| head(status, n, head_bytes, keeps))?,
            ),
        }
    });
    if let Err(error) = started {
        eprintln!("floor: {error}");
        std::process::exit(1);
    }
}

/// A head like a real one, padded to a length.
fn head(status: usize, body_bytes: usize, head_bytes: usize, keeps: bool) -> Vec<u8> {
    let reason = if status == 404 { "Not Found" } else { "OK" };
    let connection = if keeps { "" } else { "Connection: close\r\n" };
    let mut text = format!(
        "HTTP/1.1 {status} {reason}\r\nDate: Thu, 20 Nov 2025 12:00:00 GMT\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {body_bytes}\r\n{connection}"
    );
    let pad = head_bytes.saturating_sub(text.len() + "X-Pad: \r\n\r\n".len());
    if pad > 0 {
        text.push_str(&format!("X-Pad: {}\r\n", "x".repeat(pad)));
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// How long a client's first request is: to the end of its head, for it has no body.
fn measure(first: &[u8]) -> u32 {
    let end = first.windows(4).position(|four| four == b"\r\n\r\n").map_or(first.len(), |at| at + 4);
    u32::try_from(end).unwrap_or(u32::MAX)
}

/// How many requests are whole once `got` more bytes have come; what is over stays in `part`.
#[inline]
fn whole(request_bytes: u32, part: &mut u32, got: usize) -> usize {
    let got = u32::try_from(got).unwrap_or(u32::MAX);
    if *part == 0 && got == request_bytes {
        return 1;
    }
    let bytes = *part + got;
    *part = bytes % request_bytes;
    (bytes / request_bytes) as usize
}

/// What is done with a connection that can be read or written.
trait Act {
    /// What is remembered of a connection.
    type State: Default;
    /// Reads, and answers at once. False: the connection is done with.
    fn readable(&mut self, socket: &OwnedFd, state: &mut Self::State) -> bool;
    /// Sends more of what is owed. False: the connection is done with.
    fn writable(&mut self, socket: &OwnedFd, state: &mut Self::State) -> bool;
    /// Whether more could be sent at once, but others shall have their turn first.
    fn has_more(&self, _state: &Self::State) -> bool {
        false
    }
}

struct Connection<S> {
    socket: OwnedFd,
    state: S,
}

/// The loop. A newcomer is served before it is registered, and registered only if it stays.
fn run<A: Act>(listener: &OwnedFd, act: &mut A) -> io::Result<()> {
    use epoll::EventFlags as On;
    let edges = On::IN | On::OUT | On::RDHUP | On::ET;
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&poll, listener, epoll::EventData::new_u64(u64::MAX), On::IN | On::ET)?;
    let mut connections: Vec<Option<Connection<A::State>>> = Vec::new();
    let mut events: Vec<epoll::Event> = Vec::with_capacity(EVENTS);
    let mut again: Vec<usize> = Vec::new();
    loop {
        events.clear();
        let at_once = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
        let patience = if again.is_empty() { None } else { Some(&at_once) };
        match epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), patience) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for index in std::mem::take(&mut again) {
            serve(&mut connections, index, On::OUT, act, &mut again);
        }
        for event in &events {
            let (flags, data) = (event.flags, event.data.u64());
            if let Ok(index) = usize::try_from(data)
                && data != u64::MAX
            {
                serve(&mut connections, index, flags, act, &mut again);
                continue;
            }
            while let Some(socket) = newcomer(listener)? {
                let mut state = A::State::default();
                if !act.readable(&socket, &mut state) {
                    continue;
                }
                let index = usize::try_from(socket.as_raw_fd()).unwrap_or(0);
                epoll::add(&poll, &socket, epoll::EventData::new_u64(index as u64), edges)?;
                if index >= connections.len() {
                    connections.resize_with(index + 1, || None);
                }
                if act.has_more(&state) {
                    again.push(index);
                }
                connections[index] = Some(Connection { socket, state });
            }
        }
    }
}

#[inline]
fn serve<A: Act>(
    connections: &mut [Option<Connection<A::State>>],
    index: usize,
    flags: epoll::EventFlags,
    act: &mut A,
    again: &mut Vec<usize>,
) {
    use epoll::EventFlags as On;
    let Some(slot) = connections.get_mut(index) else { return };
    let Some(connection) = slot else { return };
    let mut stays = true;
    if flags.intersects(On::IN | On::HUP | On::ERR | On::RDHUP) {
        stays = act.readable(&connection.socket, &mut connection.state);
    }
    if stays && flags.intersects(On::OUT) {
        stays = act.writable(&connection.socket, &mut connection.state);
    }
    if !stays || flags.intersects(On::HUP | On::RDHUP) {
        *slot = None;
    } else if act.has_more(&connection.state) {
        again.push(index);
    }
}

/// Small answers from memory: as many in one send as there were requests in one recv.
struct Answerer {
    answers: Vec<u8>,
    answer_bytes: usize,
    request_bytes: Option<u32>,
    keeps: bool,
    scratch: Vec<u8>,
}

#[derive(Default)]
struct Owed {
    /// How long this client's requests are; 0 until the first one came.
    request_bytes: u32,
    /// Bytes of a request that is not complete yet.
    part: u32,
    /// Bytes still to send; they end where an answer ends.
    bytes: usize,
}

impl Answerer {
    fn new(head: &[u8], body_bytes: usize, request_bytes: Option<u32>, keeps: bool) -> Self {
        let mut answer = head.to_vec();
        answer.extend((0..body_bytes).map(|at| b'a' + u8::try_from(at % 26).unwrap_or(0)));
        Self {
            answers: answer.repeat(if answer.len() > READ_BYTES { 1 } else { ANSWERS }),
            answer_bytes: answer.len(),
            request_bytes,
            keeps,
            scratch: vec![0; READ_BYTES],
        }
    }
}

impl Act for Answerer {
    type State = Owed;

    #[inline]
    fn readable(&mut self, socket: &OwnedFd, state: &mut Owed) -> bool {
        loop {
            let got = match take(socket, &mut self.scratch, RecvFlags::empty()) {
                Moved::Bytes(got) => got,
                Moved::Later => return true,
                Moved::End | Moved::Broken(_) => return false,
            };
            if state.request_bytes == 0 {
                state.request_bytes = self.request_bytes.unwrap_or_else(|| measure(&self.scratch[..got]));
            }
            state.bytes += whole(state.request_bytes, &mut state.part, got) * self.answer_bytes;
            if !self.writable(socket, state) {
                return false;
            }
            if got < READ_BYTES {
                return true;
            }
        }
    }

    #[inline]
    fn writable(&mut self, socket: &OwnedFd, state: &mut Owed) -> bool {
        while state.bytes > 0 {
            let left_of_this = state.bytes % self.answer_bytes;
            let start = if left_of_this == 0 { 0 } else { self.answer_bytes - left_of_this };
            let end = self.answers.len().min(start + state.bytes);
            match give(socket, &self.answers[start..end], false) {
                Moved::Bytes(sent) => state.bytes -= sent,
                Moved::Later => return true,
                Moved::End | Moved::Broken(_) => return false,
            }
        }
        self.keeps
    }
}

/// The ways to move a file into a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Sendfile,
    ReadSend,
    MapSend,
    Splice,
    Zerocopy,
    /// Head and body from memory by one writev: what a shelf does.
    Writev,
}

/// Files: a head, then the body, in one of several ways.
struct Deliverer {
    head: Vec<u8>,
    file: File,
    length: usize,
    how: How,
    chunk: usize,
    turn: usize,
    map: &'static [u8],
    buffer: Vec<u8>,
    scratch: Vec<u8>,
}

#[derive(Default)]
struct Sending {
    request_bytes: u32,
    part: u32,
    /// Answers to send, the present one included.
    answers: usize,
    /// How much of the present answer has left, its head included.
    sent: usize,
    /// Where a splice goes through, and how many bytes lie in it.
    pipe: Option<(OwnedFd, OwnedFd)>,
    piped: usize,
    has_more: bool,
}

impl Deliverer {
    fn new(
        path: &str,
        from_memory: bool,
        how: How,
        chunk: Option<usize>,
        turn: usize,
        head: impl Fn(usize) -> Vec<u8>,
    ) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        let how = if from_memory { How::Writev } else { how };
        let buffer_bytes = if how == How::ReadSend { chunk.unwrap_or(256 * 1024) } else { 0 };
        let map: &'static [u8] = match how {
            How::MapSend | How::Zerocopy => raw::map_file(&file, length)?,
            How::Writev => Box::leak(std::fs::read(path)?.into_boxed_slice()),
            _ => &[],
        };
        Ok(Self {
            head: head(length),
            file,
            length,
            how,
            chunk: chunk.unwrap_or(if buffer_bytes > 0 { buffer_bytes } else { 0x7fff_f000 }),
            turn,
            map,
            buffer: vec![0; buffer_bytes],
            scratch: vec![0; 16 * 1024],
        })
    }

    fn send_body(&mut self, socket: &OwnedFd, at: usize, state: &mut Sending) -> Moved {
        let most = self.chunk.min(self.length - at);
        match self.how {
            How::Sendfile => {
                let mut offset = at as u64;
                match rustix::fs::sendfile(socket, &self.file, Some(&mut offset), most) {
                    Ok(0) => Moved::End,
                    Ok(sent) => Moved::Bytes(sent),
                    Err(error) => failed(error),
                }
            }
            How::ReadSend => match rustix::io::pread(&self.file, &mut self.buffer[..most], at as u64) {
                Ok(got) => give(socket, &self.buffer[..got], false),
                Err(error) => failed(error),
            },
            How::MapSend | How::Writev => give(socket, &self.map[at..at + most], false),
            How::Zerocopy => {
                raw::drain_zerocopy_notes(socket.as_fd());
                match raw::send_zerocopy(socket.as_fd(), &self.map[at..at + most]) {
                    Ok(sent) => Moved::Bytes(sent),
                    Err(error) => failed(error),
                }
            }
            How::Splice => self.splice(socket, at, most, state),
        }
    }

    /// File to pipe, pipe to socket; what the socket refuses stays in the pipe.
    fn splice(&self, socket: &OwnedFd, at: usize, most: usize, state: &mut Sending) -> Moved {
        use rustix::pipe::{SpliceFlags, splice};
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        if state.pipe.is_none() {
            let Ok(pipe) = rustix::pipe::pipe() else { return Moved::End };
            if rustix::pipe::fcntl_setpipe_size(&pipe.1, self.chunk.min(1 << 20)).is_err() {
                return Moved::End;
            }
            state.pipe = Some(pipe);
        }
        let Some((exit, entrance)) = &state.pipe else { return Moved::End };
        if state.piped == 0 {
            let mut offset = at as u64;
            match splice(&self.file, Some(&mut offset), entrance, None, most, flags) {
                Ok(got) => state.piped = got,
                Err(error) => return failed(error),
            }
        }
        match splice(exit, None, socket, None, state.piped, flags) {
            Ok(sent) => {
                state.piped -= sent;
                Moved::Bytes(sent)
            }
            Err(error) => failed(error),
        }
    }

    fn send_head(&self, socket: &OwnedFd, sent: usize) -> Moved {
        let head = &self.head[sent..];
        if self.how != How::Writev {
            return give(socket, head, true);
        }
        let parts = [io::IoSlice::new(head), io::IoSlice::new(self.map)];
        match rustix::io::writev(socket, &parts) {
            Ok(sent) => Moved::Bytes(sent),
            Err(error) => failed(error),
        }
    }
}

impl Act for Deliverer {
    type State = Sending;

    fn readable(&mut self, socket: &OwnedFd, state: &mut Sending) -> bool {
        let got = match take(socket, &mut self.scratch, RecvFlags::empty()) {
            Moved::Bytes(got) => got,
            Moved::Later => return true,
            Moved::End | Moved::Broken(_) => return false,
        };
        if state.request_bytes == 0 {
            state.request_bytes = measure(&self.scratch[..got]);
        }
        state.answers += whole(state.request_bytes, &mut state.part, got);
        self.writable(socket, state)
    }

    fn writable(&mut self, socket: &OwnedFd, state: &mut Sending) -> bool {
        let mut this_turn = 0;
        state.has_more = false;
        while state.answers > 0 {
            let head_bytes = self.head.len();
            let moved = if state.sent < head_bytes {
                self.send_head(socket, state.sent)
            } else {
                self.send_body(socket, state.sent - head_bytes, state)
            };
            match moved {
                Moved::Bytes(sent) => {
                    state.sent += sent;
                    this_turn += sent;
                }
                Moved::Later => return true,
                Moved::End | Moved::Broken(_) => return false,
            }
            if state.sent == head_bytes + self.length {
                state.sent = 0;
                state.answers -= 1;
            } else if this_turn >= self.turn {
                state.has_more = true;
                return true;
            }
        }
        true
    }

    fn has_more(&self, state: &Sending) -> bool {
        state.has_more
    }
}

/// Uploads: a head with a Content-Length, then so many bytes, written to a file from its start; then 201.
struct Receiver {
    file: File,
    buffer: Vec<u8>,
    answer: Vec<u8>,
}

#[derive(Default)]
struct Taking {
    /// The bytes of the body still to come, if its head has been seen.
    left: Option<u64>,
    at: u64,
}

impl Receiver {
    fn new(path: &str, chunk: usize, head_bytes: usize) -> io::Result<Self> {
        let file = File::create(path)?;
        Ok(Self { file, buffer: vec![0; chunk], answer: head(201, 0, head_bytes, true) })
    }
}

impl Act for Receiver {
    type State = Taking;

    fn readable(&mut self, socket: &OwnedFd, state: &mut Taking) -> bool {
        loop {
            let got = match take(socket, &mut self.buffer, RecvFlags::empty()) {
                Moved::Bytes(got) => got,
                Moved::Later => return true,
                Moved::End | Moved::Broken(_) => return false,
            };
            let mut bytes = &self.buffer[..got];
            if state.left.is_none() {
                let Some((length, head_bytes)) = announced(bytes) else { return false };
                *state = Taking { left: Some(length), at: 0 };
                bytes = &bytes[head_bytes..];
            }
            let left = state.left.unwrap_or(0);
            if rustix::io::pwrite(&self.file, bytes, state.at).is_err() {
                return false;
            }
            state.at += bytes.len() as u64;
            state.left = Some(left.saturating_sub(bytes.len() as u64));
            if state.left == Some(0) {
                state.left = None;
                if !matches!(give(socket, &self.answer, false), Moved::Bytes(_)) {
                    return false;
                }
            }
            if got < self.buffer.len() {
                return true;
            }
        }
    }

    fn writable(&mut self, _socket: &OwnedFd, _state: &mut Taking) -> bool {
        true
    }
}

/// The Content-Length of a head that is whole, and the length of the head.
fn announced(bytes: &[u8]) -> Option<(u64, usize)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..end]).ok()?.to_ascii_lowercase();
    let value = text.split("\r\n").find_map(|line| line.strip_prefix("content-length:"))?;
    Some((value.trim().parse().ok()?, end))
}
