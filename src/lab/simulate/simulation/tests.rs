//! What clients do to each other: retries, turnover, silence, fakes, who cannot be reached, and addresses from elsewhere.

use super::departures::PEER_TIMEOUT;
use super::*;
use crate::lab::simulate::plan::Fault;
use crate::lab::simulate::profile::Client;
use crate::lab::simulate::tests::{small, small_libtorrent};
use crate::tracker::Event;

#[test]
fn a_libtorrent_tries_an_address_again_a_minute_later_and_a_simple_client_does_not() {
    for (client, is_retried) in [(Client::Libtorrent, true), (Client::Simple, false)] {
        let plan = small_libtorrent();
        let mut simulation = started(&plan);
        simulation.peers[1].profile.client = client;
        simulation.peers[2].profile.is_reachable = false;
        isolate(&mut simulation, 1);
        isolate(&mut simulation, 2);
        match client {
            Client::Libtorrent => {
                let rng = &mut simulation.rng;
                simulation.peers[1].addresses.learn(&[2], rng);
                simulation.open_connections(1, 1);
            }
            Client::Simple => {
                simulation.connect(1, 2, Source::Tracker);
            }
        }
        simulation.peers[2].profile.is_reachable = true;
        let failed = simulation.now;
        for (later, is_connected) in [(59, false), (60, is_retried)] {
            simulation.now = failed + later;
            simulation.turn_over(1);
            simulation.open_connections(1, 1);
            let now = simulation.peers[1].is_connected_to(2);
            assert_eq!(now, is_connected, "{client:?} after {later} s");
        }
    }
}

#[test]
fn a_full_libtorrent_closes_the_connection_that_brought_least_and_keeps_the_address() {
    let plan = small_libtorrent();
    let mut simulation = started(&plan);
    let peer = full(&simulation);
    let rng = &mut simulation.rng;
    simulation.peers[peer].addresses.learn(&[0], rng);
    for (at, link) in simulation.peers[peer].links.iter_mut().enumerate() {
        link.moved = 100 + at as u64;
    }
    let idlest = simulation.peers[peer].links[0].to;
    let before = simulation.peers[peer].links.len();
    // Its turn, when the connections are old enough.
    simulation.now = 600 - u32::try_from(peer).unwrap();
    simulation.turn_over(peer);
    assert_eq!(simulation.peers[peer].links.len(), before - 1, "4 % of 12");
    assert!(!simulation.peers[peer].is_connected_to(idlest));
    assert!(!simulation.peers[idlest].is_connected_to(peer));
    assert!(
        simulation.peers[peer]
            .links
            .iter()
            .all(|link| link.moved == 0)
    );
    let book = &mut simulation.peers[peer].addresses;
    assert!(std::iter::from_fn(|| book.next()).any(|address| address == idlest));
}

#[test]
fn young_connections_and_those_of_who_has_room_or_is_simple_are_not_turned_over() {
    type Change = fn(&mut Simulation<'_>, usize);
    let changes: [Change; 3] = [
        |simulation, peer| {
            let now = simulation.now;
            let links = simulation.peers[peer].links.iter_mut();
            links.for_each(|link| link.since = now - 59);
        },
        |simulation, peer| simulation.peers[peer].profile.opens = 20,
        |simulation, peer| simulation.peers[peer].profile.client = Client::Simple,
    ];
    for change in changes {
        let plan = small_libtorrent();
        let mut simulation = started(&plan);
        let peer = full(&simulation);
        simulation.now = 600 - u32::try_from(peer).unwrap();
        change(&mut simulation, peer);
        let before = simulation.peers[peer].links.len();
        simulation.turn_over(peer);
        assert_eq!(simulation.peers[peer].links.len(), before);
    }
}

#[test]
fn nobody_uploads_to_more_than_five_and_connections_have_two_ends() {
    let plan = small_libtorrent();
    let mut simulation = started(&plan);
    while simulation.goes_on() {
        simulation.second().unwrap();
        for (peer, client) in simulation.peers.iter().enumerate() {
            let unchoked = client.links.iter().filter(|link| link.is_unchoked);
            assert!(unchoked.count() <= 5);
            assert!(client.links.len() <= client.profile.accepts);
            let mut others = client.links.iter().map(|link| link.to);
            assert!(others.all(|other| simulation.peers[other].is_connected_to(peer)));
        }
    }
}

#[test]
fn who_stalls_keeps_its_connections_and_holds_nobody_up_for_ever() {
    let mut plan = small_libtorrent();
    plan.faults.every = 30;
    plan.faults.fault = Fault::Stall;
    let mut simulation = started(&plan);
    while simulation.goes_on() {
        simulation.second().unwrap();
    }
    let stalled = simulation.peers.iter().filter(|peer| peer.is_stalled);
    assert!(stalled.clone().count() >= 8);
    assert!(
        stalled
            .clone()
            .all(|peer| peer.stage == Stage::Here && peer.done.is_none())
    );
    assert_eq!(simulation.downloading, 0, "everybody else is done");
    let done = simulation.peers.iter().filter_map(|peer| peer.done);
    assert!(done.clone().count() > 24 && done.max().unwrap() < 200);
}

#[test]
fn a_stalled_peer_sends_and_takes_nothing_from_then_on() {
    let plan = small_libtorrent();
    let mut simulation = started(&plan);
    run(&mut simulation, 20);
    simulation.peers[1].is_stalled = true;
    let downloaded = simulation.peers[1].downloaded;
    let moved_to_others = |simulation: &Simulation<'_>| {
        let links = simulation.peers[1].links.iter();
        links.map(|link| link.moved).sum::<u64>()
    };
    let before = moved_to_others(&simulation);
    run(&mut simulation, 10);
    assert_eq!(simulation.peers[1].downloaded, downloaded);
    assert!(moved_to_others(&simulation) <= before);
}

