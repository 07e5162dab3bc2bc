//! What another tracker tells of peers meets those that are stored: whose state was seen later stands.
//!
//! Ties are broken by what is told, never by who tells it, since every tracker numbers the others in its own way: who is there beats who has
//! left, a seeder beats a leecher, and else nothing changes. Who announced by its own address beats who was only reported there.

use std::net::SocketAddr;

use super::Swarm;
use super::dual_stack::recent_clients::Client;
use super::families::of_family;
use super::flag_counts::{FlagCounts, FlagCountsChange};
use super::stored::StoredPeer;
use super::upsert::Rules;
use super::withheld::take_where;
use crate::clock::Seconds;
use crate::metrics::Family;
use crate::tracker::id::{InfoHash, PeerId};
use crate::tracker::peers::address::{Address, tiered};
use crate::tracker::peers::owner::{KeyProof, StoredId, StoredKey};
use crate::tracker::peers::peer::State;
use crate::tracker::peers::position::Position;
use crate::tracker::peers::{Peers, Role};
use crate::tracker::sites::merge::Source;
use crate::tracker::sites::{Merged, Origin, PeerDelta};

/// Seconds by which the tracker that a peer announces to may err in when it left: times come as ages in whole seconds, and by the clock
/// of another machine.
const CLOCK_SLACK: u32 = 2;

/// What is told of one torrent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told<'a> {
    pub info_hash: &'a InfoHash,
    pub downloaded: &'a [(Option<Origin>, u32)],
    pub peers: &'a [PeerDelta],
}

/// For how many more there is room.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub peers: usize,
    pub torrents: usize,
    /// Peers that the torrent may have in all.
    pub in_torrent: usize,
}

/// How one state of a peer compares with another one: the greater stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Standing {
    is_there_itself: bool,
    last_seen: Seconds,
    is_with_seeders: bool,
    is_complete: bool,
}

impl Standing {
    fn of<I: StoredId>(role: Role, state: &State<I>) -> Standing {
        Standing {
            is_there_itself: !state.is_reported(),
            last_seen: state.seen(),
            is_with_seeders: role == Role::Seeder,
            is_complete: role == Role::Seeder && !state.is_paused(),
        }
    }

    fn is_of_one_moment(self, other: Standing) -> bool {
        self.is_there_itself == other.is_there_itself && self.last_seen == other.last_seen
    }

    fn told(peer: &StoredPeer) -> Standing {
        Standing {
            is_there_itself: !peer.is_reported,
            last_seen: peer.last_seen,
            is_with_seeders: role(peer) == Role::Seeder,
            is_complete: peer.is_seeder && !peer.is_paused,
        }
    }
}

fn role(peer: &StoredPeer) -> Role {
    if peer.is_seeder || peer.is_paused {
        Role::Seeder
    } else {
        Role::Leecher
    }
}

/// What became of one peer.
enum Outcome {
    Joined,
    Refreshed,
    Left,
    Stale,
    Blocked,
    OverBound,
    OverQuota,
}

impl<I: StoredId> Swarm<I> {
    /// Merges what is told. The swarm has been [refreshed](Swarm::refresh).
    pub(super) fn merge(
        &mut self,
        told: &Told<'_>,
        source: &Source<'_>,
        rules: &Rules<'_>,
        room: &mut Room,
        merged: &mut Merged,
    ) {
        self.merge_counts(told.downloaded);
        for delta in told.peers {
            let Some(delta) = source.checked(delta, rules, merged) else {
                continue;
            };
            let outcome = if delta.has_left {
                self.merge_leave(told.info_hash, &delta, source, rules)
            } else {
                self.merge_peer(told.info_hash, &delta, source, rules, room)
            };
            let count = match outcome {
                Outcome::Joined => &mut merged.joined,
                Outcome::Refreshed => &mut merged.refreshed,
                Outcome::Left => &mut merged.left,
                Outcome::Stale => &mut merged.stale,
                Outcome::Blocked => &mut merged.blocked,
                Outcome::OverBound => &mut merged.over_bound,
                Outcome::OverQuota => &mut merged.over_quota,
            };
            *count = count.saturating_add(1);
        }
    }

