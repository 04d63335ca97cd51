//! A large body on its way to a helper: a sink is at home or away, never both, and while it is away one more window fills.
//! When that is full too, reading stops, and TCP tells the client.

use std::sync::Arc;

use crate::http::fault::Fault;
use crate::reactor::system::Lane;
use crate::server::reply::{Sink, State, Step};

/// How much travels at once, at most. Large enough that the trip's price vanishes.
pub const WINDOW: usize = 256 << 10;

/// What the windows may hold that fill at the same time; as much may be away with helpers. If there are so many bodies that whole
/// windows would hold more, they get smaller ones.
const WINDOWS: usize = 8 << 20;

/// With more bodies than this at once whoever writes makes room for all others.
const CROWD: usize = 16;

/// What a body that has hardly begun is read into: ten thousand that go no further cost no more than this each.
const FIRST_ROOM: usize = 16 << 10;

/// A stretch of a body. Its bytes stay initialised from one use to the next, so that none has to be zeroed twice.
#[derive(Default)]
pub struct Window {
    bytes: Vec<u8>,
    filled: usize,
}

impl Window {
    fn make_room(&mut self, room: usize) {
        if self.bytes.len() < self.filled + room {
            self.bytes.resize(self.filled + room, 0);
        }
    }
}

/// What a helper brings back from a sink.
pub enum Sunk<S: State> {
    /// The window is written; sink and window are home.
    Home(Box<dyn Sink<S>>, Window),
    /// The body was complete, and so is the sink's work.
    Finished(Step<S>),
    /// The sink refused.
    Refused(Fault),
}

/// A body being received.
pub struct Pump<S: State> {
    /// At home; `None` while a helper has it.
    sink: Option<Box<dyn Sink<S>>>,
    filling: Window,
    /// Where in the sink's file the filling window begins, as far as it is known.
    position: u64,
    spare: Option<Window>,
    /// Held by every pump there is, and by who makes them.
    bodies: Bodies,
    /// A window has been on its way.
    has_travelled: bool,
    is_complete: bool,
    /// The client has gone in the middle of the body.
    is_broken: bool,
    /// How much may still come.
    allowed: u64,
}

/// Knows how many bodies are being received.
#[derive(Clone, Default)]
pub struct Bodies(Arc<()>);

impl Bodies {
    /// How much each of them may hold before it travels: a power of two, as the system's blocks are.
    fn window(&self) -> usize {
        1 << (WINDOWS / self.count().max(1)).clamp(FIRST_ROOM, WINDOW).ilog2()
    }

    fn count(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }

    /// The lane of what is written beside their windows: their beginnings and ends too are much when there are many of them.
    pub fn writers(&self) -> Lane {
        if self.count() > CROWD { Lane::Bodies } else { Lane::Writes }
    }
}

/// Work for a helper.
pub type Trip<S> = Box<dyn FnOnce() -> Sunk<S> + Send>;

impl<S: State> Pump<S> {
    /// A pump for a body of at most `most` bytes; zero for any number. It is one of these bodies.
    pub fn new(sink: Box<dyn Sink<S>>, most: u64, bodies: &Bodies) -> Pump<S> {
        let allowed = if most == 0 { u64::MAX } else { most };
        Pump {
            position: sink.position(),
            sink: Some(sink),
            filling: Window::default(),
            spare: None,
            bodies: bodies.clone(),
            has_travelled: false,
            is_complete: false,
            is_broken: false,
            allowed,
        }
    }

    /// The lane its next trip takes. Who sends no more than one window waits for just that.
    pub fn lane(&self) -> Lane {
        if self.is_complete && !self.has_travelled { self.bodies.writers() } else { Lane::Bodies }
    }

    /// Takes bytes of the body. Says whether it was allowed so many.
    pub fn fill(&mut self, bytes: &[u8]) -> bool {
        if !self.count(bytes.len()) {
            return false;
        }
        self.filling.make_room(bytes.len());
        self.filling.bytes[self.filling.filled..][..bytes.len()].copy_from_slice(bytes);
        self.filling.filled += bytes.len();
        true
    }

    fn count(&mut self, bytes: usize) -> bool {
        match self.allowed.checked_sub(bytes as u64) {
            Some(rest) => {
                self.allowed = rest;
                true
            }
            None => false,
        }
    }

    /// Where up to `remaining` bytes of the body may be read to directly.
    pub fn landing(&mut self, remaining: u64) -> Option<&mut [u8]> {
        let Window { bytes, filled } = &self.filling;
        let room = self.full_at().saturating_sub(*filled);
        // Who has sent little is given little: a window grows with what comes, and then keeps its size.
        let room = room.min((bytes.len() - filled).max(*filled).max(FIRST_ROOM));
        let room = usize::try_from(remaining).unwrap_or(usize::MAX).min(room);
        if room == 0 {
            return None;
        }
        self.filling.make_room(room);
        Some(&mut self.filling.bytes[self.filling.filled..][..room])
    }

