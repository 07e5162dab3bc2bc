//! Frames from bytes. Any bytes give a frame or an error, and nothing is allocated that the bytes do not pay for.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{
    BLOCK, CHECKSUM_AT, Entry, Frame, FrameError, HAS_COMPLETED, HAS_ID, HAS_INNER, HAS_LEFT,
    HEADER_BYTES, HELLO, Header, Hello, IS_PAUSED, IS_REPORTED, IS_SEEDER, IS_V6, LIFTED, MAGIC,
    MAX_FRAME, MAX_REASON, MAX_VERSION_TEXT, NETWORK_V4, NETWORK_V6, SWARM, SwarmEntry, TORRENT,
    VERSION, checksum,
};
use crate::clock::{Seconds, Wall};
use crate::shown::steers;
use crate::sites::block::{BlockChange, BlockDelta};
use crate::tracker::{InfoHash, PeerDelta, PeerId, StoredPeer, Target};

/// Most that a peer can say it has downloaded, in MiB.
const MAX_DOWNLOADED_MIB: u32 = (1 << 24) - 1;

/// Reads a frame. `at` says when something happened that was so many milliseconds old when the frame was made.
///
/// # Errors
/// See [`FrameError`]; nothing of such a frame is to be used.
pub fn read(bytes: &[u8], at: impl Fn(u64) -> Seconds) -> Result<Frame, FrameError> {
    if bytes.len() > MAX_FRAME {
        return Err(FrameError::TooLarge);
    }
    let mut cursor = Cursor(bytes);
    let magic: [u8; 4] = cursor.array().ok_or(FrameError::Foreign)?;
    let [version, _] = cursor.array().ok_or(FrameError::Foreign)?;
    if magic != MAGIC || bytes.len() < HEADER_BYTES {
        return Err(FrameError::Foreign);
    }
    // The checksum stands in the same place in every version, so that damage is told apart from the future.
    let written = bytes.get(CHECKSUM_AT..).and_then(|rest| rest.first_chunk());
    if written != Some(&checksum(bytes).to_be_bytes()) {
        return Err(FrameError::Checksum);
    }
    if version > VERSION {
        return Err(FrameError::Newer);
    }
    cursor.frame(&at).ok_or(FrameError::Entry)
}

