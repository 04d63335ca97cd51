//! What the routes of accounts have in common: names, passwords, the lane where they are hashed, and how a change is kept.

use std::net::IpAddr;

use serde_json::{Value, json};

use crate::clock::Wall;
use crate::config::{HASH_QUEUE, HASHERS};
use crate::http::date;
use crate::http::fault::Fault;
use crate::http::status::Status;
use crate::server::context::Context;
use crate::server::reply::{Lane, Reply, Step, Verdict};
use crate::site::books;
use crate::site::gate::{User, come_later, tell_failure, tell_unheard};
use crate::site::notice::Unheard;
use crate::site::rate;
use crate::site::reserve::{Place, Regular};
use crate::site::state::{Accounts, Site};
use crate::site::throttle::{Outcome, Try};
use crate::store::change::Change;
use crate::store::entry::Entry;
use crate::store::password::{PASSWORD_MAX, PASSWORD_MIN, SALT_BYTES, Weakness, check_password};
use crate::store::secret::{Cost, Hash};
use crate::store::users::{Account, Credential, KNOWN_MS, Users};

/// Letters of a name.
pub const NAME_MAX: usize = 32;

/// The accounts there are; without them their routes are not there either.
pub fn accounts(site: &mut Site) -> Result<&mut Accounts, Fault> {
    site.accounts.as_mut().ok_or_else(Fault::not_found)
}

/// A name as it is written, if it can be one: `[a-z0-9][a-z0-9._-]{0,31}` after lower-casing. Only ASCII has case here, so
/// that no letter from elsewhere becomes one of these.
pub fn name(given: &str) -> Option<String> {
    let name = given.to_ascii_lowercase();
    let bytes = name.as_bytes();
    let is_letter = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let fits = bytes.first().is_some_and(is_letter)
        && bytes.len() <= NAME_MAX
        && bytes.iter().all(|byte| is_letter(byte) || matches!(byte, b'.' | b'_' | b'-'));
    fits.then_some(name)
}

/// A name for a new account.
pub fn new_name(given: &str) -> Result<String, Fault> {
    name(given).ok_or_else(|| {
        let detail =
            "a username has 1 to 32 of a-z, 0-9, dot, underscore and hyphen, and begins with a letter or digit";
        Fault::new(Status::BAD_REQUEST, "bad_username", detail)
    })
}

/// Refuses a password that will not do.
pub fn new_password(password: &str, name: &str) -> Result<(), Fault> {
    check_password(password, name).map_err(|weakness| {
        let detail = match weakness {
            Weakness::Short => format!("a password has at least {PASSWORD_MIN} bytes"),
            Weakness::Long => format!("a password has at most {PASSWORD_MAX} bytes"),
            Weakness::Common => "this password is one of the first that are guessed".to_owned(),
        };
        Fault::new(Status::BAD_REQUEST, "weak_password", detail)
    })
}

/// 409, for a name that is somebody's, or was.
pub fn user_exists(name: &str) -> Fault {
    Fault::new(Status::CONFLICT, "user_exists", format!("the name {name} is taken"))
}

/// 401, the same whoever does not exist and whatever is wrong.
pub fn bad_credentials() -> Fault {
    Fault::new(Status::UNAUTHORIZED, "bad_credentials", "the username or the password is not right")
}

/// One more try to come in from an address.
pub fn count_try(site: &mut Site, cx: &Context<'_>) -> Result<(), Fault> {
    site.login_rate.take(cx.peer.ip, cx.now).map_err(|seconds| come_later(site, cx, seconds))
}

/// Whether an address is refused more often than anybody is who waits as they are told.
pub fn is_flooding(site: &mut Site, cx: &Context<'_>) -> bool {
    let Some(accounts) = &mut site.accounts else { return false };
    accounts.refusals.take(cx.peer.ip, cx.now).is_err()
}

/// Lets go of those who were held back long enough.
pub fn release(site: &mut Site, cx: &mut Context<'_>) {
    if let Some(accounts) = &mut site.accounts {
        accounts.held.release(cx);
    }
}

/// Begins a try at an account from an address.
pub fn begin_try(site: &mut Site, name: &str, ip: IpAddr, cx: &Context<'_>) -> Result<Try, Fault> {
    let accounts = accounts(site)?;
    let is_known = accounts.users.named(name).is_some_and(|account| knows(account, ip, cx.wall));
    let begun = accounts.throttle.begin(name, rate::network(ip), is_known, cx.now);
    begun.map_err(|seconds| come_later(site, cx, seconds))
}

