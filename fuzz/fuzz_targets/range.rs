//! Any Range field on a file of any length: what is sent lies inside it, without overlaps, and is told rightly.
#![no_main]

use hythe::http::conditions::{
    Access, ByteRanges, Outcome, RANGES_MAX, Representation, content_range, evaluate, unsatisfied,
};
use hythe::http::headers::Headers;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((length, value)) = bytes.split_first_chunk::<8>() else { return };
    // Most files are small, and a range must meet them; none is longer than a signed offset can tell.
    let length = u64::from_be_bytes(*length) >> (length[7] & 63) & i64::MAX as u64;
    let fields = [httparse::Header { name: "Range", value }];
    let current = Representation { etag: "\"a\"", modified: None, length };
    match evaluate(&Headers::new(&fields), &current, Access::Get) {
        Outcome::Whole => {}
        Outcome::NotSatisfiable => assert_eq!(unsatisfied(length), format!("bytes */{length}")),
        Outcome::Part(range) => {
            assert!(range.start < range.end && range.end <= length);
            assert_eq!(content_range(&range, length), format!("bytes {}-{}/{length}", range.start, range.end - 1));
        }
        Outcome::Parts(ranges) => {
            assert!((2..=RANGES_MAX).contains(&ranges.len()));
            let mut sorted = ranges.clone();
            sorted.sort_unstable_by_key(|range| range.start);
            assert!(sorted.iter().all(|range| range.start < range.end && range.end <= length));
            assert!(sorted.windows(2).all(|pair| pair[0].end <= pair[1].start), "no two overlap");
            let frame = ByteRanges { boundary: "b", media_type: "text/plain", length };
            let heads: usize = ranges.iter().map(|range| frame.part_head(range).len()).sum();
            let content: u64 = ranges.iter().map(|range| range.end - range.start).sum();
            assert_eq!(frame.total(&ranges), content + (heads + frame.closing().len()) as u64);
        }
        other => panic!("a Range alone cannot lead to {other:?}"),
    }
    let head = evaluate(&Headers::new(&fields), &current, Access::Head);
    assert_eq!(head, Outcome::Whole, "only GET has ranges");
});
