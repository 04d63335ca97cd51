//! A source file as far as the plan is concerned: the paths it names, and the file each of ours leads to.
//!
//! No parser of Rust: tokens without comments and texts, `use` trees, and every other path `a::b`. A module that is written
//! inside a file is taken as part of it.

use std::fs;
use std::path::Path;

/// A path that a file names, made absolute: `["crate", "http", "date"]`, or `["std", "thread"]`.
#[derive(Debug, PartialEq, Eq)]
pub struct Named {
    pub path: Vec<String>,
    pub line: usize,
}

/// One file of `src/`.
#[derive(Debug)]
pub struct Source {
    /// From the root of the repository: `src/http/date.rs`.
    pub file: String,
    /// As a module: `http::date`; `http` for `src/http/mod.rs`, nothing for `src/lib.rs`.
    pub module: Vec<String>,
    pub text: String,
    pub named: Vec<Named>,
    /// Lines with the word `unsafe`.
    pub unsafe_lines: Vec<usize>,
}

impl Source {
    pub fn new(file: &str, text: &str) -> Source {
        let module = module_of(file);
        let tokens = tokens(text);
        let unsafe_lines = tokens.iter().filter(|token| token.text == "unsafe").map(|token| token.line).collect();
        let named = Reader { tokens: &tokens, at: 0, inside: module.clone(), named: Vec::new() }.read();
        Source { file: file.to_owned(), module, text: text.to_owned(), named, unsafe_lines }
    }

    /// The room: the first folder, or the file's own name if it stands in none.
    pub fn room(&self) -> &str {
        match self.file.as_str() {
            "src/lib.rs" => "lib",
            "src/main.rs" => "main",
            _ => &self.module[0],
        }
    }

    pub fn is_mod(&self) -> bool {
        self.file.ends_with("/mod.rs")
    }
}

/// All of `src/`, in order.
pub fn all() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src")];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let file = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                sources.push(Source::new(&file, &fs::read_to_string(&path).unwrap()));
            }
        }
    }
    sources.sort_by(|one, other| one.file.cmp(&other.file));
    sources
}

fn module_of(file: &str) -> Vec<String> {
    let inside = file.strip_prefix("src/").unwrap().strip_suffix(".rs").unwrap();
    let inside = inside.strip_suffix("/mod").unwrap_or(inside);
    let names = inside.split('/').filter(|name| !matches!(*name, "lib" | "main"));
    names.map(str::to_owned).collect()
}

struct Token {
    text: String,
    line: usize,
}

/// Names, `::`, and single characters of punctuation; no comments, texts, characters or lifetimes.
fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            comment(rest)
        } else if let Some(length) = quoted(rest) {
            length
        } else if first == '\'' {
            character(rest)
        } else if first.is_alphabetic() || first == '_' {
            let length = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(rest.len());
            tokens.push(Token { text: rest[..length].to_owned(), line });
            length
        } else if rest.starts_with("::") {
            tokens.push(Token { text: "::".to_owned(), line });
            2
        } else {
            if !first.is_whitespace() {
                tokens.push(Token { text: first.to_string(), line });
            }
            first.len_utf8()
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    tokens
}

/// How long the comment is that `text` begins with; comments may hold comments.
fn comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    loop {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
        } else {
            at += rest.chars().next().map_or(0, char::len_utf8);
        }
        if depth == 0 || at >= text.len() {
            return at;
        }
    }
}

/// How long the text in quotes is that `text` begins with, prefix and hashes included.
fn quoted(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r", ""].into_iter().find(|prefix| {
        let rest = text.strip_prefix(prefix);
        rest.is_some_and(|rest| {
            rest.trim_start_matches('#').starts_with('"') && (prefix.ends_with('r') || rest.starts_with('"'))
        })
    })?;
    let rest = &text[prefix.len()..];
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    let inner = &rest[hashes + 1..];
    let before = prefix.len() + hashes + 1;
    if prefix.ends_with('r') {
        let end = format!("\"{}", "#".repeat(hashes));
        return Some(before + inner.find(&end).map_or(inner.len(), |at| at + end.len()));
    }
    let mut is_escaped = false;
    let end = inner.find(|letter| {
        let ends = letter == '"' && !is_escaped;
        is_escaped = letter == '\\' && !is_escaped;
        ends
    });
    Some(before + end.map_or(inner.len(), |at| at + 1))
}

/// How long the character or the lifetime is that `text` begins with.
fn character(text: &str) -> usize {
    let inner = &text[1..];
    if let Some(escape) = inner.strip_prefix('\\') {
        let letter = escape.chars().next().map_or(0, char::len_utf8);
        return 2 + letter + escape[letter..].find('\'').map_or(0, |at| at + 1);
    }
    let letter = inner.chars().next().map_or(0, char::len_utf8);
    if inner[letter..].starts_with('\'') { 1 + letter + 1 } else { 1 }
}

struct Reader<'t> {
    tokens: &'t [Token],
    at: usize,
    /// The module at this place, those inside the file too.
    inside: Vec<String>,
    named: Vec<Named>,
}

