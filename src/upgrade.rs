//! `hythe upgrade`: has the server of a data folder give way to a new one.

use std::time::Duration;

use crate::cli::exit::{Exit, Mistake};
use crate::cli::folders;
use crate::config::Config;
use crate::os::{process, succession};

/// Does it, and says which process serves now.
///
/// # Errors
/// Why none does but the old one, in a sentence.
pub fn upgrade(mut config: Config) -> Result<String, Mistake> {
    folders::resolve(&mut config)?;
    let shown = config.data.display().to_string();
    let system = |sentence: String| Mistake { exit: Exit::System, sentence };
    let is_free = process::hold_folder(&config.data, Duration::ZERO);
    match is_free.map_err(|error| Mistake::cannot_write(format!("cannot use the folder {shown}: {error}")))? {
        Some(_) => Err(system(format!("no hythe works in the data folder {shown}; name another by --data"))),
        None => {
            let process = succession::replace(&config.data).map_err(system)?;
            Ok(format!("the process {process} serves now\n"))
        }
    }
}