#[test]
fn who_vanishes_is_missed_after_two_minutes_and_tells_nobody() {
    let mut plan = small_libtorrent();
    plan.lines.rate = 10_000;
    let mut simulation = started(&plan);
    run(&mut simulation, 10);
    let gone = full(&simulation);
    let neighbour = simulation.peers[gone].links[0].to;
    let announces = simulation.announces;
    simulation.vanish(gone);
    assert_eq!(simulation.announces, announces);
    run(&mut simulation, PEER_TIMEOUT);
    assert!(!simulation.peers[gone].accepts_more());
    assert!(simulation.peers[neighbour].is_connected_to(gone));
    run(&mut simulation, 1);
    assert_eq!(simulation.peers[gone].stage, Stage::Gone);
    assert!(!simulation.peers[neighbour].is_connected_to(gone));
}

#[test]
fn who_leaves_says_so_and_is_missed_at_once() {
    let plan = small_libtorrent();
    let mut simulation = started(&plan);
    run(&mut simulation, 10);
    let neighbour = simulation.peers[1].links[0].to;
    let announces = simulation.announces;
    simulation.leave(1).unwrap();
    assert_eq!(simulation.announces, announces + 1);
    assert!(!simulation.peers[neighbour].is_connected_to(1));
}

#[test]
fn fakes_announce_and_have_no_connection() {
    let mut plan = small_libtorrent();
    plan.places.fakes = 4;
    let mut simulation = started(&plan);
    assert_eq!(simulation.downloading, 4 * 8);
    while simulation.goes_on() {
        simulation.second().unwrap();
        for fake in fakes(&simulation) {
            assert!(fake.links.is_empty() && fake.downloaded == 0);
        }
    }
    assert_eq!(fakes(&simulation).count(), 4 * 4);
    assert!(
        simulation.announces >= simulation.peers.len(),
        "fakes announce too"
    );
    assert_eq!(simulation.downloading, 0);
}

fn fakes<'a>(simulation: &'a Simulation<'_>) -> impl Iterator<Item = &'a Peer> {
    let peers = simulation.peers.iter();
    peers.filter(|peer| peer.profile.kind == Kind::Fake)
}

#[test]
fn nobody_connects_to_the_unreachable_and_they_connect_to_others() {
    let mut plan = small_libtorrent();
    plan.clients.unreachable_percent = 100;
    plan.clients.connections = 60;
    let mut simulation = started(&plan);
    run(&mut simulation, 5);
    // The seeder is the only one who can be connected to, and has room for all.
    for peer in &simulation.peers[1..] {
        let to: Vec<usize> = peer.links.iter().map(|link| link.to).collect();
        assert_eq!(to, [0]);
    }
    while simulation.goes_on() {
        simulation.second().unwrap();
    }
    assert_eq!(simulation.downloading, 0);
}

#[test]
fn addresses_of_the_dht_and_of_peer_exchange_are_counted_and_none_otherwise() {
    let elsewhere = |dht: u32, pex: u32| {
        let mut plan = small_libtorrent();
        plan.clients.libtorrent_num_want = 4;
        plan.clients.dht_percent = dht;
        plan.clients.pex_percent = pex;
        let mut simulation = started(&plan);
        run(&mut simulation, 30);
        simulation.opened
    };
    let [tracker, dht, pex] = elsewhere(0, 0);
    assert!(tracker > 0 && dht == 0 && pex == 0);
    let [tracker, dht, pex] = elsewhere(30, 0);
    assert!(tracker > 0 && dht > 0 && pex == 0);
    let [tracker, dht, pex] = elsewhere(0, 100);
    assert!(tracker > 0 && dht == 0 && pex > 0);
}

