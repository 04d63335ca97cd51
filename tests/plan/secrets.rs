//! Secrets cannot be shown by mistake: their types derive nothing that writes them out, and nobody gives them such a thing. They are
//! compared by what compares in constant time, never by what is derived.

use crate::source::{self, Source};

/// The types that hold a secret or what is kept of one, and where.
const SECRETS: &[(&str, &str)] =
    &[("src/config/secret.rs", "Secret"), ("src/store/secret.rs", "Digest"), ("src/store/secret.rs", "Hash")];

/// What writes a value out.
const SHOWS: &[&str] = &["Debug", "Display", "Serialize", "LowerHex", "UpperHex", "ToString"];

/// What stands in the derive above a type.
fn derived<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let (before, _) = text.split_once(&format!("\npub struct {name}("))?;
    let above = before.rsplit("\n\n").next()?;
    above.split_once("#[derive(")?.1.split_once(")]").map(|(traits, _)| traits)
}

fn breaches(sources: &[Source]) -> Vec<String> {
    let mut breaches = Vec::new();
    for (file, name) in SECRETS {
        let Some(source) = sources.iter().find(|source| source.file == *file) else {
            breaches.push(format!("{file} is not there any more: say where {name} is"));
            continue;
        };
        let Some(traits) = derived(&source.text, name) else {
            breaches.push(format!("{file} has no {name} that derives anything"));
            continue;
        };
        let derives: Vec<&str> = traits.split(',').map(str::trim).collect();
        for shown in derives.iter().filter(|derived| SHOWS.contains(derived) || **derived == "PartialEq") {
            breaches.push(format!("{file}: {name} derives {shown}"));
        }
    }
    for source in sources {
        for (_, name) in SECRETS {
            for shows in SHOWS {
                for (at, _) in source.text.match_indices(&format!("{shows} for {name} {{")) {
                    let body = source.text[at..].split("\n}\n").next().unwrap_or_default();
                    // Its own name is no secret.
                    if !body.contains(&format!("f.write_str(\"{name}\")")) || body.contains("self.") {
                        breaches.push(format!("{}: {name} can be written out by {shows}", source.file));
                    }
                }
            }
        }
    }
    breaches
}

#[test]
fn secrets_are_shown_by_nothing_and_compared_by_nothing_that_is_derived() {
    let breaches = breaches(&source::all());
    assert!(breaches.is_empty(), "\n{}\n", breaches.join("\n"));
}

#[test]
fn whoever_would_show_a_secret_is_told() {
    let sources: Vec<Source> = [
        ("src/config/secret.rs", "//! x\n\n#[derive(Clone, Debug)]\npub struct Secret(Vec<u8>);\n"),
        (
            "src/store/secret.rs",
            "//! x\n\n/// A.\n#[derive(Clone, PartialEq)]\npub struct Digest([u8; 32]);\n\n#[derive(Clone)]\npub struct Hash(u8);\n\n\
             impl fmt::Debug for Hash {\n    fn fmt() {\n        f.write_str(\"Hash\")\n    }\n}\n",
        ),
        ("src/store/entry.rs", "//! x\nimpl fmt::Display for Digest {\n    fn fmt() { self.0 }\n}\n"),
    ]
    .map(|(file, text)| Source::new(file, text))
    .into();
    let expected = [
        "src/config/secret.rs: Secret derives Debug",
        "src/store/secret.rs: Digest derives PartialEq",
        "src/store/entry.rs: Digest can be written out by Display",
    ];
    assert_eq!(breaches(&sources), expected);
}
