//! One simulated client: what it has, whom it knows, and to whom it uploads (rarest first, tit for tat).

#![expect(
    clippy::indexing_slicing,
    reason = "numbers of pieces and of links are given out by the simulation itself"
)]

use super::pieces::Pieces;
use super::plan::PIECE_BYTES;

/// Neighbours that are uploaded to because they upload.
const EARNED_SLOTS: usize = 4;

/// Neighbours that a seeder uploads to; a downloader tries one beside the earned ones.
const SLOTS: usize = EARNED_SLOTS + 1;

/// Seconds between two decisions whom to upload to.
pub(super) const ROUND: u32 = 10;

/// Rounds for which a neighbour is tried, and for which a seeder keeps to its choice.
const TERM: u32 = 3;

/// Whether a peer takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Away,
    Here,
    Gone,
}

/// One end of a connection.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub to: usize,
    /// Bytes that the neighbour sent us in this round and in the one before.
    got: [u64; 2],
    /// Whether we upload to it.
    pub is_open: bool,
    /// When it was last chosen to be uploaded to.
    opened: u32,
    /// The piece on its way to it.
    pub piece: Option<usize>,
}

impl Link {
    fn new(to: usize) -> Link {
        Link {
            to,
            got: [0; 2],
            is_open: false,
            opened: 0,
            piece: None,
        }
    }
}

/// One client.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub zone: Option<usize>,
    /// Bytes a second.
    pub rate: u64,
    pub stage: Stage,
    pub arrives: u32,
    pub done: Option<u32>,
    pub announced: u32,
    pub announces_again: u32,
    pub has: Pieces,
    pub asked: Pieces,
    /// Bytes missing of each piece: what was begun is kept.
    left: Vec<u64>,
    /// How many neighbours have each piece.
    seen: Vec<u16>,
    pub links: Vec<Link>,
    /// The neighbour that is tried.
    tried: Option<usize>,
}

impl Peer {
    pub(super) fn new(zone: Option<usize>, rate: u64, pieces: usize) -> Peer {
        Peer {
            zone,
            rate,
            stage: Stage::Away,
            arrives: 0,
            done: None,
            announced: 0,
            announces_again: 0,
            has: Pieces::none(pieces),
            asked: Pieces::none(pieces),
            left: vec![PIECE_BYTES; pieces],
            seen: vec![0; pieces],
            links: Vec::new(),
            tried: None,
        }
    }

    /// Gives it everything.
    pub(super) fn complete(&mut self) {
        (0..self.left.len()).for_each(|piece| self.has.insert(piece));
    }

    pub(super) fn knows(&self, peer: usize) -> bool {
        self.links.iter().any(|link| link.to == peer)
    }

    pub(super) fn connect(&mut self, to: usize, has: &Pieces) {
        self.links.push(Link::new(to));
        has.iter().for_each(|piece| self.seen[piece] += 1);
    }

    /// Forgets a neighbour that left with what it had; `piece` was on its way from it.
    pub(super) fn disconnect(&mut self, from: usize, has: &Pieces, piece: Option<usize>) {
        self.links.retain(|link| link.to != from);
        has.iter().for_each(|piece| self.seen[piece] -= 1);
        if let Some(piece) = piece {
            self.asked.remove(piece);
        }
    }

    /// A neighbour has one piece more.
    pub(super) fn see(&mut self, piece: usize) {
        self.seen[piece] += 1;
    }

    /// Chooses what to ask of somebody who has `offered`: a piece that was begun, else the rarest among the neighbours.
    pub(super) fn ask(&mut self, offered: &Pieces, rng: &mut fastrand::Rng) -> Option<usize> {
        let mut best = None;
        let mut rank = (true, u16::MAX);
        let mut equals = 0;
        for piece in offered.without(&self.has, &self.asked) {
            let is_whole = self.left[piece] == PIECE_BYTES;
            let this = (is_whole, if is_whole { self.seen[piece] } else { 0 });
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
    pub(super) fn take(&mut self, from: usize, piece: usize, bytes: u64) -> (u64, bool) {
        let taken = bytes.min(self.left[piece]);
        self.left[piece] -= taken;
        if let Some(link) = self.links.iter_mut().find(|link| link.to == from) {
            link.got[0] += taken;
        }
        let is_whole = self.left[piece] == 0;
        if is_whole {
            self.asked.remove(piece);
            self.has.insert(piece);
        }
        (taken, is_whole)
    }

    /// Decides whom to upload to, of the links whose neighbours want something. Returns who is refused, and which piece of it
    /// stops.
    pub(super) fn choose(
        &mut self,
        now: u32,
        wants: &[bool],
        rng: &mut fastrand::Rng,
    ) -> Vec<(usize, usize)> {
        let is_term = (now / ROUND).is_multiple_of(TERM);
        if self.has.is_complete() && !is_term && self.links.iter().any(|link| link.is_open) {
            return Vec::new();
        }
        let mut order: Vec<usize> = (0..self.links.len()).filter(|&at| wants[at]).collect();
        rng.shuffle(&mut order);
        if self.has.is_complete() {
            order.sort_by_key(|&at| self.links[at].opened);
            order.truncate(SLOTS);
        } else {
            order.sort_by_key(|&at| u64::MAX - self.links[at].got.iter().sum::<u64>());
            let others = order.split_off(order.len().min(EARNED_SLOTS));
            let kept = others
                .iter()
                .find(|&&at| !is_term && Some(self.links[at].to) == self.tried);
            let tried = kept.copied().or_else(|| rng.choice(others));
            self.tried = tried.map(|at| self.links[at].to);
            order.extend(tried);
        }
        let mut stopped = Vec::new();
        for (at, link) in self.links.iter_mut().enumerate() {
            link.got = [0, link.got[0]];
            link.is_open = order.contains(&at);
            if link.is_open {
                link.opened = now + 1;
            } else {
                stopped.extend(link.piece.take().map(|piece| (link.to, piece)));
            }
        }
        stopped
    }
}
