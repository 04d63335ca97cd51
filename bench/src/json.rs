//! One flat line of JSON: names and numbers, out of the load tool and into the harness.
//!
//! Not a JSON library: it reads only what it writes.

use std::fmt::Write as _;

/// A flat object under construction.
#[derive(Debug, Default)]
pub struct Line(String);

impl Line {
    /// Adds a number.
    pub fn number(&mut self, name: &str, value: f64) -> &mut Self {
        self.name(name);
        if value.fract() == 0.0 && value.abs() < 1e15 {
            let _ = write!(self.0, "{value:.0}");
        } else {
            let _ = write!(self.0, "{value:.4}");
        }
        self
    }

    /// Adds a word that needs no escaping.
    pub fn word(&mut self, name: &str, value: &str) -> &mut Self {
        self.name(name);
        let plain: String = value.chars().filter(|c| !c.is_control() && *c != '"' && *c != '\\').collect();
        let _ = write!(self.0, "\"{plain}\"");
        self
    }

    /// The whole line, without its newline.
    #[must_use]
    pub fn finish(&self) -> String {
        format!("{{{}}}", self.0)
    }

    fn name(&mut self, name: &str) {
        let comma = if self.0.is_empty() { "" } else { "," };
        let _ = write!(self.0, "{comma}\"{name}\":");
    }
}

/// The number under `name` in a line written by [`Line`].
#[must_use]
pub fn number(line: &str, name: &str) -> Option<f64> {
    let from = line.find(&format!("\"{name}\":"))? + name.len() + 3;
    let rest = &line[from..];
    rest[..rest.find([',', '}'])?].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut line = Line::default();
        line.number("requests", 12.0).word("mode", "clo\"sed").number("p50", 1.25);
        let text = line.finish();
        assert_eq!(text, r#"{"requests":12,"mode":"closed","p50":1.2500}"#);
        assert_eq!(number(&text, "requests"), Some(12.0));
        assert_eq!(number(&text, "p50"), Some(1.25));
        assert_eq!(number(&text, "p99"), None);
    }
}
