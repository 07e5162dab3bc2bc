//! One torrent's peers of both families: join, refresh, leave, expire, count, choose. It is touched under its shard's lock
//! only, and nothing in it waits.

mod alternate_addresses;
mod departed;
mod downloaded_elsewhere;
pub(super) mod dual_stack;
mod evict;
mod families;
mod flag_counts;
mod hand_out;
mod inner_addresses;
pub(super) mod map;
mod merge;
mod occupancy;
pub(super) mod stored;
mod tell;
pub(super) mod upsert;
pub(in crate::tracker) mod withheld;

use std::net::{IpAddr, SocketAddr};

use super::abuse::address_counts::Charge;
use super::announce::{Announce, Event, PeerList, ScrapeReply};
use super::peers::address::{Address, tiered};
use super::peers::by_role::ByRole;
use super::peers::owner::StoredId;
use super::peers::peer::State;
use super::peers::position::{Position, number};
use super::peers::{Peers, Role};
use super::select::Chosen;
use super::zones::Zones;
use crate::clock::Seconds;
use crate::invariant::{certain, minus};
use crate::metrics::{AnnounceOutcome, Family, Full};
use crate::net::is_link_local;
use alternate_addresses::AlternateAddresses;
use departed::Departed;
use downloaded_elsewhere::CountsElsewhere;
use dual_stack::DualStack;
use families::{Families, for_each_family, of_family};
use flag_counts::FlagCountsChange;
use occupancy::ExportState;
use upsert::{AnnounceEffect, Change, Rules};

/// What only few swarms have, boxed so that the others do not pay for it: v6 peers, second addresses, and counts of other trackers.
#[derive(Debug)]
struct Extra<I: StoredId> {
    v6: Peers<[u8; 18], I>,
    /// Second addresses of peers (S10).
    alternates: AlternateAddresses,
    /// Clients with an address of each family (S14).
    dual_stack: DualStack,
    /// Peers that completed it, as other trackers counted them.
    elsewhere: CountsElsewhere,
}

impl<I: StoredId> Default for Extra<I> {
    fn default() -> Self {
        Extra {
            v6: Peers::default(),
            alternates: AlternateAddresses::default(),
            dual_stack: DualStack::default(),
            elsewhere: CountsElsewhere::default(),
        }
    }
}

/// One torrent.
#[derive(Debug)]
pub(super) struct Swarm<I: StoredId> {
    v4: Peers<[u8; 6], I>,
    extra: Option<Box<Extra<I>>>,
    /// Peers that ever completed it, as this tracker counted them.
    downloaded: u32,
    /// Nobody was last seen before this; without peers: when the last one was here.
    oldest: u32,
    paused: u32,
    reported: u8,
    /// Which [`Zones`] its peers are sorted by.
    revision: u16,
    export: ExportState,
    /// Who first completed it and is charged for its count while it has no peers (S5).
    charge: Charge,
}

impl<I: StoredId> Swarm<I> {
    fn new(rules: &Rules<'_>) -> Swarm<I> {
        Swarm {
            v4: Peers::default(),
            extra: None,
            downloaded: 0,
            oldest: rules.now.raw(),
            paused: 0,
            reported: 0,
            revision: rules.revision,
            export: ExportState::Never,
            charge: Charge::default(),
        }
    }

    fn len(&self) -> usize {
        self.v4.len() + self.extra.as_ref().map_or(0, |extra| extra.v6.len())
    }

    /// When the last peer was here; for a swarm without peers.
    fn last_used(&self) -> Seconds {
        Seconds::from_raw(self.oldest)
    }

