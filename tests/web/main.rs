//! The pages and the API over real sockets: each test starts them on a port of its own, with doors that lead into memory.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers"
)]

mod api;
mod attacks;
mod crowd;
mod harness;
mod login;
mod pages;
mod serving;
