//! The site in a world of one connection, whose socket is two buffers that are there already: what is allocated is allocated by
//! the server.

use std::cell::RefCell;
use std::fs;
use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hythe::clock::{Moment, Wall};
use hythe::config::Config;
use hythe::content::FileSpan;
use hythe::os::disk::FolderDisk;
use hythe::reactor::Reactor;
use hythe::reactor::hub::Hub;
use hythe::reactor::slot::{Brought, Marks};
use hythe::reactor::system::{Entrance, Happening, Job, Key, Lane, Peer, Socket, System, Took, Verdict};
use hythe::server::access::Format;
use hythe::server::connection::{Connection, Done};
use hythe::server::house::Rules;
use hythe::site;
use hythe::site::state::{Site, Www};
use hythe::store::disk::Links;
use hythe::store::entry::Entry;

type Brings = Brought<Done<Site>>;

#[derive(Default)]
struct Wire {
    input: Vec<u8>,
    read: usize,
    output: Vec<u8>,
    is_shut: bool,
    is_waiting: bool,
    key: Option<Key>,
}

struct Link(Rc<RefCell<Wire>>);

impl Socket for Link {
    fn read(&mut self, into: &mut [u8], is_shut: bool) -> io::Result<Took> {
        let wire = &mut *self.0.borrow_mut();
        let rest = &wire.input[wire.read..];
        if rest.is_empty() && !wire.is_shut {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let bytes = rest.len().min(into.len());
        into[..bytes].copy_from_slice(&rest[..bytes]);
        wire.read += bytes;
        Ok(Took { bytes, is_dry: bytes < into.len() && !is_shut })
    }

    fn write(&mut self, from: &[IoSlice<'_>], _: bool) -> io::Result<usize> {
        let output = &mut self.0.borrow_mut().output;
        let before = output.len();
        from.iter().for_each(|slice| output.extend_from_slice(slice));
        Ok(output.len() - before)
    }

    fn send_file(&mut self, _: &FileSpan) -> io::Result<usize> {
        panic!("a small page is not sent from its file")
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn abandon(&mut self) {}
}

struct Quiet {
    wire: Rc<RefCell<Wire>>,
    now: u64,
    jobs: Vec<(Key, Job<Brings>)>,
}

impl System<Brings, Entry> for Quiet {
    type Socket = Link;

    fn now(&mut self) -> (Moment, Wall) {
        // The wall's second passes while requests are counted: its text is made anew then, and that allocates nothing either.
        (Moment::from_millis(self.now), Wall::from_millis(1_800_000_000_700 + self.now))
    }

    fn wait(&mut self, _: Option<Moment>, happened: &mut Vec<Happening<Brings>>) -> io::Result<()> {
        for (key, job) in self.jobs.drain(..) {
            happened.push(Happening::Done { key, done: job() });
        }
        let wire = self.wire.borrow();
        if wire.is_waiting {
            happened.push(Happening::Incoming);
        }
        if let Some(key) = wire.key {
            let shut = wire.is_shut;
            happened.push(Happening::Ready { key, readable: true, writable: false, shut });
        }
        Ok(())
    }

    fn accept(&mut self) -> io::Result<(Link, Peer)> {
        if !std::mem::take(&mut self.wire.borrow_mut().is_waiting) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok((Link(self.wire.clone()), Peer { ip: [127, 0, 0, 1].into(), port: 4000, entrance: Entrance::Plain }))
    }

    fn someone_waits(&mut self) -> bool {
        self.wire.borrow().is_waiting
    }

    fn watch(&mut self, _: &mut Link, key: Key) -> io::Result<()> {
        self.wire.borrow_mut().key = Some(key);
        Ok(())
    }

    fn close(&mut self, _: Link) {
        self.wire.borrow_mut().key = None;
    }

    fn stop_listening(&mut self) {}

    fn spawn(&mut self, _: Lane, key: Key, job: Job<Brings>) {
        self.jobs.push((key, job));
    }

    fn keep(&mut self, _: &mut Vec<Entry>) {
        unreachable!("there is no chat: {:?}", Verdict::Lost)
    }

    fn log(&mut self, lines: &mut Vec<u8>) {
        lines.clear();
    }
}

/// A site with one page and one client.
pub struct House {
    reactor: Reactor<Connection<Site>, Quiet>,
    wire: Rc<RefCell<Wire>>,
    folder: PathBuf,
}

impl House {
    pub fn new(has_log: bool) -> House {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("hot-path-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).expect("a folder can be made");
        fs::write(folder.join("page.txt"), "x".repeat(1024)).expect("a page can be written");
        let disk = FolderDisk::open(&folder, Links::Inside).expect("the folder opens");
        let mut config = Config::default();
        (config.has_chat, config.has_files) = (false, false);
        let site = Site::with_pages(config, Www::new(Some(Arc::new(disk))), None);
        let mut rules = Rules::default();
        rules.keepalive_requests = 0;
        rules.access_log = has_log.then_some(Format::Combined);
        let mut marks = Marks::default();
        (marks.connections_max, marks.jobs_max, marks.drain_ms) = (10, [16; 4], 1000);
        let wire = Rc::new(RefCell::new(Wire { output: Vec::with_capacity(1 << 20), ..Wire::default() }));
        let world = Quiet { wire: wire.clone(), now: 1_000, jobs: Vec::new() };
        let reactor = site::server(site, Hub::default()).expect("the routes are right").in_world(world, rules, marks);
        let mut house = House { reactor, wire, folder };
        house.come();
        house
    }

    /// A client comes.
    pub fn come(&mut self) {
        self.wire.borrow_mut().is_waiting = true;
        self.turn();
    }

    /// It goes.
    pub fn go(&mut self) {
        self.wire.borrow_mut().is_shut = true;
        while self.wire.borrow().key.is_some() {
            self.turn();
        }
        self.wire.borrow_mut().is_shut = false;
    }

    fn turn(&mut self) {
        let until = Moment::from_millis(self.reactor.system().now);
        self.reactor.turn(Some(until)).expect("a turn does not fail");
    }

    /// Time passes.
    pub fn pass(&mut self, ms: u64) {
        self.reactor.system().now += ms;
    }

    /// Asks, and waits for the answers to all of it.
    pub fn ask(&mut self, request: &[u8]) {
        {
            let mut wire = self.wire.borrow_mut();
            wire.input.clear();
            wire.input.extend_from_slice(request);
            wire.read = 0;
            wire.output.clear();
        }
        self.pass(1);
        self.turn();
        while self.wire.borrow().output.is_empty() {
            self.turn();
        }
    }

    pub fn answer(&self) -> Vec<u8> {
        self.wire.borrow().output.clone()
    }

    /// The entity tag of a page.
    pub fn tag(&mut self, target: &str) -> String {
        self.ask(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
        let text = String::from_utf8(self.answer()).expect("a page of text");
        let tag = text.lines().find_map(|line| line.strip_prefix("ETag: "));
        tag.expect("a page has a tag").to_owned()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
