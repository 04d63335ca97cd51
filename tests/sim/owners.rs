//! Stories of people who all want the same few names in the shared area: each makes files, replaces, renames and removes them, and
//! some hang up in between, or take a file home or bring it back, while helpers and the ledger come home when they like. Nobody here may change what another has made. So
//! whose a file is by the books is who wrote what lies there, whatever came before what.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use base64::Engine as _;
use hythe::clock::{Moment, Wall};
use hythe::reactor::system::{Entrance, Peer};
use hythe::site::state::{Accounts, Site};
use hythe::store::owners::Owner;
use hythe::store::scopes::Scopes;
use hythe::store::secret::{Cost, Digest, Hash};
use hythe::store::users::{Account, Token, Users};

use crate::answer::{Reader, Said};
use crate::dice::{Dice, Odds};
use crate::disk::MemoryDisk;
use crate::net::Net;
use crate::site::{Setting, on_disk};
use crate::stage::Stage;
use crate::truth::Truth;

/// The names that all want; the last two are what one like the first is called.
const NAMES: [&str; 4] = ["x", "y", "x (2)", "x (3)"];

/// Who has these names, and a token that is the name.
const PEOPLE: [&str; 3] = ["ada", "bob", "eve"];

fn users() -> Users {
    let account = |(at, name): (usize, &&str)| Account {
        id: at as i64 + 1,
        name: Arc::from(*name),
        password: Hash::default(),
        recovery: None,
        code: None,
        is_admin: false,
        is_disabled: false,
        quota: None,
        made: Wall::default(),
        is_gone: false,
        known: Vec::new(),
    };
    let token = |(at, name): (usize, &&str)| Token {
        id: at as i64 + 1,
        account: at as i64 + 1,
        secret: Digest::of(name.as_bytes()),
        label: String::new(),
        scopes: Scopes::from_bits(15),
        made: Wall::default(),
        until: None,
    };
    let people = PEOPLE.iter().enumerate();
    Users::new(people.clone().map(account).collect(), Vec::new(), people.map(token).collect(), Vec::new())
}

/// One of the people, who does one thing at a time.
struct Person {
    name: &'static str,
    peer: Peer,
    /// What is under way, and on which wire.
    wire: Option<(usize, String)>,
    reader: Reader,
    next_at: u64,
    deeds_left: u64,
}

impl Person {
    fn new(at: usize, deeds_left: u64) -> Person {
        let peer = Peer { ip: [127, 0, 0, 1 + at as u8].into(), port: 1000, entrance: Entrance::Plain };
        Person { name: PEOPLE[at], peer, wire: None, reader: Reader::default(), next_at: 0, deeds_left }
    }

    fn is_done(&self) -> bool {
        self.deeds_left == 0 && self.wire.is_none()
    }

    fn step(&mut self, net: &mut Net, dice: &mut Dice) {
        self.next_at = net.now + 1 + dice.below(4);
        let Some((wire, deed)) = &self.wire else {
            if self.deeds_left > 0 {
                self.begin(net, dice);
            }
            return;
        };
        if dice.chance(2) {
            net.reset(*wire);
            (self.wire, self.reader) = (None, Reader::default());
            return;
        }
        let (bytes, _) = net.take(*wire, usize::MAX);
        self.reader.feed(&bytes);
        let Some(Said::Whole(answer)) = self.reader.next(false) else { return };
        let (name, status) = (self.name, answer.status);
        assert!(matches!(status, 200 | 201 | 204 | 403 | 404 | 409 | 412), "{deed} by {name}: {answer:?}");
        // A file that is answered with is the asker's, for nobody can have changed another's.
        let document = if status < 204 && !answer.body.is_empty() { answer.json() } else { serde_json::Value::Null };
        for owner in [&document["owner"], &document["file"]["owner"], &document["files"][0]["owner"]] {
            assert!(owner.is_null() || owner == name, "{deed} by {name}: {answer:?}");
        }
        net.shut(*wire);
        (self.wire, self.reader) = (None, Reader::default());
    }

