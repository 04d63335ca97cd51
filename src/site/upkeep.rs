//! What is done without anybody asking: changes of another process to accounts are taken over, what has expired goes, and
//! uses of sessions are written down.

use crate::http::fault::Fault;
use crate::server::context::Context;
use crate::server::reply::Reply;
use crate::site::people::{end_all, keep};
use crate::site::spot::remove_homes_later;
use crate::site::state::Site;
use crate::store::change::Change;
use crate::store::users::Users;

/// The ledger holds this now: another process has changed it, or it has just been opened.
pub fn replaced(site: &mut Site, users: Users, cx: &mut Context<'_>) -> Reply<Site> {
    let Some(accounts) = &mut site.accounts else { return nothing() };
    accounts.unread = None;
    let gone: Vec<i64> = users.gone().filter(|&id| accounts.users.account(id).is_some()).collect();
    let ended = accounts.users.replace(users);
    if !ended.is_empty() {
        log::info!("accounts were changed from outside: {} sessions and tokens are not let in any more", ended.len());
    }
    end_all(site, &ended, cx);
    if !gone.is_empty() {
        remove_homes_later(site, cx, gone);
    }
    nothing()
}

/// Once a minute. What ends by it ends its open streams too.
pub fn each_minute(site: &mut Site, cx: &mut Context<'_>) -> Reply<Site> {
    let Some(accounts) = &site.accounts else { return nothing() };
    if let Some(sweep) = accounts.users.sweep(cx.wall) {
        return keep(site, cx, sweep, |site, _, cx| note_uses(site, cx));
    }
    note_uses(site, cx)
}

fn note_uses(site: &mut Site, cx: &mut Context<'_>) -> Reply<Site> {
    let sessions = site.accounts.as_ref().map(|accounts| accounts.users.unseen()).unwrap_or_default();
    if sessions.is_empty() {
        return nothing();
    }
    keep(site, cx, Change::Seen { sessions }, |_, _, _| nothing())
}

/// Nobody hears it.
fn nothing() -> Reply<Site> {
    Fault::not_found().into()
}
