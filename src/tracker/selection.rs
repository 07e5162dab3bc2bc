//! Which peers to hand out: nearest first up to a share, then strangers; unbiased among equals (S2, S3, S6–S9).
//!
//! Everything is a question about ranks, since a swarm's order makes every neighbourhood one run (see `peer.rs`). The list
//! is composed of up to four regions, each around the one before:
//!
//! ```text
//! inner    the widest neighbourhood that is too small to fill the local share: taken whole
//! ring     what the next wider neighbourhood adds: a draw fills the local share
//! middle   the rest of the requester's top zone
//! beyond   strangers, who share no part of the path
//! ```

use std::cell::OnceCell;
use std::ops::Range;

use super::announce::PeerList;
use super::around::{Around, LEVELS_MOST, Standpoint};
use super::draw::{Count, Listed, clip, draw_from, segments, share, split, sum, sum_of};
use super::everybody;
use super::id::PeerId;
use super::peer::{Address, KeptId, Peer, Place};
use super::peers::{Role, View};
use super::settings::Settings;

/// The peers that may be handed out, by role, without the requester.
#[derive(Debug)]
pub(super) struct Offer<'a, A: Address, I> {
    pub(super) leechers: View<'a, A, I>,
    /// `None` when the requester is a seeder (S2).
    pub(super) seeders: Option<View<'a, A, I>>,
    /// The requester's own role and rank, when it is among them.
    pub(super) own: Option<(Role, usize)>,
}

/// What a list should be like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    /// How many peers.
    pub(super) want: usize,
    /// Seeds at most, while leechers are there to fill the list (S6).
    pub(super) seeds_most: usize,
    /// Percent.
    pub(super) local_share: u32,
    pub(super) min_external: u32,
    /// No peer with this id: it is the requester's own other address.
    pub(super) not: Option<PeerId>,
}

impl Wish {
    pub(super) fn new(settings: &Settings, want: usize) -> Wish {
        Wish {
            want,
            seeds_most: want * settings.seed_share.min(100) as usize / 100,
            local_share: settings.local_share,
            min_external: settings.min_external,
            not: None,
        }
    }

    /// How many of the list are filled from near.
    fn near(&self) -> usize {
        let local = self.want * self.local_share.min(100) as usize / 100;
        local.min(self.want.saturating_sub(self.min_external as usize))
    }
}

/// What was handed out, for the counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Chosen {
    /// Peers put on the list.
    pub(super) all: usize,
    /// Seeds among them.
    pub(super) seeds: usize,
    /// Among them from the requester's top zone (in none: from its widest prefix).
    pub(super) local: usize,
    /// Whether a local seeder was there to be handed out.
    pub(super) has_local_seeder: bool,
    /// Whether a local leecher was.
    pub(super) has_local_leecher: bool,
    /// Whether a peer with a second address is on the list.
    pub(super) has_other: bool,
}

/// Ranks of leechers and of seeders.
type Ranks = [Range<usize>; 2];

/// Peers of one region, leechers and seeds: what lies in `outer` but not in `hole`.
#[derive(Clone, Debug)]
struct Region {
    outer: Ranks,
    hole: Ranks,
}

struct Composer<'a, A: Address, I> {
    views: [View<'a, A, I>; 2],
    own: [Option<usize>; 2],
    whole: Ranks,
    around: &'a Around<A>,
    /// The ranks of levels that were looked up.
    levels: [OnceCell<Ranks>; LEVELS_MOST],
}

/// Puts peers onto the list. Returns what was chosen.
pub(super) fn choose<A: Address + Listed, I: KeptId>(
    offer: &Offer<'_, A, I>,
    standpoint: &Standpoint<'_, A>,
    wish: &Wish,
    rng: &mut fastrand::Rng,
    list: &mut PeerList,
) -> Chosen {
    if wish.want > 0 && standpoint.sees_all() && everybody::count(offer) <= wish.want {
        return everybody::take(offer, standpoint, wish, list);
    }
    let around = &standpoint.around();
    let mut composer = Composer {
        views: [offer.leechers, offer.seeders.unwrap_or(View::Flat(&[]))],
        own: [
            offer.own_rank(Role::Leecher),
            offer
                .own_rank(Role::Seeder)
                .filter(|_| offer.seeders.is_some()),
        ],
        whole: [0..0, 0..0],
        around,
        levels: [const { OnceCell::new() }; LEVELS_MOST],
    };
    composer.whole = match &around.whole {
        Some((low, high)) => composer.ranks(low, high),
        None => composer.views.map(|view| 0..view.len()),
    };
    let all = composer.count(&composer.whole);
    let local = composer.local();
    let mut chosen = Chosen::default();
    let [local_leechers, local_seeders] = composer.count(&local);
    (chosen.has_local_leecher, chosen.has_local_seeder) = (local_leechers > 0, local_seeders > 0);
    if wish.want == 0 {
        return chosen;
    }
    let mut put = |role: usize, peer: &Peer<A, I>| {
        if wish.not.is_some_and(|id| peer.id.is(id)) {
            return;
        }
        chosen.all += 1;
        chosen.seeds += role;
        chosen.has_other |= peer.has_other();
        A::put(list, peer.address, peer.id.given());
    };
    if all.iter().sum::<usize>() <= wish.want {
        chosen.local = local_leechers + local_seeders;
        let region = Region {
            outer: composer.whole.clone(),
            hole: [0..0, 0..0],
        };
        composer.draw(&region, all, rng, &mut put);
        return chosen;
    }
    let (regions, counts) = composer.compose(wish, rng);
    for (region, count) in regions.iter().zip(counts) {
        composer.draw(region, count, rng, &mut put);
    }
    let beyond: usize = counts.last().into_iter().flatten().sum();
    chosen.local = chosen.all - beyond.min(chosen.all);
    chosen
}

