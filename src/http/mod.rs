//! The language: HTTP/1.1 (RFC 9110, RFC 9112) and what travels in it, as pure functions and state machines.
//!
//! Bytes go in, events and bytes come out. Nothing here owns a socket, a file, a thread or a clock, so every part can be
//! tested with strings, cut anywhere, fuzzed and simulated.

pub mod conditions;
pub mod date;
pub mod events;
pub mod exchange;
pub mod fault;
pub mod form;
pub mod forwarded;
pub mod framing;
pub mod headers;
pub mod host;
pub mod media;
pub mod multipart;
pub mod negotiate;
pub mod request;
pub mod response;
pub mod status;
pub mod tus;
pub mod upgrade;
pub mod websocket;
