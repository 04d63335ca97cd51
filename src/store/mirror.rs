//! Tests: the tables of accounts and the model of them, side by side. After every change they hold the same.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::clock::Wall;
use crate::store::change::{Change, Proof, Which};
use crate::store::database::Verdict;
use crate::store::entry::Entry;
use crate::store::ledger::{Ledger, Sync};
use crate::store::scopes::Scopes;
use crate::store::secret::{Digest, Hash};
use crate::store::users::{CODE_MS, Credential, INVITE_MS, KNOWN_MAX, SESSION_IDLE_MS, Users};

/// A ledger and the model beside it, as the loop has them.
struct Pair {
    ledger: Ledger,
    users: Users,
}

impl Pair {
    fn new() -> Pair {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let path = PathBuf::from(format!("file:/accounts-{}?vfs=memdb", COUNT.fetch_add(1, Ordering::Relaxed)));
        Pair { ledger: Ledger::open(&path, Sync::Off).unwrap(), users: Users::default() }
    }

    fn keep(&mut self, change: Change) -> Verdict {
        let verdict = self.ledger.keep(vec![Entry::Accounts(change.clone())])[0];
        if let Verdict::Kept(id) = verdict {
            self.users.apply(&change, id);
        }
        assert!(
            self.users == self.ledger.users().unwrap(),
            "the model mirrors the tables after {:?}",
            std::mem::discriminant(&change)
        );
        verdict
    }

    fn is_kept(&mut self, change: Change) -> bool {
        matches!(self.keep(change), Verdict::Kept(_))
    }
}

fn digest(secret: &str) -> Digest {
    Digest::of(secret.as_bytes())
}

fn hash(word: &str) -> Hash {
    Hash::from_text(word)
}

fn register(name: &str, invite: Option<&str>) -> Change {
    Change::Register {
        name: name.into(),
        password: hash("old"),
        recovery: Some(digest("recovery")),
        is_admin: false,
        made: Wall::from_seconds(1),
        invite: invite.map(digest),
    }
}

fn sign_in(account: i64, password: &str, secret: &str, seconds: u64) -> Change {
    Change::SignIn {
        account,
        checked: hash(password),
        rehashed: None,
        secret: digest(secret),
        made: Wall::from_seconds(seconds),
        is_token: false,
        address: "10.0.0.1".into(),
        network: IpAddr::from([10, 0, 0, (seconds % 30) as u8]),
        agent: "curl".into(),
        replaces: None,
        ends: Vec::new(),
    }
}

#[test]
fn a_name_is_given_once_and_stays_taken_when_its_account_has_gone() {
    let mut pair = Pair::new();
    assert_eq!(pair.keep(register("ada", None)), Verdict::Kept(1));
    assert_eq!(pair.keep(register("ada", None)), Verdict::Refused);
    assert!(pair.is_kept(Change::Delete { account: 1, checked: Some(hash("old")) }));
    assert_eq!(pair.keep(register("ada", None)), Verdict::Refused);
    assert!(pair.users.is_taken("ada") && pair.users.named("ada").is_none());
    assert_eq!(pair.keep(register("bob", None)), Verdict::Kept(2));
    assert!(!pair.is_kept(Change::Delete { account: 1, checked: None }), "nobody is deleted twice");
}

#[test]
fn an_invite_lets_one_in_and_a_refused_registration_leaves_it_unused() {
    let mut pair = Pair::new();
    let until = Wall::from_seconds(1).plus(INVITE_MS);
    assert!(pair.is_kept(Change::Invite { secret: digest("invite"), until }));
    pair.keep(register("ada", None));
    assert!(!pair.is_kept(register("ada", Some("invite"))));
    assert!(!pair.is_kept(register("eve", Some("guess"))));
    assert!(pair.users.is_invite(&digest("invite"), Wall::from_seconds(1)));
    assert!(pair.is_kept(register("bob", Some("invite"))));
    assert!(!pair.is_kept(register("eve", Some("invite"))));
    assert!(pair.is_kept(Change::Invite { secret: digest("late"), until: Wall::from_seconds(1) }));
    assert!(!pair.is_kept(register("eve", Some("late"))));
}

#[test]
fn nobody_signs_in_with_a_password_that_was_changed_meanwhile() {
    let mut pair = Pair::new();
    pair.keep(register("ada", None));
    assert!(pair.is_kept(sign_in(1, "old", "a", 10)));
    let new = Change::SetPassword { account: 1, checked: Some(hash("old")), password: hash("new"), keeps: Some(1) };
    assert!(pair.is_kept(sign_in(1, "old", "b", 10)));
    assert!(pair.is_kept(new.clone()));
    assert!(!pair.is_kept(new), "the old one was checked too early");
    assert!(!pair.is_kept(sign_in(1, "old", "c", 11)));
    let now = Wall::from_seconds(12);
    assert!(pair.users.find(&digest("a"), now).is_some());
    assert!(pair.users.find(&digest("b"), now).is_none(), "every other session ends");
    let disabled = Change::Set { account: 1, is_disabled: Some(true), is_admin: None, quota: None };
    assert!(pair.is_kept(disabled));
    assert!(pair.users.find(&digest("a"), now).is_none());
    assert!(!pair.is_kept(sign_in(1, "new", "d", 12)));
}

