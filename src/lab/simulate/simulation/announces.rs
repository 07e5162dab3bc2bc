//! When clients announce, and what they do with the peers they are handed.

#![expect(
    clippy::indexing_slicing,
    reason = "numbers of peers are given out by the simulation itself"
)]

use super::Simulation;
use super::connections::BURST;
use crate::clock::Seconds;
use crate::lab::simulate::peer::Stage;
use crate::lab::simulate::profile::Client;
use crate::lab::simulate::source::Source;
use crate::lab::simulate::tracker::Report;
use crate::tracker::Event;

/// A simple client with fewer neighbours announces before its time (mainline's `min_peers`) …
const FEW_NEIGHBOURS: usize = 20;

/// … but not within so many seconds of its last announce (mainline's `rerequest_interval`).
const LONELY_SECONDS: u32 = 300;

/// Seconds that pass between two announces of a libtorrent at least (`min_announce_interval`), whatever the tracker says.
const LIBTORRENT_INTERVAL: u32 = 300;

/// The same of a simple client.
const SIMPLE_INTERVAL: u32 = 120;

impl Simulation<'_> {
    /// Everybody makes itself known one interval before the start; the connections of then have long been closed as idle.
    pub(super) fn gather(&mut self) -> anyhow::Result<()> {
        let mut order: Vec<usize> = (0..self.peers.len()).collect();
        self.rng.shuffle(&mut order);
        for peer in order {
            let report = self.report(peer, Event::Started);
            self.tracker
                .announce(peer, report, Seconds::START, &mut self.rng)?;
        }
        Ok(())
    }

    /// Lets those come whose time it is.
    pub(super) fn arrive(&mut self, order: &[usize]) -> anyhow::Result<()> {
        let event = if self.plan.sessions.arrival == 0 {
            Event::None
        } else {
            Event::Started
        };
        let is_due = |&peer: &usize| {
            let client = &self.peers[peer];
            client.stage == Stage::Away && client.profile.arrives <= self.now
        };
        let arriving: Vec<usize> = order.iter().copied().filter(is_due).collect();
        for &peer in &arriving {
            self.peers[peer].stage = Stage::Here;
        }
        for peer in arriving {
            self.announce(peer, event)?;
        }
        Ok(())
    }

    /// The regular announce, and the early one of a simple client with few neighbours.
    pub(super) fn keep_in_touch(&mut self, peer: usize) -> anyhow::Result<()> {
        let client = &self.peers[peer];
        let is_lonely = client.profile.client == Client::Simple
            && client.links.len() < FEW_NEIGHBOURS
            && self.now >= client.announced.saturating_add(LONELY_SECONDS);
        if is_lonely || self.now >= client.announces_next {
            self.announce(peer, Event::None)?;
        }
        Ok(())
    }

    pub(super) fn announce(&mut self, peer: usize, event: Event) -> anyhow::Result<()> {
        let report = self.report(peer, event);
        let now = Seconds::START.plus(self.tracker.announce_interval() + self.now);
        let (mut handed, interval) = self.tracker.announce(peer, report, now, &mut self.rng)?;
        self.announces += 1;
        let client = &mut self.peers[peer];
        let least = match client.profile.client {
            Client::Simple => SIMPLE_INTERVAL,
            Client::Libtorrent => LIBTORRENT_INTERVAL,
        };
        client.announced = self.now;
        client.announces_next = self.now + interval.max(least);
        if event == Event::Stopped {
            return Ok(());
        }
        match client.profile.client {
            Client::Simple => {
                self.rng.shuffle(&mut handed);
                for other in handed {
                    self.connect(peer, other, Source::Tracker);
                }
            }
            Client::Libtorrent => {
                client.addresses.learn(&handed, &mut self.rng);
                self.open_connections(peer, BURST);
            }
        }
        Ok(())
    }

    fn report(&self, peer: usize, event: Event) -> Report {
        let client = &self.peers[peer];
        Report {
            event,
            is_seeder: client.has.is_complete(),
            downloaded: client.downloaded,
            num_want: client.profile.num_want,
        }
    }
}
