//! The log: simplelog in front of a writer that is handed in.
//!
//! simplelog writes one record in a dozen small pieces, so the writer should gather them; the server hands in one
//! that is emptied off the loop. Where clients' bytes get into a message, whoever writes the message escapes them.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use log::{LevelFilter, SetLoggerError};
use simplelog::{ConfigBuilder, WriteLogger};

use crate::cli::exit::Mistake;
use crate::config::Config;
use crate::config::choices::LogFormat;

/// Begins logging to `sink`, at the level and in the format of the configuration. Only once in a process.
pub fn start(config: &Config, sink: Box<dyn Write + Send>) -> Result<(), SetLoggerError> {
    // Both are one type, for simplelog and what it writes times with are compiled anew for each.
    let sink = match config.log_format {
        LogFormat::Text => sink,
        LogFormat::Json => Box::new(JsonLines::new(sink)),
    };
    WriteLogger::init(config.log_level, layout(), sink)
}

/// Where messages go when nothing gathers them: the configured file, or stderr.
pub fn open(config: &Config) -> Result<Box<dyn Write + Send>, Mistake> {
    match &config.log_file {
        Some(path) => Ok(Box::new(open_file(path)?)),
        None => Ok(Box::new(io::LineWriter::new(io::stderr()))),
    }
}

fn open_file(path: &Path) -> Result<File, Mistake> {
    open_at_end(path)
        .map_err(|error| Mistake::cannot_write(format!("cannot write the log {}: {error}", path.display())))
}

/// Opens a log to be written at its end. Logs tell who did what, so others may not read it.
pub fn open_at_end(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

/// How a record is laid out: `2026-11-20T10:11:12.131Z [INFO] message`; from debug on with its origin.
fn layout() -> simplelog::Config {
    ConfigBuilder::new()
        .set_time_level(LevelFilter::Error)
        .set_time_format_custom(simplelog::format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
        ))
        .set_level_padding(simplelog::LevelPadding::Off)
        .set_thread_level(LevelFilter::Off)
        .set_location_level(LevelFilter::Off)
        .set_target_level(LevelFilter::Debug)
        .build()
}

/// Turns lines of our own layout into JSON objects, one a line. simplelog knows text only.
struct JsonLines<W> {
    line: Vec<u8>,
    sink: W,
}

impl<W: Write> JsonLines<W> {
    fn new(sink: W) -> JsonLines<W> {
        JsonLines { line: Vec::new(), sink }
    }
}

impl<W: Write> Write for JsonLines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if self.line.last() == Some(&b'\n') {
                let object = object(String::from_utf8_lossy(&self.line).trim_end_matches('\n'));
                self.line.clear();
                self.sink.write_all(format!("{object}\n").as_bytes())?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

/// A line as an object; a line that is not of our layout (the rest of a message over several lines) is all message.
fn object(line: &str) -> String {
    let parts = line.split_once(" [").and_then(|(time, rest)| Some((time, rest.split_once("] ")?)));
    match parts {
        Some((time, (level, message))) if level.parse::<log::Level>().is_ok() => {
            let level = level.to_ascii_lowercase();
            format!(r#"{{"time":"{time}","level":"{level}","message":{}}}"#, quoted(message))
        }
        _ => format!(r#"{{"message":{}}}"#, quoted(line)),
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use log::{Level, Log, Record};
    use std::sync::{Arc, Mutex};

    /// A sink whose content outlives the logger.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(level: Level, message: &str, as_json: bool) -> String {
        let kept = Kept::default();
        let sink: Box<dyn Write + Send> =
            if as_json { Box::new(JsonLines::new(kept.clone())) } else { Box::new(kept.clone()) };
        let logger = WriteLogger::new(LevelFilter::Trace, layout(), sink);
        logger.log(&Record::builder().level(level).target("hythe::x").args(format_args!("{message}")).build());
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_message_is_a_line_with_its_time_in_utc() {
        let line = logged(Level::Warn, "the disk is full", false);
        let (time, rest) = line.split_at("2026-11-20T10:11:12.131Z".len());
        assert!(time.starts_with("20") && time.ends_with('Z'), "{line}");
        assert_eq!(rest, " [WARN] the disk is full\n");
        assert!(logged(Level::Debug, "x", false).ends_with("[DEBUG] hythe::x: x\n"));
    }

    #[test]
    fn a_message_in_json_is_one_object_on_one_line() {
        for (message, kept) in
            [("plain", "plain"), ("a \"b\" \\ \t c] d", "a \"b\" \\ \t c] d"), ("[x] ü\u{1}", "[x] ü\u{1}"), ("", "")]
        {
            let line = logged(Level::Info, message, true);
            let object: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(object["message"], kept);
            assert_eq!(object["level"], "info");
            assert!(object["time"].as_str().unwrap().ends_with('Z'), "{line}");
            assert_eq!(line.matches('\n').count(), 1);
        }
    }

    #[test]
    fn every_line_of_a_message_over_several_is_an_object() {
        let lines = logged(Level::Error, "first\nsecond", true);
        let messages: Vec<_> = lines
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["message"].clone())
            .collect();
        assert_eq!(messages, ["first", "second"]);
    }

    #[test]
    fn a_log_that_cannot_be_written_ends_with_73() {
        let config = Config { log_file: Some("/nowhere/at/all.log".into()), ..Config::default() };
        assert_eq!(open(&config).err().unwrap().exit.code(), 73);
    }
}
