//! The ledger's hand: it waits for the ledger, keeps what it is given, and looks around now and then. It is the same for a server
//! by itself and for a program that has our parts mounted, and maybe keeps things of its own.

use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use crate::clock::Wall;
use crate::config::Config;
use crate::config::choices::ChatSync;
use crate::config::limits::Limits;
use crate::embed::Own;
use crate::os::keeping::Keeper;
use crate::os::process;
use crate::reactor::slot::Brought;
use crate::reactor::system::Verdict;
use crate::server::connection::Done;
use crate::server::context::Context;
#[cfg(feature = "accounts")]
use crate::server::lend::lent_step;
use crate::server::lend::{Holds, Lend};
#[cfg(feature = "accounts")]
use crate::server::reply::Step;
use crate::server::reply::{Reply, State, Task};
use crate::site::books;
#[cfg(feature = "chat")]
use crate::site::opening::{self, Found, HISTORY_MESSAGES};
use crate::site::state::{LedgerState, Site};
#[cfg(feature = "accounts")]
use crate::site::upkeep;
use crate::store::database;
use crate::store::entry::Entry;
use crate::store::ledger::{self, Ledger};
use crate::store::owners::Owners;
#[cfg(feature = "accounts")]
use crate::store::users::Users;

/// The ledger forgets what is beyond its measure after so many new messages at most, and after a tenth of the measure.
const TRIM_EVERY: usize = 1_000;

/// And what grows too old while nothing is said, after so many minutes.
#[cfg(feature = "accounts")]
const TRIM_ROUNDS: u32 = 60;

/// So many messages are put into the index in one go, while new ones may be waiting.
const INDEXED_AT_ONCE: usize = 4_096;

/// How much of the chat is kept.
#[derive(Clone, Copy)]
struct Measure {
    messages: usize,
    days: u32,
}

impl Measure {
    fn of(limits: &Limits) -> Measure {
        let messages = usize::try_from(limits.history_messages).unwrap_or(usize::MAX);
        Measure { messages, days: limits.history_days }
    }

    /// Has the ledger forget what is beyond it.
    fn apply(&self, ledger: &mut Ledger) {
        if self.messages == usize::MAX && self.days == u32::MAX {
            return;
        }
        let age_ms = u64::from(self.days).saturating_mul(24 * 60 * 60 * 1000);
        let now = process::wall();
        let since = Wall::from_millis(now.as_millis().saturating_sub(age_ms));
        if let Err(error) = ledger.trim(self.messages, since, now) {
            log::warn!("old messages cannot be removed: {error}");
        }
    }
}

/// A hand, and who gives it its ledger.
pub fn hand(config: &Config) -> (Hand, Opener) {
    let (give, opened) = mpsc::channel();
    let measure = Measure::of(&config.limits);
    let sync = match config.limits.chat_sync {
        ChatSync::Full => ledger::Sync::Full,
        ChatSync::Off => ledger::Sync::Off,
    };
    (Hand::new(opened, measure, sync), Opener { give, measure, sync })
}

/// Opens the ledger.
pub struct Opener {
    give: Sender<Ledger>,
    measure: Measure,
    sync: ledger::Sync,
}

/// What the loop remembers of the ledger.
struct Held {
    #[cfg(feature = "chat")]
    chat: Found,
    #[cfg(feature = "accounts")]
    users: Users,
    owners: Owners,
}

impl Opener {
    /// Opens it, off the loop: with a slow disk it takes longer than all the rest of a start. `then` follows.
    pub fn task(self, path: PathBuf, then: fn(&mut Site, &mut Context<'_>) -> Reply<Site>) -> Task<Site> {
        Box::new(move || {
            let opened = self.open(&path);
            Box::new(move |site, cx| {
                let state = match opened {
                    Ok(held) => {
                        #[cfg(feature = "chat")]
                        opening::opened(site, held.chat, cx);
                        #[cfg(feature = "accounts")]
                        upkeep::replaced(site, held.users, cx);
                        if let Some(files) = &mut site.files {
                            files.owners = held.owners;
                        }
                        LedgerState::Open
                    }
                    Err(error) => {
                        log::error!("the ledger cannot be opened: {error}");
                        LedgerState::Shut
                    }
                };
                books::opened(site, state, cx);
                then(site, cx)
            })
        })
    }

    fn open(self, path: &std::path::Path) -> Result<Held, String> {
        let opened = self.read(path).map_err(|error: database::Error| error.to_string());
        let (ledger, held) = opened?;
        self.give.send(ledger).map_err(|_| "its keeper is gone".to_owned())?;
        Ok(held)
    }

    fn read(&self, path: &std::path::Path) -> Result<(Ledger, Held), database::Error> {
        let mut ledger = Ledger::open(path, self.sync)?;
        self.measure.apply(&mut ledger);
        #[cfg(feature = "chat")]
        let rooms = ledger.rooms()?.into_iter().map(|(room, _)| room).collect();
        let held = Held {
            #[cfg(feature = "chat")]
            chat: Found { recent: ledger.recent(HISTORY_MESSAGES)?, last: ledger.last_id()?, rooms },
            #[cfg(feature = "accounts")]
            users: ledger.users()?,
            owners: ledger.owners()?,
        };
        Ok((ledger, held))
    }
}

/// Waits for the ledger, keeps a batch, tells each entry's verdict, and forgets what is beyond the measure now and then. When
/// nothing waits it lets the index follow.
pub struct Hand {
    opened: Receiver<Ledger>,
    measure: Measure,
    sync: ledger::Sync,
    ledger: Option<Ledger>,
    since_trim: usize,
    has_told: bool,
    #[cfg(feature = "accounts")]
    version: Option<i64>,
    /// Minutes since it was last looked what is too old.
    #[cfg(feature = "accounts")]
    rounds: u32,
    /// Whether another process works on the ledger by now.
    has_passed_on: bool,
}

impl Hand {
    fn new(opened: Receiver<Ledger>, measure: Measure, sync: ledger::Sync) -> Hand {
        Hand {
            opened,
            measure,
            sync,
            ledger: None,
            since_trim: 0,
            has_told: false,
            #[cfg(feature = "accounts")]
            version: None,
            #[cfg(feature = "accounts")]
            rounds: 0,
            has_passed_on: false,
        }
    }