    /// The counts, exact once [`Swarm::refresh`] has been called with the same time.
    fn counts(&self) -> ScrapeReply {
        let mut count = ByRole::<usize>::default();
        for_each_family!(self.families(), peers => {
            let more = peers.counts();
            count.leechers += more.leechers;
            count.seeders += more.seeders;
        });
        let ByRole { leechers, seeders } = count.map(number);
        let counts = ScrapeReply {
            complete: minus(seeders, self.paused, "the paused stand with the seeders"),
            incomplete: leechers + self.paused,
            downloaded: self.downloaded,
            downloaders: leechers,
        };
        match &self.extra {
            Some(extra) => ScrapeReply {
                downloaded: extra.elsewhere.plus(self.downloaded),
                ..extra.dual_stack.correct(counts)
            },
            None => counts,
        }
    }

    /// Whether [`Swarm::refresh`] would change anything.
    fn is_stale(&self, rules: &Rules<'_>) -> bool {
        self.len() > 0 && (self.oldest <= rules.horizon() || self.revision != rules.revision)
    }

    /// Removes the dead, and sorts all peers anew when the zones have changed. Returns how many were removed.
    fn refresh(&mut self, rules: &Rules<'_>) -> usize {
        if self.revision != rules.revision {
            self.place_anew(rules);
        }
        if self.len() == 0 || self.oldest > rules.horizon() {
            return 0;
        }
        let before = self.len();
        let horizon = rules.horizon();
        let mut removed = Departed::default();
        for_each_family!(self.families_mut(), peers => {
            peers.expire(horizon, &mut |peer| removed.on_removed(peer, rules));
        });
        let last_seen = self.account_removed(removed, rules);
        let died = before - self.len();
        self.oldest = if self.len() == 0 {
            last_seen
        } else {
            self.oldest_of_all()
        };
        self.tidy(rules.zones);
        if died > 0 {
            self.touch();
        }
        died
    }

    /// Nobody was last seen before this; [`u32::MAX`] when nobody is there.
    fn oldest_of_all(&self) -> u32 {
        let mut oldest = u32::MAX;
        for_each_family!(self.families(), peers => oldest = oldest.min(peers.oldest()));
        oldest
    }

    /// Drops second addresses of who has gone, and the [`Extra`] when nothing is in it.
    fn tidy(&mut self, zones: &Zones) {
        let Some(extra) = &mut self.extra else { return };
        let families = Families {
            v4: &self.v4,
            v6: Some(&extra.v6),
        };
        extra
            .alternates
            .retain(|address| families.find(address, zones).is_some());
        if extra.alternates.is_empty() && extra.v6.len() == 0 && extra.elsewhere.is_empty() {
            self.extra = None;
        }
    }

    fn place_anew(&mut self, rules: &Rules<'_>) {
        fn anew<A: Address, I: StoredId>(peers: &mut Peers<A, I>, zones: &Zones) {
            let all = peers.drain().into_iter().map(|(role, mut peer)| {
                peer.set_zone(tiered(zones.of(peer.ip()), peer.ip()));
                (role, peer)
            });
            *peers = Peers::rebuild(all);
        }
        for_each_family!(self.families_mut(), peers => anew(peers, rules.zones));
        self.revision = rules.revision;
    }

