//! Who may pass. [`authorize`] is the one function that decides, and [`guard`] the one place that asks it, before any handler.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::config::access::{Access, Rights};
use crate::http::fault::Fault;
use crate::http::form;
use crate::http::headers::Field;
use crate::http::request::{Method, Request};
use crate::http::response::Response;
use crate::http::status::Status;
use crate::server::context::{Call, Context};
use crate::server::problem;
use crate::server::reply::{Ending, Reply, State};
use crate::site::books;
use crate::site::cookie::{self, Found};
use crate::site::notice::Unheard;
use crate::site::state::Site;
use crate::store::owners::Owner;
use crate::store::scopes::Scopes;
use crate::store::secret::Digest;
use crate::store::users::{Account, Credential};

/// Who a request acts for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Principal {
    /// Holds the operator's token.
    Operator,
    /// Somebody with an account.
    User(User),
    /// Anyone else.
    Guest,
}

/// Somebody with an account, and what they came in with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct User {
    /// The account's number: what owns files and messages.
    pub id: i64,
    /// Its name.
    pub name: Arc<str>,
    /// Whether it may do what the operator may.
    pub is_admin: bool,
    /// The session, or the token.
    pub via: Credential,
    /// For a token: what it may do. A session may do all that its owner may.
    pub scopes: Option<Scopes>,
}

impl User {
    fn of(account: &Account, via: Credential, scopes: Option<Scopes>) -> User {
        User { id: account.id, name: account.name.clone(), is_admin: account.is_admin, via, scopes }
    }
}

impl Principal {
    /// Whether it may do what only the operator and admins may. A token of an admin's is one, within its scopes.
    pub fn is_chief(&self) -> bool {
        match self {
            Principal::Operator => true,
            Principal::User(user) => user.is_admin,
            Principal::Guest => false,
        }
    }

    /// The account it acts for.
    pub fn user(&self) -> Option<&User> {
        match self {
            Principal::User(user) => Some(user),
            Principal::Operator | Principal::Guest => None,
        }
    }

    /// Whether it is the account of this number.
    pub fn is_account(&self, id: i64) -> bool {
        self.user().is_some_and(|user| user.id == id)
    }
}

/// What a route does, as far as rights are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Open to all: health, the description of the service.
    Open,
    /// Comes in or goes: signing in and out, making an account, a new password for a forgotten one.
    Enter,
    /// Looks at a page.
    WwwRead,
    /// Looks at shared files.
    SharedRead,
    /// Changes shared files.
    SharedWrite,
    /// Listens to the chat.
    ChatRead,
    /// Speaks in the chat.
    ChatWrite,
    /// Looks at the server's numbers.
    Metrics,
    /// Asks who it is itself.
    Identity,
    /// Looks after its own account.
    Account,
    /// Looks after other people's accounts.
    Admin,
}

impl Action {
    /// What a token must be allowed for it. `None`: there is no scope for it.
    fn scope(self) -> Option<Scopes> {
        match self {
            Action::Open | Action::Enter | Action::Metrics | Action::Identity => Some(Scopes::default()),
            Action::WwwRead | Action::SharedRead => Some(Scopes::FILES_READ),
            Action::SharedWrite => Some(Scopes::FILES_WRITE),
            Action::ChatRead => Some(Scopes::CHAT_READ),
            Action::ChatWrite => Some(Scopes::CHAT_WRITE),
            Action::Account | Action::Admin => None,
        }
    }
}

/// What something is done to, where that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// What all share.
    Shared,
    /// The private files of an account, by its name.
    Home(&'a str),
    /// Shared or private files: which of them, the query or the body tells, or an upload that is going on knows. Whoever may
    /// use either passes for now; the handler asks again once it knows (`Actor::may_use`).
    Untold,
}

impl<'a> Target<'a> {
    /// What a path in the files means: `~ada/b.txt` lies in a home.
    pub fn of_path(path: &'a str) -> Target<'a> {
        match path.strip_prefix('~') {
            Some(home) => Target::Home(home.split('/').next().unwrap_or(home)),
            None => Target::Shared,
        }
    }
}

/// On which terms it is decided: what is open to whom, and whether the request came straight from this machine to a server that
/// only this machine reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The five switches.
    pub rights: Rights,
    /// Whether the request is this machine's own.
    pub is_local: bool,
}

