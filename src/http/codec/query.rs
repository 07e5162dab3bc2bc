//! The query of an announce or a scrape, from raw bytes to checked values; it borrows and never allocates.
//!
//! Percent-decoding happens exactly once, here. A plus sign is a blank, as the encoders of forms write it: a byte 0x2b comes
//! encoded. What is required and wrong is a [`Fault`] of fixed text; what is optional and wrong counts as absent (P2–P4, P10,
//! P11, P21).

use std::net::IpAddr;

use memchr::{memchr, memchr2};

use crate::metrics::Failure;
use crate::net::client_address;
use crate::percent::{decode, is_plain};
use crate::tracker::{Announce, ClientKey, Event, InfoHash, ListOptions, PeerAddresses, PeerId};
use crate::watch::Announced;

/// What is wrong with a query; the text is what the client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No info hash.
    #[error("missing info_hash")]
    MissingInfoHash,
    /// Neither 20 nor 32 bytes, or broken percent-encoding.
    #[error("invalid info_hash")]
    InvalidInfoHash,
    /// The hash as it is printed, 40 or 64 hex digits, or 32 letters of base32 as in old magnet links (52 of v2): somebody tries by
    /// hand, or with a library that encodes nothing.
    #[error("info_hash must be 20 raw bytes, percent-encoded, not hex digits or base32")]
    HexInfoHash,
    /// More info hashes than one scrape may ask for.
    #[error("too many info_hashes")]
    TooManyInfoHashes,
    /// No peer id.
    #[error("missing peer_id")]
    MissingPeerId,
    /// Not 20 bytes, or broken percent-encoding.
    #[error("invalid peer_id")]
    InvalidPeerId,
    /// No port.
    #[error("missing port")]
    MissingPort,
    /// Not a number in 0–65535.
    #[error("invalid port")]
    InvalidPort,
}

impl Fault {
    /// Under which reason it is counted.
    pub const fn failure(self) -> Failure {
        match self {
            Fault::MissingInfoHash => Failure::MissingInfoHash,
            Fault::InvalidInfoHash | Fault::HexInfoHash => Failure::InvalidInfoHash,
            Fault::TooManyInfoHashes => Failure::TooManyInfoHashes,
            Fault::MissingPeerId => Failure::MissingPeerId,
            Fault::InvalidPeerId => Failure::InvalidPeerId,
            Fault::MissingPort => Failure::MissingPort,
            Fault::InvalidPort => Failure::InvalidPort,
        }
    }
}

/// The parameters of an announce as they came, still encoded. Of a repeated one the first that is not empty counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parameters<'a> {
    info_hash: Option<&'a [u8]>,
    peer_id: Option<&'a [u8]>,
    key: Option<&'a [u8]>,
    port: Option<&'a [u8]>,
    left: Option<&'a [u8]>,
    downloaded: Option<&'a [u8]>,
    event: Option<&'a [u8]>,
    num_want: Option<&'a [u8]>,
    compact: Option<&'a [u8]>,
    no_peer_id: Option<&'a [u8]>,
    reported: [Option<&'a [u8]>; 3],
    /// Whether the parameter that asks for a sweep was there, with any value or none.
    pub asks_sweep: bool,
}

/// What every announce must have, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Required {
    info_hash: InfoHash,
    peer_id: PeerId,
    port: u16,
}

