//! Fewer rights after the start: the kernel (Landlock) lets this process reach its own folders and nothing else, and connect
//! nowhere; and whoever began as root goes on as somebody else.
//!
//! Both hold for the thread that asks and for all that it starts from then on. So they are asked for before there is a second
//! thread: whoever begins one earlier leaves a way out.
//!
//! Rights are to what lies below a folder, also to what comes to lie there later; a file that is replaced by another is another
//! file. Hence what is read again after it was replaced (certificates, tokens) is allowed by its folder.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, NetPort, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, Scope,
};
use nix::unistd::{Uid, initgroups, setgid, setuid};

use crate::config::choices::Confinement;
use crate::os::sys;

/// Without this much of Landlock "confined" would be no word for it: Linux 6.7, whose files can be kept from being cut short and
/// which knows of connections.
const LEAST: ABI = ABI::V4;

/// All that the kernels of today know.
const MOST: ABI = ABI::V10;

/// What a process may still reach.
#[derive(Clone, Debug, Default)]
pub struct Sandbox {
    paths: Vec<(PathBuf, BitFlags<AccessFs>)>,
    ports: Vec<u16>,
}

impl Sandbox {
    /// What every process needs: random numbers, a descriptor to spare, and which run of the machine this is.
    pub fn new() -> Sandbox {
        let mut sandbox = Sandbox::default();
        for path in ["/dev/null", "/dev/urandom", "/proc/sys/kernel/random/boot_id"] {
            sandbox.allow(path.as_ref(), AccessFs::ReadFile.into());
        }
        sandbox
    }

    /// Allows to read a file, or what lies below a folder.
    pub fn may_read(&mut self, path: &Path) -> &mut Sandbox {
        self.allow(path, AccessFs::ReadFile | AccessFs::ReadDir)
    }

    /// Allows to read a file again after it was replaced, and so what lies beside it. A folder that is everybody's (`/etc`) is not
    /// opened for the sake of one file: there it is read as it is, and not after it was replaced.
    pub fn may_read_again(&mut self, path: &Path) -> &mut Sandbox {
        let place = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        // It may be a link, and its target change with it.
        let target = fs::canonicalize(path).ok();
        for file in [Some(place), target].into_iter().flatten() {
            self.allow(own_folder(&file).unwrap_or(&file), AccessFs::ReadFile.into());
        }
        self
    }

    /// Allows everything with the files and folders below a folder; no devices, and nothing is run.
    pub fn may_write(&mut self, folder: &Path) -> &mut Sandbox {
        let access = AccessFs::from_all(LEAST)
            & !(AccessFs::Execute | AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::MakeFifo | AccessFs::MakeSock);
        self.allow(folder, access)
    }

    /// Allows to write a log, and to begin a new one after it was moved away, unless its folder is everybody's.
    pub fn may_log(&mut self, file: &Path) -> &mut Sandbox {
        self.allow(own_folder(file).unwrap_or(file), AccessFs::WriteFile | AccessFs::MakeReg)
    }

    /// Allows to run the programs of a folder; they are confined as we are.
    pub fn may_run(&mut self, folder: &Path) -> &mut Sandbox {
        self.allow(folder, AccessFs::ReadFile | AccessFs::Execute)
    }

    /// Allows to speak to a Unix socket, where kernels ask for that.
    pub fn may_speak_to(&mut self, socket: &Path) -> &mut Sandbox {
        self.allow(socket, AccessFs::ResolveUnix.into())
    }

    /// Allows to listen on a TCP port.
    pub fn may_bind(&mut self, port: u16) -> &mut Sandbox {
        self.ports.push(port);
        self
    }

    fn allow(&mut self, path: &Path, access: BitFlags<AccessFs>) -> &mut Sandbox {
        self.paths.push((path.to_owned(), access));
        self
    }

    /// Confines this thread, and those it starts, for good. Says which version of Landlock does it; `None` if nothing does.
    /// New privileges cannot be had from then on either (`no_new_privs`), unless confinement is off.
    ///
    /// # Errors
    /// If it must be and the kernel cannot, or something else went wrong.
    pub fn enter(&self, how: Confinement) -> io::Result<Option<u32>> {
        let level = match how {
            Confinement::Off => return Ok(None),
            Confinement::Best => CompatLevel::BestEffort,
            Confinement::Require => CompatLevel::HardRequirement,
        };
        rustix::thread::set_no_new_privs(true)?;
        let status = self.rules(level).and_then(RulesetCreated::restrict_self).map_err(io::Error::other)?;
        Ok(match status.landlock {
            LandlockStatus::Available { effective_abi, .. } => Some(effective_abi as u32),
            _ => None,
        })
    }

