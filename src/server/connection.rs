//! One client's life: HTTP over a port of the loop. This is the one place where a [`Reply`] is followed.
//!
//! An idle connection owns its slot and nothing else: whatever a state needs lives in that state, boxed.

use std::net::IpAddr;

use bytes::Bytes;

use crate::clock::Moment;
use crate::http::exchange::{Event, Exchange, Length, Next};
use crate::http::fault::Fault;
use crate::http::framing::Encoder;
use crate::http::request::{HeaderTable, Request};
use crate::http::response::{Body, Piece, Response};
use crate::http::status::Status;
use crate::reactor::slot::{Port, Protocol, Yard};
use crate::reactor::system::{Key, LANES, Lane, Peer, Signal, Verdict};
use crate::server::access::{Line, write_escaped};
use crate::server::context::{Answers, Context};
use crate::server::house::House;
use crate::server::problem;
use crate::server::pull::{self, Drawn, Pull};
use crate::server::pump::{Pump, Sunk};
use crate::server::reply::{Again, Decided, Reply, State, Step, Then};

/// Bodies up to this size are copied behind their head and leave in one `send`; larger ones are sent from where they are.
const COPIED_MAX: usize = 16 << 10;

/// Pipelined requests are answered together until this much waits on the desk.
const DESK_HIGH: usize = 64 << 10;

/// After an early refusal: how long the client may be silent, and may go on sending in all, before it is cut off.
const LINGER_SILENCE_MS: u64 = 2_000;
const LINGER_MS: u64 = 30_000;

/// What a client may send ahead while its request waits for something; more, and reading stops.
const AHEAD_MAX: usize = 16 << 10;

/// A ready answer for the case that nothing can be built any more.
const BROKEN: &[u8] = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// What a helper brings to a connection.
pub enum Done<S: State> {
    /// The next step.
    Step(Step<S>),
    /// A sink's outcome.
    Sunk(Sunk<S>),
    /// A source and what was drawn from it.
    Drawn(Drawn),
    /// Something was dropped where dropping may block.
    Dropped,
}

/// What is going on.
enum Phase<S: State> {
    /// Between requests, inside a head, or throwing the rest of a body away. Owns nothing.
    Head,
    /// A helper or the ledger has the work; input waits.
    Away(Option<Box<Line>>),
    /// An endless answer.
    Stream(Box<Bytes>),
    /// An answer is leaving whose body is drawn window by window; input is paused.
    Sending(Box<Pull>),
    /// The last answer has been given and our half is shut: what still arrives is thrown away, until this moment at most.
    Lingering(Moment),
    /// A body is being received, or the request waits for something to be said.
    Busy(Box<Busy<S>>),
}

struct Busy<S: State> {
    work: Work<S>,
    line: Option<Box<Line>>,
    /// When the body began, and how much of it has come.
    began: Moment,
    received: u64,
    /// Since when it is not read, because helpers are behind with it.
    stopped: Option<Moment>,
}

enum Work<S: State> {
    Collect { bytes: Vec<u8>, most: usize, then: Then<S> },
    Receive(Pump<S>),
    Wait { until: Moment, outlasts: bool, again: Again<S> },
}

/// One client's connection.
pub struct Connection<S: State> {
    exchange: Exchange,
    phase: Phase<S>,
    peer: Peer,
    /// Whether part of a head has come and its time is running.
    is_in_head: bool,
    /// Whether this client would rather have a page than a problem document.
    wants_page: bool,
    /// Which origin of another site asked, counted from one.
    cors: u8,
}

/// Where the line of the access log comes from.
enum Source<'a, 'r> {
    Request(&'a Request<'r>),
    Kept(Option<Box<Line>>),
}

fn context<'a, S: State>(yard: &'a mut Yard<Connection<S>>, answers: Answers, peer: Peer) -> Context<'a> {
    let has_room = [yard.has_room(Lane::Files), yard.has_room(Lane::Hash)];
    let jobs_out: [usize; LANES] = [yard.jobs_out(Lane::Files), yard.jobs_out(Lane::Hash)];
    Context {
        now: yard.now,
        wall: yard.wall,
        peer,
        is_secure: false,
        is_closing: yard.is_closing,
        is_over: false,
        counts: &yard.counts,
        answers,
        jobs_out,
        has_room,
        hub: &mut yard.hub,
    }
}

