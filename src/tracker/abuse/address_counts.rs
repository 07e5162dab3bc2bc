//! What every subscriber and the networks around it have stored in all swarms, in constant memory (S5): count-min sketches with
//! removal, one of subscribers and one of the wider networks, which would swamp it.
//!
//! Each has two rows of counters; the smaller of a network's two counters is what it has. That is exact unless it shares both
//! with others, and then too high by what those have, never too low.

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use foldhash::quality::RandomState;

use crate::invariant::present;
use crate::net::subscriber::{ENTRY, Level, WIDEST_ENTRY, levels, prefix};

/// Bits of the number of a counter in a row of subscribers: both rows together take 2 MiB.
const SUBSCRIBER_BITS: u32 = 18;

/// The same of the wider networks, of which there are fewer: 1 MiB.
const WIDER_BITS: u32 = 17;

/// Parts of a network: each level is eight bits longer than the one around it.
const PARTS: u64 = 256;

/// A network as the sketches know it: where its counters are follows from this alone.
type Tag = u32;

/// Who is charged for what stays stored without a peer: a subscriber and the widest network around it; zeros for nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Charge {
    pub widest: Tag,
    pub subscriber: Tag,
}

impl Charge {
    pub(crate) fn is_nobody(self) -> bool {
        self == Charge::default()
    }
}

#[derive(Debug)]
struct Sketch {
    rows: [Box<[AtomicU32]>; 2],
    bits: u32,
}

impl Sketch {
    fn new(bits: u32) -> Sketch {
        let row = || (0..1_u32 << bits).map(|_| AtomicU32::new(0)).collect();
        Sketch {
            rows: [row(), row()],
            bits,
        }
    }

    fn cells(&self, tag: Tag) -> impl Iterator<Item = &AtomicU32> {
        // Tags are hashes already: the second row takes its index from a product, of which every bit of the tag is part.
        let indices = [tag, tag.wrapping_mul(0x9e37_79b1)].map(|hash| hash >> (32 - self.bits));
        let both = self.rows.iter().zip(indices);
        both.filter_map(|(row, index)| present(row.get(index as usize), "a row has all indices"))
    }

    fn of(&self, tag: Tag) -> u32 {
        let counts = self.cells(tag).map(|cell| cell.load(Relaxed));
        present(counts.min(), "there are two rows").unwrap_or(0)
    }

    fn add(&self, tag: Tag) {
        for cell in self.cells(tag) {
            cell.fetch_add(1, Relaxed);
        }
    }

    fn take(&self, tag: Tag) {
        for cell in self.cells(tag) {
            let taken = cell.try_update(Relaxed, Relaxed, |count| count.checked_sub(1));
            debug_assert!(taken.is_ok(), "taken what was never added");
        }
    }
}

#[derive(Debug)]
pub(crate) struct AddressCounts {
    subscribers: Sketch,
    wider: Sketch,
    hasher: RandomState,
}

impl AddressCounts {
    pub(crate) fn new() -> AddressCounts {
        AddressCounts {
            subscribers: Sketch::new(SUBSCRIBER_BITS),
            wider: Sketch::new(WIDER_BITS),
            hasher: RandomState::default(),
        }
    }

    /// The sketch and the tag of an address on each level, and what one entry weighs there.
    fn counted(&self, ip: IpAddr) -> impl Iterator<Item = (&Sketch, Tag, u32)> {
        let levels = levels(ip).iter().enumerate();
        levels.map(move |(number, level)| {
            let sketch = if number == 0 {
                &self.subscribers
            } else {
                &self.wider
            };
            (sketch, self.tag(ip, level.bits), level.entry)
        })
    }

    fn tag(&self, ip: IpAddr, bits: u32) -> Tag {
        let hash = self.hasher.hash_one((prefix(ip, bits), bits));
        // Never zero, which is nobody.
        let tag = present(Tag::try_from(hash >> 32).ok(), "32 bits are left");
        tag.unwrap_or(1).max(1)
    }

    /// What the address weighs: what its subscriber has, or a network around it where that is more, [`ENTRY`] for each entry of
    /// the subscriber.
    pub(crate) fn weight(&self, ip: IpAddr) -> u32 {
        let weights = self
            .counted(ip)
            .map(|(sketch, tag, entry)| sketch.of(tag).saturating_mul(entry));
        present(weights.max(), "an address has a level").unwrap_or(0)
    }

    /// What it would weigh with one entry more.
    fn weight_with_one_more(&self, ip: IpAddr) -> u32 {
        let weights = self
            .counted(ip)
            .map(|(sketch, tag, entry)| sketch.of(tag).saturating_add(1).saturating_mul(entry));
        weights.max().unwrap_or(ENTRY)
    }

    /// Whether somebody has more than a newcomer would have: by what both weigh, or, where they are in one network that outweighs
    /// them, in every part of it that only one of them is in. So a few do not keep out all their neighbours, nor does one who
    /// takes ever new addresses push them out.
    pub(crate) fn is_heavier(&self, ip: IpAddr, newcomer: IpAddr) -> bool {
        self.weight(ip) > self.weight_with_one_more(newcomer)
            || (ip.is_ipv4() == newcomer.is_ipv4() && self.is_heavier_neighbour(ip, newcomer))
    }

    fn is_heavier_neighbour(&self, ip: IpAddr, newcomer: IpAddr) -> bool {
        let mut is_heavier = false;
        for ((sketch, tag, _), (_, other, _)) in self.counted(ip).zip(self.counted(newcomer)) {
            if tag == other {
                return is_heavier;
            }
            is_heavier = sketch.of(tag) > sketch.of(other).saturating_add(1);
            if !is_heavier {
                return false;
            }
        }
        false
    }