impl<'a> Parameters<'a> {
    /// Finds the parameters of an announce. `sweep_key` is the name that asks for a sweep; empty for none.
    pub fn read(query: &'a [u8], sweep_key: &[u8]) -> Parameters<'a> {
        let mut found = Parameters::default();
        let query = strip_question_marks(query);
        for (name, value) in Pairs(query) {
            if !found.take(name, value) && name == sweep_key && !name.is_empty() {
                found.asks_sweep = true;
            }
        }
        if found.info_hash.is_none() || found.peer_id.is_none() || found.port.is_none() {
            found.search_harder(query);
        }
        found
    }

    /// Fills what is missing from names in odd case or encoded, and from behind further question marks.
    #[cold]
    fn search_harder(&mut self, query: &'a [u8]) {
        for part in query.split(|byte| *byte == b'?') {
            for (name, value) in Pairs(part) {
                let mut plain = [0; LONGEST_NAME];
                if let Some(name) = plain_name(name, &mut plain) {
                    self.take(name, value);
                }
            }
        }
    }

    /// Keeps a value that is asked for; whether the name was one of the known.
    fn take(&mut self, name: &[u8], value: &'a [u8]) -> bool {
        let [ip, ipv4, ipv6] = &mut self.reported;
        let slot = match name {
            b"info_hash" => &mut self.info_hash,
            b"peer_id" => &mut self.peer_id,
            b"key" => &mut self.key,
            b"port" => &mut self.port,
            b"left" => &mut self.left,
            b"downloaded" => &mut self.downloaded,
            b"event" => &mut self.event,
            b"numwant" => &mut self.num_want,
            b"compact" => &mut self.compact,
            b"no_peer_id" => &mut self.no_peer_id,
            b"ip" => ip,
            b"ipv4" => ipv4,
            b"ipv6" => ipv6,
            _ => return false,
        };
        if slot.is_none() && !value.is_empty() {
            *slot = Some(value);
        }
        true
    }

    /// Checks what every announce must have.
    ///
    /// # Errors
    /// The fault that the client is to read.
    pub fn required(&self) -> Result<Required, Fault> {
        let info_hash = self.info_hash.ok_or(Fault::MissingInfoHash)?;
        let info_hash = read_info_hash(info_hash).ok_or_else(|| not_a_hash(info_hash))?;
        let peer_id = self.peer_id.ok_or(Fault::MissingPeerId)?;
        let peer_id = read_peer_id(peer_id).ok_or(Fault::InvalidPeerId)?;
        let port = number(self.port.ok_or(Fault::MissingPort)?);
        let port = port.and_then(|port| u16::try_from(port).ok());
        Ok(Required {
            info_hash,
            peer_id,
            port: port.ok_or(Fault::InvalidPort)?,
        })
    }

    /// The announce of a client at these addresses, whose reply has room for what the `options` say.
    #[inline]
    pub fn announce(
        &self,
        required: &Required,
        addresses: &PeerAddresses,
        options: ListOptions,
    ) -> Announce {
        Announce {
            info_hash: required.info_hash,
            peer_id: required.peer_id,
            key: self.key.and_then(ClientKey::from_text),
            ip: addresses.ip,
            inner_ip: addresses.inner_ip,
            is_reported: addresses.is_reported,
            port: addresses.port(required.port),
            is_seeder: self.left.and_then(number) == Some(0),
            // Neither of these keeps a peer from being served: nothing, or no number, is nothing said.
            downloaded: self.downloaded.and_then(number).unwrap_or(0),
            event: self.event.map_or(Event::None, read_event),
            // A list has its own bound far below where this saturates.
            num_want: self
                .num_want
                .and_then(number)
                .map(|number| u32::try_from(number).unwrap_or(u32::MAX)),
            options,
        }
    }

    /// What the announce says, for whoever watches; `uploaded` stands apart.
    pub(crate) fn said(&self, uploaded: Option<u64>) -> Announced {
        let port = self.port.and_then(number);
        let small = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        Announced {
            info_hash: self.info_hash.and_then(read_info_hash),
            peer_id: self.peer_id.and_then(read_peer_id),
            port: port.and_then(|port| u16::try_from(port).ok()),
            uploaded,
            downloaded: self.downloaded.and_then(number),
            left: self.left.and_then(number),
            event: self.event.map(|event| read_event(event).into()),
            numwant: self.num_want.and_then(number).map(small),
            compact: self.is_compact(),
            no_peer_id: self.no_peer_id.and_then(number).map(|said| said == 1),
            reported: self.reported().flatten().collect(),
            key: self.key.is_some(),
        }
    }

    /// Whether compact peers are asked for; `None` when the client does not say.
    pub fn is_compact(&self) -> Option<bool> {
        self.compact.and_then(number).map(|number| number != 0)
    }

    /// Whether peer ids are unwanted in dictionaries.
    pub fn spares_peer_ids(&self) -> bool {
        self.no_peer_id.and_then(number) == Some(1)
    }

    /// The addresses that the client reports of itself; `None` in it for one that is no address.
    pub fn reported(&self) -> impl Iterator<Item = Option<IpAddr>> {
        self.reported.into_iter().flatten().map(|text| {
            let mut short = [0; SHORT_BYTES];
            client_address::parse(decode_short(text, &mut short)?)
        })
    }
}

/// Puts the info hashes of a scrape into `hashes`, sorted and each once.
///
/// # Errors
/// None at all, more than `max`, or one that is none: the fault that the client is to read.
pub fn scrape(query: &[u8], max: usize, hashes: &mut Vec<InfoHash>) -> Result<(), Fault> {
    hashes.clear();
    let query = strip_question_marks(query);
    for (name, value) in Pairs(query) {
        if name == b"info_hash" {
            push_info_hash(value, max, hashes)?;
        }
    }
    if hashes.is_empty() {
        for part in query.split(|byte| *byte == b'?') {
            for (name, value) in Pairs(part) {
                let mut plain = [0; LONGEST_NAME];
                if plain_name(name, &mut plain) == Some(b"info_hash") {
                    push_info_hash(value, max, hashes)?;
                }
            }
        }
    }
    hashes.sort_unstable();
    hashes.dedup();
    if hashes.is_empty() {
        return Err(Fault::MissingInfoHash);
    }
    Ok(())
}

fn push_info_hash(value: &[u8], max: usize, hashes: &mut Vec<InfoHash>) -> Result<(), Fault> {
    if value.is_empty() {
        return Ok(());
    }
    if hashes.len() >= max {
        return Err(Fault::TooManyInfoHashes);
    }
    hashes.push(read_info_hash(value).ok_or_else(|| not_a_hash(value))?);
    Ok(())
}

/// Bytes that a client says it has uploaded in this session: only those who are accounted for, or watched, are asked. `None` when it
/// says nothing, or no number.
pub fn uploaded(query: &[u8]) -> Option<u64> {
    let mut pairs = Pairs(strip_question_marks(query));
    let said = pairs.find(|(name, value)| *name == b"uploaded" && !value.is_empty());
    said.and_then(|(_, value)| number(value))
}

/// Whether a query asks for a torrent at all; decides whether `/` is an announce (P1).
pub fn names_info_hash(query: &[u8]) -> bool {
    Pairs(strip_question_marks(query)).any(|(name, _)| {
        let mut plain = [0; LONGEST_NAME];
        plain_name(name, &mut plain) == Some(b"info_hash")
    })
}

/// Room for the name of any parameter that is known.
const LONGEST_NAME: usize = 16;

/// A name decoded and in lower case; `None` when it is too long for any that is known, or broken.
fn plain_name<'a>(name: &[u8], plain: &'a mut [u8; LONGEST_NAME]) -> Option<&'a [u8]> {
    let length = decode(name, plain)?;
    let name = plain.get_mut(..length)?;
    name.make_ascii_lowercase();
    Some(name)
}

