//! Names of engines to addresses, within a bound: the system's resolver has none, so it is asked on a thread that can be left behind.
//! One question at a time for each name; while it is open, the last answer stands.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::supervise;

/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 4;

/// The addresses of one engine.
#[derive(Debug)]
pub(crate) struct Resolver {
    host: String,
    port: u16,
    found: Arc<(Mutex<Found>, Condvar)>,
}

#[derive(Debug, Default)]
struct Found {
    addresses: Vec<SocketAddr>,
    is_asking: bool,
}

impl Resolver {
    pub(crate) fn new(host: &str, port: u16) -> Resolver {
        Resolver {
            host: host.to_owned(),
            port,
            found: Arc::default(),
        }
    }

    /// The addresses, after at most `patience`; empty when none is known.
    pub(crate) fn addresses(&self, patience: Duration) -> Vec<SocketAddr> {
        if let Ok(ip) = self.host.parse::<IpAddr>() {
            return vec![SocketAddr::new(ip, self.port)];
        }
        let (found, answered) = &*self.found;
        let mut guard = found.lock().unwrap_or_else(PoisonError::into_inner);
        if !guard.is_asking {
            guard.is_asking = self.ask();
        }
        let waited = answered.wait_timeout_while(guard, patience, |found| found.is_asking);
        let (guard, _) = waited.unwrap_or_else(PoisonError::into_inner);
        guard.addresses.clone()
    }

    /// Whether a thread is asking.
    fn ask(&self) -> bool {
        let found = Arc::clone(&self.found);
        let name = (self.host.clone(), self.port);
        // Nobody has to know when it ends.
        let (ends, _) = channel();
        let asking = supervise::start("sites-name", ends, move || {
            let addresses = name.to_socket_addrs().map(|all| all.take(MAX_ADDRESSES));
            let (found, answered) = &*found;
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            if let Ok(addresses) = addresses {
                found.addresses = addresses.collect();
            }
            found.is_asking = false;
            drop(found);
            answered.notify_all();
            Ok(())
        });
        asking.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_needs_no_question_and_a_name_is_asked() {
        let patience = Duration::from_secs(60);
        let v6 = Resolver::new("::1", 6379).addresses(patience);
        assert_eq!(v6, ["[::1]:6379".parse().unwrap()]);
        let named = Resolver::new("localhost", 6379).addresses(patience);
        assert!(named.iter().all(|address| address.ip().is_loopback()));
        assert!(
            Resolver::new("no.such.name.invalid", 1)
                .addresses(patience)
                .is_empty()
        );
    }
}
