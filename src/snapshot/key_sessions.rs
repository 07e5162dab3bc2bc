//! The sessions of a key as bytes of its row: 84 for each, big-endian.
//!
//! | offset | size | name |
//! |---|---|---|
//! | 0 | 20 | info hash |
//! | 20 | 20 | peer id |
//! | 40 | 8 | uploaded, as reported |
//! | 48 | 8 | downloaded, as reported |
//! | 56 | 4 | seconds since it was last seen, when this was written |
//! | 60 | 6 | v4 address and port; zeros for none |
//! | 66 | 18 | v6 address and port; zeros for none |

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::clock::Seconds;
use crate::tracker::{InfoHash, KeySession, PeerId, Traffic};

const SIZE: usize = 84;

/// The bytes of these sessions.
pub(super) fn write(sessions: &[KeySession], now: Seconds) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(sessions.len() * SIZE);
    for session in sessions {
        bytes.extend(session.info_hash.0);
        bytes.extend(session.peer_id.0);
        bytes.extend(session.reported.uploaded.to_be_bytes());
        bytes.extend(session.reported.downloaded.to_be_bytes());
        bytes.extend(now.since(session.seen).to_be_bytes());
        let (v4, port) = session.v4.unwrap_or((Ipv4Addr::UNSPECIFIED, 0));
        bytes.extend(v4.octets());
        bytes.extend(port.to_be_bytes());
        let (v6, port) = session.v6.unwrap_or((Ipv6Addr::UNSPECIFIED, 0));
        bytes.extend(v6.octets());
        bytes.extend(port.to_be_bytes());
    }
    bytes
}

/// The sessions of these bytes, which were written at `saved`; `None` when they are of another kind.
pub(super) fn read(bytes: &[u8], saved: Seconds) -> Option<Vec<KeySession>> {
    let (records, []) = bytes.as_chunks::<SIZE>() else {
        return None;
    };
    records
        .iter()
        .map(|record| session(record, saved))
        .collect()
}

fn session(record: &[u8; SIZE], saved: Seconds) -> Option<KeySession> {
    let (info_hash, rest) = record.split_first_chunk()?;
    let (peer_id, rest) = rest.split_first_chunk()?;
    let (uploaded, rest) = rest.split_first_chunk()?;
    let (downloaded, rest) = rest.split_first_chunk()?;
    let (age, rest) = rest.split_first_chunk()?;
    let (v4, rest) = rest.split_first_chunk::<4>()?;
    let (v4_port, rest) = rest.split_first_chunk()?;
    let (v6, rest) = rest.split_first_chunk::<16>()?;
    let (v6_port, _) = rest.split_first_chunk()?;
    let (v4, v6) = (Ipv4Addr::from(*v4), Ipv6Addr::from(*v6));
    Some(KeySession {
        info_hash: InfoHash(*info_hash),
        peer_id: PeerId(*peer_id),
        reported: Traffic {
            uploaded: u64::from_be_bytes(*uploaded),
            downloaded: u64::from_be_bytes(*downloaded),
        },
        seen: saved.minus(u32::from_be_bytes(*age)),
        v4: (!v4.is_unspecified()).then_some((v4, u16::from_be_bytes(*v4_port))),
        v6: (!v6.is_unspecified()).then_some((v6, u16::from_be_bytes(*v6_port))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    proptest! {
        /// O16
        #[test]
        fn sessions_come_back_as_they_were_written(
            hash in any::<[u8; 20]>(), id in any::<[u8; 20]>(), uploaded in any::<u64>(), downloaded in any::<u64>(),
            age in 0_u32..100_000, v4 in proptest::option::of((1_u32.., any::<u16>())),
            v6 in proptest::option::of((1_u128.., any::<u16>())), later in 0_u32..100_000,
        ) {
            let now = Seconds::START;
            let session = |now: Seconds| KeySession {
                info_hash: InfoHash(hash),
                peer_id: PeerId(id),
                reported: Traffic { uploaded, downloaded },
                seen: now.minus(age),
                v4: v4.map(|(ip, port)| (ip.into(), port)),
                v6: v6.map(|(ip, port)| (ip.into(), port)),
            };
            let bytes = write(&[session(now), session(now)], now);
            prop_assert_eq!(bytes.len(), 2 * SIZE);
            let restarted = now.plus(later);
            prop_assert_eq!(read(&bytes, restarted), Some(vec![session(restarted); 2]));
            prop_assert_eq!(read(&bytes[1..], now), None);
        }

        /// O16
        #[test]
        fn any_bytes_give_sessions_or_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let read = read(&bytes, Seconds::START);
            prop_assert!(read.is_some() == bytes.len().is_multiple_of(SIZE));
        }
    }
}
