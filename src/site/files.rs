//! The shared files: what one of them is to a client, and reading them. [`upload`](crate::site::upload) takes new ones in,
//! [`changes`](crate::site::changes) replaces, moves and removes them.
//!
//! What strangers have stored is never run in our name: it is sent as a download and under a policy that forbids all.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::config::access::Access;
use crate::http::date;
use crate::http::fault::Fault;
use crate::http::form::{content_disposition, encode_path, query};
use crate::http::media::{may_be_inline, media_type};
use crate::http::response::{Body, Response};
use crate::http::status::Status;
use crate::path::RelPath;
use crate::server::context::{Call, Context};
use crate::server::reply::Reply;
use crate::site::gate::Principal;
use crate::site::kept::KeptHeaders;
use crate::site::spot::{Spot, owner_name, when_known};
use crate::site::state::{Files, Site, disk_fault};
use crate::site::variant::{Making, Source, Variant};
use crate::store::archive::{Archive, Format, Walk};
use crate::store::digest::{self, Hashing};
use crate::store::disk::{Disk, FileFacts, Kind, Opened};
use crate::store::zipped::CAN_ZIP;

/// The policy of every shared file, whatever it is.
const POLICY: &str = "sandbox; default-src 'none'";

/// The shared files; 404 where they are switched off.
pub fn files(site: &mut Site) -> Result<&mut Files, Fault> {
    site.files.as_mut().ok_or_else(Fault::not_found)
}

/// Where the path that a route's rest names leads.
pub fn target(call: &Call<'_>, who: &Principal) -> Result<Spot, Fault> {
    let path = RelPath::from_plain(call.parameter("path").unwrap_or_default()).map_err(|_| Fault::not_found())?;
    Spot::of(who, &path)
}

/// 400 for a name under which nothing may be stored.
pub fn bad_name(reason: &'static str) -> Fault {
    Fault::new(Status::BAD_REQUEST, "bad_name", reason)
}

/// The entity tag of a file.
pub fn etag(facts: &FileFacts) -> String {
    format!("\"{:016x}\"", facts.version)
}

/// Where a file is fetched. The prefix is the server's own.
pub fn url(prefix: &str, path: &RelPath<'_>) -> String {
    format!("{prefix}/files/{}", encode_path(path.as_str()))
}

/// A file, or a folder, as the contract writes it: its path as clients see it, and the name of whom it belongs to.
pub fn describe(prefix: &str, path: &RelPath<'_>, facts: &FileFacts, owner: Option<&str>) -> Value {
    let name = path.name().unwrap_or_default();
    let (kind, size) = match facts.kind {
        Kind::File => (media_type(name), facts.size),
        Kind::Folder => ("folder", 0),
    };
    json!({
        "name": name,
        "path": path.as_str(),
        "url": url(prefix, path),
        "size": size,
        "type": kind,
        "modified": date::rfc3339(facts.modified),
        "etag": etag(facts),
        "owner": owner,
    })
}

/// Tells the log, and counts, that a file was stored.
pub fn note_stored(site: &mut Site, path: &RelPath<'_>, facts: &FileFacts, ip: IpAddr) {
    site.tallies.uploads += 1;
    site.tallies.uploaded_bytes += facts.size;
    log::info!("stored {}, {} bytes, for {ip}", shown(path.as_str()), facts.size);
}

/// A name as it may stand in a line of the log: what could move the reader's cursor is escaped.
pub fn shown(name: &str) -> String {
    let mut shown = String::with_capacity(name.len());
    for letter in name.chars() {
        if letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}') {
            shown.extend(letter.escape_unicode());
        } else {
            shown.push(letter);
        }
    }
    shown
}

/// How a file, or a folder, is wanted.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wish {
    inline: bool,
    digest: bool,
    archive: Option<Format>,
}

impl Wish {
    fn of(text: &str) -> Result<Wish, Fault> {
        let bad = |detail| Err(Fault::new(Status::BAD_REQUEST, "bad_query", detail));
        let mut wish = Wish::default();
        for (name, value) in query(text) {
            match (&*name, &*value) {
                ("inline", value) => wish.inline = value == "1",
                ("hash", "sha256") => wish.digest = true,
                ("hash", _) => return bad("hash is sha256"),
                ("archive", word) => match Format::named(word) {
                    Some(format) => wish.archive = Some(format),
                    None => return bad(if CAN_ZIP { "archive is tar or zip" } else { "archive is tar" }),
                },
                _ => {}
            }
        }
        Ok(wish)
    }
}