    /// So many bytes have been read to the landing. Says whether it was allowed so many.
    pub fn landed(&mut self, bytes: usize) -> bool {
        self.filling.filled += bytes;
        self.count(bytes)
    }

    /// Whether so many more bytes would be allowed.
    pub fn allows(&self, bytes: u64) -> bool {
        bytes <= self.allowed
    }

    /// The body is complete.
    pub fn complete(&mut self) {
        self.is_complete = true;
    }

    /// Sink and window have come home.
    pub fn come_home(&mut self, sink: Box<dyn Sink<S>>, mut window: Window) {
        window.filled = 0;
        self.position = sink.position();
        self.sink = Some(sink);
        // It is used again, unless it is far too large by now.
        self.spare = Some(window).filter(|window| window.bytes.len() <= 2 * self.bodies.window());
    }

    /// The next trip, if the sink is at home and there is something worth it.
    pub fn trip(&mut self) -> Option<Trip<S>> {
        if !self.is_full() && !self.is_complete {
            return None;
        }
        let mut sink = self.sink.take()?;
        self.has_travelled = true;
        let window = std::mem::replace(&mut self.filling, self.spare.take().unwrap_or_default());
        let is_last = self.is_complete;
        // The sink will tell, when it comes home.
        self.position += window.filled as u64;
        Some(Box::new(move || match sink.write(&window.bytes[..window.filled]) {
            Err(fault) => Sunk::Refused(fault),
            Ok(()) if is_last => Sunk::Finished(sink.finish()),
            Ok(()) => Sunk::Home(sink, window),
        }))
    }

    /// Whether reading should stop: a window is away and the other is full.
    pub fn is_full(&self) -> bool {
        self.filling.filled >= self.full_at()
    }

    /// How much the filling window holds when it is full: it ends at a multiple of its size in the sink's file.
    fn full_at(&self) -> usize {
        let window = self.bodies.window();
        let ahead = window - (self.position % window as u64) as usize;
        if ahead < window / 2 { ahead + window } else { ahead }
    }

    /// What is to be done with the sink, if it is at home, where that may block.
    pub fn abandon(self) -> Option<impl FnOnce() + Send + use<S>> {
        let (sink, rest) = (self.sink?, self.filling);
        Some(move || sink.break_off(&rest.bytes[..rest.filled]))
    }

    /// The client has gone in the middle. Says whether the sink is away, which is given the rest when it comes home.
    pub fn must_wait(&mut self) -> bool {
        self.is_broken = self.sink.is_none();
        self.is_broken
    }

    /// Whether nothing more will come.
    pub fn is_broken(&self) -> bool {
        self.is_broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::status::Status;
    use std::sync::{Arc, Mutex};

    struct Heap(Arc<Mutex<Vec<u8>>>, usize);

    impl Sink<()> for Heap {
        fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
            let mut heap = self.0.lock().unwrap();
            heap.extend_from_slice(bytes);
            if heap.len() > self.1 { Err(Fault::new(Status::INSUFFICIENT_STORAGE, "full", "full")) } else { Ok(()) }
        }

        fn finish(self: Box<Self>) -> Step<()> {
            Box::new(|(), _| Fault::not_found().into())
        }
    }

    #[test]
    fn every_byte_arrives_in_order_through_two_windows() {
        let heap = Arc::new(Mutex::new(Vec::new()));
        let mut pump = Pump::new(Box::new(Heap(heap.clone(), usize::MAX)), 0, &Bodies::default());
        let body: Vec<u8> = (0..3_000_000u32).map(|at| (at % 251) as u8).collect();
        let mut away: Option<Trip<()>> = None;
        let mut stops = 0;
        assert_eq!(pump.lane(), Lane::Bodies);
        for part in body.chunks(50_000) {
            if pump.is_full() {
                stops += 1;
                let Sunk::Home(sink, window) = away.take().expect("a full pump has a window away")() else { panic!() };
                pump.come_home(sink, window);
                away = pump.trip();
            }
            assert!(pump.fill(part));
            if away.is_none() {
                away = pump.trip();
            }
        }
        pump.complete();
        if let Some(trip) = away {
            let Sunk::Home(sink, window) = trip() else { panic!() };
            pump.come_home(sink, window);
        }
        assert_eq!(pump.lane(), Lane::Bodies);
        assert!(matches!(pump.trip().unwrap()(), Sunk::Finished(_)));
        assert!(stops > 3);
        assert!(*heap.lock().unwrap() == body);
    }

