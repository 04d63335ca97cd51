//! Bodies on their way to the disk, window by window, on helpers. Nobody sees any of it before it is complete; a body that ends early
//! leaves nothing.
//!
//! `file` is a body that is one file, `form` one that has several. Both ask `room` whether there is space for what comes, which asks
//! `quota` what its sender may have, and both end in `store`, which gives a file its name. `name` reads what clients call a place.

pub mod file;
pub mod form;
pub mod name;
pub mod quota;
pub mod room;
pub mod store;
