//! The pages in real browsers, against the real binary: Debian's Chromium, driven by playwright-core, and some of it in Firefox,
//! which needs no driver.
//!
//! Each test here is a script beside this file, which starts its own server and its own browser (`stage.mjs`). Where there is no
//! Chromium, no node, or no way to get playwright-core, nothing is tested, and that is said; with `HYTHE_BROWSER=must`, as in
//! `.ci/run`, that is a failure instead. Firefox may be missing everywhere.

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// How long a script may take.
const WITHIN: Duration = Duration::from_secs(400);

/// How long the registry may take.
const INSTALLED_WITHIN: Duration = Duration::from_secs(120);

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser")
}

/// The first of these commands that there is.
fn command(names: &[&str]) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders)
        .find_map(|folder| names.iter().map(|name| folder.join(name)).find(|path| path.is_file()))
}

/// Runs a command in a process group of its own, which ends with it; its output, and whether it went well.
fn run(command: &mut Command, log: &Path, within: Duration) -> (bool, String) {
    let file = fs::File::create(log).expect("a log");
    command.stdout(file.try_clone().expect("a log")).stderr(file).stdin(Stdio::null()).process_group(0);
    let mut child = command.spawn().expect("it starts");
    let since = Instant::now();
    let went_well = loop {
        match child.try_wait().expect("it is ours") {
            Some(status) => break status.success(),
            None if since.elapsed() > within => break false,
            None => thread::sleep(Duration::from_millis(20)),
        }
    };
    // What it has left behind: its server, if it was cut off.
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait();
    (went_well, fs::read_to_string(log).unwrap_or_default())
}

/// Node, with what the scripts need; or what is missing.
fn node() -> &'static Result<PathBuf, String> {
    static READY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    READY.get_or_init(|| {
        let node = command(&["node"]).ok_or("there is no node")?;
        let npm = command(&["npm"]).ok_or("there is no npm")?;
        let lock = fs::read(here().join("package-lock.json")).map_err(|error| error.to_string())?;
        let installed = here().join("node_modules/.of-lock");
        if fs::read(&installed).is_ok_and(|of| of == lock) {
            return Ok(node);
        }
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser-npm.log");
        let mut install = Command::new(npm);
        install.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(here());
        let (went_well, said) = run(&mut install, &log, INSTALLED_WITHIN);
        if !went_well {
            return Err(format!("npm cannot install playwright-core and axe-core: {said}"));
        }
        fs::write(&installed, lock).map_err(|error| error.to_string())?;
        Ok(node)
    })
}

/// Plays a script in Chromium.
fn play(name: &str) {
    let must = std::env::var_os("HYTHE_BROWSER").is_some_and(|word| word == "must");
    play_in(&["chromium", "chromium-browser", "google-chrome"], must, name);
}

/// Plays a script in the first of these browsers that there is.
fn play_in(browsers: &[&str], must: bool, name: &str) {
    let browser = command(browsers).ok_or_else(|| format!("there is no {}", browsers[0]));
    let (browser, node) = match browser.and_then(|browser| Ok((browser, node().clone()?))) {
        Ok(ready) => ready,
        Err(missing) if must => panic!("{missing}"),
        Err(missing) => {
            // Past what the harness keeps to itself of a test that holds.
            let _ = writeln!(std::io::stderr(), "skipped, for {missing}");
            return;
        }
    };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("browser-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let mut script = Command::new(node);
    script.arg(here().join(format!("{name}.mjs"))).current_dir(&folder);
    script.env("HYTHE", env!("CARGO_BIN_EXE_hythe")).env("BROWSER", browser);
    let (went_well, said) = run(&mut script, &folder.join("said"), WITHIN);
    print!("{said}");
    assert!(went_well, "{name}.mjs did not hold");
    // It is large; what did not hold is kept to be looked at.
    let _ = fs::remove_dir_all(&folder);
}

#[test]
fn files_are_sent_shown_and_changed() {
    play("files");
}

#[test]
fn people_talk_and_nothing_is_lost() {
    play("chat");
}

#[test]
fn every_page_is_sound_in_light_and_dark_narrow_and_wide() {
    play("looks");
}

#[test]
fn large_uploads_go_on_after_cuts_pauses_and_a_new_page() {
    play("uploads");
}

#[test]
fn accounts_are_made_used_recovered_and_looked_after() {
    play("accounts");
}

#[test]
fn what_browsers_differ_in_holds_in_firefox_too() {
    play_in(&["firefox-esr", "firefox"], false, "firefox");
}

#[test]
fn every_form_works_without_script() {
    play("plain");
}