impl Reader<'_> {
    fn text(&self, ahead: usize) -> &str {
        self.tokens.get(self.at + ahead).map_or("", |token| &token.text)
    }

    fn line(&self) -> usize {
        self.tokens.get(self.at).map_or(0, |token| token.line)
    }

    fn is_name(&self, ahead: usize) -> bool {
        self.text(ahead).starts_with(|letter: char| letter.is_alphabetic() || letter == '_')
    }

    fn read(mut self) -> Vec<Named> {
        let mut depth = 0;
        let mut modules = Vec::new();
        while self.at < self.tokens.len() {
            match self.text(0) {
                "mod" if self.text(2) == "{" => {
                    self.inside.push(self.text(1).to_owned());
                    depth += 1;
                    modules.push(depth);
                    self.at += 3;
                }
                "{" => {
                    depth += 1;
                    self.at += 1;
                }
                "}" => {
                    if modules.last() == Some(&depth) {
                        modules.pop();
                        self.inside.pop();
                    }
                    depth -= 1;
                    self.at += 1;
                }
                "use" if self.is_name(1) || matches!(self.text(1), "::" | "{") => {
                    self.at += 1;
                    self.tree(&[]);
                }
                _ if self.is_name(0) && self.text(1) == "::" => self.path(),
                _ => self.at += 1,
            }
        }
        self.named
    }

    /// A path outside of a `use`.
    fn path(&mut self) {
        let line = self.line();
        let mut path = vec![self.text(0).to_owned()];
        self.at += 1;
        while self.text(0) == "::" && self.is_name(1) {
            path.push(self.text(1).to_owned());
            self.at += 2;
        }
        // What follows the `::` of a path with type arguments is a name of a thing, not of a module.
        if self.text(0) == "::" {
            self.at += 1;
        }
        self.add(path, line);
    }

    /// A tree of a `use`, up to the comma, brace or semicolon behind it.
    fn tree(&mut self, before: &[String]) {
        let line = self.line();
        let mut path = before.to_vec();
        loop {
            match self.text(0) {
                "::" => self.at += 1,
                "{" => {
                    self.at += 1;
                    while !matches!(self.text(0), "}" | "") {
                        self.tree(&path);
                        if self.text(0) == "," {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    return;
                }
                "as" => self.at += 2,
                "*" => self.at += 1,
                "self" if !path.is_empty() => self.at += 1,
                _ if self.is_name(0) => {
                    path.push(self.text(0).to_owned());
                    self.at += 1;
                }
                _ => break,
            }
        }
        self.add(path, line);
    }

    fn add(&mut self, path: Vec<String>, line: usize) {
        let mut base = self.inside.clone();
        let mut rest = path.as_slice();
        let is_ours = match rest {
            [first, after @ ..] if first == "crate" => {
                base.clear();
                rest = after;
                true
            }
            [first, ..] if first == "super" => {
                while let [first, after @ ..] = rest
                    && first == "super"
                {
                    base.pop();
                    rest = after;
                }
                true
            }
            [first, after @ ..] if first == "self" => {
                rest = after;
                true
            }
            _ => false,
        };
        let path = if is_ours {
            std::iter::once("crate".to_owned()).chain(base).chain(rest.iter().cloned()).collect()
        } else {
            path
        };
        self.named.push(Named { path, line });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(file: &str, text: &str) -> Vec<(String, usize)> {
        Source::new(file, text).named.into_iter().map(|named| (named.path.join("::"), named.line)).collect()
    }

    fn one(path: &str, line: usize) -> (String, usize) {
        (path.to_owned(), line)
    }

    #[test]
    fn trees_of_use_are_taken_apart() {
        let text = "pub use crate::{http::{self, date as d, host::*},\n reactor};\nuse std::{io, thread};\nuse mio;";
        let expected = [
            one("crate::http", 1),
            one("crate::http::date", 1),
            one("crate::http::host", 1),
            one("crate::reactor", 2),
            one("std::io", 3),
            one("std::thread", 3),
            one("mio", 4),
        ];
        // The name that `as` gives is no part of the path.
        assert_eq!(named("src/site/chat.rs", text), expected);
    }

    #[test]
    fn paths_are_found_anywhere_and_made_absolute() {
        let text = "fn a(x: super::problem::Page) -> Vec::<u8> { self::b(); crate::path::c::<T>(libc::X) }\n\
                    mod tests { use super::*; use super::super::house; mod deep { use super::super::y; } }\n\
                    use super::z;";
        let expected = [
            one("crate::server::problem::Page", 1),
            one("Vec", 1),
            one("crate::server::access::b", 1),
            one("crate::path::c", 1),
            one("libc::X", 1),
            one("crate::server::access", 2),
            one("crate::server::house", 2),
            one("crate::server::access::y", 2),
            one("crate::server::z", 3),
        ];
        assert_eq!(named("src/server/access.rs", text), expected);
    }

    #[test]
    fn comments_texts_and_characters_name_nothing() {
        let text = "// crate::a\n/* crate::b /* c */ crate::d */ \"crate::e \\\" crate::f\" r#\"\"crate::g\"# b'\\'' '\"' \
                    '\\u{22}' 'a: loop { b\"\\\\\" } //! unsafe\nunsafe";
        let source = Source::new("src/path.rs", text);
        assert_eq!(source.named, []);
        assert_eq!(source.unsafe_lines, [3]);
    }
}
