//! A trip to the ledger, for what the history in memory no longer has. The one reader travels with a helper and comes home
//! with the answer; if it is away, another is opened for the trip.

use crate::http::fault::Fault;
use crate::http::status::Status;
use crate::server::context::Context;
use crate::server::reply::Reply;
use crate::site::state::{Chat, Site};
use crate::store::database;
use crate::store::messages::Reader;

/// Has a helper look into the ledger; what it found is the next step's.
pub fn look_up<T: Send + 'static>(
    chat: &mut Chat,
    look: impl FnOnce(&Reader) -> Result<T, database::Error> + Send + 'static,
    then: impl FnOnce(&mut Site, T, &mut Context<'_>) -> Reply<Site> + Send + 'static,
) -> Reply<Site> {
    let (at_home, database) = (chat.reader.take(), chat.database.clone());
    Reply::offload(move || {
        let reader = at_home.map_or_else(|| Reader::open(&database), Ok);
        let (reader, found) = match reader {
            Ok(reader) => {
                let found = look(&reader);
                (Some(reader), found)
            }
            Err(error) => (None, Err(error)),
        };
        move |site: &mut Site, cx: &mut Context<'_>| {
            if let Some(chat) = &mut site.chat {
                chat.reader = reader;
            }
            match found {
                Ok(found) => then(site, found, cx),
                Err(error) => {
                    log::error!("cannot read older messages: {error}");
                    Fault::new(Status::INTERNAL_SERVER_ERROR, "ledger_error", "older messages cannot be read").into()
                }
            }
        }
    })
}
