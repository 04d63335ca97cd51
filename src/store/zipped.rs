//! [`Zipped`]: a zip that is written as it is sent, packed lightly but for what is packed already.

use std::cell::RefCell;
use std::io::{self, Write};

use time::OffsetDateTime;
use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{CompressionMethod, ZipWriter};

use crate::clock::Wall;

/// Whether this build can.
pub const CAN_ZIP: bool = true;

/// From this size on a zip's entry needs the long form; a little is left for what does not pack.
const LONG_BYTES: u64 = u32::MAX as u64 - (64 << 20);

/// Where a zip is written to, to be taken from there while it grows.
#[derive(Default)]
struct Tray(RefCell<Vec<u8>>);

impl Write for Tray {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.get_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A zip that grows.
pub struct Zipped(Box<ZipWriter<StreamWriter<Tray>>>);

impl Default for Zipped {
    fn default() -> Zipped {
        Zipped(Box::new(ZipWriter::new_stream(Tray::default())))
    }
}

impl Zipped {
    /// A folder.
    pub fn add_folder(&mut self, name: &str, modified: Wall) -> io::Result<()> {
        Ok(self.0.add_directory(name, options(modified).unix_permissions(0o755))?)
    }

    /// A file, whose content follows.
    pub fn begin_file(&mut self, name: &str, bytes: u64, modified: Wall) -> io::Result<()> {
        let (method, level) = match is_packed(name) {
            true => (CompressionMethod::Stored, None),
            false => (CompressionMethod::Deflated, Some(1)),
        };
        let options = options(modified).compression_method(method).compression_level(level);
        Ok(self.0.start_file(name, options.large_file(bytes >= LONG_BYTES).unix_permissions(0o644))?)
    }

    /// Its next bytes.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    /// Moves what has been written into a window.
    pub fn give(&mut self, window: &mut Vec<u8>) {
        if let Some(writer) = self.0.get_ref() {
            window.append(&mut writer.get_ref().0.borrow_mut());
        }
    }

    /// Writes the index, and gives what is left.
    pub fn finish(self) -> io::Result<Vec<u8>> {
        Ok(self.0.finish()?.into_inner().0.into_inner())
    }
}

fn options(modified: Wall) -> SimpleFileOptions {
    SimpleFileOptions::default().last_modified_time(zip_time(modified))
}

/// A zip's times begin in 1980 and end in 2107; what lies outside is told as the beginning.
fn zip_time(modified: Wall) -> zip::DateTime {
    let seconds = i64::try_from(modified.as_seconds()).unwrap_or(0);
    let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let year = u16::try_from(time.year()).unwrap_or(0);
    zip::DateTime::from_date_and_time(year, time.month().into(), time.day(), time.hour(), time.minute(), time.second())
        .unwrap_or_default()
}

/// Whether a file of this name is packed already, so that to pack it again would only cost time.
fn is_packed(name: &str) -> bool {
    const PACKED: [&str; 34] = [
        "7z", "aac", "apk", "avif", "br", "bz2", "docx", "epub", "flac", "gif", "gz", "heic", "jar", "jpeg", "jpg",
        "lz4", "m4a", "m4v", "mkv", "mov", "mp3", "mp4", "odt", "ogg", "opus", "png", "pptx", "rar", "webm", "webp",
        "xlsx", "xz", "zip", "zst",
    ];
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    PACKED.iter().any(|packed| packed.eq_ignore_ascii_case(extension))
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read};

    use super::*;

    #[test]
    fn what_is_packed_already_is_not_packed_again() {
        assert!(is_packed("a.JPG") && is_packed("b.tar.gz") && !is_packed("jpg") && !is_packed("a.txt"));
    }

    #[test]
    fn every_file_comes_out_as_it_went_in_whether_it_is_packed_or_not() {
        let text = "the same again and ".repeat(1000);
        let mut zip = Zipped::default();
        for name in ["photo.jpg", "notes.txt"] {
            zip.begin_file(name, text.len() as u64, Wall::default()).unwrap();
            zip.write(text.as_bytes()).unwrap();
        }
        let mut archive = zip::ZipArchive::new(Cursor::new(zip.finish().unwrap())).unwrap();
        for (name, is_smaller) in [("photo.jpg", false), ("notes.txt", true)] {
            let mut entry = archive.by_name(name).unwrap();
            assert_eq!(entry.compressed_size() < entry.size(), is_smaller, "{name}");
            let mut came = String::new();
            entry.read_to_string(&mut came).unwrap();
            assert_eq!(came, text, "{name}");
        }
    }
}
