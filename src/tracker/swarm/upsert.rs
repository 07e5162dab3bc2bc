//! One announce meets the peers of its family: it joins, is refreshed, leaves, or passes. Bounds are looked at here (S5),
//! and what comes too early (S11).

use std::net::SocketAddr;

use super::Swarm;
use super::alternate_addresses::AlternateAddresses;
use super::dual_stack::recent_clients::RecentClients;
use super::flag_counts::{FlagCounts, FlagCountsChange, MAX_REPORTED};
use super::stored::StoredPeer;
use crate::clock::Seconds;
use crate::metrics::{AnnounceOutcome, Full};
use crate::net::subscriber::Level;
use crate::tracker::abuse::address_counts::AddressCounts;
use crate::tracker::announce::{Announce, Event, ListOptions, ScrapeReply};
use crate::tracker::id::InfoHash;
use crate::tracker::peers::address::Address;
use crate::tracker::peers::owner::{StoredId, StoredKey};
use crate::tracker::peers::peer::{Peer, State};
use crate::tracker::peers::position::Position;
use crate::tracker::peers::{Peers, Role};
use crate::tracker::select::Chosen;
use crate::tracker::select::few::Decision;
use crate::tracker::settings::Settings;
use crate::tracker::sites::origins::Origins;
use crate::tracker::zones::{ZoneId, Zones};

/// What a swarm is told with every announce.
#[derive(Debug)]
pub(crate) struct Rules<'a> {
    pub settings: &'a Settings,
    pub zones: &'a Zones,
    pub revision: u16,
    pub address_counts: &'a AddressCounts,
    pub clients: &'a RecentClients,
    pub origins: &'a Origins,
    /// [`Settings::lifetime`]
    pub lifetime: u32,
    pub now: Seconds,
}

impl Rules<'_> {
    /// Who was last seen at or before this is dead.
    pub(crate) fn horizon(&self) -> u32 {
        self.now.minus(self.lifetime).raw()
    }
}

/// What became of an announce.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AnnounceEffect {
    pub outcome: AnnounceOutcome,
    /// The announcer's zone.
    pub zone: Option<ZoneId>,
    pub chosen: Chosen,
    /// What the rule `few` said, where it is in force (S15).
    pub decision: Option<Decision>,
    /// MiB downloaded since its last announce, and the local share of the list it had then, in 255ths.
    pub gained: (u32, u8),
    /// Seconds since its last announce.
    pub since: u32,
    /// Whether other trackers have to be told of a refresh at once, since something is new.
    pub is_news: bool,
    /// The bound at which others left for it, and how many did.
    pub evicted: Option<(Full, u16)>,
    /// The torrent's counts afterwards.
    pub counts: ScrapeReply,
}

impl AnnounceEffect {
    /// Before anything has been done.
    pub(crate) fn nothing() -> AnnounceEffect {
        AnnounceEffect {
            outcome: AnnounceOutcome::Passed,
            zone: None,
            chosen: Chosen::default(),
            decision: None,
            gained: (0, 0),
            since: 0,
            is_news: false,
            evicted: None,
            counts: ScrapeReply::default(),
        }
    }
}

/// One announce on its way through the peers of its family.
struct Upsert<'a> {
    announce: &'a Announce,
    rules: &'a Rules<'a>,
    /// The announcer's zone with its tier.
    zone: u32,
    /// The second addresses that are known (S10).
    alternates: Option<&'a AlternateAddresses>,
    in_swarm: usize,
    /// Those of them whose address is only reported.
    reported: u8,
}

/// What an announce changed.
pub(crate) struct Change {
    pub outcome: AnnounceOutcome,
    /// Where the announcer stands, when it is stored.
    pub own: Option<(Role, Position)>,
    /// Its flags before and after.
    pub flag_counts: FlagCountsChange,
    pub had_alternate: bool,
    /// Whether its client has an address of the other family here too (S14), or had one when a block hid it.
    pub is_dual: bool,
    /// Whether a `completed` is to be counted.
    pub has_completed: bool,
    pub gained: (u32, u8),
    pub since: u32,
    /// Whether a refresh changed what others see of it, or whose it is.
    pub is_news: bool,
}

impl Change {
    pub(super) fn nothing(outcome: AnnounceOutcome) -> Change {
        Change {
            outcome,
            own: None,
            flag_counts: FlagCountsChange::default(),
            had_alternate: false,
            is_dual: false,
            has_completed: false,
            gained: (0, 0),
            since: 0,
            is_news: false,
        }
    }
}

