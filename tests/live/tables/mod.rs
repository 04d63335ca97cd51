//! The tables: plain rows, by theme.

pub mod bodies;
pub mod chunks;
pub mod conditions;
pub mod content;
pub mod crossing;
pub mod expectations;
pub mod fields;
pub mod hosts;
pub mod lengths;
pub mod methods;
pub mod paths;
pub mod persistence;
pub mod pipelines;
pub mod problems;
pub mod ranges;
pub mod request_lines;
pub mod rights;
pub mod smuggling;
