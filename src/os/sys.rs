//! The few system calls that no safe crate offers. The only `unsafe` of this crate is here.
#![allow(unsafe_code)]

use std::ffi::{CStr, OsStr};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// Sets an integer option of a socket (`setsockopt(2)`).
fn set_option(socket: BorrowedFd<'_>, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let size = size_of_val(&value) as libc::socklen_t;
    // SAFETY: the descriptor is borrowed and so open; the pointer is to a live integer of the size that is given, and the
    // kernel only reads it.
    let done = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), size) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Within which a client's first bytes must come for the kernel to hold its connection back.
#[cfg(target_os = "linux")]
pub const DEFER_SECONDS: libc::c_int = 1;

/// Has a listener hand out a connection only when its first bytes are there, or after [`DEFER_SECONDS`] (`tcp(7)`, Linux).
#[cfg(target_os = "linux")]
pub fn defer_accept(listener: BorrowedFd<'_>) -> io::Result<()> {
    set_option(listener, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, DEFER_SECONDS)
}

/// Whether a connection that has sent nothing was asked for its last word of the handshake again, as the kernel does at the end of the
/// time for which [`defer_accept`] holds it back: what has been repeated so far is told by `TCP_INFO` (`tcp(7)`, Linux).
#[cfg(target_os = "linux")]
pub fn was_asked_again(socket: BorrowedFd<'_>) -> bool {
    let mut info = std::mem::MaybeUninit::<libc::tcp_info>::zeroed();
    let mut size = size_of_val(&info) as libc::socklen_t;
    // SAFETY: the descriptor is borrowed and so open; the kernel writes at most the size that is given. What it does not know stays
    // zero, and zeros are a `tcp_info`.
    let told = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, info.as_mut_ptr().cast(), &raw mut size)
    };
    // SAFETY: it was zeroed, and numbers may be anything.
    told == 0 && unsafe { info.assume_init() }.tcpi_total_retrans > 0
}

/// Bounds what the kernel buffers unsent for a socket, and for those a listener hands out (`tcp(7)`): a client that does not
/// read is noticed after so many bytes, not after megabytes.
#[cfg(any(target_os = "linux", target_os = "macos"))]
pub fn limit_unsent(socket: BorrowedFd<'_>, bytes: libc::c_int) -> io::Result<()> {
    set_option(socket, libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, bytes)
}

/// Says how this thread shares a core with others (`sched_setattr(2)`): how nice it is, as by `nice(2)`, and how long a turn it asks
/// for. Since Linux 6.12 whoever asks for shorter turns has its own sooner, though no more of them; older kernels hear of niceness
/// only. The policy stays as the operator has set it.
///
/// # Errors
/// If the kernel refuses, as it does when a thread asks for more than it has.
#[cfg(target_os = "linux")]
pub fn share_core(niceness: i32, turn: std::time::Duration) -> io::Result<()> {
    let turn = u64::try_from(turn.as_nanos()).unwrap_or(u64::MAX);
    set_scheduling(libc::SCHED_OTHER, libc::SCHED_FLAG_KEEP_POLICY as u64, niceness, turn)
}

/// Has this thread run only while nobody else of its group wants its core (`SCHED_IDLE`, `sched(7)`). Whoever wakes has the core at
/// once, where a nicer thread would keep it until the next tick of the clock if the other has had more than its share of late.
///
/// # Errors
/// If the kernel refuses.
#[cfg(target_os = "linux")]
pub fn give_way() -> io::Result<()> {
    set_scheduling(libc::SCHED_IDLE, 0, 0, 0)
}

#[cfg(target_os = "linux")]
fn set_scheduling(policy: libc::c_int, flags: u64, nice: i32, runtime: u64) -> io::Result<()> {
    /// `struct sched_attr`, as its first version has it.
    #[repr(C)]
    struct Attributes {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime: u64,
        deadline: u64,
        period: u64,
    }
    let attributes = Attributes {
        size: size_of::<Attributes>() as u32,
        policy: policy as u32,
        flags,
        nice,
        priority: 0,
        runtime,
        deadline: 0,
        period: 0,
    };
    // SAFETY: zero is this thread; the pointer is to a live structure of the size it says itself, and the kernel only reads it.
    let done = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// How long the calling thread has been on a core (`clock_gettime(2)`); nothing where the system does not tell.
pub fn thread_busy() -> std::time::Duration {
    let mut spent = std::mem::MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the pointer is to room for what is written, and the clock is a number.
    let done = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, spent.as_mut_ptr()) };
    if done != 0 {
        return std::time::Duration::ZERO;
    }
    // SAFETY: the call above has filled it in.
    let spent = unsafe { spent.assume_init() };
    let (seconds, nanos) = (u64::try_from(spent.tv_sec).unwrap_or(0), u64::try_from(spent.tv_nsec).unwrap_or(0));
    std::time::Duration::from_secs(seconds) + std::time::Duration::from_nanos(nanos)
}

