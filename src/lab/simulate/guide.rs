//! The tracker of the simulation: the real core, which hands out peers as it does to clients.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::Context;
use ipnet::IpNet;

use super::plan::{Plan, Policy};
use crate::clock::Seconds;
use crate::metrics::Metrics;
use crate::tracker::{
    Announce, AnnounceContext, Event, InfoHash, ListOptions, PeerId, PeerList, Settings, Tracker,
    ZoneRule, Zones,
};

const PORT: u16 = 6881;

/// What a peer says when it announces.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said {
    pub event: Event,
    pub is_seeder: bool,
}

/// The core, and who lives where.
#[derive(Debug)]
pub(super) struct Guide {
    tracker: Tracker,
    metrics: Arc<Metrics>,
    addresses: Vec<Ipv4Addr>,
    whose: HashMap<Ipv4Addr, usize>,
    num_want: u32,
    list: PeerList,
}

impl Guide {
    pub(super) fn new(plan: &Plan, policy: Policy) -> anyhow::Result<Guide> {
        let mut settings = Settings::default();
        let mut zones = Zones::default();
        if let Policy::Near {
            local_share,
            min_external,
        } = policy
        {
            settings.local_share = local_share;
            settings.min_external = min_external;
            zones = Zones::new(&rules(plan)?, &[]).context("the zones of the plan")?;
        }
        let metrics = Arc::new(Metrics::new(1));
        let tracker = Tracker::new(settings, Arc::clone(&metrics));
        tracker.set_zones(zones, Seconds::START);
        let addresses: Vec<_> = (0..plan.peers())
            .map(|peer| plan.address(peer, policy))
            .collect();
        let whose = addresses.iter().copied().zip(0..).collect();
        Ok(Guide {
            tracker,
            metrics,
            addresses,
            whose,
            num_want: plan.num_want,
            list: PeerList::default(),
        })
    }

    /// Announces for a peer. Returns whom it was handed, and in how many seconds it shall come again.
    pub(super) fn announce(
        &mut self,
        peer: usize,
        said: Said,
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
            ip: address.into(),
            inner_ip: None,
            is_reported: false,
            port: PORT,
            is_seeder: said.is_seeder,
            downloaded: 0,
            event: said.event,
            num_want: Some(self.num_want),
            options: ListOptions::default(),
        };
        let mut context = AnnounceContext {
            now,
            rng,
            counters: self.metrics.counters(0),
        };
        let reply = self
            .tracker
            .announce(&announce, &mut context, &mut self.list)?;
        let handed =
            self.list.v4.iter().filter_map(|&[a, b, c, d, _, _]| {
                self.whose.get(&Ipv4Addr::new(a, b, c, d)).copied()
            });
        Ok((handed.collect(), reply.interval))
    }
}

fn rules(plan: &Plan) -> anyhow::Result<Vec<ZoneRule>> {
    let rule = |(path, network)| ZoneRule {
        path,
        prefixes: vec![IpNet::V4(network)],
        ..ZoneRule::default()
    };
    Ok(plan.networks()?.into_iter().map(rule).collect())
}
