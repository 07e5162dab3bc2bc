//! Restarts under clocks that lie: nobody is killed before the time, and nobody lives for ever (R8, S4).

use std::time::Duration;

use retracker::clock::{Boot, Clock, Wall};
use retracker::snapshot::Moment;
use retracker::tracker::{Settings, Target};

use crate::harness::{Node, address, file_in, hash, moment, on_demand};

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

/// The peer whose address is blocked.
const BLOCKED: u32 = 7_000;

/// The snapshot thread looks at the clock by itself.
fn wait_until_blocked(node: &Node, is_blocked: bool) {
    for _ in 0..2_000 {
        if node.announce(BLOCKED).is_err() == is_blocked {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(node.announce(BLOCKED).is_err(), is_blocked);
}

const TRAVELLER: &str = "RETRACKER_TEST_TRAVELLER";
const FAKETIME: &str = "FAKETIME_TIMESTAMP_FILE";

/// Runs under libfaketime and moves its own wall clock. Alone it does nothing.
#[test]
fn traveller() {
    let Some(file) = std::env::var_os(TRAVELLER) else {
        return;
    };
    let node = Node::start(&on_demand(file.as_ref())).unwrap();
    let before = node.clock.wall();
    for number in 0..10 {
        node.announce(number).unwrap();
    }
    let end = Wall(before.0 + 7_200);
    let block = Target::Network(address(BLOCKED).into());
    node.mailbox
        .block(block, "for two hours", Some(end))
        .unwrap();
    for jump in [
        "+86400",
        "-86400",
        "@1970-01-01 00:00:10",
        "@2040-01-01 00:00:00",
    ] {
        std::fs::write(std::env::var_os(FAKETIME).unwrap(), jump).unwrap();
        assert!(
            node.clock.wall().0.abs_diff(before.0) > 80_000,
            "{jump}: the clock has not jumped"
        );
        node.tracker.sweep(node.clock.now());
        node.mailbox.save().unwrap();
        assert_eq!(node.scrape(hash(0)).complete, 10, "{jump}");
        node.announce(3).unwrap();
        wait_until_blocked(&node, node.clock.wall() < end);
    }
    std::fs::write(std::env::var_os(FAKETIME).unwrap(), "+0").unwrap();
    wait_until_blocked(&node, true);
    assert_eq!(node.stop().fault, None);
}

/// R8, W4: the clock jumps while the tracker runs, and back before it is started again: no peer expires, and a block is lifted for
/// no longer than the clock is wrong.
#[test]
fn nobody_expires_when_the_clock_jumps_under_a_running_tracker() {
    let library = ["x86_64-linux-gnu", "aarch64-linux-gnu"]
        .map(|place| format!("/usr/lib/{place}/faketime/libfaketimeMT.so.1"))
        .into_iter()
        .find(|library| std::path::Path::new(library).exists());
    let Some(library) = library else {
        eprintln!("SKIPPED: libfaketime is not installed");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let settings = on_demand(&file_in(&folder));
    let jumps = folder.path().join("jumps");
    std::fs::write(&jumps, "+0").unwrap();
    let travelled = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "clocks::traveller", "--nocapture"])
        .env(TRAVELLER, &settings.file)
        .env("LD_PRELOAD", library)
        .env(FAKETIME, &jumps)
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&travelled.stderr).into_owned();
    let said = said + &String::from_utf8_lossy(&travelled.stdout);
    assert!(travelled.status.success(), "{said}");
    let node = Node::start(&settings).unwrap();
    assert_eq!(node.scrape(hash(0)).complete, 10);
    assert!(node.announce(BLOCKED).is_err(), "the block is still kept");
    node.stop();
}
