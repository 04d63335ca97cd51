//! What the kernel refuses a confined server, and what a server still can.

mod place;
mod reach;
mod rights;
