//! Says back what it hears: a WebSocket at `/echo`, text and binary, messages up to 16 MiB.
//!
//! `cargo run --example echo 127.0.0.1:9001`, then point a WebSocket client, or a conformance suite, at `ws://127.0.0.1:9001/echo`.
//! A client that sends without reading is not read either: at any time one message and some 64 KiB of answers wait for it.

use std::error::Error;

use hythe::{Call, Context, Fault, Handshake, Message, Method, Reply, Said, Server, Talk};

const MESSAGE_MAX: u32 = 16 << 20;

struct Echo;

impl Talk<()> for Echo {
    fn message_max(&self) -> u32 {
        MESSAGE_MAX
    }

    fn on_message(&mut self, message: Message, _: &mut (), _: &mut Context<'_>) -> Said<()> {
        Said::nothing().message(message)
    }
}

fn echo(_: &mut (), call: &Call<'_>, _: &mut Context<'_>) -> Result<Reply<()>, Fault> {
    Ok(Reply::Talk(Handshake::of(call, &[])?, Box::new(Echo)))
}

/// The server, still without an address.
pub fn server() -> Result<Server<()>, Box<dyn Error>> {
    let mut server = Server::new(());
    server.add_route(&[Method::Get], "/echo", echo)?;
    Ok(server)
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".to_owned());
    let mut server = server()?;
    server.listen(address)?;
    eprintln!("listening on {:?}", server.addresses());
    server.run()?;
    Ok(())
}
