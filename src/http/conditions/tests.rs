//! Conditions and ranges under test, case by case of RFC 9110.

use super::Outcome::{NotModified, NotSatisfiable, Part, Parts, PreconditionFailed, Whole};
use super::*;
use proptest::prelude::*;

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const LATER: &str = "Sat, 06 Nov 2094 08:49:38 GMT";

const FILE: Representation<'_> =
    Representation { etag: "\"a,b\"", modified: Some(Wall::from_millis(784_111_777_999)), length: 100 };

fn with<T>(lines: &[(&str, &str)], then: impl FnOnce(&Headers<'_>) -> T) -> T {
    let fields: Vec<_> = lines.iter().map(|(name, value)| httparse::Header { name, value: value.as_bytes() }).collect();
    then(&Headers::new(&fields))
}

fn outcome(lines: &[(&str, &str)], current: &Representation<'_>, access: Access) -> Outcome {
    with(lines, |headers| evaluate(headers, current, access))
}

fn get(lines: &[(&str, &str)]) -> Outcome {
    outcome(lines, &FILE, Access::Get)
}

fn range(value: &str) -> Outcome {
    get(&[("Range", value)])
}

#[test]
fn without_conditions_all_is_sent() {
    for access in [Access::Get, Access::Head, Access::Change] {
        assert_eq!(outcome(&[("Host", "a"), ("If-Range", "\"x\"")], &FILE, access), Whole);
    }
}

#[test]
fn if_none_match_compares_weakly_and_reads_its_list_strictly() {
    for (value, expected) in [
        ("\"a,b\"", NotModified),
        ("W/\"a,b\"", NotModified),
        ("\"x\", \"a,b\"", NotModified),
        ("\"x\",,\t\"a,b\" ,", NotModified),
        ("*", NotModified),
        (" * ", NotModified),
        ("\"a\"", Whole),
        ("\"a,b", Whole),
        ("a,b", Whole),
        ("w/\"a,b\"", Whole),
        ("W/ \"a,b\"", Whole),
        ("\"a,b\" \"x\"", Whole),
        ("\"a,b\", x", Whole),
        ("x, \"a,b\"", Whole),
        ("\"a,b\", *", Whole),
        ("\"a b\", \"a,b\"", Whole),
        ("", Whole),
        (",", Whole),
        ("**", Whole),
    ] {
        assert_eq!(get(&[("If-None-Match", value)]), expected, "{value}");
        assert_eq!(outcome(&[("If-None-Match", value)], &FILE, Access::Head), expected, "{value}");
    }
}

#[test]
fn lines_that_repeat_are_one_list() {
    assert_eq!(get(&[("If-None-Match", "\"x\""), ("if-none-match", "\"a,b\"")]), NotModified);
    assert_eq!(get(&[("If-None-Match", "\"a,b\""), ("If-None-Match", "\"x\"")]), NotModified);
    assert_eq!(get(&[("If-None-Match", "\"a,b\""), ("If-None-Match", "x")]), Whole);
    assert_eq!(get(&[("If-None-Match", "*"), ("If-None-Match", "*")]), Whole);
    assert_eq!(get(&[("If-Match", "\"x\""), ("If-Match", "\"a,b\"")]), Whole);
    assert_eq!(get(&[("If-Match", "*"), ("If-Match", "\"a,b\"")]), PreconditionFailed);
}

#[test]
fn if_match_compares_strongly_and_refuses_what_it_cannot_read() {
    let weak = Representation { etag: "W/\"a\"", ..FILE };
    for access in [Access::Get, Access::Head, Access::Change] {
        for (value, expected) in [
            ("\"a,b\"", Whole),
            ("\"x\", \"a,b\"", Whole),
            ("*", Whole),
            ("W/\"a,b\"", PreconditionFailed),
            ("\"x\"", PreconditionFailed),
            ("a,b", PreconditionFailed),
            ("", PreconditionFailed),
        ] {
            assert_eq!(outcome(&[("If-Match", value)], &FILE, access), expected, "{value}");
        }
        assert_eq!(outcome(&[("If-Match", "W/\"a\"")], &weak, access), PreconditionFailed);
        assert_eq!(outcome(&[("If-Match", "\"a\"")], &weak, access), PreconditionFailed);
    }
}

#[test]
fn dates_count_by_the_second_and_only_when_they_can_be_read() {
    for (field, value, expected) in [
        ("If-Modified-Since", DATE, NotModified),
        ("If-Modified-Since", LATER, NotModified),
        ("If-Modified-Since", "Sunday, 06-Nov-94 08:49:37 GMT", NotModified),
        ("If-Modified-Since", EARLIER, Whole),
        ("If-Modified-Since", "soon", Whole),
        ("If-Unmodified-Since", DATE, Whole),
        ("If-Unmodified-Since", LATER, Whole),
        ("If-Unmodified-Since", EARLIER, PreconditionFailed),
        ("If-Unmodified-Since", "soon", Whole),
    ] {
        assert_eq!(get(&[(field, value)]), expected, "{field}: {value}");
        let dateless = Representation { modified: None, ..FILE };
        assert_eq!(outcome(&[(field, value)], &dateless, Access::Get), Whole, "{field}: {value}");
    }
    // Before the first second that a file can be of.
    const BEFORE_1970: &str = "Wed, 31 Dec 1969 23:59:59 GMT";
    let oldest = Representation { modified: Some(Wall::from_seconds(0)), ..FILE };
    assert_eq!(outcome(&[("If-Unmodified-Since", BEFORE_1970)], &oldest, Access::Get), PreconditionFailed);
    assert_eq!(outcome(&[("If-Modified-Since", BEFORE_1970)], &oldest, Access::Get), Whole);
    assert_eq!(outcome(&[("If-Range", BEFORE_1970), ("Range", "bytes=0-0")], &oldest, Access::Get), Whole);
    assert_eq!(get(&[("If-Modified-Since", DATE), ("If-Modified-Since", DATE)]), Whole);
    assert_eq!(get(&[("If-Unmodified-Since", EARLIER), ("If-Unmodified-Since", EARLIER)]), Whole);
    assert_eq!(outcome(&[("If-Modified-Since", DATE)], &FILE, Access::Change), Whole);
    assert_eq!(outcome(&[("If-Unmodified-Since", EARLIER)], &FILE, Access::Change), PreconditionFailed);
}

#[test]
fn tags_come_before_dates_and_matches_before_none_matches() {
    for (lines, expected) in [
        (&[("If-Match", "\"a,b\""), ("If-Unmodified-Since", EARLIER)][..], Whole),
        (&[("If-None-Match", "\"x\""), ("If-Modified-Since", DATE)], Whole),
        (&[("If-None-Match", "x"), ("If-Modified-Since", DATE)], Whole),
        (&[("If-None-Match", "\"a,b\""), ("If-Modified-Since", EARLIER)], NotModified),
        (&[("If-Match", "\"x\""), ("If-None-Match", "\"a,b\"")], PreconditionFailed),
        (&[("If-Match", "\"a,b\""), ("If-None-Match", "\"a,b\"")], NotModified),
        (&[("If-Unmodified-Since", EARLIER), ("If-Modified-Since", DATE)], PreconditionFailed),
        (&[("If-None-Match", "\"a,b\""), ("Range", "bytes=0-0")], NotModified),
        (&[("If-Match", "\"x\""), ("Range", "bytes=0-0")], PreconditionFailed),
        (&[("If-Match", "\"a,b\""), ("Range", "bytes=0-0")], Part(0..1)),
    ] {
        assert_eq!(get(lines), expected, "{lines:?}");
    }
}

#[test]
fn writes_are_guarded() {
    let absent = None;
    let there = Some(&FILE);
    for (lines, current, expected) in [
        (&[][..], absent, true),
        (&[], there, true),
        (&[("If-None-Match", "*")], absent, true),
        (&[("If-None-Match", "*")], there, false),
        (&[("If-None-Match", "\"a,b\"")], there, false),
        (&[("If-None-Match", "W/\"a,b\"")], there, false),
        (&[("If-None-Match", "\"x\"")], there, true),
        (&[("If-None-Match", "\"x\"")], absent, true),
        (&[("If-None-Match", "x")], there, false),
        (&[("If-None-Match", "x")], absent, false),
        (&[("If-Match", "*")], absent, false),
        (&[("If-Match", "*")], there, true),
        (&[("If-Match", "\"a,b\"")], absent, false),
        (&[("If-Match", "\"a,b\"")], there, true),
        (&[("If-Match", "\"a,b\""), ("If-None-Match", "*")], there, false),
        (&[("If-Match", "\"old\"")], there, false),
        (&[("If-Match", "old")], there, false),
        (&[("If-Unmodified-Since", EARLIER)], there, false),
        (&[("If-Unmodified-Since", EARLIER)], absent, true),
        (&[("If-Modified-Since", LATER), ("Range", "bytes=0-0")], there, true),
    ] {
        assert_eq!(with(lines, |headers| allows_write(headers, current)), expected, "{lines:?} {current:?}");
        if let Some(current) = current {
            let expected = if expected { Whole } else { PreconditionFailed };
            assert_eq!(outcome(lines, current, Access::Change), expected, "{lines:?}");
        }
    }
}

#[test]
fn a_file_without_a_tag_matches_only_the_star() {
    let bare = Representation { etag: "", ..FILE };
    assert_eq!(outcome(&[("If-None-Match", "\"\"")], &bare, Access::Get), Whole);
    assert_eq!(outcome(&[("If-None-Match", "*")], &bare, Access::Get), NotModified);
    assert_eq!(outcome(&[("If-Match", "\"\"")], &bare, Access::Get), PreconditionFailed);
}

#[test]
fn single_ranges() {
    for (value, expected) in [
        ("bytes=0-0", Part(0..1)),
        ("bytes=0-", Part(0..100)),
        ("bytes=10-19", Part(10..20)),
        ("BYTES=99-99", Part(99..100)),
        ("bytes=90-100", Part(90..100)),
        ("bytes=90-18446744073709551615", Part(90..100)),
        ("bytes=90-99999999999999999999999", Part(90..100)),
        ("bytes=-1", Part(99..100)),
        ("bytes=-100", Part(0..100)),
        ("bytes=-99999999999999999999999", Part(0..100)),
        ("bytes= 5-6 ,", Part(5..7)),
        ("bytes=100-", NotSatisfiable),
        ("bytes=100-200", NotSatisfiable),
        ("bytes=99999999999999999999999-", NotSatisfiable),
        ("bytes=-0", NotSatisfiable),
        ("bytes=-0,200-", NotSatisfiable),
        ("bytes=200-,1-2", Part(1..3)),
    ] {
        assert_eq!(range(value), expected, "{value}");
    }
}

#[test]
fn what_breaks_the_grammar_is_ignored() {
    for value in [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=--1",
        "bytes=a-b",
        "bytes=0x1-2",
        "bytes=+1-2",
        "bytes=1 -2",
        "bytes=1- 2",
        "bytes=2-1",
        "bytes=0-1,2-1",
        "bytes=0-1;2-3",
        "bytes=0-1-2",
        "bytes 0-1",
        "bytes =0-1",
        "lines=0-1",
        "bits=0-1",
        "0-1",
    ] {
        assert_eq!(range(value), Whole, "{value}");
    }
    assert_eq!(get(&[("Range", "bytes=0-1"), ("Range", "bytes=0-1")]), Whole);
    assert_eq!(outcome(&[("Range", "bytes=0-1")], &FILE, Access::Head), Whole);
    assert_eq!(outcome(&[("Range", "bytes=0-1")], &FILE, Access::Change), Whole);
}

#[test]
fn several_ranges_keep_their_order_and_must_not_overlap() {
    assert_eq!(range("bytes=0-1,4-5"), Parts(vec![0..2, 4..6]));
    assert_eq!(range("bytes=4-5, 0-1, -1"), Parts(vec![4..6, 0..2, 99..100]));
    assert_eq!(range("bytes=0-1,2-3"), Parts(vec![0..2, 2..4]));
    assert_eq!(range("bytes=0-1,200-"), Part(0..2));
    assert_eq!(range("bytes=0-1,1-2"), Whole);
    assert_eq!(range("bytes=0-9,2-3"), Whole);
    assert_eq!(range("bytes=0-,-1"), Whole);
    let many = |count: u64| {
        let specs: Vec<_> = (0..count).map(|at| format!("{}-{}", at * 3, at * 3)).collect();
        range(&format!("bytes={}", specs.join(",")))
    };
    assert_eq!(many(32), Parts((0..32).map(|at| at * 3..at * 3 + 1).collect()));
    assert_eq!(many(33), Whole);
    let hopeless = "200-,".repeat(33);
    assert_eq!(range(&format!("bytes={hopeless}")), Whole);
}

#[test]
fn of_nothing_nothing_can_be_cut() {
    let empty = Representation { length: 0, ..FILE };
    for (value, expected) in [
        ("bytes=0-", Whole),
        ("bytes=0-9", Whole),
        ("bytes=-5", Whole),
        ("bytes=-0", NotSatisfiable),
        ("bytes=1-", NotSatisfiable),
    ] {
        assert_eq!(outcome(&[("Range", value)], &empty, Access::Get), expected, "{value}");
    }
}

#[test]
fn if_range_holds_for_the_very_same_file_only() {
    let weak = Representation { etag: "W/\"a\"", ..FILE };
    let bare = Representation { etag: "", ..FILE };
    let dateless = Representation { modified: None, ..FILE };
    for (current, value, holds) in [
        (&FILE, "\"a,b\"", true),
        (&FILE, "W/\"a,b\"", false),
        (&FILE, "\"x\"", false),
        (&FILE, "\"a,b\", \"x\"", false),
        (&FILE, "*", false),
        (&FILE, "", false),
        (&FILE, DATE, true),
        (&FILE, "Sun Nov  6 08:49:37 1994", true),
        (&FILE, EARLIER, false),
        (&FILE, LATER, false),
        (&weak, "W/\"a\"", false),
        (&weak, "\"a\"", false),
        (&weak, DATE, false),
        (&bare, DATE, true),
        (&bare, "\"\"", false),
        (&dateless, DATE, false),
    ] {
        let expected = if holds { Part(1..3) } else { Whole };
        let lines = [("Range", "bytes=1-2"), ("If-Range", value)];
        assert_eq!(outcome(&lines, current, Access::Get), expected, "{value} {current:?}");
    }
    let twice = [("Range", "bytes=1-2"), ("If-Range", "\"a,b\""), ("If-Range", "\"a,b\"")];
    assert_eq!(get(&twice), Whole);
    assert_eq!(get(&[("Range", "bytes=200-"), ("If-Range", "\"x\"")]), Whole);
}

#[test]
fn the_frame_of_several_parts_is_as_long_as_it_says() {
    let frame = ByteRanges { boundary: "b0", media_type: "text/plain", length: 100 };
    let ranges = [0..2, 98..100];
    let mut body = String::new();
    for range in &ranges {
        body += &frame.part_head(range);
        body += "xy";
    }
    body += &frame.closing();
    assert_eq!(
        body,
        "\r\n--b0\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/100\r\n\r\nxy\
         \r\n--b0\r\nContent-Type: text/plain\r\nContent-Range: bytes 98-99/100\r\n\r\nxy\r\n--b0--\r\n"
    );
    assert_eq!(frame.total(&ranges), body.len() as u64);
    assert_eq!(frame.content_type(), "multipart/byteranges; boundary=\"b0\"");
    assert_eq!(unsatisfied(100), "bytes */100");
}

proptest! {
    #[test]
    fn no_value_upsets_the_verdict(
        names in proptest::collection::vec(0usize..6, 0..6),
        values in proptest::collection::vec("[ -~é]{0,20}|bytes=[0-9, -]{0,20}|(W/)?\"[a-c,]{0,3}\"|\\*", 6),
        length in any::<u64>(),
    ) {
        const NAMES: [&str; 6] =
            ["If-Match", "If-None-Match", "If-Range", "Range", "If-Modified-Since", "If-Unmodified-Since"];
        let lines: Vec<_> = names.iter().map(|&at| (NAMES[at], values[at].as_str())).collect();
        let current = Representation { length, ..FILE };
        for access in [Access::Get, Access::Head, Access::Change] {
            let ranges = match outcome(&lines, &current, access) {
                Part(range) => vec![range],
                Parts(ranges) => {
                    prop_assert!(ranges.len() >= 2 && ranges.len() <= RANGES_MAX);
                    ranges
                }
                _ => vec![],
            };
            prop_assert!(ranges.is_empty() || access == Access::Get);
            for range in ranges {
                prop_assert!(range.start < range.end && range.end <= length, "{range:?}");
            }
        }
        with(&lines, |headers| allows_write(headers, Some(&current)));
        with(&lines, |headers| allows_write(headers, None));
    }

    #[test]
    fn ranges_inside_the_length_are_given_as_asked(first in 0u64..1000, size in 1u64..1000, spare in 0u64..1000) {
        let current = Representation { length: first + size + spare, ..FILE };
        let asked = format!("bytes={first}-{}", first + size - 1);
        prop_assert_eq!(outcome(&[("Range", &asked)], &current, Access::Get), Part(first..first + size));
        let told = content_range(&(first..first + size), current.length);
        prop_assert_eq!(told, format!("bytes {first}-{}/{}", first + size - 1, current.length));
    }
}
