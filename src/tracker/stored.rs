//! Swarms as they leave the core for a snapshot and come back: plain values, whole swarms at a time.

use std::net::IpAddr;

use super::id::{InfoHash, PeerId};
use crate::clock::Seconds;

/// One peer of a [`StoredSwarm`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredPeer {
    /// Canonical address.
    pub ip: IpAddr,
    /// Its address inside a realm, when it has one (S10).
    pub inner_ip: Option<IpAddr>,
    /// Never 0.
    pub port: u16,
    /// All zeros when ids are not kept.
    pub id: PeerId,
    /// Whether it has everything.
    pub is_seeder: bool,
    /// Whether it is a paused partial seed (BEP 21).
    pub is_paused: bool,
    /// Whether its `completed` has been counted.
    pub has_completed: bool,
    /// Bytes it said it had downloaded, in whole MiB, at most 2²⁴ − 1.
    pub downloaded_mib: u32,
    /// When it last announced.
    pub last_seen: Seconds,
}

/// One torrent with its peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSwarm {
    /// Which.
    pub info_hash: InfoHash,
    /// Peers that ever completed it.
    pub downloaded: u32,
    /// When it last had a peer; matters only while `peers` is empty.
    pub last_used: Seconds,
    /// Its living peers, in no particular order.
    pub peers: Vec<StoredPeer>,
}
