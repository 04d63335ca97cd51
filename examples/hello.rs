//! The smallest server: one route.
//!
//! `cargo run --example hello 127.0.0.1:8081`, then `curl http://127.0.0.1:8081/hello/ada`.

use std::error::Error;

use hythe::{Call, Context, Method, Response, Server};

/// The server, still without an address.
pub fn server() -> Result<Server<()>, Box<dyn Error>> {
    let mut server = Server::new(());
    server.add_route(&[Method::Get], "/hello", |_, _, _| Response::text("hello, world"))?;
    server.add_route(&[Method::Get], "/hello/:name", |_: &mut (), call: &Call<'_>, _: &mut Context<'_>| {
        Response::text(format!("hello, {}", call.parameter("name").unwrap_or_default()))
    })?;
    Ok(server)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut server = server()?;
    server.listen(std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8081".to_owned()))?;
    server.take_signals();
    server.run()?;
    Ok(())
}
