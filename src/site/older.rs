//! A trip to the ledger, for what the history in memory no longer has. The one reader travels with a helper and comes home
//! with the answer; if it is away, another is opened for the trip.

use std::path::PathBuf;

use crate::http::fault::Fault;
use crate::http::status::Status;
use crate::server::context::Context;
use crate::server::reply::Reply;
use crate::site::state::{Chat, Site};
use crate::store::database;
use crate::store::messages::Reader;

/// A trip that has not begun.
pub struct Trip {
    reader: Option<Reader>,
    database: PathBuf,
}

/// What a trip has brought.
pub struct Brought<T> {
    reader: Option<Reader>,
    found: Result<T, database::Error>,
}

impl Trip {
    /// Takes the reader along, if it is at home.
    pub fn begin(chat: &mut Chat) -> Trip {
        Trip { reader: chat.reader.take(), database: chat.database.clone() }
    }

    /// Looks; on a helper, for it blocks.
    pub fn look<T>(self, look: impl FnOnce(&Reader) -> Result<T, database::Error>) -> Brought<T> {
        match self.reader.map_or_else(|| Reader::open(&self.database), Ok) {
            Ok(reader) => {
                let found = look(&reader);
                Brought { reader: Some(reader), found }
            }
            Err(error) => Brought { reader: None, found: Err(error) },
        }
    }
}

impl<T> Brought<T> {
    /// The reader is at home again, and this is what was found.
    pub fn come_home(self, site: &mut Site) -> Result<T, Fault> {
        if let Some(chat) = &mut site.chat {
            chat.reader = self.reader;
        }
        self.found.map_err(|error| {
            log::error!("cannot read older messages: {error}");
            Fault::new(Status::INTERNAL_SERVER_ERROR, "ledger_error", "older messages cannot be read")
        })
    }
}

/// Has a helper look into the ledger; what it found is the next step's.
pub fn look_up<T: Send + 'static>(
    chat: &mut Chat,
    look: impl FnOnce(&Reader) -> Result<T, database::Error> + Send + 'static,
    then: impl FnOnce(&mut Site, T, &mut Context<'_>) -> Reply<Site> + Send + 'static,
) -> Reply<Site> {
    let trip = Trip::begin(chat);
    Reply::offload(move || {
        let brought = trip.look(look);
        move |site: &mut Site, cx: &mut Context<'_>| match brought.come_home(site) {
            Ok(found) => then(site, found, cx),
            Err(fault) => fault.into(),
        }
    })
}