impl<S: State> Connection<S> {
    /// A request's head is complete.
    fn serve(&mut self, request: &Request<'_>, house: &mut House<S>, port: &mut Port<'_, Self>) {
        // Earlier answers are not this handler's to break.
        port.mark();
        self.is_in_head = false;
        self.cors = 0;
        if !house.rules.cors_origins.is_empty()
            && let Some(origin) = house.cors_origin(request)
            && let Some(at) = house.rules.cors_origins.iter().position(|allowed| allowed == origin)
        {
            self.cors = u8::try_from(at + 1).unwrap_or(0);
        }
        let reply = house.answer(request, &mut context(port.yard, house.answers, self.peer));
        match reply {
            // The hot path, without the detour over what must be remembered.
            Reply::Send(response) => self.answer(response, Source::Request(request), house, port),
            Reply::Refuse(fault) => {
                let response = problem::answer(&fault, problem::wants_page(request));
                if fault.closes {
                    self.exchange.make_last();
                }
                self.answer(response, Source::Request(request), house, port);
            }
            later => {
                self.wants_page = problem::wants_page(request);
                let line = house.access.is_some().then(|| Box::new(Line::of(request)));
                self.follow(later, line, house, port);
            }
        }
    }

    /// Makes happen what a reply says.
    fn follow(&mut self, reply: Reply<S>, line: Option<Box<Line>>, house: &mut House<S>, port: &mut Port<'_, Self>) {
        match reply {
            Reply::Send(response) => self.answer(response, Source::Kept(line), house, port),
            Reply::Refuse(fault) => self.refuse(&fault, line, house, port),
            Reply::Collect { most, then } => {
                if !self.exchange.has_body() {
                    let reply = then(&mut house.state, Vec::new(), &mut context(port.yard, house.answers, self.peer));
                    return self.follow(reply, line, house, port);
                }
                if self.exchange.body_remaining().is_some_and(|length| length > most as u64) {
                    return self.refuse(&too_large(most as u64), line, house, port);
                }
                self.exchange.go_on(port.desk());
                self.begin(Work::Collect { bytes: Vec::new(), most, then }, line, house, port);
            }
            Reply::Receive { most, sink } => {
                if most > 0 && self.exchange.body_remaining().is_some_and(|length| length > most) {
                    port.spawn(Lane::Files, move || drop_there(sink));
                    return self.refuse(&too_large(most), line, house, port);
                }
                let mut pump = Pump::new(sink, most);
                let has_body = self.exchange.has_body();
                if !has_body {
                    pump.complete();
                }
                self.exchange.go_on(port.desk());
                self.begin(Work::Receive(pump), line, house, port);
                if !has_body {
                    self.pump(house, port);
                }
            }
            Reply::Offload(lane, task) => {
                if !port.yard.has_room(lane) {
                    return self.refuse(&overloaded(), line, house, port);
                }
                port.spawn(lane, move || Done::Step(task()));
                self.go_away(line, port);
            }
            Reply::Keep(entry, decided) => {
                port.keep(entry, decided);
                self.go_away(line, port);
            }
            Reply::Wait { topic, until, outlasts, again } => {
                if port.yard.is_closing || port.has_ended() && !outlasts {
                    return self.ask_again(again, true, line, house, port);
                }
                port.wait_for(topic);
                self.begin(Work::Wait { until, outlasts, again }, line, house, port);
                port.deadline(until);
            }
            Reply::Stream { topic, dialect, owner, head, first, heartbeat } => {
                self.write_head(&head, Length::UntilClose, Source::Kept(line), house, port);
                if self.exchange.is_head() || port.yard.is_closing {
                    let next = self.exchange.end(true);
                    return self.conclude(next, house, port);
                }
                send(first, port);
                port.listen(topic, dialect);
                if let Some(owner) = owner {
                    port.own(owner);
                }
                self.phase = Phase::Stream(Box::new(heartbeat));
                port.resume();
                self.expect_silence(house, port);
            }
        }
    }

    fn begin(&mut self, work: Work<S>, line: Option<Box<Line>>, house: &House<S>, port: &mut Port<'_, Self>) {
        self.phase = Phase::Busy(Box::new(Busy { work, line, began: port.now(), received: 0, stopped: None }));
        port.deadline(port.now().plus(house.rules.body_idle_ms));
        port.resume();
    }

