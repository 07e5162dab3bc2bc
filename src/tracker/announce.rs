//! What goes into the core and comes out of it: announces, scrapes, their replies, and why one is refused. No protocol here.

use std::net::{IpAddr, SocketAddr};

use super::id::{ClientKey, InfoHash, PeerId};
use super::zones::ZoneId;
use crate::metrics::AnnounceEvent;

/// What the client says has happened (BEP 3, BEP 21). Unknown words are [`Event::None`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Event {
    /// A regular announce.
    #[default]
    None,
    /// The first announce of a session.
    Started,
    /// The download has just become complete.
    Completed,
    /// The client leaves.
    Stopped,
    /// The client has all it wants but not all there is, and no longer downloads (BEP 21).
    Paused,
}

impl From<Event> for AnnounceEvent {
    fn from(event: Event) -> AnnounceEvent {
        match event {
            Event::None => AnnounceEvent::None,
            Event::Started => AnnounceEvent::Started,
            Event::Completed => AnnounceEvent::Completed,
            Event::Stopped => AnnounceEvent::Stopped,
            Event::Paused => AnnounceEvent::Paused,
        }
    }
}

/// One announce, decoded and checked; whatever protocol it came by. Its addresses are [`super::PeerAddresses`], which are resolved
/// before; nothing of it changes afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announce {
    /// The swarm that is meant.
    pub info_hash: InfoHash,
    /// Who the client says it is.
    pub peer_id: PeerId,
    /// Its secret, when it sends one: proof that a later announce comes from the same client, whatever address or id it has then.
    pub key: Option<ClientKey>,
    /// Where others reach it; canonical (a v4-mapped address is v4).
    pub ip: IpAddr,
    /// A second address of the same client inside a pair of networks (S10), already checked against the rules for reported addresses.
    pub inner_ip: Option<IpAddr>,
    /// Whether `ip` is what the client says and not where the announce came from: such a peer never replaces or removes one that
    /// came from its own address.
    pub is_reported: bool,
    /// The port others reach it at; 0 is answered but not stored.
    pub port: u16,
    /// Whether it has everything (`left` = 0).
    pub is_seeder: bool,
    /// Bytes downloaded in this session.
    pub downloaded: u64,
    /// What has happened.
    pub event: Event,
    /// How many peers it wants; `None` for the default.
    pub num_want: Option<u32>,
    /// What fits into the reply.
    pub options: ListOptions,
}

impl Announce {
    /// What the tracker says itself for a peer at this address that it takes out, whoever that was: as if it had stopped.
    pub(in crate::tracker) fn stopped_at(info_hash: InfoHash, address: SocketAddr) -> Announce {
        Announce {
            info_hash,
            peer_id: PeerId([0; 20]),
            key: None,
            ip: address.ip(),
            inner_ip: None,
            is_reported: false,
            port: address.port(),
            is_seeder: false,
            downloaded: 0,
            event: Event::Stopped,
            num_want: Some(0),
            options: ListOptions::default(),
        }
    }
}

/// What fits into the reply to an announce, by its protocol and by what the client asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListOptions {
    /// Whether peer ids are wanted beside the addresses (replies that are not compact).
    pub with_ids: bool,
    /// Whether there is room only for peers of the announcer's own family (UDP).
    pub own_family_only: bool,
    /// How many peers there is room for, whatever is asked for and configured; `None` for any number.
    pub max_peers: Option<usize>,
}

/// The reply to an announce, without the peers, which are in the caller's [`PeerList`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnnounceReply {
    /// Living seeders, the announcer included.
    pub complete: u32,
    /// Living leechers (paused partial seeds too), the announcer included.
    pub incomplete: u32,
    /// Peers that ever completed the torrent.
    pub downloaded: u32,
    /// Seconds until the next regular announce, jittered (P12).
    pub interval: u32,
    /// Seconds before which the client shall not come again.
    pub min_interval: u32,
    /// For [`super::Tracker::warning`]: the zone whose warning stands in the reply (P19).
    pub warned_by: Option<ZoneId>,
}

