//! Frames: what is written is read, any bytes give a frame or an error, and later versions are lived with.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::clock::{Seconds, Wall};
use crate::shown::steers;
use crate::sites::block::BlockChange;
use crate::tracker::{PeerId, StoredPeer, Target};

const NOW: Seconds = Seconds::START;
const PHASE: u16 = 250;

/// When something happened that was `age_ms` old at [`NOW`] and [`PHASE`].
fn at(age_ms: u64) -> Seconds {
    NOW.minus(u32::try_from(age_ms.saturating_sub(u64::from(PHASE)) / 1_000).unwrap())
}

fn ip() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u8; 16]>().prop_map(|ip| IpAddr::from(ip).to_canonical()),
    ]
}

fn peer() -> impl Strategy<Value = PeerDelta> {
    let flags = any::<[bool; 5]>();
    let id = prop_oneof![Just([0; 20]), any::<[u8; 20]>()];
    let inner = proptest::option::of(ip());
    (
        flags,
        ip(),
        inner,
        1_u16..,
        id,
        0_u32..100_000,
        0_u32..1 << 24,
    )
        .prop_map(|(flags, ip, inner_ip, port, id, age, downloaded_mib)| {
            let [is_seeder, is_paused, is_reported, has_completed, has_left] = flags;
            let peer = StoredPeer {
                ip,
                inner_ip,
                port,
                id: PeerId(id),
                is_seeder,
                is_paused,
                is_reported,
                has_completed,
                downloaded_mib,
                last_seen: NOW.minus(age),
                origin: None,
            };
            PeerDelta {
                peer,
                key_proof: [id[0], id[1], 0],
                has_left,
            }
        })
}

fn name() -> impl Strategy<Value = SiteName> {
    "[a-z0-9][a-z0-9_-]{0,31}".prop_map(|name| name.parse().unwrap())
}

fn block() -> impl Strategy<Value = BlockDelta> {
    let target = prop_oneof![
        any::<[u8; 20]>().prop_map(|hash| Target::Torrent(InfoHash(hash))),
        (ip(), 0_u8..=128).prop_map(|(ip, bits)| {
            let bits = if ip.is_ipv4() { bits.min(32) } else { bits };
            Target::Network(ipnet::IpNet::new(ip, bits).unwrap().trunc())
        }),
    ]
    .prop_filter(
        "v4 in v6 has no network of its own",
        |target| match target {
            Target::Network(network) => network.addr().to_canonical() == network.addr(),
            Target::Torrent(_) => true,
        },
    );
    let change = prop_oneof![
        Just(BlockChange::Lifted),
        (
            ".{0,500}".prop_map(|reason| reason.replace(steers, " ")),
            any::<u64>(),
            proptest::option::of(1_u64..)
        )
            .prop_map(|(reason, created, expires)| BlockChange::Put {
                reason,
                created: Wall(created),
                expires: expires.map(Wall),
            }),
    ];
    (target, change, any::<u64>()).prop_map(|(target, change, stamp)| BlockDelta {
        target,
        change,
        stamp,
    })
}

fn entry() -> impl Strategy<Value = Entry> {
    let counts = proptest::collection::vec((proptest::option::of(name()), any::<u32>()), 0..4);
    let peers = proptest::collection::vec(peer(), 0..40);
    prop_oneof![
        4 => (any::<[u8; 20]>(), counts, peers).prop_map(|(hash, counts, peers)| Entry::Swarm(SwarmEntry {
            info_hash: InfoHash(hash),
            counts,
            peers,
        })),
        1 => (any::<u64>(), "[ -~]{0,40}").prop_map(|(zones_digest, version)| Entry::Hello(Hello {
            zones_digest,
            version,
        })),
        1 => block().prop_map(Entry::Block),
    ]
}

fn pack(entries: &[Entry]) -> Vec<Packed> {
    let mut packer = Packer::new(7, 11, 1_800, NOW, PHASE);
    entries.iter().for_each(|entry| packer.entry(entry));
    packer.finish().0
}

