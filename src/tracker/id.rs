//! The identifiers of the protocol (BEP 3, BEP 15): the torrent's, the client's, and the client's secret.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::num::NonZeroU32;

/// SHA-1 of a torrent's info dictionary (BEP 3), or the first 20 bytes of its SHA-256 (BEP 52).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct InfoHash(pub [u8; 20]);

/// As two numbers: hashers take them at once, and call a function for each text of more than 16 bytes.
impl Hash for InfoHash {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        if let (Some(first), Some(last)) = (self.0.first_chunk(), self.0.last_chunk()) {
            state.write_u128(u128::from_ne_bytes(*first));
            state.write_u32(u32::from_ne_bytes(*last));
        }
    }
}

/// What a client calls itself: 20 bytes of its choice, by custom `-CCVVVV-` and 12 random bytes (BEP 20).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(pub [u8; 20]);

/// A number that a client keeps for itself and sends with every announce, so that it is known again under another address or id
/// (`key`, BEP 15). Never handed out. Two keys of clients that write no number are alike by a chance of 2⁻³².
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientKey(NonZeroU32);

impl ClientKey {
    /// The key of a datagram; `None` for 0, which means none.
    pub fn from_number(number: u32) -> Option<ClientKey> {
        NonZeroU32::new(number).map(ClientKey)
    }

    /// The key of a query, as it was written there. Up to eight hex digits are the number that the same client sends over UDP; any
    /// other text is folded into a number (FNV-1a).
    pub fn from_text(text: &[u8]) -> Option<ClientKey> {
        let number = if text.len() <= 8 {
            text.iter().try_fold(0_u32, |number, digit| {
                Some(number << 4 | u32::from(hex_digit(*digit)?))
            })
        } else {
            None
        };
        let folded = || {
            text.iter().fold(0x811c_9dc5_u32, |hash, byte| {
                (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
            })
        };
        ClientKey::from_number(number.unwrap_or_else(folded))
    }

    /// The number itself.
    pub(super) fn number(self) -> u32 {
        self.0.get()
    }
}

/// Stars: it is a secret.
impl fmt::Debug for ClientKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("ClientKey(***)")
    }
}

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

/// A hash of v1 in base32, in characters.
const BASE32_CHARACTERS: usize = 32;

/// A hash of v2 in base32, in characters; the last one has a bit of it and four zeros (RFC 4648, 6).
const BASE32_CHARACTERS_V2: usize = 52;

/// How the multihash of a magnet link's `urn:btmh:` (BEP 9) begins, in hex: SHA-256, of 32 bytes.
const MULTIHASH: &[u8] = b"1220";

impl InfoHash {
    /// Reads an info hash as people write it: 40 hex digits or 32 characters of base32 (BEP 9) for v1; for v2 64 hex digits, also as
    /// the multihash of a magnet link, or 52 characters of base32 with or without padding, of which a tracker is asked by the first 20 bytes (BEP 52). Any
    /// case; `None` for anything else.
    pub fn from_text(text: &[u8]) -> Option<InfoHash> {
        match text.len() {
            40 => str::from_utf8(text).ok().and_then(InfoHash::from_hex),
            64 => {
                let (first, rest) = text.split_at_checked(40)?;
                rest.iter()
                    .try_for_each(|digit| hex_digit(*digit).map(drop))?;
                str::from_utf8(first).ok().and_then(InfoHash::from_hex)
            }
            68 => text.strip_prefix(MULTIHASH).and_then(InfoHash::from_text),
            56 => text.strip_suffix(b"====").and_then(InfoHash::from_text),
            BASE32_CHARACTERS => from_base32(text),
            BASE32_CHARACTERS_V2 => {
                let (first, rest) = text.split_at_checked(BASE32_CHARACTERS)?;
                let mut last = 0;
                for character in rest {
                    last = base32_digit(*character)?;
                }
                (last & 0xf == 0).then(|| from_base32(first)).flatten()
            }
            _ => None,
        }
    }
}

fn from_base32(text: &[u8]) -> Option<InfoHash> {
    let mut bytes = [0; 20];
    // Eight characters are five bytes.
    let (groups, _) = bytes.as_chunks_mut::<5>();
    for (group, characters) in groups.iter_mut().zip(text.chunks(8)) {
        let number = characters.iter().try_fold(0_u64, |number, character| {
            Some(number << 5 | u64::from(base32_digit(*character)?))
        })?;
        let [_, _, _, five @ ..] = number.to_be_bytes();
        *group = five;
    }
    Some(InfoHash(bytes))
}

