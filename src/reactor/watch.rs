//! [`Watch`]: what the time of a long turn went into. Looked at only while the log tells of such things.

use crate::clock::Moment;

/// A turn longer than this is told of: others have waited for it.
const LONG_MS: u64 = 5;

/// What one turn has taken so far, phase by phase.
#[derive(Default)]
pub(super) struct Watch {
    /// Whether anybody looks.
    pub is_on: bool,
    last: Moment,
    /// The time the loop's thread had spent on a core when the turn began.
    busy_us: u64,
    phases: Vec<(&'static str, u64)>,
    all_ms: u64,
}

impl Watch {
    /// A turn begins, now and after the thread has been on a core for so long; or nobody looks.
    pub(super) fn begin(&mut self, is_on: bool, now: Moment, busy_us: u64) {
        self.is_on = is_on;
        (self.last, self.busy_us, self.all_ms) = (now, busy_us, 0);
        self.phases.clear();
    }

    /// A phase is over.
    pub(super) fn pass(&mut self, phase: &'static str, now: Moment) {
        let took = now.since(self.last);
        self.last = now;
        self.all_ms += took;
        if took > 0 {
            self.phases.push((phase, took));
        }
    }

    /// Whether the turn has been long.
    pub(super) fn is_long(&self) -> bool {
        self.all_ms > LONG_MS
    }

    /// The sentence on a turn. What it took beyond its time on a core it has waited for one: for another thread, or another machine.
    pub(super) fn sentence(&self, busy_us: u64) -> String {
        let phases: Vec<String> = self.phases.iter().map(|(phase, ms)| format!("{phase} {ms}")).collect();
        let busy_ms = busy_us.saturating_sub(self.busy_us) / 1000;
        format!("a turn took {} ms, {busy_ms} of them on a core: {}", self.all_ms, phases.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_turn_is_told_with_the_phases_that_took_its_time() {
        let at = |ms: u64| Moment::from_millis(100 + ms);
        let mut watch = Watch::default();
        watch.begin(true, at(0), 7_000);
        watch.pass("welcome", at(2));
        watch.pass("serve", at(2));
        watch.pass("fan", at(5));
        assert!(!watch.is_long(), "five are not too many");
        watch.pass("reap", at(6));
        assert!(watch.is_long());
        assert_eq!(watch.sentence(10_999), "a turn took 6 ms, 3 of them on a core: welcome 2, fan 3, reap 1");
        watch.begin(true, at(50), 0);
        watch.pass("fan", at(51));
        assert!(!watch.is_long(), "each turn counts for itself");
    }
}
