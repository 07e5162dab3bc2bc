//! The list of one announce, over both families: the announcer's own first, then the other, then who is left.

use std::net::SocketAddr;

use super::Swarm;
use super::dual_stack::DualStack;
use super::families::{of_family, own_first};
use super::inner_addresses;
use super::upsert::{Change, Rules};
use crate::invariant::minus;
use crate::metrics::{AnnounceOutcome, Family};
use crate::tracker::announce::{Announce, Event, PeerList};
use crate::tracker::peers::address::Address;
use crate::tracker::peers::by_role::ByRole;
use crate::tracker::peers::owner::StoredId;
use crate::tracker::peers::position::Position;
use crate::tracker::peers::{Peers, Role};
use crate::tracker::select::few::{Decision, Situation};
use crate::tracker::select::limits::Limits;
use crate::tracker::select::neighbourhoods::{STEPS, Viewpoint};
use crate::tracker::select::sample::Listed;
use crate::tracker::select::{Candidates, Chosen, choose, remainder, strangers};
use crate::tracker::settings::Selection;

/// Whom a walk through both families hands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    /// Those who are for everybody, by the rule `shares`.
    ForEverybody,
    /// Those of them in the requester's top zone, by the rule `few` (S15).
    Neighbours,
    /// Those of them outside of it, by the same rule.
    Strangers,
    /// Who is left when all of those are on the list and it is not full, step by step (see [`Viewpoint::behind`]).
    Rest { step: usize },
}

/// Who asks, and by which rules: what stays the same through all passes and families.
#[derive(Clone, Copy, Debug)]
struct Request<'a> {
    announce: &'a Announce,
    rules: &'a Rules<'a>,
    /// The announcer's zone with its tier.
    zone: u32,
    /// Where the announcer stands among the peers of its own family, when it is stored.
    own: Option<(Role, Position)>,
    /// Where its address of the other family stands, when it has one (S14). Looked for by the rule `few` only.
    other: Option<(Role, Position)>,
}

impl<I: StoredId> Swarm<I> {
    /// Fills the list of an announcer in `zone` with its tier, after `change` was made for it. Tells what the rule `few` decided,
    /// where it is in force.
    #[inline(never)]
    pub(super) fn hand_out(
        &self,
        announce: &Announce,
        rules: &Rules<'_>,
        zone: u32,
        change: &Change,
        rng: &mut fastrand::Rng,
        list: &mut PeerList,
    ) -> (Chosen, Option<Decision>) {
        let request = Request {
            announce,
            rules,
            zone,
            own: change.own,
            other: None,
        };
        let mut limits = Limits::of(announce, rules.settings);
        let (mut chosen, decision) = if request.has_few() {
            let (chosen, decision) = self.hand_out_few(request, change, limits, rng, list);
            (chosen, Some(decision))
        } else if self.extra.is_none() && announce.ip.is_ipv4() {
            // Only v4 peers, as most swarms have: nothing to go through, which spares an announce 100 instructions.
            limits.ids.not = change.own.is_none().then_some(announce.peer_id);
            let chosen = request.take_from(&self.v4, Pass::ForEverybody, &limits, rng, list);
            (chosen, None)
        } else {
            (self.hand_out_shares(request, limits, rng, list), None)
        };
        limits.note(chosen.all, chosen.seeds);
        if chosen.has_rest && limits.want > 0 {
            chosen = chosen.plus(self.hand_out_rest(request, limits, rng, list));
        }
        if let Some(pairs) = self.dual_stack_for(request) {
            pairs.complete(list);
        }
        let address_pairs = rules.zones.address_pairs();
        if let Some(extra) = &self.extra {
            extra.alternates.translate(announce, address_pairs, list);
        }
        if !address_pairs.is_empty() {
            inner_addresses::translate(address_pairs, announce, list);
        }
        (chosen, decision)
    }

    /// Fills a list by the rule `shares` from both families.
    #[inline(never)]
    fn hand_out_shares(
        &self,
        request: Request<'_>,
        limits: Limits<'_>,
        rng: &mut fastrand::Rng,
        list: &mut PeerList,
    ) -> Chosen {
        self.walk(request, Pass::ForEverybody, limits, rng, list)
    }

