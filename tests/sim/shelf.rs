//! What the shelf keeps in memory, and what it keeps open: told apart by what is sent when a file shrinks without being looked at.

use crate::cases::{Scene, get};
use crate::net::Ended;
use crate::site::Setting;

const PAGE: &str = "middling.css";
const LENGTH: usize = 60_000;

/// A scene whose time passes in steps of our own.
fn scene() -> Scene {
    let mut scene = Scene::new(&Setting { keepalive_requests: 0, ..Setting::calm() });
    scene.0.pace_ms = 1;
    scene.0.disks[0].put(PAGE, &[b'x'; LENGTH], false);
    scene
}

/// Asks for the page and reads what comes: the head, how many bytes of the body, and how it ended.
fn fetch(scene: &mut Scene) -> (String, usize, Ended) {
    let wire = scene.come(&get(&format!("/{PAGE}")));
    let (mut heard, mut end) = (String::new(), Ended::No);
    for _ in 0..20 {
        scene.turns(1);
        let (more, ended) = scene.heard(wire);
        heard += &more;
        end = ended;
    }
    let (head, body) = heard.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), body.len(), end)
}

/// Asks so often, and says how many answers were whole.
fn ask(scene: &mut Scene, times: usize) -> usize {
    let is_whole = |_: &usize| {
        let (head, body, ended) = fetch(scene);
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert_eq!(ended == Ended::No, body == LENGTH, "what is not whole is broken off");
        body == LENGTH
    };
    (0..times).filter(is_whole).count()
}

/// So long that whoever asks next has the page looked at again.
fn wait(scene: &mut Scene) {
    scene.turns(1_100);
}

/// Whether the page is in memory. It is damaged by the question.
fn is_in_memory(scene: &mut Scene) -> bool {
    scene.0.disks[0].cut(PAGE, 100);
    ask(scene, 1) == 1
}

#[test]
fn a_middling_file_in_demand_is_kept_in_memory() {
    let mut scene = scene();
    assert_eq!(ask(&mut scene, 9), 9);
    wait(&mut scene);
    assert_eq!(ask(&mut scene, 1), 1, "this one has it looked at");
    assert!(is_in_memory(&mut scene));
    wait(&mut scene);
    let (head, body, _) = fetch(&mut scene);
    assert!(head.contains("\r\nContent-Length: 100") && body == 100, "that it has changed is seen all the same");
    scene.end();
}

#[test]
fn a_middling_file_that_few_ask_for_is_kept_open() {
    let mut scene = scene();
    assert_eq!(ask(&mut scene, 3), 3);
    wait(&mut scene);
    assert_eq!(ask(&mut scene, 1), 1);
    assert!(!is_in_memory(&mut scene));
    scene.end();
}

#[test]
fn a_file_that_is_no_longer_in_demand_gives_its_memory_back() {
    let mut scene = scene();
    assert_eq!(ask(&mut scene, 9), 9);
    for asked in [3, 1] {
        wait(&mut scene);
        assert_eq!(ask(&mut scene, asked), asked, "it is still in memory");
    }
    wait(&mut scene);
    assert_eq!(ask(&mut scene, 1), 1, "nobody has asked since the last look but who asks now");
    assert!(!is_in_memory(&mut scene));
    scene.end();
}

#[test]
fn a_large_file_is_never_kept_in_memory() {
    let mut scene = scene();
    scene.0.disks[0].put(PAGE, &[b'x'; 200_000], false);
    let whole = |scene: &mut Scene| fetch(scene).1 == 200_000;
    assert!((0..9).all(|_| whole(&mut scene)));
    wait(&mut scene);
    assert!(whole(&mut scene));
    scene.0.disks[0].cut(PAGE, 100);
    assert!(!whole(&mut scene));
    scene.end();
}

#[test]
fn files_that_are_all_hole_may_have_any_size() {
    const SIZE: u64 = i64::MAX as u64;
    let mut scene = scene();
    for path in ["hole.bin", "hole.bin.gz", "hole.bin.br"] {
        scene.0.disks[0].put_hole(path, SIZE);
    }
    for _ in 0..2 {
        for _ in 0..9 {
            let wire = scene.come("HEAD /hole.bin HTTP/1.1\r\nHost: sim\r\n\r\n");
            scene.turns(5);
            let (head, _) = scene.heard(wire);
            assert!(
                head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains(&format!("Content-Length: {SIZE}")),
                "{head}"
            );
        }
        wait(&mut scene);
    }
    scene.end();
}
