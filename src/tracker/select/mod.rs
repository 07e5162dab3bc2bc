//! Which peers to hand out: nearest first up to a share, then strangers; unbiased among equals (S2, S3, S6–S9).
//!
//! Everything is a question about ranks, since a swarm's order makes every neighbourhood one run (see `peer.rs`). The list is
//! composed of regions, each around the one before: *inner* is taken whole, since it is too small to fill the local share; *ring*,
//! which the next wider neighbourhood adds, fills it. Then come *bridge*, the rest of the zone where the ring is only a part of
//! it, *middle*, the rest of the top zone, and *beyond*, the strangers. From each of these some are taken: else parts of a zone
//! that can fill their lists alone would know nothing of one another, and each would get the file from strangers.

pub(super) mod limits;
pub(super) mod neighbourhoods;
mod region;
pub(super) mod remainder;
mod rounding;
pub(super) mod sample;
mod take_all;

use std::cell::OnceCell;

use super::announce::PeerList;
use super::peers::Role;
use super::peers::address::Address;
use super::peers::owner::StoredId;
use super::peers::position::{Position, RankRange, count};
use super::peers::view::View;
use limits::Limits;
use neighbourhoods::{MAX_LEVELS, Neighbourhoods, Viewpoint};
use region::{RankRanges, Region, fill, total};
use rounding::Rounding;
use sample::Listed;

/// The peers that may be handed out, by role, without the requester.
#[derive(Debug)]
pub(super) struct Candidates<'a, A: Address, I: StoredId> {
    pub leechers: View<'a, A, I>,
    /// `None` when the requester is a seeder (S2).
    pub seeders: Option<View<'a, A, I>>,
    /// The requester's own role and position, when it is stored.
    pub own: Option<(Role, Position)>,
}

impl<'a, A: Address, I: StoredId> Candidates<'a, A, I> {
    /// Leechers and seeders.
    fn views(&self) -> [View<'a, A, I>; 2] {
        [self.leechers, self.seeders.unwrap_or(View::Flat(&[]))]
    }

    /// The requester itself among the leechers and among the seeders, where it is one of them.
    fn own(&self) -> [Option<RankRange>; 2] {
        match self.own {
            Some((Role::Leecher, position)) => [Some(position.only()), None],
            Some((Role::Seeder, position)) => [None, self.seeders.map(|_| position.only())],
            None => [None; 2],
        }
    }

    /// As [`Candidates::own`], where it is one of those in `ranges`.
    fn own_in(&self, [leechers, seeders]: &RankRanges) -> [Option<RankRange>; 2] {
        let [leecher, seeder] = self.own();
        [
            leecher.filter(|own| own.is_in(leechers)),
            seeder.filter(|own| own.is_in(seeders)),
        ]
    }
}

/// What was handed out, for the counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Chosen {
    /// Peers put on the list.
    pub all: usize,
    /// Seeds among them.
    pub seeds: usize,
    /// Among them from the requester's top zone (in none: from its widest prefix).
    pub local: usize,
    /// Whether a local seeder was there to be handed out.
    pub has_local_seeder: bool,
    /// Whether a local leecher was.
    pub has_local_leecher: bool,
    /// Whether others are there who come onto a list only when it is not full without them.
    pub has_rest: bool,
}

