//! How many peers announce to which other tracker, kept in line with every peer that comes, goes or changes sides.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use super::{MAX_ORIGINS, Origin};
use crate::tracker::settings::Settings;

/// A gauge for each origin. There is none of the tracker's own: they are the rest.
#[derive(Debug)]
pub(crate) struct Origins([AtomicI64; MAX_ORIGINS]);

impl Default for Origins {
    fn default() -> Origins {
        Origins(std::array::from_fn(|_| AtomicI64::new(0)))
    }
}

impl Origins {
    fn change(&self, origin: Origin, by: i64) {
        if let Some(gauge) = self.0.get(usize::from(origin.get())) {
            gauge.fetch_add(by, Relaxed);
        }
    }

    /// Counts a peer of the origin.
    #[cold]
    pub(crate) fn add(&self, origin: Origin) {
        self.change(origin, 1);
    }

    /// Takes it back.
    #[cold]
    pub(crate) fn take(&self, origin: Origin) {
        self.change(origin, -1);
    }

    /// Whether any peer announces to another tracker.
    pub(crate) fn has_any(&self) -> bool {
        self.0.iter().any(|gauge| gauge.load(Relaxed) > 0)
    }

    /// Whether one more peer of the origin may be stored (`max_share_of_site`).
    pub(crate) fn has_room(&self, origin: Origin, settings: &Settings) -> bool {
        let share = u64::from(settings.max_share_of_site);
        if share == 0 || share >= 100 || settings.max_peers == 0 {
            return true;
        }
        let gauge = self.0.get(usize::from(origin.get()));
        let peers = gauge.map_or(0, |gauge| gauge.load(Relaxed));
        u64::try_from(peers).unwrap_or(0) < u64::from(settings.max_peers) * share / 100
    }

    /// The peers of each, where there are `all` of them; at 0 the tracker's own.
    pub(super) fn of_all(&self, all: u64) -> [u64; MAX_ORIGINS] {
        let mut peers: [u64; MAX_ORIGINS] = std::array::from_fn(|at| {
            let gauge = self.0.get(at).map_or(0, |gauge| gauge.load(Relaxed));
            u64::try_from(gauge).unwrap_or(0)
        });
        let others = peers.iter().skip(1).sum();
        if let Some(own) = peers.first_mut() {
            *own = all.saturating_sub(others);
        }
        peers
    }
}
