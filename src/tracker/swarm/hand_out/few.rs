//! A list by the rule `few` (S15), over both families: neighbours, and the strangers that places were kept for.

use std::net::SocketAddr;

use super::{Pass, Request};
use crate::invariant::minus;
use crate::metrics::{AnnounceOutcome, Family};
use crate::tracker::announce::{Event, PeerList};
use crate::tracker::peers::Peers;
use crate::tracker::peers::address::Address;
use crate::tracker::peers::by_role::ByRole;
use crate::tracker::peers::owner::StoredId;
use crate::tracker::select::few::{Decision, Situation};
use crate::tracker::select::limits::Limits;
use crate::tracker::select::scope::{Count, Scope};
use crate::tracker::select::{Chosen, choose_neighbours, strangers};
use crate::tracker::swarm::Swarm;
use crate::tracker::swarm::dual_stack::DualStack;
use crate::tracker::swarm::upsert::Change;

/// Whom the requester may be handed of each family; nobody of one that its list does not have.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scopes {
    v4: Scope,
    v6: Scope,
}

impl Scopes {
    pub(super) fn of(&self, family: Family) -> &Scope {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }
}

impl<I: StoredId> Swarm<I> {
    /// Fills a list from v4 peers, where there are no others. The limits are left as they were, but for the ids.
    #[inline(never)]
    pub(super) fn hand_out_few_of_v4(
        &self,
        request: &Request<'_>,
        change: &Change,
        limits: &mut Limits<'_>,
        rng: &mut fastrand::Rng,
        list: &mut PeerList,
    ) -> (Chosen, Decision) {
        let (candidates, viewpoint) = request.look_at(&self.v4);
        let scope = Scope::new(&candidates, &viewpoint);
        let count = scope.count(request.own);
        let want = limits.want;
        let decision = request.decide(change, &count, count.near, want, rng);
        limits.ids.not = request.id_to_leave_out();
        limits.want = minus(want, decision.strangers, "no more than fit on the list");
        let mut chosen = choose_neighbours(&candidates, &viewpoint, &scope, limits, rng, list);
        if decision.strangers > 0 {
            limits.want = decision.strangers;
            let more = strangers::fill(&candidates, &scope, limits, rng, list);
            chosen = chosen.plus(more);
        }
        limits.want = want;
        chosen.has_rest = chosen.has_rest && count.all.sum() < want;
        (chosen, decision)
    }

    /// Fills a list from both families.
    #[inline(never)]
    pub(super) fn hand_out_few(
        &self,
        request: Request<'_>,
        change: &Change,
        mut limits: Limits<'_>,
        rng: &mut fastrand::Rng,
        list: &mut PeerList,
    ) -> (Chosen, Decision) {
        let scopes = self.scopes(request);
        let own_family = Family::of(request.announce.ip);
        let count = |family| {
            let own = if family == own_family {
                request.own
            } else {
                request.other
            };
            scopes.of(family).count(own)
        };
        let count = count(Family::V4).plus(count(Family::V6));
        let mut neighbours = count.near;
        // Of more than that, nothing depends on a few more or less.
        if neighbours.sum() < 2 * request.rules.settings.enough as usize
            && let Some(pairs) = self.dual_stack_for(request)
        {
            let seen_twice = self.seen_twice(request, pairs, &scopes);
            let neighbour = neighbours.zip(seen_twice);
            neighbours = neighbour.map(|(all, twice)| minus(all, twice, "those are among all"));
        }
        let want = limits.want;
        let decision = request.decide(change, &count, neighbours, want, rng);
        limits.want = minus(want, decision.strangers, "no more than fit on the list");
        let mut chosen = self.walk(request, Pass::Neighbours(&scopes), limits, rng, list);
        if decision.strangers > 0 {
            limits.want = decision.strangers;
            let more = self.walk(request, Pass::Strangers(&scopes), limits, rng, list);
            chosen = chosen.plus(more);
        }
        chosen.has_rest = chosen.has_rest && count.all.sum() < want;
        (chosen, decision)
    }

    /// Whom the requester may be handed, of each family that its list has.
    fn scopes(&self, request: Request<'_>) -> Scopes {
        fn scope<A: Address, I: StoredId>(request: Request<'_>, peers: &Peers<A, I>) -> Scope {
            let (candidates, viewpoint) = request.look_at(peers);
            Scope::new(&candidates, &viewpoint)
        }
        let own_family_only = request.announce.options.own_family_only;
        let own_family = Family::of(request.announce.ip);
        let is_wanted = |family| !own_family_only || family == own_family;
        let mut scopes = Scopes::default();
        if is_wanted(Family::V4) {
            scopes.v4 = scope(request, &self.v4);
        }
        if is_wanted(Family::V6)
            && let Some(extra) = &self.extra
        {
            scopes.v6 = scope(request, &extra.v6);
        }
        scopes
    }

    /// How many neighbours beside the announcer are there by both of their addresses (S14), of the role that the v6 address has.
    #[cold]
    #[inline(never)]
    fn seen_twice(
        &self,
        request: Request<'_>,
        pairs: &DualStack,
        scopes: &Scopes,
    ) -> ByRole<usize> {
        let Some(extra) = &self.extra else {
            return ByRole::default();
        };
        let own = SocketAddr::new(request.announce.ip, request.announce.port);
        ByRole::from_fn(|role| {
            let range = scopes.v6.near.get(role);
            let (ranks, chunk) = (range.start.rank..range.end.rank, range.start.chunk as usize);
            let mut twice = 0;
            extra.v6.view(role).pick(ranks, chunk, |v6, _| {
                let v6 = SocketAddr::new(v6.ip(), v6.port());
                let v4 = pairs.other(v6).filter(|v4| *v4 != own && v6 != own);
                let v4 = v4.and_then(|v4| self.families().find(v4, request.rules.zones));
                let is_near =
                    v4.is_some_and(|(role, at)| at.only().is_in(scopes.v4.near.get(role)));
                twice += usize::from(is_near);
            });
            twice
        })
    }
}

impl Request<'_> {
    /// What the rule says of this announce, by which it has so many `neighbours`. No more strangers are wanted than there are, and at
    /// most half of the list where neighbours could fill it.
    #[inline(always)]
    fn decide(
        &self,
        change: &Change,
        count: &Count,
        neighbours: ByRole<usize>,
        want: usize,
        rng: &mut fastrand::Rng,
    ) -> Decision {
        let is_regular =
            change.outcome == AnnounceOutcome::Refreshed && self.announce.event == Event::None;
        let situation = Situation {
            is_leecher: self.takes_seeds(),
            leechers: neighbours.leechers,
            seeders: neighbours.seeders,
            since: is_regular.then_some(change.since),
            has_gained: change.gained.0 > 0,
        };
        let decision = situation.decide(self.rules.settings, rng);
        if decision.strangers == 0 {
            return decision;
        }
        let near = count.near.sum();
        let far = minus(count.all.sum(), near, "neighbours are among all");
        if near + decision.strangers <= want {
            return decision.with_at_most(far);
        }
        let half = (want + usize::from(rng.bool())) / 2;
        decision.with_at_most(far.min(want - near.min(half)))
    }
}
