//! A connection that has become a WebSocket: it never comes back to HTTP. Frames become messages for its [`Talk`], and what that
//! says is followed here.
//!
//! What is for this client alone leaves before what it has not yet heard of its topic; a note of which it has heard the beginning
//! is finished first. A conversation ends with our close frame and our half shut; what still comes is thrown away for a while, so
//! that the frame is not lost to a reset.

use crate::http::upgrade::Handshake;
use crate::http::websocket::{
    CloseCode, Decoder, Event, Limits, write_binary_head, write_close, write_ping, write_pong, write_text_head,
};
use crate::reactor::hub::Dialect;
use crate::reactor::slot::{Port, Yard};
use crate::reactor::system::{Key, Verdict};
use crate::server::access::Line;
use crate::server::connection::state::{
    Asked, Connection, DESK_HIGH, Done, Phase, Promise, Talking, context, overloaded, send, spread,
};
use crate::server::house::House;
use crate::server::reply::State;
use crate::server::talk::{Act, Judged, Next, Said, Talk, Thought};

/// How much of what it has asked for may be undone before a talk hears no more.
const OWED_MAX: u16 = 64;

/// How long a client has to end its half once we have ended ours.
const CLOSE_MS: u64 = 4_000;

impl<S: State> Connection<S> {
    /// The last answer of HTTP, and the first word of the conversation.
    pub(super) fn begin_talk(
        &mut self,
        handshake: &Handshake,
        mut talk: Box<dyn Talk<S>>,
        line: Option<Box<Line>>,
        house: &mut House<S>,
        port: &mut Port<'_, Self>,
    ) {
        if port.yard.is_closing {
            return self.refuse(&overloaded(), line, house, port);
        }
        self.write_upgrade(&handshake.response(), Asked::Kept(line), house, port);
        port.mark();
        let limits = Limits { message_max: talk.message_max(), is_text_only: !talk.takes_binary() };
        let said = talk.on_open(&mut house.state, &mut context(port.yard, self.peer));
        self.phase = Phase::Talk(Box::new(Talking {
            decoder: None,
            talk,
            heard: port.now(),
            limits,
            owed: 0,
            is_pinged: false,
            next: None,
        }));
        port.become_listener();
        port.resume();
        port.deadline(port.now().plus(spread(house.rules.ping_ms, port.key)));
        self.say(said, house, port);
    }

    /// Bytes of the client have come. Says how many were used.
    pub(super) fn hear(&mut self, input: &[u8], house: &mut House<S>, port: &mut Port<'_, Self>) -> usize {
        let Phase::Talk(talking) = &mut self.phase else { return input.len() };
        let mut decoder = talking.decoder.take().map_or_else(Decoder::default, |kept| *kept);
        let used = self.hear_with(&mut decoder, input, house, port);
        if let Phase::Talk(talking) = &mut self.phase
            && !decoder.is_between()
        {
            talking.decoder = Some(Box::new(decoder));
        }
        used
    }

    fn hear_with(
        &mut self,
        decoder: &mut Decoder,
        input: &[u8],
        house: &mut House<S>,
        port: &mut Port<'_, Self>,
    ) -> usize {
        let mut used = 0;
        while let Phase::Talk(talking) = &mut self.phase {
            talking.heard = port.now();
            talking.is_pinged = false;
            if talking.owed >= OWED_MAX {
                port.pause();
                return used;
            }
            if port.waiting() > DESK_HIGH {
                port.leave_for_later();
                return used;
            }
            // What has been said so far leaves, whatever becomes of the next message.
            port.mark();
            match decoder.decode(&input[used..], talking.limits) {
                Ok((taken, event)) => {
                    used += taken;
                    match event {
                        Event::NeedBytes => return used,
                        Event::Message(message) => {
                            let cx = &mut context(port.yard, self.peer);
                            let said = talking.talk.on_message(message, &mut house.state, cx);
                            self.say(said, house, port);
                        }
                        Event::Ping(ping) => {
                            port.finish_note();
                            write_pong(&ping, port.desk());
                        }
                        Event::Pong => {}
                        Event::Close(code) => self.end_talk(code, "", house, port),
                    }
                }
                Err(failure) => self.end_talk(Some(failure.code), failure.reason, house, port),
            }
        }
        // It is over, and the rest is nobody's.
        input.len()
    }

    /// Makes happen what a talk has said.
    fn say(&mut self, said: Said<S>, house: &mut House<S>, port: &mut Port<'_, Self>) {
        for act in said.acts {
            let Phase::Talk(talking) = &mut self.phase else {
                follow_alone(act, port.yard, port.key);
                continue;
            };
            match act {
                Act::Text(text) => {
                    port.finish_note();
                    write_text_head(text.len(), port.desk());
                    send(text, port);
                }
                Act::Binary(bytes) => {
                    port.finish_note();
                    write_binary_head(bytes.len(), port.desk());
                    send(bytes, port);
                }
                Act::Frames(frames) => {
                    port.finish_note();
                    send(frames, port);
                }
                Act::Listen(topic) => {
                    port.finish_note();
                    port.listen(topic, Dialect::Frame);
                }
                Act::Leave => {
                    port.finish_note();
                    port.leave();
                }
                Act::Then(next) => {
                    talking.next = Some(Box::new(in_turn(talking.next.take(), next)));
                    port.tell_drained();
                }
                Act::Keep(entry, judged) => {
                    talking.owed += 1;
                    port.keep(entry, Promise::Talk(judged));
                }
                Act::Offload(lane, chore) if port.yard.has_room(lane) => {
                    talking.owed += 1;
                    port.spawn(lane, move || Done::Thought(chore()));
                }
                Act::Offload(..) => self.end_talk(Some(CloseCode::TRY_LATER), "too much to do", house, port),
                Act::Close(code, reason) => self.end_talk(Some(code), &reason, house, port),
            }
        }
    }

