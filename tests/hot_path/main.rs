//! The hot path does little: no allocation, no system call but one receive and one send, and a slot that fits two cache lines.
//!
//! `counting` is an allocator that counts what its thread does; `quiet` is a world that does nothing of its own accord, so
//! that every count is the server's; `calls` looks at the real binary through strace(1).

mod calls;
mod counting;
mod quiet;

use hythe::os::Os;
use hythe::reactor::Reactor;
use hythe::reactor::slot::Brought;
use hythe::server::connection::{Connection, Done};
use hythe::site::state::Site;
use hythe::store::entry::Entry;

use crate::quiet::House;

/// Requests that are counted, after so many that are not.
const COUNTED: usize = 400;
const WARM_UP: usize = 40;

fn get(target: &str, fields: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: test\r\nAccept: */*\r\n{fields}\r\n").into_bytes()
}

/// How many allocations `COUNTED` of these requests cost, after the warm-up.
fn allocations(house: &mut House, request: &[u8], expected: &str) -> u64 {
    // What is counted falls into the second after a look at the disk.
    house.pass(1100);
    for _ in 0..WARM_UP {
        house.ask(request);
    }
    let before = counting::allocations();
    for _ in 0..COUNTED {
        house.ask(request);
    }
    let counted = counting::allocations() - before;
    assert!(house.answer().starts_with(expected.as_bytes()), "{}", house.answer().escape_ascii());
    counted
}

#[test]
fn a_hot_page_costs_no_allocation() {
    for has_log in [false, true] {
        let mut house = House::new(has_log);
        let page = get("/page.txt", "");
        let pipelined = page.repeat(16);
        let tag = house.tag("/page.txt");
        let head = [b"HEAD".as_slice(), &page[3..]].concat();
        for (what, request, expected) in [
            ("one at a time", page.clone(), "HTTP/1.1 200 OK\r\n"),
            ("sixteen at once", pipelined, "HTTP/1.1 200 OK\r\n"),
            ("HEAD", head, "HTTP/1.1 200 OK\r\n"),
            ("not modified", get("/page.txt", &format!("If-None-Match: {tag}\r\n")), "HTTP/1.1 304 "),
            ("as a browser asks", get("/page.txt", BROWSER), "HTTP/1.1 200 OK\r\n"),
        ] {
            let counted = allocations(&mut house, &request, expected);
            // The text of a log line's time is made anew each second.
            let allowed = if has_log { 10 } else { 0 };
            assert!(counted <= allowed, "{what}, log {has_log}: {counted} allocations in {COUNTED} requests");
        }
        // What is no part of the promise is told, not held to.
        for (what, request, expected) in [
            ("a range", get("/page.txt", "Range: bytes=0-9\r\n"), "HTTP/1.1 206 "),
            ("nothing there", get("/nothing", ""), "HTTP/1.1 404 "),
            ("health", get("/healthz", ""), "HTTP/1.1 200 OK\r\n"),
        ] {
            let counted = allocations(&mut house, &request, expected);
            println!("{what}: {:.2} allocations a request", counted as f64 / COUNTED as f64);
        }
    }
}

const BROWSER: &str = "Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en-GB,en;q=0.5\r\nSec-Fetch-Site: none\r\n\
     Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nUpgrade-Insecure-Requests: 1\r\nPriority: u=0\r\n";

#[test]
fn a_connection_that_comes_and_goes_leaves_nothing_allocated() {
    let mut house = House::new(false);
    let page = get("/page.txt", "");
    house.go();
    let mut held = 0;
    for round in 0..300 {
        house.come();
        house.ask(&page);
        house.go();
        if round == 100 {
            held = counting::held();
        }
    }
    let grown = counting::held() - held;
    assert!(grown <= 0, "{grown} bytes more are held after two hundred connections");
}

#[test]
fn an_idle_connection_is_its_slot_and_nothing_else() {
    type Real = Reactor<Connection<Site>, Os<Brought<Done<Site>>, Entry>>;
    println!("a slot has {} bytes", Real::SLOT_BYTES);
    const { assert!(Real::SLOT_BYTES <= 128, "a slot fits two cache lines") };
}

#[test]
fn a_hot_page_costs_one_receive_one_send_and_one_sleep() {
    calls::hold_to_budget();
}
