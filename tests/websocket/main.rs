//! Conformance to RFC 6455 over real sockets, against `examples/echo`: the cases that independent suites have, by their numbers.

mod client;
mod conformance;
mod flow;

#[allow(dead_code, reason = "its main is for people")]
#[path = "../../examples/echo.rs"]
mod echo;

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;

/// A server of its own, on a thread that ends with the process.
fn serve() -> SocketAddr {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let mut server = echo::server().unwrap();
        server.listen("127.0.0.1:0").unwrap();
        tell.send(server.addresses()[0]).unwrap();
        server.run().unwrap();
    });
    told.recv().unwrap()
}