/// Has the system begin to write this stretch of a file to its disk, and does not wait for it (`sync_file_range(2)`). It promises
/// nothing, so it cannot fail: what counts is the sync after it.
pub fn begin_writing(file: BorrowedFd<'_>, from: u64, length: u64) {
    #[cfg(target_os = "linux")]
    if let (Ok(from), Ok(length)) = (i64::try_from(from), i64::try_from(length)) {
        // SAFETY: only numbers are passed, and the descriptor is borrowed and so open.
        unsafe { libc::sync_file_range(file.as_raw_fd(), from, length, libc::SYNC_FILE_RANGE_WRITE) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (file, from, length);
}

/// Has blocks of memory from so many bytes on given back to the system when they are freed (`mallopt(3)`). By itself glibc keeps
/// them, once one has been freed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn give_back_from(bytes: libc::c_int) {
    // SAFETY: two numbers are passed; the allocator takes its own lock.
    unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, bytes) };
}

/// Has the allocator give back to the system what it keeps free, of all threads (`malloc_trim(3)`).
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn let_go_of_memory() {
    // SAFETY: a number is passed; the allocator takes its own locks.
    unsafe { libc::malloc_trim(0) };
}

/// Other allocators give it back by themselves, or not at all.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn let_go_of_memory() {}

/// Has the kernel take back all pages of code and constants that this process has mapped so far. What is needed again comes back
/// from the cache of its file, as when memory was short; what only a start needed stays away.
#[cfg(target_os = "linux")]
pub fn let_go_of_code() {
    for_each_object(&mut |_, header, base| {
        if header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0 {
            let (begin, length) = pages(header, base);
            // SAFETY: the segment was never writable, so every page of it is what stands in the file, and is read from there when
            // it is touched. Where the kernel will not, nothing has happened.
            unsafe { libc::madvise(begin as *mut libc::c_void, length, libc::MADV_DONTNEED) };
        }
    });
}

/// Elsewhere the system does so when memory is short.
#[cfg(not(target_os = "linux"))]
pub fn let_go_of_code() {}

/// The files of all libraries that are loaded, the loader among them.
#[cfg(target_os = "linux")]
pub fn libraries() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for_each_object(&mut |name, _, _| {
        let path = Path::new(OsStr::from_bytes(name));
        // The kernel's own has a name without a folder.
        if path.is_absolute() && found.last().is_none_or(|last| last != path) {
            found.push(path.to_owned());
        }
    });
    found
}

/// Elsewhere nobody asks.
#[cfg(not(target_os = "linux"))]
pub fn libraries() -> Vec<PathBuf> {
    Vec::new()
}

/// What is told of each object of this process and each of its segments (`dl_iterate_phdr(3)`): the name, which is empty for the
/// program itself, the segment's header, and where the object begins.
#[cfg(target_os = "linux")]
type Tell<'a> = &'a mut dyn FnMut(&[u8], &Segment, usize);

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
type Segment = libc::Elf64_Phdr;
#[cfg(all(target_os = "linux", target_pointer_width = "32"))]
type Segment = libc::Elf32_Phdr;

#[cfg(target_os = "linux")]
fn for_each_object(mut tell: Tell<'_>) {
    unsafe extern "C" fn of_object(
        info: *mut libc::dl_phdr_info,
        _: libc::size_t,
        tell: *mut libc::c_void,
    ) -> libc::c_int {
        // SAFETY: the loader lends us a description of an object that is mapped, with a name that ends with a zero byte and so many
        // program headers; and hands on the pointer that was made below.
        let (name, headers, base, tell) = unsafe {
            let info = &*info;
            let name = if info.dlpi_name.is_null() { c"" } else { CStr::from_ptr(info.dlpi_name) };
            let headers = std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum));
            (name.to_bytes(), headers, info.dlpi_addr, &mut *tell.cast::<Tell<'_>>())
        };
        headers.iter().for_each(|header| tell(name, header, base as usize));
        0
    }
    // SAFETY: the function above is what the loader calls for each object; it keeps nothing. Its last argument is the place of
    // `tell`, which lives until the call returns.
    unsafe { libc::dl_iterate_phdr(Some(of_object), (&raw mut tell).cast()) };
}

/// Where the pages of a segment begin, and how many bytes they are.
#[cfg(target_os = "linux")]
fn pages(header: &Segment, base: usize) -> (usize, usize) {
    let page = rustix::param::page_size();
    let begin = (base + header.p_vaddr as usize) / page * page;
    let end = (base + header.p_vaddr as usize + header.p_memsz as usize).next_multiple_of(page);
    (begin, end - begin)
}

/// Takes a descriptor that this process was started with, and keeps it from those it starts itself.
///
/// # Errors
/// If there is none of that number.
pub fn take_descriptor(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: only a number is passed; an unknown one is an error.
    if unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, as the call above has shown, and was inherited for us: the numbers from 3 on that the service manager
    // names are taken once, at the start, before anything else opens descriptors it might be confused with.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
