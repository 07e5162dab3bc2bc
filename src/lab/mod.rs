//! The laboratory: load and simulated swarms, to measure a tracker with; and a tracker to develop clients against, which shows and
//! judges what they say. A program of its own (`retracker-lab`), not in the daemon.
//!
//! Who tests a client begins with [`serve::Lab::start`]: a tracker on free ports, gone when it is dropped. [`serve::Lab::events`] tells
//! what the client said, as [`reading::Reading`] and [`answer::AnswerReading`] read it; [`judge::Judge`] hears the same events and makes
//! a report of them; [`misbehave::answerer`] goes into [`serve::Options::answerer`]. `examples/lab.rs` is a whole test.

pub mod acid;
pub mod answer;
pub mod bench;
pub mod bencode;
pub mod exchange;
pub mod judge;
pub mod launch;
pub mod misbehave;
mod placeholders;
mod process;
pub mod reading;
pub mod serve;
pub mod simulate;
pub mod watch;
