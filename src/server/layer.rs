//! Functions that are wrapped around handlers.

use crate::server::context::{Call, Context};
use crate::server::reply::{Handler, Reply, State};

/// Is asked before a handler, and decides whether and when it is: [`Next::run`] goes on, anything else answers in its place. What
/// the handler says can be changed on its way out ([`Reply::map`]).
pub type Layer<S> = Box<dyn Fn(&mut S, &Call<'_>, &mut Context<'_>, Next<'_, S>) -> Reply<S>>;

/// What lies inside a layer: further layers, and in the end the handler.
pub struct Next<'a, S: State> {
    pub(super) layers: &'a [Layer<S>],
    pub(super) handler: &'a Handler<S>,
}

impl<S: State> Next<'_, S> {
    /// Goes on inwards.
    pub fn run(self, state: &mut S, call: &Call<'_>, cx: &mut Context<'_>) -> Reply<S> {
        match self.layers.split_first() {
            None => (self.handler)(state, call, cx),
            Some((layer, layers)) => layer(state, call, cx, Next { layers, handler: self.handler }),
        }
    }
}