/// The code of a refusal that signing in would mend.
const UNAUTHORIZED: &str = "unauthorized";

/// Decides.
///
/// # Errors
/// 401 for a guest who would have to be somebody; 403 for somebody who may not; 404 where even that something is there is
/// nobody else's affair.
pub fn authorize(principal: &Principal, action: Action, target: Target<'_>, terms: &Terms) -> Result<(), Fault> {
    let rights = &terms.rights;
    let needed = match action {
        Action::Open | Action::Enter => Access::Anyone,
        Action::WwwRead => rights.www_read,
        Action::SharedRead | Action::SharedWrite if matches!(target, Target::Home(_)) => Access::User,
        Action::SharedRead | Action::SharedWrite if target == Target::Untold && principal.user().is_some() => {
            Access::User
        }
        Action::SharedRead => rights.shared_read,
        Action::SharedWrite => rights.shared_write,
        Action::ChatRead => rights.chat_read,
        Action::ChatWrite => rights.chat_write,
        Action::Metrics if terms.is_local => Access::Anyone,
        Action::Metrics | Action::Admin => Access::Operator,
        Action::Identity | Action::Account => Access::User,
    };
    match principal {
        Principal::Guest => {
            if let Target::Home(_) = target {
                return Err(Fault::not_found());
            }
            if needed != Access::Anyone {
                return Err(Fault::new(Status::UNAUTHORIZED, UNAUTHORIZED, "this is not open to guests: sign in"));
            }
            Ok(())
        }
        Principal::Operator => match (action, target) {
            (Action::Identity | Action::Account, _) => {
                Err(Fault::new(Status::FORBIDDEN, "no_account", "the operator's token is not an account"))
            }
            (_, Target::Home(_)) => Err(Fault::not_found()),
            _ => Ok(()),
        },
        Principal::User(user) => {
            if let Some(scopes) = user.scopes
                && !action.scope().is_some_and(|scope| scopes.cover(scope))
            {
                return Err(Fault::new(Status::FORBIDDEN, "scope_missing", "this token was not made for that"));
            }
            if let Target::Home(name) = target
                && *name != *user.name
            {
                return Err(Fault::not_found());
            }
            // The numbers are for who watches the machine, and an admin looks after accounts.
            if action == Action::Metrics && needed != Access::Anyone {
                return Err(Fault::new(Status::FORBIDDEN, "forbidden", "this is for the operator"));
            }
            if needed == Access::Operator && !user.is_admin {
                return Err(Fault::new(Status::FORBIDDEN, "forbidden", "this is for admins and the operator"));
            }
            Ok(())
        }
    }
}

/// Whether one who may write to the shared area may also replace, move or remove what is there: its owner, the operator and
/// admins may, and whoever writes what a guest made. What has no owner hythe did not receive; it is changed by others only
/// where writing is open to anyone.
///
/// # Errors
/// 403 `not_owner`.
pub fn may_change(principal: &Principal, rights: &Rights, owner: Option<Owner>) -> Result<(), Fault> {
    let may = match owner {
        _ if principal.is_chief() => true,
        Some(Owner::Account(id)) => principal.is_account(id),
        Some(Owner::Guest) => true,
        None => rights.shared_write == Access::Anyone,
    };
    if may {
        return Ok(());
    }
    Err(not_owner())
}

/// 403 for who may not change what is somebody else's.
pub fn not_owner() -> Fault {
    Fault::new(Status::FORBIDDEN, "not_owner", "only its owner, an admin or the operator may change this")
}

/// What is open to whom, for the way a request came.
pub fn rights_of(site: &Site, request: &Request<'_>) -> Rights {
    if is_proxied(request) { site.network_rights } else { site.rights }
}

/// Wraps a handler: it is asked only if the request may pass.
pub fn guard<R: Into<Reply<Site>>>(
    action: Action,
    handler: impl Fn(&mut Site, &Call<'_>, &mut Context<'_>) -> R + Clone + 'static,
) -> impl Fn(&mut Site, &Call<'_>, &mut Context<'_>) -> Reply<Site> + Clone + 'static {
    guard_for(action, move |site: &mut Site, call: &Call<'_>, _: Principal, cx: &mut Context<'_>| {
        handler(site, call, cx)
    })
}