    /// Answers an announce of a peer at `packed` address; the swarm has been [refreshed](Swarm::refresh). `has_room` says
    /// whether the tracker as a whole takes one more peer, in a torrent that has others or not.
    #[inline]
    fn announce(
        &mut self,
        announce: &Announce,
        rules: &Rules<'_>,
        has_room: impl FnOnce(bool) -> Result<(), AnnounceOutcome>,
        rng: &mut fastrand::Rng,
        list: &mut PeerList,
    ) -> AnnounceEffect {
        let zone = rules.zones.of(announce.ip);
        let tiered = tiered(zone, announce.ip);
        let has_room = |is_living| {
            if is_link_local(announce.ip) {
                Err(AnnounceOutcome::Passed)
            } else {
                has_room(is_living)
            }
        };
        let mut change = self.meet(announce, rules, tiered, has_room);
        let mut evicted = None;
        if change.outcome == AnnounceOutcome::FullSwarm
            && !announce.is_reported
            && self.give_way(announce.ip, rules, rng)
        {
            // One for one: the tracker as a whole has no more than before.
            change = self.meet(announce, rules, tiered, |_| Ok(()));
            evicted = Some((Full::Swarm, 1));
        }
        self.account(announce, &mut change, rules);
        let may_be_dual =
            announce.key.is_some() && (change.outcome == AnnounceOutcome::Joined || self.has_v6());
        if (change.is_dual || may_be_dual) && !self.link(announce, &change, rules) {
            change = Change::nothing(AnnounceOutcome::Passed);
        }
        let (chosen, decision) = if announce.event == Event::Stopped {
            self.tidy(rules.zones);
            (Chosen::default(), None)
        } else {
            self.hand_out(announce, rules, tiered, &change, rng, list)
        };
        if let Some((role, position)) = change.own
            && matches!(
                change.outcome,
                AnnounceOutcome::Joined | AnnounceOutcome::Refreshed
            )
        {
            self.remember_share(announce.ip, role, position, &chosen);
        }
        AnnounceEffect {
            outcome: change.outcome,
            zone,
            chosen,
            decision,
            gained: change.gained,
            since: change.since,
            is_news: change.is_news,
            evicted,
            counts: self.counts(),
        }
    }

    /// Brings the counts of flags and of completed downloads in line with a change.
    fn account(&mut self, announce: &Announce, change: &mut Change, rules: &Rules<'_>) {
        let now = rules.now.raw();
        let FlagCountsChange { before, after } = change.flag_counts;
        if before != after {
            self.apply(change.flag_counts);
        }
        if change.has_completed && !(change.is_dual && self.is_uncounted(announce)) {
            if self.downloaded == 0 {
                self.charge = rules.address_counts.charge_of(announce.ip);
            }
            self.downloaded = self.downloaded.saturating_add(1);
        }
        match change.outcome {
            AnnounceOutcome::Refreshed => {}
            AnnounceOutcome::Joined => self.oldest = self.oldest.min(now),
            AnnounceOutcome::Left if self.len() == 0 => self.oldest = now,
            AnnounceOutcome::Left => {}
            _ => return,
        }
        self.touch();
        if change.outcome != AnnounceOutcome::Left
            && (announce.inner_ip.is_some() || change.had_alternate)
        {
            let address = SocketAddr::new(announce.ip, announce.port);
            change.is_news |= self.keep_other(address, announce.inner_ip, change.own);
        }
    }

    /// Keeps or forgets the second address (S10) of a peer. Whether it is another one than before.
    #[cold]
    fn keep_other(
        &mut self,
        address: SocketAddr,
        other: Option<IpAddr>,
        own: Option<(Role, Position)>,
    ) -> bool {
        let extra = self.extra.get_or_insert_with(Box::default);
        let before = extra.alternates.of(address);
        let is_kept = extra.alternates.keep(address, other);
        if let Some((role, position)) = own
            && let Some(state) = self.state_mut(address.ip(), role, position)
        {
            state.set_has_alternate(is_kept);
        }
        before != other.filter(|_| is_kept)
    }

    /// Whether it has v6 peers: only then a client can have two addresses in it.
    fn has_v6(&self) -> bool {
        self.extra.as_ref().is_some_and(|extra| extra.v6.len() > 0)
    }

    /// What is kept of the peer of the address's family at a position.
    fn state_mut(&mut self, ip: IpAddr, role: Role, position: Position) -> Option<&mut State<I>> {
        of_family!(self.families_mut(), Family::of(ip), peers => peers.state_mut(role, position))
            .flatten()
    }

    /// Keeps how local the list was. Who was handed nobody keeps the neighbours of the list before.
    fn remember_share(&mut self, ip: IpAddr, role: Role, position: Position, chosen: &Chosen) {
        if chosen.all == 0 {
            return;
        }
        if let Some(state) = self.state_mut(ip, role, position) {
            let share = chosen.local * 255 / chosen.all;
            let share = u8::try_from(share).ok();
            state.set_local_share(certain(share, u8::MAX, "no more are local than all"));
        }
    }
}