#[test]
fn seeds_have_nothing_to_say_to_each_other() {
    let mut plan = small_libtorrent();
    plan.sessions.stay = 1_000;
    let mut simulation = started(&plan);
    while simulation.goes_on() {
        simulation.second().unwrap();
        for peer in simulation
            .peers
            .iter()
            .filter(|peer| peer.has.is_complete())
        {
            let mut others = peer.links.iter().map(|link| &simulation.peers[link.to]);
            assert!(others.all(|other| !other.has.is_complete()));
        }
    }
}

#[test]
fn who_gives_up_is_not_waited_for() {
    let mut plan = small();
    plan.sessions.abort_percent = 100;
    plan.lines.rate = 1_000;
    plan.lines.seeder_rate = 1_000;
    let mut simulation = started(&plan);
    run(&mut simulation, 1_000);
    assert_eq!(simulation.downloading, 0);
}

#[test]
fn broken_connections_are_opened_anew() {
    let mut plan = small_libtorrent();
    plan.faults.churn = 20;
    let mut simulation = started(&plan);
    run(&mut simulation, 40);
    let opened: usize = simulation.opened.iter().sum();
    let open: usize = simulation.peers.iter().map(|peer| peer.links.len()).sum();
    assert!(
        opened > open / 2 * 2,
        "{opened} opened, {} are open",
        open / 2
    );
}

#[test]
fn a_file_whose_seeder_leaves_too_early_is_never_whole() {
    let mut plan = small();
    plan.sessions.seeder_stay = 5;
    let mut simulation = started(&plan);
    while simulation.goes_on() {
        simulation.second().unwrap();
    }
    assert_eq!(simulation.downloading, 48);
}

/// S7: why `min_external` exists.
#[test]
fn a_zone_without_strangers_hears_of_nothing_until_others_are_done() {
    // The seeder calls three peers, and nobody calls it: a fourth zone has no way to the file.
    let mut plan = small();
    plan.clients.neighbours = 3;
    plan.clients.num_want = 3;
    plan.sessions.stay = 86_400;
    for seed in 1..=5 {
        for min_external in [0, 1] {
            let policy = Policy::Shares {
                local_share: 100,
                min_external,
            };
            let mut simulation = Simulation::new(&plan, policy, seed).unwrap();
            simulation.gather().unwrap();
            while simulation.peers.iter().all(|peer| peer.done.is_none()) {
                simulation.second().unwrap();
            }
            let is_cut_off = simulation.imported.contains(&0);
            assert_eq!(is_cut_off, min_external == 0, "{:?}", simulation.imported);
            while simulation.goes_on() {
                simulation.second().unwrap();
            }
            assert_eq!(simulation.downloading, 0, "seeds help other zones");
        }
    }
}

#[test]
fn a_libtorrent_tries_thirty_addresses_at_once_and_then_ten_a_second() {
    let mut plan = small_libtorrent();
    plan.places.sizes = vec![200];
    plan.clients.connections = 100;
    let mut simulation = started(&plan);
    for peer in 0..simulation.peers.len() {
        isolate(&mut simulation, peer);
    }
    simulation.announce(1, Event::None).unwrap();
    let burst = connections::BURST as usize;
    assert_eq!(simulation.peers[1].links.len(), burst);
    simulation.open_connections(1, connections::ATTEMPTS_PER_SECOND);
    assert_eq!(simulation.peers[1].links.len(), burst + 10);
}

#[test]
fn clients_come_when_the_tracker_says_and_a_simple_one_with_few_neighbours_sooner() {
    for (client, neighbours, next) in [
        (Client::Libtorrent, 2, None),
        (Client::Simple, 30, None),
        (Client::Simple, 2, Some(300)),
    ] {
        let mut plan = small();
        plan.places.sizes = vec![60];
        plan.clients.neighbours = 35;
        let mut simulation = started(&plan);
        isolate(&mut simulation, 1);
        simulation.peers[1].profile.client = client;
        (2..2 + neighbours).for_each(|other| {
            isolate(&mut simulation, other);
            simulation.connect(1, other, Source::Tracker);
        });
        assert_eq!(simulation.peers[1].links.len(), neighbours);
        let told = simulation.peers[1].announces_next;
        assert!((1_620..=1_980).contains(&told), "1,800 s with jitter");
        let next = next.unwrap_or(told);
        for (second, is_due) in [(next - 1, false), (next, true)] {
            simulation.now = second;
            let before = simulation.announces;
            simulation.keep_in_touch(1).unwrap();
            let announced = simulation.announces - before;
            assert_eq!(announced, usize::from(is_due), "{client:?}, {neighbours}");
        }
    }
}