/// The same for a handler that must know who it acts for.
pub fn guard_for<R: Into<Reply<Site>>>(
    action: Action,
    handler: impl Fn(&mut Site, &Call<'_>, Principal, &mut Context<'_>) -> R + Clone + 'static,
) -> impl Fn(&mut Site, &Call<'_>, &mut Context<'_>) -> Reply<Site> + Clone + 'static {
    move |site, call, cx| {
        site.on_request(call.request, cx);
        let entered = match come(site, call, action, cx) {
            Ok(entered) => entered,
            Err(fault) => return refuse(site, call.request, fault),
        };
        if let Err(fault) = pass(site, call, &entered, action, cx) {
            let reply = refuse(site, call.request, fault);
            return match entered.is_stale {
                true => with_cookie(reply, &cookie::clear(site.house_prefix(), cx.is_secure)),
                false => reply,
            };
        }
        let via = entered.who.user().map(|user| user.via);
        let reply = handler(site, call, entered.who, cx).into();
        match via {
            _ if entered.is_stale => {
                let line = cookie::clear(site.house_prefix(), cx.is_secure);
                let ending = move |reply, _: &mut Site, _: &mut Context<'_>| with_cookie(reply, &line);
                reply.in_the_end(site, cx, Box::new(ending))
            }
            Some(via) if action == Action::ChatRead => reply.in_the_end(site, cx, listener(via)),
            _ => reply,
        }
    }
}

impl Site {
    /// Lets a request of the program's own pass, by the same rules as any of ours: who it acts for, if they may.
    /// [`Action::Open`] lets everybody pass, and says who they are.
    ///
    /// # Errors
    /// 401, 403 or 404 for who may not, 401 for credentials that are wrong, 429 for who comes too often.
    pub fn admit(&mut self, call: &Call<'_>, action: Action, cx: &mut Context<'_>) -> Result<Principal, Fault> {
        self.on_request(call.request, cx);
        let entered = come(self, call, action, cx)?;
        pass(self, call, &entered, action, cx)?;
        Ok(entered.who)
    }
}

/// Who came in.
struct Entered {
    who: Principal,
    /// A cookie of ours was shown that is nobody's any more.
    is_stale: bool,
    /// A cookie of ours was shown, and the ledger cannot say whose it is.
    is_blind: bool,
}

impl Entered {
    fn as_one(who: Principal) -> Entered {
        Entered { who, is_stale: false, is_blind: false }
    }
}

/// Finds out who comes.
fn come(site: &mut Site, call: &Call<'_>, action: Action, cx: &Context<'_>) -> Result<Entered, Fault> {
    let request = call.request;
    if let Some(accounts) = &mut site.accounts
        && accounts.unread.is_some()
        && (action != Action::WwwRead
            || request.headers.has(Field::Authorization)
            || request.headers.has(Field::Cookie))
    {
        accounts.read_at_last();
    }
    enter(site, request, action, cx)
}

/// Lets them pass, or does not.
fn pass(site: &mut Site, call: &Call<'_>, entered: &Entered, action: Action, cx: &Context<'_>) -> Result<(), Fault> {
    let request = call.request;
    let came_directly = !is_proxied(request);
    if !came_directly && !site.has_warned_of_proxy && site.rights != site.network_rights {
        site.has_warned_of_proxy = true;
        log::warn!(
            "a request came through a proxy: such requests get the rights of the network, not of this machine; \
             docs/operations.md says how to run behind one"
        );
    }
    // Only the numbers are this machine's own affair; every listener would have to be looked at.
    let is_local =
        action == Action::Metrics && came_directly && site.config.has_loopback_defaults() && cx.peer.ip.is_loopback();
    let terms = Terms { rights: if came_directly { site.rights } else { site.network_rights }, is_local };
    let allowed = authorize(&entered.who, action, target(action, call), &terms);
    allowed.map_err(|fault| if entered.is_blind { books::shut() } else { fault })?;
    site.request_rate.take(cx.peer.ip, cx.now).map_err(|seconds| {
        site.tallies.throttled += 1;
        throttled(seconds)
    })
}

