//! What a server holds when those who used it have gone.

use std::fs;
use std::time::{Duration, Instant};

use crate::place::{House, noise};

const MIB: usize = 1 << 20;

/// A figure of `/proc/PID/status`, in bytes.
fn memory(process: u32, what: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap_or_else(|| panic!("{what}: {status}"));
    line.trim_matches([':', '\t', ' ', 'k', 'B']).parse::<usize>().unwrap() * 1024
}

/// The part that is ours alone is the same in every build; all of it is what is promised of a release, whose code is smaller.
#[test]
#[cfg(target_os = "linux")]
fn it_rests_in_little_memory_after_uploads_sign_ins_messages_and_pages() {
    let house = House::open_with("resting", &["--login-rate", "0", "--send-rate", "0"]);
    let ada = house.person("ada");
    ada.file("password", "correct horse\n").file("large.bin", noise(16 * MIB));
    let before = memory(house.process(), "VmRSS");
    ada.run("register ada --password-file password").well();
    std::thread::scope(|scope| {
        for person in 0..4 {
            let (house, ada) = (&house, &ada);
            scope.spawn(move || {
                let there = house.person(&format!("there-{person}"));
                there.file("password", "correct horse\n");
                for _ in 0..5 {
                    there.run("login ada --password-file password").well();
                }
                for name in [format!("{person}-a.bin"), format!("{person}-b.bin")] {
                    ada.run(&format!("-q put large.bin {name}")).well();
                    there.run(&format!("-q get {name}")).well();
                }
                for count in 0..50 {
                    there.run(&format!("send hello-{count}")).well();
                }
                there.run("ls").well();
                there.run("tail --once --since 1").well();
            });
        }
    });
    for page in ["", "chat", "login", "admin", "openapi.json", "messages?q=hello"] {
        ureq::get(format!("{}/{page}", house.url)).call().unwrap().into_body().read_to_vec().unwrap();
    }
    // At its most: what is used first may have been given back by now.
    let used = memory(house.process(), "VmHWM");
    assert!(used > before + 2 * MIB, "nothing of it took memory: {before}, then {used}");

    let since = Instant::now();
    let most = if cfg!(debug_assertions) { usize::MAX } else { 6 * MIB };
    loop {
        let (all, own) = (memory(house.process(), "VmRSS"), memory(house.process(), "RssAnon"));
        if all < most && own < 5 * MIB / 2 {
            break;
        }
        assert!(since.elapsed() < Duration::from_secs(120), "{all} bytes stay, {own} of them its own, of {used}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