/// Some announce URLs end in `?` already and clients put another one behind it.
fn strip_question_marks(mut query: &[u8]) -> &[u8] {
    while let Some(rest) = query.strip_prefix(b"?") {
        query = rest;
    }
    query
}

/// The pairs of a query in order: name and value, without the `=`; a pair without one has an empty value.
struct Pairs<'a>(&'a [u8]);

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        if self.0.is_empty() {
            return None;
        }
        let end = memchr(b'&', self.0).unwrap_or(self.0.len());
        let (pair, rest) = self.0.split_at_checked(end)?;
        // Behind the last pair stands no `&`, and behind a name without a value no `=`.
        self.0 = rest.get(1..).unwrap_or_default();
        let equals = pair.iter().position(|byte| *byte == b'=');
        let (name, value) = pair.split_at_checked(equals.unwrap_or(pair.len()))?;
        Some((name, value.get(1..).unwrap_or_default()))
    }
}

/// 20 bytes.
#[inline]
fn read_peer_id(text: &[u8]) -> Option<PeerId> {
    // As most clients write theirs.
    if let Ok(bytes) = <[u8; 20]>::try_from(text)
        && is_plain(&bytes)
    {
        return Some(PeerId(bytes));
    }
    let mut bytes = [0; 20];
    (decode(text, &mut bytes) == Some(bytes.len())).then_some(PeerId(bytes))
}

