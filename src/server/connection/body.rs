//! How a connection takes a request's body: in memory, or through a pump to a helper.

use crate::http::exchange::Event;
use crate::http::request::HeaderTable;
use crate::reactor::slot::Port;
use crate::reactor::system::Lane;
use crate::server::connection::answer::LINGER_SILENCE_MS;
use crate::server::connection::state::{
    Busy, Connection, Done, Phase, Work, context, drop_there, follow_orphan, orphans_context, too_large, too_slow,
};
use crate::server::house::House;
use crate::server::pump::Sunk;
use crate::server::reply::{Reply, State};

impl<S: State> Connection<S> {
    /// Content of a body has come.
    pub(super) fn take_body(&mut self, bytes: &[u8], house: &mut House<S>, port: &mut Port<'_, Self>) {
        let busy = match &mut self.phase {
            Phase::Busy(busy) => busy,
            Phase::Discarding(until) => return port.deadline((*until).min(port.now().plus(LINGER_SILENCE_MS))),
            _ => return,
        };
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
    pub(super) fn body_goes_on(&mut self, house: &mut House<S>, port: &mut Port<'_, Self>) {
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
    pub(super) fn check_announced(&mut self, house: &mut House<S>, port: &mut Port<'_, Self>) {
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
    pub(super) fn end_body(&mut self, house: &mut House<S>, port: &mut Port<'_, Self>) {
        match &mut self.phase {
            Phase::Busy(busy) => match &mut busy.work {
                Work::Receive(pump) => {
                    pump.complete();
                    self.pump(house, port);
                }
                Work::Collect { .. } => {
                    let Phase::Busy(busy) = std::mem::replace(&mut self.phase, Phase::Head) else { return };
                    let Busy { work: Work::Collect { bytes, then, .. }, line, .. } = *busy else { return };
                    let reply = then(&mut house.state, bytes, &mut context(port.yard, self.peer));
                    self.follow(reply, line, house, port);
                }
                Work::Wait { .. } => {}
            },
            // What was to be thrown away has been.
            Phase::Discarding(_) if port.yard.is_closing => port.close(),
            Phase::Discarding(_) => {
                self.phase = Phase::Head;
                port.deadline(port.now().plus(house.rules.keepalive_ms));
            }
            _ => {}
        }
    }

    /// Sends a sink on its way if there is something worth it, and stops reading while there is no room. The client has a
    /// deadline only while it is its turn.
    pub(super) fn pump(&mut self, house: &House<S>, port: &mut Port<'_, Self>) {
        let Phase::Busy(busy) = &mut self.phase else { return };
        let Work::Receive(pump) = &mut busy.work else { return };
        let lane = pump.lane();
        if let Some(trip) = pump.trip() {
            port.spawn(lane, move || Done::Sunk(trip()));
        }
        if !self.exchange.has_body() {
            // All of it has come: what follows waits for the answer, the client's end too.
            port.pause();
            return port.no_deadline();
        }
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
        port.deadline(port.now().plus(house.rules.body_idle_ms));
    }

    pub(super) fn take_sunk(&mut self, sunk: Sunk<S>, house: &mut House<S>, port: &mut Port<'_, Self>) {
        match (&mut self.phase, sunk) {
            (Phase::Busy(busy), Sunk::Home(sink, window)) => match &mut busy.work {
                Work::Receive(pump) => {
                    pump.come_home(sink, window);
                    if pump.is_broken() {
                        self.take_work(port);
                        return port.close();
                    }
                    self.pump(house, port);
                }
                _ => port.spawn(Lane::Writes, move || drop_there(sink)),
            },
            (Phase::Busy(_), Sunk::Finished(step)) => {
                let line = self.take_work(port);
                let reply = step(&mut house.state, &mut context(port.yard, self.peer));
                self.follow(reply, line, house, port);
            }
            (Phase::Busy(_), Sunk::Refused(fault)) => {
                let line = self.take_work(port);
                self.follow(Reply::Refuse(fault), line, house, port);
            }
            // The upload was refused or given up while the sink was away.
            (_, Sunk::Home(sink, _)) => port.spawn(Lane::Writes, move || drop_there(sink)),
            (_, Sunk::Finished(step)) => {
                let reply = step(&mut house.state, &mut orphans_context(port.yard, self.peer));
                follow_orphan(reply, house, port.yard, port.key);
            }
            (_, Sunk::Refused(_)) => {}
        }
    }

    /// A body of known length has come to its end.
    pub(super) fn finish_length(&mut self, house: &mut House<S>, port: &mut Port<'_, Self>) {
        let mut table = HeaderTable::new();
        if let Ok((0, Event::End)) = self.exchange.read(b"", &mut table, &house.rules.heads) {
            self.end_body(house, port);
        }
    }
}
