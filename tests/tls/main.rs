//! HTTPS over real sockets (P23): announces, handshakes and their bounds, whatever else is sent to such a port, pages and their login,
//! certificates that change. Clients are rustls's; port 0 throughout; tests wait on events, never on time.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers"
)]

mod announces;
mod bad_input;
mod certificates;
mod client;
mod handshakes;
mod offers;
mod pages;
mod program;
mod server;