    /// Fills a list by the rule `few`: with neighbours, and then with the strangers that places were kept for.
    #[inline(never)]
    fn hand_out_few(
        &self,
        request: Request<'_>,
        change: &Change,
        limits: Limits<'_>,
        rng: &mut fastrand::Rng,
        list: &mut PeerList,
    ) -> (Chosen, Decision) {
        let request = Request {
            other: self.own_other(request),
            ..request
        };
        let decision = self.decide(request, change, limits.want, rng);
        let mut near = limits;
        near.want = minus(
            near.want,
            decision.strangers,
            "no more than fit on the list",
        );
        let mut chosen = self.walk(request, Pass::Neighbours, near, rng, list);
        if decision.strangers > 0 {
            let mut far = limits;
            far.want = decision.strangers;
            let strangers = self.walk(request, Pass::Strangers, far, rng, list);
            chosen = chosen.plus(strangers);
        }
        // Where those who are for everybody could fill the list, the surplus of a subscriber has no list to fill (S16).
        if chosen.has_rest {
            chosen.has_rest = request.of_use(self.seen(request, false)) < limits.want;
        }
        (chosen, decision)
    }

    /// Fills a list with who is left when all that are for everybody are on it.
    #[cold]
    #[inline(never)]
    fn hand_out_rest(
        &self,
        request: Request<'_>,
        mut limits: Limits<'_>,
        rng: &mut fastrand::Rng,
        list: &mut PeerList,
    ) -> Chosen {
        let mut chosen = Chosen::default();
        for step in 0..STEPS {
            let more = self.walk(request, Pass::Rest { step }, limits, rng, list);
            limits.note(more.all, more.seeds);
            chosen = chosen.plus(more);
        }
        chosen
    }

    /// Clients with an address of each family, where a list is of both.
    fn dual_stack_for(&self, request: Request<'_>) -> Option<&DualStack> {
        let own_family_only = request.announce.options.own_family_only;
        let pairs = self.extra.as_ref().map(|extra| &extra.dual_stack);
        pairs.filter(|pairs| !own_family_only && !pairs.is_empty())
    }

    /// Goes through both families in one pass, as far as the list has room.
    // Inlined where it is called, once for each kind of pass, so that nothing asks for that under way.
    #[inline(always)]
    fn walk(
        &self,
        request: Request<'_>,
        pass: Pass,
        mut limits: Limits<'_>,
        rng: &mut fastrand::Rng,
        list: &mut PeerList,
    ) -> Chosen {
        let mut chosen = Chosen::default();
        let mut families = self.families();
        families.v6 = families.v6.filter(|v6| v6.len() > 0);
        let dual_stack = match pass {
            Pass::ForEverybody | Pass::Neighbours | Pass::Strangers => self.dual_stack_for(request),
            Pass::Rest { .. } => None,
        };
        let own_family_only = request.announce.options.own_family_only;
        let own_family = Family::of(request.announce.ip);
        for family in own_first(request.announce.ip) {
            let is_own = family == own_family;
            if !is_own && (own_family_only || limits.want == 0) {
                break;
            }
            // Who is not stored may be here under another address of the same family.
            let may_be_elsewhere = !is_own || request.own.is_none();
            limits.ids.not = may_be_elsewhere.then_some(request.announce.peer_id);
            // Whom the list has by the first family already may be drawn again: as many more are drawn, and taken off afterwards.
            let pairs = dual_stack.filter(|_| !is_own);
            let left = limits.want;
            let doubles = pairs.map_or(0, |pairs| pairs.listed(own_family, list));
            limits.want += doubles;
            let before = DualStack::count_other(own_family, list);
            let more = of_family!(families, family, peers => {
                request.take_from(peers, pass, &limits, rng, list)
            });
            limits.want = left;
            let Some(mut more) = more else { continue };
            if let Some(pairs) = pairs.filter(|_| doubles > 0) {
                let taken_off = pairs.keep_single(own_family, before, left, rng, list);
                more.all = minus(more.all, taken_off, "who is taken off was put on");
                more.seeds = more.seeds.min(more.all);
                more.local = more.local.min(more.all);
            }
            chosen = chosen.plus(more);
            limits.note(more.all, more.seeds);
        }
        chosen
    }

    /// Where the announcer's address of the other family stands, when it has one that its list may hold.
    fn own_other(&self, request: Request<'_>) -> Option<(Role, Position)> {
        let pairs = self.dual_stack_for(request)?;
        let own = SocketAddr::new(request.announce.ip, request.announce.port);
        self.families().find(pairs.other(own)?, request.rules.zones)
    }