/// Whether an address signed in to an account lately.
pub fn knows(account: &Account, ip: IpAddr, now: Wall) -> bool {
    let network = rate::network(ip);
    let since = |seen: Wall| now.as_millis().saturating_sub(seen.as_millis());
    account.known.iter().any(|(known, seen)| *known == network && since(*seen) < KNOWN_MS)
}

/// Begins a try of somebody who is signed in at their own account: nobody else's tries are in its way.
pub fn begin_own_try(site: &mut Site, user: &User, ip: IpAddr, cx: &Context<'_>) -> Result<Try, Fault> {
    match user.via {
        Credential::Session(id) => {
            let begun = accounts(site)?.throttle.begin_own(id, cx.now);
            begun.map_err(|seconds| come_later(site, cx, seconds))
        }
        Credential::Token(_) => begin_try(site, &user.name, ip, cx),
    }
}

/// What was tried: whose account it is, from where, and by what.
pub struct Tried<'a> {
    /// The name, as far as it can be one.
    pub name: &'a str,
    /// The address.
    pub ip: IpAddr,
    /// A password, or a code.
    pub by: &'static str,
}

/// A try has been checked: what is wrong is counted and told in the log.
///
/// # Errors
/// 401 for what is wrong, 429 for what was not looked at.
pub fn settle(site: &mut Site, tried: Try, outcome: Outcome, what: &Tried<'_>, cx: &Context<'_>) -> Result<(), Fault> {
    let settled = accounts(site)?.throttle.settle(tried, outcome, cx.now);
    settled.map_err(|seconds| come_later(site, cx, seconds))?;
    match outcome {
        Outcome::Right => Ok(()),
        Outcome::Wrong | Outcome::Spent => {
            count_failure(site, what);
            Err(bad_credentials())
        }
    }
}

/// Somebody was wrong.
pub fn count_failure(site: &mut Site, what: &Tried<'_>) {
    site.tallies.failed_sign_ins += 1;
    tell_failure(if what.name.is_empty() { "-" } else { what.name }, what.ip, what.by);
}

/// 503, for a password that cannot be hashed now.
pub fn busy() -> Fault {
    Fault::new(Status::SERVICE_UNAVAILABLE, "overloaded", "too many are signing in; try again soon").retry_after(2)
}

/// A place in the queue of those whose passwords are hashed. Where it is full there are a few more, for who was here before.
///
/// # Errors
/// 503 if there is none.
pub fn place(site: &mut Site, cx: &Context<'_>, who: Option<Regular>) -> Result<Place, Fault> {
    if cx.jobs_out(Lane::Hash) < HASHERS + HASH_QUEUE {
        return Ok(Place::ordinary());
    }
    let reserve = &mut accounts(site)?.reserve;
    let reserved = who.filter(|_| cx.has_room(Lane::Hash)).and_then(|who| reserve.take(who));
    reserved.ok_or_else(|| {
        tell_unheard(site, Unheard::Crowded, cx);
        busy()
    })
}

/// Has a helper hash, one at a time, then takes the step it returns.
pub fn hashing(cx: &Context<'_>, place: Place, task: impl FnOnce() -> Step<Site> + Send + 'static) -> Reply<Site> {
    let ip = cx.peer.ip;
    Reply::Offload(
        Lane::Hash,
        Box::new(move || {
            let step = task();
            let there: Step<Site> = Box::new(move |site: &mut Site, cx: &mut Context<'_>| {
                // The next hash of the same one takes it again.
                drop(place);
                cx.peer.ip = ip;
                step(site, cx)
            });
            there
        }),
    )
}