/// A refusal; a browser's page is sent to the page where one signs in.
fn refuse(site: &Site, request: &Request<'_>, fault: Fault) -> Reply<Site> {
    let is_page = matches!(request.method, Method::Get | Method::Head) && problem::wants_page(request);
    if fault.code != UNAUTHORIZED || !is_page || site.accounts.is_none() || !cfg!(feature = "ui") {
        return fault.into();
    }
    let query = request.query.map(|query| format!("?{query}")).unwrap_or_default();
    let next = form::encode_query(&format!("{}{query}", request.path));
    Response::redirect(Status::SEE_OTHER, &site.address(&format!("/login?next={next}")))
        .header("Cache-Control", "no-store")
        .header("Vary", "Accept")
        .into()
}

/// An answer with a cookie line.
fn with_cookie(reply: Reply<Site>, line: &str) -> Reply<Site> {
    match reply {
        // It has another one now, or this one is cleared already.
        Reply::Send(response) if response.has("Set-Cookie") => Reply::Send(response),
        Reply::Send(response) => Reply::Send(response.header("Set-Cookie", line)),
        Reply::Refuse(fault) if !fault.closes => fault.with_field("Set-Cookie", line).into(),
        Reply::Stream { head, talk } => Reply::Stream { head: head.header("Set-Cookie", line), talk },
        other => other,
    }
}

/// What somebody was let in to hear they are not told when they would no longer be let in: a poll may have waited for it.
/// Streams end by themselves, and polls are woken ([`people::end_all`](crate::site::people::end_all)).
fn listener(via: Credential) -> Ending<Site> {
    Box::new(move |reply, site, cx| match &site.accounts {
        Some(accounts) if accounts.users.holds(via, cx.wall) => reply,
        _ => session_ended().into(),
    })
}

/// What a request's own path says that it is about.
fn target<'a>(action: Action, call: &Call<'a>) -> Target<'a> {
    match (action, call.parameter("path")) {
        (Action::SharedRead | Action::SharedWrite, Some(path)) => Target::of_path(path),
        (Action::SharedRead | Action::SharedWrite, None) => Target::Untold,
        _ => Target::Shared,
    }
}

/// 429, for whoever came too often.
pub fn throttled(seconds: u32) -> Fault {
    Fault::new(Status::TOO_MANY_REQUESTS, "rate_limited", "too many requests in too short a time").retry_after(seconds)
}

/// 429, for whoever tried too often to come in.
pub fn come_later(site: &mut Site, cx: &Context<'_>, seconds: u32) -> Fault {
    site.tallies.throttled += 1;
    tell_unheard(site, Unheard::Early, cx);
    throttled(seconds)
}

/// Somebody who wanted to come in was not heard: the log tells of it, in a line for many.
pub fn tell_unheard(site: &mut Site, why: Unheard, cx: &Context<'_>) {
    if let Some(line) = site.notice.count(why, cx.peer.ip, cx.now) {
        log::warn!("{line}");
    }
}

/// 401, for a request that would do something for somebody who is no longer signed in.
pub fn session_ended() -> Fault {
    Fault::new(Status::UNAUTHORIZED, "session_ended", "the session has ended: sign in again")
}

/// Who the credentials are of. Wrong ones are never taken for none, and count as a try to come in.
fn enter(site: &mut Site, request: &Request<'_>, action: Action, cx: &Context<'_>) -> Result<Entered, Fault> {
    if let Some(value) = request.headers.get(Field::Authorization) {
        let is_repeated = request.headers.is_repeated(Field::Authorization);
        return match (!is_repeated).then(|| of_token(site, value, cx)).flatten() {
            Some(who) => Ok(Entered::as_one(who)),
            None => Err(wrong_token(site, cx)),
        };
    }
    let guest = Entered::as_one(Principal::Guest);
    // Pages of other origins come with bearer tokens or as guests, whatever their browser sends along.
    if !request.headers.has(Field::Cookie) || is_foreign(&site.config.cors_origins, request) {
        return Ok(guest);
    }
    let found = cookie::find(&request.headers, site.house_prefix(), cx.is_secure);
    let Some(accounts) = &mut site.accounts else { return Ok(guest) };
    let secret = match found {
        Found::None => return Ok(guest),
        Found::Several => {
            return Err(Fault::new(Status::UNAUTHORIZED, "bad_cookie", "the session's cookie was sent twice"));
        }
        Found::One(secret) => secret,
    };
    if let Some((account, Credential::Session(id))) = accounts.users.find(&Digest::of(secret), cx.wall) {
        let who = Principal::User(User::of(account, Credential::Session(id), None));
        accounts.users.touch(id, cx.wall);
        return Ok(Entered::as_one(who));
    }
    // Whose it is, nobody can say: what is open to all is shown, and the cookie stays.
    let is_blind = books::is_blind(site);
    match request.method.is_safe() || action == Action::Enter {
        true => Ok(Entered { is_stale: !is_blind, is_blind, ..guest }),
        false if is_blind => Err(books::shut()),
        false => Err(session_ended()),
    }
}

