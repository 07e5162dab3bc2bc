//! How many TLS handshakes are under way, in all and from each address: a permit is taken before anything is done for one, for a
//! handshake costs as much as some dozen announces.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::invariant::present;
use crate::metrics::{Gauge, Metrics};
use crate::net::subscriber;

/// The handshakes of all workers.
#[derive(Debug)]
pub(crate) struct HandshakeLimiter {
    /// Taken when a handshake begins and ends.
    under_way: Mutex<UnderWay>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct UnderWay {
    all: usize,
    /// By whom they count for; one without a handshake has no entry.
    by_address: HashMap<IpAddr, u32, foldhash::fast::RandomState>,
}

/// The right to one handshake; given back when dropped.
#[derive(Debug)]
pub(super) struct HandshakePermit {
    limiter: Arc<HandshakeLimiter>,
    /// Whom it counts for, when that is bounded.
    address: Option<IpAddr>,
}

impl HandshakeLimiter {
    pub(crate) fn new(metrics: Arc<Metrics>) -> HandshakeLimiter {
        HandshakeLimiter {
            under_way: Mutex::default(),
            metrics,
        }
    }

    /// A permit for a handshake of `ip` (canonical), when fewer than `total` are under way and fewer than `per_address` of its own.
    pub(super) fn take(
        self: &Arc<Self>,
        ip: IpAddr,
        total: usize,
        per_address: Option<u32>,
    ) -> Option<HandshakePermit> {
        let mut under_way = self.lock();
        if under_way.all >= total.max(1) {
            return None;
        }
        let address = per_address.map(|_| subscriber(ip));
        if let (Some(address), Some(most)) = (address, per_address) {
            // Who has none under way has no entry.
            let own = under_way.by_address.get(&address).copied().unwrap_or(0);
            if own >= most {
                return None;
            }
            under_way.by_address.insert(address, own + 1);
        }
        under_way.all += 1;
        Some(HandshakePermit {
            limiter: Arc::clone(self),
            address,
        })
    }

    /// Counts a connection over TLS for as long as what this gives lives.
    pub(super) fn count(&self) -> OpenTls {
        self.metrics.raise(Gauge::TlsConnections, 1);
        OpenTls(Arc::clone(&self.metrics))
    }

    fn lock(&self) -> MutexGuard<'_, UnderWay> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for HandshakePermit {
    fn drop(&mut self) {
        let mut under_way = self.limiter.lock();
        debug_assert!(under_way.all > 0, "a permit is given back once");
        under_way.all = under_way.all.saturating_sub(1);
        let Some(address) = self.address else {
            return;
        };
        let own = under_way.by_address.get_mut(&address);
        if let Some(own) = present(own, "it has this permit") {
            *own = own.saturating_sub(1);
            if *own == 0 {
                under_way.by_address.remove(&address);
            }
        }
    }
}

/// One open connection over TLS, in the count of them.
#[derive(Debug)]
pub(super) struct OpenTls(Arc<Metrics>);

impl Drop for OpenTls {
    fn drop(&mut self) {
        self.0.lower(Gauge::TlsConnections, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P23
    #[test]
    fn handshakes_are_bounded_in_all_and_per_subscriber_and_given_back() {
        let limiter = Arc::new(HandshakeLimiter::new(Arc::new(Metrics::new(0))));
        let take = |ip: &str, per_address| limiter.take(ip.parse().unwrap(), 4, per_address);
        let own = [
            take("2001:db8::1", Some(2)).unwrap(),
            take("2001:db8::2", Some(2)).unwrap(),
        ];
        assert!(take("2001:db8::3", Some(2)).is_none());
        let others = [
            take("192.0.2.1", Some(2)).unwrap(),
            take("192.0.2.2", None).unwrap(),
        ];
        assert!(take("192.0.2.3", Some(2)).is_none());
        drop(own);
        assert!(take("2001:db8::3", Some(2)).is_some());
        drop(others);
        let under_way = limiter.lock();
        assert_eq!((under_way.all, under_way.by_address.len()), (0, 0));
    }
}
