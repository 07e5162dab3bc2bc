//! Longest-prefix match over many prefixes: which zone an address lies in.
//!
//! Prefixes are flattened once into sorted runs of addresses; a look-up goes to a bucket by the leading bits and searches
//! the few runs in it. Built whole, never changed.

use std::net::IpAddr;

use ipnet::IpNet;

use super::ZoneId;
use crate::invariant::present;

/// How many bits of the address range that is in use choose the bucket.
const BUCKET_BITS: u32 = 16;

/// An address as a number.
trait Number: Copy + Ord {
    fn minus(self, other: Self) -> Self;
    fn shifted(self, bits: u32) -> usize;
    fn width(self) -> u32;
    fn after(self) -> Option<Self>;
}

macro_rules! number {
    ($($kind:ty),+) => {$(
        impl Number for $kind {
            fn minus(self, other: Self) -> Self {
                self.wrapping_sub(other)
            }

            fn shifted(self, bits: u32) -> usize {
                // Saturates for an address far behind the last prefix.
                usize::try_from(self.checked_shr(bits).unwrap_or(0)).unwrap_or(usize::MAX)
            }

            fn width(self) -> u32 {
                <$kind>::BITS - self.leading_zeros()
            }

            fn after(self) -> Option<Self> {
                self.checked_add(1)
            }
        }
    )+};
}

number!(u32, u128);

/// The runs of one family: from each start up to the next start, one zone or none holds.
#[derive(Debug)]
struct Runs<K> {
    starts: Vec<K>,
    values: Vec<Option<ZoneId>>,
    /// For each bucket, how many runs start before it. One more item than buckets.
    buckets: Vec<u32>,
    first: K,
    shift: u32,
}

impl<K: Number> Runs<K> {
    /// Makes runs of `(first address, last address, zone)`, where of two that overlap the inner one was the longer prefix.
    fn new(mut prefixes: Vec<(K, K, ZoneId)>) -> Option<Runs<K>> {
        prefixes.sort_by(|(a, a_last, _), (b, b_last, _)| a.cmp(b).then(b_last.cmp(a_last)));
        let (first, last) = (
            prefixes.first()?.0,
            prefixes.iter().map(|(_, last, _)| *last).max()?,
        );
        let mut runs: Vec<(K, Option<ZoneId>)> = Vec::with_capacity(prefixes.len() * 2);
        let mut open: Vec<(K, ZoneId)> = Vec::new();
        for (start, end, value) in prefixes {
            close(&mut open, &mut runs, Some(start));
            begin(&mut runs, start, Some(value));
            open.push((end, value));
        }
        close(&mut open, &mut runs, None);
        let shift = last.minus(first).width().saturating_sub(BUCKET_BITS);
        let count = last.minus(first).shifted(shift) + 1;
        let (starts, values): (Vec<K>, Vec<Option<ZoneId>>) = runs.into_iter().unzip();
        let mut buckets = Vec::with_capacity(count + 1);
        let mut run = 0;
        for bucket in 0..=count {
            while starts
                .get(run)
                .is_some_and(|start| start.minus(first).shifted(shift) < bucket)
            {
                run += 1;
            }
            // The last bucket also holds what lies behind all prefixes.
            let before = if bucket == count { starts.len() } else { run };
            let before = present(
                u32::try_from(before).ok(),
                "two runs for a prefix, of a file of 32 MiB",
            );
            buckets.push(before.unwrap_or(u32::MAX));
        }
        Some(Runs {
            starts,
            values,
            buckets,
            first,
            shift,
        })
    }

    #[inline]
    fn value(&self, address: K) -> Option<ZoneId> {
        if address < self.first {
            return None;
        }
        let bucket = address
            .minus(self.first)
            .shifted(self.shift)
            .min(self.buckets.len().saturating_sub(2));
        let start = |bucket| {
            let start = self.buckets.get(bucket);
            present(start, "one item more than buckets").map(|run| *run as usize)
        };
        let low = start(bucket).unwrap_or(0);
        let high = start(bucket + 1).unwrap_or(low);
        let starts = present(self.starts.get(low..high), "buckets count the starts");
        let within = starts.map_or(0, |starts| {
            starts.partition_point(|start| *start <= address)
        });
        let run = (low + within).checked_sub(1);
        let run = run.and_then(|run| self.values.get(run));
        present(run, "the first run starts at or before it")
            .copied()
            .flatten()
    }
}

