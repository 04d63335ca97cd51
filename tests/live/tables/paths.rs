//! Paths: what leads to a file, what leads out of the folder, what leads nowhere (API.md section 1, point 3).

use crate::case::{Case, case};
use crate::expect::{any, is};
use crate::house::{HELLO, INDEX, PAGE, SECRET, SUB_INDEX};
use crate::request::{ask, get};

const PATH: &str = "RFC 3986 section 3.3";
const ESCAPE: &str = "RFC 3986 section 2.1";
const CLIMB: &str = "RFC 9110 section 17.3";
const HIDDEN: &str = "API.md section 1";
const REDIRECT: &str = "RFC 9110 section 15.4.9";
const PREFIX: &str = "API.md section 1";

fn never_tells(answer: &crate::wire::Answer) -> Result<(), String> {
    match memchr::memmem::find(&answer.body, SECRET.trim_end().as_bytes()) {
        None => Ok(()),
        Some(_) => Err("the secret came out".into()),
    }
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (path, body) in [
        ("/", INDEX),
        ("/index.html", INDEX),
        ("/?a=b", INDEX),
        ("/page.html", PAGE),
        ("/sub/", SUB_INDEX),
        ("/sub/index.html", SUB_INDEX),
        ("/sub/page.html", PAGE),
        ("/%68ello.txt", HELLO),
        ("/%68%65%6C%6C%6F%2E%74%78%74", HELLO),
        ("/%68%65%6c%6c%6f%2e%74%78%74", HELLO),
        ("/two%20words.html", PAGE),
        ("/gr%C3%BC%C3%9Fe.html", PAGE),
        ("/gr%c3%bc%c3%9fe.html", PAGE),
        ("/100%25.html", PAGE),
        ("/plus+sign.html", PAGE),
        ("/plus%2Bsign.html", PAGE),
        ("/a&b='c';d.html", PAGE),
        ("/a%26b%3D%27c%27%3Bd.html", PAGE),
        ("/SHOUTED.HTML", PAGE),
        ("/with%20space/", SUB_INDEX),
        ("/evil.test/", SUB_INDEX),
        ("/.well-known/security.html", PAGE),
        ("/%2ewell-known/security.html", PAGE),
        ("/inside-link.html", PAGE),
        ("/inside-folder/", SUB_INDEX),
        ("/inside-folder/page.html", PAGE),
        ("/roundabout.html", PAGE),
    ] {
        cases.push(case(format!("{path} is a file"), PATH, get(path), is(200).body(body)));
    }
    for path in [
        "/..",
        "/../",
        "/../outside.html",
        "/../../etc/passwd",
        "/../../../../../../../../etc/passwd",
        "/sub/..",
        "/sub/../",
        "/sub/../hello.txt",
        "/sub/../../outside.html",
        "/nothing/../hello.txt",
        "/hello.txt/../page.html",
        "/..?a=b",
        "/%2e%2e/outside.html",
        "/%2E%2E/outside.html",
        "/.%2e/outside.html",
        "/%2e./outside.html",
        "/sub/%2e%2e/hello.txt",
        "/sub/.%2E",
        "/a/b/c/../../../../x",
        "/./../x",
        "//../x",
        "/.well-known/../hello.txt",
        "/..//outside.html",
        "/inside-folder/../hello.txt",
        "/../www/hello.txt",
        "/../data/hythe.db",
    ] {
        let row = case(format!("{path} climbs, and is refused"), CLIMB, get(path), is(403).code("path_forbidden"));
        cases.push(row.keeps_word());
    }
    for (path, why) in [
        ("/%00", "NUL"),
        ("/hello.txt%00", "NUL at the end"),
        ("/hello.txt%00.html", "NUL inside"),
        ("/%01", "control byte"),
        ("/hello%0atxt", "line feed"),
        ("/hello%0D%0ASet-Cookie:%20a=b", "line end and a field"),
        ("/hello%09txt", "tab"),
        ("/%1f", "control byte of the last kind"),
        ("/%7f", "DEL"),
        ("/%1b[31m", "escape byte"),
        ("/sub\\page.html", "backslash"),
        ("/\\", "backslash alone"),
        ("/..\\outside.html", "backslash behind dots"),
        ("/sub%5cpage.html", "encoded backslash"),
        ("/%5C..%5Coutside.html", "encoded backslashes and dots"),
        ("/sub%2fpage.html", "encoded slash"),
        ("/sub%2Fpage.html", "encoded slash in capitals"),
        ("/%2f", "encoded slash alone"),
        ("/%2fetc%2fpasswd", "encoded slashes"),
        ("/%2f%2fevil.test/", "two encoded slashes and a host"),
        ("/%", "percent alone"),
        ("/%2", "half an escape"),
        ("/hello.txt%", "percent at the end"),
        ("/%zz", "escape of no digits"),
        ("/%2g", "escape of one digit"),
        ("/%g2", "escape of one digit behind"),
        ("/%-1", "escape with a sign"),
        ("/%+1", "escape with a plus"),
        ("/%u0041", "escape of another kind"),
        ("/%%34%31", "percent before an escape"),
        ("/%ff", "byte of no encoding"),
        ("/%fe%ff", "two bytes of no encoding"),
        ("/%c3", "half a letter"),
        ("/%c3%28", "letter broken off"),
        ("/%bc", "rest of a letter"),
        ("/%c0%af", "slash of two bytes"),
        ("/%c0%ae%c0%ae/outside.html", "dots of two bytes"),
        ("/%e0%80%af", "slash of three bytes"),
        ("/%f0%80%80%af", "slash of four bytes"),
        ("/%ed%a0%80", "surrogate"),
        ("/%f4%90%80%80", "letter beyond the last"),
        ("/%f8%88%80%80%80", "letter of five bytes"),
        ("/%e2%82", "letter cut off"),
        ("/gr%FC%DFe.html", "name in Latin-1"),
    ] {
        let row = case(format!("{path} holds a {why}, and is refused"), ESCAPE, get(path), is(400).code("bad_path"));
        cases.push(row.keeps_word());
    }
    for (path, why) in [
        ("/..%2f", "climbs and holds an encoded slash"),
        ("/..%2foutside.html", "climbs by an encoded slash"),
        ("/../%00", "climbs and holds a NUL"),
        ("/..%5c..%5coutside.html", "climbs by encoded backslashes"),
        ("/.secret%00", "is hidden and holds a NUL"),
    ] {
        cases.push(case(format!("{path} {why}, and is refused"), CLIMB, get(path), any(&[400, 403])).keeps_word());
    }
    for (path, why) in [
        ("/.secret", "begins with a dot"),
        ("/%2esecret", "begins with a dot in disguise"),
        ("/.git/config", "lies in a folder that begins with a dot"),
        ("/.git", "is a folder that begins with a dot"),
        ("/.git/", "is such a folder, with its slash"),
        ("/sub/.hidden", "begins with a dot further down"),
        ("/.well-known/.hidden", "begins with a dot below .well-known"),
        ("/.well-knownx", "only begins like .well-known"),
        ("/.Well-Known/security.html", "is .well-known in other letters"),
        ("/.", "is a dot"),
        ("/./hello.txt", "goes through a dot"),
        ("/sub/./page.html", "goes through a dot further down"),
        ("/sub/.", "ends with a dot"),
        ("/%2e/hello.txt", "goes through a dot in disguise"),
        ("/...", "is three dots"),
        ("/.../hello.txt", "goes through three dots"),
        ("/..hello.txt", "begins with two dots"),
        ("/%252e%252e/outside.html", "climbs only when decoded twice"),
        ("/..%252foutside.html", "climbs only when decoded twice, by a slash"),
        ("/%25%32%66", "is a slash only when decoded twice"),
        ("/.htaccess", "is another server's secret"),
        ("/.env", "is everybody's secret"),
    ] {
        let row = case(
            format!("{path} {why}, and is not found"),
            HIDDEN,
            get(path),
            is(404).check(|answer, _| never_tells(answer)),
        );
        cases.push(row);
    }
    for (path, why) in [
        ("//", "is two slashes"),
        ("///", "is three slashes"),
        ("//hello.txt", "begins with two slashes"),
        ("//sub", "begins with two slashes and is a folder"),
        ("//evil.test", "would redirect to another host"),
        ("//evil.test/", "looks like another host"),
        ("//evil.test/%2e", "looks like another host and ends with a dot"),
        ("/sub//page.html", "has two slashes inside"),
        ("/sub//", "ends with two slashes"),
        ("/sub///index.html", "has three slashes inside"),
        ("/hello.txt/", "is a file with a slash behind it"),
        ("/sub/index.html/", "is a file further down with a slash behind it"),
        ("/hello.txt/more", "goes through a file"),
        ("/hello.txt//", "is a file with two slashes behind it"),
        ("/nothing", "is nothing"),
        ("/nothing/", "is no folder"),
        ("/nothing/deeper", "goes through nothing"),
        ("/HELLO.TXT", "is a name in other letters"),
        ("/hello.txt.", "has a dot too many"),
        ("/hello.txt%20", "has a blank too many"),
        ("/%20hello.txt", "has a blank before it"),
        ("/hello.txt;v=1", "has a parameter"),
        ("/hello.txt::$DATA", "is another system's trick"),
        ("/two+words.html", "has a plus for a blank"),
        ("/two%2520words.html", "is decoded once only"),
        ("/gru%CC%88%C3%9Fe.html", "is the same to the eye, in other letters"),
        ("/sub/*", "is a star"),
        ("/~ada/x", "is a home nobody has"),
        ("/con", "is another system's device"),
        ("/outside-link.html", "is a link that leaves"),
        ("/outside-folder/page.html", "goes through a link that leaves"),
        ("/outside-folder/", "is a folder's link that leaves"),
        ("/system-link/passwd", "goes through a link to the system"),
        ("/system-link", "is a link to the system"),
        ("/dangling.html", "is a link to nothing"),
        ("/loop.html", "is a link to itself"),
        ("/loop.html/x", "goes through a link to itself"),
        ("/pipe", "is a pipe, which nobody waits for"),
        ("/pipe/", "is a pipe with a slash behind it"),
        ("/socket", "is a socket"),
        ("/uploads/", "is a folder beside"),
        ("/%EF%BC%8E%EF%BC%8E/outside.html", "climbs only in wide letters"),
        ("/%E2%80%AEtxt.olleh", "turns the reader's eye around"),
    ] {
        let row = case(
            format!("{path} {why}, and is not found"),
            PATH,
            get(path),
            is(404).check(|answer, _| never_tells(answer)),
        );
        cases.push(row);
    }
    for length in [255, 256, 1_000, 5_000] {
        let row = case(
            format!("A name of {length} letters is not found"),
            PATH,
            get(&format!("/{}", "n".repeat(length))),
            is(404),
        );
        cases.push(row);
    }
    for depth in [17, 100, 2_000] {
        let row = case(format!("A path of {depth} folders is not found"), PATH, get(&"/d".repeat(depth)), is(404));
        cases.push(row);
    }
    cases.push(
        case("A climb of 2,000 steps is refused", CLIMB, get(&"/..".repeat(2_000)), is(403).code("path_forbidden"))
            .keeps_word(),
    );
    cases.push(case(
        "A name of 2,000 escapes is not found",
        ESCAPE,
        get(&format!("/{}", "%41".repeat(2_000))),
        is(404),
    ));

    for (target, location) in [
        ("/sub", "/sub/"),
        ("/sub?a=1&b=2", "/sub/?a=1&b=2"),
        ("/sub?", "/sub/?"),
        ("/sub?//evil.test", "/sub/?//evil.test"),
        ("/sub?http://evil.test/", "/sub/?http://evil.test/"),
        ("/%73ub", "/sub/"),
        ("/with%20space", "/with%20space/"),
        ("/evil.test", "/evil.test/"),
        ("/inside-folder", "/inside-folder/"),
        ("/sub?%0d%0aSet-Cookie:%20a=b", "/sub/?%0d%0aSet-Cookie:%20a=b"),
    ] {
        let expect = is(308).check(move |answer, _| {
            let found = answer.field("location").unwrap_or_default();
            // A path may keep its escapes or lose the needless ones, and an empty query may go.
            let is_same = [location, location.trim_end_matches('?')].contains(&found)
                || found == target.replacen("/%73ub", "/%73ub/", 1);
            if is_same { Ok(()) } else { Err(format!("Location is {found:?} and not {location:?}")) }
        });
        cases.push(case(format!("{target} is a folder and is told its slash"), REDIRECT, get(target), expect));
    }
    cases.extend([
        case(
            "A redirect of the absolute form is a path all the same",
            REDIRECT,
            ask("GET", "http://$host/sub?a=b", &[]),
            is(308).header("Location", "/sub/?a=b"),
        ),
        case(
            "A folder without an index is not listed unless that was asked for",
            HIDDEN,
            get("/bare/"),
            any(&[404, 403]),
        ),
        case("A folder without an index and its slash gives nothing away", HIDDEN, get("/bare"), any(&[404, 308, 403])),
        case("A file in a folder without an index is a file", PATH, get("/bare/note.md"), is(200)),
        case(
            "A link to a place inside by its full name is followed, or not found",
            HIDDEN,
            get("/absolute-inside.html"),
            any(&[200, 404]),
        ),
        case(
            "Raw markup in a missing path does not come back as such",
            PATH,
            get("/%3Cscript%3Ealert(1)%3C/script%3E"),
            is(404).check(|answer, _| match memchr::memmem::find(&answer.body, b"<script>") {
                None => Ok(()),
                Some(_) => Err("the markup came back".into()),
            }),
        ),
        case(
            "A quote in a missing path does not break the problem document",
            "RFC 8259 section 7",
            get("/%22%27%3C"),
            is(404),
        ),
    ]);
    cases
}