/// 20 bytes, or the first 20 of 32 (BEP 52).
fn read_info_hash(text: &[u8]) -> Option<InfoHash> {
    let mut bytes = [0; 32];
    let length = decode(text, &mut bytes)?;
    // 32 bytes that are all base32 are the text of a hash, and by chance once in 2^96 a hash.
    if length != 20 && (length != 32 || is_base32(&bytes)) {
        return None;
    }
    bytes.first_chunk().copied().map(InfoHash)
}

/// What is wrong with a hash that was not read.
#[cold]
fn not_a_hash(text: &[u8]) -> Fault {
    let mut bytes = [0; 64];
    let length = decode(text, &mut bytes);
    let text = length.and_then(|length| bytes.get(..length));
    let is_text = text.is_some_and(|text| match text.len() {
        40 | 64 => text.iter().all(u8::is_ascii_hexdigit),
        32 | 52 => is_base32(text),
        _ => false,
    });
    if is_text {
        Fault::HexInfoHash
    } else {
        Fault::InvalidInfoHash
    }
}

/// Whether all bytes are letters and digits of base32 (RFC 4648), in any case.
fn is_base32(text: &[u8]) -> bool {
    let mut bytes = text.iter();
    bytes.all(|byte| byte.is_ascii_alphabetic() || (b'2'..=b'7').contains(byte))
}

fn read_event(text: &[u8]) -> Event {
    match text {
        b"started" => Event::Started,
        b"completed" => Event::Completed,
        b"stopped" => Event::Stopped,
        b"paused" => Event::Paused,
        other => unusual_event(other),
    }
}

/// The same in any case and encoded.
#[cold]
fn unusual_event(text: &[u8]) -> Event {
    let mut short = [0; SHORT_BYTES];
    let Some(text) = decode_short(text, &mut short) else {
        return Event::None;
    };
    let is = |word: &[u8]| text.eq_ignore_ascii_case(word);
    if is(b"started") {
        Event::Started
    } else if is(b"completed") {
        Event::Completed
    } else if is(b"stopped") {
        Event::Stopped
    } else if is(b"paused") {
        Event::Paused
    } else {
        Event::None
    }
}

/// Longest value of a parameter that is neither a hash nor an id: a bracketed v6 address with port, and room.
const SHORT_BYTES: usize = 64;

/// Digits and nothing else; what is larger than 64 bits is the largest number.
fn number(text: &[u8]) -> Option<u64> {
    plain_number(text).or_else(|| encoded_number(text))
}

#[inline]
fn plain_number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |sum, digit| {
        let digit = digit.wrapping_sub(b'0');
        (digit < 10).then(|| sum.saturating_mul(10).saturating_add(u64::from(digit)))
    })
}

#[cold]
fn encoded_number(text: &[u8]) -> Option<u64> {
    let mut short = [0; SHORT_BYTES];
    plain_number(decode_short(text, &mut short)?)
}

