//! What is compiled in: the Files page and the parts under `/_hythe/`, the same whatever `www/` holds.

use std::io::Write;
use std::sync::LazyLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::clock::Wall;
use crate::http::fault::Fault;
use crate::http::headers::Field;
use crate::http::media::media_type;
use crate::http::negotiate::{Coding, CodingSet, accepted_codings};
use crate::http::response::{PAGE_POLICY, Response};
use crate::http::status::Status;
use crate::server::context::Call;
use crate::site::frame::FILES;
use crate::site::variant::{Making, Source, Variant};
use crate::store::disk::{FileFacts, Kind};

const ICON: &[u8] = include_bytes!("../../www/favicon.ico");

/// A part of the pages, as it is and squeezed.
struct Part {
    name: &'static str,
    plain: Variant,
    squeezed: Variant,
}

/// The parts of the pages, by their names under `/_hythe/`.
static PARTS: LazyLock<Vec<Part>> = LazyLock::new(|| {
    let parts: [(&str, &[u8]); 7] = [
        ("style.css", include_bytes!("../../www/_hythe/style.css")),
        ("logo.svg", include_bytes!("../../www/_hythe/logo.svg")),
        ("common.js", include_bytes!("../../www/_hythe/common.js")),
        ("files.js", include_bytes!("../../www/_hythe/files.js")),
        ("uploads.js", include_bytes!("../../www/_hythe/uploads.js")),
        ("live.js", include_bytes!("../../www/_hythe/live.js")),
        ("chat.js", include_bytes!("../../www/_hythe/chat.js")),
    ];
    let make = |(name, bytes): (&'static str, &'static [u8])| Part {
        name,
        plain: variant(name, Bytes::from_static(bytes), Form::OfParts(None)),
        squeezed: variant(name, squeeze(bytes).into(), Form::OfParts(Some(Coding::Gzip))),
    };
    parts.into_iter().map(make).collect()
});

/// Has all that is made once be made, by a helper soon after the start: squeezing takes longer than all else before the first
/// answer. Who asks for a part before that waits for it.
pub fn prepare() {
    LazyLock::force(&PARTS);
}

fn squeeze(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // What is written into memory is never refused.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

/// What is served at a path of `www/` where that has none of its name.
pub fn fallback(path: &str) -> Option<&'static [u8]> {
    match path {
        "index.html" => Some(FILES.as_bytes()),
        "favicon.ico" => Some(ICON),
        _ => None,
    }
}

/// A part of the pages, in the form that whoever asks would rather have.
pub fn part(name: &str, call: &Call<'_>) -> Option<&'static Variant> {
    let part = PARTS.iter().find(|part| part.name == name)?;
    let accepted = accepted_codings(call.headers.all(Field::AcceptEncoding));
    Some(match accepted.best(CodingSet::NONE.with(Coding::Gzip)) {
        Some(_) => &part.squeezed,
        None => &part.plain,
    })
}

/// In which form something is served.
enum Form {
    /// A page, made for each request.
    Page,
    /// A part, which is there in two codings.
    OfParts(Option<Coding>),
}

/// A page that says the same to all who ask in the same way: it can be asked for with conditions.
pub fn page(call: &Call<'_>, text: String) -> Result<Response, Fault> {
    variant("page.html", text.into(), Form::Page).answer(call.method, &call.headers)
}

/// Bytes with the header lines of what is compiled in. A browser asks again each time, so that after an update nothing old
/// meets something new; it is told in few bytes that it has it already.
fn variant(name: &str, bytes: Bytes, form: Form) -> Variant {
    let version = version(&bytes);
    let etag = format!("\"{version:016x}\"");
    let mut brief = Response::new(Status::OK).header("ETag", &etag).header("Cache-Control", "no-cache");
    let media = media_type(name);
    let mut full = Response::new(Status::OK).header("Content-Type", media).header("Accept-Ranges", "bytes");
    if media.starts_with("text/html") || media.starts_with("image/svg") {
        full.add_header("Content-Security-Policy", PAGE_POLICY);
        full.add_header("Referrer-Policy", "same-origin");
    }
    if let Form::OfParts(coding) = form {
        brief.add_header("Vary", "Accept-Encoding");
        if let Some(coding) = coding {
            full.add_header("Content-Encoding", coding.token());
        }
    }
    // It has no time of its own.
    let facts = FileFacts { kind: Kind::File, size: bytes.len() as u64, modified: Wall::default(), version };
    Variant::new(Making { full: &full, brief: &brief, etag, facts, media, source: Source::Memory(bytes) })
}

/// What differs where the bytes differ (FNV-1a).
pub fn version(bytes: &[u8]) -> u64 {
    let step = |sum: u64, &byte: &u8| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}