/// Of a server with `--path-prefix /deep/site`.
pub fn below_a_prefix() -> Vec<Case> {
    let cases = vec![
        case("The prefix is the root", PREFIX, get("/deep/site/"), is(200).body(INDEX)),
        case(
            "The prefix without its slash is sent to the one with it",
            PREFIX,
            get("/deep/site"),
            is(308).header("Location", "/deep/site/"),
        ),
        case(
            "So is HEAD",
            PREFIX,
            ask("HEAD", "/deep/site", &[]),
            is(308).header("Location", "/deep/site/").for_head(),
        ),
        case("Its query goes along", PREFIX, get("/deep/site?a=b"), is(308).header("Location", "/deep/site/?a=b")),
        case(
            "A folder below it is sent to its slash",
            PREFIX,
            get("/deep/site/sub"),
            is(308).header("Location", "/deep/site/sub/"),
        ),
        case("A page below it is found", PREFIX, get("/deep/site/sub/page.html"), is(200).body(PAGE)),
        case("Outside of it is nothing", PREFIX, get("/page.html"), is(404).code("not_found")),
        case("What only begins like it is outside", PREFIX, get("/deep/sites"), is(404).code("not_found")),
        case("A route below it is found", PREFIX, get("/deep/site/healthz"), is(200)),
    ];
    // What is asked once more on each connection lies outside of the prefix.
    cases.into_iter().map(Case::whatever).collect()
}
