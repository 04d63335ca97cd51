//! What an operator does to the data folder by `hythe user` and `hythe backup`, beside a server that runs or without one.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::place::{OPERATOR, PASSWORD, Place};
use crate::wire::{PATIENCE, comes_to_be};

/// What a command said, and the number it ended with.
#[derive(Debug)]
struct Told {
    code: i32,
    out: String,
    err: String,
}

impl Told {
    #[track_caller]
    fn well(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (0, ""), "{}", self.out);
        self.out
    }

    #[track_caller]
    fn ends(&self, code: i32, says: &str) {
        assert_eq!((self.code, self.out.as_str()), (code, ""), "{says}: {self:?}");
        assert!(self.err.starts_with("hythe: ") && self.err.contains(says), "{says}: {}", self.err);
        assert_eq!(self.err.matches('\n').count(), 1, "{}", self.err);
    }
}

/// Runs the program in a folder, with something on its stdin.
fn hythe(folder: &Path, line: &str, input: &str) -> Told {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hythe"));
    command.args(line.split(' ')).env_clear().current_dir(folder);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it says UTF-8");
    Told { code: output.status.code().expect("a code"), out: text(output.stdout), err: text(output.stderr) }
}

/// An empty folder without a server.
fn empty(name: &str) -> PathBuf {
    let room = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("outside-{name}"));
    let _ = fs::remove_dir_all(&room);
    fs::create_dir_all(&room).unwrap();
    room
}

/// Waits until the server has noticed something by itself.
#[track_caller]
fn notices(holds: impl FnMut() -> bool) {
    assert!(comes_to_be(holds), "the server never noticed");
}

const ADD: &str = "user add ada --password-file - --password-profile low";