/// Entries of one torrent that stand side by side are one.
fn joined(entries: impl IntoIterator<Item = Entry>) -> Vec<Entry> {
    let mut joined: Vec<Entry> = Vec::new();
    for entry in entries {
        if let (Some(Entry::Swarm(last)), Entry::Swarm(more)) = (joined.last_mut(), &entry)
            && last.info_hash == more.info_hash
        {
            last.counts.extend(more.counts.iter().cloned());
            last.peers.extend(&more.peers);
            continue;
        }
        joined.push(entry);
    }
    joined
}

/// `frame` with a right checksum.
fn signed(mut frame: Vec<u8>) -> Vec<u8> {
    if frame.len() >= 12 {
        let sum = checksum(&frame).to_be_bytes();
        frame[8..12].copy_from_slice(&sum);
    }
    frame
}

proptest! {
    #[test]
    fn what_is_written_is_read(entries in proptest::collection::vec(entry(), 1..60)) {
        let frames = pack(&entries);
        let mut read_back = Vec::new();
        for (number, frame) in frames.iter().enumerate() {
            prop_assert!(frame.bytes.len() <= MAX_FRAME);
            let read = read(&frame.bytes, at).unwrap();
            prop_assert_eq!(read.header.sequence as usize, 11 + number);
            prop_assert_eq!((read.header.epoch, read.header.lifetime, read.header.phase_ms), (7, 1_800, PHASE));
            prop_assert_eq!((read.unknown_entries, read.invalid), (0, 0));
            read_back.extend(read.entries);
        }
        prop_assert_eq!(joined(read_back), joined(entries));
    }

    #[test]
    fn any_bytes_give_a_frame_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        prop_assert!(read(&bytes, at).is_err());
        let mut frame = b"rtsf\x01\x00\x00\x00".to_vec();
        frame.extend_from_slice(&bytes);
        if let Ok(frame) = read(&signed(frame), at) {
            // What was read can be written, and is the same then.
            let again = pack(&frame.entries);
            let again: Vec<Entry> = again.iter().flat_map(|again| read(&again.bytes, at).unwrap().entries).collect();
            prop_assert_eq!(joined(again).len(), joined(frame.entries).len());
        }
    }

    #[test]
    fn a_frame_with_any_bit_turned_is_refused(entries in proptest::collection::vec(entry(), 1..4), bit in any::<prop::sample::Index>()) {
        let mut frame = pack(&entries).remove(0).bytes;
        let bit = bit.index(frame.len() * 8);
        frame[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(read(&frame, at).is_err());
    }

    #[test]
    fn a_frame_that_is_cut_is_refused(entries in proptest::collection::vec(entry(), 1..4), length in any::<prop::sample::Index>()) {
        let frame = pack(&entries).remove(0).bytes;
        prop_assert!(read(&frame[..length.index(frame.len())], at).is_err());
    }
}

fn small_peer(id: [u8; 20]) -> PeerDelta {
    PeerDelta {
        peer: StoredPeer {
            ip: "192.0.2.7".parse().unwrap(),
            inner_ip: None,
            port: 6881,
            id: PeerId(id),
            is_seeder: true,
            is_paused: false,
            is_reported: false,
            has_completed: false,
            downloaded_mib: 700,
            last_seen: NOW.minus(1),
            origin: None,
        },
        key_proof: [0; 3],
        has_left: false,
    }
}

fn swarm(peers: Vec<PeerDelta>) -> Entry {
    Entry::Swarm(SwarmEntry {
        info_hash: InfoHash([3; 20]),
        counts: Vec::new(),
        peers,
    })
}

