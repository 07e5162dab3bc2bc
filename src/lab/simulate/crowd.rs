//! The swarm in time, second by second: peers arrive, announce, connect, exchange pieces and leave.

#![expect(
    clippy::indexing_slicing,
    reason = "numbers of peers, zones and links are given out by the simulation itself"
)]

use super::guide::{Guide, Said};
use super::outcome::Outcome;
use super::peer::{Peer, ROUND, Stage};
use super::plan::{Plan, Policy};
use crate::clock::Seconds;
use crate::tracker::{Event, Settings};

/// Who has fewer neighbours announces before its time (mainline's `min_peers`) …
const FEW_NEIGHBOURS: usize = 20;

/// … but not within so many seconds of its last announce (mainline's `rerequest_interval`).
const RETRY_SECONDS: u32 = 300;

/// A swarm in which nothing has moved for so many seconds is stuck: it has split.
const STUCK_SECONDS: u32 = 2 * RETRY_SECONDS;

/// Simulates one download of everybody.
pub(super) fn simulate(plan: &Plan, policy: Policy, seed: u64) -> anyhow::Result<Outcome> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let peers = (0..plan.peers()).map(|peer| {
        let rate = if peer == 0 {
            plan.seeder_rate
        } else {
            plan.rate
        };
        let mut client = Peer::new(plan.zone(peer), rate, plan.pieces);
        if peer == 0 {
            client.complete();
        } else if plan.arrival > 0 {
            client.arrives = rng.u32(0..plan.arrival);
        }
        client
    });
    let peers = peers.collect();
    let mut crowd = Crowd {
        plan,
        peers,
        guide: Guide::new(plan, policy)?,
        rng,
        now: 0,
        downloading: plan.peers() - 1,
        imported: vec![0; plan.zones],
        stuck_for: 0,
    };
    if plan.arrival == 0 {
        crowd.gather()?;
    }
    while crowd.downloading > 0 && crowd.stuck_for < STUCK_SECONDS {
        crowd.second()?;
    }
    let times = crowd.peers.iter().skip(1);
    let times = times.filter_map(|peer| peer.done.map(|done| done - peer.arrives));
    Ok(Outcome::new(
        plan,
        &crowd.imported,
        times.collect(),
        crowd.downloading,
    ))
}

struct Crowd<'p> {
    plan: &'p Plan,
    peers: Vec<Peer>,
    guide: Guide,
    rng: fastrand::Rng,
    /// Seconds since the seeder came.
    now: u32,
    /// Peers that are not done.
    downloading: usize,
    /// Bytes that crossed into each zone.
    imported: Vec<u64>,
    /// Seconds since anything moved.
    stuck_for: u32,
}

