//! The small world: the very reactor, connections and site of the server, in a world that is a number for a clock, queues for
//! sockets and a list for helpers. A seed decides what clients do and what goes wrong, and the same seed tells the same story
//! again: `SEED=17 cargo test --test sim -- --nocapture` replays one and shows what the server did.
//!
//! `dice` holds all chance and the odds of every fault; `net` is the wires and `world` what the loop sees of them; `disk` is
//! files in memory. `ask` says what clients ask and what must be answered, `answer` reads answers strictly, `truth` knows what
//! is so, and a `client` puts them together. `stage` runs a story: first with faults, then without, when all that is unfinished
//! must finish; then all leave, and nothing may be left. `site` tells stories of the server itself, `guest` of a server somebody
//! else made of its parts, `people` of accounts over weeks, `resume` of uploads that continue
//! after every end, `owners` of people who want the same names, `talk` of the chat's rooms over every transport, and `cases` what was once found, by name;
//! `turns` says whose turn it is, and `door` who is let in.

mod answer;
mod ask;
mod cases;
mod client;
mod dice;
mod disk;
mod door;
mod guest;
mod net;
mod owners;
mod people;
mod resume;
mod shelf;
mod site;
mod stage;
mod talk;
mod truth;
mod turns;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// How many stories are told when no seed is asked for.
const STORIES: u64 = 300;

/// Tells many stories on two threads, or the one of `SEED`; names the seed of one that ends badly.
fn tell(story: fn(u64, bool) -> u64) {
    if let Some(seed) = std::env::var("SEED").ok().map(|seed| seed.parse().expect("SEED is a number")) {
        story(seed, true);
        return;
    }
    let count = std::env::var("STORIES").ok().map_or(STORIES, |count| count.parse().expect("STORIES is a number"));
    let next = AtomicU64::new(0);
    let bad = thread::scope(|scope| {
        let tellers: Vec<_> = (0..2).map(|_| scope.spawn(|| tell_some(&next, count, story))).collect();
        tellers.into_iter().flat_map(|teller| teller.join().expect("a teller ends")).collect::<Vec<u64>>()
    });
    assert!(bad.is_empty(), "stories that end badly: SEED={bad:?}");
}

fn tell_some(next: &AtomicU64, count: u64, story: fn(u64, bool) -> u64) -> Vec<u64> {
    let mut bad = Vec::new();
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= count || bad.len() > 4 {
            return bad;
        }
        let told = catch_unwind(AssertUnwindSafe(|| {
            let trace = story(seed, false);
            if seed.is_multiple_of(10) {
                assert_eq!(trace, story(seed, false), "the same seed tells the same story");
            }
        }));
        if told.is_err() {
            eprintln!("SEED={seed} ends badly");
            bad.push(seed);
        }
    }
}

#[test]
fn the_site_keeps_its_promises_whatever_goes_wrong() {
    tell(site::story);
}

#[test]
fn everyone_hears_what_they_must_over_every_transport_whatever_goes_wrong() {
    tell(talk::story);
}

#[test]
fn accounts_are_what_their_people_were_told_over_minutes_and_weeks() {
    tell(people::story);
}

#[test]
fn an_upload_goes_on_where_it_ended_however_it_ended() {
    tell(resume::story);
}

#[test]
fn a_file_belongs_to_who_wrote_it_whatever_came_first() {
    tell(owners::story);
}

#[test]
fn a_server_of_other_handlers_keeps_its_promises_too() {
    tell(guest::story);
}
