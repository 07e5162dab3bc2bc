//! The list of one announce, over both families: the announcer's own first, then the other, then who is left.

use super::Swarm;
use super::families::{of_family, own_first};
use super::inner_addresses;
use super::upsert::Rules;
use crate::invariant::minus;
use crate::tracker::announce::{Announce, Event, PeerList};
use crate::tracker::peers::address::Address;
use crate::tracker::peers::owner::StoredId;
use crate::tracker::peers::position::Position;
use crate::tracker::peers::{Peers, Role};
use crate::tracker::select::limits::Limits;
use crate::tracker::select::neighbourhoods::{STEPS, Viewpoint};
use crate::tracker::select::sample::Listed;
use crate::tracker::select::{Candidates, Chosen, choose, remainder};

/// Whom a walk through both families hands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    /// Those who are for everybody, by the rule.
    ForEverybody,
    /// Who is left when all of those are on the list and it is not full, step by step (see [`Viewpoint::behind`]).
    Rest { step: usize },
}

const PASSES: [Pass; 1 + STEPS] = [
    Pass::ForEverybody,
    Pass::Rest { step: 0 },
    Pass::Rest { step: 1 },
    Pass::Rest { step: 2 },
];

/// Who asks, and by which rules: what stays the same through all passes and families.
#[derive(Clone, Copy, Debug)]
struct Request<'a> {
    announce: &'a Announce,
    rules: &'a Rules<'a>,
    /// The announcer's zone with its tier.
    zone: u32,
    /// Where the announcer stands among the peers of its own family, when it is stored.
    own: Option<(Role, Position)>,
}

impl<I: StoredId> Swarm<I> {
    /// Fills the list of an announcer in `zone` with its tier, who stands at `own` when it is stored.
    pub(super) fn hand_out(
        &self,
        announce: &Announce,
        rules: &Rules<'_>,
        zone: u32,
        own: Option<(Role, Position)>,
        rng: &mut fastrand::Rng,
        list: &mut PeerList,
    ) -> Chosen {
        let request = Request {
            announce,
            rules,
            zone,
            own,
        };
        let own_family_only = announce.options.own_family_only;
        let mut limits = Limits::of(announce, rules.settings);
        let mut chosen = Chosen::default();
        let mut families = self.families();
        families.v6 = families.v6.filter(|v6| v6.len() > 0);
        let dual_stack = self.extra.as_ref().map(|extra| &extra.dual_stack);
        let dual_stack = dual_stack.filter(|pairs| !own_family_only && !pairs.is_empty());
        let [own_family, other_family] = own_first(announce.ip);
        // One loop, since the choice is inlined where it is called: a second place to call it would cost every announce.
        for pass in PASSES {
            if pass != Pass::ForEverybody && !(chosen.has_rest && limits.want > 0) {
                break;
            }
            for family in [own_family, other_family] {
                let is_own = family == own_family;
                if !is_own && (own_family_only || limits.want == 0) {
                    break;
                }
                // Who is not stored may be here under another address of the same family.
                limits.ids.not = (!is_own || own.is_none()).then_some(announce.peer_id);
                let pairs = dual_stack.filter(|_| !is_own && pass == Pass::ForEverybody);
                // Whom the list has by the first family already may be drawn again: as many more are drawn, and then it is taken off.
                let left = limits.want;
                let doubles = pairs.map_or(0, |pairs| pairs.listed(own_family, list));
                limits.want += doubles;
                let more = of_family!(families, family, peers => {
                    request.take_from(peers, pass, &limits, rng, list)
                });
                limits.want = left;
                let Some(mut more) = more else { continue };
                if let Some(pairs) = pairs.filter(|_| doubles > 0) {
                    let taken_off = pairs.keep_single(own_family, left, rng, list);
                    more.all = minus(more.all, taken_off, "who is taken off was put on");
                    more.seeds = more.seeds.min(more.all);
                    more.local = more.local.min(more.all);
                }
                chosen = chosen.plus(more);
                limits.note(more.all, more.seeds);
            }
        }
        if let Some(pairs) = dual_stack {
            pairs.complete(list);
        }
        let address_pairs = rules.zones.address_pairs();
        if let Some(extra) = &self.extra {
            extra.alternates.translate(announce, address_pairs, list);
        }
        if !address_pairs.is_empty() {
            inner_addresses::translate(address_pairs, announce, list);
        }
        chosen
    }
}

impl Request<'_> {
    /// Puts peers of one family onto the list.
    #[inline]
    fn take_from<A: Address + Listed, I: StoredId>(
        &self,
        peers: &Peers<A, I>,
        pass: Pass,
        limits: &Limits<'_>,
        rng: &mut fastrand::Rng,
        list: &mut PeerList,
    ) -> Chosen {
        let address = A::pack(self.announce.ip, self.announce.port);
        let viewpoint = Viewpoint::new(self.rules.zones, self.zone, address);
        let candidates = Candidates {
            leechers: peers.view(Role::Leecher),
            seeders: self.takes_seeds().then(|| peers.view(Role::Seeder)),
            own: self.own.filter(|_| address.is_some()),
        };
        match pass {
            Pass::ForEverybody => choose(&candidates, &viewpoint, limits, rng, list),
            Pass::Rest { step } => {
                remainder::fill(&candidates, &viewpoint, step, limits, rng, list)
            }
        }
    }

    /// Whether seeds are of use to it (S2): not to one that has everything, or all that it wants.
    fn takes_seeds(&self) -> bool {
        !self.announce.is_seeder && self.announce.event != Event::Paused
    }
}
