//! What a program pays for a route of its own: an embedded server whose only route answers a text of 12 bytes.

use std::error::Error;
use std::io::Write;

use hythe::{Method, Response, Server};

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".into());
    let mut server = Server::new(());
    server.rules().keepalive_requests = 0;
    server.marks().connections_max = 12_000;
    server.add_route(&[Method::Get], "/hello", |_, _, _| Response::text("hello, world"))?;
    server.listen(address)?;
    println!("route: ready on http://{}", server.addresses()[0]);
    std::io::stdout().flush()?;
    server.run()?;
    Ok(())
}
