//! retracker: a BitTorrent tracker for the network of an internet provider.
//!
//! The map, in reading order:
//!
//! - [`clock`] reads the time, [`metrics`] counts; they import nothing of ours.
//! - [`invariant`] says what cannot be otherwise, and debug builds check it.
//! - [`supervise`] starts and watches threads, [`regular_file`] reads and replaces files, [`shown`] makes text fit to be shown, [`secret`] keeps it from being; `percent`
//!   undoes percent-encoding, `http_reply` reads what servers answer.
//! - [`audit`] keeps who did what.
//! - [`lists`] reads lists that stand in files, and sees when they change.
//! - [`tls`] opens and seals what goes over TLS; it knows no socket.
//! - [`net`] knows addresses, and whose they are.
//! - [`tracker`] is the core: swarms, and which peers to hand out. It knows no protocol, socket, file or clock.
//! - [`watch`] tells requests as they are answered to whoever watches.
//! - [`http`] is the HTTP tracker, [`udp`] the UDP tracker.
//! - [`snapshot`] keeps what the core knows in a SQLite database, and brings it back after a restart.
//! - [`sites`] tells other trackers what this one hears, and merges what they tell.
//! - [`reaper`] sweeps the dead and counts the census.
//! - [`web`] is the pages, the API, and the endpoints for monitoring.
//! - [`config`] reads the configuration, [`logging`] writes the log, [`cli`] reads the command line.
//! - [`manual`] writes the manual pages.
//! - [`tools`] are the helper tools of the command line.
//! - [`lab`] loads and simulates: the program `retracker-lab`, of which the tracker has nothing.
//! - [`program`] is what both programs do alike on the command line.
//! - [`app`] builds all of it, runs it and stops it in order.

pub mod app;
pub mod audit;
pub mod cli;
pub mod clock;
pub mod config;
pub mod http;
mod http_reply;
mod invariant;
pub mod lab;
pub mod lists;
pub mod logging;
pub mod manual;
pub mod metrics;
pub mod net;
mod percent;
pub mod program;
pub mod reaper;
pub mod regular_file;
pub mod secret;
pub mod shown;
pub mod sites;
pub mod snapshot;
pub mod supervise;
pub mod tls;
pub mod tools;
pub mod tracker;
pub mod udp;
pub mod watch;
pub mod web;
