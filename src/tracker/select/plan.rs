//! What a list is made of: how many peers come from which region of the swarm. Chance decides here only how shares are rounded; who of
//! a region comes onto the list is drawn afterwards (`sample.rs`).

use std::cell::OnceCell;

use super::Visible;
use super::limits::Limits;
use super::neighbourhoods::{MAX_LEVELS, Neighbourhoods, Viewpoint};
use super::region::{Group, Minimums, RankRanges, Region};
use super::rounding::Rounding;
use crate::invariant::minus;
use crate::tracker::peers::address::Address;
use crate::tracker::peers::by_role::ByRole;
use crate::tracker::peers::owner::StoredId;
use crate::tracker::peers::view::View;

/// The regions that a list is drawn from, each around the one before, and how many are taken from each.
///
/// A requester of the zone `moscow/north`, in a swarm of 60 others: 7 in `moscow/north` (none of them in its /16), 13 more in
/// `moscow`, 40 elsewhere. With `local_share = 80` and `min_external = 4`:
///
/// | wanted | of them near | inner | surroundings | rest of zone | rest of top zone | strangers |
/// |---|---|---|---|---|---|---|
/// | 5 | 4 | – | 4 of 7 | – | 1 of 13, or | 1 of 40 |
/// | 20 | 16 | 7 of 7 | 9 of 13 | – | – | 4 of 40 |
/// | 50 | 40 | 20 of 20 | – | – | – | 30 of 40 |
///
/// When 5 are wanted, the zone itself has the 4 that shall be near. When 20 are, it has not: all of it is taken, and `moscow`
/// around it gives what is missing. When 50 are, `moscow` has not either: all of it is taken, and strangers fill the list.
///
/// With 60 in the requester's /16 and 640 more in its zone, the /16 would do for 50; then 4 come from the rest of the zone and 36
/// from the /16. Else the parts of a zone that can fill their lists alone would know nothing of one another, and each would get
/// the file from strangers.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// The widest neighbourhood that is too small to fill the local share; all of it is taken, as far as seeds may be.
    pub inner: Region,
    /// What the next wider neighbourhood adds, which with it can fill the share: as many as are missing.
    pub surroundings: Region,
    /// The rest of the requester's zone, where its surroundings are only a part of it.
    pub rest_of_zone: Region,
    /// The rest of the top zone (`moscow`): farther than what fills the share, and yet local.
    pub rest_of_top_zone: Region,
    /// Who is in another top zone, or in none.
    pub strangers: Region,
}

impl Plan {
    /// The strangers last: all before them are local.
    pub(super) fn regions(&self) -> [&Region; 5] {
        [
            &self.inner,
            &self.surroundings,
            &self.rest_of_zone,
            &self.rest_of_top_zone,
            &self.strangers,
        ]
    }

    /// Peers and seeds that are taken from what is near.
    fn near(&self) -> Taken {
        Taken::from([&self.inner, &self.surroundings, &self.rest_of_zone])
    }

    /// Those that are taken from what is far.
    fn far(&self) -> Taken {
        Taken::from([&self.rest_of_top_zone, &self.strangers])
    }
}

/// Peers taken from some regions, and the seeds among them.
#[derive(Clone, Copy, Debug)]
struct Taken {
    peers: usize,
    seeds: usize,
}

impl<const N: usize> From<[&Region; N]> for Taken {
    fn from(regions: [&Region; N]) -> Taken {
        Taken {
            peers: regions.iter().map(|region| region.taken()).sum(),
            seeds: regions.iter().map(|region| region.take.seeders).sum(),
        }
    }
}

/// The narrowest level that can fill the local share.
#[derive(Clone, Copy, Debug)]
struct Reached {
    level: usize,
    /// The next narrower level; the level itself when even that is too small.
    inner: RankRanges,
    ranges: RankRanges,
}

/// How many peers are to come from near, and how many of them may be seeds.
#[derive(Clone, Copy, Debug)]
struct Quota {
    peers: usize,
    max_seeds: usize,
}

/// Plans a list for which there are more peers than fit on it.
pub(super) struct Planner<'a, A: Address, I: StoredId> {
    views: ByRole<View<'a, A, I>>,
    /// The requester itself, or where it would stand: what all neighbourhoods are around.
    own: RankRanges,
    whole: RankRanges,
    neighbourhoods: &'a Neighbourhoods<A>,
    /// The levels that were looked up. Most lists need two or three of up to 16, at two searches for each role.
    levels: [OnceCell<RankRanges>; MAX_LEVELS],
}

