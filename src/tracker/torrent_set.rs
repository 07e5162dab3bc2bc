//! Many info hashes, asked at each announce: sorted, with an index by their first bits and the last two bytes of each hash apart. Hashes are
//! spread evenly, so that a place of the index holds one or two of them, whose last bytes are compared at once and without a branch: a hash
//! that is not in the set is known without a look at those that are. What is not spread so is found by a binary search.

use super::id::InfoHash;

/// Hashes for each place of the index, by and by.
const PER_PLACE: usize = 2;

/// Hashes of one place whose last bytes are compared at once; of a million that are spread evenly, no place has more.
const COMPARED: usize = 16;

/// A set of torrents that is never changed in place. 22 bytes for each, and 2 to 4 for the index.
#[derive(Clone, Debug)]
pub struct TorrentSet {
    hashes: Box<[InfoHash]>,
    /// How many hashes stand before those whose first `bits` bits are this number, one more place at the end.
    index: Box<[u32]>,
    bits: u32,
    /// The last two bytes of each hash, in order, and zeros behind the last.
    ends: Box<[u16]>,
}

impl Default for TorrentSet {
    fn default() -> TorrentSet {
        TorrentSet::new(Vec::new())
    }
}

fn first_bits(hash: &InfoHash, bits: u32) -> usize {
    let [a, b, c, d, ..] = hash.0;
    // At least one bit, so that the shift is none of 32.
    (u32::from_be_bytes([a, b, c, d]) >> (32 - bits)) as usize
}

fn end(hash: &InfoHash) -> u16 {
    let [.., a, b] = hash.0;
    u16::from_be_bytes([a, b])
}

impl TorrentSet {
    /// Makes a set of hashes in any order.
    pub fn new(mut hashes: Vec<InfoHash>) -> TorrentSet {
        hashes.sort_unstable();
        hashes.dedup();
        TorrentSet::of_sorted(hashes)
    }

    fn of_sorted(hashes: Vec<InfoHash>) -> TorrentSet {
        let bits = (hashes.len() / PER_PLACE).max(2).ilog2().min(24);
        let mut index = Vec::with_capacity((1 << bits) + 1);
        for (at, hash) in (0..).zip(&hashes) {
            let place = first_bits(hash, bits);
            if index.len() <= place {
                index.resize(place + 1, at);
            }
        }
        // No list has as many entries as the type holds: its file has a bound.
        let len = u32::try_from(hashes.len()).unwrap_or(u32::MAX);
        index.resize((1 << bits) + 1, len);
        let ends = hashes.iter().map(end);
        TorrentSet {
            ends: ends.chain([0; COMPARED]).collect(),
            hashes: hashes.into(),
            index: index.into(),
            bits,
        }
    }

    /// The set with `added` and without `removed`; what is in both is in it.
    pub fn changed(&self, added: &[InfoHash], removed: &[InfoHash]) -> TorrentSet {
        let [mut added, mut removed] = [added.to_vec(), removed.to_vec()];
        added.sort_unstable();
        removed.sort_unstable();
        let stays = |hash: &&InfoHash| removed.binary_search(hash).is_err();
        let mut hashes = Vec::with_capacity(self.hashes.len() + added.len());
        hashes.extend(self.hashes.iter().filter(stays).copied());
        hashes.extend(added);
        // Both parts are sorted, which the sort finds and merges.
        hashes.sort();
        hashes.dedup();
        TorrentSet::of_sorted(hashes)
    }

    /// Whether the torrent is in it. Allocates nothing.
    #[inline]
    pub fn contains(&self, hash: &InfoHash) -> bool {
        let place = first_bits(hash, self.bits);
        let near = self.index.get(place).zip(self.index.get(place + 1));
        let Some((from, to)) = near.map(|(from, to)| (*from as usize, *to as usize)) else {
            return false;
        };
        let ends = self.ends.get(from..).and_then(<[u16]>::first_chunk);
        let Some(ends) = ends.filter(|_: &&[u16; COMPARED]| to - from <= COMPARED) else {
            let near = self.hashes.get(from..to);
            return near.is_some_and(|near| near.binary_search(hash).is_ok());
        };
        let own = end(hash);
        let alike = ends.iter().enumerate();
        let alike = alike.fold(0, |alike, (at, end)| alike | u32::from(*end == own) << at);
        // Those behind are of other places.
        let mut alike = alike & ((1 << (to - from)) - 1);
        while alike != 0 {
            if self.hashes.get(from + alike.trailing_zeros() as usize) == Some(hash) {
                return true;
            }
            alike &= alike - 1;
        }
        false
    }

    /// All of it, in order.
    pub fn hashes(&self) -> &[InfoHash] {
        &self.hashes
    }

    /// How many torrents are in it.
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    /// A few torrents alike and many others, so that places of the index are empty, full and crowded.
    fn hash(seed: u32) -> InfoHash {
        let mut bytes = [0; 20];
        let spread = seed.wrapping_mul(0x9e37_79b9);
        let first = if seed.is_multiple_of(3) { 0 } else { spread };
        bytes[..4].copy_from_slice(&first.to_be_bytes());
        bytes[16..].copy_from_slice(&seed.to_be_bytes());
        InfoHash(bytes)
    }

    /// O21
    #[test]
    fn the_ends_of_the_order_are_found() {
        for number in [0, 1, 2, 3, 5, 1_000] {
            let mut hashes: Vec<InfoHash> = (0..number).map(hash).collect();
            hashes.push(InfoHash([0xff; 20]));
            hashes.push(InfoHash([0; 20]));
            let set = TorrentSet::new(hashes.clone());
            assert!(hashes.iter().all(|hash| set.contains(hash)), "{number}");
            assert!(!set.contains(&InfoHash([0xfe; 20])));
            assert!(!set.contains(&InfoHash([1; 20])));
        }
        let empty = TorrentSet::default();
        // Alike but for bytes that are neither first nor last.
        let alike = |number: u8| {
            let mut hash = [0xab; 20];
            hash[9] = number;
            InfoHash(hash)
        };
        let set = TorrentSet::new((0..7).map(alike).collect());
        assert!((0..7).all(|number| set.contains(&alike(number))));
        assert!(!set.contains(&alike(7)));
        assert!(
            empty.is_empty()
                && !empty.contains(&InfoHash([0xff; 20]))
                && !empty.contains(&InfoHash([0; 20]))
        );
    }

    proptest! {
        /// O21: as a list that is walked, also after changes.
        #[test]
        fn a_set_of_torrents_agrees_with_a_list(
            first in proptest::collection::vec(any::<u8>(), 0..300),
            added in proptest::collection::vec(any::<u8>(), 0..30),
            removed in proptest::collection::vec(any::<u8>(), 0..30),
        ) {
            let hashes = |seeds: &[u8]| seeds.iter().map(|seed| hash((*seed).into())).collect::<Vec<_>>();
            let (first, added, removed) = (hashes(&first), hashes(&added), hashes(&removed));
            let before = TorrentSet::new(first.clone());
            let after = before.changed(&added, &removed);
            prop_assert!(after.hashes().is_sorted());
            for seed in 0..=u8::MAX {
                let hash = hash(seed.into());
                prop_assert_eq!(before.contains(&hash), first.contains(&hash));
                let stays = first.contains(&hash) && !removed.contains(&hash);
                prop_assert_eq!(after.contains(&hash), stays || added.contains(&hash));
            }
        }
    }
}
