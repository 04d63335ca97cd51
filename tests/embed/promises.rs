//! What the API promises beyond its examples: answers from elsewhere, handles, deadlines, panics, layers, precedence, doors.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use hythe::{Answerer, BadPattern, Call, Context, Fault, Handle, Method, Next, Reply, Response, Server, State};

use crate::world::{Made, ask, get, post, serve, serve_by};

/// Answerers that wait for a test to use them.
#[derive(Default)]
struct Waiting(Vec<Answerer>);

impl State for Waiting {
    type Entry = ();
}

/// Texts in the order in which they came.
#[derive(Default)]
struct Seen(Vec<String>);

impl State for Seen {
    type Entry = ();
}

fn later(waiting: &mut Waiting, call: &Call<'_>, cx: &mut Context<'_>) -> Result<Reply<Waiting>, Fault> {
    let (ticket, answerer) = call.later(cx, 5_000)?;
    waiting.0.push(answerer);
    Ok(Reply::Later(ticket))
}

fn waiting() -> Made<Waiting> {
    let mut server = Server::new(Waiting::default());
    server.add_route(&[Method::Get], "/later/:id", later)?;
    Ok(server)
}

#[test]
fn an_answer_may_come_later_or_too_late() {
    let mut stage = waiting().unwrap().rehearse();
    let guest = stage.connect();
    stage.send(&guest, b"GET /later/1 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(guest.take(), b"");
    stage.pass(Duration::from_secs(4));
    assert_eq!(guest.take(), b"");
    let answerer = stage.state().0.remove(0);
    answerer.send(Response::text("at last"));
    stage.settle();
    assert!(guest.take().ends_with(b"\r\n\r\nat last"));

    stage.send(&guest, b"GET /later/2 HTTP/1.1\r\nHost: a\r\n\r\n");
    stage.pass(Duration::from_secs(6));
    assert!(guest.take().starts_with(b"HTTP/1.1 504 "), "nobody answered in time");
    let answerer = stage.state().0.remove(0);
    answerer.send(Response::text("too late"));
    stage.send(&guest, b"GET /later/3 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(guest.take(), b"", "an answer to an earlier request is no answer to this one");
    drop(stage.state().0.remove(0));
    stage.settle();
    assert!(guest.take().starts_with(b"HTTP/1.1 500 "), "an answer that is lost is told at once");
}

#[test]
fn an_answer_comes_from_another_thread() {
    let make = || -> Made<()> {
        let mut server = Server::new(());
        server.add_route(&[Method::Get], "/thread", |_: &mut (), call: &Call<'_>, cx: &mut Context<'_>| {
            let (ticket, answerer) = call.later(cx, 60_000)?;
            thread::spawn(move || answerer.send(Response::text("from afar")));
            Ok::<Reply<()>, Fault>(Reply::Later(ticket))
        })?;
        Ok(server)
    };
    assert!(ask(serve(make), &get("/thread")).ends_with(b"from afar"));
}

#[test]
fn a_handler_that_panics_costs_its_own_request_only() {
    let make = || -> Made<()> {
        let mut server = Server::new(());
        server.add_route(&[Method::Get], "/good", |_, _, _| Response::text("good"))?;
        server.add_route(&[Method::Get], "/bad", |_, _, _| -> Response { panic!("a handler's mistake") })?;
        server.add_blocking(&[Method::Get], "/bad-helper", |_| -> Response { panic!("a helper's mistake") })?;
        Ok(server)
    };
    let mut stage = make().unwrap().rehearse();
    let other = stage.connect();
    stage.send(&other, b"GET /good HTTP/1.1\r\n");
    for path in ["/bad", "/bad-helper"] {
        assert!(stage.ask(&get(path)).starts_with(b"HTTP/1.1 500 "), "{path}");
        assert!(stage.ask(&get("/good")).ends_with(b"good"));
    }
    stage.send(&other, b"Host: a\r\n\r\n");
    assert!(other.take().ends_with(b"good"));
    assert!(ask(serve(make), &get("/bad-helper")).starts_with(b"HTTP/1.1 500 "));
}

#[test]
fn a_blocking_handler_has_its_time_and_helpers_have_their_measure() {
    let (go, wait) = mpsc::channel::<()>();
    let make = move || -> Made<()> {
        let mut server = Server::new(());
        server.set_helpers(1, 2);
        let wait = std::sync::Arc::new(std::sync::Mutex::new(wait));
        server.add_blocking_within(&[Method::Get], "/slow", Duration::from_millis(300), move |_| {
            let _ = wait.lock().unwrap().recv();
            Response::text("done")
        })?;
        Ok(server)
    };
    let address = serve(make);
    let ask_slow = move || thread::spawn(move || String::from_utf8(ask(address, &get("/slow"))).unwrap());
    let (one, two) = (ask_slow(), ask_slow());
    // Both places are taken once both have been told that it took too long; their helper is still at it.
    for told in [one.join().unwrap(), two.join().unwrap()] {
        assert!(told.starts_with("HTTP/1.1 504 "), "{told}");
    }
    let told = ask_slow().join().unwrap();
    assert!(told.starts_with("HTTP/1.1 503 ") && told.contains("\r\nRetry-After: "), "{told}");
    go.send(()).unwrap();
    go.send(()).unwrap();
    drop(go);
}

#[test]
fn a_layer_sees_what_every_way_to_answer_comes_to_in_the_end() {
    let mut server = Server::new(Seen::default());
    server.add_layer(|seen: &mut Seen, call: &Call<'_>, cx: &mut Context<'_>, next: Next<'_, Seen>| {
        let path = call.path.as_str().to_owned();
        let ending = move |reply, seen: &mut Seen, _: &mut Context<'_>| {
            let came = if matches!(reply, Reply::Send(_)) { "is answered" } else { "is not" };
            seen.0.push(format!("{path} {came}"));
            reply
        };
        next.run(seen, call, cx).in_the_end(seen, cx, Box::new(ending))
    });
    let said = || Response::text("said");
    server
        .add_route(&[Method::Get], "/at-once", move |_: &mut Seen, _: &Call<'_>, _: &mut Context<'_>| said())
        .unwrap();
    server.add_blocking(&[Method::Get], "/by-a-helper", move |_| said()).unwrap();
    server
        .add_route(&[Method::Get], "/in-steps", move |_: &mut Seen, _: &Call<'_>, _: &mut Context<'_>| {
            Reply::<Seen>::offload(move || move |_: &mut Seen, _: &mut Context<'_>| said().into())
        })
        .unwrap();
    let mut stage = server.rehearse();
    for path in ["at-once", "by-a-helper", "in-steps"] {
        assert!(stage.ask(&get(&format!("/{path}"))).ends_with(b"said"));
        assert_eq!(stage.state().0.pop(), Some(format!("{path} is answered")));
    }
}

#[test]
fn layers_run_in_order_and_may_answer_themselves() {
    let mut server = Server::new(Seen::default());
    server.add_layer(|seen: &mut Seen, call: &Call<'_>, cx: &mut Context<'_>, next: Next<'_, Seen>| {
        seen.0.push("outer".to_owned());
        next.run(seen, call, cx)
    });
    server.add_layer(|seen: &mut Seen, call: &Call<'_>, cx: &mut Context<'_>, next: Next<'_, Seen>| {
        seen.0.push("inner".to_owned());
        if call.path.as_str() == "closed" { Response::text("not today").into() } else { next.run(seen, call, cx) }
    });
    for pattern in ["/open", "/closed"] {
        server
            .add_route(&[Method::Get], pattern, |seen: &mut Seen, _: &Call<'_>, _: &mut Context<'_>| {
                seen.0.push("handler".to_owned());
                Response::text("yes")
            })
            .unwrap();
    }
    let mut stage = server.rehearse();
    assert!(stage.ask(&get("/open")).ends_with(b"yes"));
    assert!(stage.ask(&get("/closed")).ends_with(b"not today"));
    assert_eq!(stage.state().0, ["outer", "inner", "handler", "outer", "inner"]);
}

