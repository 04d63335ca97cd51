//! Who may what, under test.

use super::*;
use crate::config::choices::Signup;

fn terms(all: Access, is_local: bool) -> Terms {
    let signup = Signup::Open;
    let rights = Rights { www_read: all, shared_read: all, shared_write: all, chat_read: all, chat_write: all, signup };
    Terms { rights, is_local }
}

fn user(name: &str, is_admin: bool, scopes: Option<Scopes>) -> Principal {
    let via = if scopes.is_some() { Credential::Token(1) } else { Credential::Session(1) };
    Principal::User(User { id: 1, name: name.into(), is_admin, via, scopes })
}

/// 0 for a pass.
fn verdict(principal: &Principal, action: Action, target: Target<'_>, terms: &Terms) -> u16 {
    authorize(principal, action, target, terms).map_or_else(|fault| fault.status.code(), |()| 0)
}

#[test]
fn every_action_of_every_principal_under_every_switch() {
    use Action::{Account, Admin, ChatRead, ChatWrite, Identity, Metrics, Open, SharedRead, SharedWrite, WwwRead};
    let (ada, root) = (user("ada", false, None), user("root", true, None));
    for access in [Access::Anyone, Access::User, Access::Operator] {
        let [near, far] = [true, false].map(|is_local| terms(access, is_local));
        let row = |action: Action, terms: &Terms| {
            [&Principal::Guest, &ada, &root, &Principal::Operator]
                .map(|principal| verdict(principal, action, Target::Shared, terms))
        };
        for action in [WwwRead, SharedRead, SharedWrite, ChatRead, ChatWrite] {
            let expected = match access {
                Access::Anyone => [0, 0, 0, 0],
                Access::User => [401, 0, 0, 0],
                Access::Operator => [401, 403, 0, 0],
            };
            assert_eq!(row(action, &near), expected, "{action:?} {access:?}");
        }
        assert_eq!(row(Open, &far), [0; 4]);
        assert_eq!(row(Metrics, &near), [0; 4]);
        assert_eq!(row(Metrics, &far), [401, 403, 403, 0]);
        assert_eq!(row(Admin, &near), [401, 403, 0, 0]);
        for action in [Identity, Account] {
            assert_eq!(row(action, &near), [401, 0, 0, 403], "{action:?}");
        }
    }
}

#[test]
fn a_home_is_there_for_its_owner_alone() {
    for access in [Access::Anyone, Access::Operator] {
        let terms = terms(access, true);
        for action in [Action::SharedRead, Action::SharedWrite] {
            let row = [
                Principal::Guest,
                Principal::Operator,
                user("ada", false, None),
                user("bob", true, None),
                user("ada", false, Some(Scopes::CHAT_READ)),
            ]
            .map(|principal| verdict(&principal, action, Target::of_path("~ada/b.txt"), &terms));
            assert_eq!(row, [404, 404, 0, 404, 403], "{action:?}");
        }
    }
    assert_eq!(Target::of_path("~ada"), Target::Home("ada"));
    assert_eq!(Target::of_path("a/~ada"), Target::Shared);
}

#[test]
fn a_token_does_what_it_was_made_for_and_nothing_else() {
    use Action::{Account, Admin, ChatRead, ChatWrite, Identity, Open, SharedRead, SharedWrite, WwwRead};
    let actions = [Open, Identity, WwwRead, SharedRead, SharedWrite, ChatRead, ChatWrite, Account, Admin];
    for (scopes, expected) in [
        (Scopes::FILES_READ, [0, 0, 0, 0, 403, 403, 403, 403, 403]),
        (Scopes::FILES_WRITE, [0, 0, 403, 403, 0, 403, 403, 403, 403]),
        (Scopes::CHAT_READ, [0, 0, 403, 403, 403, 0, 403, 403, 403]),
        (Scopes::CHAT_WRITE.and(Scopes::CHAT_READ), [0, 0, 403, 403, 403, 0, 0, 403, 403]),
    ] {
        let token = user("root", true, Some(scopes));
        let terms = terms(Access::Operator, true);
        let found = actions.map(|action| verdict(&token, action, Target::Shared, &terms));
        assert_eq!(found, expected, "{scopes:?}");
        let refused = authorize(&token, Admin, Target::Shared, &terms).unwrap_err();
        assert_eq!(refused.code, "scope_missing");
    }
}

#[test]
fn what_is_there_is_changed_by_its_owner_and_by_who_looks_after_the_place() {
    let others = [Principal::Guest, user("ada", false, None), user("root", true, None), Principal::Operator];
    let bob = Owner::Account(2);
    for (access, owner, expected) in [
        (Access::Anyone, None, [true, true, true, true]),
        (Access::User, None, [false, false, true, true]),
        (Access::Operator, None, [false, false, true, true]),
        (Access::Anyone, Some(bob), [false, false, true, true]),
        (Access::Anyone, Some(Owner::Account(1)), [false, true, true, true]),
        (Access::User, Some(Owner::Account(1)), [false, true, true, true]),
        (Access::Anyone, Some(Owner::Guest), [true, true, true, true]),
        (Access::User, Some(Owner::Guest), [true, true, true, true]),
    ] {
        let rights = terms(access, true).rights;
        let found = others.each_ref().map(|principal| may_change(principal, &rights, owner).is_ok());
        assert_eq!(found, expected, "{access:?} {owner:?}");
    }
}

#[test]
fn only_the_password_of_basic_credentials_counts() {
    assert_eq!(basic(b"Basic YWRhOmh5dF8x").as_deref(), Some(&b"hyt_1"[..]));
    assert_eq!(basic(b"bAsIc  OmE6Yg== ").as_deref(), Some(&b"a:b"[..]));
    for other in [&b"Basic YWRh"[..], b"Basic !", b"Basic", b"Bearer YWRhOmh5dF8x", b"Basic YWRhOmh5dF8x="] {
        assert_eq!(basic(other), None, "{}", other.escape_ascii());
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
