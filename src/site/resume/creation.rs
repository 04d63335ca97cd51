//! Creation: a new upload, perhaps with its first piece.

use crate::clock::Wall;
use crate::http::fault::Fault;
use crate::http::status::Status;
use crate::http::tus::{self, Algorithm};
use crate::path::RelPath;
use crate::server::context::{Call, Context};
use crate::server::reply::Reply;
use crate::site::files::{bad_name, files};
use crate::site::gate::{Action, Principal, rights_of};
use crate::site::receive::name::read_folder;
use crate::site::receive::quota::Allowance;
use crate::site::receive::room::Room;
use crate::site::receive::store::Store;
use crate::site::resume::answer::{created, refused, told, too_large, too_many};
use crate::site::resume::expiration::{LOOK_EVERY_MS, clear_away, put_back};
use crate::site::resume::head::{check_media_type, check_version, piece_length};
use crate::site::resume::patch::receive;
use crate::site::resume::piece::Asked;
use crate::site::resume::upload::{Disks, maker, unfinished};
use crate::site::spot::{Actor, Area, early_right, private_area};
use crate::site::state::{Site, disk_fault};
use crate::site::upload::{is_yes, read_on_conflict, refuse_coding};
use crate::store::disk::PartialId;
use crate::store::partial::{LIFETIME_MS, State};
use crate::store::pledges::{Pledge, Pledges};
use crate::store::tree::{OnConflict, check_name, check_place, generated_name};

/// `POST /tus`: a new upload, perhaps with its first piece.
pub fn create(site: &mut Site, call: &Call<'_>, who: Principal, cx: &mut Context<'_>) -> Reply<Site> {
    told(create_now(site, call, &who, cx))
}

fn create_now(site: &mut Site, call: &Call<'_>, who: &Principal, cx: &Context<'_>) -> Result<Reply<Site>, Fault> {
    let limits = site.config.limits;
    let Announced { length, piece, checksum } = Announced::of(call, limits.upload_limit_bytes)?;
    let metadata = call.headers.find("Upload-Metadata").unwrap_or_default();
    let files = files(site)?;
    let lot = (files.lots.draw() >> 32) as u32;
    let wish = Wish::of(metadata, who, || generated_name(cx.wall, lot, "bin"))?;
    let maker = maker(who, cx.peer.ip);
    files.partials.admit(&maker, cx.wall).map_err(too_many)?;
    let pledges = files.partials.pledges.clone();
    let store = Store::of(files, &wish.area, limits.min_free_bytes)?;
    let disks = Disks::of(site)?;
    let actor = Actor { who: who.clone(), rights: rights_of(site, call.request) };
    actor.may_use(Action::SharedWrite, &wish.area)?;
    let allowance = Allowance::of(site, &actor);
    let early = early_right(site, &actor, &wish.area, &wish.path);
    // Nothing is refused from here to the helper that removes them.
    let gone = self::files(site)?.partials.expire(cx.wall, |_| false);
    let mut state = State {
        maker,
        length,
        path: wish.path,
        is_private: !wish.area.is_shared(),
        on_conflict: wish.on_conflict,
        metadata: String::from_utf8_lossy(metadata).into_owned(),
        until: cx.wall.plus(LIFETIME_MS),
        synced: 0,
        boot: String::new(),
        unchecked_from: None,
        place: None,
    };
    Ok(Reply::offload_write(move || {
        let held = clear_away(&disks, gone, true);
        let begun = begin(&store, &mut state, allowance, early, &pledges);
        move |site: &mut Site, cx: &mut Context<'_>| {
            put_back(site, held, cx.wall);
            told(begun.and_then(|(id, pledge)| {
                let is_whole = state.length == Some(0);
                if let Err(fault) = take_in(site, id, state, pledge, cx.wall) {
                    return Ok(give_up(store, id, fault));
                }
                cx.wake_at(cx.now.plus(LOOK_EVERY_MS));
                if piece.is_none() && !is_whole {
                    let until = cx.wall.plus(LIFETIME_MS);
                    return Ok(created(site, id, 0, until).into());
                }
                let asked =
                    Asked { id, offset: 0, checksum, length: None, body: piece.unwrap_or(Some(0)), is_new: true };
                receive(site, asked, maker, actor, cx)
            }))
        }
    }))
}

