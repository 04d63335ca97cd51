//! The process's signals, as events of the loop: a byte in a pipe wakes it, a flag says which it was.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mio::{Interest, Poll, Token};
use rustix::net::RecvFlags;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};

use crate::reactor::system::Signal;

/// The signals that mean something here.
pub(super) struct Signals {
    pipe: mio::net::UnixStream,
    raised: [(Arc<AtomicBool>, Signal); 5],
}

impl Signals {
    /// From now on they are for the loop with this poll, which is woken by `token`.
    pub(super) fn watch(poll: &Poll, token: Token) -> io::Result<Signals> {
        let (read, write) = std::os::unix::net::UnixStream::pair()?;
        read.set_nonblocking(true)?;
        let mut raised = Vec::new();
        for (number, signal) in [
            (SIGTERM, Signal::Drain),
            (SIGINT, Signal::Drain),
            (SIGHUP, Signal::Reload),
            (SIGUSR1, Signal::Status),
            (SIGUSR2, Signal::Upgrade),
        ] {
            let flag = Arc::new(AtomicBool::new(false));
            // In this order: when the pipe has a byte, the flag is up.
            signal_hook::flag::register(number, flag.clone())?;
            signal_hook::low_level::pipe::register(number, write.try_clone()?)?;
            raised.push((flag, signal));
        }
        let mut pipe = mio::net::UnixStream::from_std(read);
        poll.registry().register(&mut pipe, token, Interest::READABLE)?;
        let raised = raised.try_into().map_err(|_| io::Error::other("five signals are watched"))?;
        Ok(Signals { pipe, raised })
    }

    /// Those that have come since they were last taken.
    pub(super) fn take(&self) -> Vec<Signal> {
        let mut drained = [0u8; 64];
        while rustix::net::recv(&self.pipe, &mut drained, RecvFlags::empty()).is_ok_and(|(bytes, _)| bytes > 0) {}
        let raised = self.raised.iter().filter(|(flag, _)| flag.swap(false, Ordering::AcqRel));
        raised.map(|(_, signal)| *signal).collect()
    }
}
