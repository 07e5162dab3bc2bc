//! The swarm in time, second by second: peers arrive, announce, connect, exchange pieces and leave.

#![expect(
    clippy::indexing_slicing,
    reason = "numbers of peers and zones are given out by the simulation itself"
)]

mod announces;
mod connections;
mod departures;
mod transfer;

use super::peer::{Peer, ROUND, Stage};
use super::places::Kind;
use super::plan::Plan;
use super::policy::Policy;
use super::profile::Profile;
use super::source::Source;
use super::tracker::SimulatedTracker;

/// A swarm in which nothing has moved for so many seconds is stuck: two announces of everybody have mended nothing.
const STUCK_SECONDS: u32 = 4_000;

/// No simulation goes on for longer.
const MAX_SECONDS: u32 = 60_000;

/// The swarm in one second.
pub(super) struct Simulation<'p> {
    plan: &'p Plan,
    pub(super) peers: Vec<Peer>,
    tracker: SimulatedTracker,
    rng: fastrand::Rng,
    /// Seconds since the seeder came.
    now: u32,
    /// Leechers that have come or will come, are not done and have not failed.
    pub(super) downloading: usize,
    /// Peers whose download became complete in this second.
    completed: Vec<usize>,
    /// Bytes that crossed into each zone.
    pub(super) imported: Vec<u64>,
    /// Announces of everybody.
    pub(super) announces: usize,
    /// Connections that were opened, by where the address came from: see [`Source`].
    pub(super) opened: [usize; Source::ALL.len()],
    /// Seconds since anything moved.
    stuck_for: u32,
}

impl<'p> Simulation<'p> {
    /// Goes on until everybody is done, or nothing moves any more.
    pub(super) fn run(&mut self) -> anyhow::Result<()> {
        if self.plan.sessions.arrival == 0 {
            self.gather()?;
        }
        while self.goes_on() {
            self.second()?;
        }
        Ok(())
    }

    pub(super) fn new(plan: &'p Plan, policy: Policy, seed: u64) -> anyhow::Result<Simulation<'p>> {
        let mut rng = fastrand::Rng::with_seed(seed);
        let places = plan.places.all().into_iter();
        let peers: Vec<Peer> = places
            .map(|place| Peer::new(Profile::draw(plan, place, &mut rng), plan.pieces))
            .collect();
        let leechers = peers
            .iter()
            .filter(|peer| peer.profile.kind == Kind::Leecher);
        Ok(Simulation {
            plan,
            downloading: leechers.count(),
            peers,
            tracker: SimulatedTracker::new(&plan.places, policy)?,
            rng,
            now: 0,
            completed: Vec::new(),
            imported: vec![0; plan.places.sizes.len()],
            announces: 0,
            opened: [0; Source::ALL.len()],
            stuck_for: 0,
        })
    }

    fn goes_on(&self) -> bool {
        self.downloading > 0 && self.stuck_for < STUCK_SECONDS && self.now < MAX_SECONDS
    }

    fn second(&mut self) -> anyhow::Result<()> {
        let mut order: Vec<usize> = (0..self.peers.len()).collect();
        self.rng.shuffle(&mut order);
        self.arrive(&order)?;
        self.stuck_for += 1;
        self.fail()?;
        for peer in &mut self.peers {
            peer.room = peer.download_rate();
        }
        for peer in order {
            self.time_out_requests(peer);
            if self.peers[peer].stage != Stage::Here {
                continue;
            }
            self.keep_in_touch(peer)?;
            self.turn_over(peer);
            self.open_connections(peer, connections::ATTEMPTS_PER_SECOND);
            if self.is_turn_of(peer, ROUND) && !self.peers[peer].is_stalled {
                self.choose(peer);
            }
            self.upload(peer);
        }
        self.finish_downloads()?;
        self.depart()?;
        self.now += 1;
        Ok(())
    }

    /// Whether what this peer does every so many seconds is due: not everybody does it in the same one.
    fn is_turn_of(&self, peer: usize, every: u32) -> bool {
        (self.now as usize + peer).is_multiple_of(every as usize)
    }
}

#[cfg(test)]
mod tests;
