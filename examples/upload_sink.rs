//! Takes a body of any length and answers with its SHA-256. It is hashed on a helper, window by window, and never gathered.
//!
//! `cargo run --example upload_sink 127.0.0.1:8083`, then `curl -T file http://127.0.0.1:8083/hash`.

use std::error::Error;

use hythe::{Fault, Method, Reply, Response, Server, Sink, Step};
use sha2::{Digest, Sha256};

struct Hashing(Sha256);

impl Sink<()> for Hashing {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.0.update(bytes);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Step<()> {
        let digest: String = self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Box::new(move |_, _| Response::text(digest).into())
    }
}

/// The server, still without an address.
pub fn server() -> Result<Server<()>, Box<dyn Error>> {
    let mut server = Server::new(());
    server.add_route(&[Method::Put, Method::Post], "/hash", |_, _, _| Reply::Receive {
        most: 0,
        sink: Box::new(Hashing(Sha256::new())),
    })?;
    Ok(server)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut server = server()?;
    server.listen(std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8083".to_owned()))?;
    server.take_signals();
    server.run()?;
    Ok(())
}
