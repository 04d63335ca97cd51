//! Requests, and the two ways to have them answered.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use hythe::{Server, State};

pub fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").into_bytes()
}

pub fn post(path: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

pub type Made<S> = Result<Server<S>, Box<dyn Error>>;

/// A server on a thread that ends with the process. It is made there, for it never changes its thread.
pub fn serve<S: State>(make: impl FnOnce() -> Made<S> + Send + 'static) -> SocketAddr {
    serve_by(make, |server| server.run().unwrap()).0
}

/// The same with another way to run it.
pub fn serve_by<S: State>(
    make: impl FnOnce() -> Made<S> + Send + 'static,
    run: impl FnOnce(Server<S>) + Send + 'static,
) -> (SocketAddr, thread::JoinHandle<()>) {
    let (tell, told) = mpsc::channel();
    let thread = thread::spawn(move || {
        let mut server = make().unwrap();
        server.listen("127.0.0.1:0").unwrap();
        tell.send(server.addresses()[0]).unwrap();
        run(server);
    });
    (told.recv().unwrap(), thread)
}

/// Has the same requests answered over sockets and on a stage, and holds the answers against one another. They may differ in
/// their date only.
pub fn same<S: State>(make: fn() -> Made<S>, requests: &[Vec<u8>]) -> Vec<String> {
    let address = serve(make);
    let mut stage = make().unwrap().rehearse();
    let without_date = |answer: Vec<u8>| {
        let text = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let lines: Vec<&str> = head.split("\r\n").filter(|line| !line.starts_with("Date: ")).collect();
        format!("{}\r\n\r\n{body}", lines.join("\r\n"))
    };
    let both = requests.iter().map(|request| {
        let (real, rehearsed) = (without_date(ask(address, request)), without_date(stage.ask(request)));
        assert_eq!(real, rehearsed, "{}", String::from_utf8_lossy(&request[..request.len().min(200)]));
        real
    });
    both.collect()
}

/// What a server answers, to the end of the connection.
pub fn ask(address: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    socket.write_all(request).unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    answer
}

/// A folder of a test's own, empty at first and gone at last.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Scratch {
        let folder = std::env::temp_dir().join(format!("hythe-embed-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        Scratch(folder)
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Plays the same scene over sockets and on a stage: `make` is given a name for the place of its own that each has.
pub fn play_both<S: State>(
    make: impl Fn(&str) -> Made<S> + Send + Clone + 'static,
    scene: impl Fn(&mut dyn FnMut(&[u8]) -> String),
) {
    let text = |answer: Vec<u8>| String::from_utf8_lossy(&answer).into_owned();
    let real = make.clone();
    let address = serve(move || real("real"));
    scene(&mut |request| text(ask(address, request)));
    let mut stage = make("stage").unwrap().rehearse();
    scene(&mut |request| text(stage.ask(request)));
}
