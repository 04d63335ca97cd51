//! [`Users`]: accounts, their sessions, tokens and codes, and invites, as the loop asks for them. A pure model: it changes only by
//! a [`Change`] that the ledger has kept, or is replaced by what the ledger holds.
//!
//! Invariants: of a secret only its digest is here. A name stays taken when its account is deleted. What has expired is as good
//! as gone before it is swept. Whatever ends a credential tells it ([`Credential`]), so that open streams can end with it.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use crate::clock::Wall;
use crate::store::change::{Change, Which};
use crate::store::scopes::Scopes;
use crate::store::secret::{Digest, Hash};

/// How long a session lasts without being used, and in all.
pub const SESSION_IDLE_MS: u64 = 24 * HOUR_MS;
/// See [`SESSION_IDLE_MS`].
pub const SESSION_MS: u64 = 30 * 24 * HOUR_MS;
/// How long an address that signed in to an account is known to it.
pub const KNOWN_MS: u64 = 30 * 24 * HOUR_MS;
/// How long a one-time code can be used.
pub const CODE_MS: u64 = 15 * 60 * 1000;
/// How long an invite can be used.
pub const INVITE_MS: u64 = 7 * 24 * HOUR_MS;
/// A use of a session is written down again after this long: its idle end need not be exact across a restart.
pub const SEEN_EVERY_MS: u64 = HOUR_MS / 2;
const HOUR_MS: u64 = 60 * 60 * 1000;

/// Accounts, deleted ones too. All of them are in memory, some hundred bytes each.
pub const ACCOUNTS_MAX: usize = 100_000;
/// Sessions of one account: the one that was used least recently makes room.
pub const SESSIONS_MAX: usize = 64;
/// Tokens of one account.
pub const TOKENS_MAX: usize = 64;
/// Invites that can still be used.
pub const INVITES_MAX: usize = 1000;
/// Addresses an account knows: the one that was not seen for longest makes room.
pub const KNOWN_MAX: usize = 16;

/// A person.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// Its number, never given twice.
    pub id: i64,
    /// Its name, never given twice either.
    pub name: Arc<str>,
    /// The hash of its password.
    pub password: Hash,
    /// Of its recovery code.
    pub recovery: Option<Digest>,
    /// Of its one-time code, and until when that can be used.
    pub code: Option<(Digest, Wall)>,
    /// Whether it may do what the operator may.
    pub is_admin: bool,
    /// Whether it is kept out.
    pub is_disabled: bool,
    /// How many bytes its files may have; `None` as the configuration says.
    pub quota: Option<u64>,
    /// When it was made.
    pub made: Wall,
    /// Whether it was deleted, and only its name is left.
    pub is_gone: bool,
    /// Addresses that signed in to it, and when they last did.
    pub known: Vec<(IpAddr, Wall)>,
}

impl Account {
    /// Whether its owner can be let in.
    pub fn is_open(&self) -> bool {
        !self.is_disabled && !self.is_gone
    }
}

/// Somebody signed in.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    /// Its number.
    pub id: i64,
    /// Whose it is.
    pub account: i64,
    /// Of the secret that its holder shows.
    pub secret: Digest,
    /// When it began.
    pub made: Wall,
    /// When it was last used, as far as that was written down.
    pub seen: Wall,
    /// When it was last used.
    pub used: Wall,
    /// Whether its secret was handed out as a token, not as a cookie.
    pub is_token: bool,
    /// The address it began at.
    pub address: String,
    /// What its client called itself.
    pub agent: String,
}

impl Session {
    /// When it ends if nobody uses it any more.
    pub fn until(&self) -> Wall {
        self.used.plus(SESSION_IDLE_MS).min(self.made.plus(SESSION_MS))
    }
}

/// Something that acts for its owner, within limits.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// Its number.
    pub id: i64,
    /// Whose it is.
    pub account: i64,
    /// Of the token itself.
    pub secret: Digest,
    /// What its owner calls it.
    pub label: String,
    /// What it may do.
    pub scopes: Scopes,
    /// When it was made.
    pub made: Wall,
    /// When it ends, if it does.
    pub until: Option<Wall>,
}

/// What somebody can come in with, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Credential {
    /// A session.
    Session(i64),
    /// An API token.
    Token(i64),
}