    /// Somebody else has the work: the client's further input waits.
    fn go_away(&mut self, line: Option<Box<Line>>, port: &mut Port<'_, Self>) {
        self.phase = Phase::Away(line);
        port.no_deadline();
        port.pause();
    }

    /// Gives an answer.
    #[inline]
    fn answer(&mut self, response: Response, source: Source<'_, '_>, house: &mut House<S>, port: &mut Port<'_, Self>) {
        let length = response.body.length().map_or(Length::Chunked, Length::Known);
        let encoder = self.write_head(&response, length, source, house, port);
        if encoder == Encoder::Silent {
            if let Body::Stream(source) = response.body {
                port.spawn(Lane::Files, move || drop_there(source));
            }
        } else {
            match response.body {
                Body::Empty => {}
                Body::Bytes(bytes) => send(bytes, port),
                Body::File(span) => port.send_file(span),
                Body::Pieces(pieces) => {
                    for piece in pieces {
                        match piece {
                            Piece::Bytes(bytes) => send(bytes, port),
                            Piece::File(span) => port.send_file(span),
                        }
                    }
                }
                Body::Stream(source) => return self.begin_sending(Pull::new(source, encoder), port),
            }
        }
        let next = self.exchange.end(true);
        self.conclude(next, house, port);
    }

    /// The head is on the desk, and its body is still to be made.
    fn begin_sending(&mut self, mut pull: Pull, port: &mut Port<'_, Self>) {
        if let Some(trip) = pull.trip() {
            port.spawn(Pull::LANE, move || Done::Drawn(trip()));
        }
        self.phase = Phase::Sending(Box::new(pull));
        // While the client reads, the outbox's patience counts; while we think, nothing does.
        port.no_deadline();
        port.pause();
    }

    /// What was drawn leaves as soon as what was drawn before has; then the source is drawn from again.
    fn send_on(&mut self, house: &mut House<S>, port: &mut Port<'_, Self>) {
        let Phase::Sending(pull) = &mut self.phase else { return };
        if port.waiting() > 0 {
            return;
        }
        match pull.take_next() {
            pull::Next::Nothing => {}
            pull::Next::Window(window) => {
                if !pull.encoder.open(window.len(), port.desk()) {
                    return self.break_off(&"its body is longer than was said", house, port);
                }
                send(Bytes::from(window), port);
                pull.encoder.close(port.desk());
                if pull.is_over() {
                    return self.end_sending(house, port);
                }
            }
            pull::Next::Over => return self.end_sending(house, port),
        }
        if let Some(trip) = pull.trip() {
            port.spawn(Pull::LANE, move || Done::Drawn(trip()));
        }
    }

    fn end_sending(&mut self, house: &mut House<S>, port: &mut Port<'_, Self>) {
        let Phase::Sending(pull) = &mut self.phase else { return };
        if !pull.encoder.end(port.desk()) {
            return self.break_off(&"its body is shorter than was said", house, port);
        }
        self.take_work(port);
        let next = self.exchange.end(true);
        self.conclude(next, house, port);
    }

    /// The answer cannot be given to its end. Its client sees that from the missing end.
    fn break_off(&mut self, why: &dyn std::fmt::Display, house: &mut House<S>, port: &mut Port<'_, Self>) {
        log::warn!("an answer to {} breaks off: {why}", self.peer.ip);
        self.take_work(port);
        let next = self.exchange.end(false);
        self.conclude(next, house, port);
    }

    fn take_drawn(&mut self, drawn: Drawn, house: &mut House<S>, port: &mut Port<'_, Self>) {
        match &mut self.phase {
            Phase::Sending(pull) => match pull.come_home(drawn) {
                Ok(()) => self.send_on(house, port),
                Err(error) => self.break_off(&error, house, port),
            },
            // The answer was given up while the source was away.
            _ => port.spawn(Lane::Files, move || drop_there(drawn.into_source())),
        }
    }

