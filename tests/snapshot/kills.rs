//! kill -9 at any moment, most of them inside a snapshot's write: the database stays sound and holds every peer that a finished
//! snapshot held (O1, R1). The killed process is this test binary itself, run again for [`victim`] alone.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use retracker::clock::Clock;
use retracker::snapshot::{Found, Settings};
use retracker::tracker::Target;

use crate::harness::{Node, file_in, hash, is_sound, on_demand};

const FILE: &str = "RETRACKER_TEST_VICTIM";
const FROM: &str = "RETRACKER_TEST_VICTIM_FROM";

/// Peers between two snapshots of a victim.
const STEP: u32 = 400;

/// Runs until it is killed: announces, saves, says what was acknowledged. Alone it does nothing.
#[test]
fn victim() {
    let Some(file) = std::env::var_os(FILE) else {
        return;
    };
    let settings = Settings {
        interval: Duration::from_millis(1),
        file: file.into(),
    };
    let node = Node::start(&settings).unwrap();
    let mut out = std::io::stdout();
    let mut peers: u32 = std::env::var(FROM).unwrap().parse().unwrap();
    loop {
        for number in peers..peers + STEP {
            node.announce(number).unwrap();
        }
        peers += STEP;
        node.mailbox.save().unwrap();
        let block = Target::Torrent(hash(u32::MAX - peers));
        node.mailbox
            .block(block, "while being killed", None)
            .unwrap();
        let listed = vec![hash(peers)];
        node.mailbox.list_torrents(listed, Vec::new()).unwrap();
        writeln!(out, "\nacknowledged {peers}").unwrap();
    }
}

/// O1, O21, R1, R12: the quick form, 12 kills; the long one is `RETRACKER_KILLS=100` and also judges how long a start takes.
#[test]
fn killed_at_any_moment_the_database_holds_all_that_was_acknowledged() {
    let asked = std::env::var("RETRACKER_KILLS").ok();
    let kills = asked.as_ref().map_or(12, |count| count.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let settings = on_demand(&file_in(&folder));
    let mut rng = fastrand::Rng::new();
    let mut acknowledged = 0;
    for kill in 0..kills {
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kills::victim", "--nocapture"])
            .env(FILE, &settings.file)
            .env(FROM, acknowledged.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
        let rounds = rng.usize(1..6);
        let mut said = lines
            .map(Result::unwrap)
            .filter(|line| line.starts_with("ack"));
        let mut hear = |line: Option<String>| {
            let line = line.unwrap_or_default();
            let number = line
                .rsplit(' ')
                .next()
                .and_then(|number| number.parse().ok());
            acknowledged = number.unwrap_or(acknowledged);
        };
        for _ in 0..rounds {
            hear(said.next());
        }
        // The victim is somewhere in its next round; which moment it is is left to chance.
        std::thread::sleep(Duration::from_micros(rng.u64(0..20_000)));
        victim.kill().unwrap();
        victim.wait().unwrap();
        said.for_each(|line| hear(Some(line)));

        let started = Clock::start();
        let node = Node::start(&settings).unwrap();
        let took = started.elapsed();
        assert!(asked.is_none() || took < Duration::from_secs(5), "{took:?}");
        assert_eq!(node.found, Some(Found::Whole), "kill {kill}");
        assert!(node.summary.peers >= u64::from(acknowledged), "kill {kill}");
        let blocks = node.tracker.access().blocks().len();
        assert!(blocks >= (acknowledged / STEP) as usize, "kill {kill}");
        let listed = node.tracker.access().listed_torrents().added;
        let mut rounds = (STEP..=acknowledged).step_by(STEP as usize);
        assert!(
            rounds.all(|peers| listed.contains(&hash(peers))),
            "kill {kill}"
        );
        for torrent in 0..acknowledged / 10 {
            assert_eq!(
                node.scrape(hash(torrent)).complete,
                10,
                "kill {kill}, torrent {torrent}"
            );
        }
        drop(node.stop());
        assert!(is_sound(&settings.file));
    }
    assert!(acknowledged >= STEP * kills);
}
