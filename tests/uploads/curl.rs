//! How people do it: with curl, where there is one.

use std::fs;
use std::process::{Command, Stdio};

use crate::share::{Share, noise};

/// What curl prints; `None` where there is no curl.
fn curl(share: &Share, line: &str) -> Option<String> {
    let base = format!("http://{}", share.house.address());
    let arguments = line.split_whitespace().map(|word| word.replace("$base", &base));
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "60", "-q", "--noproxy", "*"]).args(arguments);
    let output = command.current_dir(share.house.folder()).stdin(Stdio::null()).output();
    match output {
        Ok(output) => {
            assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
            Some(String::from_utf8(output.stdout).unwrap())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn curl_uploads_and_fetches_in_every_way_it_knows() {
    let share = Share::open(&[]);
    let room = share.house.folder().to_owned();
    let bytes = noise(3 << 20);
    fs::write(room.join("photo.jpg"), &bytes).unwrap();
    fs::write(room.join("notes.txt"), "notes").unwrap();
    if curl(&share, "--version").is_none() {
        return;
    }
    let said = curl(&share, "-F file=@photo.jpg -F file=@notes.txt -F dir=album $base/upload").unwrap();
    assert!(said.contains("\"album/notes.txt\""), "{said}");
    assert!(share.read("album/photo.jpg").unwrap() == bytes);
    let code = "-o /dev/null -w %{http_code}";
    let status = |line: &str| curl(&share, &format!("{code} {line}")).unwrap();
    assert_eq!(status("-F file=@notes.txt -F dir=album $base/upload"), "409");
    assert_eq!(status("-T photo.jpg $base/files/put.jpg?create=1"), "201");
    assert_eq!(status("-T photo.jpg -H Transfer-Encoding:chunked $base/files/put.jpg"), "200");
    assert!(share.read("put.jpg").unwrap() == bytes);
    assert_eq!(status("-H Content-Type:image/jpeg --data-binary @photo.jpg $base/upload?name=raw.jpg"), "201");
    assert!(share.read("raw.jpg").unwrap() == bytes);
    fs::write(room.join("half.jpg"), &bytes[..1_000_000]).unwrap();
    curl(&share, "-C - -o half.jpg $base/files/put.jpg").unwrap();
    assert!(fs::read(room.join("half.jpg")).unwrap() == bytes);
    fs::remove_file(room.join("notes.txt")).unwrap();
    let save = curl(&share, "-OJ $base/files/album/notes.txt -w %{filename_effective}").unwrap();
    assert_eq!(save, "notes.txt");
    assert_eq!(status("-X DELETE $base/files/put.jpg"), "200");
    assert_eq!(status("$base/files/put.jpg"), "404");
}
