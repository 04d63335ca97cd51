//! Time as a value. Nobody in this crate asks for the time: `os` reads the clocks once a turn, and the two
//! values are handed down from there, so that a simulation can be the clock.

/// A point on the loop's monotonic clock, in milliseconds from an arbitrary start.
///
/// Timers are set by it; a change of the wall clock never moves one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// The moment `ms` milliseconds after the clock's start.
    pub const fn from_millis(ms: u64) -> Moment {
        Moment(ms)
    }

    /// Milliseconds since the clock's start.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The moment `ms` milliseconds later; the end of time if that is beyond it.
    pub const fn plus(self, ms: u64) -> Moment {
        Moment(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this moment; zero if `earlier` is not earlier.
    pub const fn since(self, earlier: Moment) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// The wall clock: milliseconds since 1970-01-01T00:00:00Z, leap seconds left out (POSIX time).
///
/// For what people see: `Date`, `Last-Modified`, log lines, chat. Never for a deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wall(u64);

impl Wall {
    /// The time `ms` milliseconds after the epoch.
    pub const fn from_millis(ms: u64) -> Wall {
        Wall(ms)
    }

    /// The time `seconds` after the epoch.
    pub const fn from_seconds(seconds: u64) -> Wall {
        Wall(seconds.saturating_mul(1000))
    }

    /// Milliseconds from `earlier` to this; 0 if it is not earlier.
    pub const fn since(self, earlier: Wall) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Whole milliseconds since the epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch.
    pub const fn as_seconds(self) -> u64 {
        self.0 / 1000
    }

    /// The time `ms` milliseconds later.
    pub const fn plus(self, ms: u64) -> Wall {
        Wall(self.0.saturating_add(ms))
    }
}
