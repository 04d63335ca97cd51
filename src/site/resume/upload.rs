//! Which upload a request means: whose it is, on which disk it grows, and what the loop knows of it.

use std::net::IpAddr;
use std::sync::Arc;

use crate::clock::Wall;
use crate::http::fault::Fault;
use crate::site::files::files;
use crate::site::gate::Principal;
use crate::site::spot::Area;
use crate::site::state::Site;
use crate::store::disk::{Disk, PartialId, Unfinished};
use crate::store::partial::{Maker, Partial, State};

/// Who makes an upload, and who may go on with it later.
pub fn maker(who: &Principal, ip: IpAddr) -> Maker {
    match who {
        Principal::Operator => Maker::Operator,
        Principal::User(user) => Maker::Account(user.id),
        Principal::Guest => Maker::Guest(ip),
    }
}

/// The upload that a request names, if it answers to who asks.
pub fn find<'a>(site: &'a mut Site, id: PartialId, who: &Maker, now: Wall) -> Result<&'a Partial, Fault> {
    let partial = files(site)?.partials.get(id, now).filter(|partial| partial.state.maker.answers_to(who));
    partial.ok_or_else(Fault::not_found)
}

/// Notes what is known of an upload now.
pub fn note(site: &mut Site, id: PartialId, state: &State, is_finished: bool) {
    if let Ok(files) = files(site) {
        files.partials.note(id, state.clone(), is_finished);
    }
}

/// Which part of the files an upload will come to lie in.
pub fn area_of(site: &Site, state: &State) -> Area {
    match state.maker {
        Maker::Account(id) if state.is_private => {
            let account = site.accounts.as_ref().and_then(|accounts| accounts.users.account(id));
            Area::Home { id, name: account.map_or_else(|| "".into(), |account| account.name.clone()) }
        }
        _ => Area::Shared,
    }
}

/// What a disk offers to unfinished uploads.
pub fn unfinished(disk: &dyn Disk) -> Result<&dyn Unfinished, Fault> {
    disk.unfinished().ok_or_else(Fault::not_found)
}

/// The disks of uploads, to be gone through by a helper.
pub struct Disks {
    shared: Arc<dyn Disk>,
    homes: Option<Arc<dyn Disk>>,
}

impl Disks {
    /// Those that the site has.
    pub fn of(site: &mut Site) -> Result<Disks, Fault> {
        let files = files(site)?;
        Ok(Disks { shared: Arc::clone(&files.disk), homes: files.homes.clone() })
    }

    /// Where an upload grows; `None` if there is no such disk.
    pub fn unfinished(&self, state: &State) -> Option<&dyn Unfinished> {
        if state.is_private { self.homes.as_deref()?.unfinished() } else { self.shared.unfinished() }
    }
}
