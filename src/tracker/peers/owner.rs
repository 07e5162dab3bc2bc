//! What is kept of the client that a peer was stored for, so that only the same client removes it or changes its role (S1):
//! its id, whole or as a digest, and a digest of its key.

use crate::tracker::id::{ClientKey, PeerId};

/// What is kept of a peer's id: all of it, or enough to know it again (`keep_peer_ids = no`).
pub(crate) trait StoredId:
    Copy + PartialEq + std::fmt::Debug + Send + Sync + 'static
{
    /// What is kept of the client's key beside it.
    type Key: StoredKey;
    fn keep(id: PeerId) -> Self;
    /// The id itself, when all of it is kept.
    fn given(self) -> Option<PeerId>;
    fn is(self, id: PeerId) -> bool;
    /// Whether it tells nobody apart: an id of zeros, as a database has it when ids were not kept.
    fn is_unknown(self) -> bool;
}

impl StoredId for PeerId {
    type Key = KeyProof;

    fn keep(id: PeerId) -> PeerId {
        id
    }

    #[inline]
    fn given(self) -> Option<PeerId> {
        Some(self)
    }

    #[inline]
    fn is(self, id: PeerId) -> bool {
        self == id
    }

    fn is_unknown(self) -> bool {
        self == PeerId([0; 20])
    }
}

/// A digest of the id, without anything of the key: the id alone makes a peer its client's own. Two ids are alike by a chance of 2⁻²⁴.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IdDigest([u8; 3]);

impl StoredId for IdDigest {
    type Key = ();

    fn keep(id: PeerId) -> IdDigest {
        if id.is_unknown() {
            return IdDigest([0; 3]);
        }
        let (words, rest) = id.0.as_chunks::<8>();
        let last = rest.iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
        let words = words.iter().map(|word| u64::from_le_bytes(*word));
        IdDigest(digest(words.chain([last])))
    }

    fn given(self) -> Option<PeerId> {
        None
    }

    fn is(self, id: PeerId) -> bool {
        self == IdDigest::keep(id)
    }

    fn is_unknown(self) -> bool {
        self == IdDigest([0; 3])
    }
}

/// Folds words into 24 bits that are not all zero. No secret is in it: what it is made of is never handed out, and who would
/// guess has to ask this tracker each time.
fn digest(words: impl Iterator<Item = u64>) -> [u8; 3] {
    // An odd constant with its ones spread evenly: the golden ratio.
    let mixed = words.fold(0_u64, |all, word| {
        (all.rotate_left(29) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    });
    let [a, b, c, ..] = (mixed ^ mixed >> 32)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .to_be_bytes();
    if [a, b, c] == [0; 3] {
        [1; 3]
    } else {
        [a, b, c]
    }
}

/// What is kept of a client's `key`, as proof that a later announce comes from the same client.
pub(crate) trait StoredKey:
    Copy + Default + std::fmt::Debug + Send + Sync + 'static
{
    fn of(key: Option<ClientKey>) -> Self;
    /// Whether both are of the same key; a missing key is like no other.
    fn matches(self, other: Self) -> bool;
    /// The digest, for other trackers; zeros for none.
    fn proof(self) -> [u8; 3];
    fn of_proof(proof: [u8; 3]) -> Self;
}

/// A digest of the key; zeros for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct KeyProof([u8; 3]);

impl StoredKey for KeyProof {
    #[inline]
    fn of(key: Option<ClientKey>) -> KeyProof {
        let number = key.map(ClientKey::number);
        number.map_or(KeyProof::default(), |number| {
            KeyProof(digest([u64::from(number)].into_iter()))
        })
    }

    #[inline]
    fn matches(self, other: KeyProof) -> bool {
        self == other && self != KeyProof::default()
    }

    fn proof(self) -> [u8; 3] {
        self.0
    }

    fn of_proof(proof: [u8; 3]) -> KeyProof {
        KeyProof(proof)
    }
}

/// Nothing is kept.
impl StoredKey for () {
    fn of(_: Option<ClientKey>) {}

    fn matches(self, (): ()) -> bool {
        false
    }

    fn proof(self) -> [u8; 3] {
        [0; 3]
    }

    fn of_proof(_: [u8; 3]) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S1
    #[test]
    fn digests_tell_ids_and_keys_apart() {
        let id = |number: u32| {
            let mut id = *b"-qB4520-abcdefgh\0\0\0\0";
            id[16..].copy_from_slice(&number.to_be_bytes());
            PeerId(id)
        };
        let mut ids: Vec<_> = (0..1_000)
            .map(|number| IdDigest::keep(id(number)).0)
            .collect();
        let mut keys: Vec<_> = (0..1_000)
            .map(|number| KeyProof::of(ClientKey::from_number(number)).0)
            .collect();
        for digests in [&mut ids, &mut keys] {
            digests.sort_unstable();
            digests.dedup();
            // By chance one pair in thirty-four such thousands is alike; these are always the same.
            assert_eq!(digests.len(), 1_000);
        }
        assert!(IdDigest::keep(id(7)).is(id(7)) && !IdDigest::keep(id(7)).is(id(8)));
        assert!(IdDigest::keep(PeerId([0; 20])).is_unknown());
        let (none, some) = (KeyProof::of(None), KeyProof::of(ClientKey::from_number(7)));
        assert!(some.matches(some) && !none.matches(none) && !none.matches(some));
    }
}
