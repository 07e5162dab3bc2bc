//! Which addresses of others each source has reported, so that one client cannot fill the swarms with them (C7). A bounded
//! table; only announces that report an address look at it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use foldhash::quality::RandomState;
use ipnet::IpNet;

use crate::clock::Seconds;
use crate::net::subscriber::network;

/// Addresses that may live at one time by the word of one source: more than a household has, and too few to aim a swarm with.
const MAX_ADDRESSES: usize = 64;

/// Sources remembered at most, 16 MiB in all; those beyond count with their own addresses until some are forgotten.
const MAX_SOURCES: usize = 10_000;

/// The addresses that one source has reported, each with when it did last.
type Reported = Vec<(IpAddr, Seconds)>;

#[derive(Debug, Default)]
pub(crate) struct Reporters {
    /// By v4 address, or /64 of v6.
    table: Mutex<HashMap<IpNet, Reported, RandomState>>,
}

impl Reporters {
    /// Whether `source` may have `reported` stored; if so, it counts for a `lifetime` in seconds.
    pub(crate) fn admit(
        &self,
        source: IpAddr,
        reported: IpAddr,
        now: Seconds,
        lifetime: u32,
    ) -> bool {
        let source = network(source);
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if table.len() >= MAX_SOURCES && !table.contains_key(&source) {
            return false;
        }
        let addresses = table.entry(source).or_default();
        if let Some((_, last)) = addresses.iter_mut().find(|(ip, _)| *ip == reported) {
            *last = now;
            return true;
        }
        if addresses.len() >= MAX_ADDRESSES {
            addresses.retain(|(_, last)| now.since(*last) < lifetime);
        }
        let has_room = addresses.len() < MAX_ADDRESSES;
        if has_room {
            addresses.push((reported, now));
        }
        has_room
    }

    /// Forgets what was last reported a lifetime ago.
    pub(crate) fn sweep(&self, now: Seconds, lifetime: u32) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.retain(|_, addresses| {
            addresses.retain(|(_, last)| now.since(*last) < lifetime);
            addresses.shrink_to_fit();
            !addresses.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const LIFETIME: u32 = 100;
    const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    fn other(number: usize) -> IpAddr {
        Ipv4Addr::from(0x0a00_0000 + u32::try_from(number).unwrap()).into()
    }

    fn at(seconds: u32) -> Seconds {
        Seconds::START.plus(seconds)
    }

    /// C7
    #[test]
    fn a_source_has_so_many_addresses_at_a_time_and_keeps_those_it_has() {
        let reporters = Reporters::default();
        let admit = |number, when| reporters.admit(SOURCE, other(number), at(when), LIFETIME);
        assert!((0..MAX_ADDRESSES).all(|number| admit(number, 0)));
        assert!(!admit(MAX_ADDRESSES, 1));
        assert!(admit(7, 50));
        // All others have died by now; the seventh lives.
        assert!((100..99 + MAX_ADDRESSES).all(|number| admit(number, LIFETIME)));
        assert!(!admit(1_000, LIFETIME));
        assert!(reporters.admit(other(1), other(1_000), at(LIFETIME), LIFETIME));
    }

    #[test]
    fn more_sources_than_are_remembered_wait_until_some_are_forgotten() {
        let reporters = Reporters::default();
        let admit = |source, when| reporters.admit(other(source), SOURCE, at(when), LIFETIME);
        assert!((0..MAX_SOURCES).all(|source| admit(source, 0)));
        assert!(!admit(MAX_SOURCES, 1));
        assert!(admit(7, 50));
        reporters.sweep(at(LIFETIME), LIFETIME);
        assert!(admit(MAX_SOURCES, LIFETIME));
        let kept = reporters.table.lock().unwrap().len();
        assert_eq!(kept, 2);
    }
}
