//! A piece of an upload on its way to the disk. The last one gives the whole its place.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use crate::clock::Wall;
use crate::http::fault::Fault;
use crate::http::status::Status;
use crate::http::tus::Algorithm;
use crate::server::context::Context;
use crate::server::reply::{Reply, Sink, Step};
use crate::site::files::note_stored;
use crate::site::receive::quota::{Allowance, allowance_place, over_quota};
use crate::site::receive::room::Room;
use crate::site::receive::store::{Store, Stored, keep_stored};
use crate::site::resume::answer::{
    answer, created, held_elsewhere, imf, refused, taken_over, too_large, whole, wrong_offset,
};
use crate::site::resume::checksum::Check;
use crate::site::resume::recovery::claim;
use crate::site::resume::upload::{note, unfinished};
use crate::site::spot::{Actor, locked, when_known};
use crate::site::state::{Site, disk_fault};
use crate::site::way::{Placed, Unplaced};
use crate::store::disk::{Claim, Growing, PartialId};
use crate::store::partial::{Held, Hold, LIFETIME_MS, State, Turn};
use crate::store::pledges::Pledge;
use crate::store::tree::OnConflict;

/// After so many bytes of one piece what has come is synced, so that a loss of power costs no more than that.
const SYNC_EVERY: u64 = 64 << 20;

/// A piece that somebody wants to send.
pub struct Asked {
    /// Of which upload.
    pub id: PartialId,
    /// Where it begins.
    pub offset: u64,
    /// What it must come to.
    pub checksum: Option<(Algorithm, Vec<u8>)>,
    /// How long the whole will be, if that is told only now.
    pub length: Option<u64>,
    /// How long the piece will be, if that is known.
    pub body: Option<u64>,
    /// Whether the upload is made by the same request.
    pub is_new: bool,
}

/// Who brings a piece, and what they are allowed.
pub struct Bearer {
    /// The most bytes of an upload.
    pub limit: u64,
    /// When.
    pub now: Wall,
    /// Where from.
    pub ip: IpAddr,
    /// Who, under which rights.
    pub actor: Actor,
    /// What is left for them.
    pub allowance: Option<Allowance>,
}

/// A piece on its way to the disk.
pub struct Piece {
    id: PartialId,
    store: Store,
    state: State,
    file: Box<dyn Growing>,
    turn: Turn,
    /// Other processes are kept from it.
    _claim: Claim,
    room: Room,
    /// What was left of its sender's allowance when it began to come.
    left: Option<u64>,
    /// Where it began, and where it is.
    start: u64,
    at: u64,
    /// Where the upload must end at the latest.
    most: u64,
    check: Option<Check>,
    is_new: bool,
    ip: IpAddr,
    actor: Actor,
}

impl Piece {
    /// Takes the upload over, if the piece goes on where it ends.
    ///
    /// # Errors
    /// What keeps it from that; 409 if it goes on elsewhere.
    pub fn prepare(store: Store, asked: Asked, mut state: State, hold: &Hold, by: Bearer) -> Result<Piece, Fault> {
        let Bearer { limit, now, ip, actor, allowance } = by;
        let disk = Arc::clone(&store.disk);
        let unfinished = unfinished(&*disk)?;
        let fault = |error: io::Error| disk_fault(&error, "go on with an upload");
        let mut held = hold.lock();
        let claim = claim(unfinished, asked.id, &mut state, &mut held).map_err(fault)?.ok_or_else(held_elsewhere)?;
        let size = unfinished.size(asked.id).map_err(fault)?;
        let end = held.unchecked_from.map_or(size, |from| from.min(size));
        let from = state.asked_from(end);
        if asked.offset != end && asked.offset != from {
            return Err(wrong_offset(from));
        }
        let end = asked.offset;
        state.length = told_length(state.length, asked.length, end, limit)?;
        let most = state.length.unwrap_or(limit);
        if asked.body.is_some_and(|body| body > most - end.min(most)) {
            return Err(too_large(most));
        }
        let known = asked.body.unwrap_or(0);
        let wanted = state.length.unwrap_or(end.saturating_add(known));
        let before = held.pledge.as_ref().map_or(0, Pledge::bytes);
        let left = count(&mut held, end.saturating_add(known), wanted, allowance)?;
        state.until = now.plus(LIFETIME_MS);
        state.unchecked_from = asked.checksum.is_some().then_some(end);
        // What is cut off is not safe from a loss of power, and neither is what comes in its place.
        let is_cut_below = end < state.synced;
        state.synced = state.synced.min(end);
        let begin = || -> Result<(Room, Box<dyn Growing>), Fault> {
            let room = Room::new(&store, asked.body, None)?;
            let mut file = unfinished.resume(asked.id).map_err(fault)?;
            if end < size {
                file.cut(end).map_err(fault)?;
            }
            if state.unchecked_from.is_some() || held.unchecked_from.is_some() || is_cut_below {
                unfinished.mark(asked.id, &state.write()).map_err(fault)?;
            }
            Ok((room, file))
        };
        let begun = begin();
        if begun.is_err()
            && let Some(pledge) = &mut held.pledge
        {
            // Nothing comes of it, so it counts as it did.
            pledge.set(before);
        }
        let (room, file) = begun?;
        held.unchecked_from = state.unchecked_from;
        let turn = hold.take_over(&mut held);
        drop(held);
        Ok(Piece {
            id: asked.id,
            store,
            state,
            file,
            turn,
            _claim: claim,
            room,
            left,
            start: end,
            at: end,
            most,
            check: asked.checksum.map(Check::new),
            is_new: asked.is_new,
            ip,
            actor,
        })
    }

