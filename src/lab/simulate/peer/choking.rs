//! To whom a client uploads: tit for tat with one neighbour that is tried, and taking turns once it has everything.

#![expect(
    clippy::indexing_slicing,
    reason = "numbers of links are given out by the simulation itself"
)]

use super::Peer;

/// Neighbours that are uploaded to because they upload.
const EARNED_SLOTS: usize = 4;

/// Neighbours that a seed uploads to; a downloader tries one beside the earned ones.
pub(super) const SLOTS: usize = EARNED_SLOTS + 1;

/// Seconds between two decisions whom to upload to.
pub(in super::super) const ROUND: u32 = 10;

/// Rounds for which a neighbour is tried, and for which a seed keeps to its choice.
const TERM: u32 = 3;

impl Peer {
    /// Decides whom to upload to, of the links whose neighbours want something. Returns who is choked with a piece on its way, and
    /// which piece.
    pub(in super::super) fn choose(
        &mut self,
        now: u32,
        wants: &[bool],
        rng: &mut fastrand::Rng,
    ) -> Vec<(usize, usize)> {
        let is_term = (now / ROUND).is_multiple_of(TERM);
        if self.has.is_complete() && !is_term && self.links.iter().any(|link| link.is_unchoked) {
            return Vec::new();
        }
        let mut order: Vec<usize> = (0..self.links.len()).filter(|&at| wants[at]).collect();
        rng.shuffle(&mut order);
        if self.has.is_complete() {
            order.sort_by_key(|&at| self.links[at].unchoked_at);
            order.truncate(SLOTS);
        } else {
            order.sort_by_key(|&at| u64::MAX - self.links[at].received.iter().sum::<u64>());
            let others = order.split_off(order.len().min(EARNED_SLOTS));
            let kept = others
                .iter()
                .find(|&&at| !is_term && Some(self.links[at].to) == self.optimistic);
            let tried = kept.copied().or_else(|| rng.choice(others));
            self.optimistic = tried.map(|at| self.links[at].to);
            order.extend(tried);
        }
        self.unchoke(&order, now)
    }

    fn unchoke(&mut self, chosen: &[usize], now: u32) -> Vec<(usize, usize)> {
        let mut stopped = Vec::new();
        for (at, link) in self.links.iter_mut().enumerate() {
            link.received = [0, link.received[0]];
            link.is_snubbed &= link.is_unchoked;
            link.is_unchoked = chosen.contains(&at);
            if link.is_unchoked {
                link.unchoked_at = now + 1;
            } else {
                stopped.extend(link.piece.take().map(|piece| (link.to, piece)));
            }
        }
        stopped
    }
}
