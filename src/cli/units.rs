//! Durations, sizes and rates as people write them, both ways: `30s`, `4GiB`, `20/min`.
//!
//! What cannot be read is answered with a sentence's end that says what would be accepted: `is no duration; write …`.

use crate::config::limits::Rate;

/// One unit: how it is written (in small letters, the usual way first) and how many of the smallest unit it has.
type Unit = (&'static str, u64);

const SECOND_MS: u64 = 1000;
const DURATIONS: &[Unit] = &[
    ("d", 86_400 * SECOND_MS),
    ("h", 3600 * SECOND_MS),
    ("m", 60 * SECOND_MS),
    ("min", 60 * SECOND_MS),
    ("s", SECOND_MS),
    ("sec", SECOND_MS),
    ("ms", 1),
    ("", SECOND_MS),
];

// `k` alone is 1024, as in nginx and curl: whoever writes it speaks of memory.
const SIZES: &[Unit] = &[
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("T", 1 << 40),
    ("G", 1 << 30),
    ("M", 1 << 20),
    ("K", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1000),
    ("B", 1),
    ("", 1),
];

const PERIODS: &[Unit] = &[
    ("s", SECOND_MS),
    ("sec", SECOND_MS),
    ("min", 60 * SECOND_MS),
    ("m", 60 * SECOND_MS),
    ("h", 3600 * SECOND_MS),
    ("d", 86_400 * SECOND_MS),
];

/// Reads a duration in milliseconds: `500ms`, `30s`, `5m`, `24h`, `30d`; a bare number is seconds.
pub fn duration_ms(text: &str) -> Result<u64, &'static str> {
    measure(text, DURATIONS).ok_or("is no duration; write 500ms, 30s, 5m, 24h or 30d (a bare number is seconds)")
}

/// Reads a size in bytes: `64KiB`, `4GiB`, `10MB`; a bare number is bytes.
pub fn size_bytes(text: &str) -> Result<u64, &'static str> {
    measure(text, SIZES).ok_or("is no size; write 1024, 64KiB, 4GiB or 10MB (a bare number is bytes)")
}

/// Reads a number without a unit.
pub fn count(text: &str) -> Result<u64, &'static str> {
    measure(text, &[("", 1)]).ok_or("is no whole number")
}

/// Reads bytes a second: `1KiB/s`, or a size alone.
pub fn bytes_per_second(text: &str) -> Result<u64, &'static str> {
    let text = text.trim();
    measure(text.strip_suffix("/s").unwrap_or(text), SIZES)
        .ok_or("is no rate in bytes; write 1KiB/s, or 0 for no limit")
}

/// Reads a rate: `1/s`, `20/min`, `100/h`, `1/s burst 10`; 0 is off. Where no burst is said it is the count, and
/// `least_burst` if that is more.
pub fn rate(text: &str, least_burst: u32) -> Result<Rate, &'static str> {
    read_rate(text.trim(), least_burst).ok_or("is no rate; write 1/s, 20/min, 100/h or 1/s burst 10, or 0 for no limit")
}

fn read_rate(text: &str, least_burst: u32) -> Option<Rate> {
    if text == "0" {
        return Some(Rate::OFF);
    }
    let (steady, burst) = match text.split_once("burst") {
        Some((steady, burst)) => (steady.trim(), Some(small(burst)?)),
        None => (text, None),
    };
    let (count, period) = steady.split_once('/')?;
    let count = small(count)?;
    if count == 0 {
        return Some(Rate::OFF);
    }
    let period = period.trim();
    let per_ms = PERIODS.iter().find(|(name, _)| name.eq_ignore_ascii_case(period))?.1;
    // A bucket that holds nothing would let nothing pass.
    let burst = burst.unwrap_or(count.max(least_burst)).max(1);
    Some(Rate { count, per_ms, burst })
}

fn small(text: &str) -> Option<u32> {
    count(text).ok()?.try_into().ok()
}

/// Writes a duration, in the largest unit that says it exactly.
pub fn duration_text(ms: u64) -> String {
    exactly(ms, DURATIONS, "0")
}

/// Writes a size, in the largest binary unit that says it exactly.
pub fn size_text(bytes: u64) -> String {
    exactly(bytes, &SIZES[..4], "0")
}