/// The value itself when nothing in it is encoded, else decoded into `short`; `None` when broken or too long.
fn decode_short<'a>(text: &'a [u8], short: &'a mut [u8; SHORT_BYTES]) -> Option<&'a [u8]> {
    if memchr2(b'%', b'+', text).is_none() {
        return Some(text);
    }
    let length = decode(text, short)?;
    short.get(..length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    const IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const HASH: &str = "info_hash=aaaaaaaaaaaaaaaaaaaa";
    const PEER: &str = "&peer_id=-XX0001-bbbbbbbbbbbb&port=6881";

    fn announce(query: impl AsRef<[u8]>) -> Result<Announce, Fault> {
        let parameters = Parameters::read(query.as_ref(), b"");
        let (addresses, options) = (PeerAddresses::of_source(IP), ListOptions::default());
        Ok(parameters.announce(&parameters.required()?, &addresses, options))
    }

    fn with(rest: &str) -> Announce {
        announce(format!("{HASH}{PEER}{rest}")).unwrap()
    }

    fn encode(bytes: &[u8], is_unreserved: impl Fn(u8) -> bool, upper: bool) -> String {
        let mut text = String::new();
        for byte in bytes {
            match byte {
                byte if is_unreserved(*byte) => text.push(char::from(*byte)),
                byte if upper => text.push_str(&format!("%{byte:02X}")),
                byte => text.push_str(&format!("%{byte:02x}")),
            }
        }
        text
    }

    fn reads_back(hash: [u8; 20]) {
        let bare = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!()*".contains(&byte);
        for text in [encode(&hash, bare, false), encode(&hash, |_| false, true)] {
            let query = format!("info_hash={text}{PEER}");
            assert_eq!(
                announce(&query).unwrap().info_hash,
                InfoHash(hash),
                "{query}"
            );
            let mut hashes = Vec::new();
            scrape(query.as_bytes(), 1, &mut hashes).unwrap();
            assert_eq!(hashes, [InfoHash(hash)]);
        }
    }

    /// P2: the original lost hashes with a percent sign and two hex digits behind it, by decoding twice.
    #[test]
    fn every_percent_and_two_hex_digits_inside_a_hash_reads_back() {
        for pattern in 0..=u16::MAX {
            let [high, low] = pattern.to_be_bytes();
            if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() {
                for at in [0, 8, 17] {
                    let mut hash = [0x5a; 20];
                    hash[at..at + 3].copy_from_slice(&[b'%', high, low]);
                    reads_back(hash);
                }
            }
        }
    }

    /// P2
    #[test]
    fn a_million_random_hashes_read_back() {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut text = [b'%'; 60];
        let digits = b"0123456789abcdef";
        let mut hash = [0; 20];
        for _ in 0..1 << 20 {
            rng.fill(&mut hash);
            for (byte, escape) in hash.iter().zip(text.chunks_mut(3)) {
                escape[1] = digits[usize::from(byte >> 4)];
                escape[2] = digits[usize::from(byte & 15)];
            }
            assert_eq!(read_info_hash(&text), Some(InfoHash(hash)));
            let (form, length) = form_encoded(&hash);
            assert_eq!(read_info_hash(&form[..length]), Some(InfoHash(hash)));
        }
        for _ in 0..1 << 12 {
            rng.fill(&mut hash);
            reads_back(hash);
        }
    }

    /// As the encoders of forms write it: bare where it may be, a plus sign for a blank.
    fn form_encoded(hash: &[u8; 20]) -> ([u8; 60], usize) {
        let mut text = [0; 60];
        let mut length = 0;
        for byte in hash {
            let escape = [
                b'%',
                b"0123456789ABCDEF"[usize::from(byte >> 4)],
                b"0123456789ABCDEF"[usize::from(byte & 15)],
            ];
            let written: &[u8] = match byte {
                b' ' => b"+",
                byte if byte.is_ascii_alphanumeric() || b"*-._".contains(byte) => &[*byte],
                _ => &escape,
            };
            text[length..length + written.len()].copy_from_slice(written);
            length += written.len();
        }
        (text, length)
    }

    /// P2
    #[test]
    fn plus_is_a_blank_and_decoding_happens_once() {
        let hash = announce(format!("info_hash=++++%20+++++%2541%2b%2Bzzzzz{PEER}"));
        assert_eq!(hash.unwrap().info_hash.0, *b"          %41++zzzzz");
        assert_eq!(with("&numwant=+5").num_want, None);
        assert_eq!(with("&event=stop+ped").event, Event::None);
        for (text, id) in [
            ("-XX0001-~b!c(d)e*f.g", b"-XX0001-~b!c(d)e*f.g"),
            ("-XX0001-b+b%2Bb%2525bbbb", b"-XX0001-b b+b%25bbbb"),
            ("-XX0001-+b+bbbbbbbb+", b"-XX0001- b bbbbbbbb "),
            ("%2dXX0001-%00bbbbbbbbbb%ff", b"-XX0001-\0bbbbbbbbbb\xff"),
        ] {
            let read = announce(format!("{HASH}&port=1&peer_id={text}")).unwrap();
            assert_eq!(read.peer_id, PeerId(*id), "{text}");
        }
    }

    /// P4
    #[test]
    fn a_hash_in_hex_digits_is_told_what_is_expected() {
        for length in [40, 64] {
            for digits in ["aF", "%61%46"] {
                let hex = digits.repeat(length / 2);
                let query = format!("info_hash={hex}{PEER}");
                assert_eq!(announce(&query), Err(Fault::HexInfoHash));
                let scraped = scrape(query.as_bytes(), 1, &mut Vec::new());
                assert_eq!(scraped, Err(Fault::HexInfoHash));
            }
            let other = format!("info_hash={}{PEER}", "ag".repeat(length / 2));
            assert_eq!(announce(&other), Err(Fault::InvalidInfoHash));
        }
        for letters in ["A7", "%61%37"] {
            for length in [32, 52] {
                let query = format!("info_hash={}{PEER}", letters.repeat(length / 2));
                assert_eq!(announce(&query), Err(Fault::HexInfoHash));
            }
        }
        let raw = format!("info_hash={}%01{PEER}", "A".repeat(31));
        assert!(announce(&raw).is_ok());
        let text = Fault::HexInfoHash.to_string();
        assert!(text.contains("20 raw bytes, percent-encoded"));
    }

    /// P3
    #[test]
    fn the_info_hash_is_found_behind_a_second_question_mark() {
        for query in [
            format!("?{HASH}{PEER}"),
            format!("??{HASH}{PEER}"),
            format!("uk=abc?{HASH}{PEER}"),
        ] {
            assert_eq!(announce(&query).unwrap(), with(""), "{query}");
            let mut hashes = Vec::new();
            assert_eq!(scrape(query.as_bytes(), 1, &mut hashes), Ok(()), "{query}");
        }
    }

    /// P3
    #[test]
    fn odd_parameters_never_hurt() {
        for query in [
            format!("port=6881&{HASH}&peer_id=-XX0001-bbbbbbbbbbbb"),
            format!("&&=&=x&x&x=&%00=1&{HASH}&&{PEER}&"),
            format!("info_hash=&{HASH}&info_hash=short{PEER}&port=99999&peer_id="),
            format!("{HASH}{PEER}&{}", "unknown=1&".repeat(700)),
            format!("INFO_HASH=bbbbbbbbbbbbbbbbbbbb&Port=1&{HASH}{PEER}"),
            "Info_Hash=aaaaaaaaaaaaaaaaaaaa&PEER_ID=-XX0001-bbbbbbbbbbbb&Port=6881".to_owned(),
            "info%5Fhash=aaaaaaaaaaaaaaaaaaaa&peer%5fid=-XX0001-bbbbbbbbbbbb&%70ort=6881"
                .to_owned(),
        ] {
            assert_eq!(announce(&query).unwrap(), with(""), "{query}");
        }
    }

    /// P4
    #[test]
    fn what_is_required_is_refused_when_missing_or_wrong() {
        let peer = "peer_id=-XX0001-bbbbbbbbbbbb";
        for (query, fault) in [
            (String::new(), Fault::MissingInfoHash),
            ("info_hash".into(), Fault::MissingInfoHash),
            (
                format!("info_hash=aaaaaaaaaaaaaaaaaaa{PEER}"),
                Fault::InvalidInfoHash,
            ),
            (
                format!("info_hash=aaaaaaaaaaaaaaaaaaaaa{PEER}"),
                Fault::InvalidInfoHash,
            ),
            (
                format!("info_hash=aaaaaaaaaaaaaaaaaaa%{PEER}"),
                Fault::InvalidInfoHash,
            ),
            (
                format!("info_hash=aaaaaaaaaaaaaaaaaaa%4{PEER}"),
                Fault::InvalidInfoHash,
            ),
            (
                format!("info_hash=aaaaaaaaaaaaaaaaaaa%4g{PEER}"),
                Fault::InvalidInfoHash,
            ),
            (
                format!("info_hash={}{PEER}", "%61".repeat(33)),
                Fault::InvalidInfoHash,
            ),
            (format!("{HASH}&port=1"), Fault::MissingPeerId),
            (format!("{HASH}&port=1&peer_id=short"), Fault::InvalidPeerId),
            (format!("{HASH}&port=1&{peer}x"), Fault::InvalidPeerId),
            (format!("{HASH}&{peer}"), Fault::MissingPort),
            (format!("{HASH}&{peer}&port="), Fault::MissingPort),
            (format!("{HASH}&{peer}&port=65536"), Fault::InvalidPort),
            (format!("{HASH}&{peer}&port=-1"), Fault::InvalidPort),
            (format!("{HASH}&{peer}&port=%2b1"), Fault::InvalidPort),
            (format!("{HASH}&{peer}&port=1e3"), Fault::InvalidPort),
            (
                format!("{HASH}&{peer}&port=18446744073709551617"),
                Fault::InvalidPort,
            ),
        ] {
            assert_eq!(announce(&query), Err(fault), "{query}");
        }
        assert_eq!(announce(format!("{HASH}&{peer}&port=0")).unwrap().port, 0);
        assert_eq!(
            announce(format!("{HASH}&{peer}&port=65535")).unwrap().port,
            65535
        );
    }

    /// P4
    #[test]
    fn only_a_clear_zero_left_is_a_seeder() {
        assert!(
            with("&left=0").is_seeder
                && with("&left=%30").is_seeder
                && with("&left=&left=0").is_seeder
        );
        for rest in [
            "",
            "&left=",
            "&left=1",
            "&left=-0",
            "&left=-1",
            "&left=x",
            "&left=0x",
            "&left=18446744073709551616",
        ] {
            assert!(!with(rest).is_seeder, "{rest}");
        }
    }

    /// P10
    #[test]
    fn every_event_is_read_and_unknown_ones_are_none() {
        for (text, event) in [
            ("started", Event::Started),
            ("completed", Event::Completed),
            ("stopped", Event::Stopped),
            ("paused", Event::Paused),
            ("Stopped", Event::Stopped),
            ("%73topped", Event::Stopped),
            ("empty", Event::None),
            ("", Event::None),
            ("x%zz", Event::None),
        ] {
            assert_eq!(with(&format!("&event={text}")).event, event, "{text}");
        }
    }

    /// P11
    #[test]
    fn numwant_that_is_no_number_is_absent_and_a_huge_one_is_the_largest() {
        for (text, wanted) in [
            ("", None),
            ("-1", None),
            ("many", None),
            ("0", Some(0)),
            ("50", Some(50)),
            ("4294967296", Some(u32::MAX)),
            ("99999999999999999999999", Some(u32::MAX)),
        ] {
            assert_eq!(with(&format!("&numwant={text}")).num_want, wanted, "{text}");
        }
    }

    /// P21
    #[test]
    fn a_long_hash_means_the_swarm_of_its_first_twenty_bytes() {
        let query = format!("{HASH}bbbbbbbbbbb%01{PEER}");
        assert_eq!(
            announce(query).unwrap().info_hash.0,
            *b"aaaaaaaaaaaaaaaaaaaa"
        );
    }

    /// P6
    #[test]
    fn the_form_of_the_peers_is_read() {
        let read = |query: &'static str| Parameters::read(query.as_bytes(), b"");
        assert_eq!(read("compact=0").is_compact(), Some(false));
        assert_eq!(read("compact=1").is_compact(), Some(true));
        assert_eq!(read("compact=yes").is_compact(), None);
        assert!(read("no_peer_id=1").spares_peer_ids());
        assert!(!read("no_peer_id=0").spares_peer_ids());
    }

    /// C5
    #[test]
    fn the_sweep_key_counts_by_name() {
        for query in ["gc", "gc=", "gc=1", "a=b&gc", "?gc"] {
            assert!(
                Parameters::read(query.as_bytes(), b"gc").asks_sweep,
                "{query}"
            );
        }
        for (query, key) in [
            ("x=gc", "gc"),
            ("gcc=1", "gc"),
            ("", ""),
            ("=1", ""),
            ("port=1", ""),
        ] {
            assert!(
                !Parameters::read(query.as_bytes(), key.as_bytes()).asks_sweep,
                "{query}"
            );
        }
    }

    /// P8
    #[test]
    fn a_scrape_takes_many_hashes_sorted_and_each_once() {
        let mut hashes = Vec::new();
        let query = b"info_hash=bbbbbbbbbbbbbbbbbbbb&info_hash=aaaaaaaaaaaaaaaaaaaa&info_hash=bbbbbbbbbbbbbbbbbbbb";
        scrape(query, 3, &mut hashes).unwrap();
        assert_eq!(hashes, [InfoHash([b'a'; 20]), InfoHash([b'b'; 20])]);
        assert_eq!(scrape(query, 2, &mut hashes), Err(Fault::TooManyInfoHashes));
        assert_eq!(
            scrape(b"x=1&info_hash=", 2, &mut hashes),
            Err(Fault::MissingInfoHash)
        );
        assert_eq!(
            scrape(b"info_hash=a", 2, &mut hashes),
            Err(Fault::InvalidInfoHash)
        );
    }

    #[test]
    fn reported_addresses_are_decoded() {
        let parameters = Parameters::read(
            b"ipv6=%5B2001%3Adb8%3A%3A1%5D%3A6881&ip=10.1.2.3&ipv4=nonsense",
            b"",
        );
        let reported: Vec<_> = parameters.reported().collect();
        assert_eq!(
            reported,
            [
                Some("10.1.2.3".parse().unwrap()),
                None,
                Some("2001:db8::1".parse().unwrap())
            ]
        );
    }

    proptest! {
        #[test]
        fn pairs_are_what_splitting_gives(query in "[a&=%?]{0,80}") {
            let expected: Vec<(&[u8], &[u8])> = query
                .split_terminator('&')
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
                .collect();
            prop_assert_eq!(Pairs(query.as_bytes()).collect::<Vec<_>>(), expected);
        }

        #[test]
        fn any_bytes_give_an_announce_or_a_fault(query in proptest::collection::vec(any::<u8>(), 0..400)) {
            let parameters = Parameters::read(&query, b"gc");
            if let Ok(announce) = announce(&query) {
                prop_assert_eq!(announce.ip, IP);
            }
            prop_assert!(parameters.reported().count() <= 3);
            let mut hashes = Vec::new();
            if scrape(&query, 5, &mut hashes).is_ok() {
                prop_assert!((1..=5).contains(&hashes.len()));
            }
        }

        #[test]
        fn hashes_and_ids_of_any_bytes_read_back(hash in any::<[u8; 20]>(), id in any::<[u8; 20]>(), port in any::<u16>()) {
            let bare = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
            let query = format!("info_hash={}&peer_id={}&port={port}", encode(&hash, bare, true), encode(&id, bare, false));
            let read = announce(query).unwrap();
            prop_assert_eq!((read.info_hash, read.peer_id, read.port), (InfoHash(hash), PeerId(id), port));
        }
    }
}
