//! The digest of a key: what is kept of it, in memory and on the disk.
//!
//! SHA-256, cut to 128 bits, and no slow hash: a key is not a password but at least 128 random bits, so there is no list of likely
//! ones to try, and one that fits a digest is as hard to find as the key itself. A slow hash would cost each announce milliseconds and
//! make it no harder. And a look-up by digest tells nobody by its time how much of a guess was right: whoever guesses cannot
//! choose the digest's leading bytes.

use std::fmt;

use sha2::{Digest, Sha256};

use super::{MAX_KEY_BYTES, MIN_KEY_BYTES};

/// The first 16 bytes of the SHA-256 of a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyDigest([u8; 16]);

impl KeyDigest {
    /// The digest of a key as its owner sends it; `None` when that is too short or too long for one.
    pub fn of(key: &[u8]) -> Option<KeyDigest> {
        if !(MIN_KEY_BYTES..=MAX_KEY_BYTES).contains(&key.len()) {
            return None;
        }
        Sha256::digest(key).first_chunk().copied().map(KeyDigest)
    }

    /// From the bytes that [`KeyDigest::bytes`] gave, or the first of a whole SHA-256.
    pub const fn from_bytes(bytes: [u8; 16]) -> KeyDigest {
        KeyDigest(bytes)
    }

    /// To be kept.
    pub const fn bytes(&self) -> [u8; 16] {
        self.0
    }

    /// A number that is alike for few digests.
    pub(super) const fn leading(self) -> u8 {
        let [first, ..] = self.0;
        first
    }
}

/// Stars: it is nobody's business whose key it is.
impl fmt::Debug for KeyDigest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("KeyDigest(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// O16
    #[test]
    fn only_what_can_be_a_key_has_a_digest_and_none_is_shown() {
        for (length, has_one) in [(0, false), (31, false), (32, true), (64, true), (65, false)] {
            assert_eq!(KeyDigest::of(&vec![b'a'; length]).is_some(), has_one);
        }
        let digest = KeyDigest::of(b"0123456789abcdef0123456789abcdef").unwrap();
        // sha256sum
        assert_eq!(digest.bytes()[..4], [0x3e, 0xb1, 0xbd, 0x43]);
        assert_ne!(digest, KeyDigest::of(&[b'0'; 32]).unwrap());
        assert_eq!(format!("{digest:?}"), "KeyDigest(***)");
    }
}
