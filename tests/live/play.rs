//! Plays the rows of a table, and tells of all that did not hold.

use std::io::{Write as _, stdout};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::case::{Case, Move, Then};
use crate::expect::is;
use crate::house::{House, PAGE};
use crate::request::get;
use crate::scene::Scene;
use crate::wire::{Answer, PATIENCE, Wire};

/// Runs every row of a table, prints how many held, and fails with all that did not.
pub fn run(table: &str, house: &House, cases: &[Case]) {
    const AT_ONCE: usize = 8;
    let scene = Scene::of(house);
    let next = AtomicUsize::new(0);
    let mut failures: Vec<(usize, String)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                scope.spawn(|| {
                    let mut failures = Vec::new();
                    while let Some((at, case)) = take(&next, cases) {
                        if let Err(failure) = play(case, house, &scene) {
                            failures.push((at, failure));
                        }
                    }
                    failures
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a row does not panic")).collect()
    });
    failures.sort_unstable();
    let held = cases.len() - failures.len();
    // Not `println!`: the harness would keep it to itself.
    let _ = writeln!(stdout(), "{table}: {held} of {} hold", cases.len());
    if !failures.is_empty() {
        let list: String = failures.into_iter().map(|(_, failure)| failure).collect();
        panic!("{table}: {held} of {} rows hold; these do not:\n{list}", cases.len());
    }
}

fn take<'a>(next: &AtomicUsize, cases: &'a [Case]) -> Option<(usize, &'a Case)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    cases.get(at).map(|case| (at, case))
}

/// Plays one row; on failure says what was wrong and shows both sides whole.
fn play(case: &Case, house: &House, scene: &Scene) -> Result<(), String> {
    let mut wire = Wire::connect(house.address());
    let outcome = act(case, &mut wire, scene);
    outcome.map_err(|complaint| format!("\n  {} [{}]\n    {complaint}\n{}", case.name, case.rfc, wire.transcript()))
}

fn act(case: &Case, wire: &mut Wire, scene: &Scene) -> Result<(), String> {
    let is_old = case
        .moves
        .iter()
        .any(|step| matches!(step, Move::Send(bytes) if memchr::memmem::find(bytes, b" HTTP/1.0\r\n").is_some()));
    let hears = case.moves.iter().filter(|step| matches!(step, Move::Hear(_))).count();
    let mut heard = 0;
    let mut last = None;
    for step in &case.moves {
        match step {
            Move::Send(bytes) => wire.send(&scene.fill(bytes)),
            Move::HalfClose => wire.end_our_half(),
            Move::Hush(span) if wire.is_quiet_for(*span) => {}
            Move::Hush(span) => return Err(format!("something came within the {span:?} that nothing should")),
            Move::Hear(_) if case.then == Then::Whatever => {
                let _ = wire.hear(false);
            }
            Move::Hear(expect) => {
                let answer = expect.hear(wire)?;
                expect.judge(&answer, scene)?;
                if !is_old && (answer.field("keep-alive").is_some() || answer.lists("connection", "keep-alive")) {
                    return Err("an answer to HTTP/1.1 speaks of keep-alive (API.md section 1)".into());
                }
                heard += 1;
                if answer.says_close() && heard < hears {
                    return Err("an answer said close and was not the last".into());
                }
                last = Some(answer);
            }
        }
    }
    let says_close = last.as_ref().is_some_and(Answer::says_close);
    match case.then {
        Then::Keeps if says_close => Err("the answer says close, and the connection should go on".into()),
        Then::Keeps => goes_on(wire, scene),
        Then::AsSaid if !says_close => goes_on(wire, scene),
        Then::AsSaid => wire.ends_within(PATIENCE),
        Then::Closes => {
            let we_ended = case.moves.iter().any(|step| matches!(step, Move::HalfClose));
            if !is_old && !we_ended && last.is_some() && !says_close {
                return Err("the last answer does not say close (RFC 9112 section 9.6)".into());
            }
            wire.ends_within(PATIENCE)
        }
        Then::Whatever => Ok(()),
    }
}

/// Proves that the connection lives and both sides agree on where they are: one more request, one more answer.
fn goes_on(wire: &mut Wire, scene: &Scene) -> Result<(), String> {
    wire.send(&scene.fill(&get("/page.html?still-here")));
    let wrong = |complaint| format!("of one more request on the connection: {complaint}");
    let answer = wire.hear(false).map_err(wrong)?;
    is(200).body(PAGE).judge(&answer, scene).map_err(wrong)?;
    if wire.has_surplus() { Err("bytes came that nobody had asked for".into()) } else { Ok(()) }
}
