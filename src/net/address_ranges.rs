//! Many ranges of addresses of both families, as blocklists of others have them: sorted, without overlaps, asked by a binary search.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Below so many ranges of v4 the index costs more than it saves.
const INDEXED: usize = 1_024;

/// Addresses from the first to the last, of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressRange {
    /// Numbers of v4 addresses, both included.
    V4(u32, u32),
    /// Numbers of v6 addresses, both included. Those of v4-mapped ones in between mean nothing: nobody is asked for by such an address.
    V6(u128, u128),
}

impl AddressRange {
    /// The range from `first` to `last`; two v4-mapped ends are v4. `None` when the families differ or the end comes first.
    pub fn new(first: IpAddr, last: IpAddr) -> Option<AddressRange> {
        match (first.to_canonical(), last.to_canonical()) {
            (IpAddr::V4(first), IpAddr::V4(last)) if first <= last => {
                Some(AddressRange::V4(first.into(), last.into()))
            }
            (IpAddr::V6(first), IpAddr::V6(last)) if first <= last => {
                Some(AddressRange::V6(first.into(), last.into()))
            }
            _ => None,
        }
    }

    /// Whether it holds every address of its family.
    pub const fn is_whole_family(self) -> bool {
        matches!(
            self,
            AddressRange::V4(0, u32::MAX) | AddressRange::V6(0, u128::MAX)
        )
    }

    /// Whether it holds more than a /16, or a /32 of v6: an internet provider's whole network, or more.
    pub fn is_wide(self) -> bool {
        match self {
            AddressRange::V4(first, last) => last - first > 0xffff,
            AddressRange::V6(first, last) => (last - first) >> 96 != 0,
        }
    }
}

impl std::fmt::Display for AddressRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            AddressRange::V4(first, last) => {
                write!(f, "{}-{}", Ipv4Addr::from(first), Ipv4Addr::from(last))
            }
            AddressRange::V6(first, last) => {
                write!(f, "{}-{}", Ipv6Addr::from(first), Ipv6Addr::from(last))
            }
        }
    }
}

impl From<IpNet> for AddressRange {
    fn from(network: IpNet) -> AddressRange {
        match network {
            IpNet::V4(network) => {
                AddressRange::V4(network.network().into(), network.broadcast().into())
            }
            IpNet::V6(network) => {
                AddressRange::V6(network.network().into(), network.broadcast().into())
            }
        }
    }
}

/// Ranges of one family: `firsts` and `lasts` side by side, so that a search touches the firsts only.
#[derive(Clone, Debug)]
struct SortedRanges<N> {
    firsts: Box<[N]>,
    lasts: Box<[N]>,
}

impl<N> Default for SortedRanges<N> {
    fn default() -> SortedRanges<N> {
        SortedRanges {
            firsts: Box::default(),
            lasts: Box::default(),
        }
    }
}

impl<N: Copy + Ord> SortedRanges<N> {
    /// Sorts the ranges and makes one of those that overlap; `next` is the number behind one.
    fn new(mut ranges: Vec<(N, N)>, next: impl Fn(N) -> Option<N>) -> SortedRanges<N> {
        ranges.sort_unstable();
        ranges.dedup_by(|range, before| {
            let touches = next(before.1).is_none_or(|next| range.0 <= next);
            if touches {
                before.1 = before.1.max(range.1);
            }
            touches
        });
        SortedRanges {
            firsts: ranges.iter().map(|range| range.0).collect(),
            lasts: ranges.iter().map(|range| range.1).collect(),
        }
    }

    /// Whether a range covers `number`, where those that begin at or before it end within `firsts[from..to]`, or just before.
    #[inline]
    fn covers(&self, number: N, from: usize, to: usize) -> bool {
        let near = self.firsts.get(from..to).unwrap_or_default();
        let behind = from + near.partition_point(|first| *first <= number);
        let last = behind.checked_sub(1).and_then(|at| self.lasts.get(at));
        last.is_some_and(|last| number <= *last)
    }

    /// Whether any number from `first` to `last` is covered.
    fn touches(&self, first: N, last: N) -> bool {
        let at = self.lasts.partition_point(|end| *end < first);
        self.firsts.get(at).is_some_and(|begin| *begin <= last)
    }

