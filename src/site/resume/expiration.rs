//! Expiration: uploads whose time is over are removed, and it is seen what has become of those at which another process was.

use crate::clock::Wall;
use crate::http::fault::Fault;
use crate::server::context::Context;
use crate::server::reply::{Lane, Step, Task};
use crate::site::files::files;
use crate::site::resume::status::look;
use crate::site::resume::upload::Disks;
use crate::site::state::Site;
use crate::store::disk::PartialId;
use crate::store::partial::{Hold, LIFETIME_MS, Maker, Partial, State};

/// While uploads are unfinished it is seen so often whether the time of one is over.
pub const LOOK_EVERY_MS: u64 = 60_000;

/// And so often what has become of those at which another process was.
const ELSEWHERE_MS: u64 = 2_000;

/// Uploads whose time is over, to be removed by a helper, and those at which another process was; as long as there are others, it is
/// looked again later.
pub fn look_around(site: &mut Site, cx: &mut Context<'_>) -> Option<(Lane, Task<Site>)> {
    let disks = Disks::of(site).ok()?;
    let users = site.accounts.as_ref().filter(|accounts| accounts.unread.is_none()).map(|accounts| &accounts.users);
    let is_gone = |maker: &Maker| {
        let account = maker.account().zip(users);
        account.is_some_and(|(id, users)| users.gone().any(|gone| gone == id))
    };
    let partials = &mut site.files.as_mut()?.partials;
    if partials.is_empty() {
        return None;
    }
    // It is asked at every alarm, whoever's it is; only its own are worth a look at all of them.
    if cx.now < partials.look_at {
        cx.wake_at(partials.look_at);
        return None;
    }
    let gone = partials.expire(cx.wall, is_gone);
    let elsewhere: Vec<_> = std::mem::take(&mut partials.elsewhere)
        .into_iter()
        .filter_map(|id| partials.get(id, cx.wall).map(|partial| (id, partial.state.clone(), partial.hold.clone())))
        .collect();
    partials.look_at = cx.now.plus(if elsewhere.is_empty() { LOOK_EVERY_MS } else { ELSEWHERE_MS });
    cx.wake_at(partials.look_at);
    if gone.is_empty() && elsewhere.is_empty() {
        return None;
    }
    let task = move || -> Step<Site> {
        let held = clear_away(&disks, gone, true);
        let (finished, still) = follow_elsewhere(&disks, elsewhere);
        Box::new(move |site: &mut Site, cx: &mut Context<'_>| {
            put_back(site, held, cx.wall);
            if let Ok(files) = files(site) {
                files.partials.elsewhere.extend(still);
                finished.into_iter().for_each(|(id, state)| files.partials.note(id, state, true));
            }
            Fault::not_found().into()
        })
    };
    Some((Lane::Writes, Box::new(task)))
}

/// Uploads at which the process before this one was when they were found: what it has finished lies where it should, and counts there.
/// Those at which it still is are given back.
fn follow_elsewhere(disks: &Disks, asked: Vec<(PartialId, State, Hold)>) -> (Vec<(PartialId, State)>, Vec<PartialId>) {
    let (mut finished, mut still) = (Vec::new(), Vec::new());
    for (id, state, hold) in asked {
        let Some(unfinished) = disks.unfinished(&state) else { continue };
        if matches!(unfinished.claim(id), Ok(None)) {
            still.push(id);
        } else if let Ok((state, _, true)) = look(unfinished, id, state, &hold) {
            finished.push((id, state));
        }
    }
    (finished, still)
}

/// Removes uploads that are not waited for any more. Gives those back at which another process still is; if it is only that their
/// time is over, also those of which a piece is coming in here, however long that takes.
pub fn clear_away(disks: &Disks, gone: Vec<(PartialId, Partial)>, is_over: bool) -> Vec<(PartialId, Partial)> {
    let mut kept = Vec::new();
    for (id, partial) in gone {
        let Some(unfinished) = disks.unfinished(&partial.state) else { continue };
        let hold = partial.hold.clone();
        let mut held = hold.lock();
        let is_ours = held.claim.as_ref().is_some_and(|claim| claim.strong_count() > 0);
        let claim = if is_ours { Ok(None) } else { unfinished.claim(id) };
        if matches!(claim, Ok(None)) && (is_over || !is_ours) {
            drop(held);
            kept.push((id, partial));
            continue;
        }
        hold.take_over(&mut held);
        match unfinished.give_up(id) {
            Ok(()) => held.pledge = None,
            Err(error) => log::error!("the upload {id:?}, which nobody continues, stays: {error}"),
        }
    }
    kept
}

/// Takes uploads in again that could not be removed. Somebody goes on with them, so they are waited for anew.
pub fn put_back(site: &mut Site, kept: Vec<(PartialId, Partial)>, now: Wall) {
    if let Ok(files) = files(site) {
        for (id, mut partial) in kept {
            partial.state.until = partial.state.until.max(now.plus(LIFETIME_MS));
            files.partials.put_back(id, partial);
        }
    }
}
