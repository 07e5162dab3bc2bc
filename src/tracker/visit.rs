//! One announce meets the peers of its family: it joins, is refreshed, leaves, or passes. Bounds are looked at here (S5),
//! and what comes too early (S11).

use std::net::{IpAddr, SocketAddr};

use super::announce::{Announce, Event};
use super::loads::Loads;
use super::marks::{Marks, REPORTED_MOST};
use super::peer::{Address, KeptId, KeptKey, Peer, State};
use super::peers::{Peers, Role};
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
    pub(super) now: Seconds,
}

impl Rules<'_> {
    /// Who was last seen at or before this is dead.
    pub(super) fn horizon(&self) -> u32 {
        self.now.minus(self.settings.lifetime()).raw()
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
}

/// One announce on its way through the peers of its family.
pub(super) struct Visit<'a> {
    pub(super) announce: &'a Announce,
    pub(super) rules: &'a Rules<'a>,
    /// The announcer's zone with its tier.
    pub(super) zone: u32,
    /// The announcer's second address as it is known (S10).
    pub(super) inner_ip: Option<IpAddr>,
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

    fn downloaded_mib(&self) -> u32 {
        u32::try_from(self.announce.downloaded >> 20).unwrap_or(u32::MAX)
    }

    pub(super) fn meet<A: Address, I: KeptId>(
        &self,
        peers: &mut Peers<A, I>,
        address: A,
        has_room: impl FnOnce() -> Result<(), Fate>,
    ) -> Change {
        let place = A::place(self.zone, address.key());
        let found = peers.find(place, self.role());
        if let Some((role, seat)) = found
            && let Some(state) = peers.state_mut(role, seat)
            && let Some(fate) = self.hold_off(state)
        {
            return Change {
                own: Some((role, seat)),
                since: self.rules.now.since(state.seen()),
                ..Change::nothing(fate)
            };
        }
        match found {
            Some((role, seat)) if self.announce.event == Event::Stopped => {
                self.leave(peers, role, seat)
            }
            Some((role, seat)) => self.refresh(peers, role, seat),
            None if self.announce.event == Event::Stopped || self.announce.port == 0 => {
                Change::nothing(Fate::Passed)
            }
            None => match self.may_join(peers, address).and_then(|()| has_room()) {
                Ok(()) => self.join(peers, address),
                Err(bound) => Change::nothing(bound),
            },
        }
    }

    /// Why the peer that is stored under the announcer's address and port is not the announcer's to change (S1). It is its own
    /// when it has the stored id or key, or when the owner has been silent for longer than it was told to be: then it is the
    /// same client, restarted. What is only reported never stands in the way of who comes itself.
    fn hold_off<I: KeptId>(&self, state: &State<I>) -> Option<Fate> {
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

    fn refresh<A: Address, I: KeptId>(
        &self,
        peers: &mut Peers<A, I>,
        role: Role,
        seat: Seat,
    ) -> Change {
        let now = self.rules.now;
        let Some(state) = peers.state_mut(role, seat) else {
            return Change::nothing(Fate::Passed);
        };
        let since = now.since(state.seen());
        let same_state = role == self.role() && state.is_paused() == self.is_paused();
        let settings = self.rules.settings;
        let early = settings.min_interval(settings.announce_interval) / 2;
        let same_id = state.id.is(self.announce.peer_id);
        let key = I::Key::of(self.announce.key);
        if self.announce.event == Event::None
            && same_state
            && same_id
            && since < early
            && self.announce.inner_ip == self.inner_ip
        {
            return Change {
                own: Some((role, seat)),
                ..Change::nothing(Fate::Early)
            };
        }
        let before = Marks::of(state);
        let had_other = state.has_other();
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
        has_room: impl FnOnce() -> Result<(), Fate>,
    ) -> Change {
        let address = SocketAddr::new(announce.ip, announce.port);
        let extra = self.extra.as_ref();
        let visit = Visit {
            announce,
            rules,
            zone,
            inner_ip: extra.and_then(|extra| extra.others.of(address)),
            in_swarm: self.len(),
            reported: self.reported,
        };
        if let Some(address) = <[u8; 6]>::pack(announce.ip, announce.port) {
            visit.meet(&mut self.v4, address, has_room)
        } else if let Some(address) = <[u8; 18]>::pack(announce.ip, announce.port) {
            let extra = self.extra.get_or_insert_with(Box::default);
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
