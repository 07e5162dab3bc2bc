//! Lists that everybody fits on: most swarms are that small, and then nothing has to be drawn.

use super::Chosen;
use super::limits::Limits;
use super::neighbourhoods::Viewpoint;
use super::sample::{Listed, copy};
use crate::tracker::announce::PeerList;
use crate::tracker::peers::address::Address;
use crate::tracker::peers::owner::StoredId;
use crate::tracker::peers::position::RankRange;
use crate::tracker::peers::view::View;

/// Puts everybody in `whole` but the requester onto the list; nobody when nobody is wanted.
pub(super) fn take<A: Address + Listed, I: StoredId>(
    views: [View<'_, A, I>; 2],
    own: [Option<RankRange>; 2],
    whole: [RankRange; 2],
    viewpoint: &Viewpoint<'_, A>,
    limits: &Limits<'_>,
    list: &mut PeerList,
) -> Chosen {
    let near = viewpoint.widest();
    let mut chosen = Chosen::default();
    let roles = views.into_iter().zip(whole).zip(own);
    for (role, ((view, whole), own)) in roles.enumerate() {
        if whole.len() <= usize::from(own.is_some()) {
            continue;
        }
        let local = near.map_or(0, |(low, high)| {
            let others = view.range(low, high, 0).clip(whole).len();
            others.saturating_sub(usize::from(own.is_some()))
        });
        if role == 0 {
            chosen.has_local_leecher = local > 0;
        } else {
            chosen.has_local_seeder = local > 0;
        }
        if limits.want == 0 {
            continue;
        }
        let before = A::listed(list).len();
        let own = own.unwrap_or(whole.start.none());
        copy(&view, whole.start.until(own.start), list, limits.ids);
        copy(&view, own.end.until(whole.end), list, limits.ids);
        let listed = A::listed(list).len() - before;
        chosen.all += listed;
        chosen.local += local.min(listed);
        chosen.seeds += listed * role;
    }
    chosen
}
