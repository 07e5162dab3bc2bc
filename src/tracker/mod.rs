//! The core: which peers are in which swarm, and which of them to hand out. [`Tracker`] is the only door.
//!
//! No protocol, no socket, no file, no clock: front ends decode requests into [`Announce`]s and encode the replies; time
//! and chance are arguments. Imports only `metrics` and `clock`.

mod access;
mod address;
mod announce;
mod around;
mod callers;
pub mod census;
mod chunk;
mod crowd;
mod cut;
mod displace;
mod draw;
mod dual_stack;
mod everybody;
mod evict;
mod fill;
mod hand_out;
mod heavy;
mod id;
mod ledger;
mod link;
mod loads;
mod marks;
mod others;
mod owner;
mod pages;
mod peer;
mod peers;
mod prefixes;
mod purge;
mod reach;
mod realm;
mod recent_clients;
mod region;
mod reporters;
mod rest;
mod roll;
mod rounding;
mod selection;
mod settings;
mod span;
mod standing;
mod stored;
mod subscriber;
mod swarm;
mod swarms;
mod tally;
mod trim;
mod view;
mod views;
mod visit;
mod wish;
mod zones;

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;

pub use access::{Access, Block, ClientRule, Networks, Target};
pub use announce::{Announce, AnnounceReply, Event, PeerList, Refusal, ScrapeReply, Turn};
pub use id::{ClientKey, InfoHash, PeerId};
pub use ledger::{HOURS_KEPT, LedgerRow};
pub use reach::{is_link_local, is_reachable};
pub use realm::Realm;
pub use settings::Settings;
pub use stored::{StoredPeer, StoredSwarm};
pub use subscriber::subscriber;
pub use zones::{DEPTH_MOST, ZoneRule, Zones, ZonesError};

use callers::Callers;
use ledger::Ledger;
use loads::Loads;
use owner::IdDigest;
use recent_clients::RecentClients;
use reporters::Reporters;
use swarms::Swarms;
use visit::{Outcome, Rules};

use crate::clock::{Seconds, Wall};
use crate::metrics::{Fate, Metrics};

/// What one sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Peers freed because their time was over.
    pub expired_peers: u64,
    /// Torrents freed because no peer was left and no count is kept.
    pub freed_torrents: u64,
}

/// What is in force, swapped as one, so that a swarm never sees zones of one reload and settings of another.
#[derive(Debug)]
struct Charter {
    settings: Arc<Settings>,
    zones: Arc<Zones>,
    ledger: Arc<Ledger>,
    /// [`Settings::lifetime`]
    lifetime: u32,
    /// Changes with the zones.
    edition: u16,
}

/// The swarms, with whole peer ids or with digests of them.
#[derive(Debug)]
enum Kept {
    Whole(Swarms<PeerId>),
    Bare(Swarms<IdDigest>),
}

/// Does the same with the swarms, whichever they are.
macro_rules! with {
    ($tracker:expr, $swarms:ident => $work:expr) => {
        match &$tracker.swarms {
            Kept::Whole($swarms) => $work,
            Kept::Bare($swarms) => $work,
        }
    };
}

use with;

/// All swarms and the rules for them. Every method may be called from any thread.
#[derive(Debug)]
pub struct Tracker {
    charter: ArcSwap<Charter>,
    access: Access,
    metrics: Arc<Metrics>,
    loads: Loads,
    clients: RecentClients,
    callers: Callers,
    reporters: Reporters,
    swarms: Kept,
}