    #[inline]
    fn write_head(
        &mut self,
        response: &Response,
        length: Length,
        source: Source<'_, '_>,
        house: &mut House<S>,
        port: &mut Port<'_, Self>,
    ) -> Encoder {
        let keep = house.keep_alive(port.yard.is_closing);
        let wall = port.yard.wall;
        let status = response.status;
        house.answers.by_class[usize::from(status.code() / 100).min(5)] += 1;
        let encoder = if self.cors > 0 {
            let origin = house.rules.cors_origins[usize::from(self.cors) - 1].clone();
            let lines = format!("Access-Control-Allow-Origin: {origin}\r\nVary: Origin\r\n");
            let common = [house.common(wall, true), lines.as_bytes()].concat();
            self.exchange.begin(response, length, &common, &keep, port.desk())
        } else if !house.rules.cors_origins.is_empty() {
            // A cache must not give what this one was told to an origin that may read it.
            let common = [house.common(wall, false), b"Vary: Origin\r\n"].concat();
            self.exchange.begin(response, length, &common, &keep, port.desk())
        } else {
            let common = house.common(wall, false);
            self.exchange.begin(response, length, common, &keep, port.desk())
        };
        if let Some(access) = &mut house.access {
            let sent = match length {
                Length::Known(length) if !self.exchange.is_head() => length,
                _ => 0,
            };
            let log = &mut port.yard.log;
            match source {
                Source::Request(request) => access.note(request, &self.peer, status, sent, wall, log),
                Source::Kept(line) => access.note_kept(line.as_deref(), &self.peer, status, sent, wall, log),
            }
        }
        encoder
    }

    /// What follows an answer.
    #[inline]
    fn conclude(&mut self, next: Next, house: &House<S>, port: &mut Port<'_, Self>) {
        if !matches!(self.phase, Phase::Head) {
            // Whatever the request had been waiting for is over; what came behind it is read on.
            self.phase = Phase::Head;
            port.leave();
            port.resume();
        }
        match next {
            Next::Again => port.deadline(port.now().plus(house.rules.keepalive_ms)),
            Next::Discard => port.deadline(port.now().plus(house.rules.body_idle_ms)),
            Next::Close => port.close(),
            Next::Linger => self.linger(port),
        }
    }

    /// The last answer is on its way, and the client may still be sending. Closing with unread bytes would reset the connection
    /// and take the answer with it (RFC 9112, section 9.6).
    fn linger(&mut self, port: &mut Port<'_, Self>) {
        if port.has_ended() {
            return port.close();
        }
        self.phase = Phase::Lingering(port.now().plus(LINGER_MS));
        port.resume();
        port.finish();
        port.deadline(port.now().plus(LINGER_SILENCE_MS));
    }

    /// Refuses; if nothing can be answered any more, ends.
    fn refuse(&mut self, fault: &Fault, line: Option<Box<Line>>, house: &mut House<S>, port: &mut Port<'_, Self>) {
        if !self.exchange.can_answer() {
            return self.linger(port);
        }
        if fault.closes {
            self.exchange.make_last();
        }
        self.answer(problem::answer(fault, self.wants_page), Source::Kept(line), house, port);
    }

    /// The message itself is wrong: nothing of what follows can be read.
    fn reject(&mut self, fault: &Fault, input: &[u8], house: &mut House<S>, port: &mut Port<'_, Self>) {
        let mut shown = Vec::new();
        write_escaped(&input[..input.len().min(80)], &mut shown);
        log::info!(
            "{} is refused with {} {}: {} in \"{}\"",
            self.peer.ip,
            fault.status.code(),
            fault.code,
            fault.detail,
            String::from_utf8_lossy(&shown)
        );
        self.is_in_head = false;
        let line = self.take_work(port);
        self.refuse(fault, line, house, port);
    }

    /// Drops what was being done; what it holds goes where dropping may block. Gives its line back.
    fn take_work(&mut self, port: &mut Port<'_, Self>) -> Option<Box<Line>> {
        match std::mem::replace(&mut self.phase, Phase::Head) {
            Phase::Busy(busy) => {
                let Busy { work, line, .. } = *busy;
                if let Work::Receive(pump) = work
                    && let Some(sink) = pump.abandon()
                {
                    port.spawn(Lane::Files, move || drop_there(sink));
                }
                port.resume();
                line
            }
            Phase::Away(line) => {
                port.resume();
                line
            }
            Phase::Sending(pull) => {
                if let Some(source) = pull.abandon() {
                    port.spawn(Lane::Files, move || drop_there(source));
                }
                port.resume();
                None
            }
            _ => None,
        }
    }

