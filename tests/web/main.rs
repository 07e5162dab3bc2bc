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
mod listed;
mod login;
mod pages;
mod serving;
mod tables;
mod users;
