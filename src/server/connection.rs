//! One client's life: HTTP over a port of the loop. This is the one place where a [`Reply`] is followed.
//!
//! An idle connection owns its slot and nothing else: whatever a state needs lives in that state, boxed.

use std::net::IpAddr;

use crate::http::exchange::{Event, Exchange};
use crate::http::request::{HeaderTable, Request};
use crate::http::websocket::CloseCode;
use crate::reactor::slot::{Port, Protocol, Yard};
use crate::reactor::system::{Entrance, Key, Lane, Peer, Signal, Verdict};
use crate::server::access::Line;
use crate::server::connection::answer::{LINGER_SENDING_MS, LINGER_SILENCE_MS, shown};
use crate::server::connection::state::{
    Asked, DESK_HIGH, Phase, Work, context, done_there, drop_there, follow_orphan, too_large, too_slow,
};
use crate::server::connection::talking::follow_said_orphan;
use crate::server::house::House;
use crate::server::problem;
use crate::server::pump::Sunk;
use crate::server::reply::{Reply, State};

mod answer;
mod body;
mod following;
mod state;
mod status;
mod streaming;
mod talking;

pub use state::{Connection, Done, Promise};

/// What a client may send ahead while its request waits for something; more, and reading stops.
const AHEAD_MAX: usize = 16 << 10;

/// A ready answer for the case that nothing can be built any more.
const BROKEN: &[u8] = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

impl<S: State> Connection<S> {
    /// A request's head is complete.
    fn serve(&mut self, request: &Request<'_>, house: &mut House<S>, port: &mut Port<'_, Self>) {
        // Earlier answers are not this handler's to break.
        port.mark();
        self.is_in_head = false;
        if !house.rules.cors_origins.is_empty()
            && let Some(origin) = house.cors_origin(request)
            && let Some(at) = house.rules.cors_origins.iter().position(|allowed| allowed == origin)
        {
            self.cors = u8::try_from(at + 1).unwrap_or(0);
        }
        self.stamp = house.stamp_of(request);
        let mut cx = context(port.yard, self.peer);
        let reply = house.answer(request, &mut cx);
        let ip = cx.peer.ip;
        match reply {
            // The hot path, without the detour over what must be remembered.
            Reply::Send(response) => self.answer(response, Asked::Request(request, ip), house, port),
            Reply::Refuse(fault) => {
                let response = house.refusal(&fault, problem::wants_page(request));
                if fault.closes {
                    self.exchange.make_last();
                }
                self.answer(response, Asked::Request(request, ip), house, port);
            }
            later => {
                self.wants_page = problem::wants_page(request);
                let line = house.access.is_some().then(|| Box::new(Line::of(request, ip)));
                self.follow(later, line, house, port);
            }
        }
    }
}

impl<S: State> Protocol for Connection<S> {
    type Shared = House<S>;
    type Done = Done<S>;
    type Entry = S::Entry;
    type Promise = Promise<S>;

    fn open(peer: Peer, house: &mut House<S>, port: &mut Port<'_, Self>) -> Self {
        log::debug!("{} is connected", peer.ip);
        port.deadline(port.now().plus(house.rules.header_timeout_ms));
        Connection {
            exchange: Exchange::default(),
            phase: Phase::Head,
            peer,
            is_in_head: false,
            wants_page: false,
            cors: 0,
            stamp: 0,
        }
    }

