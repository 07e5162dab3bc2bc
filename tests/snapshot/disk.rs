//! A disk that is full, fails, or loses the file: announces go on, old state stays, and what was meanwhile is kept as soon as
//! the disk is mended (R8). A full disk needs a file system of its own, so root; elsewhere that test says that it is skipped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use retracker::metrics::Gauge;
use retracker::snapshot::Refused;
use retracker::tracker::{Refusal, Target};

use crate::harness::{Node, file_in, hash, is_sound, on_demand};

/// A small file system of its own; gone when dropped.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(at: &Path) -> Option<Tmpfs> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=2m,mode=0755", "tmpfs"]);
        let is_mounted = mount
            .arg(at)
            .output()
            .is_ok_and(|done| done.status.success());
        if !is_mounted {
            eprintln!("SKIPPED: a full disk can be tried by root only");
        }
        is_mounted.then(|| Tmpfs(at.to_owned()))
    }

    /// Takes all the space there is.
    fn fill(&self) {
        let ballast = self.0.join("ballast");
        let mut piece = 1 << 20;
        let mut all = Vec::new();
        while piece > 0 {
            all.resize(all.len() + piece, 7);
            if fs::write(&ballast, &all).is_err() {
                all.truncate(all.len() - piece);
                piece /= 2;
            }
        }
        fs::write(&ballast, &all).unwrap();
    }

    fn remount(&self, how: &str) {
        let mut mount = Command::new("mount");
        let done = mount
            .args(["-o", &format!("remount,{how}")])
            .arg(&self.0)
            .status();
        assert!(done.unwrap().success());
    }

    fn mend(&self) {
        fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

/// R8: the disk fills up while the tracker runs.
#[test]
fn a_full_disk_costs_no_announce_and_no_peer_and_mends_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = Tmpfs::mount(folder.path()) else {
        return;
    };
    let settings = on_demand(&file_in(&folder));
    let node = Node::start(&settings).unwrap();
    for number in 0..500 {
        node.announce(number).unwrap();
    }
    node.mailbox.save().unwrap();
    disk.fill();
    for number in 500..3_000 {
        node.announce(number).unwrap();
    }
    for failures in 1..=3 {
        assert_eq!(node.mailbox.save(), Err(Refused::Failed));
        assert_eq!(node.gauge(Gauge::SnapshotFailures), failures);
    }
    assert_eq!(node.scrape(hash(299)).complete, 10);
    let big = node.mailbox.put_saved_state("hour", vec![0; 1 << 20]);
    assert_eq!(big, Err(Refused::Failed));

    // What a kill would leave on the full disk.
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    let killed = Node::start(&on_demand(&file_in(&copy))).unwrap();
    assert_eq!(killed.summary.peers, 500);
    drop(killed.stop());

    disk.mend();
    let saved = node.mailbox.save().unwrap();
    assert!(saved.peers >= 2_500, "{saved:?}");
    assert_eq!(node.stop().fault, None);
    let node = Node::start(&settings).unwrap();
    assert_eq!(node.summary.peers, 3_000);
    node.stop();
}

/// R8: the tracker is started while the disk is full, or cannot be written at all.
#[test]
fn a_start_on_a_full_disk_serves_what_is_there_and_saves_when_it_can() {
    for has_database in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let Some(disk) = Tmpfs::mount(folder.path()) else {
            return;
        };
        let settings = on_demand(&file_in(&folder));
        let mut expected = 0;
        if has_database {
            let node = Node::start(&settings).unwrap();
            for number in 0..500 {
                node.announce(number).unwrap();
            }
            node.stop();
            expected = 500;
        }
        disk.fill();
        let node = Node::start(&settings).unwrap();
        assert_eq!(node.summary.peers, expected);
        for number in 2_000..2_400 {
            node.announce(number).unwrap();
        }
        assert_eq!(node.mailbox.save(), Err(Refused::Failed));
        assert!(node.gauge(Gauge::SnapshotFailures) > 0);
        disk.mend();
        node.mailbox.save().unwrap();
        node.stop();
        assert!(is_sound(&settings.file));
        let node = Node::start(&settings).unwrap();
        assert_eq!(node.summary.peers, expected + 400);
        node.stop();
    }
}