    /// What the talk had asked for is done: it goes on, and hears again if it had too much to wait for.
    pub(super) fn take_thought(&mut self, thought: Thought<S>, house: &mut House<S>, port: &mut Port<'_, Self>) {
        let said = thought(&mut house.state, &mut context(port.yard, self.peer));
        self.is_done(port);
        self.say_or_tell(said, house, port);
    }

    /// What was said is followed as the connection is: as a conversation, or as a stream.
    fn say_or_tell(&mut self, said: Said<S>, house: &mut House<S>, port: &mut Port<'_, Self>) {
        match self.phase {
            Phase::Stream(_) => self.tell(said, house, port),
            _ => self.say(said, house, port),
        }
    }

    /// The same for the ledger's verdict.
    pub(super) fn take_judged(
        &mut self,
        judged: Judged<S>,
        verdict: Verdict,
        house: &mut House<S>,
        port: &mut Port<'_, Self>,
    ) {
        let said = judged(&mut house.state, verdict, &mut context(port.yard, self.peer));
        self.is_done(port);
        self.say_or_tell(said, house, port);
    }

    /// All that was said has left.
    pub(super) fn talk_on(&mut self, house: &mut House<S>, port: &mut Port<'_, Self>) {
        if let Phase::Talk(talking) = &mut self.phase
            && let Some(next) = talking.next.take()
        {
            let said = next(&mut house.state, &mut context(port.yard, self.peer));
            self.say(said, house, port);
        }
    }

    /// Somebody calls for this conversation.
    pub(super) fn call_talk(&mut self, house: &mut House<S>, port: &mut Port<'_, Self>) {
        if let Phase::Talk(talking) = &mut self.phase {
            let said = talking.talk.on_call(&mut house.state, &mut context(port.yard, self.peer));
            self.say(said, house, port);
        }
    }

    fn is_done(&mut self, port: &mut Port<'_, Self>) {
        if let Phase::Talk(talking) = &mut self.phase {
            talking.owed = talking.owed.saturating_sub(1);
            if talking.owed == OWED_MAX - 1 {
                port.resume();
            }
        }
    }

    /// The client has been silent for long: it is asked whether it is still there, and given up if it does not say so.
    pub(super) fn ask_for_life(&mut self, house: &mut House<S>, port: &mut Port<'_, Self>) {
        let Phase::Talk(talking) = &mut self.phase else { return };
        let (now, due) = (port.now(), talking.heard.plus(spread(house.rules.ping_ms, port.key)));
        if now < due {
            port.deadline(due);
        } else if !talking.is_pinged {
            talking.is_pinged = true;
            port.finish_note();
            write_ping(port.desk());
            port.deadline(now.plus(house.rules.pong_ms));
        } else {
            self.end_talk(Some(CloseCode::POLICY), "no answer to a ping", house, port);
        }
    }

    /// Ends the conversation with a close frame, and waits a little for the client to end its half.
    pub(super) fn end_talk(
        &mut self,
        code: Option<CloseCode>,
        reason: &str,
        house: &mut House<S>,
        port: &mut Port<'_, Self>,
    ) {
        port.finish_note();
        write_close(code, reason, port.desk());
        self.drop_talk(house, port);
        self.linger_for(CLOSE_MS, port);
    }

    /// Nobody is there to be told of the end.
    pub(super) fn drop_talk(&mut self, house: &mut House<S>, port: &mut Port<'_, Self>) {
        port.leave();
        // What has been said leaves, whatever the talk makes of its end.
        port.mark();
        if let Phase::Talk(talking) = std::mem::replace(&mut self.phase, Phase::Head) {
            talking.end(house, &mut *port.yard, self.peer);
        }
    }
}

impl<S: State> Talking<S> {
    /// Tells the talk that it is over.
    pub(super) fn end(
        mut self,
        house: &mut House<S>,
        yard: &mut Yard<Connection<S>>,
        peer: crate::reactor::system::Peer,
    ) {
        self.talk.on_end(&mut house.state, &mut context(yard, peer));
    }
}

/// What is to follow now that something else is to follow already: behind that, and behind all that comes of it.
pub(super) fn in_turn<S: State>(first: Option<Box<Next<S>>>, next: Next<S>) -> Next<S> {
    match first {
        None => next,
        Some(first) => Box::new(move |state, cx| first(state, cx).then(next)),
    }
}

/// What is said to nobody is followed as far as it is work.
pub(super) fn follow_said_orphan<S: State>(said: Said<S>, yard: &mut Yard<Connection<S>>) {
    for act in said.acts {
        follow_alone(act, yard, Key::NOBODY);
    }
}

pub(super) fn follow_alone<S: State>(act: Act<S>, yard: &mut Yard<Connection<S>>, key: Key) {
    // An index that no slot has: whoever sits in the asker's by then is not it.
    let nobody = Key { index: u32::MAX, age: key.age };
    match act {
        Act::Keep(entry, judged) => yard.keep(nobody, entry, Promise::Talk(judged)),
        Act::Offload(lane, chore) => yard.spawn(nobody, lane, move || Done::Thought(chore())),
        _ => {}
    }
}
