//! Who one is: the commands of accounts, by a script and at a terminal, and two people at one server.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::place::{HYTHE, House, Person, is_private, wait_until};
use crate::seat::Seat;

const LOW: &[&str] = &["--password-profile", "low", "--login-rate", "0", "--send-rate", "0"];

/// What stands behind the last colon of a line that begins so.
fn shown(out: &str, start: &str) -> String {
    let line = out.lines().find(|line| line.contains(start)).unwrap_or_else(|| panic!("{start}: {out}"));
    line.rsplit(": ").next().unwrap().trim().to_owned()
}

#[test]
fn a_script_registers_signs_in_and_out_and_changes_and_resets_a_password() {
    let house = House::open_with("script", LOW);
    let ada = house.person("ada");
    ada.file("old", "correct horse\n").file("new", "battery staple\n");
    let out = ada.run("register ada --password-file old").well();
    assert!(out.starts_with("ada is registered.\n"), "{out}");
    let code = shown(&out, "Recovery code");
    assert_eq!(ada.run("whoami").well(), "ada\n", "who registers is signed in");
    assert!(fs::read_dir(ada.home.join("state/hythe")).unwrap().all(|entry| is_private(&entry.unwrap().path())));
    ada.run("register ada --password-file old").ends(6, "the name ada is taken");

    let there = house.person("there");
    there.file("old", "correct horse\n");
    assert_eq!(there.run("login ada --password-file old").well(), "signed in as ada\n");
    ada.run("passwd --password-file new --new-password-file old").ends(4, "not right");
    ada.run("passwd --password-file old --new-password-file new").well();
    assert_eq!(ada.run("whoami").well(), "ada\n", "the session in which it was changed goes on");
    there.run("whoami").ends(4, "the session has ended");
    there.run("whoami").ends(4, "nobody is signed in");
    there.run("login ada --password-file old").ends(4, "not right");

    ada.file("code", code.to_lowercase());
    let out = ada.run("reset ada --code-file code --new-password-file old").well();
    assert_ne!(shown(&out, "Recovery code"), code);
    ada.run("whoami").ends(4, "nobody is signed in");
    ada.run("reset ada --code-file code --new-password-file new").ends(1, "the code is not right");
    assert_eq!(ada.clone().with("HYTHE_PASSWORD_FILE", "old").run("login ada").well(), "signed in as ada\n");
    assert_eq!(ada.run("logout").well(), "ada is signed out\n");
    ada.run("logout").ends(4, "nobody is signed in");
    assert_eq!(ada.run_with("login ada --json --password-file -", b"correct horse\n").objects()[0]["user"], "ada");
}

#[test]
fn a_session_that_others_could_read_or_that_is_damaged_is_told_in_a_sentence() {
    use std::os::unix::fs::PermissionsExt;
    let house = House::open_with("state", LOW);
    let ada = house.person("ada");
    ada.file("password", "correct horse\n");
    ada.run("register ada --password-file password").well();
    let file = ada.home.join("state/hythe/sessions.json");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let told = ada.run("whoami");
    assert_eq!((told.code, told.out.as_str()), (0, "ada\n"), "{}", told.err);
    assert!(told.err.starts_with("hythe: others could read ") && told.err.matches('\n').count() == 1, "{}", told.err);
    assert!(is_private(&file));
    assert_eq!(ada.run("whoami").well(), "ada\n", "it is told once");

    fs::write(&file, "{broken").unwrap();
    let told = ada.run("ls");
    assert_eq!((told.code, told.err.matches('\n').count()), (0, 1), "{}", told.err);
    assert!(told.err.contains("sessions.json is damaged, so nobody counts as signed in"), "{}", told.err);
    assert_eq!(ada.run("-q ls").well(), "", "quiet is quiet");
    let told = ada.run("login ada --password-file password");
    assert_eq!(told.code, 0, "{}", told.err);
    assert!(is_private(&file));
    assert_eq!(ada.run("whoami").well(), "ada\n");
}

