//! Whom a requester may be handed by the rule `few` (S15), as ranks of one family: found once, for the decision and for the list.

use super::Candidates;
use super::neighbourhoods::Viewpoint;
use super::region::RankRanges;
use crate::tracker::peers::Role;
use crate::tracker::peers::address::Address;
use crate::tracker::peers::by_role::ByRole;
use crate::tracker::peers::owner::StoredId;
use crate::tracker::peers::position::Position;

/// Those of one family that are for everybody, of use to the requester, and seen by it (S9). It is among them itself when it is
/// stored.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scope {
    pub all: RankRanges,
    /// Those of them in the requester's top zone; of a requester in no zone, those who are in none either.
    pub near: RankRanges,
    /// Whether others are there who are not for everybody.
    pub has_tiers: bool,
}

/// How many there are without the requester.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Count {
    pub all: ByRole<usize>,
    pub near: ByRole<usize>,
}

impl Scope {
    #[inline(always)]
    pub(crate) fn new<A: Address, I: StoredId>(
        candidates: &Candidates<'_, A, I>,
        viewpoint: &Viewpoint<'_, A>,
    ) -> Scope {
        let views = candidates.views();
        let has_tiers = views.into_iter().any(|view| view.has_tiers());
        if let Some((low, high)) = viewpoint.strict() {
            // Nobody else is seen, not of its own top zone either.
            let all = views.map(|view| view.range(low, high, 0));
            return Scope {
                all,
                near: all,
                has_tiers,
            };
        }
        // The zone lies around the requester.
        let own = candidates.own();
        let around = own.map(|own| own.map_or(0, |own| own.start.chunk as usize));
        let (low, high) = viewpoint.top_zone();
        let near = views.zip(around);
        let near = near.map(|(view, chunk)| view.range(low, high, chunk));
        let all = if has_tiers {
            let (low, high) = viewpoint.whole();
            views.map(|view| view.range(low, high, 0))
        } else {
            views.map(|view| view.whole())
        };
        Scope {
            all,
            near,
            has_tiers,
        }
    }

    /// How many they are without the requester, which stands at `own` when it is stored.
    #[inline(always)]
    pub(crate) fn count(&self, own: Option<(Role, Position)>) -> Count {
        let mut count = Count {
            all: self.all.map(|range| range.len()),
            near: self.near.map(|range| range.len()),
        };
        if let Some((role, at)) = own {
            let own = at.only();
            *count.all.get_mut(role) -= usize::from(own.is_in(self.all.get(role)));
            *count.near.get_mut(role) -= usize::from(own.is_in(self.near.get(role)));
        }
        count
    }
}

impl Count {
    pub(crate) fn plus(self, more: Count) -> Count {
        let sum = |count: ByRole<usize>, more| count.zip(more).map(|(count, more)| count + more);
        Count {
            all: sum(self.all, more.all),
            near: sum(self.near, more.near),
        }
    }
}
