//! What somebody can come in with: their sessions and their tokens, listed, made and ended.

use serde_json::{Value, json};

use crate::http::fault::Fault;
use crate::http::response::Response;
use crate::http::status::Status;
use crate::server::context::{Call, Context};
use crate::server::reply::Reply;
use crate::site::accounts::signed_in;
use crate::site::body::bad_field;
use crate::site::entrance::Page;
use crate::site::gate::Principal;
use crate::site::listed::list;
use crate::site::people::{accounts, keep};
use crate::site::post::{delete, post};
use crate::site::rows;
use crate::site::state::Site;
use crate::store::change::{Change, Which};
use crate::store::scopes::Scopes;
use crate::store::secret::{Digest, SECRET_BYTES, hex};
use crate::store::users::{TOKENS_MAX, Users};

/// What every API token begins with, so that one is known where it should not be.
const TOKEN_START: &str = "hyt_";
/// Days a token lasts where nothing is said, and at most.
const DAYS: u64 = 90;
const DAYS_MAX: u64 = 3650;
/// Letters of a label.
const LABEL_MAX: usize = 64;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// `GET /sessions`.
pub fn sessions(site: &mut Site, call: &Call<'_>, who: Principal, cx: &mut Context<'_>) -> Result<Response, Fault> {
    let user = signed_in(&who)?;
    let own = accounts(site)?.users.sessions_of(user.id, cx.wall);
    let rows: Vec<Value> = own.map(|session| rows::session(session, user.via)).collect();
    Ok(list(call, &site.config.path_prefix, "Sessions", "sessions", &rows::SESSIONS, rows))
}

/// `DELETE /sessions/<id>`, and the form that stands for it.
pub fn end_session(
    site: &mut Site,
    call: &Call<'_>,
    who: Principal,
    cx: &mut Context<'_>,
) -> Result<Reply<Site>, Fault> {
    end(site, call, who, cx, |users, account, id| {
        let is_own = users.session(id).is_some_and(|session| session.account == account);
        is_own.then_some(Change::SignOut { account, which: Which::One(id) })
    })
}

/// `GET /tokens`.
pub fn tokens(site: &mut Site, call: &Call<'_>, who: Principal, _: &mut Context<'_>) -> Result<Response, Fault> {
    let user = signed_in(&who)?;
    let rows = accounts(site)?.users.tokens_of(user.id).map(rows::token).collect();
    Ok(list(call, &site.config.path_prefix, "Tokens", "tokens", &rows::TOKENS, rows))
}

/// `POST /tokens`.
pub fn make_token(
    site: &mut Site,
    call: &Call<'_>,
    who: Principal,
    cx: &mut Context<'_>,
) -> Result<Reply<Site>, Fault> {
    let account = signed_in(&who)?.id;
    post(site, call, cx, Page::Account, &who, move |site, mut members, back, cx| {
        let (label, scopes) = (members.text("label")?.ok_or_else(|| bad_field("label"))?, members.texts("scopes")?);
        let days = members.number("days")?.flatten().unwrap_or(DAYS);
        members.end()?;
        let label = read_label(label)?;
        let scopes = read_scopes(&scopes.unwrap_or_default())?;
        if days > DAYS_MAX {
            return Err(bad_field("days"));
        }
        let accounts = accounts(site)?;
        if accounts.users.tokens_of(account).count() >= TOKENS_MAX {
            let detail =
                format!("there are {TOKENS_MAX} tokens already; one that is not needed any more can be removed");
            return Err(Fault::new(Status::BAD_REQUEST, "too_many_tokens", detail));
        }
        let token = format!("{TOKEN_START}{}", hex(&accounts.random::<SECRET_BYTES>()?));
        let until = (days > 0).then(|| cx.wall.plus(days * DAY_MS));
        let secret = Digest::of(token.as_bytes());
        let change = Change::AddToken { account, secret, label, scopes, made: cx.wall, until };
        Ok(keep(site, cx, change, move |site, kept, _| {
            let Some(id) = kept else { return back.refuse(site, Fault::not_found()) };
            let mut value = site
                .accounts
                .as_ref()
                .and_then(|accounts| accounts.users.token(id))
                .map_or_else(|| json!({"id": id}), rows::token);
            value["token"] = json!(token);
            back.shown_once(site, Page::Account, ("token", &token), Status::CREATED, &value).into()
        }))
    })
}

fn read_label(label: String) -> Result<String, Fault> {
    let fits = label.chars().count() <= LABEL_MAX && !label.chars().any(char::is_control);
    if fits { Ok(label) } else { Err(bad_field("label")) }
}

fn read_scopes(names: &[String]) -> Result<Scopes, Fault> {
    let mut scopes = Scopes::default();
    for name in names {
        scopes = scopes.and(Scopes::of(name).ok_or_else(|| {
            let known = Scopes::NAMES.map(|(name, _)| name).join(", ");
            Fault::new(Status::BAD_REQUEST, "bad_scope", format!("a scope is one of {known}"))
        })?);
    }
    if scopes.is_empty() {
        return Err(Fault::new(Status::BAD_REQUEST, "bad_scope", "a token needs a scope"));
    }
    Ok(scopes)
}

/// `DELETE /tokens/<id>`, and the form that stands for it.
pub fn remove_token(
    site: &mut Site,
    call: &Call<'_>,
    who: Principal,
    cx: &mut Context<'_>,
) -> Result<Reply<Site>, Fault> {
    end(site, call, who, cx, |users, account, id| {
        let is_own = users.token(id).is_some_and(|token| token.account == account);
        is_own.then_some(Change::RemoveToken { account, id })
    })
}

/// Ends what the path names by its number; `of` is the change that does so, if it is this account's.
fn end(
    site: &mut Site,
    call: &Call<'_>,
    who: Principal,
    cx: &mut Context<'_>,
    of: impl FnOnce(&Users, i64, i64) -> Option<Change>,
) -> Result<Reply<Site>, Fault> {
    let (account, id) = (signed_in(&who)?.id, id(call)?);
    let change = of(&accounts(site)?.users, account, id).ok_or_else(Fault::not_found)?;
    delete(site, call, cx, Page::Account, &who, move |site, back, cx| {
        keep(site, cx, change, move |site, kept, _| match kept {
            Some(_) => back.told(site, &json!({"status": "success"})).into(),
            None => back.refuse(site, Fault::not_found()),
        })
    })
}

/// The number in the path; what is no number is nobody's.
fn id(call: &Call<'_>) -> Result<i64, Fault> {
    let text = call.parameter("id").unwrap_or_default();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number).ok_or_else(Fault::not_found)
}
