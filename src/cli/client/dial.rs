//! A connection of our own to the server, encrypted where its URL says so: what the chat talks over.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::cli::client::secure::Secure;
use crate::cli::client::target::Base;

/// A stream that reads and writes.
trait Both: Read + Write {}
impl<T: Read + Write> Both for T {}

/// A connection.
pub struct Line {
    stream: Box<dyn Both>,
    /// The same socket, for its times.
    socket: TcpStream,
}

impl Line {
    /// Connects; no step of it may take longer than `patience`.
    ///
    /// # Errors
    /// If nobody is there, or it is not who it should be.
    pub fn open(base: &Base, secure: Option<&Secure>, patience: Duration) -> io::Result<Line> {
        let socket = dial(&base.host_and_port(), patience)?;
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(patience))?;
        socket.set_read_timeout(Some(patience))?;
        let stream = socket.try_clone()?;
        let stream: Box<dyn Both> = match secure {
            Some(secure) => Box::new(secure.wrap(base.host(), stream)?),
            None => Box::new(stream),
        };
        Ok(Line { stream, socket })
    }

    /// From now on a read takes no longer than this.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn set_read_timeout(&self, patience: Duration) -> io::Result<()> {
        self.socket.set_read_timeout(Some(patience))
    }
}

fn dial(to: &str, patience: Duration) -> io::Result<TcpStream> {
    let mut last = io::ErrorKind::NotFound.into();
    for address in to.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, patience) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

impl Read for Line {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.stream.read(into)
    }
}

impl Write for Line {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.stream.write(from)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
