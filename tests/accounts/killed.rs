//! What is left of accounts when the server is killed: several clients make accounts, sign in and out, change and reset passwords,
//! make and remove tokens and delete accounts, while the server is killed at random moments and started again. Each client knows
//! what it was told. What it was told is so for ever: nothing acknowledged is lost, and nothing that was ended lives. What it was not
//! told may have been done or not, but never by half.
//!
//! `KILLS=200 cargo test --test accounts killed -- --nocapture` (or `make kill`) kills more often; `SEED` sets the dice.

use serde_json::{Value, json};

use crate::mortal::{self, Dice, Line, kills_and_seed, live_through};
use crate::place::{JSON, Place, cookie};
use crate::wire::Answer;

const CLIENTS: u64 = 4;
const KILLS: u64 = 6;
/// Sessions, and tokens, that an account has at most: fewer than those that make room by themselves.
const HELD_MAX: usize = 12;

/// Something to come in with, as a line of the head, and whether it is live.
struct Credential {
    line: String,
    /// Of a token.
    id: Option<i64>,
    is_live: bool,
}

struct Account {
    name: String,
    password: String,
    /// `None` when it was made and not told.
    recovery: Option<String>,
    held: Vec<Credential>,
    is_gone: bool,
}

impl Account {
    fn end(&mut self, is_meant: impl Fn(usize, &Credential) -> bool) {
        for (at, credential) in self.held.iter_mut().enumerate() {
            credential.is_live &= !is_meant(at, credential);
        }
    }

    fn live(&self, is_token: bool) -> Vec<usize> {
        let is_meant = |at: &usize| self.held[*at].is_live && self.held[*at].id.is_some() == is_token;
        (0..self.held.len()).filter(is_meant).collect()
    }
}

struct Client {
    number: u64,
    line: Line,
    dice: Dice,
    made: u64,
    accounts: Vec<Account>,
}

fn text(answer: &Answer, member: &str) -> String {
    answer.json()[member].as_str().unwrap_or_else(|| panic!("{member}: {answer:?}")).to_owned()
}

impl Client {
    fn post(&self, target: &str, fields: &[&str], value: &Value) -> Option<Answer> {
        self.line.ask(&format!("POST {target}"), &[&[JSON], fields].concat(), value.to_string().as_bytes())
    }

    fn fresh(&mut self, what: &str) -> String {
        self.made += 1;
        format!("{what}-{}-{}", self.number, self.made)
    }

    /// Signs in, for as long as nobody answers; tells whether it was let in.
    fn can_sign_in(&mut self, at: usize, password: &str) -> bool {
        let wish = json!({"username": self.accounts[at].name, "password": password}).to_string();
        let answer = self.line.insist("POST /login", &[JSON], wish.as_bytes());
        match answer.status {
            200 => {
                self.accounts[at].held.push(Credential { line: cookie(&answer), id: None, is_live: true });
                true
            }
            401 => false,
            _ => panic!("{answer:?}"),
        }
    }

    fn register(&mut self) {
        let (name, password) = (self.fresh("user"), self.fresh("password"));
        let answer = self.post("/register", &[], &json!({"username": name, "password": password}));
        let recovery = answer.as_ref().map(|answer| {
            assert_eq!(answer.status, 201, "{answer:?}");
            text(answer, "recovery_code")
        });
        self.accounts.push(Account { name, password: password.clone(), recovery, held: Vec::new(), is_gone: false });
        let at = self.accounts.len() - 1;
        if answer.is_none() && !self.can_sign_in(at, &password) {
            self.accounts.pop();
        }
    }

    fn sign_in(&mut self, at: usize) {
        let wish = json!({"username": self.accounts[at].name, "password": self.accounts[at].password});
        // A session that was made and not told is nobody's.
        if let Some(answer) = self.post("/login", &[], &wish) {
            assert_eq!(answer.status, 200, "{answer:?}");
            self.accounts[at].held.push(Credential { line: cookie(&answer), id: None, is_live: true });
        }
    }

    fn is_let_in(&self, credential: &Credential) -> bool {
        let answer = self.line.insist("GET /me", &[&credential.line], b"");
        match answer.status {
            200 => true,
            401 => false,
            _ => panic!("{answer:?}"),
        }
    }

    /// Ends one, or finds out whether it has ended.
    fn end(&mut self, at: usize, which: usize, answer: Option<&Answer>) {
        let has_ended = match answer {
            Some(answer) => {
                assert_eq!(answer.status, 200, "{answer:?}");
                true
            }
            None => !self.is_let_in(&self.accounts[at].held[which]),
        };
        self.accounts[at].held[which].is_live = !has_ended;
    }

    fn sign_out(&mut self, at: usize) {
        let Some(&which) = self.accounts[at].live(false).first() else { return };
        let answer = self.post("/logout", &[&self.accounts[at].held[which].line], &json!({}));
        self.end(at, which, answer.as_ref());
    }

    fn remove_token(&mut self, at: usize) {
        let (Some(&session), Some(&which)) =
            (self.accounts[at].live(false).first(), self.accounts[at].live(true).first())
        else {
            return;
        };
        let held = &self.accounts[at].held;
        let line = format!("DELETE /tokens/{}", held[which].id.expect("a token has an id"));
        let answer = self.line.ask(&line, &[&held[session].line], b"");
        self.end(at, which, answer.as_ref());
    }

