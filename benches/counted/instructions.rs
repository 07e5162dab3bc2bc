//! A fixed number of announces through each layer, to be counted in instructions (see the script `benches/instructions`).
//!
//! `instructions SCENARIO COUNT` fills the swarms and then answers COUNT announces; the difference between two counts is what
//! an announce costs, whatever the filling does. Without arguments it tries every scenario once.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a measuring instrument, not a server: it may end on any error"
)]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use retracker::clock::{Clock, Seconds};
use retracker::http::codec::head;
use retracker::http::codec::head::Parsed;
use retracker::http::codec::query::Parameters;
use retracker::http::codec::reply;
use retracker::http::codec::reply::{AnnounceFormat, Frame};
use retracker::metrics::{Metrics, Transport};
use retracker::net::reported_address::{Reports, Rules};
use retracker::tracker::{
    Announce, AnnounceContext, Event, InfoHash, ListOptions, PeerId, PeerList, Selection, Settings,
    Tracker, ZoneRule, Zones,
};
use retracker::udp::connection_id::ConnectionIds;
use retracker::udp::handler::Handler;
use retracker::watch::{Filter, Watch, Watching};

/// What is counted: the layer, and the shape of the swarms.
const SCENARIOS: [(&str, Layer, Swarms); 14] = [
    (
        "core, swarms of 2",
        Layer::Core,
        Swarms {
            torrents: 2_000,
            peers: 4_000,
            zones: 0,
            selection: Selection::Few,
        },
    ),
    (
        "core, swarm of 50",
        Layer::Core,
        Swarms {
            torrents: 1,
            peers: 50,
            zones: 0,
            selection: Selection::Few,
        },
    ),
    (
        "core, swarm of 50 in 2 zones",
        Layer::Core,
        Swarms {
            torrents: 33,
            peers: 1_650,
            zones: 2,
            selection: Selection::Few,
        },
    ),
    (
        "core, swarm of 50 in 2 zones, by shares",
        Layer::Core,
        Swarms {
            torrents: 33,
            peers: 1_650,
            zones: 2,
            selection: Selection::Shares,
        },
    ),
    (
        "core, swarm of 5,000",
        Layer::Core,
        Swarms {
            torrents: 1,
            peers: 5_000,
            zones: 0,
            selection: Selection::Few,
        },
    ),
    (
        "core, swarm of 100,000",
        Layer::Core,
        Swarms {
            torrents: 1,
            peers: 100_000,
            zones: 0,
            selection: Selection::Few,
        },
    ),
    (
        "core, swarm of 100,000 in 1,000 zones",
        Layer::Core,
        Swarms {
            torrents: 1,
            peers: 100_000,
            zones: 1_000,
            selection: Selection::Few,
        },
    ),
    (
        "core, swarm of 100,000 in 1,000 zones, by shares",
        Layer::Core,
        Swarms {
            torrents: 1,
            peers: 100_000,
            zones: 1_000,
            selection: Selection::Shares,
        },
    ),
    (
        "core, swarms of 2, told elsewhere",
        Layer::Told,
        Swarms {
            torrents: 2_000,
            peers: 4_000,
            zones: 0,
            selection: Selection::Few,
        },
    ),
    (
        "core, swarm of 50, told elsewhere",
        Layer::Told,
        Swarms {
            torrents: 1,
            peers: 50,
            zones: 0,
            selection: Selection::Few,
        },
    ),
    (
        "http, swarms of 2",
        Layer::Http,
        Swarms {
            torrents: 2_000,
            peers: 4_000,
            zones: 0,
            selection: Selection::Few,
        },
    ),
    (
        "udp, swarms of 2",
        Layer::Udp,
        Swarms {
            torrents: 2_000,
            peers: 4_000,
            zones: 0,
            selection: Selection::Few,
        },
    ),
    (
        "udp, swarms of 2, others watched",
        Layer::UdpWatched(Watched::Others),
        Swarms {
            torrents: 2_000,
            peers: 4_000,
            zones: 0,
            selection: Selection::Few,
        },
    ),
    (
        "udp, swarms of 2, all watched",
        Layer::UdpWatched(Watched::All),
        Swarms {
            torrents: 2_000,
            peers: 4_000,
            zones: 0,
            selection: Selection::Few,
        },
    ),
];

#[derive(Clone, Copy)]
enum Layer {
    Core,
    /// The core, with other trackers that have to be told: of every announce here.
    Told,
    Http,
    Udp,
    /// The same, while somebody watches.
    UdpWatched(Watched),
}

/// Whom the one watcher wants to see.
#[derive(Clone, Copy)]
enum Watched {
    /// Clients in their network, and another torrent than any.
    Others,
    /// Everybody, one a second of whom is told: what it costs to be counted and not told.
    All,
}

#[derive(Clone, Copy)]
struct Swarms {
    torrents: u32,
    peers: u32,
    /// A hundred to a city; where there are few, a city each.
    zones: u32,
    selection: Selection,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [name, count] if !name.starts_with('-') => {
            let scenario = SCENARIOS.iter().find(|(known, ..)| known == name);
            let (_, layer, swarms) = scenario.expect("a scenario from the list");
            run(*layer, *swarms, count.parse().expect("a count"));
        }
        _ => {
            for (_, layer, swarms) in SCENARIOS {
                run(layer, swarms, 100);
            }
        }
    }
}

