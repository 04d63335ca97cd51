//! A client: a script of requests, a way of sending and reading, and a way of leaving. It checks every answer as it comes, and
//! at the end that it got what it was owed.

use std::collections::VecDeque;
use std::fmt;

use hythe::reactor::system::{Entrance, Peer};

use crate::answer::{Reader, Said};
use crate::ask::{Ask, Hearing, Want};
use crate::dice::Dice;
use crate::net::{Ended, Net};
use crate::truth::Truth;

/// How a client leaves when its script is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Ends its half and waits for the server to close.
    Fin,
    /// Ends its half as soon as all requests are sent, before their answers.
    HalfClose,
    /// Breaks off.
    Reset,
    /// Stays until it is told to leave.
    Stay,
}

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct Style {
    /// How much it sends at a time, at most.
    pub piece: usize,
    /// How much it reads at a time, at most.
    pub gulp: usize,
    /// How long it pauses between two deeds, at most.
    pub pause_ms: u64,
    /// How many requests it has under way.
    pub depth: usize,
    /// Stops reading when so much has come, for so long.
    pub stall: Option<(u64, u64)>,
    /// Leaves at this moment, in whatever it is.
    pub leaves_at: Option<(u64, bool)>,
    pub ending: Ending,
}

impl Style {
    /// Quick and well-behaved.
    pub fn plain() -> Style {
        Style {
            piece: usize::MAX,
            gulp: usize::MAX,
            pause_ms: 1,
            depth: 1,
            stall: None,
            leaves_at: None,
            ending: Ending::Stay,
        }
    }
}

/// A client.
pub struct Client {
    pub style: Style,
    peer: Peer,
    wire: Option<usize>,
    asks: VecDeque<Ask>,
    /// Requests that are sent, or being sent, and not answered.
    under_way: VecDeque<Ask>,
    outgoing: Vec<u8>,
    sent: usize,
    /// The last request under way is not all sent.
    is_sending: bool,
    reader: Reader,
    hearing: Option<Hearing>,
    pub answered: u32,
    came: u64,
    next_at: u64,
    last_read: u64,
    last_answer: u64,
    went_on: bool,
    stalled_until: Option<u64>,
    has_shut: bool,
    was_rude: bool,
    is_calm: bool,
    pub is_gone: bool,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("port", &self.peer.port)
            .field("wire", &self.wire)
            .field("style", &self.style)
            .field("asks", &self.asks.len())
            .field("under_way", &self.under_way)
            .field("outgoing", &self.outgoing.len())
            .field("reader", &self.reader)
            .field("hearing", &self.hearing)
            .field("answered", &self.answered)
            .field("came", &self.came)
            .field("last_read", &self.last_read)
            .field("last_answer", &self.last_answer)
            .field("has_shut", &self.has_shut)
            .field("is_gone", &self.is_gone)
            .finish_non_exhaustive()
    }
}

impl Client {
    pub fn new(port: u16, comes_at: u64, style: Style, asks: Vec<Ask>) -> Client {
        Client {
            style,
            // Loopback is large: some come from one address, some from another.
            peer: Peer { ip: [127, 0, 0, (port % 4) as u8 + 1].into(), port, entrance: Entrance::Plain },
            wire: None,
            asks: asks.into(),
            under_way: VecDeque::new(),
            outgoing: Vec::new(),
            sent: 0,
            is_sending: false,
            reader: Reader::default(),
            hearing: None,
            answered: 0,
            came: 0,
            next_at: comes_at,
            last_read: 0,
            last_answer: comes_at,
            went_on: false,
            stalled_until: None,
            has_shut: false,
            was_rude: false,
            is_calm: false,
            is_gone: false,
        }
    }

    /// When it does something next.
    pub fn next_at(&self) -> Option<u64> {
        (!self.is_gone).then_some(self.next_at)
    }

    /// Whether it has got all that it came for: the script is done, and of a stream all is heard.
    pub fn is_content(&self, truth: &Truth) -> bool {
        if self.is_gone {
            return true;
        }
        match &self.hearing {
            Some(hearing) => self.asks.is_empty() && hearing.has_heard(truth.last()) && hearing.is_between(),
            None => self.asks.is_empty() && self.under_way.is_empty() && self.wire.is_some(),
        }
    }