#[test]
fn a_peer_takes_so_many_bytes() {
    let bytes = |peer: PeerDelta, peers: usize| {
        let long = pack(&[swarm(vec![peer; peers])]).remove(0).bytes.len();
        long - HEADER_BYTES - ENTRY_HEAD_AND_HASH
    };
    // Beside the torrent's 24: 34 with an id, 10 without.
    assert_eq!(bytes(small_peer([1; 20]), 1), 33);
    assert_eq!(bytes(small_peer([0; 20]), 10), 10 * 10);
}

const ENTRY_HEAD_AND_HASH: usize = 3 + 20 + 1;

#[test]
fn a_large_torrent_takes_several_frames() {
    let peers = vec![small_peer([9; 20]); 5_000];
    let frames = pack(&[swarm(peers)]);
    assert!(frames.len() > 5);
    assert!(frames.iter().all(|frame| frame.bytes.len() <= MAX_FRAME));
    assert_eq!(frames.iter().map(|frame| frame.peers).sum::<u32>(), 5_000);
}

#[test]
fn a_later_version_and_an_unknown_entry_are_told_apart_from_damage() {
    let frame = pack(&[swarm(vec![small_peer([1; 20])])]).remove(0).bytes;
    let mut newer = frame.clone();
    newer[4] = 2;
    assert_eq!(read(&newer, at), Err(FrameError::Checksum));
    assert_eq!(read(&signed(newer), at), Err(FrameError::Newer));

    let mut extended = frame.clone();
    extended.extend_from_slice(&[200, 0, 3, 1, 2, 3]);
    extended.extend_from_slice(&frame[HEADER_BYTES..]);
    let extended = read(&signed(extended), at).unwrap();
    assert_eq!((extended.entries.len(), extended.unknown_entries), (2, 1));

    let mut hello = frame[..HEADER_BYTES].to_vec();
    hello.extend_from_slice(&[HELLO, 0, 12, 0, 0, 0, 0, 0, 0, 0, 5, 1, b'9', 77, 78]);
    let hello = read(&signed(hello), at).unwrap();
    let expected = Hello {
        zones_digest: 5,
        version: "9".into(),
    };
    assert_eq!(hello.entries, [Entry::Hello(expected)]);
}

#[test]
fn what_cannot_be_is_refused_or_left_out() {
    let mut portless = small_peer([1; 20]);
    portless.peer.port = 0;
    let frame = pack(&[swarm(vec![portless, small_peer([1; 20])])])
        .remove(0)
        .bytes;
    assert_eq!(read(&frame, at).unwrap().invalid, 1);
    let head = &frame[..HEADER_BYTES];
    for (body, why) in [
        (&[SWARM, 0, 5, 1, 2, 3, 4, 5][..], FrameError::Entry),
        (&[SWARM, 0xff, 0xff], FrameError::Entry),
        (&[9], FrameError::Entry),
        (&[HELLO, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 4], FrameError::Entry),
    ] {
        let bytes = signed([head, body].concat());
        assert_eq!(read(&bytes, at), Err(why), "{body:?}");
    }
    assert_eq!(read(&vec![0; MAX_FRAME + 1], at), Err(FrameError::TooLarge));
    assert_eq!(read(b"hello", at), Err(FrameError::Foreign));
}

/// O25: what a partner gives for a reason neither ends the line it is shown on, nor steers a terminal, nor turns the line round.
#[test]
fn a_reason_steers_nothing_where_it_is_read() {
    let block = |reason: &str| {
        Entry::Block(BlockDelta {
            target: Target::Torrent(InfoHash([7; 20])),
            change: BlockChange::Put {
                reason: reason.to_owned(),
                created: Wall(1),
                expires: None,
            },
            stamp: 1,
        })
    };
    let told = "spam\r\n\x1b[2J\u{9b}1m\u{202e}gnp.exe\u{2066}\u{2028}\u{feff} улица";
    let packed = pack(&[block(told)]);
    let read = read(&packed[0].bytes, at).unwrap();
    assert_eq!(read.entries, [block("spam   [2J 1m gnp.exe    улица")]);
}
