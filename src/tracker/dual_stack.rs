//! Clients with an address of each family in one swarm (S14): the same peer id, key and port. Such a client counts once, and whoever
//! is handed one of its addresses is handed the other beside it.
//!
//! The address that came later is the one that is not counted. A client has one address of a family here: what it announces from further
//! ones is answered and not stored, until the stored one has been silent for longer than it was told to be.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::announce::{Announce, PeerList, ScrapeReply};
use super::draw::Listed;
use super::peer::{Address, KeptId, State, tiered};
use super::peers::{Peers, Role};
use super::swarm::Swarm;
use super::visit::{Change, Rules};
use crate::metrics::Fate;

/// As what an address is not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Uncounted {
    /// It is the address that counts.
    No,
    Leecher,
    Seeder,
    /// A paused partial seed (BEP 21), which is stored with the seeders.
    Paused,
}

/// The pairs of addresses of one swarm, found from either end.
#[derive(Debug, Default)]
pub(super) struct DualStack {
    by_v4: BTreeMap<[u8; 6], ([u8; 18], Uncounted)>,
    by_v6: BTreeMap<[u8; 18], ([u8; 6], Uncounted)>,
    leechers: u32,
    seeders: u32,
    paused: u32,
}

impl DualStack {
    pub(super) fn is_empty(&self) -> bool {
        self.by_v4.is_empty()
    }

    /// The address of the other family.
    fn other(&self, address: SocketAddr) -> Option<SocketAddr> {
        if let Some(v4) = <[u8; 6]>::pack(address.ip(), address.port()) {
            return self.by_v4.get(&v4).map(|(v6, _)| socket(*v6));
        }
        let v6 = <[u8; 18]>::pack(address.ip(), address.port())?;
        self.by_v6.get(&v6).map(|(v4, _)| socket(*v4))
    }

    fn uncounted_mut(&mut self, address: SocketAddr) -> Option<&mut Uncounted> {
        if let Some(v4) = <[u8; 6]>::pack(address.ip(), address.port()) {
            return self.by_v4.get_mut(&v4).map(|(_, uncounted)| uncounted);
        }
        let v6 = <[u8; 18]>::pack(address.ip(), address.port())?;
        self.by_v6.get_mut(&v6).map(|(_, uncounted)| uncounted)
    }

    /// Pairs two addresses, of which `later` is not counted.
    fn pair(&mut self, first: SocketAddr, later: SocketAddr) -> bool {
        let (v4, v6) = if first.is_ipv4() {
            (first, later)
        } else {
            (later, first)
        };
        let packed = (
            <[u8; 6]>::pack(v4.ip(), v4.port()),
            <[u8; 18]>::pack(v6.ip(), v6.port()),
        );
        let (Some(v4), Some(v6)) = packed else {
            return false;
        };
        self.by_v4.insert(v4, (v6, Uncounted::No));
        self.by_v6.insert(v6, (v4, Uncounted::No));
        true
    }

    /// Takes a pair apart; both addresses count by themselves from then on. The other address, if there was a pair.
    fn part(&mut self, address: SocketAddr) -> Option<SocketAddr> {
        let other = self.other(address)?;
        for end in [address, other] {
            self.recount(end, Uncounted::No);
            if let Some(v4) = <[u8; 6]>::pack(end.ip(), end.port()) {
                self.by_v4.remove(&v4);
            } else if let Some(v6) = <[u8; 18]>::pack(end.ip(), end.port()) {
                self.by_v6.remove(&v6);
            }
        }
        Some(other)
    }

    fn recount(&mut self, address: SocketAddr, now: Uncounted) {
        let Some(uncounted) = self.uncounted_mut(address) else {
            return;
        };
        let before = std::mem::replace(uncounted, now);
        if let Some(count) = self.count_of(before) {
            debug_assert!(*count > 0, "what is not counted was counted as that");
            *count = count.saturating_sub(1);
        }
        if let Some(count) = self.count_of(now) {
            *count += 1;
        }
    }

    fn count_of(&mut self, uncounted: Uncounted) -> Option<&mut u32> {
        match uncounted {
            Uncounted::No => None,
            Uncounted::Leecher => Some(&mut self.leechers),
            Uncounted::Seeder => Some(&mut self.seeders),
            Uncounted::Paused => Some(&mut self.paused),
        }
    }

    /// Takes from counts of addresses what are second ones of the same clients.
    pub(super) fn correct(&self, counts: ScrapeReply) -> ScrapeReply {
        ScrapeReply {
            complete: counts.complete.saturating_sub(self.seeders),
            incomplete: counts
                .incomplete
                .saturating_sub(self.leechers + self.paused),
            downloaders: counts.downloaders.saturating_sub(self.leechers),
            ..counts
        }
    }

    /// How many of the first family on a list have an address of the other one too.
    pub(super) fn listed(&self, is_v4_first: bool, list: &PeerList) -> usize {
        if is_v4_first {
            let v4 = list.v4.iter();
            v4.filter(|v4| self.by_v4.contains_key(*v4)).count()
        } else {
            let v6 = list.v6.iter();
            v6.filter(|v6| self.by_v6.contains_key(*v6)).count()
        }
    }