    /// Content of a body has come.
    fn take_body(&mut self, bytes: &[u8], house: &mut House<S>, port: &mut Port<'_, Self>) {
        let Phase::Busy(busy) = &mut self.phase else { return };
        busy.received += bytes.len() as u64;
        let fits = match &mut busy.work {
            Work::Collect { bytes: collected, most, .. } => {
                let fits = collected.len() + bytes.len() <= *most;
                if fits {
                    collected.extend_from_slice(bytes);
                }
                if fits { Ok(()) } else { Err(*most as u64) }
            }
            Work::Receive(pump) => {
                if pump.fill(bytes) {
                    Ok(())
                } else {
                    Err(busy.received - 1)
                }
            }
            // Nobody wants it; and the wait has a time of its own.
            Work::Wait { .. } => return,
        };
        match fits {
            Ok(()) => self.body_goes_on(house, port),
            Err(most) => {
                let line = self.take_work(port);
                self.refuse(&too_large(most), line, house, port);
            }
        }
    }

    /// After content: the client has time again, unless it is too slow on the whole; and a full window travels.
    fn body_goes_on(&mut self, house: &mut House<S>, port: &mut Port<'_, Self>) {
        let Phase::Busy(busy) = &mut self.phase else { return };
        if matches!(busy.work, Work::Wait { .. }) {
            // Nobody wants this body, and the wait has its own time.
            return;
        }
        let rules = &house.rules;
        let lasted = port.now().since(busy.began);
        if lasted > rules.body_rate_after_ms
            && busy.received.saturating_mul(1000) < rules.body_rate_bytes.saturating_mul(lasted)
        {
            let line = self.take_work(port);
            return self.refuse(&too_slow(), line, house, port);
        }
        port.deadline(port.now().plus(rules.body_idle_ms));
        self.pump(house, port);
    }

    /// A chunk that is larger than what is still allowed is refused before its bytes have come.
    fn check_announced(&mut self, house: &mut House<S>, port: &mut Port<'_, Self>) {
        let announced = self.exchange.body_announced();
        let Phase::Busy(busy) = &self.phase else { return };
        let most = match &busy.work {
            Work::Collect { bytes, most, .. } if announced > most.saturating_sub(bytes.len()) as u64 => *most as u64,
            Work::Receive(pump) if !pump.allows(announced) => busy.received,
            _ => return,
        };
        let line = self.take_work(port);
        self.refuse(&too_large(most), line, house, port);
    }

    /// The body is complete.
    fn end_body(&mut self, house: &mut House<S>, port: &mut Port<'_, Self>) {
        match &mut self.phase {
            Phase::Busy(busy) => match &mut busy.work {
                Work::Receive(pump) => {
                    pump.complete();
                    self.pump(house, port);
                }
                Work::Collect { .. } => {
                    let Phase::Busy(busy) = std::mem::replace(&mut self.phase, Phase::Head) else { return };
                    let Busy { work: Work::Collect { bytes, then, .. }, line, .. } = *busy else { return };
                    let reply = then(&mut house.state, bytes, &mut context(port.yard, house.answers, self.peer));
                    self.follow(reply, line, house, port);
                }
                Work::Wait { .. } => {}
            },
            // What was to be thrown away has been.
            Phase::Head if self.exchange.is_between() && port.yard.is_closing => port.close(),
            Phase::Head if self.exchange.is_between() => port.deadline(port.now().plus(house.rules.keepalive_ms)),
            Phase::Head if self.exchange.is_closed() => self.linger(port),
            _ => {}
        }
    }

    /// Sends a sink on its way if there is something worth it, and stops reading while there is no room. The client has a
    /// deadline only while it is its turn.
    fn pump(&mut self, house: &House<S>, port: &mut Port<'_, Self>) {
        let Phase::Busy(busy) = &mut self.phase else { return };
        let Work::Receive(pump) = &mut busy.work else { return };
        if let Some(trip) = pump.trip() {
            port.spawn(Pump::<S>::LANE, move || Done::Sunk(trip()));
        }
        let has_body = self.exchange.has_body();
        if pump.is_full() {
            // While it is we who do not read, the client's time stands still.
            port.pause();
            port.no_deadline();
            busy.stopped.get_or_insert(port.now());
            return;
        }
        port.resume();
        if let Some(stopped) = busy.stopped.take() {
            busy.began = busy.began.plus(port.now().since(stopped));
        }
        if has_body {
            port.deadline(port.now().plus(house.rules.body_idle_ms));
        } else {
            port.no_deadline();
        }
    }