#[test]
fn a_password_that_was_hashed_as_it_is_not_any_more_is_hashed_anew_by_whoever_signs_in_with_it() {
    let place = Place::with_usual_passwords(&[]);
    let kept = || -> String {
        let database = rusqlite::Connection::open(place.house.folder().join("data/hythe.db")).unwrap();
        database.query_row("SELECT password FROM accounts WHERE name = 'ada'", [], |row| row.get(0)).unwrap()
    };
    hythe(place.house.folder(), ADD, "correct horse\n").well();
    let old = kept();
    assert!(old.starts_with("$argon2id$v=19$m=7168,t=5,p=1$"), "{old}");
    notices(|| place.get("/admin/users", &[OPERATOR]).text().contains("\"ada\""));
    assert_eq!(place.login("ada", "wrong password").status, 401);
    assert_eq!(kept(), old, "who does not know it changes nothing");

    let ada = place.sign_in("ada");
    let new = kept();
    assert!(new.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{new}");
    assert_eq!(place.get("/me", &[&ada]).status, 200);
    let again = place.sign_in("ada");
    assert_eq!(kept(), new, "once is enough");
    assert_eq!(place.login("ada", "wrong password").status, 401);
    // The model in the loop has it too: what was checked is what is kept.
    let change = json!({"old": PASSWORD, "new": "battery staple"});
    assert_eq!(place.post("/password", &[&again], &change).status, 200);
    assert_eq!(place.login("ada", "battery staple").status, 200);
}

#[test]
fn a_running_server_notices_who_was_added_and_who_has_another_password() {
    let place = Place::open(&[]);
    let told = hythe(place.house.folder(), ADD, "correct horse\n").well();
    assert!(told.starts_with("ada is registered.\nRecovery code, shown only once: "), "{told}");
    let code = told.trim_end().rsplit(' ').next().unwrap().to_owned();
    notices(|| place.login("ada", PASSWORD).status == 200);
    let ada = place.sign_in("ada");
    let token = place.token(&ada, &["files:read"]);

    hythe(place.house.folder(), "user passwd ada --password-file -", "battery staple\n").well();
    notices(|| place.get("/me", &[&ada]).status == 401);
    assert_eq!(place.login("ada", PASSWORD).code(), "bad_credentials");
    assert_eq!(place.login("ada", "battery staple").status, 200);
    assert_eq!(place.get("/me", &[&token]).status, 200, "a password change keeps API tokens");
    // The recovery code that was printed is the one.
    let reset = json!({"username": "ada", "code": code, "new": PASSWORD});
    assert_eq!(place.post("/reset-password", &[], &reset).status, 200);
}

#[test]
fn disabling_ends_sessions_and_open_streams_at_once_and_enabling_lets_in_again() {
    let place = Place::open(&[]);
    place.register("ada");
    let ada = place.sign_in("ada");
    let mut stream = TcpStream::connect(place.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET /events HTTP/1.1\r\nHost: {}\r\n{ada}\r\n\r\n", place.address()).unwrap();
    assert!(stream.read(&mut [0; 4096]).unwrap() > 0);

    hythe(place.house.folder(), "user disable ada", "").well();
    // Before the server has noticed, too: the database is asked about every new session.
    assert_eq!(place.login("ada", PASSWORD).code(), "bad_credentials");
    stream.read_to_end(&mut Vec::new()).expect("the stream ends");
    assert_eq!(place.get("/me", &[&ada]).status, 401);
    hythe(place.house.folder(), "user enable ADA", "").well();
    notices(|| place.login("ada", PASSWORD).status == 200);
    assert_eq!(place.get("/me", &[&ada]).status, 401, "what has ended stays ended");
}

#[test]
fn a_code_from_the_command_line_resets_once_and_an_admin_is_made_and_unmade() {
    let place = Place::open(&[]);
    place.register("ada");
    let told = hythe(place.house.folder(), "user reset ada", "").well();
    let code = told.trim_end().rsplit(' ').next().unwrap().to_owned();
    let reset =
        || place.post("/reset-password", &[], &json!({"username": "ada", "code": code, "new": "battery staple"}));
    notices(|| reset().status == 200);
    assert_eq!(reset().code(), "bad_reset_code");

    let answer = place.login("ada", "battery staple");
    let ada = crate::place::cookie(&answer);
    hythe(place.house.folder(), "user admin ada", "").well();
    notices(|| place.get("/admin/users", &[&ada]).status == 200);
    hythe(place.house.folder(), "user admin ada --revoke", "").well();
    notices(|| place.get("/admin/users", &[&ada]).status == 403);
}

#[test]
fn who_is_removed_loses_their_files_and_leaves_their_name_taken_with_a_server_and_without() {
    let mut place = Place::open(&[]);
    let home = |place: &Place, id: &str| place.house.folder().join("data/home").join(id);
    for (name, id) in [("ada", "1"), ("bob", "2")] {
        place.register(name);
        let cookie = place.sign_in(name);
        let target = format!("/files/~{name}/a.txt?create=1");
        assert_eq!(place.ask(&format!("PUT {target}"), &[&cookie], "x").status, 201);
        assert!(home(&place, id).join("a.txt").exists());
    }
    assert_eq!(hythe(place.house.folder(), "user rm ada", "").well(), "ada is deleted; the name stays taken.\n");
    notices(|| !home(&place, "1").exists());
    place.house.kill();
    hythe(place.house.folder(), "user rm bob -f", "").well();
    assert!(!home(&place, "2").exists(), "gone when the command ends");
    place.house.restart();
    for name in ["ada", "bob"] {
        assert_eq!(place.login(name, PASSWORD).status, 401);
        let made = place.post("/admin/users", &[OPERATOR], &json!({"username": name, "password": PASSWORD}));
        assert_eq!(made.code(), "user_exists");
        hythe(place.house.folder(), &format!("user passwd {name}"), "").ends(1, "there is no user");
    }
}

#[test]
fn a_folder_without_a_server_gets_accounts_before_the_first_start() {
    let room = empty("first");
    hythe(&room, "user list", "").ends(78, "there is no");
    assert!(!room.join("data").exists(), "looking makes nothing");
    hythe(&room, &format!("{ADD} --admin"), "correct horse\n").well();
    let mode = |path: &str| fs::metadata(room.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("data"), mode("data/hythe.db")), (0o700, 0o600));
    fs::write(room.join("h.toml"), "data = \"data\"\npassword-profile = \"low\"\n").unwrap();
    fs::write(room.join("secret"), "correct horse\nand more\n").unwrap();
    hythe(&room, "user add --config h.toml bob --password-file secret", "").well();
    hythe(&room, "user disable bob", "").well();
    let table = hythe(&room, "user list", "").well();
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["NAME", "MADE", "LAST", "SIGN-IN", "SESSIONS", "STATE"]);
    let shown = |row: &Vec<&str>| (row[0].to_owned(), row[2..].join(" "));
    assert_eq!(
        lines[1..].iter().map(shown).collect::<Vec<_>>(),
        [("ada".to_owned(), "never 0 admin".to_owned()), ("bob".to_owned(), "never 0 disabled".to_owned())]
    );
    let objects = hythe(&room, "user list --json", "").well();
    let first: Value = serde_json::from_str(objects.lines().next().unwrap()).unwrap();
    assert_eq!((&first["name"], &first["admin"], &first["last_sign_in"]), (&json!("ada"), &json!(true), &json!(null)));
    assert!(!table.contains("argon2") && !objects.contains("argon2"), "no hash is shown");
}