/// All that is known of people.
#[derive(Default, Clone, PartialEq, Eq)]
pub struct Users {
    accounts: BTreeMap<i64, Account>,
    names: HashMap<Arc<str>, i64>,
    sessions: BTreeMap<i64, Session>,
    tokens: BTreeMap<i64, Token>,
    secrets: HashMap<Digest, Credential>,
    invites: HashMap<Digest, Wall>,
}

impl Users {
    /// What the ledger holds.
    pub fn new(
        accounts: Vec<Account>,
        sessions: Vec<Session>,
        tokens: Vec<Token>,
        invites: Vec<(Digest, Wall)>,
    ) -> Users {
        let mut users = Users::default();
        for account in accounts {
            users.add_account(account);
        }
        for session in sessions {
            users.add_session(session);
        }
        for token in tokens {
            users.add_token(token);
        }
        users.invites.extend(invites);
        users
    }

    /// Takes over what the ledger holds now: another process has changed it. Tells what ended by that.
    pub fn replace(&mut self, mut held: Users) -> Vec<Credential> {
        for (id, session) in &mut held.sessions {
            if let Some(known) = self.sessions.get(id) {
                session.used = session.used.max(known.used);
            }
        }
        let ended = self.secrets.values().copied().filter(|&credential| !held.is_live(credential)).collect();
        *self = held;
        ended
    }

    /// Whether a credential is there and its owner can be let in.
    fn is_live(&self, credential: Credential) -> bool {
        let owner = match credential {
            Credential::Session(id) => self.sessions.get(&id).map(|session| session.account),
            Credential::Token(id) => self.tokens.get(&id).map(|token| token.account),
        };
        owner.and_then(|id| self.accounts.get(&id)).is_some_and(Account::is_open)
    }

    /// The account of an id; deleted ones are none.
    pub fn account(&self, id: i64) -> Option<&Account> {
        self.accounts.get(&id).filter(|account| !account.is_gone)
    }

    /// The account of a name, as it is written: small letters. Deleted ones are none.
    pub fn named(&self, name: &str) -> Option<&Account> {
        self.account(*self.names.get(name)?)
    }

    /// Whether a name is an account's, or was.
    pub fn is_taken(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// All accounts, in the order in which they were made, without those that were deleted.
    pub fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.accounts.values().filter(|account| !account.is_gone)
    }

    /// The numbers of those that were deleted.
    pub fn gone(&self) -> impl Iterator<Item = i64> {
        self.accounts.values().filter(|account| account.is_gone).map(|account| account.id)
    }

    /// Whether there is room for another account.
    pub fn has_room(&self) -> bool {
        self.accounts.len() < ACCOUNTS_MAX
    }

    /// Whose secret this is the digest of, and by what they came in.
    pub fn find(&self, secret: &Digest, now: Wall) -> Option<(&Account, Credential)> {
        let credential = *self.secrets.get(secret)?;
        let account = match credential {
            Credential::Session(id) => self.sessions.get(&id).filter(|session| now < session.until())?.account,
            Credential::Token(id) => {
                self.tokens.get(&id).filter(|token| token.until.is_none_or(|until| now < until))?.account
            }
        };
        let account = self.accounts.get(&account).filter(|account| account.is_open())?;
        Some((account, credential))
    }

    /// Whether somebody may still come in with it: what a long stream is asked about.
    pub fn holds(&self, credential: Credential, now: Wall) -> bool {
        self.is_live(credential)
            && match credential {
                Credential::Session(id) => self.sessions.get(&id).is_some_and(|session| now < session.until()),
                Credential::Token(id) => {
                    self.tokens.get(&id).is_some_and(|token| token.until.is_none_or(|until| now < until))
                }
            }
    }

