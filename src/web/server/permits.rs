//! Places at the pages: so many for everybody, of which one network has few, and some that only admin networks can take, so
//! that strangers who hold all of theirs keep no operator out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::invariant::present;
use crate::net::subscriber;
use crate::web::client::Client;

/// Places that only admin networks can take.
const ADMIN_PERMITS: usize = 64;

#[derive(Debug, Default)]
struct Taken {
    admins: usize,
    others: usize,
    /// By network; one without a place has no entry.
    by_network: HashMap<IpAddr, usize>,
}

/// All places. Their lock is held for a few steps; nothing waits under it.
#[derive(Debug)]
pub(super) struct PageLimiter {
    most: usize,
    max_per_network: usize,
    taken: Mutex<Taken>,
}

/// One place; it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct PagePermit {
    limiter: Arc<PageLimiter>,
    /// The network that it counts for; nothing for an admin's.
    network: Option<IpAddr>,
}

impl PageLimiter {
    /// So many in all (besides those of the admin networks) and for one network; 0 of the latter for any number.
    pub(super) fn new(most: usize, max_per_network: usize) -> PageLimiter {
        PageLimiter {
            most,
            max_per_network: match max_per_network {
                0 => usize::MAX,
                some => some,
            },
            taken: Mutex::default(),
        }
    }

    /// How many connections can have one.
    pub(super) fn all(&self) -> usize {
        self.most.saturating_add(ADMIN_PERMITS)
    }

    /// A place, if there is one. Callers of admin networks who have all of theirs take those of everybody.
    pub(super) fn take(self: &Arc<PageLimiter>, client: Client) -> Option<PagePermit> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if client.is_admin && taken.admins < ADMIN_PERMITS {
            taken.admins += 1;
            return Some(self.permit(None));
        }
        let network = subscriber(client.ip);
        // A network that has no place has no entry.
        let own = taken.by_network.get(&network).copied().unwrap_or(0);
        if taken.others >= self.most || own >= self.max_per_network {
            return None;
        }
        taken.others += 1;
        taken.by_network.insert(network, own + 1);
        Some(self.permit(Some(network)))
    }

    fn permit(self: &Arc<PageLimiter>, network: Option<IpAddr>) -> PagePermit {
        PagePermit {
            limiter: Arc::clone(self),
            network,
        }
    }
}

impl Drop for PagePermit {
    fn drop(&mut self) {
        let taken = self.limiter.taken.lock();
        let mut taken = taken.unwrap_or_else(PoisonError::into_inner);
        let Some(network) = self.network else {
            taken.admins -= 1;
            return;
        };
        taken.others -= 1;
        let own = present(taken.by_network.get_mut(&network), "it has this place");
        if let Some(own) = own {
            *own -= 1;
            if *own == 0 {
                taken.by_network.remove(&network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(ip: &str, is_admin: bool) -> Client {
        Client {
            ip: ip.parse().unwrap(),
            is_admin,
            is_local: false,
        }
    }

    /// R30
    #[test]
    fn a_network_has_few_places_and_gets_them_back() {
        let limiter = Arc::new(PageLimiter::new(10, 2));
        let first = limiter.take(client("2001:db8::1", false)).unwrap();
        let second = limiter.take(client("2001:db8::2", false)).unwrap();
        assert!(limiter.take(client("2001:db8::3", false)).is_none());
        let other = limiter.take(client("192.0.2.1", false)).unwrap();
        drop(first);
        let third = limiter.take(client("2001:db8::3", false)).unwrap();
        drop((second, third, other));
        let taken = limiter.taken.lock().unwrap();
        assert_eq!((taken.others, taken.by_network.len()), (0, 0));
    }

    /// R30
    #[test]
    fn strangers_take_no_place_of_the_admins() {
        let limiter = Arc::new(PageLimiter::new(3, 0));
        let strangers: Vec<PagePermit> = (0..300)
            .filter_map(|host| limiter.take(client(&format!("10.0.0.{}", host % 200), false)))
            .collect();
        assert_eq!(strangers.len(), 3);
        let admins: Vec<PagePermit> = (0..ADMIN_PERMITS + 5)
            .filter_map(|_| limiter.take(client("127.0.0.1", true)))
            .collect();
        assert_eq!(admins.len(), ADMIN_PERMITS);
        drop(strangers);
        assert!(limiter.take(client("127.0.0.1", true)).is_some());
    }
}