    /// Whether the address has all that it may: its subscriber `bound` entries; or a network around it as many as weigh the
    /// same, and the part that the address is in a 256th of them, so that a few do not take the place of all their neighbours.
    pub(crate) fn is_full(&self, ip: IpAddr, bound: u32) -> bool {
        let mut part = u32::MAX;
        self.counted(ip).any(|(sketch, tag, entry)| {
            let entries = sketch.of(tag);
            let most = u64::from(bound) * u64::from(ENTRY);
            let is_full = u64::from(entries) * u64::from(entry) >= most
                && u64::from(part) * u64::from(entry) >= most / PARTS;
            part = entries;
            is_full
        })
    }

    /// Counts an entry of the address.
    pub(crate) fn add(&self, ip: IpAddr) {
        self.counted(ip)
            .for_each(|(sketch, tag, _)| sketch.add(tag));
    }

    /// Takes an entry of the address back.
    pub(crate) fn take(&self, ip: IpAddr) {
        self.counted(ip)
            .for_each(|(sketch, tag, _)| sketch.take(tag));
    }

    /// Who is to be charged for what this address leaves behind.
    pub(crate) fn charge_of(&self, ip: IpAddr) -> Charge {
        let levels = levels(ip);
        let tag = |level: Option<&Level>| {
            present(level, "an address has a level").map_or(0, |level| self.tag(ip, level.bits))
        };
        Charge {
            subscriber: tag(levels.first()),
            widest: tag(levels.last()),
        }
    }

    /// What the one who is charged weighs.
    pub(crate) fn weight_of(&self, charge: Charge) -> u32 {
        if charge.is_nobody() {
            return 0;
        }
        let own = self.subscribers.of(charge.subscriber).saturating_mul(ENTRY);
        own.max(self.wider.of(charge.widest).saturating_mul(WIDEST_ENTRY))
    }

    /// Counts what stays stored without a peer.
    pub(crate) fn charge(&self, charge: Charge) {
        if !charge.is_nobody() {
            self.subscribers.add(charge.subscriber);
            self.wider.add(charge.widest);
        }
    }

    /// Takes it back.
    pub(crate) fn discharge(&self, charge: Charge) {
        if !charge.is_nobody() {
            self.subscribers.take(charge.subscriber);
            self.wider.take(charge.widest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn v4(number: u32) -> IpAddr {
        Ipv4Addr::from(number).into()
    }

    /// S5
    #[test]
    fn loads_are_never_too_low_and_hardly_ever_too_high() {
        let address_counts = AddressCounts::new();
        // Each in a /24 of its own, so that no wider network outweighs it.
        let ip = |number: u32| v4(number << 8);
        for number in 0..100_000_u32 {
            (0..number % 3).for_each(|_| address_counts.add(ip(number)));
        }
        let wrong = (0..100_000).filter(|number| {
            let weight = address_counts.weight(ip(*number));
            assert!(weight >= number % 3 * ENTRY);
            weight > number % 3 * ENTRY
        });
        assert!(wrong.count() < 15_000);
        (0..100_000_u32).for_each(|number| {
            (0..number % 3).for_each(|_| address_counts.take(ip(number)));
        });
        assert!((0..100_000).all(|number: u32| address_counts.weight(ip(number)) == 0));
    }

    /// S5
    #[test]
    fn a_v6_subscriber_is_one_whole_64() {
        let address_counts = AddressCounts::new();
        let ip = |low: u128| IpAddr::from(Ipv6Addr::from((0x2001 << 112) | low));
        (0..5).for_each(|low| address_counts.add(ip(low)));
        assert_eq!(address_counts.weight(ip(1 << 63)), 5 * ENTRY);
        // Another line of the same /56 and /48 weighs what they do.
        assert_eq!(address_counts.weight(ip(1 << 64)), 5 * ENTRY / 4);
        assert_eq!(address_counts.weight(ip(1 << 72)), 5 * ENTRY / 16);
        assert_eq!(address_counts.weight(ip(1 << 80)), 0);
    }

    /// S5
    #[test]
    fn a_network_outweighs_a_subscriber_by_having_many() {
        let address_counts = AddressCounts::new();
        (0..15).for_each(|number| address_counts.add(v4(number)));
        assert_eq!(address_counts.weight(v4(3)), ENTRY);
        assert_eq!(address_counts.weight_with_one_more(v4(200)), ENTRY);
        (15..256).for_each(|number| address_counts.add(v4(number)));
        assert_eq!(address_counts.weight(v4(3)), 256);
        assert_eq!(address_counts.weight_with_one_more(v4(3)), 257);
        assert_eq!(address_counts.weight_with_one_more(v4(256)), ENTRY);
    }

    /// S5: what stays stored stays charged.
    #[test]
    fn a_charge_weighs_like_an_entry_until_it_is_taken_back() {
        let address_counts = AddressCounts::new();
        let ips = [v4(7), "2001:db8::1".parse().unwrap()];
        for ip in ips {
            let charge = address_counts.charge_of(ip);
            (0..3).for_each(|_| address_counts.charge(charge));
            address_counts.add(ip);
            assert_eq!(
                (address_counts.weight(ip), address_counts.weight_of(charge)),
                (4 * ENTRY, 4 * ENTRY)
            );
            (0..3).for_each(|_| address_counts.discharge(charge));
            assert_eq!(address_counts.weight(ip), ENTRY);
        }
        let nobody = Charge::default();
        address_counts.charge(nobody);
        assert_eq!(address_counts.weight_of(nobody), 0);
        address_counts.discharge(nobody);
    }
}
