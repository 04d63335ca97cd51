//! The program as one who starts it sees it: what ends by itself, with its exit code and its sentence.

mod signals;

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Output};

/// An empty folder to start the program in.
struct Room(PathBuf);

impl Room {
    fn new(name: &str) -> Room {
        let room = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("command-{name}"));
        let _ = fs::remove_dir_all(&room);
        fs::create_dir_all(&room).unwrap();
        Room(room)
    }

    fn file(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }

    fn run(&self, line: &str) -> Output {
        self.run_with(line, &[])
    }

    fn run_with(&self, line: &str, variables: &[(&str, &str)]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hythe"));
        command.args(line.split_whitespace()).current_dir(&self.0).env_clear().envs(variables.iter().copied());
        command.output().unwrap()
    }
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn each_mistake_is_one_sentence_and_the_exit_code_of_the_contract() {
    let room = Room::new("mistakes");
    room.file("misspelt.toml", "header-timout = 5\n");
    room.file("unit.toml", "json-limit = \"1XB\"\n");
    room.file("broken.toml", "listen = [\n");
    room.file("file", "");
    for (line, expected, says) in [
        ("--lisen 127.0.0.1:1", 64, "there is no flag --lisen; the nearest is --listen"),
        ("--header-timeout 5x", 64, "--header-timeout: \"5x\" is no duration"),
        ("serve 70000", 64, "70000 is no port"),
        ("chek", 64, "the nearest command is check"),
        ("--config misspelt.toml", 78, "header-timout is no key; the nearest is header-timeout"),
        ("--config unit.toml", 78, "unit.toml: json-limit = \"1XB\" is no size"),
        ("--config broken.toml", 78, "broken.toml, line"),
        ("--config missing.toml", 78, "cannot read the configuration file missing.toml"),
        ("--token-file missing", 78, "cannot read the token file missing"),
        ("--data www/data", 78, "must not lie inside www"),
        ("--data same --uploads same", 78, "are the same folder"),
        ("--data file", 73, "is not a folder"),
        ("--uploads file/up", 73, "file/up"),
        ("--log-file missing/log", 73, "cannot write the log"),
        ("--uploads /proc/uploads", 73, "cannot make the folder /proc/uploads"),
        ("--tls-cert missing.pem --tls-key missing.key", 78, "missing.pem"),
        ("--tls-cert missing.pem", 78, "each tls-cert needs its tls-key"),
        ("--redirect-http 127.0.0.1:0", 78, "redirect-http needs an encrypted address"),
        ("--listen 203.0.113.1:0", 78, "this machine has no such address"),
        ("--listen localhost", 64, "localhost"),
        ("--config=", 64, "--config: needs a path"),
        ("--trusted-proxy nonsense", 64, "--trusted-proxy"),
        ("--allow-host http://a/", 64, "--allow-host"),
        ("check --data www/data", 78, "must not lie inside www"),
        ("check --config misspelt.toml", 78, "the nearest is header-timeout"),
    ] {
        let output = room.run(line);
        let said = stderr(&output);
        assert_eq!(code(&output), expected, "{line}: {said}");
        assert!(said.starts_with("hythe: ") && said.contains(says), "{line}: {said}");
        assert_eq!(said.matches('\n').count(), 1, "{line}: {said}");
        assert_eq!(stdout(&output), "", "{line}");
    }
}

#[test]
fn an_address_in_use_is_71_and_a_port_that_is_not_permitted_77() {
    let room = Room::new("addresses");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let output = room.run(&format!("--listen 127.0.0.1:{port}"));
    let said = stderr(&output);
    assert_eq!(code(&output), 71, "{said}");
    assert!(said.contains(&format!("127.0.0.1:{port} is in use by another program; choose another port")), "{said}");
    assert_eq!(said.matches('\n').count(), 1, "{said}");

    // Whoever runs the tests may be permitted; without the privilege nobody is.
    let without = ["--bounding-set", "-net_bind_service", "--inh-caps", "-net_bind_service"];
    let mut command = Command::new("setpriv");
    command.args(without).arg(env!("CARGO_BIN_EXE_hythe")).args(["--listen", "127.0.0.1:1"]);
    let Ok(output) = command.current_dir(&room.0).output() else {
        return println!("skipped: there is no setpriv here");
    };
    let said = stderr(&output);
    if said.contains("setpriv:") {
        return println!("skipped: {said}");
    }
    assert_eq!(code(&output), 77, "{said}");
    assert!(said.contains("not permitted to listen on 127.0.0.1:1; ports below 1024 need a privilege"), "{said}");
    assert_eq!(said.matches('\n').count(), 1, "{said}");
}