    fn rules(&self, level: CompatLevel) -> Result<RulesetCreated, RulesetError> {
        let mut rules = Ruleset::default()
            .set_compatibility(level)
            .handle_access(AccessFs::from_all(LEAST))?
            .handle_access(AccessNet::from_all(LEAST))?
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(MOST))?
            .handle_access(AccessNet::from_all(MOST))?
            .scope(Scope::Signal)?
            .create()?
            .set_compatibility(CompatLevel::BestEffort);
        for (path, access) in &self.paths {
            // What is not there cannot be reached; a right that only folders have is left out for a file.
            let (Ok(place), Ok(facts)) = (PathFd::new(path), fs::metadata(path)) else { continue };
            let access = if facts.is_dir() { *access } else { *access & AccessFs::from_file(MOST) };
            // A pipe or a socket without a place in a file system (`/dev/stderr`) is not restricted, and no rule is taken for it.
            if facts.file_type().is_fifo() || (facts.file_type().is_socket() && !access.contains(AccessFs::ResolveUnix))
            {
                continue;
            }
            rules = rules.add_rule(PathBeneath::new(place, access))?;
        }
        for port in &self.ports {
            rules = rules.add_rule(NetPort::new(*port, AccessNet::BindTcp))?;
        }
        Ok(rules)
    }
}

/// The folder of a file, unless it is one of those that everything on a machine shares.
fn own_folder(file: &Path) -> Option<&Path> {
    const SHARED: [&str; 14] = [
        "/", "/bin", "/dev", "/etc", "/home", "/lib", "/opt", "/proc", "/root", "/run", "/srv", "/tmp", "/usr", "/var",
    ];
    file.parent().filter(|folder| !SHARED.iter().any(|shared| folder.as_os_str() == *shared))
}

/// Where the programs of this process lie: its own, and the libraries it has loaded. What replaces it will need them.
pub fn own_folders() -> Vec<PathBuf> {
    // The loader names them as it found them, perhaps through links: what is let in is where they really are.
    let libraries = sys::libraries().into_iter().filter_map(|path| path.canonicalize().ok());
    let programs = libraries.chain(std::env::current_exe().ok());
    let mut folders: Vec<_> = programs.filter_map(|path| path.parent().map(Path::to_owned)).collect();
    folders.sort_unstable();
    folders.dedup();
    folders
}

/// Somebody of this machine.
#[derive(Clone, Debug)]
pub struct User(nix::unistd::User);

impl User {
    /// Looks up a name.
    ///
    /// # Errors
    /// A sentence, if there is nobody of that name.
    pub fn find(name: &str) -> Result<User, String> {
        match nix::unistd::User::from_name(name) {
            Ok(Some(user)) => Ok(User(user)),
            Ok(None) => Err(format!("there is no user {name} on this machine")),
            Err(error) => Err(format!("cannot look up the user {name}: {error}")),
        }
    }

    /// The numbers of the user and of its group.
    pub fn ids(&self) -> (u32, u32) {
        (self.0.uid.as_raw(), self.0.gid.as_raw())
    }

    /// Goes on as this user, with its groups and without any others, for good.
    ///
    /// # Errors
    /// If this process is neither root nor that user already.
    pub fn become_it(&self) -> io::Result<()> {
        if Uid::effective() == self.0.uid && Uid::current() == self.0.uid {
            return Ok(());
        }
        let name = std::ffi::CString::new(self.0.name.as_str())?;
        // In this order: without the user's number there is no right to the others.
        initgroups(&name, self.0.gid)?;
        setgid(self.0.gid)?;
        setuid(self.0.uid)?;
        // Belt and braces: root would come back.
        if !self.0.uid.is_root() && setuid(Uid::from_raw(0)).is_ok() {
            return Err(io::Error::other("the system gave root back"));
        }
        Ok(())
    }
}