    fn on_bytes(&mut self, input: &[u8], house: &mut House<S>, port: &mut Port<'_, Self>) -> usize {
        let mut used = 0;
        while used < input.len() {
            match &self.phase {
                Phase::Stream(_) => return input.len(),
                Phase::Talk(_) => return used + self.hear(&input[used..], house, port),
                Phase::Lingering(until) => {
                    port.deadline((*until).min(port.now().plus(LINGER_SILENCE_MS)));
                    return input.len();
                }
                Phase::Away(_) | Phase::Sending(_) | Phase::Later(_) => {
                    port.pause();
                    break;
                }
                Phase::Busy(_) if !self.exchange.has_body() => {
                    // The next request, sent ahead. A poll keeps reading, to notice when its client goes; but not for ever.
                    if input.len() - used > AHEAD_MAX {
                        port.pause();
                    }
                    break;
                }
                _ => {}
            }
            if port.waiting() > DESK_HIGH {
                port.leave_for_later();
                break;
            }
            let rest = &input[used..];
            let mut table = HeaderTable::new();
            match self.exchange.read(rest, &mut table, &house.rules.heads) {
                // It is large: looked at where it lies.
                Ok((taken, Event::Head(ref request))) => {
                    used += taken;
                    self.serve(request, house, port);
                }
                Ok((taken, Event::Body(range))) => {
                    used += taken;
                    self.take_body(&rest[range], house, port);
                    self.check_announced(house, port);
                    if matches!(&self.phase, Phase::Busy(busy) if matches!(&busy.work, Work::Receive(pump) if pump.is_full()))
                    {
                        break;
                    }
                    if matches!(self.phase, Phase::Busy(_)) && self.exchange.body_remaining() == Some(0) {
                        // The end of a known length needs no further byte, so it is told at once.
                        self.finish_length(house, port);
                    }
                }
                Ok((taken, Event::End)) => {
                    used += taken;
                    self.end_body(house, port);
                }
                Ok((taken, Event::NeedBytes)) => {
                    used += taken;
                    self.check_announced(house, port);
                    if used < input.len() && !self.is_in_head && self.exchange.is_between() {
                        self.is_in_head = true;
                        port.deadline(port.now().plus(house.rules.header_timeout_ms));
                    }
                    break;
                }
                Ok((_, Event::Paused)) => break,
                Err(fault) => {
                    self.reject(&fault, rest, house, port);
                    return input.len();
                }
            }
        }
        if self.exchange.body_remaining() == Some(0) {
            self.finish_length(house, port);
        }
        used
    }

    fn landing(&mut self) -> Option<&mut [u8]> {
        let remaining = self.exchange.body_remaining()?;
        match &mut self.phase {
            Phase::Busy(busy) => match &mut busy.work {
                Work::Receive(pump) => pump.landing(remaining),
                _ => None,
            },
            _ => None,
        }
    }

    fn takes_bulk(&self) -> bool {
        matches!(&self.phase, Phase::Busy(busy) if matches!(busy.work, Work::Receive(_)))
    }

    fn on_landed(&mut self, bytes: usize, house: &mut House<S>, port: &mut Port<'_, Self>) {
        let is_over = self.exchange.landed(bytes as u64);
        let Phase::Busy(busy) = &mut self.phase else { return };
        busy.received += bytes as u64;
        let Work::Receive(pump) = &mut busy.work else { return };
        if !pump.landed(bytes) {
            let most = busy.received - 1;
            let line = self.take_work(port);
            return self.refuse(&too_large(most), line, house, port);
        }
        if is_over {
            self.end_body(house, port);
        } else {
            self.body_goes_on(house, port);
        }
    }

    fn on_drained(&mut self, house: &mut House<S>, port: &mut Port<'_, Self>) {
        match &mut self.phase {
            Phase::Head if self.exchange.is_between() && !self.is_in_head => {
                port.deadline(port.now().plus(house.rules.keepalive_ms));
            }
            Phase::Sending(_) => self.send_on(house, port),
            Phase::Stream(_) => self.stream_on(house, port),
            Phase::Talk(_) => self.talk_on(house, port),
            Phase::Discarding(until) | Phase::Lingering(until) => {
                // While the answer was leaving nothing may have been read; the client's time to be silent begins now.
                let silent = port.now().plus(LINGER_SILENCE_MS);
                *until = silent.max(*until);
                port.deadline(silent);
            }
            _ => {}
        }
        self.release_lines(house, port);
    }

