//! The few file verbs this crate uses, as a trait: `os` implements it over system calls, the simulation in memory.
//!
//! A [`Disk`] is one folder tree, opened once; every verb takes a [`RelPath`] below its root and can reach nothing else.
//! All verbs but [`Disk::open_now`] block: only helpers call them.

use std::any::Any;
use std::fmt;
use std::io;
use std::sync::Arc;

use crate::clock::Wall;
use crate::content::Content;
use crate::path::RelPath;

/// What symbolic links mean to a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// Followed while they stay inside the root; outside is as if there were nothing.
    Inside,
    /// Never followed, neither as the last component nor on the way.
    Never,
}

/// What kind of thing a name stands for. FIFOs, sockets and devices are none: the verbs say `NotFound` of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
}

/// What is known of a file without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileFacts {
    /// File or folder.
    pub kind: Kind,
    /// Its size in bytes; meaningless for a folder.
    pub size: u64,
    /// When its content last changed.
    pub modified: Wall,
    /// A number that differs whenever the content may differ: made of device, inode, size, and the times of change in
    /// nanoseconds. Entity tags are made of it.
    pub version: u64,
}

impl FileFacts {
    /// The same, but of a file that was last changed by `now`: nobody is told of a change that is yet to come (RFC 9110, section
    /// 8.8.2.1), though a file's time may say so.
    pub fn not_after(self, now: Wall) -> FileFacts {
        FileFacts { modified: self.modified.min(now), ..self }
    }
}

/// A file that has been opened.
#[derive(Clone)]
pub struct Opened {
    /// Its facts, taken from the open descriptor itself.
    pub facts: FileFacts,
    /// Its content.
    pub content: Arc<dyn Content>,
}

/// One name in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The name, without its folder.
    pub name: String,
    /// What it stands for.
    pub facts: FileFacts,
}

/// Whether an error says that too many files are open at once, of this process or of the machine: in a moment it may be otherwise.
pub fn is_shortage(error: &io::Error) -> bool {
    // ENFILE and EMFILE, alike on every system we know; the library has no kind for them.
    matches!(error.raw_os_error(), Some(23 | 24))
}

/// What a commit does when the name is already taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// The new file is not made; `AlreadyExists`. The kernel decides, not an earlier look.
    Refuse,
    /// The new file takes the name in one atomic step; a folder of that name is still refused (`IsADirectory`), and a
    /// folder never replaces anything (`AlreadyExists`).
    Replace,
}

/// A file being written that nobody can see yet. Dropped before its commit, it leaves nothing behind.
pub trait Draft: Send {
    /// Appends bytes.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Syncs the content early, so that the commit has only the name to see to.
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Appends all that this one has to another, which may be of another disk.
    fn copy_to(&mut self, other: &mut dyn Draft) -> io::Result<()>;

    /// Syncs the content if that is still to be done, gives it its name under `path` in one atomic step, and syncs the folder.
    /// On an error the old content, or none, is what stands there. After `AlreadyExists` the draft is still whole: it may
    /// be committed under another name, for finished bytes are never thrown away. After a success it is spent.
    fn commit(&mut self, path: &RelPath<'_>, existing: Existing) -> io::Result<FileFacts>;
}

/// The name of an upload that may continue another day: 128 random bits. Whoever holds it may go on with a guest's upload, so
/// no two are alike and none can be guessed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartialId([u8; 16]);

impl PartialId {
    /// The name made of these bytes.
    pub fn new(bytes: [u8; 16]) -> PartialId {
        PartialId(bytes)
    }

    /// Reads what `Display` writes, and nothing else.
    pub fn parse(text: &str) -> Option<PartialId> {
        let is_hex = text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        let number = u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32 && is_hex)?;
        Some(PartialId(number.to_be_bytes()))
    }
}

impl fmt::Display for PartialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// Only its beginning: a log that others read gives nobody a way in.
impl fmt::Debug for PartialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}{:02x}…", self.0[0], self.0[1])
    }
}

/// The content of an unfinished upload. It is a draft whose bytes stay when it is dropped; only a commit takes them away from
/// among the unfinished.
pub trait Growing: Draft {
    /// How many bytes it has.
    fn size(&self) -> io::Result<u64>;

    /// Takes away what lies beyond `size`.
    fn cut(&mut self, size: u64) -> io::Result<()>;
}

/// That no other process is at an unfinished upload, for as long as this is kept.
pub type Claim = Arc<dyn Any + Send + Sync>;

/// Uploads that may continue another day. Each is its content and a state, which is opaque here and replaced in one step. They
/// lie in the same file system as the tree, where no path leads.
pub trait Unfinished: Send + Sync {
    /// Begins an upload without content.
    fn begin(&self, state: &[u8]) -> io::Result<PartialId>;