    fn pass_on(&mut self) {
        self.has_passed_on = true;
        if self.ledger.is_none() {
            self.ledger = self.opened.try_recv().ok();
        }
        if let Some(Err(error)) = self.ledger.as_mut().map(Ledger::pass_on) {
            log::warn!("the next server will check the ledger: {error}");
        }
    }

    fn keep(&mut self, batch: Vec<Entry>) -> Vec<Verdict> {
        if self.ledger.is_none() {
            self.ledger = self.opened.recv().ok();
        }
        let Some(ledger) = &mut self.ledger else { return vec![Verdict::Lost; batch.len()] };
        if self.has_passed_on {
            return keep_the_rest(ledger, batch);
        }
        self.since_trim += batch.len();
        let verdicts = ledger.keep(batch);
        if let Some(error) = ledger.shut_by()
            && !std::mem::replace(&mut self.has_told, true)
        {
            log::error!("the ledger takes nothing more: {error}");
        }
        verdicts.into_iter().map(told).collect()
    }

    fn let_go(&self) {
        if let Some(Err(error)) = self.ledger.as_ref().map(Ledger::let_go) {
            log::warn!("the ledger keeps its memory: {error}");
        }
    }

    fn rest(&mut self) -> bool {
        let Some(ledger) = self.ledger.as_mut().filter(|_| !self.has_passed_on) else { return false };
        if self.since_trim >= (self.measure.messages / 10).clamp(1, TRIM_EVERY) {
            self.since_trim = 0;
            self.measure.apply(ledger);
        }
        match ledger.index(INDEXED_AT_ONCE) {
            Ok(has_more) => has_more,
            Err(error) => {
                log::warn!("the index of words cannot follow: {error}");
                false
            }
        }
    }
}

/// Accounts may be changed by others, and things of theirs come to an end.
#[cfg(feature = "accounts")]
impl Hand {
    /// Whether another process has written since the last look.
    fn has_changed(&mut self) -> bool {
        let Some(Ok(version)) = self.ledger.as_ref().map(Ledger::version) else { return false };
        // Before the first look nothing can be told from the version alone.
        self.version.replace(version) != Some(version)
    }

    fn look(&mut self, is_round: bool) -> Option<Step<Site>> {
        if self.ledger.is_none() {
            self.ledger = self.opened.try_recv().ok();
        }
        if self.has_changed() {
            let ledger = self.ledger.as_ref()?;
            return match ledger.users().and_then(|users| Ok((users, ledger.owners()?))) {
                Ok((users, owners)) => Some(Box::new(move |site, cx| {
                    // The server before this one may still be keeping whose its last files are.
                    if let Some(files) = &mut site.files {
                        files.owners = owners;
                    }
                    upkeep::replaced(site, users, cx)
                })),
                Err(error) => {
                    log::error!("what others have changed cannot be read: {error}");
                    // At the next look it is tried again.
                    self.version = None;
                    None
                }
            };
        }
        // What has come together with a change is done a minute later.
        if !is_round {
            return None;
        }
        let trimmed = self.trim_each_hour();
        Some(Box::new(move |site, cx| {
            #[cfg(not(feature = "chat"))]
            let _ = trimmed;
            #[cfg(feature = "chat")]
            if let (Some(until), Some(chat)) = (trimmed, &mut site.chat) {
                chat.history.forget_until(until);
            }
            upkeep::each_minute(site, cx)
        }))
    }

