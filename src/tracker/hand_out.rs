//! The list of one announce, over both families: the announcer's own first, then the other, then who is left.

use super::announce::{Announce, Event, PeerList};
use super::around::{STEPS, Standpoint};
use super::draw::Listed;
use super::peer::{Address, KeptId};
use super::peers::{Peers, Role};
use super::realm;
use super::rest;
use super::selection::{Chosen, Offer, choose};
use super::span::Seat;
use super::swarm::Swarm;
use super::visit::Rules;
use super::wish::Wish;

impl<I: KeptId> Swarm<I> {
    /// Fills the list of an announcer in `zone` with its tier, who stands at `own` when it is stored.
    pub(super) fn hand_out(
        &self,
        announce: &Announce,
        rules: &Rules<'_>,
        zone: u32,
        own: Option<(Role, Seat)>,
        rng: &mut fastrand::Rng,
        list: &mut PeerList,
    ) -> Chosen {
        let takes_seeds = takes_seeds(announce);
        let want = rules.settings.list_length(announce.num_want, list.at_most);
        let mut wish = Wish::new(rules.settings, want);
        let mut chosen = Chosen::default();
        let v6 = self.extra.as_ref().map(|extra| &extra.v6);
        let v6 = v6.filter(|v6| v6.len() > 0);
        let dual_stack = self.extra.as_ref().map(|extra| &extra.dual_stack);
        let dual_stack = dual_stack.filter(|pairs| !list.own_family_only && !pairs.is_empty());
        let is_v4 = announce.ip.is_ipv4();
        for family_is_v4 in [is_v4, !is_v4] {
            let is_own = family_is_v4 == is_v4;
            if !is_own && (list.own_family_only || chosen.all >= want) {
                break;
            }
            // Who is not stored may be here under another address of the same family.
            wish.not = (!is_own || own.is_none()).then_some(announce.peer_id);
            let own = own.filter(|_| is_own);
            let left = wish.want;
            let doubles = dual_stack
                .filter(|_| !is_own)
                .map_or(0, |pairs| pairs.listed(is_v4, list));
            wish.want += doubles;
            let mut more = if family_is_v4 {
                let address = <[u8; 6]>::pack(announce.ip, announce.port);
                hand_out_of(
                    &self.v4,
                    takes_seeds,
                    own,
                    &Standpoint::new(rules.zones, zone, address),
                    &wish,
                    rng,
                    list,
                )
            } else if let Some(v6) = v6 {
                let address = <[u8; 18]>::pack(announce.ip, announce.port);
                hand_out_of(
                    v6,
                    takes_seeds,
                    own,
                    &Standpoint::new(rules.zones, zone, address),
                    &wish,
                    rng,
                    list,
                )
            } else {
                continue;
            };
            wish.want = left;
            if let Some(pairs) = dual_stack.filter(|_| doubles > 0) {
                more.all -= more.all.min(pairs.keep_single(is_v4, left, rng, list));
                more.seeds = more.seeds.min(more.all);
                more.local = more.local.min(more.all);
            }
            chosen = chosen.plus(more);
            wish.note(more.all, more.seeds);
        }
        if chosen.has_rest && chosen.all < want {
            let more = self.hand_out_rest(announce, rules, zone, own, wish, rng, list);
            chosen = chosen.plus(more);
        }
        if let Some(pairs) = dual_stack {
            pairs.complete(list);
        }
        let realms = rules.zones.realms();
        if let Some(extra) = &self.extra {
            extra.others.translate(announce, realms, list);
        }
        if !realms.is_empty() {
            realm::translate(realms, announce, list);
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
        own: Option<(Role, Seat)>,
        mut wish: Wish<'_>,
        rng: &mut fastrand::Rng,
        list: &mut PeerList,
    ) -> Chosen {
        let mut chosen = Chosen::default();
        let takes_seeds = takes_seeds(announce);
        let is_v4 = announce.ip.is_ipv4();
        let families = if list.own_family_only { 1 } else { 2 };
        for step in 0..STEPS {
            for family_is_v4 in [is_v4, !is_v4].into_iter().take(families) {
                let is_own = family_is_v4 == is_v4;
                wish.not = (!is_own).then_some(announce.peer_id);
                let own = own.filter(|_| is_own);
                let more = if family_is_v4 {
                    let address = <[u8; 6]>::pack(announce.ip, announce.port);
                    let standpoint = Standpoint::new(rules.zones, zone, address);
                    let offer = offer(&self.v4, takes_seeds, own);
                    rest::fill(&offer, &standpoint, step, &wish, rng, list)
                } else if let Some(extra) = &self.extra {
                    let address = <[u8; 18]>::pack(announce.ip, announce.port);
                    let standpoint = Standpoint::new(rules.zones, zone, address);
                    let offer = offer(&extra.v6, takes_seeds, own);
                    rest::fill(&offer, &standpoint, step, &wish, rng, list)
                } else {
                    continue;
                };
                chosen = chosen.plus(more);
                wish.note(more.all, more.seeds);
            }
        }
        chosen
    }
}

fn hand_out_of<A: Address + Listed, I: KeptId>(
    peers: &Peers<A, I>,
    takes_seeds: bool,
    own: Option<(Role, Seat)>,
    standpoint: &Standpoint<'_, A>,
    wish: &Wish<'_>,
    rng: &mut fastrand::Rng,
    list: &mut PeerList,
) -> Chosen {
    choose(&offer(peers, takes_seeds, own), standpoint, wish, rng, list)
}

fn takes_seeds(announce: &Announce) -> bool {
    !announce.is_seeder && announce.event != Event::Paused
}

fn offer<A: Address, I: KeptId>(
    peers: &Peers<A, I>,
    takes_seeds: bool,
    own: Option<(Role, Seat)>,
) -> Offer<'_, A, I> {
    Offer {
        leechers: peers.view(Role::Leecher),
        seeders: takes_seeds.then(|| peers.view(Role::Seeder)),
        own,
    }
}
