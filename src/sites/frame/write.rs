//! Frames to bytes: news is packed into as few frames as it fits.

use std::net::IpAddr;

use super::{
    BLOCK, CHECKSUM_AT, Entry, HAS_COMPLETED, HAS_ID, HAS_INNER, HAS_LEFT, HEADER_BYTES, HELLO,
    Hello, IS_PAUSED, IS_REPORTED, IS_SEEDER, IS_V6, LIFTED, MAGIC, MAX_FRAME, MAX_REASON,
    MAX_VERSION_TEXT, NETWORK_V4, NETWORK_V6, SWARM, SwarmEntry, TORRENT, VERSION, checksum,
};
use crate::clock::Seconds;
use crate::sites::block::{BlockChange, BlockDelta};
use crate::sites::name::SiteName;
use crate::tracker::{InfoHash, PeerDelta, Target};

/// Kind and length.
const ENTRY_HEAD: usize = 3;

/// The largest peer: v6 with an id and an inner v6 address.
const MAX_PEER: usize = 1 + 16 + 2 + 5 + 5 + 23 + 17;

/// Counts in one entry at most: all origins that there are.
const MAX_COUNTS: usize = 63;

/// A frame, and how much is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// The frame.
    pub bytes: Vec<u8>,
    /// Peers in it.
    pub peers: u32,
}

/// Collects entries into frames of one moment.
#[derive(Debug)]
pub struct Packer {
    epoch: u64,
    sequence: u32,
    lifetime: u32,
    now: Seconds,
    phase_ms: u16,
    frame: Vec<u8>,
    peers: u32,
    done: Vec<Packed>,
}

impl Packer {
    /// Begins with the frame of number `sequence` in `epoch`; ages are those at `now` and `phase_ms` (below 1,000) milliseconds.
    pub fn new(epoch: u64, sequence: u32, lifetime: u32, now: Seconds, phase_ms: u16) -> Packer {
        Packer {
            epoch,
            sequence,
            lifetime,
            now,
            phase_ms,
            frame: Vec::new(),
            peers: 0,
            done: Vec::new(),
        }
    }

    /// Ends the last frame. Returns all of them in order, and the number that the next one has.
    pub fn finish(mut self) -> (Vec<Packed>, u32) {
        self.close();
        (self.done, self.sequence)
    }

    /// Adds any entry.
    pub fn entry(&mut self, entry: &Entry) {
        match entry {
            Entry::Swarm(SwarmEntry {
                info_hash,
                counts,
                peers,
            }) => {
                let counts = counts.iter().map(|(of, count)| (of.as_ref(), *count));
                self.swarm(*info_hash, counts, peers);
            }
            Entry::Hello(hello) => self.hello(hello),
            Entry::Block(block) => self.block(block),
        }
    }

    /// Adds news of a torrent, with as many entries as it takes. Of counts those are left out that are too many.
    pub fn swarm<'a>(
        &mut self,
        info_hash: InfoHash,
        counts: impl Iterator<Item = (Option<&'a SiteName>, u32)>,
        peers: &[PeerDelta],
    ) {
        let mut head = info_hash.0.to_vec();
        head.push(0);
        let mut number = 0_u8;
        for (of, count) in counts.take(MAX_COUNTS) {
            let name = of.map_or("", SiteName::as_str);
            head.push(u8::try_from(name.len()).unwrap_or(0));
            head.extend_from_slice(name.as_bytes());
            varint(count, &mut head);
            number += 1;
        }
        if let Some(place) = head.get_mut(20) {
            *place = number;
        }
        let mut rest = peers;
        let mut is_first = true;
        while is_first || !rest.is_empty() {
            is_first = false;
            let most_peers = usize::from(!rest.is_empty()) * MAX_PEER;
            self.reserve(ENTRY_HEAD + head.len() + most_peers);
            let began = self.begin(SWARM);
            self.frame.extend_from_slice(&head);
            let mut taken = 0;
            for peer in rest {
                if self.frame.len() + MAX_PEER > MAX_FRAME {
                    break;
                }
                write_peer(peer, self.now, &mut self.frame);
                taken += 1;
            }
            self.end(began);
            self.peers = self
                .peers
                .saturating_add(u32::try_from(taken).unwrap_or(u32::MAX));
            rest = rest.get(taken..).unwrap_or_default();
            // The counts have been told.
            head.truncate(20);
            head.push(0);
        }
    }

    /// Adds what the sender says of itself; of a text of the version too long its beginning.
    pub fn hello(&mut self, hello: &Hello) {
        let version = hello.version.as_bytes();
        let version = version.get(..MAX_VERSION_TEXT).unwrap_or(version);
        self.reserve(ENTRY_HEAD + 8 + 1 + version.len());
        let began = self.begin(HELLO);
        self.frame
            .extend_from_slice(&hello.zones_digest.to_be_bytes());
        self.frame.push(u8::try_from(version.len()).unwrap_or(0));
        self.frame.extend_from_slice(version);
        self.end(began);
    }