    /// Whether a stream is open.
    pub fn listens(&self) -> bool {
        self.hearing.is_some() && !self.is_gone && !self.has_shut
    }

    /// From now on it reads, sends at once, and goes only when it is told to.
    pub fn calm_down(&mut self, now: u64) {
        self.stalled_until = None;
        self.style.stall = None;
        self.style.leaves_at = None;
        self.style.pause_ms = 1;
        self.style.gulp = usize::MAX;
        self.style.piece = usize::MAX;
        self.next_at = self.next_at.min(now + 1);
        self.is_calm = true;
    }

    /// It is to leave now, in good order or not.
    pub fn leave(&mut self, now: u64, breaks_off: bool) {
        self.next_at = self.next_at.min(now + 1);
        self.style.leaves_at = Some((now, breaks_off));
    }

    /// Does what it does next.
    pub fn step(&mut self, net: &mut Net, truth: &mut Truth, dice: &mut Dice) {
        self.next_at = net.now + 1 + dice.below(self.style.pause_ms + 1);
        let Some(wire) = self.wire else {
            self.wire = Some(net.connect(self.peer));
            self.last_answer = net.now;
            self.last_read = net.now;
            return;
        };
        // Half a request is never finished, whatever the weather: its client goes.
        if self.is_calm && matches!(self.under_way.back(), Some(Ask { want: Want::Nothing, sent_at: Some(_), .. })) {
            self.style.leaves_at = Some((net.now, false));
        }
        if let Some((at, breaks_off)) = self.style.leaves_at
            && at <= net.now
            && !self.has_shut
        {
            self.was_rude |= !self.under_way.is_empty() || self.hearing.is_some();
            if breaks_off {
                net.reset(wire);
                self.is_gone = true;
                return;
            }
            self.shut(net, wire);
        }
        self.read(net, truth, wire);
        if !self.is_gone {
            self.send(net, truth, wire, dice);
        }
    }

    fn shut(&mut self, net: &mut Net, wire: usize) {
        net.shut(wire);
        self.has_shut = true;
        self.under_way.iter_mut().for_each(|ask| ask.has_ended = true);
    }

    fn read(&mut self, net: &mut Net, truth: &mut Truth, wire: usize) {
        if let Some((after, for_ms)) = self.style.stall
            && self.came >= after
        {
            self.style.stall = None;
            self.stalled_until = Some(net.now + for_ms);
        }
        if let Some(until) = self.stalled_until {
            if net.now < until {
                return;
            }
            self.stalled_until = None;
        }
        let (bytes, ended) = net.take(wire, self.style.gulp);
        self.came += bytes.len() as u64;
        self.reader.feed(&bytes);
        self.take_answers(net, truth);
        if !bytes.is_empty() {
            self.last_read = net.now;
        }
        if ended != Ended::No {
            self.farewell(ended, net, truth, wire);
        } else if net.waiting(wire) == 0 {
            self.last_read = net.now;
        }
    }

    fn take_answers(&mut self, net: &mut Net, truth: &mut Truth) {
        loop {
            let is_head = self.under_way.front().is_some_and(|ask| ask.is_head);
            let Some(said) = self.reader.next(is_head) else { return };
            if let Said::More(bytes) = said {
                self.hearing.as_mut().expect("only a stream is endless").take(&bytes, truth);
                continue;
            }
            let ask = self.under_way.front_mut().unwrap_or_else(|| panic!("nobody asked for {said:?}"));
            match said {
                Said::GoOn => {
                    assert!(!ask.after.is_empty() && !self.went_on, "nobody waits for 100: {ask:?}");
                    self.went_on = true;
                    let after = ask.after.clone();
                    self.outgoing.extend_from_slice(&after);
                    self.is_sending = true;
                }
                Said::Whole(answer) => {
                    self.answered += 1;
                    ask.check(&answer, net.now, self.answered, truth);
                    self.under_way.pop_front();
                    self.went_on = false;
                    self.last_answer = net.now;
                }
                Said::Begun(answer) => {
                    self.answered += 1;
                    ask.check(&answer, net.now, self.answered, truth);
                    let Want::Stream { since } = ask.want else { panic!("only a stream is endless: {ask:?}") };
                    self.hearing = Some(Hearing::begin(since, ask.told, truth.last()));
                    self.under_way.pop_front();
                }
                Said::More(_) => unreachable!("taken above"),
            }
        }
    }

