//! Any bytes as a JSON body, against the reader it stands on.
#![no_main]

use hythe::site::body;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let is_json = body::check(bytes);
    let reference = serde_json::from_slice::<Value>(bytes);
    match body::object(bytes) {
        Ok(members) => {
            assert!(is_json.is_ok());
            for (at, (name, _)) in members.iter().enumerate() {
                assert!(members[..at].iter().all(|(earlier, _)| earlier != name), "each name once");
            }
            // Its limit of depth is a level short of ours.
            if let Ok(reference) = reference {
                let reference = reference.as_object().expect("an object");
                assert_eq!(members.len(), reference.len());
                assert!(members.iter().all(|(name, value)| reference.get(name) == Some(value)));
            }
        }
        Err(fault) if fault.code == "bad_field" => assert!(is_json.is_ok()),
        Err(fault) => {
            assert_eq!(fault.code, "invalid_json");
            assert!(!matches!(reference, Ok(Value::Object(_))), "what others read is read");
        }
    }
    if serde_json::from_slice::<Value>(bytes).is_ok() {
        assert!(is_json.is_ok());
    }
});
