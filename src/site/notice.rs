//! [`Notice`]: one line of the log for many sign-ins that were refused unheard, so that a flood of them can be seen there and cannot
//! fill a disk. It is not the line of a failed try, which is each one's own: nobody was wrong here.

use std::net::IpAddr;

use crate::clock::Moment;

/// Between two lines there is at least so much time.
const EVERY_MS: u64 = 10_000;

/// Why somebody was not heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unheard {
    /// 429: too many tries, of an address or at an account.
    Early,
    /// 503: too many passwords wait to be checked.
    Crowded,
}

/// What is still to be told.
#[derive(Default)]
pub struct Notice {
    last: Option<Moment>,
    early: u64,
    crowded: u64,
}

impl Notice {
    /// Somebody at this address was not heard. The line that is due, if one is.
    pub fn count(&mut self, why: Unheard, ip: IpAddr, now: Moment) -> Option<String> {
        match why {
            Unheard::Early => self.early += 1,
            Unheard::Crowded => self.crowded += 1,
        }
        if self.last.is_some_and(|last| now.since(last) < EVERY_MS) {
            return None;
        }
        let told = std::mem::replace(self, Notice { last: Some(now), ..Notice::default() });
        Some(format!(
            "refused sign-ins since the last such line: too_often={} too_crowded={} last_address={ip}",
            told.early, told.crowded
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_a_flood_in_a_line_every_ten_seconds() {
        let (mut notice, ip) = (Notice::default(), IpAddr::from([10, 0, 0, 1]));
        let mut lines = Vec::new();
        for ms in 0..25_000 {
            let why = if ms % 5 == 4 { Unheard::Crowded } else { Unheard::Early };
            lines.extend(notice.count(why, ip, Moment::from_millis(ms)).map(|line| (ms, line)));
        }
        let line = |early: u64, crowded: u64| {
            format!(
                "refused sign-ins since the last such line: too_often={early} too_crowded={crowded} last_address=10.0.0.1"
            )
        };
        assert_eq!(lines, [(0, line(1, 0)), (10_000, line(8_000, 2_000)), (20_000, line(8_000, 2_000))]);
    }
}