#[test]
fn a_person_at_a_terminal_is_asked_for_all_of_it_and_no_password_is_shown() {
    let house = House::open_with("asked-for", LOW);
    let ada = house.person("ada");
    let mut seat = Seat::new(&ada, &["register"]);
    seat.sees("Name: ").types("ada\n").sees("New password: ").types("correct horse\n");
    seat.sees("The same again: ").types("correct horse\n").sees("ada is registered.").sees("Recovery code");
    let seen = seat.ends(0);
    let code = shown(&seen, "Recovery code");
    assert_eq!(ada.run("whoami").well(), "ada\n");
    Seat::new(&ada, &["logout"]).sees("ada is signed out");
    let mut seat = Seat::new(&ada, &["login"]);
    seat.sees("Name: ").types("ada\n").sees("Password: ").types("wrong password\n").sees("not right");
    let mut all = vec![seen, seat.ends(4)];
    let mut seat = Seat::new(&ada, &["login", "ada"]);
    seat.sees("Password: ").types("correct horse\n").sees("signed in as ada");
    all.push(seat.ends(0));
    let mut seat = Seat::new(&ada, &["passwd"]);
    seat.sees("Password now: ").types("correct horse\n").sees("New password: ").types("battery staple\n");
    seat.sees("The same again: ").types("battery staple\n").sees("the password is changed");
    all.push(seat.ends(0));
    let mut seat = Seat::new(&ada, &["reset", "ada"]);
    seat.sees("Code: ").types(&format!("{code}\n")).sees("New password: ").types("correct horse\n");
    seat.sees("The same again: ").types("correct horse\n").sees("the password is set").sees("Recovery code");
    all.push(seat.ends(0));
    for seen in all {
        assert!(
            ["correct horse", "battery staple", "wrong password"].iter().all(|secret| !seen.contains(secret)),
            "{seen}"
        );
    }
}

#[test]
fn where_an_invitation_is_needed_a_file_holds_it_or_a_person_is_asked() {
    let house =
        House::open_with("invited", &[LOW, &["--signup", "invite", "--token", "a-token-of-many-bytes"]].concat());
    let invite = || -> String {
        let asked = ureq::post(format!("{}/admin/invites", house.url))
            .header("Authorization", "Bearer a-token-of-many-bytes")
            .send_empty();
        let answer = asked.unwrap().into_body().read_to_string().unwrap();
        let value: serde_json::Value = serde_json::from_str(&answer).unwrap();
        value["invite"].as_str().unwrap().to_owned()
    };
    let ada = house.person("ada");
    ada.file("password", "correct horse\n").file("invite", invite());
    ada.run("register ada --password-file password").ends(4, "");
    ada.run("register ada --password-file password --invite-file invite").well();
    assert_eq!(ada.run("whoami").well(), "ada\n");
    ada.run("register bob --password-file password --invite-file invite").ends(4, "");

    let bob = house.person("bob");
    let mut seat = Seat::new(&bob, &["register", "bob"]);
    seat.sees("New password: ").types("correct horse\n").sees("The same again: ").types("correct horse\n");
    seat.sees("An invitation is needed").types(&format!("{}\n", invite())).sees("bob is registered.");
    seat.ends(0);
    let mut seat = Seat::new(&bob, &["register", "eve"]);
    seat.sees("New password: ").types("correct horse\n").sees("The same again: ").types("correct horse\n");
    seat.sees("An invitation is needed").types("\n");
    seat.ends(4);
}

#[test]
fn an_operator_at_a_terminal_is_asked_for_a_password_and_may_think_better_of_it() {
    let house = House::open_with("operator", LOW);
    let ada = house.person("ada");
    let data = house.folder.join("server/data");
    let words = ["user", "add", "bob", "--password-profile", "low", "--data", data.to_str().unwrap()];
    let mut seat = Seat::new(&ada, &words);
    seat.sees("New password: ").types("abc\x03");
    let seen = seat.ends(130);
    assert!(!seen.contains("abc") && seat.is_as_it_was(), "{seen:?}");
    let mut seat = Seat::new(&ada, &words);
    for again in ["other horse\n", "correct horse\n"] {
        seat.sees("New password: ").types("correct horse\n").sees("The same again: ").types(again);
    }
    let seen = seat.ends(0);
    assert!(seen.contains("not the same") && seen.contains("ecovery code") && !seen.contains("horse"), "{seen:?}");
}

#[test]
fn the_menu_registers_signs_in_and_keeps_to_ones_own_home() {
    let house = House::open_with("menu-people", LOW);
    let ada = house.person("ada");
    ada.file("a.txt", "mine");
    let mut seat = Seat::new(&ada, &["client"]);
    seat.sees("as a guest").sees("What: ").types("register\n").sees("Name: ").types("ada\n");
    seat.sees("New password: ").types("correct horse\n").sees("The same again: ").types("correct horse\n");
    let code = shown(&seat.sees("Recovery code").sees("\n").screen(), "Recovery code");
    seat.sees("signed in as ada").sees("What: ").types("5\n");
    seat.sees("File here: ")
        .types("a.txt\n")
        .sees("Name at the server")
        .types("\n")
        .sees("your own home?")
        .types("y\n");
    seat.sees("a.txt  4 B")
        .sees("What: ")
        .types("4\n")
        .sees("Folder")
        .types("\n")
        .sees("your own home?")
        .types("yes\n");
    seat.sees("a.txt").sees("What: ").types("14\n").sees("Password now: ").types("correct horse\n");
    seat.sees("New password: ").types("battery staple\n").sees("The same again: ").types("battery staple\n");
    seat.sees("the password is changed").sees("What: ").types("15\n").sees("ada is signed out").sees("as a guest");
    seat.sees("What: ").types("1\n").sees("Name: ").types("ada\n").sees("Password: ").types("battery staple\n");
    seat.sees("signed in as ada").sees("What: ").types("7\n").sees("File here: ").types("a.txt\n");
    seat.sees("What it replaces").types("\n").sees("your own home?").types("y\n").sees("a.txt  4 B");
    seat.sees("What: ").types("10\n").sees("Path at the server: ").types("trips\n").sees("your own home?").types("y\n");
    seat.sees("trips").sees("What: ").types("13\n").sees("Room").types("\n").sees("lobby> ").types("/quit\n");
    seat.sees("What: ").types("3\n").sees("Name: ").types("ada\n").sees("Code: ").types(&format!("{code}\n"));
    seat.sees("New password: ").types("correct horse\n").sees("The same again: ").types("correct horse\n");
    seat.sees("Recovery code").sees("What: ").types("0\n");
    seat.ends(0);
}