    /// Takes over the counts that are greater than what is known.
    fn merge_counts(&mut self, downloaded: &[(Option<Origin>, u32)]) {
        for (origin, count) in downloaded {
            let is_new = match origin {
                Some(origin) => self.count_elsewhere(&[(*origin, *count)]),
                None => *count > self.downloaded,
            };
            if origin.is_none() {
                self.downloaded = self.downloaded.max(*count);
            }
            if is_new {
                self.touch();
            }
        }
    }

    fn merge_leave(
        &mut self,
        hash: &InfoHash,
        delta: &PeerDelta,
        source: &Source<'_>,
        rules: &Rules<'_>,
    ) -> Outcome {
        let peer = &delta.peer;
        let address = SocketAddr::new(peer.ip, peer.port);
        let found = self.families().find(address, rules.zones);
        let state = found.and_then(|(role, position)| self.state_mut(peer.ip, role, position));
        let Some(state) = state else {
            source.remember_leave(hash, delta, peer.last_seen, rules);
            return Outcome::Stale;
        };
        let (seen, is_reported) = (state.seen(), state.is_reported());
        let is_its_tracker = state.origin() == source.origin;
        let is_later =
            peer.last_seen > seen || (is_its_tracker && peer.last_seen.plus(CLOCK_SLACK) >= seen);
        if !is_later || (peer.is_reported && !is_reported) {
            return Outcome::Stale;
        }
        source.remember_leave(hash, delta, peer.last_seen.max(seen), rules);
        self.evict(address, rules);
        Outcome::Left
    }

    fn merge_peer(
        &mut self,
        hash: &InfoHash,
        delta: &PeerDelta,
        source: &Source<'_>,
        rules: &Rules<'_>,
        room: &mut Room,
    ) -> Outcome {
        if !source.may_have(hash, delta) {
            return Outcome::Blocked;
        }
        if source.has_left(hash, delta) {
            return Outcome::Stale;
        }
        let peer = &delta.peer;
        let address = SocketAddr::new(peer.ip, peer.port);
        let outcome = match self.families().find(address, rules.zones) {
            Some(at) => self.refresh_merged(delta, at, rules),
            None => self.join_merged(delta, rules, room),
        };
        if let Outcome::Joined | Outcome::Refreshed = outcome {
            self.touch();
            self.look_for_pair(hash, delta, rules);
        }
        outcome
    }

    /// A stored peer takes over what is told of it, where that stands.
    fn refresh_merged(
        &mut self,
        delta: &PeerDelta,
        (stored_role, position): (Role, Position),
        rules: &Rules<'_>,
    ) -> Outcome {
        let peer = &delta.peer;
        let address = SocketAddr::new(peer.ip, peer.port);
        let Some(state) = self.state_mut(peer.ip, stored_role, position) else {
            return Outcome::Stale;
        };
        let is_known = peer.id != PeerId([0; 20]);
        let is_same = !is_known || state.id.is(peer.id) || state.id.is_unknown();
        let has_completed = peer.has_completed || (is_same && state.has_completed());
        let (new, known) = (Standing::told(peer), Standing::of(stored_role, state));
        // What its own tracker says later in the same second stands: it tells in the order in which it happened.
        let is_revised = state.origin() == peer.origin && new.is_of_one_moment(known);
        if new == known || (new < known && !is_revised) {
            // What it completed there is not to be counted here once more.
            state.set_completed(state.has_completed() || (is_same && has_completed));
            return Outcome::Stale;
        }
        let before = (state.origin(), FlagCounts::of(state));
        if before.0 != peer.origin
            && let Some(origin) = peer.origin
            && !rules.origins.has_room(origin, rules.settings)
        {
            return Outcome::OverQuota;
        }
        if is_known {
            if !state.id.is(peer.id) || delta.key_proof != [0; 3] {
                state.key = I::Key::of_proof(delta.key_proof);
            }
            state.id = I::keep(peer.id);
        }
        state.set_seen(state.seen().max(peer.last_seen));
        state.set_reported(peer.is_reported);
        state.set_paused(peer.is_paused);
        state.set_completed(has_completed);
        state.set_downloaded_mib(peer.downloaded_mib);
        state.set_origin(peer.origin);
        let after = FlagCounts::of(state);
        let (had_alternate, is_surplus) = (state.has_alternate(), state.is_surplus());
        if let Some(origin) = before.0 {
            rules.origins.take(origin);
        }
        if let Some(origin) = peer.origin {
            rules.origins.add(origin);
        }
        self.apply(FlagCountsChange {
            before: before.1,
            after,
        });
        let to = role(peer);
        let own = of_family!(self.families_mut(), Family::of(peer.ip), peers => {
            if stored_role == to && is_surplus {
                (to, peers.give_turn(to, position))
            } else if stored_role == to {
                (to, position)
            } else {
                let moved = peers.remove(stored_role, position);
                moved.map_or((stored_role, position), |peer| (to, peers.insert(to, peer)))
            }
        });
        if had_alternate || peer.inner_ip.is_some() {
            self.keep_other(address, peer.inner_ip, own);
        }
        Outcome::Refreshed
    }