impl<'a, A: Address, I: StoredId> Planner<'a, A, I> {
    #[inline]
    pub(super) fn new(
        visible: &Visible<'a, A, I>,
        viewpoint: &Viewpoint<'_, A>,
        neighbourhoods: &'a Neighbourhoods<A>,
    ) -> Planner<'a, A, I> {
        let sort_key = viewpoint.sort_key();
        let own = visible.views.zip(visible.own);
        Planner {
            views: visible.views,
            own: own.map(|(view, own)| {
                own.unwrap_or_else(|| view.seek(0, |other| *other < sort_key).none())
            }),
            whole: visible.whole,
            neighbourhoods,
            levels: [const { OnceCell::new() }; MAX_LEVELS],
        }
    }

    /// Spares the search for the widest level, which holds all that are visible.
    #[inline]
    pub(super) fn know_that_all_are_local(&self) {
        let widest = self.neighbourhoods.widest_level();
        if let Some(widest) = widest.and_then(|widest| self.levels.get(widest)) {
            widest.get_or_init(|| self.whole);
        }
    }

    /// How many local peers there are beside the requester, whether they come onto the list or not.
    pub(super) fn local_count(&self) -> ByRole<usize> {
        Region::new(self.top_zone(), self.own).count
    }

    fn level(&self, level: usize) -> RankRanges {
        let (Some((low, high)), Some(known)) = (
            self.neighbourhoods.levels.get(level),
            self.levels.get(level),
        ) else {
            debug_assert!(false, "levels are counted from 0 to the widest");
            return self.own;
        };
        *known.get_or_init(|| {
            let around = self.views.zip(self.own.zip(self.whole));
            around.map(|(view, (own, whole))| {
                let near = own.start.chunk as usize;
                view.range(*low, *high, near).clip(whole)
            })
        })
    }

    /// The widest neighbourhood: what counts as local. Of a requester in no zone it is the widest prefix of its address; without an
    /// address of this family nobody is local.
    fn top_zone(&self) -> RankRanges {
        let widest = self.neighbourhoods.widest_level();
        widest.map_or(self.own, |widest| self.level(widest))
    }

    /// Whether there are as many peers as the quota asks for, with as many seeds as it allows.
    fn holds(&self, ranges: RankRanges, quota: Quota) -> bool {
        let count = Region::new(ranges, self.own).count;
        count.leechers + count.seeders.min(quota.max_seeds) >= quota.peers
    }

    /// Finds the narrowest level, at most `widest`, that holds the quota. The search begins at the requester's zone: where zones are of
    /// some size that or a neighbour of it is the answer.
    fn reach(&self, quota: Quota, widest: usize) -> Reached {
        let mut level = self.neighbourhoods.home.min(widest);
        let mut ranges = self.level(level);
        let mut inner = ranges;
        if self.holds(ranges, quota) {
            let reached = Reached {
                level,
                inner,
                ranges,
            };
            return self.narrow(reached, quota);
        }
        while level < widest {
            level += 1;
            inner = ranges;
            ranges = self.level(level);
            if self.holds(ranges, quota) {
                return Reached {
                    level,
                    inner,
                    ranges,
                };
            }
        }
        Reached {
            level,
            inner: ranges,
            ranges,
        }
    }

    /// Finds the narrowest level that holds the quota, as what is `reached` does.
    fn narrow(&self, reached: Reached, quota: Quota) -> Reached {
        let Reached {
            mut level,
            mut ranges,
            ..
        } = reached;
        while let Some(narrower) = level.checked_sub(1) {
            let inner = self.level(narrower);
            if !self.holds(inner, quota) {
                return Reached {
                    level,
                    inner,
                    ranges,
                };
            }
            (level, ranges) = (narrower, inner);
        }
        Reached {
            level,
            inner: self.own,
            ranges,
        }
    }

    /// How much to take from each region, so that the list is full: there are more peers than that.
    ///
    /// The far part has its share first, since it is what keeps zones from knowing only themselves; the near part has the rest.
    /// Seeds are a budget of both: where the far part has too few leechers for its share, the seeds that it needs are kept for it.
    #[inline]
    pub(super) fn plan(&self, limits: &Limits<'_>, rng: &mut fastrand::Rng) -> Plan {
        let mut plan = Plan::default();
        let mut everybody = Region::new(self.whole, self.own);
        let mut rounding = Rounding::new(rng);
        // More than their share where leechers are too few to fill the list.
        let without_leechers = limits.want.saturating_sub(everybody.count.leechers);
        let max_seeds = limits
            .max_seeds(rounding)
            .max(without_leechers)
            .min(everybody.count.seeders);
        let Some(widest) = self.neighbourhoods.widest_level() else {
            everybody.take(limits.want, max_seeds, &mut rounding);
            plan.strangers = everybody;
            return plan;
        };
        let shares = limits.shares(rng);
        let from_rest_of_zone = shares.min_strangers.min(shares.near / 2);
        let mut quota = Quota {
            peers: shares.near,
            max_seeds,
        };
        let mut reached = self.reach(quota, widest);
        self.set_far(reached.level, &mut plan);
        let least = Minimums {
            nearer: from_rest_of_zone.min(plan.rest_of_top_zone.len()),
            farther: shares.min_strangers,
        };
        // A short list may have no room for all that is asked.
        let room = limits.want.saturating_sub(least.nearer + least.farther);
        let seeds_for_far =
            plan.rest_of_top_zone.seeds_for(least.nearer) + plan.strangers.seeds_for(least.farther);
        let kept = seeds_for_far.min(max_seeds);
        quota.max_seeds = max_seeds - kept;
        if kept > 0 || quota.peers > room {
            quota.peers = quota.peers.min(room);
            let before = reached.level;
            reached = if kept > 0 {
                self.reach(quota, widest)
            } else {
                self.narrow(reached, quota)
            };
            if reached.level != before {
                self.set_far(reached.level, &mut plan);
            }
        }
        self.take_near(reached, quota, from_rest_of_zone, &mut rounding, &mut plan);
        let near = plan.near();
        let for_far = minus(limits.want, near.peers, "near is a part of the list");
        let seeds_for_far = minus(max_seeds, near.seeds, "near has its quota of seeds");
        let mut far = Group {
            nearer: &mut plan.rest_of_top_zone,
            farther: &mut plan.strangers,
        };
        far.take(for_far, least, seeds_for_far, &mut rounding, rng);
        let far = plan.far();
        if far.peers < for_far {
            // Too few are far: the near part grows by what is missing, without touching what the far part took.
            let quota = Quota {
                peers: limits.want - far.peers,
                max_seeds: minus(max_seeds, far.seeds, "far had what near left of the seeds"),
            };
            let reached = self.reach(quota, self.boundary(reached.level));
            let from_rest_of_zone = from_rest_of_zone.max(for_far - far.peers);
            self.take_near(reached, quota, from_rest_of_zone, &mut rounding, &mut plan);
        }
        plan
    }

    /// The level that holds all that is near when `reached` fills the local share: never less than a whole zone.
    fn boundary(&self, reached: usize) -> usize {
        if self.neighbourhoods.is_zoned {
            reached.max(self.neighbourhoods.home)
        } else {
            reached
        }
    }

    /// Sets what is far when `reached` fills the local share.
    fn set_far(&self, reached: usize, plan: &mut Plan) {
        let boundary = self.level(self.boundary(reached));
        let outermost = if self.neighbourhoods.is_zoned {
            self.top_zone()
        } else {
            boundary
        };
        plan.rest_of_top_zone = Region::new(outermost, boundary);
        plan.strangers = Region::new(self.whole, outermost);
    }

    /// Fills the quota from the nearest that are `reached` with it; where that is only a part of the zone, `from_rest_of_zone` of
    /// them come from the rest of the zone, if they are there. They are taken first, and what is left is reached by less.
    fn take_near(
        &self,
        mut reached: Reached,
        mut quota: Quota,
        from_rest_of_zone: usize,
        rounding: &mut Rounding,
        plan: &mut Plan,
    ) {
        plan.rest_of_zone = Region::default();
        let home = self.neighbourhoods.home;
        if from_rest_of_zone > 0 && self.neighbourhoods.is_zoned && reached.level < home {
            let region = &mut plan.rest_of_zone;
            *region = Region::new(self.level(home), reached.ranges);
            let from_there = from_rest_of_zone.min(quota.peers);
            quota.max_seeds = region.take(from_there, quota.max_seeds, rounding).max_seeds;
            if region.taken() > 0 {
                quota.peers -= region.taken();
                reached = self.narrow(reached, quota);
            }
        }
        plan.inner = Region::new(reached.inner, self.own);
        plan.surroundings = Region::new(reached.ranges, reached.inner);
        let left = plan.inner.take(quota.peers, quota.max_seeds, rounding);
        plan.surroundings.take(left.want, left.max_seeds, rounding);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Seconds;
    use crate::tracker::id::PeerId;
    use crate::tracker::peers::address::tiered;
    use crate::tracker::peers::peer::Peer;
    use crate::tracker::peers::{Peers, Role};
    use crate::tracker::settings::Settings;
    use crate::tracker::zones::{ZoneRule, Zones};

    type V4 = [u8; 6];

    /// The zones of the example: 10.0.0.0/8 is `moscow`, with 10.64.0.0/10 as `moscow/north`.
    fn zones() -> Zones {
        let rule = |path: &str, prefix: &str| ZoneRule {
            path: path.into(),
            prefixes: vec![prefix.parse().unwrap()],
            ..ZoneRule::default()
        };
        let rules = [
            rule("moscow", "10.0.0.0/8"),
            rule("moscow/north", "10.64.0.0/10"),
        ];
        Zones::new(&rules, &[]).unwrap()
    }

    /// So many leechers from an address on, each in a /24 of its own.
    fn stored(peers: &mut Peers<V4, PeerId>, zones: &Zones, first: [u8; 2], count: u8) {
        for number in 0..count {
            let address = [first[0], first[1], number, 1, 0, 80];
            let zone = tiered(zones.of(address.ip()), address.ip());
            let peer = Peer::new(address, PeerId([1; 20]), zone, Seconds::START);
            peers.insert(Role::Leecher, peer);
        }
    }

    /// How many are taken from each region and how many are there, for a requester at 10.64.200.1 who is not stored.
    fn planned(peers: &Peers<V4, PeerId>, zones: &Zones, want: usize) -> [(usize, usize); 5] {
        let settings = Settings {
            local_share: 80,
            min_external: 4,
            ..Settings::default()
        };
        let address = [10, 64, 200, 1, 0, 80];
        let zone = tiered(zones.of(address.ip()), address.ip());
        let viewpoint = Viewpoint::new(zones, zone, Some(address));
        let views = ByRole::from_fn(|role| peers.view(role));
        let visible = Visible {
            views,
            whole: views.map(|view| view.whole()),
            own: ByRole::default(),
            are_local: false,
        };
        let neighbourhoods = viewpoint.neighbourhoods();
        let planner = Planner::new(&visible, &viewpoint, &neighbourhoods);
        let limits = Limits::new(&settings, want);
        let plan = planner.plan(&limits, &mut fastrand::Rng::with_seed(7));
        plan.regions().map(|region| (region.taken(), region.len()))
    }

    /// S7: the table at [`Plan`].
    #[test]
    fn a_plan_is_as_the_example_says() {
        let zones = zones();
        let mut peers = Peers::default();
        stored(&mut peers, &zones, [10, 65], 7);
        stored(&mut peers, &zones, [10, 1], 13);
        stored(&mut peers, &zones, [80, 1], 40);
        let [
            inner,
            surroundings,
            rest_of_zone,
            rest_of_top_zone,
            strangers,
        ] = planned(&peers, &zones, 5);
        assert_eq!(
            (inner, surroundings, rest_of_zone),
            ((0, 0), (4, 7), (0, 0))
        );
        assert_eq!((rest_of_top_zone.1, strangers.1), (13, 40));
        assert_eq!(rest_of_top_zone.0 + strangers.0, 1);
        let of_20 = planned(&peers, &zones, 20);
        assert_eq!(of_20, [(7, 7), (9, 13), (0, 0), (0, 0), (4, 40)]);
        let of_50 = planned(&peers, &zones, 50);
        assert_eq!(of_50, [(20, 20), (0, 0), (0, 0), (0, 0), (30, 40)]);
    }

    /// S7: what is said below that table.
    #[test]
    fn a_part_of_a_big_zone_knows_the_rest_of_it() {
        let zones = zones();
        let mut peers = Peers::default();
        stored(&mut peers, &zones, [10, 64], 60);
        for (second, count) in (65..).zip([200, 200, 240]) {
            stored(&mut peers, &zones, [10, second], count);
        }
        stored(&mut peers, &zones, [80, 1], 40);
        let [
            inner,
            surroundings,
            rest_of_zone,
            rest_of_top_zone,
            strangers,
        ] = planned(&peers, &zones, 50);
        assert_eq!((inner, surroundings), ((0, 0), (36, 60)));
        assert_eq!(rest_of_zone, (4, 640));
        assert_eq!((rest_of_top_zone, strangers), ((0, 0), (10, 40)));
    }
}
