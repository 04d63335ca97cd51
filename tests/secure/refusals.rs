//! Keys that cannot be used, names, and certificates that change.

use std::fs;

use crate::client::{Client, HEALTH, HEALTHY, config, socket, usual};
use crate::house::House;
use crate::keys::{Folder, Pair, flags, make, outcome, refused, refusing};
use crate::wire::comes_to_be;

fn words(flags: &[String]) -> Vec<&str> {
    flags.iter().map(String::as_str).collect()
}

/// The certificate a server shows to who asks for `name`.
fn shown(house: &House, name: &'static str) -> Vec<u8> {
    let mut client = Client::new(house.address(), usual(), name);
    client.shake().expect("hands are shaken");
    client.conn.peer_certificates().expect("a certificate")[0].to_vec()
}

fn der(pair: &Pair) -> Vec<u8> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    CertificateDer::from_pem_slice(pair.pem.as_bytes()).expect("PEM").to_vec()
}

/// Waits, a bounded time, for `what`.
fn wait_for(house: &House, what: &dyn Fn() -> bool, why: &str) {
    assert!(comes_to_be(what), "{why}: {}", house.log());
}

#[test]
fn keys_that_do_not_fit_are_refused_with_a_sentence() {
    let folder = Folder::new("refusals");
    let (one, two) = (make(&folder.0, "one", "localhost", 90), make(&folder.0, "two", "localhost", 90));
    let crossed = Pair { cert: one.cert.clone(), key: two.key.clone(), pem: String::new() };
    let missing = Pair { cert: one.cert.clone(), key: folder.0.join("nowhere.key"), pem: String::new() };
    let swapped = Pair { cert: one.key.clone(), key: one.cert.clone(), pem: String::new() };
    for (given, says) in [
        (flags(&[&crossed]), "two.key is not the one of the certificate"),
        (flags(&[&missing]), "cannot read the key"),
        (flags(&[&swapped]), "holds no certificate in PEM"),
        (flags(&[&one])[..2].to_vec(), "1 certificates and 0 keys do not pair"),
        (vec!["--redirect-http".to_owned(), "127.0.0.1:0".to_owned()], "redirect-http needs an encrypted address"),
    ] {
        let (code, told) = refused(&folder.0, &given);
        assert_eq!(code, 78, "{given:?}: {told}");
        assert!(told.contains(says), "{given:?}: {told}");
    }
}

#[test]
fn a_key_that_may_not_be_read_is_told() {
    use std::os::unix::fs::{PermissionsExt, chown};
    use std::os::unix::process::CommandExt;
    let folder = Folder::new("unreadable");
    let pair = make(&folder.0, "a", "localhost", 90);
    fs::set_permissions(&pair.key, fs::Permissions::from_mode(0o000)).expect("it is ours");
    let mut command = refusing(&folder.0, &flags(&[&pair]));
    if rustix::process::geteuid().is_root() {
        // Root may read whatever it likes: somebody else starts it, in a folder of their own.
        chown(&folder.0, Some(65_534), Some(65_534)).expect("root may");
        command.uid(65_534).gid(65_534);
    }
    let (code, told) = outcome(&mut command);
    assert_eq!(code, 78, "{told}");
    let sentence = format!("cannot read the key {}: Permission denied", pair.key.display());
    assert!(told.contains(&sentence), "{told}");
    assert_eq!(told.lines().count(), 1, "one sentence: {told}");
}

#[test]
fn a_certificate_past_its_days_is_warned_of_and_used() {
    let folder = Folder::new("expired");
    let (old, soon) = (make(&folder.0, "old", "old.test", -1), make(&folder.0, "soon", "soon.test", 3));
    let house = House::open(&words(&flags(&[&old, &soon])));
    wait_for(&house, &|| house.log().contains("hythe is ready"), "what is odd is told before");
    let log = house.log();
    assert!(log.contains("old.pem has expired"), "{log}");
    assert!(log.contains("soon.pem expires in 3 days"), "{log}");
    assert_eq!(shown(&house, "soon.test"), der(&soon));
}