    fn make_token(&mut self, at: usize) {
        let Some(&session) = self.accounts[at].live(false).first() else { return };
        let wish = json!({"label": "x", "scopes": ["files:read"]});
        let answer = self.post("/tokens", &[&self.accounts[at].held[session].line], &wish);
        if let Some(answer) = answer {
            assert_eq!(answer.status, 201, "{answer:?}");
            let line = format!("Authorization: Bearer {}", text(&answer, "token"));
            let id = answer.json()["id"].as_i64();
            self.accounts[at].held.push(Credential { line, id, is_live: true });
        }
    }

    /// A new password is acknowledged, or it is found out which one holds. Tells whether it is the new one.
    fn settle_password(&mut self, at: usize, new: &str, answer: Option<&Answer>) -> bool {
        if let Some(answer) = answer {
            assert_eq!(answer.status, 200, "{answer:?}");
        } else if !self.can_sign_in(at, new) {
            let old = self.accounts[at].password.clone();
            assert!(
                self.can_sign_in(at, &old),
                "{} has neither its old password nor its new one",
                self.accounts[at].name
            );
            return false;
        }
        new.clone_into(&mut self.accounts[at].password);
        true
    }

    fn change_password(&mut self, at: usize) {
        let Some(&session) = self.accounts[at].live(false).first() else { return };
        let new = self.fresh("password");
        let before = self.accounts[at].held.len();
        let wish = json!({"old": self.accounts[at].password, "new": new});
        let answer = self.post("/password", &[&self.accounts[at].held[session].line], &wish);
        if self.settle_password(at, &new, answer.as_ref()) {
            // Every other session has ended, but for the one that has just shown it.
            self.accounts[at].end(|other, credential| other < before && other != session && credential.id.is_none());
        }
    }

    fn reset(&mut self, at: usize) {
        let Some(code) = self.accounts[at].recovery.clone() else { return };
        let new = self.fresh("password");
        let before = self.accounts[at].held.len();
        let wish = json!({"username": self.accounts[at].name, "code": code, "new": new});
        let answer = self.post("/reset-password", &[], &wish);
        if self.settle_password(at, &new, answer.as_ref()) {
            self.accounts[at].recovery = answer.map(|answer| text(&answer, "recovery_code"));
            self.accounts[at].end(|other, _| other < before);
            // The code was used, and never works again.
            let again = self.post(
                "/reset-password",
                &[],
                &json!({"username": self.accounts[at].name, "code": code, "new": new}),
            );
            assert!(again.is_none_or(|answer| answer.code() == "bad_reset_code"), "a code has worked twice");
        }
    }

    fn delete(&mut self, at: usize) {
        let Some(&session) = self.accounts[at].live(false).first() else { return };
        let wish = json!({"password": self.accounts[at].password}).to_string();
        let answer = self.line.ask("DELETE /me", &[JSON, &self.accounts[at].held[session].line], wish.as_bytes());
        let password = self.accounts[at].password.clone();
        self.accounts[at].is_gone = match answer {
            Some(answer) => {
                assert_eq!(answer.status, 200, "{answer:?}");
                true
            }
            None => !self.can_sign_in(at, &password),
        };
        if self.accounts[at].is_gone {
            self.accounts[at].end(|_, _| true);
        }
    }
}

impl mortal::Client for Client {
    fn dice(&mut self) -> &mut Dice {
        &mut self.dice
    }

    fn act(&mut self) {
        let living: Vec<usize> = (0..self.accounts.len()).filter(|&at| !self.accounts[at].is_gone).collect();
        if living.is_empty() || living.len() < 5 && self.dice.below(4) == 0 {
            return self.register();
        }
        let at = living[self.dice.below(living.len() as u64) as usize];
        let is_crowded = |is_token| self.accounts[at].live(is_token).len() >= HELD_MAX;
        match self.dice.below(16) {
            0..=3 if !is_crowded(false) => self.sign_in(at),
            0..=5 => self.sign_out(at),
            6..=8 if !is_crowded(true) => self.make_token(at),
            6..=9 => self.remove_token(at),
            10..=12 => self.change_password(at),
            13 | 14 => self.reset(at),
            _ => self.delete(at),
        }
    }

    fn check(&self) {
        for account in &self.accounts {
            for credential in &account.held {
                let (is_let_in, kind) =
                    (self.is_let_in(credential), if credential.id.is_some() { "token" } else { "session" });
                let name = &account.name;
                assert!(is_let_in || !credential.is_live, "a {kind} of {name} that was never ended is lost");
                assert!(!is_let_in || credential.is_live, "a {kind} of {name} that was ended lives");
            }
        }
    }
}

#[test]
fn what_was_acknowledged_is_so_after_every_kill_and_nothing_that_was_ended_lives() {
    let (kills, seed) = kills_and_seed(KILLS);
    let mut place = Place::open(&[]);
    let line = Line::to(&place.house);
    let client =
        |number| Client { number, line: line.clone(), dice: Dice(seed ^ number << 32), made: 0, accounts: Vec::new() };
    let clients = (0..CLIENTS).map(client).collect();
    let clients: Vec<Client> = live_through(&mut place.house, &line, kills, seed, clients);
    for mut client in clients {
        for at in 0..client.accounts.len() {
            let (name, password) = (client.accounts[at].name.clone(), client.accounts[at].password.clone());
            let is_gone = client.accounts[at].is_gone;
            assert_eq!(client.can_sign_in(at, &password), !is_gone, "{name}");
            let again = json!({"username": name, "password": password}).to_string();
            let again = client.line.insist("POST /register", &[JSON], again.as_bytes());
            assert_eq!(again.code(), "user_exists", "{name} is a name that was given");
        }
    }
}
