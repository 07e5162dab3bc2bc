//! One swarm's peers, and what other trackers counted of it, as bytes; the only place that knows bincode (2, standard varints). The
//! header is its own, so that the codec can be exchanged; with a checksum, so that a damaged page does not become peers.
//!
//! ```text
//! offset size name
//!      0    2 magic "rs"
//!      2    2 format, 2 (1 is read as well: without counts and without origins); reserved, 0
//!      4    8 number of peers; CRC-32 of what follows; both little-endian
//!     12    1 number of counts
//!     13    … counts: origin, downloaded
//!           … peers, about 31 bytes each
//! ```

use std::net::IpAddr;

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};

use crate::clock::Seconds;
use crate::invariant::present;
use crate::tracker::{MAX_ORIGINS, Origin, PeerId, StoredPeer};

const MAGIC: [u8; 2] = *b"rs";
const FORMAT: u8 = 2;
const HEADER_BYTES: usize = 12;

/// What the largest peer takes, v6 with a v6 inner address: the limit that bincode decodes under, peer by peer.
const MAX_PEER_BYTES: usize = 128;

/// Peers of a record at most, so that it fits into a value of the database and decoded into memory. Of a larger swarm so many
/// are kept.
pub(super) const MAX_PEERS: usize = 1_000_000;

/// What the smallest peer takes, in every format: flags, v4 address and port, age, downloaded.
const MIN_PEER_BYTES: usize = 9;

/// A record as plain values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The peers.
    pub peers: Vec<StoredPeer>,
    /// What other trackers counted of `downloaded`, one count each.
    pub downloaded_elsewhere: Vec<(Origin, u32)>,
}

/// Why a record cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Shorter than its header says, or longer.
    #[error("record of a wrong length")]
    Length,
    /// Another magic number.
    #[error("not a record")]
    Foreign,
    /// A format that this version does not know.
    #[error("record of an unknown format")]
    Format,
    /// The bytes are not those that were written.
    #[error("record with a wrong checksum")]
    Checksum,
    /// A peer that does not decode, or cannot be.
    #[error("record with a malformed peer")]
    Peer,
    /// Counts of other trackers that do not decode, or cannot be.
    #[error("record with malformed counts")]
    Counts,
}

const IS_SEEDER: u8 = 1;
const IS_PAUSED: u8 = 1 << 1;
const HAS_COMPLETED: u8 = 1 << 2;
const IS_V6: u8 = 1 << 3;
const HAS_ID: u8 = 1 << 4;
const HAS_INNER_V4: u8 = 1 << 5;
const HAS_INNER_V6: u8 = 1 << 6;
/// Records that were written before the flag existed do not have it: their addresses count as sources.
const IS_REPORTED: u8 = 1 << 7;

/// A peer on disk: flags, origin (0 for none; not in format 1), address and port big-endian, then only what the flags announce.
struct Row<const IN_FORMAT: u8> {
    peer: StoredPeer,
    age: u32,
}

impl Encode for Row<FORMAT> {
    fn encode<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        let peer = &self.peer;
        let has_id = peer.id.0 != [0; 20];
        let mut flags = 0;
        for (flag, is_set) in [
            (IS_SEEDER, peer.is_seeder),
            (IS_PAUSED, peer.is_paused),
            (HAS_COMPLETED, peer.has_completed),
            (IS_V6, peer.ip.is_ipv6()),
            (HAS_ID, has_id),
            (IS_REPORTED, peer.is_reported),
            (HAS_INNER_V4, peer.inner_ip.is_some_and(|ip| ip.is_ipv4())),
            (HAS_INNER_V6, peer.inner_ip.is_some_and(|ip| ip.is_ipv6())),
        ] {
            flags |= if is_set { flag } else { 0 };
        }
        flags.encode(to)?;
        peer.origin.map_or(0, Origin::get).encode(to)?;
        encode_ip(peer.ip, to)?;
        peer.port.to_be_bytes().encode(to)?;
        self.age.encode(to)?;
        peer.downloaded_mib.encode(to)?;
        if has_id {
            peer.id.0.encode(to)?;
        }
        peer.inner_ip.map_or(Ok(()), |ip| encode_ip(ip, to))
    }
}

