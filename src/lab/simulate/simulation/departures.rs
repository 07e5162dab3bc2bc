//! Who goes, and how: when it is done, when it gives up, and when it fails.

#![expect(
    clippy::indexing_slicing,
    reason = "numbers of peers are given out by the simulation itself"
)]

use super::Simulation;
use crate::lab::simulate::peer::Stage;
use crate::lab::simulate::places::Kind;
use crate::lab::simulate::plan::Fault;
use crate::tracker::Event;

/// Seconds of silence after which a connection is taken for dead (libtorrent's `peer_timeout`).
pub(super) const PEER_TIMEOUT: u32 = 120;

/// The peer that brings the file.
const SEEDER: usize = 0;

impl Simulation<'_> {
    /// What goes wrong at the beginning of a second.
    pub(super) fn fail(&mut self) -> anyhow::Result<()> {
        self.break_connections();
        let every = self.plan.faults.every;
        if every > 0 && self.now > 0 && self.now.is_multiple_of(every) {
            for zone in 0..self.plan.places.sizes.len() {
                self.fail_importer(zone)?;
            }
        }
        let stay = self.plan.sessions.seeder_stay;
        if stay > 0 && self.now == stay {
            self.leave(SEEDER)?;
        }
        for peer in 0..self.peers.len() {
            self.abort(peer)?;
        }
        Ok(())
    }

    /// The downloader that has brought most into the zone fails: who would be missed most.
    pub(super) fn fail_importer(&mut self, zone: usize) -> anyhow::Result<()> {
        let importers = (0..self.peers.len()).filter(|&peer| {
            let client = &self.peers[peer];
            client.profile.zone == Some(zone) && client.is_downloading() && client.imported > 0
        });
        let Some(peer) = importers.max_by_key(|&peer| self.peers[peer].imported) else {
            return Ok(());
        };
        self.downloading -= 1;
        match self.plan.faults.fault {
            Fault::Leave => self.leave(peer)?,
            Fault::Vanish => self.vanish(peer),
            Fault::Stall => self.peers[peer].is_stalled = true,
        }
        Ok(())
    }

    fn abort(&mut self, peer: usize) -> anyhow::Result<()> {
        let client = &self.peers[peer];
        let Some(abort) = client.profile.abort else {
            return Ok(());
        };
        if !client.is_downloading() || abort.at > self.now {
            return Ok(());
        }
        self.downloading -= 1;
        if abort.is_told {
            self.leave(peer)?;
        } else {
            self.vanish(peer);
        }
        Ok(())
    }

    /// Lets those go who are done and have stayed long enough, and those whose neighbours have found out that they are gone.
    pub(super) fn depart(&mut self) -> anyhow::Result<()> {
        let stay = self.plan.sessions.stay;
        for peer in 0..self.peers.len() {
            let client = &self.peers[peer];
            let is_over = client.done.is_some_and(|done| done + stay <= self.now + 1);
            match client.stage {
                Stage::Here if is_over && client.profile.kind == Kind::Leecher => {
                    self.leave(peer)?;
                }
                Stage::Vanished { until } if until <= self.now => {
                    self.cut_all(peer);
                    self.peers[peer].stage = Stage::Gone;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Goes as clients should: says so to the tracker and closes its connections.
    pub(super) fn leave(&mut self, peer: usize) -> anyhow::Result<()> {
        self.announce(peer, Event::Stopped)?;
        self.peers[peer].stage = Stage::Gone;
        self.cut_all(peer);
        Ok(())
    }

    /// Is gone without a word: its neighbours wait for it until their connections time out, the tracker until it expires.
    pub(super) fn vanish(&mut self, peer: usize) {
        self.peers[peer].stage = Stage::Vanished {
            until: self.now + PEER_TIMEOUT,
        };
        self.peers[peer].is_stalled = true;
    }
}