    /// A session was used.
    pub fn touch(&mut self, id: i64, now: Wall) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.used = session.used.max(now);
        }
    }

    /// Sessions whose use is to be written down.
    pub fn unseen(&self) -> Vec<(i64, Wall)> {
        let is_due = |session: &&Session| session.used >= session.seen.plus(SEEN_EVERY_MS);
        self.sessions.values().filter(is_due).map(|session| (session.id, session.used)).collect()
    }

    /// The session of an id.
    pub fn session(&self, id: i64) -> Option<&Session> {
        self.sessions.get(&id)
    }

    /// An account's sessions, the oldest first.
    pub fn sessions_of(&self, account: i64, now: Wall) -> impl Iterator<Item = &Session> {
        self.sessions.values().filter(move |session| session.account == account && now < session.until())
    }

    /// Sessions that make room for one more.
    pub fn crowded_out(&self, account: i64) -> Vec<i64> {
        let mut sessions: Vec<_> = self.sessions.values().filter(|session| session.account == account).collect();
        sessions.sort_by_key(|session| (session.used, session.id));
        let over = (sessions.len() + 1).saturating_sub(SESSIONS_MAX);
        sessions[..over].iter().map(|session| session.id).collect()
    }

    /// The token of an id.
    pub fn token(&self, id: i64) -> Option<&Token> {
        self.tokens.get(&id)
    }

    /// An account's tokens, the oldest first.
    pub fn tokens_of(&self, account: i64) -> impl Iterator<Item = &Token> {
        self.tokens.values().filter(move |token| token.account == account)
    }

    /// Whether an invite can be used.
    pub fn is_invite(&self, secret: &Digest, now: Wall) -> bool {
        self.invites.get(secret).is_some_and(|&until| now < until)
    }

    /// Invites that have not been used.
    pub fn invites(&self) -> usize {
        self.invites.len()
    }

    /// What removes all that has expired; `None` if nothing has.
    pub fn sweep(&self, now: Wall) -> Option<Change> {
        let sessions: Vec<i64> =
            self.sessions.values().filter(|session| session.until() <= now).map(|session| session.id).collect();
        let is_over = |token: &&Token| token.until.is_some_and(|until| until <= now);
        let tokens: Vec<i64> = self.tokens.values().filter(is_over).map(|token| token.id).collect();
        let is_due = !sessions.is_empty() || !tokens.is_empty() || self.invites.values().any(|&until| until <= now);
        is_due.then_some(Change::Sweep { sessions, tokens, now })
    }

    /// Mirrors a change that the ledger has kept under `id`. Tells what ended by it.
    pub fn apply(&mut self, change: &Change, id: i64) -> Vec<Credential> {
        let mut ended = Vec::new();
        match change {
            Change::Register { name, password, recovery, is_admin, made, invite } => {
                if let Some(invite) = invite {
                    self.invites.remove(invite);
                }
                self.add_account(Account {
                    id,
                    name: name.clone(),
                    password: password.clone(),
                    recovery: *recovery,
                    code: None,
                    is_admin: *is_admin,
                    is_disabled: false,
                    quota: None,
                    made: *made,
                    is_gone: false,
                    known: Vec::new(),
                });
            }
            Change::SignIn {
                account,
                rehashed,
                secret,
                made,
                is_token,
                address,
                network,
                agent,
                replaces,
                ends,
                checked: _,
            } => {
                for session in ends.iter().chain(replaces) {
                    self.end_session(*session, &mut ended);
                }
                if let Some(person) = self.accounts.get_mut(account) {
                    if let Some(hash) = rehashed {
                        person.password = hash.clone();
                    }
                    know(&mut person.known, *network, *made);
                }
                self.add_session(Session {
                    id,
                    account: *account,
                    secret: *secret,
                    made: *made,
                    seen: *made,
                    used: *made,
                    is_token: *is_token,
                    address: address.clone(),
                    agent: agent.clone(),
                });
            }
            Change::SignOut { account, which } => self.end_sessions(*account, *which, &mut ended),
            Change::Seen { sessions } => {
                for (id, seen) in sessions {
                    if let Some(session) = self.sessions.get_mut(id) {
                        session.seen = session.seen.max(*seen);
                    }
                }
            }
            Change::SetPassword { account, password, keeps, checked: _ } => {
                if let Some(person) = self.accounts.get_mut(account) {
                    person.password = password.clone();
                    person.code = None;
                }
                self.end_sessions(*account, keeps.map_or(Which::All, Which::Others), &mut ended);
            }
            Change::Reset { account, password, recovery, proof: _ } => {
                if let Some(person) = self.accounts.get_mut(account) {
                    person.password = password.clone();
                    person.recovery = Some(*recovery);
                    person.code = None;
                }
                self.end_sessions(*account, Which::All, &mut ended);
                self.end_tokens(*account, &mut ended);
            }
            Change::GiveCode { account, code, until } => {
                if let Some(person) = self.accounts.get_mut(account) {
                    person.code = Some((*code, *until));
                }
            }
            Change::AddToken { account, secret, label, scopes, made, until } => self.add_token(Token {
                id,
                account: *account,
                secret: *secret,
                label: label.clone(),
                scopes: *scopes,
                made: *made,
                until: *until,
            }),
            Change::RemoveToken { id, account: _ } => self.end_token(*id, &mut ended),
            Change::Invite { secret, until } => drop(self.invites.insert(*secret, *until)),
            Change::Set { account, is_disabled, is_admin, quota } => {
                if let Some(person) = self.accounts.get_mut(account) {
                    person.is_disabled = is_disabled.unwrap_or(person.is_disabled);
                    person.is_admin = is_admin.unwrap_or(person.is_admin);
                    person.quota = quota.unwrap_or(person.quota);
                }
                if *is_disabled == Some(true) {
                    self.end_sessions(*account, Which::All, &mut ended);
                    // The tokens wait for better days, but what they had opened ends.
                    ended.extend(self.tokens_of(*account).map(|token| Credential::Token(token.id)));
                }
            }
            Change::Delete { account, checked: _ } => {
                self.end_sessions(*account, Which::All, &mut ended);
                self.end_tokens(*account, &mut ended);
                if let Some(person) = self.accounts.get_mut(account) {
                    person.is_gone = true;
                    person.is_admin = false;
                    person.password = Hash::default();
                    person.recovery = None;
                    person.code = None;
                    person.known.clear();
                }
            }
            Change::Sweep { sessions, tokens, now } => {
                for id in sessions {
                    self.end_session(*id, &mut ended);
                }
                for id in tokens {
                    self.end_token(*id, &mut ended);
                }
                self.invites.retain(|_, until| *now < *until);
            }
        }
        ended
    }

    fn add_account(&mut self, account: Account) {
        self.names.insert(account.name.clone(), account.id);
        self.accounts.insert(account.id, account);
    }

    fn add_session(&mut self, session: Session) {
        self.secrets.insert(session.secret, Credential::Session(session.id));
        self.sessions.insert(session.id, session);
    }

    fn add_token(&mut self, token: Token) {
        self.secrets.insert(token.secret, Credential::Token(token.id));
        self.tokens.insert(token.id, token);
    }

    fn end_session(&mut self, id: i64, ended: &mut Vec<Credential>) {
        if let Some(session) = self.sessions.remove(&id) {
            self.secrets.remove(&session.secret);
            ended.push(Credential::Session(id));
        }
    }

    fn end_sessions(&mut self, account: i64, which: Which, ended: &mut Vec<Credential>) {
        let is_meant = |id: i64| match which {
            Which::One(one) => id == one,
            Which::Others(but) => id != but,
            Which::All => true,
        };
        let own = self.sessions.values().filter(|session| session.account == account && is_meant(session.id));
        for id in own.map(|session| session.id).collect::<Vec<_>>() {
            self.end_session(id, ended);
        }
    }

    fn end_token(&mut self, id: i64, ended: &mut Vec<Credential>) {
        if let Some(token) = self.tokens.remove(&id) {
            self.secrets.remove(&token.secret);
            ended.push(Credential::Token(id));
        }
    }

    fn end_tokens(&mut self, account: i64, ended: &mut Vec<Credential>) {
        for id in self.tokens_of(account).map(|token| token.id).collect::<Vec<_>>() {
            self.end_token(id, ended);
        }
    }
}

/// Notes an address; the one that was not seen for longest makes room.
pub fn know(known: &mut Vec<(IpAddr, Wall)>, network: IpAddr, now: Wall) {
    known.retain(|(other, _)| *other != network);
    if known.len() >= KNOWN_MAX
        && let Some(oldest) = (0..known.len()).min_by_key(|&at| (known[at].1, known[at].0))
    {
        known.remove(oldest);
    }
    known.push((network, now));
}