/// A tracker whose peers have all come at [`Seconds::START`].
fn filled(swarms: Swarms, rng: &mut fastrand::Rng, list: &mut PeerList) -> Arc<Tracker> {
    let metrics = Arc::new(Metrics::new(1));
    let settings = Settings {
        selection: swarms.selection,
        ..Settings::default()
    };
    let tracker = Arc::new(Tracker::new(settings, Arc::clone(&metrics)));
    tracker.set_zones(zones(swarms.zones, swarms.peers), Seconds::START);
    for peer in 0..swarms.peers {
        let mut context = AnnounceContext {
            now: Seconds::START,
            rng,
            counters: metrics.counters(0),
        };
        let announce = announce(peer, swarms, Event::Started);
        tracker
            .announce(&announce, &mut context, list)
            .expect("nobody is refused");
    }
    tracker
}

fn run(layer: Layer, swarms: Swarms, count: u32) {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut list = PeerList::default();
    let tracker = filled(swarms, &mut rng, &mut list);
    if matches!(layer, Layer::Told) {
        tracker.open_outbox();
    }
    let ids = ConnectionIds::from_key(&[9; 16]);
    let (mut handler, _watching) = handler(layer, &tracker, ids);
    let mut out = Vec::with_capacity(4_096);
    let rules = Rules::default();
    let mut datagram_out = [0; 2_048];
    let now = Seconds::START.plus(60);
    // All that will be said is made before, whatever the count, and so is not counted.
    let said: Vec<Said> = [Event::None, Event::Started]
        .into_iter()
        .flat_map(|event| (0..swarms.peers).map(move |peer| announce(peer, swarms, event)))
        .map(|announce| Said {
            request: http_request(&announce),
            datagram: udp_request(&announce, ids.issue(announce.ip, now)),
            announce,
        })
        .collect();
    for number in 0..count {
        // Strides that visit every peer, in an order that no cache foresees; no peer twice with the same event in a row.
        let round = number / swarms.peers % 2;
        let at = number.wrapping_mul(1_999) % swarms.peers + round * swarms.peers;
        let said = &said[at as usize];
        // Datagrams carry connection ids of one time. Elsewhere everybody comes again after half an hour, and has gained something; all in
        // one second, as a tracker has thousands in each: it looks closer at the first of a second.
        let (now, gained) = match layer {
            Layer::Udp | Layer::UdpWatched(_) => (now, 0),
            Layer::Core | Layer::Told | Layer::Http => {
                let round = number / swarms.peers + 1;
                (Seconds::START.plus(1_800 * round), round)
            }
        };
        let announce = Announce {
            downloaded: u64::from(gained) << 20,
            ..said.announce
        };
        let mut context = AnnounceContext {
            now,
            rng: &mut rng,
            counters: tracker.metrics().counters(0),
        };
        match layer {
            Layer::Core | Layer::Told => {
                let reply = tracker.announce(black_box(&announce), &mut context, &mut list);
                black_box(reply.expect("nobody is refused"));
            }
            Layer::Http => {
                let request = black_box(&said.request);
                answer_http(
                    request,
                    said.announce.ip,
                    &tracker,
                    &rules,
                    &mut context,
                    &mut list,
                    &mut out,
                );
                assert!(black_box(&out).starts_with(b"HTTP/1.1 200 OK"), "a reply");
            }
            Layer::Udp | Layer::UdpWatched(_) => {
                let source = SocketAddr::new(said.announce.ip, said.announce.port);
                let datagram = black_box(&said.datagram);
                let length = handler.answer(datagram, source, &mut context, &mut datagram_out);
                assert!(black_box(length) >= Some(20), "a reply");
            }
        }
    }
}

/// Who answers datagrams, and whoever watches that, and reads nothing.
fn handler(
    layer: Layer,
    tracker: &Arc<Tracker>,
    ids: ConnectionIds,
) -> (Handler, Option<Watching>) {
    let handler = Handler::new(Arc::clone(tracker), ids, Arc::default());
    let filter = match layer {
        Layer::UdpWatched(Watched::Others) => Filter {
            network: Some("10.0.0.0/8".parse().expect("a network")),
            info_hash: Some(InfoHash([0xff; 20])),
            peer_ids: vec![b"-qB".to_vec()],
            ..Filter::default()
        },
        Layer::UdpWatched(Watched::All) => Filter::default(),
        Layer::Core | Layer::Told | Layer::Http | Layer::Udp => return (handler, None),
    };
    let watch = Arc::new(Watch::new(Clock::start()));
    let watching = watch.begin(filter, 1).expect("a place");
    (handler.watched(&watch), Some(watching))
}

/// One announce in the words of every layer.
struct Said {
    announce: Announce,
    request: Vec<u8>,
    datagram: Vec<u8>,
}

/// Addresses from one peer to the next.
const BETWEEN_PEERS: u32 = 167;

