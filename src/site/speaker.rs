//! Who speaks in the chat, and under which name. A guest's name is never one that could be taken for an account's.

use caseless::default_case_fold_str;
use unicode_normalization::UnicodeNormalization;

use crate::clock::Wall;
use crate::http::fault::Fault;
use crate::http::status::Status;
use crate::server::context::Context;
use crate::site::gate::Principal;
use crate::site::state::Site;
use crate::store::history::Message;

/// Letters of a name.
pub const NAME_MAX: usize = 32;

/// How long authors may take their own messages back.
const ERASABLE_MS: u64 = 10 * 60 * 1000;

/// Who speaks, or listens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Speaker {
    /// The account; `None` for a guest and for the operator.
    pub user: Option<String>,
    /// Whether this one looks after the chat: the operator, or an admin.
    pub is_admin: bool,
}

impl Speaker {
    /// Who a request acts for.
    pub fn of(who: &Principal) -> Speaker {
        Speaker { user: who.user().map(|user| user.name.to_string()), is_admin: who.is_chief() }
    }

    /// The name this one speaks under: an account's own, the one a guest asks for, or one made up.
    pub fn name(&self, asked: Option<&str>, site: &Site, cx: &Context<'_>) -> Result<String, Fault> {
        if let Some(user) = &self.user {
            return Ok(user.clone());
        }
        match asked.filter(|name| !name.is_empty()) {
            Some(name) => {
                check_name(name)?;
                if is_account(site, name) {
                    let detail = format!("{name} is an account's name");
                    return Err(Fault::new(Status::CONFLICT, "name_taken", detail));
                }
                Ok(name.to_owned())
            }
            None => Ok(made_up(cx)),
        }
    }

    /// Whether this one may take a message back: who looks after the chat always, its author for ten minutes.
    pub fn may_erase(&self, message: &Message, now: Wall) -> Result<(), Fault> {
        if self.is_admin {
            return Ok(());
        }
        if self.user.is_none() {
            return Err(Fault::new(Status::UNAUTHORIZED, "unauthorized", "guests cannot take a message back"));
        }
        if message.user != self.user {
            return Err(Fault::new(Status::FORBIDDEN, "not_author", "only its author may take a message back"));
        }
        if now.as_millis().saturating_sub(message.ts.as_millis()) > ERASABLE_MS {
            return Err(Fault::new(Status::FORBIDDEN, "too_late", "a message can be taken back for ten minutes"));
        }
        Ok(())
    }
}

/// Whether a name reads as one of the accounts'.
fn is_account(site: &Site, name: &str) -> bool {
    site.accounts.as_ref().is_some_and(|accounts| accounts.users.is_taken(&folded(name)))
}

/// What two names that would be taken for each other have in common (Unicode 3.13: NFKC, then full case folding).
pub fn folded(name: &str) -> String {
    let composed: String = name.trim().nfkc().collect();
    default_case_fold_str(&composed).nfkc().collect::<String>().trim().to_owned()
}

fn check_name(name: &str) -> Result<(), Fault> {
    let fits = (1..=NAME_MAX).contains(&name.chars().count())
        && name.chars().all(|character| character.is_alphanumeric() || matches!(character, ' ' | '.' | '_' | '-'))
        && !name.trim().is_empty();
    if fits {
        return Ok(());
    }
    Err(Fault::new(
        Status::BAD_REQUEST,
        "bad_name",
        "a name has 1 to 32 letters, digits, spaces, dots, underscores and hyphens",
    ))
}

/// `guest-` and four digits that stay the same for an address while its connection lasts.
fn made_up(cx: &Context<'_>) -> String {
    let mixed = u64::from(cx.peer.port).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("guest-{:04x}", mixed >> 48)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_their_bounds() {
        for name in ["ada", "Ada L. 1_2-3", "é", &"a".repeat(32), &"é".repeat(32)] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["a/b", "<b>", "a\n", " ", "", &"a".repeat(33), "a\u{200d}b", "a\u{301}", "@a"] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn names_that_would_be_taken_for_each_other_fold_to_the_same() {
        for (name, expected) in [
            ("Ada", "ada"),
            ("ＡＤＡ", "ada"),
            (" ada ", "ada"),
            ("\u{212a}im", "kim"),
            ("straße", "strasse"),
            ("ﬁn", "fin"),
            ("ada\u{2460}", "ada1"),
            ("İ", "i\u{307}"),
            ("ΣΑΣ", "σασ"),
        ] {
            assert_eq!(folded(name), expected, "{name}");
        }
        assert_ne!(folded("ad a"), "ada");
    }

    #[test]
    fn a_message_is_taken_back_by_its_author_for_ten_minutes_and_by_an_admin_for_ever() {
        let message = Message {
            id: 1,
            room: "lobby".into(),
            ts: Wall::from_seconds(1000),
            user: Some("ada".into()),
            name: "ada".into(),
            text: "x".into(),
        };
        let by = |user: Option<&str>, is_admin, after_s: u64| {
            let speaker = Speaker { user: user.map(str::to_owned), is_admin };
            speaker.may_erase(&message, Wall::from_seconds(1000 + after_s)).map_err(|fault| fault.code)
        };
        assert_eq!(by(Some("ada"), false, 600), Ok(()));
        assert_eq!(by(Some("ada"), false, 601), Err("too_late"));
        assert_eq!(by(Some("bob"), false, 1), Err("not_author"));
        assert_eq!(by(None, false, 1), Err("unauthorized"));
        assert_eq!(by(None, true, 1_000_000), Ok(()));
        assert_eq!(by(Some("root"), true, 1_000_000), Ok(()));
        let guests = Message { user: None, ..message.clone() };
        let guest = Speaker::default().may_erase(&guests, guests.ts);
        assert_eq!(guest.unwrap_err().code, "unauthorized", "two guests are not told apart");
    }
}
