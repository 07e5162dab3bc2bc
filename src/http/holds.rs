//! How many connections are held, in all and from each address; and the limit on open files that they share with the rest.
//!
//! Only connections that outlive their first reading are held: one that is answered and closed at once costs nothing here.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::metrics::{Gauge, Metrics};

/// Files that are kept free for the database, logs, pages, listeners.
const SPARE_FILES: usize = 128;

/// More open files than this are not asked for; some systems know no end, and tables grow with the limit.
const MOST_FILES: u64 = 1 << 20;

/// Connections held by all workers.
#[derive(Debug)]
pub(super) struct Holds {
    total: AtomicUsize,
    /// By address; taken once per connection that is held, never per request.
    by_address: Mutex<HashMap<IpAddr, u32, foldhash::fast::RandomState>>,
    metrics: Arc<Metrics>,
}

/// One connection held; gives its place back when dropped.
#[derive(Debug)]
pub struct Hold {
    holds: Arc<Holds>,
    address: Option<IpAddr>,
}

/// The bounds on held connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// In all.
    pub(super) total: usize,
    /// From one address; `None` for any number.
    pub(super) per_address: Option<u32>,
}

impl Holds {
    pub(super) fn new(metrics: Arc<Metrics>) -> Holds {
        Holds {
            total: AtomicUsize::new(0),
            by_address: Mutex::default(),
            metrics,
        }
    }

    /// Takes a place for a connection of `ip` (canonical); `None` when a bound is reached.
    pub(super) fn take(self: &Arc<Self>, ip: IpAddr, bounds: Bounds) -> Option<Hold> {
        let mut hold = Hold {
            holds: Arc::clone(self),
            address: None,
        };
        self.metrics.raise(Gauge::Connections, 1);
        if self.total.fetch_add(1, Relaxed) >= bounds.total {
            return None;
        }
        if let Some(most) = bounds.per_address {
            let address = prefix(ip);
            let mut by_address = self
                .by_address
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let count = by_address.entry(address).or_insert(0);
            if *count >= most {
                if *count == 0 {
                    by_address.remove(&address);
                }
                drop(by_address);
                return None;
            }
            *count += 1;
            hold.address = Some(address);
        }
        Some(hold)
    }

    /// How many are held in all.
    pub(super) fn held(&self) -> usize {
        self.total.load(Relaxed)
    }

    #[cfg(test)]
    fn addresses(&self) -> usize {
        self.by_address.lock().unwrap().len()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.holds.total.fetch_sub(1, Relaxed);
        self.holds.metrics.lower(Gauge::Connections, 1);
        let Some(address) = self.address else {
            return;
        };
        let mut by_address = self
            .holds
            .by_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&address);
            }
        }
    }
}

/// Whom a v6 connection counts for: its /64, which one subscriber has whole.
fn prefix(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
    }
}

/// Raises the soft limit on open files to the hard one and returns how many connections it leaves room for. Says so when
/// that is less than `wanted` (0: nothing is wanted in particular).
pub(super) fn connection_limit(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let hard = limit.maximum.unwrap_or(MOST_FILES).min(MOST_FILES);
    if limit.current.is_some_and(|soft| soft < hard) {
        let raised = Rlimit {
            current: Some(hard),
            maximum: limit.maximum,
        };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            log::warn!("the limit on open files cannot be raised to {hard}: {error}");
        }
    }
    let files = getrlimit(Resource::Nofile).current.unwrap_or(MOST_FILES);
    let files = usize::try_from(files).unwrap_or(usize::MAX);
    let room = files.saturating_sub(SPARE_FILES).max(16);
    if wanted == 0 {
        return room;
    }
    if wanted > room {
        log::error!(
            "max_connections = {wanted} needs a limit of {} open files (LimitNOFILE), but it is {files}; {room} connections are held at most",
            wanted.saturating_add(SPARE_FILES),
        );
    }
    wanted.min(room)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds() -> Arc<Holds> {
        Arc::new(Holds::new(Arc::new(Metrics::new(0))))
    }

    #[test]
    fn places_are_bounded_per_address_and_given_back() {
        let holds = holds();
        let bounds = Bounds {
            total: 10,
            per_address: Some(2),
        };
        let ip: IpAddr = "2001:db8::1".parse().unwrap();
        let same: IpAddr = "2001:db8::ffff".parse().unwrap();
        let other: IpAddr = "2001:db8:0:1::1".parse().unwrap();
        let first = holds.take(ip, bounds).unwrap();
        let _second = holds.take(same, bounds).unwrap();
        assert!(holds.take(ip, bounds).is_none());
        let _third = holds.take(other, bounds).unwrap();
        drop(first);
        assert!(holds.take(ip, bounds).is_some());
        assert_eq!(holds.metrics.gauge(Gauge::Connections), 2);
    }

    #[test]
    fn places_are_bounded_in_all_and_nothing_is_left_behind() {
        let holds = holds();
        let bounds = Bounds {
            total: 3,
            per_address: Some(100),
        };
        let taken: Vec<_> = (0..5_u8)
            .filter_map(|i| holds.take(IpAddr::from([10, 0, 0, i]), bounds))
            .collect();
        assert_eq!(taken.len(), 3);
        drop(taken);
        assert_eq!(
            (holds.addresses(), holds.metrics.gauge(Gauge::Connections)),
            (0, 0)
        );
        let unlimited = Bounds {
            per_address: None,
            ..bounds
        };
        assert!(holds.take(IpAddr::from([10, 0, 0, 1]), unlimited).is_some());
    }
}