#[test]
fn fixed_wins_over_parameter_and_parameter_over_rest_and_misuse_is_told_at_once() {
    let mut server = Server::new(());
    for pattern in ["/*all", "/items/:id", "/items/new"] {
        server.add_route(&[Method::Get], pattern, move |_, _, _| Response::text(pattern)).unwrap();
    }
    let again = server.add_route(&[Method::Get], "/items/:name", |_, _, _| Response::text(""));
    assert_eq!(again, Err(BadPattern::Twice("GET /items/:name".to_owned())));
    for bad in ["items", "/a//b", "/:", "/*all/b", "/../a"] {
        let told = server.add_route(&[Method::Get], bad, |_, _, _| Response::text(""));
        assert_eq!(told, Err(BadPattern::Malformed(bad.to_owned())));
    }
    assert_eq!(server.routes().len(), 3);
    let mut stage = server.rehearse();
    for (path, pattern) in
        [("/items/new", "/items/new"), ("/items/7", "/items/:id"), ("/items/7/8", "/*all"), ("/", "/*all")]
    {
        let told = stage.ask(&get(path));
        assert!(told.ends_with(format!("\r\n\r\n{pattern}").as_bytes()), "{path}");
    }
    assert!(Server::new(()).run().is_err(), "a server that listens nowhere does not begin");
}

