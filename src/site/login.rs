//! Signing in and out.

use std::net::IpAddr;

use serde_json::json;

use crate::http::date;
use crate::http::fault::Fault;
use crate::http::headers::Field;
use crate::http::response::Response;
use crate::http::status::Status;
use crate::server::context::{Call, Context};
use crate::server::reply::Reply;
use crate::site::books;
use crate::site::cookie;
use crate::site::entrance::{Page, own_address};
use crate::site::gate::{Action, Principal};
use crate::site::people::{
    Tried, accounts, bad_credentials, begin_try, cost_and_salt, count_failure, count_try, hashing, keep, knows, name,
    place, settle,
};
use crate::site::post::{Back, post, post_try};
use crate::site::rate;
use crate::site::reserve::{Place, Regular};
use crate::site::state::Site;
use crate::site::throttle::{Outcome, Try};
use crate::store::change::{Change, Which};
use crate::store::secret::{Digest, Hash, SECRET_BYTES, hex};
use crate::store::users::{Credential, Session};

/// Of what a client calls itself, at most so much is kept.
const AGENT_MAX: usize = 200;

/// Somebody who may be about to sign in: from where, with what, and in whose place. A handler takes it out of the request before
/// the body is there.
pub struct Visit {
    name: String,
    ip: IpAddr,
    agent: String,
    /// The session that the same browser has now: a new one takes its place, so that nobody can have planted it.
    replaces: Option<i64>,
    /// Who they are already.
    is_in: Option<Regular>,
    as_token: bool,
    next: Option<String>,
    back: Back,
}

impl Visit {
    fn of(call: &Call<'_>, who: &Principal, cx: &Context<'_>) -> Visit {
        let replaces = match who.user().map(|user| user.via) {
            Some(Credential::Session(id)) if !call.headers.has(Field::Authorization) => Some(id),
            _ => None,
        };
        let agent = call.headers.text(Field::UserAgent).unwrap_or_default();
        Visit {
            name: String::new(),
            ip: cx.peer.ip,
            agent: agent.chars().take(AGENT_MAX).collect(),
            replaces,
            is_in: who.user().map(|user| Regular::Within(user.id)),
            as_token: false,
            next: None,
            back: Back::program(cx.is_secure),
        }
    }

    fn tried(&self) -> Tried<'_> {
        Tried { name: &self.name, ip: self.ip, by: "password" }
    }
}

/// `POST /login`.
pub fn login(site: &mut Site, call: &Call<'_>, who: Principal, cx: &mut Context<'_>) -> Result<Reply<Site>, Fault> {
    let mut visit = Visit::of(call, &who, cx);
    post_try(site, call, cx, Page::Login, &who, move |site, mut members, back, cx| {
        let (given, password) = (members.need("username")?, members.need("password")?);
        visit.back = back;
        visit.as_token = members.flag("token")?.unwrap_or(false);
        visit.next = if visit.back.is_page() { members.text("next")? } else { None };
        members.end()?;
        try_password(site, visit, &given, password, cx)
    })
}

fn try_password(
    site: &mut Site,
    mut visit: Visit,
    given: &str,
    password: String,
    cx: &Context<'_>,
) -> Result<Reply<Site>, Fault> {
    // Where no session can be kept nobody is told that they are wrong.
    books::check(site)?;
    // A name that can be nobody's costs the same as one that is nobody's.
    visit.name = name(given).unwrap_or_default();
    let known = accounts(site)?.users.named(&visit.name).filter(|account| knows(account, visit.ip, cx.wall));
    let regular = visit.is_in.or_else(|| known.map(|account| Regular::Known(account.id)));
    let place = place(site, cx, regular)?;
    let tried = begin_try(site, &visit.name, visit.ip, cx)?;
    check(site, cx, visit, (tried, place), password)
}

/// Signing in by a way of the program's own: its handler stands in the place of ours.
impl Site {
    /// Somebody is about to sign in. An address may try so often.
    ///
    /// # Errors
    /// 404 without accounts, 429 for who tries too often, 401 for wrong credentials that came along.
    pub fn visit(&mut self, call: &Call<'_>, cx: &mut Context<'_>) -> Result<Visit, Fault> {
        accounts(self)?;
        let who = self.admit(call, Action::Enter, cx)?;
        count_try(self, cx)?;
        Ok(Visit::of(call, &who, cx))
    }

    /// Has a name and a password checked on a helper, as `/login` does: a session begins, and the answer, JSON with its cookie, says
    /// until when; [`Reply::map`] makes another of it. What is not right is 401, whatever it is.
    ///
    /// # Errors
    /// 429 for who guesses, 503 if too many passwords wait to be checked.
    pub fn sign_in(
        &mut self,
        visit: Visit,
        name: &str,
        password: String,
        cx: &mut Context<'_>,
    ) -> Result<Reply<Site>, Fault> {
        try_password(self, visit, name, password, cx)
    }

