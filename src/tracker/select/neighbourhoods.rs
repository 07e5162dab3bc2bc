//! The neighbourhoods of a requester: ranges of sort keys, from the narrowest to the widest (S7, S8), and all that it sees (S9).

use crate::tracker::peers::address::{Address, LOOPBACK, SURPLUS};
use crate::tracker::zones::{MAX_DEPTH, MAX_ZONE, ZoneId, Zones};

/// The neighbourhoods of a requester from the narrowest to the widest, each inside the next.
#[derive(Debug)]
pub(super) struct Neighbourhoods<A: Address> {
    pub levels: [(A::SortKey, A::SortKey); MAX_LEVELS],
    pub count: usize,
    /// The level that holds the requester's whole zone, or the widest prefix when it is in none.
    pub home: usize,
    pub is_zoned: bool,
}

/// Levels in all: three prefixes within the zone, then the zone and those above it.
pub(super) const MAX_LEVELS: usize = MAX_DEPTH + PREFIX_LEVELS;

const PREFIX_LEVELS: usize = 3;

/// Entries of the requester's own subscriber on its list, where many live behind one address.
const MAX_OWN: usize = 3;

fn subtree<A: Address>(zones: &Zones, zone: ZoneId, tier: u32) -> (A::SortKey, A::SortKey) {
    let (first, last) = zones.subtree(zone);
    (
        A::sort_key(ZoneId::pack(Some(first)) | tier, A::BOUNDS.0),
        A::sort_key(ZoneId::pack(Some(last)) | tier, A::BOUNDS.1),
    )
}

/// Where a requester stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Viewpoint<'a, A> {
    zones: &'a Zones,
    zone: Option<ZoneId>,
    /// Among whom: see [`tiered`](crate::tracker::peers::address::tiered).
    tier: u32,
    address: Option<A>,
}

/// Steps of [`Viewpoint::behind`] at most.
pub(crate) const STEPS: usize = 3;

/// The bits of a zone number that are a tier.
const TIERS: u32 = LOOPBACK | SURPLUS;

impl<'a, A: Address> Viewpoint<'a, A> {
    /// A requester of `zone` with its tier, and with its address when it has one of the family that is asked about.
    pub(crate) fn new(zones: &'a Zones, zone: u32, address: Option<A>) -> Viewpoint<'a, A> {
        Viewpoint {
            zones,
            zone: ZoneId::unpack(zone & !TIERS),
            tier: zone & TIERS,
            address,
        }
    }

    /// The same requester as it looks at those who are left when its own tier does not fill a list: on a loopback address
    /// all others before the surplus, elsewhere the surplus (S13, S16). There are [`STEPS`] steps at most.
    pub(super) fn behind(self, step: usize) -> Option<Viewpoint<'a, A>> {
        let tiers: &[u32] = if self.is_remote() {
            &[SURPLUS]
        } else {
            &[0, LOOPBACK | SURPLUS, SURPLUS]
        };
        let tier = *tiers.get(step)?;
        Some(Viewpoint { tier, ..self })
    }

    /// Whether loopback addresses are of no use to it.
    pub(crate) fn is_remote(&self) -> bool {
        self.tier & LOOPBACK == 0
    }

    /// The first and the last sort key of its tier, or of what it may see of it (S9).
    pub(super) fn whole(&self) -> (A::SortKey, A::SortKey) {
        let all = (
            A::sort_key(self.tier, A::BOUNDS.0),
            A::sort_key(self.tier | MAX_ZONE, A::BOUNDS.1),
        );
        self.strict().unwrap_or(all)
    }

    /// What the zone allows to be listed of the requester's own subscriber address (S16).
    pub(super) fn max_own(&self) -> usize {
        if self.zones.is_behind_nat(self.zone) {
            MAX_OWN
        } else {
            0
        }
    }

    /// The first and the last sort key of the requester's own subscriber address in its tier.
    pub(super) fn subscriber(&self) -> Option<(A::SortKey, A::SortKey)> {
        let (low, high) = self.address?.prefix(A::SUBSCRIBER_BITS);
        let zone = self.tiered();
        Some((A::sort_key(zone, low), A::sort_key(zone, high)))
    }