    fn take_sunk(&mut self, sunk: Sunk<S>, house: &mut House<S>, port: &mut Port<'_, Self>) {
        match (&mut self.phase, sunk) {
            (Phase::Busy(busy), Sunk::Home(sink, window)) => match &mut busy.work {
                Work::Receive(pump) => {
                    pump.come_home(sink, window);
                    self.pump(house, port);
                }
                _ => port.spawn(Lane::Files, move || drop_there(sink)),
            },
            (Phase::Busy(_), Sunk::Finished(step)) => {
                let line = self.take_work(port);
                let reply = step(&mut house.state, &mut context(port.yard, house.answers, self.peer));
                self.follow(reply, line, house, port);
            }
            (Phase::Busy(_), Sunk::Refused(fault)) => {
                let line = self.take_work(port);
                self.refuse(&fault, line, house, port);
            }
            // The upload was refused or given up while the sink was away.
            (_, Sunk::Home(sink, _)) => port.spawn(Lane::Files, move || drop_there(sink)),
            (_, Sunk::Finished(step)) => {
                let reply = step(&mut house.state, &mut context(port.yard, house.answers, self.peer));
                follow_orphan(reply, house, port.yard, port.key);
            }
            (_, Sunk::Refused(_)) => {}
        }
    }

    fn ask_again(
        &mut self,
        again: Again<S>,
        is_over: bool,
        line: Option<Box<Line>>,
        house: &mut House<S>,
        port: &mut Port<'_, Self>,
    ) {
        let mut cx = context(port.yard, house.answers, self.peer);
        cx.is_over = is_over;
        let reply = again(&mut house.state, &mut cx);
        let reply = match reply {
            // It was told that the time is over, and waits on: its own mistake, and no reason to hold a client for ever.
            Reply::Wait { .. } if is_over => Reply::Refuse(overloaded()),
            reply => reply,
        };
        self.follow(reply, line, house, port);
    }

    /// Takes a waiting request out of its wait and asks it again.
    fn wake(&mut self, is_over: bool, house: &mut House<S>, port: &mut Port<'_, Self>) {
        if !matches!(&self.phase, Phase::Busy(busy) if matches!(busy.work, Work::Wait { .. })) {
            return;
        }
        let Phase::Busy(busy) = std::mem::replace(&mut self.phase, Phase::Head) else { return };
        port.leave();
        // What was sent ahead has waited for this answer.
        port.resume();
        if let Busy { work: Work::Wait { again, .. }, line, .. } = *busy {
            self.ask_again(again, is_over, line, house, port);
        }
    }

    /// A stream sends a heartbeat when nothing has been said for a while. Spread by the slot, so that ten thousand do not beat
    /// together.
    fn expect_silence(&self, house: &House<S>, port: &mut Port<'_, Self>) {
        let beat = house.rules.heartbeat_ms;
        let spread = beat / 8 * u64::from(port.key.index % 8) / 8;
        port.deadline(port.now().plus(beat - spread));
    }

    fn step(&mut self, step: Step<S>, house: &mut House<S>, port: &mut Port<'_, Self>) {
        let line = self.take_work(port);
        let reply = step(&mut house.state, &mut context(port.yard, house.answers, self.peer));
        self.follow(reply, line, house, port);
    }
}

fn send<S: State>(bytes: Bytes, port: &mut Port<'_, Connection<S>>) {
    if bytes.len() <= COPIED_MAX {
        port.desk().extend_from_slice(&bytes);
    } else {
        port.send_bytes(bytes);
    }
}

/// Drops a sink or a source on a helper, where it may block.
fn drop_there<S: State, T: ?Sized>(what: Box<T>) -> Done<S> {
    drop(what);
    Done::Dropped
}

fn too_large(most: u64) -> Fault {
    Fault::new(Status::CONTENT_TOO_LARGE, "too_large", format!("the body may have at most {most} bytes"))
}

fn too_slow() -> Fault {
    Fault::fatal(Status::REQUEST_TIMEOUT, "timeout", "the request took too long to arrive")
}

fn overloaded() -> Fault {
    Fault::new(Status::SERVICE_UNAVAILABLE, "overloaded", "the server has too much to do; try again soon")
        .retry_after(2)
}

