//! Conditional requests: what each precondition compares, and which comes first (RFC 9110 section 13).
//!
//! Every file was last changed at [`CHANGED_TEXT`], so dates can stand here as they are.

use std::time::SystemTime;

use crate::case::{Case, case};
use crate::expect::{Expect, any, is};
use crate::house::{HELLO, PAGE, STYLE, STYLE_GZ, data};
use crate::request::{ask, get_with};

const NONE_MATCH: &str = "RFC 9110 section 13.1.2";
const MATCH: &str = "RFC 9110 section 13.1.1";
const SINCE: &str = "RFC 9110 section 13.1.3";
const UNSINCE: &str = "RFC 9110 section 13.1.4";
const IF_RANGE: &str = "RFC 9110 section 13.1.5";
const ORDER: &str = "RFC 9110 section 13.2.2";

const SAME: &str = "Wed, 01 Jan 2020 00:00:00 GMT";
const BEFORE: &str = "Tue, 31 Dec 2019 23:59:59 GMT";
const AFTER: &str = "Wed, 01 Jan 2020 00:00:01 GMT";
const FUTURE: &str = "Wed, 01 Jan 2070 00:00:00 GMT";

fn with(fields: &[&str]) -> Vec<u8> {
    get_with("/data.bin", fields)
}

fn field(name: &str, value: &str) -> Vec<u8> {
    with(&[&format!("{name}: {value}")])
}

fn whole() -> Expect {
    is(200).body(data()).header("ETag", "$tag").header("Last-Modified", SAME)
}

/// RFC 9110 section 15.4.5: what a 200 would have said that a cache needs, and no body.
fn unchanged() -> Expect {
    is(304).header("ETag", "$tag").without("Content-Range").without("Transfer-Encoding")
}

fn failed() -> Expect {
    is(412)
}

fn part() -> Expect {
    is(206).slice(data(), 0, 9).header("ETag", "$tag")
}

pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        // If-None-Match: weak comparison.
        case("The tag we gave is recognised", NONE_MATCH, with(&["If-None-Match: $tag"]), unchanged()),
        case("Our tag made weak is recognised", NONE_MATCH, with(&["If-None-Match: W/$tag"]), unchanged()),
        case("A star matches whatever is there", NONE_MATCH, with(&["If-None-Match: *"]), unchanged()),
        case("Our tag is found in a list", NONE_MATCH, with(&["If-None-Match: \"a\", $tag, \"b\""]), unchanged()),
        case(
            "Our tag is found in a list without blanks",
            NONE_MATCH,
            with(&["If-None-Match: \"a\",$tag"]),
            unchanged(),
        ),
        case(
            "Our tag is found in a second line",
            NONE_MATCH,
            with(&["If-None-Match: \"a\"", "If-None-Match: $tag"]),
            unchanged(),
        ),
        case(
            "Our tag is found behind a tag with a comma",
            NONE_MATCH,
            with(&["If-None-Match: \"a,b\", $tag"]),
            unchanged(),
        ),
        case(
            "Our tag is found behind empty members",
            "RFC 9110 section 5.6.1.2",
            with(&["If-None-Match: , ,$tag"]),
            unchanged(),
        ),
        case(
            "Our tag is found among a hundred",
            NONE_MATCH,
            with(&[&format!("If-None-Match: {}$tag", "\"0123456789\", ".repeat(100))]),
            unchanged(),
        ),
        case(
            "Our tag inside another tag is not our tag",
            NONE_MATCH,
            with(&["If-None-Match: \"x$tag\""]),
            any(&[200, 304]),
        ),
        case("Another tag is not ours", NONE_MATCH, with(&["If-None-Match: \"another\""]), whole()),
        case("An empty tag is not ours", NONE_MATCH, with(&["If-None-Match: \"\""]), whole()),
        case("Two other tags are not ours", NONE_MATCH, with(&["If-None-Match: \"a\", W/\"b\""]), whole()),
        case("A tag without quotes is none", "RFC 9110 section 8.8.3", with(&["If-None-Match: another"]), whole()),
        case("A tag without its end is none", "RFC 9110 section 8.8.3", with(&["If-None-Match: \"another"]), whole()),
        case(
            "A small w makes no tag weak, nor ours",
            "RFC 9110 section 8.8.3",
            with(&["If-None-Match: w/\"another\""]),
            whole(),
        ),
        case("A star in quotes is a tag", NONE_MATCH, with(&["If-None-Match: \"*\""]), whole()),
        case("An empty field holds no tag", NONE_MATCH, with(&["If-None-Match:"]), whole()),
        case(
            "A HEAD is as unchanged as a GET",
            NONE_MATCH,
            ask("HEAD", "/data.bin", &["If-None-Match: $tag"]),
            unchanged().for_head(),
        ),
        case(
            "What is not there is 404, whatever matches",
            "RFC 9110 section 13.2.1",
            get_with("/nothing", &["If-None-Match: *"]),
            is(404),
        ),
        case(
            "What redirects does so, whatever matches",
            "RFC 9110 section 13.2.1",
            get_with("/sub", &["If-None-Match: *"]),
            is(308),
        ),
        case(
            "What may not be reached stays so, whatever matches",
            "RFC 9110 section 13.2.1",
            get_with("/../x", &["If-None-Match: *"]),
            is(403),
        )
        .keeps_word(),
        case("The root has a state too", NONE_MATCH, get_with("/", &["If-None-Match: *"]), is(304)),
        case("An empty file has a state too", NONE_MATCH, get_with("/empty.dat", &["If-None-Match: *"]), is(304)),
        case("A large file has a state too", NONE_MATCH, get_with("/big.bin", &["If-None-Match: *"]), is(304)),
        case(
            "Another file's tag is not ours",
            NONE_MATCH,
            get_with("/page.html", &["If-None-Match: $tag"]),
            is(200).body(PAGE),
        ),
        case(
            "A 304 names no length but the file's",
            "RFC 9110 section 8.6",
            with(&["If-None-Match: $tag", "X-Row: length"]),
            is(304).check(|answer, _| match answer.field("content-length") {
                None | Some("1000") => Ok(()),
                other => Err(format!("Content-Length is {other:?}")),
            }),
        ),
        // If-Modified-Since.
        case("Not changed since it changed", SINCE, field("If-Modified-Since", SAME), unchanged()),
        case("Not changed since later", SINCE, field("If-Modified-Since", AFTER), unchanged()),
        case("Changed since the second before", SINCE, field("If-Modified-Since", BEFORE), whole()),
        case("Changed since the epoch", SINCE, field("If-Modified-Since", "Thu, 01 Jan 1970 00:00:00 GMT"), whole()),
        case("A date to come is later, or no date", SINCE, field("If-Modified-Since", FUTURE), any(&[304, 200])),
        case(
            "The date may be written as in RFC 850",
            "RFC 9110 section 5.6.7",
            field("If-Modified-Since", "Wednesday, 01-Jan-20 00:00:00 GMT"),
            unchanged(),
        ),
        case(
            "The date may be written as by asctime",
            "RFC 9110 section 5.6.7",
            field("If-Modified-Since", "Wed Jan  1 00:00:00 2020"),
            unchanged(),
        ),
        case(
            "An earlier date may be written as by asctime",
            "RFC 9110 section 5.6.7",
            field("If-Modified-Since", "Tue Dec 31 23:59:59 2019"),
            whole(),
        ),
        case(
            "A HEAD is as unchanged as a GET by date",
            SINCE,
            ask("HEAD", "/data.bin", &[&format!("If-Modified-Since: {SAME}")]),
            unchanged().for_head(),
        ),
        case(
            "A second past is not taken for the file's own half second",
            SINCE,
            get_with("/hello.txt", &[&format!("If-Modified-Since: {SAME}")]),
            is(304),
        ),
        case(
            "A missing file is 404 by date too",
            "RFC 9110 section 13.2.1",
            get_with("/nothing", &[&format!("If-Modified-Since: {FUTURE}")]),
            is(404),
        ),
        // If-Match: strong comparison.
        case("Our tag may be asked for", MATCH, with(&["If-Match: $tag"]), whole()),
        case("A star asks for whatever is there", MATCH, with(&["If-Match: *"]), whole()),
        case("Our tag in a list may be asked for", MATCH, with(&["If-Match: \"a\", $tag"]), whole()),
        case("Our tag in a second line may be asked for", MATCH, with(&["If-Match: \"a\"", "If-Match: $tag"]), whole()),
        case("Our tag behind one with a comma may be asked for", MATCH, with(&["If-Match: \"a,b\",$tag"]), whole()),
        case("Another tag fails", MATCH, with(&["If-Match: \"another\""]), failed()),
        case("Our tag made weak fails", MATCH, with(&["If-Match: W/$tag"]), failed()),
        case("A list without our tag fails", MATCH, with(&["If-Match: \"a\", \"b\""]), failed()),
        case("An empty list of tags fails, or asks nothing", MATCH, with(&["If-Match:"]), any(&[412, 200])),
        case("A tag without quotes fails, or asks nothing", MATCH, with(&["If-Match: another"]), any(&[412, 200, 400])),
        case(
            "A HEAD fails as a GET does",
            MATCH,
            ask("HEAD", "/data.bin", &["If-Match: \"another\""]),
            failed().for_head(),
        ),
        case("A star asks for what is not there", MATCH, get_with("/nothing", &["If-Match: *"]), any(&[404, 412])),
        // If-Unmodified-Since.
        case("Unchanged since it changed passes", UNSINCE, field("If-Unmodified-Since", SAME), whole()),
        case("Unchanged since later passes", UNSINCE, field("If-Unmodified-Since", AFTER), whole()),
        case("Unchanged since before fails", UNSINCE, field("If-Unmodified-Since", BEFORE), failed()),
        case(
            "Unchanged since the epoch fails",
            UNSINCE,
            field("If-Unmodified-Since", "Thu, 01 Jan 1970 00:00:00 GMT"),
            failed(),
        ),
        case(
            "Unchanged since before the epoch fails",
            UNSINCE,
            field("If-Unmodified-Since", "Fri, 13 Dec 1901 20:45:52 GMT"),
            failed(),
        ),
        case(
            "Changed since before the epoch is sent",
            SINCE,
            field("If-Modified-Since", "Wed Dec 31 23:59:59 1969"),
            whole(),
        ),
        case("Unchanged since the future passes", UNSINCE, field("If-Unmodified-Since", FUTURE), whole()),
        case("Unchanged since no date at all passes", UNSINCE, field("If-Unmodified-Since", "yesterday"), whole()),
        case(
            "Unchanged since before fails for a HEAD",
            UNSINCE,
            ask("HEAD", "/data.bin", &[&format!("If-Unmodified-Since: {BEFORE}")]),
            failed().for_head(),
        ),
        // Which comes first.
        case(
            "A tag that is not ours wins over a date that says unchanged",
            ORDER,
            with(&["If-None-Match: \"a\"", &format!("If-Modified-Since: {SAME}")]),
            whole(),
        ),
        case(
            "Our tag wins over a date that says changed",
            ORDER,
            with(&["If-None-Match: $tag", &format!("If-Modified-Since: {BEFORE}")]),
            unchanged(),
        ),
        case(
            "The order of the lines changes nothing",
            ORDER,
            with(&[&format!("If-Modified-Since: {SAME}"), "If-None-Match: \"a\""]),
            whole(),
        ),
        case(
            "A tag asked for and found wins over a date that fails",
            ORDER,
            with(&["If-Match: $tag", &format!("If-Unmodified-Since: {BEFORE}")]),
            whole(),
        ),
        case(
            "A tag asked for and not found fails whatever the date",
            ORDER,
            with(&["If-Match: \"a\"", &format!("If-Unmodified-Since: {AFTER}")]),
            failed(),
        ),
        case(
            "What was asked for fails before what is known matches",
            ORDER,
            with(&["If-Match: \"a\"", "If-None-Match: $tag"]),
            failed(),
        ),
        case(
            "What was asked for is found and what is known matches",
            ORDER,
            with(&["If-Match: $tag", "If-None-Match: $tag"]),
            unchanged(),
        ),
        case(
            "What was asked for is found and what is known does not match",
            ORDER,
            with(&["If-Match: $tag", "If-None-Match: \"a\""]),
            whole(),
        ),
        case(
            "Changed fails before unchanged is told",
            ORDER,
            with(&[&format!("If-Unmodified-Since: {BEFORE}"), &format!("If-Modified-Since: {SAME}")]),
            failed(),
        ),
        case(
            "Unchanged since passes and known matches",
            ORDER,
            with(&[&format!("If-Unmodified-Since: {SAME}"), "If-None-Match: $tag"]),
            unchanged(),
        ),
        case(
            "All four that pass give the whole",
            ORDER,
            with(&[
                "If-Match: *",
                &format!("If-Unmodified-Since: {SAME}"),
                "If-None-Match: \"a\"",
                &format!("If-Modified-Since: {SAME}"),
            ]),
            whole(),
        ),
        // Together with a range.
        case("Known wins over a range", ORDER, with(&["Range: bytes=0-9", "If-None-Match: $tag"]), unchanged()),
        case(
            "Unchanged wins over a range",
            ORDER,
            with(&["Range: bytes=0-9", &format!("If-Modified-Since: {SAME}")]),
            unchanged(),
        ),
        case("Failed wins over a range", ORDER, with(&["Range: bytes=0-9", "If-Match: \"a\""]), failed()),
        case(
            "Failed by date wins over a range",
            ORDER,
            with(&["Range: bytes=0-9", &format!("If-Unmodified-Since: {BEFORE}")]),
            failed(),
        ),
        case(
            "Failed wins over a range that cannot be",
            ORDER,
            with(&["Range: bytes=5000-", "If-Match: \"a\""]),
            failed(),
        ),
        case(
            "Known wins over a range that cannot be",
            ORDER,
            with(&["Range: bytes=5000-", "If-None-Match: $tag"]),
            unchanged(),
        ),
        case("Not known leaves the range", ORDER, with(&["Range: bytes=0-9", "If-None-Match: \"a\""]), part()),
        case("Asked for and found leaves the range", ORDER, with(&["Range: bytes=0-9", "If-Match: $tag"]), part()),
        case("A range if our tag", IF_RANGE, with(&["Range: bytes=0-9", "If-Range: $tag"]), part()),
        case("The whole if another tag", IF_RANGE, with(&["Range: bytes=0-9", "If-Range: \"a\""]), whole()),
        case("The whole if our tag is made weak", IF_RANGE, with(&["Range: bytes=0-9", "If-Range: W/$tag"]), whole()),
        case("A range if the very date", IF_RANGE, with(&["Range: bytes=0-9", &format!("If-Range: {SAME}")]), part()),
        case(
            "The whole if a later date",
            IF_RANGE,
            with(&["Range: bytes=0-9", &format!("If-Range: {AFTER}")]),
            whole(),
        ),
        case(
            "The whole if an earlier date",
            IF_RANGE,
            with(&["Range: bytes=0-9", &format!("If-Range: {BEFORE}")]),
            whole(),
        ),
        case("The whole if nonsense", IF_RANGE, with(&["Range: bytes=0-9", "If-Range: nonsense"]), whole()),
        case("The whole if an empty condition", IF_RANGE, with(&["Range: bytes=0-9", "If-Range:"]), any(&[200, 206])),
        case(
            "The whole if a list, though our tag is in it",
            IF_RANGE,
            with(&["Range: bytes=0-9", "If-Range: \"a\", $tag"]),
            whole(),
        ),
        case("The whole if a star", IF_RANGE, with(&["Range: bytes=0-9", "If-Range: *"]), whole()),
        case("A condition for a range is nothing without one", IF_RANGE, with(&["If-Range: $tag"]), whole()),
        case(
            "A range that cannot be, if another tag, is the whole",
            IF_RANGE,
            with(&["Range: bytes=5000-", "If-Range: \"a\""]),
            whole(),
        ),
        case(
            "A range that cannot be, if our tag, cannot be",
            IF_RANGE,
            with(&["Range: bytes=5000-", "If-Range: $tag"]),
            is(416).header("Content-Range", "bytes */1000"),
        ),
        case(
            "Two ranges if our tag",
            IF_RANGE,
            with(&["Range: bytes=0-0,9-9", "If-Range: $tag"]),
            is(206).ranges(data(), &[(0, 0), (9, 9)]),
        ),
        case(
            "Two ranges are the whole if another tag",
            IF_RANGE,
            with(&["Range: bytes=0-0,9-9", "If-Range: \"a\""]),
            whole(),
        ),
        case(
            "A range if our tag, though known is another",
            ORDER,
            with(&["Range: bytes=0-9", "If-Range: $tag", "If-None-Match: \"a\""]),
            part(),
        ),
        // Representations have states of their own.
        case(
            "The packed sibling's tag is known when it is what is sent",
            NONE_MATCH,
            get_with("/style.css", &["Accept-Encoding: gzip", "If-None-Match: $gz"]),
            is(304).header("ETag", "$gz").lists("Vary", "Accept-Encoding"),
        ),
        case(
            "The plain file's tag is known when it is what is sent",
            NONE_MATCH,
            get_with("/style.css", &["If-None-Match: $css"]),
            is(304).header("ETag", "$css").lists("Vary", "Accept-Encoding"),
        ),
        case(
            "The plain file's tag is not the sibling's",
            "RFC 9110 section 8.8.3.3",
            get_with("/style.css", &["Accept-Encoding: gzip", "If-None-Match: $css"]),
            is(200).body(STYLE_GZ),
        ),
        case(
            "The sibling's tag is not the plain file's",
            "RFC 9110 section 8.8.3.3",
            get_with("/style.css", &["If-None-Match: $gz"]),
            is(200).body(STYLE),
        ),
        case(
            "A range of the plain file is not had with the sibling's tag",
            IF_RANGE,
            get_with("/style.css", &["Range: bytes=0-3", "If-Range: $gz"]),
            is(200).body(STYLE),
        ),
        case(
            "Asking for the sibling's tag of the plain file fails",
            MATCH,
            get_with("/style.css", &["If-Match: $gz"]),
            failed(),
        ),
        // On other methods.
        case(
            "A wrong method is told before a condition",
            "RFC 9110 section 13.2.1",
            ask("DELETE", "/data.bin", &["If-Match: \"a\""]),
            any(&[405, 412]),
        ),
        case(
            "OPTIONS has no conditions",
            "RFC 9110 section 13.2.1",
            ask("OPTIONS", "/hello.txt", &["If-None-Match: *"]),
            any(&[204, 200]),
        ),
    ];
    for nonsense in [
        "yesterday",
        "",
        "0",
        "1577836800",
        "Wed, 01 Jan 2020",
        "Wed, 32 Jan 2020 00:00:00 GMT",
        "Wed, 01 Foo 2020 00:00:00 GMT",
        "Wed, 01 Jan 2020 25:00:00 GMT",
        "2020-01-01T00:00:00Z",
        "Wed, 01 Jan 99999 00:00:00 GMT",
        "-1",
    ] {
        let name = format!("{nonsense:?} is no date to be unchanged since");
        cases.push(case(name, "RFC 9110 section 5.6.7", field("If-Modified-Since", nonsense), whole()));
    }
    for (name, value) in [
        ("If-None-Match", "\"\u{fc}\""),
        ("If-Match", "\"a\"\"b\""),
        ("If-Range", "\""),
        ("If-None-Match", "W/"),
        ("If-None-Match", "*, \"a\""),
    ] {
        let request = get_with("/hello.txt", &[&format!("{name}: {value}"), "Range: bytes=0-3"]);
        let row = case(
            format!("{name}: {value} breaks nothing"),
            "RFC 9110 section 8.8.3",
            request,
            any(&[200, 206, 304, 412, 400]),
        );
        cases.push(row.keeps_word());
    }
    cases.push(case(
        "A file's own state is told with it",
        "RFC 9110 section 8.8",
        get_with("/hello.txt", &["X-Row: state"]),
        is(200).body(HELLO).header("Last-Modified", SAME).header_like("ETag", "a tag, and a strong one", |tag| {
            tag.len() > 2 && tag.starts_with('"') && tag.ends_with('"')
        }),
    ));
    cases.push(case(
        "A file whose time is yet to come has changed no later than now",
        "RFC 9110 section 8.8.2.1",
        get_with("/ahead.txt", &["X-Row: ahead"]),
        is(200).body(HELLO).header_like("Last-Modified", "no later than now", |date| {
            httpdate::parse_http_date(date).is_ok_and(|date| date <= SystemTime::now())
        }),
    ));
    cases
}
