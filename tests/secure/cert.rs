//! `hythe cert`: a pair that a server takes, with a name that clients believe once they are told.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use crate::house::House;
use crate::keys::Folder;

fn cert(folder: &Folder, words: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hythe"));
    let Output { status, stdout, stderr } =
        command.current_dir(&folder.0).arg("cert").args(words).output().expect("it runs");
    let told = [stdout, stderr].concat();
    (status.code().expect("it ends by itself"), String::from_utf8_lossy(&told).into_owned())
}

#[test]
fn a_pair_of_our_own_is_served_and_trusted_by_name_and_address() {
    let folder = Folder::new("cert");
    let (code, told) = cert(&folder, &["localhost", "127.0.0.1", "*.box.test"]);
    assert_eq!(code, 0, "{told}");
    let (pem, key) = (folder.0.join("tls/cert.pem"), folder.0.join("tls/key.pem"));
    assert_eq!(fs::metadata(&key).expect("a key").permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(folder.0.join("tls")).expect("a folder").count(), 2);
    for says in ["--tls-cert tls/cert.pem --tls-key tls/key.pem", "curl --cacert tls/cert.pem", "365 days"] {
        assert!(told.contains(says), "{says}: {told}");
    }
    let text = |path: &std::path::Path| path.to_str().expect("text").to_owned();
    let house = House::open(&["--tls-cert", &text(&pem), "--tls-key", &text(&key), "--allow-host", "localhost"]);
    assert!(!house.log().contains("expires"), "{}", house.log());
    for host in ["localhost", "127.0.0.1"] {
        let url = format!("https://{host}:{}/healthz", house.port());
        let Ok(output) = Command::new("curl").args(["-sS", "--noproxy", "*", "--cacert"]).arg(&pem).arg(&url).output()
        else {
            println!("skipped: there is no curl here");
            return;
        };
        let answered = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(answered, "{\"status\":\"ok\"}", "{url}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let Ok(output) =
        Command::new("openssl").args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]).arg(&pem).output()
    else {
        return;
    };
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let digest = shown.trim().rsplit('=').next().expect("a digest");
    assert!(told.contains(digest), "{digest}: {told}");
}

#[test]
fn a_pair_is_never_replaced_unasked_and_a_name_must_be_one() {
    let folder = Folder::new("cert-again");
    assert_eq!(cert(&folder, &["--out", "here/and/there", "a.test"]).0, 0);
    let first = fs::read(folder.0.join("here/and/there/cert.pem")).expect("a certificate");
    let (code, told) = cert(&folder, &["--out", "here/and/there", "a.test"]);
    assert_eq!(code, 73, "{told}");
    assert!(told.contains("is there already; --force"), "{told}");
    assert_eq!(fs::read(folder.0.join("here/and/there/cert.pem")).expect("a certificate"), first);
    assert_eq!(cert(&folder, &["--out", "here/and/there", "--force", "a.test"]).0, 0);
    assert_ne!(fs::read(folder.0.join("here/and/there/cert.pem")).expect("a certificate"), first);
    for wrong in ["a b", "ä.test", "http://a.test", "*", ""] {
        let (code, told) = cert(&folder, &[wrong]);
        assert_eq!(code, 64, "{wrong}: {told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
    assert_eq!(cert(&folder, &["--days", "0"]).0, 64);
}
