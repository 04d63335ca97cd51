//! Who may pass. [`authorize`] is the one function that decides, and [`guard`] the one place that asks it, before any handler.

use crate::config::{Access, Rights};
use crate::http::fault::Fault;
use crate::http::headers::Field;
use crate::http::request::Request;
use crate::http::status::Status;
use crate::server::context::{Call, Context};
use crate::server::reply::Reply;
use crate::site::state::Site;

/// Who a request acts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Principal {
    /// Holds the operator's token.
    Operator,
    /// Anyone else.
    Guest,
}

/// What a route does, as far as rights are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Open to all: health, the description of the service.
    Open,
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
}

/// Decides. `is_local` tells whether the request came straight from this machine to a server that only this machine reaches.
pub fn authorize(principal: Principal, action: Action, rights: &Rights, is_local: bool) -> Result<(), Fault> {
    let needed = match action {
        Action::Open => Access::Anyone,
        Action::WwwRead => rights.www_read,
        Action::SharedRead => rights.shared_read,
        Action::SharedWrite => rights.shared_write,
        Action::ChatRead => rights.chat_read,
        Action::ChatWrite => rights.chat_write,
        Action::Metrics if is_local => Access::Anyone,
        Action::Metrics => Access::Operator,
    };
    match (principal, needed) {
        (Principal::Operator, _) | (Principal::Guest, Access::Anyone) => Ok(()),
        (Principal::Guest, Access::User | Access::Operator) => {
            Err(Fault::new(Status::UNAUTHORIZED, "unauthorized", "this is not open to guests; a token is needed"))
        }
    }
}

/// Whether one who may write to the shared area may also replace, rename or remove a file there that has no owner.
///
/// Here ownership will come in: the ledger keeps none yet, so that a file a guest made and one that hythe did not receive
/// cannot be told apart. They need not be while there are no accounts: either rule lets the operator pass, and lets a guest
/// pass where writing is open to anyone, which is where a guest gets so far.
pub fn may_change(principal: Principal, rights: &Rights) -> Result<(), Fault> {
    if principal == Principal::Operator || rights.shared_write == Access::Anyone {
        return Ok(());
    }
    Err(Fault::new(Status::FORBIDDEN, "not_owner", "only its owner and the operator may change this file"))
}

/// The same, for a request that has passed the gate.
pub fn check_change(site: &Site, request: &Request<'_>) -> Result<(), Fault> {
    may_change(principal(site, request)?, &rights_of(site, request))
}

/// What is open to whom, for the way a request came.
fn rights_of(site: &Site, request: &Request<'_>) -> Rights {
    if is_proxied(request) { site.network_rights } else { site.rights }
}

/// Wraps a handler: it is asked only if the request may pass.
pub fn guard<R: Into<Reply<Site>>>(
    action: Action,
    handler: impl Fn(&mut Site, &Call<'_>, &mut Context<'_>) -> R + Clone + 'static,
) -> impl Fn(&mut Site, &Call<'_>, &mut Context<'_>) -> Reply<Site> + Clone + 'static {
    move |site, call, cx| match admit(site, call.request, action, cx) {
        Ok(()) => handler(site, call, cx).into(),
        Err(fault) => fault.into(),
    }
}

fn admit(site: &mut Site, request: &Request<'_>, action: Action, cx: &mut Context<'_>) -> Result<(), Fault> {
    let principal = principal(site, request)?;
    let came_directly = !is_proxied(request);
    let rights = rights_of(site, request);
    if !came_directly && !site.has_warned_of_proxy && site.rights != site.network_rights {
        site.has_warned_of_proxy = true;
        log::warn!(
            "a request came through a proxy: such requests get the rights of the network, not of this machine; \
             docs/operations.md says how to run behind one"
        );
    }
    let is_local = came_directly && site.config.has_loopback_defaults() && cx.peer.ip.is_loopback();
    authorize(principal, action, &rights, is_local)?;
    site.request_rate.take(cx.peer.ip, cx.now).map_err(|seconds| {
        site.tallies.throttled += 1;
        throttled(seconds)
    })
}

/// 429, for whoever came too often.
pub fn throttled(seconds: u32) -> Fault {
    Fault::new(Status::TOO_MANY_REQUESTS, "rate_limited", "too many requests from this address").retry_after(seconds)
}

/// Who the credentials are of. Wrong ones are never taken for none.
pub fn principal(site: &Site, request: &Request<'_>) -> Result<Principal, Fault> {
    let Some(value) = request.headers.get(Field::Authorization) else {
        return Ok(Principal::Guest);
    };
    let offered = (!request.headers.is_repeated(Field::Authorization)).then(|| bearer(value)).flatten();
    let is_operator = offered.is_some_and(|offered| {
        // Every token is compared, so that the time tells nothing of which one it nearly was.
        site.config.tokens.iter().fold(false, |is, token| token.secret.matches(offered) | is)
    });
    if is_operator {
        return Ok(Principal::Operator);
    }
    Err(Fault::new(Status::UNAUTHORIZED, "invalid_token", "the credentials are not valid"))
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
mod tests {
    use super::*;

    fn rights(all: Access) -> Rights {
        Rights { www_read: all, shared_read: all, shared_write: all, chat_read: all, chat_write: all }
    }

    #[test]
    fn every_action_of_every_principal_under_every_switch() {
        use Action::{ChatRead, ChatWrite, Metrics, Open, SharedRead, SharedWrite, WwwRead};
        for access in [Access::Anyone, Access::User, Access::Operator] {
            for action in [WwwRead, SharedRead, SharedWrite, ChatRead, ChatWrite] {
                let guest = authorize(Principal::Guest, action, &rights(access), true);
                assert_eq!(guest.is_ok(), access == Access::Anyone, "{action:?} {access:?}");
                assert_eq!(authorize(Principal::Operator, action, &rights(access), false), Ok(()));
            }
            assert_eq!(authorize(Principal::Guest, Open, &rights(access), false), Ok(()));
            assert_eq!(authorize(Principal::Guest, Metrics, &rights(access), true), Ok(()));
            assert_eq!(
                authorize(Principal::Guest, Metrics, &rights(access), false).unwrap_err().status,
                Status::UNAUTHORIZED
            );
        }
    }

    #[test]
    fn what_has_no_owner_is_changed_by_the_operator_or_by_anyone() {
        for access in [Access::Anyone, Access::User, Access::Operator] {
            assert_eq!(may_change(Principal::Operator, &rights(access)), Ok(()));
            assert_eq!(may_change(Principal::Guest, &rights(access)).is_ok(), access == Access::Anyone);
        }
    }

    #[test]
    fn only_bearer_credentials_hold_a_token() {
        assert_eq!(bearer(b"Bearer abc"), Some(&b"abc"[..]));
        assert_eq!(bearer(b"bEARER  abc "), Some(&b"abc"[..]));
        for other in [&b"Basic abc"[..], b"Bearer", b"abc", b""] {
            assert_eq!(bearer(other), None);
        }
    }
}