/// Hashes a new password on a helper, then goes on.
pub fn hash(
    site: &mut Site,
    cx: &Context<'_>,
    who: Option<Regular>,
    password: String,
    then: impl FnOnce(&mut Site, Hash, &mut Context<'_>) -> Reply<Site> + Send + 'static,
) -> Result<Reply<Site>, Fault> {
    let (cost, salt) = cost_and_salt(site)?;
    let place = place(site, cx, who)?;
    Ok(hashing(cx, place, move || {
        let hash = Hash::of(&password, salt, cost);
        Box::new(move |site, cx| match hash {
            Some(hash) => then(site, hash, cx),
            None => busy().into(),
        })
    }))
}

/// What a new hash is made with.
pub fn cost_and_salt(site: &mut Site) -> Result<(Cost, [u8; SALT_BYTES]), Fault> {
    let accounts = accounts(site)?;
    Ok((accounts.cost, accounts.random()?))
}

/// Has the ledger keep a change; what it ends, ends at once. `then` is told the change's id, or `None` if it was refused.
pub fn keep(
    site: &mut Site,
    cx: &mut Context<'_>,
    change: Change,
    then: impl FnOnce(&mut Site, Option<i64>, &mut Context<'_>) -> Reply<Site> + Send + 'static,
) -> Reply<Site> {
    let ip = cx.peer.ip;
    books::when_open(site, cx, move |site, _| {
        if let Err(fault) = books::check(site) {
            return fault.into();
        }
        let entry = Entry::Accounts(change.clone());
        Reply::Keep(
            Box::new(entry),
            Box::new(move |site, verdict, cx| {
                cx.peer.ip = ip;
                books::heed(site, verdict);
                let kept = match verdict {
                    Verdict::Kept(id) => Some(id),
                    Verdict::Refused => None,
                    Verdict::Busy => return books::busy().into(),
                    Verdict::Lost => return books::shut().into(),
                };
                if let (Some(id), Some(accounts)) = (kept, &mut site.accounts) {
                    tell(&accounts.users, &change, ip);
                    let ended = accounts.users.apply(&change, id);
                    end_all(site, &ended, cx);
                }
                then(site, kept, cx)
            }),
        )
    })
}

/// A line of the log for what has become of an account; `users` are as they were before it.
fn tell(users: &Users, change: &Change, ip: IpAddr) {
    let name = |account: &i64| users.account(*account).map_or("-", |account| &account.name);
    match change {
        Change::Register { name, .. } => log::info!("the account {name} was made, for {ip}"),
        Change::SignIn { account, .. } => log::info!("{} signed in, from {ip}", name(account)),
        Change::SignOut { account, .. } => log::info!("a session of {} was ended, for {ip}", name(account)),
        Change::SetPassword { account, .. } => log::info!("{} has a new password, for {ip}", name(account)),
        Change::Reset { account, .. } => log::info!("{} has reset the password with a code, for {ip}", name(account)),
        Change::GiveCode { account, .. } => log::info!("a code to reset {} was given out, for {ip}", name(account)),
        Change::AddToken { account, .. } => log::info!("an API token of {} was made, for {ip}", name(account)),
        Change::RemoveToken { account, .. } => log::info!("an API token of {} was removed, for {ip}", name(account)),
        Change::Invite { .. } => log::info!("an invite was made, for {ip}"),
        Change::Set { account, is_disabled, is_admin, quota } => {
            let is = |what: &str, now: Option<bool>| now.map(|now| format!("{what} {now}"));
            let quota =
                quota.map(|quota| quota.map_or("quota as configured".to_owned(), |bytes| format!("quota {bytes}")));
            let now: Vec<_> =
                [is("disabled", *is_disabled), is("admin", *is_admin), quota].into_iter().flatten().collect();
            log::info!("the account {} was changed, for {ip}: {}", name(account), now.join(", "));
        }
        Change::Delete { account, .. } => log::info!("the account {} was deleted, for {ip}", name(account)),
        // Nobody did it.
        Change::Seen { .. } | Change::Sweep { .. } => {}
    }
}

/// Ends what somebody opened with credentials that have ended: their streams and polls are called, and find that they may not
/// go on.
pub fn end_all(site: &Site, ended: &[Credential], cx: &mut Context<'_>) {
    #[cfg(feature = "chat")]
    for credential in ended {
        let listening = site.chat.iter().flat_map(|chat| chat.attached.of(*credential));
        listening.for_each(|key| cx.call_for(key));
    }
    #[cfg(not(feature = "chat"))]
    let _ = (site, ended, cx);
}

/// An account as others see it.
pub fn value(account: &Account) -> Value {
    json!({
        "id": account.id,
        "name": &*account.name,
        "admin": account.is_admin,
        "disabled": account.is_disabled,
        "quota": account.quota,
        "created": date::rfc3339(account.made),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_spelling_and_no_letter_from_elsewhere() {
        for (given, expected) in [
            ("ada", Some("ada")),
            ("Ada", Some("ada")),
            ("0x.y_z-1", Some("0x.y_z-1")),
            (&*"a".repeat(32), Some(&*"a".repeat(32))),
            (&"a".repeat(33), None),
            ("", None),
            (".ada", None),
            ("-ada", None),
            ("_ada", None),
            ("ad a", None),
            ("ada\r\n", None),
            ("ada\0", None),
            ("\u{430}da", None),
            ("\u{212a}arl", None),
            ("ad\u{e0}", None),
            ("a\u{200d}da", None),
            ("\u{ff41}da", None),
            ("ada/..", None),
        ] {
            assert_eq!(name(given).as_deref(), expected, "{given:?}");
        }
    }
}
