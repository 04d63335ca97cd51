//! A program that carries a server, and speaks TLS.

use std::sync::mpsc;
use std::thread;

use hythe::{Call, Context, Method, Response, Server};

use crate::client::{Client, usual};
use crate::keys::{Folder, make};

fn how(_: &mut (), _: &Call<'_>, cx: &mut Context<'_>) -> Response {
    Response::text(if cx.is_secure { "nobody listens" } else { "anybody may listen" })
}

#[test]
fn an_embedded_server_speaks_tls_beside_plain_http() {
    let folder = Folder::new("embedded");
    let pair = make(&folder.0, "a", "localhost", 90);
    let mut server = Server::new(());
    assert!(server.listen_encrypted("127.0.0.1:0").is_err(), "there is no certificate yet");
    assert!(server.set_certificates(&[(pair.key.clone(), pair.cert.clone())]).is_err(), "a key is no certificate");
    let (tell, told) = mpsc::channel();
    let certificates = [(pair.cert.clone(), pair.key.clone())];
    thread::spawn(move || {
        let mut server = Server::new(());
        server.add_route(&[Method::Get], "/how", how).expect("a pattern");
        server.set_certificates(&certificates).expect("they fit");
        server.listen_encrypted("127.0.0.1:0").expect("a port");
        server.listen("127.0.0.1:0").expect("a port");
        tell.send(server.addresses()).expect("somebody waits");
        server.run().expect("it serves");
    });
    let addresses = told.recv().expect("it listens");
    let request = "GET /how HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut client = Client::new(addresses[0], usual(), "localhost");
    client.shake().expect("hands are shaken");
    assert!(client.ask(request, "nobody listens").ends_with("nobody listens"));
    use std::io::{Read, Write};
    let mut plain = crate::client::socket(addresses[1]);
    plain.write_all(b"GET /how HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    plain.read_to_string(&mut answer).expect("it closes");
    assert!(answer.ends_with("anybody may listen"), "{answer}");
}
