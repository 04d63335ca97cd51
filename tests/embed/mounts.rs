//! The built-in parts inside a program: what they serve where, whose route wins, and what of them is told at build.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hythe::config::choices::PasswordProfile;
use hythe::{
    Action, Call, Config, Context, Entry, Fault, Holds, Lend, Method, MountError, Reply, Response, Server, Site, State,
    Verdict,
};

use crate::world::{Made, Scratch, play_both};
use crate::{HANDSHAKE, frame, login};

/// A program with something of its own beside the parts.
struct Desk {
    visits: u64,
    site: Site,
}

impl State for Desk {
    type Entry = Entry;
}

impl Lend<Site> for Desk {
    fn lend(&mut self) -> &mut Site {
        &mut self.site
    }
}

fn config() -> Config {
    let mut config = Config::default();
    config.password_profile = PasswordProfile::Low;
    config.allow_hosts.push("a".to_owned());
    // Who may write is not the affair of these tests; a further host would close what loopback leaves open.
    config.access.shared_write = Some(hythe::config::access::Access::Anyone);
    config.access.chat_write = Some(hythe::config::access::Access::Anyone);
    config.signup = Some(hythe::config::choices::Signup::Open);
    config
}

fn desk() -> Server<Desk> {
    Server::new(Desk { visits: 0, site: Site::new(config()) })
}

/// Everything, each where it is wanted.
fn all(folder: &Path) -> Made<Desk> {
    let (pages, assets) = (folder.join("pages"), folder.join("assets"));
    fs::create_dir_all(pages.join("sub"))?;
    fs::create_dir_all(&assets)?;
    fs::write(pages.join("index.html"), "<h1>front</h1>")?;
    fs::write(pages.join("sub/index.html"), "<h1>below</h1>")?;
    fs::write(assets.join("a.css"), "a {}")?;
    let mut server = desk();
    server.mount_static("/", &pages)?;
    server.mount_static("/deep/assets", &assets)?;
    server.mount_files("/team", folder.join("uploads"))?;
    server.mount_chat("/team", folder.join("data"))?;
    server.mount_accounts("/team", folder.join("data"))?;
    server.add_route(&[Method::Get], "/visits", |desk: &mut Desk, _: &Call<'_>, _: &mut Context<'_>| {
        desk.visits += 1;
        Response::text(desk.visits.to_string())
    })?;
    Ok(server)
}

fn request(line: &str, fields: &[&str], body: &str) -> Vec<u8> {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    let length = body.len();
    format!("{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n{fields}\r\n{body}")
        .into_bytes()
}

fn get(path: &str) -> Vec<u8> {
    request(&format!("GET {path}"), &[], "")
}

const FORM: &str = "Content-Type: application/x-www-form-urlencoded";
const JSON: &str = "Content-Type: application/json";

/// The session's cookie of an answer.
fn cookie(answer: &str) -> String {
    let (_, rest) = answer.split_once("\r\nSet-Cookie: ").unwrap_or_else(|| panic!("no cookie in {answer}"));
    format!("Cookie: {}", rest.split(';').next().unwrap())
}

#[track_caller]
fn check(answer: &str, status: &str, end: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.trim_end().ends_with(end), "{answer}");
}