    /// Adds a change of the blocklist; of a reason too long its beginning.
    pub fn block(&mut self, block: &BlockDelta) {
        self.reserve(ENTRY_HEAD + 64 + MAX_REASON);
        let began = self.begin(BLOCK);
        let frame = &mut self.frame;
        frame.extend_from_slice(&block.stamp.to_be_bytes());
        let lifted = match block.change {
            BlockChange::Put { .. } => 0,
            BlockChange::Lifted => LIFTED,
        };
        match block.target {
            Target::Torrent(hash) => {
                frame.push(TORRENT | lifted);
                frame.extend_from_slice(&hash.0);
            }
            Target::Network(network) => {
                let ip = network.addr();
                frame.push(family(ip) | lifted);
                write_ip(ip, frame);
                frame.push(network.prefix_len());
            }
        }
        if let BlockChange::Put {
            reason,
            created,
            expires,
        } = &block.change
        {
            frame.extend_from_slice(&created.0.to_be_bytes());
            let expires = expires.map_or(0, |end| end.0);
            frame.extend_from_slice(&expires.to_be_bytes());
            let reason = reason.get(..reason.floor_char_boundary(MAX_REASON));
            let reason = reason.unwrap_or_default().as_bytes();
            let length = u16::try_from(reason.len()).unwrap_or(0);
            frame.extend_from_slice(&length.to_be_bytes());
            frame.extend_from_slice(reason);
        }
        self.end(began);
    }

    /// Makes room for so many bytes, in another frame if need be.
    fn reserve(&mut self, bytes: usize) {
        if self.frame.len() + bytes > MAX_FRAME {
            self.close();
        }
        if self.frame.is_empty() {
            self.frame.reserve(MAX_FRAME.min(HEADER_BYTES + 2 * bytes));
            self.frame.extend_from_slice(&MAGIC);
            self.frame.extend_from_slice(&[VERSION, 0]);
            self.frame.extend_from_slice(&self.phase_ms.to_be_bytes());
            self.frame.extend_from_slice(&[0; 4]);
            self.frame.extend_from_slice(&self.epoch.to_be_bytes());
            self.frame.extend_from_slice(&self.sequence.to_be_bytes());
            self.frame.extend_from_slice(&self.lifetime.to_be_bytes());
        }
    }

    fn begin(&mut self, kind: u8) -> usize {
        self.frame.extend_from_slice(&[kind, 0, 0]);
        self.frame.len()
    }

    fn end(&mut self, began: usize) {
        let length = u16::try_from(self.frame.len() - began).unwrap_or(0);
        let place = began
            .checked_sub(2)
            .and_then(|at| self.frame.get_mut(at..began));
        if let Some(place) = place {
            place.copy_from_slice(&length.to_be_bytes());
        }
    }

    fn close(&mut self) {
        if self.frame.is_empty() {
            return;
        }
        let mut bytes = std::mem::take(&mut self.frame);
        let sum = checksum(&bytes);
        if let Some(place) = bytes.get_mut(CHECKSUM_AT..CHECKSUM_AT + 4) {
            place.copy_from_slice(&sum.to_be_bytes());
        }
        let peers = std::mem::take(&mut self.peers);
        self.done.push(Packed { bytes, peers });
        self.sequence = self.sequence.wrapping_add(1);
    }
}

fn write_peer(delta: &PeerDelta, now: Seconds, to: &mut Vec<u8>) {
    let peer = &delta.peer;
    let has_id = peer.id.0 != [0; 20] || delta.key_proof != [0; 3];
    let mut flags = 0;
    for (flag, is_set) in [
        (IS_SEEDER, peer.is_seeder),
        (IS_PAUSED, peer.is_paused),
        (HAS_COMPLETED, peer.has_completed),
        (IS_V6, peer.ip.is_ipv6()),
        (HAS_ID, has_id),
        (HAS_INNER, peer.inner_ip.is_some()),
        (IS_REPORTED, peer.is_reported),
        (HAS_LEFT, delta.has_left),
    ] {
        flags |= if is_set { flag } else { 0 };
    }
    to.push(flags);
    write_ip(peer.ip, to);
    to.extend_from_slice(&peer.port.to_be_bytes());
    varint(now.since(peer.last_seen), to);
    varint(peer.downloaded_mib, to);
    if has_id {
        to.extend_from_slice(&peer.id.0);
        to.extend_from_slice(&delta.key_proof);
    }
    if let Some(ip) = peer.inner_ip {
        to.push(family(ip));
        write_ip(ip, to);
    }
}

fn family(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { NETWORK_V4 } else { NETWORK_V6 }
}

fn write_ip(ip: IpAddr, to: &mut Vec<u8>) {
    match ip {
        IpAddr::V4(ip) => to.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => to.extend_from_slice(&ip.octets()),
    }
}

fn varint(mut value: u32, to: &mut Vec<u8>) {
    while value >= 0x80 {
        to.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
        value >>= 7;
    }
    to.push(u8::try_from(value).unwrap_or(0));
}
