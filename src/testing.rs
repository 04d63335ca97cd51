//! A server without sockets: bytes go in and come out through the very same connection code, and time passes when it is told to.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::{Moment, Wall};
use crate::content::FileSpan;
use crate::embed::NoKeeper;
use crate::http::fault::Fault;
use crate::http::response::Response;
use crate::mount::Begun;
use crate::os::START;
use crate::os::keeping::Keeper;
use crate::reactor::Reactor;
use crate::reactor::slot::{Brought, Marks};
use crate::reactor::system::{Entrance, Happening, Job, Key, Lane, Peer, Socket, System, Took};
use crate::server;
use crate::server::connection::{Connection, Done};
use crate::server::house::Rules;
use crate::server::later::Mail;
use crate::server::reply::State;

/// The wall clock at the start: 2026-01-01T00:00:00Z.
const WALL: Wall = Wall::from_millis(1_767_225_600_000);

/// Turns after which something is amiss with whoever still has something to do.
const TURNS_MAX: usize = 100_000;

#[derive(Default)]
struct Pipe {
    to_server: VecDeque<u8>,
    from_server: Vec<u8>,
    /// The client has ended its half.
    has_ended: bool,
    /// The server has ended its half, or all.
    is_closed: bool,
    /// Which connection it is, once it is watched.
    key: Option<Key>,
}

/// The server's end of a connection.
pub struct End(Rc<RefCell<Pipe>>);

impl Socket for End {
    fn read(&mut self, into: &mut [u8], _: bool) -> io::Result<Took> {
        let mut pipe = self.0.borrow_mut();
        if pipe.to_server.is_empty() && !pipe.has_ended {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let bytes = into.len().min(pipe.to_server.len());
        for (place, byte) in into.iter_mut().zip(pipe.to_server.drain(..bytes)) {
            *place = byte;
        }
        Ok(Took { bytes, is_dry: pipe.to_server.is_empty() && !pipe.has_ended })
    }

    fn write(&mut self, from: &[IoSlice<'_>], _: bool) -> io::Result<usize> {
        let mut pipe = self.0.borrow_mut();
        from.iter().for_each(|slice| pipe.from_server.extend_from_slice(slice));
        Ok(from.iter().map(|slice| slice.len()).sum())
    }

    fn send_file(&mut self, span: &FileSpan) -> io::Result<usize> {
        let mut buffer = vec![0; usize::try_from(span.length).unwrap_or(usize::MAX).min(64 << 10)];
        let read = span.file.read_at(&mut buffer, span.offset)?;
        self.0.borrow_mut().from_server.extend_from_slice(&buffer[..read]);
        Ok(read)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.0.borrow_mut().is_closed = true;
        Ok(())
    }

    fn abandon(&mut self) {}
}

/// Answers from other threads of a test.
struct Post<S: State>(Letters<Brought<Done<S>>>);

/// What other threads have sent and the loop has not taken.
type Letters<D> = Arc<Mutex<Vec<Happening<D>>>>;

impl<S: State> Mail for Post<S> {
    fn answer(&self, key: Key, number: u64, answer: Result<Response, Fault>) {
        let done = Brought::Sent(Done::Late(number, Box::new(move |_, _| answer.into())));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Happening::Done { key, done });
    }
}

/// A world of queues. Helpers' jobs are done when the loop next sleeps, on the same thread.
pub struct Stage<D, E> {
    now: Moment,
    doorstep: VecDeque<Rc<RefCell<Pipe>>>,
    happened: Vec<Happening<D>>,
    letters: Letters<D>,
    jobs: VecDeque<(Key, Job<D>)>,
    keeper: Box<dyn Keeper<E, D>>,
}

impl<D, E> System<D, E> for Stage<D, E> {
    type Socket = End;

    fn now(&mut self) -> (Moment, Wall) {
        (self.now, WALL.plus(self.now.since(START)))
    }

