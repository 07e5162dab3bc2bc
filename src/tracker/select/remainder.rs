//! Who comes onto a list when the rule has handed out all that are for everybody and it is not full: the surplus (S16), and for
//! a requester on loopback all others (S13).

use super::limits::Limits;
use super::neighbourhoods::Viewpoint;
use super::region::{Group, Minimums, RankRanges, Region};
use super::rounding::Rounding;
use super::sample::Listed;
use super::{Candidates, Chosen};
use crate::tracker::announce::PeerList;
use crate::tracker::peers::address::Address;
use crate::tracker::peers::by_role::ByRole;
use crate::tracker::peers::owner::StoredId;
use crate::tracker::peers::view::View;

/// Fills the list with who is left in one step, every peer of a role with the same chance, near or not.
#[cold]
#[inline(never)]
pub(crate) fn fill<A: Address + Listed, I: StoredId>(
    candidates: &Candidates<'_, A, I>,
    viewpoint: &Viewpoint<'_, A>,
    step: usize,
    limits: &Limits<'_>,
    rng: &mut fastrand::Rng,
    list: &mut PeerList,
) -> Chosen {
    let Some(there) = viewpoint.behind(step) else {
        return Chosen::default();
    };
    let views = candidates.views();
    let (low, high) = there.whole();
    let outer = views.map(|view| view.range(low, high, 0));
    if limits.want == 0 || outer.into_iter().all(|range| range.len() == 0) {
        return Chosen::default();
    }
    let near = match there.widest() {
        Some((low, high)) => {
            let near = views.map(|view| view.range(low, high, 0)).zip(outer);
            near.map(|(near, outer)| near.clip(outer))
        }
        None => outer.map(|range| range.start.none()),
    };
    let mut near_region = Region::new(near, hole(near, candidates));
    let mut far_region = Region::new(outer, near);
    let mut rounding = Rounding::new(rng);
    let leechers = near_region.count.leechers + far_region.count.leechers;
    // More than their share where leechers are too few to fill the list.
    let without_leechers = limits.want.saturating_sub(leechers);
    let max_seeds = limits.max_seeds(rounding).max(without_leechers);
    let mut group = Group {
        nearer: &mut near_region,
        farther: &mut far_region,
    };
    let none_is_owed = Minimums::default();
    group.take(limits.want, none_is_owed, max_seeds, &mut rounding, rng);
    let before = A::listed(list).len();
    let mut seeds = draw(&near_region, &views, limits, rng, list);
    let local = A::listed(list).len() - before;
    seeds += draw(&far_region, &views, limits, rng, list);
    Chosen {
        all: A::listed(list).len() - before,
        seeds,
        local,
        has_local_leecher: near_region.count.leechers > 0,
        has_local_seeder: near_region.count.seeders > 0,
        has_rest: false,
    }
}

/// Puts a third entry of the requester's own subscriber address onto the list, where its zone says that many live behind one.
#[cold]
#[inline(never)]
pub(super) fn own_subscriber<A: Address + Listed, I: StoredId>(
    candidates: &Candidates<'_, A, I>,
    viewpoint: &Viewpoint<'_, A>,
    limits: &Limits<'_>,
    rng: &mut fastrand::Rng,
    list: &mut PeerList,
) -> Chosen {
    let most = viewpoint.max_own();
    let Some((low, high)) = viewpoint.subscriber().filter(|_| most > 0) else {
        return Chosen::default();
    };
    let views = candidates.views();
    let take_all = views.map(|view| view.range(low, high, 0));
    let listed = Region::new(take_all, hole(take_all, candidates)).len();
    let surplus = views.map(|view| view.range(A::surplus(low), A::surplus(high), 0));
    let mut region = Region::new(surplus, hole(surplus, candidates));
    // Nothing is left of the three where the two for everybody are two of each role.
    let want = most.saturating_sub(listed).min(limits.want);
    region.take(want, limits.want, &mut Rounding::new(rng));
    let before = A::listed(list).len();
    let seeds = draw(&region, &views, limits, rng, list);
    let all = A::listed(list).len() - before;
    Chosen {
        all,
        seeds,
        local: all,
        ..Chosen::default()
    }
}

#[inline(never)]
fn draw<A: Address + Listed, I: StoredId>(
    region: &Region,
    views: &ByRole<View<'_, A, I>>,
    limits: &Limits<'_>,
    rng: &mut fastrand::Rng,
    list: &mut PeerList,
) -> usize {
    region.draw(views, limits.ids, rng, list)
}

/// The requester itself among `ranges`, or nobody.
fn hole<A: Address + Listed, I: StoredId>(
    ranges: RankRanges,
    candidates: &Candidates<'_, A, I>,
) -> RankRanges {
    let own = candidates.own_in(ranges).zip(ranges);
    own.map(|(own, range)| own.unwrap_or(range.start.none()))
}