/// A reply that nobody waits for any more is followed as far as it is work.
fn follow_orphan<S: State>(reply: Reply<S>, _house: &mut House<S>, yard: &mut Yard<Connection<S>>, key: Key) {
    // The key's tenant is asked for nothing: it has gone, or has moved on to another request, and must not be mistaken for
    // the asker. An age that no tenant has sees to that.
    let nobody = Key { index: u32::MAX, age: key.age };
    match reply {
        Reply::Offload(lane, task) => yard.spawn(nobody, lane, move || Done::Step(task())),
        Reply::Keep(entry, decided) => yard.keep(nobody, entry, decided),
        // Nothing will come for it, and dropping it may block.
        Reply::Receive { sink, .. } => yard.spawn(nobody, Lane::Files, move || drop_there(sink)),
        _ => {}
    }
}

impl<S: State> Protocol for Connection<S> {
    type Shared = House<S>;
    type Done = Done<S>;
    type Entry = S::Entry;
    type Promise = Decided<S>;

    fn open(peer: Peer, house: &mut House<S>, port: &mut Port<'_, Self>) -> Self {
        port.deadline(port.now().plus(house.rules.header_timeout_ms));
        Connection {
            exchange: Exchange::default(),
            phase: Phase::Head,
            peer,
            is_in_head: false,
            wants_page: false,
            cors: 0,
        }
    }

