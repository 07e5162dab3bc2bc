//! Any bytes as a frame, also behind a right header and checksum, give entries or an error; what was read can be merged, and written and
//! read again it is the same.
#![no_main]

use std::cell::RefCell;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use retracker::clock::Seconds;
use retracker::metrics::Metrics;
use retracker::sites::frame::{Entry, Packer, read};
use retracker::tracker::{Origin, Settings, SwarmDelta, Tracker};

thread_local! {
    /// Made anew now and then, so that it does not fill up.
    static TRACKER: RefCell<(u32, Tracker)> = RefCell::new((0, fresh()));
}

fn fresh() -> Tracker {
    let tracker = Tracker::new(Settings::default(), Arc::new(Metrics::new(0)));
    tracker.open_outbox();
    tracker
}

const NOW: Seconds = Seconds::START;

fn at(age_ms: u64) -> Seconds {
    NOW.minus(u32::try_from(age_ms / 1_000).unwrap_or(u32::MAX))
}

fn entries(frames: &[Vec<u8>]) -> Vec<Entry> {
    let read = frames
        .iter()
        .map(|frame| read(frame, at).expect("what was written"));
    read.flat_map(|frame| frame.entries).collect()
}

fn packed(entries: &[Entry]) -> Vec<Vec<u8>> {
    let mut packer = Packer::new(1, 2, 1_800, NOW, 0);
    entries.iter().for_each(|entry| packer.entry(entry));
    packer
        .finish()
        .0
        .into_iter()
        .map(|packed| packed.bytes)
        .collect()
}

fuzz_target!(|bytes: &[u8]| {
    drop(read(bytes, at));
    let mut frame = b"rtsf\x01\x00\x00\x00\x00\x00\x00\x00".to_vec();
    frame.extend([7; 16]);
    frame.extend(bytes);
    let mut sum = crc32fast::Hasher::new();
    sum.update(&frame[..8]);
    sum.update(&frame[12..]);
    let sum = sum.finalize().to_be_bytes();
    frame[8..12].copy_from_slice(&sum);
    let Ok(frame) = read(&frame, at) else {
        return;
    };
    TRACKER.with_borrow_mut(|(runs, tracker)| {
        *runs += 1;
        if *runs % 10_000 == 0 {
            *tracker = fresh();
        }
        merge(tracker, &frame.entries);
    });
    let once = packed(&frame.entries);
    assert_eq!(packed(&entries(&once)), once);
});

fn merge(tracker: &Tracker, entries: &[Entry]) {
    for entry in entries {
        if let Entry::Swarm(swarm) = entry {
            let counts = swarm.counts.iter();
            let delta = SwarmDelta {
                info_hash: swarm.info_hash,
                downloaded: counts
                    .map(|(of, count)| (of.as_ref().and(Origin::new(2)), *count))
                    .collect(),
                peers: swarm.peers.clone(),
            };
            tracker.merge(Origin::new(1), &delta, NOW);
        }
    }
    assert!(
        tracker.take_touched().touched.is_empty(),
        "what is merged is no news"
    );
}
