//! How a connection follows a reply: at once, through a helper, the ledger or somebody of the program, or when there is news.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::http::fault::Fault;
use crate::http::status::Status;
use crate::reactor::slot::Port;
use crate::reactor::system::Lane;
use crate::server::access::Line;
use crate::server::connection::state::{
    Asked, Busy, Connection, Done, Phase, Promise, Waiting, Work, context, drop_there, follow_orphan, orphans_context,
    overloaded, too_large,
};
use crate::server::house::House;
use crate::server::later::Ticket;
use crate::server::pump::Pump;
use crate::server::reply::{Again, Reply, State, Step};

impl<S: State> Connection<S> {
    /// Makes happen what a reply says.
    pub(super) fn follow(
        &mut self,
        reply: Reply<S>,
        line: Option<Box<Line>>,
        house: &mut House<S>,
        port: &mut Port<'_, Self>,
    ) {
        match reply {
            Reply::Send(response) => self.answer(response, Asked::Kept(line), house, port),
            Reply::Refuse(fault) => {
                if fault.status == Status::BAD_REQUEST {
                    self.tell_bad_body(&fault);
                }
                self.refuse(&fault, line, house, port);
            }
            Reply::Collect { most, then } => {
                if !self.exchange.has_body() {
                    let reply = then(&mut house.state, Vec::new(), &mut context(port.yard, self.peer));
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
                    port.spawn(Lane::Writes, move || drop_there(sink));
                    return self.refuse(&too_large(most), line, house, port);
                }
                let mut pump = Pump::new(sink, most, &house.bodies);
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
                let writes = lane == Lane::Writes;
                let lane = if writes { house.bodies.writers() } else { lane };
                if !port.yard.has_room(lane) {
                    if writes {
                        // What it has in hand may block whoever lets go of it.
                        port.spawn(Lane::Files, move || drop_there(task));
                    }
                    return self.refuse(&overloaded(), line, house, port);
                }
                port.spawn(lane, move || Done::Step(task()));
                self.go_away(line, port);
            }
            Reply::Later(ticket) => self.wait_for(ticket, line, port),
            Reply::Within(ticket, lane, task) => {
                if !port.yard.has_room(lane) {
                    return self.refuse(&overloaded(), line, house, port);
                }
                let number = ticket.number;
                // The connection may be at its next request by then, whose mistake it is not.
                port.spawn(lane, move || match catch_unwind(AssertUnwindSafe(task)) {
                    Ok(step) => Done::Late(number, step),
                    Err(_) => Done::Spoilt(number),
                });
                self.wait_for(ticket, line, port);
            }
            Reply::Keep(entry, decided) => {
                port.keep(*entry, Promise::Reply(decided));
                self.go_away(line, port);
            }
            Reply::Wait { topic, until, outlasts, again } => {
                if !outlasts && (port.yard.is_closing || port.has_ended()) {
                    return self.ask_again(again, true, line, house, port);
                }
                port.wait_for(topic);
                self.begin(Work::Wait { until, outlasts, again }, line, house, port);
                port.deadline(until);
            }
            Reply::Stream { head, talk } => self.begin_stream(&head, talk, line, house, port),
            Reply::Talk(handshake, talk) => self.begin_talk(&handshake, talk, line, house, port),
        }
    }

    pub(super) fn begin(
        &mut self,
        work: Work<S>,
        line: Option<Box<Line>>,
        house: &House<S>,
        port: &mut Port<'_, Self>,
    ) {
        self.phase = Phase::Busy(Box::new(Busy { work, line, began: port.now(), received: 0, stopped: None }));
        port.deadline(port.now().plus(house.rules.body_idle_ms));
        port.resume();
    }

    /// Somebody else has the work: the client's further input waits.
    pub(super) fn go_away(&mut self, line: Option<Box<Line>>, port: &mut Port<'_, Self>) {
        self.phase = Phase::Away(line);
        port.no_deadline();
        port.pause();
    }

    pub(super) fn ask_again(
        &mut self,
        again: Again<S>,
        is_over: bool,
        line: Option<Box<Line>>,
        house: &mut House<S>,
        port: &mut Port<'_, Self>,
    ) {
        let mut cx = context(port.yard, self.peer);
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
    pub(super) fn wake(&mut self, is_over: bool, house: &mut House<S>, port: &mut Port<'_, Self>) {
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

    /// Somebody else has the answer.
    pub(super) fn wait_for(&mut self, ticket: Ticket, line: Option<Box<Line>>, port: &mut Port<'_, Self>) {
        port.deadline(ticket.until);
        self.phase = Phase::Later(Box::new(Waiting { ticket, line }));
        port.pause();
    }

    pub(super) fn waits_for(&self, number: u64) -> bool {
        matches!(&self.phase, Phase::Later(waiting) if waiting.ticket.number == number)
    }

    /// An answer has come from elsewhere; it may be too late.
    pub(super) fn take_late(&mut self, number: u64, step: Step<S>, house: &mut House<S>, port: &mut Port<'_, Self>) {
        if self.waits_for(number) {
            return self.step(step, house, port);
        }
        let reply = step(&mut house.state, &mut orphans_context(port.yard, self.peer));
        follow_orphan(reply, house, port.yard, port.key);
    }

    /// No answer has come in time.
    pub(super) fn give_up_waiting(&mut self, house: &mut House<S>, port: &mut Port<'_, Self>) {
        if let Phase::Later(waiting) = &self.phase {
            let Ticket { route, within_ms, .. } = &waiting.ticket;
            log::error!("{route} was not answered within {within_ms} ms: its client is told 504");
        }
        let line = self.take_work(port);
        let fault = Fault::new(Status::GATEWAY_TIMEOUT, "no_answer", "the answer took too long");
        self.refuse(&fault, line, house, port);
    }

    pub(super) fn step(&mut self, step: Step<S>, house: &mut House<S>, port: &mut Port<'_, Self>) {
        let line = self.take_work(port);
        let reply = step(&mut house.state, &mut context(port.yard, self.peer));
        self.follow(reply, line, house, port);
    }
}
