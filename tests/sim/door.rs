//! Who is let in, and who makes room: at the limit of connections, and where there are no descriptors left.

use crate::cases::{Scene, get};
use crate::dice::Odds;
use crate::net::Ended;
use crate::site::Setting;

/// A scene with room for so many, in which time passes in small steps.
fn small(connections_max: usize) -> Scene {
    let mut scene = Scene::new(&Setting { connections_max, ..Setting::calm() });
    scene.0.pace_ms = 50;
    scene
}

fn pass(scene: &mut Scene, span_ms: u64) {
    let until = scene.0.now() + span_ms;
    while scene.0.now() < until {
        scene.turns(1);
    }
}

/// Whether it has been answered so by now.
fn is_answered(scene: &mut Scene, wire: usize, status: u16) -> bool {
    let (heard, _) = scene.heard(wire);
    assert!(heard.is_empty() || heard.starts_with(&format!("HTTP/1.1 {status} ")), "{heard}");
    !heard.is_empty()
}

#[test]
fn who_was_too_slow_and_does_not_go_makes_room_at_once() {
    let mut scene = small(4);
    let slow: Vec<usize> = (0..4).map(|_| scene.come("GET / HT")).collect();
    pass(&mut scene, 9_000);
    let newcomers: Vec<usize> = (0..4).map(|_| scene.come(&get("/healthz"))).collect();
    pass(&mut scene, 2_000);
    for wire in slow {
        assert!(is_answered(&mut scene, wire, 408), "its time is up");
    }
    for wire in newcomers {
        assert!(
            is_answered(&mut scene, wire, 200),
            "who has been answered does not keep others waiting for two seconds more"
        );
    }
    scene.end();
}

#[test]
fn who_was_too_slow_keeps_its_place_no_longer_by_going_on_as_slowly() {
    let mut scene = small(2);
    let slow: Vec<usize> = (0..2).map(|_| scene.come("GET / HT")).collect();
    pass(&mut scene, 9_900);
    let newcomer = scene.come(&get("/healthz"));
    for _ in 0..12 {
        slow.iter().for_each(|&wire| scene.say(wire, "x"));
        pass(&mut scene, 100);
    }
    assert!(is_answered(&mut scene, newcomer, 200));
    scene.end();
}

#[test]
fn who_sends_on_after_a_refusal_keeps_its_place_and_reads_its_answer() {
    let mut scene = small(2);
    let large =
        "POST /upload HTTP/1.1\r\nHost: sim\r\nContent-Type: application/json\r\nContent-Length: 2000000\r\n\r\n";
    let sending: Vec<usize> = (0..2).map(|_| scene.come(large)).collect();
    pass(&mut scene, 200);
    let newcomer = scene.come(&get("/healthz"));
    for _ in 0..30 {
        sending.iter().for_each(|&wire| scene.say(wire, "x"));
        pass(&mut scene, 100);
    }
    assert!(!is_answered(&mut scene, newcomer, 200));
    for &wire in &sending {
        let (heard, ended) = scene.heard(wire);
        assert!(heard.starts_with("HTTP/1.1 413 "), "{heard}");
        assert_eq!(ended, Ended::Fin);
    }
    pass(&mut scene, 1_000);
    assert!(is_answered(&mut scene, newcomer, 200), "they have fallen silent");
    scene.end();
}

/// A small body that is refused, of which nothing has come but two bytes.
const REFUSED: &str = "POST /page.html HTTP/1.1\r\nHost: sim\r\nContent-Length: 30000\r\n\r\nhi";

#[test]
fn who_does_not_send_the_rest_of_what_is_thrown_away_is_let_go_without_a_reset() {
    let mut scene = small(10);
    let wire = scene.come(REFUSED);
    pass(&mut scene, 1_500);
    let (heard, ended) = scene.heard(wire);
    assert!(heard.starts_with("HTTP/1.1 405 "), "{heard}");
    assert_eq!(ended, Ended::No, "it may go on");
    pass(&mut scene, 1_000);
    scene.say(wire, "x");
    pass(&mut scene, 200);
    assert_eq!(scene.heard(wire).1, Ended::Fin, "it may read its answer first");
    pass(&mut scene, 2_500);
    assert_eq!(scene.0.reactor.connections(), 0, "however small its body was, it holds its place no longer");
    scene.end();
}

#[test]
fn who_drips_what_is_thrown_away_is_let_go_in_time() {
    let mut scene = small(10);
    let wire = scene.come(REFUSED);
    for _ in 0..29 {
        pass(&mut scene, 1_000);
        scene.say(wire, "x");
    }
    assert_eq!(scene.0.reactor.connections(), 1);
    pass(&mut scene, 1_500);
    scene.say(wire, "x");
    pass(&mut scene, 1_500);
    assert_eq!(scene.0.reactor.connections(), 0, "30 s in all");
    scene.end();
}

