//! What embedders get wrong, and what goes wrong in their code: it is told at once, or costs what it must and nothing else.

use std::io::Write;
use std::panic;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use hythe::{
    Answerer, BadPattern, Call, Context, Fault, Handshake, Lane, Message, Method, Next, Reply, Response, Said, Server,
    State, Status, Step, Talk, Verdict,
};

use crate::sockets::{connect, look, read_until};
use crate::world::{Made, ask, get, serve, serve_by};

#[test]
fn what_can_never_be_asked_for_is_no_pattern() {
    let mut server = Server::new(());
    for bad in ["/a/:x/b/:x", "/:x/*x", "/:id.json", "/: x", "/{id}", "/a/<id>", "/a?b", "/a#b", "/a%20b", "/a/"] {
        let told = server.add_route(&[Method::Get], bad, |_, _, _| Response::text(""));
        assert_eq!(told, Err(BadPattern::Malformed(bad.to_owned())), "{bad}");
    }
    for good in ["/über/:größe", "/é", "/a b", "/100%", "/{", "/a<b", "/:file-name_2", "/.well-known/:name"] {
        let told = server.add_route(&[Method::Get], good, move |_, _, _| Response::text(good));
        assert_eq!(told, Ok(()), "{good}");
    }
    let mut stage = server.rehearse();
    for (path, good) in [("/%C3%BCber/7", "/über/:größe"), ("/a%20b", "/a b"), ("/100%25", "/100%")] {
        assert!(stage.ask(&get(path)).ends_with(format!("\r\n\r\n{good}").as_bytes()), "{path}");
    }
}

#[test]
fn a_route_is_added_for_all_its_methods_or_for_none() {
    let mut server = Server::new(());
    let mut add = |methods: &[Method]| server.add_route(methods, "/a", |_, _, _| Response::text(""));
    assert_eq!(add(&[]), Err(BadPattern::NoMethod("/a".to_owned())));
    assert_eq!(add(&[Method::Get, Method::Unknown]), Err(BadPattern::NoMethod("/a".to_owned())));
    assert_eq!(add(&[Method::Put, Method::Get, Method::Put]), Err(BadPattern::Twice("PUT /a".to_owned())));
    assert_eq!(add(&[Method::Get]), Ok(()));
    assert_eq!(add(&[Method::Post, Method::Get]), Err(BadPattern::Twice("GET /a".to_owned())));
    assert_eq!(server.routes(), [(Method::Get, "/a".to_owned())]);
}

#[test]
fn a_body_is_limited_by_its_route_in_whatever_step_it_is_taken() {
    let mut server = Server::new(());
    server
        .add_route_limited(&[Method::Post], "/", 4, |_, _, _| {
            Reply::<()>::offload(|| {
                |_: &mut (), _: &mut Context<'_>| {
                    Reply::collect(1 << 20, |_: &mut (), body, _| Response::text(body).into())
                }
            })
        })
        .unwrap();
    let mut stage = server.rehearse();
    let head = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut send = |chunks: &str| String::from_utf8(stage.ask(format!("{head}{chunks}0\r\n\r\n").as_bytes())).unwrap();
    assert!(send("3\r\nabc\r\n1\r\nd\r\n").ends_with("\r\n\r\nabcd"));
    let told = send("3\r\nabc\r\n2\r\nde\r\n");
    assert!(told.starts_with("HTTP/1.1 413 "), "{told}");
}

#[derive(Default)]
struct Told {
    ends: usize,
    timed: usize,
    answerers: Vec<Answerer>,
}

impl State for Told {
    type Entry = ();
}

/// Says of each message what it was, and something more when that has left.
struct Slow(u32);

impl Talk<Told> for Slow {
    fn on_message(&mut self, message: Message, _: &mut Told, _: &mut Context<'_>) -> Said<Told> {
        self.0 += 1;
        let number = self.0;
        let later = move |word: &'static str| {
            move |_: &mut Told, _: &mut Context<'_>| Said::nothing().text(format!("{word}{number}"))
        };
        let said = Said::nothing().text(format!("now{number}")).then(later("then"));
        match message {
            Message::Text(text) if text == "more" => said.text("now").then(later("last")),
            _ => said,
        }
    }

    fn on_call(&mut self, _: &mut Told, _: &mut Context<'_>) -> Said<Told> {
        panic!("a mistake in a conversation")
    }

    fn on_end(&mut self, told: &mut Told, _: &mut Context<'_>) {
        told.ends += 1;
    }
}