    /// What the rule `few` says of this announce. No more strangers are wanted than there are, and at most half of the list where
    /// neighbours could fill it.
    fn decide(
        &self,
        request: Request<'_>,
        change: &Change,
        want: usize,
        rng: &mut fastrand::Rng,
    ) -> Decision {
        let near = self.seen(request, true);
        let is_regular =
            change.outcome == AnnounceOutcome::Refreshed && request.announce.event == Event::None;
        let situation = Situation {
            is_leecher: request.takes_seeds(),
            leechers: near.leechers,
            seeders: near.seeders,
            since: is_regular.then_some(change.since),
            has_gained: change.gained.0 > 0,
        };
        let decision = situation.decide(request.rules.settings, rng);
        if decision.strangers == 0 {
            return decision;
        }
        let (all, near) = (
            request.of_use(self.seen(request, false)),
            request.of_use(near),
        );
        let half = (want + usize::from(rng.bool())) / 2;
        let far = minus(all, near, "neighbours are among all");
        decision.with_at_most(far.min(want - near.min(half)))
    }

    /// Who is for everybody and may be handed to the requester, itself not counted; of its top zone only, if `is_narrowed`. Where
    /// its list has one family, the other is none that it sees.
    fn seen(&self, request: Request<'_>, is_narrowed: bool) -> ByRole<usize> {
        let announce = request.announce;
        let families = if announce.options.own_family_only {
            1
        } else {
            2
        };
        let mut seen = ByRole::default();
        for family in own_first(announce.ip).into_iter().take(families) {
            let more = of_family!(self.families(), family, peers => request.count_seen(peers, is_narrowed));
            // Nobody is there of a family that the swarm has no place for.
            let more: ByRole<usize> = more.unwrap_or_default();
            seen.leechers += more.leechers;
            seen.seeders += more.seeders;
        }
        seen
    }
}

impl Request<'_> {
    /// Puts peers of one family onto the list.
    #[inline(always)]
    fn take_from<A: Address + Listed, I: StoredId>(
        self,
        peers: &Peers<A, I>,
        pass: Pass,
        limits: &Limits<'_>,
        rng: &mut fastrand::Rng,
        list: &mut PeerList,
    ) -> Chosen {
        let address = A::pack(self.announce.ip, self.announce.port);
        let viewpoint = self.viewpoint(address, pass == Pass::Neighbours);
        let candidates = Candidates {
            leechers: peers.view(Role::Leecher),
            seeders: self.takes_seeds().then(|| peers.view(Role::Seeder)),
            own: self.own.filter(|_| address.is_some()),
        };
        match pass {
            Pass::ForEverybody | Pass::Neighbours => {
                choose(&candidates, &viewpoint, limits, rng, list)
            }
            Pass::Strangers => strangers::fill(&candidates, &viewpoint, limits, rng, list),
            Pass::Rest { step } => {
                remainder::fill(&candidates, &viewpoint, step, limits, rng, list)
            }
        }
    }

    /// Whether the rule `few` is in force for it: where there are zones, unless it is on loopback, where everybody is as near.
    #[inline]
    fn has_few(&self) -> bool {
        self.rules.settings.selection == Selection::Few
            && !self.rules.zones.is_empty()
            && self.viewpoint::<[u8; 6]>(None, false).is_remote()
    }

    /// How it looks at the peers of one family, by its address of that family: at its own top zone only, if `is_narrowed`.
    #[inline(always)]
    fn viewpoint<A: Address>(&self, address: Option<A>, is_narrowed: bool) -> Viewpoint<'_, A> {
        let viewpoint = Viewpoint::new(self.rules.zones, self.zone, address);
        if is_narrowed {
            viewpoint.narrowed()
        } else {
            viewpoint
        }
    }

    /// How many of one family are for everybody where it looks, itself not counted by either of its addresses.
    fn count_seen<A: Address, I: StoredId>(
        &self,
        peers: &Peers<A, I>,
        is_narrowed: bool,
    ) -> ByRole<usize> {
        let address = A::pack(self.announce.ip, self.announce.port);
        let viewpoint = self.viewpoint(address, is_narrowed);
        let own = match address {
            Some(_) => self.own,
            None => self.other,
        };
        ByRole::from_fn(|role| {
            let range = viewpoint.visible(&peers.view(role));
            let is_there = own.is_some_and(|(of, at)| of == role && at.only().is_in(&range));
            range.len() - usize::from(is_there)
        })
    }

    /// How many of these it may be handed.
    fn of_use(&self, seen: ByRole<usize>) -> usize {
        if self.takes_seeds() {
            seen.sum()
        } else {
            seen.leechers
        }
    }

    /// Whether seeds are of use to it (S2): not to one that has everything, or all that it wants.
    fn takes_seeds(&self) -> bool {
        !self.announce.is_seeder && self.announce.event != Event::Paused
    }
}
