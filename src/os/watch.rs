//! Whether another process has written in the ledger: a look at the stamp of a file twice a second, on the loop. It takes what the
//! kernel has in memory, so it waits for no disk; what has changed, and whether that concerns us, the ledger's thread finds out.

use std::path::PathBuf;

use rustix::fs::{AtFlags, CWD};

use crate::clock::{Moment, Wall};
use crate::os::opened;
use crate::store::disk::FileFacts;

/// How often the stamp is looked at: what was changed is to be noticed within two seconds, on a busy machine too.
const LOOK_EVERY_MS: u64 = 500;

/// So often the ledger is looked into though nothing has changed: some things end by themselves.
const ROUND_MS: u64 = 60_000;

/// A write in the same tick of the file system's clock as the one before it leaves no trace in the stamp. No tick is so long, nor
/// is what our own clock may be behind.
const YOUNG_MS: u64 = 500;

/// Why the ledger is to be looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// It was written since this was last asked, or may have been.
    Changed,
    /// A minute has passed.
    Round,
}

/// A file that others may write.
pub(super) struct Watch {
    path: PathBuf,
    seen: Option<FileFacts>,
    /// What was written after the last look may have left no trace.
    is_unsure: bool,
    due: Moment,
    round: Moment,
}

impl Watch {
    /// Looks for the first time in a while: whoever waits at the door comes first.
    pub(super) fn new(path: PathBuf, now: Moment) -> Watch {
        let (due, round) = (now.plus(LOOK_EVERY_MS), now.plus(ROUND_MS));
        Watch { path, seen: None, is_unsure: false, due, round }
    }

    /// When it is to be asked next.
    pub(super) fn due(&self) -> Moment {
        self.due
    }

    /// Whether there is something to look into.
    pub(super) fn ask(&mut self, now: Moment, wall: Wall) -> Option<Look> {
        let (seen, was_unsure) = (self.seen, self.is_unsure);
        self.seen = opened::facts_by(CWD, &*self.path, AtFlags::STATX_DONT_SYNC).ok();
        self.is_unsure = self.seen.is_some_and(|facts| wall.since(facts.modified) <= YOUNG_MS);
        self.due = now.plus(LOOK_EVERY_MS);
        let is_round = self.round <= now;
        if is_round {
            self.round = now.plus(ROUND_MS);
        }
        let has_changed = was_unsure || self.seen.map(|facts| facts.version) != seen.map(|facts| facts.version);
        if is_round { Some(Look::Round) } else { has_changed.then_some(Look::Changed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::process;
    use std::fs::{self, File};
    use std::time::{Duration, SystemTime};

    #[test]
    fn a_file_is_looked_into_when_it_was_written_or_may_have_been_and_once_a_minute() {
        let path = std::env::temp_dir().join(format!("hythe-watch-{}", std::process::id()));
        let at = |ms| Moment::from_millis(1_000 + ms);
        let mut watch = Watch::new(path.clone(), at(0));
        assert_eq!(watch.due(), at(LOOK_EVERY_MS));
        let mut ask = move |ms: u64| watch.ask(at(ms), process::wall());
        assert_eq!(ask(1_000), None, "where there is none, nothing was written");
        let write = |text: &str, age_s: u64| {
            fs::write(&path, text).unwrap();
            let when = SystemTime::now() - Duration::from_secs(age_s);
            File::options().write(true).open(&path).unwrap().set_modified(when).unwrap();
        };
        write("one", 60);
        assert_eq!([ask(2_000), ask(3_000)], [Some(Look::Changed), None]);
        write("two", 30);
        assert_eq!([ask(4_000), ask(5_000)], [Some(Look::Changed), None], "its stamp tells, where its length does not");
        write("new", 0);
        assert_eq!(ask(6_000), Some(Look::Changed));
        assert_eq!(ask(7_000), Some(Look::Changed), "another write in the same tick would not be seen");
        write("old", 10);
        assert_eq!([ask(8_000), ask(9_000)], [Some(Look::Changed), None]);
        assert_eq!([59_999, 60_000, 61_000].map(&mut ask), [None, Some(Look::Round), None]);
        assert_eq!([119_999, 120_000].map(&mut ask), [None, Some(Look::Round)]);
        fs::remove_file(&path).unwrap();
    }
}
