//! Lists that everybody fits on: most swarms are that small, and then nothing has to be found by rank.

use super::announce::PeerList;
use super::around::Standpoint;
use super::draw::Listed;
use super::peer::{Address, KeptId};
use super::peers::{Role, View};
use super::selection::{Chosen, Offer, Wish};

impl<A: Address, I: KeptId> Offer<'_, A, I> {
    /// The requester's rank among the peers of a role.
    pub(super) fn own_rank(&self, role: Role) -> Option<usize> {
        let own = self.own.filter(|(own, _)| *own == role);
        own.map(|(_, rank)| rank)
    }
}

/// How many there are to hand out, the requester not counted.
pub(super) fn count<A: Address, I: KeptId>(offer: &Offer<'_, A, I>) -> usize {
    let seeders = offer.seeders.as_ref().map_or(0, View::len);
    let is_own_offered = match offer.own {
        Some((Role::Leecher, _)) => true,
        Some((Role::Seeder, _)) => offer.seeders.is_some(),
        None => false,
    };
    (offer.leechers.len() + seeders).saturating_sub(usize::from(is_own_offered))
}

/// Hands out everybody but the requester.
pub(super) fn take<A: Address + Listed, I: KeptId>(
    offer: &Offer<'_, A, I>,
    standpoint: &Standpoint<'_, A>,
    wish: &Wish,
    list: &mut PeerList,
) -> Chosen {
    let mut chosen = Chosen::default();
    let near = standpoint.widest();
    let views = [
        (Role::Leecher, Some(offer.leechers)),
        (Role::Seeder, offer.seeders),
    ];
    for (role, view) in views {
        let Some(view) = view else { continue };
        let own = offer.own_rank(role);
        let mut rank = 0;
        while rank < view.len() {
            let run = view.run_from(rank);
            for (rank, peer) in (rank..).zip(run) {
                if own == Some(rank) || wish.not.is_some_and(|id| peer.id.is(id)) {
                    continue;
                }
                let place = peer.place();
                let is_local = near.is_some_and(|(low, high)| low <= place && place <= high);
                chosen.all += 1;
                chosen.seeds += usize::from(role == Role::Seeder);
                chosen.local += usize::from(is_local);
                chosen.has_local_seeder |= is_local && role == Role::Seeder;
                chosen.has_local_leecher |= is_local && role == Role::Leecher;
                chosen.has_other |= peer.has_other();
                A::put(list, peer.address, peer.id.given());
            }
            if run.is_empty() {
                break;
            }
            rank += run.len();
        }
    }
    chosen
}