    fn send(&mut self, net: &mut Net, truth: &Truth, wire: usize, dice: &mut Dice) {
        if self.has_shut {
            return;
        }
        if self.reader.is_over() {
            // The server has said that it was the last: a client ends too.
            return self.shut(net, wire);
        }
        let waits = self.under_way.back().is_some_and(|ask| !ask.after.is_empty());
        if self.outgoing.is_empty() && !self.is_sending && !waits && self.under_way.len() < self.style.depth {
            if let Some(mut ask) = self.asks.pop_front() {
                ask.begun_at = net.now;
                ask.told = truth.told;
                self.outgoing = ask.bytes.clone();
                self.is_sending = true;
                self.under_way.push_back(ask);
            } else if self.under_way.is_empty() && self.hearing.is_none() {
                match self.style.ending {
                    Ending::Fin | Ending::HalfClose => return self.shut(net, wire),
                    Ending::Reset => {
                        net.reset(wire);
                        self.is_gone = true;
                        return;
                    }
                    Ending::Stay => {}
                }
            }
        }
        if !self.outgoing.is_empty() {
            let piece = 1 + dice.index(self.style.piece.min(self.outgoing.len()));
            let piece = piece.max(self.outgoing.len().min(self.outgoing.len() / 100));
            let taken = net.deliver(wire, &self.outgoing[..piece]);
            self.outgoing.drain(..taken);
            self.sent += taken;
        }
        if self.outgoing.is_empty() && std::mem::take(&mut self.is_sending) {
            if let Some(ask) = self.under_way.back_mut() {
                ask.sent_at = Some(net.now);
            }
            if self.style.ending == Ending::HalfClose && self.asks.is_empty() && self.half_close_is_fair() {
                self.shut(net, wire);
            }
        }
    }

    /// A stream whose client has ended is over: so it does not half-close there.
    fn half_close_is_fair(&self) -> bool {
        self.under_way.iter().all(|ask| ask.after.is_empty() && !matches!(ask.want, Want::Stream { .. }))
    }

    /// The server has ended its half: was everything answered, or is there an excuse?
    fn farewell(&mut self, ended: Ended, net: &mut Net, truth: &Truth, wire: usize) {
        self.is_gone = true;
        let now = net.now;
        if !self.has_shut && ended == Ended::Fin && !net.is_closed(wire) {
            // The server lingers: it waits for us to end too.
            self.shut(net, wire);
        }
        let is_orderly = ended == Ended::Fin && self.reader.is_between();
        let owed = self.under_way.iter().find(|ask| ask.sent_at.is_some() && !matches!(ask.want, Want::Nothing));
        let has_all = owed.is_none() && self.under_way.iter().all(|ask| matches!(ask.want, Want::Nothing));
        if is_orderly && (has_all || self.reader.is_over()) && self.hearing.is_none() {
            return;
        }
        if let Some(hearing) = &self.hearing {
            assert!(
                ended == Ended::Reset || self.was_rude || hearing.is_between(),
                "a stream ends in the middle: {self:?}"
            );
        }
        let may_shrink = |ask: &Ask| match &ask.want {
            Want::Page(path) | Want::Part(path, ..) | Want::Parts(path) => truth.pages[path].shrinks,
            _ => false,
        };
        let was_timed_out = now - self.last_read >= 29_000
            || self.under_way.front().is_some_and(|ask| now - ask.begun_at >= 10_000)
            || now - self.last_answer >= 10_000 && self.answered == 0
            || now - self.last_answer >= 30_000;
        // What breaks off has come in part, or is still to come.
        let breaks_off = matches!(self.under_way.front(), Some(Ask { want: Want::Half, .. }));
        let is_excused = self.was_rude
            || breaks_off
            || truth.excuses.eviction
            || truth.excuses.drain
            || was_timed_out
            || self.under_way.iter().any(may_shrink)
            // A stream's reader that is too far behind has to come again; and so has one whose past no helper has time to read, for the
            // head of its answer has left when that comes out.
            || self.hearing.is_some() && (truth.may_lag() || truth.excuses.overload);
        assert!(is_excused, "{ended:?} without a reason at {now}: {self:?}");
    }
}
