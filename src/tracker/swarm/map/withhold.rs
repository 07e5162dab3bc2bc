//! What a change of the blocklist does to the swarms: whom it covers is taken out and withheld, whom it no longer covers is put back (W4).
//! The list of the withheld has a lock of its own. It is taken before a shard's, and no announce ever takes it.

use std::net::IpAddr;
use std::sync::{MutexGuard, PoisonError};

use super::Swarms;
use crate::clock::Seconds;
use crate::tracker::Enforced;
use crate::tracker::id::InfoHash;
use crate::tracker::peers::owner::StoredId;
use crate::tracker::swarm::stored::StoredSwarm;
use crate::tracker::swarm::upsert::Rules;
use crate::tracker::swarm::withheld::Withheld;

/// Peers that are put back under one lock of a shard: a few hundred steps of an insertion each.
const PORTION: usize = 128;

impl<I: StoredId> Swarms<I> {
    pub(super) fn withheld(&self) -> MutexGuard<'_, Withheld<I>> {
        self.withheld.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes out whom the blocklist covers and puts back whom it does not cover any more.
    pub(crate) fn enforce(
        &self,
        rules: &Rules<'_>,
        is_torrent_blocked: impl Fn(&InfoHash) -> bool,
        is_blocked: impl Fn(IpAddr) -> bool,
    ) -> Enforced {
        let mut withheld = self.withheld();
        let mut enforced = Enforced::default();
        let mut taken = withheld.taking(rules.now);
        self.take_blocked(rules, &is_torrent_blocked, &is_blocked, &mut taken);
        (enforced.withheld, enforced.freed) = (taken.peers, taken.over);
        withheld.add(taken);
        if !withheld.is_empty() {
            let lifted = withheld.take_lifted(is_torrent_blocked, is_blocked);
            let hashes = lifted.info_hashes();
            let restored = hashes
                .iter()
                .map(|hash| self.put_back(hash, &lifted, rules));
            enforced.restored = restored.sum();
            // Their records in the database have them all the same; those of a torrent that did not come back have to go.
            self.mark_changed(&hashes);
        }
        enforced
    }

    /// Frees who has been withheld for long enough.
    pub(crate) fn free_withheld(&self, now: Seconds) -> u64 {
        let mut withheld = self.withheld();
        if withheld.is_empty() {
            return 0;
        }
        let overdue = withheld.take_overdue(now);
        self.mark_changed(&overdue.info_hashes());
        overdue.peers() as u64
    }

    /// Has the next snapshot write these torrents anew, with what is withheld of them, or remove them.
    pub(in crate::tracker::swarm) fn mark_changed(&self, hashes: &[InfoHash]) {
        let absent = hashes.iter().filter(|hash| !self.touch(hash));
        self.remember_freed(absent.copied());
    }

    /// Puts back what was withheld of one torrent, a portion under each lock. Returns how many peers.
    fn put_back(&self, hash: &InfoHash, lifted: &Withheld<I>, rules: &Rules<'_>) -> u64 {
        let of_torrent = lifted.of(hash);
        let mut restored = 0;
        for portion in of_torrent.v4.chunks(PORTION) {
            restored += self.put_in(hash, rules, |swarm, room| {
                swarm.take_back_counts(&of_torrent);
                swarm.take_back_v4(portion, room, rules)
            });
        }
        for portion in of_torrent.v6.chunks(PORTION) {
            restored += self.put_in(hash, rules, |swarm, room| {
                swarm.take_back_counts(&of_torrent);
                swarm.take_back_v6(portion, room, rules)
            });
        }
        self.put_in(hash, rules, |swarm, _| {
            swarm.take_back_counts(&of_torrent);
            swarm.take_back_ties(&of_torrent, rules);
            0
        });
        restored
    }

    /// Keeps what a database has of the blocked: `is_torrent` says that it is the torrent. Whether there is anything to keep.
    pub(crate) fn withhold_stored(
        &self,
        blocked: &StoredSwarm,
        is_torrent: bool,
        rules: &Rules<'_>,
    ) -> bool {
        let mut withheld = self.withheld();
        let (mut taken, before) = (withheld.taking(rules.now), withheld.len());
        taken.stored(blocked, is_torrent, rules);
        withheld.add(taken);
        withheld.len() > before
    }
}