    /// All its neighbourhoods.
    pub(super) fn neighbourhoods(&self) -> Neighbourhoods<A> {
        Neighbourhoods::new(self.zones, self.zone, self.tier, self.address)
    }

    /// All that it may see, when that is not everybody (S9).
    #[inline]
    pub(super) fn strict(&self) -> Option<(A::SortKey, A::SortKey)> {
        let strict = self.zones.strict_root(self.zone)?;
        Some(subtree::<A>(self.zones, strict, self.tier))
    }

    /// Its top zone, or, of one in no zone, all who are in none: its neighbours by the rule `few` (S15).
    #[inline]
    pub(super) fn top_zone(&self) -> (A::SortKey, A::SortKey) {
        match self.zone {
            Some(zone) => subtree::<A>(self.zones, self.zones.top(zone), self.tier),
            None => (
                A::sort_key(self.tier, A::BOUNDS.0),
                A::sort_key(self.tier, A::BOUNDS.1),
            ),
        }
    }

    /// Whether it is in a zone.
    pub(super) fn is_zoned(&self) -> bool {
        self.zone.is_some()
    }

    /// The number of its zone with its tier, as [`Address::sort_key`] takes it.
    fn tiered(&self) -> u32 {
        ZoneId::pack(self.zone) | self.tier
    }

    /// Where it stands or would stand.
    pub(super) fn sort_key(&self) -> A::SortKey {
        let key = self.address.map_or(A::BOUNDS.0, Address::key);
        A::sort_key(self.tiered(), key)
    }

    /// The widest of its neighbourhoods: what counts as local. The last level of [`Viewpoint::neighbourhoods`], without the others.
    #[inline(always)]
    pub(super) fn widest(&self) -> Option<(A::SortKey, A::SortKey)> {
        let [.., prefix] = A::NEAR_PREFIXES;
        let mut widest = self.address.map(|address| {
            let (low, high) = address.prefix(prefix);
            (
                A::sort_key(self.tiered(), low),
                A::sort_key(self.tiered(), high),
            )
        });
        let prefixes = if self.address.is_some() {
            PREFIX_LEVELS
        } else {
            0
        };
        let mut above = self.zone;
        for _ in prefixes..MAX_LEVELS {
            let Some(zone) = above else { break };
            widest = Some(subtree::<A>(self.zones, zone, self.tier));
            above = self.zones.parent(zone);
        }
        widest
    }
}

impl<A: Address> Neighbourhoods<A> {
    /// The last level; `None` for a requester of no zone that has no address of this family either.
    #[inline]
    pub(super) fn widest_level(&self) -> Option<usize> {
        self.count.checked_sub(1)
    }

    /// The neighbourhoods of `zone`, and within it those of `address` when the requester has one of this family.
    fn new(
        zones: &Zones,
        zone: Option<ZoneId>,
        tier: u32,
        address: Option<A>,
    ) -> Neighbourhoods<A> {
        let none = (A::sort_key(0, A::BOUNDS.0), A::sort_key(0, A::BOUNDS.0));
        let mut neighbourhoods = Neighbourhoods {
            levels: [none; MAX_LEVELS],
            count: 0,
            home: 0,
            is_zoned: zone.is_some(),
        };
        let tiered = ZoneId::pack(zone) | tier;
        for bits in address.map(|_| A::NEAR_PREFIXES).into_iter().flatten() {
            let (low, high) = address.map_or(A::BOUNDS, |address| address.prefix(bits));
            neighbourhoods.push((A::sort_key(tiered, low), A::sort_key(tiered, high)));
        }
        neighbourhoods.home = if zone.is_none() {
            neighbourhoods.count.saturating_sub(1)
        } else {
            neighbourhoods.count
        };
        let mut above = zone;
        while let Some(zone) = above
            && neighbourhoods.count < neighbourhoods.levels.len()
        {
            neighbourhoods.push(subtree::<A>(zones, zone, tier));
            above = zones.parent(zone);
        }
        neighbourhoods
    }

    fn push(&mut self, level: (A::SortKey, A::SortKey)) {
        if let Some(cell) = self.levels.get_mut(self.count) {
            *cell = level;
            self.count += 1;
        }
    }
}