/// R8: a disk that cannot be written at the start.
#[test]
fn a_start_on_a_read_only_disk_serves_what_is_there_and_saves_when_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = Tmpfs::mount(folder.path()) else {
        return;
    };
    let settings = on_demand(&file_in(&folder));
    let node = Node::start(&settings).unwrap();
    for number in 0..300 {
        node.announce(number).unwrap();
    }
    let block = Target::Torrent(hash(3));
    node.mailbox.block(block, "kept", None).unwrap();
    node.stop();
    disk.remount("ro");
    let node = Node::start(&settings).unwrap();
    assert_eq!((node.summary.peers, node.found.as_ref()), (290, None));
    assert_eq!(node.announce(35), Err(Refusal::TorrentBlocked));
    assert_eq!(node.mailbox.unblock(1), Err(Refused::Failed));
    node.announce(500).unwrap();
    assert_eq!(node.mailbox.save(), Err(Refused::Failed));
    disk.remount("rw");
    // With the ten that are withheld, which come back when the block is lifted.
    assert_eq!(node.mailbox.save().unwrap().peers, 301);
    assert_eq!(node.mailbox.unblock(1), Ok(true));
    node.stop();
    let node = Node::start(&settings).unwrap();
    assert_eq!((node.summary.peers, node.summary.blocks), (301, 0));
    node.stop();
}

/// Somebody removes the database under the running tracker, or puts another in its place: the next snapshot is a whole one.
#[test]
fn a_database_that_is_taken_away_is_made_anew() {
    for replaced in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let settings = on_demand(&file_in(&folder));
        let node = Node::start(&settings).unwrap();
        for number in 0..100 {
            node.announce(number).unwrap();
        }
        node.mailbox.save().unwrap();
        let taken = folder.path().join("taken");
        fs::rename(&settings.file, &taken).unwrap();
        if replaced {
            fs::copy(&taken, &settings.file).unwrap();
        }
        node.announce(100).unwrap();
        let saved = node.mailbox.save().unwrap();
        assert_eq!(saved.peers, 101);
        assert_eq!(node.stop().fault, None);
        assert!(is_sound(&settings.file));
        let node = Node::start(&settings).unwrap();
        assert_eq!(node.summary.peers, 101, "replaced: {replaced}");
        node.stop();
    }
}

const SUFFERER: &str = "RETRACKER_TEST_SUFFERER";

/// Announces and saves twelve times, whatever the disk says, and stops. Alone it does nothing.
#[test]
fn sufferer() {
    let Some(file) = std::env::var_os(SUFFERER) else {
        return;
    };
    let node = Node::start(&on_demand(file.as_ref())).unwrap();
    for round in 0..12 {
        for number in round * 200..(round + 1) * 200 {
            node.announce(number).unwrap();
        }
        let outcome = node.mailbox.save();
        eprintln!("round {round}: {outcome:?}");
        assert_eq!(node.scrape(hash(round * 20)).complete, 10);
    }
    assert_eq!(node.stop().fault, None);
}

/// R8: EIO. What fails once is tried again, and nothing is lost.
#[test]
fn errors_of_the_disk_cost_no_announce_and_no_peer() {
    for calls in ["pwrite64", "fsync,fdatasync", "ftruncate"] {
        let folder = tempfile::tempdir().unwrap();
        let file = fs::canonicalize(folder.path())
            .unwrap()
            .join("retracker.sqlite");
        Node::start(&on_demand(&file)).unwrap().stop();
        let traced = Command::new("strace")
            .args(["-f", "-o", "/dev/null", "-e", &format!("trace={calls}")])
            .args(["-e", &format!("inject={calls}:error=EIO:when=4..9")])
            .arg("-P")
            .arg(&file)
            .arg("-P")
            .arg(file.with_extension("sqlite-wal"))
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "disk::sufferer", "--nocapture"])
            .env(SUFFERER, &file)
            .output();
        let Ok(traced) = traced else {
            eprintln!("SKIPPED: errors of the disk are made by strace, which is not installed");
            return;
        };
        let said = String::from_utf8_lossy(&traced.stderr);
        if said.contains("Operation not permitted") {
            eprintln!("SKIPPED: strace is not allowed here");
            return;
        }
        assert!(traced.status.success(), "{calls}: {said}");
        assert!(
            calls == "ftruncate" || said.contains("Failed"),
            "{calls}: none failed: {said}"
        );
        assert!(said.contains("round 11: Ok"), "{calls}: {said}");
        assert!(is_sound(&file), "{calls}");
        let node = Node::start(&on_demand(&file)).unwrap();
        assert_eq!(node.summary.peers, 2_400, "{calls}");
        assert_eq!(node.stop().fault, None);
    }
}
