//! Limits and timers (docs/configuration.md), each made small by its flag so that a test need not wait long.

use std::thread;
use std::time::{Duration, Instant};

use crate::expect::{Expect, any, is, said_hi};
use crate::house::{HELLO, House, big};
use crate::request::{FORM, JSON, SAY_HI, ask, ask_with_body, get, get_with, say, say_chunked, say_raw};
use crate::scene::Scene;
use crate::wire::{Answer, End, PATIENCE, Wire, comes_to_be};

const SECOND: Duration = Duration::from_secs(1);

/// Has a house tell who comes and goes.
const TALKS: [&str; 2] = ["--log-level", "debug"];

/// How many have come and gone when a visit begins: a scene asks so often.
const SCENE: usize = 4;

/// A house with small limits, and someone who speaks to it.
struct Visit {
    house: House,
    scene: Scene,
}

impl Visit {
    fn to(flags: &[&str]) -> Visit {
        let house = House::open(flags);
        let scene = Scene::of(&house);
        Visit { house, scene }
    }

    fn connect(&self) -> Wire {
        Wire::connect(self.house.address())
    }

    fn send(&self, wire: &mut Wire, bytes: impl AsRef<[u8]>) {
        wire.send(&self.scene.fill(bytes.as_ref()));
    }

    /// The next answer, which must be as expected.
    #[track_caller]
    fn hear(&self, wire: &mut Wire, expect: Expect) -> Answer {
        let answer = wire.hear(false).unwrap_or_else(|complaint| panic!("{complaint}\n{}", wire.transcript()));
        expect.judge(&answer, &self.scene).unwrap_or_else(|complaint| panic!("{complaint}\n{}", wire.transcript()));
        answer
    }

    /// Waits until the server has let so many of those go who have come; it must log what it does (`TALKS`).
    fn has_let_go(&self, count: usize) {
        let is_so = comes_to_be(|| self.house.log().matches("127.0.0.1 is gone").count() >= count);
        assert!(is_so, "{count} of them have not gone:\n{}", self.house.log());
    }

    /// Someone of whose body a part is still to come, and whom the server waits for.
    fn begin_to_say(&self) -> Wire {
        let mut wire = self.connect();
        self.send(&mut wire, say_raw(&["Content-Length: 10", "Expect: 100-continue"], ""));
        assert_eq!(wire.hear(false).map(|answer| answer.status), Ok(100), "{}", wire.transcript());
        self.send(&mut wire, "mess");
        wire
    }

    /// One request and its answer.
    #[track_caller]
    fn ask(&self, wire: &mut Wire, bytes: impl AsRef<[u8]>, expect: Expect) -> Answer {
        self.send(wire, bytes);
        self.hear(wire, expect)
    }
}

#[track_caller]
fn ends(wire: &mut Wire, patience: Duration) {
    wire.ends_within(patience).unwrap_or_else(|complaint| panic!("{complaint}\n{}", wire.transcript()));
}

/// That it falls at all is what is waited for before; how late is the machine's affair.
#[track_caller]
fn fell_not_before(since: Instant, due: Duration, wire: &Wire) {
    let took = since.elapsed();
    assert!(took + Duration::from_millis(50) >= due, "after {took:?}, before its {due:?}\n{}", wire.transcript());
}

#[test]
fn half_a_head_is_told_that_its_time_is_up() {
    let visit = Visit::to(&["--header-timeout", "1s"]);
    let mut wire = visit.connect();
    let since = Instant::now();
    visit.send(&mut wire, "GET /hello.txt HTTP/1.1\r\nHo");
    let answer = visit.hear(&mut wire, is(408));
    assert!(answer.says_close(), "{}", wire.transcript());
    fell_not_before(since, SECOND, &wire);
    ends(&mut wire, PATIENCE);
}

