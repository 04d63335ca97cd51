//! What an embedder says and streams over real sockets: topics, waits, bodies from a source; and what the log tells of silence.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use hythe::{
    Answerer, Body, Call, Context, Fault, Handle, Handshake, Lane, Message, Method, More, Reply, Response, Said,
    Server, Source, State, Status, Step, Talk, Topic,
};
use rustix::net::sockopt;

use crate::HANDSHAKE;
use crate::world::{Made, ask, get, serve, serve_by};

/// Reads until what has come ends so; what comes is told.
pub fn read_until(socket: &mut TcpStream, end: &[u8]) -> Vec<u8> {
    let mut come = Vec::new();
    while !come.ends_with(end) {
        let mut byte = [0];
        let read = socket.read(&mut byte).unwrap_or_else(|error| panic!("{error}: {}", come.escape_ascii()));
        assert!(read == 1, "it ends early: {}", come.escape_ascii());
        come.push(byte[0]);
    }
    come
}

pub fn connect(address: SocketAddr, request: &[u8]) -> TcpStream {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    socket.write_all(request).unwrap();
    socket
}

/// A topic, and how many wait for what is said on it.
struct News {
    topic: Option<Topic>,
    waiting: usize,
}

impl State for News {
    type Entry = ();
}

/// Listens, and says nothing of its own but this first.
struct Listener(Topic, &'static str);

impl Talk<News> for Listener {
    fn on_open(&mut self, _: &mut News, _: &mut Context<'_>) -> Said<News> {
        Said::nothing().frames(self.1.as_bytes()).listen(self.0)
    }

    fn on_message(&mut self, _: Message, _: &mut News, _: &mut Context<'_>) -> Said<News> {
        Said::nothing()
    }
}

/// Waits for so many milliseconds at most.
fn wait(news: &mut News, call: &Call<'_>, cx: &mut Context<'_>) -> Result<Reply<News>, Fault> {
    let topic = news.topic.ok_or_else(Fault::not_found)?;
    let until = cx.now.plus(call.parameter_as("ms")?);
    news.waiting += 1;
    let again = Box::new(|news: &mut News, cx: &mut Context<'_>| {
        news.waiting -= 1;
        Response::text(if cx.is_over { "nothing was said" } else { "something was said" }).into()
    });
    Ok(Reply::Wait { topic, until, outlasts: false, again })
}

fn news() -> Made<News> {
    let mut server = Server::new(News { topic: None, waiting: 0 });
    let topic = server.topic();
    server.state().topic = Some(topic);
    server.add_route(&[Method::Get], "/socket", move |_: &mut News, call: &Call<'_>, _: &mut Context<'_>| {
        // A text of two bytes.
        let talk = Box::new(Listener(topic, "\x01\x00"));
        Ok::<_, Fault>(Reply::Talk(Handshake::of(call, &[])?, talk))
    })?;
    server.add_route(&[Method::Get], "/events", move |_: &mut News, _: &Call<'_>, _: &mut Context<'_>| {
        let head = Response::new(Status::OK).header("Content-Type", "text/event-stream");
        Reply::Stream { head, talk: Box::new(Listener(topic, ": welcome\n\n")) }
    })?;
    server.add_route(&[Method::Get], "/wait/:ms", wait)?;
    Ok(server)
}

/// Asks the state of a running server.
pub fn look<S: State, T: Send + 'static>(handle: &Handle<S>, look: impl FnOnce(&mut S) -> T + Send + 'static) -> T {
    let (tell, told) = mpsc::channel();
    handle.spawn(move |state, _| tell.send(look(state)).unwrap());
    told.recv_timeout(Duration::from_secs(60)).unwrap()
}

