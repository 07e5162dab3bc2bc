//! One announce meets the peers of its family: it joins, is refreshed, leaves, or passes. Bounds are looked at here (S5),
//! and what comes too early (S11).

use std::net::IpAddr;

use super::announce::{Announce, Event};
use super::loads::Loads;
use super::marks::{Marks, REPORTED_MOST};
use super::peer::{Address, KeptId, Peer, State};
use super::peers::{Peers, Role};
use super::selection::Chosen;
use super::settings::Settings;
use super::span::Seat;
use super::zones::Zones;
use crate::clock::Seconds;
use crate::metrics::Fate;

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
        if self.announce.is_reported
            && let Some((role, seat)) = found
            && peers
                .state_mut(role, seat)
                .is_some_and(|state| !state.is_reported())
        {
            return Change::nothing(Fate::Passed);
        }
        match found {
            Some((role, seat)) if self.announce.event == Event::Stopped => {
                self.leave(peers, role, seat)
            }
            Some((role, seat)) => self.refresh(peers, role, seat),
            None if self.announce.event == Event::Stopped || self.announce.port == 0 => {
                Change::nothing(Fate::Passed)
            }
            None => match has_room().and_then(|()| self.may_join(peers, address)) {
                Ok(()) => self.join(peers, address),
                Err(bound) => Change::nothing(bound),
            },
        }
    }

    fn may_join<A: Address, I: KeptId>(&self, peers: &Peers<A, I>, address: A) -> Result<(), Fate> {
        let settings = self.rules.settings;
        if settings.max_peers_per_torrent != 0
            && self.in_swarm >= settings.max_peers_per_torrent as usize
        {
            return Err(Fate::FullSwarm);
        }
        if self.announce.is_reported && self.reported >= REPORTED_MOST {
            return Err(Fate::FullSwarm);
        }
        if settings.max_ports_per_address != 0 {
            let (low, high) = address.prefix(A::BITS);
            let (low, high) = (A::place(self.zone, low), A::place(self.zone, high));
            let ports = peers.count_in(low, high);
            if ports >= settings.max_ports_per_address as usize {
                return Err(Fate::FullPorts);
            }
        }
        let bound = settings.max_torrents_per_address;
        if bound != 0 && self.rules.loads.of(self.announce.ip) >= bound {
            return Err(Fate::FullAddress);
        }
        Ok(())
    }

    fn join<A: Address, I: KeptId>(&self, peers: &mut Peers<A, I>, address: A) -> Change {
        let mut peer = Peer::new(address, self.announce.peer_id, self.zone, self.rules.now);
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
        let same_client = state
            .id
            .given()
            .is_none_or(|id| id == self.announce.peer_id);
        if self.announce.event == Event::None
            && same_state
            && same_client
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
        let gained = if same_client {
            self.gained(state)
        } else {
            (0, 0)
        };
        let has_completed = self.announce.event == Event::Completed && !state.has_completed();
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