    /// Takes off the list whom it has by an address of the first family already, and as many others by chance as are more than
    /// `most`. How many have been taken.
    pub(super) fn keep_single(
        &self,
        is_v4_first: bool,
        most: usize,
        rng: &mut fastrand::Rng,
        list: &mut PeerList,
    ) -> usize {
        if is_v4_first {
            single(&self.by_v6, most, rng, list)
        } else {
            single(&self.by_v4, most, rng, list)
        }
    }

    /// Puts the other address of each client on the list beside the one that is there. Addresses of one client then take one place of
    /// those that were wanted.
    pub(super) fn complete(&self, list: &mut PeerList) {
        let (v4, v6) = (list.v4.len(), list.v6.len());
        beside(&self.by_v4, v4, list);
        beside(&self.by_v6, v6, list);
    }
}

fn socket<A: Address>(address: A) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port())
}

fn single<A, B>(
    pairs: &BTreeMap<B, (A, Uncounted)>,
    most: usize,
    rng: &mut fastrand::Rng,
    list: &mut PeerList,
) -> usize
where
    A: Address + Listed,
    B: Address + Listed + Ord,
{
    fn take_off<B: Listed>(at: usize, list: &mut PeerList) {
        B::listed(list).swap_remove(at);
        if at < B::ids(list).len() {
            B::ids(list).swap_remove(at);
        }
    }
    let before = B::listed(list).len();
    for at in (0..before).rev() {
        let address = B::listed(list).get(at).copied();
        let first = address.and_then(|address| pairs.get(&address));
        if first.is_some_and(|(first, _)| A::listed(list).contains(first)) {
            take_off::<B>(at, list);
        }
    }
    while B::listed(list).len() > most {
        take_off::<B>(rng.usize(0..B::listed(list).len()), list);
    }
    before - B::listed(list).len()
}

/// Adds the partners of the first `count` of a family that are not on the list.
fn beside<A, B>(pairs: &BTreeMap<A, (B, Uncounted)>, count: usize, list: &mut PeerList)
where
    A: Address + Listed + Ord,
    B: Address + Listed,
{
    for at in 0..count {
        let address = A::listed(list).get(at).copied();
        let Some((other, _)) = address.and_then(|address| pairs.get(&address)) else {
            continue;
        };
        if !B::listed(list).contains(other) {
            let id = A::ids(list).get(at).copied();
            B::put(list, *other, id);
        }
    }
}

impl<I: KeptId> Swarm<I> {
    /// What the announce of a client that may have several addresses changes beside its own entry; after that has been accounted
    /// for. `false` when the address is a further one of its family and was not stored.
    pub(super) fn link(&mut self, announce: &Announce, change: &Change, rules: &Rules<'_>) -> bool {
        let address = SocketAddr::new(announce.ip, announce.port);
        if change.is_dual {
            // The client is looked for where it announced last, or where it still is.
            let other = self.extra.as_ref();
            let other = other.and_then(|extra| extra.dual_stack.other(address));
            let at = other.filter(|_| change.fate == Fate::Left);
            let at = at.map_or(announce.ip, |other| other.ip());
            rules.clients.replace(announce, at, rules.now);
            if change.fate == Fate::Left || !self.is_of_one_client(address, announce, rules) {
                self.unlink(address, rules);
                if let Some(state) = self.state_at(address, rules) {
                    state.set_dual(false);
                }
            } else {
                self.recount(address, rules);
            }
            return true;
        }
        let is_stored =
            change.fate == Fate::Joined || (change.fate == Fate::Refreshed && self.extra.is_some());
        if !is_stored || announce.key.is_none() || announce.is_reported {
            return true;
        }
        let lifetime = rules.settings.lifetime();
        let Some(other) = rules.clients.other(announce, rules.now, lifetime) else {
            return true;
        };
        let other = SocketAddr::new(other, announce.port);
        let extra = self.extra.as_ref();
        let beside = extra.and_then(|extra| extra.dual_stack.other(other));
        let (same_family, other_family) = if other.is_ipv4() == address.is_ipv4() {
            (Some(other), beside)
        } else {
            (beside, Some(other))
        };
        if let Some(same_family) = same_family.filter(|same| *same != address) {
            if self.is_there(same_family, announce, rules) {
                // A refresh is of an address that was stored when the other one was not there yet.
                return change.fate != Fate::Joined || !self.evict(address, rules);
            }
            // Silent for too long: unless somebody else has come to that address meanwhile.
            let state = self.state_at(same_family, rules);
            if state.is_some_and(|state| state.id.is(announce.peer_id)) {
                self.evict(same_family, rules);
            }
        }
        rules.clients.replace(announce, announce.ip, rules.now);
        let first = other_family.filter(|first| self.is_there(*first, announce, rules));
        let Some(first) = first else {
            return true;
        };
        let extra = self.extra.get_or_insert_with(Box::default);
        if extra.dual_stack.pair(first, address) {
            for end in [first, address] {
                if let Some(state) = self.state_at(end, rules) {
                    state.set_dual(true);
                }
            }
            self.recount(address, rules);
        }
        true
    }