#[test]
fn what_a_handle_publishes_reaches_sockets_event_streams_and_those_who_wait() {
    let (tell, told) = mpsc::channel();
    let (address, thread) = serve_by(news, move |mut server| {
        let topic = server.state().topic.unwrap();
        let running = server.start().unwrap();
        tell.send((running.handle(), topic)).unwrap();
        running.run().unwrap();
    });
    let (handle, topic) = told.recv().unwrap();

    let mut socket = connect(address, format!("GET /socket HTTP/1.1\r\n{HANDSHAKE}").as_bytes());
    assert!(read_until(&mut socket, b"\r\n\r\n").starts_with(b"HTTP/1.1 101 "));
    assert_eq!(read_until(&mut socket, b"\x01\x00"), b"\x01\x00");
    let mut events = connect(address, b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = String::from_utf8(read_until(&mut events, b"\r\n\r\n")).unwrap();
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("\r\nContent-Type: text/event-stream\r\n"), "{head}");
    assert_eq!(read_until(&mut events, b"\n\n"), b": welcome\n\n");
    let mut waiter = connect(address, &get("/wait/60000"));
    let patience = Instant::now() + Duration::from_secs(60);
    while look(&handle, |news| news.waiting) == 0 {
        assert!(Instant::now() < patience, "the request waits");
        thread::sleep(Duration::from_millis(2));
    }

    let from_afar = handle.clone();
    thread::spawn(move || {
        from_afar.publish(topic, "one");
        from_afar.publish(topic, "and\ntwo");
    })
    .join()
    .unwrap();
    assert_eq!(read_until(&mut socket, b"two"), b"\x81\x03one\x81\x07and\ntwo");
    assert_eq!(read_until(&mut events, b"two\n\n"), b"data: one\n\ndata: and\ndata: two\n\n");
    let mut answer = Vec::new();
    waiter.read_to_end(&mut answer).unwrap();
    assert!(answer.ends_with(b"\r\n\r\nsomething was said"), "{}", answer.escape_ascii());
    assert!(ask(address, &get("/wait/20")).ends_with(b"\r\n\r\nnothing was said"), "a wait ends without news too");
    assert_eq!(look(&handle, |news| news.waiting), 0);

    handle.shutdown(Duration::from_secs(5));
    thread.join().unwrap();
    events.read_to_end(&mut answer).unwrap();
}

/// The errors that were logged in this process, in order.
struct Logged(Mutex<Vec<String>>);

static LOGGED: Logged = Logged(Mutex::new(Vec::new()));

impl log::Log for Logged {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Error
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            self.0.lock().unwrap().push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

/// What has been logged since the process began, or since the first call of this, of a text.
fn logged_of(text: &str) -> Vec<String> {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&LOGGED).unwrap();
        log::set_max_level(log::LevelFilter::Error);
    });
    LOGGED.0.lock().unwrap().iter().filter(|line| line.contains(text)).cloned().collect()
}

#[test]
fn a_handler_that_never_answers_is_named_in_the_log_once() {
    assert_eq!(logged_of("/forgotten/"), [""; 0]);
    let (tell, told) = mpsc::channel::<Answerer>();
    let make = move || -> Made<()> {
        let mut server = Server::new(());
        server.add_route(
            &[Method::Get],
            "/forgotten/:id",
            move |_: &mut (), call: &Call<'_>, cx: &mut Context<'_>| {
                let (ticket, answerer) = call.later(cx, 50)?;
                tell.send(answerer).unwrap();
                Ok::<Reply<()>, Fault>(Reply::Later(ticket))
            },
        )?;
        server.add_route(&[Method::Get], "/fine", |_, _, _| Response::text("fine"))?;
        Ok(server)
    };
    let address = serve(make);
    // A line separator, and the end of a line for some terminals: what a client has sent is not in the log.
    assert!(ask(address, &get("/forgotten/7%E2%80%A8GET%C2%85x")).starts_with(b"HTTP/1.1 504 "));
    let line = "GET /forgotten/:id was not answered within 50 ms: its client is told 504";
    assert_eq!(logged_of("/forgotten/"), [line]);
    // The answer that comes after all is nobody's, and no news for the log.
    told.recv().unwrap().send(Response::text("at last"));
    assert!(ask(address, &get("/fine")).ends_with(b"fine"));
    assert_eq!(logged_of("/forgotten/"), [line]);
}

#[test]
fn a_helper_that_never_comes_back_is_named_too() {
    let (go, wait) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel();
    let make = move || -> Made<()> {
        let mut server = Server::new(());
        let wait = Arc::new(Mutex::new(wait));
        server.add_route(&[Method::Get], "/away/:id", move |_: &mut (), call: &Call<'_>, cx: &mut Context<'_>| {
            let (wait, tell) = (wait.clone(), tell.clone());
            let work = move || -> Step<()> {
                let _ = wait.lock().unwrap().recv();
                Box::new(move |_, _| {
                    tell.send("the step is taken").unwrap();
                    Response::text("too late").into()
                })
            };
            Reply::Within(call.ticket(cx, 50), Lane::Files, Box::new(work))
        })?;
        Ok(server)
    };
    assert_eq!(logged_of("/away/"), [""; 0]);
    assert!(ask(serve(make), &get("/away/7")).starts_with(b"HTTP/1.1 504 "));
    assert_eq!(logged_of("/away/"), ["GET /away/:id was not answered within 50 ms: its client is told 504"]);
    go.send(()).unwrap();
    assert_eq!(told.recv_timeout(Duration::from_secs(60)), Ok("the step is taken"));
}

/// So many bytes a streamed body has: far more than the kernel holds for anyone.
const BODY: usize = 16 << 20;

