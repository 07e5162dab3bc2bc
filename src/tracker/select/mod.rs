//! Which peers to hand out: nearest first up to a share, then strangers; unbiased among equals (S2, S3, S6–S9).
//!
//! Everything is a question about ranks, since a swarm's order makes every neighbourhood one run (see `peer.rs`). Where everybody fits
//! on the list, all are copied (`take_all.rs`). Else `plan.rs` says how many come from which region around the requester, and
//! `sample.rs` draws them. Who is not for everybody comes last, or not at all (`remainder.rs`).

pub(super) mod few;
pub(super) mod limits;
pub(super) mod neighbourhoods;
mod plan;
mod region;
mod region_ranks;
pub(super) mod remainder;
mod rounding;
pub(super) mod sample;
pub(super) mod scope;
pub(super) mod strangers;
mod take_all;

use super::announce::PeerList;
use super::peers::Role;
use super::peers::address::Address;
use super::peers::by_role::ByRole;
use super::peers::owner::StoredId;
use super::peers::position::{Position, RankRange};
use super::peers::view::View;
use crate::invariant::minus;
use limits::Limits;
use neighbourhoods::Viewpoint;
use plan::Planner;
use region::RankRanges;
use sample::Listed;
use scope::Scope;

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
    /// Nobody stands for the seeders where none are handed out.
    fn views(&self) -> ByRole<View<'a, A, I>> {
        ByRole {
            leechers: self.leechers,
            seeders: self.seeders.unwrap_or(View::Flat(&[])),
        }
    }

    /// The requester itself, where it is one of the candidates.
    fn own(&self) -> ByRole<Option<RankRange>> {
        let mut own = ByRole::default();
        match self.own {
            Some((Role::Leecher, position)) => own.leechers = Some(position.only()),
            Some((Role::Seeder, position)) if self.seeders.is_some() => {
                own.seeders = Some(position.only());
            }
            // A seeder is handed no seeders, itself included.
            Some((Role::Seeder, _)) | None => {}
        }
        own
    }

    /// As [`Candidates::own`], where it is one of those in `ranges`.
    fn own_in(&self, ranges: RankRanges) -> ByRole<Option<RankRange>> {
        let own = self.own().zip(ranges);
        own.map(|(own, range)| own.filter(|own| own.is_in(&range)))
    }
}

/// Those of the candidates that the requester may be handed by the rule for everybody.
struct Visible<'a, A: Address, I: StoredId> {
    views: ByRole<View<'a, A, I>>,
    /// Where they stand among all, the requester included.
    whole: RankRanges,
    /// The requester itself, where it is one of them.
    own: ByRole<Option<RankRange>>,
    /// Whether all of them are known to be local, so that nothing has to be searched for that.
    are_local: bool,
}

impl<A: Address, I: StoredId> Visible<'_, A, I> {
    /// How many they are without the requester.
    fn len(&self) -> usize {
        let count = self.whole.map(|range| range.len()).sum();
        let own = self.own.into_iter().flatten().count();
        minus(count, own, "the requester is one of them")
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

/// Puts peers onto the list. Returns what was chosen.
// A function of its own, with all that it is told and returns in memory, costs an announce 60 instructions.
#[inline(always)]
pub(super) fn choose<A: Address + Listed, I: StoredId>(
    candidates: &Candidates<'_, A, I>,
    viewpoint: &Viewpoint<'_, A>,
    limits: &Limits<'_>,
    rng: &mut fastrand::Rng,
    list: &mut PeerList,
) -> Chosen {
    let views = candidates.views();
    // Nobody who is not for everybody, as nearly always: then nothing has to be searched to know who is.
    let is_plain = viewpoint.is_remote() && !views.into_iter().any(|view| view.has_tiers());
    // As [`Scope::new`], which would ask each view for its tiers again: 50 instructions of every announce.
    let whole = match viewpoint.strict() {
        Some((low, high)) => views.map(|view| view.range(low, high, 0)),
        None if is_plain => views.map(|view| view.whole()),
        None => {
            let (low, high) = viewpoint.whole();
            views.map(|view| view.range(low, high, 0))
        }
    };
    let own = if is_plain {
        candidates.own()
    } else {
        candidates.own_in(whole)
    };
    let visible = Visible {
        views,
        whole,
        own,
        are_local: false,
    };
    choose_among(candidates, &visible, is_plain, viewpoint, limits, rng, list)
}

/// Puts neighbours onto the list, by the rule `few` (S15).
#[inline(always)]
pub(super) fn choose_neighbours<A: Address + Listed, I: StoredId>(
    candidates: &Candidates<'_, A, I>,
    viewpoint: &Viewpoint<'_, A>,
    scope: &Scope,
    limits: &Limits<'_>,
    rng: &mut fastrand::Rng,
    list: &mut PeerList,
) -> Chosen {
    let visible = Visible {
        views: candidates.views(),
        whole: scope.near,
        own: candidates.own_in(scope.near),
        are_local: viewpoint.is_zoned(),
    };
    choose_among(
        candidates,
        &visible,
        !scope.has_tiers,
        viewpoint,
        limits,
        rng,
        list,
    )
}

/// Puts peers of those that are visible onto the list. `is_plain`: nobody is there who is not for everybody.
#[inline(always)]
fn choose_among<A: Address + Listed, I: StoredId>(
    candidates: &Candidates<'_, A, I>,
    visible: &Visible<'_, A, I>,
    is_plain: bool,
    viewpoint: &Viewpoint<'_, A>,
    limits: &Limits<'_>,
    rng: &mut fastrand::Rng,
    list: &mut PeerList,
) -> Chosen {
    if visible.len() <= limits.want || limits.want == 0 {
        let mut chosen = take_all::take(visible, viewpoint, limits, list);
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
    let neighbourhoods = viewpoint.neighbourhoods();
    let planner = Planner::new(visible, viewpoint, &neighbourhoods);
    if visible.are_local {
        planner.know_that_all_are_local();
    }
    let chosen = draw(&planner, visible.views, limits, rng, list);
    if is_plain { chosen } else { first.plus(chosen) }
}

/// Plans the list and draws it.
fn draw<A: Address + Listed, I: StoredId>(
    planner: &Planner<'_, A, I>,
    views: ByRole<View<'_, A, I>>,
    limits: &Limits<'_>,
    rng: &mut fastrand::Rng,
    list: &mut PeerList,
) -> Chosen {
    let local = planner.local_count();
    let plan = planner.plan(limits, rng);
    let before = A::listed(list).len();
    let (mut seeds, mut strangers_from) = (0, before);
    for region in plan.regions() {
        strangers_from = A::listed(list).len();
        if region.taken() > 0 {
            seeds += region.draw(&views, limits.ids, rng, list);
        }
    }
    Chosen {
        all: A::listed(list).len() - before,
        seeds,
        local: strangers_from - before,
        has_local_seeder: local.seeders > 0,
        has_local_leecher: local.leechers > 0,
        has_rest: false,
    }
}
