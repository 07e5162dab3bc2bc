//! (R4, R5, R26) Any datagrams, from sources that have proved themselves and from others, at a tracker that lives on from run to run: a reply to
//! the unproved is shorter than its request (to a connect: 16 bytes), none at all is longer than a frame, each carries its request's
//! transaction, and none is answered when it comes back, from the one it went to or from anybody else.
#![no_main]

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use retracker::clock::Seconds;
use retracker::metrics::Metrics;
use retracker::tracker::{AnnounceContext, Settings, Tracker};
use retracker::udp::connection_id::ConnectionIds;
use retracker::udp::handler::Handler;
use retracker::udp::packet::{MAX_REPLY_V4, MAX_REPLY_V6, PROTOCOL_ID};

struct Rig {
    handler: Handler,
    ids: ConnectionIds,
    metrics: Arc<Metrics>,
    rng: fastrand::Rng,
}

thread_local! {
    static RIG: RefCell<Rig> = RefCell::new(rig());
}

fn rig() -> Rig {
    let metrics = Arc::new(Metrics::new(1));
    // Bounds that a run of minutes reaches, so that what happens there is met too.
    let settings = Settings {
        max_peers: 10_000,
        max_torrents: 1_000,
        max_peers_per_torrent: 500,
        // The interval stands where a request has its action: 1, an announce, or 2, a scrape.
        announce_interval: 1,
        interval_jitter: 50,
        ..Settings::default()
    };
    let tracker = Arc::new(Tracker::new(settings, Arc::clone(&metrics)));
    let ids = ConnectionIds::from_key(b"0123456789abcdef");
    Rig {
        handler: Handler::new(tracker, ids, Arc::default()),
        ids,
        metrics,
        rng: fastrand::Rng::with_seed(1),
    }
}

impl Rig {
    /// Sends `datagram` at a time, from a source, with an id of the wished kind in it.
    fn send(&mut self, datagram: &[u8], kind: u8, host: u8, age: u8) {
        let source: SocketAddr = match kind & 3 {
            0 => ([192, 0, 2, host], 6_881).into(),
            1 => ([0, 0, 0, 0, 0, 0xffff, 0xc000, 0x0200 | u16::from(host)], 6_881).into(),
            _ => ([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(host)], 6_881).into(),
        };
        let ip = source.ip().to_canonical();
        let now = Seconds::START.plus(u32::from(kind) << 4);
        let mut datagram = datagram.to_vec();
        let id = match kind >> 2 & 3 {
            0 => Some(self.ids.issue(ip, now.minus(u32::from(age)))),
            1 => Some(PROTOCOL_ID),
            _ => None,
        };
        if let (Some(id), Some(place)) = (id, datagram.first_chunk_mut()) {
            *place = id.to_be_bytes();
        }
        let mut out = [0; MAX_REPLY_V4];
        let mut context = AnnounceContext {
            now,
            rng: &mut self.rng,
            counters: self.metrics.counters(0),
        };
        let Some(length) = self.handler.answer(&datagram, source, &mut context, &mut out) else {
            return;
        };
        let shown = datagram.first_chunk().map_or(0, |id| u64::from_be_bytes(*id));
        if shown == PROTOCOL_ID && datagram[8..12] == [0; 4] {
            assert_eq!(length, 16);
        } else if !self.ids.verify(shown, ip, now) {
            assert!(length < datagram.len(), "{length} bytes for {}", datagram.len());
        }
        assert!(length <= if ip.is_ipv4() { MAX_REPLY_V4 } else { MAX_REPLY_V6 });
        assert_eq!(out[4..8], datagram[12..16]);
        let reply = &out[..length];
        let other = SocketAddr::from(([192, 0, 2, host.wrapping_add(1)], 8_080));
        for from in [source, other] {
            let mut again = [0; MAX_REPLY_V4];
            let answer = self.handler.answer(reply, from, &mut context, &mut again);
            assert_eq!(answer, None, "{from} sends {}", reply.escape_ascii());
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    RIG.with_borrow_mut(|rig| {
        let mut rest = bytes;
        // Kind, host, age, length; then the datagram.
        while let Some(([kind, host, age, length], after)) = rest.split_first_chunk::<4>() {
            let (datagram, after) = after.split_at(usize::from(*length).min(after.len()));
            rig.send(datagram, *kind, *host, *age);
            // A long one: what is left, as often as it must to hold 75 hashes.
            if *length == 255 {
                rig.send(&[datagram, after, datagram].concat().repeat(5), *kind, *host, *age);
            }
            rest = after;
        }
    });
});
