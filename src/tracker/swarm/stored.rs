//! Swarms as they leave the core for a snapshot and come back: plain values, whole swarms at a time.

use std::net::{IpAddr, SocketAddr};

use super::alternate_addresses::AlternateAddresses;
use super::families::for_each_family;
use super::occupancy::ExportState;
use super::upsert::Rules;
use super::{Extra, Swarm};
use crate::clock::Seconds;
use crate::net::{is_link_local, is_reachable};
use crate::tracker::id::{InfoHash, PeerId};
use crate::tracker::peers::address::{Address, tiered};
use crate::tracker::peers::owner::StoredId;
use crate::tracker::peers::peer::Peer;
use crate::tracker::peers::{Peers, Role};
use crate::tracker::report::census::Roles;
use crate::tracker::sites::Origin;
use crate::tracker::zones::Zones;
use crate::tracker::{AllSwarms, Tracker, with};

/// One peer of a [`StoredSwarm`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredPeer {
    /// Canonical address.
    pub ip: IpAddr,
    /// Its address inside a pair of networks, when it has one (S10).
    pub inner_ip: Option<IpAddr>,
    /// Never 0.
    pub port: u16,
    /// All zeros when ids are not kept.
    pub id: PeerId,
    /// Whether it has everything.
    pub is_seeder: bool,
    /// Whether it is a paused partial seed (BEP 21).
    pub is_paused: bool,
    /// Whether its address is only what somebody reported.
    pub is_reported: bool,
    /// Whether its `completed` has been counted.
    pub has_completed: bool,
    /// Bytes it said it had downloaded, in whole MiB, at most 2²⁴ − 1.
    pub downloaded_mib: u32,
    /// When it last announced.
    pub last_seen: Seconds,
    /// Which other tracker it announces to; `None` for this one.
    pub origin: Option<Origin>,
}

/// One torrent with its peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSwarm {
    /// The torrent's info hash, of 20 bytes (BEP 3).
    pub info_hash: InfoHash,
    /// Peers that ever completed it, as far as this tracker counted them.
    pub downloaded: u32,
    /// What other trackers counted.
    pub downloaded_elsewhere: Vec<(Origin, u32)>,
    /// When it last had a peer; matters only while `peers` is empty.
    pub last_used: Seconds,
    /// Its living peers, in no particular order.
    pub peers: Vec<StoredPeer>,
}

impl StoredPeer {
    /// What is stored of a peer; `alternate` knows its second address where it has one.
    pub(super) fn of<A: Address, I: StoredId>(
        role: Role,
        peer: &Peer<A, I>,
        alternate: impl FnOnce(SocketAddr) -> Option<IpAddr>,
    ) -> StoredPeer {
        let state = &peer.state;
        let address = SocketAddr::new(peer.ip(), peer.packed_key.address().port());
        StoredPeer {
            ip: address.ip(),
            inner_ip: if state.has_alternate() {
                alternate(address)
            } else {
                None
            },
            port: address.port(),
            // Zeros where ids are not kept.
            id: state.id.given().unwrap_or(PeerId([0; 20])),
            is_seeder: role == Role::Seeder && !state.is_paused(),
            is_paused: state.is_paused(),
            is_reported: state.is_reported(),
            has_completed: state.has_completed(),
            downloaded_mib: state.downloaded_mib(),
            last_seen: state.seen(),
            origin: state.origin(),
        }
    }

    /// The peer as a swarm keeps it; `None` when it is not of the family.
    pub(super) fn packed<A: Address, I: StoredId>(
        &self,
        zones: &Zones,
    ) -> Option<(Role, Peer<A, I>)> {
        let address = A::pack(self.ip, self.port)?;
        let zone = tiered(zones.of(self.ip), self.ip);
        let mut new = Peer::new(address, self.id, zone, self.last_seen);
        new.state.set_paused(self.is_paused);
        new.state.set_reported(self.is_reported);
        new.state.set_completed(self.has_completed);
        new.state.set_downloaded_mib(self.downloaded_mib);
        new.state.set_has_alternate(self.inner_ip.is_some());
        new.state.set_origin(self.origin);
        let role = if self.is_seeder || self.is_paused {
            Role::Seeder
        } else {
            Role::Leecher
        };
        Some((role, new))
    }
}

/// What became of a [`StoredSwarm`] that was put back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Peers that are in the swarm again.
    pub peers: usize,
    /// Whether the blocklist covers some of it, which is withheld (W4).
    pub has_withheld: bool,
}

impl<I: StoredId> Swarm<I> {
    /// The living peers as plain values.
    pub(crate) fn export(&self, horizon: u32) -> Vec<StoredPeer> {
        let mut stored = Vec::with_capacity(self.len());
        self.for_each(|peer| {
            if peer.last_seen.raw() > horizon {
                stored.push(peer);
            }
        });
        stored
    }

    /// Its living peers. Looks at each only when somebody may have died.
    pub(crate) fn roles(&self, horizon: u32) -> Roles {
        let mut roles = Roles::default();
        if self.oldest > horizon {
            let counts = self.counts();
            (roles.seeders, roles.leechers) = (counts.complete.into(), counts.incomplete.into());
        } else {
            self.for_each(|peer| {
                if peer.last_seen.raw() > horizon {
                    roles.count(peer.is_seeder);
                }
            });
        }
        roles
    }

