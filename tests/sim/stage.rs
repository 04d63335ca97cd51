//! Where a story is played: the loop, its world, and the clients at the other end of the wires.

use hythe::clock::Moment;
use hythe::reactor::Reactor;
use hythe::reactor::slot::{Brought, Marks};
use hythe::reactor::system::{Lane, Signal};
use hythe::server::Server;
use hythe::server::connection::{Connection, Done};
use hythe::server::house::Rules;
use hythe::server::reply::State;

use crate::client::Client;
use crate::dice::{Dice, Odds};
use crate::disk::{IN_JOB, MemoryDisk};
use crate::net;
use crate::truth;
use crate::world::{Keeper, World};

/// The loop in the small world.
pub type Loop<S> = Reactor<Connection<S>, World<Brought<Done<S>>, <S as State>::Entry>>;

pub struct Stage<S: State> {
    pub reactor: Loop<S>,
    pub net: net::Shared,
    pub truth: truth::Shared,
    pub disks: Vec<MemoryDisk>,
    pub dice: Dice,
    pub clients: Vec<Client>,
    pub connections_max: usize,
    /// How long the loop is left alone when no client wants anything.
    pub pace_ms: u64,
    /// How many handlers are expected to panic, at most.
    pub panics_max: u64,
    pub turns: u64,
}

/// What a stage is built of.
pub struct Parts<S: State> {
    pub server: Server<S>,
    pub rules: Rules,
    pub marks: Marks,
    pub keeper: Keeper<S::Entry>,
    pub net: net::Shared,
    pub truth: truth::Shared,
    pub disks: Vec<MemoryDisk>,
    pub dice: Dice,
}

impl<S: State> Stage<S> {
    pub fn new(parts: Parts<S>) -> Stage<S> {
        let Parts { server, rules, marks, keeper, net, truth, disks, dice } = parts;
        let connections_max = marks.connections_max;
        IN_JOB.set(false);
        truth.borrow_mut().keepalive_requests = rules.keepalive_requests;
        let reactor = server.in_world(World::new(net.clone(), keeper), rules, marks);
        Stage {
            reactor,
            net,
            truth,
            disks,
            dice,
            clients: Vec::new(),
            connections_max,
            pace_ms: 1000,
            panics_max: 0,
            turns: 0,
        }
    }

    pub fn now(&self) -> u64 {
        self.net.borrow().now
    }

    /// Clients whose time has come do what they do next; then one turn of the loop; then what must always hold is checked.
    pub fn turn(&mut self) {
        let now = self.now();
        {
            let (mut net, mut truth) = (self.net.borrow_mut(), self.truth.borrow_mut());
            for client in &mut self.clients {
                if client.next_at().is_some_and(|at| at <= now) {
                    client.step(&mut net, &mut truth, &mut self.dice);
                }
            }
        }
        let next = self.clients.iter().filter_map(Client::next_at).min().unwrap_or(now + self.pace_ms);
        self.reactor.turn(Some(Moment::from_millis(next.max(now + 1)))).expect("a turn does not fail");
        self.turns += 1;
        self.check();
    }

    /// What holds after every turn.
    fn check(&mut self) {
        let connections = self.reactor.connections();
        assert!(connections <= self.connections_max, "{connections} connections are too many");
        let (_, yard) = self.reactor.parts();
        assert!(yard.counts.panics <= self.panics_max, "a protocol panicked");
        assert_eq!(yard.counts.connections, connections as u64);
        assert!(yard.hub.listeners() <= connections);
        if yard.counts.evicted + yard.counts.refused > 0 {
            self.truth.borrow_mut().excuses.eviction = true;
        }
    }

    /// Turns until `done`; says whether it came to that within so many turns and so much time.
    pub fn run(&mut self, turns: u64, time_ms: u64, mut done: impl FnMut(&mut Stage<S>) -> bool) -> bool {
        let until = self.now() + time_ms;
        for _ in 0..turns {
            if done(self) {
                return true;
            }
            if self.now() > until {
                return false;
            }
            self.turn();
        }
        done(self)
    }

    pub fn are_content(&mut self) -> bool {
        let truth = self.truth.borrow();
        self.clients.iter().all(|client| client.is_content(&truth))
    }

