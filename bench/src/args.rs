//! The words on a command line: `--name value`, `--flag`, and plain words.
//!
//! Every question takes its answer away, so that what is left at the end is what nobody understands.

use std::process::exit;

/// The words that have not been asked for yet.
#[derive(Debug)]
pub struct Args {
    left: Vec<String>,
    usage: &'static str,
}

impl Args {
    /// Takes the words of this process; `usage` is shown to who asks for help or is not understood.
    #[must_use]
    pub fn from_env(usage: &'static str) -> Self {
        Self::new(std::env::args().skip(1).collect(), usage)
    }

    /// Takes words from anywhere.
    #[must_use]
    pub fn new(words: Vec<String>, usage: &'static str) -> Self {
        let mut args = Self { left: words, usage };
        if args.flag("--help") || args.flag("-h") {
            println!("{usage}");
            exit(0);
        }
        args
    }

    /// Whether `name` stands there.
    pub fn flag(&mut self, name: &str) -> bool {
        let found = self.left.iter().position(|word| word == name);
        found.map(|at| self.left.remove(at)).is_some()
    }

    /// The word after `name`.
    pub fn text(&mut self, name: &str) -> Option<String> {
        let at = self.left.iter().position(|word| word == name)?;
        self.left.remove(at);
        if at == self.left.len() {
            self.complain(&format!("{name} wants a value"));
        }
        Some(self.left.remove(at))
    }

    /// The number after `name`, which may end in `k`, `m` or `g` (of 1024).
    pub fn number(&mut self, name: &str) -> Option<u64> {
        let text = self.text(name)?;
        let parsed = parse_size(&text);
        if parsed.is_none() {
            self.complain(&format!("{name} wants a number, not {text:?}"));
        }
        parsed
    }

    /// As [`Args::number`], as a count of things in memory.
    pub fn count(&mut self, name: &str) -> Option<usize> {
        self.number(name).and_then(|n| usize::try_from(n).ok())
    }

    /// The seconds after `name`, with a fraction.
    pub fn seconds(&mut self, name: &str) -> Option<f64> {
        let text = self.text(name)?;
        let parsed = text.parse().ok().filter(|s: &f64| s.is_finite() && *s >= 0.0);
        if parsed.is_none() {
            self.complain(&format!("{name} wants seconds, not {text:?}"));
        }
        parsed
    }

    /// Every value of a `name` that may be given more than once.
    pub fn every(&mut self, name: &str) -> Vec<String> {
        std::iter::from_fn(|| self.text(name)).collect()
    }

    /// The words that are not options; ends with a complaint if an option is left.
    #[must_use]
    pub fn words(self) -> Vec<String> {
        if let Some(unknown) = self.left.iter().find(|word| word.starts_with("--")) {
            self.complain(&format!("{unknown} is not an option here"));
        }
        self.left
    }

    /// Says what was not understood, and how to say it, and ends the process.
    pub fn complain(&self, what: &str) -> ! {
        eprintln!("{what}\n\n{}", self.usage);
        exit(2);
    }
}

fn parse_size(text: &str) -> Option<u64> {
    let (digits, unit) = match text.as_bytes().last()? {
        b'k' | b'K' => (&text[..text.len() - 1], 1 << 10),
        b'm' | b'M' => (&text[..text.len() - 1], 1 << 20),
        b'g' | b'G' => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_may_have_a_unit() {
        for (text, expected) in
            [("7", Some(7)), ("2k", Some(2048)), ("1G", Some(1 << 30)), ("", None), ("k", None), ("-1", None)]
        {
            assert_eq!(parse_size(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_asked_for_is_gone() {
        let words = ["small", "--rounds", "3", "--quick", "idle"].map(String::from).to_vec();
        let mut args = Args::new(words, "");
        assert_eq!(args.number("--rounds"), Some(3));
        assert!(args.flag("--quick"));
        assert!(!args.flag("--quick"));
        assert_eq!(args.words(), ["small", "idle"]);
    }
}