    /// What is known of the upload while this piece of it comes.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// How much may still come.
    pub fn room_left(&self) -> u64 {
        self.most - self.at.min(self.most)
    }

    fn mark(&mut self) -> Result<(), Fault> {
        let fault = |error: io::Error| disk_fault(&error, "go on with an upload");
        self.file.sync().map_err(fault)?;
        self.state.synced = self.at;
        unfinished(&*self.store.disk)?.mark(self.id, &self.state.write()).map_err(fault)
    }

    /// Takes back what came, since it cannot be checked any more or is wrong. Only who has the turn may.
    fn take_back(&mut self) -> io::Result<()> {
        self.file.cut(self.start)?;
        self.state.unchecked_from = None;
        match self.store.disk.unfinished() {
            Some(unfinished) => unfinished.mark(self.id, &self.state.write()),
            None => Ok(()),
        }
    }

    /// The body is complete. Says whether the upload is.
    fn end(&mut self) -> Result<bool, Fault> {
        let turn = self.turn.clone();
        let mut held = turn.keep().ok_or_else(taken_over)?;
        if let Some(check) = self.check.take() {
            if !check.holds() {
                // As long as it is still there it does not count.
                self.take_back().map_err(|error| disk_fault(&error, "take a piece of an upload back"))?;
                held.unchecked_from = None;
                let detail = "the piece does not come to the checksum that was sent with it";
                return Err(Fault::new(Status::CHECKSUM_MISMATCH, "checksum_mismatch", detail));
            }
            held.unchecked_from = None;
        }
        self.state.unchecked_from = None;
        self.mark()?;
        Ok(self.state.length == Some(self.at))
    }

    /// Gives the whole its name, or one like it: also if what has that name may not be replaced.
    fn place(&mut self, may_replace: bool) -> Placed<Stored> {
        let turn = self.turn.clone();
        let mut held = turn.keep().ok_or_else(taken_over)?;
        let Piece { store, state, file, .. } = self;
        let (stored, folders) = store.place_at(&state.path, || {
            let replaced = if state.on_conflict == OnConflict::Overwrite && may_replace {
                match store.commit(&mut **file, &state.path, OnConflict::Overwrite, &Ok(())) {
                    Err(fault) if fault.status == Status::CONFLICT => None,
                    stored => Some(stored),
                }
            } else {
                None
            };
            replaced.unwrap_or_else(|| store.commit(&mut **file, &state.path, OnConflict::Rename, &Ok(())))
        })?;
        // From here on it counts as what it is.
        held.pledge = None;
        self.state.place = Some(stored.path.clone());
        // The file is where it should be; that this is not written down costs its sender a question.
        if let Err(error) = unfinished(&*self.store.disk)?.mark(self.id, &self.state.write()) {
            log::error!("the end of the upload {:?} cannot be written down: {error}", self.id);
        }
        Ok((stored, folders))
    }

    /// All of the upload has come: it takes its place.
    fn settle(self: Box<Self>, site: &mut Site, cx: &mut Context<'_>) -> Reply<Site> {
        let place = self.store.area.place(&self.state.path).or_like();
        let places = [place].into_iter().chain(allowance_place(site, &self.actor)).collect();
        locked(site, cx, &self.actor.clone(), places, move |site, _| self.settle_now(site))
    }

    fn settle_now(mut self: Box<Self>, site: &mut Site) -> Reply<Site> {
        let may_replace = self.actor.may_change(site, &self.store.area, &self.state.path).is_ok();
        let allowance = Allowance::of(site, &self.actor);
        Reply::offload_write(move || {
            let fits = allowance.map_or(Ok(()), |allowance| allowance.check(self.at)).map_err(Unplaced::from);
            let placed = fits.and_then(|()| self.place(may_replace));
            let (id, is_new, at, ip) = (self.id, self.is_new, self.at, self.ip);
            let (state, area, actor) = (self.state.clone(), self.store.area.clone(), self.actor.clone());
            drop(self);
            move |site: &mut Site, cx: &mut Context<'_>| {
                note(site, id, &state, placed.is_ok());
                keep_stored(site, cx, placed, area, &actor, move |site, area, stored| {
                    note_stored(site, &area.show(&stored.path), &stored.facts, ip);
                    let response = if is_new { created(site, id, at, state.until) } else { answer(Status::NO_CONTENT) };
                    whole(site, area, &state, response, at).into()
                })
            }
        })
    }
}