    fn wait(&mut self, _: Option<Moment>, happened: &mut Vec<Happening<D>>) -> io::Result<()> {
        while let Some((key, job)) = self.jobs.pop_front() {
            self.happened.push(Happening::Done { key, done: job() });
        }
        happened.append(&mut self.happened);
        happened.append(&mut self.letters.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }

    fn accept(&mut self) -> io::Result<(End, Peer)> {
        let pipe = self.doorstep.pop_front().ok_or(io::ErrorKind::WouldBlock)?;
        Ok((End(pipe), Peer { ip: IpAddr::V4(Ipv4Addr::LOCALHOST), port: 1, entrance: Entrance::Plain }))
    }

    fn someone_waits(&mut self) -> bool {
        !self.doorstep.is_empty()
    }

    fn watch(&mut self, socket: &mut End, key: Key) -> io::Result<()> {
        socket.0.borrow_mut().key = Some(key);
        Ok(())
    }

    fn close(&mut self, socket: End) {
        socket.0.borrow_mut().is_closed = true;
    }

    fn stop_listening(&mut self) {
        self.doorstep.clear();
    }

    fn spawn(&mut self, _: Lane, key: Key, job: Job<D>) {
        self.jobs.push_back((key, job));
    }

    fn keep(&mut self, entries: &mut Vec<E>) {
        let verdicts = self.keeper.keep(std::mem::take(entries));
        self.happened.push(Happening::Verdicts(verdicts));
    }

    fn log(&mut self, lines: &mut Vec<u8>) {
        lines.clear();
    }
}

type Rehearsed<S> = Stage<Brought<Done<S>>, <S as State>::Entry>;

/// A server on a stage: [`Server::rehearse`](crate::Server::rehearse) makes one.
pub struct Rehearsal<S: State> {
    reactor: Reactor<Connection<S>, Rehearsed<S>>,
    /// The data folder of mounted parts is ours as long as this lives.
    _held: Option<OwnedFd>,
}

/// A client of a [`Rehearsal`].
pub struct Guest(Rc<RefCell<Pipe>>);

impl<S: State> Rehearsal<S> {
    pub(crate) fn new(server: server::Server<S>, begun: Begun<S>, rules: Rules, marks: Marks) -> Rehearsal<S> {
        let Begun { keeper, tasks, held } = begun;
        let keeper = keeper.unwrap_or_else(|| Box::new(NoKeeper));
        let letters = Arc::default();
        let mail: Arc<dyn Mail> = Arc::new(Post::<S>(Arc::clone(&letters)));
        let stage = Stage {
            now: START,
            doorstep: VecDeque::new(),
            happened: Vec::new(),
            letters,
            jobs: VecDeque::new(),
            keeper,
        };
        let reactor = server.in_world_with(stage, rules, marks, Some(mail));
        let mut rehearsal = Rehearsal { reactor, _held: held };
        for (lane, task) in tasks {
            rehearsal.reactor.parts().1.spawn(Key::NOBODY, lane, move || Done::Step(task()));
        }
        rehearsal.settle();
        rehearsal
    }

    /// Someone comes.
    pub fn connect(&mut self) -> Guest {
        let pipe = Rc::<RefCell<Pipe>>::default();
        let stage = self.reactor.system();
        stage.doorstep.push_back(Rc::clone(&pipe));
        stage.happened.push(Happening::Incoming);
        Guest(pipe)
    }

    /// A guest sends bytes; everything that follows from them happens.
    ///
    /// # Panics
    /// If it never comes to rest.
    pub fn send(&mut self, guest: &Guest, bytes: &[u8]) {
        guest.0.borrow_mut().to_server.extend(bytes);
        self.tell(guest, false);
        self.settle();
    }

    /// A guest ends its half of the connection.
    ///
    /// # Panics
    /// If it never comes to rest.
    pub fn end(&mut self, guest: &Guest) {
        guest.0.borrow_mut().has_ended = true;
        self.tell(guest, true);
        self.settle();
    }

    fn tell(&mut self, guest: &Guest, shut: bool) {
        if let Some(key) = guest.0.borrow().key {
            let ready = Happening::Ready { key, readable: true, writable: true, shut };
            self.reactor.system().happened.push(ready);
        }
    }

    /// What a request is answered with, whole, on a connection of its own.
    ///
    /// # Panics
    /// If it never comes to rest.
    pub fn ask(&mut self, request: &[u8]) -> Vec<u8> {
        let guest = self.connect();
        self.send(&guest, request);
        let answer = guest.take();
        self.end(&guest);
        answer
    }

    /// Time passes, and everything that was to happen in it happens.
    ///
    /// # Panics
    /// If it never comes to rest.
    pub fn pass(&mut self, time: Duration) {
        let end = self.reactor.system().now.plus(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        self.settle();
        while let Some(due) = self.reactor.due().filter(|&due| due <= end) {
            let stage = self.reactor.system();
            stage.now = stage.now.max(due);
            self.settle();
            if self.reactor.due().is_some_and(|next| next <= due) {
                // An entry of the wheel falls at the end of its quarter of a second.
                let stage = self.reactor.system();
                stage.now = stage.now.plus(1);
            }
        }
        let stage = self.reactor.system();
        stage.now = stage.now.max(end);
        self.settle();
    }

    /// Everything happens that needs no time.
    ///
    /// # Panics
    /// If it never comes to rest.
    pub fn settle(&mut self) {
        for _ in 0..TURNS_MAX {
            self.reactor.turn(None).expect("a stage does not fail");
            let now = self.reactor.parts().1.now;
            let stage = self.reactor.system();
            let is_quiet = stage.jobs.is_empty()
                && stage.happened.is_empty()
                && stage.doorstep.is_empty()
                && stage.letters.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
            if is_quiet && self.reactor.due().is_none_or(|due| due > now) {
                return;
            }
            if is_quiet && self.reactor.is_over() {
                return;
            }
        }
        panic!("the server has not come to rest after {TURNS_MAX} turns");
    }

    /// The state, between two turns.
    pub fn state(&mut self) -> &mut S {
        &mut self.reactor.parts().0.state
    }
}

impl Guest {
    /// What has come since this was asked last.
    pub fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.borrow_mut().from_server)
    }

    /// Whether the server has ended its half.
    pub fn is_closed(&self) -> bool {
        self.0.borrow().is_closed
    }
}