    fn on_end(&mut self, house: &mut House<S>, port: &mut Port<'_, Self>) {
        match &mut self.phase {
            // A request that is all there is answered though its client has shut its half (RFC 9112, section 9.6).
            Phase::Away(_) | Phase::Sending(_) | Phase::Later(_) => self.exchange.make_last(),
            Phase::Busy(busy)
                if matches!(busy.work, Work::Wait { outlasts: true, .. }) && !self.exchange.has_body() =>
            {
                self.exchange.make_last()
            }
            // Most who end their half have gone; who has not gets what there is, and is not waited for.
            Phase::Busy(busy) if matches!(busy.work, Work::Wait { .. }) && !self.exchange.has_body() => {
                self.exchange.make_last();
                self.wake(true, house, port);
            }
            // A body that ends too early, a stream whose listener is gone, a head that stays half: nothing to answer.
            // But answers to what came before may still be leaving.
            Phase::Busy(busy) => {
                if self.exchange.has_body() {
                    log::info!("{} ends its half in the middle of a body, after {} bytes", self.peer.ip, busy.received);
                }
                if let Work::Receive(pump) = &mut busy.work
                    && pump.must_wait()
                {
                    port.pause();
                    return port.no_deadline();
                }
                self.take_work(port);
                port.leave();
                port.close();
            }
            Phase::Stream(_) => {
                self.drop_stream(house, port);
                port.close();
            }
            Phase::Talk(_) => {
                self.drop_talk(house, port);
                port.close();
            }
            Phase::Head => {
                if self.is_in_head {
                    self.is_in_head = false;
                    let shown = shown(port.unused());
                    log::info!("{} ends its half in the middle of a head: \"{shown}\"", self.peer.ip);
                }
                port.close();
            }
            Phase::Discarding(_) | Phase::Lingering(_) => port.close(),
        }
    }

    fn on_lagging(&mut self, house: &mut House<S>, port: &mut Port<'_, Self>) {
        match &self.phase {
            Phase::Talk(_) => self.end_talk(Some(CloseCode::TRY_LATER), "too slow", house, port),
            Phase::Stream(_) => {
                self.drop_stream(house, port);
                port.abort();
            }
            _ => port.abort(),
        }
    }

    fn on_call(&mut self, house: &mut House<S>, port: &mut Port<'_, Self>) {
        match &self.phase {
            Phase::Talk(_) => self.call_talk(house, port),
            Phase::Stream(_) => self.call_stream(house, port),
            Phase::Busy(busy) if matches!(busy.work, Work::Wait { outlasts: false, .. }) => {
                self.wake(true, house, port)
            }
            _ => {}
        }
    }

    fn on_alarm(house: &mut House<S>, yard: &mut Yard<Self>) {
        let nobody = Peer { ip: IpAddr::from([0, 0, 0, 0]), port: 0, entrance: Entrance::Plain };
        house.state.on_alarm(&mut context(yard, nobody));
        for alarm in &house.alarms {
            if let Some((lane, task)) = alarm(&mut house.state, &mut context(yard, nobody)) {
                yard.spawn(Key::NOBODY, lane, move || Done::Step(task()));
            }
        }
    }

    fn on_stop(&mut self, house: &mut House<S>, port: &mut Port<'_, Self>) {
        match &self.phase {
            Phase::Head if self.exchange.is_between() && !self.is_in_head => port.close(),
            Phase::Stream(_) => self.end_stream(house, port),
            // What it waits for will come, and it was there before.
            Phase::Busy(busy) if matches!(busy.work, Work::Wait { outlasts: true, .. }) => {}
            Phase::Busy(_) => self.wake(true, house, port),
            Phase::Talk(_) => self.end_talk(Some(CloseCode::GOING_AWAY), "the server is closing", house, port),
            _ => {}
        }
    }