impl<A: Address, I: KeptId> Composer<'_, A, I> {
    fn ranks(&self, low: &Place<A>, high: &Place<A>) -> Ranks {
        self.views.map(|view| view.ranks(low, high))
    }

    fn level(&self, level: usize) -> Ranks {
        let (Some((low, high)), Some(known)) =
            (self.around.levels.get(level), self.levels.get(level))
        else {
            return [0..0, 0..0];
        };
        let ranks = known.get_or_init(|| {
            let [leechers, seeders] = self.ranks(low, high);
            let [all_leechers, all_seeders] = &self.whole;
            [clip(leechers, all_leechers), clip(seeders, all_seeders)]
        });
        ranks.clone()
    }

    /// The widest neighbourhood: what counts as local.
    fn local(&self) -> Ranks {
        self.around
            .count
            .checked_sub(1)
            .map_or([0..0, 0..0], |widest| self.level(widest))
    }

    /// Peers in ranges, the requester left out.
    fn count(&self, ranks: &Ranks) -> Count {
        let mut count = [0; 2];
        for ((count, range), own) in count.iter_mut().zip(ranks).zip(&self.own) {
            *count = range.len() - usize::from(own.is_some_and(|own| range.contains(&own)));
        }
        count
    }

    fn count_region(&self, region: &Region) -> Count {
        let [outer_leechers, outer_seeders] = self.count(&region.outer);
        let [leechers, seeders] = self.count(&region.hole);
        [
            outer_leechers.saturating_sub(leechers),
            outer_seeders.saturating_sub(seeders),
        ]
    }

    /// Finds the narrowest level, at most `widest`, that holds `quota` peers; returns it with its ranks and the next narrower's.
    fn reach(&self, quota: usize, seeds_most: usize, widest: usize) -> (usize, Ranks, Ranks) {
        let holds = |ranks: &Ranks| {
            let [leechers, seeders] = self.count(ranks);
            leechers + seeders.min(seeds_most) >= quota
        };
        let mut at = self.around.home.min(widest);
        let mut ranks = self.level(at);
        if holds(&ranks) {
            while let Some(narrower) = at.checked_sub(1) {
                let inner = self.level(narrower);
                if !holds(&inner) {
                    return (at, inner, ranks);
                }
                (at, ranks) = (narrower, inner);
            }
            let none = ranks.clone().map(|range| range.start..range.start);
            return (at, none, ranks);
        }
        let mut inner = ranks.clone();
        while !holds(&ranks) && at < widest {
            at += 1;
            inner = ranks;
            ranks = self.level(at);
        }
        if holds(&ranks) {
            (at, inner, ranks)
        } else {
            (at, ranks.clone(), ranks)
        }
    }

    /// How much to take from each region, so that the list is full: there are more peers than that.
    fn compose(&self, wish: &Wish, rng: &mut fastrand::Rng) -> ([Region; 4], [Count; 4]) {
        let [leechers, seeders] = self.count(&self.whole);
        let mut seeds = wish
            .seeds_most
            .max(wish.want.saturating_sub(leechers))
            .min(seeders);
        let Some(widest) = self.around.count.checked_sub(1) else {
            let nothing = Region {
                outer: [0..0, 0..0],
                hole: [0..0, 0..0],
            };
            let beyond = Region {
                outer: self.whole.clone(),
                hole: [0..0, 0..0],
            };
            let take = split(wish.want, self.count_region(&beyond), seeds, rng);
            return (
                [nothing.clone(), nothing.clone(), nothing, beyond],
                [[0; 2], [0; 2], [0; 2], take],
            );
        };
        let quota = wish.near();
        let seeds_in_all = seeds;
        let (reached, inner, ring) = self.reach(quota, seeds, widest);
        let mut near = self.near(quota, &mut seeds, inner, ring, rng);
        let boundary_level = if self.around.is_zoned {
            reached.max(self.around.home)
        } else {
            reached
        };
        let boundary = self.level(boundary_level);
        let outermost = if self.around.is_zoned {
            self.level(widest)
        } else {
            boundary.clone()
        };
        let middle = Region {
            outer: outermost.clone(),
            hole: boundary,
        };
        let beyond = Region {
            outer: self.whole.clone(),
            hole: outermost,
        };
        let rest = wish.want.saturating_sub(sum(&near.1));
        let far = self.far(
            rest,
            wish.min_external as usize,
            seeds,
            [&middle, &beyond],
            rng,
        );
        let taken_far: usize = far.iter().map(sum_of).sum();
        if taken_far < rest {
            // Too few strangers: the near part grows by what is missing, without touching what the far part took.
            let mut seeds = seeds_in_all
                - far
                    .iter()
                    .map(|[_, seeds]| seeds)
                    .sum::<usize>()
                    .min(seeds_in_all);
            let quota = wish.want - taken_far;
            let (_, inner, ring) = self.reach(quota, seeds, boundary_level);
            near = self.near(quota, &mut seeds, inner, ring, rng);
        }
        let ([inner, ring], [take_inner, take_ring]) = near;
        let [take_middle, take_beyond] = far;
        (
            [inner, ring, middle, beyond],
            [take_inner, take_ring, take_middle, take_beyond],
        )
    }

    /// Takes all of `inner` and fills up to `quota` from `ring`; takes the seeds used off `seeds`.
    fn near(
        &self,
        quota: usize,
        seeds: &mut usize,
        inner: Ranks,
        ring: Ranks,
        rng: &mut fastrand::Rng,
    ) -> ([Region; 2], [Count; 2]) {
        let ring = Region {
            outer: ring,
            hole: inner.clone(),
        };
        let inner = Region {
            outer: inner,
            hole: [0..0, 0..0],
        };
        let take_inner = split(quota, self.count_region(&inner), *seeds, rng);
        *seeds -= take_inner[1].min(*seeds);
        let take_ring = split(
            quota - sum_of(&take_inner).min(quota),
            self.count_region(&ring),
            *seeds,
            rng,
        );
        *seeds -= take_ring[1].min(*seeds);
        ([inner, ring], [take_inner, take_ring])
    }

    /// Takes `rest` from the middle and from beyond as from one group, but from beyond not fewer than `min_external`.
    fn far(
        &self,
        rest: usize,
        min_external: usize,
        seeds: usize,
        [middle, beyond]: [&Region; 2],
        rng: &mut fastrand::Rng,
    ) -> [Count; 2] {
        let (in_middle, in_beyond) = (self.count_region(middle), self.count_region(beyond));
        let [middle_all, beyond_all] = [sum_of(&in_middle), sum_of(&in_beyond)];
        let fair = share(rest, beyond_all, middle_all + beyond_all, rng);
        let from_beyond = fair
            .max(min_external)
            .max(rest.saturating_sub(middle_all))
            .min(rest);
        let take_beyond = split(from_beyond, in_beyond, seeds, rng);
        let left = seeds - take_beyond[1].min(seeds);
        let take_middle = split(rest - sum_of(&take_beyond).min(rest), in_middle, left, rng);
        // What the middle could not give, beyond gives if it can.
        let missing = rest - (sum_of(&take_beyond) + sum_of(&take_middle)).min(rest);
        if missing == 0 || sum_of(&take_beyond) == beyond_all {
            return [take_middle, take_beyond];
        }
        let left = seeds - take_middle[1].min(seeds);
        [
            take_middle,
            split(sum_of(&take_beyond) + missing, in_beyond, left, rng),
        ]
    }

    /// Hands `take` peers of a region to `put`, every peer of one role with the same chance.
    fn draw(
        &self,
        region: &Region,
        take: Count,
        rng: &mut fastrand::Rng,
        put: &mut impl FnMut(usize, &Peer<A, I>),
    ) {
        for (role, take) in take.into_iter().enumerate().filter(|(_, take)| *take > 0) {
            let (Some(view), Some(outer), Some(hole)) = (
                self.views.get(role),
                region.outer.get(role),
                region.hole.get(role),
            ) else {
                continue;
            };
            let own = self.own.get(role).copied().flatten();
            draw_from(view, &segments(outer, hole, own), take, rng, &mut |peer| {
                put(role, peer);
            });
        }
    }
}