#[test]
fn each_part_is_served_where_it_is_mounted_beside_the_programs_own_state() {
    let scratch = Arc::new(Scratch::new("all"));
    let place = scratch.clone();
    play_both(
        move |name| all(&place.join(name)),
        |ask| {
            check(&ask(&get("/")), "200", "<h1>front</h1>");
            check(&ask(&get("/index.html")), "200", "<h1>front</h1>");
            let moved = ask(&get("/sub"));
            assert!(moved.starts_with("HTTP/1.1 308 ") && moved.contains("\r\nLocation: /sub/\r\n"), "{moved}");
            check(&ask(&get("/sub/")), "200", "<h1>below</h1>");
            check(&ask(&get("/nothing")), "404", "");
            // A file of the folder that has its own place, by either spelling, whole and in part, fresh and again.
            for path in ["/deep/assets/a.css", "/deep/%61ssets/a.css", "/deep/assets/a.css"] {
                let told = ask(&get(path));
                check(&told, "200", "\r\n\r\na {}");
                assert!(told.contains("\r\nContent-Type: text/css"), "{told}");
            }
            check(&ask(&request("GET /deep/assets/a.css", &["Range: bytes=0-0"], "")), "206", "\r\n\r\na");
            let moved = ask(&get("/deep/assets"));
            assert!(moved.starts_with("HTTP/1.1 308 ") && moved.contains("\r\nLocation: /deep/assets/\r\n"), "{moved}");
            check(&ask(&get("/deep/assets/")), "404", "");
            check(&ask(&get("/deep/assets/index.html")), "404", "");
            let refused = ask(&request("PUT /deep/assets/a.css", &[], "x"));
            assert!(
                refused.starts_with("HTTP/1.1 405 ") && refused.contains("\r\nAllow: GET, HEAD, OPTIONS\r\n"),
                "{refused}"
            );
            check(&ask(&get("/visits")), "200", "\r\n\r\n1");
            check(&ask(&get("/visits")), "200", "\r\n\r\n2");

            // Files: what is stored says where it is, and there it is.
            let stored = ask(&request("PUT /team/files/note.txt?create=1", &[], "kept"));
            assert!(stored.starts_with("HTTP/1.1 201 ") && stored.contains("/team/files/note.txt"), "{stored}");
            check(&ask(&get("/team/files/note.txt")), "200", "\r\n\r\nkept");
            assert!(ask(&get("/team/file-list")).contains("note.txt"));
            check(&ask(&get("/files/note.txt")), "404", "");
            let begun = ask(&request("POST /team/tus", &["Tus-Resumable: 1.0.0", "Upload-Length: 3"], ""));
            assert!(begun.starts_with("HTTP/1.1 201 ") && begun.contains("\r\nLocation: /team/tus/"), "{begun}");

            // The chat.
            let said = ask(&request("POST /team/send", &[JSON], r#"{"message":"hello"}"#));
            assert!(said.starts_with("HTTP/1.1 201 "), "{said}");
            assert!(ask(&get("/team/messages")).contains("\"hello\""));

            // Accounts: a session is known to the parts and to the program, wherever its routes are.
            let credentials = r#"{"username":"ada","password":"correct horse"}"#;
            check(&ask(&request("POST /team/register", &[JSON], credentials)), "201", "}");
            let signed_in = ask(&request("POST /team/login", &[JSON], credentials));
            assert!(signed_in.starts_with("HTTP/1.1 200 ") && signed_in.contains("; Path=/;"), "{signed_in}");
            let session = cookie(&signed_in);
            assert!(ask(&request("GET /team/me", &[&session], "")).contains("\"ada\""));
            check(&ask(&request("PUT /team/files/~ada/own.txt?create=1", &[&session], "mine")), "201", "}");
            check(&ask(&get("/team/files/~ada/own.txt")), "404", "");
            check(&ask(&request("GET /team/files/~ada/own.txt", &[&session], "")), "200", "mine");
            let page = ask(&request("GET /team/login", &["Accept: text/html"], ""));
            assert!(page.contains("action=\"/team/login\"") && page.contains("src=\"/team/_hythe/"), "{page}");
            check(&ask(&get("/team/_hythe/style.css")), "200", "");
            check(&ask(&get("/team/healthz")), "200", "");
        },
    );
}

#[test]
fn an_upload_that_nobody_continues_is_gone_after_its_day_though_nobody_comes_and_there_are_no_accounts() {
    let scratch = Scratch::new("expiry");
    let uploads = scratch.join("uploads");
    let mut server = desk();
    server.mount_files("/", &uploads).unwrap();
    let mut stage = server.rehearse();
    let nook = uploads.join(".hythe-tus");
    let unfinished = || fs::read_dir(&nook).unwrap().count();
    let hours = |count: u64| Duration::from_secs(count * 60 * 60);
    let fields = ["Tus-Resumable: 1.0.0", "Upload-Length: 9"];
    check(&String::from_utf8_lossy(&stage.ask(&request("POST /tus", &fields, ""))), "201", "");
    assert_eq!(unfinished(), 2, "its content and its state");
    stage.pass(hours(23));
    assert_eq!(unfinished(), 2);
    stage.pass(hours(1) + Duration::from_secs(120));
    assert_eq!(unfinished(), 0);
}

#[test]
fn who_signs_in_goes_on_where_they_were_though_it_be_a_page_of_the_programs_own() {
    let scratch = Scratch::new("next");
    let mut stage = all(&scratch.join("all")).unwrap().rehearse();
    let ada = r#"{"username":"ada","password":"correct horse"}"#;
    check(&String::from_utf8_lossy(&stage.ask(&request("POST /team/register", &[JSON], ada))), "201", "}");
    for (next, location) in
        [("/visits", "/visits"), ("/team/files-ui", "/team/files-ui"), ("//evil.example/", "/team/")]
    {
        let form = format!("username=ada&password=correct+horse&next={}", next.replace('/', "%2F"));
        let answer = stage.ask(&request("POST /team/login", &[FORM, "Accept: text/html"], &form));
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.starts_with("HTTP/1.1 303 "), "{answer}");
        assert!(answer.contains(&format!("\r\nLocation: {location}\r\n")), "{next}: {answer}");
    }
}

#[test]
fn whoever_listens_hears_what_is_said_through_a_mounted_chat() {
    let scratch = Scratch::new("heard");
    let mut stage = all(&scratch.join("all")).unwrap().rehearse();
    let socket = stage.connect();
    stage.send(&socket, format!("GET /team/ws {}", HANDSHAKE.replacen("Host", "HTTP/1.1\r\nHost", 1)).as_bytes());
    assert!(String::from_utf8_lossy(&socket.take()).starts_with("HTTP/1.1 101 "));
    let stream = stage.connect();
    stage.send(&stream, b"GET /team/events HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(String::from_utf8_lossy(&stream.take()).contains("text/event-stream"));
    let poll = stage.connect();
    stage.send(&poll, b"GET /team/messages?since=0&wait=20 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(poll.take(), b"");
    let sent = stage.ask(&request("POST /team/send", &[JSON], r#"{"message":"to all"}"#));
    assert!(sent.starts_with(b"HTTP/1.1 201 "));
    for guest in [&socket, &stream, &poll] {
        let heard = String::from_utf8_lossy(&guest.take()).into_owned();
        assert_eq!(heard.matches("to all").count(), 1, "{heard}");
    }
    // What is said over the socket is kept, too, and its sender is told so.
    stage.send(&socket, &frame(0x81, br#"{"type":"send","message":"back","ref":"7"}"#));
    let told = String::from_utf8_lossy(&socket.take()).into_owned();
    assert!(told.contains("back") && told.contains("\"7\""), "{told}");
    assert!(String::from_utf8_lossy(&stream.take()).contains("back"));
    stage.end(&socket);
    stage.pass(std::time::Duration::from_secs(3));
}

#[test]
fn what_a_mounted_part_has_kept_is_there_after_a_restart() {
    let scratch = Scratch::new("again");
    let folder = scratch.join("all");
    let mut stage = all(&folder).unwrap().rehearse();
    assert!(stage.ask(&request("POST /team/send", &[JSON], r#"{"message":"kept"}"#)).starts_with(b"HTTP/1.1 201 "));
    let refused = desk().mount_chat("/", folder.join("data")).unwrap_err();
    assert!(matches!(&refused, MountError::Taken(path) if *path == folder.join("data")), "{refused}");
    drop(stage);
    let mut stage = all(&folder).unwrap().rehearse();
    assert!(String::from_utf8_lossy(&stage.ask(&get("/team/messages"))).contains("\"kept\""));
}

#[test]
fn a_route_of_the_programs_own_wins_over_a_built_in_one() {
    let scratch = Scratch::new("own");
    let mut server = all(&scratch.join("all")).unwrap();
    server.add_route(&[Method::Post], "/team/login", |_, _, _| Response::text("my own way in")).unwrap();
    server.add_route(&[Method::Get], "/team/files/*path", |_, _, _| Response::text("my own files")).unwrap();
    let routes = server.routes();
    assert_eq!(routes.iter().filter(|route| **route == (Method::Post, "/team/login".to_owned())).count(), 1);
    server.set_rest(|_: &mut Desk, _: &Call<'_>, _: &mut Context<'_>| Response::text("my own rest"));
    let mut stage = server.rehearse();
    for (asked, end) in [
        (request("POST /team/login", &[], ""), "my own way in"),
        (get("/team/files/x"), "my own files"),
        (get("/nothing"), "my own rest"),
        (get("/visits"), "\r\n\r\n1"),
    ] {
        check(&String::from_utf8_lossy(&stage.ask(&asked)), "200", end);
    }
    // What was not redefined is still ours: the page, and another method of the same path.
    let page = stage.ask(&request("GET /team/login", &["Accept: text/html"], ""));
    assert!(String::from_utf8_lossy(&page).contains("action=\"/team/login\""));
    assert!(stage.ask(&request("PUT /team/files/x?create=1", &[], "x")).starts_with(b"HTTP/1.1 201 "));
}

#[test]
fn an_own_login_stands_in_the_place_of_ours() {
    let scratch = Arc::new(Scratch::new("login"));
    let place = scratch.clone();
    play_both(
        move |name| login::server(&place.join(name)),
        |ask| {
            let mut ask = |line: &str, fields: &[&str], body: &str| {
                let request = String::from_utf8(request(line, fields, body)).unwrap();
                ask(request.replacen("Host: a\r\n", "Host: login.example\r\n", 1).as_bytes())
            };
            let ada = r#"{"username":"ada","password":"correct horse"}"#;
            check(&ask("POST /register", &[JSON], ada), "201", "}");
            check(&ask("GET /login", &[], ""), "200", "who are you? 0 came by badge");
            // Ours would have taken this: the program's own wants more.
            check(&ask("POST /login", &[JSON], ada), "400", "}");
            check(&ask("POST /login", &[], "username=ada&password=correct+horse&word=stork"), "403", "}");
            check(&ask("POST /login", &[], "username=ada&password=wrong&word=heron"), "401", "}");
            let by_password = ask("POST /login", &[], "username=ada&password=correct+horse&word=heron");
            check(&by_password, "200", "}");
            check(&ask("GET /login", &[&cookie(&by_password)], ""), "200", "hello, ada 0 came by badge");
            check(&ask("POST /login", &[], "badge=b-0000"), "401", "}");
            let by_badge = ask("POST /login", &[], "badge=b-1815");
            check(&by_badge, "200", "}");
            // The session is one of ours: built-in routes know it, and end it.
            let session = cookie(&by_badge);
            assert!(ask("GET /me", &[&session], "").contains("\"ada\""));
            check(&ask("GET /login", &[&session], ""), "200", "hello, ada 1 came by badge");
            check(&ask("POST /logout", &[&session, JSON], "{}"), "200", "}");
            check(&ask("GET /me", &[&session], ""), "401", "}");
            check(&ask("DELETE /login", &[], ""), "405", "}");
        },
    );
}

#[test]
fn a_program_asks_by_our_rules_who_may() {
    let scratch = Scratch::new("admit");
    let mut server = desk();
    server.mount_accounts("/", scratch.join("data")).unwrap();
    server
        .add_route(&[Method::Get], "/mine", |desk: &mut Desk, call: &Call<'_>, cx: &mut Context<'_>| {
            let who = desk.site.admit(call, Action::Account, cx)?;
            Ok::<_, Fault>(Response::text(who.user().map_or("", |user| &user.name).to_owned()))
        })
        .unwrap();
    let mut stage = server.rehearse();
    let mut ask = |request: &[u8]| String::from_utf8_lossy(&stage.ask(request)).into_owned();
    check(&ask(&get("/mine")), "401", "}");
    check(&ask(&request("GET /mine", &["Authorization: Bearer nobody"], "")), "401", "}");
    let ada = r#"{"username":"ada","password":"correct horse"}"#;
    check(&ask(&request("POST /register", &[JSON], ada)), "201", "}");
    let session = cookie(&ask(&request("POST /login", &[JSON], ada)));
    check(&ask(&request("GET /mine", &[&session], "")), "200", "\r\n\r\nada");
}

#[test]
fn a_server_with_mounts_answers_to_its_own_hosts_only() {
    let scratch = Scratch::new("hosts");
    let mut stage = all(&scratch.join("all")).unwrap().rehearse();
    let told = stage.ask(b"GET /visits HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    assert!(told.starts_with(b"HTTP/1.1 403 "), "{}", String::from_utf8_lossy(&told));
}

/// What is kept of a program's own, and of the parts it has.
enum Record {
    Own(&'static str),
    Part(Entry),
}

impl From<Entry> for Record {
    fn from(entry: Entry) -> Record {
        Record::Part(entry)
    }
}

impl Holds<Entry> for Record {
    fn give_back(self) -> Result<Entry, Record> {
        match self {
            Record::Part(entry) => Ok(entry),
            own => Err(own),
        }
    }
}

struct Diary(Site);

impl State for Diary {
    type Entry = Record;
}

impl Lend<Site> for Diary {
    fn lend(&mut self) -> &mut Site {
        &mut self.0
    }
}

#[test]
fn a_program_keeps_things_of_its_own_beside_the_parts() {
    let scratch = Scratch::new("diary");
    let kept = Arc::new(Mutex::new(Vec::new()));
    let mut server = Server::new(Diary(Site::new(config())));
    server.mount_chat("/", scratch.join("data")).unwrap();
    let list = kept.clone();
    server.set_keeper(move |records| {
        let keep = |record| match record {
            Record::Own(text) => {
                list.lock().unwrap().push(text);
                Verdict::Kept(list.lock().unwrap().len() as i64)
            }
            Record::Part(_) => Verdict::Lost,
        };
        records.into_iter().map(keep).collect()
    });
    server
        .add_route(&[Method::Post], "/note", |_: &mut Diary, _: &Call<'_>, _: &mut Context<'_>| {
            Reply::Keep(
                Box::new(Record::Own("noted")),
                Box::new(|_, verdict, _| Response::text(format!("{verdict:?}")).into()),
            )
        })
        .unwrap();
    let mut stage = server.rehearse();
    // Three in one batch, and each verdict finds who waits for it.
    let guests: Vec<_> = (0..3).map(|_| stage.connect()).collect();
    stage.send(&guests[0], b"POST /note HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    let said = request("POST /send", &[JSON], r#"{"message":"said"}"#);
    let both = [&b"POST /note HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"[..], &said].concat();
    stage.send(&guests[1], &both);
    stage.send(&guests[2], &said);
    let told: Vec<String> = guests.iter().map(|guest| String::from_utf8_lossy(&guest.take()).into_owned()).collect();
    assert!(told[0].ends_with("Kept(1)"), "{}", told[0]);
    assert!(told[1].contains("Kept(2)") && told[1].contains("HTTP/1.1 201 "), "{}", told[1]);
    assert!(told[2].starts_with("HTTP/1.1 201 "), "{}", told[2]);
    assert_eq!(*kept.lock().unwrap(), ["noted", "noted"]);
    let messages = stage.ask(&get("/messages"));
    assert_eq!(String::from_utf8_lossy(&messages).matches("\"said\"").count(), 2);
}

#[test]
fn mistakes_in_mounting_are_told_at_once() {
    let scratch = Scratch::new("mistakes");
    let mut server = desk();
    let data = scratch.join("data");
    for place in ["", "team", "/a//b", "/:name", "/a/*rest", "/..", "/team/"] {
        let told = server.mount_accounts(place, &data).unwrap_err();
        assert!(matches!(&told, MountError::Place(bad) if bad == place), "{told}");
    }
    server.mount_accounts("/", &data).unwrap();
    assert!(matches!(server.mount_accounts("/", &data), Err(MountError::Twice("accounts"))));
    let apart = server.mount_chat("/team", &data).unwrap_err();
    assert!(matches!(&apart, MountError::Apart(..)) && apart.to_string().contains("one place"), "{apart}");
    assert!(matches!(server.mount_chat("/", scratch.join("other")), Err(MountError::Taken(_))));
    server.mount_chat("/", &data).unwrap();
    assert!(matches!(server.mount_chat("/", &data), Err(MountError::Twice(_))));
    server.mount_files("/", scratch.join("uploads")).unwrap();
    assert!(matches!(server.mount_files("/", scratch.join("uploads")), Err(MountError::Twice(_))));
    let nowhere = scratch.join("nowhere");
    assert!(matches!(server.mount_static("/", &nowhere), Err(MountError::Folder(path, _)) if path == nowhere));
    let pages = scratch.join("pages");
    fs::create_dir(&pages).unwrap();
    server.mount_static("/", &pages).unwrap();
    assert!(matches!(server.mount_static("/", &pages), Err(MountError::Twice(_))));
    server.mount_static("/up", &pages).unwrap();
    assert!(matches!(server.mount_static("/up", &pages), Err(MountError::Route(_))));
    fs::write(scratch.join("file"), "").unwrap();
    assert!(matches!(desk().mount_chat("/", scratch.join("file")), Err(MountError::Folder(..))));
}

#[test]
fn nobody_reads_the_database_or_shared_files_as_pages() {
    let scratch = Scratch::new("overlap");
    let folder = |name: &str| {
        fs::create_dir_all(scratch.join(name)).unwrap();
        scratch.join(name)
    };
    let (data, uploads, pages) = (folder("a/data"), folder("a/uploads"), folder("a/data/pages"));
    let around = scratch.join("a/../a");
    let told = |outcome: Result<(), MountError>| matches!(outcome, Err(MountError::Overlap(..)));
    for place in ["/", "/pages"] {
        // Whichever comes first, and however it is written.
        let mut server = desk();
        server.mount_accounts("/", &data).unwrap();
        server.mount_files("/", &uploads).unwrap();
        for bad in [&data, &uploads, &pages, &around] {
            assert!(told(server.mount_static(place, bad)), "{}", bad.display());
        }
        server.mount_static(place, folder("beside")).unwrap();
        let mut server = desk();
        server.mount_static(place, &around).unwrap();
        assert!(told(server.mount_files("/", &uploads)));
        assert!(told(server.mount_accounts("/", &data)));
        assert!(told(server.mount_chat("/", &data)));
    }
    let mut server = desk();
    server.mount_chat("/", &data).unwrap();
    let overlap = server.mount_files("/", data.join("files")).unwrap_err();
    assert!(overlap.to_string().contains("lies in"), "{overlap}");
    assert!(told(server.mount_files("/", scratch.join("a"))));
    assert!(!data.join("files").exists(), "what is refused is not made");
    server.mount_files("/", &uploads).unwrap();
    // Pages may have pages in them.
    server.mount_static("/", folder("outer")).unwrap();
    server.mount_static("/inner", folder("outer/inner")).unwrap();
}
