//! Strangers by the rule `few` (S15): from all that are outside of the requester's top zone, wherever, half of them seeds.

use super::limits::Limits;
use super::region::Region;
use super::region_ranks::RegionRanks;
use super::sample::{Listed, draw_one};
use super::scope::Scope;
use super::{Candidates, Chosen};
use crate::tracker::announce::PeerList;
use crate::tracker::peers::Role;
use crate::tracker::peers::address::Address;
use crate::tracker::peers::by_role::ByRole;
use crate::tracker::peers::owner::StoredId;
use crate::tracker::peers::view::View;

/// Puts strangers onto the list; nobody where the requester sees its own zone only (S9).
///
/// An odd one is a seed or a leecher by a coin; who is not there in one role comes from the other.
#[inline(always)]
pub(crate) fn fill<A: Address + Listed, I: StoredId>(
    candidates: &Candidates<'_, A, I>,
    scope: &Scope,
    limits: &Limits<'_>,
    rng: &mut fastrand::Rng,
    list: &mut PeerList,
) -> Chosen {
    let views = candidates.views();
    let before = A::listed(list).len();
    let seeds = if limits.want == 1 {
        fill_one(&views, scope, limits, rng, list)
    } else {
        fill_some(&views, scope, limits, rng, list)
    };
    let all = A::listed(list).len() - before;
    Chosen {
        all,
        // The one that was drawn may have been left out.
        seeds: seeds.min(all),
        ..Chosen::default()
    }
}

#[inline(never)]
fn fill_some<A: Address + Listed, I: StoredId>(
    views: &ByRole<View<'_, A, I>>,
    scope: &Scope,
    limits: &Limits<'_>,
    rng: &mut fastrand::Rng,
    list: &mut PeerList,
) -> usize {
    let mut outside = Region::new(scope.all, scope.near);
    if limits.want == 0 || outside.len() == 0 {
        return 0;
    }
    let seeds = (limits.want + usize::from(rng.bool())) / 2;
    outside.take_seeds(limits.want, seeds);
    outside.draw(views, limits.ids, rng, list)
}

/// As [`fill_some`], for one: nearly all lists have one stranger or none.
#[inline(always)]
fn fill_one<A: Address + Listed, I: StoredId>(
    views: &ByRole<View<'_, A, I>>,
    scope: &Scope,
    limits: &Limits<'_>,
    rng: &mut fastrand::Rng,
    list: &mut PeerList,
) -> usize {
    let role = if rng.bool() {
        Role::Seeder
    } else {
        Role::Leecher
    };
    for role in [role, role.other()] {
        let ranks = RegionRanks {
            outer: *scope.all.get(role),
            gap: *scope.near.get(role),
        };
        if ranks.len() > 0 {
            draw_one(views.get(role), ranks, rng, list, limits.ids);
            return usize::from(role == Role::Seeder);
        }
    }
    0
}
