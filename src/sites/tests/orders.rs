//! The merge of what logs hold is the same in any order, with anything lost or twice, once everything has been told again.

use proptest::prelude::*;

use super::super::frame::{self, Entry, Packer};
use super::*;
use crate::tracker::{Origin, SwarmDelta};

/// What happens at one of two trackers; the seconds go on with each.
#[derive(Clone, Debug)]
struct Step {
    at_first: bool,
    torrent: u8,
    number: u32,
    event: Event,
}

fn step() -> impl Strategy<Value = Step> {
    let event = prop_oneof![
        3 => Just(Event::Started),
        1 => Just(Event::Completed),
        1 => Just(Event::Stopped),
        1 => Just(Event::None),
    ];
    (any::<bool>(), 0_u8..3, 0_u32..8, event).prop_map(|(at_first, torrent, number, event)| Step {
        at_first,
        torrent,
        number,
        event,
    })
}

fn origin(first: bool) -> Origin {
    Origin::new(if first { 1 } else { 2 }).unwrap()
}

fn frames(deltas: &[SwarmDelta], now: Seconds) -> Vec<Vec<u8>> {
    let mut packer = Packer::new(1, 0, 1_800, now, 0);
    for delta in deltas {
        // Counts of others are another part's; the sender's own are enough here.
        let own = delta.downloaded.iter().filter(|(of, _)| of.is_none());
        packer.swarm(
            delta.info_hash,
            own.map(|(_, count)| (None, *count)),
            &delta.peers,
        );
    }
    packer
        .finish()
        .0
        .into_iter()
        .map(|packed| packed.bytes)
        .collect()
}

/// A frame as it lies in a log: whose it is, and when it was made.
#[derive(Clone, Debug)]
struct Told {
    by_first: bool,
    made: Seconds,
    bytes: Vec<u8>,
}

fn hear(tracker: &Tracker, told: &Told, now: Seconds) {
    let at = |age_ms: u64| told.made.minus(u32::try_from(age_ms / 1_000).unwrap());
    for entry in frame::read(&told.bytes, at).unwrap().entries {
        if let Entry::Swarm(swarm) = entry {
            let from = origin(told.by_first);
            let delta = SwarmDelta {
                info_hash: swarm.info_hash,
                downloaded: swarm
                    .counts
                    .iter()
                    .map(|(_, count)| (Some(from), *count))
                    .collect(),
                peers: swarm.peers,
            };
            tracker.merge(Some(from), &delta, now);
        }
    }
}

/// Everything that a tracker knows of its own.
fn repair(tracker: &Tracker, by_first: bool, now: Seconds) -> Vec<Told> {
    let mut deltas = tracker.own_leaves(Seconds::START);
    deltas.extend(
        tracker
            .own_torrents()
            .iter()
            .filter_map(|torrent| tracker.own_delta(torrent, now)),
    );
    let frames = frames(&deltas, now).into_iter();
    let told = frames.map(|bytes| Told {
        by_first,
        made: now,
        bytes,
    });
    told.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_order_of_frames_and_one_repair_give_the_same_everywhere(
        steps in proptest::collection::vec(step(), 1..60),
        order in proptest::collection::vec(any::<prop::sample::Index>(), 0..120),
    ) {
        let trackers = [fresh_tracker(), fresh_tracker()];
        trackers.iter().for_each(|tracker| tracker.open_outbox());
        let mut told = Vec::new();
        let mut now = Seconds::START;
        for step in &steps {
            now = now.plus(10);
            let tracker = &trackers[usize::from(!step.at_first)];
            tell(tracker, now, &announce(step.torrent, step.number, step.event));
            let deltas = tracker.deltas_of(tracker.take_touched().touched, now);
            let new = frames(&deltas, now).into_iter().map(|bytes| Told { by_first: step.at_first, made: now, bytes });
            let new: Vec<Told> = new.collect();
            // Each hears of the other at once: who announced where is what all are to agree on.
            let other = &trackers[usize::from(step.at_first)];
            new.iter().for_each(|told| hear(other, told, now));
            told.extend(new);
        }
        // Two that hear some of it, in another order and some of it twice, and then everything again.
        let again: Vec<Told> = [repair(&trackers[0], true, now), repair(&trackers[1], false, now)].concat();
        let mut digests = vec![trackers[0].digest(now), trackers[1].digest(now)];
        for reversed in [false, true] {
            let late = fresh_tracker();
            late.open_outbox();
            let mut heard: Vec<&Told> = if told.is_empty() { Vec::new() } else {
                order.iter().map(|index| index.get(&told)).collect()
            };
            if reversed {
                heard.reverse();
            }
            heard.iter().for_each(|told| hear(&late, told, now));
            again.iter().for_each(|told| hear(&late, told, now));
            digests.push(late.digest(now));
        }
        prop_assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:#?}");
    }
}
