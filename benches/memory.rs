//! What a peer and a key cost in memory, counted at the allocator: swarms of several sizes, with peer ids and without, v4 and v6.
//! Prints a table and fails over the bounds that are promised.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a bench"
)]

use std::alloc::System;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use retracker::clock::{Seconds, Wall};
use retracker::metrics::Metrics;
use retracker::tracker::{
    Announce, AnnounceContext, Event, InfoHash, KeyDigest, KeyLimits, KeyMode, KeyRecord, KeyUser,
    ListOptions, NewKey, PeerId, PeerList, Settings, Tracker,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bytes that `peers` peers in each of `torrents` swarms take, all told, per torrent.
fn bytes_per_torrent(torrents: u32, peers: u32, is_v4: bool, keep_peer_ids: bool) -> f64 {
    let settings = Settings {
        max_peers: 0,
        max_torrents: 0,
        max_peers_per_torrent: 0,
        keep_peer_ids,
        ..Settings::default()
    };
    let tracker = Tracker::new(settings, Arc::new(Metrics::new(1)));
    let mut list = PeerList::default();
    let mut rng = fastrand::Rng::with_seed(1);
    let region = Region::new(ALLOCATOR);
    // Round by round, as swarms grow in life.
    for peer in 0..peers {
        for torrent in 0..torrents {
            let mut hash = [0; 20];
            hash.iter_mut()
                .zip(torrent.to_le_bytes())
                .for_each(|(to, from)| *to = from);
            let number = torrent.wrapping_mul(2_654_435_761).wrapping_add(peer);
            let ip: IpAddr = if is_v4 {
                Ipv4Addr::from(number | 1 << 24).into()
            } else {
                Ipv6Addr::from((0x2001_u128 << 112) | (u128::from(number) << 64)).into()
            };
            let announce = Announce {
                info_hash: InfoHash(hash),
                peer_id: PeerId([peer.to_le_bytes()[0]; 20]),
                key: None,
                ip,
                inner_ip: None,
                is_reported: false,
                port: 6881,
                is_seeder: rng.u8(0..4) > 0,
                downloaded: 0,
                event: Event::Started,
                num_want: Some(0),
                options: ListOptions::default(),
            };
            let mut context = AnnounceContext {
                now: Seconds::START,
                rng: &mut rng,
                counters: tracker.metrics().counters(0),
            };
            tracker
                .announce(&announce, &mut context, &mut list)
                .unwrap();
        }
    }
    let stats = region.change();
    let bytes = stats
        .bytes_allocated
        .saturating_sub(stats.bytes_deallocated);
    drop(tracker);
    bytes as f64 / f64::from(torrents)
}

/// Bytes that 100,000 keys take, each with so many sessions; per key.
fn bytes_per_key(sessions: u8) -> f64 {
    let settings = Settings {
        keys: KeyMode::Required,
        max_torrents: 0,
        ..Settings::default()
    };
    let tracker = Tracker::new(settings, Arc::new(Metrics::new(1)));
    let mut list = PeerList::default();
    let mut rng = fastrand::Rng::with_seed(1);
    let digests: Vec<KeyDigest> = (0..KEYS)
        .map(|_| KeyDigest::from_bytes(std::array::from_fn(|_| rng.u8(..))))
        .collect();
    // The swarms are there: what grows is the keys.
    let announce = |torrent: u8| Announce {
        info_hash: InfoHash([torrent; 20]),
        peer_id: PeerId([7; 20]),
        key: None,
        ip: [10, 0, 0, 1].into(),
        inner_ip: None,
        is_reported: false,
        port: 0,
        is_seeder: false,
        downloaded: 0,
        event: Event::None,
        num_want: Some(0),
        options: ListOptions::default(),
    };
    let region = Region::new(ALLOCATOR);
    for (number, digest) in (1..).zip(&digests) {
        tracker.keys().put(KeyRecord {
            number,
            key: NewKey {
                digest: *digest,
                label: format!("user {number}"),
                expires: None,
                limits: KeyLimits::default(),
            },
            is_from_file: false,
            created: Wall(1),
            revoked: None,
        });
    }
    for torrent in 0..sessions {
        for digest in &digests {
            let user = KeyUser {
                digest: *digest,
                uploaded: 0,
            };
            let mut context = AnnounceContext {
                now: Seconds::START,
                rng: &mut rng,
                counters: tracker.metrics().counters(0),
            };
            tracker
                .announce_by_key(&announce(torrent), &user, &mut context, &mut list)
                .unwrap();
        }
    }
    let stats = region.change();
    let bytes = stats
        .bytes_allocated
        .saturating_sub(stats.bytes_deallocated);
    drop(tracker);
    bytes as f64 / f64::from(KEYS)
}

const KEYS: u32 = 100_000;

fn main() {
    println!("torrents  peers each  family  ids  bytes/torrent  bytes/peer  promised");
    let cases = [
        (100_000, 1, true, true, 220.0),
        (100_000, 10, true, true, 60.0),
        (100_000, 10, true, false, 34.0),
        (10_000, 50, true, true, 52.0),
        (1_000, 1_000, true, true, 52.0),
        (10, 100_000, true, true, 52.0),
        (10, 100_000, true, false, 34.0),
        (10_000, 50, false, true, 66.0),
    ];
    let mut is_kept = true;
    for (torrents, peers, is_v4, ids, promised) in cases {
        let per_torrent = bytes_per_torrent(torrents, peers, is_v4, ids);
        let per_peer = per_torrent / f64::from(peers);
        let family = if is_v4 { "v4" } else { "v6" };
        println!(
            "{torrents:>8}  {peers:>10}  {family:>6}  {:>3}  {per_torrent:>13.1}  {per_peer:>10.1}  {promised:>8}",
            if ids { "yes" } else { "no" },
        );
        is_kept &= per_peer <= promised;
    }
    println!("keys     sessions each  bytes/key  promised");
    for (sessions, promised) in [(0, 400.0), (1, 800.0), (10, 1_900.0)] {
        let per_key = bytes_per_key(sessions);
        println!("{KEYS:>7}  {sessions:>13}  {per_key:>9.1}  {promised:>8}");
        is_kept &= per_key <= promised;
    }
    assert!(is_kept, "a promise is broken");
}
