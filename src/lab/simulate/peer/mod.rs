//! One simulated client: what it has, whom it is connected to, and what it knows of others.

#![expect(
    clippy::indexing_slicing,
    reason = "numbers of pieces are given out by the simulation itself"
)]

mod address_book;
mod choking;
mod link;
pub(super) mod pieces;
mod requests;

pub(super) use choking::ROUND;

use address_book::AddressBook;
use link::Link;
use pieces::Pieces;

use super::places::Kind;
use super::plan::PIECE_BYTES;
use super::profile::Profile;

/// Whether a peer takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It has not come yet.
    Away,
    Here,
    /// It is gone, and its neighbours find out in that second.
    Vanished {
        until: u32,
    },
    Gone,
}

/// One client.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub profile: Profile,
    pub stage: Stage,
    /// Whether it neither sends nor takes anything, though it is there.
    pub is_stalled: bool,
    /// When its download was complete.
    pub done: Option<u32>,
    /// When it last announced.
    pub announced: u32,
    /// When the tracker wants to hear of it again.
    pub announces_next: u32,
    pub has: Pieces,
    /// Pieces on their way.
    asked: Pieces,
    /// Bytes missing of each piece: what was begun is kept.
    missing: Vec<u64>,
    /// How many neighbours have each piece.
    holders: Vec<u16>,
    /// Bytes downloaded in all.
    pub downloaded: u64,
    /// Bytes of them that came from outside its zone.
    pub imported: u64,
    /// Bytes that its line still takes this second.
    pub room: u64,
    pub links: Vec<Link>,
    /// The neighbour that is tried: the optimistic unchoke.
    optimistic: Option<usize>,
    /// Addresses to connect to.
    pub addresses: AddressBook,
}

impl Peer {
    pub(super) fn new(profile: Profile, pieces: usize) -> Peer {
        let mut has = Pieces::none(pieces);
        if matches!(profile.kind, Kind::Seeder | Kind::Seed) {
            (0..pieces).for_each(|piece| has.insert(piece));
        }
        Peer {
            profile,
            stage: Stage::Away,
            is_stalled: false,
            done: None,
            announced: 0,
            announces_next: 0,
            has,
            asked: Pieces::none(pieces),
            missing: vec![PIECE_BYTES; pieces],
            holders: vec![0; pieces],
            downloaded: 0,
            imported: 0,
            room: 0,
            links: Vec::new(),
            optimistic: None,
            addresses: AddressBook::default(),
        }
    }

    /// Whether it is there and wants the file, and may get it.
    pub(super) fn is_downloading(&self) -> bool {
        let is_able = self.profile.kind == Kind::Leecher && !self.is_stalled;
        self.stage == Stage::Here && is_able && self.done.is_none()
    }

    /// Bytes that it uploads in a second.
    pub(super) fn upload_rate(&self) -> u64 {
        if self.is_stalled {
            0
        } else {
            self.profile.upload_rate
        }
    }

    /// Bytes that it takes in a second.
    pub(super) fn download_rate(&self) -> u64 {
        if self.is_stalled {
            0
        } else {
            self.profile.download_rate
        }
    }

    /// Whether it opens more connections.
    pub(super) fn opens_more(&self) -> bool {
        self.links.len() < self.profile.opens
    }

    /// Whether it is there and has room for who connects to it.
    pub(super) fn accepts_more(&self) -> bool {
        let is_there = self.stage == Stage::Here && self.profile.is_reachable;
        is_there && self.links.len() < self.profile.accepts
    }

    pub(super) fn is_connected_to(&self, peer: usize) -> bool {
        self.links.iter().any(|link| link.to == peer)
    }

    /// Is connected to somebody who has these pieces.
    pub(super) fn connect(&mut self, to: usize, has: &Pieces, now: u32) {
        self.links.push(Link::new(to, now));
        has.iter().for_each(|piece| self.holders[piece] += 1);
    }

    /// Forgets a neighbour with what it had; `piece` was on its way from it.
    pub(super) fn disconnect(&mut self, from: usize, has: &Pieces, piece: Option<usize>) {
        self.links.retain(|link| link.to != from);
        has.iter().for_each(|piece| self.holders[piece] -= 1);
        if let Some(piece) = piece {
            self.give_up(piece);
        }
    }
}

#[cfg(test)]
mod tests;
