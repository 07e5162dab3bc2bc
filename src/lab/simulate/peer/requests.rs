//! What a client asks its neighbours for, and what it gets: rarest first, and what was begun before that.

#![expect(
    clippy::indexing_slicing,
    reason = "numbers of pieces are given out by the simulation itself"
)]

use super::Peer;
use super::pieces::Pieces;
use crate::lab::simulate::plan::PIECE_BYTES;

impl Peer {
    /// Chooses what to ask of somebody who has `offered`: a piece that was begun, else the rarest among the neighbours.
    pub(in super::super) fn ask(
        &mut self,
        offered: &Pieces,
        rng: &mut fastrand::Rng,
    ) -> Option<usize> {
        let mut best = None;
        let mut rank = (true, u16::MAX);
        let mut equals = 0;
        for piece in offered.without(&self.has, &self.asked) {
            let is_whole = self.missing[piece] == PIECE_BYTES;
            let this = (is_whole, if is_whole { self.holders[piece] } else { 0 });
            if this < rank {
                (best, rank, equals) = (Some(piece), this, 1);
            } else if this == rank {
                equals += 1;
                if rng.usize(0..equals) == 0 {
                    best = Some(piece);
                }
            }
        }
        if let Some(piece) = best {
            self.asked.insert(piece);
        }
        best
    }

    /// Takes at most `bytes` of a piece from a neighbour. Returns how many, and whether the piece is whole.
    pub(in super::super) fn take(&mut self, from: usize, piece: usize, bytes: u64) -> (u64, bool) {
        let taken = bytes.min(self.missing[piece]);
        self.missing[piece] -= taken;
        self.downloaded += taken;
        self.room = self.room.saturating_sub(taken);
        if let Some(link) = self.links.iter_mut().find(|link| link.to == from) {
            link.received[0] += taken;
            link.moved += taken;
        }
        let is_whole = self.missing[piece] == 0;
        if is_whole {
            self.asked.remove(piece);
            self.has.insert(piece);
        }
        (taken, is_whole)
    }

    /// Takes back that it asked for a piece.
    pub(in super::super) fn give_up(&mut self, piece: usize) {
        self.asked.remove(piece);
    }

    /// A neighbour has one piece more.
    pub(in super::super) fn see(&mut self, piece: usize) {
        self.holders[piece] += 1;
    }
}