    fn on_done(&mut self, done: Done<S>, house: &mut House<S>, port: &mut Port<'_, Self>) {
        match done {
            Done::Step(step) => self.step(step, house, port),
            Done::Sunk(sunk) => self.take_sunk(sunk, house, port),
            Done::Drawn(drawn) => self.take_drawn(drawn, house, port),
            Done::Late(number, step) => self.take_late(number, step, house, port),
            Done::Spoilt(number) => {
                port.yard.counts.panics += 1;
                if self.waits_for(number) {
                    return self.on_panic(house, port);
                }
                log::error!("a handler panicked when its client had been told 504");
            }
            Done::Thought(thought) => self.take_thought(thought, house, port),
            // A house is set up for nobody in particular.
            Done::Dropped | Done::Change(_) => {}
        }
    }

    fn on_verdict(&mut self, promise: Promise<S>, verdict: Verdict, house: &mut House<S>, port: &mut Port<'_, Self>) {
        let decided = match promise {
            Promise::Reply(decided) => decided,
            Promise::Talk(judged) => return self.take_judged(judged, verdict, house, port),
        };
        let line = self.take_work(port);
        let reply = decided(&mut house.state, verdict, &mut context(port.yard, self.peer));
        self.follow(reply, line, house, port);
    }

    fn on_note(&mut self, house: &mut House<S>, port: &mut Port<'_, Self>) {
        self.wake(false, house, port);
    }

    fn on_deadline(&mut self, house: &mut House<S>, port: &mut Port<'_, Self>) {
        match &self.phase {
            Phase::Head if self.is_in_head => {
                let begun = port.unused().to_vec();
                self.reject(&too_slow(), &begun, house, port);
                // It has had its time, and gains none by sending on.
                self.linger_for(LINGER_SILENCE_MS, port);
            }
            // The rest of a body that is thrown away does not come, and its client may not have read its answer.
            Phase::Discarding(until) => self.linger_until(*until, port),
            Phase::Head | Phase::Lingering(_) => port.close(),
            Phase::Busy(busy) => match busy.work {
                Work::Wait { until, .. } => self.wake(port.now() >= until, house, port),
                _ => {
                    self.tell_bad_body(&too_slow());
                    let line = self.take_work(port);
                    self.refuse(&too_slow(), line, house, port);
                }
            },
            Phase::Stream(_) => self.beat(house, port),
            Phase::Talk(_) => self.ask_for_life(house, port),
            Phase::Later(_) => self.give_up_waiting(house, port),
            Phase::Away(_) | Phase::Sending(_) => {}
        }
    }

    fn on_panic(&mut self, house: &mut House<S>, port: &mut Port<'_, Self>) {
        log::error!("a handler panicked; its connection, from {}, is closed", self.peer.ip);
        match &self.phase {
            Phase::Talk(_) => {
                return self.end_talk(Some(CloseCode::INTERNAL), "a mistake of the server's", house, port);
            }
            Phase::Stream(_) => return self.end_stream(house, port),
            _ => {}
        }
        self.take_work(port);
        port.leave();
        if self.exchange.owes_answer() {
            port.desk().extend_from_slice(BROKEN);
        }
        // Whatever state it is in, nothing of it is read any more; but the client may still be sending.
        self.linger(port);
    }

    fn on_close(self, key: Key, unsent: u64, house: &mut House<S>, yard: &mut Yard<Self>) {
        if let Some(access) = &mut house.access {
            access.release(key, unsent, yard.wall, &mut yard.log);
        }
        if self.is_in_head && !yard.is_closing {
            log::info!("{} breaks off in the middle of a head", self.peer.ip);
        } else if matches!(self.phase, Phase::Busy(_)) && self.exchange.has_body() && !yard.is_closing {
            log::info!("{} breaks off in the middle of a body", self.peer.ip);
        }
        log::debug!("{} is gone", self.peer.ip);
        match self.phase {
            Phase::Stream(streaming) => streaming.end(house, yard, self.peer),
            Phase::Talk(talking) => talking.end(house, yard, self.peer),
            Phase::Busy(busy) => match busy.work {
                Work::Receive(pump) => {
                    if let Some(rest) = pump.abandon() {
                        yard.spawn(Key::NOBODY, Lane::Writes, move || done_there(rest));
                    }
                }
                // What has begun is finished. It cannot wait any more, but it can ask again.
                Work::Wait { outlasts: true, again, .. } => {
                    yard.spawn(Key::NOBODY, Lane::Writes, move || Done::Step(again))
                }
                Work::Wait { .. } | Work::Collect { .. } => {}
            },
            Phase::Sending(pull) => {
                if let Some(source) = pull.abandon() {
                    yard.spawn(Key::NOBODY, Lane::Files, move || drop_there(source));
                }
            }
            _ => {}
        }
    }

