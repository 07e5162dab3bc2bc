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

use super::announce::PeerList;
use super::around::{Around, LEVELS_MOST, Standpoint};
use super::draw::{Count, Listed, draw, share, split, sum, sum_of};
use super::everybody;
use super::id::PeerId;
use super::peer::{Address, KeptId};
use super::peers::{Role, View};
use super::settings::Settings;
use super::span::{Seat, Span, count};

/// The peers that may be handed out, by role, without the requester.
#[derive(Debug)]
pub(super) struct Offer<'a, A: Address, I> {
    pub(super) leechers: View<'a, A, I>,
    /// `None` when the requester is a seeder (S2).
    pub(super) seeders: Option<View<'a, A, I>>,
    /// The requester's own role and seat, when it is stored.
    pub(super) own: Option<(Role, Seat)>,
}

impl<'a, A: Address, I: KeptId> Offer<'a, A, I> {
    /// Leechers and seeders.
    pub(super) fn views(&self) -> [View<'a, A, I>; 2] {
        [self.leechers, self.seeders.unwrap_or(View::Flat(&[]))]
    }

    /// The requester itself among the leechers and among the seeders, where it is one of them.
    pub(super) fn own(&self) -> [Option<Span>; 2] {
        match self.own {
            Some((Role::Leecher, seat)) => [Some(seat.only()), None],
            Some((Role::Seeder, seat)) => [None, self.seeders.map(|_| seat.only())],
            None => [None; 2],
        }
    }
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
}

/// Leechers and seeders of one neighbourhood.
type Spans = [Span; 2];

/// Peers of one region, leechers and seeders: what lies in `outer` but not in `gap`, which lies in it.
#[derive(Clone, Copy, Debug, Default)]
struct Region {
    outer: Spans,
    gap: Spans,
}

impl Region {
    fn count(&self) -> Count {
        let [leechers, seeders] = count(&self.outer);
        let [hidden_leechers, hidden_seeders] = count(&self.gap);
        [
            leechers.saturating_sub(hidden_leechers),
            seeders.saturating_sub(hidden_seeders),
        ]
    }
}

/// Composes a list for which there are more peers than fit on it.
struct Composer<'a, A: Address, I> {
    views: [View<'a, A, I>; 2],
    /// The requester itself, or where it would stand: what all neighbourhoods are around.
    own: Spans,
    whole: Spans,
    around: &'a Around<A>,
    /// The levels that were looked up.
    levels: [OnceCell<Spans>; LEVELS_MOST],
}

/// Puts peers onto the list. Returns what was chosen.
pub(super) fn choose<A: Address + Listed, I: KeptId>(
    offer: &Offer<'_, A, I>,
    standpoint: &Standpoint<'_, A>,
    wish: &Wish,
    rng: &mut fastrand::Rng,
    list: &mut PeerList,
) -> Chosen {
    let views = offer.views();
    let whole = match standpoint.seen() {
        Some((low, high)) => views.map(|view| view.span(low, high, 0)),
        None => views.map(|view| view.whole()),
    };
    let [leechers, seeders] = count(&whole);
    let own = offer.own().into_iter().flatten().count();
    if (leechers + seeders).saturating_sub(own) <= wish.want || wish.want == 0 {
        return everybody::take(offer, whole, standpoint, wish, list);
    }
    let place = standpoint.place();
    let [own_leecher, own_seeder] = offer.own();
    let [leechers, seeders] = views;
    let composer = Composer {
        views,
        own: [
            own_leecher.unwrap_or_else(|| leechers.seek(0, |other| *other < place).none()),
            own_seeder.unwrap_or_else(|| seeders.seek(0, |other| *other < place).none()),
        ],
        whole,
        around: &standpoint.around(),
        levels: [const { OnceCell::new() }; LEVELS_MOST],
    };
    composer.choose(wish, rng, list)
}