impl Upsert<'_> {
    fn role(&self) -> Role {
        let is_seed = self.announce.is_seeder || self.announce.event == Event::Paused;
        if is_seed { Role::Seeder } else { Role::Leecher }
    }

    fn is_paused(&self) -> bool {
        self.announce.event == Event::Paused && !self.announce.is_seeder
    }

    /// Whether who was last here `since` seconds ago, and says nothing new, comes too early (S11).
    fn is_early(&self, since: u32) -> bool {
        let settings = self.rules.settings;
        let shortest = settings.shortest_interval(!self.rules.zones.is_empty());
        if since >= settings.min_interval(shortest) / 2 {
            return false;
        }
        let own = SocketAddr::new(self.announce.ip, self.announce.port);
        let known = self.alternates.and_then(|alternates| alternates.of(own));
        self.announce.inner_ip == known
    }

    fn downloaded_mib(&self) -> u32 {
        // A client may say anything.
        u32::try_from(self.announce.downloaded >> 20).unwrap_or(u32::MAX)
    }

    #[inline]
    fn meet<A: Address, I: StoredId>(
        &self,
        peers: &mut Peers<A, I>,
        address: A,
        has_room: impl FnOnce(bool) -> Result<(), AnnounceOutcome>,
    ) -> Change {
        let sort_key = A::sort_key(self.zone, address.key());
        if let Some((role, position)) = peers.find(sort_key, self.role()) {
            return self.meet_stored(peers, role, position);
        }
        if self.announce.event == Event::Stopped || self.announce.port == 0 {
            return Change::nothing(AnnounceOutcome::Passed);
        }
        let room = self.may_join(peers, address);
        match room.and_then(|()| has_room(self.in_swarm > 0)) {
            Ok(()) => self.join(peers, address),
            Err(bound) => Change::nothing(bound),
        }
    }

    /// Why the peer that is stored under the announcer's address and port is not the announcer's to change (S1). It is its own
    /// when it has the stored id or key, or when the owner has been silent for longer than it was told to be: then it is the
    /// same client, restarted. What is only reported never stands in the way of who comes itself.
    #[inline]
    fn hold_off<I: StoredId>(&self, state: &State<I>, has_its_id: bool) -> Option<AnnounceOutcome> {
        if has_its_id && !self.announce.is_reported {
            None
        } else {
            self.judge(state)
        }
    }

    /// The same of who has another id, or whose address is only reported.
    #[cold]
    fn judge<I: StoredId>(&self, state: &State<I>) -> Option<AnnounceOutcome> {
        let announce = self.announce;
        if announce.is_reported && !state.is_reported() {
            return Some(AnnounceOutcome::Passed);
        }
        let is_own = state.belongs_to(announce.peer_id, announce.key)
            || (state.is_reported() && !announce.is_reported);
        if is_own || self.rules.now.since(state.seen()) > self.rules.settings.overdue() {
            None
        } else {
            Some(AnnounceOutcome::Foreign)
        }
    }

    fn may_join<A: Address, I: StoredId>(
        &self,
        peers: &Peers<A, I>,
        address: A,
    ) -> Result<(), AnnounceOutcome> {
        let settings = self.rules.settings;
        if self.announce.is_reported && self.reported >= MAX_REPORTED {
            return Err(AnnounceOutcome::FullSwarm);
        }
        // What others report of an address leaves it half of its bounds for itself.
        let own = |bound: u32| match self.announce.is_reported {
            true => bound.div_ceil(2),
            false => bound,
        };
        let bound = own(settings.max_ports_per_address) as usize;
        if bound != 0 && subscriber_has(peers, address, self.zone) >= bound {
            return Err(AnnounceOutcome::FullPorts);
        }
        let bound = own(settings.max_torrents_per_address);
        if bound != 0 && self.rules.address_counts.is_full(self.announce.ip, bound) {
            return Err(AnnounceOutcome::FullAddress);
        }
        let bound = settings.max_peers_per_torrent as usize;
        if bound != 0 && self.in_swarm >= bound {
            return Err(AnnounceOutcome::FullSwarm);
        }
        Ok(())
    }

    fn join<A: Address, I: StoredId>(&self, peers: &mut Peers<A, I>, address: A) -> Change {
        let mut peer = Peer::new(address, self.announce.peer_id, self.zone, self.rules.now);
        peer.state.key = I::Key::of(self.announce.key);
        peer.state.set_paused(self.is_paused());
        peer.state.set_reported(self.announce.is_reported);
        peer.state.set_downloaded_mib(self.downloaded_mib());
        let has_completed = self.announce.event == Event::Completed;
        peer.state.set_completed(has_completed);
        let role = self.role();
        let after = FlagCounts::of(&peer.state);
        let position = peers.insert(role, peer);
        self.rules.address_counts.add(self.announce.ip);
        let change = Change::nothing(AnnounceOutcome::Joined);
        Change {
            own: Some((role, position)),
            flag_counts: FlagCountsChange {
                after,
                ..FlagCountsChange::default()
            },
            has_completed,
            ..change
        }
    }

    fn leave<A: Address, I: StoredId>(
        &self,
        peers: &mut Peers<A, I>,
        role: Role,
        position: Position,
    ) -> Change {
        let Some(mut gone) = peers.remove(role, position) else {
            return Change::nothing(AnnounceOutcome::Passed);
        };
        self.rules.address_counts.take(self.announce.ip);
        if gone.state.is_elsewhere() {
            self.take_over(&mut gone.state);
        }
        let since = self.rules.now.since(gone.state.seen());
        let gained = self.gained(&gone.state);
        Change {
            flag_counts: FlagCountsChange {
                before: FlagCounts::of(&gone.state),
                ..FlagCountsChange::default()
            },
            had_alternate: gone.state.has_alternate(),
            is_dual: gone.state.is_dual(),
            gained,
            since,
            ..Change::nothing(AnnounceOutcome::Left)
        }
    }

    /// MiB since the last announce. A smaller count is a client that was restarted: all of it is new.
    fn gained<I: StoredId>(&self, peer: &State<I>) -> (u32, u8) {
        let total = self.downloaded_mib();
        (
            total.checked_sub(peer.downloaded_mib()).unwrap_or(total),
            peer.local_share(),
        )
    }

    /// The peer under the announcer's address and port is there: it leaves, is refreshed, or stays as it is.
    fn meet_stored<A: Address, I: StoredId>(
        &self,
        peers: &mut Peers<A, I>,
        role: Role,
        position: Position,
    ) -> Change {
        let now = self.rules.now;
        let Some(state) = peers.state_mut(role, position) else {
            return Change::nothing(AnnounceOutcome::Passed);
        };
        let same_id = state.id.is(self.announce.peer_id);
        let since = now.since(state.seen());
        if let Some(outcome) = self.hold_off(state, same_id) {
            return Change {
                own: Some((role, position)),
                since,
                ..Change::nothing(outcome)
            };
        }
        if self.announce.event == Event::Stopped {
            return self.leave(peers, role, position);
        }
        let same_state = role == self.role() && state.is_paused() == self.is_paused();
        let was_elsewhere = state.is_elsewhere();
        if was_elsewhere {
            self.take_over(state);
        }
        if self.announce.event == Event::None
            && same_state
            && same_id
            && !was_elsewhere
            && self.is_early(since)
        {
            return Change {
                own: Some((role, position)),
                is_dual: state.is_dual(),
                ..Change::nothing(AnnounceOutcome::Early)
            };
        }
        let key = I::Key::of(self.announce.key);
        let before = FlagCounts::of(state);
        let (had_alternate, is_dual) = (state.has_alternate(), state.is_dual());
        // A client that was restarted under the same address starts counting anew.
        let gained = if same_id || state.key.matches(key) {
            self.gained(state)
        } else {
            (0, 0)
        };
        let has_completed = self.announce.event == Event::Completed && may_complete(role, state);
        if !same_id || self.announce.key.is_some() {
            state.key = key;
        }
        self.keep(state, has_completed);
        let flag_counts = FlagCountsChange {
            before,
            after: FlagCounts::of(state),
        };
        let is_surplus = state.is_surplus();
        let mut own = (role, position);
        if role == self.role() {
            if is_surplus {
                own = (role, peers.give_turn(role, position));
            }
        } else if let Some(peer) = peers.remove(role, position) {
            own = (self.role(), peers.insert(self.role(), peer));
        }
        Change {
            outcome: AnnounceOutcome::Refreshed,
            own: Some(own),
            flag_counts,
            had_alternate,
            is_dual,
            has_completed,
            gained,
            since,
            is_news: !same_state | has_completed | was_elsewhere | !same_id,
        }
    }

    /// Keeps what the announcer says of itself.
    #[inline(always)]
    fn keep<I: StoredId>(&self, state: &mut State<I>, has_completed: bool) {
        state.set_completed(state.has_completed() || has_completed);
        state.id = I::keep(self.announce.peer_id);
        state.set_seen(self.rules.now);
        state.set_reported(self.announce.is_reported);
        state.set_paused(self.is_paused());
        state.set_downloaded_mib(self.downloaded_mib());
    }

    /// Who announced to another tracker before is this one's own from now on. How local its list was there nobody knows.
    #[cold]
    fn take_over<I: StoredId>(&self, state: &mut State<I>) {
        if let Some(origin) = state.origin() {
            self.rules.origins.take(origin);
            state.set_origin(None);
        }
    }
}