fn begin<K: Number>(runs: &mut Vec<(K, Option<ZoneId>)>, start: K, value: Option<ZoneId>) {
    if let Some(last) = runs.last_mut()
        && last.0 == start
    {
        last.1 = value;
        return;
    }
    runs.push((start, value));
}

/// Ends the open prefixes that lie before `until` (all when `None`): behind each, the one around it goes on.
fn close<K: Number>(
    open: &mut Vec<(K, ZoneId)>,
    runs: &mut Vec<(K, Option<ZoneId>)>,
    until: Option<K>,
) {
    while let Some((end, _)) = open
        .last()
        .copied()
        .filter(|(end, _)| until.is_none_or(|until| *end < until))
    {
        open.pop();
        let outer = open.last().map(|(_, zone)| *zone);
        if let Some(next) = end.after() {
            begin(runs, next, outer);
        }
    }
}

/// A table of prefixes, v4 and v6, with a zone each.
#[derive(Debug, Default)]
pub(super) struct Prefixes {
    v4: Option<Runs<u32>>,
    v6: Option<Runs<u128>>,
}

impl Prefixes {
    pub(super) fn new(prefixes: impl IntoIterator<Item = (IpNet, ZoneId)>) -> Prefixes {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (prefix, value) in prefixes {
            match prefix {
                IpNet::V4(net) => v4.push((net.network().into(), net.broadcast().into(), value)),
                IpNet::V6(net) => v6.push((net.network().into(), net.broadcast().into(), value)),
            }
        }
        Prefixes {
            v4: Runs::new(v4),
            v6: Runs::new(v6),
        }
    }

    /// The zone of the longest prefix that covers a canonical address.
    #[inline]
    pub(super) fn find(&self, ip: IpAddr) -> Option<ZoneId> {
        match ip {
            IpAddr::V4(ip) => self.v4.as_ref()?.value(ip.into()),
            IpAddr::V6(ip) => self.v6.as_ref()?.value(ip.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert_eq, proptest};
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn naive(prefixes: &[(IpNet, ZoneId)], ip: IpAddr) -> Option<ZoneId> {
        let covering = prefixes.iter().filter(|(net, _)| net.contains(&ip));
        covering
            .max_by_key(|(net, _)| net.prefix_len())
            .map(|(_, zone)| *zone)
    }

    proptest! {
        /// S7
        #[test]
        fn the_longest_prefix_wins(
            v4 in proptest::collection::btree_set((0_u32..64, 20_u8..=32), 0..40),
            v6 in proptest::collection::btree_set((0_u128..64, 100_u8..=128), 0..40),
            asked in proptest::collection::vec((0_u32..80, any::<u8>()), 50),
        ) {
            let v4 = v4.iter().map(|(bits, len)| {
                IpNet::new(Ipv4Addr::from(0x0a00_0000 + (bits << 6)).into(), *len).unwrap().trunc()
            });
            let v6 = v6.iter().map(|(bits, len)| {
                IpNet::new(Ipv6Addr::from((0x2001 << 112) + (bits << 6)).into(), *len).unwrap().trunc()
            });
            let unique: std::collections::BTreeSet<IpNet> = v4.chain(v6).collect();
            let prefixes: Vec<(IpNet, ZoneId)> = unique.into_iter().zip((1..).filter_map(ZoneId::unpack)).collect();
            let table = Prefixes::new(prefixes.clone());
            for (bits, low) in asked {
                let v4 = IpAddr::from(Ipv4Addr::from(0x09ff_ff00 + (bits << 6) + u32::from(low)));
                prop_assert_eq!(table.find(v4), naive(&prefixes, v4));
                let v6 = IpAddr::from(Ipv6Addr::from((0x2001 << 112) + (u128::from(bits) << 6) + u128::from(low) - 9));
                prop_assert_eq!(table.find(v6), naive(&prefixes, v6));
            }
        }
    }

    #[test]
    fn whole_families_and_last_addresses_are_covered() {
        let table = ["0.0.0.0/0", "255.255.255.255/32", "::/0"];
        let table = table.map(|prefix| prefix.parse().unwrap());
        let table = Prefixes::new(table.into_iter().zip((1..).filter_map(ZoneId::unpack)));
        let find = |text: &str| ZoneId::pack(table.find(text.parse().unwrap()));
        assert_eq!(
            (
                find("0.0.0.0"),
                find("255.255.255.254"),
                find("255.255.255.255")
            ),
            (1, 1, 2)
        );
        assert_eq!(
            (find("::"), find("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")),
            (3, 3)
        );
    }
}