impl Crowd<'_> {
    /// Everybody makes itself known one interval before the start; the connections of then have long been closed as idle.
    fn gather(&mut self) -> anyhow::Result<()> {
        let mut order: Vec<usize> = (0..self.peers.len()).collect();
        self.rng.shuffle(&mut order);
        for peer in order {
            let said = Said {
                event: Event::Started,
                is_seeder: peer == 0,
            };
            self.guide
                .announce(peer, said, Seconds::START, &mut self.rng)?;
        }
        Ok(())
    }

    fn second(&mut self) -> anyhow::Result<()> {
        let mut order: Vec<usize> = (0..self.peers.len()).collect();
        self.rng.shuffle(&mut order);
        let arriving: Vec<usize> = order
            .iter()
            .copied()
            .filter(|&peer| {
                self.peers[peer].stage == Stage::Away && self.peers[peer].arrives <= self.now
            })
            .collect();
        for &peer in &arriving {
            self.peers[peer].stage = Stage::Here;
        }
        for peer in arriving {
            let event = if self.plan.arrival == 0 {
                Event::None
            } else {
                Event::Started
            };
            self.announce(peer, event)?;
        }
        self.stuck_for += 1;
        for peer in order {
            if self.peers[peer].stage != Stage::Here {
                continue;
            }
            self.keep_in_touch(peer)?;
            if (self.now + u32::try_from(peer)?).is_multiple_of(ROUND) {
                self.choose(peer);
            }
            self.upload(peer)?;
        }
        self.part()?;
        self.now += 1;
        Ok(())
    }

    fn keep_in_touch(&mut self, peer: usize) -> anyhow::Result<()> {
        let client = &self.peers[peer];
        let is_lonely = client.links.len() < FEW_NEIGHBOURS
            && self.now >= client.announced.saturating_add(RETRY_SECONDS);
        if is_lonely || self.now >= client.announces_again {
            self.announce(peer, Event::None)?;
        }
        Ok(())
    }

    fn announce(&mut self, peer: usize, event: Event) -> anyhow::Result<()> {
        let said = Said {
            event,
            is_seeder: self.peers[peer].has.is_complete(),
        };
        let start = Settings::default().announce_interval;
        let now = Seconds::START.plus(start + self.now);
        let (mut handed, interval) = self.guide.announce(peer, said, now, &mut self.rng)?;
        self.peers[peer].announced = self.now;
        self.peers[peer].announces_again = self.now + interval;
        if event != Event::Stopped {
            self.rng.shuffle(&mut handed);
            handed
                .into_iter()
                .for_each(|other| self.connect(peer, other));
        }
        Ok(())
    }

    fn connect(&mut self, peer: usize, other: usize) {
        let [one, two] = [&self.peers[peer], &self.peers[other]];
        let is_of_use = !(one.has.is_complete() && two.has.is_complete());
        let has_room =
            one.links.len() < self.plan.neighbours && two.links.len() < 2 * self.plan.neighbours;
        if peer == other || two.stage != Stage::Here || !is_of_use || !has_room || one.knows(other)
        {
            return;
        }
        let [one, two] = [one.has.clone(), two.has.clone()];
        self.peers[peer].connect(other, &two);
        self.peers[other].connect(peer, &one);
    }

    fn choose(&mut self, peer: usize) {
        let client = &self.peers[peer];
        let links = client.links.iter();
        let wants = links.map(|link| client.has.interest(&self.peers[link.to].has));
        let wants: Vec<bool> = wants.collect();
        let stopped = self.peers[peer].choose(self.now, &wants, &mut self.rng);
        for (other, piece) in stopped {
            self.peers[other].asked.remove(piece);
        }
    }

    /// Sends what the line carries in a second, in equal parts to all who are uploaded to and want something.
    fn upload(&mut self, peer: usize) -> anyhow::Result<()> {
        let mut open = Vec::new();
        for at in 0..self.peers[peer].links.len() {
            if self.peers[peer].links[at].is_open && self.ask(peer, at).is_some() {
                open.push(at);
            }
        }
        let part = self.peers[peer].rate / (open.len() as u64).max(1);
        for at in open {
            let mut bytes = part;
            while bytes > 0
                && let Some(piece) = self.ask(peer, at)
            {
                bytes -= self.send(peer, at, piece, bytes)?;
            }
        }
        Ok(())
    }

    /// The piece on its way over a link, or a new one.
    fn ask(&mut self, peer: usize, at: usize) -> Option<usize> {
        let link = &self.peers[peer].links[at];
        if link.piece.is_some() {
            return link.piece;
        }
        let other = link.to;
        let [uploader, downloader] = self.peers.get_disjoint_mut([peer, other]).ok()?;
        let piece = downloader.ask(&uploader.has, &mut self.rng);
        uploader.links[at].piece = piece;
        piece
    }

    fn send(&mut self, peer: usize, at: usize, piece: usize, bytes: u64) -> anyhow::Result<u64> {
        let other = self.peers[peer].links[at].to;
        let (sent, is_whole) = self.peers[other].take(peer, piece, bytes);
        self.stuck_for = 0;
        if let Some(zone) = self.peers[other].zone
            && self.peers[peer].zone != Some(zone)
        {
            self.imported[zone] += sent;
        }
        if is_whole {
            self.peers[peer].links[at].piece = None;
            for link in 0..self.peers[other].links.len() {
                let neighbour = self.peers[other].links[link].to;
                self.peers[neighbour].see(piece);
            }
            if self.peers[other].has.is_complete() {
                self.peers[other].done = Some(self.now + 1);
                self.downloading -= 1;
                self.announce(other, Event::Completed)?;
            }
        }
        Ok(sent)
    }

    /// Lets those go who are done and have stayed long enough.
    fn part(&mut self) -> anyhow::Result<()> {
        for peer in 1..self.peers.len() {
            let client = &self.peers[peer];
            let is_over = client
                .done
                .is_some_and(|done| done + self.plan.stay <= self.now + 1);
            if client.stage != Stage::Here || !is_over {
                continue;
            }
            self.announce(peer, Event::Stopped)?;
            self.peers[peer].stage = Stage::Gone;
            let has = self.peers[peer].has.clone();
            for link in std::mem::take(&mut self.peers[peer].links) {
                self.peers[link.to].disconnect(peer, &has, link.piece);
            }
        }
        Ok(())
    }
}
