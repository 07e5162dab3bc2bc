//! A database with any bytes of it changed or cut off opens, or is set aside, or stops the start with an error; it never ends the
//! process. The input is a list of changes: page, place in the page, byte; two bytes of 255 cut the file.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use retracker::clock::{Clock, Wall};
use retracker::metrics::Metrics;
use retracker::snapshot::{self, Moment};
use retracker::tracker::{Settings, Tracker};

const SOUND: &[u8] = include_bytes!("../../tests/fixtures/database-v1.sqlite");

fuzz_target!(|bytes: &[u8]| {
    let mut file = SOUND.to_vec();
    for [page, high, low, byte] in bytes.as_chunks::<4>().0 {
        let at = usize::from(*page) * 4096 + usize::from(u16::from_be_bytes([*high, *low])) % 4096;
        if *high == 255 && *low == 255 {
            file.truncate(at);
        } else if let Some(changed) = file.get_mut(at) {
            *changed = *byte;
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let settings = snapshot::Settings {
        file: folder.path().join("a.sqlite"),
        ..snapshot::Settings::default()
    };
    std::fs::write(&settings.file, file).expect("a file");
    let tracker = Arc::new(Tracker::new(Settings::default(), Arc::new(Metrics::new(1))));
    let moment = Moment {
        wall: Wall(1_800_000_600),
        boot: None,
        ..Moment::of(&Clock::start())
    };
    if let Ok(opened) = snapshot::open(&settings, moment.wall) {
        let restored = opened.restore(&tracker, moment);
        assert!(restored.summary().peers <= 32 + 32);
    }
});
