//! Whether another process has written in the ledger: a look at the stamp of a file once a second, on the loop. It takes what the
//! kernel has in memory, so it waits for no disk; what has changed, and whether that concerns us, the ledger's thread finds out.

use std::path::PathBuf;

use rustix::fs::{AtFlags, CWD};

use crate::clock::{Moment, Wall};
use crate::os::opened;
use crate::store::disk::FileFacts;

/// How often the stamp is looked at.
const LOOK_EVERY_MS: u64 = 1_000;

/// So often the ledger is looked into though nothing has changed: some things end by themselves.
const ROUND_MS: u64 = 60_000;

/// A write in the same tick of the file system's clock as the one before it leaves no trace in the stamp. No tick is so long, nor
/// is what our own clock may be behind.
const YOUNG_MS: u64 = 500;

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
    /// Looks for the first time a second from now.
    pub(super) fn new(path: PathBuf, now: Moment) -> Watch {
        let (due, round) = (now.plus(LOOK_EVERY_MS), now.plus(ROUND_MS));
        Watch { path, seen: None, is_unsure: false, due, round }
    }

    /// When it is to be asked next.
    pub(super) fn due(&self) -> Moment {
        self.due
    }

    /// Whether the file was written since this was last asked, or may have been, or it is time for a round.
    pub(super) fn is_to_be_looked_into(&mut self, now: Moment, wall: Wall) -> bool {
        let (seen, was_unsure) = (self.seen, self.is_unsure);
        self.seen = opened::facts_by(CWD, &*self.path, AtFlags::STATX_DONT_SYNC).ok();
        self.is_unsure = self.seen.is_some_and(|facts| wall.since(facts.modified) <= YOUNG_MS);
        self.due = now.plus(LOOK_EVERY_MS);
        let is_round = self.round <= now;
        if is_round {
            self.round = now.plus(ROUND_MS);
        }
        is_round || was_unsure || self.seen.map(|facts| facts.version) != seen.map(|facts| facts.version)
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
        assert_eq!(watch.due(), at(1_000));
        let mut asks = move |ms: u64| watch.is_to_be_looked_into(at(ms), process::wall());
        assert!(!asks(1_000), "where there is none, nothing was written");
        let write = |text: &str, age_s: u64| {
            fs::write(&path, text).unwrap();
            let when = SystemTime::now() - Duration::from_secs(age_s);
            File::options().write(true).open(&path).unwrap().set_modified(when).unwrap();
        };
        write("one", 60);
        assert!(asks(2_000));
        assert!(!asks(3_000));
        write("two", 30);
        assert!(asks(4_000), "its length is the same, but its stamp is not");
        assert!(!asks(5_000));
        write("new", 0);
        assert!(asks(6_000));
        assert!(asks(7_000), "another write in the same tick would not be seen");
        write("old", 10);
        assert!(asks(8_000) && !asks(9_000));
        assert!(!asks(59_999) && asks(60_000) && !asks(61_000), "time alone ends some things");
        assert!(!asks(119_999) && asks(120_000));
        fs::remove_file(&path).unwrap();
    }
}
