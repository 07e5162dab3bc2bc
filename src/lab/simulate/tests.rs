//! A small crowd, in seconds: the direction of the effect, and that chance is an argument.

use super::*;

fn small() -> Plan {
    Plan {
        zones: 4,
        peers_per_zone: 12,
        parts: 1,
        is_tree: false,
        pieces: 24,
        rate: 100_000,
        seeder_rate: 400_000,
        neighbours: 10,
        num_want: 10,
        arrival: 0,
        stay: 0,
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
        let near = simulate(&plan, Policy::near(90, 1), seed).unwrap();
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

/// S7: why `min_external` exists.
#[test]
fn a_swarm_without_strangers_splits() {
    // The seeder calls three peers, who stay, and nobody calls it: a fourth zone hears of nothing.
    let plan = Plan {
        neighbours: 3,
        num_want: 3,
        stay: 86_400,
        ..small()
    };
    let near = simulate(&plan, Policy::near(100, 0), 1).unwrap();
    assert!(near.unfinished >= plan.peers_per_zone, "{near:?}");
    let near = simulate(&plan, Policy::near(100, 1), 1).unwrap();
    assert_eq!(near.unfinished, 0, "{near:?}");
}

/// S7, S8: the networks of a zone share what has crossed into it, and a zone without strangers is one swarm.
#[test]
fn a_zone_of_several_networks_is_one_swarm() {
    for is_tree in [false, true] {
        let plan = Plan {
            zones: 1,
            peers_per_zone: 60,
            parts: 5,
            is_tree,
            ..small()
        };
        let whole = Plan {
            parts: 1,
            ..plan.clone()
        };
        let (mut apart, mut together) = (0.0, 0.0);
        for seed in 1..=8 {
            let parts = simulate(&plan, Policy::near(98, 1), seed).unwrap();
            let one = simulate(&whole, Policy::near(98, 1), seed).unwrap();
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

#[test]
fn the_same_seed_gives_the_same_figures_and_another_gives_others() {
    let plan = Plan {
        arrival: 30,
        stay: 20,
        ..small()
    };
    let run = |seed| simulate(&plan, Policy::near(80, 1), seed).unwrap();
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

#[test]
fn nobody_downloads_faster_than_the_swarm_uploads() {
    let plan = small();
    let outcome = simulate(&plan, Policy::Random, 3).unwrap();
    let peers = (plan.peers() - 1) as f64;
    let rate = peers * plan.rate as f64 + plan.seeder_rate as f64;
    let least = peers * plan.file_bytes() as f64 / rate;
    assert!(outcome.late >= least, "{outcome:?}, at least {least}");
}

#[test]
fn the_plot_is_one_drawing_with_a_point_for_each_row_in_each_panel() {
    let random = outcome(40.0, 0);
    let rows =
        [(80, 1, 0), (90, 1, 0), (100, 0, 7)].map(|(local_share, min_external, unfinished)| Row {
            local_share,
            min_external,
            outcome: outcome(2.0, unfinished),
        });
    let svg = plot::draw(&small(), &random, &rows);
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    // Who never finished has no time.
    assert_eq!(svg.matches("<circle").count(), 3 + 2);
    assert_eq!(svg.matches("<path").count(), 2 * 2);
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
}

fn outcome(copies: f64, unfinished: usize) -> Outcome {
    Outcome {
        copies,
        max_copies: copies,
        mean: 100.0,
        late: 120.0,
        unfinished,
    }
}
