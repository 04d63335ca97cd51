//! A key of the configuration: what it is called and holds, how a text gets into a [`Config`], and what is there as a text.
//! Which keys there are is in `options`; which of several values holds is decided in `layers`.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::cli::units;
use crate::config::Config;
use crate::config::limits::Rate;
use crate::config::secret::{OperatorToken, Secret, TokenSource};

/// One key.
pub struct Key {
    /// Its name in words joined by hyphens; the flag is `--name`.
    pub name: &'static str,
    /// What it holds, and where that stands in the configuration.
    pub kind: Kind,
    /// What holds when nothing was said: as it would be written, or, in brackets, in words.
    pub default: &'static str,
    /// What it means, in one line.
    pub help: &'static str,
    /// Why the default is what it is, or what to know before changing it.
    pub reason: &'static str,
}

/// Keys that belong together.
pub struct Group {
    /// The heading above them.
    pub title: &'static str,
    /// The keys, in the order they are shown.
    pub keys: &'static [Key],
}

/// What a key holds. Each kind carries the way to its field.
pub enum Kind {
    /// Milliseconds, written as `30s`.
    Duration(Zero, fn(&mut Config) -> &mut u64),
    /// Bytes, written as `64KiB`.
    Size(Zero, fn(&mut Config) -> &mut dyn Amount),
    /// A number without a unit, of which the least is given.
    Count(Zero, u64, fn(&mut Config) -> &mut dyn Amount),
    /// Bytes a second, written as `1KiB/s`; 0 is none.
    Flow(fn(&mut Config) -> &mut u64),
    /// So many within a time, written as `20/min`; the number is the least burst where none is said.
    Rate(u32, fn(&mut Config) -> &mut Rate),
    /// A folder that is always there.
    Folder(fn(&mut Config) -> &mut PathBuf),
    /// A file that need not be.
    File(fn(&mut Config) -> &mut Option<PathBuf>),
    /// Yes or no; the bool is what the field becomes by `--name`.
    Switch(bool, fn(&mut Config) -> &mut bool),
    /// One of a few words.
    Choice(&'static [&'static str], fn(&mut Config, &str), fn(&Config) -> Option<String>),
    /// A word with a form of its own; the first text is what to call it in help.
    Text(&'static str, fn(&mut Config, &str) -> Result<(), String>, fn(&Config) -> Option<String>),
    /// Several of them.
    List(&'static str, fn(&mut Config, &[&str]) -> Result<(), String>, fn(&Config) -> Vec<String>),
    /// An operator's token: it adds to those of other sources, is not for the file, and never shown.
    Token,
}

/// What 0 means for a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zero {
    /// No limit: the greatest value of the field.
    NoLimit,
    /// Nothing special.
    Nothing,
}

/// A field that holds a number.
pub trait Amount {
    /// The greatest value.
    fn most(&self) -> u64;
    /// The value.
    fn get(&self) -> u64;
    /// Changes the value, which is at most [`most`](Amount::most).
    fn put(&mut self, value: u64);
}

macro_rules! amounts {
    ($($type:ty)*) => {$(
        impl Amount for $type {
            fn most(&self) -> u64 {
                <$type>::MAX as u64
            }
            fn get(&self) -> u64 {
                *self as u64
            }
            fn put(&mut self, value: u64) {
                *self = value as $type;
            }
        }
    )*};
}
amounts! { u32 u64 usize }

/// Where a value came from; a later one goes before an earlier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// Nobody said anything.
    #[default]
    Default,
    /// The configuration file.
    File,
    /// The environment.
    Environment,
    /// The command line.
    Flag,
}

use Kind::{Choice, Count, Duration, File, Flow, Folder, List, Rate as PerTime, Size, Switch, Text, Token};
use Zero::NoLimit;

impl Key {
    /// The environment variable.
    pub fn variable(&self) -> String {
        match self.kind {
            // HYTHE_TOKEN is what a client shows; the operator's token must not be taken for it.
            Token => "HYTHE_OPERATOR_TOKEN".to_string(),
            _ => format!("HYTHE_{}", self.name.replace('-', "_").to_ascii_uppercase()),
        }
    }

    /// Whether it may stand in a configuration file. A token may not, for files are copied and shown;
    /// nor may the name of the file itself.
    pub fn is_for_files(&self) -> bool {
        !matches!(self.kind, Token) && self.name != "config"
    }

    /// Whether it may hold several values.
    pub fn is_list(&self) -> bool {
        matches!(self.kind, List(..))
    }

    /// Whether it is yes or no.
    pub fn is_switch(&self) -> bool {
        matches!(self.kind, Switch(..))
    }

    /// Whether its value is written as a bare number.
    pub fn is_count(&self) -> bool {
        matches!(self.kind, Count(..))
    }

    /// What its value is called in help.
    pub fn placeholder(&self) -> String {
        match &self.kind {
            Duration(..) => "TIME".to_string(),
            Size(..) => "SIZE".to_string(),
            Count(..) => "N".to_string(),
            Flow(..) => "SIZE/s".to_string(),
            PerTime(..) => "RATE".to_string(),
            Folder(..) => "DIR".to_string(),
            File(..) => "FILE".to_string(),
            Switch(..) => "true|false".to_string(),
            Choice(words, ..) => words.join("|"),
            Text(name, ..) | List(name, ..) => name.to_string(),
            Token => "TOKEN".to_string(),
        }
    }

