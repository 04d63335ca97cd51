//! Certificates for tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{CertificateParams, KeyPair};

/// A certificate and its key, in files.
pub struct Pair {
    pub cert: PathBuf,
    pub key: PathBuf,
    pub pem: String,
}

/// A folder that goes when the test does.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("hythe-secure-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder can be made");
        Folder(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Makes a pair for a name, whose last day is in so many days.
pub fn make(folder: &Path, file: &str, name: &str, days: i64) -> Pair {
    let key = KeyPair::generate().expect("a key can be made");
    let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
    let now = time::OffsetDateTime::now_utc();
    params.not_before = now - time::Duration::days(30);
    params.not_after = now + time::Duration::days(days) + time::Duration::hours(1);
    let pem = params.self_signed(&key).expect("it signs itself").pem();
    let pair = Pair { cert: folder.join(format!("{file}.pem")), key: folder.join(format!("{file}.key")), pem };
    fs::write(&pair.cert, &pair.pem).expect("written");
    fs::write(&pair.key, key.serialize_pem()).expect("written");
    pair
}

/// The flags that give a server these pairs.
pub fn flags(pairs: &[&Pair]) -> Vec<String> {
    let of = |pair: &&Pair| {
        let text = |path: &Path| path.to_str().expect("text").to_owned();
        ["--tls-cert".to_owned(), text(&pair.cert), "--tls-key".to_owned(), text(&pair.key)]
    };
    pairs.iter().flat_map(of).chain(["--allow-host".to_owned(), "localhost".to_owned()]).collect()
}

/// Starts a server that must refuse, and gives what it says and its code.
pub fn refused(folder: &Path, flags: &[String]) -> (i32, String) {
    outcome(&mut refusing(folder, flags))
}

/// Such a server before it is started.
pub fn refusing(folder: &Path, flags: &[String]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hythe"));
    command.current_dir(folder).args(["serve", "--listen", "127.0.0.1:0"]).args(flags);
    command
}

/// What it says, and its code.
pub fn outcome(command: &mut Command) -> (i32, String) {
    let output = command.output().expect("it starts");
    (output.status.code().expect("it ends by itself"), String::from_utf8_lossy(&output.stderr).into_owned())
}
