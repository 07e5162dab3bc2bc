//! retracker: a BitTorrent tracker for the network of an internet provider.
//!
//! The map, in reading order:
//!
//! - [`clock`] reads the time, [`metrics`] counts; they import nothing of ours.
//! - [`parts`] starts and watches threads.
//! - [`tracker`] is the core: swarms, and which peers to hand out. It knows no protocol, socket, file or clock.

#![warn(rustdoc::private_intra_doc_links)]

pub mod clock;
pub mod metrics;
pub mod parts;
pub mod tracker;
