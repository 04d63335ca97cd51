//! What a process asks of its system by itself, in no turn of any loop: limits, locks, the time, chance.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use signal_hook::consts::SIGINT;

use crate::clock::Wall;
use crate::os::sys;

/// How often something is tried that is waited for.
const TRY_EVERY: Duration = Duration::from_millis(10);

/// Raises the number of descriptors this process may have to what the system allows; says how many that is.
pub fn raise_descriptors() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let raised = if setrlimit(Resource::Nofile, wanted).is_ok() { limit.maximum } else { limit.current };
    raised.map_or(usize::MAX, |raised| usize::try_from(raised).unwrap_or(usize::MAX))
}

/// The table of descriptors is not made larger than for so many ahead of them: half a mebibyte of the kernel's memory.
const RESERVED_MAX: usize = 1 << 16;

/// Makes the table of descriptors large enough for so many at once. It would grow by itself, but once there are threads the kernel has
/// whoever opens the descriptor wait for all cores to have seen that (`expand_fdtable`, `synchronize_rcu`): ten to twenty
/// milliseconds at every doubling, in which the loop would stand still.
pub fn reserve_descriptors(count: usize) {
    let count = count.min(raise_descriptors()).min(RESERVED_MAX);
    let Some(highest) = i32::try_from(count).ok().and_then(|count| count.checked_sub(1)) else { return };
    // It is only sooner that way; if it cannot be, there is nothing to tell.
    if let Ok(nothing) = std::fs::File::open("/dev/null") {
        let _ = rustix::io::fcntl_dupfd_cloexec(&nothing, highest);
    }
}

/// Asks whether this process may read, write and enter a folder (`access(2)`).
///
/// # Errors
/// What the system has against it.
pub fn may_use(folder: &Path) -> io::Result<()> {
    use rustix::fs::{Access, access};
    Ok(access(folder, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK)?)
}

/// Opens a folder as one does who serves it, and if it `is_written`, makes a file without a name in it. Unlike `access(2)` this
/// asks Landlock too.
///
/// # Errors
/// What the system has against it.
pub fn try_to_use(folder: &Path, is_written: bool) -> io::Result<()> {
    use rustix::fs::{Mode, OFlags, open};
    use rustix::io::Errno;
    open(folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    if !is_written {
        return Ok(());
    }
    match open(folder, OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR) {
        // Not every file system has files without names; their names would be seen.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::INVAL) | Ok(_) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Holds a folder for this process alone, as long as what it returns lives; `None` if another does. One who holds it only for a
/// moment is waited for.
///
/// # Errors
/// If it cannot be opened, or the file system has no locks.
pub fn hold_folder(folder: &Path, patience: Duration) -> io::Result<Option<OwnedFd>> {
    use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
    let held = open(folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let locked = insist(patience, || match flock(&held, FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => None,
        other => Some(other),
    });
    match locked {
        None => Ok(None),
        Some(outcome) => Ok(outcome.map(|()| Some(held))?),
    }
}

/// Tries something again and again until it comes to something; `None` if it has not within `patience`. For who serves nobody.
pub fn insist<T>(patience: Duration, mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
    let since = Instant::now();
    loop {
        let outcome = attempt();
        if outcome.is_some() || since.elapsed() >= patience {
            return outcome;
        }
        thread::sleep(TRY_EVERY);
    }
}

/// Has large blocks of memory go back to the system when they are freed: the memory of a hash is 19 MiB that may not be needed
/// again for days. For the whole process.
pub fn give_back_what_is_large() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    sys::give_back_from(1 << 20);
}

/// Lets go of the code that has run so far: of what a start runs through little is needed while one serves.
pub fn let_go_of_the_start() {
    sys::let_go_of_code();
}

/// Tells the service manager, if there is one, that requests are served (`sd_notify(3)`).
pub fn tell_ready() {
    // Nobody listens where there is no service manager.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
}

/// The time people see, read now: for those who have no turn of the loop to be told it in.
pub fn wall() -> Wall {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Wall::from_millis(u64::try_from(since.as_millis()).unwrap_or(0))
}

/// How long the calling thread has been on a core.
pub fn thread_busy() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let (seconds, nanos) = (u64::try_from(spent.tv_sec).unwrap_or(0), u64::try_from(spent.tv_nsec).unwrap_or(0));
    Duration::from_secs(seconds) + Duration::from_nanos(nanos)
}

/// The machine's name.
pub fn machine_name() -> Option<String> {
    rustix::system::uname().nodename().to_str().ok().map(str::to_owned)
}

/// Fills in random bytes from the system; says whether it had any.
pub fn fill(bytes: &mut [u8]) -> bool {
    getrandom::fill(bytes).is_ok()
}

/// From now on an interrupt (Ctrl-C) ends the process at once with this number, as a script can tell. For who serves nobody.
pub fn end_on_interrupt(code: u8) {
    // Where it cannot be set an interrupt ends the process all the same, as a signal.
    let always = Arc::new(AtomicBool::new(true));
    let _ = signal_hook::flag::register_conditional_shutdown(SIGINT, i32::from(code), always);
}

/// Four random bytes from the system, as a number.
pub fn random() -> u32 {
    let mut bytes = [0; 4];
    // A machine without random numbers gets names made of the time instead.
    match getrandom::fill(&mut bytes) {
        Ok(()) => u32::from_le_bytes(bytes),
        Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos()),
    }
}