    /// A peer that is not stored joins within the bounds.
    fn join_merged(&mut self, delta: &PeerDelta, rules: &Rules<'_>, room: &mut Room) -> Outcome {
        fn insert<A: Address, I: StoredId>(
            peers: &mut Peers<A, I>,
            delta: &PeerDelta,
            rules: &Rules<'_>,
        ) -> Option<(Role, Position, FlagCounts)> {
            let (role, mut peer) = delta.peer.packed::<A, I>(rules.zones)?;
            peer.state.key = I::Key::of_proof(delta.key_proof);
            let flag_counts = FlagCounts::of(&peer.state);
            Some((role, peers.insert(role, peer), flag_counts))
        }
        let peer = &delta.peer;
        let torrents = if self.len() > 0 { 1 } else { room.torrents };
        let zone = tiered(rules.zones.of(peer.ip), peer.ip);
        if room.peers == 0
            || torrents == 0
            || self.len() >= room.in_torrent
            || !self.may_join(peer, rules, zone)
        {
            return Outcome::OverBound;
        }
        if let Some(origin) = peer.origin
            && !rules.origins.has_room(origin, rules.settings)
        {
            return Outcome::OverQuota;
        }
        let joined = match Family::of(peer.ip) {
            Family::V4 => insert(&mut self.v4, delta, rules),
            Family::V6 => {
                let extra = self.extra.get_or_insert_with(Box::default);
                insert(&mut extra.v6, delta, rules)
            }
        };
        let Some((role, position, after)) = joined else {
            return Outcome::OverBound;
        };
        room.peers = room.peers.saturating_sub(1);
        rules.address_counts.add(peer.ip);
        if let Some(origin) = peer.origin {
            rules.origins.add(origin);
        }
        self.apply(FlagCountsChange {
            after,
            ..FlagCountsChange::default()
        });
        let seen = peer.last_seen.raw();
        self.oldest = if self.len() == 1 {
            seen
        } else {
            self.oldest.min(seen)
        };
        if peer.inner_ip.is_some() {
            let address = SocketAddr::new(peer.ip, peer.port);
            self.keep_other(address, peer.inner_ip, Some((role, position)));
        }
        Outcome::Joined
    }

    /// Ties the addresses of a client that has one of each family (S14), by whichever trackers they came.
    fn look_for_pair(&mut self, hash: &InfoHash, delta: &PeerDelta, rules: &Rules<'_>) {
        let peer = &delta.peer;
        let client = Client {
            info_hash: *hash,
            peer_id: peer.id,
            key: KeyProof::of_proof(delta.key_proof),
            port: peer.port,
        };
        if delta.key_proof != [0; 3] && peer.id != PeerId([0; 20]) && !peer.is_reported {
            let address = SocketAddr::new(peer.ip, peer.port);
            self.link_merged(&client, address, rules);
        }
    }

    /// Drops what is known from an origin. Returns how many peers.
    pub(super) fn forget(&mut self, origin: Origin, rules: &Rules<'_>) -> usize {
        self.refresh(rules);
        let before = self.len();
        let is_of = Some(origin);
        let v4 = take_where(&mut self.v4, |peer| peer.state.origin() == is_of);
        let v6 = self.extra.as_mut().map_or_else(Vec::new, |extra| {
            take_where(&mut extra.v6, |peer| peer.state.origin() == is_of)
        });
        if self.len() < before {
            self.forget_where_gone(&v4, &v6, rules);
        }
        let extra = self.extra.as_mut();
        if extra.is_some_and(|extra| extra.elsewhere.forget(origin)) {
            self.tidy(rules.zones);
            self.touch();
        }
        before - self.len()
    }
}
