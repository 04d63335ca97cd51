//! When nothing has happened for a while, what the allocator keeps for later goes back to the system: one large answer, or a
//! crowd that has gone, would otherwise be held for days.

use crate::clock::Moment;
use crate::os::sys;

/// After so long without an event it is quiet.
const QUIET_MS: u64 = 10_000;

/// When it was last busy, and whether what was left of that is still held.
#[derive(Default)]
pub(super) struct Rest {
    due: Option<Moment>,
}

impl Rest {
    /// Something has happened.
    pub(super) fn stir(&mut self, now: Moment) {
        self.due = Some(now.plus(QUIET_MS));
    }

    /// Before a sleep: lets go if it has been quiet for long enough, once. Otherwise says when it will have been.
    pub(super) fn doze(&mut self, now: Moment) -> Option<Moment> {
        if self.due.is_some_and(|due| due <= now) {
            self.due = None;
            sys::let_go_of_memory();
        }
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lets_go_once_and_not_before_it_has_been_quiet() {
        let at = Moment::from_millis;
        let mut rest = Rest::default();
        assert_eq!(rest.doze(at(5)), None, "nothing has happened yet");
        rest.stir(at(1_000));
        rest.stir(at(4_000));
        assert_eq!(rest.doze(at(13_999)), Some(at(14_000)));
        assert_eq!(rest.doze(at(14_000)), None);
        assert_eq!(rest.doze(at(99_000)), None, "it does not wake an idle server again and again");
    }
}
