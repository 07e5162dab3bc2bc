//! The tracker over real sockets: every promise that a client could notice, one file per subject. Port 0 throughout; tests wait
//! on events, never on time.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers"
)]

mod addresses;
mod announces;
mod connections;
mod harness;
mod keys;
mod limits;
mod operation;
mod origins;
mod pipelines;
mod proxied;
mod rates;
mod recorded;
mod restarts;
mod scrapes;
mod served;
mod swarms;
mod udp;
