//! What was still coming when its sender's right to come in ended: it takes no place, whatever way it comes and however the right
//! has ended.

use serde_json::json;

use crate::place::{JSON, OPERATOR, PASSWORD, Place};
use crate::wire::Wire;

const BODY: &str = "hello";

/// Ways of sending a file: the line, fields, and the body.
fn ways(upload: &str) -> Vec<(String, Vec<String>, String)> {
    let bytes = "Content-Type: application/octet-stream".to_owned();
    let form = format!("--x\r\nContent-Disposition: form-data; name=file; filename=form\r\n\r\n{BODY}\r\n--x--\r\n");
    let tus = ["Tus-Resumable: 1.0.0", "Upload-Offset: 0", "Content-Type: application/offset+octet-stream"];
    vec![
        ("PUT /files/put?create=1".into(), vec![bytes.clone()], BODY.into()),
        ("PUT /files/~ada/put?create=1".into(), vec![bytes.clone()], BODY.into()),
        ("POST /upload?name=raw".into(), vec![bytes], BODY.into()),
        ("POST /upload".into(), vec![JSON.into()], r#"{"a":1}"#.into()),
        ("POST /upload".into(), vec!["Content-Type: multipart/form-data; boundary=x".into()], form),
        ("POST /rename".into(), vec![JSON.into()], r#"{"from":"old","to":"new"}"#.into()),
        ("POST /remove".into(), vec![JSON.into()], r#"{"name":"old"}"#.into()),
        (format!("PATCH {upload}"), tus.map(str::to_owned).to_vec(), BODY.into()),
    ]
}

#[test]
fn what_still_comes_when_its_sender_is_not_let_in_any_more_takes_no_place() {
    for end in ["logout", "token", "password", "disable", "delete"] {
        let place = Place::open(&["--shared-write", "user"]);
        place.register("ada");
        let other = place.sign_in("ada");
        let by =
            if end == "token" { place.token(&other, &["files:write", "files:read"]) } else { place.sign_in("ada") };
        let by = by.as_str();
        assert_eq!(place.ask("PUT /files/old?create=1", &[by], "old").status, 201);
        let metadata = "Upload-Metadata: filename dHVz";
        let begun = place.ask("POST /tus", &[by, "Tus-Resumable: 1.0.0", "Upload-Length: 5", metadata], "");
        let ways = ways(begun.field("location").expect("its address"));
        let mut wires: Vec<(Wire, &str)> = Vec::new();
        for (line, fields, body) in &ways {
            let mut wire = Wire::connect(place.address());
            let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
            wire.send(
                format!(
                    "{line} HTTP/1.1\r\nHost: {}\r\n{by}\r\n{fields}Content-Length: {}\r\nExpect: 100-continue\r\n\r\n",
                    place.address(),
                    body.len()
                )
                .as_bytes(),
            );
            assert_eq!(wire.hear(false).expect("an answer").status, 100, "{line}");
            wires.push((wire, body));
        }
        let ended = match end {
            "logout" => place.ask("POST /logout", &[by], ""),
            "token" => place.ask("DELETE /tokens/1", &[&other], ""),
            "password" => place.post("/password", &[&other], &json!({"old": PASSWORD, "new": "battery staple"})),
            "disable" => place.ask("PATCH /admin/users/ada", &[OPERATOR, JSON], r#"{"disabled":true}"#),
            _ => place.ask("DELETE /admin/users/ada", &[OPERATOR], ""),
        };
        assert_eq!(ended.status, 200, "{end}: {ended:?}");
        for ((wire, body), (line, ..)) in wires.iter_mut().zip(&ways) {
            wire.send(body.as_bytes());
            let answer = wire.hear(false).expect("an answer");
            let code = match end {
                "token" => "invalid_token",
                "delete" if line.contains('~') => "not_found",
                _ => "session_ended",
            };
            let status = if code == "not_found" { 404 } else { 401 };
            assert_eq!((answer.status, answer.code().as_str()), (status, code), "{line} after {end}: {answer:?}");
        }
        let list = place.get("/file-list", &[OPERATOR]).json();
        let names: Vec<_> = list["files"].as_array().expect("rows").iter().map(|file| &file["name"]).collect();
        assert_eq!(names, ["old"], "after {end}");
    }
}
