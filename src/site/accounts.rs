//! People's own accounts: making one, looking at it, another password, a new one for a forgotten one, and deleting it.

use serde_json::json;

use crate::config::choices::Signup;
use crate::http::date;
use crate::http::fault::Fault;
use crate::http::request::Method;
use crate::http::response::Response;
use crate::http::status::Status;
use crate::server::context::{Call, Context};
use crate::server::reply::Reply;
use crate::site::body::{METHOD, bad_field};
use crate::site::cookie;
use crate::site::entrance::Page;
use crate::site::gate::{Principal, User, rights_of, session_ended};
use crate::site::people::{
    Tried, accounts, bad_credentials, begin_own_try, begin_try, hash, hashing, keep, name, new_name, new_password,
    place, settle, user_exists, value,
};
use crate::site::post::{Back, post, post_try};
use crate::site::reserve::Regular;
use crate::site::spot::remove_home;
use crate::site::state::Site;
use crate::site::throttle::Outcome;
use crate::store::change::{Change, Proof};
use crate::store::secret::{Digest, Hash, RECOVERY_BYTES, code};
use crate::store::users::Credential;

/// `POST /register`.
pub fn register(site: &mut Site, call: &Call<'_>, who: Principal, cx: &mut Context<'_>) -> Result<Reply<Site>, Fault> {
    let signup = rights_of(site, call.request).signup;
    post_try(site, call, cx, Page::Register, &who, move |site, mut members, back, cx| {
        let (given, password) = (members.need("username")?, members.need("password")?);
        let invite = members.text("invite")?.filter(|invite| !invite.is_empty());
        members.end()?;
        let name = new_name(&given)?;
        new_password(&password, &name)?;
        let invite = invite.map(|invite| Digest::of_code(&invite));
        let accounts = accounts(site)?;
        let may = match signup {
            Signup::Open => true,
            Signup::Invite => invite.as_ref().is_some_and(|invite| accounts.users.is_invite(invite, cx.wall)),
            Signup::Closed => false,
        };
        if !may || !accounts.users.has_room() {
            let detail = match signup {
                Signup::Invite if !may => "an account is made with an invite, and this is none that can be used",
                _ => "no accounts are made here",
            };
            return Err(Fault::new(Status::FORBIDDEN, "signup_closed", detail));
        }
        // An invite that is not asked for is not used up.
        let invite = invite.filter(|_| signup == Signup::Invite);
        make(site, cx, Newcomer { name, password, is_admin: false, invite, by: None, next: Page::Login }, back)
    })
}

/// Somebody for whom an account is to be made.
pub struct Newcomer {
    /// A name that can be one.
    pub name: String,
    /// A password that will do.
    pub password: String,
    /// Whether it may do what the operator may.
    pub is_admin: bool,
    /// The invite that is used up by it.
    pub invite: Option<Digest>,
    /// Who makes it for somebody else.
    pub by: Option<Regular>,
    /// Where a person sees the recovery code.
    pub next: Page,
}

/// Makes an account, whoever asked for it and may; the recovery code is told once.
///
/// # Errors
/// 409 if the name is taken, 503 if too many wait to be hashed.
pub fn make(site: &mut Site, cx: &Context<'_>, who: Newcomer, back: Back) -> Result<Reply<Site>, Fault> {
    let Newcomer { name, password, is_admin, invite, by, next } = who;
    let accounts = accounts(site)?;
    if accounts.users.is_taken(&name) {
        return Err(user_exists(&name));
    }
    let recovery = code(&accounts.random::<RECOVERY_BYTES>()?);
    hash(site, cx, by, password, move |site, password, cx| {
        let change = Change::Register {
            name: name.as_str().into(),
            password,
            recovery: Some(Digest::of_code(&recovery)),
            is_admin,
            made: cx.wall,
            invite,
        };
        keep(site, cx, change, move |site, kept, _| match kept {
            Some(_) => {
                let user = site.accounts.as_ref().and_then(|accounts| accounts.users.named(&name)).map(value);
                let value = json!({"user": user, "recovery_code": recovery});
                back.shown_once(site, next, ("recovery", &recovery), Status::CREATED, &value).into()
            }
            None if site.accounts.as_ref().is_some_and(|accounts| accounts.users.is_taken(&name)) => {
                back.refuse(site, user_exists(&name))
            }
            None => {
                let detail = "the invite was used by somebody else";
                back.refuse(site, Fault::new(Status::FORBIDDEN, "signup_closed", detail))
            }
        })
    })
}

