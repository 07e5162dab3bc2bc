//! Small crowds, in seconds: the direction of the effect, what the command line makes of a crowd, and that chance is an argument.

use clap::{Args, Command, FromArgMatches};

use super::comparison::change;
use super::crowds::CROWDS;
use super::plan::{Clients, Lines, Sessions};
use super::*;

/// Four zones of twelve simple clients that ask for ten, and a file of 6 MiB.
pub(super) fn small() -> Plan {
    let mut plan = Plan::default();
    plan.places.sizes = vec![12; 4];
    plan.pieces = 24;
    plan.clients = Clients {
        libtorrent_percent: 0,
        neighbours: 10,
        num_want: 10,
        ..plan.clients
    };
    plan
}

/// The same with clients as libtorrent, which ask for everybody.
pub(super) fn small_libtorrent() -> Plan {
    let mut plan = small();
    plan.clients = Clients {
        connections: 12,
        ..Plan::default().clients
    };
    plan
}

fn shares(local_share: u32, min_external: u32) -> Policy {
    Policy::Shares {
        local_share,
        min_external,
    }
}

/// S7
#[test]
fn neighbours_first_keep_most_of_the_file_at_home_and_cost_little_time() {
    let plan = small();
    // One small crowd is a matter of luck; eight are not.
    let crowds = 1..=8;
    let (mut slow, mut fast) = (0.0, 0.0);
    for seed in crowds {
        let random = simulate(&plan, Policy::Random, seed).unwrap();
        let near = simulate(&plan, shares(90, 1), seed).unwrap();
        assert_eq!((random.unfinished, near.unfinished), (0, 0));
        assert!(random.copies > 7.0, "{random:?}");
        assert!(near.copies < random.copies / 2.0, "{near:?} {random:?}");
        assert!(near.copies >= 1.0, "a zone needs a copy: {near:?}");
        slow += near.mean;
        fast += random.mean;
    }
    // In a crowd of 48 the one stranger on a list weighs more than in the 700 of docs/LOCALITY.md.
    assert!(slow < fast * 1.5, "{slow} {fast}");
}

/// S7: why the crowds are not all alike. Who asks for more peers than its zone has is handed strangers, and connects to them.
#[test]
fn a_list_longer_than_the_zone_lets_the_file_in_again_and_again() {
    let plan = small_libtorrent();
    let near = simulate(&plan, Policy::ALL[1], 1).unwrap();
    let random = simulate(&plan, Policy::Random, 1).unwrap();
    assert!(near.copies > random.copies / 2.0, "{near:?} {random:?}");
}

/// S7, S8: the networks of a zone share what has crossed into it, and a zone without strangers is one swarm.
#[test]
fn a_zone_of_several_networks_is_one_swarm() {
    for is_tree in [false, true] {
        let mut whole = small();
        whole.places.sizes = vec![60];
        let mut plan = whole.clone();
        plan.places.parts = 5;
        plan.places.is_tree = is_tree;
        let (mut apart, mut together) = (0.0, 0.0);
        for seed in 1..=8 {
            let parts = simulate(&plan, shares(98, 1), seed).unwrap();
            let one = simulate(&whole, shares(98, 1), seed).unwrap();
            assert_eq!((parts.unfinished, one.unfinished), (0, 0));
            apart += parts.mean;
            together += one.mean;
        }
        // As islands they would take twice as long.
        assert!(
            apart < together * 1.5,
            "{apart} {together}, tree: {is_tree}"
        );
    }
}

/// S15: what `shares` does not reach where lists are longer than a zone and peers come one after another.
#[test]
fn few_keeps_the_file_at_home_whatever_clients_ask_for_and_however_they_come() {
    for arrival in [0, 30] {
        let mut plan = small_libtorrent();
        plan.sessions.arrival = arrival;
        let (mut random, mut few) = (0.0, 0.0);
        for seed in 1..=8 {
            let [all, near] = [Policy::Random, Policy::Few].map(|policy| {
                let outcome = simulate(&plan, policy, seed).unwrap();
                assert_eq!(outcome.unfinished, 0);
                outcome.copies
            });
            random += all;
            few += near;
        }
        assert!(few < random / 2.0, "{few} {random}, arrival {arrival}");
    }
}

