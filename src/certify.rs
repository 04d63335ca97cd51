//! `hythe cert`: a certificate for a home network, in two files that fit each other.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::cli::cert::{Order, advice, usual_names};
use crate::cli::exit::Mistake;
use crate::os::{keys, process};

/// Makes the pair; what it returns is for stdout.
///
/// # Errors
/// What is in the way, in a sentence.
pub fn certify(order: &Order) -> Result<String, Mistake> {
    let names = match order.names.as_slice() {
        [] => usual_names(process::machine_name().as_deref()),
        given => given.to_vec(),
    };
    let (certificate, key) = (order.out.join("cert.pem"), order.out.join("key.pem"));
    if !order.force
        && let Some(there) = [&certificate, &key].into_iter().find(|file| file.exists())
    {
        let sentence = format!("{} is there already; --force replaces it and its fellow", there.display());
        return Err(Mistake::cannot_write(sentence));
    }
    let pair = keys::make_pair(&names, order.days).map_err(Mistake::usage)?;
    let refused = |path: &Path| {
        let shown = path.display().to_string();
        move |error: io::Error| Mistake::cannot_write(format!("cannot write {shown}: {error}"))
    };
    if !order.out.is_dir() {
        DirBuilder::new().recursive(true).mode(0o700).create(&order.out).map_err(refused(&order.out))?;
    }
    // The key first: whoever looks at both meanwhile finds an old certificate with a new key, which do not fit, and waits.
    put(&key, &pair.key, 0o600).map_err(refused(&key))?;
    put(&certificate, &pair.certificate, 0o644).map_err(refused(&certificate))?;
    Ok(advice(order, &names, &certificate, &key, &pair.fingerprint))
}

/// Puts a file in place in one step: a server may be reading it.
fn put(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let beside = path.with_extension("new");
    let _ = fs::remove_file(&beside);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all())?;
    fs::rename(&beside, path)
}
