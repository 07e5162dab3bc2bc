//! The pages and the API over real sockets: each test starts them on a port of its own, over a backend in memory.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers"
)]

mod api;
mod attacks;
mod audit;
mod crowd;
mod frame;
mod harness;
mod keys;
mod listed;
mod login;
mod pages;
mod scrapes;
mod serving;
mod sites;
mod tables;
mod users;
mod watch;
