//! Regions of a swarm as ranks: how many peers there are in each, and how many of them are taken.

use super::region_ranks::RegionRanks;
use super::rounding::Rounding;
use super::sample::{Ids, Listed, draw, split};
use crate::invariant::minus;
use crate::tracker::announce::PeerList;
use crate::tracker::peers::address::Address;
use crate::tracker::peers::by_role::ByRole;
use crate::tracker::peers::owner::StoredId;
use crate::tracker::peers::position::RankRange;
use crate::tracker::peers::view::View;

/// Leechers and seeders of one neighbourhood.
pub(super) type RankRanges = ByRole<RankRange>;

/// A part of a swarm, and how many of its peers are taken.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Region {
    ranks: ByRole<RegionRanks>,
    /// How many peers are there.
    pub count: ByRole<usize>,
    /// How many of them are taken.
    pub take: ByRole<usize>,
}

impl Region {
    /// What lies in `outer` but not in `gap`; nobody is taken yet.
    #[inline]
    pub(super) fn new(outer: RankRanges, gap: RankRanges) -> Region {
        let ranks = outer
            .zip(gap)
            .map(|(outer, gap)| RegionRanks { outer, gap });
        Region {
            ranks,
            count: ranks.map(|ranks| ranks.len()),
            take: ByRole::default(),
        }
    }

    /// Takes `want` peers, or as many as there are, at most `max_seeds` of them seeds; whatever was taken before. Returns how many
    /// peers are still wanted and how many seeds may still come.
    pub(super) fn take(
        &mut self,
        want: usize,
        max_seeds: usize,
        rounding: &mut Rounding,
    ) -> Unfilled {
        self.take = split(want, self.count, max_seeds, rounding);
        Unfilled {
            want: minus(want, self.taken(), "no more are taken than are wanted"),
            max_seeds: minus(max_seeds, self.take.seeders, "seeds are bounded"),
        }
    }

    /// Takes up to `want` peers, `seeds` of them seeds as far as both roles have enough.
    pub(super) fn take_seeds(&mut self, want: usize, seeds: usize) {
        // None are missing where there are leechers enough.
        let missing = want.saturating_sub(self.count.leechers);
        let seeders = seeds.max(missing).min(want).min(self.count.seeders);
        let leechers = (want - seeders).min(self.count.leechers);
        self.take = ByRole { leechers, seeders };
    }

    pub(super) fn taken(&self) -> usize {
        self.take.sum()
    }

    /// Puts what is taken onto the list, every peer of one role with the same chance. Returns how many are seeds.
    // Called from one loop on the announce path; as a function of its own it costs an announce 2 %.
    #[inline(always)]
    pub(super) fn draw<A: Address + Listed, I: StoredId>(
        &self,
        views: &ByRole<View<'_, A, I>>,
        ids: Ids,
        rng: &mut fastrand::Rng,
        list: &mut PeerList,
    ) -> usize {
        let mut seeds_from = A::listed(list).len();
        for (view, (ranks, take)) in views.as_ref().zip(self.ranks.zip(self.take)) {
            seeds_from = A::listed(list).len();
            if take > 0 {
                draw(view, ranks, take, rng, list, ids);
            }
        }
        A::listed(list).len() - seeds_from
    }

    pub(super) fn len(&self) -> usize {
        self.count.sum()
    }

    /// How many seeds it takes to find `want` peers here.
    pub(super) fn seeds_for(&self, want: usize) -> usize {
        // None where there are leechers enough.
        want.saturating_sub(self.count.leechers)
            .min(self.count.seeders)
    }
}

/// What a region left of what was wanted from it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unfilled {
    pub want: usize,
    pub max_seeds: usize,
}

/// Two regions, the farther around the nearer, that are drawn from as if they were one: a peer of either has the same chance,
/// as far as each gives the [`Minimums`] that is asked of it.
#[derive(Debug)]
pub(super) struct Group<'a> {
    pub nearer: &'a mut Region,
    pub farther: &'a mut Region,
}

/// How many peers come from each region of a [`Group`] at least, where it has them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Minimums {
    pub nearer: usize,
    pub farther: usize,
}

impl Group<'_> {
    /// Takes `want` peers, or as many as there are, at most `max_seeds` of them seeds. What is asked of the farther region comes
    /// first where there is no room for both.
    ///
    /// Of 20 wanted from 30 nearer peers and 10 farther ones, 5 are the farther one's fair share; when 8 are asked of it, it gives
    /// those, and the nearer one 12.
    pub(super) fn take(
        &mut self,
        want: usize,
        least: Minimums,
        max_seeds: usize,
        rounding: &mut Rounding,
        rng: &mut fastrand::Rng,
    ) {
        let Group { nearer, farther } = self;
        // What the nearer one lacks, which is nothing where it could fill all by itself.
        let lacking = want.saturating_sub(nearer.len());
        let at_least = least.farther.max(lacking).min(want);
        let at_most = want - least.nearer.min(want - at_least);
        let fair = Rounding::new(rng).next(want, farther.len(), nearer.len() + farther.len());
        let left = farther.take(fair.clamp(at_least, at_most), max_seeds, rounding);
        let wanted = minus(want, farther.taken(), "at most all are taken from one");
        let missing = nearer.take(wanted, left.max_seeds, rounding).want;
        // What the nearer one could not give for want of leechers, the farther one gives if it can.
        if missing > 0 && farther.taken() < farther.len() {
            let max_seeds = minus(max_seeds, nearer.take.seeders, "seeds are bounded");
            farther.take(farther.taken() + missing, max_seeds, rounding);
        }
    }
}
