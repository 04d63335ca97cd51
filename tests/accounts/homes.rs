//! Private files where the shared area is the operator's alone: the switches of what all share say nothing of what is one's own.

use serde_json::json;

use crate::place::{FORM, JSON, OPERATOR, Place};

const TUS: &str = "Tus-Resumable: 1.0.0";

fn form(private: bool, name: &str) -> (&'static str, String) {
    let wish = if private { "--x\r\nContent-Disposition: form-data; name=private\r\n\r\n1\r\n" } else { "" };
    let file = format!("--x\r\nContent-Disposition: form-data; name=file; filename={name}\r\n\r\nhello\r\n--x--\r\n");
    ("Content-Type: multipart/form-data; boundary=x", format!("{wish}{file}"))
}

#[test]
fn who_may_not_write_to_the_shared_area_writes_home_and_only_there() {
    let place = Place::open(&["--shared-write", "operator", "--shared-read", "operator"]);
    place.register("ada");
    place.register("bob");
    let ada = place.sign_in("ada");
    let bob = place.sign_in("bob");
    let ada = ada.as_str();
    let metadata = |private: &str| format!("Upload-Metadata: filename dC50eHQ=,private {private}");

    let (kind, body) = form(true, "a.txt");
    let kept = place.ask("POST /upload", &[ada, kind], &body);
    assert_eq!((kept.status, kept.json()["files"][0]["path"].as_str()), (201, Some("~ada/a.txt")), "{kept:?}");
    assert_eq!(place.ask("POST /tus", &[ada, TUS, "Upload-Length: 5", &metadata("MQ==")], "").status, 201);
    for (line, body, status) in [
        ("GET /file-list?prefix=~ada", "", 200),
        ("GET /file-list?prefix=%7eada", "", 200),
        ("GET /file-list?prefix=~bob", "", 404),
        ("GET /files/~ada/a.txt", "", 200),
        ("POST /dirs", r#"{"path":"~ada/d"}"#, 201),
        ("POST /rename", r#"{"from":"~ada/a.txt","to":"~ada/d/a.txt"}"#, 200),
        ("PATCH /files/~ada/d/a.txt", r#"{"path":"~ada/a.txt"}"#, 200),
        ("POST /remove", r#"{"name":"~ada/a.txt"}"#, 200),
        ("PUT /files/~ada/p.txt?create=1", "p", 201),
        ("DELETE /files/~ada/p.txt", "", 200),
    ] {
        let answer = place.ask(line, &[ada, JSON], body);
        assert_eq!(answer.status, status, "{line}: {answer:?}");
    }
    for (line, body) in [
        ("POST /upload", "{}"),
        ("GET /file-list", ""),
        ("GET /file-list?prefix=d", ""),
        ("GET /file-info/a.txt", ""),
        ("GET /files/a.txt", ""),
        ("PUT /files/a.txt?create=1", "p"),
        ("DELETE /files/a.txt", ""),
        ("POST /dirs", r#"{"path":"d"}"#),
        ("POST /rename", r#"{"from":"a.txt","to":"b.txt"}"#),
        ("POST /remove", r#"{"name":"a.txt"}"#),
    ] {
        let answer = place.ask(line, &[ada, JSON], body);
        assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"), "{line}: {answer:?}");
        let guest = place.ask(line, &[JSON], body);
        assert_eq!((guest.status, guest.code().as_str()), (401, "unauthorized"), "{line}: {guest:?}");
    }
    let shared = [
        place.ask("POST /tus", &[ada, TUS, "Upload-Length: 5", &metadata("MA==")], ""),
        place.ask("POST /upload?name=raw.txt", &[ada, "Content-Type: text/plain"], "raw"),
        place.ask("POST /upload", &[ada, form(false, "s.txt").0], form(false, "s.txt").1),
        place.ask("POST /remove", &[ada, FORM], "name=a.txt"),
    ];
    for answer in shared {
        assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"), "{answer:?}");
    }
    // Nothing of all this has come to lie in the shared area, and nobody else has seen into the home.
    assert_eq!(place.get("/file-list", &[OPERATOR]).json(), json!({"files": [], "dirs": [], "next": null}));
    assert_eq!(place.get("/file-list?prefix=~ada", &[&bob]).status, 404);
    assert_eq!(place.get("/file-list?prefix=~ada", &[OPERATOR]).status, 404);
}
