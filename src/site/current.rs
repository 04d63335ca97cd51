//! What stands at a path now, and whether a request that would change it may, by its own conditions.

use std::io;

use crate::http::conditions::{Representation, allows_write};
use crate::http::fault::Fault;
use crate::path::RelPath;
use crate::site::files::etag;
use crate::site::kept::KeptHeaders;
use crate::site::state::disk_fault;
use crate::site::variant::precondition_failed;
use crate::store::disk::{Disk, FileFacts};

/// What stands there. Blocks.
pub fn look(disk: &dyn Disk, path: &RelPath<'_>) -> Result<Option<FileFacts>, Fault> {
    match disk.facts(path) {
        Ok(facts) => Ok(Some(facts)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(disk_fault(&error, "look at a shared file")),
    }
}

/// 412 unless the request's conditions hold of what stands there.
pub fn check_conditions(headers: &KeptHeaders, current: Option<&FileFacts>) -> Result<(), Fault> {
    let tag = current.map(etag).unwrap_or_default();
    let current = current.map(|facts| Representation {
        etag: &tag,
        modified: (facts.modified.as_seconds() > 0).then_some(facts.modified),
        length: facts.size,
    });
    let may = headers.lend(|headers| allows_write(headers, current.as_ref()));
    if may { Ok(()) } else { Err(precondition_failed()) }
}
