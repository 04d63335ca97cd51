//! The floor of uploads: one thread that receives into one buffer and writes it to a file, and has never heard of anything else.
//! What no server can go below by much. With `--sync` the file is on the disk before it is answered.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use hythe_bench::args::Args;

const USAGE: &str = "sink --listen ADDRESS --folder FOLDER [--sync]

  --buffer N           how much is received at once (256k)";

fn main() {
    let mut args = Args::from_env(USAGE);
    let listen = args.text("--listen").unwrap_or_else(|| "127.0.0.1:0".into());
    let folder = PathBuf::from(args.text("--folder").unwrap_or_else(|| ".".into()));
    let syncs = args.flag("--sync");
    let mut buffer = vec![0; args.count("--buffer").unwrap_or(256 << 10).max(1)];
    let _ = args.words();
    let outcome = TcpListener::bind(&listen).and_then(|listener| {
        println!("http://{}", listener.local_addr()?);
        io::stdout().flush()?;
        loop {
            let (mut stream, _) = listener.accept()?;
            stream.set_nodelay(true)?;
            // One that ends early ends nobody else's.
            while let Ok(true) = take(&mut stream, &mut buffer, &folder, syncs) {}
        }
    });
    if let Err::<(), _>(error) = outcome {
        eprintln!("sink: {error}");
        std::process::exit(1);
    }
}

/// One upload; says whether there may be another.
fn take(stream: &mut TcpStream, buffer: &mut [u8], folder: &Path, syncs: bool) -> io::Result<bool> {
    let mut held = 0;
    let end = loop {
        let got = stream.read(&mut buffer[held..])?;
        if got == 0 {
            return Ok(false);
        }
        held += got;
        if let Some(end) = buffer[..held].windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let mut left: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
    let mut file = File::create(folder.join("sink"))?;
    file.write_all(&buffer[end..held])?;
    left = left.saturating_sub(held - end);
    while left > 0 {
        let room = left.min(buffer.len());
        let got = stream.read(&mut buffer[..room])?;
        if got == 0 {
            return Ok(false);
        }
        file.write_all(&buffer[..got])?;
        left -= got;
    }
    if syncs {
        file.sync_all()?;
    }
    stream.write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")?;
    Ok(true)
}
