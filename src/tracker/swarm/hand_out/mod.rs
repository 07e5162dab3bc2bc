//! The list of one announce, over both families: the announcer's own first, then the other, then who is left.

mod few;

use std::net::SocketAddr;

use few::Scopes;

use super::Swarm;
use super::dual_stack::DualStack;
use super::families::{of_family, own_first};
use super::inner_addresses;
use super::upsert::{Change, Rules};
use crate::invariant::minus;
use crate::metrics::Family;
use crate::tracker::announce::{Announce, Event, PeerList};
use crate::tracker::id::PeerId;
use crate::tracker::peers::address::Address;
use crate::tracker::peers::owner::StoredId;
use crate::tracker::peers::position::Position;
use crate::tracker::peers::{Peers, Role};
use crate::tracker::select::few::Decision;
use crate::tracker::select::limits::Limits;
use crate::tracker::select::neighbourhoods::{STEPS, Viewpoint};
use crate::tracker::select::sample::Listed;
use crate::tracker::select::{Candidates, Chosen, choose, choose_neighbours, remainder, strangers};
use crate::tracker::settings::Selection;

/// Whom a walk through both families hands out.
#[derive(Clone, Copy, Debug)]
enum Pass<'a> {
    /// Those who are for everybody, by the rule `shares`.
    ForEverybody,
    /// Those of them in the requester's top zone, by the rule `few` (S15).
    Neighbours(&'a Scopes),
    /// Those of them outside of it, by the same rule.
    Strangers(&'a Scopes),
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
    /// Where its address of the other family stands, when it has one that its list may hold (S14).
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
        // Only v4 peers, as most swarms have: nothing to go through, which spares an announce 100 instructions.
        let is_v4_only = self.extra.is_none() && announce.ip.is_ipv4();
        let (mut chosen, decision) = if request.has_few() {
            let (chosen, decision) = if is_v4_only {
                self.hand_out_few_of_v4(&request, change, &mut limits, rng, list)
            } else {
                let request = self.with_other(request);
                self.hand_out_few(request, change, limits, rng, list)
            };
            (chosen, Some(decision))
        } else if is_v4_only {
            limits.ids.not = request.id_to_leave_out();
            let (candidates, viewpoint) = request.look_at(&self.v4);
            let chosen = choose(&candidates, &viewpoint, &limits, rng, list);
            (chosen, None)
        } else {
            let request = self.with_other(request);
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
        pass: Pass<'_>,
        mut limits: Limits<'_>,
        rng: &mut fastrand::Rng,
        list: &mut PeerList,
    ) -> Chosen {
        let mut chosen = Chosen::default();
        let mut families = self.families();
        families.v6 = families.v6.filter(|v6| v6.len() > 0);
        let dual_stack = match pass {
            Pass::ForEverybody | Pass::Neighbours(_) | Pass::Strangers(_) => {
                self.dual_stack_for(request)
            }
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
            // Whom the list has by the first family already may be drawn again, and so may the announcer itself, who is left out: as
            // many more are drawn, and taken off afterwards.
            let pairs = dual_stack.filter(|_| !is_own);
            let left = limits.want;
            let doubles = pairs.map_or(0, |pairs| {
                pairs.listed(own_family, list) + usize::from(request.other.is_some())
            });
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

    /// The same request with where the announcer's address of the other family stands, when it has one that its list may hold.
    fn with_other<'a>(&self, request: Request<'a>) -> Request<'a> {
        let other = self.dual_stack_for(request).and_then(|pairs| {
            let own = SocketAddr::new(request.announce.ip, request.announce.port);
            self.families().find(pairs.other(own)?, request.rules.zones)
        });
        Request { other, ..request }
    }
}

impl Request<'_> {
    /// Puts peers of one family onto the list.
    #[inline(always)]
    fn take_from<A: Address + Listed, I: StoredId>(
        self,
        peers: &Peers<A, I>,
        pass: Pass<'_>,
        limits: &Limits<'_>,
        rng: &mut fastrand::Rng,
        list: &mut PeerList,
    ) -> Chosen {
        let (candidates, viewpoint) = self.look_at(peers);
        match pass {
            Pass::ForEverybody => choose(&candidates, &viewpoint, limits, rng, list),
            Pass::Neighbours(scopes) => {
                let scope = scopes.of(A::FAMILY);
                choose_neighbours(&candidates, &viewpoint, scope, limits, rng, list)
            }
            Pass::Strangers(scopes) => {
                strangers::fill(&candidates, scopes.of(A::FAMILY), limits, rng, list)
            }
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
            && self.viewpoint::<[u8; 6]>(None).is_remote()
    }

    /// How it looks at the peers of one family, by its address of that family.
    #[inline(always)]
    fn viewpoint<A: Address>(&self, address: Option<A>) -> Viewpoint<'_, A> {
        Viewpoint::new(self.rules.zones, self.zone, address)
    }

    /// Those of one family of whom it may be handed some, and how it looks at them.
    #[inline(always)]
    fn look_at<'a, A: Address, I: StoredId>(
        &'a self,
        peers: &'a Peers<A, I>,
    ) -> (Candidates<'a, A, I>, Viewpoint<'a, A>) {
        let address = A::pack(self.announce.ip, self.announce.port);
        let candidates = Candidates {
            leechers: peers.view(Role::Leecher),
            seeders: self.takes_seeds().then(|| peers.view(Role::Seeder)),
            own: self.own.filter(|_| address.is_some()),
        };
        (candidates, self.viewpoint(address))
    }

    /// The id that nobody on the list may have: its own, where it may be in the swarm under an address that nobody knows to be its own.
    #[inline(always)]
    fn id_to_leave_out(&self) -> Option<PeerId> {
        self.own.is_none().then_some(self.announce.peer_id)
    }

    /// Whether seeds are of use to it (S2): not to one that has everything, or all that it wants.
    fn takes_seeds(&self) -> bool {
        !self.announce.is_seeder && self.announce.event != Event::Paused
    }
}