    /// Hands every stored peer to `each`, living or not.
    pub(crate) fn for_each(&self, mut each: impl FnMut(StoredPeer)) {
        let alternates = self.extra.as_ref().map(|extra| &extra.alternates);
        for_each_family!(self.families(), peers => {
            peers.iter().for_each(|(role, peer)| {
                each(StoredPeer::of(role, &peer, |address| alternates.and_then(|alternates| alternates.of(address))));
            });
        });
    }

    /// Makes a swarm of what was stored, of whose peers those are taken that are alive and within the bounds.
    pub(super) fn restore(
        peers: &[StoredPeer],
        stored: &StoredSwarm,
        rules: &Rules<'_>,
    ) -> Swarm<I> {
        let mut swarm = Swarm::new(rules);
        swarm.downloaded = stored.downloaded;
        swarm.export = ExportState::Same;
        swarm.v4 = Peers::rebuild(peers.iter().filter_map(|peer| peer.packed(rules.zones)));
        let alternates = peers
            .iter()
            .filter_map(|peer| Some((SocketAddr::new(peer.ip, peer.port), peer.inner_ip?)));
        let alternates = AlternateAddresses::new(alternates);
        let v6 = Peers::rebuild(peers.iter().filter_map(|peer| peer.packed(rules.zones)));
        if v6.len() > 0 || !alternates.is_empty() {
            swarm.extra = Some(Box::new(Extra {
                v6,
                alternates,
                ..Extra::default()
            }));
        }
        swarm.count_elsewhere(&stored.downloaded_elsewhere);
        swarm.oldest = if swarm.len() == 0 {
            stored.last_used.raw()
        } else {
            swarm.oldest_of_all()
        };
        let (mut paused, mut reported) = (0, 0_u8);
        swarm.for_each(|peer| {
            paused += u32::from(peer.is_paused);
            // A database may have more with a reported address than are taken today.
            reported = reported.saturating_add(peer.is_reported.into());
            rules.address_counts.add(peer.ip);
            if let Some(origin) = peer.origin {
                rules.origins.add(origin);
            }
        });
        (swarm.paused, swarm.reported) = (paused, reported);
        swarm
    }
}

impl Tracker {
    /// The torrents that changed since they were last [exported](Tracker::export); in no order.
    pub fn changed(&self) -> Vec<InfoHash> {
        with!(self, swarms => swarms.changed())
    }

    /// The torrents that were freed since this was last asked; they may exist again by now.
    pub fn freed(&self) -> Vec<InfoHash> {
        with!(self, swarms => swarms.freed())
    }

    /// Copies one swarm's living peers, under its shard's lock, with those that are withheld (W4), and marks it unchanged; `None` when it
    /// is gone.
    pub fn export(&self, hash: &InfoHash, now: Seconds) -> Option<StoredSwarm> {
        let policy = self.policy.load();
        with!(self, swarms => swarms.export(hash, &self.rules(&policy, now)))
    }

    /// Marks swarms changed and torrents freed again, after a snapshot that failed.
    pub fn mark_changed(&self, hashes: &[InfoHash], freed: &[InfoHash]) {
        with!(self, swarms => {
            swarms.mark_changed(hashes);
            swarms.remember_freed(freed.to_vec());
        });
    }

    /// Marks every swarm changed, when the database that has the unchanged ones is lost.
    pub fn mark_all_changed(&self) {
        with!(self, swarms => swarms.mark_all_changed());
    }

    /// Puts a swarm back; the expired and what is over a bound are left out, the blocked are withheld: a database has them only when
    /// their block was young. Their ten minutes begin anew. May be called by several threads at once.
    pub fn restore(&self, mut swarm: StoredSwarm, now: Seconds) -> Restored {
        let policy = self.policy.load();
        let rules = self.rules(&policy, now);
        let is_torrent_blocked = self.access.admit_torrent(&swarm.info_hash).is_err();
        let horizon = rules.horizon();
        swarm.peers.retain(|peer| {
            peer.last_seen.raw() > horizon
                && peer.port != 0
                && is_reachable(peer.ip)
                && !is_link_local(peer.ip)
        });
        let is_blocked =
            |peer: &mut StoredPeer| is_torrent_blocked || self.access.is_blocked(peer.ip);
        let blocked: Vec<_> = swarm.peers.extract_if(.., is_blocked).collect();
        let has_withheld = (!blocked.is_empty() || is_torrent_blocked) && {
            let blocked = StoredSwarm {
                peers: blocked,
                downloaded_elsewhere: swarm.downloaded_elsewhere.clone(),
                ..swarm
            };
            with!(self, swarms => swarms.withhold_stored(&blocked, is_torrent_blocked, &rules))
        };
        let peers = if is_torrent_blocked {
            0
        } else {
            with!(self, swarms => swarms.restore(&swarm, &rules))
        };
        Restored {
            peers,
            has_withheld,
        }
    }
}
