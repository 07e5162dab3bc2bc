//! Kept counts of peers that stand out in a swarm: paused partial seeds, and those whose address is only reported.

use std::net::SocketAddr;

use super::link::Parted;
use super::loads::Loads;
use super::peer::{Address, KeptId, State};
use super::swarm::Swarm;

/// Peers in one swarm at most whose address is only what somebody reported. More are not stored, but answered.
pub(super) const REPORTED_MOST: u8 = 64;

/// How many peers are marked so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// Paused partial seeds (BEP 21).
    pub(super) paused: u32,
    /// Those with a reported address; they are never more than [`REPORTED_MOST`].
    pub(super) reported: u8,
}

impl Marks {
    /// What one peer counts for.
    pub(super) fn of<I: KeptId>(state: &State<I>) -> Marks {
        Marks {
            paused: state.is_paused().into(),
            reported: state.is_reported().into(),
        }
    }

    pub(super) fn plus(self, more: Marks) -> Marks {
        Marks {
            paused: self.paused.saturating_add(more.paused),
            reported: self.reported.saturating_add(more.reported),
        }
    }

    pub(super) fn minus(self, less: Marks) -> Marks {
        Marks {
            paused: self.paused.saturating_sub(less.paused),
            reported: self.reported.saturating_sub(less.reported),
        }
    }
}

/// Peers that leave a swarm together.
#[derive(Debug, Default)]
pub(super) struct Gone {
    pub(super) marks: Marks,
    /// When the last of them was here.
    pub(super) last_seen: u32,
    pub(super) parted: Parted,
}

impl Gone {
    /// Adds one of them.
    pub(super) fn bury<A: Address, I: KeptId>(
        &mut self,
        address: A,
        state: &State<I>,
        loads: &Loads,
    ) {
        loads.take(address.ip());
        self.parted
            .note(SocketAddr::new(address.ip(), address.port()), state);
        self.marks = self.marks.plus(Marks::of(state));
        self.last_seen = self.last_seen.max(state.seen().raw());
    }
}

impl<I: KeptId> Swarm<I> {
    fn marks(&self) -> Marks {
        let (paused, reported) = (self.paused, self.reported);
        Marks { paused, reported }
    }

    /// Counts marks that were made and marks that have gone.
    pub(super) fn mark(&mut self, made: Marks, gone: Marks) {
        let Marks { paused, reported } = self.marks().plus(made).minus(gone);
        (self.paused, self.reported) = (paused, reported);
    }
}
