//! What is told besides the news, a portion at a time: the repair ("send mine again") and the duty round.

use std::collections::VecDeque;

use super::block::{BlockChange, BlockDelta};
use super::name::SiteName;
use super::rendezvous;
use crate::clock::Seconds;
use crate::tracker::{InfoHash, MAX_ORIGINS, Origin, SwarmDelta, Target, Tracker};

/// Blocks in one portion.
const BLOCKS: usize = 500;

/// Torrents of the duty round in one portion, told or not.
const DUTIES: usize = 20_000;

/// Lifts that are told for each tracker that is silent. They are counted as the teller's where they are heard.
const LIFTS_OF_A_SILENT: usize = 1_000;

/// What of the blocklist this tracker tells again: what is on the list, its own lifts, and some of those that trackers told which are silent
/// now. Who lives tells its own, and one that tells of very many is to have no helpers.
pub(super) fn told_again(
    blocks: Vec<(Option<Origin>, BlockDelta)>,
    live: &[Origin],
) -> Vec<BlockDelta> {
    let mut told = [0_usize; MAX_ORIGINS];
    let mut is_told = |teller: Origin| {
        let count = told.get_mut(usize::from(teller.get()));
        let count = count.map(|count| {
            *count += 1;
            *count
        });
        !live.contains(&teller) && count.is_some_and(|count| count <= LIFTS_OF_A_SILENT)
    };
    let told = blocks.into_iter().filter(|(told_by, block)| match told_by {
        Some(teller) if block.change == BlockChange::Lifted => is_told(*teller),
        _ => true,
    });
    told.map(|(_, block)| block).collect()
}

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

#[cfg(test)]
mod tests {
    use super::*;

    /// O25
    #[test]
    fn the_lifts_of_others_are_told_for_those_that_are_silent_and_within_a_bound() {
        let lift = |number: u16| {
            let mut hash = [0; 20];
            hash[..2].copy_from_slice(&number.to_be_bytes());
            BlockDelta {
                target: Target::Torrent(InfoHash(hash)),
                change: BlockChange::Lifted,
                stamp: 1,
            }
        };
        let [live, silent] = [1, 2].map(|number| Origin::new(number).unwrap());
        let mut known: Vec<_> = (0..3_000).map(|at| (Some(silent), lift(at))).collect();
        known.push((Some(live), lift(4_000)));
        known.push((None, lift(4_001)));
        let told = told_again(known, &[live]);
        assert_eq!(told.len(), LIFTS_OF_A_SILENT + 1);
        assert_eq!(told.last(), Some(&lift(4_001)));
    }
}