#[test]
fn folders_that_contain_one_another_are_not_made() {
    let room = Room::new("contained");
    assert_eq!(code(&room.run("--data www/data")), 78);
    assert_eq!(fs::read_dir(&room.0).unwrap().count(), 0);
}

#[test]
fn check_prints_what_is_in_force_and_makes_nothing() {
    let room = Room::new("check");
    room.file("h.toml", "keepalive = \"1m\"\n");
    let output = room.run_with(
        "check 9000 --config h.toml",
        &[("HYTHE_HEADERS", "7"), ("HYTHE_LISEN", "x"), ("HYTHE_OPERATOR_TOKEN", "hush-hush-hush-hush")],
    );
    let (said, printed) = (stderr(&output), stdout(&output));
    assert_eq!(code(&output), 0, "{said}");
    for says in ["127.0.0.1:9000", "keepalive = \"1m\"", "headers = 7", "# shared-write anyone"] {
        assert!(printed.contains(says), "{says}\n{printed}");
    }
    assert!(!printed.contains("hush") && !said.contains("hush"));
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("warning: nothing reads HYTHE_LISEN"), "{said}");
    assert_eq!(fs::read_dir(&room.0).unwrap().count(), 1);
}

#[test]
fn help_tells_every_flag_and_version_the_version() {
    let room = Room::new("help");
    let help = room.run("--help");
    assert_eq!(code(&help), 0);
    for says in ["--keepalive-requests <N>", "HYTHE_SEND_RATE", "check", "[default: 64KiB"] {
        assert!(stdout(&help).contains(says), "{says}\n{}", stdout(&help));
    }
    assert_eq!(stdout(&room.run("--version")), format!("hythe {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn what_is_installed_is_whole_and_names_the_place_it_was_put() {
    let room = Room::new("installed");
    let mut make = Command::new("make");
    make.args(["--silent", "install", "BUILD=", "PREFIX=/opt/hythe", concat!("BINARY=", env!("CARGO_BIN_EXE_hythe"))]);
    make.arg(format!("DESTDIR={}", room.0.display())).current_dir(env!("CARGO_MANIFEST_DIR"));
    let Ok(output) = make.output() else { return println!("skipped: there is no make here") };
    assert!(output.status.success(), "{}", stderr(&output));
    let read = |name: &str| fs::read_to_string(room.0.join("opt/hythe").join(name)).unwrap();
    let unit = read("lib/systemd/system/hythe.service");
    assert!(unit.contains("\nExecStart=/opt/hythe/bin/hythe serve\n") && !unit.contains("/usr/local"), "{unit}");
    assert!(read("lib/systemd/system/hythe.socket").contains("[Socket]"));
    assert!(read("share/man/man1/hythe.1").contains(".TH hythe 1"));
    for completions in [
        "share/bash-completion/completions/hythe",
        "share/zsh/site-functions/_hythe",
        "share/fish/vendor_completions.d/hythe.fish",
    ] {
        assert!(read(completions).contains("keepalive-requests"), "{completions}");
    }
    let output = Command::new(room.0.join("opt/hythe/bin/hythe")).arg("--version").output().unwrap();
    assert_eq!(stdout(&output), format!("hythe {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_reader_who_has_seen_enough_is_no_error() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hythe"));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = command.arg("--help").stdout(writer).status().unwrap();
    assert_eq!(status.code(), Some(0));
}
