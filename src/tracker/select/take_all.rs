//! Lists that everybody fits on: most swarms are that small, and then nothing has to be drawn.

use super::limits::Limits;
use super::neighbourhoods::Viewpoint;
use super::sample::{Listed, copy};
use super::{Chosen, Visible};
use crate::invariant::minus;
use crate::tracker::announce::PeerList;
use crate::tracker::peers::Role;
use crate::tracker::peers::address::Address;
use crate::tracker::peers::owner::StoredId;

/// Puts all that are visible but the requester onto the list; nobody when nobody is wanted.
// Called from `choose` only, which is inlined itself; most swarms are that small.
#[inline(always)]
pub(super) fn take<A: Address + Listed, I: StoredId>(
    visible: &Visible<'_, A, I>,
    viewpoint: &Viewpoint<'_, A>,
    limits: &Limits<'_>,
    list: &mut PeerList,
) -> Chosen {
    let near = if visible.are_local {
        None
    } else {
        viewpoint.widest()
    };
    let mut chosen = Chosen::default();
    for role in Role::BOTH {
        let (view, whole) = (visible.views.get(role), *visible.whole.get(role));
        let own = *visible.own.get(role);
        let is_own = usize::from(own.is_some());
        if whole.len() <= is_own {
            continue;
        }
        let near = if visible.are_local {
            Some(whole)
        } else {
            near.map(|(low, high)| view.range(low, high, 0).clip(whole))
        };
        // Without a zone and an address of this family, nobody is local.
        let local = near.map_or(0, |near| {
            minus(near.len(), is_own, "the requester is near itself")
        });
        match role {
            Role::Leecher => chosen.has_local_leecher = local > 0,
            Role::Seeder => chosen.has_local_seeder = local > 0,
        }
        if limits.want == 0 {
            continue;
        }
        let before = A::listed(list).len();
        let own = own.unwrap_or(whole.start.none());
        copy(view, whole.start.until(own.start), list, limits.ids);
        copy(view, own.end.until(whole.end), list, limits.ids);
        let listed = A::listed(list).len() - before;
        chosen.all += listed;
        // One of the local ones may be the requester's other address, which was left out.
        chosen.local += local.min(listed);
        if role == Role::Seeder {
            chosen.seeds = listed;
        }
    }
    chosen
}
