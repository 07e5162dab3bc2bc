//! The laboratory: load and simulated swarms, to measure a tracker with. A program of its own (`retracker-lab`), not in the daemon.

pub mod bench;
pub mod simulate;
