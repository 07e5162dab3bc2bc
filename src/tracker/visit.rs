//! One announce meets the peers of its family: it joins, is refreshed, leaves, or passes. Bounds are looked at here (S5),
//! and what comes too early (S11).

use std::net::SocketAddr;

use super::announce::{Announce, Event, ScrapeReply};
use super::loads::Loads;
use super::marks::{Marks, REPORTED_MOST};
use super::others::Others;
use super::peer::{Address, KeptId, KeptKey, Peer, State};
use super::peers::{Peers, Role};
use super::recent_clients::RecentClients;
use super::selection::Chosen;
use super::settings::Settings;
use super::span::Seat;
use super::subscriber::Level;
use super::swarm::Swarm;
use super::zones::Zones;
use crate::clock::Seconds;
use crate::metrics::{Fate, Full};

/// What a swarm is told with every visit.
#[derive(Debug)]
pub(super) struct Rules<'a> {
    pub(super) settings: &'a Settings,
    pub(super) zones: &'a Zones,
    pub(super) edition: u16,
    pub(super) loads: &'a Loads,
    pub(super) clients: &'a RecentClients,
    /// [`Settings::lifetime`]
    pub(super) lifetime: u32,
    pub(super) now: Seconds,
}

impl Rules<'_> {
    /// Who was last seen at or before this is dead.
    pub(super) fn horizon(&self) -> u32 {
        self.now.minus(self.lifetime).raw()
    }
}

/// What became of an announce.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    pub(super) fate: Fate,
    /// The announcer's zone.
    pub(super) zone: u32,
    pub(super) chosen: Chosen,
    /// MiB downloaded since its last announce, and the local share of the list it had then, in 255ths.
    pub(super) gained: (u32, u8),
    /// Seconds since its last announce.
    pub(super) since: u32,
    /// The bound at which others left for it, and how many did.
    pub(super) evicted: Option<(Full, u16)>,
    /// The torrent's counts afterwards.
    pub(super) counts: ScrapeReply,
}

impl Outcome {
    /// Before anything has been done.
    pub(super) fn nothing() -> Outcome {
        Outcome {
            fate: Fate::Passed,
            zone: 0,
            chosen: Chosen::default(),
            gained: (0, 0),
            since: 0,
            evicted: None,
            counts: ScrapeReply::default(),
        }
    }
}

/// One announce on its way through the peers of its family.
pub(super) struct Visit<'a> {
    pub(super) announce: &'a Announce,
    pub(super) rules: &'a Rules<'a>,
    /// The announcer's zone with its tier.
    pub(super) zone: u32,
    /// The second addresses that are known (S10).
    pub(super) others: Option<&'a Others>,
    pub(super) in_swarm: usize,
    /// Those of them whose address is only reported.
    pub(super) reported: u8,
}

/// What a visit changed.
pub(super) struct Change {
    pub(super) fate: Fate,
    /// Where the announcer stands, when it is stored.
    pub(super) own: Option<(Role, Seat)>,
    /// What it counted for before and after.
    pub(super) marks: [Marks; 2],
    pub(super) had_other: bool,
    /// Whether its client has an address of the other family here too (S14).
    pub(super) is_dual: bool,
    /// Whether a `completed` is to be counted.
    pub(super) has_completed: bool,
    pub(super) gained: (u32, u8),
    pub(super) since: u32,
}

impl Change {
    pub(super) fn nothing(fate: Fate) -> Change {
        Change {
            fate,
            own: None,
            marks: [Marks::default(); 2],
            had_other: false,
            is_dual: false,
            has_completed: false,
            gained: (0, 0),
            since: 0,
        }
    }
}

