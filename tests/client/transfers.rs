//! Downloads and uploads that meet what is there already, a full disk, or a large file.

use std::fs;
use std::process::Command;

use crate::place::{HYTHE, House, Told, noise};

#[test]
fn a_large_file_comes_back_as_it_went() {
    let house = House::open("large");
    let ada = house.person("ada");
    let bytes = noise(9_000_001);
    ada.file("large", &bytes);
    assert_eq!(ada.run("put large").well(), "large  8.6 MiB\n");
    assert!(ada.run("get large back").well().ends_with("  8.6 MiB\n"));
    assert!(ada.read("back") == bytes);
    assert!(!ada.has("back.part"));
    assert!(ada.run_with("put - --as piped", &bytes).well().starts_with("piped  8.6"));
    assert!(ada.run("get piped -").bytes == bytes);
    // Exactly one window, and one more byte.
    for length in [4 << 20, (4 << 20) + 1] {
        ada.file("edge", &bytes[..length]);
        ada.run("put -f edge").well();
        assert!(ada.run_with("put -f - --as edge2", &bytes[..length]).well().starts_with("edge2"));
        assert!(ada.run("get edge2 -").bytes == bytes[..length]);
        assert!(ada.run("get edge -").bytes == bytes[..length]);
    }
    ada.run("put large").ends(6, "large: large exists; -f overwrites");
    ada.file("large", &bytes[1..]);
    ada.run("put -f large").well();
    ada.run("update large piped").well();
    ada.run("update large nothing").ends(5, "nothing");
    assert!(ada.run("get piped -").bytes == bytes[1..]);
}

#[test]
fn a_download_overwrites_only_when_asked_and_goes_on_where_it_stopped() {
    let house = House::open("go-on");
    let ada = house.person("ada");
    let bytes = noise(300_000);
    ada.file("f", &bytes);
    ada.run("put f").well();
    ada.run("get f").ends(6, "is here already");
    ada.file("f", "other");
    ada.run("get -f f").well();
    assert!(ada.read("f") == bytes);
    // The beginning of it, under its own name and as a draft.
    ada.file("f", &bytes[..1000]);
    ada.run("get -c f").well();
    assert!(ada.read("f") == bytes);
    ada.run("get -c f").well();
    fs::remove_file(ada.home.join("f")).unwrap();
    ada.file("f.part", &bytes[..299_999]);
    ada.run("get -c f").well();
    assert!(ada.read("f") == bytes && !ada.has("f.part"));
    // Nothing to go on with is a beginning, too.
    fs::remove_file(ada.home.join("f")).unwrap();
    ada.run("get -c f").well();
    assert!(ada.read("f") == bytes);
    ada.run("get -c nothing").ends(5, "nothing: ");
    assert!(!ada.has("nothing") && !ada.has("nothing.part"));
}

#[test]
fn what_is_no_beginning_of_it_is_damaged_and_stays_as_it_was() {
    let house = House::open("damaged");
    let ada = house.person("ada");
    ada.file("f", noise(300_000));
    ada.run("put f").well();
    ada.file("f", "something else entirely");
    ada.run("get -c f").ends(10, "not what the server has");
    assert_eq!(ada.read("f"), b"something else entirely");
    assert!(!ada.has("f.part"));
    ada.file("f", noise(300_001));
    ada.run("get -c f").ends(10, "-f gets it anew");
}

#[test]
fn a_full_disk_here_is_told_and_what_came_is_kept() {
    let house = House::open("full");
    let ada = house.person("ada");
    let bytes = noise(1 << 20);
    ada.file("f", &bytes);
    ada.run("put f").well();
    ada.run("get f /dev/full").ends(1, "No space left");
    // A file may have no more than 100 blocks: as a disk that is full behind them.
    let script = format!("trap '' XFSZ; ulimit -f 100; exec {HYTHE} get f g");
    let limited =
        Command::new("sh").args(["-c", &script]).env_clear().envs(ada.environment()).current_dir(&ada.home).output();
    let told = Told::of(limited.unwrap());
    told.ends(1, "get -c goes on");
    assert!(!ada.has("g") && ada.has("g.part"));
    ada.run("get -c f g").well();
    assert!(ada.read("g") == bytes);
    let script = format!("exec {HYTHE} get f - > /dev/full");
    let full = Command::new("sh").args(["-c", &script]).env_clear().envs(ada.environment()).output().unwrap();
    Told::of(full).ends(1, "No space left");
}

#[test]
fn a_link_is_followed_and_a_device_is_never_replaced() {
    let house = House::open("links");
    let ada = house.person("ada");
    ada.file("f", "one");
    ada.run("put f").well();
    ada.file("real", "old");
    std::os::unix::fs::symlink("real", ada.home.join("link")).unwrap();
    ada.run("get -f f link").well();
    assert_eq!(ada.read("real"), b"one");
    assert!(ada.home.join("link").symlink_metadata().unwrap().is_symlink());
    ada.run("get -f f /dev/null").well();
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
}

#[test]
fn a_reader_who_has_seen_enough_is_no_error() {
    let house = House::open("enough");
    let ada = house.person("ada");
    ada.file("f", noise(3 << 20));
    ada.run("put f").well();
    let script = format!("{{ {HYTHE} get f -; echo $? >&2; }} | head -c 10 >/dev/null");
    let output = Command::new("sh")
        .args(["-c", &script])
        .env_clear()
        .envs(ada.environment())
        .env("PATH", "/usr/bin:/bin")
        .output();
    assert_eq!(String::from_utf8_lossy(&output.unwrap().stderr), "0\n");
}
