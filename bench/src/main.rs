//! The harness (to come).
fn main() {}