    fn iter(&self) -> impl Iterator<Item = (N, N)> {
        self.firsts.iter().copied().zip(self.lasts.iter().copied())
    }
}

/// A set of addresses that is asked often and never changed: 8 bytes for each range of v4, 32 of v6, and 256 KiB of index where there are
/// many.
#[derive(Clone, Debug, Default)]
pub struct AddressRanges {
    v4: SortedRanges<u32>,
    /// How many ranges of v4 begin before the addresses with these upper 16 bits; nothing where there are few.
    index: Box<[u32]>,
    v6: SortedRanges<u128>,
}

/// Ranges in any order, of which a set is to be made.
#[derive(Clone, Debug, Default)]
pub struct UnsortedRanges {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl UnsortedRanges {
    /// Adds one.
    pub fn push(&mut self, range: AddressRange) {
        match range {
            AddressRange::V4(first, last) => self.v4.push((first, last)),
            AddressRange::V6(first, last) => self.v6.push((first, last)),
        }
    }

    /// The set.
    pub fn sorted(self) -> AddressRanges {
        let v4 = SortedRanges::new(self.v4, |number: u32| number.checked_add(1));
        AddressRanges {
            index: index(&v4.firsts),
            v4,
            v6: SortedRanges::new(self.v6, |number: u128| number.checked_add(1)),
        }
    }
}

impl FromIterator<AddressRange> for AddressRanges {
    fn from_iter<I: IntoIterator<Item = AddressRange>>(ranges: I) -> AddressRanges {
        let mut unsorted = UnsortedRanges::default();
        ranges.into_iter().for_each(|range| unsorted.push(range));
        unsorted.sorted()
    }
}

fn index(firsts: &[u32]) -> Box<[u32]> {
    if firsts.len() < INDEXED {
        return Box::default();
    }
    let before = |upper: u32| firsts.partition_point(|first| first >> 16 < upper);
    // There are 2³² addresses, so no more ranges than the type holds.
    let before = |upper| u32::try_from(before(upper)).unwrap_or(u32::MAX);
    (0..=0x1_0000).map(before).collect()
}

impl AddressRanges {
    /// Whether a range covers the canonical address `ip`.
    #[inline]
    pub fn covers(&self, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(ip) => {
                let number = u32::from(ip);
                let upper = (number >> 16) as usize;
                let near = self.index.get(upper).zip(self.index.get(upper + 1));
                let (from, to) = near.map_or((0, self.v4.firsts.len()), |(from, to)| {
                    (*from as usize, *to as usize)
                });
                self.v4.covers(number, from, to)
            }
            IpAddr::V6(ip) => self.v6.covers(ip.into(), 0, self.v6.firsts.len()),
        }
    }

    /// Whether a range covers any address of a network.
    pub fn touches(&self, network: IpNet) -> bool {
        match AddressRange::from(network) {
            AddressRange::V4(first, last) => self.v4.touches(first, last),
            AddressRange::V6(first, last) => self.v6.touches(first, last),
        }
    }

    /// How many ranges there are, those that overlapped or touched counted as one.
    pub fn len(&self) -> usize {
        self.v4.firsts.len() + self.v6.firsts.len()
    }

