//! Clients with an address of each family in one swarm (S14): the same peer id, key and port. Such a client counts once, and whoever
//! is handed one of its addresses is handed the other beside it.
//!
//! The address that came later is the one that is not counted. A client has one address of a family here: what it announces from further
//! ones is answered and not stored, until the stored one has been silent for longer than it was told to be.

pub(super) mod link;
pub(crate) mod recent_clients;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::metrics::Family;
use crate::tracker::announce::{PeerList, ScrapeReply};
use crate::tracker::peers::address::Address;
use crate::tracker::select::sample::Listed;

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

/// Two addresses of one client, of which the later one is not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    v4: [u8; 6],
    v6: [u8; 18],
    is_v4_later: bool,
}

impl Pair {
    /// Both, the one that is counted first.
    pub(super) fn ends(self) -> [SocketAddr; 2] {
        let (v4, v6) = (socket(self.v4), socket(self.v6));
        if self.is_v4_later { [v6, v4] } else { [v4, v6] }
    }
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
    pub(super) fn other(&self, address: SocketAddr) -> Option<SocketAddr> {
        if let Some(v4) = <[u8; 6]>::pack(address.ip(), address.port()) {
            return self.by_v4.get(&v4).map(|(v6, _)| socket(*v6));
        }
        let v6 = <[u8; 18]>::pack(address.ip(), address.port())?;
        self.by_v6.get(&v6).map(|(v4, _)| socket(*v4))
    }

    /// The pair that an address is of.
    pub(super) fn pair_of(&self, address: SocketAddr) -> Option<Pair> {
        let v4 = match <[u8; 6]>::pack(address.ip(), address.port()) {
            Some(v4) => v4,
            None => {
                let v6 = <[u8; 18]>::pack(address.ip(), address.port())?;
                self.by_v6.get(&v6)?.0
            }
        };
        let (v6, uncounted) = *self.by_v4.get(&v4)?;
        let is_v4_later = uncounted != Uncounted::No;
        Some(Pair {
            v4,
            v6,
            is_v4_later,
        })
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
    pub(super) fn listed(&self, first: Family, list: &PeerList) -> usize {
        match first {
            Family::V4 => {
                let v4 = list.v4.iter();
                v4.filter(|v4| self.by_v4.contains_key(*v4)).count()
            }
            Family::V6 => {
                let v6 = list.v6.iter();
                v6.filter(|v6| self.by_v6.contains_key(*v6)).count()
            }
        }
    }

    /// How many the list has of the family that is not the first.
    pub(super) fn count_other(first: Family, list: &PeerList) -> usize {
        match first {
            Family::V4 => list.v6.len(),
            Family::V6 => list.v4.len(),
        }
    }

    /// Takes off the list whom it has by an address of the first family already, and as many others by chance as are more than
    /// `most`; of the other family, but for the first `kept` of it. How many have been taken.
    pub(super) fn keep_single(
        &self,
        first: Family,
        kept: usize,
        most: usize,
        rng: &mut fastrand::Rng,
        list: &mut PeerList,
    ) -> usize {
        match first {
            Family::V4 => single(&self.by_v6, kept, most, rng, list),
            Family::V6 => single(&self.by_v4, kept, most, rng, list),
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
    kept: usize,
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
    for at in (kept..before).rev() {
        let address = B::listed(list).get(at).copied();
        let first = address.and_then(|address| pairs.get(&address));
        if first.is_some_and(|(first, _)| A::listed(list).contains(first)) {
            take_off::<B>(at, list);
        }
    }
    while B::listed(list).len() > kept + most {
        take_off::<B>(rng.usize(kept..B::listed(list).len()), list);
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
