//! The names the rows use for what differs from run to run.

use crate::house::House;
use crate::request::get_with;
use crate::wire::Wire;

/// What the names in the tables stand for in one house: `$host` (localhost and the port), `$port`, and the entity tags
/// `$tag` (data.bin), `$page` (page.html), `$css` and `$gz` (style.css as it is, and as its gzip sibling).
pub struct Scene {
    words: Vec<(&'static str, String)>,
}

impl Scene {
    pub fn of(house: &House) -> Scene {
        let port = house.port();
        let mut scene = Scene { words: vec![("$host", format!("localhost:{port}")), ("$port", port.to_string())] };
        for (word, target, encoding) in [
            ("$tag", "/data.bin", ""),
            ("$page", "/page.html", ""),
            ("$css", "/style.css", ""),
            ("$gz", "/style.css", "gzip"),
        ] {
            let mut wire = Wire::connect(house.address());
            let encoding = format!("Accept-Encoding: {encoding}");
            wire.send(&scene.fill(&get_with(target, &[&encoding, "Connection: close"])));
            let tag = wire.hear(false).ok().and_then(|answer| answer.field("etag").map(str::to_owned));
            scene.words.push((word, tag.unwrap_or_else(|| "\"no tag was given\"".to_owned())));
        }
        scene
    }

    /// `bytes` with every name replaced.
    pub fn fill(&self, bytes: &[u8]) -> Vec<u8> {
        let mut filled = Vec::with_capacity(bytes.len());
        let mut rest = bytes;
        while let Some(at) = memchr::memchr(b'$', rest) {
            filled.extend_from_slice(&rest[..at]);
            rest = &rest[at..];
            let word = self.words.iter().find(|(name, _)| rest.starts_with(name.as_bytes()));
            let (length, value) = word.map_or((1, "$"), |(name, value)| (name.len(), value.as_str()));
            filled.extend_from_slice(value.as_bytes());
            rest = &rest[length..];
        }
        filled.extend_from_slice(rest);
        filled
    }

    pub fn fill_text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.fill(text.as_bytes())).into_owned()
    }
}
