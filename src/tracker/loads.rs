//! How many entries each address has in all swarms, in constant memory (S5): a count-min sketch with removal.
//!
//! Two rows of counters, each under its own seeded hash; the smaller of an address's two counters is its load. It is
//! exact unless an address shares both counters with others, and then too high by what those have, never too low. A v6 address counts
//! as its /64, since a subscriber has all of one.

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use foldhash::quality::RandomState;

/// Counters in a row; both rows together take 2 MiB.
const ROW: usize = 1 << 18;

pub(super) struct Loads {
    rows: [Box<[AtomicU32]>; 2],
    hashers: [RandomState; 2],
}

impl std::fmt::Debug for Loads {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Loads").finish_non_exhaustive()
    }
}

fn subscriber(ip: IpAddr) -> u64 {
    match ip {
        IpAddr::V4(ip) => u64::from(u32::from(ip)),
        // The upper half; the lowest bit of the sum keeps v6 apart from v4.
        IpAddr::V6(ip) => (ip.to_bits() >> 64).try_into().unwrap_or(u64::MAX) ^ (1 << 63),
    }
}

impl Loads {
    pub(super) fn new() -> Loads {
        let row = || (0..ROW).map(|_| AtomicU32::new(0)).collect();
        Loads {
            rows: [row(), row()],
            hashers: [RandomState::default(), RandomState::default()],
        }
    }

    fn cells(&self, ip: IpAddr) -> impl Iterator<Item = &AtomicU32> {
        let subscriber = subscriber(ip);
        self.rows
            .iter()
            .zip(&self.hashers)
            .filter_map(move |(row, hasher)| {
                let at = usize::try_from(hasher.hash_one(subscriber)).unwrap_or(0) % ROW;
                row.get(at)
            })
    }

    pub(super) fn of(&self, ip: IpAddr) -> u32 {
        self.cells(ip)
            .map(|cell| cell.load(Relaxed))
            .min()
            .unwrap_or(0)
    }

    pub(super) fn add(&self, ip: IpAddr) {
        for cell in self.cells(ip) {
            cell.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn take(&self, ip: IpAddr) {
        for cell in self.cells(ip) {
            cell.fetch_sub(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    /// S5
    #[test]
    fn loads_are_never_too_low_and_hardly_ever_too_high() {
        let loads = Loads::new();
        for number in 0..100_000_u32 {
            (0..number % 3).for_each(|_| loads.add(Ipv4Addr::from(number).into()));
        }
        let wrong = (0..100_000).filter(|number| {
            let load = loads.of(Ipv4Addr::from(*number).into());
            assert!(load >= number % 3);
            load > number % 3
        });
        assert!(wrong.count() < 15_000);
        (0..100_000_u32).for_each(|number| {
            (0..number % 3).for_each(|_| loads.take(Ipv4Addr::from(number).into()));
        });
        assert!((0..100_000).all(|number: u32| loads.of(Ipv4Addr::from(number).into()) == 0));
    }

    #[test]
    fn a_v6_subscriber_is_one_whole_64() {
        let loads = Loads::new();
        let ip = |low: u128| IpAddr::from(Ipv6Addr::from((0x2001 << 112) | low));
        (0..5).for_each(|low| loads.add(ip(low)));
        assert_eq!(loads.of(ip(1 << 63)), 5);
        assert_eq!(loads.of(ip(1 << 64)), 0);
    }
}
