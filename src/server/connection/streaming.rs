//! A connection whose answer is an event stream without end: a [`Talk`] in which only the server speaks.
//!
//! What is for this client alone leaves before what it has not yet heard of its topic; a note of which it has heard the beginning
//! is finished first. The client has nothing to say; what it sends is thrown away.

use crate::http::events::HEARTBEAT;
use crate::http::exchange::Length;
use crate::http::response::Response;
use crate::reactor::hub::Dialect;
use crate::reactor::slot::{Port, Yard};
use crate::reactor::system::Peer;
use crate::server::access::Line;
use crate::server::connection::answer::Given;
use crate::server::connection::state::{Asked, Connection, Done, Phase, Promise, Streaming, context, send, spread};
use crate::server::connection::talking::{follow_alone, in_turn};
use crate::server::house::House;
use crate::server::reply::State;
use crate::server::talk::{Act, Said, Talk};

impl<S: State> Connection<S> {
    /// Begins an answer without end.
    pub(super) fn begin_stream(
        &mut self,
        head: &Response,
        mut talk: Box<dyn Talk<S>>,
        line: Option<Box<Line>>,
        house: &mut House<S>,
        port: &mut Port<'_, Self>,
    ) {
        self.write_head(head, Length::UntilClose, house, port);
        self.note(Given::head_of(head), Asked::Kept(line), house, port);
        if self.exchange.is_head() || port.yard.is_closing {
            let next = self.exchange.end(true);
            return self.conclude(next, house, port);
        }
        port.mark();
        let said = talk.on_open(&mut house.state, &mut context(port.yard, self.peer));
        self.phase = Phase::Stream(Box::new(Streaming { talk, next: None }));
        port.become_listener();
        port.resume();
        self.expect_silence(house, port);
        self.tell(said, house, port);
    }

    /// Makes happen what was said. A stream has no messages of its own kind, only what is written out already.
    pub(super) fn tell(&mut self, said: Said<S>, house: &mut House<S>, port: &mut Port<'_, Self>) {
        for act in said.acts {
            let Phase::Stream(streaming) = &mut self.phase else {
                follow_alone(act, port.yard, port.key);
                continue;
            };
            match act {
                Act::Frames(events) => {
                    port.finish_note();
                    send(events, port);
                }
                Act::Listen(topic) => {
                    port.finish_note();
                    port.listen(topic, Dialect::Event);
                }
                Act::Leave => {
                    port.finish_note();
                    port.leave();
                }
                Act::Then(next) => {
                    streaming.next = Some(Box::new(in_turn(streaming.next.take(), next)));
                    port.tell_drained();
                }
                Act::Keep(entry, judged) => port.keep(entry, Promise::Talk(judged)),
                Act::Offload(lane, chore) if port.yard.has_room(lane) => {
                    port.spawn(lane, move || Done::Thought(chore()));
                }
                Act::Offload(..) | Act::Close(..) => self.end_stream(house, port),
                Act::Text(_) | Act::Binary(_) => {}
            }
        }
    }

    /// All that was said has left.
    pub(super) fn stream_on(&mut self, house: &mut House<S>, port: &mut Port<'_, Self>) {
        if let Phase::Stream(streaming) = &mut self.phase
            && let Some(next) = streaming.next.take()
        {
            let said = next(&mut house.state, &mut context(port.yard, self.peer));
            self.tell(said, house, port);
        }
    }

    /// Somebody calls for this stream.
    pub(super) fn call_stream(&mut self, house: &mut House<S>, port: &mut Port<'_, Self>) {
        if let Phase::Stream(streaming) = &mut self.phase {
            let said = streaming.talk.on_call(&mut house.state, &mut context(port.yard, self.peer));
            self.tell(said, house, port);
        }
    }

    /// Nothing has been said for a while.
    pub(super) fn beat(&mut self, house: &mut House<S>, port: &mut Port<'_, Self>) {
        port.finish_note();
        port.desk().extend_from_slice(HEARTBEAT);
        self.expect_silence(house, port);
    }

    /// A stream sends a heartbeat when nothing has been said for a while.
    fn expect_silence(&self, house: &House<S>, port: &mut Port<'_, Self>) {
        port.deadline(port.now().plus(spread(house.rules.heartbeat_ms, port.key)));
    }

    /// Ends the stream when all that was said has left.
    pub(super) fn end_stream(&mut self, house: &mut House<S>, port: &mut Port<'_, Self>) {
        port.finish_note();
        self.drop_stream(house, port);
        port.close();
    }

    /// Nobody hears it any more.
    pub(super) fn drop_stream(&mut self, house: &mut House<S>, port: &mut Port<'_, Self>) {
        port.leave();
        port.mark();
        if let Phase::Stream(streaming) = std::mem::replace(&mut self.phase, Phase::Head) {
            streaming.end(house, &mut *port.yard, self.peer);
        }
    }
}

impl<S: State> Streaming<S> {
    /// Tells the talk that it is over.
    pub(super) fn end(mut self, house: &mut House<S>, yard: &mut Yard<Connection<S>>, peer: Peer) {
        self.talk.on_end(&mut house.state, &mut context(yard, peer));
    }
}
