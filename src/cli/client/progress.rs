//! How far a transfer has come, on stderr, for a person only.

use std::io::{self, Read};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::client::voice::{Voice, plain};

/// A line that tells name, share, amount, rate and time left. Where nobody looks it does nothing.
pub struct Progress(ProgressBar);

impl Progress {
    /// Begins at `done` of `total`, where that is known.
    pub fn new(voice: &Voice, name: &str, total: Option<u64>, done: u64) -> Progress {
        if voice.is_quiet || !voice.is_heard {
            return Progress(ProgressBar::hidden());
        }
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(5));
        let template = match total {
            Some(_) => {
                "{msg:.30!} {percent:>3}% [{bar:20}] {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta} left"
            }
            None => "{msg:.30!} {binary_bytes} {binary_bytes_per_sec} {elapsed}",
        };
        let style = ProgressStyle::with_template(template).expect("a template of our own");
        bar.set_style(style.progress_chars("=> "));
        bar.set_message(plain(name).into_owned());
        bar.set_position(done);
        bar.reset_eta();
        Progress(bar)
    }

    /// So much more is done.
    pub fn step(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    /// So much is done.
    pub fn is_at(&self, done: u64) {
        self.0.set_position(done);
    }

    /// Says something above the line.
    pub fn say(&self, text: &str) {
        self.0.println(text);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // What stays on the screen is what the command says of its result.
        self.0.finish_and_clear();
    }
}

/// A reader that tells how far it has come.
pub struct Told<'p, R> {
    /// What is read.
    pub from: R,
    /// To whom it is told.
    pub progress: &'p Progress,
}

impl<R: Read> Read for Told<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(into)?;
        self.progress.step(read as u64);
        Ok(read)
    }
}
