//! When nothing has happened for a while, what the allocator keeps for later goes back to the system: one large answer, or a
//! crowd that has gone, would otherwise be held for days.

use crate::clock::Moment;

/// After so long without an event it is quiet, and no helper is left.
const QUIET_MS: u64 = 12_000;

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

    /// Before a sleep: whether it has been quiet for long enough. That is said once.
    pub(super) fn is_due(&mut self, now: Moment) -> bool {
        self.due.take_if(|due| *due <= now).is_some()
    }

    /// When it will have been.
    pub(super) fn due(&self) -> Option<Moment> {
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
        assert!(!rest.is_due(at(5)) && rest.due().is_none(), "nothing has happened yet");
        rest.stir(at(1_000));
        rest.stir(at(4_000));
        assert!(!rest.is_due(at(15_999)));
        assert_eq!(rest.due(), Some(at(16_000)));
        assert!(rest.is_due(at(16_000)));
        assert!(!rest.is_due(at(99_000)) && rest.due().is_none(), "it does not wake an idle server again and again");
    }
}
