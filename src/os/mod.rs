//! The real world: the only room that names mio, libc, threads or a real clock.

pub mod disk;
