//! The core as its callers see it: the promises of docs/BEHAVIOUR.md, and agreement with a naive model.

mod addresses;
mod agreement;
mod bounds;
mod choice;
mod crowds;
mod dual_stack;
mod few;
mod keys;
mod lists;
mod model;
mod owners;
mod partners;
mod pinned;
mod promises;
mod sites;
mod withheld;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use super::{
    Announce, AnnounceContext, AnnounceReply, Event, InfoHash, ListOptions, PeerAddresses, PeerId,
    PeerList, Refusal, Settings, Tracker,
};
use crate::clock::Seconds;
use crate::metrics::{Metrics, Transport};
use crate::net::reported_address::{Reports, Rules};

const HASH: InfoHash = InfoHash([0xaa; 20]);

fn at(seconds: u32) -> Seconds {
    Seconds::START.plus(seconds)
}

fn v4(number: u32) -> IpAddr {
    Ipv4Addr::from(number).into()
}

/// A tracker with a voice: it announces for tests.
struct Bench {
    tracker: Tracker,
    rng: fastrand::Rng,
    list: PeerList,
}

fn bench(settings: Settings) -> Bench {
    let tracker = Tracker::new(settings, Arc::new(Metrics::new(1)));
    Bench {
        tracker,
        rng: fastrand::Rng::with_seed(7),
        list: PeerList::default(),
    }
}

fn leecher(ip: IpAddr, port: u16) -> Announce {
    let mut id = [b'x'; 20];
    id.iter_mut()
        .zip(format!("{ip}:{port}").bytes())
        .for_each(|(to, from)| *to = from);
    Announce {
        info_hash: HASH,
        peer_id: PeerId(id),
        key: None,
        ip,
        inner_ip: None,
        is_reported: false,
        port,
        is_seeder: false,
        downloaded: 0,
        event: Event::None,
        num_want: None,
        options: ListOptions::default(),
    }
}

fn seeder(ip: IpAddr, port: u16) -> Announce {
    Announce {
        is_seeder: true,
        ..leecher(ip, port)
    }
}

impl Bench {
    /// The addresses of an announce from `source` that came through no proxy, by UDP's rules for one that `reports` another address.
    fn resolve(
        &mut self,
        source: IpAddr,
        report: Option<IpAddr>,
        rules: &Rules,
    ) -> Result<PeerAddresses, Refusal> {
        let reports = Reports {
            source,
            addresses: report.map(Some).into_iter(),
            proxies: None,
        };
        let context = AnnounceContext {
            now: at(0),
            rng: &mut self.rng,
            counters: self.tracker.metrics().counters(0),
        };
        self.tracker
            .resolve_addresses(reports, rules, Transport::Udp, &context)
    }

    fn announce(&mut self, announce: &Announce, now: Seconds) -> AnnounceReply {
        let metrics = Arc::clone(self.tracker.metrics());
        let mut context = AnnounceContext {
            now,
            rng: &mut self.rng,
            counters: metrics.counters(0),
        };
        self.tracker
            .announce(announce, &mut context, &mut self.list)
            .unwrap()
    }

    /// Who was handed out by the last announce, in order.
    fn handed(&self) -> Vec<SocketAddr> {
        let v4 = self.list.v4.iter().map(|packed| {
            let [a, b, c, d, high, low] = *packed;
            SocketAddr::from(([a, b, c, d], u16::from_be_bytes([high, low])))
        });
        let v6 = self.list.v6.iter().map(|packed| {
            let ip: [u8; 16] = packed[..16].try_into().unwrap();
            SocketAddr::from((ip, u16::from_be_bytes([packed[16], packed[17]])))
        });
        let mut all: Vec<_> = v4.chain(v6).collect();
        all.sort_unstable();
        all
    }
}
