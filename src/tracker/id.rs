//! The two identifiers of the protocol (BEP 3), 20 bytes each: the torrent's and the client's.

use std::fmt;

/// SHA-1 of a torrent's info dictionary (BEP 3), or the first 20 bytes of its SHA-256 (BEP 52).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InfoHash(pub [u8; 20]);

/// What a client calls itself: 20 bytes of its choice, by custom `-CCVVVV-` and 12 random bytes (BEP 20).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(pub [u8; 20]);

impl InfoHash {
    /// Reads 40 hex digits of any case; `None` for anything else.
    pub fn from_hex(text: &str) -> Option<InfoHash> {
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let mut bytes = [0; 20];
        if pairs.len() != bytes.len() || !rest.is_empty() {
            return None;
        }
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = hex_digit(*high)? << 4 | hex_digit(*low)?;
        }
        Some(InfoHash(bytes))
    }
}

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// 40 lower-case hex digits.
impl fmt::Display for InfoHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for InfoHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "InfoHash({self})")
    }
}

/// Printable ASCII as it is, everything else as `\xNN`: safe in a log line or a terminal.
impl fmt::Display for PeerId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "PeerId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert_eq, proptest};

    proptest! {
        #[test]
        fn hex_of_an_info_hash_reads_back(bytes in any::<[u8; 20]>()) {
            let hash = InfoHash(bytes);
            prop_assert_eq!(InfoHash::from_hex(&hash.to_string()), Some(hash));
            prop_assert_eq!(InfoHash::from_hex(&hash.to_string().to_uppercase()), Some(hash));
        }

        #[test]
        fn any_text_gives_a_hash_or_nothing(text in ".{0,60}") {
            if let Some(hash) = InfoHash::from_hex(&text) {
                prop_assert_eq!(hash.to_string(), text.to_lowercase());
            }
        }
    }
}
