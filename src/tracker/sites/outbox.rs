//! The way out: what each worker notes for others.

use super::TouchedBatch;
use crate::tracker::Tracker;

impl Tracker {
    /// Has announces note from now on what others have to be told of. At the start only; while this has not been called, announces
    /// note nothing and remember no leaves.
    pub fn open_outbox(&self) {}

    /// Takes what all workers have noted.
    pub fn take_touched(&self) -> TouchedBatch {
        TouchedBatch::default()
    }
}