/// `GET /me`.
pub fn me(site: &mut Site, _: &Call<'_>, who: Principal, _: &mut Context<'_>) -> Result<Response, Fault> {
    let (user, users) = (signed_in(&who)?, &accounts(site)?.users);
    let account = users.account(user.id).ok_or_else(session_ended)?;
    let mut shown = value(account);
    shown["user"] = json!(&*user.name);
    match user.via {
        Credential::Session(id) => {
            shown["session"] = json!(id);
            shown["expires"] = json!(users.session(id).map(|session| date::rfc3339(session.until())));
        }
        Credential::Token(id) => {
            let token = users.token(id);
            shown["token"] = json!(id);
            shown["scopes"] = json!(token.map(|token| token.scopes.names().collect::<Vec<_>>()));
            shown["expires"] = json!(token.and_then(|token| token.until).map(date::rfc3339));
        }
    }
    Ok(Response::json(Status::OK, &shown))
}

/// `GET /protected`: whether somebody is signed in, and who.
pub fn protected(_: &mut Site, _: &Call<'_>, who: Principal, _: &mut Context<'_>) -> Result<Response, Fault> {
    let name = &signed_in(&who)?.name;
    Ok(Response::json(Status::OK, &json!({"user": &**name, "message": format!("Hello, {name}.")})))
}

/// Whoever passed the gate to an account's route has one.
pub fn signed_in(who: &Principal) -> Result<&User, Fault> {
    who.user().ok_or_else(session_ended)
}