    /// Begins a session for somebody whom the program itself knows, by whatever means: no password is asked for.
    ///
    /// # Errors
    /// 401 if there is no such account, or it is closed.
    pub fn let_in(&mut self, mut visit: Visit, name: &str, cx: &mut Context<'_>) -> Result<Reply<Site>, Fault> {
        let found = accounts(self)?.users.named(name).filter(|account| account.is_open());
        let (id, password) = found.map(|found| (found.id, found.password.clone())).ok_or_else(bad_credentials)?;
        visit.name = name.to_owned();
        accounts(self)?.throttle.forgive(&visit.name, rate::network(visit.ip));
        Ok(let_in(self, visit, id, (password, None), cx))
    }
}

/// Has the password checked; for a name without an account, against a hash that nothing fits.
fn check(
    site: &mut Site,
    cx: &Context<'_>,
    visit: Visit,
    (tried, place): (Try, Place),
    password: String,
) -> Result<Reply<Site>, Fault> {
    let (cost, salt) = cost_and_salt(site)?;
    let accounts = accounts(site)?;
    let found = accounts.users.named(&visit.name).filter(|account| account.is_open());
    let (id, hash) = match found {
        Some(account) => (Some(account.id), account.password.clone()),
        None => (None, accounts.dummy.clone()),
    };
    Ok(hashing(cx, place, move || {
        let outcome = tried.check(|| hash.is_of(&password) && id.is_some());
        let id = id.filter(|_| outcome == Outcome::Right);
        let rehashed = id.filter(|_| !hash.costs(cost)).and_then(|_| Hash::of(&password, salt, cost));
        Box::new(move |site, cx| match (settle(site, tried, outcome, &visit.tried(), cx), id) {
            (Ok(()), Some(id)) => let_in(site, visit, id, (hash, rehashed), cx),
            (Ok(()), None) => visit.back.refuse(site, bad_credentials()),
            (Err(fault), _) => visit.back.refuse(site, fault),
        })
    }))
}

/// The password is right: a session begins.
fn let_in(
    site: &mut Site,
    visit: Visit,
    id: i64,
    (checked, rehashed): (Hash, Option<Hash>),
    cx: &mut Context<'_>,
) -> Reply<Site> {
    let Some(accounts) = &mut site.accounts else { return Fault::not_found().into() };
    let network = rate::network(visit.ip);
    let secret = match accounts.random::<SECRET_BYTES>() {
        Ok(bytes) => hex(&bytes),
        Err(fault) => return visit.back.refuse(site, fault),
    };
    let change = Change::SignIn {
        account: id,
        checked,
        rehashed,
        secret: Digest::of(secret.as_bytes()),
        made: cx.wall,
        is_token: visit.as_token,
        address: visit.ip.to_string(),
        network,
        agent: visit.agent.clone(),
        replaces: visit.replaces,
        ends: accounts.users.crowded_out(id),
    };
    let began = cx.wall;
    keep(site, cx, change, move |site, kept, _| match kept {
        // Meanwhile the account was closed, or has another password.
        None => {
            count_failure(site, &visit.tried());
            visit.back.refuse(site, bad_credentials())
        }
        Some(id) => {
            let session = site.accounts.as_ref().and_then(|accounts| accounts.users.session(id));
            let until = session.map_or(began, Session::until);
            let mut value = json!({"user": visit.name, "expires": date::rfc3339(until)});
            if visit.as_token {
                value["token"] = json!(secret);
            }
            let next = visit.next.as_deref().and_then(|next| own_address(site, next));
            let next = next.map_or_else(|| site.address("/"), str::to_owned);
            let answer = visit.back.done_at(&next, Status::OK, &value);
            if visit.as_token {
                return answer.into();
            }
            answer.header("Set-Cookie", &cookie::set(site.house_prefix(), visit.back.is_secure(), &secret)).into()
        }
    })
}

/// `POST /logout`.
pub fn logout(site: &mut Site, call: &Call<'_>, who: Principal, cx: &mut Context<'_>) -> Result<Reply<Site>, Fault> {
    let via = who.user().map(|user| (user.id, user.via));
    post(site, call, cx, Page::Login, &who, move |site, members, back, cx| {
        members.end()?;
        let Some((account, Credential::Session(id))) = via else { return Ok(gone(site, &back).into()) };
        let change = Change::SignOut { account, which: Which::One(id) };
        // Refused: somebody else has ended it meanwhile, which is as good.
        Ok(keep(site, cx, change, move |site, _, _| gone(site, &back).into()))
    })
}

fn gone(site: &Site, back: &Back) -> Response {
    let answer = back.done(site, "/", Status::OK, &json!({"status": "success"}));
    answer.header("Set-Cookie", &cookie::clear(site.house_prefix(), back.is_secure()))
}
