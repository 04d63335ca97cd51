//! The harness: servers side by side, the same load for each, and what came of it.
//!
//! - [`house`]: what is needed around a run: programs, files to serve, a place to write, two cores;
//! - [`servers`]: hythe, the floor, nginx and lighttpd, each started, watched and ended the same way;
//! - [`tools`]: the loads: our own, and wrk;
//! - [`scenarios`]: what is measured;
//! - [`logins`]: what is measured of signing in;
//! - [`secure`]: what is measured of encryption;
//! - [`uploads`]: what is measured of files that come, and of those that go again.

pub mod house;
pub mod logins;
pub mod scenarios;
pub mod secure;
pub mod servers;
pub mod tools;
pub mod uploads;
