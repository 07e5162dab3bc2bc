//! The laboratory's tracker over real sockets, as a library and as a program.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test helpers")]

mod client;
mod ends;
mod judge;
mod program;
mod serve;
mod watch;