    /// Replaces its state; what it says is on the disk when this returns.
    fn mark(&self, id: PartialId, state: &[u8]) -> io::Result<()>;

    /// Opens its content to go on at its end.
    fn resume(&self, id: PartialId) -> io::Result<Box<dyn Growing>>;

    /// Keeps other processes from it: there is one that this one takes the place of, or that takes this one's. `None` if another
    /// is at it.
    fn claim(&self, id: PartialId) -> io::Result<Option<Claim>> {
        let _ = id;
        Ok(Some(Arc::new(())))
    }

    /// How much content it has; `NotFound` when it has none any more.
    fn size(&self, id: PartialId) -> io::Result<u64>;

    /// When its content last changed, as far as that can be told.
    fn changed(&self, id: PartialId) -> io::Result<Wall> {
        let _ = id;
        Ok(Wall::default())
    }

    /// Removes content and state, whichever there is.
    fn give_up(&self, id: PartialId) -> io::Result<()>;

    /// Its state as it was written down last.
    fn state(&self, id: PartialId) -> io::Result<Vec<u8>>;

    /// All states there are. Content without a state is removed, if it is not one that is just begun.
    fn all(&self) -> io::Result<Vec<(PartialId, Vec<u8>)>>;

    /// A word that changes when the machine starts anew: what was written and not synced before is to be doubted then.
    fn boot(&self) -> String;
}

/// A folder tree and what can be done in it.
pub trait Disk: Any + Send + Sync {
    /// Opens a file for reading. `NotFound` for whatever is no regular file or lies outside; a folder is told by
    /// `IsADirectory`.
    fn open(&self, path: &RelPath<'_>) -> io::Result<Opened>;

    /// The same where the kernel has all of it in memory; else `WouldBlock`, also on a disk that cannot tell. What the loop
    /// itself may ask.
    fn open_now(&self, _path: &RelPath<'_>) -> io::Result<Opened> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// The facts of a file or folder.
    fn facts(&self, path: &RelPath<'_>) -> io::Result<FileFacts>;

    /// The names in a folder, in no order; hidden names and names that are not UTF-8 left out.
    fn list(&self, folder: &RelPath<'_>) -> io::Result<Vec<Item>>;

    /// Begins a file that will lie in `folder`, with room reserved when its length is known (`StorageFull` if there is none).
    fn draft(&self, folder: &RelPath<'_>, length: Option<u64>) -> io::Result<Box<dyn Draft>>;

    /// Makes a folder; its parent must exist.
    fn make_folder(&self, path: &RelPath<'_>) -> io::Result<()>;

    /// Moves a file or folder within the tree; a folder into itself is `InvalidInput`.
    fn rename(&self, from: &RelPath<'_>, to: &RelPath<'_>, existing: Existing) -> io::Result<()>;

    /// Moves a file or folder into another tree of the same file system, where it gets the rights that new ones have there;
    /// `CrossesDevices` if that is another file system, or nobody can tell.
    fn rename_into(
        &self,
        from: &RelPath<'_>,
        other: &dyn Disk,
        to: &RelPath<'_>,
        existing: Existing,
    ) -> io::Result<()> {
        let _ = (from, other, to, existing);
        Err(io::ErrorKind::CrossesDevices.into())
    }

    /// Removes a file, or a folder if it is empty (`DirectoryNotEmpty`).
    fn remove(&self, path: &RelPath<'_>) -> io::Result<()>;

    /// Bytes free for new files.
    fn free_bytes(&self) -> io::Result<u64>;

    /// Removes what an earlier run left half written; says how many.
    fn sweep(&self) -> io::Result<usize>;

    /// Uploads that may continue another day; `None` where there cannot be any.
    fn unfinished(&self) -> Option<&dyn Unfinished> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_id_is_thirty_two_small_digits() {
        let id = PartialId::new(*b"0123456789abcdef");
        assert_eq!(id.to_string(), "30313233343536373839616263646566");
        assert_eq!(PartialId::parse(&id.to_string()), Some(id));
        assert_eq!(PartialId::parse(&"0".repeat(32)), Some(PartialId::new([0; 16])));
        let (short, long, large) = ("0".repeat(31), "0".repeat(33), "A".repeat(32));
        for text in ["", &short, &long, &large, "+0313233343536373839616263646566", "g0313233343536373839616263646566"]
        {
            assert_eq!(PartialId::parse(text), None, "{text}");
        }
        assert_eq!(format!("{id:?}"), "3031…");
    }
}
