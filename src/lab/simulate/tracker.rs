//! The tracker of the simulation: the real core, which hands out peers as it does to clients.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use anyhow::Context;
use ipnet::IpNet;

use super::places::Places;
use super::policy::Policy;
use crate::clock::Seconds;
use crate::metrics::Metrics;
use crate::tracker::{
    Announce, AnnounceContext, Event, InfoHash, ListOptions, PeerId, PeerList, Tracker, ZoneRule,
    Zones,
};

/// What a client says of itself when it announces.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report {
    pub event: Event,
    pub is_seeder: bool,
    /// Bytes in this session.
    pub downloaded: u64,
    /// How many peers it wants.
    pub num_want: u32,
}

/// The core, and who has which address.
#[derive(Debug)]
pub(super) struct SimulatedTracker {
    core: Tracker,
    metrics: Arc<Metrics>,
    addresses: Vec<SocketAddrV4>,
    peers: HashMap<SocketAddrV4, usize>,
    list: PeerList,
}

impl SimulatedTracker {
    pub(super) fn new(places: &Places, policy: Policy) -> anyhow::Result<SimulatedTracker> {
        let metrics = Arc::new(Metrics::new(1));
        let core = Tracker::new(policy.settings(), Arc::clone(&metrics));
        if policy.knows_zones() {
            let zones = Zones::new(&rules(places)?, &[]).context("the zones of the plan")?;
            core.set_zones(zones, Seconds::START);
        }
        let all = places.all().into_iter().enumerate();
        let addresses: Vec<SocketAddrV4> = all
            .map(|(index, place)| places.address(index, place, policy.knows_zones()))
            .collect();
        let peers = addresses.iter().copied().zip(0..).collect();
        Ok(SimulatedTracker {
            core,
            metrics,
            addresses,
            peers,
            list: PeerList::default(),
        })
    }

    /// Seconds between regular announces.
    pub(super) fn announce_interval(&self) -> u32 {
        self.core.settings().announce_interval
    }

    /// Announces for a peer. Returns whom it was handed, and in how many seconds it shall come again.
    pub(super) fn announce(
        &mut self,
        peer: usize,
        report: Report,
        now: Seconds,
        rng: &mut fastrand::Rng,
    ) -> anyhow::Result<(Vec<usize>, u32)> {
        let address = *self.addresses.get(peer).context("a peer of the plan")?;
        let mut id = [b'-'; 20];
        id.iter_mut()
            .zip(address.to_string().bytes())
            .for_each(|(to, from)| *to = from);
        let announce = Announce {
            info_hash: InfoHash([0x5e; 20]),
            peer_id: PeerId(id),
            key: None,
            ip: (*address.ip()).into(),
            inner_ip: None,
            is_reported: false,
            port: address.port(),
            is_seeder: report.is_seeder,
            downloaded: report.downloaded,
            event: report.event,
            num_want: Some(report.num_want),
            options: ListOptions::default(),
        };
        let mut context = AnnounceContext {
            now,
            rng,
            counters: self.metrics.counters(0),
        };
        let reply = self
            .core
            .announce(&announce, &mut context, &mut self.list)?;
        let handed = self.list.v4.iter().filter_map(|&[a, b, c, d, high, low]| {
            let port = u16::from_be_bytes([high, low]);
            let address = SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), port);
            self.peers.get(&address).copied()
        });
        Ok((handed.collect(), reply.interval))
    }
}

fn rules(places: &Places) -> anyhow::Result<Vec<ZoneRule>> {
    let rule = |(path, network)| ZoneRule {
        path,
        prefixes: vec![IpNet::V4(network)],
        ..ZoneRule::default()
    };
    Ok(places.networks()?.into_iter().map(rule).collect())
}
