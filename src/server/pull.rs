//! An answer's body on its way from a helper: a source is at home or away, never both. While one window leaves, the next is
//! drawn; a third is not begun before the first has left, so a slow reader holds up nobody but itself.

use std::io;

use crate::content::{More, Source};
use crate::http::framing::Encoder;
use crate::reactor::system::Lane;

/// How much is best drawn at once. Large enough that the trip's price vanishes, small enough that a thousand readers fit.
pub const WINDOW: usize = 128 << 10;

/// What a helper brings back from a source.
pub struct Drawn {
    source: Box<dyn Source>,
    window: Vec<u8>,
    outcome: io::Result<More>,
}

impl Drawn {
    /// The source, to be dropped where dropping may block.
    pub fn into_source(self) -> Box<dyn Source> {
        self.source
    }
}

/// A body being drawn.
pub struct Pull {
    /// At home; `None` while a helper has it, and when it is spent.
    source: Option<Box<dyn Source>>,
    /// A window that waits for the one before to leave.
    ready: Option<Vec<u8>>,
    is_over: bool,
    /// How it travels.
    pub encoder: Encoder,
}

/// Work for a helper.
pub type Trip = Box<dyn FnOnce() -> Drawn + Send>;

/// What is to be done when there is room for more.
#[derive(Debug)]
pub enum Next {
    /// Nothing: the source is away.
    Nothing,
    /// This leaves, and the source may be drawn from again.
    Window(Vec<u8>),
    /// All of it has left.
    Over,
}

impl Pull {
    /// A body of which nothing has been drawn.
    pub fn new(source: Box<dyn Source>, encoder: Encoder) -> Pull {
        Pull { source: Some(source), ready: None, is_over: false, encoder }
    }

    /// The lane its trips take.
    pub const LANE: Lane = Lane::Files;

    /// The next trip, if the source is at home and there is a place for what it brings.
    pub fn trip(&mut self) -> Option<Trip> {
        if self.ready.is_some() {
            return None;
        }
        let mut source = self.source.take()?;
        Some(Box::new(move || {
            let mut window = Vec::with_capacity(WINDOW);
            let outcome = source.draw(&mut window);
            Drawn { source, window, outcome }
        }))
    }

    /// A source has come home with a window.
    ///
    /// # Errors
    /// If it broke; what it had drawn before still counts.
    pub fn come_home(&mut self, drawn: Drawn) -> io::Result<()> {
        let Drawn { source, window, outcome } = drawn;
        self.source = Some(source);
        self.is_over = outcome? == More::No;
        if !window.is_empty() {
            self.ready = Some(window);
        }
        Ok(())
    }

    /// What leaves next, now that there is room.
    pub fn take_next(&mut self) -> Next {
        match self.ready.take() {
            Some(window) => Next::Window(window),
            None if self.is_over => Next::Over,
            None => Next::Nothing,
        }
    }

    /// Whether it will be drawn from no more.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// The source, if it is at home, to be dropped where dropping may block.
    pub fn abandon(self) -> Option<Box<dyn Source>> {
        self.source
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives so many windows of a byte each, then an error or the end.
    struct Few(u8, bool);

    impl Source for Few {
        fn draw(&mut self, window: &mut Vec<u8>) -> io::Result<More> {
            if self.0 == 0 && self.1 {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            window.push(self.0);
            self.0 = self.0.saturating_sub(1);
            Ok(if self.0 == 0 && !self.1 { More::No } else { More::Yes })
        }
    }

    #[test]
    fn a_window_waits_for_the_one_before_and_a_third_is_not_drawn() {
        let mut pull = Pull::new(Box::new(Few(3, false)), Encoder::Chunked);
        let first = pull.trip().expect("it is at home");
        assert!(pull.trip().is_none(), "it is away");
        assert!(matches!(pull.take_next(), Next::Nothing));
        pull.come_home(first()).unwrap();
        assert!(pull.trip().is_none(), "there is no place for what it would bring");
        assert!(matches!(pull.take_next(), Next::Window(window) if window == [3]));
        let second = pull.trip().expect("the first leaves");
        pull.come_home(second()).unwrap();
        assert!(matches!(pull.take_next(), Next::Window(window) if window == [2]));
        let third = pull.trip().expect("the second leaves");
        pull.come_home(third()).unwrap();
        assert!(pull.is_over());
        assert!(matches!(pull.take_next(), Next::Window(window) if window == [1]));
        assert!(matches!(pull.take_next(), Next::Over));
        assert!(pull.abandon().is_some(), "it is given back");
    }

    #[test]
    fn a_source_that_breaks_says_so_and_is_still_given_back() {
        let mut pull = Pull::new(Box::new(Few(0, true)), Encoder::Chunked);
        let trip = pull.trip().unwrap();
        assert!(pull.come_home(trip()).is_err());
        assert!(!pull.is_over() && pull.abandon().is_some());
    }
}