/// The peers of one reply, ready for the wire: output and nothing else. The caller keeps it and hands it in again, so nothing is
/// allocated per announce.
#[derive(Clone, Debug, Default)]
pub struct PeerList {
    /// v4 peers: 4 bytes address, 2 bytes port, big-endian (BEP 23).
    pub v4: Vec<[u8; 6]>,
    /// v6 peers: 16 bytes address, 2 bytes port, big-endian (BEP 7).
    pub v6: Vec<[u8; 18]>,
    /// Peer ids of `v4`, in its order; empty unless wanted and kept.
    pub ids_v4: Vec<PeerId>,
    /// Peer ids of `v6`, in its order; empty unless wanted and kept.
    pub ids_v6: Vec<PeerId>,
}

impl PeerList {
    /// Empties the list and keeps its memory.
    pub fn clear(&mut self) {
        self.v4.clear();
        self.v6.clear();
        self.ids_v4.clear();
        self.ids_v6.clear();
    }

    /// How many peers are in the list.
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// Whether the list has no peer.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a scrape says of one torrent (BEP 48); zeros for one that is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScrapeReply {
    /// Living seeders.
    pub complete: u32,
    /// Living leechers, paused partial seeds included.
    pub incomplete: u32,
    /// Peers that ever completed the torrent.
    pub downloaded: u32,
    /// Living leechers that do download: `incomplete` without the paused partial seeds (BEP 21).
    pub downloaders: u32,
}

/// Why the core refuses to serve a request. The text is fixed and is what the client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The address is in `ignore_ip`.
    #[error("address not served")]
    AddressIgnored,
    /// There are networks that are served (`allow_networks`), and the address is in none of them.
    #[error("address outside the networks that are served")]
    AddressNotServed,
    /// The address or its network is in the blocklist.
    #[error("address blocked")]
    AddressBlocked,
    /// The info hash is in the blocklist.
    #[error("torrent blocked")]
    TorrentBlocked,
    /// Only listed torrents are served, and this is none.
    #[error("torrent not registered with this tracker")]
    TorrentNotListed,
    /// The rules for client ids deny it.
    #[error("client not allowed")]
    ClientDenied,
    /// There is no key in the announce address, and one is needed (O16).
    #[error("this tracker needs an announce address with a key")]
    KeyMissing,
    /// What stands in the place of a key is none.
    #[error("unknown key in the announce address")]
    KeyUnknown,
    /// The key has ended.
    #[error("the key of this announce address has ended")]
    KeyEnded,
    /// The key was revoked.
    #[error("the key of this announce address was revoked")]
    KeyRevoked,
    /// The key is used from as many addresses as it may be.
    #[error("too many addresses at once with this key")]
    KeyAddresses,
    /// The key is used for as many torrents as it may be.
    #[error("too many torrents at once with this key")]
    KeyTorrents,
    /// The tracker accounts for as many clients with keys as it can.
    #[error("too many clients with keys at once")]
    KeysFull,
}

impl Refusal {
    /// Under which reason it is counted.
    pub const fn failure(self) -> crate::metrics::Failure {
        use crate::metrics::Failure;
        match self {
            Refusal::AddressIgnored => Failure::AddressIgnored,
            Refusal::AddressNotServed => Failure::AddressNotServed,
            Refusal::AddressBlocked => Failure::AddressBlocked,
            Refusal::TorrentBlocked => Failure::TorrentBlocked,
            Refusal::TorrentNotListed => Failure::TorrentNotListed,
            Refusal::ClientDenied => Failure::ClientDenied,
            Refusal::KeyMissing => Failure::KeyMissing,
            Refusal::KeyUnknown => Failure::KeyUnknown,
            Refusal::KeyEnded => Failure::KeyEnded,
            Refusal::KeyRevoked => Failure::KeyRevoked,
            Refusal::KeyAddresses => Failure::KeyAddresses,
            Refusal::KeyTorrents => Failure::KeyTorrents,
            Refusal::KeysFull => Failure::KeysFull,
        }
    }
}

/// What an announce needs beside itself: the time, a random number generator, and the caller's counters.
#[derive(Debug)]
pub struct AnnounceContext<'a> {
    /// Monotonic time.
    pub now: crate::clock::Seconds,
    /// Decides which peers are handed out and how the interval is jittered.
    pub rng: &'a mut fastrand::Rng,
    /// Where the outcome is counted.
    pub counters: &'a crate::metrics::WorkerCounters,
}
