//! Dates as HTTP and people write them: IMF-fixdate both ways, and the form of RFC 3339 in the API.
//!
//! All of them have a resolution of one second. A time beyond the year 9999 is written as the last second of that year,
//! for no form here has a fifth digit.

use std::io::Write;
use std::time::{Duration, UNIX_EPOCH};

use httpdate::HttpDate;
use time::OffsetDateTime;

use crate::clock::Wall;

/// How many bytes an IMF-fixdate has.
pub const IMF_BYTES: usize = 29;

/// 9999-12-31T23:59:59Z.
const LAST_SECOND: u64 = 253_402_300_799;

/// A time as IMF-fixdate (RFC 9110, section 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.
pub fn imf(at: Wall) -> [u8; IMF_BYTES] {
    let mut text = [b' '; IMF_BYTES];
    let date = HttpDate::from(UNIX_EPOCH + Duration::from_secs(at.as_seconds().min(LAST_SECOND)));
    write!(&mut text[..], "{date}").expect("an IMF-fixdate has 29 bytes");
    text
}

/// Appends a time as IMF-fixdate (RFC 9110, section 5.6.7).
pub fn format(at: Wall, out: &mut Vec<u8>) {
    out.extend_from_slice(&imf(at));
}

/// Reads any of the three forms of RFC 9110, section 5.6.7: IMF-fixdate, RFC 850 and asctime. `None` for all else: another
/// zone, a day that does not exist or is not that day of the week, a time before 1970.
///
/// A two-digit year is of 1970 to 2069. The section's own rule, fifty years around the present, would need a clock, and
/// no client that still sends the form has files from 1969.
pub fn parse(text: &str) -> Option<Wall> {
    let at = httpdate::parse_http_date(text).ok()?;
    at.duration_since(UNIX_EPOCH).ok().map(|since| Wall::from_seconds(since.as_secs()))
}

/// A time by RFC 3339, as the API's documents give it: `2026-11-20T10:11:12Z`.
pub fn rfc3339(at: Wall) -> String {
    let at = civil(at);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

fn civil(at: Wall) -> OffsetDateTime {
    i64::try_from(at.as_seconds().min(LAST_SECOND))
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(at: Wall) -> String {
        let mut out = Vec::new();
        format(at, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn both_forms_of_known_times() {
        for (seconds, fixdate, rfc3339_form) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT", "1970-01-01T00:00:00Z"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37Z"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT", "2000-02-29T00:00:00Z"),
            (1_795_169_472, "Fri, 20 Nov 2026 10:11:12 GMT", "2026-11-20T10:11:12Z"),
            (LAST_SECOND, "Fri, 31 Dec 9999 23:59:59 GMT", "9999-12-31T23:59:59Z"),
        ] {
            let at = Wall::from_seconds(seconds);
            assert_eq!(text(at), fixdate);
            assert_eq!(rfc3339(at), rfc3339_form);
            assert_eq!(parse(fixdate), Some(at));
        }
    }

    #[test]
    fn milliseconds_are_left_out_and_the_far_future_is_the_last_second() {
        assert_eq!(text(Wall::from_millis(1_999)), "Thu, 01 Jan 1970 00:00:01 GMT");
        for at in [Wall::from_seconds(LAST_SECOND + 1), Wall::from_millis(u64::MAX)] {
            assert_eq!(text(at), "Fri, 31 Dec 9999 23:59:59 GMT");
            assert_eq!(rfc3339(at), "9999-12-31T23:59:59Z");
        }
    }

    #[test]
    fn all_three_forms_are_read() {
        for form in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(parse(form), Some(Wall::from_seconds(784_111_777)), "{form}");
        }
    }

    #[test]
    fn what_is_not_a_date_is_none() {
        for form in [
            "",
            "0",
            "yesterday",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 +0100",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sat, 31 Feb 2026 08:49:37 GMT",
            "Sun, 06 Nov 0094 08:49:37 GMT",
            "Wed, 31 Dec 1969 23:59:59 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Növ 1994 08:49:37 GM",
        ] {
            assert_eq!(parse(form), None, "{form}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(seconds in 0..=LAST_SECOND) {
            let at = Wall::from_seconds(seconds);
            prop_assert_eq!(parse(std::str::from_utf8(&imf(at)).unwrap()), Some(at));
        }

        #[test]
        fn no_text_upsets_the_reader(text in "\\PC{0,40}") {
            let _ = parse(&text);
        }

        #[test]
        fn nearly_a_date_does_not_upset_it_either(text in "[A-Z][a-z]{2,8},? [0-9A-Za-z -]{1,12} [0-9:]{8} [GMT0-9é]{3,4}") {
            let _ = parse(&text);
        }
    }
}
