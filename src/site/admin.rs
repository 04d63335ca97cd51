//! Looking after other people's accounts, for admins and the operator.

use serde_json::{Value, json};

use crate::http::date;
use crate::http::fault::Fault;
use crate::http::request::Method;
use crate::http::response::Response;
use crate::http::status::Status;
use crate::server::context::{Call, Context};
use crate::server::reply::Reply;
use crate::site::accounts::{Newcomer, make};
use crate::site::body::{METHOD, Members, bad_field};
use crate::site::entrance::Page;
use crate::site::gate::Principal;
use crate::site::listed::list;
use crate::site::people::{accounts, keep, name, new_name, new_password, value};
use crate::site::post::{Back, post};
use crate::site::reserve::Regular;
use crate::site::rows;
use crate::site::spot::remove_home;
use crate::site::state::Site;
use crate::store::change::Change;
use crate::store::secret::{CODE_BYTES, Digest, RECOVERY_BYTES, code};
use crate::store::users::{CODE_MS, INVITE_MS, INVITES_MAX};

/// `GET /admin/users`.
pub fn users(site: &mut Site, call: &Call<'_>, _: &mut Context<'_>) -> Result<Response, Fault> {
    let rows = accounts(site)?.users.accounts().map(value).collect();
    Ok(list(call, &site.config.path_prefix, "Users", "users", &rows::USERS, rows))
}

/// `POST /admin/users`: makes an account, whatever `signup` says.
pub fn create(site: &mut Site, call: &Call<'_>, who: Principal, cx: &mut Context<'_>) -> Result<Reply<Site>, Fault> {
    let by = who.user().map_or(Regular::Operator, |user| Regular::Within(user.id));
    post(site, call, cx, Page::Admin, &who, move |site, mut members, back, cx| {
        let (given, password) = (members.need("username")?, members.need("password")?);
        let is_admin = members.flag("admin")?.unwrap_or(false);
        members.end()?;
        let name = new_name(&given)?;
        new_password(&password, &name)?;
        if !accounts(site)?.users.has_room() {
            return Err(Fault::new(Status::FORBIDDEN, "too_many_users", "there is no room for another account"));
        }
        make(site, cx, Newcomer { name, password, is_admin, invite: None, by: Some(by), next: Page::Admin }, back)
    })
}

/// The account that the path names, in whatever case, and its name as it is.
fn named(site: &mut Site, call: &Call<'_>) -> Result<(i64, String), Fault> {
    let name = name(call.parameter("name").unwrap_or_default()).ok_or_else(Fault::not_found)?;
    accounts(site)?.users.named(&name).map(|account| (account.id, name.clone())).ok_or_else(Fault::not_found)
}

/// `PATCH` and `DELETE /admin/users/<name>`, and `POST` of a form that says which of the two it means.
pub fn change(site: &mut Site, call: &Call<'_>, who: Principal, cx: &mut Context<'_>) -> Result<Reply<Site>, Fault> {
    let (account, name) = named(site, call)?;
    let method = call.method;
    if method == Method::Delete {
        return Ok(delete(site, cx, account, name, Back::program(cx.is_secure)));
    }
    post(site, call, cx, Page::Admin, &who, move |site, mut members, back, cx| {
        match if method == Method::Patch { "PATCH".into() } else { members.need(METHOD)? }.as_str() {
            "PATCH" => set(site, cx, account, members, back),
            "DELETE" => {
                members.end()?;
                Ok(delete(site, cx, account, name, back))
            }
            _ => Err(bad_field(METHOD)),
        }
    })
}

fn set(
    site: &mut Site,
    cx: &mut Context<'_>,
    account: i64,
    mut members: Members,
    back: Back,
) -> Result<Reply<Site>, Fault> {
    let (is_disabled, is_admin) = (members.flag("disabled")?, members.flag("admin")?);
    let quota = members.number("quota")?;
    members.end()?;
    let change = Change::Set { account, is_disabled, is_admin, quota };
    Ok(keep(site, cx, change, move |site, kept, _| {
        let user = site.accounts.as_ref().and_then(|accounts| accounts.users.account(account)).map(value);
        match (kept, user) {
            (Some(_), Some(user)) => back.told(site, &user).into(),
            _ => back.refuse(site, Fault::not_found()),
        }
    }))
}

fn delete(site: &mut Site, cx: &mut Context<'_>, account: i64, name: String, back: Back) -> Reply<Site> {
    let change = Change::Delete { account, checked: None };
    keep(site, cx, change, move |site, kept, cx| match kept {
        Some(_) => remove_home(site, cx, account, move |site, _| {
            back.told(site, &json!({"status": "success", "deleted": name})).into()
        }),
        None => back.refuse(site, Fault::not_found()),
    })
}

/// `POST /admin/users/<name>/reset`: a code with which the user sets a new password.
pub fn reset(site: &mut Site, call: &Call<'_>, who: Principal, cx: &mut Context<'_>) -> Result<Reply<Site>, Fault> {
    let (account, _) = named(site, call)?;
    post(site, call, cx, Page::Admin, &who, move |site, members, back, cx| {
        members.end()?;
        let code = code(&accounts(site)?.random::<CODE_BYTES>()?);
        let until = cx.wall.plus(CODE_MS);
        let change = Change::GiveCode { account, code: Digest::of_code(&code), until };
        let value = json!({"code": code, "expires": date::rfc3339(until)});
        Ok(give(site, cx, change, back, ("code", code), (Status::OK, value)))
    })
}

/// Keeps what hands out a secret, and tells it once.
fn give(
    site: &mut Site,
    cx: &mut Context<'_>,
    change: Change,
    back: Back,
    (what, secret): (&'static str, String),
    (status, value): (Status, Value),
) -> Reply<Site> {
    keep(site, cx, change, move |site, kept, _| match kept {
        Some(_) => back.shown_once(site, Page::Admin, (what, &secret), status, &value).into(),
        None => back.refuse(site, Fault::not_found()),
    })
}

/// `POST /admin/invites`: whoever has it may make an account, once.
pub fn invite(site: &mut Site, call: &Call<'_>, who: Principal, cx: &mut Context<'_>) -> Result<Reply<Site>, Fault> {
    post(site, call, cx, Page::Admin, &who, move |site, members, back, cx| {
        members.end()?;
        let accounts = accounts(site)?;
        if accounts.users.invites() >= INVITES_MAX {
            let detail = format!("{INVITES_MAX} invites are waiting to be used");
            return Err(Fault::new(Status::CONFLICT, "too_many_invites", detail));
        }
        let invite = code(&accounts.random::<RECOVERY_BYTES>()?);
        let until = cx.wall.plus(INVITE_MS);
        let change = Change::Invite { secret: Digest::of_code(&invite), until };
        let value = json!({"invite": invite, "expires": date::rfc3339(until)});
        Ok(give(site, cx, change, back, ("invite", invite), (Status::CREATED, value)))
    })
}
