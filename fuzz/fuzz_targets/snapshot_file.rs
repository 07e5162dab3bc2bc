//! A database with any bytes of it changed or cut off opens, or is set aside, or stops the start with an error; it never ends the
//! process. The input is a list of changes: page, place in the page, byte; two bytes of 255 cut the file.
//!
//! The disk would take most of the time: the folder is one of memory where the system has such (`/dev/shm`).
#![no_main]

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use retracker::clock::{Clock, Wall};
use retracker::metrics::Metrics;
use retracker::snapshot;
use retracker::snapshot::Moment;
use retracker::tracker::{Settings, Tracker};
use tempfile::TempDir;

const SOUND: &[u8] = include_bytes!("../../tests/fixtures/database-v1.sqlite");

/// Runs that one core takes: making it costs more than restoring, and what is restored are always the same few peers.
const RUNS_OF_A_TRACKER: u32 = 1_000;

struct Rig {
    folder: TempDir,
    tracker: Arc<Tracker>,
    runs: u32,
    bytes: Vec<u8>,
}

thread_local! {
    static RIG: RefCell<Rig> = RefCell::new(Rig::new());
}

impl Rig {
    fn new() -> Rig {
        let memory = Path::new("/dev/shm");
        let folder = tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir());
        Rig {
            folder: folder.expect("a folder"),
            tracker: empty(),
            runs: 0,
            bytes: Vec::new(),
        }
    }

    /// Writes the changed database; the folder has nothing else.
    fn write(&mut self, changes: &[u8]) -> PathBuf {
        for entry in std::fs::read_dir(self.folder.path()).expect("a folder") {
            std::fs::remove_file(entry.expect("an entry").path()).expect("files only");
        }
        self.bytes.clear();
        self.bytes.extend_from_slice(SOUND);
        for [page, high, low, byte] in changes.as_chunks::<4>().0 {
            let at =
                usize::from(*page) * 4096 + usize::from(u16::from_be_bytes([*high, *low])) % 4096;
            if *high == 255 && *low == 255 {
                self.bytes.truncate(at);
            } else if let Some(changed) = self.bytes.get_mut(at) {
                *changed = *byte;
            }
        }
        let file = self.folder.path().join("a.sqlite");
        std::fs::write(&file, &self.bytes).expect("a file");
        file
    }

    fn run(&mut self, changes: &[u8]) {
        self.runs += 1;
        if self.runs.is_multiple_of(RUNS_OF_A_TRACKER) {
            self.tracker = empty();
        }
        let settings = snapshot::Settings {
            file: self.write(changes),
            ..snapshot::Settings::default()
        };
        let moment = Moment {
            wall: Wall(1_800_000_600),
            boot: None,
            ..Moment::of(&Clock::start())
        };
        if let Ok(opened) = snapshot::open(&settings, moment.wall) {
            let restored = opened.restore(&self.tracker, moment);
            assert!(restored.summary().peers <= 32 + 32);
        }
    }
}

fn empty() -> Arc<Tracker> {
    Arc::new(Tracker::new(Settings::default(), Arc::new(Metrics::new(1))))
}

fuzz_target!(|bytes: &[u8]| RIG.with_borrow_mut(|rig| rig.run(bytes)));
