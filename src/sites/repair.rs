//! What is told besides the news, a portion at a time: the repair ("send mine again") and the duty round.

use std::collections::VecDeque;

use super::block::BlockDelta;
use super::name::SiteName;
use super::rendezvous;
use crate::clock::Seconds;
use crate::tracker::{InfoHash, SwarmDelta, Target, Tracker};

/// Blocks in one portion.
const BLOCKS: usize = 500;

/// Torrents of the duty round in one portion, told or not.
const DUTIES: usize = 20_000;

/// What is to be told in one go.
#[derive(Debug, Default)]
pub(super) struct Portion {
    pub(super) swarms: Vec<SwarmDelta>,
    pub(super) blocks: Vec<BlockDelta>,
}

/// Everything of this tracker, told again.
#[derive(Debug, Default)]
pub(super) struct Repair {
    /// What goes first, whatever the pace: leaves.
    first: VecDeque<SwarmDelta>,
    torrents: Vec<InfoHash>,
    blocks: Vec<BlockDelta>,
}

impl Repair {
    /// Begins, or begins anew; `leaves` go first.
    pub(super) fn begin(
        &mut self,
        tracker: &Tracker,
        leaves: Vec<SwarmDelta>,
        blocks: Vec<BlockDelta>,
    ) {
        self.first.extend(leaves);
        self.torrents = tracker.own_torrents();
        self.blocks = blocks;
    }

    /// Torrents that are left.
    pub(super) fn left(&self) -> usize {
        self.first.len() + self.torrents.len()
    }

    /// The next portion, of `peers` or a torrent more.
    pub(super) fn next(&mut self, tracker: &Tracker, peers: usize, now: Seconds) -> Portion {
        let mut portion = Portion::default();
        let mut taken = 0;
        while taken < peers {
            let next = match self.first.pop_front() {
                Some(leaves) => Some(leaves),
                None => match self.torrents.pop() {
                    // Looking costs something, too.
                    Some(torrent) => {
                        taken += 1;
                        tracker.own_delta(&torrent, now)
                    }
                    None => break,
                },
            };
            if let Some(delta) = next {
                taken += delta.peers.len();
                portion.swarms.push(delta);
            }
        }
        let rest = self.blocks.len().saturating_sub(BLOCKS);
        portion.blocks = self.blocks.split_off(rest);
        portion
    }
}

/// What is everybody's: counts of completions and the blocklist, shared among the trackers that live.
#[derive(Debug, Default)]
pub(super) struct Duty {
    torrents: Vec<InfoHash>,
    blocks: Vec<BlockDelta>,
    others: Vec<SiteName>,
}

impl Duty {
    /// Begins a round among these others.
    pub(super) fn begin(
        &mut self,
        tracker: &Tracker,
        blocks: Vec<BlockDelta>,
        others: Vec<SiteName>,
    ) {
        self.torrents = tracker.torrents_with_counts();
        self.blocks = blocks;
        self.others = others;
    }

    /// The next portion of what `own` is to tell.
    pub(super) fn next(&mut self, tracker: &Tracker, own: &SiteName) -> Portion {
        let rest = self.torrents.len().saturating_sub(DUTIES);
        let torrents = self.torrents.split_off(rest);
        let is_mine = |thing: &[u8]| rendezvous::is_mine(own, &self.others, thing);
        let mine = torrents.iter().filter(|torrent| is_mine(&torrent.0));
        let swarms = mine
            .filter_map(|torrent| tracker.counts_delta(torrent))
            .collect();
        let rest = self.blocks.len().saturating_sub(BLOCKS);
        let mut blocks = self.blocks.split_off(rest);
        blocks.retain(|block| match block.target {
            Target::Torrent(hash) => is_mine(&hash.0),
            Target::Network(network) => is_mine(network.to_string().as_bytes()),
        });
        Portion { swarms, blocks }
    }
}