fn base32_digit(character: u8) -> Option<u8> {
    match character {
        b'A'..=b'Z' => Some(character - b'A'),
        b'a'..=b'z' => Some(character - b'a'),
        b'2'..=b'7' => Some(character - b'2' + 26),
        _ => None,
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

    #[test]
    fn every_byte_of_an_info_hash_is_hashed() {
        use std::hash::BuildHasher;
        let hasher = foldhash::fast::RandomState::default();
        let hashes = (0..20).flat_map(|at| {
            (1..=u8::MAX).map(move |byte| {
                let mut hash = InfoHash([0; 20]);
                hash.0[at] = byte;
                hash
            })
        });
        let different: std::collections::HashSet<u64> =
            hashes.map(|hash| hasher.hash_one(hash)).collect();
        assert_eq!(different.len(), 20 * 255);
    }

    /// O21, O22
    #[test]
    fn an_info_hash_is_read_as_people_write_it() {
        let hex = "12345678abcdef00ffeeddccbbaa998877665544";
        let hash = InfoHash::from_hex(hex);
        assert!(hash.is_some());
        for text in [
            hex.to_owned(),
            hex.to_uppercase(),
            format!("{hex}{}", "0a".repeat(12)),
            "CI2FM6FLZXXQB77O3XGLXKUZRB3WMVKE".to_owned(),
            "ci2fm6flzxxqb77o3xglxkuzrb3wmvke".to_owned(),
            // Of v2, by base32 of coreutils; and as in a magnet link.
            "CI2FM6FLZXXQB77O3XGLXKUZRB3WMVKEBIFAUCQKBIFAUCQKBIFA====".to_owned(),
            "CI2FM6FLZXXQB77O3XGLXKUZRB3WMVKEBIFAUCQKBIFAUCQKBIFA".to_owned(),
            "ci2fm6flzxxqb77o3xglxkuzrb3wmvkebifaucqkbifaucqkbifa".to_owned(),
            format!("1220{hex}{}", "0a".repeat(12)),
        ] {
            assert_eq!(InfoHash::from_text(text.as_bytes()), hash, "{text}");
        }
        for text in [
            "",
            "12345678abcdef00ffeeddccbbaa99887766554",
            "12345678abcdef00ffeeddccbbaa9988776655gg",
            "CI2FM6FLZXXQB77O3XGLXKUZRB3WMVK1",
            "CI2FM6FLZXXQB77O3XGLXKUZRB3WMVK",
            "CI2FM6FLZXXQB77O3XGLXKUZRB3WMVKEBIFAUCQKBIFAUCQKBIF",
            "CI2FM6FLZXXQB77O3XGLXKUZRB3WMVKEBIFAUCQKBIFAUCQKBIFB",
            "CI2FM6FLZXXQB77O3XGLXKUZRB3WMVKEBIFAUCQK1IFAUCQKBIFA",
            "CI2FM6FLZXXQB77O3XGLXKUZRB3WMVKEBIFAUCQKBIFAUCQKBIFA===",
            "1220zz34567890123456789012345678901234567890123456789012345678901234",
            "1120aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ] {
            assert_eq!(InfoHash::from_text(text.as_bytes()), None, "{text}");
        }
        let odd = format!("{hex}{}zz", "0".repeat(22));
        assert_eq!(InfoHash::from_text(odd.as_bytes()), None);
        assert_eq!(InfoHash::from_text(&[0xc3; 40]), None);
    }

    #[test]
    fn a_key_is_the_same_over_http_and_udp() {
        assert_eq!(
            ClientKey::from_text(b"00C0FFEE"),
            ClientKey::from_number(0x00c0_ffee)
        );
        assert_eq!(
            ClientKey::from_text(b"c0ffee"),
            ClientKey::from_number(0x00c0_ffee)
        );
        assert_eq!(ClientKey::from_text(b"0"), None);
        assert_eq!(ClientKey::from_number(0), None);
        // Not a number: told apart all the same.
        assert_ne!(
            ClientKey::from_text(b"zebra"),
            ClientKey::from_text(b"zebrb")
        );
        assert!(ClientKey::from_text(b"123456789").is_some());
    }

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