    fn on_bytes(&mut self, input: &[u8], house: &mut House<S>, port: &mut Port<'_, Self>) -> usize {
        let mut used = 0;
        while used < input.len() {
            match &self.phase {
                Phase::Stream(_) => return input.len(),
                Phase::Lingering(until) => {
                    port.deadline((*until).min(port.now().plus(LINGER_SILENCE_MS)));
                    return input.len();
                }
                Phase::Away(_) | Phase::Sending(_) => {
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
                Ok((taken, Event::Head(request))) => {
                    used += taken;
                    self.serve(&request, house, port);
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
        match &self.phase {
            Phase::Head if self.exchange.is_between() && !self.is_in_head => {
                port.deadline(port.now().plus(house.rules.keepalive_ms));
            }
            Phase::Sending(_) => self.send_on(house, port),
            _ => {}
        }
    }

    fn on_end(&mut self, _house: &mut House<S>, port: &mut Port<'_, Self>) {
        match &self.phase {
            // A request that is all there is answered though its client has shut its half (RFC 9112, section 9.6).
            Phase::Away(_) | Phase::Sending(_) => self.exchange.make_last(),
            Phase::Busy(busy) if matches!(busy.work, Work::Receive(_)) && !self.exchange.has_body() => {
                self.exchange.make_last()
            }
            Phase::Busy(busy)
                if matches!(busy.work, Work::Wait { outlasts: true, .. }) && !self.exchange.has_body() =>
            {
                self.exchange.make_last()
            }
            // A body that ends too early, a poll or stream whose listener is gone, a head that stays half: nothing to answer.
            // But answers to what came before may still be leaving.
            Phase::Busy(_) | Phase::Stream(_) => {
                self.take_work(port);
                port.leave();
                port.close();
            }
            Phase::Head | Phase::Lingering(_) => port.close(),
        }
    }

    fn on_stop(&mut self, house: &mut House<S>, port: &mut Port<'_, Self>) {
        match &self.phase {
            Phase::Head if self.exchange.is_between() && !self.is_in_head => port.close(),
            Phase::Stream(_) => {
                port.finish_note();
                port.leave();
                port.close();
            }
            Phase::Busy(_) => self.wake(true, house, port),
            _ => {}
        }
    }

    fn on_done(&mut self, done: Done<S>, house: &mut House<S>, port: &mut Port<'_, Self>) {
        match done {
            Done::Step(step) => self.step(step, house, port),
            Done::Sunk(sunk) => self.take_sunk(sunk, house, port),
            Done::Drawn(drawn) => self.take_drawn(drawn, house, port),
            Done::Dropped => {}
        }
    }

    fn on_verdict(&mut self, decided: Decided<S>, verdict: Verdict, house: &mut House<S>, port: &mut Port<'_, Self>) {
        let line = self.take_work(port);
        let reply = decided(&mut house.state, verdict, &mut context(port.yard, house.answers, self.peer));
        self.follow(reply, line, house, port);
    }

    fn on_note(&mut self, house: &mut House<S>, port: &mut Port<'_, Self>) {
        self.wake(false, house, port);
    }

    fn on_ended(&mut self, _house: &mut House<S>, port: &mut Port<'_, Self>) {
        port.finish_note();
        port.leave();
        port.close();
    }

    fn on_deadline(&mut self, house: &mut House<S>, port: &mut Port<'_, Self>) {
        match &self.phase {
            Phase::Head if self.is_in_head => self.reject(&too_slow(), b"", house, port),
            Phase::Head | Phase::Lingering(_) => port.close(),
            Phase::Busy(busy) => match busy.work {
                Work::Wait { until, .. } => self.wake(port.now() >= until, house, port),
                _ => {
                    let line = self.take_work(port);
                    self.refuse(&too_slow(), line, house, port);
                }
            },
            Phase::Stream(heartbeat) => {
                let heartbeat: Bytes = (**heartbeat).clone();
                port.finish_note();
                port.desk().extend_from_slice(&heartbeat);
                self.expect_silence(house, port);
            }
            Phase::Away(_) | Phase::Sending(_) => {}
        }
    }

    fn on_panic(&mut self, _house: &mut House<S>, port: &mut Port<'_, Self>) {
        log::error!("a handler panicked; its connection, from {}, is closed", self.peer.ip);
        self.take_work(port);
        port.leave();
        if self.exchange.owes_answer() {
            port.desk().extend_from_slice(BROKEN);
        }
        // Whatever state it is in, nothing of it is read any more; but the client may still be sending.
        self.linger(port);
    }

    fn on_close(self, _house: &mut House<S>, yard: &mut Yard<Self>) {
        let nobody = Key { index: u32::MAX, age: 0 };
        match self.phase {
            Phase::Busy(busy) => {
                if let Work::Receive(pump) = busy.work
                    && let Some(sink) = pump.abandon()
                {
                    yard.spawn(nobody, Lane::Files, move || drop_there(sink));
                }
            }
            Phase::Sending(pull) => {
                if let Some(source) = pull.abandon() {
                    yard.spawn(nobody, Lane::Files, move || drop_there(source));
                }
            }
            _ => {}
        }
    }

    fn on_orphan(done: Done<S>, house: &mut House<S>, yard: &mut Yard<Self>) {
        let key = Key { index: u32::MAX, age: 0 };
        let peer = Peer { ip: IpAddr::from([0, 0, 0, 0]), port: 0 };
        match done {
            Done::Step(step) | Done::Sunk(Sunk::Finished(step)) => {
                let reply = step(&mut house.state, &mut context(yard, house.answers, peer));
                follow_orphan(reply, house, yard, key);
            }
            Done::Sunk(Sunk::Home(sink, _)) => yard.spawn(key, Lane::Files, move || drop_there(sink)),
            Done::Drawn(drawn) => yard.spawn(key, Lane::Files, move || drop_there(drawn.into_source())),
            Done::Sunk(Sunk::Refused(_)) | Done::Dropped => {}
        }
    }

    fn on_orphan_verdict(decided: Decided<S>, verdict: Verdict, house: &mut House<S>, yard: &mut Yard<Self>) {
        let peer = Peer { ip: IpAddr::from([0, 0, 0, 0]), port: 0 };
        let reply = decided(&mut house.state, verdict, &mut context(yard, house.answers, peer));
        follow_orphan(reply, house, yard, Key { index: u32::MAX, age: 0 });
    }

    fn on_signal(signal: Signal, _house: &mut House<S>, yard: &mut Yard<Self>) {
        if signal == Signal::Status {
            log::info!(
                "{:?}, {} listening, {} helpers' jobs",
                yard.counts,
                yard.hub.listeners(),
                yard.jobs_out(Lane::Files)
            );
        }
    }

    fn peer_ip(&self) -> IpAddr {
        self.peer.ip
    }

    fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Head) && self.exchange.is_between() && !self.is_in_head
    }
}

impl<S: State> Connection<S> {
    /// A body of known length has come to its end.
    fn finish_length(&mut self, house: &mut House<S>, port: &mut Port<'_, Self>) {
        let mut table = HeaderTable::new();
        if let Ok((0, Event::End)) = self.exchange.read(b"", &mut table, &house.rules.heads) {
            self.end_body(house, port);
        }
    }
}