impl<A: Address + Listed, I: KeptId> Composer<'_, A, I> {
    fn choose(&self, wish: &Wish, rng: &mut fastrand::Rng, list: &mut PeerList) -> Chosen {
        let local = Region {
            outer: self.local(),
            gap: self.own,
        };
        let [local_leechers, local_seeders] = local.count();
        let mut chosen = Chosen {
            has_local_leecher: local_leechers > 0,
            has_local_seeder: local_seeders > 0,
            ..Chosen::default()
        };
        let (regions, takes) = self.compose(wish, rng);
        let before = A::listed(list).len();
        let mut near_end = before;
        for (region, take) in regions.iter().zip(takes) {
            near_end = A::listed(list).len();
            chosen.seeds += self.draw(region, take, wish, rng, list);
        }
        chosen.all = A::listed(list).len() - before;
        chosen.local = near_end - before;
        chosen
    }

    fn level(&self, level: usize) -> Spans {
        let (Some((low, high)), Some(known)) =
            (self.around.levels.get(level), self.levels.get(level))
        else {
            return self.own;
        };
        *known.get_or_init(|| {
            let [leechers, seeders] = self.views;
            let [own_leecher, own_seeder] = self.own.map(|own| own.start.chunk as usize);
            let [all_leechers, all_seeders] = self.whole;
            [
                leechers.span(*low, *high, own_leecher).clip(all_leechers),
                seeders.span(*low, *high, own_seeder).clip(all_seeders),
            ]
        })
    }

    /// The widest neighbourhood: what counts as local.
    fn local(&self) -> Spans {
        let widest = self.around.count.checked_sub(1);
        widest.map_or(self.own, |widest| self.level(widest))
    }

    /// Finds the narrowest level, at most `widest`, that holds `quota` peers; returns it with the next narrower and itself.
    fn reach(&self, quota: usize, seeds_most: usize, widest: usize) -> (usize, Spans, Spans) {
        let holds = |spans: &Spans| {
            let level = Region {
                outer: *spans,
                gap: self.own,
            };
            let [leechers, seeders] = level.count();
            leechers + seeders.min(seeds_most) >= quota
        };
        let mut at = self.around.home.min(widest);
        let mut spans = self.level(at);
        if holds(&spans) {
            while let Some(narrower) = at.checked_sub(1) {
                let inner = self.level(narrower);
                if !holds(&inner) {
                    return (at, inner, spans);
                }
                (at, spans) = (narrower, inner);
            }
            return (at, self.own, spans);
        }
        let mut inner = spans;
        while !holds(&spans) && at < widest {
            at += 1;
            inner = spans;
            spans = self.level(at);
        }
        if holds(&spans) {
            (at, inner, spans)
        } else {
            (at, spans, spans)
        }
    }

    /// How much to take from each region, so that the list is full: there are more peers than that.
    fn compose(&self, wish: &Wish, rng: &mut fastrand::Rng) -> ([Region; 4], [Count; 4]) {
        let everybody = Region {
            outer: self.whole,
            gap: self.own,
        };
        let [leechers, seeders] = everybody.count();
        let mut seeds = wish
            .seeds_most
            .max(wish.want.saturating_sub(leechers))
            .min(seeders);
        let Some(widest) = self.around.count.checked_sub(1) else {
            let take = split(wish.want, [leechers, seeders], seeds, rng);
            let nothing = Region::default();
            return (
                [nothing, nothing, nothing, everybody],
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
            boundary
        };
        let middle = Region {
            outer: outermost,
            gap: boundary,
        };
        let beyond = Region {
            outer: self.whole,
            gap: outermost,
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
        inner: Spans,
        ring: Spans,
        rng: &mut fastrand::Rng,
    ) -> ([Region; 2], [Count; 2]) {
        let ring = Region {
            outer: ring,
            gap: inner,
        };
        let inner = Region {
            outer: inner,
            gap: self.own,
        };
        let take_inner = split(quota, inner.count(), *seeds, rng);
        *seeds -= take_inner[1].min(*seeds);
        let take_ring = split(
            quota - sum_of(&take_inner).min(quota),
            ring.count(),
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
        let (in_middle, in_beyond) = (middle.count(), beyond.count());
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

    /// Puts `take` peers of a region onto the list, every peer of one role with the same chance. Returns how many are seeds.
    fn draw(
        &self,
        region: &Region,
        take: Count,
        wish: &Wish,
        rng: &mut fastrand::Rng,
        list: &mut PeerList,
    ) -> usize {
        let mut leechers_end = A::listed(list).len();
        let spans = region.outer.into_iter().zip(region.gap);
        let roles = self.views.iter().zip(spans).zip(take);
        for (role, ((view, (outer, gap)), take)) in roles.enumerate() {
            if take > 0 {
                draw(view, [outer, gap], take, rng, list, wish.not);
            }
            if role == 0 {
                leechers_end = A::listed(list).len();
            }
        }
        A::listed(list).len() - leechers_end
    }
}
