//! The system calls for which there is no safe door: three socket options, a mapping, and what comes with
//! `MSG_ZEROCOPY`. Nothing else here may be unsafe.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// `TCP_DEFER_ACCEPT`: a newcomer is told of when its first bytes are there.
///
/// # Errors
/// What the kernel said.
pub fn set_defer_accept(socket: BorrowedFd<'_>, seconds: u32) -> io::Result<()> {
    set_number(socket, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, seconds)
}

/// `TCP_NOTSENT_LOWAT`: writable only while fewer bytes than this wait unsent.
///
/// # Errors
/// What the kernel said.
pub fn set_unsent_low_mark(socket: BorrowedFd<'_>, bytes: u32) -> io::Result<()> {
    set_number(socket, libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, bytes)
}

/// `SO_ZEROCOPY`: allows `MSG_ZEROCOPY`.
///
/// # Errors
/// What the kernel said.
pub fn set_zerocopy(socket: BorrowedFd<'_>) -> io::Result<()> {
    set_number(socket, libc::SOL_SOCKET, libc::SO_ZEROCOPY, 1)
}

/// `SO_TIMESTAMPNS`: the kernel notes when what comes has come, for [`take_stamped`].
///
/// # Errors
/// What the kernel said.
pub fn set_stamps(socket: BorrowedFd<'_>) -> io::Result<()> {
    set_number(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)
}

/// One `recvmsg`: how many bytes there were, and when the last packet of them came, in nanoseconds of the system's clock.
///
/// # Errors
/// What the kernel said.
pub fn take_stamped(socket: BorrowedFd<'_>, into: &mut [u8]) -> Result<(usize, Option<u64>), rustix::io::Errno> {
    let mut control = [0u64; 16];
    let mut vector = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    // SAFETY: all zeroes is a valid msghdr: no name, no vectors, no control.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut vector;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = size_of_val(&control) as _;
    // SAFETY: the header points at one vector, which describes `into`, and at `control` with its true length; all outlive the call.
    let got = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_DONTWAIT) };
    let got = usize::try_from(got).map_err(|_| last_errno())?;
    // SAFETY: the kernel has filled in the header, whose control still points at `control`.
    let mut note = unsafe { libc::CMSG_FIRSTHDR(&raw const header) };
    let mut stamp = None;
    while !note.is_null() {
        // SAFETY: the two of them only give notes that lie whole in what the kernel has filled in.
        let (is_stamp, data, next) = unsafe {
            let is_stamp = (*note).cmsg_level == libc::SOL_SOCKET && (*note).cmsg_type == libc::SCM_TIMESTAMPNS;
            (is_stamp, libc::CMSG_DATA(note), libc::CMSG_NXTHDR(&raw const header, note))
        };
        if is_stamp {
            // SAFETY: what such a note holds is a timespec; it need not be aligned.
            let time = unsafe { data.cast::<libc::timespec>().read_unaligned() };
            stamp = u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).ok();
        }
        note = next;
    }
    Ok((got, stamp))
}

fn set_number(socket: BorrowedFd<'_>, level: i32, name: i32, value: u32) -> io::Result<()> {
    let size = libc::socklen_t::try_from(size_of::<u32>()).unwrap_or(4);
    // SAFETY: the descriptor is open, and the pointer and the length describe `value`, which outlives the call.
    let outcome = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), size) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Asks for turns on a core of so many microseconds (`sched_setattr(2)`, Linux 6.12): whoever asks for short ones neither waits long for
/// its own nor makes others of its core wait. What cannot be asked for is as it was.
pub fn share_core(turn_us: u64) {
    // `struct sched_attr` as its first version has it: size and policy, flags (keep the policy), niceness and priority, runtime.
    let niceness = rustix::process::getpriority_process(None).unwrap_or(0);
    let attributes: [u64; 6] = [48, 0x08, u64::from(niceness.cast_unsigned()), turn_us * 1000, 0, 0];
    // SAFETY: zero is this thread; the pointer is to 48 live bytes, laid out as the kernel wants them, which it only reads.
    unsafe { libc::syscall(libc::SYS_sched_setattr, 0, attributes.as_ptr(), 0) };
}

/// Goes before all others of its core as soon as it can run (`SCHED_FIFO`), for who shares a core with what only gets in the way.
/// Where that is not allowed, it is as it was.
pub fn go_first() {
    let priority = libc::sched_param { sched_priority: 1 };
    // SAFETY: zero is this thread; the pointer is to a live structure, which the kernel only reads.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const priority) };
}

/// Takes only what all others leave of a core (`SCHED_IDLE`), for what only gets in the way of who measures.
pub fn give_way() {
    let priority = libc::sched_param { sched_priority: 0 };
    // SAFETY: zero is this thread; the pointer is to a live structure, which the kernel only reads.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const priority) };
}

/// A file mapped for reading, for as long as the process lives.
///
/// # Errors
/// What the kernel said.
pub fn map_file(file: impl AsFd, bytes: usize) -> io::Result<&'static [u8]> {
    let file = file.as_fd().as_raw_fd();
    // SAFETY: a fresh mapping at an address of the kernel's choice cannot overlap memory that Rust knows of.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), bytes, libc::PROT_READ, libc::MAP_SHARED, file, 0) };
    if at == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the mapping is `bytes` long, readable and never unmapped; the benchmark's own files do not change.
    Ok(unsafe { std::slice::from_raw_parts(at.cast::<u8>(), bytes) })
}

/// One `send` with `MSG_ZEROCOPY`; the bytes must stay as they are, hence `'static`.
///
/// # Errors
/// What the kernel said.
pub fn send_zerocopy(socket: BorrowedFd<'_>, bytes: &'static [u8]) -> Result<usize, rustix::io::Errno> {
    let flags = libc::MSG_ZEROCOPY | libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
    // SAFETY: pointer and length are those of a slice that lives as long as the process.
    let sent = unsafe { libc::send(socket.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) };
    usize::try_from(sent).map_err(|_| last_errno())
}

/// Takes the notes "these pages are no longer needed" off a socket's error queue; says how many there were.
pub fn drain_zerocopy_notes(socket: BorrowedFd<'_>) -> usize {
    let mut taken = 0;
    loop {
        let mut control = [0u64; 16];
        // SAFETY: all zeroes is a valid msghdr: no name, no vectors, no control.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = size_of_val(&control) as _;
        // SAFETY: the header points at `control` with its true length, and both outlive the call.
        let got = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_ERRQUEUE) };
        if got < 0 {
            return taken;
        }
        taken += 1;
    }
}

fn last_errno() -> rustix::io::Errno {
    rustix::io::Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(rustix::io::Errno::IO)
}
