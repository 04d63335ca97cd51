//! How a connection answers: heads, bodies, refusals, and what may follow.

use bytes::Bytes;

use crate::clock::Moment;
use crate::http::exchange::{Length, Next};
use crate::http::fault::Fault;
use crate::http::framing::Encoder;
use crate::http::response::{Body, Piece, Response};
use crate::http::status::Status;
use crate::reactor::slot::Port;
use crate::reactor::system::{Entrance, Lane};
use crate::server::access::{Line, write_escaped};
use crate::server::connection::state::{
    Asked, Busy, COPIED_MAX, Connection, Done, Phase, Work, done_there, drop_there, send,
};
use crate::server::house::{EXPOSED_HEADERS, House};
use crate::server::pull::{self, Drawn, Pull};
use crate::server::reply::State;

/// After an early refusal: how long the client may be silent, and may go on sending in all, before it is cut off.
pub(super) const LINGER_SILENCE_MS: u64 = 2_000;
const LINGER_MS: u64 = 30_000;

/// Who has been silent for less is taken to be sending still, and keeps its place though others wait for one: closing it would
/// answer what it sends with a reset. Longer than a packet is under way.
pub(super) const LINGER_SENDING_MS: u64 = 250;

/// So much is shown of what is no message.
const SHOWN_MAX: usize = 80;

/// What may be shown of bytes that are no message: the line of a request, or what no letters are in. Credentials stand in what
/// follows such a line, and in a body that was taken for the next request.
fn beginning(input: &[u8]) -> &[u8] {
    let line = &input[..input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len()).min(SHOWN_MAX)];
    let method = line.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    let is_request = method > 0 && (line[method..].starts_with(b" /") || line[method..].starts_with(b" *"));
    let shown = if is_request { line.len() } else { line.iter().take_while(|byte| !byte.is_ascii_graphic()).count() };
    &line[..shown]
}

/// The same, for a line of the log.
#[cold]
pub(super) fn shown(input: &[u8]) -> String {
    let mut shown = Vec::new();
    write_escaped(beginning(input), &mut shown);
    String::from_utf8_lossy(&shown).into_owned()
}

/// What has been given of an answer, in bytes.
#[derive(Clone, Copy)]
pub(super) struct Given {
    status: Status,
    head: usize,
    body: u64,
    /// Whether its body is still to be drawn.
    is_drawn: bool,
}

impl Given {
    /// An answer whose body is not counted.
    pub(super) fn head_of(response: &Response) -> Given {
        Given { status: response.status, head: 0, body: 0, is_drawn: false }
    }
}

impl<S: State> Connection<S> {
    /// Gives an answer.
    #[inline]
    pub(super) fn answer(
        &mut self,
        mut response: Response,
        source: Asked<'_, '_>,
        house: &mut House<S>,
        port: &mut Port<'_, Self>,
    ) {
        if self.stamp != 0 {
            house.stamp(self.stamp, &mut response);
        }
        let length = response.body.length().map_or(Length::Chunked, Length::Known);
        let (encoder, head) = self.write_head(&response, length, house, port);
        let mut given = Given { status: response.status, head, body: 0, is_drawn: false };
        if encoder == Encoder::Silent {
            if let Body::Stream(source) = response.body {
                port.spawn(Lane::Files, move || drop_there(source));
            }
        } else {
            given.body = response.body.length().unwrap_or(0);
            match response.body {
                Body::Empty => {}
                Body::Bytes(bytes) => send(bytes, port),
                Body::Behind(length) if length <= COPIED_MAX => port.desk().extend_from_slice(response.behind()),
                Body::Behind(_) => port.send_bytes(response.into_behind()),
                Body::File(span) => port.send_file(span),
                Body::Pieces(pieces) => {
                    for piece in pieces {
                        match piece {
                            Piece::Bytes(bytes) => send(bytes, port),
                            Piece::File(span) => port.send_file(span),
                        }
                    }
                }
                Body::Stream(drawn) => {
                    given = Given { body: 0, is_drawn: true, ..given };
                    self.note(given, source, house, port);
                    return self.begin_sending(Pull::new(drawn, encoder), port);
                }
            }
        }
        self.note(given, source, house, port);
        let next = self.exchange.end(true);
        self.conclude(next, house, port);
    }

    /// The head is on the desk, and its body is still to be made.
    #[inline(never)]
    pub(super) fn begin_sending(&mut self, mut pull: Pull, port: &mut Port<'_, Self>) {
        if let Some(trip) = pull.trip() {
            port.spawn(Pull::LANE, move || Done::Drawn(trip()));
        }
        self.phase = Phase::Sending(Box::new(pull));
        // While the client reads, the outbox's patience counts; while we think, nothing does.
        port.no_deadline();
        port.pause();
    }

