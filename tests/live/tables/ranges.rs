//! Ranges: which are satisfiable, how one and several are sent, what is passed over (RFC 9110, section 14).

use crate::case::{Case, case};
use crate::expect::{Expect, any, is};
use crate::house::{HELLO, INDEX, STYLE_GZ, big, data};
use crate::request::{ask, ask_with_body, get_with};

const RANGE: &str = "RFC 9110 section 14.2";
const SPEC: &str = "RFC 9110 section 14.1.2";
const UNSATISFIABLE: &str = "RFC 9110 section 15.5.17";
const SINGLE: &str = "RFC 9110 section 15.3.7.1";
const SEVERAL: &str = "RFC 9110 section 15.3.7.2";
const MANY: &str = "RFC 9110 section 17.15";

fn of_data(range: &str) -> Vec<u8> {
    get_with("/data.bin", &[&format!("Range: {range}")])
}

fn whole() -> Expect {
    is(200).body(data()).header("Accept-Ranges", "bytes").without("Content-Range")
}

fn cannot() -> Expect {
    is(416).header("Content-Range", "bytes */1000")
}

/// `count` ranges of one byte each, two apart.
fn spread(count: usize) -> (String, Vec<(usize, usize)>) {
    let ranges: Vec<_> = (0..count).map(|at| (at * 2, at * 2)).collect();
    let text: Vec<_> = ranges.iter().map(|(first, last)| format!("{first}-{last}")).collect();
    (format!("bytes={}", text.join(",")), ranges)
}

pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        case(
            "A file without a range is whole, and says it has them",
            "RFC 9110 section 14.3",
            get_with("/data.bin", &[]),
            whole().header("Content-Length", "1000"),
        ),
        case("A unit nobody knows is passed over", RANGE, of_data("items=0-9"), whole()),
        case("A unit that only begins like ours is passed over", RANGE, of_data("bytesx=0-9"), whole()),
        case("A unit has no case", "RFC 9110 section 14.1", of_data("Bytes=0-9"), is(206).slice(data(), 0, 9)),
        case(
            "A HEAD has no ranges",
            RANGE,
            ask("HEAD", "/data.bin", &["Range: bytes=0-9"]),
            is(200).for_head().header("Content-Length", "1000").without("Content-Range"),
        ),
        case(
            "A HEAD has no ranges that cannot be either",
            RANGE,
            ask("HEAD", "/data.bin", &["Range: bytes=5000-"]),
            is(200).for_head().header("Content-Length", "1000"),
        ),
        case("A POST has no ranges", RANGE, ask_with_body("POST", "/data.bin", &["Range: bytes=0-9"], ""), is(405)),
        case("What is not there has no ranges", RANGE, get_with("/nothing", &["Range: bytes=0-9"]), is(404)),
        case("What redirects has no ranges", RANGE, get_with("/sub", &["Range: bytes=0-9"]), is(308)),
        case(
            "The root has ranges",
            SINGLE,
            get_with("/", &["Range: bytes=0-8"]),
            is(206).slice(INDEX.into(), 0, 8).header("Content-Type", "text/html; charset=utf-8"),
        ),
        case(
            "A text has ranges of its bytes",
            SINGLE,
            get_with("/hello.txt", &["Range: bytes=6-9"]),
            is(206).slice(HELLO.into(), 6, 9),
        ),
        case(
            "A part says what the whole would",
            SINGLE,
            get_with("/data.bin", &["Range: bytes=0-9", "X-Row: fields"]),
            is(206)
                .header("ETag", "$tag")
                .header("Last-Modified", crate::house::CHANGED_TEXT)
                .header("Content-Length", "10"),
        ),
        case(
            "A sibling's ranges are of its packed bytes",
            "RFC 9110 section 14.1",
            get_with("/style.css", &["Accept-Encoding: gzip", "Range: bytes=6-10"]),
            is(206).slice(STYLE_GZ.into(), 6, 10).header("Content-Encoding", "gzip").lists("Vary", "Accept-Encoding"),
        ),
        case(
            "Ranges in HTTP/1.0 are honoured, or passed over",
            RANGE,
            "GET /data.bin HTTP/1.0\r\nHost: $host\r\nRange: bytes=0-9\r\n\r\n",
            any(&[206, 200]),
        )
        .closes(),
        case(
            "Range twice is passed over, or one list, or refused",
            "RFC 9110 section 5.3",
            get_with("/data.bin", &["Range: bytes=0-1", "Range: bytes=5-6"]),
            any(&[200, 206, 400, 416]),
        )
        .keeps_word(),
        // Empty files. Who puts `bytes=0-` on every request is better served by an empty 200, which section 14.2 allows.
        case(
            "An empty file is whole",
            RANGE,
            get_with("/empty.dat", &["X-Row: empty"]),
            is(200).body("").header("Content-Length", "0"),
        ),
        case(
            "An empty file is sent whole though its first byte is asked for",
            RANGE,
            get_with("/empty.dat", &["Range: bytes=0-"]),
            is(200).body("").header("Content-Length", "0"),
        ),
        case(
            "An empty file is sent whole though a range of it is asked for",
            RANGE,
            get_with("/empty.dat", &["Range: bytes=0-0"]),
            is(200).body("").header("Content-Length", "0"),
        ),
        case(
            "An empty file has no last byte, or all of its last bytes",
            UNSATISFIABLE,
            get_with("/empty.dat", &["Range: bytes=-1"]),
            any(&[416, 200]),
        ),
        case(
            "An empty file is sent whole though two ranges of it are asked for",
            RANGE,
            get_with("/empty.dat", &["Range: bytes=0-0,5-"]),
            is(200).body("").header("Content-Length", "0"),
        ),
        // Large files.
        case(
            "A large file has a part in its middle",
            SINGLE,
            get_with("/big.bin", &["Range: bytes=100000-200000"]),
            is(206).slice(big(), 100_000, 200_000),
        ),
        case(
            "A large file has a first byte",
            SINGLE,
            get_with("/big.bin", &["Range: bytes=0-0"]),
            is(206).slice(big(), 0, 0),
        ),
        case(
            "A large file has a last byte",
            SINGLE,
            get_with("/big.bin", &["Range: bytes=-1"]),
            is(206).slice(big(), 307_199, 307_199),
        ),
        case(
            "A large file has all but its first byte",
            SINGLE,
            get_with("/big.bin", &["Range: bytes=1-"]),
            is(206).slice(big(), 1, 307_199),
        ),
        case(
            "A large file's parts may cross the edges of pages",
            SINGLE,
            get_with("/big.bin", &["Range: bytes=4095-4096"]),
            is(206).slice(big(), 4_095, 4_096),
        ),
        case(
            "A large file has several parts",
            SEVERAL,
            get_with("/big.bin", &["Range: bytes=0-9,65530-65545,262144-300000,-7"]),
            is(206).ranges(big(), &[(0, 9), (65_530, 65_545), (262_144, 300_000), (307_193, 307_199)]),
        ),
        case(
            "A large file has no part behind its end",
            UNSATISFIABLE,
            get_with("/big.bin", &["Range: bytes=307200-"]),
            is(416).header("Content-Range", "bytes */307200"),
        ),
        // Too many, or one over another.
        case("Thirty-two ranges pass", MANY, of_data(&spread(32).0), is(206).ranges(data(), &spread(32).1)),
        case("Thirty-three ranges are the whole", MANY, of_data(&spread(33).0), whole()),
        case("Four hundred ranges are the whole", MANY, of_data(&spread(400).0), whole()),
        case(
            "A thousand equal ranges are the whole",
            MANY,
            of_data(&format!("bytes={}0-", "0-,".repeat(1_000))),
            whole(),
        ),
        case(
            "Several parts are sent as such",
            SEVERAL,
            get_with("/data.bin", &["Range: bytes=0-0,500-509", "X-Row: parts"]),
            is(206)
                .check(|answer, _| {
                    // Nobody can know it when the file is written.
                    let tag = answer.field("etag").unwrap_or_default().trim_matches('"').to_owned();
                    let is_new = answer.field("content-type").is_some_and(|value| value.contains(&tag));
                    if is_new { Ok(()) } else { Err("the boundary is known beforehand".to_owned()) }
                })
                .header_like("Content-Type", "multipart/byteranges", |value| {
                    value.starts_with("multipart/byteranges; boundary=")
                })
                .ranges(data(), &[(0, 0), (500, 509)])
                .header("ETag", "$tag"),
        ),
    ];
    for (range, first, last) in [
        ("0-0", 0, 0),
        ("0-99", 0, 99),
        ("1-1", 1, 1),
        ("900-999", 900, 999),
        ("999-999", 999, 999),
        ("0-", 0, 999),
        ("500-", 500, 999),
        ("999-", 999, 999),
        ("-1", 999, 999),
        ("-100", 900, 999),
        ("-999", 1, 999),
        ("-1000", 0, 999),
        ("-1001", 0, 999),
        ("-18446744073709551615", 0, 999),
        ("0-999", 0, 999),
        ("0-1000", 0, 999),
        ("990-5000", 990, 999),
        ("500-18446744073709551615", 500, 999),
        ("000-009", 0, 9),
    ] {
        let row = case(
            format!("bytes={range} is {first} to {last}"),
            SPEC,
            of_data(&format!("bytes={range}")),
            is(206).slice(data(), first, last),
        );
        cases.push(row);
    }
    for (range, parts) in [
        ("0-0,999-999", &[(0, 0), (999, 999)][..]),
        ("0-9, 20-29, 40-49", &[(0, 9), (20, 29), (40, 49)]),
        ("0-9 ,\t20-29", &[(0, 9), (20, 29)]),
        ("500-509,0-9", &[(500, 509), (0, 9)]),
        ("0-9,-10", &[(0, 9), (990, 999)]),
        ("0-9,990-", &[(0, 9), (990, 999)]),
        ("0-9,995-5000", &[(0, 9), (995, 999)]),
        ("0-9,10-19", &[(0, 9), (10, 19)]),
        ("0-9,5000-6000", &[(0, 9)]),
        ("5000-,0-9", &[(0, 9)]),
        ("0-9,-0", &[(0, 9)]),
        ("0-0,2-2,5000-", &[(0, 0), (2, 2)]),
    ] {
        let row = case(
            format!("bytes={range} is {} part(s)", parts.len()),
            SEVERAL,
            of_data(&format!("bytes={range}")),
            is(206).ranges(data(), parts),
        );
        cases.push(row);
    }
    for range in [
        "0-10,5-15",
        "5-15,0-10",
        "0-0,0-0",
        "0-999,500-509",
        "500-,-500",
        "0-,-1",
        "0-9,9-19",
        "0-9,20-29,5-6",
        "-10,-5",
    ] {
        cases.push(case(
            format!("bytes={range} overlap, and are the whole"),
            MANY,
            of_data(&format!("bytes={range}")),
            whole(),
        ));
    }
    for range in
        ["1000-", "1000-1000", "1000-2000", "5000-", "-0", "18446744073709551615-", "1000-,2000-3000", "-0,1000-"]
    {
        cases.push(case(
            format!("bytes={range} cannot be"),
            UNSATISFIABLE,
            of_data(&format!("bytes={range}")),
            cannot(),
        ));
    }
    for range in ["99999999999999999999999-", "99999999999999999999999-99999999999999999999999"] {
        let row = case(
            format!("bytes={range} cannot be, whatever holds the number"),
            UNSATISFIABLE,
            of_data(&format!("bytes={range}")),
            any(&[416, 200]),
        );
        cases.push(row);
    }
    for (range, parts) in [
        ("0-99999999999999999999999", (0, 999)),
        ("-99999999999999999999999", (0, 999)),
        (",0-9", (0, 9)),
        ("0-9,", (0, 9)),
        (",,0-9,,", (0, 9)),
    ] {
        let row = case(
            format!("bytes={range} is a range, or passed over"),
            "RFC 9110 section 5.6.1.2",
            of_data(&format!("bytes={range}")),
            any(&[206, 200]).ranges(data(), &[parts]),
        );
        cases.push(row);
    }
    for range in [
        "bytes=9-0",
        "bytes=abc",
        "bytes=",
        "bytes",
        "bytes=-",
        "bytes=5",
        "bytes=--5",
        "bytes=0-9-19",
        "bytes=+0-9",
        "bytes=0x0-9",
        "bytes=0 - 9",
        "bytes:0-9",
        "bytes 0-9",
        "bytes=0-9;10-19",
        "bytes=0-9,x",
        "bytes=x,0-9",
        "bytes=0-9,19-10",
        "bytes=0.0-9",
        "bytes=\"0-9\"",
        "0-9",
        "=0-9",
        "",
        "bytes=,",
        "bytes=0-9/1000",
        "bytes=-1-",
        "bytes = 0-9",
        "bytes=０-９",
    ] {
        let row = case(
            format!("{range:?} is no range, and the whole is sent or the range refused"),
            RANGE,
            of_data(range),
            any(&[200, 416, 400]).body(data()),
        );
        cases.push(row.keeps_word());
    }
    cases
}
