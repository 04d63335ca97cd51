//! A server inside a foreign loop: the program waits on descriptors of its own and gives the server a turn when its descriptor is
//! readable, or when it wished for one.
//!
//! `cargo run --example own_loop 127.0.0.1:8084`, then `curl http://127.0.0.1:8084/ticks`.

use std::error::Error;
use std::time::Duration;

use hythe::{Call, Context, Method, Response, Running, Server, State};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use std::os::fd::AsRawFd;

/// What loop and handlers share.
#[derive(Default)]
pub struct Clock {
    /// How often the loop has come round.
    pub ticks: u64,
}

impl State for Clock {
    type Entry = ();
}

/// The server, still without an address.
pub fn server() -> Result<Server<Clock>, Box<dyn Error>> {
    let mut server = Server::new(Clock::default());
    server.add_route(&[Method::Get], "/ticks", |clock: &mut Clock, _: &Call<'_>, _: &mut Context<'_>| {
        Response::text(format!("{} ticks", clock.ticks))
    })?;
    server.add_route(&[Method::Post], "/stop", |_: &mut Clock, _: &Call<'_>, cx: &mut Context<'_>| {
        cx.close_house(1_000);
        Response::text("stopping")
    })?;
    Ok(server)
}

/// The program's loop.
pub fn go_round(mut running: Running<Clock>) -> Result<(), Box<dyn Error>> {
    let mut poll = Poll::new()?;
    poll.registry().register(&mut SourceFd(&running.as_raw_fd()), Token(0), Interest::READABLE)?;
    let mut events = Events::with_capacity(8);
    while !running.is_over() {
        running.state().ticks += 1;
        // Every turn takes all there is; what is left over is told by how soon the next one is wanted.
        let wanted = running.poll_once(Duration::ZERO)?.unwrap_or(Duration::MAX);
        poll.poll(&mut events, Some(wanted.min(Duration::from_millis(100))))?;
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut server = server()?;
    server.listen(std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8084".to_owned()))?;
    server.take_signals();
    go_round(server.start()?)
}