fn encode_ip<E: Encoder>(ip: IpAddr, to: &mut E) -> Result<(), EncodeError> {
    match ip {
        IpAddr::V4(ip) => ip.octets().encode(to),
        IpAddr::V6(ip) => ip.octets().encode(to),
    }
}

fn decode_ip<D: Decoder<Context = ()>>(is_v6: bool, from: &mut D) -> Result<IpAddr, DecodeError> {
    Ok(if is_v6 {
        <[u8; 16]>::decode(from)?.into()
    } else {
        <[u8; 4]>::decode(from)?.into()
    })
}

impl<const IN_FORMAT: u8> Decode<()> for Row<IN_FORMAT> {
    fn decode<D: Decoder<Context = ()>>(from: &mut D) -> Result<Row<IN_FORMAT>, DecodeError> {
        let flags = u8::decode(from)?;
        let has = |flag: u8| flags & flag != 0;
        let origin = match if IN_FORMAT == 1 { 0 } else { u8::decode(from)? } {
            0 => None,
            number => Some(Origin::new(number).ok_or(DecodeError::Other("no origin"))?),
        };
        let ip = decode_ip(has(IS_V6), from)?;
        let port = u16::from_be_bytes(<[u8; 2]>::decode(from)?);
        let age = u32::decode(from)?;
        let downloaded_mib = u32::decode(from)?;
        let id = if has(HAS_ID) {
            <[u8; 20]>::decode(from)?
        } else {
            [0; 20]
        };
        let inner_ip = if has(HAS_INNER_V4) || has(HAS_INNER_V6) {
            Some(decode_ip(has(HAS_INNER_V6), from)?)
        } else {
            None
        };
        Ok(Row {
            peer: StoredPeer {
                origin,
                ip,
                inner_ip,
                port,
                id: PeerId(id),
                is_seeder: has(IS_SEEDER),
                is_paused: has(IS_PAUSED),
                is_reported: has(IS_REPORTED),
                has_completed: has(HAS_COMPLETED),
                downloaded_mib,
                last_seen: Seconds::default(),
            },
            age,
        })
    }
}

/// Makes `record`, whatever was in it, the record of `peers` with their ages as of `now`, and of what others counted.
pub fn write(
    peers: &[StoredPeer],
    downloaded_elsewhere: &[(Origin, u32)],
    now: Seconds,
    record: &mut Vec<u8>,
) {
    record.clear();
    record.extend([MAGIC[0], MAGIC[1], FORMAT, 0]);
    record.extend([0; 8]);
    let counts = downloaded_elsewhere.iter().take(MAX_ORIGINS);
    record.push(u8::try_from(counts.len()).unwrap_or(0));
    for (origin, downloaded) in counts {
        append((origin.get(), *downloaded), record);
    }
    let mut count = 0_u32;
    for peer in peers.iter().take(MAX_PEERS) {
        let row: Row<FORMAT> = Row {
            peer: *peer,
            age: now.since(peer.last_seen),
        };
        count += u32::from(append(row, record));
    }
    let body = present(record.get(HEADER_BYTES..), "the header was written first");
    let checksum = crc32fast::hash(body.unwrap_or_default());
    let header = count
        .to_le_bytes()
        .into_iter()
        .chain(checksum.to_le_bytes());
    for (to, from) in record.iter_mut().skip(4).zip(header) {
        *to = from;
    }
}

/// Whether `value` could be written behind `record`. Writing into memory cannot fail; what did would be left out.
fn append(value: impl Encode, record: &mut Vec<u8>) -> bool {
    let before = record.len();
    match bincode::encode_into_std_write(value, record, bincode::config::standard()) {
        Ok(_) => true,
        Err(error) => {
            debug_assert!(false, "it cannot be encoded: {error}");
            record.truncate(before);
            false
        }
    }
}

