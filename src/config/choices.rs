//! Settings that are one of a few words.

use std::path::PathBuf;

/// Who may make an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signup {
    /// Everyone.
    Open,
    /// Whoever has an invite.
    Invite,
    /// Nobody: admins and the operator make them.
    Closed,
}

impl Signup {
    /// All of them.
    pub const ALL: [Signup; 3] = [Signup::Open, Signup::Invite, Signup::Closed];

    /// The word for it on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Signup::Open => "open",
            Signup::Invite => "invite",
            Signup::Closed => "closed",
        }
    }
}

/// Whether the kernel confines the server to its own folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confinement {
    /// No.
    Off,
    /// As far as the kernel can.
    Best,
    /// Yes; where the kernel cannot, there is no start.
    Require,
}

impl Confinement {
    /// All of them.
    pub const ALL: [Confinement; 3] = [Confinement::Off, Confinement::Best, Confinement::Require];

    /// The word for it on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Confinement::Off => "off",
            Confinement::Best => "best",
            Confinement::Require => "require",
        }
    }
}

/// What hashing a password costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordProfile {
    /// 19 MiB of memory, gone over twice.
    Usual,
    /// 7 MiB, gone over five times.
    Low,
}

impl PasswordProfile {
    /// Memory in KiB, and how often it is gone over.
    pub const fn cost(self) -> (u32, u32) {
        match self {
            PasswordProfile::Usual => (19 * 1024, 2),
            PasswordProfile::Low => (7 * 1024, 5),
        }
    }
}

/// Where the access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// Nowhere.
    Off,
    /// To stderr, among the messages.
    Stderr,
    /// To the end of this file.
    File(PathBuf),
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people: messages as text, exchanges in the combined format.
    Text,
    /// For programs: one JSON object a line.
    Json,
}

/// Whether a message is on the disk before its sender hears that it was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChatSync {
    /// It is: an answer of 201 outlives a power cut.
    Full,
    /// It is written but not waited for: quicker, and a power cut may take the last seconds.
    Off,
}