#[test]
fn a_head_that_drips_in_gains_no_time() {
    let visit = Visit::to(&["--header-timeout", "1s"]);
    let mut wire = visit.connect();
    let since = Instant::now();
    let head = [b"GET /hello.txt HTTP/1.1\r\nX-Long: ".as_slice(), &[b'x'; 600]].concat();
    let is_told = head.chunks(1).any(|byte| {
        visit.send(&mut wire, byte);
        !wire.is_quiet_for(Duration::from_millis(100))
    });
    assert!(is_told, "a minute of drops: {}", wire.transcript());
    visit.hear(&mut wire, is(408));
    fell_not_before(since, SECOND, &wire);
    ends(&mut wire, PATIENCE);
}

#[test]
fn who_says_nothing_is_let_go_in_silence() {
    let visit = Visit::to(&["--header-timeout", "1s"]);
    let mut wire = visit.connect();
    let since = Instant::now();
    ends(&mut wire, PATIENCE);
    fell_not_before(since, SECOND, &wire);
}

#[test]
fn who_says_nothing_more_is_let_go_in_silence() {
    let visit = Visit::to(&["--keepalive", "1s"]);
    let mut wire = visit.connect();
    visit.ask(&mut wire, get("/hello.txt"), is(200).body(HELLO));
    let since = Instant::now();
    ends(&mut wire, PATIENCE);
    fell_not_before(since, SECOND, &wire);
}

#[test]
fn every_request_gains_its_connection_time() {
    const KEPT: Duration = Duration::from_secs(2);
    let visit = Visit::to(&["--keepalive", "2s"]);
    // On a busy machine a pause may become longer than that, and then nothing is shown: another tries again.
    let is_kept = (0..20).any(|_| {
        let mut wire = visit.connect();
        let mut last = Instant::now();
        (0..5).all(|_| {
            let asked = Instant::now();
            visit.send(&mut wire, get("/hello.txt"));
            let is_answered = wire.hear(false).is_ok_and(|answer| answer.body == HELLO.as_bytes());
            assert!(is_answered || last.elapsed() >= KEPT, "{}", wire.transcript());
            last = asked;
            let is_quiet = is_answered && wire.is_quiet_for(Duration::from_millis(700));
            assert!(is_quiet || !is_answered || last.elapsed() >= KEPT, "{}", wire.transcript());
            is_quiet
        })
    });
    assert!(is_kept, "none of twenty paused briefly enough");
}

#[test]
fn half_a_second_head_is_told_that_its_time_is_up() {
    let visit = Visit::to(&["--header-timeout", "1s"]);
    let mut wire = visit.connect();
    visit.ask(&mut wire, get("/hello.txt"), is(200).body(HELLO));
    let since = Instant::now();
    visit.send(&mut wire, "GET /hello");
    visit.hear(&mut wire, is(408));
    fell_not_before(since, SECOND, &wire);
    ends(&mut wire, PATIENCE);
}

#[test]
fn a_body_that_stops_is_told_that_its_time_is_up() {
    let visit = Visit::to(&["--body-idle", "1s"]);
    for (target, fields) in [("/send", [FORM, "Content-Length: 10"]), ("/upload", [JSON, "Transfer-Encoding: chunked"])]
    {
        let mut wire = visit.connect();
        let since = Instant::now();
        visit.send(&mut wire, [ask("POST", target, &fields).as_slice(), b"4"].concat());
        let answer = visit.hear(&mut wire, is(408));
        assert!(answer.says_close(), "{}", wire.transcript());
        fell_not_before(since, SECOND, &wire);
        ends(&mut wire, PATIENCE);
    }
}

#[test]
fn who_does_not_read_is_cut_off() {
    let visit = Visit::to(&[&TALKS[..], &["--write-idle", "1s"]].concat());
    let mut wire = visit.connect();
    let requests = 60;
    let since = Instant::now();
    visit.send(&mut wire, get("/big.bin").repeat(requests));
    visit.has_let_go(SCENE + 1);
    fell_not_before(since, SECOND, &wire);
    let (came, end) = wire.drain_within(PATIENCE);
    assert!(came < requests * big().len(), "all {came} bytes came, though nobody had read");
    assert!(matches!(end, Some(End::Closed | End::Reset)), "the connection was still open after {came} bytes");
}