/// Whether a peer can have completed its download just now: who had everything before completes nothing (P9).
#[inline]
fn may_complete<I: StoredId>(role: Role, state: &State<I>) -> bool {
    let had_everything = role == Role::Seeder && !state.is_paused();
    !had_everything && !state.has_completed()
}

impl<I: StoredId> Swarm<I> {
    /// Has the announcer meet the peers of its family.
    pub(super) fn meet(
        &mut self,
        announce: &Announce,
        rules: &Rules<'_>,
        zone: u32,
        has_room: impl FnOnce(bool) -> Result<(), AnnounceOutcome>,
    ) -> Change {
        let mut upsert = Upsert {
            announce,
            rules,
            zone,
            alternates: None,
            in_swarm: self.len(),
            reported: self.reported,
        };
        if let Some(address) = <[u8; 6]>::pack(announce.ip, announce.port) {
            upsert.alternates = self.extra.as_ref().map(|extra| &extra.alternates);
            upsert.meet(&mut self.v4, address, has_room)
        } else if let Some(address) = <[u8; 18]>::pack(announce.ip, announce.port) {
            let extra = &mut **self.extra.get_or_insert_with(Box::default);
            upsert.alternates = Some(&extra.alternates);
            upsert.meet(&mut extra.v6, address, has_room)
        } else {
            Change::nothing(AnnounceOutcome::Passed)
        }
    }
}