impl Tracker {
    /// Makes an empty tracker without zones.
    pub fn new(settings: Settings, metrics: Arc<Metrics>) -> Tracker {
        let swarms = if settings.keep_peer_ids {
            Kept::Whole(Swarms::new())
        } else {
            Kept::Bare(Swarms::new())
        };
        let zones = Arc::new(Zones::default());
        let ledger = Arc::new(Ledger::new(&zones, metrics.workers()));
        let charter = Charter {
            lifetime: settings.lifetime(),
            settings: Arc::new(settings),
            zones,
            ledger,
            edition: 0,
        };
        Tracker {
            charter: ArcSwap::from_pointee(charter),
            access: Access::default(),
            metrics,
            loads: Loads::new(),
            clients: RecentClients::new(),
            callers: Callers::default(),
            reporters: Reporters::default(),
            swarms,
        }
    }

    fn rules<'a>(&'a self, charter: &'a Charter, now: Seconds) -> Rules<'a> {
        Rules {
            settings: &charter.settings,
            zones: &charter.zones,
            edition: charter.edition,
            loads: &self.loads,
            clients: &self.clients,
            lifetime: charter.lifetime,
            now,
        }
    }

    /// The settings in force.
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.charter.load().settings)
    }

    /// Replaces the settings; `keep_peer_ids` stays as it was at the start.
    pub fn configure(&self, settings: Settings) {
        let old = self.charter.load();
        let (zones, ledger) = (Arc::clone(&old.zones), Arc::clone(&old.ledger));
        let settings = Arc::new(settings);
        self.charter.store(Arc::new(Charter {
            lifetime: settings.lifetime(),
            settings,
            zones,
            ledger,
            edition: old.edition,
        }));
    }

    /// The zones in force.
    pub fn zones(&self) -> Arc<Zones> {
        Arc::clone(&self.charter.load().zones)
    }

    /// Replaces the zones and places every peer anew, one swarm at a time, while announces go on (S7). Not to be called by two
    /// threads at once.
    pub fn set_zones(&self, zones: Zones, now: Seconds) {
        let old = self.charter.load_full();
        let ledger = Ledger::new(&zones, self.metrics.workers());
        ledger.restore(&old.ledger.rows(&old.zones), &zones);
        let charter = Arc::new(Charter {
            lifetime: old.lifetime,
            settings: Arc::clone(&old.settings),
            zones: Arc::new(zones),
            ledger: Arc::new(ledger),
            edition: old.edition.wrapping_add(1),
        });
        self.charter.store(Arc::clone(&charter));
        with!(self, swarms => swarms.refresh(&self.rules(&charter, now)));
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
    /// on the turn's sheet; the caller counts the request itself and a refusal. Takes one shard's lock, once; at a bound a few.
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
        let edition = self.access.edition();
        self.access.admit_announce(announce, edition)?;
        let admit = || self.access.admit_still(announce, edition);
        let charter = self.charter.load();
        let settings = &charter.settings;
        let rules = self.rules(&charter, turn.now);
        let outside;
        let announce = if charter.zones.realms().is_empty() {
            announce
        } else {
            outside = self.outside(announce, charter.zones.realms())?;
            &outside
        };
        let mut outcome = Outcome::nothing();
        with!(self, swarms => swarms.announce(announce, &rules, &admit, turn.rng, list, &mut outcome))?;
        turn.sheet
            .announced(announce.event.into(), outcome.fate, list.len());
        if let Some((bound, peers)) = outcome.evicted {
            turn.sheet.evicted(bound, peers.into());
        }
        if !charter.zones.is_empty() {
            let (ledger, worker) = (&charter.ledger, turn.sheet.worker());
            if announce.event != Event::Stopped {
                ledger.note_list(&outcome, worker);
            }
            ledger.note_savings(&outcome, settings.line_mib, worker);
        }
        if outcome.fate == Fate::Early {
            self.callers.note(announce.ip, turn.now);
        }
        let interval = match outcome.fate {
            Fate::Foreign => settings.interval_behind(outcome.since),
            _ => settings.interval(turn.rng),
        };
        Ok(AnnounceReply {
            complete: outcome.counts.complete,
            incomplete: outcome.counts.incomplete,
            downloaded: outcome.counts.downloaded,
            interval,
            min_interval: settings.min_interval(interval),
            warning: charter.zones.warned_by(outcome.zone),
        })
    }

    /// The announce as others see its host, when a realm tells another address of it (S10).
    #[cold]
    fn outside(&self, announce: &Announce, realms: &[Realm]) -> Result<Announce, Refusal> {
        let Some(ip) = realm::outside_of(realms, announce.ip) else {
            return Ok(*announce);
        };
        self.access.admit(ip)?;
        Ok(Announce { ip, ..*announce })
    }

    /// Has an announce count with addresses that its source reported and that were found right. `false` when it goes on as it
    /// came, since a source has so many reported addresses at a time and no more (C7).
    ///
    /// # Errors
    /// The refusal of the source itself: who is blocked shall not hide behind another address.
    pub fn report(
        &self,
        announce: &mut Announce,
        ip: IpAddr,
        inner_ip: Option<IpAddr>,
        now: Seconds,
    ) -> Result<bool, Refusal> {
        let source = announce.ip;
        if ip != source {
            self.access.admit(source)?;
            let lifetime = self.charter.load().settings.lifetime();
            if !self.reporters.admit(source, ip, now, lifetime) {
                return Ok(false);
            }
            announce.is_reported = true;
        }
        (announce.ip, announce.inner_ip) = (ip, inner_ip);
        Ok(true)
    }

    /// Answers for one torrent of a scrape; zeros for an unknown or a blocked one. The caller asks [`Access::admit`] first.
    pub fn scrape(&self, hash: &InfoHash, now: Seconds) -> ScrapeReply {
        if self.access.admit_torrent(hash).is_err() {
            return ScrapeReply::default();
        }
        let charter = self.charter.load();
        with!(self, swarms => swarms.scrape(hash, &self.rules(&charter, now)))
    }

    /// The warning that a reply with this number carries (P19).
    pub fn warning(&self, number: u32) -> Option<String> {
        if number == 0 {
            None
        } else {
            self.charter.load().zones.warning(number).map(str::to_owned)
        }
    }

    /// Frees the dead and the torrents without peers, one shard at a time.
    pub fn sweep(&self, now: Seconds) -> Swept {
        let charter = self.charter.load_full();
        self.callers.sweep(now);
        self.reporters.sweep(now, charter.settings.lifetime());
        with!(self, swarms => swarms.sweep(&self.rules(&charter, now)))
    }

    /// Whether torrents without peers are so many that a sweep is due before its time (S5).
    pub fn has_surplus(&self) -> bool {
        with!(self, swarms => swarms.fill.has_surplus(&self.charter.load().settings))
    }

    /// Living peers, up to the dead that no sweep has met yet. Costs nothing.
    pub fn peers(&self) -> u64 {
        with!(self, swarms => swarms.peers())
    }

    /// Replaces the blocklist and removes stored peers and torrents that it covers, one shard at a time.
    pub fn block(&self, blocks: Vec<Block>, wall: Wall) {
        self.access.block(blocks, wall);
        self.remove_blocked();
    }

    fn remove_blocked(&self) {
        let charter = self.charter.load_full();
        let is_hash_gone = |hash: &InfoHash| self.access.admit_torrent(hash).is_err();
        let is_ip_gone = |ip| self.access.is_blocked(ip);
        with!(self, swarms => swarms.remove_where(&self.rules(&charter, Seconds::default()), is_hash_gone, is_ip_gone));
    }

    /// The zones' counters, to be kept across restarts.
    pub fn ledger(&self) -> Vec<LedgerRow> {
        let charter = self.charter.load_full();
        charter.ledger.rows(&charter.zones)
    }

    /// Puts kept counters back, before the first announce.
    pub fn restore_ledger(&self, rows: &[LedgerRow]) {
        let charter = self.charter.load_full();
        charter.ledger.restore(rows, &charter.zones);
    }
}

#[cfg(test)]
mod tests;
