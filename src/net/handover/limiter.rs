//! Permits for connections that are handed over: so many for everybody, of which one subscriber has few, and some that only admin
//! networks can take, so that strangers who hold all of theirs keep no operator out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::invariant::present;
use crate::net::subscriber;

/// Permits that only admin networks can take.
const ADMIN_PERMITS: usize = 64;

/// Whom a connection counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The client's address; all whose address is unknown count as one.
    pub ip: IpAddr,
    /// Whether it belongs to an admin network.
    pub is_admin: bool,
}

/// How many connections may be handed over and not yet ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// In all, besides those of the admin networks; 0 counts as 1.
    pub total: usize,
    /// Of one subscriber outside the admin networks; 0 for any number.
    pub per_subscriber: usize,
}

#[derive(Debug, Default)]
struct Taken {
    admins: usize,
    others: usize,
    /// By subscriber; one without a permit has no entry.
    by_subscriber: HashMap<IpAddr, usize>,
}

/// All permits. Their lock is held for a few steps; nothing waits under it.
#[derive(Debug)]
pub(super) struct Limiter {
    total: usize,
    per_subscriber: usize,
    taken: Mutex<Taken>,
}

/// The right of one connection to be served; free again when it is dropped.
#[derive(Debug)]
pub struct Permit {
    limiter: Arc<Limiter>,
    /// Whom it counts for; nothing for an admin's.
    subscriber: Option<IpAddr>,
}

impl Limiter {
    pub(super) fn new(limits: Limits) -> Limiter {
        Limiter {
            total: limits.total.max(1),
            per_subscriber: match limits.per_subscriber {
                0 => usize::MAX,
                some => some,
            },
            taken: Mutex::default(),
        }
    }

    /// How many connections can have one.
    pub(super) fn all(&self) -> usize {
        self.total.saturating_add(ADMIN_PERMITS)
    }

    /// A permit, if there is one left. Clients of admin networks who have all of theirs take those of everybody.
    pub(super) fn take(self: &Arc<Limiter>, source: Source) -> Option<Permit> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if source.is_admin && taken.admins < ADMIN_PERMITS {
            taken.admins += 1;
            return Some(self.permit(None));
        }
        let subscriber = subscriber(source.ip);
        // A subscriber without a permit has no entry.
        let own = taken.by_subscriber.get(&subscriber).copied().unwrap_or(0);
        if taken.others >= self.total || own >= self.per_subscriber {
            return None;
        }
        taken.others += 1;
        taken.by_subscriber.insert(subscriber, own + 1);
        Some(self.permit(Some(subscriber)))
    }

    fn permit(self: &Arc<Limiter>, subscriber: Option<IpAddr>) -> Permit {
        Permit {
            limiter: Arc::clone(self),
            subscriber,
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let taken = self.limiter.taken.lock();
        let mut taken = taken.unwrap_or_else(PoisonError::into_inner);
        let Some(subscriber) = self.subscriber else {
            taken.admins -= 1;
            return;
        };
        taken.others -= 1;
        let own = present(
            taken.by_subscriber.get_mut(&subscriber),
            "it has this permit",
        );
        if let Some(own) = own {
            *own -= 1;
            if *own == 0 {
                taken.by_subscriber.remove(&subscriber);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(ip: &str, is_admin: bool) -> Source {
        let ip = ip.parse().unwrap();
        Source { ip, is_admin }
    }

    fn limiter(total: usize, per_subscriber: usize) -> Arc<Limiter> {
        Arc::new(Limiter::new(Limits {
            total,
            per_subscriber,
        }))
    }

    /// R30
    #[test]
    fn a_subscriber_has_few_permits_and_gets_them_back() {
        let limiter = limiter(10, 2);
        let first = limiter.take(source("2001:db8::1", false)).unwrap();
        let second = limiter.take(source("2001:db8::2", false)).unwrap();
        assert!(limiter.take(source("2001:db8::3", false)).is_none());
        let other = limiter.take(source("192.0.2.1", false)).unwrap();
        drop(first);
        let third = limiter.take(source("2001:db8::3", false)).unwrap();
        drop((second, third, other));
        let taken = limiter.taken.lock().unwrap();
        assert_eq!((taken.others, taken.by_subscriber.len()), (0, 0));
    }

    /// R30
    #[test]
    fn strangers_take_no_permit_of_the_admins() {
        let limiter = limiter(3, 0);
        let strangers: Vec<Permit> = (0..300)
            .filter_map(|host| limiter.take(source(&format!("10.0.0.{}", host % 200), false)))
            .collect();
        assert_eq!(strangers.len(), 3);
        let admins: Vec<Permit> = (0..ADMIN_PERMITS + 5)
            .filter_map(|_| limiter.take(source("127.0.0.1", true)))
            .collect();
        assert_eq!(admins.len(), ADMIN_PERMITS);
        drop(strangers);
        assert!(limiter.take(source("127.0.0.1", true)).is_some());
    }
}
