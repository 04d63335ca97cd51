//! Uploads that continue another day: tus 1.0.0 (<https://tus.io/protocols/resumable-upload>), with creation, creation with
//! upload, deferred length, termination, checksum and expiration.
//!
//! How much has come is what the disk holds, nothing else; so it is right after any end, ours or the client's. Whoever sends
//! the next piece takes an upload over from whoever is still at it. When the last byte has come the file appears like that of
//! any other upload; if its name was taken meanwhile it gets one like it, for finished bytes are never thrown away.
//!
//! Each request has a file: `creation`, `status`, `patch`, `termination`, and `methods` for what is asked about all of them. `head`
//! reads what tus asks of a request, `answer` has what tus hears, `upload` finds the upload that is meant, `piece` takes its bytes and
//! holds them against their `checksum`. `expiration` and `recovery` see to those that nobody asks for: their time is over, or another
//! run has left them.

pub mod answer;
pub mod checksum;
pub mod creation;
pub mod expiration;
pub mod head;
pub mod methods;
pub mod patch;
pub mod piece;
pub mod recovery;
pub mod status;
pub mod termination;
pub mod upload;