#[test]
fn two_people_at_once_never_see_each_others_private_files() {
    let house = House::open_with("two", LOW);
    let people: Vec<Person> = ["ada", "bob"].iter().map(|name| house.person(name)).collect();
    std::thread::scope(|scope| {
        for (person, name) in people.iter().zip(["ada", "bob"]) {
            scope.spawn(move || {
                person.file("secret", "correct horse\n");
                person.run(&format!("register {name} --password-file secret")).well();
                for round in 0..10 {
                    person.file("f", format!("{name} {round}"));
                    person.run(if round == 0 { "put -p f" } else { "put -p -f f" }).well();
                    person.run("put -p -f --as d/g f").well();
                    person.run("get -p -f f back").well();
                    assert_eq!(person.read("back"), format!("{name} {round}").into_bytes());
                    let listed = person.run("ls -p --json").well();
                    let other = if name == "ada" { "~bob" } else { "~ada" };
                    assert!(listed.contains(&format!("~{name}/f")) && !listed.contains(other), "{listed}");
                }
            });
        }
    });
    let [ada, bob] = &people[..] else { panic!("two") };
    for line in ["get ~ada/f x", "info ~ada/f", "ls ~ada", "ls ~ada/d", "rm ~ada/f", "mv ~ada/f mine", "mv f ~ada/g"] {
        let told = bob.run(line);
        assert!(matches!(told.code, 4 | 5), "{line}: {} {}", told.code, told.err);
    }
    let told = house.person("guest").run("get ~ada/f x");
    assert!(matches!(told.code, 4 | 5), "{}", told.err);
    assert_eq!(ada.run("ls").well(), bob.run("ls").well());
    assert!(!ada.run("ls --find f").well().contains('~') || !ada.run("ls --find f").well().contains("bob"));
    assert_eq!(ada.run("get -p f -").well(), "ada 9");
}

/// A server at an address that stays the same. Somebody else's connection may have it for a moment: it is waited for.
fn serve(folder: &std::path::Path, address: &str) -> (Child, String) {
    let mut served = None;
    wait_until("the server", || {
        let mut command = Command::new(HYTHE);
        command.args(["--listen", address, "--send-rate", "0"]).env_clear().current_dir(folder).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let url = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| Some(line.strip_prefix("hythe is ready on ")?.trim_end_matches('/').to_owned()));
        std::thread::spawn(move || lines.for_each(drop));
        let Some(url) = url else {
            assert_eq!(child.wait().unwrap().code(), Some(71), "it starts, or its address is in use");
            return false;
        };
        served = Some((child, url));
        true
    });
    served.unwrap()
}

#[test]
fn a_chat_connects_again_by_itself_and_misses_nothing() {
    let house = House::open("again-place");
    let folder = house.folder.join("own");
    fs::create_dir_all(&folder).unwrap();
    let (mut child, url) = serve(&folder, "127.0.0.1:0");
    let ada = Person { url: url.clone(), ..house.person("ada") };
    let mut seat = Seat::new(&ada, &["chat", "-n", "ada"]);
    seat.sees("lobby> ");
    ada.run("send -n bob before").well();
    seat.sees("before");
    child.kill().unwrap();
    child.wait().unwrap();
    seat.sees("connecting again").types("typed while nobody was there\n");
    let (mut child, _) = serve(&folder, url.trim_start_matches("http://"));
    ada.run("send -n bob meanwhile").well();
    seat.sees("meanwhile").sees("connected again");
    wait_until("what was typed", || ada.run("tail --once").well().contains("typed while nobody was there"));
    ada.run("send -n bob after").well();
    seat.sees("after").types("/quit\n");
    seat.ends(0);
    child.kill().unwrap();
    child.wait().unwrap();
}
