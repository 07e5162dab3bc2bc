//! retracker: a BitTorrent tracker for the network of an internet provider.
//!
//! The map, in reading order:
//!
//! - [`clock`] reads the time, [`metrics`] counts; they import nothing of ours.
//! - [`parts`] starts and watches threads, [`regular_file`] reads files, [`shown`] makes text fit to be shown.
//! - [`tracker`] is the core: swarms, and which peers to hand out. It knows no protocol, socket, file or clock.
//! - [`origin`] decides whose address a request counts for, [`reported`] what clients may say of their own;
//!   [`hosts`] knows the tracker's names, and pages of other sites.
//! - [`http`] is the HTTP tracker, [`udp`] the UDP tracker.
//! - [`snapshot`] keeps what the core knows in a SQLite database, and brings it back after a restart.
//! - [`reaper`] sweeps the dead and counts the census.
//! - [`tools`] are the helper tools of the command line.
//! - [`config`] reads the configuration, [`logging`] writes the log, [`cli`] reads the command line.
//! - [`web`] is the pages, the API, and the endpoints for monitoring.
//! - [`app`] builds all of it, runs it and stops it in order.

pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod hosts;
pub mod http;
pub mod logging;
pub mod metrics;
pub mod origin;
pub mod parts;
pub mod reaper;
pub mod regular_file;
pub mod reported;
pub mod shown;
pub mod snapshot;
pub mod tools;
pub mod tracker;
pub mod udp;
pub mod web;