    #[test]
    fn the_first_window_grows_with_what_comes() {
        let heap = Arc::new(Mutex::new(Vec::new()));
        let mut pump = Pump::new(Box::new(Heap(heap, usize::MAX)), 0, &Bodies::default());
        let mut rooms = Vec::new();
        while !pump.is_full() {
            let room = pump.landing(u64::MAX).expect("there is room").len();
            assert!(pump.landed(room));
            rooms.push(room >> 10);
        }
        assert_eq!(rooms, [16, 16, 32, 64, 128]);
        let trip = pump.trip().expect("a full window travels");
        assert_eq!(pump.landing(u64::MAX).map(|room| room.len()), Some(FIRST_ROOM));
        let Sunk::Home(sink, window) = trip() else { panic!("it takes all") };
        pump.come_home(sink, window);
        assert!(pump.fill(&[b'x'; WINDOW]) && pump.trip().is_some());
        assert_eq!(pump.landing(10).map(|room| room.len()), Some(10), "no more than is left of the body");
        assert_eq!(pump.landing(u64::MAX).map(|room| room.len()), Some(WINDOW), "what came home is used whole");
    }

    #[test]
    fn windows_are_smaller_the_more_bodies_there_are() {
        let bodies = Bodies::default();
        let pump = || Pump::new(Box::new(Heap(Arc::default(), usize::MAX)), 0, &bodies);
        let size = |pump: &mut Pump<()>| {
            assert!(pump.fill(&[b'x'; WINDOW]));
            let Sunk::Home(sink, window) = pump.trip().expect("a full window travels")() else { panic!() };
            pump.come_home(sink, window);
            let spare = pump.spare.as_ref().map_or(0, |spare| spare.bytes.len());
            (pump.landing(u64::MAX).map_or(0, |room| room.len()), spare)
        };
        let mut first = pump();
        assert_eq!(size(&mut first), (FIRST_ROOM, WINDOW));
        assert_eq!(size(&mut first), (WINDOW, WINDOW), "the window that came home is used again");
        assert_eq!(bodies.writers(), Lane::Writes);
        let crowd: Vec<_> = (0..99).map(|_| pump()).collect();
        assert_eq!(bodies.writers(), Lane::Bodies);
        assert_eq!(size(&mut first), (64 << 10, 0), "one that is far too large is given back");
        let many: Vec<_> = (0..2000).map(|_| pump()).collect();
        assert_eq!(size(&mut first), (FIRST_ROOM, 0), "but none is too small to be worth a trip");
        drop((crowd, many));
        assert_eq!(bodies.writers(), Lane::Writes);
        assert!(!first.is_full());
        assert!(first.fill(&[b'x'; WINDOW]) && first.is_full());
    }

    /// A file of which the first bytes of the body are no part.
    struct Behind(usize, Arc<Mutex<Vec<usize>>>);

    impl Sink<()> for Behind {
        fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
            self.0 += bytes.len();
            self.1.lock().unwrap().push(self.0);
            Ok(())
        }

        fn position(&self) -> u64 {
            self.0.saturating_sub(150) as u64
        }

        fn finish(self: Box<Self>) -> Step<()> {
            Box::new(|(), _| Fault::not_found().into())
        }
    }

    #[test]
    fn windows_end_at_multiples_of_their_size_in_the_file() {
        let ends = Arc::new(Mutex::new(Vec::new()));
        for begun in [0, 150, 10_000, 150 + 200_000] {
            let mut pump = Pump::new(Box::new(Behind(begun, ends.clone())), 0, &Bodies::default());
            let mut away: Option<Trip<()>> = None;
            for _ in 0..5 {
                while let Some(landing) = pump.landing(u64::MAX) {
                    let room = landing.len();
                    assert!(pump.landed(room));
                }
                if let Some(trip) = away {
                    let Sunk::Home(sink, window) = trip() else { panic!("it takes all") };
                    pump.come_home(sink, window);
                }
                // What was not known while it filled is made up for.
                while let Some(landing) = pump.landing(u64::MAX) {
                    let room = landing.len();
                    assert!(pump.landed(room));
                }
                away = pump.trip();
                assert!(away.is_some());
            }
            let ends = std::mem::take(&mut *ends.lock().unwrap());
            let beyond: Vec<_> = ends.iter().skip(1).map(|end| (end - 150) % WINDOW).collect();
            assert_eq!(beyond, [0, 0, 0], "after {begun}: {ends:?}");
            assert!(
                ends.is_sorted_by(|one, next| next - one >= WINDOW / 2 && next - one <= WINDOW * 3 / 2),
                "{ends:?}"
            );
        }
    }

    #[test]
    fn a_body_longer_than_allowed_and_a_refusing_sink_are_told() {
        let heap = Arc::new(Mutex::new(Vec::new()));
        let mut pump = Pump::new(Box::new(Heap(heap.clone(), 5)), 10, &Bodies::default());
        assert!(pump.fill(b"0123456789"));
        assert!(!pump.fill(b"x"));
        pump.complete();
        assert_eq!(pump.lane(), Lane::Writes);
        assert!(matches!(pump.trip().unwrap()(), Sunk::Refused(fault) if fault.code == "full"));
    }
}