#[test]
fn the_last_answer_of_a_connection_says_so() {
    let visit = Visit::to(&["--keepalive-requests", "3"]);
    let mut wire = visit.connect();
    for number in 1..=3 {
        let answer = visit.ask(&mut wire, get("/hello.txt"), is(200).body(HELLO));
        assert_eq!(answer.says_close(), number == 3, "of answer {number}\n{}", wire.transcript());
    }
    ends(&mut wire, PATIENCE);

    // Requests beyond the last, sent together with it, are not answered; neither is the kind of the last of any matter.
    let mut wire = visit.connect();
    visit.send(
        &mut wire,
        [get("/hello.txt"), get("/nothing"), say(&[], SAY_HI), get("/hello.txt"), get("/hello.txt")].concat(),
    );
    for (number, expect) in [is(200), is(404), said_hi()].into_iter().enumerate() {
        let answer = visit.hear(&mut wire, expect);
        assert_eq!(answer.says_close(), number == 2, "of answer {}\n{}", number + 1, wire.transcript());
    }
    ends(&mut wire, PATIENCE);

    // HTTP/1.0 is told how many are left.
    let mut wire = visit.connect();
    let old = "GET /hello.txt HTTP/1.0\r\nHost: $host\r\nConnection: keep-alive\r\n\r\n";
    let left: Vec<_> = (0..2)
        .map(|_| {
            let answer = visit.ask(&mut wire, old, is(200).lists("Connection", "keep-alive"));
            let field = answer.field("keep-alive").unwrap_or_default().to_owned();
            field.rsplit_once("max=").and_then(|(_, left)| left.parse::<u32>().ok())
        })
        .collect();
    assert!(matches!(left[..], [Some(first), Some(second)] if second + 1 == first), "{left:?}\n{}", wire.transcript());
    let answer = visit.ask(&mut wire, old, is(200));
    assert!(!answer.lists("connection", "keep-alive"), "{}", wire.transcript());
    ends(&mut wire, PATIENCE);
}

#[test]
fn a_connection_without_a_limit_has_none() {
    let visit = Visit::to(&["--keepalive-requests", "0"]);
    let mut wire = visit.connect();
    for number in 0..250 {
        let answer = visit.ask(&mut wire, get("/hello.txt"), is(200).body(HELLO));
        assert!(!answer.says_close(), "of answer {number}");
    }
}

#[test]
fn a_hundred_requests_are_the_default() {
    let house = House::usual();
    let scene = Scene::of(&house);
    let mut wire = Wire::connect(house.address());
    for number in 1..=100 {
        wire.send(&scene.fill(&get("/hello.txt")));
        let answer = wire.hear(false).unwrap_or_else(|complaint| panic!("{number}: {complaint}"));
        assert_eq!(answer.says_close(), number == 100, "of answer {number}");
    }
    ends(&mut wire, PATIENCE);
}