    /// The faults stop: wires are wide, helpers quick, clients awake.
    pub fn calm_down(&mut self) {
        {
            let mut net = self.net.borrow_mut();
            net.odds = Odds::calm();
            let now = net.now;
            let room = net.odds.room;
            for wire in &mut net.wires {
                wire.widen(room, now);
            }
            for client in &mut self.clients {
                client.calm_down(now);
            }
        }
        self.disks.iter().for_each(MemoryDisk::calm);
        self.reactor.system().release();
    }

    /// All that is unfinished finishes.
    pub fn finish(&mut self) {
        self.calm_down();
        let is_done = |stage: &mut Stage<S>| {
            stage.make_room();
            stage.are_content()
        };
        if !self.run(60_000, 25_000, is_done) {
            let truth = self.truth.borrow();
            let waiting: Vec<&Client> = self.clients.iter().filter(|client| !client.is_content(&truth)).collect();
            panic!("these clients wait for ever: {waiting:#?}");
        }
    }

    /// Where there are fewer places than clients, whoever listens and has heard all makes room: nobody else can.
    fn make_room(&mut self) {
        if self.clients.len() > self.connections_max {
            let (truth, now) = (self.truth.borrow(), self.now());
            let listeners = self.clients.iter_mut().filter(|client| client.listens() && client.is_content(&truth));
            listeners.for_each(|client| client.leave(now, false));
        }
    }

    /// All clients go; nothing may be left of them.
    pub fn empty(&mut self) {
        let now = self.now();
        for client in &mut self.clients {
            let breaks_off = self.dice.chance(50);
            client.leave(now, breaks_off);
        }
        let is_empty = self.run(20_000, 9_000, |stage| {
            stage.clients.iter().all(|client| client.is_gone) && stage.reactor.connections() == 0 && stage.jobs() == 0
        });
        assert!(is_empty, "{} connections and {} jobs are left", self.reactor.connections(), self.jobs());
        self.check_empty();
        // Whatever hangs on the wheel falls, and is nobody's; then the loop sleeps for ever.
        for _ in 0..2_000 {
            self.reactor.turn(None).expect("a turn does not fail");
            if self.reactor.system().sleeps_for_ever {
                return;
            }
        }
        panic!("nobody is there, and the loop does not sleep");
    }

    /// Jobs that are out, by the loop's count and by the world's.
    fn jobs(&mut self) -> usize {
        let (_, yard) = self.reactor.parts();
        let counted = [Lane::Files, Lane::Writes, Lane::Bodies, Lane::Hash]
            .iter()
            .map(|&lane| yard.jobs_out(lane))
            .sum::<usize>();
        counted + yard.promises() + self.reactor.system().jobs()
    }

    fn check_empty(&mut self) {
        let (house, yard) = self.reactor.parts();
        assert_eq!(yard.hub.listeners(), 0, "nobody listens any more");
        let answers: u64 = yard.tally.sum(0..600);
        let is_logged = house.access.is_some();
        assert!(self.disks.iter().all(|disk| disk.drafts() == 0), "no temporary file is left");
        if is_logged {
            assert_eq!(self.reactor.system().lines as u64, answers, "each answer has its line in the log");
        }
    }

    /// The operator asks for the end: streams end, polls are answered, idle connections close, and the run is over in time.
    pub fn drain(&mut self, drain_ms: u64) {
        self.truth.borrow_mut().excuses.drain = true;
        self.reactor.system().signal(Signal::Drain);
        let is_over = self.run(100_000, drain_ms + 1_000, |stage| stage.reactor.is_over());
        assert!(is_over, "the house does not close: {} connections", self.reactor.connections());
    }

    /// Takes the stage down: whatever the loop and its helpers still held leaves nothing behind. Returns the trace.
    pub fn strike(self) -> u64 {
        let (net, disks) = (self.net.clone(), self.disks.clone());
        // The process ends: blocking does not matter any more.
        IN_JOB.set(true);
        drop(self);
        IN_JOB.set(false);
        assert!(disks.iter().all(|disk| disk.drafts() == 0), "no temporary file is left when the house has closed");
        net.borrow().trace
    }
}