/// `GET /files/<path>`: the file itself, or a folder as an archive.
pub fn download(site: &mut Site, call: &Call<'_>, who: Principal, cx: &mut Context<'_>) -> Result<Reply<Site>, Fault> {
    let spot = target(call, &who)?;
    let wish = Wish::of(call.query.unwrap_or_default())?;
    if let Some(format) = wish.archive {
        return archive(site, spot, format);
    }
    if spot.is_root() || call.is_folder {
        return Err(Fault::not_found());
    }
    let is_public = spot.area.is_shared() && site.config.rights().shared_read == Access::Anyone;
    let caching = if is_public { "no-cache" } else { "private, no-cache" };
    let (method, headers) = (call.method, KeptHeaders::of(&call.headers));
    let disk = spot.area.disk(files(site)?)?;
    let (path, now) = (spot.path, cx.wall);
    Ok(Reply::offload(move || {
        let sent = |opened: &Opened| Opened { facts: opened.facts.not_after(now), content: opened.content.clone() };
        let found = disk.open(&path).map(|opened| (variant(&path, sent(&opened), wish.inline, caching), opened));
        move |site: &mut Site, _: &mut Context<'_>| {
            let (variant, opened) = match found {
                Ok(found) => found,
                Err(error) => return read_fault(&error).into(),
            };
            match headers.lend(|headers| variant.answer(method, headers)) {
                // A digest is of the whole file, also where only a part of it is sent (RFC 9530, section 3).
                Ok(answer) if wish.digest && matches!(answer.status, Status::OK | Status::PARTIAL_CONTENT) => {
                    add_digest(site, answer, opened)
                }
                answer => answer.into(),
            }
        }
    }))
}

/// Sends an answer with the digest of its file, which is read for that unless the digest is still known.
fn add_digest(site: &mut Site, answer: Response, opened: Opened) -> Reply<Site> {
    match files(site).ok().and_then(|files| files.digests.get(&opened.facts)) {
        Some(digest) => with_digest(answer, &digest).into(),
        None => hash_on(answer, opened, Hashing::default()),
    }
}

fn with_digest(answer: Response, digest: &[u8]) -> Response {
    answer.header("Repr-Digest", &format!("sha-256=:{}:", digest::encode(digest)))
}

/// Hashes a stretch at a time, so that a large file does not keep a helper from all others.
fn hash_on(answer: Response, opened: Opened, mut hashing: Hashing) -> Reply<Site> {
    Reply::offload(move || {
        let is_done = hashing.go_on(&*opened.content, opened.facts.size);
        move |site: &mut Site, cx: &mut Context<'_>| match is_done {
            Ok(false) => hash_on(answer, opened, hashing),
            Ok(true) => {
                let digest = hashing.finish();
                if let Ok(files) = files(site) {
                    files.digests.put(&opened.facts, digest, cx.wall);
                }
                with_digest(answer, &digest).into()
            }
            Err(error) => disk_fault(&error, "hash a shared file").into(),
        }
    })
}

/// A folder and all below it as one file, made while it is sent.
fn archive(site: &mut Site, folder: Spot, format: Format) -> Result<Reply<Site>, Fault> {
    let disk = folder.area.disk(files(site)?)?;
    let name = folder.show().name().unwrap_or("files").trim_start_matches('~').to_owned();
    let name = format!("{name}.{}", format.extension());
    Ok(Reply::offload(move || {
        let made = open_archive(&disk, &folder, format);
        move |_: &mut Site, _: &mut Context<'_>| match made {
            Ok(archive) => Response::new(Status::OK)
                .header("Content-Type", format.media_type())
                .header("Content-Disposition", &content_disposition(&name))
                .header("Content-Security-Policy", POLICY)
                .header("Cache-Control", "no-store")
                .with_body(Body::Stream(Box::new(archive)))
                .into(),
            Err(fault) => fault.into(),
        }
    }))
}

fn open_archive(disk: &Arc<dyn Disk>, folder: &Spot, format: Format) -> Result<Archive, Fault> {
    let walk = || {
        let walk = Walk::new(Arc::clone(disk), folder.path.clone(), folder.area.is_shared());
        walk.map_err(|error| disk_fault(&error, "list a folder"))
    };
    if let Some(most) = format.names_max()
        && walk()?.is_longer_than(most)
    {
        let detail = format!("a zip may hold {most} names at most; a tar may hold any number");
        return Err(Fault::new(Status::CONTENT_TOO_LARGE, "too_large", detail));
    }
    let top = folder.show().name().unwrap_or_default().trim_start_matches('~').to_owned();
    Ok(Archive::new(walk()?, &top, format))
}

/// A folder is not to be had as a file.
fn read_fault(error: &io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::IsADirectory => Fault::not_found(),
        _ => disk_fault(error, "read a shared file"),
    }
}

