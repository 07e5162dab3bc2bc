//! Many info hashes, asked at each announce: a hash table without collisions. For each few hashes a seed was found that spreads them over slots
//! that nobody else has, so a look-up compares one hash and no more. A byte of each slot apart, few enough for a near cache, tells of
//! most hashes that are not in the set that they are not, without a look at those that are.
//!
//! What a look-up takes is the wait for memory, and how many of them a processor can have in flight: hence one look, little to work out, and
//! no branch that is not foreseen.

use super::id::InfoHash;

/// Slots of a block. The first bits of a hash name its block, so that blocks are in order, and what is in one is sorted when it is told.
const SLOTS: usize = 1 << SLOT_BITS;
const SLOT_BITS: u32 = 10;

/// Hashes of a block that have a seed together are in one of so many buckets: three each, mostly.
const BUCKETS: usize = 1 << BUCKET_BITS;
const BUCKET_BITS: u32 = 8;

/// So many slots for so many hashes. With fewer, seeds are hard to find; with more, there is more memory to wait for.
const SLOTS_FOR: (usize, usize) = (5, 4);

/// Of a bucket that is empty, or for which no seed was found.
const NO_SEED: u8 = 0;

/// A set of torrents that is never changed in place. 27 bytes for each.
#[derive(Clone, Debug, Default)]
pub struct TorrentSet {
    /// Slots that nobody has hold some hash of the set once more.
    slots: Box<[InfoHash]>,
    /// A byte of the hash in each slot.
    tags: Box<[u8]>,
    /// Of each bucket.
    seeds: Box<[u8]>,
    blocks: usize,
    /// Those of buckets that no seed spreads, in order: of a million that are spread evenly, a few dozen.
    crowded: Box<[InfoHash]>,
    len: usize,
}

/// Hashes in order have blocks in order.
#[inline]
const fn block_of(hash: &InfoHash, blocks: usize) -> usize {
    let [a, b, c, d, ..] = hash.0;
    let first = u32::from_be_bytes([a, b, c, d]);
    ((first as u64 * blocks as u64) >> 32) as usize
}