fn talks() -> Made<Told> {
    let mut server = Server::new(Told::default());
    server.add_route(&[Method::Get], "/socket", |_: &mut Told, call: &Call<'_>, cx: &mut Context<'_>| {
        let handshake = Handshake::of(call, &[])?;
        cx.wake_at(cx.now.plus(1_000));
        Ok::<_, Fault>(Reply::Talk(handshake, Box::new(Slow(0))))
    })?;
    server.add_route(&[Method::Get], "/events", |_: &mut Told, _: &Call<'_>, cx: &mut Context<'_>| {
        // It calls for itself as soon as it has begun.
        cx.call_for(cx.key);
        Reply::Stream { head: Response::new(Status::OK), talk: Box::new(Slow(0)) }
    })?;
    Ok(server)
}

fn frame(text: &str) -> Vec<u8> {
    [&[0x81, 0x80 | text.len() as u8, 0, 0, 0, 0], text.as_bytes()].concat()
}

#[test]
fn nothing_that_was_to_follow_is_lost_when_more_is_to_follow() {
    let mut stage = talks().unwrap().rehearse();
    let guest = stage.connect();
    stage.send(
        &guest,
        b"GET /socket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    guest.take();
    let mut say = |bytes: &[u8]| {
        stage.send(&guest, bytes);
        let said = guest.take();
        let words: Vec<_> = said.split(|byte| *byte == 0x81).skip(1).map(|word| word[1..].to_vec()).collect();
        String::from_utf8(words.join(&b' ')).unwrap()
    };
    assert_eq!(say(&frame("")), "now1 then1");
    assert_eq!(say(&[frame(""), frame("")].concat()), "now2 now3 then2 then3");
    assert_eq!(say(&frame("more")), "now4 now then4 last4");
}

#[test]
fn a_stream_that_panics_is_told_of_its_end() {
    let mut stage = talks().unwrap().rehearse();
    let guest = stage.connect();
    stage.send(&guest, b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
    let told = String::from_utf8(guest.take()).unwrap();
    assert!(told.starts_with("HTTP/1.1 200 ") && told.ends_with("\r\n\r\n"), "{told}");
    assert!(guest.is_closed());
    assert_eq!(stage.state().ends, 1);
}

#[test]
fn a_helper_that_panics_too_late_costs_no_other_request() {
    let (go, wait) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel();
    let make = move || -> Made<Told> {
        let mut server = Server::new(Told::default());
        let wait = Arc::new(Mutex::new(wait));
        server.add_blocking_within(&[Method::Get], "/slow", Duration::from_millis(50), move |_| -> Response {
            wait.lock().unwrap().recv().unwrap();
            panic::resume_unwind(Box::new("a mistake, late"));
        })?;
        server.add_route(&[Method::Get], "/next", |told: &mut Told, call: &Call<'_>, cx: &mut Context<'_>| {
            let (ticket, answerer) = call.later(cx, 60_000)?;
            told.answerers.push(answerer);
            Ok::<_, Fault>(Reply::Later(ticket))
        })?;
        server.add_route(&[Method::Get], "/panics", |_: &mut Told, _: &Call<'_>, cx: &mut Context<'_>| {
            Response::text(cx.counts.panics.to_string())
        })?;
        Ok(server)
    };
    let (address, _) = serve_by(make, move |server| {
        let running = server.start().unwrap();
        tell.send(running.handle()).unwrap();
        running.run().unwrap();
    });
    let handle = told.recv().unwrap();
    let mut client = connect(address, b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    let first = read_until(&mut client, b"too long\"}\n");
    assert!(first.starts_with(b"HTTP/1.1 504 "), "{}", first.escape_ascii());
    client.write_all(b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    while look(&handle, |told: &mut Told| told.answerers.is_empty()) {
        thread::yield_now();
    }
    go.send(()).unwrap();
    while !ask(address, &get("/panics")).ends_with(b"\r\n\r\n1") {
        thread::yield_now();
    }
    handle.spawn(|told, _| told.answerers.remove(0).send(Response::text("all is well")));
    let next = read_until(&mut client, b"\r\n\r\nall is well");
    assert!(next.starts_with(b"HTTP/1.1 200 "), "{}", next.escape_ascii());
}

#[derive(Default)]
struct Kept;

impl State for Kept {
    type Entry = u32;
}

#[test]
fn a_keeper_that_panics_loses_its_batch_and_nobody_waits_for_ever() {
    let make = || -> Made<Kept> {
        let mut server = Server::new(Kept);
        server.set_keeper(|batch| {
            if batch.contains(&13) {
                panic::resume_unwind(Box::new("a mistake of the keeper's"));
            }
            batch.into_iter().map(|entry| Verdict::Kept(i64::from(entry))).collect()
        });
        server.add_route(&[Method::Get], "/:entry", |_: &mut Kept, call: &Call<'_>, _: &mut Context<'_>| {
            let decided = |_: &mut Kept, verdict, _: &mut Context<'_>| match verdict {
                Verdict::Kept(_) => Response::text("kept").into(),
                _ => Response::text("lost").into(),
            };
            Ok::<Reply<Kept>, Fault>(Reply::Keep(Box::new(call.parameter_as("entry")?), Box::new(decided)))
        })?;
        Ok(server)
    };
    let address = serve(make);
    for (entry, came) in [("/1", "kept"), ("/13", "lost"), ("/2", "kept")] {
        assert!(ask(address, &get(entry)).ends_with(format!("\r\n\r\n{came}").as_bytes()), "{entry}");
    }
}

#[test]
fn what_is_asked_of_a_server_that_has_ended_is_dropped() {
    let mut running = Server::new(Told::default()).start().unwrap();
    let handle = running.handle();
    handle.shutdown(Duration::ZERO);
    while !running.is_over() {
        running.poll_once(Duration::from_secs(5)).unwrap();
    }
    // Over is over: there is nothing to do, and nothing to wait for.
    assert_eq!(running.poll_once(Duration::from_secs(600)).unwrap(), None);
    let held = Arc::new(AtomicUsize::new(0));
    let ask = || {
        let held = held.clone();
        handle.spawn(move |_, _| {
            held.fetch_add(1, Ordering::SeqCst);
        });
    };
    ask();
    drop(running);
    ask();
    assert_eq!(Arc::strong_count(&held), 1, "nothing is held for a loop that will never run");
    assert_eq!(held.load(Ordering::SeqCst), 0);
}

#[test]
fn what_is_left_to_do_is_done_though_nobody_waits_for_it_any_more() {
    let (go, wait) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel::<&str>();
    let make = move || -> Made<()> {
        let mut server = Server::new(());
        let wait = Arc::new(Mutex::new(wait));
        server.add_route(&[Method::Get], "/", move |_: &mut (), call: &Call<'_>, cx: &mut Context<'_>| {
            let ((first, _), (second, _)) = (call.later(cx, 20)?, call.later(cx, 60_000)?);
            let (wait, tell) = (wait.clone(), tell.clone());
            let work = move || -> Step<()> {
                wait.lock().unwrap().recv().unwrap();
                let work = move || -> Step<()> {
                    Box::new(move |_, _| {
                        tell.send("done").unwrap();
                        Response::text("").into()
                    })
                };
                Box::new(move |_, _| Reply::Within(second, Lane::Files, Box::new(work)))
            };
            Ok::<_, Fault>(Reply::Within(first, Lane::Files, Box::new(work)))
        })?;
        Ok(server)
    };
    // Its answerers were dropped, and so it is told at once; the work has begun all the same.
    assert!(ask(serve(make), &get("/")).starts_with(b"HTTP/1.1 50"));
    go.send(()).unwrap();
    assert_eq!(told.recv_timeout(Duration::from_secs(60)), Ok("done"));
}

/// Whether whatever helper is asked, in this step or a later one, has its time.
fn has_its_time(reply: Reply<Told>) -> Reply<Told> {
    match reply {
        Reply::Collect { most, then } => {
            Reply::Collect { most, then: Box::new(move |told, body, cx| has_its_time(then(told, body, cx))) }
        }
        Reply::Within(ticket, lane, task) => {
            let task = move || -> Step<Told> {
                let step = task();
                Box::new(move |told, cx| {
                    told.timed += 1;
                    has_its_time(step(told, cx))
                })
            };
            Reply::Within(ticket, lane, Box::new(task))
        }
        other => other,
    }
}

#[test]
fn no_helper_that_a_program_asks_keeps_a_client_waiting_for_ever() {
    let mut server = Server::new(Told::default());
    server.add_layer(|told: &mut Told, call: &Call<'_>, cx: &mut Context<'_>, next: Next<'_, Told>| {
        has_its_time(next.run(told, call, cx))
    });
    server
        .add_route(&[Method::Get], "/", |_, _, _| {
            Reply::<Told>::collect(1, |_: &mut Told, _, _| {
                Reply::offload(|| {
                    |_: &mut Told, _: &mut Context<'_>| {
                        Reply::offload(|| |_: &mut Told, _: &mut Context<'_>| Response::text("at last").into())
                    }
                })
            })
        })
        .unwrap();
    let mut stage = server.rehearse();
    assert!(stage.ask(&get("/")).ends_with(b"\r\n\r\nat last"));
    assert_eq!(stage.state().timed, 2);
}