impl Visit<'_> {
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
        if since >= settings.min_interval(settings.announce_interval) / 2 {
            return false;
        }
        let own = SocketAddr::new(self.announce.ip, self.announce.port);
        let known = self.others.and_then(|others| others.of(own));
        self.announce.inner_ip == known
    }

    fn downloaded_mib(&self) -> u32 {
        u32::try_from(self.announce.downloaded >> 20).unwrap_or(u32::MAX)
    }

    #[inline]
    pub(super) fn meet<A: Address, I: KeptId>(
        &self,
        peers: &mut Peers<A, I>,
        address: A,
        has_room: impl FnOnce(bool) -> Result<(), Fate>,
    ) -> Change {
        let place = A::place(self.zone, address.key());
        if let Some((role, seat)) = peers.find(place, self.role()) {
            return self.meet_stored(peers, role, seat);
        }
        if self.announce.event == Event::Stopped || self.announce.port == 0 {
            return Change::nothing(Fate::Passed);
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
    fn hold_off<I: KeptId>(&self, state: &State<I>, has_its_id: bool) -> Option<Fate> {
        if has_its_id && !self.announce.is_reported {
            None
        } else {
            self.judge(state)
        }
    }

    /// The same of who has another id, or whose address is only reported.
    #[cold]
    fn judge<I: KeptId>(&self, state: &State<I>) -> Option<Fate> {
        let announce = self.announce;
        if announce.is_reported && !state.is_reported() {
            return Some(Fate::Passed);
        }
        let is_own = state.belongs_to(announce.peer_id, announce.key)
            || (state.is_reported() && !announce.is_reported);
        if is_own || self.rules.now.since(state.seen()) > self.rules.settings.overdue() {
            None
        } else {
            Some(Fate::Foreign)
        }
    }

    fn may_join<A: Address, I: KeptId>(&self, peers: &Peers<A, I>, address: A) -> Result<(), Fate> {
        let settings = self.rules.settings;
        if self.announce.is_reported && self.reported >= REPORTED_MOST {
            return Err(Fate::FullSwarm);
        }
        // What others report of an address leaves it half of its bounds for itself.
        let own = |bound: u32| match self.announce.is_reported {
            true => bound.div_ceil(2),
            false => bound,
        };
        let bound = own(settings.max_ports_per_address) as usize;
        if bound != 0 && subscriber_has(peers, address, self.zone) >= bound {
            return Err(Fate::FullPorts);
        }
        let bound = own(settings.max_torrents_per_address);
        if bound != 0 && self.rules.loads.is_full(self.announce.ip, bound) {
            return Err(Fate::FullAddress);
        }
        let bound = settings.max_peers_per_torrent as usize;
        if bound != 0 && self.in_swarm >= bound {
            return Err(Fate::FullSwarm);
        }
        Ok(())
    }

    fn join<A: Address, I: KeptId>(&self, peers: &mut Peers<A, I>, address: A) -> Change {
        let mut peer = Peer::new(address, self.announce.peer_id, self.zone, self.rules.now);
        peer.state.key = I::Key::of(self.announce.key);
        peer.state.set_paused(self.is_paused());
        peer.state.set_reported(self.announce.is_reported);
        peer.state.set_downloaded_mib(self.downloaded_mib());
        let has_completed = self.announce.event == Event::Completed;
        peer.state.set_completed(has_completed);
        let role = self.role();
        let marks = Marks::of(&peer.state);
        let seat = peers.insert(role, peer);
        self.rules.loads.add(self.announce.ip);
        let change = Change::nothing(Fate::Joined);
        Change {
            own: Some((role, seat)),
            marks: [Marks::default(), marks],
            has_completed,
            ..change
        }
    }

    fn leave<A: Address, I: KeptId>(
        &self,
        peers: &mut Peers<A, I>,
        role: Role,
        seat: Seat,
    ) -> Change {
        let Some(gone) = peers.remove(role, seat) else {
            return Change::nothing(Fate::Passed);
        };
        self.rules.loads.take(self.announce.ip);
        let since = self.rules.now.since(gone.state.seen());
        let gained = self.gained(&gone.state);
        Change {
            marks: [Marks::of(&gone.state), Marks::default()],
            had_other: gone.state.has_other(),
            is_dual: gone.state.is_dual(),
            gained,
            since,
            ..Change::nothing(Fate::Left)
        }
    }

    /// MiB since the last announce. A smaller count is a client that was restarted: all of it is new.
    fn gained<I: KeptId>(&self, peer: &State<I>) -> (u32, u8) {
        let total = self.downloaded_mib();
        (
            total.checked_sub(peer.downloaded_mib()).unwrap_or(total),
            peer.local_share,
        )
    }

    /// The peer under the announcer's address and port is there: it leaves, is refreshed, or stays as it is.
    fn meet_stored<A: Address, I: KeptId>(
        &self,
        peers: &mut Peers<A, I>,
        role: Role,
        seat: Seat,
    ) -> Change {
        let now = self.rules.now;
        let Some(state) = peers.state_mut(role, seat) else {
            return Change::nothing(Fate::Passed);
        };
        let same_id = state.id.is(self.announce.peer_id);
        let since = now.since(state.seen());
        if let Some(fate) = self.hold_off(state, same_id) {
            return Change {
                own: Some((role, seat)),
                since,
                ..Change::nothing(fate)
            };
        }
        if self.announce.event == Event::Stopped {
            return self.leave(peers, role, seat);
        }
        let same_state = role == self.role() && state.is_paused() == self.is_paused();
        if self.announce.event == Event::None && same_state && same_id && self.is_early(since) {
            return Change {
                own: Some((role, seat)),
                ..Change::nothing(Fate::Early)
            };
        }
        let key = I::Key::of(self.announce.key);
        let before = Marks::of(state);
        let (had_other, is_dual) = (state.has_other(), state.is_dual());
        // A client that was restarted under the same address starts counting anew.
        let gained = if same_id || state.key.matches(key) {
            self.gained(state)
        } else {
            (0, 0)
        };
        // Who had everything before completes nothing (P9).
        let had_everything = role == Role::Seeder && !state.is_paused();
        let has_completed =
            self.announce.event == Event::Completed && !had_everything && !state.has_completed();
        if !same_id || self.announce.key.is_some() {
            state.key = key;
        }
        state.id = I::keep(self.announce.peer_id);
        state.set_seen(now);
        state.set_reported(self.announce.is_reported);
        state.set_paused(self.is_paused());
        state.set_downloaded_mib(self.downloaded_mib());
        state.set_completed(state.has_completed() || has_completed);
        let marks = [before, Marks::of(state)];
        let is_surplus = state.is_surplus();
        let mut own = (role, seat);
        if role == self.role() {
            if is_surplus {
                own = (role, peers.give_turn(role, seat));
            }
        } else if let Some(peer) = peers.remove(role, seat) {
            own = (self.role(), peers.insert(self.role(), peer));
        }
        Change {
            fate: Fate::Refreshed,
            own: Some(own),
            marks,
            had_other,
            is_dual,
            has_completed,
            gained,
            since,
        }
    }
}

impl<I: KeptId> Swarm<I> {
    /// Has the announcer meet the peers of its family.
    pub(super) fn meet(
        &mut self,
        announce: &Announce,
        rules: &Rules<'_>,
        zone: u32,
        has_room: impl FnOnce(bool) -> Result<(), Fate>,
    ) -> Change {
        let mut visit = Visit {
            announce,
            rules,
            zone,
            others: None,
            in_swarm: self.len(),
            reported: self.reported,
        };
        if let Some(address) = <[u8; 6]>::pack(announce.ip, announce.port) {
            visit.others = self.extra.as_ref().map(|extra| &extra.others);
            visit.meet(&mut self.v4, address, has_room)
        } else if let Some(address) = <[u8; 18]>::pack(announce.ip, announce.port) {
            let extra = &mut **self.extra.get_or_insert_with(Box::default);
            visit.others = Some(&extra.others);
            visit.meet(&mut extra.v6, address, has_room)
        } else {
            Change::nothing(Fate::Passed)
        }
    }
}

/// How many peers in the zone and tier are in the network of `level` around the address, the surplus included.
pub(super) fn count_within<A: Address, I: KeptId>(
    peers: &Peers<A, I>,
    address: A,
    zone: u32,
    level: Level,
) -> usize {
    let (low, high) = address.prefix(level.bits);
    let (low, high) = (A::place(zone, low), A::place(zone, high));
    peers.count_in(low, high)
}

/// How many peers the address's subscriber has.
fn subscriber_has<A: Address, I: KeptId>(peers: &Peers<A, I>, address: A, zone: u32) -> usize {
    let level = A::LEVELS.first();
    level.map_or(0, |level| count_within(peers, address, zone, *level))
}
