//! All chance in the small world: a generator that is nothing but its seed, and the odds of everything that can go wrong.

/// Chance from a seed (splitmix64).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        let mut dice = Dice(seed ^ 0x5851_f42d_4c95_7f2d);
        dice.roll();
        dice
    }

    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From zero to one less than `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.roll() % bound }
    }

    /// From `least` to `most`, both included.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    /// An index into something so long.
    pub fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    pub fn chance(&mut self, percent: u32) -> bool {
        percent > 0 && self.below(100) < u64::from(percent)
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.index(from.len())]
    }

    pub fn shuffle<T>(&mut self, all: &mut [T]) {
        for last in (1..all.len()).rev() {
            all.swap(last, self.index(last + 1));
        }
    }
}

/// The odds of everything that can go wrong, in percent unless a name says otherwise. In most seeds most of them are zero:
/// faults that come one at a time go deeper than all at once.
#[derive(Clone, Debug, Default)]
pub struct Odds {
    /// A read brings only a part of what is there; the rest comes with a later event.
    pub cut_read: u32,
    /// A write takes only a part of what there is room for.
    pub cut_write: u32,
    /// Cuts are of a single byte.
    pub one_byte: u32,
    /// A read or write would block though it need not; a later event says that it does not any more.
    pub would_block: u32,
    /// A call is interrupted.
    pub interrupted: u32,
    /// An event without a reason.
    pub spurious: u32,
    /// An event for a connection that is gone.
    pub stale: u32,
    /// Events come in another order than what they tell of.
    pub reorder: u32,
    /// How long an event is on its way, at most.
    pub event_late_ms: u64,
    /// Accepting fails for want of descriptors.
    pub accept_fails: u32,
    /// Accepting fails when so many connections are open; `None` for any number.
    pub descriptors: Option<usize>,
    /// A socket cannot be watched.
    pub watch_fails: u32,
    /// How long a helper or the ledger takes, at most.
    pub help_late_ms: u64,
    /// A helper does not come back before the faults stop.
    pub help_held: u32,
    /// The ledger loses a batch, and takes nothing from then on.
    pub batch_lost: u32,
    /// The clock moves between two looks within a turn.
    pub slow_turn: u32,
    /// A sleep lasts longer than was asked for, by up to so much.
    pub oversleep_ms: u64,
    /// The clock on the wall is set, in either direction.
    pub wall_jumps: u32,
    /// A stretch of a file is not in memory.
    pub cold: u32,
    /// The disk gives an error.
    pub disk_fails: u32,
    /// A file cannot be opened for want of descriptors.
    pub disk_short: u32,
    /// The disk is full.
    pub disk_full: u32,
    /// A file that may shrink does so when it is read.
    pub shrinks: u32,
    /// How much the kernel takes for a client who does not read.
    pub room: usize,
    /// How much the kernel takes from a client whom the server does not read.
    pub inbound_room: usize,
}

impl Odds {
    /// A world in which nothing goes wrong.
    pub fn calm() -> Odds {
        Odds { room: 128 << 10, inbound_room: 128 << 10, help_late_ms: 2, ..Odds::default() }
    }

    /// What a seed has in store.
    pub fn of(dice: &mut Dice) -> Odds {
        // Either this fault is not part of the story, or it comes with some odds up to `most`.
        let mut some = |most: u32| if dice.chance(40) { dice.between(1, u64::from(most)) as u32 } else { 0 };
        let mut odds = Odds {
            cut_read: some(60),
            cut_write: some(60),
            one_byte: some(30),
            would_block: some(30),
            interrupted: some(10),
            spurious: some(10),
            stale: some(10),
            reorder: some(100),
            accept_fails: some(15),
            watch_fails: if some(10) > 8 { 2 } else { 0 },
            help_held: some(10),
            slow_turn: some(20),
            wall_jumps: some(5),
            cold: some(80),
            shrinks: some(30),
            disk_fails: if some(10) > 5 { 5 } else { 0 },
            disk_full: if some(10) > 5 { 10 } else { 0 },
            batch_lost: if some(10) > 5 { 5 } else { 0 },
            ..Odds::default()
        };
        odds.event_late_ms = dice.pick(&[0, 0, 2, 20, 200]);
        odds.help_late_ms = dice.pick(&[0, 1, 5, 50, 1500]);
        odds.oversleep_ms = dice.pick(&[0, 0, 0, 3, 300, 40_000]);
        odds.room = dice.pick(&[1, 100, 4 << 10, 64 << 10, 128 << 10, 1 << 20, 4 << 20]);
        odds.inbound_room = dice.pick(&[1 << 10, 64 << 10, 256 << 10]);
        odds
    }
}
