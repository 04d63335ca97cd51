//! The arch: the language and the motion, married. It has never heard of accounts, files or chat.
//!
//! [`Server`] is what a program builds: a state, routes, and rules. [`Server::in_world`] turns it into a loop in a world.

use std::sync::Arc;

use crate::http::request::Method;
use crate::reactor::Reactor;
use crate::reactor::slot::{Brought, Marks};
use crate::reactor::system::System;
use crate::server::connection::{Connection, Done};
use crate::server::context::{Call, Context};
use crate::server::house::{Alarm, House, Rules, Stamp};
use crate::server::later::Mail;
use crate::server::layer::{Layer, Next};
use crate::server::reply::{Handler, Hub, Reply, State, Topic};
use crate::server::router::{BadPattern, Router};

pub mod access;
pub mod blocking;
pub mod connection;
pub mod context;
pub mod house;
pub mod later;
pub mod layer;
pub mod lend;
pub mod pattern;
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
    /// The program's own routes.
    router: Router<S>,
    /// Those of built-in parts, asked after them.
    built_in: Router<S>,
    layers: Vec<Layer<S>>,
    alarms: Vec<Alarm<S>>,
    stamps: Vec<Stamp>,
    hub: Hub,
}

impl<S: State> Server<S> {
    /// A server without routes, and the topics its state knows of.
    pub fn new(state: S, hub: Hub) -> Server<S> {
        let (router, built_in) = (Router::default(), Router::default());
        Server { state, router, built_in, layers: Vec::new(), alarms: Vec::new(), stamps: Vec::new(), hub }
    }

    /// Adds a route: a path whose segments may be `:name` (any one segment) or, as the last, `*name` (all that follows).
    /// `HEAD` is answered by the handler of `GET`, `OPTIONS` by what is allowed. It wins over any built-in route.
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
        add(&mut self.router, methods, pattern, handler)
    }

    /// Adds a route of one method.
    ///
    /// # Errors
    /// As [`add_route`](Server::add_route).
    pub fn add_handler(&mut self, method: Method, pattern: &str, handler: Handler<S>) -> Result<(), BadPattern> {
        self.router.add(method, pattern, handler)
    }

    /// Adds a route of a built-in part: it is asked only if no route of the program's own fits.
    ///
    /// # Errors
    /// As [`add_route`](Server::add_route).
    pub fn add_built_in(&mut self, method: Method, pattern: &str, handler: Handler<S>) -> Result<(), BadPattern> {
        self.built_in.add(method, pattern, handler)
    }

    /// Wraps a function around every handler, inside those that were added before.
    pub fn add_layer(
        &mut self,
        layer: impl Fn(&mut S, &Call<'_>, &mut Context<'_>, Next<'_, S>) -> Reply<S> + 'static,
    ) {
        self.layers.push(Box::new(layer));
    }

    /// A new topic, for what is said to many.
    pub fn topic(&mut self) -> Topic {
        self.hub.topic()
    }

    /// What it will own, and where topics are made.
    pub fn state_and_hub(&mut self) -> (&mut S, &mut Hub) {
        (&mut self.state, &mut self.hub)
    }

    /// Sets who answers what no route fits.
    pub fn set_rest<R>(&mut self, handler: impl Fn(&mut S, &Call<'_>, &mut Context<'_>) -> R + 'static)
    where
        R: Into<Reply<S>>,
    {
        self.router.set_rest(Box::new(move |state, call, cx| bounded(handler(state, call, cx), call, cx)));
    }

    /// The same with a handler whose helpers may take as long as they take.
    pub fn set_rest_handler(&mut self, handler: Handler<S>) {
        self.router.set_rest(handler);
    }

    /// The same of a built-in part: the program's own is asked in its place.
    pub fn set_built_in_rest(&mut self, handler: Handler<S>) {
        self.built_in.set_rest(handler);
    }

    /// Has a part asked whenever a time has come that somebody wished to be woken at.
    pub fn add_alarm(&mut self, alarm: Alarm<S>) {
        self.alarms.push(alarm);
    }

    /// Has every answer at a place and below it say this, whoever gives it.
    pub fn add_stamp(&mut self, stamp: Stamp) {
        self.stamps.push(stamp);
    }

    /// Every route: method and pattern, the program's own first; a built-in one that never gets to answer is left out.
    pub fn routes(&self) -> Vec<(Method, String)> {
        let mut routes: Vec<_> = self.router.routes().collect();
        let built_in: Vec<_> = self.built_in.routes().filter(|route| !routes.contains(route)).collect();
        routes.extend(built_in);
        routes
    }

    /// What it will own.
    pub fn state(&mut self) -> &mut S {
        &mut self.state
    }

    /// The loop of this server in a world.
    pub fn in_world<W>(self, world: W, rules: Rules, marks: Marks) -> Reactor<Connection<S>, W>
    where
        W: System<Brought<Done<S>>, S::Entry>,
    {
        self.in_world_with(world, rules, marks, None)
    }

    /// The same, where other threads have a way to answer.
    pub fn in_world_with<W>(
        self,
        world: W,
        rules: Rules,
        marks: Marks,
        mail: Option<Arc<dyn Mail>>,
    ) -> Reactor<Connection<S>, W>
    where
        W: System<Brought<Done<S>>, S::Entry>,
    {
        let mut house = House::new(self.state, self.router, rules);
        house.built_in = self.built_in;
        house.layers = self.layers;
        house.alarms = self.alarms;
        house.stamps = self.stamps;
        house.mail = mail;
        Reactor::new(world, house, marks, self.hub)
    }
}

fn add<S: State, R: Into<Reply<S>>>(
    router: &mut Router<S>,
    methods: &[Method],
    pattern: &str,
    handler: impl Fn(&mut S, &Call<'_>, &mut Context<'_>) -> R + Clone + 'static,
) -> Result<(), BadPattern> {
    // All of its methods, or none.
    router.check(methods, pattern)?;
    for &method in methods {
        let handler = handler.clone();
        router.add(method, pattern, Box::new(move |state, call, cx| bounded(handler(state, call, cx), call, cx)))?;
    }
    Ok(())
}

/// What a handler of the program's own replies; no helper it asks keeps its client waiting for ever.
fn bounded<S: State>(reply: impl Into<Reply<S>>, call: &Call<'_>, cx: &Context<'_>) -> Reply<S> {
    match reply.into() {
        // Nearly all: for them there is nothing to be made.
        reply @ (Reply::Send(_) | Reply::Refuse(_) | Reply::Later(_) | Reply::Stream { .. } | Reply::Talk(..)) => reply,
        reply => reply.bounded(&call.route().into(), cx.now),
    }
}