    fn begin(&mut self, net: &mut Net, dice: &mut Dice) {
        self.deeds_left -= 1;
        let (name, other) = (dice.pick(&NAMES), dice.pick(&NAMES));
        let word = dice.pick(&["error", "rename", "overwrite"]);
        let body = format!("{} {}", self.name, self.deeds_left);
        let bytes = "Content-Type: application/octet-stream\r\n".to_owned();
        let target = name.replace(' ', "%20");
        let (line, fields, body) = match dice.below(9) {
            0 => (format!("PUT /files/{target}"), "If-None-Match: *\r\n".to_owned(), body),
            1 => (format!("PUT /files/{target}?create=1"), String::new(), body),
            2 => (format!("POST /upload?name={target}&on_conflict={word}"), bytes, body),
            3 => (
                format!("POST /upload?on_conflict={word}"),
                "Content-Type: multipart/form-data; boundary=b\r\n".to_owned(),
                [name, other]
                    .map(|name| format!("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n{body}\r\n"))
                    .concat()
                    + "--b--\r\n",
            ),
            4 => {
                let base64 = |text: &str| base64::prelude::BASE64_STANDARD.encode(text);
                let metadata = format!("filename {},on_conflict {}", base64(name), base64(word));
                let fields = format!(
                    "Tus-Resumable: 1.0.0\r\nUpload-Length: {}\r\nUpload-Metadata: {metadata}\r\nContent-Type: application/offset+octet-stream\r\n",
                    body.len()
                );
                ("POST /tus".to_owned(), fields, body)
            }
            5 => (format!("DELETE /files/{target}"), String::new(), String::new()),
            6 => (
                format!("PUT /files/~{}/{target}?create=1", self.name),
                String::new(),
                body,
            ),
            kind => (
                "POST /rename".to_owned(),
                "Content-Type: application/json\r\n".to_owned(),
                {
                    let home = |is_home: bool, name| if is_home { format!("~{}/{name}", self.name) } else { String::from(name) };
                    let (from, to) = (home(kind == 7 && dice.chance(50), name), home(kind == 7 && dice.chance(50), other));
                    serde_json::json!({"from": from, "to": to, "on_conflict": word}).to_string()
                },
            ),
        };
        let length = body.len();
        let request = format!(
            "{line} HTTP/1.1\r\nHost: sim\r\nAuthorization: Bearer {}\r\n{fields}Content-Length: {length}\r\n\r\n{body}",
            self.name
        );
        let wire = net.connect(self.peer);
        net.deliver(wire, request.as_bytes());
        self.wire = Some((wire, format!("{line} {fields}{body}")));
    }
}

/// Whose each file is by the books is who wrote it, and there is nothing else in the books.
fn inspect(stage: &mut Stage<Site>, disk: &MemoryDisk) {
    let (house, _) = stage.reactor.parts();
    let owners = &house.state.parts().files.as_ref().expect("there are files").owners;
    let mut known = 0;
    for name in NAMES.iter().map(|name| (*name).to_owned()).chain((4..100).map(|number| format!("x ({number})"))) {
        for name in [name.clone(), format!("{name} (2)"), format!("y ({name})")] {
            let path = hythe::path::RelPath::from_plain(&name).expect("it is a name");
            let author = disk.get(&name).map(|bytes| {
                let text = String::from_utf8(bytes).expect("what was sent is text");
                PEOPLE.iter().position(|person| text.starts_with(person)).expect("one of them wrote it") as i64 + 1
            });
            assert_eq!(owners.of(&path), author.map(Owner::Account), "{name}");
            known += usize::from(author.is_some());
        }
    }
    assert!(known > 0 || disk.count() == 0);
}

/// A whole story. Returns the trace.
pub fn story(seed: u64, is_loud: bool) -> u64 {
    let mut dice = Dice::new(seed);
    let setting = Setting {
        odds: Odds { help_late_ms: dice.pick(&[2, 10, 50]), reorder: 50, ..Odds::calm() },
        ..Setting::calm()
    };
    let (www, uploads) = (MemoryDisk::new(seed ^ 1, &setting.odds), MemoryDisk::new(seed ^ 4, &setting.odds));
    let truth = Rc::new(RefCell::new(Truth::default()));
    let mut stage = on_disk(seed, &setting, www, uploads.clone(), truth);
    stage.net.borrow_mut().is_loud = is_loud;
    let homes = MemoryDisk::new(seed ^ 6, &setting.odds);
    stage.disks.push(homes.clone());
    {
        let (house, _) = stage.reactor.parts();
        house.state.parts().files.as_mut().expect("there are files").homes = Some(Arc::new(homes));
        *house.state.parts().accounts =
            Some(Accounts::new(users(), Cost { memory_kib: 8, passes: 1 }, Box::new(|_| false)));
    }
    let mut people: Vec<Person> = (0..PEOPLE.len()).map(|at| Person::new(at, dice.between(2, 12))).collect();
    let mut turns = 0;
    while let Some(next) = people.iter().filter(|person| !person.is_done()).map(|person| person.next_at).min() {
        let now = stage.now();
        for person in people.iter_mut().filter(|person| person.next_at <= now) {
            person.step(&mut stage.net.borrow_mut(), &mut dice);
        }
        stage.reactor.turn(Some(Moment::from_millis(next.max(now + 1)))).expect("a turn does not fail");
        turns += 1;
        assert!(turns < 20_000, "these people wait for ever");
    }
    stage.empty();
    inspect(&mut stage, &uploads);
    stage.strike()
}
