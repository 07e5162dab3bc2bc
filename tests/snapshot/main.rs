//! The database of the tracker as a whole: what survives a stop, a kill, a wrong clock, a bad disk and a bad file.

#![expect(
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "helpers of tests"
)]

mod blocks;
mod clocks;
mod damage;
mod disk;
mod harness;
mod hostile;
mod imports;
mod keys;
mod kills;
mod listed;
mod restarts;
mod sharing;
mod versions;