impl Chosen {
    pub(super) fn plus(self, more: Chosen) -> Chosen {
        Chosen {
            all: self.all + more.all,
            seeds: self.seeds + more.seeds,
            local: self.local + more.local,
            has_local_seeder: self.has_local_seeder | more.has_local_seeder,
            has_local_leecher: self.has_local_leecher | more.has_local_leecher,
            has_rest: self.has_rest | more.has_rest,
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

/// Composes a list for which there are more peers than fit on it.
struct Composer<'a, A: Address, I: StoredId> {
    views: [View<'a, A, I>; 2],
    /// The requester itself, or where it would stand: what all neighbourhoods are around.
    own: RankRanges,
    whole: RankRanges,
    neighbourhoods: &'a Neighbourhoods<A>,
    /// The levels that were looked up.
    levels: [OnceCell<RankRanges>; MAX_LEVELS],
}

/// Puts peers onto the list. Returns what was chosen.
pub(super) fn choose<A: Address + Listed, I: StoredId>(
    candidates: &Candidates<'_, A, I>,
    viewpoint: &Viewpoint<'_, A>,
    limits: &Limits<'_>,
    rng: &mut fastrand::Rng,
    list: &mut PeerList,
) -> Chosen {
    let views = candidates.views();
    // Nobody who is not for everybody, as nearly always.
    let is_plain = viewpoint.is_remote() && !views.iter().any(View::has_tiers);
    let whole = match viewpoint.seen() {
        Some((low, high)) => views.map(|view| view.range(low, high, 0)),
        None if is_plain => views.map(|view| view.whole()),
        None => {
            let (low, high) = viewpoint.whole();
            views.map(|view| view.range(low, high, 0))
        }
    };
    let [leechers, seeders] = count(&whole);
    let own = if is_plain {
        candidates.own()
    } else {
        candidates.own_in(&whole)
    };
    let others = (leechers + seeders).saturating_sub(own.iter().flatten().count());
    if others <= limits.want || limits.want == 0 {
        let mut chosen = take_all::take(views, own, whole, viewpoint, limits, list);
        chosen.has_rest = !is_plain;
        return chosen;
    }
    let (first, rest_of_wish);
    let limits = if is_plain {
        first = Chosen::default();
        limits
    } else {
        first = remainder::own_subscriber(candidates, viewpoint, limits, rng, list);
        rest_of_wish = limits.after(first.all, first.seeds);
        &rest_of_wish
    };
    let sort_key = viewpoint.sort_key();
    let [own_leecher, own_seeder] = own;
    let [leechers, seeders] = views;
    let composer = Composer {
        views,
        own: [
            own_leecher.unwrap_or_else(|| leechers.seek(0, |other| *other < sort_key).none()),
            own_seeder.unwrap_or_else(|| seeders.seek(0, |other| *other < sort_key).none()),
        ],
        whole,
        neighbourhoods: &viewpoint.neighbourhoods(),
        levels: [const { OnceCell::new() }; MAX_LEVELS],
    };
    let chosen = composer.choose(limits, rng, list);
    if is_plain { chosen } else { first.plus(chosen) }
}

impl<A: Address + Listed, I: StoredId> Composer<'_, A, I> {
    fn choose(&self, limits: &Limits<'_>, rng: &mut fastrand::Rng, list: &mut PeerList) -> Chosen {
        let local = Region::new(self.local(), self.own);
        let [local_leechers, local_seeders] = local.count;
        let mut chosen = Chosen {
            has_local_leecher: local_leechers > 0,
            has_local_seeder: local_seeders > 0,
            ..Chosen::default()
        };
        let (mut near, mut far) = ([Region::default(); 3], [Region::default(); 2]);
        self.compose(limits, rng, &mut near, &mut far);
        let before = A::listed(list).len();
        let mut near_end = before;
        for region in near.iter().chain(&far) {
            near_end = A::listed(list).len();
            if region.taken() == 0 {
                continue;
            }
            chosen.seeds += region.draw(&self.views, limits.ids, rng, list);
        }
        chosen.all = A::listed(list).len() - before;
        chosen.local = near_end - before;
        chosen
    }

    fn level(&self, level: usize) -> RankRanges {
        let (Some((low, high)), Some(known)) = (
            self.neighbourhoods.levels.get(level),
            self.levels.get(level),
        ) else {
            return self.own;
        };
        *known.get_or_init(|| {
            let [leechers, seeders] = self.views;
            let [own_leecher, own_seeder] = self.own.map(|own| own.start.chunk as usize);
            let [all_leechers, all_seeders] = self.whole;
            [
                leechers.range(*low, *high, own_leecher).clip(all_leechers),
                seeders.range(*low, *high, own_seeder).clip(all_seeders),
            ]
        })
    }

    /// The widest neighbourhood: what counts as local.
    fn local(&self) -> RankRanges {
        let widest = self.neighbourhoods.count.checked_sub(1);
        widest.map_or(self.own, |widest| self.level(widest))
    }

    /// Whether there are `quota` peers, with at most `max_seeds` seeds.
    fn holds(&self, ranges: &RankRanges, quota: usize, max_seeds: usize) -> bool {
        let [leechers, seeders] = Region::new(*ranges, self.own).count;
        leechers + seeders.min(max_seeds) >= quota
    }

    /// Finds the narrowest level, at most `widest`, that holds `quota` peers.
    fn reach(&self, quota: usize, max_seeds: usize, widest: usize) -> Reached {
        let mut level = self.neighbourhoods.home.min(widest);
        let mut ranges = self.level(level);
        let mut inner = ranges;
        if self.holds(&ranges, quota, max_seeds) {
            let reached = Reached {
                level,
                inner,
                ranges,
            };
            return self.narrow(reached, quota, max_seeds);
        }
        while level < widest {
            level += 1;
            inner = ranges;
            ranges = self.level(level);
            if self.holds(&ranges, quota, max_seeds) {
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

    /// Finds the narrowest level that holds `quota` peers, as what is `reached` does.
    fn narrow(&self, reached: Reached, quota: usize, max_seeds: usize) -> Reached {
        let Reached {
            mut level,
            mut ranges,
            ..
        } = reached;
        while let Some(narrower) = level.checked_sub(1) {
            let inner = self.level(narrower);
            if !self.holds(&inner, quota, max_seeds) {
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

    /// How much to take from each region, so that the list is full: there are more peers than that. `near` becomes inner, ring
    /// and bridge, `far` middle and beyond; regions are big enough to be written where they stay.
    fn compose(
        &self,
        limits: &Limits<'_>,
        rng: &mut fastrand::Rng,
        near: &mut [Region; 3],
        far: &mut [Region; 2],
    ) {
        let mut take_all = Region::new(self.whole, self.own);
        let [leechers, seeders] = take_all.count;
        let mut rounding = Rounding::new(rng);
        let seeds = limits
            .max_seeds(rounding)
            .max(limits.want.saturating_sub(leechers))
            .min(seeders);
        let Some(widest) = self.neighbourhoods.count.checked_sub(1) else {
            take_all.take(limits.want, seeds, &mut rounding);
            let [_, beyond] = far;
            *beyond = take_all;
            return;
        };
        let strangers = limits.strangers(rng);
        let mut quota = strangers.near;
        let bridge = strangers.least.min(quota / 2);
        let mut reached = self.reach(quota, seeds, widest);
        self.far_regions(reached.level, far);
        let [middle, beyond] = &*far;
        let owed = [bridge.min(middle.len()), strangers.least];
        let [for_middle, for_beyond] = owed;
        let room = limits.want.saturating_sub(for_middle + for_beyond);
        let kept = (middle.seeds_for(for_middle) + beyond.seeds_for(for_beyond)).min(seeds);
        if kept > 0 || quota > room {
            quota = quota.min(room);
            let before = reached.level;
            reached = if kept > 0 {
                self.reach(quota, seeds - kept, widest)
            } else {
                self.narrow(reached, quota, seeds)
            };
            if reached.level != before {
                self.far_regions(reached.level, far);
            }
        }
        self.near(reached, quota, bridge, seeds - kept, &mut rounding, near);
        let [taken, seeds_near] = total(near);
        let rest = limits.want.saturating_sub(taken);
        let seeds_far = seeds.saturating_sub(seeds_near);
        fill(far, rest, owed, seeds_far, &mut rounding, rng);
        let [taken, seeds_far] = total(far);
        if taken >= rest {
            return;
        }
        // Too few strangers: the near part grows by what is missing, without touching what the far part took.
        let seeds = seeds.saturating_sub(seeds_far);
        let quota = limits.want - taken;
        let reached = self.reach(quota, seeds, self.boundary(reached.level));
        let bridge = bridge.max(rest - taken);
        self.near(reached, quota, bridge, seeds, &mut rounding, near);
    }

    /// The level that holds all that is near when `reached` fills the local share: never less than a whole zone.
    fn boundary(&self, reached: usize) -> usize {
        if self.neighbourhoods.is_zoned {
            reached.max(self.neighbourhoods.home)
        } else {
            reached
        }
    }

    /// The middle and beyond when `reached` fills the local share.
    fn far_regions(&self, reached: usize, [middle, beyond]: &mut [Region; 2]) {
        let boundary = self.level(self.boundary(reached));
        let outermost = if self.neighbourhoods.is_zoned {
            self.local()
        } else {
            boundary
        };
        *middle = Region::new(outermost, boundary);
        *beyond = Region::new(self.whole, outermost);
    }

    /// Fills `quota` from the nearest that are `reached` with it; where that is only a part of the zone, `bridge` of them come
    /// from the rest of the zone, if they are there.
    fn near(
        &self,
        mut reached: Reached,
        mut quota: usize,
        bridge: usize,
        mut seeds: usize,
        rounding: &mut Rounding,
        [inner, ring, apart]: &mut [Region; 3],
    ) {
        *apart = Region::default();
        if bridge > 0 && self.neighbourhoods.is_zoned && reached.level < self.neighbourhoods.home {
            *apart = Region::new(self.level(self.neighbourhoods.home), reached.ranges);
            (_, seeds) = apart.take(bridge.min(quota), seeds, rounding);
            if apart.taken() > 0 {
                quota -= apart.taken().min(quota);
                reached = self.narrow(reached, quota, seeds);
            }
        }
        *inner = Region::new(reached.inner, self.own);
        *ring = Region::new(reached.ranges, reached.inner);
        (quota, seeds) = inner.take(quota, seeds, rounding);
        ring.take(quota, seeds, rounding);
    }
}