/// What the head of a creation announces.
struct Announced {
    /// The bytes of the whole upload, if that is known yet.
    length: Option<u64>,
    /// Whether its first piece comes with it, and how long that is, if that is known.
    piece: Option<Option<u64>>,
    /// What that piece must come to.
    checksum: Option<(Algorithm, Vec<u8>)>,
}

impl Announced {
    fn of(call: &Call<'_>, most: u64) -> Result<Announced, Fault> {
        let headers = &call.headers;
        check_version(headers)?;
        refuse_coding(call.request)?;
        if headers.find("Upload-Concat").is_some() {
            return Err(Fault::new(Status::BAD_REQUEST, "bad_header", "uploads cannot be put together from others"));
        }
        let piece = piece_length(call);
        if piece.is_some() {
            check_media_type(headers)?;
        }
        let checksum = tus::checksum(headers)?;
        let length = tus::announced(headers)?;
        if length.is_some_and(|length| length > most) {
            return Err(too_large(most));
        }
        Ok(Announced { length, piece, checksum })
    }
}

/// What the metadata wish for.
struct Wish {
    area: Area,
    path: RelPath<'static>,
    on_conflict: OnConflict,
}

impl Wish {
    fn of(metadata: &[u8], who: &Principal, unnamed: impl FnOnce() -> String) -> Result<Wish, Fault> {
        let (mut name, mut folder, mut on_conflict) = (None, RelPath::ROOT, OnConflict::Error);
        let mut area = Area::Shared;
        for (key, value) in tus::metadata(metadata)? {
            let text = || std::str::from_utf8(&value).map_err(|_| bad_name("a name is UTF-8"));
            match key {
                "filename" => name = Some(check_name(text()?).map_err(bad_name)?.to_owned()),
                "dir" => folder = read_folder(text()?)?,
                "on_conflict" => on_conflict = read_on_conflict(text()?)?,
                "private" => match is_yes(&value) {
                    Some(true) => area = private_area(who)?,
                    Some(false) => {}
                    None => return Err(crate::site::body::bad_field("private")),
                },
                _ => {}
            }
        }
        let name = name.unwrap_or_else(unnamed);
        let path = folder.join(&RelPath::from_plain(&name).map_err(|_| bad_name("this is no name for a file"))?);
        check_place(&path, area.is_shared()).map_err(bad_name)?;
        let path = area.root().join(&path);
        Ok(Wish { area, path, on_conflict })
    }
}

fn begin(
    store: &Store,
    state: &mut State,
    allowance: Option<Allowance>,
    early: Result<(), Fault>,
    pledges: &Pledges,
) -> Result<(PartialId, Option<Pledge>), Fault> {
    if store.look(&state.path, state.on_conflict)?.is_some() && state.on_conflict == OnConflict::Overwrite {
        early?;
    }
    let room = Room::new(store, state.length, allowance)?;
    // Whoever may have any number of bytes today may be given a measure tomorrow.
    let pledge = room.into_pledge().or_else(|| {
        let account = state.maker.account()?;
        Some(pledges.pledge(account, state.length.unwrap_or(0)))
    });
    let unfinished = unfinished(&*store.disk)?;
    state.boot = unfinished.boot();
    let begun = unfinished.begin(&state.write()).map_err(|error| disk_fault(&error, "begin an upload"))?;
    Ok((begun, pledge))
}

/// There are too many after all: what was begun goes again.
fn give_up(store: Store, id: PartialId, fault: Fault) -> Reply<Site> {
    Reply::offload_write(move || {
        let given_up = unfinished(&*store.disk).map(|unfinished| unfinished.give_up(id));
        if let Ok(Err(error)) = given_up {
            log::error!("the upload {id:?}, of which there were too many, stays: {error}");
        }
        move |_: &mut Site, _: &mut Context<'_>| refused(&fault)
    })
}

/// Takes a new upload in; many may have been begun in the same moment.
fn take_in(site: &mut Site, id: PartialId, state: State, pledge: Option<Pledge>, now: Wall) -> Result<(), Fault> {
    let files = files(site)?;
    files.partials.admit(&state.maker, now).map_err(too_many)?;
    files.partials.insert(id, state, pledge);
    Ok(())
}