/// Zones of equal size that cover the addresses of so many peers.
fn zones(count: u32, peers: u32) -> Zones {
    // A power of two; who is left over at the end is in no zone.
    let size: u32 = 1 << (peers * BETWEEN_PEERS / count.max(1)).ilog2();
    let to_a_city = if count < 100 { 1 } else { 100 };
    let rules = (0..count).map(|zone| {
        let network = Ipv4Addr::from(0x0a00_0000 + zone * size);
        let bits = size.leading_zeros() + 1;
        ZoneRule {
            path: format!("city-{}/street-{zone}", zone / to_a_city),
            prefixes: vec![format!("{network}/{bits}").parse().expect("a network")],
            ..ZoneRule::default()
        }
    });
    Zones::new(&rules.collect::<Vec<_>>(), &[]).expect("zones")
}

/// Peers are spread evenly: 1.5 to a /24, 25 to a /20, 392 to a /16.
fn announce(peer: u32, swarms: Swarms, event: Event) -> Announce {
    let mut info_hash = [0xf1; 20];
    let torrent = (peer % swarms.torrents).wrapping_mul(0x9e37_79b1);
    info_hash[..4].copy_from_slice(&torrent.to_be_bytes());
    let mut peer_id = *b"-qB4520-abcdefghijkl";
    peer_id[8..12].copy_from_slice(format!("{:04}", peer % 10_000).as_bytes());
    Announce {
        info_hash: InfoHash(info_hash),
        peer_id: PeerId(peer_id),
        key: None,
        ip: IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + peer * BETWEEN_PEERS)),
        inner_ip: None,
        is_reported: false,
        port: 6_881,
        is_seeder: peer.is_multiple_of(4),
        downloaded: 0,
        event,
        num_want: Some(50),
        options: ListOptions::default(),
    }
}

/// Everything between the bytes read and the bytes to be written, as the lean loop does it.
fn answer_http(
    request: &[u8],
    ip: IpAddr,
    tracker: &Tracker,
    rules: &Rules,
    context: &mut AnnounceContext<'_>,
    list: &mut PeerList,
    out: &mut Vec<u8>,
) {
    out.clear();
    let Parsed::Complete(head) = head::parse(request) else {
        panic!("a whole head");
    };
    let parameters = Parameters::read(head.query, b"");
    let required = parameters.required().expect("a whole announce");
    let reports = Reports {
        source: ip,
        addresses: parameters.reported(),
        proxies: None,
    };
    let addresses = tracker
        .resolve_addresses(reports, rules, Transport::Http, context)
        .expect("nobody is refused");
    let announce = parameters.announce(&required, &addresses, ListOptions::default());
    let replied = tracker
        .announce(&announce, context, list)
        .expect("nobody is refused");
    let form = AnnounceFormat {
        is_compact: true,
        wants_v6: false,
        external_ip: None,
    };
    let begun = reply::begin(out, "200 OK", Frame::default());
    reply::announce(out, &replied, list, form, None);
    reply::finish(out, &begun);
}

/// The request as qBittorrent words it.
fn http_request(announce: &Announce) -> Vec<u8> {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut request = b"GET /announce?info_hash=".to_vec();
    for byte in announce.info_hash.0 {
        request.push(b'%');
        request.push(HEX[usize::from(byte >> 4)]);
        request.push(HEX[usize::from(byte & 15)]);
    }
    request.extend_from_slice(b"&peer_id=");
    request.extend_from_slice(&announce.peer_id.0);
    request.extend_from_slice(b"&port=06881&uploaded=0&downloaded=0&left=");
    request.extend_from_slice(if announce.is_seeder {
        b"0"
    } else {
        b"734003200"
    });
    request.extend_from_slice(b"&corrupt=0&key=5B4C1A2E");
    if announce.event == Event::Started {
        request.extend_from_slice(b"&event=started");
    }
    request.extend_from_slice(
        b"&numwant=50&compact=1&no_peer_id=1&supportcrypto=1&redundant=0 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\
          User-Agent: qBittorrent/4.5.2\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n",
    );
    request
}

fn udp_request(announce: &Announce, id: u64) -> Vec<u8> {
    let mut datagram = Vec::with_capacity(98);
    datagram.extend_from_slice(&id.to_be_bytes());
    datagram.extend_from_slice(&1_u32.to_be_bytes());
    datagram.extend_from_slice(&[1, 2, 3, 4]);
    datagram.extend_from_slice(&announce.info_hash.0);
    datagram.extend_from_slice(&announce.peer_id.0);
    datagram.extend_from_slice(&[0; 8]);
    datagram.extend_from_slice(&u64::from(!announce.is_seeder).to_be_bytes());
    datagram.extend_from_slice(&[0; 8]);
    datagram.extend_from_slice(
        &(if announce.event == Event::Started {
            2_u32
        } else {
            0
        })
        .to_be_bytes(),
    );
    datagram.extend_from_slice(&[0; 8]);
    datagram.extend_from_slice(&50_u32.to_be_bytes());
    datagram.extend_from_slice(&announce.port.to_be_bytes());
    datagram
}