    /// Whether no address is covered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The ranges in order, v4 first.
    pub fn iter(&self) -> impl Iterator<Item = AddressRange> {
        let v4 = self.v4.iter();
        let v4 = v4.map(|(first, last)| AddressRange::V4(first, last));
        let v6 = self.v6.iter();
        v4.chain(v6.map(|(first, last)| AddressRange::V6(first, last)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert_eq, proptest};

    fn ranges(texts: &[&str]) -> AddressRanges {
        let range = |text: &&str| {
            let (first, last) = text.split_once('-').unwrap();
            AddressRange::new(first.parse().unwrap(), last.parse().unwrap()).unwrap()
        };
        texts.iter().map(range).collect()
    }

    /// O22
    #[test]
    fn ranges_that_overlap_or_touch_are_one() {
        let ranges = ranges(&[
            "10.0.0.5-10.0.0.9",
            "10.0.0.10-10.0.0.12",
            "10.0.0.0-10.0.0.6",
            "10.0.0.7-10.0.0.7",
            "10.0.0.14-10.0.0.14",
            "255.255.255.0-255.255.255.255",
            "255.255.255.255-255.255.255.255",
            "2001:db8::-2001:db8::ff",
            "2001:db8::80-2001:db8::1ff",
            "::ffff:192.0.2.1-::ffff:192.0.2.2",
        ]);
        let texts: Vec<String> = ranges.iter().map(|range| range.to_string()).collect();
        assert_eq!(
            texts,
            [
                "10.0.0.0-10.0.0.12",
                "10.0.0.14-10.0.0.14",
                "192.0.2.1-192.0.2.2",
                "255.255.255.0-255.255.255.255",
                "2001:db8::-2001:db8::1ff",
            ]
        );
        assert_eq!(ranges.len(), 5);
        for (ip, expected) in [
            ("10.0.0.12", true),
            ("10.0.0.13", false),
            ("9.255.255.255", false),
            ("192.0.2.2", true),
            ("255.255.255.255", true),
            ("2001:db8::1ff", true),
            ("2001:db8::200", false),
            ("::ffff:192.0.2.1", false),
        ] {
            assert_eq!(ranges.covers(ip.parse().unwrap()), expected, "{ip}");
        }
        for (network, expected) in [
            ("10.0.0.13/32", false),
            ("10.0.0.12/31", true),
            ("0.0.0.0/0", true),
            ("11.0.0.0/8", false),
            ("2001:db8::/32", true),
            ("2001:db9::/32", false),
        ] {
            assert_eq!(
                ranges.touches(network.parse().unwrap()),
                expected,
                "{network}"
            );
        }
    }

    /// O22
    #[test]
    fn what_is_no_range_is_none() {
        for (first, last) in [
            ("10.0.0.2", "10.0.0.1"),
            ("10.0.0.2", "2001:db8::1"),
            ("::fffe:ffff:ffff", "::ffff:10.0.0.1"),
            ("::ffff:10.0.0.1", "::1:0:0:0"),
        ] {
            let range = AddressRange::new(first.parse().unwrap(), last.parse().unwrap());
            assert_eq!(range, None, "{first}-{last}");
        }
        assert!(
            !ranges(&["10.0.0.0-10.0.255.255"])
                .iter()
                .any(AddressRange::is_wide)
        );
        assert!(
            ranges(&["10.0.0.0-10.1.0.0"])
                .iter()
                .any(AddressRange::is_wide)
        );
        assert!(
            ranges(&["2001:db8::-2001:db9::"])
                .iter()
                .any(AddressRange::is_wide)
        );
    }

    proptest! {
        /// O22: as a list that is walked, with an index and without, at the ends of ranges and beside them.
        #[test]
        fn a_set_of_ranges_agrees_with_a_list(
            seeds in proptest::collection::vec((any::<u32>(), 0_u32..1 << 20), 0..40),
            many in any::<bool>(),
            offset in 0_u32..3,
        ) {
            let mut list: Vec<(u32, u32)> = seeds
                .iter()
                .map(|(first, more)| (*first, first.saturating_add(*more)))
                .collect();
            if many {
                // Enough for an index, crowded into two of its places.
                list.extend((0..1_100_u32).map(|number| (0x0a00_0000 + number * 90, 0x0a00_0000 + number * 90 + 7)));
            }
            let ranges: AddressRanges = list.iter().map(|(first, last)| AddressRange::V4(*first, *last)).collect();
            let shift = 96 - 32 * offset;
            let wide: AddressRanges = list
                .iter()
                .map(|(first, last)| AddressRange::V6(u128::from(*first) << shift, u128::from(*last) << shift))
                .collect();
            let ends = list.iter().flat_map(|(first, last)| [*first, *last]);
            for number in ends.flat_map(|end| [end.wrapping_sub(1), end, end.wrapping_add(1)]) {
                let expected = list.iter().any(|(first, last)| (first..=last).contains(&&number));
                prop_assert_eq!(ranges.covers(IpAddr::V4(number.into())), expected);
                prop_assert_eq!(wide.covers(IpAddr::V6((u128::from(number) << shift).into())), expected);
                let network: IpNet = IpAddr::V4(number.into()).into();
                prop_assert_eq!(ranges.touches(network), expected);
            }
        }
    }
}