#[test]
fn bodies_pass_at_their_limit_and_not_one_past_it() {
    let visit = Visit::to(&["--json-limit", "100", "--form-limit", "50", "--message-limit", "20"]);
    let json = |length: usize| ask_with_body("POST", "/upload", &[JSON], format!("\"{}\"", "j".repeat(length - 2)));
    let chunked = |length: usize| {
        let body = format!("{length:x}\r\n\"{}\"\r\n0\r\n\r\n", "j".repeat(length - 2));
        [ask("POST", "/upload", &[JSON, "Transfer-Encoding: chunked"]).as_slice(), body.as_bytes()].concat()
    };
    let form = |length: usize| say(&[], &format!("message=hi&x={}", "y".repeat(length - 13)));
    let text = |length: usize| ask_with_body("POST", "/send", &["Content-Type: text/plain"], "t".repeat(length));
    for (name, request, expect) in [
        ("json at", json(100), is(201)),
        ("json past", json(101), is(413)),
        ("chunked json at", chunked(100), is(201)),
        ("chunked json past", chunked(101), is(413)),
        ("form at", form(50), is(201)),
        ("form past", form(51), is(413)),
        ("message at", text(20), is(201)),
        ("message past", text(21), is(413)),
    ] {
        let mut wire = visit.connect();
        visit.send(&mut wire, request);
        let answer = wire.hear(false).unwrap_or_else(|complaint| panic!("{name}: {complaint}\n{}", wire.transcript()));
        expect
            .judge(&answer, &visit.scene)
            .unwrap_or_else(|complaint| panic!("{name}: {complaint}\n{}", wire.transcript()));
        if answer.says_close() {
            ends(&mut wire, PATIENCE);
        }
    }
}

#[test]
fn heads_pass_at_their_limits_and_not_past_them() {
    let visit = Visit::to(&["--request-line", "200", "--header-bytes", "1000", "--headers", "5"]);
    let line = |length: usize| get(&format!("/hello.txt?{}", "q".repeat(length - "GET /hello.txt? HTTP/1.1".len())));
    let fields = |count: usize| get_with("/hello.txt", &vec!["X-A: b"; count - 1]);
    let bytes = |length: usize| get_with("/hello.txt", &[&format!("X-A: {}", "b".repeat(length))]);
    let trailers = |count: usize| say_chunked(format!("a\r\nmessage=hi\r\n0\r\n{}\r\n", "X-A: b\r\n".repeat(count)));
    for (name, request, expect) in [
        ("line at", line(198), is(200)),
        ("line past", line(201), is(414)),
        ("fields at", fields(5), is(200)),
        ("fields past", fields(6), is(431)),
        ("bytes below", bytes(700), is(200)),
        ("bytes past", bytes(1_001), is(431)),
        ("trailers at", trailers(5), said_hi()),
        ("trailers past", trailers(6), is(431)),
    ] {
        let mut wire = visit.connect();
        visit.send(&mut wire, request);
        let answer = wire.hear(false).unwrap_or_else(|complaint| panic!("{name}: {complaint}\n{}", wire.transcript()));
        expect
            .judge(&answer, &visit.scene)
            .unwrap_or_else(|complaint| panic!("{name}: {complaint}\n{}", wire.transcript()));
    }
}

#[test]
fn who_posts_too_often_is_told_when_to_come_back() {
    let house = House::with_default_rates(&[]);
    let scene = Scene::of(&house);
    // All in one moment: one after another, each once it is kept, they might come no oftener than they may.
    let mut wires: Vec<Wire> = (0..30).map(|_| Wire::connect(house.address())).collect();
    for wire in &mut wires {
        wire.send(&scene.fill(&say(&[], SAY_HI)));
    }
    let mut statuses = Vec::new();
    for wire in &mut wires {
        let answer = wire.hear(false).unwrap_or_else(|complaint| panic!("{complaint}\n{}", wire.transcript()));
        any(&[201, 429])
            .judge(&answer, &scene)
            .unwrap_or_else(|complaint| panic!("{complaint}\n{}", wire.transcript()));
        statuses.push(answer.status);
    }
    assert!(statuses.iter().filter(|status| **status == 201).count() >= 10, "{statuses:?}");
    assert!(statuses.contains(&429), "{statuses:?}");
    let wire = &mut wires[0];
    wire.send(&scene.fill(&get("/hello.txt")));
    assert_eq!(wire.hear(false).map(|answer| answer.status), Ok(200), "reading is not posting");
}