#[test]
fn what_cannot_be_done_is_one_sentence_and_a_number() {
    let room = empty("refused");
    hythe(&room, ADD, "correct horse\n").well();
    for (line, input, code, says) in [
        (ADD, "correct horse\n", 1, "the name ada is taken"),
        ("user add Grüße --password-file -", "correct horse\n", 1, "a username has"),
        ("user add bob --password-file -", "short\n", 1, "at least 8 bytes"),
        ("user add bob --password-file -", "password\n", 1, "first that are guessed"),
        ("user add bob --password-file -", "\n", 78, "holds no password"),
        ("user add bob --password-file nowhere", "", 78, "cannot read nowhere"),
        ("user add bob", "correct horse\n", 64, "--password-file"),
        ("user passwd eve --password-file -", "correct horse\n", 1, "there is no user eve"),
        ("user disable eve", "", 1, "there is no user eve"),
        ("user rm ../ada", "", 1, "there is no user ../ada"),
        ("user", "", 64, "hythe user"),
        ("user frobnicate ada", "", 64, "frobnicate"),
        ("user add", "", 64, "NAME"),
        ("user disable ada --lst", "", 64, "there is no flag --lst"),
        ("user list --data elsewhere", "", 78, "there is no"),
        ("backup", "", 64, "DIR"),
        ("backup data", "", 73, "is not empty"),
        ("backup copy --data elsewhere", "", 78, "there is no"),
    ] {
        hythe(&room, line, input).ends(code, says);
    }
    assert_eq!(hythe(&room, "user list", "").well().lines().count(), 2, "nobody was added");
    let told = hythe(&room, "backup copy", "").well();
    assert!(told.starts_with("1 accounts, the chat and 0 private files (0 bytes) are copied to copy;"), "{told}");
}

#[test]
fn a_backup_of_a_running_server_is_a_data_folder_with_everything_and_nothing_half_done() {
    let mut place = Place::open(&[]);
    place.register("ada");
    place.register("bob");
    let ada = place.sign_in("ada");
    let put = |place: &Place, target: &str, body: &str| {
        let answer = place.ask(&format!("PUT /files/{target}?create=1"), &[&ada], body);
        assert_eq!(answer.status, 201, "{answer:?}");
    };
    put(&place, "~ada/deep/er/a.txt", "private");
    put(&place, "shared.txt", "shared");
    let begun = place.ask(
        "POST /tus",
        &[&ada, "Tus-Resumable: 1.0.0", "Upload-Length: 9", "Upload-Metadata: private MQ=="],
        "",
    );
    assert_eq!(begun.status, 201, "{begun:?}");
    assert_eq!(place.post("/send", &[&ada], &json!({"message": "kept"})).status, 201);
    let folder = place.house.folder().to_owned();
    // The folder of somebody who is in no database: its number will be somebody else's.
    fs::create_dir_all(folder.join("data/home/77")).unwrap();
    let told = hythe(&folder, "backup b/copy", "").well();
    assert!(told.starts_with("2 accounts, the chat and 1 private files (7 bytes) are copied to b/copy;"), "{told}");
    assert_eq!(place.post("/send", &[&ada], &json!({"message": "later"})).status, 201);
    hythe(&folder, "backup b/copy", "").ends(73, "is not empty");
    let copy = folder.join("b/copy");
    let names = |path: &Path| {
        let mut names: Vec<_> =
            fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!((names(&copy), names(&copy.join("home"))), (vec!["home".into(), "hythe.db".into()], vec!["1".into()]));
    assert_eq!(names(&copy.join("home/1")), ["deep"], "nothing unfinished");
    let mode = |path: &str| fs::metadata(copy.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(""), mode("hythe.db"), mode("home/1/deep/er/a.txt")), (0o700, 0o600, 0o600));

    place.house.kill();
    fs::remove_dir_all(folder.join("data")).unwrap();
    fs::rename(&copy, folder.join("data")).unwrap();
    place.house.restart();
    assert_eq!(place.get("/me", &[&ada]).json()["user"], "ada");
    assert_eq!(place.get("/files/~ada/deep/er/a.txt", &[&ada]).text(), "private");
    assert_eq!(place.get("/file-info/shared.txt", &[&ada]).json()["owner"], "ada");
    let said = place.get("/messages", &[&ada]).json();
    assert_eq!(said["messages"].as_array().unwrap().len(), 1, "{said}");
    assert_eq!(said["messages"][0]["message"], "kept");
}