/// Writes a rate as [`rate`] reads it.
pub fn rate_text(rate: Rate) -> String {
    if rate.is_off() {
        return "0".to_string();
    }
    let named = PERIODS.iter().find(|(_, ms)| *ms == rate.per_ms);
    let steady = match named {
        Some((name, _)) => format!("{}/{name}", rate.count),
        None => format!("{}/{}", rate.count, duration_text(rate.per_ms)),
    };
    if rate.burst == rate.count { steady } else { format!("{steady} burst {}", rate.burst) }
}

/// A number and one of `units`, with or without space between them.
fn measure(text: &str, units: &[Unit]) -> Option<u64> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim_start();
    let (_, factor) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

fn exactly(value: u64, units: &[Unit], zero: &str) -> String {
    if value == 0 {
        return zero.to_string();
    }
    match units.iter().find(|(name, factor)| !name.is_empty() && value.is_multiple_of(*factor)) {
        Some((name, factor)) => format!("{}{name}", value / factor),
        None => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_every_unit_and_a_bare_number_is_seconds() {
        for (text, ms) in [
            ("500ms", 500),
            ("30s", 30_000),
            ("30 s", 30_000),
            (" 5m ", 300_000),
            ("5min", 300_000),
            ("24h", 86_400_000),
            ("30D", 2_592_000_000),
            ("10", 10_000),
            ("0", 0),
            ("0ms", 0),
        ] {
            assert_eq!(duration_ms(text), Ok(ms), "{text:?}");
        }
        for text in
            ["", "s", "5x", "-5s", "+5s", "1.5s", "5 s s", "1h30m", "18446744073709551615", "99999999999999999999"]
        {
            assert!(duration_ms(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn sizes_are_read_in_binary_and_in_decimal_units() {
        for (text, bytes) in [
            ("1024", 1024),
            ("64KiB", 65_536),
            ("64 kib", 65_536),
            ("64k", 65_536),
            ("10MB", 10_000_000),
            ("4GiB", 4_294_967_296),
            ("1TiB", 1_099_511_627_776),
            ("7B", 7),
            ("0", 0),
        ] {
            assert_eq!(size_bytes(text), Ok(bytes), "{text:?}");
        }
        for text in ["", "KiB", "1XB", "-1", "1.5MiB", "16777216TiB", "1 000", "0x10"] {
            assert!(size_bytes(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn rates_are_read_with_and_without_a_burst() {
        let per = |count, per_ms, burst| Ok(Rate { count, per_ms, burst });
        for (text, least_burst, expected) in [
            ("1/s", 1, per(1, 1000, 1)),
            ("1/s", 10, per(1, 1000, 10)),
            ("50/s", 10, per(50, 1000, 50)),
            ("20/min", 1, per(20, 60_000, 20)),
            ("20 / m", 1, per(20, 60_000, 20)),
            ("3/h", 1, per(3, 3_600_000, 3)),
            ("1/d", 1, per(1, 86_400_000, 1)),
            ("1/s burst 4", 10, per(1, 1000, 4)),
            ("1/s burst 0", 10, per(1, 1000, 1)),
            ("0", 10, Ok(Rate::OFF)),
            ("0/s", 10, Ok(Rate::OFF)),
        ] {
            assert_eq!(rate(text, least_burst), expected, "{text:?}");
        }
        for text in ["", "1", "/s", "1/", "1/week", "1/s burst", "1/s burst x", "-1/s", "4294967296/s", "off"] {
            assert!(rate(text, 1).is_err(), "{text:?}");
        }
    }

    #[test]
    fn bytes_per_second_are_read_with_and_without_the_second() {
        for (text, bytes) in [("1KiB/s", 1024), ("1024", 1024), ("0", 0)] {
            assert_eq!(bytes_per_second(text), Ok(bytes), "{text:?}");
        }
        assert!(bytes_per_second("1KiB/min").is_err());
    }

    #[test]
    fn what_is_written_is_read_back_as_the_same() {
        for ms in [0, 1, 999, 1000, 1500, 60_000, 61_000, 86_400_000, 90_000_000] {
            assert_eq!(duration_ms(&duration_text(ms)), Ok(ms));
        }
        for bytes in [0, 1, 1000, 1024, 1025, 65_536, 10_000_000, 1 << 32] {
            assert_eq!(size_bytes(&size_text(bytes)), Ok(bytes));
        }
        for text in ["0", "1/s", "20/min", "1/s burst 10"] {
            assert_eq!(rate_text(rate(text, 1).unwrap()), text);
        }
    }
}
