//! Who has left, and when: so that news from before do not bring it back, and so that others can be told again.
//!
//! A table of bounded size in two generations. When the younger one is full, or as old as a peer lives, it becomes the older one, and
//! what was the older one is forgotten.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::quality::RandomState;

use super::{packed, unpacked};
use crate::clock::Seconds;
use crate::tracker::id::InfoHash;

/// Parts of the table, each behind a lock of its own.
const PARTS: usize = 64;

/// Leaves in one generation of a part at most: 131,072 in all, of some 50 bytes.
const MAX_IN_PART: usize = 2_048;

type Key = (InfoHash, [u8; 18]);

/// One peer that has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leave {
    pub at: Seconds,
    /// Whether it left this tracker.
    pub is_own: bool,
    /// Whether its address was only what somebody reported.
    pub is_reported: bool,
}

#[derive(Debug, Default)]
struct Part {
    young: HashMap<Key, Leave, RandomState>,
    old: HashMap<Key, Leave, RandomState>,
    /// When the young generation began.
    since: Seconds,
}

impl Part {
    fn of(&self, key: &Key) -> Option<&Leave> {
        let (young, old) = (self.young.get(key), self.old.get(key));
        match (young, old) {
            (Some(young), Some(old)) if old.at > young.at => Some(old),
            (None, old) => old,
            (young, _) => young,
        }
    }
}

/// All leaves that are remembered.
#[derive(Debug)]
pub(crate) struct Leaves {
    parts: Box<[Mutex<Part>]>,
    hasher: RandomState,
}

impl Default for Leaves {
    fn default() -> Leaves {
        Leaves {
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::default(),
        }
    }
}

impl Leaves {
    fn part(&self, key: &Key) -> Option<MutexGuard<'_, Part>> {
        use std::hash::BuildHasher;
        let [byte, ..] = self.hasher.hash_one(key).to_le_bytes();
        let part = self.parts.get(usize::from(byte) % PARTS)?;
        Some(part.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Remembers a leave, unless a later one of the same peer is; peers live for `lifetime` seconds.
    pub(super) fn remember(
        &self,
        hash: &InfoHash,
        address: SocketAddr,
        leave: Leave,
        now: Seconds,
        lifetime: u32,
    ) {
        let key = (*hash, packed(address.ip(), address.port()));
        let Some(mut part) = self.part(&key) else {
            return;
        };
        if part.of(&key).is_some_and(|known| known.at > leave.at) {
            return;
        }
        if part.young.len() >= MAX_IN_PART || now.since(part.since) >= lifetime {
            part.old = std::mem::take(&mut part.young);
            part.since = now;
        }
        part.young.insert(key, leave);
    }

    /// When a peer left last, as far as that is remembered.
    pub(super) fn of(&self, hash: &InfoHash, address: SocketAddr) -> Option<Leave> {
        let key = (*hash, packed(address.ip(), address.port()));
        self.part(&key)?.of(&key).copied()
    }

    /// Whether a peer that announced at `seen` has left since.
    pub(crate) fn has_left(&self, hash: &InfoHash, address: SocketAddr, seen: Seconds) -> bool {
        self.of(hash, address).is_some_and(|leave| leave.at >= seen)
    }

    /// Who left this tracker at or after `since`, in order of the torrents.
    pub(super) fn own_since(&self, since: Seconds) -> Vec<(InfoHash, SocketAddr, Leave)> {
        let mut own = Vec::new();
        for part in &self.parts {
            let part = part.lock().unwrap_or_else(PoisonError::into_inner);
            let both = part.old.keys().chain(part.young.keys());
            for key in both {
                if let Some(leave) = part.of(key)
                    && leave.is_own
                    && leave.at >= since
                {
                    own.push((*key, *leave));
                }
            }
        }
        own.sort_unstable_by_key(|(key, _)| *key);
        own.dedup_by_key(|(key, _)| *key);
        let own = own.into_iter();
        own.map(|((hash, address), leave)| (hash, unpacked(address), leave))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leave(at: u32) -> Leave {
        Leave {
            at: Seconds::from_raw(at),
            is_own: true,
            is_reported: false,
        }
    }

    fn address(number: u32) -> SocketAddr {
        SocketAddr::new(std::net::Ipv4Addr::from(number).into(), 1)
    }

    const HASH: InfoHash = InfoHash([7; 20]);

    #[test]
    fn the_latest_leave_of_a_peer_is_remembered_for_a_lifetime() {
        let leaves = Leaves::default();
        let now = Seconds::from_raw(10_000);
        for at in [9_000, 9_500, 9_200] {
            leaves.remember(&HASH, address(1), leave(at), now, 3_600);
        }
        assert_eq!(leaves.of(&HASH, address(1)), Some(leave(9_500)));
        assert!(leaves.has_left(&HASH, address(1), Seconds::from_raw(9_500)));
        assert!(!leaves.has_left(&HASH, address(1), Seconds::from_raw(9_501)));
        assert_eq!(leaves.own_since(Seconds::from_raw(9_500)).len(), 1);
        assert_eq!(leaves.own_since(Seconds::from_raw(9_501)).len(), 0);
        // A generation later it is known still; another one later it is not.
        for number in 2..10_000 {
            leaves.remember(&HASH, address(number), leave(9_500), now, 3_600);
        }
        assert!(leaves.of(&HASH, address(1)).is_some());
    }

    #[test]
    fn the_table_does_not_grow_beyond_its_bound() {
        let leaves = Leaves::default();
        let now = Seconds::from_raw(10_000);
        for number in 0..600_000 {
            leaves.remember(&HASH, address(number), leave(9_500), now, 3_600);
        }
        let known = leaves.own_since(Seconds::from_raw(0)).len();
        assert!(
            (PARTS * MAX_IN_PART / 2..=2 * PARTS * MAX_IN_PART).contains(&known),
            "{known}"
        );
        assert!(
            leaves.of(&HASH, address(599_999)).is_some(),
            "the latest is known"
        );
    }
}
