//! What is built from a part of this source is given all that Cargo asks for.

use std::fs;
use std::path::Path;

fn text(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

/// Cargo reads no manifest that names a target which is not there, whatever is to be built.
#[test]
fn the_container_is_built_with_every_folder_that_the_manifest_names() {
    let (manifest, container) = (text("Cargo.toml"), text("packaging/Containerfile"));
    let folders =
        [("[[example]]", "examples"), ("[[test]]", "tests"), ("[[bench]]", "benches"), ("[workspace]", "bench")];
    let named = folders.iter().filter(|(section, _)| manifest.lines().any(|line| line == *section));
    for folder in named.map(|(_, folder)| *folder).chain(["src", "www", ".cargo"]) {
        let line = format!("COPY {folder} {folder}");
        assert!(container.lines().any(|one| one == line), "packaging/Containerfile lacks {line}");
    }
}
