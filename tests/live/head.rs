//! HEAD is GET without the body: the same status and the very same fields, whatever was asked (RFC 9110 section 9.3.2).

use crate::house::House;
use crate::request::ask;
use crate::scene::Scene;
use crate::wire::{Answer, Wire};

/// What may differ: the time of day, and what RFC 9110 lets a HEAD leave out because it is made with the body.
const MAY_DIFFER: [&str; 1] = ["date"];

fn answer(
    house: &House,
    scene: &Scene,
    method: &str,
    target: &str,
    fields: &[&str],
) -> Result<(Answer, String), String> {
    let mut wire = Wire::connect(house.address());
    wire.send(&scene.fill(&ask(method, target, &[fields, &["Connection: close"]].concat())));
    match wire.hear(method == "HEAD").and_then(|answer| wire.ends_within(crate::wire::PATIENCE).map(|()| answer)) {
        Ok(answer) => Ok((answer, wire.transcript())),
        Err(complaint) => Err(format!("{complaint}\n{}", wire.transcript())),
    }
}

/// The status and the fields, in an order of their own.
fn told(answer: &Answer) -> (u16, Vec<(String, String)>) {
    let mut fields = answer.fields.clone();
    fields.retain(|(name, _)| !MAY_DIFFER.contains(&name.as_str()));
    fields.sort();
    (answer.status, fields)
}

#[test]
fn a_head_says_what_a_get_says() {
    let house = House::usual();
    let scene = Scene::of(&house);
    let page = "Accept: text/html";
    let rows: &[(&str, &[&str])] = &[
        ("/", &[]),
        ("/hello.txt", &[]),
        ("/page.html", &[]),
        ("/data.bin", &[]),
        ("/big.bin", &[]),
        ("/empty.dat", &[]),
        ("/photo.jpg", &[]),
        ("/style.css", &[]),
        ("/style.css", &["Accept-Encoding: gzip"]),
        ("/style.css", &["Accept-Encoding: br"]),
        ("/sub", &[]),
        ("/sub?a=b", &[]),
        ("/sub/", &[]),
        ("/inside-link.html", &[]),
        ("/nothing", &[]),
        ("/nothing", &[page]),
        ("/pipe", &[]),
        ("/.secret", &[]),
        ("/../x", &[]),
        ("/../x", &[page]),
        ("/%00", &[]),
        ("/data.bin", &["If-None-Match: $tag"]),
        ("/data.bin", &["If-None-Match: \"another\""]),
        ("/data.bin", &["If-Match: \"another\""]),
        ("/data.bin", &["If-Modified-Since: Wed, 01 Jan 2020 00:00:00 GMT"]),
        ("/data.bin", &["If-Unmodified-Since: Tue, 31 Dec 2019 23:59:59 GMT"]),
        ("/style.css", &["Accept-Encoding: gzip", "If-None-Match: $gz"]),
        ("/hello.txt", &["Authorization: Bearer wrong"]),
        ("/hello.txt", &["Expect: wonders"]),
        ("/healthz", &[]),
        ("/api", &[]),
        ("/openapi.json", &[]),
    ];
    let mut complaints = String::new();
    for (target, fields) in rows {
        let get = answer(&house, &scene, "GET", target, fields);
        let head = answer(&house, &scene, "HEAD", target, fields);
        match (get, head) {
            (Ok((get, _)), Ok((head, _))) if told(&get) == told(&head) => {}
            (Ok((_, get)), Ok((_, head))) => complaints += &format!("\n  {target} {fields:?}\n{get}    --\n{head}"),
            (get, head) => {
                for complaint in [get.err(), head.err()].into_iter().flatten() {
                    complaints += &format!("\n  {target} {fields:?}\n    {complaint}");
                }
            }
        }
    }
    assert!(complaints.is_empty(), "HEAD and GET differ:\n{complaints}");
}