#[test]
fn who_sends_the_rest_of_what_is_thrown_away_goes_on() {
    let mut scene = small(10);
    let wire = scene.come(REFUSED);
    pass(&mut scene, 1_500);
    scene.say(wire, &"x".repeat(29_998));
    pass(&mut scene, 20_000);
    scene.say(wire, &get("/healthz"));
    pass(&mut scene, 200);
    let (heard, ended) = scene.heard(wire);
    assert!(heard.starts_with("HTTP/1.1 405 ") && heard.contains("HTTP/1.1 200 OK\r\n"), "{heard}");
    assert_eq!(ended, Ended::No);
    scene.end();
}

#[test]
fn who_lingers_in_silence_makes_room_whatever_it_was_to_send() {
    let mut scene = small(2);
    let slow: Vec<usize> = (0..2).map(|_| scene.come(REFUSED)).collect();
    pass(&mut scene, 300);
    let newcomer = scene.come(&get("/healthz"));
    pass(&mut scene, 700);
    assert!(is_answered(&mut scene, newcomer, 200));
    assert!(slow.iter().all(|&wire| is_answered(&mut scene, wire, 405)));
    scene.end();
}

#[test]
fn who_says_nothing_gains_no_time_by_having_been_held_back() {
    let mut scene = small(10);
    scene.0.net.borrow_mut().held_back_ms = 1_000;
    let silent = scene.come("");
    let half = scene.come("GET / HT");
    pass(&mut scene, 8_500);
    assert_eq!(scene.heard(silent).1, Ended::No);
    pass(&mut scene, 1_000);
    assert_eq!(scene.heard(silent), (String::new(), Ended::Fin), "ten seconds after it came");
    assert_eq!(scene.heard(half), (String::new(), Ended::No), "its time began when it was let in");
    pass(&mut scene, 1_000);
    assert!(is_answered(&mut scene, half, 408));
    scene.end();
}

#[test]
fn nobody_goes_for_a_newcomer_that_is_not_there() {
    let mut scene = small(3);
    let evicted = |scene: &mut Scene| scene.0.reactor.parts().1.counts.evicted;
    for open in 1..=3 {
        let wire = scene.come(&get("/healthz"));
        pass(&mut scene, 200);
        assert!(is_answered(&mut scene, wire, 200));
        assert_eq!((scene.0.reactor.connections(), evicted(&mut scene)), (open, 0), "the last place may be taken");
    }
    pass(&mut scene, 2_000);
    assert_eq!(scene.0.reactor.connections(), 3);
    let newcomer = scene.come(&get("/healthz"));
    pass(&mut scene, 200);
    assert!(is_answered(&mut scene, newcomer, 200));
    assert_eq!((scene.0.reactor.connections(), evicted(&mut scene)), (3, 1), "the longest idle has gone");
    scene.end();
}

#[test]
fn where_descriptors_run_out_some_are_kept_for_files() {
    let mut scene = small(100);
    scene.0.net.borrow_mut().odds.descriptors = Some(40);
    for _ in 0..200 {
        let wire = scene.come(&get("/healthz"));
        pass(&mut scene, 200);
        assert!(is_answered(&mut scene, wire, 200), "the longest idle goes");
        let open = scene.0.reactor.connections();
        assert!(open <= 40, "{open}");
    }
    let open = scene.0.reactor.connections();
    assert!((24..=32).contains(&open), "{open} connections, so there is a descriptor for a file");
    assert!(scene.0.reactor.parts().1.counts.rests <= 20, "it is not tried again and again");
    scene.end();
}

#[test]
fn where_descriptors_run_out_and_nobody_is_idle_it_is_tried_again_soon() {
    let mut scene = small(100);
    let busy: Vec<usize> = (0..3).map(|_| scene.come(&get("/events"))).collect();
    pass(&mut scene, 200);
    scene.0.net.borrow_mut().odds.descriptors = Some(3);
    let newcomer = scene.come(&get("/healthz"));
    pass(&mut scene, 2_000);
    assert!(!is_answered(&mut scene, newcomer, 200));
    scene.0.net.borrow_mut().odds.descriptors = None;
    pass(&mut scene, 1_000);
    assert!(is_answered(&mut scene, newcomer, 200), "others have given some back");
    for wire in busy {
        assert!(is_answered(&mut scene, wire, 200));
    }
    scene.end();
}

#[test]
fn a_page_that_cannot_be_looked_at_for_want_of_descriptors_is_sent_as_it_was() {
    let mut scene = small(10);
    let wire = scene.come(&get("/page.html"));
    pass(&mut scene, 100);
    assert!(is_answered(&mut scene, wire, 200));
    let short = Odds { disk_short: 100, ..Odds::calm() };
    scene.0.disks.iter().for_each(|disk| disk.set_odds(&short));
    pass(&mut scene, 3_000);
    scene.say(wire, &get("/page.html"));
    pass(&mut scene, 100);
    assert!(is_answered(&mut scene, wire, 200));
    let unknown = scene.come(&get("/tiny.txt"));
    pass(&mut scene, 100);
    let (heard, _) = scene.heard(unknown);
    assert!(heard.starts_with("HTTP/1.1 503 ") && heard.contains("Retry-After: "), "{heard}");
    scene.end();
}