fn byte(at: usize) -> u8 {
    (at ^ (at >> 8).wrapping_mul(31) ^ (at >> 16).wrapping_mul(7)) as u8
}

/// How far a source was drawn, and how much at once.
#[derive(Default)]
struct Drawn {
    bytes: AtomicUsize,
    window: AtomicUsize,
}

/// Fills window after window.
struct Counting {
    at: usize,
    drawn: Arc<Drawn>,
    tells_length: bool,
}

impl Source for Counting {
    fn draw(&mut self, window: &mut Vec<u8>) -> io::Result<More> {
        let room = window.capacity();
        self.drawn.window.fetch_max(room, Ordering::SeqCst);
        let end = BODY.min(self.at + room);
        window.extend((self.at..end).map(byte));
        self.at = end;
        self.drawn.bytes.store(end, Ordering::SeqCst);
        Ok(if end == BODY { More::No } else { More::Yes })
    }

    fn length(&self) -> Option<u64> {
        self.tells_length.then_some(BODY as u64)
    }
}

/// What chunks say in all.
fn unchunk(mut chunks: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let line = chunks.windows(2).position(|pair| pair == b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&chunks[..line]).unwrap(), 16).unwrap();
        let (chunk, rest) = chunks[line + 2..].split_at(size);
        body.extend_from_slice(chunk);
        chunks = rest.strip_prefix(b"\r\n").unwrap();
        if size == 0 {
            assert!(chunks.is_empty());
            return body;
        }
    }
}

#[test]
fn a_source_is_drawn_two_windows_ahead_of_its_reader_and_no_further() {
    let (stalled, read) = (Arc::new(Drawn::default()), Arc::new(Drawn::default()));
    let sources = [("/stalled", stalled.clone(), false), ("/read", read.clone(), true)];
    let make = move || -> Made<()> {
        let mut server = Server::new(());
        // One helper draws for all: while one body is read to its end, the other has had as many turns.
        server.set_helpers(1, 64);
        for (path, drawn, tells_length) in sources {
            server.add_route(&[Method::Get], path, move |_: &mut (), _: &Call<'_>, _: &mut Context<'_>| {
                let source = Counting { at: 0, drawn: drawn.clone(), tells_length };
                Response::new(Status::OK).with_body(Body::Stream(Box::new(source)))
            })?;
        }
        Ok(server)
    };
    // Small buffers on both sides, which the kernel does not stretch once they are set.
    let door = TcpListener::bind("127.0.0.1:0").unwrap();
    sockopt::set_socket_send_buffer_size(&door, 64 << 10).unwrap();
    sockopt::set_socket_recv_buffer_size(&door, 64 << 10).unwrap();
    let address = door.local_addr().unwrap();
    let in_kernel = sockopt::socket_send_buffer_size(&door).unwrap();
    serve_by(make, move |mut server| {
        server.listen_on(door);
        server.run().unwrap();
    });

    let mut slow = TcpStream::connect(address).unwrap();
    slow.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    sockopt::set_socket_recv_buffer_size(&slow, 64 << 10).unwrap();
    let in_kernel = in_kernel + sockopt::socket_recv_buffer_size(&slow).unwrap();
    slow.write_all(&get("/stalled")).unwrap();
    let head = String::from_utf8(read_until(&mut slow, b"\r\n\r\n")).unwrap();
    assert!(head.contains("\r\nTransfer-Encoding: chunked\r\n"), "{head}");

    let whole = ask(address, &get("/read"));
    let at = whole.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    assert!(String::from_utf8_lossy(&whole[..at]).contains(&format!("\r\nContent-Length: {BODY}\r\n")));
    let expected: Vec<u8> = (0..BODY).map(byte).collect();
    assert!(whole[at..] == expected, "a body of known length comes as it was made");

    let mut chunks = Vec::new();
    let ahead = |come: usize| {
        let most = come + in_kernel + 2 * stalled.window.load(Ordering::SeqCst);
        let drawn = stalled.bytes.load(Ordering::SeqCst);
        assert!(drawn <= most, "{drawn} bytes were drawn, where {come} were read and {in_kernel} are in the kernel");
        drawn
    };
    assert!(ahead(0) < BODY / 4, "this can tell a stalled source from a spent one");
    // It goes on as its client does, and stays as near.
    (&slow).take(BODY as u64 / 2).read_to_end(&mut chunks).unwrap();
    let come = chunks.len();
    assert!(ask(address, &get("/read")).ends_with(&expected[BODY - 64..]));
    assert!(ahead(come) >= come / 2);
    slow.read_to_end(&mut chunks).unwrap();
    assert!(unchunk(&chunks) == expected, "a body in chunks comes as it was made");
    assert_eq!(stalled.bytes.load(Ordering::SeqCst), BODY);
}