/// S16: twenty ports on one line count as two neighbours, so that they keep no strangers from the others.
#[test]
fn fakes_on_one_line_are_two_neighbours_at_most() {
    let mut plan = small_libtorrent();
    plan.places.fakes = 6;
    let mut lists = Vec::new();
    for fake_addresses in [0, 1] {
        plan.places.fake_addresses = fake_addresses;
        let mut tracker = tracker::SimulatedTracker::new(&plan.places, Policy::Few).unwrap();
        let mut rng = fastrand::Rng::with_seed(1);
        let all = plan.places.all();
        let report = tracker::Report {
            event: crate::tracker::Event::Started,
            is_seeder: false,
            downloaded: 0,
            num_want: 200,
        };
        let mut announce = |peer| {
            let now = crate::clock::Seconds::START;
            tracker.announce(peer, report, now, &mut rng).unwrap().0
        };
        // The fakes of one zone, and the leechers of all others.
        let is_there = |&peer: &usize| {
            let place = all[peer];
            (place.kind == places::Kind::Fake) == (place.zone == Some(0))
        };
        let there: Vec<usize> = (0..all.len()).filter(is_there).collect();
        for peer in there {
            announce(peer);
        }
        let is_leecher = |place: &places::Place| place.kind == places::Kind::Leecher;
        let first = all
            .iter()
            .position(|place| place.zone == Some(0) && is_leecher(place));
        let handed = announce(first.unwrap());
        let strangers = handed.iter().filter(|&&peer| all[peer].zone != Some(0));
        lists.push(strangers.count());
    }
    assert_eq!(lists, [1, 5], "strangers beside six fakes, and beside two");
}

