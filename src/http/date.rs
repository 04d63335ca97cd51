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

/// How many bytes the form of asctime has.
const ASCTIME_BYTES: usize = 24;

/// Of 146,097 days.
const SECONDS_OF_400_YEARS: i64 = 146_097 * 86_400;

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

/// Reads any of the three forms of RFC 9110, section 5.6.7: IMF-fixdate, RFC 850 and asctime, as seconds since 1970, which are
/// negative before. `None` for all else: another zone, a day that does not exist or is not that day of the week.
///
/// A two-digit year is of 1970 to 2069. The section's own rule, fifty years around the present, would need a clock, and
/// no client that still sends the form has files from 1969.
pub fn parse(text: &str) -> Option<i64> {
    if let Some(seconds) = parse_since_1970(text) {
        return Some(seconds);
    }
    // Every 400 years the calendar begins anew, with the same day of the week: so the parser, which knows no time before 1970,
    // reads the same date of a year that it knows.
    let year = match text.len() {
        IMF_BYTES => 12..16,
        ASCTIME_BYTES => 20..24,
        _ => return None,
    };
    let digits = text.get(year.clone()).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    let written: u16 = digits.parse().ok()?;
    let cycles = 1970_u16.checked_sub(written)?.div_ceil(400);
    let mut later = text.to_owned();
    later.replace_range(year, &format!("{:04}", written + 400 * cycles));
    parse_since_1970(&later).map(|seconds| seconds - i64::from(cycles) * SECONDS_OF_400_YEARS)
}

fn parse_since_1970(text: &str) -> Option<i64> {
    let since = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
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
            assert_eq!(parse(fixdate), i64::try_from(seconds).ok());
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
            assert_eq!(parse(form), Some(784_111_777), "{form}");
        }
    }

    #[test]
    fn dates_before_1970_are_read() {
        for (form, seconds) in [
            ("Wed, 31 Dec 1969 23:59:59 GMT", -1),
            ("Wed Dec 31 23:59:59 1969", -1),
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Fri, 13 Dec 1901 20:45:52 GMT", -2_147_483_648),
            ("Tue, 29 Feb 1600 12:00:00 GMT", -11_670_955_200),
            ("Mon, 01 Jan 0001 00:00:00 GMT", -62_135_596_800),
        ] {
            assert_eq!(parse(form), Some(seconds), "{form}");
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
            "Tue, 31 Dec 1969 23:59:59 GMT",
            "Wed, 31 Dec 19é9 23:59:59 GM",
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
            prop_assert_eq!(parse(std::str::from_utf8(&imf(at)).unwrap()), i64::try_from(seconds).ok());
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
