//! Who joined a torrent lately, and from where: so that a client that announces from a second address is known again (S14).
//!
//! A table of fixed size, 4 MiB; each client has one slot in it, by a seeded hash of torrent, peer id, key and port, and the next one
//! with that slot takes it over. A client announces from all of its addresses within seconds, so that little is lost by it.

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use foldhash::quality::SeedableRandomState;

use crate::clock::Seconds;
use crate::tracker::announce::Announce;
use crate::tracker::id::{InfoHash, PeerId};
use crate::tracker::peers::owner::{KeyProof, StoredKey};

/// Parts of the table, each behind a lock of its own.
const PARTS: usize = 1 << 10;
/// Slots in a part; more than 100,000 in all.
const SLOTS: usize = 1 << 7;

/// A client in a torrent, whatever its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Client {
    pub info_hash: InfoHash,
    pub peer_id: PeerId,
    /// Of its key, which it must have: by chance as any other's in one of 2²⁴ cases.
    pub key: KeyProof,
    pub port: u16,
}

impl Client {
    /// The announcer; `None` without a key.
    pub(super) fn of(announce: &Announce) -> Option<Client> {
        announce.key?;
        Some(Client {
            info_hash: announce.info_hash,
            peer_id: announce.peer_id,
            key: KeyProof::of(announce.key),
            port: announce.port,
        })
    }
}

/// Where a client announced from. The tag is never 0 but in a slot that nobody has had.
#[derive(Clone, Copy, Debug)]
struct Slot {
    tag: u64,
    ip: IpAddr,
    seen: Seconds,
}

pub(crate) struct RecentClients {
    hasher: SeedableRandomState,
    parts: Box<[Mutex<Vec<Slot>>]>,
}

impl std::fmt::Debug for RecentClients {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("RecentClients").finish_non_exhaustive()
    }
}

impl RecentClients {
    pub(crate) fn new() -> RecentClients {
        RecentClients {
            hasher: if cfg!(test) {
                // By chance two clients have one slot and forget each other, once in some thousand tests.
                SeedableRandomState::fixed()
            } else {
                SeedableRandomState::random()
            },
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
        }
    }

    /// The other address than `ip` that the client was seen at within `lifetime` seconds. Where there is none, it is known by this one
    /// from now on.
    pub(super) fn other(
        &self,
        client: &Client,
        ip: IpAddr,
        now: Seconds,
        lifetime: u32,
    ) -> Option<IpAddr> {
        self.with_slot(client, ip, |slot, tag| {
            let is_known = slot.tag == tag && now.since(slot.seen) < lifetime;
            if is_known && slot.ip != ip {
                return Some(slot.ip);
            }
            *slot = Slot { tag, ip, seen: now };
            None
        })
    }

    /// Knows the client by the address `ip` from now on.
    pub(super) fn replace(&self, client: &Client, ip: IpAddr, now: Seconds) {
        self.with_slot(client, ip, |slot, tag| {
            *slot = Slot { tag, ip, seen: now };
            None
        });
    }

    fn with_slot(
        &self,
        client: &Client,
        ip: IpAddr,
        work: impl FnOnce(&mut Slot, u64) -> Option<IpAddr>,
    ) -> Option<IpAddr> {
        let tag = self.hasher.hash_one(client).max(1);
        let [a, b, c, d, ..] = tag.to_le_bytes();
        let part = usize::from(u16::from_le_bytes([a, b])) % PARTS;
        let slot = usize::from(u16::from_le_bytes([c, d])) % SLOTS;
        let part = self.parts.get(part)?;
        let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
        if part.is_empty() {
            let nobody = Slot {
                tag: 0,
                ip,
                seen: Seconds::default(),
            };
            part.resize(SLOTS, nobody);
        }
        work(part.get_mut(slot)?, tag)
    }
}