#[test]
fn the_same_seed_gives_the_same_figures_and_another_gives_others() {
    let mut plan = small_libtorrent();
    plan.sessions = Sessions {
        arrival: 30,
        stay: 20,
        seeder_stay: 0,
        abort_percent: 10,
    };
    plan.clients.pex_percent = 50;
    plan.clients.dht_percent = 5;
    plan.faults.every = 40;
    let run = |seed| simulate(&plan, shares(80, 1), seed).unwrap();
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

#[test]
fn nobody_downloads_faster_than_the_swarm_uploads() {
    let plan = small();
    let outcome = simulate(&plan, Policy::Random, 3).unwrap();
    let peers = 48.0;
    let rate = peers * plan.lines.rate as f64 + plan.lines.seeder_rate as f64;
    let least = peers * plan.file_bytes() as f64 / rate;
    assert!(outcome.late >= least, "{outcome:?}, at least {least}");
}

#[test]
fn nobody_downloads_faster_than_its_line_takes_and_local_lines_may_be_faster() {
    let mut slow = small();
    slow.lines.download_percent = 50;
    let slow = simulate(&slow, Policy::Random, 3).unwrap();
    let least = small().file_bytes() as f64 / 50_000.0;
    assert!(slow.mean >= least, "{slow:?}, at least {least}");

    let mut fast = small();
    fast.lines = Lines {
        local_percent: 1_000,
        ..fast.lines
    };
    let plain = simulate(&small(), shares(98, 1), 3).unwrap();
    let fast = simulate(&fast, shares(98, 1), 3).unwrap();
    assert!(fast.mean < plain.mean, "{fast:?} {plain:?}");
}

#[test]
fn every_named_crowd_is_made_of_options_that_exist_and_has_addresses() {
    for crowd in CROWDS {
        let plan = crowd.plan().unwrap();
        plan.places.check().unwrap();
        let is_default = plan == Plan::default();
        assert_eq!(is_default, crowd.options.is_empty(), "{}", crowd.name);
    }
    let all = crowds::named(&["all".to_owned()]);
    assert_eq!(all.len(), CROWDS.len());
    let two = crowds::named(&["minute".to_owned(), "waiting".to_owned()]);
    assert_eq!([two[0].name, two[1].name], ["minute", "waiting"]);
}

#[test]
fn options_change_a_named_crowd() {
    let plan = |line: &str| {
        let arguments = arguments(line);
        let mut plan = crowds::named(&arguments.crowd)[0].plan().unwrap();
        arguments.changes.apply(&mut plan);
        plan
    };
    assert_eq!(plan(""), Plan::default());
    let tiny = plan("--crowd tiny-zones --zones 11 --rate 50");
    assert_eq!(
        tiny.places.sizes,
        [2, 3, 4, 5, 6, 7, 8, 9, 10, 2, 3],
        "repeated"
    );
    assert_eq!((tiny.lines.rate, tiny.sessions.arrival), (50_000, 600));
    assert_eq!(plan("--crowd minute --peers 7").places.sizes, [7; 14]);
    assert!(!plan("--crowd tree --tree=false").places.is_tree);
}

#[test]
fn policies_are_read_as_they_are_written() {
    let policies = arguments("--policies shares,shares:80/4,random").policies;
    assert_eq!(policies, [Policy::ALL[1], shares(80, 4), Policy::Random]);
    assert_eq!(arguments("").policies, Policy::ALL);
    for policy in policies {
        assert_eq!(policy.to_string().parse::<Policy>().unwrap(), policy);
    }
    for wrong in [
        "",
        "share",
        "shares:",
        "shares:80",
        "shares:101/1",
        "shares:-1/0",
    ] {
        assert!(wrong.parse::<Policy>().is_err(), "{wrong}");
    }
}

#[test]
fn a_crowd_without_addresses_or_without_anybody_to_download_is_refused() {
    let check = |line: &str| {
        let mut plan = Plan::default();
        arguments(line).changes.apply(&mut plan);
        plan.places.check()
    };
    assert!(check("--zones 1000 --peers 50").is_err(), "too many");
    assert!(check("--peers 600 --parts 2").is_err(), "no room in a /24");
    assert!(check("--seeds 20 --fakes 30").is_err(), "nobody downloads");
    assert!(check("--seeds 50 --outsiders 1").is_ok());
}

#[test]
fn the_plot_is_one_drawing_with_bars_for_each_crowd_and_policy() {
    let mut comparison = Comparison::new("minute", &small(), outcome(11.0, 0));
    comparison.others.push((shares(98, 1), outcome(2.0, 0)));
    comparison.others.push((shares(50, 1), outcome(5.0, 7)));
    let svg = plot::draw(&[comparison.clone(), comparison]);
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    // The background, three keys, and for each crowd copies of three policies and times of two.
    assert_eq!(svg.matches("<rect").count(), 1 + 3 + 2 * (3 + 2));
    assert_eq!(svg.matches("7 never").count(), 2);
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
}

#[test]
fn a_change_is_in_percent_and_never_less_than_nothing_by_rounding() {
    assert_eq!(change(104.56, 100.0), 4.6);
    assert_eq!(change(5.0, 0.0), 0.0);
    assert_eq!(format!("{:+.1}", change(99.99, 100.0)), "+0.0");
}

#[test]
fn a_line_of_the_table_has_as_many_cells_as_its_head() {
    let comparison = Comparison::new("minute", &small(), outcome(11.0, 0));
    let line = table::line(&comparison, shares(80, 1), &outcome(2.0, 3));
    assert_eq!(
        line,
        "| minute | shares:80/1 | 2.0 | 2.0 | 100 | +0.0 % | 120 | +0.0 % | 2.5 | 10 % | 3 |"
    );
    let never = Outcome {
        mean: 0.0,
        ..outcome(2.0, 48)
    };
    let never = table::line(&comparison, shares(80, 1), &never);
    assert_eq!(
        never,
        "| minute | shares:80/1 | 2.0 | 2.0 | – | – | – | – | 2.5 | 10 % | 48 |"
    );
    assert_eq!(never.matches('|').count(), line.matches('|').count());
    for head in table::heading(3, 1).lines().skip(2) {
        assert_eq!(head.matches('|').count(), line.matches('|').count());
    }
}

fn arguments(line: &str) -> Arguments {
    let command = Arguments::augment_args(Command::new("simulate").no_binary_name(true));
    let matches = command.try_get_matches_from(line.split_whitespace());
    Arguments::from_arg_matches(&matches.unwrap()).unwrap()
}

fn outcome(copies: f64, unfinished: usize) -> Outcome {
    Outcome {
        copies,
        max_copies: copies,
        mean: 100.0,
        late: 120.0,
        announces: 2.5,
        elsewhere: 0.1,
        unfinished,
    }
}
