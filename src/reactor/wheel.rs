//! The wheel: one deadline a slot, for any number of slots, at the price of a store.
//!
//! 512 rims of a quarter of a second. An entry is a slot's index; beside it stands the tick at which the slot's earliest
//! entry hangs, and that outlives the slot's tenant. Moving a deadline *later* changes nothing here: when the entry falls,
//! its slot is asked again and the entry re-hung. Moving it *earlier* hangs a second entry; the first is dropped when it
//! falls, since its tick is no longer the recorded one. So a request costs no timer work, a new client inherits the last
//! one's entry, and churn leaves nothing behind.

use crate::clock::Moment;

/// How long a tick is. Every time limit of the server is at least four of them.
pub const TICK_MS: u64 = 250;

const RIMS: u32 = 512;
const WORDS: usize = (RIMS / 64) as usize;
/// A rim that once held many entries gives their memory back above this.
const RIM_KEPT: usize = 1024;

/// A deadline in ticks since the clock's start, rounded up: a deadline never falls early. Zero is no deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tick(u32);

impl Tick {
    /// No deadline.
    pub const NONE: Tick = Tick(0);

    /// The first tick that is not before `moment`.
    pub fn at(moment: Moment) -> Tick {
        let ticks = moment.as_millis().div_ceil(TICK_MS).max(1);
        Tick(u32::try_from(ticks).unwrap_or(u32::MAX))
    }

    /// The last tick that has come by `moment`.
    pub fn reached(moment: Moment) -> Tick {
        Tick(u32::try_from(moment.as_millis() / TICK_MS).unwrap_or(u32::MAX))
    }

    /// The moment at which it has come.
    pub fn moment(self) -> Moment {
        Moment::from_millis(u64::from(self.0) * TICK_MS)
    }

    /// Whether there is a deadline at all.
    pub fn is_some(self) -> bool {
        self.0 != 0
    }
}

/// Deadlines of all slots.
pub struct Wheel {
    rims: Vec<Vec<u32>>,
    /// A bit for each rim that has an entry.
    used: [u64; WORDS],
    /// For each slot index, the tick of its earliest entry; zero for none.
    hangs: Vec<u32>,
    /// The last tick that has fallen.
    fallen: u32,
}

impl Wheel {
    /// An empty wheel at `now`.
    pub fn new(now: Moment) -> Wheel {
        Wheel {
            rims: (0..RIMS).map(|_| Vec::new()).collect(),
            used: [0; WORDS],
            hangs: Vec::new(),
            fallen: Tick::reached(now).0,
        }
    }

    /// Sees to it that slot `index` is asked at `tick` or earlier.
    #[inline]
    pub fn hang(&mut self, index: u32, tick: Tick) {
        let place = index as usize;
        if let Some(&hangs) = self.hangs.get(place)
            && hangs != 0
            && hangs <= tick.0
        {
            return;
        }
        self.hang_anew(place, index, tick);
    }

    fn hang_anew(&mut self, place: usize, index: u32, tick: Tick) {
        if place >= self.hangs.len() {
            self.hangs.resize(place + 1, 0);
        }
        // Beyond the wheel's reach it hangs on the farthest rim and is asked once more on the way. A tick that has already
        // fallen hangs on the next.
        let tick = tick.0.clamp(self.fallen + 1, self.fallen + RIMS - 1);
        let hangs = self.hangs[place];
        if hangs != 0 && hangs <= tick {
            return;
        }
        self.hangs[place] = tick;
        let rim = (tick % RIMS) as usize;
        self.rims[rim].push(index);
        self.used[rim / 64] |= 1 << (rim % 64);
    }

    /// When the next entry falls.
    pub fn next(&self) -> Option<Moment> {
        let first = (self.fallen + 1) % RIMS;
        // One word at a time, beginning inside the word of the first rim and ending with that word's lower half.
        let (word, bit) = ((first / 64) as usize, first % 64);
        for step in 0..=WORDS {
            let at = (word + step) % WORDS;
            let mut bits = self.used[at];
            if step == 0 {
                bits &= u64::MAX << bit;
            } else if step == WORDS {
                bits &= !(u64::MAX << bit);
            }
            if bits != 0 {
                let rim = at as u32 * 64 + bits.trailing_zeros();
                let ahead = (rim + RIMS - first) % RIMS;
                return Some(Tick(self.fallen + 1 + ahead).moment());
            }
        }
        None
    }

