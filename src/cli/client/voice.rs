//! What a command says, and to whom: results to stdout, everything else to stderr.
//!
//! What came from a server or another person may hold bytes that a terminal would obey; nothing of it is written as it came.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, ErrorKind, IsTerminal, Write};

use serde_json::Value;

use crate::cli::client::failure::Failure;

/// How to speak.
#[derive(Clone, Copy, Debug)]
pub struct Voice {
    /// Results as one JSON object a line.
    pub is_json: bool,
    /// No progress and no remarks.
    pub is_quiet: bool,
    /// Whether results go to a person.
    pub is_seen: bool,
    /// Whether remarks go to a person.
    pub is_heard: bool,
    /// Whether colours are welcome.
    pub has_colour: bool,
}

impl Voice {
    /// How to speak here; `has_colour` unless NO_COLOR is set.
    pub fn new(is_json: bool, is_quiet: bool, has_colour: bool) -> Voice {
        let is_seen = io::stdout().is_terminal();
        Voice { is_json, is_quiet, is_seen, is_heard: io::stderr().is_terminal(), has_colour: has_colour && is_seen }
    }

    /// Says a result: as an object, or as the text that a person reads.
    ///
    /// # Errors
    /// If stdout takes nothing.
    pub fn result(&self, object: &Value, text: impl FnOnce() -> String) -> Result<(), Failure> {
        if self.is_json { self.out(&object.to_string()) } else { self.out(&text()) }
    }

    /// A line to stdout, which may end with a line break already. A reader who has seen enough ends the command, and all is well.
    ///
    /// # Errors
    /// If stdout takes nothing.
    pub fn out(&self, line: &str) -> Result<(), Failure> {
        if line.is_empty() {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        let end: &[u8] = if line.ends_with('\n') { b"" } else { b"\n" };
        let written = out.write_all(line.as_bytes()).and_then(|()| out.write_all(end)).and_then(|()| out.flush());
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
            Err(error) => Err(Failure::local("write to stdout", &error)),
            Ok(()) => Ok(()),
        }
    }

    /// A remark to stderr. Where that is closed there is nobody to tell.
    pub fn remark(&self, text: &str) {
        if !self.is_quiet {
            let _ = writeln!(io::stderr(), "hythe: {}", plain(text));
        }
    }

    /// Text in a colour of the terminal's own, where colours are welcome.
    pub fn coloured(&self, code: u8, text: &str) -> String {
        if self.has_colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Text that no terminal obeys: control characters, and those that turn the direction of writing, are written out.
pub fn plain(text: &str) -> Cow<'_, str> {
    let is_odd = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if !text.contains(is_odd) {
        return Cow::Borrowed(text);
    }
    let mut written = String::new();
    for c in text.chars() {
        match c {
            '\t' => written.push(' '),
            c if is_odd(c) => {
                let _ = write!(written, "\\u{{{:x}}}", u32::from(c));
            }
            c => written.push(c),
        }
    }
    Cow::Owned(written)
}

/// A text member of an object; empty where there is none.
pub fn text<'v>(object: &'v Value, member: &str) -> &'v str {
    object.get(member).and_then(Value::as_str).unwrap_or_default()
}

/// Bytes as a person reads them, in powers of 1024 as the server's own limits are.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut amount = bytes as f64;
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{amount:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_terminal_obeys_what_is_said() {
        assert_eq!(plain("Grüße, 世界"), "Grüße, 世界");
        assert_eq!(plain("a\u{1b}[2Jb\u{9b}\u{7f}\n"), "a\\u{1b}[2Jb\\u{9b}\\u{7f}\\u{a}");
        assert_eq!(plain("a\tb\u{202e}c"), "a b\\u{202e}c");
    }

    #[test]
    fn sizes_are_short() {
        for (bytes, text) in [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 30, "5.0 GiB")] {
            assert_eq!(size(bytes), text);
        }
    }
}
