//! Restarts under clocks that lie: nobody is killed before the time, and nobody lives for ever (R8, S4).

use retracker::clock::{Boot, Clock};
use retracker::snapshot::Moment;
use retracker::tracker::Settings;

use crate::harness::{Node, file_in, hash, moment, on_demand};

const YEAR: i64 = 365 * 86_400;

/// Peers that live at the start, and just before and after the end of a lifetime, when the tracker is started `away` after a
/// stop: by the wall clock, or also by the boot clock.
fn alive_after(away: i64, boot_away: Option<u64>) -> [u32; 3] {
    let folder = tempfile::tempdir().unwrap();
    let settings = on_demand(&file_in(&folder));
    let node = Node::start(&settings).unwrap();
    for number in 0..10 {
        node.announce(number).unwrap();
    }
    let clock = node.clock;
    node.stop();
    let stopped = Moment::of(&clock);
    let boot = stopped.boot.zip(boot_away).map(|(boot, away)| Boot {
        seconds: boot.seconds + away,
        ..boot
    });
    let started = Moment {
        wall: moment(stopped.wall.0.saturating_add_signed(away)).wall,
        boot,
        ..Moment::of(&Clock::start())
    };
    let node = Node::start_at(&settings, Clock::start(), started).unwrap();
    let lifetime = Settings::default().lifetime();
    [0, lifetime - 60, lifetime + 1].map(|later| {
        let now = started.now.plus(later);
        node.tracker.scrape(&hash(0), now).complete
    })
}

/// O1: a restart drops only the expired. R8: a clock a year ahead or behind.
#[test]
fn peers_survive_a_restart_with_any_clock_and_still_expire() {
    assert_eq!(alive_after(2, None), [10, 10, 0], "a usual restart");
    assert_eq!(alive_after(-YEAR, None), [10, 10, 0], "a year behind");
    assert_eq!(alive_after(i64::MIN, None), [10, 10, 0], "before 1970");
    if Clock::start().boot().is_some() {
        let ahead = alive_after(YEAR, Some(2));
        assert_eq!(ahead, [10, 10, 0], "a year ahead, in the same boot");
    } else {
        eprintln!("SKIPPED: this machine hides its boot id");
    }
}

/// S4
#[test]
fn time_away_counts_as_age() {
    let lifetime = Settings::default().lifetime();
    let nearly = i64::from(lifetime) - 600;
    assert_eq!(alive_after(nearly, None), [10, 0, 0]);
    assert_eq!(alive_after(i64::from(lifetime) + 1, None), [0, 0, 0]);
    assert_eq!(alive_after(YEAR, None), [0, 0, 0]);
    if Clock::start().boot().is_some() {
        assert_eq!(alive_after(0, Some(YEAR.unsigned_abs())), [0, 0, 0]);
    }
}
