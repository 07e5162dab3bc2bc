//! Lists that everybody fits on: most swarms are that small, and then nothing has to be drawn.

use super::announce::PeerList;
use super::around::Standpoint;
use super::draw::{Listed, copy};
use super::peer::{Address, KeptId};
use super::peers::View;
use super::selection::Chosen;
use super::span::Span;
use super::wish::Wish;

/// Puts everybody in `whole` but the requester onto the list; nobody when nobody is wanted.
pub(super) fn take<A: Address + Listed, I: KeptId>(
    views: [View<'_, A, I>; 2],
    own: [Option<Span>; 2],
    whole: [Span; 2],
    standpoint: &Standpoint<'_, A>,
    wish: &Wish<'_>,
    list: &mut PeerList,
) -> Chosen {
    let near = standpoint.widest();
    let mut chosen = Chosen::default();
    let roles = views.into_iter().zip(whole).zip(own);
    for (role, ((view, whole), own)) in roles.enumerate() {
        if whole.len() <= usize::from(own.is_some()) {
            continue;
        }
        let local = near.map_or(0, |(low, high)| {
            let others = view.span(low, high, 0).clip(whole).len();
            others.saturating_sub(usize::from(own.is_some()))
        });
        if role == 0 {
            chosen.has_local_leecher = local > 0;
        } else {
            chosen.has_local_seeder = local > 0;
        }
        if wish.want == 0 {
            continue;
        }
        let before = A::listed(list).len();
        let own = own.unwrap_or(whole.start.none());
        copy(&view, whole.start.until(own.start), list, wish.not);
        copy(&view, own.end.until(whole.end), list, wish.not);
        let listed = A::listed(list).len() - before;
        chosen.all += listed;
        chosen.local += local.min(listed);
        chosen.seeds += listed * role;
    }
    chosen
}