fn is_foreign(cors_origins: &[String], request: &Request<'_>) -> bool {
    !cors_origins.is_empty()
        && request.headers.text(Field::Origin).is_some_and(|origin| cors_origins.iter().any(|named| named == origin))
}

/// Whoever an `Authorization` field is of.
fn of_token(site: &mut Site, value: &[u8], cx: &Context<'_>) -> Option<Principal> {
    if let Some(password) = basic(value) {
        let users = &site.accounts.as_ref()?.users;
        let (account, via) = users.find(&Digest::of(&password), cx.wall)?;
        return match via {
            Credential::Token(id) => {
                Some(Principal::User(User::of(account, via, users.token(id).map(|token| token.scopes))))
            }
            Credential::Session(_) => None,
        };
    }
    let offered = bearer(value)?;
    // Every token is compared, so that the time tells nothing of which one it nearly was.
    if site.config.tokens.iter().fold(false, |is, token| token.secret.matches(offered) | is) {
        return Some(Principal::Operator);
    }
    let users = &mut site.accounts.as_mut()?.users;
    let (account, via) = users.find(&Digest::of(offered), cx.wall)?;
    let scopes = match via {
        Credential::Session(_) => None,
        Credential::Token(id) => Some(users.token(id).map_or(Scopes::default(), |token| token.scopes)),
    };
    let user = User::of(account, via, scopes);
    if let Credential::Session(id) = via {
        users.touch(id, cx.wall);
    }
    Some(Principal::User(user))
}

/// 401 for a token that is nobody's, 503 where nobody can know whose it is, or 429 for an address that has shown too many of them.
fn wrong_token(site: &mut Site, cx: &Context<'_>) -> Fault {
    if let Err(seconds) = site.login_rate.take(cx.peer.ip, cx.now) {
        return come_later(site, cx, seconds);
    }
    if books::is_blind(site) {
        return books::shut();
    }
    site.tallies.failed_sign_ins += 1;
    tell_failure("-", cx.peer.ip, "token");
    invalid_token()
}

/// 401 for a token that is nobody's, or nobody's any more.
pub fn invalid_token() -> Fault {
    Fault::new(Status::UNAUTHORIZED, "invalid_token", "the credentials are not valid")
}

/// The one line of each failed try to come in, for whoever watches the log (`docs/fail2ban`). `user` is a name that can be an
/// account's, or a hyphen; so nothing else can stand there.
pub fn tell_failure(user: &str, ip: IpAddr, by: &str) {
    log::warn!("failed sign-in: user={user} address={ip} by={by}");
}

/// The password of `Basic` credentials (RFC 7617).
fn basic(value: &[u8]) -> Option<Vec<u8>> {
    let (scheme, coded) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let pair = STANDARD.decode(coded.trim_ascii()).ok()?;
    let colon = pair.iter().position(|&byte| byte == b':')?;
    Some(pair[colon + 1..].to_vec())
}

/// The token of `Bearer` credentials (RFC 6750, section 2.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// Whether a request shows that it came through a proxy.
fn is_proxied(request: &Request<'_>) -> bool {
    const SIGNS: [Field; 4] = [Field::Forwarded, Field::XRealIp, Field::Via, Field::CfConnectingIp];
    request.headers.is_forwarded() || SIGNS.iter().any(|&sign| request.headers.has(sign))
}

#[cfg(test)]
mod tests;
