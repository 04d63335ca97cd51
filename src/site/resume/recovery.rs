//! Uploads that another run has left, or another process is at: what can be relied on of them is taken up, the rest is cut away.

use std::io;
use std::sync::{Arc, Weak};

use crate::clock::Wall;
use crate::store::disk::{Claim, Disk, PartialId, Unfinished};
use crate::store::partial::{Held, LIFETIME_MS, State};

/// An upload that an earlier run has left.
pub struct Left {
    /// Its name.
    pub id: PartialId,
    /// What is known of it.
    pub state: State,
    /// How much of it there is.
    pub came: u64,
    /// Whether it is whole and lies where it should.
    pub is_finished: bool,
    /// Whether another process is at it.
    pub is_elsewhere: bool,
}

/// What an earlier run, or a process that is still ending, has left on a disk. It may block.
pub fn find_left(disk: &dyn Disk, now: Wall) -> Vec<Left> {
    let Some(unfinished) = disk.unfinished() else { return Vec::new() };
    let states = unfinished.all().unwrap_or_else(|error| {
        log::error!("unfinished uploads of an earlier run cannot be read: {error}");
        Vec::new()
    });
    if states.is_empty() {
        return Vec::new();
    }
    let boot = unfinished.boot();
    let mut left = Vec::new();
    for (id, text) in states {
        match find_one(unfinished, id, &text, &boot, now) {
            Ok(found) => left.extend(found.map(|(state, is_finished)| {
                let came = unfinished.size(id).unwrap_or(0);
                let is_elsewhere = !is_finished && matches!(unfinished.claim(id), Ok(None));
                Left { id, state, came, is_finished, is_elsewhere }
            })),
            Err(error) => log::error!("the unfinished upload {id:?} is out of reach: {error}"),
        }
    }
    left
}

fn find_one(
    unfinished: &dyn Unfinished,
    id: PartialId,
    text: &[u8],
    boot: &str,
    now: Wall,
) -> std::io::Result<Option<(State, bool)>> {
    let claim = match unfinished.claim(id) {
        // Somebody is still receiving a piece of it, and will see to it.
        Ok(None) => return Ok(State::read(text).map(|state| (state, false))),
        // What has no content is finished.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        claim => claim?,
    };
    let found = match State::read(text).map(|state| still_waited_for(unfinished, id, state)) {
        Some(state) if state.until > now => take_up(unfinished, id, state, boot).map(Some),
        _ => unfinished.give_up(id).map(|()| None),
    };
    drop(claim);
    found
}

/// A piece may have been coming for longer than an upload is waited for, and nobody wrote down that it was.
fn still_waited_for(unfinished: &dyn Unfinished, id: PartialId, state: State) -> State {
    let came = unfinished.changed(id).unwrap_or_default();
    let until = state.until.max(came.plus(LIFETIME_MS));
    State { until, ..state }
}

/// The state of an upload as it is written down now.
pub fn written_state(unfinished: &dyn Unfinished, id: PartialId) -> io::Result<State> {
    State::read(&unfinished.state(id)?).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Takes an upload up that another run has left: what cannot be relied on is cut away. Says whether it is finished. Nobody else may
/// be at it.
pub fn take_up(unfinished: &dyn Unfinished, id: PartialId, mut state: State, boot: &str) -> io::Result<(State, bool)> {
    let size = match unfinished.size(id) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((state, true)),
        size => size?,
    };
    let reliable = state.reliable(size, boot);
    if reliable < size {
        unfinished.resume(id)?.cut(reliable)?;
    }
    if state.boot != boot || state.unchecked_from.is_some() {
        state = State { boot: boot.to_owned(), synced: state.synced.min(reliable), unchecked_from: None, ..state };
        unfinished.mark(id, &state.write())?;
    }
    Ok((state, false))
}

/// Keeps other processes from an upload; `None` if one of them is at it. What one of them has left in the meantime is taken up.
pub fn claim(
    unfinished: &dyn Unfinished,
    id: PartialId,
    state: &mut State,
    held: &mut Held,
) -> io::Result<Option<Claim>> {
    if let Some(claim) = held.claim.as_ref().and_then(Weak::upgrade) {
        return Ok(Some(claim));
    }
    let Some(claim) = unfinished.claim(id)? else { return Ok(None) };
    held.claim = Some(Arc::downgrade(&claim));
    if held.is_doubtful {
        let written = written_state(unfinished, id)?;
        *state = take_up(unfinished, id, written, &unfinished.boot())?.0;
        held.is_doubtful = false;
    }
    Ok(Some(claim))
}
