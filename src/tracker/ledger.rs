//! What was handed out to each zone and what stayed local because of it (O11). Counters only grow; hours are kept in a ring.
//!
//! Savings are an upper bound: for every re-announce, what the peer downloaded since (at most what its line could carry)
//! times the share of local peers in the list that it had been handed.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use super::census::HandedOut;
use super::visit::Outcome;
use super::zones::Zones;
use crate::clock::Wall;

/// Hours of savings that are kept: 30 days.
pub const HOURS_KEPT: usize = 720;

/// One zone's counters, a cache line apart from its neighbours'.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Page {
    announces: AtomicU64,
    with_local: AtomicU64,
    with_local_seeder: AtomicU64,
    peers: AtomicU64,
    local_peers: AtomicU64,
    /// In 255ths of a MiB.
    saved: AtomicU64,
}

/// Savings per hour (hours since 1970), of one zone.
type Hours = BTreeMap<u64, u64>;

/// The counters of all zones of one edition.
#[derive(Debug)]
pub(super) struct Ledger {
    pages: Box<[Page]>,
    /// Per path: hours in MiB, and the `saved` up to which they were counted.
    hours: Mutex<HashMap<String, (Hours, u64)>>,
}

/// One zone's counters as they are kept across restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LedgerRow {
    /// The zone's path; empty for peers in no zone.
    pub path: String,
    /// What was handed out to peers of just this zone.
    pub handed_out: HandedOut,
    /// Savings by hour: hours since 1970, MiB.
    pub hours: Vec<(u64, u64)>,
}

impl Page {
    fn read(&self) -> HandedOut {
        HandedOut {
            announces: self.announces.load(Relaxed),
            announces_with_local: self.with_local.load(Relaxed),
            announces_with_local_seeder: self.with_local_seeder.load(Relaxed),
            peers: self.peers.load(Relaxed),
            local_peers: self.local_peers.load(Relaxed),
            saved_mib: self.saved.load(Relaxed) / 255,
        }
    }

    fn write(&self, from: &HandedOut) {
        self.announces.store(from.announces, Relaxed);
        self.with_local.store(from.announces_with_local, Relaxed);
        self.with_local_seeder
            .store(from.announces_with_local_seeder, Relaxed);
        self.peers.store(from.peers, Relaxed);
        self.local_peers.store(from.local_peers, Relaxed);
        self.saved
            .store(from.saved_mib.saturating_mul(255), Relaxed);
    }
}

impl Ledger {
    pub(super) fn new(zones: &Zones) -> Ledger {
        Ledger {
            pages: (0..zones.len()).map(|_| Page::default()).collect(),
            hours: Mutex::default(),
        }
    }

    /// Takes over what was counted under other zones: what has the same path goes on, the rest is dropped.
    pub(super) fn restore(&self, rows: &[LedgerRow], zones: &Zones) {
        let mut hours = self.hours.lock().unwrap_or_else(PoisonError::into_inner);
        for row in rows {
            let zone = if row.path.is_empty() {
                Some(0)
            } else {
                zones.find(&row.path)
            };
            let Some(page) = zone.and_then(|zone| self.pages.get(zone as usize)) else {
                continue;
            };
            page.write(&row.handed_out);
            let kept = row.hours.iter().copied().collect();
            hours.insert(row.path.clone(), (kept, row.handed_out.saved_mib));
        }
    }

    /// Counts an answered announce for its zone. `line_mib` is what a line carries in a second.
    pub(super) fn note(&self, outcome: &Outcome, line_mib: u32) {
        let Some(page) = self.pages.get(outcome.zone as usize) else {
            return;
        };
        let chosen = &outcome.chosen;
        page.announces.fetch_add(1, Relaxed);
        if chosen.has_local_seeder || chosen.has_local_leecher {
            page.with_local.fetch_add(1, Relaxed);
        }
        if chosen.has_local_seeder {
            page.with_local_seeder.fetch_add(1, Relaxed);
        }
        if chosen.all > 0 {
            page.peers.fetch_add(chosen.all as u64, Relaxed);
            page.local_peers.fetch_add(chosen.local as u64, Relaxed);
        }
        let (gained, share) = outcome.gained;
        if gained > 0 && share > 0 {
            let carried = u64::from(gained).min(u64::from(outcome.since) * u64::from(line_mib));
            page.saved.fetch_add(carried * u64::from(share), Relaxed);
        }
    }

    /// What was handed out to peers of just this zone.
    pub(super) fn of(&self, zone: u32) -> HandedOut {
        self.pages
            .get(zone as usize)
            .map(Page::read)
            .unwrap_or_default()
    }

    /// Books what was saved since the last call under the hour of `now`.
    pub(super) fn close_hour(&self, zones: &Zones, now: Wall) {
        let hour = now.0 / 3600;
        let mut hours = self.hours.lock().unwrap_or_else(PoisonError::into_inner);
        for (page, zone) in self.pages.iter().zip(0_u32..) {
            let saved = page.read().saved_mib;
            if saved == 0 {
                continue;
            }
            let (kept, counted) = hours.entry(zones.path(zone).to_owned()).or_default();
            let more = saved.saturating_sub(*counted);
            *counted = saved;
            if more > 0 {
                *kept.entry(hour).or_default() += more;
            }
            while kept.len() > HOURS_KEPT {
                kept.pop_first();
            }
        }
    }

    /// All zones that have counted anything.
    pub(super) fn rows(&self, zones: &Zones) -> Vec<LedgerRow> {
        let hours = self.hours.lock().unwrap_or_else(PoisonError::into_inner);
        let rows = self.pages.iter().zip(0_u32..).map(|(page, zone)| {
            let path = zones.path(zone).to_owned();
            let kept = hours
                .get(&path)
                .map(|(kept, _)| kept.iter().map(|(hour, mib)| (*hour, *mib)).collect());
            LedgerRow {
                path,
                handed_out: page.read(),
                hours: kept.unwrap_or_default(),
            }
        });
        rows.filter(|row| row.handed_out != HandedOut::default())
            .collect()
    }
}
