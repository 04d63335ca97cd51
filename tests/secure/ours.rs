//! Our own client over encrypted connections: whom it trusts, and that all its ways go through.
#![cfg(feature = "client")]

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use crate::house::House;
use crate::keys::{Folder, Pair, flags, make};

struct Place {
    house: House,
    pair: Pair,
    folder: Folder,
}

impl Place {
    fn open(name: &str) -> Place {
        let folder = Folder::new(name);
        let pair = make(&folder.0, "cert", "localhost", 90);
        let flags = flags(&[&pair]);
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let flags = [&flags[..], &["--signup", "open", "--password-profile", "low", "--chat-write", "anyone"]].concat();
        Place { house: House::open(&flags), pair, folder }
    }

    fn url(&self) -> String {
        format!("https://localhost:{}", self.house.port())
    }

    fn ca(&self) -> String {
        self.pair.cert.display().to_string()
    }

    /// The fingerprint of the certificate.
    fn pin(&self) -> String {
        let body: String = self.pair.pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, body).expect("PEM is base64");
        Sha256::digest(der).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn home(&self) -> PathBuf {
        self.folder.0.join("home")
    }

    /// What a command says, and its number.
    fn run(&self, words: &[&str], input: &str) -> (i32, String, String) {
        fs::create_dir_all(self.home()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_hythe"));
        command.args(words).env_clear().env("HYTHE_URL", self.url()).env("XDG_STATE_HOME", self.home());
        command.current_dir(self.home()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    #[track_caller]
    fn well(&self, line: &str, input: &str) -> String {
        let ca = self.ca();
        let words: Vec<&str> = line.split(' ').chain(["--ca", &ca]).collect();
        let (code, out, err) = self.run(&words, input);
        assert_eq!((code, err.as_str()), (0, ""), "{line}: {out}");
        out
    }
}

#[test]
fn our_client_trusts_an_authority_it_is_given_or_one_certificate_and_nobody_else() {
    let place = Place::open("trust");
    let (pin, ca) = (place.pin(), place.ca());
    for words in [&["status", "--ca", &*ca][..], &["status", "--pin", &*pin], &["--pin", &*pin.to_uppercase(), "ls"]] {
        let (code, _, err) = place.run(words, "");
        assert_eq!((code, err.as_str()), (0, ""), "{words:?}");
    }
    let other = make(&place.folder.0, "other", "localhost", 90);
    let other = other.cert.display().to_string();
    let wrong = "0".repeat(64);
    for (words, code, says) in [
        (&["ls", "--ca", &*other][..], 3, "is not trusted"),
        (&["ls", "--pin", &*wrong], 3, "another one than --pin says"),
        (&["ls", "--pin", "abc"], 2, "64 hexadecimal digits"),
        (&["ls", "--ca", "nowhere.pem"], 2, "--ca nowhere.pem"),
    ] {
        let (ended, out, err) = place.run(words, "");
        assert_eq!((ended, out.as_str()), (code, ""), "{words:?}: {err}");
        assert!(err.contains(says) && err.matches('\n').count() == 1, "{words:?}: {err}");
    }
    let (_, _, err) = place.run(&["ls", "--ca", &other], "");
    assert!(err.contains(&pin), "it tells which certificate it saw: {err}");
    // By an address that its certificate does not name it is not trusted, but for its fingerprint.
    let here = format!("https://127.0.0.1:{}", place.house.port());
    assert_eq!(place.run(&["--url", &here, "ls", "--ca", &ca], "").0, 3);
    assert_eq!(place.run(&["--url", &here, "ls", "--pin", &pin], "").0, 0);
    // And what is not encrypted is no server of that kind.
    let plain = format!("http://localhost:{}", place.house.port());
    assert_ne!(place.run(&["--url", &plain, "ls"], "").0, 0);
}

#[test]
fn accounts_files_and_the_chat_work_encrypted() {
    let place = Place::open("works");
    place.well("register ada --password-file -", "correct horse\n");
    assert_eq!(place.well("whoami", ""), "ada\n");
    fs::write(place.home().join("a.bin"), vec![7; 3 << 20]).unwrap();
    place.well("put a.bin -p", "");
    place.well("get -p a.bin b.bin", "");
    assert_eq!(fs::read(place.home().join("b.bin")).unwrap(), vec![7; 3 << 20]);
    place.well("send hello there", "");
    let heard = place.well("chat -q", "and from the socket\n/quit\n");
    assert!(heard.contains("hello there"), "{heard}");
    let heard = place.well("tail --once", "");
    assert!(heard.contains("hello there") && heard.contains("and from the socket"), "{heard}");
    place.well("logout", "");
}
