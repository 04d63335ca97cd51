//! Names that clients give to what they send: the places where something may come to stand.

use crate::http::fault::Fault;
use crate::path::RelPath;
use crate::site::files::bad_name;
use crate::store::tree::check_place;

/// A folder as a client names it: a slash may stand at either end.
pub fn read_folder(text: &str) -> Result<RelPath<'static>, Fault> {
    let inner = text.strip_prefix('/').unwrap_or(text);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    read_place(inner)
}

/// A path of the shared area at which something may come to stand.
pub fn read_place(text: &str) -> Result<RelPath<'static>, Fault> {
    let path = RelPath::from_plain(text)
        .map_err(|_| bad_name("a path has no empty or hidden segment, no control character and no backslash"))?;
    check_place(&path, true).map_err(bad_name)?;
    Ok(path.into_owned())
}