impl Sink<Site> for Piece {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let turn = self.turn.clone();
        let mut held = turn.keep().ok_or_else(taken_over)?;
        if bytes.len() as u64 > self.room_left() {
            return Err(too_large(self.most));
        }
        let next = self.at + bytes.len() as u64;
        let grown =
            held.pledge.as_mut().filter(|pledge| next > pledge.bytes()).map_or(next, |pledge| pledge.raise(next));
        if self.left.is_some_and(|left| grown > left) {
            return Err(over_quota());
        }
        self.room.take(bytes.len())?;
        self.file.write(bytes).map_err(|error| disk_fault(&error, "write to an upload"))?;
        self.at += bytes.len() as u64;
        if let Some(check) = &mut self.check {
            check.update(bytes);
        } else if self.at - self.state.synced >= SYNC_EVERY {
            self.mark()?;
        }
        drop(held);
        Ok(())
    }

    fn position(&self) -> u64 {
        self.at
    }

    /// What has come need not be sent again, but a piece that is to be checked counts as a whole or not at all.
    fn break_off(mut self: Box<Self>, rest: &[u8]) {
        if self.check.is_none() {
            // Whatever keeps this from being written, its sender is told how much is there when it asks.
            let _ = self.write(rest);
        }
    }

    fn finish(mut self: Box<Self>) -> Step<Site> {
        match self.end() {
            Ok(true) => Box::new(move |site, cx| {
                note(site, self.id, &self.state, false);
                when_known(site, cx, move |site, cx| self.settle(site, cx))
            }),
            ended => {
                let (id, state) = (self.id, self.state.clone());
                // The content is closed here, where that may block.
                let response = ended.map(|_| Ended { is_new: self.is_new, at: self.at });
                Box::new(move |site, _| {
                    note(site, id, &state, false);
                    match response {
                        Ok(Ended { is_new: true, at }) => created(site, id, at, state.until).into(),
                        Ok(Ended { at, .. }) => answer(Status::NO_CONTENT)
                            .header("Upload-Offset", &at.to_string())
                            .header("Upload-Expires", &imf(state.until))
                            .into(),
                        Err(fault) => refused(&fault),
                    }
                })
            }
        }
    }
}

/// A piece that is stored, with more to come.
struct Ended {
    is_new: bool,
    at: u64,
}

impl Drop for Piece {
    fn drop(&mut self) {
        let is_unchecked = self.check.is_some();
        if !is_unchecked && self.state.length.is_some() {
            return;
        }
        let turn = self.turn.clone();
        let Some(mut held) = turn.keep() else { return };
        if self.state.length.is_none()
            && let Some(pledge) = &mut held.pledge
        {
            // What was said to come, and did not, counts no more.
            pledge.set(if is_unchecked { self.start } else { self.at });
        }
        // A piece that is to be checked counts as a whole or not at all.
        if !is_unchecked {
            return;
        }
        match self.take_back() {
            Ok(()) => held.unchecked_from = None,
            // It is cut off when the upload goes on, and does not count until then.
            Err(error) => log::error!("a piece of the upload {:?} that was not checked stays: {error}", self.id),
        }
    }
}

/// The length of an upload that has come to `end`, with what a piece of it tells of that: what is known already stays.
fn told_length(known: Option<u64>, told: Option<u64>, end: u64, limit: u64) -> Result<Option<u64>, Fault> {
    match (known, told) {
        (known, None) => Ok(known),
        (None, Some(length)) if length > limit => Err(too_large(limit)),
        (None, Some(length)) if length >= end => Ok(Some(length)),
        (Some(known), Some(length)) if known == length => Ok(Some(known)),
        _ => {
            let detail = "Upload-Length is not what it was or can be";
            Err(Fault::new(Status::BAD_REQUEST, "bad_header", detail))
        }
    }
}

/// Counts an upload of which so many bytes are there or about to come, and so many are wanted in all. Says what is left of the
/// allowance of who sends them. Blocks.
fn count(held: &mut Held, bytes: u64, wanted: u64, allowance: Option<Allowance>) -> Result<Option<u64>, Fault> {
    let before = held.pledge.as_ref().map_or(0, Pledge::bytes);
    let pledged = held.pledge.as_mut().filter(|_| wanted > before).map(|pledge| pledge.raise(wanted));
    let Some(allowance) = allowance else { return Ok(None) };
    let left = allowance.left();
    if pledged.unwrap_or(bytes) <= left {
        return Ok(Some(left));
    }
    if let Some(pledge) = held.pledge.as_mut().filter(|_| pledged.is_some()) {
        pledge.set(before);
    }
    Err(over_quota())
}