/// What has not been read yet.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// Only the shortest spelling is taken, so that equal frames are equal bytes.
    fn varint(&mut self) -> Option<u32> {
        let mut value = 0_u32;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            let bits = u32::from(byte & 0x7f);
            if shift == 28 && bits > 0xf {
                return None;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return (byte != 0 || shift == 0).then_some(value);
            }
        }
        None
    }

    fn ip(&mut self, is_v6: bool) -> Option<IpAddr> {
        Some(if is_v6 {
            IpAddr::from(self.array::<16>()?).to_canonical()
        } else {
            self.array::<4>()?.into()
        })
    }

    fn frame(&mut self, at: &impl Fn(u64) -> Seconds) -> Option<Frame> {
        let phase_ms = self.array().map(u16::from_be_bytes)?;
        if phase_ms >= 1_000 {
            return None;
        }
        self.take(4)?;
        let header = Header {
            epoch: self.number()?,
            sequence: self.array().map(u32::from_be_bytes)?,
            lifetime: self.array().map(u32::from_be_bytes)?,
            phase_ms,
        };
        let mut frame = Frame {
            header,
            entries: Vec::new(),
            unknown_entries: 0,
            invalid: 0,
        };
        let seen = |age: u32| at(u64::from(age) * 1_000 + u64::from(phase_ms));
        while !self.0.is_empty() {
            let kind = self.byte()?;
            let length = self.array().map(u16::from_be_bytes)?;
            let mut body = Cursor(self.take(length.into())?);
            match kind {
                SWARM => {
                    let swarm = body.swarm(&seen, &mut frame.invalid)?;
                    frame.entries.push(Entry::Swarm(swarm));
                }
                HELLO => frame.entries.push(Entry::Hello(body.hello()?)),
                BLOCK => match body.block()? {
                    Some(block) => frame.entries.push(Entry::Block(block)),
                    None => frame.invalid += 1,
                },
                _ => frame.unknown_entries += 1,
            }
        }
        Some(frame)
    }

    fn swarm(&mut self, seen: &impl Fn(u32) -> Seconds, invalid: &mut u32) -> Option<SwarmEntry> {
        let info_hash = InfoHash(self.array()?);
        let mut counts = Vec::new();
        for _ in 0..self.byte()? {
            let length = self.byte()?;
            let name = std::str::from_utf8(self.take(length.into())?).ok()?;
            let of = match name {
                "" => None,
                name => Some(name.parse().ok()?),
            };
            counts.push((of, self.varint()?));
        }
        let mut peers = Vec::new();
        while !self.0.is_empty() {
            let peer = self.peer(seen)?;
            if peer.peer.port == 0 {
                *invalid += 1;
            } else {
                peers.push(peer);
            }
        }
        Some(SwarmEntry {
            info_hash,
            counts,
            peers,
        })
    }

    fn peer(&mut self, seen: &impl Fn(u32) -> Seconds) -> Option<PeerDelta> {
        let flags = self.byte()?;
        let has = |flag: u8| flags & flag != 0;
        let ip = self.ip(has(IS_V6))?;
        let port = self.array().map(u16::from_be_bytes)?;
        let last_seen = seen(self.varint()?);
        let downloaded_mib = self.varint()?.min(MAX_DOWNLOADED_MIB);
        let (id, key_proof) = if has(HAS_ID) {
            (self.array()?, self.array()?)
        } else {
            ([0; 20], [0; 3])
        };
        let inner_ip = if has(HAS_INNER) {
            let is_v6 = match self.byte()? {
                NETWORK_V4 => false,
                NETWORK_V6 => true,
                _ => return None,
            };
            Some(self.ip(is_v6)?)
        } else {
            None
        };
        Some(PeerDelta {
            peer: StoredPeer {
                ip,
                inner_ip,
                port,
                id: PeerId(id),
                is_seeder: has(IS_SEEDER),
                is_paused: has(IS_PAUSED),
                is_reported: has(IS_REPORTED),
                has_completed: has(HAS_COMPLETED),
                downloaded_mib,
                last_seen,
                origin: None,
            },
            key_proof,
            has_left: has(HAS_LEFT),
        })
    }

    fn hello(&mut self) -> Option<Hello> {
        let zones_digest = self.number()?;
        let length = self.byte()?;
        let version = std::str::from_utf8(self.take(length.into())?).ok()?;
        let is_shown = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
        let fits = version.len() <= MAX_VERSION_TEXT && version.bytes().all(is_shown);
        // What follows is of a later version.
        fits.then(|| Hello {
            zones_digest,
            version: version.to_owned(),
        })
    }

    /// `Some(None)` for a target of a kind that is not known here, or that none can be.
    fn block(&mut self) -> Option<Option<BlockDelta>> {
        let stamp = self.number()?;
        let what = self.byte()?;
        let target = match what & !LIFTED {
            TORRENT => Some(Target::Torrent(InfoHash(self.array()?))),
            kind @ (NETWORK_V4 | NETWORK_V6) => {
                let ip = self.ip(kind == NETWORK_V6)?;
                let network = IpNet::new(ip, self.byte()?).ok();
                let is_canonical = |network: &IpNet| network.trunc() == *network;
                network.filter(is_canonical).map(Target::Network)
            }
            _ => return Some(None),
        };
        let change = if what & LIFTED != 0 {
            BlockChange::Lifted
        } else {
            let created = Wall(self.number()?);
            let expires = Some(self.number()?).filter(|end| *end != 0).map(Wall);
            let length = self.array().map(u16::from_be_bytes)?;
            let reason = std::str::from_utf8(self.take(length.into())?).ok()?;
            if reason.len() > MAX_REASON {
                return None;
            }
            BlockChange::Put {
                // People read it, on pages, terminals and in logs: it neither ends their line nor turns it round.
                reason: reason.replace(steers, " "),
                created,
                expires,
            }
        };
        Some(target.map(|target| BlockDelta {
            target,
            change,
            stamp,
        }))
    }
}
