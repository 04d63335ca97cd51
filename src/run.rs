//! The real world is plugged in here.

use std::io::Error;

use crate::cli::exit::RunError;
use crate::config::Config;

/// Serves until told to stop.
pub fn run(_config: Config) -> Result<(), RunError> {
    Err(RunError::Other { doing: "serve", error: Error::other("there is no loop yet") })
}
