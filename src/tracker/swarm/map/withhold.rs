//! What a change of the blocklist does to the swarms: whom it covers is taken out and withheld, whom it no longer covers is put back (W4).
//! The list of the withheld has a lock of its own. It is taken before a shard's, and no announce ever takes it.

use std::net::{IpAddr, SocketAddr};
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
        has_left: impl Fn(&InfoHash, SocketAddr, Seconds) -> bool,
    ) -> Enforced {
        let mut withheld = self.withheld();
        let mut enforced = Enforced::default();
        let mut taken = withheld.taking(rules.now);
        self.take_blocked(rules, &is_torrent_blocked, &is_blocked, &mut taken);
        (enforced.withheld, enforced.freed) = (taken.peers, taken.over);
        withheld.add(taken);
        let lifted = self.put_back_lifted(
            &mut withheld,
            rules,
            is_torrent_blocked,
            is_blocked,
            has_left,
        );
        (enforced.restored, enforced.waiting) = lifted;
        enforced
    }

    /// Puts back who has been waiting for room, where there is some. Returns how many came back.
    pub(crate) fn put_back_waiting(
        &self,
        rules: &Rules<'_>,
        is_torrent_blocked: impl Fn(&InfoHash) -> bool,
        is_blocked: impl Fn(IpAddr) -> bool,
        has_left: impl Fn(&InfoHash, SocketAddr, Seconds) -> bool,
    ) -> u64 {
        let mut withheld = self.withheld();
        if !withheld.is_waiting() || self.usage.room(rules.settings).0 == 0 {
            return 0;
        }
        let (restored, _) = self.put_back_lifted(
            &mut withheld,
            rules,
            is_torrent_blocked,
            is_blocked,
            has_left,
        );
        restored
    }

    /// Puts back whom nothing hides any more. Returns how many peers came back, and for how many there was no room.
    fn put_back_lifted(
        &self,
        withheld: &mut Withheld<I>,
        rules: &Rules<'_>,
        is_torrent_blocked: impl Fn(&InfoHash) -> bool,
        is_blocked: impl Fn(IpAddr) -> bool,
        has_left: impl Fn(&InfoHash, SocketAddr, Seconds) -> bool,
    ) -> (u64, u64) {
        if withheld.is_empty() {
            return (0, 0);
        }
        let mut lifted = withheld.take_lifted(is_torrent_blocked, is_blocked);
        let hashes = lifted.info_hashes();
        lifted.drop_left(has_left);
        let mut crowded_out = Withheld::default();
        let restored = hashes.iter();
        let restored = restored.map(|hash| self.put_back(hash, &lifted, rules, &mut crowded_out));
        let restored = restored.sum();
        let waiting = crowded_out.peers() as u64;
        withheld.wait(crowded_out);
        // Their records in the database have them all the same; those of a torrent that did not come back have to go.
        self.mark_changed(&hashes);
        (restored, waiting)
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

    /// Puts back what was withheld of one torrent, a portion under each lock; for whom there is no room is added to `crowded_out`.
    /// Returns how many peers came back.
    fn put_back(
        &self,
        hash: &InfoHash,
        lifted: &Withheld<I>,
        rules: &Rules<'_>,
        crowded_out: &mut Withheld<I>,
    ) -> u64 {
        let (of_torrent, before) = (lifted.of(hash), crowded_out.peers());
        let mut restored = 0;
        for portion in of_torrent.v4.chunks(PORTION) {
            restored += self.put_in(hash, rules, |swarm, room| {
                swarm.take_back_counts(&of_torrent);
                swarm.take_back_v4(portion, room, rules, crowded_out)
            });
        }
        for portion in of_torrent.v6.chunks(PORTION) {
            restored += self.put_in(hash, rules, |swarm, room| {
                swarm.take_back_counts(&of_torrent);
                swarm.take_back_v6(portion, room, rules, crowded_out)
            });
        }
        self.put_in(hash, rules, |swarm, _| {
            swarm.take_back_counts(&of_torrent);
            swarm.take_back_ties(&of_torrent, rules);
            0
        });
        if crowded_out.peers() > before {
            crowded_out.add_ties(&of_torrent);
        }
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
