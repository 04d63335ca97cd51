//! Connections that are cut in the middle: a road to the server on which a number of them end early.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::place::{House, noise};

/// A house that answers to the road's address, and is open to those who come by it.
fn far_house(name: &str) -> House {
    House::open_with(name, &["--allow-host", "127.0.0.1", "--shared-write", "anyone"])
}

/// Which way is cut.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Up,
    Down,
}

/// A road to `url`: of the connections that carry more than `bytes` on their way, the first `cuts` end there.
fn road(url: &str, way: Way, bytes: usize, cuts: usize) -> String {
    let to = url.strip_prefix("http://").unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let road = format!("http://{}", listener.local_addr().unwrap());
    let left = Arc::new(AtomicUsize::new(cuts));
    thread::spawn(move || {
        for client in listener.incoming() {
            let (Ok(client), Ok(server)) = (client, TcpStream::connect(&to)) else { return };
            for here in [Way::Up, Way::Down] {
                let (from, into) = if here == Way::Up { (&client, &server) } else { (&server, &client) };
                let (from, into) = (from.try_clone().unwrap(), into.try_clone().unwrap());
                let left = left.clone();
                let most = if here == way { bytes } else { usize::MAX };
                thread::spawn(move || carry(from, into, most, &left));
            }
        }
    });
    road
}

fn carry(mut from: TcpStream, mut into: TcpStream, most: usize, left: &AtomicUsize) {
    let mut window = [0; 16 << 10];
    let mut carried = 0;
    loop {
        let read = match from.read(&mut window) {
            Ok(0) | Err(_) => break,
            Ok(read) => read,
        };
        carried += read;
        let is_cut = carried > most
            && left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1)).is_ok();
        if is_cut || into.write_all(&window[..read]).is_err() {
            let _ = from.shutdown(Shutdown::Both);
            break;
        }
    }
    let _ = into.shutdown(Shutdown::Both);
}

#[test]
fn a_download_that_is_cut_is_mended_and_arrives_whole() {
    let house = far_house("cut-get");
    let ada = house.person("ada");
    let bytes = noise(3 << 20);
    ada.file("f", &bytes);
    ada.run("put f").well();
    let mut far = ada.clone();
    far.url = road(&house.url, Way::Down, 700_000, 3);
    far.run("get f g").well();
    assert!(ada.read("g") == bytes);
    far.url = road(&house.url, Way::Down, 700_000, 3);
    assert!(far.run("get f -").bytes == bytes);
}

#[test]
fn a_download_that_cannot_be_mended_is_kept_and_goes_on_later() {
    let house = far_house("cut-often");
    let ada = house.person("ada");
    let bytes = noise(2 << 20);
    ada.file("f", &bytes);
    ada.run("put f").well();
    let mut far = ada.clone();
    // After the first, each ends before a byte of the body has come.
    far.url = road(&house.url, Way::Down, 100, usize::MAX);
    far.run("get f g").ends(3, "closed the connection without an answer");
    assert!(!ada.has("g") && !ada.has("g.part"));
    far.url = road(&house.url, Way::Down, 150_000, 1000);
    ada.file("g.part", &bytes[..500_000]);
    far.run("get -c f g").well();
    assert!(ada.read("g") == bytes);
}

#[test]
fn an_upload_that_is_cut_goes_on_where_it_was_cut_off() {
    let house = far_house("cut-put");
    let ada = house.person("ada");
    let bytes = noise(20 << 20);
    ada.file("f", &bytes);
    let mut far = ada.clone();
    far.url = road(&house.url, Way::Up, 6_000_000, 2);
    far.run("put f").well();
    assert!(ada.run("get f -").bytes == bytes);
    // The last word is lost on its way back, too.
    for bytes_back in [100, 900, 1500] {
        far.url = road(&house.url, Way::Down, bytes_back, 1);
        far.run("put -f f --as g").well();
        assert!(ada.run("get g -").bytes == bytes, "{bytes_back}");
    }
}

#[test]
fn the_same_upload_asked_for_again_does_not_begin_again() {
    let house = House::open("again");
    let ada = house.person("ada");
    let bytes = noise(20 << 20);
    ada.file("f", &bytes);
    let mut child = ada.command(&["put", "f"]).spawn().unwrap();
    let uploads = ada.home.join("state/hythe/uploads.json");
    crate::place::wait_until("the upload", || uploads.exists());
    child.kill().unwrap();
    child.wait().unwrap();
    let told = ada.run("put f");
    assert_eq!(told.code, 0, "{}", told.err);
    assert!(ada.run("get f -").bytes == bytes);
    assert_eq!(ada.run("ls").well(), "f\n");
    assert_eq!(std::fs::read_to_string(&uploads).unwrap(), "{}");
    assert!(crate::place::is_private(&uploads));
}