/// What is left of a hash within its block, as one number.
#[inline]
const fn folded(hash: &InfoHash) -> u64 {
    #[rustfmt::skip]
    let [_, _, _, _, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = hash.0;
    let last = u64::from_le_bytes([i, j, k, l, m, n, o, p]);
    u64::from_le_bytes([a, b, c, d, e, f, g, h]) ^ last.rotate_left(32)
}

#[inline]
const fn bucket_of(folded: u64) -> usize {
    (folded >> (u64::BITS - BUCKET_BITS)) as usize
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the lowest byte")]
const fn tag_of(folded: u64) -> u8 {
    folded as u8
}

/// The slot of a hash within its block: another for each seed.
#[inline]
const fn slot_of(folded: u64, seed: u8) -> usize {
    let seeded = folded ^ (seed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (seeded.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> (u64::BITS - SLOT_BITS)) as usize
}

impl TorrentSet {
    /// Makes a set of hashes in any order.
    pub fn new(mut hashes: Vec<InfoHash>) -> TorrentSet {
        hashes.sort_unstable();
        hashes.dedup();
        TorrentSet::of_sorted(&hashes)
    }

    fn of_sorted(hashes: &[InfoHash]) -> TorrentSet {
        let Some(any) = hashes.first().copied() else {
            return TorrentSet::default();
        };
        let (slots, taken) = SLOTS_FOR;
        let blocks = (hashes.len() * slots).div_ceil(taken * SLOTS);
        let mut set = TorrentSet {
            slots: vec![any; blocks * SLOTS].into(),
            tags: vec![0; blocks * SLOTS].into(),
            seeds: vec![NO_SEED; blocks * BUCKETS].into(),
            blocks,
            crowded: Box::default(),
            len: hashes.len(),
        };
        let mut crowded = Vec::new();
        for own in hashes.chunk_by(|one, next| block_of(one, blocks) == block_of(next, blocks)) {
            set.fill_block(own, &mut crowded);
        }
        crowded.sort_unstable();
        set.crowded = crowded.into();
        set
    }

    /// Gives all hashes of one block their slots, the largest buckets first, while there is room.
    fn fill_block(&mut self, own: &[InfoHash], crowded: &mut Vec<InfoHash>) {
        let mut own = own.to_vec();
        let bucket = |hash: &InfoHash| bucket_of(folded(hash));
        own.sort_by_key(bucket);
        let mut buckets: Vec<&[InfoHash]> = own
            .chunk_by(|one, next| bucket(one) == bucket(next))
            .collect();
        buckets.sort_by_key(|hashes| std::cmp::Reverse(hashes.len()));
        let mut taken = [false; SLOTS];
        for hashes in buckets {
            let mut seeds = NO_SEED + 1..=u8::MAX;
            match seeds.find(|seed| takes_slots(hashes, *seed, &mut taken)) {
                Some(seed) => hashes.iter().for_each(|hash| self.put(*hash, seed)),
                None => crowded.extend(hashes),
            }
        }
    }

    fn put(&mut self, hash: InfoHash, seed: u8) {
        let (block, folded) = (block_of(&hash, self.blocks), folded(&hash));
        if let Some(own) = self.seeds.get_mut(block * BUCKETS + bucket_of(folded)) {
            *own = seed;
        }
        let at = block * SLOTS + slot_of(folded, seed);
        if let Some((slot, tag)) = self.slots.get_mut(at).zip(self.tags.get_mut(at)) {
            (*slot, *tag) = (hash, tag_of(folded));
        }
    }

    /// The set with `added` and without `removed`; what is in both is in it.
    pub fn changed(&self, added: &[InfoHash], removed: &[InfoHash]) -> TorrentSet {
        if added.is_empty() && removed.is_empty() {
            return self.clone();
        }
        let [mut added, mut removed] = [added.to_vec(), removed.to_vec()];
        added.sort_unstable();
        removed.sort_unstable();
        let stays = |hash: &InfoHash| removed.binary_search(hash).is_err();
        let mut hashes = Vec::with_capacity(self.len + added.len());
        hashes.extend(self.iter().filter(stays));
        hashes.extend(added);
        // Both parts are sorted, which the sort finds and merges.
        hashes.sort();
        hashes.dedup();
        TorrentSet::of_sorted(&hashes)
    }

    /// Whether the torrent is in it. Allocates nothing.
    #[inline]
    pub fn contains(&self, hash: &InfoHash) -> bool {
        let (block, folded) = (block_of(hash, self.blocks), folded(hash));
        let seed = self.seeds.get(block * BUCKETS + bucket_of(folded));
        let Some(seed) = seed.copied().filter(|seed| *seed != NO_SEED) else {
            return self.is_crowded(hash);
        };
        let at = block * SLOTS + slot_of(folded, seed);
        if self.tags.get(at) != Some(&tag_of(folded)) {
            return false;
        }
        self.slots.get(at) == Some(hash)
    }

    #[cold]
    fn is_crowded(&self, hash: &InfoHash) -> bool {
        self.crowded.binary_search(hash).is_ok()
    }

    /// All of it, in order.
    pub fn iter(&self) -> impl Iterator<Item = InfoHash> {
        (0..self.blocks).flat_map(|block| self.block(block))
    }

    /// What is not less than `first`, in order.
    pub fn iter_from(&self, first: InfoHash) -> impl Iterator<Item = InfoHash> {
        let blocks = block_of(&first, self.blocks)..self.blocks;
        let hashes = blocks.flat_map(|block| self.block(block));
        hashes.skip_while(move |hash| *hash < first)
    }

    /// The hashes of one block, in order.
    fn block(&self, block: usize) -> Vec<InfoHash> {
        let own = |hash: &&InfoHash| block_of(hash, self.blocks) == block;
        let slots = self.slots.get(block * SLOTS..).unwrap_or_default();
        let mut hashes: Vec<InfoHash> = slots.iter().take(SLOTS).filter(own).copied().collect();
        let crowded = |hash: &InfoHash| block_of(hash, self.blocks) < block;
        let crowded = self.crowded.get(self.crowded.partition_point(crowded)..);
        hashes.extend(crowded.unwrap_or_default().iter().take_while(own));
        hashes.sort_unstable();
        // One of them may fill slots that nobody has.
        hashes.dedup();
        hashes
    }

    /// How many torrents are in it.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// Whether this seed gives each of the hashes a slot that none has; the slots are theirs then.
fn takes_slots(hashes: &[InfoHash], seed: u8, taken: &mut [bool; SLOTS]) -> bool {
    let slot = |hash: &InfoHash| slot_of(folded(hash), seed);
    for (before, hash) in hashes.iter().enumerate() {
        match taken.get_mut(slot(hash)) {
            Some(is_taken) if !*is_taken => *is_taken = true,
            _ => {
                for hash in hashes.iter().take(before) {
                    if let Some(is_taken) = taken.get_mut(slot(hash)) {
                        *is_taken = false;
                    }
                }
                return false;
            }
        }
    }
    true
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

    /// O21: those that no seed parts are in the set as all others, and may be all of it.
    #[test]
    fn torrents_that_are_made_to_meet_are_found_too() {
        let meeting = |number: u64| {
            let mut hash = [7; 20];
            hash[4..12].copy_from_slice(&number.to_le_bytes());
            hash[12..].copy_from_slice(&number.rotate_left(32).to_le_bytes());
            InfoHash(hash)
        };
        let hashes: Vec<InfoHash> = (0..3_000).map(meeting).collect();
        let set = TorrentSet::new(hashes.clone());
        assert!(set.crowded.len() > 2_900);
        assert!(hashes.iter().all(|hash| set.contains(hash)));
        assert!((3_000..4_000).all(|number| !set.contains(&meeting(number))));
        assert_eq!(set.iter().count(), 3_000);
    }

    /// O21
    #[test]
    fn of_torrents_that_are_spread_evenly_hardly_any_is_without_a_slot() {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut random = || {
            let mut hash = [0; 20];
            rng.fill(&mut hash);
            InfoHash(hash)
        };
        let hashes: Vec<InfoHash> = (0..60_000).map(|_| random()).collect();
        let set = TorrentSet::new(hashes.clone());
        assert!(hashes.iter().all(|hash| set.contains(hash)));
        assert!((0..60_000).all(|_| !set.contains(&random())));
        assert!(set.crowded.len() < 60, "{}", set.crowded.len());
        let bytes = size_of_val(&*set.slots) + set.tags.len() + set.seeds.len();
        assert!(bytes < 28 * hashes.len(), "{bytes}");
        let mut sorted = hashes;
        sorted.sort_unstable();
        assert!(set.iter().eq(sorted));
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
            prop_assert!(after.iter().is_sorted());
            prop_assert_eq!(after.iter().count(), after.len());
            prop_assert!(after.iter().all(|hash| after.contains(&hash)));
            for first in [0, 7, u8::MAX].map(|seed| hash(seed.into())) {
                let behind = after.iter().filter(|hash| *hash >= first);
                prop_assert!(after.iter_from(first).eq(behind));
            }
            for seed in 0..=u8::MAX {
                let hash = hash(seed.into());
                prop_assert_eq!(before.contains(&hash), first.contains(&hash));
                let stays = first.contains(&hash) && !removed.contains(&hash);
                prop_assert_eq!(after.contains(&hash), stays || added.contains(&hash));
            }
        }
    }
}
