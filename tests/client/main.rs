//! The client as one who uses it sees it: each command against the real server, each number it may end with, with a terminal and
//! without, over connections that are cut and from servers that are none.

mod commands;
mod cuts;
mod endings;
mod people;
mod place;
mod resting;
mod seat;
mod terminal;
mod transfers;