#[test]
fn a_server_that_starts_while_a_command_holds_the_folder_waits_for_it() {
    let room = empty("held");
    fs::create_dir_all(room.join("data")).unwrap();
    let held = rustix::fs::open(room.join("data"), rustix::fs::OFlags::CLOEXEC, rustix::fs::Mode::empty()).unwrap();
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let letting_go = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        drop(held);
    });
    let mut child = Command::new(env!("CARGO_BIN_EXE_hythe"))
        .args(["--listen", "127.0.0.1:0"])
        .env_clear()
        .current_dir(&room)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = std::io::BufReader::new(child.stderr.take().unwrap());
    let is_ready = std::io::BufRead::lines(lines).map_while(Result::ok).any(|line| line.starts_with("hythe is ready"));
    child.kill().unwrap();
    child.wait().unwrap();
    letting_go.join().unwrap();
    assert!(is_ready);
}

#[test]
fn while_another_process_holds_the_ledger_nothing_is_kept_and_then_all_is_well_again() {
    let place = Place::open(&[]);
    place.register("ada");
    let other = rusqlite::Connection::open(place.house.folder().join("data/hythe.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let bob = json!({"username": "bob", "password": PASSWORD});
    let answer = place.post("/admin/users", &[OPERATOR], &bob);
    assert_eq!((answer.status, answer.code().as_str()), (503, "ledger_busy"), "{answer:?}");
    assert!(answer.field("Retry-After").is_some());
    let answer = place.post("/send", &[], &json!({"message": "is anybody there?"}));
    assert_eq!((answer.status, answer.code().as_str()), (503, "ledger_busy"), "{answer:?}");
    assert_eq!(place.login("ada", PASSWORD).status, 503, "a session that is not kept is none");
    other.execute_batch("ROLLBACK").unwrap();

    assert_eq!(place.post("/admin/users", &[OPERATOR], &bob).status, 201);
    assert_eq!(place.login("bob", PASSWORD).status, 200);
    let sent = place.post("/send", &[], &json!({"message": "yes"}));
    assert_eq!((sent.status, &sent.json()["id"]), (201, &json!(1)), "what was not kept has no id: {sent:?}");
}

#[test]
fn a_file_that_comes_while_another_process_holds_the_ledger_is_its_makers_all_the_same() {
    let place = Place::open(&[]);
    place.register("ada");
    let ada = place.sign_in("ada");
    let other = rusqlite::Connection::open(place.house.folder().join("data/hythe.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    std::thread::scope(|scope| {
        let put = scope.spawn(|| place.ask("PUT /files/a.txt?create=1", &[&ada], "hers"));
        // It is stored, and waits for the ledger, which gives up once.
        let since = Instant::now();
        while !place.house.log().contains("the ledger is held by another process") {
            assert!(since.elapsed() < PATIENCE, "{}", place.house.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        other.execute_batch("ROLLBACK").unwrap();
        let answer = put.join().unwrap();
        assert_eq!((answer.status, &answer.json()["owner"]), (201, &json!("ada")), "{answer:?}");
    });
    assert_eq!(place.get("/file-info/a.txt", &[]).json()["owner"], "ada");
}

#[test]
fn where_the_database_is_damaged_nobody_is_told_that_they_are_wrong() {
    let mut place = Place::open(&[]);
    place.register("ada");
    let ada = place.sign_in("ada");
    let token = place.token(&ada, &["files:read"]);
    place.house.kill();
    let data = place.house.folder().join("data");
    for name in ["hythe.db-wal", "hythe.db-shm"] {
        let _ = fs::remove_file(data.join(name));
    }
    fs::write(data.join("hythe.db"), "this is no database, and never was").unwrap();
    place.house.restart();
    place.log_tells("the ledger cannot be opened: ");
    let answer = place.login("ada", PASSWORD);
    assert_eq!((answer.status, answer.json()["code"].as_str()), (503, Some("ledger_shut")), "{answer:?}");
    assert_eq!(place.get("/hello.txt", &[]).status, 200, "files are served as ever");
    // Whose a token or a cookie is nobody can know now: it is not called wrong, and a browser does not lose it.
    let basic = "Authorization: Basic YWRhOmh5dF8w";
    for (line, field) in [
        ("GET /me", &*token),
        ("GET /hello.txt", &token),
        ("GET /me", basic),
        ("GET /me", &ada),
        ("GET /files/~ada/a.txt", &ada),
        ("POST /logout?", &token),
        ("PUT /files/a.txt?create=1", &ada),
    ] {
        let answer = place.ask(line, &[field], "");
        assert_eq!((answer.status, &*answer.code()), (503, "ledger_shut"), "{line} {field}: {answer:?}");
        assert_eq!(answer.field("Set-Cookie"), None, "{line}");
    }
    let page = place.get("/hello.txt", &[&ada]);
    assert_eq!((page.status, page.field("Set-Cookie")), (200, None), "{page:?}");
    // The operator needs no database, and whoever guesses at that token is held back as ever.
    assert_eq!(place.get("/metrics", &[OPERATOR]).status, 200);
    assert!(!place.house.log().contains("failed sign-in"), "{}", place.house.log());
}

#[test]
fn a_token_of_the_operators_is_not_guessed_at_leisure_because_the_database_is_damaged() {
    let mut place = Place::strict(&["--login-rate", "3/d"]);
    place.house.kill();
    fs::write(place.house.folder().join("data/hythe.db"), "this is no database, and never was").unwrap();
    place.house.restart();
    let wrong = "Authorization: Bearer operator-token-of-somebody";
    let told: Vec<u16> = (0..5).map(|_| place.get("/me", &[wrong]).status).collect();
    assert_eq!(told, [503, 503, 503, 429, 429]);
}

#[test]
fn a_one_time_code_that_is_too_old_resets_nothing() {
    let place = Place::open(&[]);
    place.register("ada");
    let database = rusqlite::Connection::open(place.house.folder().join("data/hythe.db")).unwrap();
    // A code as an admin hands it out; then the clock of its end is put so many seconds from now, and the quota shows that the
    // server has seen it.
    let code_that_ends_in = |seconds: i64, mark: i64| {
        let given = place.post("/admin/users/ada/reset", &[OPERATOR], &json!({}));
        assert_eq!(given.status, 200, "{given:?}");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
        let until = i64::try_from(now).unwrap() + seconds * 1000;
        let words = "UPDATE accounts SET code_until = ?1, quota = ?2 WHERE name = 'ada'";
        assert_eq!(database.execute(words, [until, mark]).unwrap(), 1);
        notices(|| place.get("/admin/users", &[OPERATOR]).json()["users"][0]["quota"] == json!(mark));
        given.json()["code"].as_str().expect("a code").to_owned()
    };
    let reset = |code: &str| {
        let answer =
            place.post("/reset-password", &[], &json!({"username": "ada", "code": code, "new": "battery staple"}));
        (answer.status, answer.json()["code"].as_str().unwrap_or_default().to_owned())
    };
    let too_old = code_that_ends_in(-1, 1);
    assert_eq!(reset(&too_old), (400, "bad_reset_code".to_owned()));
    assert_eq!(place.login("ada", PASSWORD).status, 200, "the password is what it was");
    let in_time = code_that_ends_in(3600, 2);
    assert_eq!(reset(&too_old), (400, "bad_reset_code".to_owned()), "the older one has gone");
    assert_eq!(reset(&in_time).0, 200);
    assert_eq!(reset(&in_time), (400, "bad_reset_code".to_owned()), "once");
    assert_eq!(place.login("ada", "battery staple").status, 200);
}