/// Reads a record whose ages count from `saved`. Any bytes give a record or an error; what is allocated is bounded by their number.
///
/// # Errors
/// See [`RecordError`].
pub fn read(record: &[u8], saved: Seconds) -> Result<Record, RecordError> {
    let (header, body) = record
        .split_first_chunk::<HEADER_BYTES>()
        .ok_or(RecordError::Length)?;
    let [m0, m1, format, _, c0, c1, c2, c3, s0, s1, s2, s3] = *header;
    if [m0, m1] != MAGIC {
        return Err(RecordError::Foreign);
    }
    if !(1..=FORMAT).contains(&format) {
        return Err(RecordError::Format);
    }
    if crc32fast::hash(body) != u32::from_le_bytes([s0, s1, s2, s3]) {
        return Err(RecordError::Checksum);
    }
    let count = u32::from_le_bytes([c0, c1, c2, c3]);
    let count = count as usize;
    if count > MAX_PEERS || count > body.len() / MIN_PEER_BYTES {
        return Err(RecordError::Length);
    }
    if format == 1 {
        return Ok(Record {
            peers: read_peers::<1>(body, count, saved)?,
            downloaded_elsewhere: Vec::new(),
        });
    }
    let (downloaded_elsewhere, body) = read_counts(body)?;
    Ok(Record {
        peers: read_peers::<FORMAT>(body, count, saved)?,
        downloaded_elsewhere,
    })
}

type Counts = Vec<(Origin, u32)>;

/// The counts, and what stands behind them.
fn read_counts(body: &[u8]) -> Result<(Counts, &[u8]), RecordError> {
    let (count, mut body) = body.split_first().ok_or(RecordError::Length)?;
    if usize::from(*count) > MAX_ORIGINS {
        return Err(RecordError::Counts);
    }
    let mut counts = Counts::with_capacity(usize::from(*count));
    for _ in 0..*count {
        let (number, downloaded);
        ((number, downloaded), body) = take(body).ok_or(RecordError::Counts)?;
        let origin = Origin::new(number).ok_or(RecordError::Counts)?;
        if counts.iter().any(|(known, _)| *known == origin) {
            return Err(RecordError::Counts);
        }
        counts.push((origin, downloaded));
    }
    Ok((counts, body))
}

fn read_peers<const IN_FORMAT: u8>(
    mut body: &[u8],
    count: usize,
    saved: Seconds,
) -> Result<Vec<StoredPeer>, RecordError> {
    let mut peers = Vec::with_capacity(count);
    for _ in 0..count {
        let row: Row<IN_FORMAT>;
        (row, body) = take(body).ok_or(RecordError::Peer)?;
        if row.peer.port == 0 || row.peer.ip != row.peer.ip.to_canonical() {
            return Err(RecordError::Peer);
        }
        peers.push(StoredPeer {
            last_seen: saved.minus(row.age),
            ..row.peer
        });
    }
    if body.is_empty() {
        Ok(peers)
    } else {
        Err(RecordError::Length)
    }
}