#[test]
fn at_the_limit_the_longest_idle_makes_room() {
    let visit = Visit::to(&[&TALKS[..], &["--max-connections", "8"]].concat());
    visit.has_let_go(SCENE);
    let mut idle: Vec<Wire> = (0..8)
        .map(|_| {
            let mut wire = visit.connect();
            visit.ask(&mut wire, get("/hello.txt"), is(200).body(HELLO));
            thread::sleep(Duration::from_millis(30));
            wire
        })
        .collect();
    let mut newcomer = visit.connect();
    visit.ask(&mut newcomer, get("/hello.txt"), is(200).body(HELLO));
    ends(&mut idle[0], PATIENCE);
    for wire in &mut idle[2..] {
        visit.ask(wire, get("/hello.txt"), is(200).body(HELLO));
    }
}

#[test]
fn at_the_limit_with_none_idle_a_newcomer_waits() {
    let visit = Visit::to(&[&TALKS[..], &["--max-connections", "4"]].concat());
    visit.has_let_go(SCENE);
    let mut busy: Vec<Wire> = (0..4).map(|_| visit.begin_to_say()).collect();
    let mut newcomer = visit.connect();
    visit.send(&mut newcomer, get("/hello.txt"));
    assert!(newcomer.is_quiet_for(Duration::from_millis(300)), "{}", newcomer.transcript());
    for wire in &mut busy {
        visit.ask(wire, "age=hi", said_hi());
    }
    visit.hear(&mut newcomer, is(200).body(HELLO));
}

#[test]
fn slow_clients_do_not_slow_a_quick_one() {
    let visit = Visit::to(&["--header-timeout", "8s", "--body-idle", "4s", "--write-idle", "4s", "--keepalive", "4s"]);
    let mut slow: Vec<Wire> = (0..150)
        .map(|number| {
            let mut wire = visit.connect();
            visit.send(
                &mut wire,
                match number % 3 {
                    0 => b"GET /hello".to_vec(),
                    1 => say_chunked("a\r\nmess"),
                    _ => get("/big.bin").repeat(20),
                },
            );
            wire
        })
        .collect();
    let mut quick = visit.connect();
    let mut meanwhile = 0;
    for _ in 0..50 {
        visit.ask(&mut quick, get("/hello.txt"), is(200).body(HELLO));
        meanwhile += u32::from(slow[147].is_quiet_for(Duration::from_millis(1)));
    }
    assert!(meanwhile > 0, "the quick one was served only when the slow had gone");
    for wire in slow.iter_mut().filter(|wire| !wire.has_surplus()) {
        let (_, end) = wire.drain_within(PATIENCE);
        assert!(end.is_some(), "a slow client was not cut at its limit\n{}", wire.transcript());
    }
}

#[test]
fn who_is_served_when_the_server_stops_is_served_to_the_end() {
    let mut visit = Visit::to(&[]);
    let mut idle = visit.connect();
    visit.ask(&mut idle, get("/hello.txt"), is(200).body(HELLO));
    let mut busy = visit.begin_to_say();
    visit.house.ask_to_stop();
    ends(&mut idle, PATIENCE);
    let answer = visit.ask(&mut busy, "age=hi", said_hi());
    assert!(answer.says_close(), "{}", busy.transcript());
    ends(&mut busy, PATIENCE);
    let status = visit.house.wait_for_the_end();
    assert!(status.is_some_and(|status| status.success()), "{status:?}");
}

/// The kernel makes whoever opens a descriptor wait when the table grows while threads run, and the loop must not wait: it is large
/// enough before they begin.
#[cfg(target_os = "linux")]
#[test]
fn there_is_room_for_the_descriptors_of_all_connections_before_they_come() {
    let house = House::open(&["--max-connections", "3000"]);
    let status = std::fs::read_to_string(format!("/proc/{}/status", house.process())).expect("a status");
    let size = status.lines().find_map(|line| line.strip_prefix("FDSize:")?.trim().parse::<usize>().ok());
    assert!(size.is_some_and(|size| size >= 3400), "{size:?}");
}