#[test]
fn bodies_are_limited_by_their_route() {
    let mut server = Server::new(());
    server
        .add_route_limited(&[Method::Post], "/small", 4, |_, _, _| {
            Reply::collect(1 << 20, |_: &mut (), body, _| Response::text(body).into())
        })
        .unwrap();
    let mut stage = server.rehearse();
    assert!(stage.ask(&post("/small", b"1234")).ends_with(b"1234"));
    assert!(stage.ask(&post("/small", b"12345")).starts_with(b"HTTP/1.1 413 "));
    let chunked =
        b"POST /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    assert!(stage.ask(chunked).starts_with(b"HTTP/1.1 413 "));
}

#[test]
fn a_handle_spawns_publishes_and_closes_from_another_thread() {
    let (tell, told) = mpsc::channel::<Handle<Seen>>();
    let make = || -> Made<Seen> {
        let mut server = Server::new(Seen::default());
        server.add_route(&[Method::Get], "/list", |list: &mut Seen, _: &Call<'_>, _: &mut Context<'_>| {
            Response::text(list.0.join(","))
        })?;
        Ok(server)
    };
    let (address, thread) = serve_by(make, move |server| {
        let running = server.start().unwrap();
        tell.send(running.handle()).unwrap();
        running.run().unwrap();
    });
    let handle = told.recv().unwrap();
    handle.spawn(|list, _| list.0.push("one".to_owned()));
    handle.clone().spawn(|list, _| list.0.push("two".to_owned()));
    assert!(ask(address, &get("/list")).ends_with(b"one,two"));
    handle.shutdown(Duration::from_secs(5));
    thread.join().unwrap();
}

#[test]
fn doors_may_be_handed_in() {
    let make = || -> Made<()> {
        let mut server = Server::new(());
        server.add_route(&[Method::Get], "/", |_, _, _| Response::text("in"))?;
        Ok(server)
    };
    let folder = std::env::temp_dir().join(format!("hythe-doors-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("door");
    let unix = UnixListener::bind(&path).unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap();
    serve_by(make, move |mut server| {
        server.listen_on(unix);
        server.listen_on(tcp);
        server.run().unwrap();
    });
    assert!(ask(address, &get("/")).ends_with(b"in"));
    let mut socket = UnixStream::connect(&path).unwrap();
    socket.write_all(&get("/")).unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    assert!(answer.ends_with(b"in"));
    std::fs::remove_dir_all(&folder).unwrap();
}