    /// What was drawn leaves as soon as what was drawn before has; then the source is drawn from again.
    pub(super) fn send_on(&mut self, house: &mut House<S>, port: &mut Port<'_, Self>) {
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
                if let Some(access) = &mut house.access {
                    access.grow(port.key, window.len() as u64);
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

    pub(super) fn end_sending(&mut self, house: &mut House<S>, port: &mut Port<'_, Self>) {
        let Phase::Sending(pull) = &mut self.phase else { return };
        if !pull.encoder.end(port.desk()) {
            return self.break_off(&"its body is shorter than was said", house, port);
        }
        self.take_work(port);
        // What is still on the desk leaves at once, as a rule, and the line of the log is held until it has.
        port.tell_drained();
        let next = self.exchange.end(true);
        self.conclude(next, house, port);
    }

    /// The answer cannot be given to its end. Its client sees that from the missing end.
    pub(super) fn break_off(&mut self, why: &dyn std::fmt::Display, house: &mut House<S>, port: &mut Port<'_, Self>) {
        log::warn!("an answer to {} breaks off: {why}", self.peer.ip);
        self.take_work(port);
        let next = self.exchange.end(false);
        self.conclude(next, house, port);
    }

    pub(super) fn take_drawn(&mut self, drawn: Drawn, house: &mut House<S>, port: &mut Port<'_, Self>) {
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
    pub(super) fn write_head(
        &mut self,
        response: &Response,
        length: Length,
        house: &mut House<S>,
        port: &mut Port<'_, Self>,
    ) -> (Encoder, usize) {
        let before = port.desk().len();
        let keep = house.keep_alive(port.yard.is_closing);
        let wall = port.yard.wall;
        let encoder = if self.cors > 0 {
            let origin = house.rules.cors_origins[usize::from(self.cors) - 1].clone();
            let lines = format!(
                "Access-Control-Allow-Origin: {origin}\r\nAccess-Control-Expose-Headers: {EXPOSED_HEADERS}\r\nVary: Origin\r\n"
            );
            let common = [house.common(wall, true), lines.as_bytes()].concat();
            self.exchange.begin(response, length, &common, &keep, port.desk())
        } else if !house.rules.cors_origins.is_empty() {
            // A cache must not give what this one was told to an origin that may read it.
            let common = [house.common(wall, false), b"Vary: Origin\r\n"].concat();
            self.exchange.begin(response, length, &common, &keep, port.desk())
        } else if house.rules.hsts_seconds > 0 && self.peer.entrance == Entrance::Secure {
            let line = format!("Strict-Transport-Security: max-age={}\r\n", house.rules.hsts_seconds);
            let common = [house.common(wall, false), line.as_bytes()].concat();
            self.exchange.begin(response, length, &common, &keep, port.desk())
        } else {
            let common = house.common(wall, false);
            self.exchange.begin(response, length, common, &keep, port.desk())
        };
        (encoder, port.desk().len() - before)
    }

    /// Writes the answer after which the connection is no longer one of HTTP.
    #[inline(never)]
    pub(super) fn write_upgrade(
        &mut self,
        response: &Response,
        asked: Asked<'_, '_>,
        house: &mut House<S>,
        port: &mut Port<'_, Self>,
    ) {
        let common = house.common(port.yard.wall, false);
        self.exchange.switch(response, common, port.desk());
        self.note(Given::head_of(response), asked, house, port);
    }

    /// Counts an answer and writes its line of the access log, or keeps it until all of the answer has left.
    #[inline]
    pub(super) fn note(&self, given: Given, asked: Asked<'_, '_>, house: &mut House<S>, port: &mut Port<'_, Self>) {
        let Given { status, head, body, is_drawn } = given;
        port.yard.tally.add(usize::from(status.code()));
        let Some(access) = &mut house.access else { return };
        if is_drawn || port.has_outbox() {
            let (line, ip) = match asked {
                Asked::Request(request, ip) => (Some(Box::new(Line::of(request, ip))), ip),
                Asked::Kept(line) => (line, self.peer.ip),
            };
            return access.hold(port.key, line, ip, status, head as u64, body);
        }
        let (wall, log) = (port.yard.wall, &mut port.yard.log);
        match asked {
            Asked::Request(request, ip) => access.note(request, ip, status, body, wall, log),
            Asked::Kept(line) => access.note_kept(line.as_deref(), self.peer.ip, status, body, wall, log),
        }
    }

    /// Everything that was given has left: what was held for the access log is written.
    pub(super) fn release_lines(&self, house: &mut House<S>, port: &mut Port<'_, Self>) {
        if let Some(access) = &mut house.access
            && access.holds_any()
            && !port.has_outbox()
            && !matches!(self.phase, Phase::Sending(_))
        {
            access.release(port.key, 0, port.yard.wall, &mut port.yard.log);
        }
    }

    /// What follows an answer.
    #[inline]
    pub(super) fn conclude(&mut self, next: Next, house: &House<S>, port: &mut Port<'_, Self>) {
        // A next head that is malformed is not from whom this request was.
        (self.cors, self.stamp) = (0, 0);
        self.wants_page = false;
        if !matches!(self.phase, Phase::Head) {
            // Whatever the request had been waiting for is over; what came behind it is read on.
            self.phase = Phase::Head;
            port.leave();
            port.resume();
        }
        match next {
            Next::Again => port.deadline(port.now().plus(house.rules.keepalive_ms)),
            // What is left of the body is little, but its client has no more time for it than one that is told to close.
            Next::Discard => {
                self.phase = Phase::Discarding(port.now().plus(LINGER_MS));
                port.deadline(port.now().plus(LINGER_SILENCE_MS));
            }
            Next::Close => port.close(),
            Next::Linger => self.linger(port),
        }
    }

    /// The last answer is on its way, and the client may still be sending. Closing with unread bytes would reset the connection
    /// and take the answer with it (RFC 9112, section 9.6).
    pub(super) fn linger(&mut self, port: &mut Port<'_, Self>) {
        self.linger_for(LINGER_MS, port);
    }

    /// The same, for no longer than this.
    pub(super) fn linger_for(&mut self, most_ms: u64, port: &mut Port<'_, Self>) {
        self.linger_until(port.now().plus(most_ms), port);
    }

    /// The same, until then at the latest.
    pub(super) fn linger_until(&mut self, until: Moment, port: &mut Port<'_, Self>) {
        if port.has_ended() {
            return port.close();
        }
        self.phase = Phase::Lingering(until);
        port.resume();
        port.finish();
        port.deadline(until.min(port.now().plus(LINGER_SILENCE_MS)));
    }

    /// Refuses; if nothing can be answered any more, ends.
    #[cold]
    pub(super) fn refuse(
        &mut self,
        fault: &Fault,
        line: Option<Box<Line>>,
        house: &mut House<S>,
        port: &mut Port<'_, Self>,
    ) {
        if !self.exchange.can_answer() {
            return self.linger(port);
        }
        if fault.closes {
            self.exchange.make_last();
        }
        let response = house.refusal(fault, self.wants_page);
        self.answer(response, Asked::Kept(line), house, port);
    }

    /// The message itself is wrong: nothing of what follows can be read.
    #[cold]
    pub(super) fn reject(&mut self, fault: &Fault, input: &[u8], house: &mut House<S>, port: &mut Port<'_, Self>) {
        log::info!(
            "{} is refused with {} {}: {} in \"{}\"",
            self.peer.ip,
            fault.status.code(),
            fault.code,
            fault.detail,
            shown(input)
        );
        self.is_in_head = false;
        let line = self.take_work(port);
        self.refuse(fault, line, house, port);
    }

    /// A line of the log for a body that makes no sense or does not come; its head, which did, has gone.
    #[cold]
    pub(super) fn tell_bad_body(&self, fault: &Fault) {
        let mut shown = Vec::new();
        write_escaped(fault.detail.as_bytes(), &mut shown);
        let (ip, status, code) = (self.peer.ip, fault.status.code(), fault.code);
        log::info!("{ip} is refused with {status} {code}: {}", String::from_utf8_lossy(&shown));
    }

    /// Drops what was being done; what it holds goes where dropping may block. Gives its line back.
    pub(super) fn take_work(&mut self, port: &mut Port<'_, Self>) -> Option<Box<Line>> {
        match std::mem::replace(&mut self.phase, Phase::Head) {
            Phase::Busy(busy) => {
                let Busy { work, line, .. } = *busy;
                if let Work::Receive(pump) = work
                    && let Some(rest) = pump.abandon()
                {
                    port.spawn(Lane::Writes, move || done_there(rest));
                }
                port.resume();
                line
            }
            Phase::Later(waiting) => {
                port.resume();
                waiting.line
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_is_no_message_nothing_is_shown_that_could_be_a_secret() {
        for (input, shown) in [
            (&b"GET /a\x1b HTTP/1.1\r\nAuthorization: Bearer hush\r\n"[..], &b"GET /a\x1b HTTP/1.1\r"[..]),
            (b"OPTIONS * HTTP/1.1\nCookie: hush", b"OPTIONS * HTTP/1.1"),
            (b"Authorization: Bearer hush\r\n\r\n", b""),
            (b"\"password\":\"hush\"}", b""),
            (b"HUSH", b""),
            (b"\x16\x03\x01\x02hush", b"\x16\x03\x01\x02"),
            (b"", b""),
        ] {
            assert_eq!(beginning(input), shown, "{}", input.escape_ascii());
        }
        assert_eq!(beginning(&[b"GET /", &[b'a'; 200][..]].concat()).len(), SHOWN_MAX);
    }
}