    /// Lets fall what hangs up to `now`; the slots' indices are appended to `due`. Each is to be asked, and hung again if its
    /// deadline has been moved.
    pub fn fall(&mut self, now: Moment, due: &mut std::collections::VecDeque<u32>) {
        let reached = Tick::reached(now).0;
        if reached <= self.fallen {
            return;
        }
        // After a long sleep each rim needs to be visited only once: no entry hangs further ahead than the wheel is round.
        let first = self.fallen + 1;
        let last = reached.min(self.fallen + RIMS);
        for tick in first..=last {
            let rim = (tick % RIMS) as usize;
            if self.used[rim / 64] & 1 << (rim % 64) == 0 {
                continue;
            }
            self.used[rim / 64] &= !(1 << (rim % 64));
            for index in self.rims[rim].drain(..) {
                let hangs = &mut self.hangs[index as usize];
                if *hangs == tick {
                    *hangs = 0;
                    due.push_back(index);
                }
            }
            if self.rims[rim].capacity() > RIM_KEPT {
                self.rims[rim] = Vec::new();
            }
        }
        self.fallen = reached;
    }

    /// How many entries hang, the outdated ones too.
    pub fn len(&self) -> usize {
        self.rims.iter().map(Vec::len).sum()
    }

    /// Whether nothing hangs.
    pub fn is_empty(&self) -> bool {
        self.used.iter().all(|&word| word == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn at(ms: u64) -> Moment {
        Moment::from_millis(ms)
    }

    fn fall(wheel: &mut Wheel, ms: u64) -> Vec<u32> {
        let mut due = VecDeque::new();
        wheel.fall(at(ms), &mut due);
        due.into()
    }

    #[test]
    fn an_entry_falls_at_its_tick_and_not_before() {
        let mut wheel = Wheel::new(at(10_000));
        wheel.hang(3, Tick::at(at(10_300)));
        assert_eq!(wheel.next(), Some(at(10_500)));
        assert_eq!(fall(&mut wheel, 10_499), Vec::<u32>::new());
        assert_eq!(fall(&mut wheel, 10_500), [3]);
        assert!(wheel.is_empty());
    }

    #[test]
    fn an_earlier_deadline_falls_once_and_the_later_entry_is_dropped() {
        let mut wheel = Wheel::new(at(0));
        wheel.hang(1, Tick::at(at(30_000)));
        wheel.hang(1, Tick::at(at(10_000)));
        assert_eq!(wheel.len(), 2);
        assert_eq!(fall(&mut wheel, 10_000), [1]);
        assert_eq!(fall(&mut wheel, 31_000), Vec::<u32>::new());
    }

    #[test]
    fn moving_a_deadline_later_hangs_nothing() {
        let mut wheel = Wheel::new(at(0));
        for ms in (1000..60_000).step_by(100) {
            wheel.hang(0, Tick::at(at(ms)));
        }
        assert_eq!(wheel.len(), 1);
    }

    #[test]
    fn a_deadline_beyond_the_wheel_is_asked_on_the_way() {
        let mut wheel = Wheel::new(at(0));
        wheel.hang(0, Tick::at(at(3_600_000)));
        let asked = wheel.next().unwrap();
        assert!(asked.as_millis() < 130_000);
        assert_eq!(fall(&mut wheel, asked.as_millis()), [0]);
    }

    #[test]
    fn after_a_long_sleep_all_that_was_due_falls() {
        let mut wheel = Wheel::new(at(0));
        for index in 0..100 {
            wheel.hang(index, Tick::at(at(u64::from(index) * 1000 + 1)));
        }
        assert_eq!(fall(&mut wheel, 10_000_000).len(), 100);
        assert!(wheel.is_empty());
        wheel.hang(5, Tick::at(at(1)));
        assert_eq!(wheel.next(), Some(at(10_000_250)), "a deadline that has passed is asked at the next tick");
    }

    proptest! {
        /// Against a model that keeps every deadline in a list: each slot is asked at its deadline, never later than the
        /// tick after it, whatever was moved in between.
        #[test]
        fn no_deadline_is_missed(moves in prop::collection::vec((0u32..20, 1u64..400_000, 0u64..3_000), 1..200)) {
            let mut wheel = Wheel::new(at(0));
            let mut deadlines = [Tick::NONE; 20];
            let mut now = 0;
            for (index, ahead, pass) in moves {
                let tick = Tick::at(at(now + ahead));
                deadlines[index as usize] = tick;
                wheel.hang(index, tick);
                now += pass;
                for index in fall(&mut wheel, now) {
                    let deadline = deadlines[index as usize];
                    if deadline.is_some() && deadline > Tick::reached(at(now)) {
                        wheel.hang(index, deadline);
                    } else {
                        deadlines[index as usize] = Tick::NONE;
                    }
                }
                for deadline in deadlines {
                    prop_assert!(!deadline.is_some() || deadline > Tick::reached(at(now)));
                }
                let next = wheel.next();
                for deadline in deadlines.into_iter().filter(|deadline| deadline.is_some()) {
                    prop_assert!(next.is_some_and(|next| next <= deadline.moment()));
                }
            }
        }
    }
}
