//! The list of one announce, over both families: the announcer's own first, then the other, then who is left.

use super::Swarm;
use super::inner_addresses;
use super::upsert::Rules;
use crate::tracker::announce::{Announce, Event, PeerList};
use crate::tracker::peers::address::Address;
use crate::tracker::peers::owner::StoredId;
use crate::tracker::peers::position::Position;
use crate::tracker::peers::{Peers, Role};
use crate::tracker::select::limits::Limits;
use crate::tracker::select::neighbourhoods::{STEPS, Viewpoint};
use crate::tracker::select::sample::Listed;
use crate::tracker::select::{Candidates, Chosen, choose, remainder};

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
        let takes_seeds = takes_seeds(announce);
        let own_family_only = announce.options.own_family_only;
        let mut limits = Limits::of(announce, rules.settings);
        let mut chosen = Chosen::default();
        let v6 = self.extra.as_ref().map(|extra| &extra.v6);
        let v6 = v6.filter(|v6| v6.len() > 0);
        let dual_stack = self.extra.as_ref().map(|extra| &extra.dual_stack);
        let dual_stack = dual_stack.filter(|pairs| !own_family_only && !pairs.is_empty());
        let is_v4 = announce.ip.is_ipv4();
        for family_is_v4 in [is_v4, !is_v4] {
            let is_own = family_is_v4 == is_v4;
            if !is_own && (own_family_only || limits.want == 0) {
                break;
            }
            // Who is not stored may be here under another address of the same family.
            limits.ids.not = (!is_own || own.is_none()).then_some(announce.peer_id);
            let own = own.filter(|_| is_own);
            let left = limits.want;
            let doubles = dual_stack
                .filter(|_| !is_own)
                .map_or(0, |pairs| pairs.listed(is_v4, list));
            limits.want += doubles;
            let mut more = if family_is_v4 {
                let address = <[u8; 6]>::pack(announce.ip, announce.port);
                hand_out_of(
                    &self.v4,
                    takes_seeds,
                    own,
                    &Viewpoint::new(rules.zones, zone, address),
                    &limits,
                    rng,
                    list,
                )
            } else if let Some(v6) = v6 {
                let address = <[u8; 18]>::pack(announce.ip, announce.port);
                hand_out_of(
                    v6,
                    takes_seeds,
                    own,
                    &Viewpoint::new(rules.zones, zone, address),
                    &limits,
                    rng,
                    list,
                )
            } else {
                continue;
            };
            limits.want = left;
            if let Some(pairs) = dual_stack.filter(|_| doubles > 0) {
                more.all -= more.all.min(pairs.keep_single(is_v4, left, rng, list));
                more.seeds = more.seeds.min(more.all);
                more.local = more.local.min(more.all);
            }
            chosen = chosen.plus(more);
            limits.note(more.all, more.seeds);
        }
        if chosen.has_rest && limits.want > 0 {
            let more = self.hand_out_rest(announce, rules, zone, own, limits, rng, list);
            chosen = chosen.plus(more);
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

    /// Fills a list with who is left when all that are for everybody are on it, in steps that go through both families.
    #[cold]
    #[expect(clippy::too_many_arguments, reason = "as of what it continues")]
    fn hand_out_rest(
        &self,
        announce: &Announce,
        rules: &Rules<'_>,
        zone: u32,
        own: Option<(Role, Position)>,
        mut limits: Limits<'_>,
        rng: &mut fastrand::Rng,
        list: &mut PeerList,
    ) -> Chosen {
        let mut chosen = Chosen::default();
        let takes_seeds = takes_seeds(announce);
        let is_v4 = announce.ip.is_ipv4();
        let families = 2 - usize::from(announce.options.own_family_only);
        for step in 0..STEPS {
            for family_is_v4 in [is_v4, !is_v4].into_iter().take(families) {
                let is_own = family_is_v4 == is_v4;
                limits.ids.not = (!is_own).then_some(announce.peer_id);
                let own = own.filter(|_| is_own);
                let more = if family_is_v4 {
                    let address = <[u8; 6]>::pack(announce.ip, announce.port);
                    let viewpoint = Viewpoint::new(rules.zones, zone, address);
                    let candidates = candidates(&self.v4, takes_seeds, own);
                    remainder::fill(&candidates, &viewpoint, step, &limits, rng, list)
                } else if let Some(extra) = &self.extra {
                    let address = <[u8; 18]>::pack(announce.ip, announce.port);
                    let viewpoint = Viewpoint::new(rules.zones, zone, address);
                    let candidates = candidates(&extra.v6, takes_seeds, own);
                    remainder::fill(&candidates, &viewpoint, step, &limits, rng, list)
                } else {
                    continue;
                };
                chosen = chosen.plus(more);
                limits.note(more.all, more.seeds);
            }
        }
        chosen
    }
}

fn hand_out_of<A: Address + Listed, I: StoredId>(
    peers: &Peers<A, I>,
    takes_seeds: bool,
    own: Option<(Role, Position)>,
    viewpoint: &Viewpoint<'_, A>,
    limits: &Limits<'_>,
    rng: &mut fastrand::Rng,
    list: &mut PeerList,
) -> Chosen {
    choose(
        &candidates(peers, takes_seeds, own),
        viewpoint,
        limits,
        rng,
        list,
    )
}

fn takes_seeds(announce: &Announce) -> bool {
    !announce.is_seeder && announce.event != Event::Paused
}

fn candidates<A: Address, I: StoredId>(
    peers: &Peers<A, I>,
    takes_seeds: bool,
    own: Option<(Role, Position)>,
) -> Candidates<'_, A, I> {
    Candidates {
        leechers: peers.view(Role::Leecher),
        seeders: takes_seeds.then(|| peers.view(Role::Seeder)),
        own,
    }
}