impl<I: StoredId> Swarm<I> {
    /// Whether the bounds of the torrent and of the address let a peer join that another tracker tells of: those that they let
    /// announce itself.
    pub(super) fn may_join(&mut self, peer: &StoredPeer, rules: &Rules<'_>, zone: u32) -> bool {
        let announce = Announce {
            info_hash: InfoHash([0; 20]),
            peer_id: peer.id,
            key: None,
            ip: peer.ip,
            inner_ip: None,
            is_reported: peer.is_reported,
            port: peer.port,
            is_seeder: peer.is_seeder,
            downloaded: 0,
            event: Event::None,
            num_want: None,
            options: ListOptions::default(),
        };
        let upsert = Upsert {
            announce: &announce,
            rules,
            zone,
            alternates: None,
            in_swarm: self.len(),
            reported: self.reported,
        };
        if let Some(address) = <[u8; 6]>::pack(peer.ip, peer.port) {
            return upsert.may_join(&self.v4, address).is_ok();
        }
        let Some(address) = <[u8; 18]>::pack(peer.ip, peer.port) else {
            return false;
        };
        match &self.extra {
            Some(extra) => upsert.may_join(&extra.v6, address),
            None => upsert.may_join(&Peers::<[u8; 18], I>::default(), address),
        }
        .is_ok()
    }
}

/// How many peers in the zone and tier are in the network of `level` around the address, the surplus included.
pub(super) fn count_within<A: Address, I: StoredId>(
    peers: &Peers<A, I>,
    address: A,
    zone: u32,
    level: Level,
) -> usize {
    let (low, high) = address.prefix(level.bits);
    let (low, high) = (A::sort_key(zone, low), A::sort_key(zone, high));
    peers.count_in(low, high)
}

/// How many peers the address's subscriber has.
fn subscriber_has<A: Address, I: StoredId>(peers: &Peers<A, I>, address: A, zone: u32) -> usize {
    let level = A::LEVELS.first();
    level.map_or(0, |level| count_within(peers, address, zone, *level))
}
