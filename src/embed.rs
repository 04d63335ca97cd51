//! The door for programs that carry a server: a state, routes, somewhere to listen, and the loop that runs it.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};

use crate::http::request::Method;
use crate::os::{self, Keeper, Os, Parts};
use crate::reactor::hub::Hub;
use crate::reactor::slot::{Brought, Marks};
use crate::reactor::system::Verdict;
use crate::reactor::{Reactor, hub::Topic};
use crate::server;
use crate::server::connection::{Connection, Done};
use crate::server::context::{Call, Context};
use crate::server::house::Rules;
use crate::server::reply::{Reply, State};
use crate::server::router::BadPattern;

/// How many newcomers may wait in the kernel.
const BACKLOG: u32 = 1024;

/// How many helpers work on files.
const FILE_THREADS: usize = 2;

/// A server inside a program.
pub struct Server<S: State> {
    inner: server::Server<S>,
    listeners: Vec<TcpListener>,
    rules: Rules,
    marks: Marks,
}

type World<S> = Os<Brought<Done<S>>, <S as State>::Entry>;

impl<S: State> Server<S> {
    /// A server with this state, without routes.
    pub fn new(state: S) -> Server<S> {
        let inner = server::Server::new(state, Hub::default());
        Server { inner, listeners: Vec::new(), rules: Rules::default(), marks: Marks::default() }
    }

    /// Adds a route: a path whose segments may be `:name` (any one segment) or, as the last, `*name` (all that follows).
    /// `HEAD` is answered by the handler of `GET`, `OPTIONS` by what is allowed.
    ///
    /// # Errors
    /// If the pattern is none, or was added before with one of these methods.
    pub fn add_route<R>(
        &mut self,
        methods: &[Method],
        pattern: &str,
        handler: impl Fn(&mut S, &Call<'_>, &mut Context<'_>) -> R + Clone + 'static,
    ) -> Result<(), BadPattern>
    where
        R: Into<Reply<S>>,
    {
        self.inner.add_route(methods, pattern, handler)
    }

    /// Every route: method and pattern.
    pub fn routes(&self) -> Vec<(Method, String)> {
        self.inner.routes()
    }

    /// A new topic, for what is said to many.
    pub fn topic(&mut self) -> Topic {
        self.inner.topic()
    }

    /// Listens at every address that `addresses` stands for; port 0 has the system pick one.
    ///
    /// # Errors
    /// If it cannot be resolved, or is taken.
    pub fn listen(&mut self, addresses: impl ToSocketAddrs) -> io::Result<()> {
        for address in addresses.to_socket_addrs()? {
            self.listeners.push(os::listen(address, BACKLOG)?);
        }
        Ok(())
    }

    /// Where it listens.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// Serves until told to stop.
    ///
    /// # Errors
    /// If the event loop cannot be made, or fails.
    pub fn run(self) -> io::Result<()> {
        self.start()?.run()
    }

    fn start(self) -> io::Result<Reactor<Connection<S>, World<S>>> {
        let world = Os::new(Parts {
            listeners: self.listeners,
            file_threads: FILE_THREADS,
            keeper: Box::new(NoKeeper),
            access_log: None,
            logs: Vec::new(),
        })?;
        Ok(self.inner.in_world(world, self.rules, self.marks))
    }
}

/// The ledger of a program that has none.
struct NoKeeper;

impl<E> Keeper<E> for NoKeeper {
    fn keep(&mut self, batch: Vec<E>) -> Vec<Verdict> {
        vec![Verdict::Lost; batch.len()]
    }

    fn rest(&mut self) -> bool {
        false
    }
}