    fn on_orphan(done: Done<S>, house: &mut House<S>, yard: &mut Yard<Self>) {
        let peer = Peer { ip: IpAddr::from([0, 0, 0, 0]), port: 0, entrance: Entrance::Plain };
        match done {
            Done::Step(step) | Done::Late(_, step) | Done::Sunk(Sunk::Finished(step)) => {
                let reply = step(&mut house.state, &mut context(yard, peer));
                follow_orphan(reply, house, yard, Key::NOBODY);
            }
            Done::Sunk(Sunk::Home(sink, _)) => yard.spawn(Key::NOBODY, Lane::Writes, move || drop_there(sink)),
            Done::Drawn(drawn) => yard.spawn(Key::NOBODY, Lane::Files, move || drop_there(drawn.into_source())),
            Done::Thought(thought) => {
                let said = thought(&mut house.state, &mut context(yard, peer));
                follow_said_orphan(said, yard);
            }
            Done::Change(change) => yard.marks = change(house),
            Done::Spoilt(_) => yard.counts.panics += 1,
            Done::Sunk(Sunk::Refused(_)) | Done::Dropped => {}
        }
    }

    fn on_orphan_verdict(promise: Promise<S>, verdict: Verdict, house: &mut House<S>, yard: &mut Yard<Self>) {
        let peer = Peer { ip: IpAddr::from([0, 0, 0, 0]), port: 0, entrance: Entrance::Plain };
        let cx = &mut context(yard, peer);
        match promise {
            Promise::Reply(decided) => {
                let reply = decided(&mut house.state, verdict, cx);
                follow_orphan(reply, house, yard, Key::NOBODY);
            }
            Promise::Talk(judged) => {
                let said = judged(&mut house.state, verdict, cx);
                follow_said_orphan(said, yard);
            }
        }
    }

    fn on_signal(signal: Signal, census: &[(&'static str, usize)], house: &mut House<S>, yard: &mut Yard<Self>) {
        match signal {
            Signal::Status => log::info!("{}", status::line(census, yard)),
            Signal::Reload => {
                if let Some(reload) = house.reload.clone() {
                    yard.spawn(Key::NOBODY, Lane::Files, move || Done::Change(reload()));
                }
            }
            Signal::Drain | Signal::Upgrade => {}
        }
    }

    fn doing(&self) -> &'static str {
        match &self.phase {
            Phase::Head if self.is_in_head => "in a head",
            Phase::Head => "idle",
            Phase::Away(_) => "at helpers",
            Phase::Later(_) => "answered later",
            Phase::Stream(_) => "on streams",
            Phase::Talk(_) => "on WebSockets",
            Phase::Sending(_) => "being sent",
            Phase::Discarding(_) | Phase::Lingering(_) => "lingering",
            Phase::Busy(busy) => match &busy.work {
                Work::Collect { .. } | Work::Receive(_) => "sending a body",
                Work::Wait { .. } => "waiting for news",
            },
        }
    }

    fn peer_ip(&self) -> IpAddr {
        self.peer.ip
    }

    fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Head) && self.exchange.is_between() && !self.is_in_head
    }

    fn only_lingers(&self, left_ms: u64) -> bool {
        matches!(self.phase, Phase::Discarding(_) | Phase::Lingering(_))
            && left_ms <= LINGER_SILENCE_MS - LINGER_SENDING_MS
    }
}