fn variant(path: &RelPath<'_>, opened: Opened, wants_inline: bool, caching: &str) -> Variant {
    let Opened { facts, content } = opened;
    let name = path.name().unwrap_or_default();
    let media = media_type(name);
    let etag = etag(&facts);
    let attachment = content_disposition(name);
    let disposition = match attachment.strip_prefix("attachment") {
        Some(names) if wants_inline && may_be_inline(media) => format!("inline{names}"),
        _ => attachment,
    };
    let mut brief = Response::new(Status::OK)
        .header("ETag", &etag)
        .header("Cache-Control", caching)
        .header("Content-Disposition", &disposition)
        .header("Content-Security-Policy", POLICY);
    if facts.modified.as_seconds() > 0 {
        let modified = date::imf(facts.modified);
        brief.add_header("Last-Modified", std::str::from_utf8(&modified).unwrap_or_default());
    }
    let full = Response::new(Status::OK).header("Content-Type", media).header("Accept-Ranges", "bytes");
    Variant::new(Making { full: &full, brief: &brief, etag, facts, media, source: Source::Open(content) })
}

/// `GET /file-info/<path>`: what is known of a file.
pub fn info(site: &mut Site, call: &Call<'_>, who: Principal, _: &mut Context<'_>) -> Result<Reply<Site>, Fault> {
    let spot = target(call, &who)?;
    if spot.is_root() || call.is_folder {
        return Err(Fault::not_found());
    }
    let disk = spot.area.disk(files(site)?)?;
    Ok(Reply::offload(move || {
        let facts = disk.facts(&spot.path);
        move |site: &mut Site, cx: &mut Context<'_>| match facts {
            Ok(facts) if facts.kind == Kind::File => when_known(site, cx, move |site, _| {
                let owner = owner_name(site, &spot.area, &spot.path);
                let document = describe(&site.config.path_prefix, &spot.show(), &facts, owner.as_deref());
                Response::json(Status::OK, &document).into()
            }),
            Ok(_) => Fault::not_found().into(),
            Err(error) => disk_fault(&error, "look at a shared file").into(),
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Wall;
    use crate::content::Content;

    struct Nothing;

    impl Content for Nothing {
        fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
            Ok(0)
        }
    }

    const FACTS: FileFacts =
        FileFacts { kind: Kind::File, size: 12, modified: Wall::from_seconds(1_795_169_472), version: 0xab };

    #[test]
    fn a_file_is_described_as_the_contract_says() {
        let path = RelPath::from_plain("a b/é#.txt").unwrap();
        assert_eq!(
            describe("/p", &path, &FACTS, Some("ada")),
            json!({
                "name": "é#.txt",
                "path": "a b/é#.txt",
                "url": "/p/files/a%20b/%C3%A9%23.txt",
                "size": 12,
                "type": "text/plain; charset=utf-8",
                "modified": "2026-11-20T10:11:12Z",
                "etag": "\"00000000000000ab\"",
                "owner": "ada",
            })
        );
    }

    #[test]
    fn only_harmless_kinds_are_shown_in_place_and_nothing_runs() {
        for (name, wants_inline, disposition) in [
            ("a.png", true, "inline; filename=\"a.png\""),
            ("a.png", false, "attachment; filename=\"a.png\""),
            ("a.txt", true, "inline; filename=\"a.txt\""),
            ("a.html", true, "attachment; filename=\"a.html\""),
            ("a.svg", true, "attachment; filename=\"a.svg\""),
            ("a.pdf", true, "attachment; filename=\"a.pdf\""),
            ("a", true, "attachment; filename=\"a\""),
        ] {
            let path = RelPath::from_plain(name).unwrap();
            let opened = Opened { facts: FACTS, content: Arc::new(Nothing) };
            let variant = variant(&path, opened, wants_inline, "no-cache");
            let headers = crate::http::headers::Headers::new(&[]);
            let Ok(response) = variant.answer(crate::http::request::Method::Get, &headers) else {
                panic!("nothing forbids it")
            };
            let mut block = Vec::new();
            response.write_lines(&mut block);
            let block = String::from_utf8(block).unwrap();
            assert!(block.contains(&format!("Content-Disposition: {disposition}\r\n")), "{block}");
            assert!(block.contains("Content-Security-Policy: sandbox; default-src 'none'\r\n"), "{block}");
        }
    }

    #[test]
    fn a_wish_is_read_from_the_query() {
        let wish = |archive, digest, inline| Ok(Wish { inline, digest, archive });
        for (query, expected) in [
            ("", wish(None, false, false)),
            ("inline=1&hash=sha256", wish(None, true, true)),
            ("archive=tar", wish(Some(Format::Tar), false, false)),
            #[cfg(feature = "compress")]
            ("archive=zip&other=1&inline=0", wish(Some(Format::Zip), false, false)),
        ] {
            assert_eq!(Wish::of(query), expected, "{query}");
        }
        for query in ["hash=md5", "hash", "archive=rar", "archive="] {
            assert_eq!(Wish::of(query).unwrap_err().code, "bad_query", "{query}");
        }
    }

    #[test]
    fn no_name_moves_the_cursor_of_who_reads_the_log() {
        assert_eq!(shown("a é.txt"), "a é.txt");
        assert_eq!(shown("a\u{85}\u{9b}31m\u{202e}b"), "a\\u{85}\\u{9b}31m\\u{202e}b");
    }
}
