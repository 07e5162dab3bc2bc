//! Regions of a swarm as ranks: how many peers there are in each, and how many of them are taken.

use super::rounding::Rounding;
use super::sample::{Count, Ids, Listed, draw, split, sum_of};
use crate::tracker::announce::PeerList;
use crate::tracker::peers::address::Address;
use crate::tracker::peers::owner::StoredId;
use crate::tracker::peers::position::{RankRange, count};
use crate::tracker::peers::view::View;

/// Leechers and seeders of one neighbourhood.
pub(super) type RankRanges = [RankRange; 2];

/// Peers of one region, leechers and seeders: what lies in `outer` but not in `gap`, which lies in it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Region {
    outer: RankRanges,
    gap: RankRanges,
    pub count: Count,
    /// How many of them are taken.
    take: Count,
}

impl Region {
    pub(super) fn new(outer: RankRanges, gap: RankRanges) -> Region {
        let [leechers, seeders] = count(&outer);
        let [hidden_leechers, hidden_seeders] = count(&gap);
        let count = [
            leechers.saturating_sub(hidden_leechers),
            seeders.saturating_sub(hidden_seeders),
        ];
        Region {
            outer,
            gap,
            count,
            take: [0; 2],
        }
    }

    /// Takes up to `want` peers, at most `seeds` of them seeds. Returns what is still wanted, and how many seeds may still come.
    pub(super) fn take(
        &mut self,
        want: usize,
        seeds: usize,
        rounding: &mut Rounding,
    ) -> (usize, usize) {
        self.take = split(want, self.count, seeds, rounding);
        let [_, taken] = self.take;
        (
            want.saturating_sub(self.taken()),
            seeds.saturating_sub(taken),
        )
    }

    pub(super) fn taken(&self) -> usize {
        sum_of(&self.take)
    }

    /// Puts what is taken onto the list, every peer of one role with the same chance. Returns how many are seeds.
    // Called from one loop on the announce path; as a function of its own it costs an announce 2 %.
    #[inline(always)]
    pub(super) fn draw<A: Address + Listed, I: StoredId>(
        &self,
        views: &[View<'_, A, I>; 2],
        ids: Ids,
        rng: &mut fastrand::Rng,
        list: &mut PeerList,
    ) -> usize {
        let mut leechers_end = A::listed(list).len();
        let ranges = self.outer.into_iter().zip(self.gap);
        let roles = views.iter().zip(ranges).zip(self.take);
        for (role, ((view, (outer, gap)), take)) in roles.enumerate() {
            if take > 0 {
                draw(view, [outer, gap], take, rng, list, ids);
            }
            if role == 0 {
                leechers_end = A::listed(list).len();
            }
        }
        A::listed(list).len() - leechers_end
    }

    pub(super) fn len(&self) -> usize {
        sum_of(&self.count)
    }

    /// How many seeds it takes to find `want` peers here.
    pub(super) fn seeds_for(&self, want: usize) -> usize {
        let [leechers, seeders] = self.count;
        want.saturating_sub(leechers).min(seeders)
    }
}

/// Peers taken from regions, and seeds among them.
pub(super) fn total(regions: &[Region]) -> [usize; 2] {
    let taken = regions.iter().map(Region::taken).sum();
    let seeds = regions.iter().map(|region| region.take[1]).sum();
    [taken, seeds]
}

/// Takes `rest` from the middle and from beyond as from one group, but from each not fewer than is owed to it; beyond comes
/// first.
pub(super) fn fill(
    [middle, beyond]: &mut [Region; 2],
    rest: usize,
    [for_middle, for_beyond]: [usize; 2],
    seeds: usize,
    rounding: &mut Rounding,
    rng: &mut fastrand::Rng,
) {
    let least = for_beyond.max(rest.saturating_sub(middle.len())).min(rest);
    let most = rest - for_middle.min(rest - least);
    let all = middle.len() + beyond.len();
    let fair = Rounding::new(rng).next(rest, beyond.len(), all);
    let (_, left) = beyond.take(fair.clamp(least, most), seeds, rounding);
    let wanted = rest.saturating_sub(beyond.taken());
    let (missing, _) = middle.take(wanted, left, rounding);
    // What the middle could not give, beyond gives if it can.
    if missing > 0 && beyond.taken() < beyond.len() {
        let [_, seeds_middle] = middle.take;
        let wanted = beyond.taken() + missing;
        beyond.take(wanted, seeds.saturating_sub(seeds_middle), rounding);
    }
}