/// The value at the beginning of `body`, and what stands behind it.
fn take<T: Decode<()>>(body: &[u8]) -> Option<(T, &[u8])> {
    let config = bincode::config::standard().with_limit::<MAX_PEER_BYTES>();
    let (value, taken) = bincode::decode_from_slice(body, config).ok()?;
    let rest = present(body.get(taken..), "no more is taken than there is");
    Some((value, rest.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, proptest};

    /// When the records of these tests are written.
    const SAVED: Seconds = Seconds::START;

    /// This tracker, or any other.
    fn any_origin() -> impl Strategy<Value = Option<Origin>> {
        (0..=63_u8).prop_map(Origin::new)
    }

    /// What others may have counted.
    fn any_counts() -> impl Strategy<Value = Vec<(Origin, u32)>> {
        let counts = prop::collection::btree_map(1..=63_u8, any::<u32>(), 0..64);
        counts.prop_map(|counts| {
            let counts = counts.into_iter();
            counts
                .map(|(number, count)| (Origin::new(number).unwrap(), count))
                .collect()
        })
    }

    /// Any peer that the core may hand over.
    fn any_peer() -> impl Strategy<Value = StoredPeer> {
        let flags = any::<(bool, bool, bool, bool)>();
        let id = prop::option::of(any::<[u8; 20]>());
        let rest = (1..=u16::MAX, 0..1_u32 << 24, 0..100_000_u32, any_origin());
        (any::<IpAddr>(), any::<Option<IpAddr>>(), id, flags, rest).prop_map(
            |(
                ip,
                inner,
                id,
                (is_seeder, is_paused, is_reported, has_completed),
                (port, mib, age, origin),
            )| StoredPeer {
                origin,
                ip: ip.to_canonical(),
                inner_ip: inner.map(|ip| ip.to_canonical()),
                port,
                id: PeerId(id.unwrap_or_default()),
                is_seeder,
                is_paused,
                is_reported,
                has_completed,
                downloaded_mib: mib,
                last_seen: SAVED.minus(age),
            },
        )
    }

    proptest! {
        #[test]
        fn a_record_reads_back_as_it_was_written(peers in prop::collection::vec(any_peer(), 0..60), counts in any_counts()) {
            let mut record = vec![1, 2, 3];
            write(&peers, &counts, SAVED, &mut record);
            prop_assert_eq!(read(&record, SAVED), Ok(Record { peers, downloaded_elsewhere: counts }));
        }

        #[test]
        fn any_bytes_give_peers_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(read(&bytes, SAVED).is_err());
        }

        #[test]
        fn a_right_checksum_over_any_bytes_is_no_danger(
            format in 0..4_u8, count in 0..20_u32, body in prop::collection::vec(any::<u8>(), 0..200)
        ) {
            let mut record = b"rs".to_vec();
            record.extend([format, 0]);
            record.extend(count.to_le_bytes());
            record.extend(crc32fast::hash(&body).to_le_bytes());
            record.extend(&body);
            if let Ok(read) = read(&record, SAVED) {
                prop_assert_eq!(read.peers.len(), count as usize);
            }
        }

        #[test]
        fn one_wrong_bit_is_noticed(peers in prop::collection::vec(any_peer(), 1..9), bit in any::<prop::sample::Index>()) {
            let mut record = Vec::new();
            write(&peers, &[], SAVED, &mut record);
            let bit = bit.index(record.len() * 8);
            record[bit / 8] ^= 1 << (bit % 8);
            // The reserved byte means nothing.
            prop_assert!(bit / 8 == 3 || read(&record, SAVED).is_err());
        }
    }

    /// O1: 40 bytes of a record and 20 of its row are what ≤ 60 bytes per peer leave.
    #[test]
    fn a_v4_peer_takes_no_more_than_36_bytes() {
        let peer = StoredPeer {
            origin: None,
            ip: [192, 0, 2, 1].into(),
            inner_ip: None,
            port: 6881,
            id: PeerId(*b"-qB4520-abcdefghijkl"),
            is_seeder: false,
            is_paused: false,
            is_reported: false,
            has_completed: false,
            downloaded_mib: 60_000,
            last_seen: SAVED.minus(3_000),
        };
        let mut record = Vec::new();
        write(&[peer; 10], &[], SAVED, &mut record);
        assert!((record.len() - HEADER_BYTES) / 10 <= 36, "{}", record.len());
    }

    /// O24, R24
    #[test]
    fn a_record_of_format_1_is_read() {
        // Address, port, age and MiB of a seeder without an id, as format 1 had it.
        let body = [1, 192, 0, 2, 1, 0x1a, 0xe1, 90, 7];
        let mut record = b"rs\x01\x00\x01\x00\x00\x00".to_vec();
        record.extend(crc32fast::hash(&body).to_le_bytes());
        record.extend(body);
        let read = read(&record, SAVED).unwrap();
        assert!(read.downloaded_elsewhere.is_empty());
        let [peer] = read.peers[..] else {
            panic!("one peer")
        };
        assert_eq!((peer.ip, peer.port), ([192, 0, 2, 1].into(), 6881));
        assert_eq!((peer.origin, peer.is_seeder), (None, true));
        assert_eq!((peer.downloaded_mib, peer.last_seen), (7, SAVED.minus(90)));
    }

    /// O24
    #[test]
    fn counts_of_one_tracker_twice_are_no_record() {
        let origin = Origin::new(5).unwrap();
        let mut record = Vec::new();
        write(&[], &[(origin, 1), (origin, 2)], SAVED, &mut record);
        assert_eq!(read(&record, SAVED), Err(RecordError::Counts));
    }
}
