//! Medians, ratios, a table for the eye, and a record by date for later.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

/// Figures by name, in the order they are shown.
pub type Figures = Vec<(String, f64)>;

/// A table with more figures than these lies on its side.
const FIGURES_ABREAST_MAX: usize = 11;

/// All that was measured in one scenario: by contender, by figure, by round.
#[derive(Debug, Default)]
pub struct Results {
    contenders: Vec<String>,
    figures: Vec<String>,
    values: BTreeMap<(usize, usize), Vec<f64>>,
    /// Sentences that go below the table.
    pub remarks: Vec<String>,
}

impl Results {
    /// Keeps what one round showed of one contender.
    pub fn keep(&mut self, contender: &str, figures: Figures) {
        let row = place(&mut self.contenders, contender);
        for (name, value) in figures {
            let column = place(&mut self.figures, &name);
            self.values.entry((row, column)).or_default().push(value);
        }
    }

    /// Takes over what another part of the same scenario showed.
    pub fn join(&mut self, other: Self) {
        for ((row, column), values) in other.values {
            let (contender, figure) = (&other.contenders[row], &other.figures[column]);
            for value in values {
                self.keep(contender, vec![(figure.clone(), value)]);
            }
        }
        for remark in other.remarks {
            if !self.remarks.contains(&remark) {
                self.remarks.push(remark);
            }
        }
    }

    /// The median of a figure.
    #[must_use]
    pub fn median(&self, contender: &str, figure: &str) -> Option<f64> {
        let row = self.contenders.iter().position(|name| name == contender)?;
        let column = self.figures.iter().position(|name| name == figure)?;
        median(self.values.get(&(row, column))?)
    }

    /// The least of a figure.
    #[must_use]
    pub fn least(&self, contender: &str, figure: &str) -> Option<f64> {
        let row = self.contenders.iter().position(|name| name == contender)?;
        let column = self.figures.iter().position(|name| name == figure)?;
        self.values.get(&(row, column))?.iter().copied().reduce(f64::min)
    }

    /// The table: contenders by figures, and in each cell the ratio to the first contender.
    #[must_use]
    pub fn table(&self) -> String {
        let mut cells: Vec<Vec<String>> = vec![std::iter::once("server".into()).chain(self.figures.clone()).collect()];
        for (row, contender) in self.contenders.iter().enumerate() {
            let mut line = vec![contender.clone()];
            for column in 0..self.figures.len() {
                let value = self.values.get(&(row, column)).and_then(|values| median(values));
                let first = self.values.get(&(0, column)).and_then(|values| median(values));
                line.push(match (value, first) {
                    (None, _) => "-".into(),
                    (Some(value), Some(first)) if first > 0.0 => format!("{} ({:.2})", short(value), value / first),
                    (Some(value), _) => short(value),
                });
            }
            cells.push(line);
        }
        // A few servers with many figures are read more easily the other way round.
        if self.figures.len() > FIGURES_ABREAST_MAX {
            cells = (0..cells[0].len()).map(|at| cells.iter().map(|line| line[at].clone()).collect()).collect();
        }
        let widths: Vec<usize> =
            (0..cells[0].len()).map(|column| cells.iter().map(|line| line[column].len()).max().unwrap_or(0)).collect();
        let mut text = String::new();
        for line in cells {
            for (at, (cell, width)) in line.iter().zip(&widths).enumerate() {
                let _ = if at == 0 { write!(text, "  {cell:<width$}") } else { write!(text, "  {cell:>width$}") };
            }
            text.push('\n');
        }
        for remark in &self.remarks {
            let _ = writeln!(text, "  {remark}");
        }
        text
    }

    /// Adds what was measured to the record of today.
    ///
    /// # Errors
    /// If the record cannot be written.
    pub fn record(&self, folder: &Path, scenario: &str, command: &str) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let path = folder.join(format!("{}.csv", date(now)));
        let is_new = !path.exists();
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        if is_new {
            writeln!(
                file,
                "time,revision,kernel,scenario,server,figure,median,least,most,rounds,ratio_to_first,command"
            )?;
        }
        let (time, revision, kernel) = (clock(now), revision(), kernel());
        for ((row, column), values) in &self.values {
            let Some(middle) = median(values) else { continue };
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let first = self.values.get(&(0, *column)).and_then(|values| median(values)).filter(|first| *first > 0.0);
            let ratio = first.map_or(String::new(), |first| format!("{:.3}", middle / first));
            let (contender, figure) = (&self.contenders[*row], &self.figures[*column]);
            writeln!(
                file,
                "{time},{revision},{kernel},{scenario},{contender},{figure},{middle:.4},{least:.4},{most:.4},{},{ratio},{command}",
                values.len()
            )?;
        }
        Ok(())
    }
}

fn place(names: &mut Vec<String>, name: &str) -> usize {
    names.iter().position(|known| known == name).unwrap_or_else(|| {
        names.push(name.to_string());
        names.len() - 1
    })
}

/// The middle value; of two middle ones the lower.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len().checked_sub(1)? / 2).copied()
}

fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 || (value.fract() == 0.0) => format!("{value:.0}"),
        size if size >= 100.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

/// The revision that is measured: a short hash, with a mark if the tree has changes.
#[must_use]
pub fn revision() -> String {
    let git = |words: &[&str]| {
        let output = Command::new("git").args(words).stderr(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
    };
    let Some(hash) = git(&["rev-parse", "--short", "HEAD"]) else { return "unknown".into() };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|text| !text.is_empty());
    if changed { hash + "+" } else { hash }
}

/// The kernel's release, without the name of the machine.
#[must_use]
pub fn kernel() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_string()
}

/// The date of a Unix time, in UTC (the well-known reckoning by eras of 400 years).
fn date(unix_s: u64) -> String {
    let days = unix_s / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

fn clock(unix_s: u64) -> String {
    let of_day = unix_s % 86_400;
    format!("{:02}:{:02}:{:02}Z", of_day / 3600, of_day / 60 % 60, of_day % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (unix_s, expected) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (1_763_640_000, "2025-11-20"),
            (4_102_444_799, "2099-12-31"),
        ] {
            assert_eq!(date(unix_s), expected);
        }
        assert_eq!(clock(86_399), "23:59:59Z");
    }

    #[test]
    fn a_table_shows_the_ratio_to_the_first() {
        let mut results = Results::default();
        for value in [3.0, 1.0, 2.0] {
            results.keep("floor", vec![("us".into(), value)]);
            results.keep("other", vec![("us".into(), value * 2.0)]);
        }
        assert_eq!(results.median("floor", "us"), Some(2.0));
        let expected = "  server        us\n  floor   2 (1.00)\n  other   4 (2.00)\n";
        assert_eq!(results.table(), expected);
    }
}
