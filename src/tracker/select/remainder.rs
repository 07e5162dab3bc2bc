//! Who comes onto a list when the rule has handed out all that are for everybody and it is not full: the surplus (S16), and for
//! a requester on loopback all others (S13).

use super::limits::Limits;
use super::neighbourhoods::Viewpoint;
use super::region::{RankRanges, Region, fill as fill_regions};
use super::rounding::Rounding;
use super::sample::Listed;
use super::{Candidates, Chosen};
use crate::tracker::announce::PeerList;
use crate::tracker::peers::address::Address;
use crate::tracker::peers::owner::StoredId;
use crate::tracker::peers::position::RankRange;
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
    if limits.want == 0 || outer.iter().all(|range| range.len() == 0) {
        return Chosen::default();
    }
    let near = match there.widest() {
        Some((low, high)) => clip(views.map(|view| view.range(low, high, 0)), outer),
        None => outer.map(|range| range.start.none()),
    };
    let mut regions = [
        Region::new(near, hole(near, candidates)),
        Region::new(outer, near),
    ];
    let mut rounding = Rounding::new(rng);
    let leechers: usize = regions.iter().map(|region| region.count[0]).sum();
    let seeds = limits.max_seeds(rounding);
    let seeds = seeds.max(limits.want.saturating_sub(leechers));
    fill_regions(&mut regions, limits.want, [0; 2], seeds, &mut rounding, rng);
    let [near, far] = &regions;
    let [leechers, seeders] = near.count;
    let before = A::listed(list).len();
    let mut seeds = draw(near, &views, limits, rng, list);
    let local = A::listed(list).len() - before;
    seeds += draw(far, &views, limits, rng, list);
    Chosen {
        all: A::listed(list).len() - before,
        seeds,
        local,
        has_local_leecher: leechers > 0,
        has_local_seeder: seeders > 0,
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
    views: &[View<'_, A, I>; 2],
    limits: &Limits<'_>,
    rng: &mut fastrand::Rng,
    list: &mut PeerList,
) -> usize {
    region.draw(views, limits.ids, rng, list)
}

fn clip([leechers, seeders]: RankRanges, [all_leechers, all_seeders]: RankRanges) -> RankRanges {
    [leechers.clip(all_leechers), seeders.clip(all_seeders)]
}

/// The requester itself among `ranges`, or nobody.
fn hole<A: Address + Listed, I: StoredId>(
    ranges: RankRanges,
    candidates: &Candidates<'_, A, I>,
) -> RankRanges {
    let [own_leecher, own_seeder] = candidates.own_in(&ranges);
    let [leechers, seeders] = ranges;
    let nobody = |range: RankRange| range.start.none();
    [
        own_leecher.unwrap_or_else(|| nobody(leechers)),
        own_seeder.unwrap_or_else(|| nobody(seeders)),
    ]
}
