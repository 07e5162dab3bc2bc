//! Edits of the blocklist that several trackers share: what one of them is, which of two counts, and the queue of those that have come
//! from elsewhere. It names no other tracker and no way to it.

use std::mem;
use std::sync::{Mutex, PoisonError};

use super::mailbox::{MAX_BLOCKS, MAX_REASON, Refused};
use crate::clock::Wall;
use crate::tracker::{Block, Origin, Target};

/// By how many seconds a stamp may be ahead of the clock of this machine. No clock that somebody looks after is a day ahead, and one
/// edit from the end of time would leave no room for a lift.
const MAX_AHEAD: u64 = 24 * 60 * 60;

/// Text of the edits that may wait, in bytes.
const MAX_WAITING_BYTES: usize = 16 << 20;

/// What an edit takes besides its reason.
const EDIT_BYTES: usize = size_of::<BlockEdit>();

/// The last change of one target of the blocklist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockEdit {
    /// What is blocked or lifted.
    pub target: Target,
    /// What became of it.
    pub change: BlockChange,
    /// Of two edits of one target the one with the greater stamp counts: the Unix time of the edit in seconds, or one more than the
    /// stamp of the edit before it if that is greater. So a clock that is wrong cannot make a later edit the earlier one.
    pub stamp: u64,
    /// Which other tracker told it; `None` for an edit that was made here, and where that is not kept: of what is on the list.
    pub told_by: Option<Origin>,
}

/// What became of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockChange {
    /// It is on the list.
    Put {
        /// Why, in the operator's words.
        reason: String,
        /// When that was said.
        created: Wall,
        /// When it ends; `None` for never.
        expires: Option<Wall>,
    },
    /// It was taken off the list.
    Lifted,
}

impl BlockEdit {
    /// The entry `block` as an edit.
    pub(super) fn of(block: &Block, stamp: u64) -> BlockEdit {
        BlockEdit {
            target: block.target,
            change: BlockChange::Put {
                reason: block.reason.clone(),
                created: block.created,
                expires: block.expires,
            },
            stamp,
            told_by: None,
        }
    }

    /// Whether it counts where `other` is known of the same target. Equal stamps are of two operators in one second: what the edits say
    /// decides then, so that all trackers decide alike; a block before a lift, the longer before the shorter.
    pub(super) fn counts_over(&self, other: &BlockEdit) -> bool {
        (self.stamp, self.change.rank()) > (other.stamp, other.change.rank())
    }

    /// The edit with its target in the one spelling that it is known by; `None` for one that nobody can have made by `wall`.
    pub(super) fn checked(mut self, wall: Wall) -> Option<BlockEdit> {
        if self.stamp > wall.0.saturating_add(MAX_AHEAD) {
            return None;
        }
        if let BlockChange::Put { reason, .. } = &self.change
            && reason.chars().nth(MAX_REASON).is_some()
        {
            return None;
        }
        if let Target::Network(network) = &mut self.target {
            *network = network.trunc();
        }
        Some(self)
    }

    fn bytes(&self) -> usize {
        EDIT_BYTES
            + match &self.change {
                BlockChange::Put { reason, .. } => reason.len(),
                BlockChange::Lifted => 0,
            }
    }
}

impl BlockChange {
    fn rank(&self) -> (bool, u64, &str, Wall) {
        match self {
            BlockChange::Put {
                reason,
                created,
                expires,
            } => {
                let end = expires.map_or(u64::MAX, |end| end.0);
                (true, end, reason, *created)
            }
            BlockChange::Lifted => (false, 0, "", Wall(0)),
        }
    }
}

/// Edits that have come from elsewhere and wait for the snapshot thread.
#[derive(Debug, Default)]
pub(super) struct EditQueue(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    edits: Vec<BlockEdit>,
    bytes: usize,
}

impl EditQueue {
    /// Puts an edit behind the others; never waits for the disk. Whether it is the first, and the thread is to be woken.
    ///
    /// # Errors
    /// [`Refused::Busy`] when so many wait already, [`Refused::TooLong`] for one that nobody can have made.
    pub(super) fn push(&self, edit: BlockEdit, wall: Wall) -> Result<bool, Refused> {
        let edit = edit.checked(wall).ok_or(Refused::TooLong)?;
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = waiting.bytes + edit.bytes();
        if waiting.edits.len() as u64 >= MAX_BLOCKS || bytes > MAX_WAITING_BYTES {
            return Err(Refused::Busy);
        }
        waiting.bytes = bytes;
        waiting.edits.push(edit);
        Ok(waiting.edits.len() == 1)
    }

    /// Everything that waits, in the order in which it came.
    pub(super) fn take(&self) -> Vec<BlockEdit> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        mem::take(&mut *waiting).edits
    }

    /// Puts back what could not be done, before what has come since; the bound holds for what is new only.
    pub(super) fn put_back(&self, mut edits: Vec<BlockEdit>) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.bytes += edits.iter().map(BlockEdit::bytes).sum::<usize>();
        edits.append(&mut waiting.edits);
        waiting.edits = edits;
    }

    /// Whether anything waits.
    pub(super) fn is_empty(&self) -> bool {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.edits.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(stamp: u64, reason: &str, expires: Option<u64>) -> BlockEdit {
        BlockEdit {
            target: Target::Network("10.1.2.3/8".parse().unwrap()),
            change: BlockChange::Put {
                reason: reason.to_owned(),
                created: Wall(1),
                expires: expires.map(Wall),
            },
            stamp,
            told_by: None,
        }
    }

    fn lifted(stamp: u64) -> BlockEdit {
        BlockEdit {
            change: BlockChange::Lifted,
            ..put(stamp, "", None)
        }
    }

    /// O25
    #[test]
    fn of_two_edits_the_same_one_counts_wherever_they_meet() {
        let in_order = [
            lifted(5),
            put(5, "z", Some(100)),
            put(5, "a", None),
            put(5, "b", None),
            lifted(6),
            put(7, "", Some(1)),
        ];
        for (a, earlier) in in_order.iter().enumerate() {
            for (b, later) in in_order.iter().enumerate() {
                assert_eq!(later.counts_over(earlier), b > a, "{later:?} {earlier:?}");
            }
        }
    }

    /// O25
    #[test]
    fn what_nobody_can_have_made_is_not_taken_and_the_queue_has_a_bound() {
        let queue = EditQueue::default();
        let wall = Wall(1_000);
        let ahead = 1_000 + MAX_AHEAD;
        assert_eq!(queue.push(lifted(ahead + 1), wall), Err(Refused::TooLong));
        assert_eq!(queue.push(lifted(ahead), wall), Ok(true));
        assert_eq!(queue.take().len(), 1);
        let long = "ы".repeat(MAX_REASON + 1);
        assert_eq!(queue.push(put(1, &long, None), wall), Err(Refused::TooLong));
        assert_eq!(queue.push(put(1, "why", None), wall), Ok(true));
        let taken = queue.take();
        let canonical = Target::Network("10.0.0.0/8".parse().unwrap());
        assert_eq!(taken[0].target, canonical);
        let reason = "x".repeat(MAX_REASON);
        let mut pushed = 0_usize;
        while queue.push(put(2, &reason, None), wall).is_ok() {
            pushed += 1;
        }
        assert!(pushed <= MAX_WAITING_BYTES / MAX_REASON);
        queue.put_back(taken.clone());
        assert_eq!(queue.push(lifted(3), wall), Err(Refused::Busy));
        assert_eq!(queue.take()[0], taken[0]);
        assert!(queue.is_empty());
    }
}
