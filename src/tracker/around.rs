//! The neighbourhoods of a requester: runs of places, from the narrowest to the widest (S7, S8), and all that it sees (S9).

use super::peer::{Address, LOOPBACK, MAX_ZONE, SURPLUS};
use super::zones::{DEPTH_MOST, Zones};

/// The neighbourhoods of a requester from the narrowest to the widest, each inside the next.
#[derive(Debug)]
pub(super) struct Around<A: Address> {
    pub(super) levels: [(A::Place, A::Place); LEVELS_MOST],
    pub(super) count: usize,
    /// The level that holds the requester's whole zone, or the widest prefix when it is in none.
    pub(super) home: usize,
    pub(super) is_zoned: bool,
}

/// Levels in all: three prefixes within the zone, then the zone and those above it.
pub(super) const LEVELS_MOST: usize = DEPTH_MOST + A_PREFIXES;

const A_PREFIXES: usize = 3;

/// Entries of the requester's own subscriber on its list, where many live behind one address.
const OWN_MOST: usize = 3;

fn subtree<A: Address>(zones: &Zones, zone: u32, tier: u32) -> (A::Place, A::Place) {
    let (first, last) = zones.subtree(zone);
    (
        A::place(first | tier, A::BOUNDS.0),
        A::place(last | tier, A::BOUNDS.1),
    )
}

/// Where a requester stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standpoint<'a, A> {
    zones: &'a Zones,
    zone: u32,
    /// Among whom: see [`tiered`](super::peer::tiered).
    tier: u32,
    address: Option<A>,
}

/// Steps of [`Standpoint::behind`] at most.
pub(super) const STEPS: usize = 3;

/// The bits of a zone number that are a tier.
const TIERS: u32 = LOOPBACK | SURPLUS;

impl<'a, A: Address> Standpoint<'a, A> {
    /// A requester of `zone` with its tier, and with its address when it has one of the family that is asked about.
    pub(super) fn new(zones: &'a Zones, zone: u32, address: Option<A>) -> Standpoint<'a, A> {
        Standpoint {
            zones,
            zone: zone & !TIERS,
            tier: zone & TIERS,
            address,
        }
    }

    /// The same requester as it looks at those who are left when its own tier does not fill a list: on a loopback address
    /// all others before the surplus, elsewhere the surplus (S13, S16). There are [`STEPS`] steps at most.
    pub(super) fn behind(self, step: usize) -> Option<Standpoint<'a, A>> {
        let tiers: &[u32] = if self.is_remote() {
            &[SURPLUS]
        } else {
            &[0, LOOPBACK | SURPLUS, SURPLUS]
        };
        let tier = *tiers.get(step)?;
        Some(Standpoint { tier, ..self })
    }

    /// Whether loopback addresses are of no use to it.
    pub(super) fn is_remote(&self) -> bool {
        self.tier & LOOPBACK == 0
    }

    /// The first and the last place of its tier, or of what it may see of it (S9).
    pub(super) fn whole(&self) -> (A::Place, A::Place) {
        let all = (
            A::place(self.tier, A::BOUNDS.0),
            A::place(self.tier | MAX_ZONE, A::BOUNDS.1),
        );
        self.seen().unwrap_or(all)
    }

    /// What the zone allows to be listed of the requester's own subscriber address (S16).
    pub(super) fn own_most(&self) -> usize {
        if self.zones.is_behind_nat(self.zone) {
            OWN_MOST
        } else {
            0
        }
    }

    /// The places of the requester's own subscriber address in its tier.
    pub(super) fn subscriber(&self) -> Option<(A::Place, A::Place)> {
        let (low, high) = self.address?.prefix(A::SUBSCRIBER_BITS);
        let zone = self.zone | self.tier;
        Some((A::place(zone, low), A::place(zone, high)))
    }

    /// All its neighbourhoods.
    pub(super) fn around(&self) -> Around<A> {
        Around::new(self.zones, self.zone, self.tier, self.address)
    }

    /// All that it may see, when that is not everybody (S9).
    pub(super) fn seen(&self) -> Option<(A::Place, A::Place)> {
        let strict = self.zones.strict_root(self.zone);
        (strict != 0).then(|| subtree::<A>(self.zones, strict, self.tier))
    }

    /// Where it stands or would stand.
    pub(super) fn place(&self) -> A::Place {
        let key = self.address.map_or(A::BOUNDS.0, Address::key);
        A::place(self.zone | self.tier, key)
    }

    /// The widest of its neighbourhoods: what counts as local. The last level of [`Standpoint::around`], without the others.
    pub(super) fn widest(&self) -> Option<(A::Place, A::Place)> {
        let [.., prefix] = A::NEAR_PREFIXES;
        let mut widest = self.address.map(|address| {
            let (low, high) = address.prefix(prefix);
            (
                A::place(self.zone | self.tier, low),
                A::place(self.zone | self.tier, high),
            )
        });
        let prefixes = if self.address.is_some() {
            A_PREFIXES
        } else {
            0
        };
        let mut above = self.zone;
        for _ in prefixes..LEVELS_MOST {
            if above == 0 {
                break;
            }
            widest = Some(subtree::<A>(self.zones, above, self.tier));
            above = self.zones.parent(above);
        }
        widest
    }
}

impl<A: Address> Around<A> {
    /// The neighbourhoods of `zone`, and within it those of `address` when the requester has one of this family.
    fn new(zones: &Zones, zone: u32, tier: u32, address: Option<A>) -> Around<A> {
        let none = (A::place(0, A::BOUNDS.0), A::place(0, A::BOUNDS.0));
        let mut around = Around {
            levels: [none; LEVELS_MOST],
            count: 0,
            home: 0,
            is_zoned: zone != 0,
        };
        for bits in address.map(|_| A::NEAR_PREFIXES).into_iter().flatten() {
            let (low, high) = address.map_or(A::BOUNDS, |address| address.prefix(bits));
            around.push((A::place(zone | tier, low), A::place(zone | tier, high)));
        }
        around.home = if zone == 0 {
            around.count.saturating_sub(1)
        } else {
            around.count
        };
        let mut above = zone;
        while above != 0 && around.count < around.levels.len() {
            around.push(subtree::<A>(zones, above, tier));
            above = zones.parent(above);
        }
        around
    }

    fn push(&mut self, level: (A::Place, A::Place)) {
        if let Some(cell) = self.levels.get_mut(self.count) {
            *cell = level;
            self.count += 1;
        }
    }
}