    /// Whether the announcer has a peer at another address that is not silent for longer than it was told to be.
    fn is_there(&mut self, other: SocketAddr, announce: &Announce, rules: &Rules<'_>) -> bool {
        let (now, overdue) = (rules.now, rules.settings.overdue());
        self.state_at(other, rules).is_some_and(|state| {
            state.id.is(announce.peer_id)
                && !state.is_reported()
                && now.since(state.seen()) <= overdue
        })
    }

    /// Whether the other address of a pair is still the announcer's: another client may have taken this one over.
    fn is_of_one_client(
        &mut self,
        address: SocketAddr,
        announce: &Announce,
        rules: &Rules<'_>,
    ) -> bool {
        let extra = self.extra.as_ref();
        let other = extra.and_then(|extra| extra.dual_stack.other(address));
        let other = other.and_then(|other| self.state_at(other, rules));
        other.is_some_and(|state| state.id.is(announce.peer_id))
    }

    /// Whether the announcer's is an address that is not counted.
    pub(super) fn is_uncounted(&mut self, announce: &Announce) -> bool {
        let address = SocketAddr::new(announce.ip, announce.port);
        let extra = self.extra.as_mut();
        let uncounted = extra.and_then(|extra| extra.dual_stack.uncounted_mut(address));
        uncounted.is_some_and(|uncounted| *uncounted != Uncounted::No)
    }

    /// Takes the pair of an address apart that has left.
    pub(super) fn unlink(&mut self, address: SocketAddr, rules: &Rules<'_>) {
        let extra = self.extra.as_mut();
        let other = extra.and_then(|extra| extra.dual_stack.part(address));
        if let Some(state) = other.and_then(|other| self.state_at(other, rules)) {
            state.set_dual(false);
        }
    }

    /// Brings the count in line with the role of an address that is not counted.
    fn recount(&mut self, address: SocketAddr, rules: &Rules<'_>) {
        let other = self.extra.as_ref();
        let Some(other) = other.and_then(|extra| extra.dual_stack.other(address)) else {
            return;
        };
        let is_first = self.extra.as_mut().is_some_and(|extra| {
            let of_other = extra.dual_stack.uncounted_mut(other);
            of_other.is_some_and(|uncounted| *uncounted != Uncounted::No)
        });
        if is_first {
            return;
        }
        let now = match self.find_at(address, rules) {
            Some((Role::Leecher, _)) => Uncounted::Leecher,
            Some((Role::Seeder, true)) => Uncounted::Paused,
            Some((Role::Seeder, false)) => Uncounted::Seeder,
            None => Uncounted::No,
        };
        if let Some(extra) = &mut self.extra {
            extra.dual_stack.recount(address, now);
        }
    }

    /// The role of the peer at an address, and whether it is paused.
    fn find_at(&mut self, address: SocketAddr, rules: &Rules<'_>) -> Option<(Role, bool)> {
        let zone = tiered(rules.zones.of(address.ip()), address.ip());
        let role = if address.is_ipv4() {
            role_at(&self.v4, address, zone)
        } else {
            self.extra
                .as_ref()
                .and_then(|extra| role_at(&extra.v6, address, zone))
        }?;
        let is_paused = self
            .state_at(address, rules)
            .is_some_and(|state| state.is_paused());
        Some((role, is_paused))
    }

    /// What is kept of the peer at an address.
    fn state_at(&mut self, address: SocketAddr, rules: &Rules<'_>) -> Option<&mut State<I>> {
        let zone = tiered(rules.zones.of(address.ip()), address.ip());
        if address.is_ipv4() {
            state_in(&mut self.v4, address, zone)
        } else {
            let extra = self.extra.as_mut()?;
            state_in(&mut extra.v6, address, zone)
        }
    }
}

fn role_at<A: Address, I: KeptId>(
    peers: &Peers<A, I>,
    address: SocketAddr,
    zone: u32,
) -> Option<Role> {
    let packed = A::pack(address.ip(), address.port())?;
    let (role, _) = peers.find(A::place(zone, packed.key()), Role::Leecher)?;
    Some(role)
}

fn state_in<A: Address, I: KeptId>(
    peers: &mut Peers<A, I>,
    address: SocketAddr,
    zone: u32,
) -> Option<&mut State<I>> {
    let packed = A::pack(address.ip(), address.port())?;
    let (role, seat) = peers.find(A::place(zone, packed.key()), Role::Leecher)?;
    peers.state_mut(role, seat)
}

/// The addresses of pairs among peers that leave together.
#[derive(Debug, Default)]
pub(super) struct Parted(Vec<SocketAddr>);

impl Parted {
    pub(super) fn note<I: KeptId>(&mut self, address: SocketAddr, state: &State<I>) {
        if state.is_dual() {
            self.0.push(address);
        }
    }

    /// Takes the pairs apart.
    pub(super) fn unlink<I: KeptId>(self, swarm: &mut Swarm<I>, rules: &Rules<'_>) {
        self.0
            .into_iter()
            .for_each(|address| swarm.unlink(address, rules));
    }
}
