//! The mechanics of one client: whom it uploads to, what it asks for, and for how long it waits.

use super::choking::SLOTS;
use super::link::PIECE_TIMEOUT;
use super::*;
use crate::lab::simulate::plan::Plan;

/// Pieces of the file.
const PIECES: usize = 10;

#[test]
fn a_downloader_uploads_to_the_four_that_sent_most_and_to_one_that_it_tries() {
    let mut peer = connected(8, Kind::Leecher);
    for (at, link) in peer.links.iter_mut().enumerate() {
        link.received = [at as u64 * 1_000, 0];
    }
    let mut rng = fastrand::Rng::with_seed(1);
    peer.choose(ROUND, &[true; 8], &mut rng);
    let unchoked = unchoked(&peer);
    assert_eq!(unchoked.len(), SLOTS);
    assert_eq!(unchoked[1..], [5, 6, 7, 8], "those that sent most");
    assert_eq!(peer.optimistic, Some(unchoked[0]));
}

#[test]
fn what_was_sent_counts_for_two_rounds() {
    let mut peer = connected(8, Kind::Leecher);
    let mut rng = fastrand::Rng::with_seed(1);
    peer.links[7].received = [1_000, 0];
    for round in 1..=2 {
        peer.choose(round * ROUND, &[true; 8], &mut rng);
        assert!(peer.links[7].is_unchoked);
    }
    assert_eq!(peer.links[7].received, [0, 0]);
}

#[test]
fn the_tried_neighbour_is_tried_for_three_rounds() {
    let mut peer = connected(40, Kind::Leecher);
    for link in &mut peer.links[..4] {
        link.received = [1_000, 1_000];
    }
    let mut rng = fastrand::Rng::with_seed(1);
    let mut tried = Vec::new();
    for round in 0..9 {
        peer.links[..4]
            .iter_mut()
            .for_each(|link| link.received = [1_000, 0]);
        peer.choose(round * ROUND, &[true; 40], &mut rng);
        tried.push(peer.optimistic);
    }
    for term in tried.chunks(3) {
        assert!(term.iter().all(|one| *one == term[0]), "{tried:?}");
    }
    assert!(tried[0] != tried[3] || tried[3] != tried[6], "{tried:?}");
}

#[test]
fn who_wants_nothing_gets_no_slot_and_who_is_choked_loses_its_piece() {
    let mut peer = connected(3, Kind::Leecher);
    let mut rng = fastrand::Rng::with_seed(1);
    peer.choose(ROUND, &[true, true, false], &mut rng);
    assert_eq!(unchoked(&peer), [1, 2]);
    peer.links[0].begin(Some(4), ROUND);
    let stopped = peer.choose(2 * ROUND, &[false, true, true], &mut rng);
    assert_eq!(stopped, [(1, 4)]);
    assert_eq!(unchoked(&peer), [2, 3]);
}

#[test]
fn a_seed_takes_turns_so_that_everybody_is_served() {
    let mut seed = connected(12, Kind::Seed);
    let mut rng = fastrand::Rng::with_seed(1);
    let mut served = Vec::new();
    for round in 0..9 {
        seed.choose(round * ROUND, &[true; 12], &mut rng);
        let now = unchoked(&seed);
        assert_eq!(now.len(), SLOTS);
        served.extend(now);
    }
    served.sort_unstable();
    served.dedup();
    assert_eq!(served, (1..=12).collect::<Vec<_>>(), "within three terms");
}

#[test]
fn what_was_begun_comes_first_and_then_what_is_rarest() {
    let mut peer = connected(0, Kind::Leecher);
    let mut rng = fastrand::Rng::with_seed(1);
    let all = all();
    peer.connect(1, &all, 0);
    let mut common = Pieces::none(PIECES);
    (0..PIECES)
        .filter(|&piece| piece != 6)
        .for_each(|piece| common.insert(piece));
    peer.connect(2, &common, 0);
    assert_eq!(peer.ask(&all, &mut rng), Some(6), "the rarest");
    peer.take(1, 3, 1_000);
    assert_eq!(peer.ask(&all, &mut rng), Some(3), "begun");
    let (taken, is_whole) = peer.take(1, 3, u64::MAX);
    assert_eq!((taken, is_whole), (PIECE_BYTES - 1_000, true));
    peer.give_up(6);
    assert_eq!(peer.ask(&all, &mut rng), Some(6), "asked for anew");
}

#[test]
fn a_piece_that_does_not_move_is_taken_back_and_the_neighbour_is_asked_for_no_other() {
    let mut stalled = connected(1, Kind::Leecher);
    let mut rng = fastrand::Rng::with_seed(1);
    stalled.choose(ROUND, &[true], &mut rng);
    let link = &mut stalled.links[0];
    link.begin(Some(4), 10);
    link.note_sent(500, 15);
    assert_eq!(link.time_out(15 + PIECE_TIMEOUT - 1), None);
    assert_eq!(link.time_out(15 + PIECE_TIMEOUT), Some(4));
    assert!(!link.takes_requests());
    // A client that is only slow chokes and unchokes, and may be asked again.
    stalled.choose(40, &[false], &mut rng);
    stalled.choose(50, &[true], &mut rng);
    assert!(stalled.links[0].takes_requests());
}

fn connected(neighbours: usize, kind: Kind) -> Peer {
    let plan = Plan::default();
    let place = plan.places.all()[1];
    let mut rng = fastrand::Rng::with_seed(1);
    let profile = Profile {
        kind,
        ..Profile::draw(&plan, place, &mut rng)
    };
    let mut peer = Peer::new(profile, PIECES);
    for to in 1..=neighbours {
        peer.connect(to, &all(), 0);
    }
    peer
}

fn all() -> Pieces {
    let mut all = Pieces::none(PIECES);
    (0..PIECES).for_each(|piece| all.insert(piece));
    all
}

fn unchoked(peer: &Peer) -> Vec<usize> {
    let links = peer.links.iter().filter(|link| link.is_unchoked);
    links.map(|link| link.to).collect()
}
