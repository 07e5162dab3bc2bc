//! The laboratory: load and simulated swarms, to measure a tracker with; and a tracker to develop clients against, which shows and
//! judges what they say. A program of its own (`retracker-lab`), not in the daemon.

pub mod acid;
pub mod answer;
pub mod bench;
pub mod bencode;
pub mod exchange;
pub mod judge;
pub mod launch;
pub mod misbehave;
mod process;
pub mod reading;
pub mod serve;
pub mod simulate;
pub mod watch;