    /// Once in so many rounds it forgets what has grown too old; says up to which id all is gone.
    fn trim_each_hour(&mut self) -> Option<i64> {
        self.rounds += 1;
        let ledger = self.ledger.as_mut().filter(|_| !self.has_passed_on)?;
        if self.rounds < TRIM_ROUNDS || self.measure.days == u32::MAX {
            return None;
        }
        self.rounds = 0;
        self.measure.apply(ledger);
        ledger.trimmed_until().ok()
    }
}

/// Another server gives the ids of messages now, and would not hear of one from here: it is lost. What else there is, is kept: of
/// that the other hears.
fn keep_the_rest(ledger: &mut Ledger, batch: Vec<Entry>) -> Vec<Verdict> {
    let is_said: Vec<bool> = batch.iter().map(|entry| matches!(entry, Entry::Chat(_))).collect();
    let rest = batch.into_iter().filter(|entry| !matches!(entry, Entry::Chat(_)));
    let mut verdicts = ledger.keep(rest.collect()).into_iter().map(told);
    is_said.into_iter().map(|is_said| if is_said { None } else { verdicts.next() }.unwrap_or(Verdict::Lost)).collect()
}

fn told(verdict: database::Verdict) -> Verdict {
    match verdict {
        database::Verdict::Kept(id) => Verdict::Kept(id),
        database::Verdict::Refused => Verdict::Refused,
        database::Verdict::Busy => Verdict::Busy,
        database::Verdict::Lost => Verdict::Lost,
    }
}

/// How long a batch waits for those who were kept together with the last.
const SHARED_WITHIN: Duration = Duration::from_micros(500);

/// The hand among a program's own: each entry goes to whom it is for.
pub struct Keeping<S: State> {
    hand: Hand,
    /// What others may write beside us. Where there is something, things come to an end by themselves too.
    watched: Option<PathBuf>,
    own: Option<Own<S>>,
}

impl<S: State> Keeping<S> {
    /// Our hand, and maybe the program's own.
    pub fn new(hand: Hand, watched: Option<PathBuf>, own: Option<Own<S>>) -> Keeping<S> {
        Keeping { hand, watched, own }
    }
}

impl<S: Lend<Site>> Keeper<S::Entry, Brought<Done<S>>> for Keeping<S> {
    fn keep(&mut self, batch: Vec<S::Entry>) -> Vec<Verdict> {
        let (mut ours, mut own, mut is_ours) = (Vec::with_capacity(batch.len()), Vec::new(), Vec::new());
        for entry in batch {
            match entry.give_back() {
                Ok(entry) => ours.push(entry),
                Err(entry) => {
                    is_ours.resize(ours.len() + own.len(), true);
                    is_ours.push(false);
                    own.push(entry);
                }
            }
        }
        let ours = if ours.is_empty() { Vec::new() } else { self.hand.keep(ours) };
        if own.is_empty() {
            return ours;
        }
        is_ours.resize(ours.len() + own.len(), true);
        let lost = vec![Verdict::Lost; own.len()];
        let mut own = self.own.as_mut().map_or(lost, |keeper| keeper.keep(own)).into_iter();
        let mut ours = ours.into_iter();
        let verdicts = is_ours.into_iter().map(|is_ours| if is_ours { ours.next() } else { own.next() });
        verdicts.map(|verdict| verdict.unwrap_or(Verdict::Lost)).collect()
    }

    fn rest(&mut self) -> bool {
        let own = self.own.as_mut().is_some_and(|own| own.rest());
        self.hand.rest() || own
    }

    fn watched(&self) -> Option<PathBuf> {
        self.watched.clone()
    }

    fn patience(&self) -> Duration {
        // A sync takes a millisecond or more, whatever it keeps. Without one there is nothing to share.
        match self.hand.sync {
            ledger::Sync::Full => SHARED_WITHIN,
            ledger::Sync::Off => Duration::ZERO,
        }
    }

    fn pass_on(&mut self) {
        self.hand.pass_on();
    }

    fn let_go(&mut self) {
        self.hand.let_go();
    }

    #[cfg(feature = "accounts")]
    fn look(&mut self, is_round: bool) -> Option<Brought<Done<S>>> {
        self.hand.look(is_round).map(|step| Brought::News(Done::Step(lent_step(step))))
    }
}

#[cfg(all(test, feature = "accounts"))]
mod tests {
    use super::*;
    use crate::store::entry::Saying;

    #[test]
    fn what_grows_too_old_while_nothing_is_said_is_gone_within_an_hour() {
        let mut ledger = Ledger::open("file:/hand-grows-old?vfs=memdb".as_ref(), ledger::Sync::Full).unwrap();
        let said = |ts| Saying::Said { room: "lobby".into(), ts, user: None, name: "ada".into(), text: "x".into() };
        ledger.keep(vec![Entry::Chat(said(Wall::from_seconds(1))), Entry::Chat(said(process::wall()))]);
        let (give, opened) = mpsc::channel();
        give.send(ledger).unwrap();
        let mut hand = Hand::new(opened, Measure { messages: usize::MAX, days: 1 }, ledger::Sync::Full);
        hand.look(false);
        let trims: Vec<Option<i64>> = (0..=TRIM_ROUNDS).map(|_| hand.trim_each_hour()).collect();
        assert_eq!(trims.iter().filter(|trim| trim.is_some()).collect::<Vec<_>>(), [&Some(1)]);
        assert_eq!(hand.ledger.unwrap().recent(9).unwrap().len(), 1);
    }
}