#[test]
fn who_is_told_to_come_soon_waits_as_long_as_its_client_does_at_least() {
    for (client, least) in [(Client::Libtorrent, 300), (Client::Simple, 120)] {
        let plan = small_libtorrent();
        let mut simulation = Simulation::new(&plan, Policy::Few, 1).unwrap();
        simulation.gather().unwrap();
        simulation.peers[1].profile.client = client;
        // Idle for half an hour: the rule `few` wants to see it in 300 to 600 s.
        simulation.announce(1, Event::None).unwrap();
        let told = simulation.peers[1].announces_next;
        assert!((least.max(300)..=600).contains(&told), "{told}");
    }
}

#[test]
fn the_downloader_that_brought_most_into_its_zone_fails() {
    let mut plan = small_libtorrent();
    plan.faults.fault = Fault::Stall;
    let mut simulation = started(&plan);
    run(&mut simulation, 30);
    let of_zone = |peer: &&usize| simulation.peers[**peer].profile.zone == Some(2);
    let all: Vec<usize> = (0..simulation.peers.len()).collect();
    let zone: Vec<usize> = all.iter().filter(of_zone).copied().collect();
    // Who is done is missed by nobody.
    let (seed, best, second) = (zone[0], zone[1], zone[2]);
    simulation.peers[seed].done = Some(1);
    for (peer, imported) in [(seed, 3), (best, 2), (second, 1)] {
        simulation.peers[peer].imported += imported << 40;
    }
    let downloading = simulation.downloading;
    for expected in [best, second] {
        simulation.fail_importer(2).unwrap();
        assert!(simulation.peers[expected].is_stalled);
    }
    let stalled = simulation.peers.iter().filter(|peer| peer.is_stalled);
    assert_eq!(stalled.count(), 2);
    assert_eq!(simulation.downloading, downloading - 2);
}

#[test]
fn only_what_comes_from_outside_is_counted_as_crossing() {
    let plan = small_libtorrent();
    let mut simulation = started(&plan);
    for peer in 0..simulation.peers.len() {
        isolate(&mut simulation, peer);
    }
    let zones = simulation.peers.iter().map(|peer| peer.profile.zone);
    let zones: Vec<Option<usize>> = zones.collect();
    let at = |zone, skip| {
        let mut peers = (0..zones.len()).filter(|&peer| zones[peer] == zone);
        peers.nth(skip).unwrap()
    };
    let (importer, neighbour) = (at(Some(1), 0), at(Some(1), 1));
    let before = simulation.imported.clone();
    for (from, to, crossed) in [(0, importer, 1_000), (importer, neighbour, 0)] {
        simulation.connect(from, to, Source::Tracker);
        let at = simulation.peers[from].links.len() - 1;
        let imported = simulation.imported[1];
        let piece = (0..plan.pieces)
            .find(|&piece| simulation.peers[to].has.iter().all(|has| has != piece))
            .unwrap();
        simulation.send(from, at, piece, 1_000);
        assert_eq!(simulation.imported[1] - imported, crossed);
    }
    assert_eq!(simulation.imported[0], before[0]);
}

fn started(plan: &Plan) -> Simulation<'_> {
    let mut simulation = Simulation::new(plan, Policy::Random, 1).unwrap();
    simulation.gather().unwrap();
    simulation.second().unwrap();
    simulation
}

fn run(simulation: &mut Simulation<'_>, seconds: u32) {
    for _ in 0..seconds {
        simulation.second().unwrap();
    }
}

/// Closes all connections of a peer and forgets its addresses.
fn isolate(simulation: &mut Simulation<'_>, peer: usize) {
    while let Some(link) = simulation.peers[peer].links.first() {
        simulation.cut(peer, link.to);
    }
    let book = &mut simulation.peers[peer].addresses;
    while book.next().is_some() {}
}

/// A leecher with all the connections that it opens.
fn full(simulation: &Simulation<'_>) -> usize {
    let peers = simulation.peers.iter();
    peers
        .skip(1)
        .position(|peer| !peer.opens_more())
        .map(|at| at + 1)
        .unwrap()
}
