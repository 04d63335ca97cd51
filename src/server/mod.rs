//! The arch: the language and the motion, married. It has never heard of accounts, files or chat.
//!
//! [`Server`] is what a program builds: a state, routes, and rules. [`Server::in_world`] turns it into a loop in a world.

use crate::http::request::Method;
use crate::reactor::Reactor;
use crate::reactor::slot::{Brought, Marks};
use crate::reactor::system::System;
use crate::server::connection::{Connection, Done};
use crate::server::context::{Call, Context};
use crate::server::house::{House, Rules};
use crate::server::reply::{Hub, Reply, State, Topic};
use crate::server::router::{BadPattern, Router};

pub mod access;
pub mod connection;
pub mod context;
pub mod house;
pub mod problem;
pub mod pull;
pub mod pump;
pub mod reply;
pub mod router;
pub mod state;
pub mod talk;

/// A server in the making: a program's state and its routes.
pub struct Server<S: State> {
    state: S,
    router: Router<S>,
    hub: Hub,
}

impl<S: State> Server<S> {
    /// A server without routes, and the topics its state knows of.
    pub fn new(state: S, hub: Hub) -> Server<S> {
        Server { state, router: Router::default(), hub }
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
        for &method in methods {
            let handler = handler.clone();
            self.router.add(method, pattern, Box::new(move |state, call, cx| handler(state, call, cx).into()))?;
        }
        Ok(())
    }

    /// A new topic, for what is said to many.
    pub fn topic(&mut self) -> Topic {
        self.hub.topic()
    }

    /// Sets who answers what no route fits.
    pub fn set_rest<R>(&mut self, handler: impl Fn(&mut S, &Call<'_>, &mut Context<'_>) -> R + 'static)
    where
        R: Into<Reply<S>>,
    {
        self.router.set_rest(Box::new(move |state, call, cx| handler(state, call, cx).into()));
    }

    /// Every route: method and pattern.
    pub fn routes(&self) -> Vec<(Method, String)> {
        self.router.routes().collect()
    }

    /// The loop of this server in a world.
    pub fn in_world<W>(self, world: W, rules: Rules, marks: Marks) -> Reactor<Connection<S>, W>
    where
        W: System<Brought<Done<S>>, S::Entry>,
    {
        Reactor::new(world, House::new(self.state, self.router, rules), marks, self.hub)
    }
}
