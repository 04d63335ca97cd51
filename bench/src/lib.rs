//! What the floor, the load and the harness share.
//!
//! - [`args`]: the words on a command line;
//! - [`net`]: sockets without blocking, and the few options the standard library has no door to;
//! - [`raw`]: the system calls for which there is no safe door at all;
//! - [`histogram`]: latencies, kept in little memory and with a bounded error;
//! - [`process`]: what the kernel knows of a running server: its CPU time and its memory;
//! - [`json`]: one line of it, to write and to read back;
//! - [`report`]: medians, ratios, a table for the eye, and a record by date.

pub mod args;
pub mod histogram;
pub mod json;
pub mod net;
pub mod process;
pub mod raw;
pub mod report;