    /// Whether 0 lifts the limit.
    pub fn is_lifted_by_zero(&self) -> bool {
        matches!(self.kind, Duration(NoLimit, _) | Size(NoLimit, _) | Count(NoLimit, ..) | Flow(_) | PerTime(..))
    }

    /// Puts `values` into the configuration: one, or for a list any number. What cannot be accepted is answered with
    /// a sentence that lacks only the name of the key.
    pub fn set(&self, config: &mut Config, values: &[OsString], layer: Layer) -> Result<(), String> {
        if let List(_, set, _) = &self.kind {
            let texts = values.iter().map(|value| text(value)).collect::<Result<Vec<_>, _>>()?;
            let items = texts.iter().flat_map(|text| text.split(',')).map(str::trim).filter(|item| !item.is_empty());
            return set(config, &items.collect::<Vec<_>>());
        }
        let [value] = values else { return Err("takes one value".to_string()) };
        match &self.kind {
            Folder(field) => *field(config) = path(value)?,
            File(field) => *field(config) = Some(path(value)?),
            Token => config.tokens.push(token(value, layer)?),
            _ => self.set_text(config, text(value)?.trim())?,
        }
        Ok(())
    }

    fn set_text(&self, config: &mut Config, value: &str) -> Result<(), String> {
        let refused = |why: &str| format!("{value:?} {why}");
        match &self.kind {
            Duration(zero, field) => put(field(config), *zero, units::duration_ms(value).map_err(refused)?),
            Size(zero, field) => put(field(config), *zero, units::size_bytes(value).map_err(refused)?),
            Count(zero, least, field) => {
                let count = units::count(value).map_err(refused)?;
                if count < *least {
                    return Err(refused(&format!("is too small; the least is {least}")));
                }
                put(field(config), *zero, count)
            }
            Flow(field) => *field(config) = units::bytes_per_second(value).map_err(refused)?,
            PerTime(least_burst, field) => *field(config) = units::rate(value, *least_burst).map_err(refused)?,
            Switch(meant, field) => {
                let is_on = yes_or_no(value).ok_or_else(|| refused("is neither true nor false"))?;
                *field(config) = is_on == *meant;
            }
            Choice(words, set, _) => {
                let word = value.to_ascii_lowercase();
                if !words.contains(&word.as_str()) {
                    return Err(refused(&format!("is none of {}", words.join(", "))));
                }
                set(config, &word);
            }
            Text(_, set, _) => set(config, value)?,
            List(..) | Folder(_) | File(_) | Token => unreachable!("set without text"),
        }
        Ok(())
    }

    /// What the configuration holds for this key, as it would be written; several for a list, none where nothing was
    /// said and for tokens.
    pub fn show(&self, config: &Config) -> Vec<String> {
        // The way to a field leads through `&mut`; a copy to walk on is cheaper than a second set of ways.
        let mut copy = config.clone();
        let shown = match &self.kind {
            Duration(zero, field) => units::duration_text(unless_no_limit(field(&mut copy), *zero)),
            Size(zero, field) => units::size_text(unless_no_limit(field(&mut copy), *zero)),
            Count(zero, _, field) => unless_no_limit(field(&mut copy), *zero).to_string(),
            Flow(field) => match *field(&mut copy) {
                0 => "0".to_string(),
                bytes => format!("{}/s", units::size_text(bytes)),
            },
            PerTime(_, field) => units::rate_text(*field(&mut copy)),
            Switch(meant, field) => (*field(&mut copy) == *meant).to_string(),
            Folder(field) => field(&mut copy).display().to_string(),
            File(field) => return field(&mut copy).iter().map(|path| path.display().to_string()).collect(),
            Choice(_, _, show) | Text(_, _, show) => return show(config).into_iter().collect(),
            List(_, _, show) => return show(config),
            Token => return Vec::new(),
        };
        vec![shown]
    }
}

fn put(field: &mut dyn Amount, zero: Zero, value: u64) {
    let most = field.most();
    // More than the field can say is no limit that anyone could reach.
    field.put(if value == 0 && zero == NoLimit { most } else { value.min(most) });
}

fn unless_no_limit(field: &mut dyn Amount, zero: Zero) -> u64 {
    if zero == NoLimit && field.get() == field.most() { 0 } else { field.get() }
}

fn text(value: &OsStr) -> Result<&str, String> {
    value.to_str().ok_or_else(|| format!("{value:?} is not UTF-8"))
}

fn path(value: &OsStr) -> Result<PathBuf, String> {
    if value.is_empty() { Err("needs a path".to_string()) } else { Ok(PathBuf::from(value)) }
}

fn token(value: &OsStr, layer: Layer) -> Result<OperatorToken, String> {
    let source = match layer {
        Layer::Flag => TokenSource::CommandLine,
        Layer::Environment => TokenSource::Environment,
        Layer::File | Layer::Default => TokenSource::File,
    };
    let secret = Secret::new(value.as_encoded_bytes().trim_ascii());
    if secret.is_empty() {
        Err("is empty; a token has one character at least".to_string())
    } else {
        Ok(OperatorToken { secret, source })
    }
}

fn yes_or_no(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}
