//! Any bytes as a PROXY header: what is whole stays so whatever follows, and no shorter beginning of it is whole or wrong.
#![no_main]

use hythe::os::proxied::{HEADER_MAX, Header, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| match read(bytes) {
    Header::Partial => assert!(bytes.len() < HEADER_MAX, "what may still come has an end"),
    Header::Wrong => {
        let longer = [bytes, b"\r\n"].concat();
        assert_eq!(read(&longer), Header::Wrong, "more does not mend a mistake");
    }
    Header::Whole { length, client } => {
        assert!(length <= bytes.len() && length <= HEADER_MAX);
        assert_eq!(read(&bytes[..length]), Header::Whole { length, client }, "what follows does not matter");
        for end in 0..length {
            assert_eq!(read(&bytes[..end]), Header::Partial);
        }
        if let Some(client) = client {
            assert_eq!(client.ip(), client.ip().to_canonical());
        }
    }
});
