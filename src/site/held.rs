//! [`Held`]: connections whose refusal is held back for a while. They are let go one by one, some a millisecond at most, so that
//! those beside them never wait for all of them: two hundred that were told to come again in the same moment would come in the
//! same moment.

use std::collections::VecDeque;

use crate::clock::Moment;
use crate::server::context::Context;
use crate::server::reply::{Key, Topic};

/// How long a refusal is held back: one a second on each connection is no load, and nobody is told to come again sooner.
pub const HELD_MS: u64 = 1_000;
/// A connection that was not let go by then goes by itself: its deadline is as exact as the wheel.
pub const HELD_MAX_MS: u64 = 5_000;
/// More than so many are not held; whoever comes then is refused at once.
const HELD_MAX: usize = 16_384;
/// In each millisecond one of so many that are due is let go, and always one.
const SHARE: usize = 256;

/// Those who are held, in the order in which they came.
#[derive(Default)]
pub struct Held {
    queue: VecDeque<(Moment, Key)>,
    /// What they wait on. Nothing is ever said there.
    topic: Option<Topic>,
}

impl Held {
    /// Nobody yet; they will wait on this.
    pub fn on(topic: Topic) -> Held {
        Held { topic: Some(topic), ..Held::default() }
    }

    /// Takes in a connection. What it waits on, and until when at most; `None` if nobody is held.
    pub fn take(&mut self, cx: &mut Context<'_>) -> Option<(Topic, Moment)> {
        let topic = self.topic.filter(|_| self.queue.len() < HELD_MAX)?;
        let at = cx.now.plus(HELD_MS);
        self.queue.push_back((at, cx.key));
        cx.wake_at(at);
        Some((topic, cx.now.plus(HELD_MAX_MS)))
    }

    /// Lets go of those whose time has come. A connection may have closed meanwhile; then nobody is called.
    pub fn release(&mut self, cx: &mut Context<'_>) {
        self.due(cx.now).for_each(|key| cx.call_for(key));
        if let Some(at) = self.next(cx.now) {
            cx.wake_at(at);
        }
    }

    /// Those whose turn it is.
    fn due(&mut self, now: Moment) -> impl Iterator<Item = Key> {
        let due = self.queue.partition_point(|(at, _)| *at <= now);
        self.queue.drain(..due.div_ceil(SHARE)).map(|(_, key)| key)
    }

    /// When the next ones are looked at.
    fn next(&self, now: Moment) -> Option<Moment> {
        self.queue.front().map(|(at, _)| (*at).max(now.plus(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment::from_millis(ms)
    }

    fn key(index: u32) -> Key {
        Key { index, age: 1 }
    }

    #[test]
    fn who_came_together_goes_one_by_one_and_nobody_too_early() {
        let mut held = Held { queue: (0..3).map(|index| (at(500), key(index))).collect(), topic: None };
        held.queue.push_back((at(800), key(3)));
        let mut gone = Vec::new();
        let mut now = at(0);
        while let Some(next) = held.next(now) {
            now = next;
            gone.extend(held.due(now).map(|key| (now.as_millis(), key.index)));
        }
        assert_eq!(gone, [(500, 0), (501, 1), (502, 2), (800, 3)]);
    }

    #[test]
    fn a_crowd_is_gone_before_it_would_go_by_itself() {
        let mut held = Held { queue: (0..HELD_MAX as u32).map(|index| (at(500), key(index))).collect(), topic: None };
        let (mut now, mut most) = (at(499), 0);
        while let Some(next) = held.next(now) {
            now = next;
            most = most.max(held.due(now).count());
        }
        assert!(now.as_millis() < HELD_MAX_MS && most == HELD_MAX / SHARE, "{} ms, {most} at once", now.as_millis());
    }
}