#[test]
fn codes_work_once_and_in_time_and_a_reset_ends_sessions_and_tokens() {
    let mut pair = Pair::new();
    pair.keep(register("ada", None));
    let reset = |proof| Change::Reset { account: 1, proof, password: hash("x"), recovery: digest("recovery 2") };
    let until = Wall::from_seconds(10).plus(CODE_MS);
    let give = Change::GiveCode { account: 1, code: digest("code"), until };
    pair.keep(give.clone());
    assert!(!pair.is_kept(reset(Proof::Code(digest("guess"), Wall::from_seconds(11)))));
    assert!(!pair.is_kept(reset(Proof::Code(digest("code"), until))), "the time is over");
    pair.keep(sign_in(1, "old", "a", 11));
    let token = Change::AddToken {
        account: 1,
        secret: digest("token"),
        label: "l".into(),
        scopes: Scopes::FILES_READ,
        made: Wall::from_seconds(11),
        until: None,
    };
    assert!(pair.is_kept(token));
    assert!(pair.is_kept(reset(Proof::Code(digest("code"), Wall::from_seconds(12)))));
    assert!(!pair.is_kept(reset(Proof::Code(digest("code"), Wall::from_seconds(12)))), "used once");
    for secret in ["a", "token"] {
        assert!(pair.users.find(&digest(secret), Wall::from_seconds(12)).is_none(), "{secret}");
    }
    assert!(!pair.is_kept(reset(Proof::Recovery(digest("recovery")))), "there is a new one");
    assert!(pair.is_kept(reset(Proof::Recovery(digest("recovery 2")))));
}

#[test]
fn sessions_end_when_nobody_uses_them_and_what_was_used_is_carried_over() {
    let mut pair = Pair::new();
    pair.keep(register("ada", None));
    pair.keep(sign_in(1, "old", "a", 0));
    let late = Wall::from_millis(SESSION_IDLE_MS);
    assert!(pair.users.find(&digest("a"), late).is_none());
    pair.users.touch(1, Wall::from_seconds(3600));
    assert!(pair.users.find(&digest("a"), late).is_some());
    let held = pair.ledger.users().unwrap();
    assert_eq!(pair.users.replace(held), []);
    assert!(pair.users.find(&digest("a"), late).is_some());
    let unseen = pair.users.unseen();
    assert_eq!(unseen, [(1, Wall::from_seconds(3600))]);
    assert!(pair.is_kept(Change::Seen { sessions: unseen }));
    assert_eq!(pair.users.unseen(), []);
    assert!(pair.users.sweep(late).is_none());
    let over = late.plus(3_600_000);
    let sweep = pair.users.sweep(over).unwrap();
    assert!(pair.is_kept(sweep));
    assert!(pair.users.session(1).is_none());
    pair.users.touch(1, over);
}

#[test]
fn what_another_process_ends_is_told() {
    let mut pair = Pair::new();
    pair.keep(register("ada", None));
    pair.keep(sign_in(1, "old", "a", 0));
    pair.keep(sign_in(1, "old", "b", 0));
    pair.ledger.keep(vec![Entry::Accounts(Change::SignOut { account: 1, which: Which::One(2) })]);
    let held = pair.ledger.users().unwrap();
    assert_eq!(pair.users.replace(held), [Credential::Session(2)]);
}

#[test]
fn an_account_knows_the_addresses_that_came_last() {
    let mut pair = Pair::new();
    pair.keep(register("ada", None));
    for at in 0..40 {
        pair.keep(sign_in(1, "old", &format!("s{at}"), at));
    }
    let known = &pair.users.named("ada").unwrap().known;
    assert_eq!(known.len(), KNOWN_MAX);
    assert!(known.iter().all(|(_, seen)| *seen >= Wall::from_seconds(24)));
    assert!(pair.users.crowded_out(1).is_empty());
    for at in 40..64 {
        pair.keep(sign_in(1, "old", &format!("s{at}"), at));
    }
    assert_eq!(pair.users.crowded_out(1), [1]);
}

#[test]
fn scopes_are_named_as_they_are_asked_for() {
    for (name, scope) in Scopes::NAMES {
        assert_eq!(Scopes::of(name), Some(scope));
        assert_eq!(scope.names().collect::<Vec<_>>(), [name]);
        assert_eq!(Scopes::from_bits(scope.bits()), scope);
    }
    assert_eq!(Scopes::of("files"), None);
    assert!(Scopes::from_bits(!15).is_empty());
}