/// Has a password of somebody who is signed in checked, then goes on with the hash it fits.
fn check_own(
    site: &mut Site,
    cx: &Context<'_>,
    user: &User,
    back: Back,
    password: String,
    then: impl FnOnce(&mut Site, Hash, Back, &mut Context<'_>) -> Reply<Site> + Send + 'static,
) -> Result<Reply<Site>, Fault> {
    let ip = cx.peer.ip;
    let account = accounts(site)?.users.account(user.id).ok_or_else(session_ended)?;
    let (kept, name) = (account.password.clone(), user.name.clone());
    let place = place(site, cx, Some(Regular::Within(user.id)))?;
    let tried = begin_own_try(site, user, ip, cx)?;
    Ok(hashing(cx, place, move || {
        let outcome = tried.check(|| kept.is_of(&password));
        Box::new(move |site, cx| match settle(site, tried, outcome, &Tried { name: &name, ip, by: "password" }, cx) {
            Ok(()) => then(site, kept, back, cx),
            Err(fault) => back.refuse(site, fault),
        })
    }))
}

/// `POST /password`: every other session ends.
pub fn password(site: &mut Site, call: &Call<'_>, who: Principal, cx: &mut Context<'_>) -> Result<Reply<Site>, Fault> {
    let user = signed_in(&who)?.clone();
    post(site, call, cx, Page::Account, &who, move |site, mut members, back, cx| {
        let (old, new) = (members.need("old")?, members.need("new")?);
        members.end()?;
        new_password(&new, &user.name)?;
        let owner = user.clone();
        check_own(site, cx, &owner, back, old, move |site, checked, back, cx| {
            let again = back.clone();
            let hashed = hash(site, cx, Some(Regular::Within(user.id)), new, move |site, password, cx| {
                let keeps = if let Credential::Session(id) = user.via { Some(id) } else { None };
                let change = Change::SetPassword { account: user.id, checked: Some(checked), password, keeps };
                keep(site, cx, change, move |site, kept, _| match kept {
                    Some(_) => back.told(site, &json!({"status": "success"})).into(),
                    None => back.refuse(site, bad_credentials()),
                })
            });
            hashed.unwrap_or_else(|fault| again.refuse(site, fault))
        })
    })
}

/// 400, the same whoever does not exist and whatever is wrong with the code.
fn bad_reset_code() -> Fault {
    Fault::new(Status::BAD_REQUEST, "bad_reset_code", "the code is not right, was used, or is too old")
}

/// `POST /reset-password`: with the recovery code, or a one-time code of an admin's or the operator's.
pub fn reset(site: &mut Site, call: &Call<'_>, who: Principal, cx: &mut Context<'_>) -> Result<Reply<Site>, Fault> {
    let ip = cx.peer.ip;
    post_try(site, call, cx, Page::Reset, &who, move |site, mut members, back, cx| {
        let (given, typed, new) = (members.need("username")?, members.need("code")?, members.need("new")?);
        members.end()?;
        let name = name(&given).unwrap_or_default();
        new_password(&new, &name)?;
        let tried = begin_try(site, &name, ip, cx)?;
        let accounts = accounts(site)?;
        let digest = Digest::of_code(&typed);
        let found = accounts.users.named(&name).filter(|account| account.is_open()).and_then(|account| {
            let is_code = account.code.is_some_and(|(code, until)| code == digest && cx.wall < until);
            let proof = match (account.recovery == Some(digest), is_code) {
                (true, _) => Proof::Recovery(digest),
                (_, true) => Proof::Code(digest, cx.wall),
                _ => return None,
            };
            Some((account.id, proof))
        });
        let recovery = code(&accounts.random::<RECOVERY_BYTES>()?);
        let outcome = tried.check(|| found.is_some());
        settle(site, tried, outcome, &Tried { name: &name, ip, by: "code" }, cx)
            .map_err(|fault| if outcome == Outcome::Wrong { bad_reset_code() } else { fault })?;
        let (account, proof) = found.ok_or_else(bad_reset_code)?;
        hash(site, cx, Some(Regular::Within(account)), new, move |site, password, cx| {
            let change = Change::Reset { account, proof, password, recovery: Digest::of_code(&recovery) };
            keep(site, cx, change, move |site, kept, _| match kept {
                Some(_) => {
                    let value = json!({"status": "success", "recovery_code": recovery});
                    back.shown_once(site, Page::Login, ("recovery", &recovery), Status::OK, &value).into()
                }
                None => back.refuse(site, bad_reset_code()),
            })
        })
    })
}

/// `DELETE /me`, and the form that stands for it.
pub fn delete(site: &mut Site, call: &Call<'_>, who: Principal, cx: &mut Context<'_>) -> Result<Reply<Site>, Fault> {
    let (user, is_form) = (signed_in(&who)?.clone(), call.method == Method::Post);
    post(site, call, cx, Page::Account, &who, move |site, mut members, back, cx| {
        if is_form && members.need(METHOD)? != "DELETE" {
            return Err(bad_field(METHOD));
        }
        let password = members.need("password")?;
        members.end()?;
        let owner = user.clone();
        check_own(site, cx, &owner, back, password, move |site, checked, back, cx| {
            let change = Change::Delete { account: user.id, checked: Some(checked) };
            keep(site, cx, change, move |site, kept, cx| match kept {
                Some(_) => remove_home(site, cx, user.id, move |site, _| {
                    let answer = back.done(site, "/", Status::OK, &json!({"status": "success"}));
                    answer.header("Set-Cookie", &cookie::clear(site.house_prefix(), back.is_secure())).into()
                }),
                None => back.refuse(site, bad_credentials()),
            })
        })
    })
}
