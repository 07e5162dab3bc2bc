//! Strangers by the rule `few` (S15): from all that are outside of the requester's top zone, wherever, half of them seeds.

use super::limits::Limits;
use super::neighbourhoods::Viewpoint;
use super::region::Region;
use super::sample::Listed;
use super::{Candidates, Chosen};
use crate::tracker::announce::PeerList;
use crate::tracker::peers::address::Address;
use crate::tracker::peers::owner::StoredId;

/// Puts strangers onto the list; nobody where the requester sees its own zone only (S9).
///
/// An odd one is a seed or a leecher by a coin; who is not there in one role comes from the other.
#[inline(never)]
pub(crate) fn fill<A: Address + Listed, I: StoredId>(
    candidates: &Candidates<'_, A, I>,
    viewpoint: &Viewpoint<'_, A>,
    limits: &Limits<'_>,
    rng: &mut fastrand::Rng,
    list: &mut PeerList,
) -> Chosen {
    let views = candidates.views();
    let ranges = |viewpoint: Viewpoint<'_, A>| views.map(|view| viewpoint.visible(&view));
    let mut outside = Region::new(ranges(*viewpoint), ranges(viewpoint.narrowed()));
    if limits.want == 0 || outside.len() == 0 {
        return Chosen::default();
    }
    let seeds = (limits.want + usize::from(rng.bool())) / 2;
    outside.take_seeds(limits.want, seeds);
    let before = A::listed(list).len();
    let seeds = outside.draw(&views, limits.ids, rng, list);
    Chosen {
        all: A::listed(list).len() - before,
        seeds,
        ..Chosen::default()
    }
}