#[test]
fn the_certificate_is_chosen_by_name() {
    let folder = Folder::new("names");
    let pairs =
        ["first.test", "second.test", "*.third.test"].map(|name| make(&folder.0, &name.replace('*', "any"), name, 90));
    let house = House::open(&words(&flags(&[&pairs[0], &pairs[1], &pairs[2]])));
    for (name, expected) in
        [("first.test", 0), ("SECOND.test", 1), ("a.third.test", 2), ("a.b.third.test", 0), ("elsewhere.test", 0)]
    {
        assert_eq!(shown(&house, name), der(&pairs[expected]), "{name}");
    }
}

#[test]
fn a_protocol_we_do_not_speak_is_refused() {
    let folder = Folder::new("alpn");
    let house = House::open(&words(&flags(&[&make(&folder.0, "a", "localhost", 90)])));
    // In TLS 1.3 the alert is encrypted, and comes behind the server's hello.
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut client = Client::new(house.address(), config(&[version], &["h2"]), "localhost");
        let refusal = client.shake().expect_err("h2 alone is not for us").to_string();
        assert!(refusal.contains("NoApplicationProtocol"), "{version:?}: {refusal}");
    }
    let mut client = Client::new(house.address(), config(rustls::ALL_VERSIONS, &[]), "localhost");
    client.shake().expect("who names none is served");
}

#[test]
fn new_certificates_are_taken_on_a_signal_and_wrong_ones_leave_the_old() {
    let folder = Folder::new("reload");
    let pair = make(&folder.0, "a", "localhost", 90);
    let house = House::open(&words(&flags(&[&pair])));
    let mut kept = Client::connect(house.address());
    assert_eq!(shown(&house, "localhost"), der(&pair));
    let wait_for = |what: &dyn Fn() -> bool, why: &str| wait_for(&house, what, why);
    let old_key = fs::read(&pair.key).expect("the key");
    let newer = make(&folder.0, "a", "localhost", 80);
    let new_key = fs::read(&pair.key).expect("the key");
    fs::write(&pair.key, &old_key).expect("written");
    house.ask_to_reopen_logs();
    wait_for(&|| house.log().contains("the certificates stay as they were"), "it is told");
    assert_eq!(shown(&house, "localhost"), der(&pair), "the old is in force");
    fs::write(&pair.key, &new_key).expect("written");
    house.ask_to_reopen_logs();
    wait_for(&|| shown(&house, "localhost") == der(&newer), "the new is taken");
    assert!(kept.ask(HEALTH, HEALTHY).ends_with(HEALTHY), "who was there before goes on");
}

#[test]
fn new_certificates_are_seen_without_a_word() {
    let folder = Folder::new("renewed");
    let house = House::open(&words(&flags(&[&make(&folder.0, "a", "localhost", 90)])));
    let newer = make(&folder.0, "a", "localhost", 80);
    // The files are looked at every ten seconds.
    wait_for(&house, &|| shown(&house, "localhost") == der(&newer), "the new is taken");
}

#[test]
fn the_plain_door_leads_to_the_encrypted_one() {
    use std::io::{Read, Write};
    let folder = Folder::new("detour");
    let mut given = flags(&[&make(&folder.0, "a", "localhost", 90)]);
    given.extend([
        "--redirect-http".to_owned(),
        "127.0.0.1:0".to_owned(),
        "--log-level".to_owned(),
        "debug".to_owned(),
    ]);
    let house = House::open(&words(&given));
    wait_for(&house, &|| house.log().contains("hythe is ready"), "it tells all its addresses first");
    let log = house.log();
    let (_, rest) = log.split_once("redirects from http://").expect("it says where");
    let address = rest.split('/').next().and_then(|address| address.parse().ok()).expect("an address");
    let ask = |request: &str| {
        let mut client = socket(address);
        client.write_all(request.as_bytes()).expect("the server reads");
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("it closes");
        answer
    };
    let answer = ask("GET /a%20b?c=d HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
    assert!(answer.contains(&format!("\r\nLocation: https://localhost:{}/a%20b?c=d\r\n", house.port())), "{answer}");
    let answer = ask("GET / HTTP/1.1\r\nHost: elsewhere.test\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 403 "), "only hosts of ours: {answer}");
    let answer =
        ask("POST /send HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\nConnection: close\r\n\r\nmessage=a");
    assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
}
