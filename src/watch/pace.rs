//! How fast requests are told: never more than so many in any second, half of them at once, as a client with many torrents announces them,
//! and the rest evenly, so that what is told of a busy second is a sample of all of it. No lock: who loses a race for a place ten times
//! over is not told.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// How often a place is tried for.
const TRIES: u32 = 10;

/// A rate.
#[derive(Debug)]
pub(super) struct Pace {
    /// The time that one takes, in nanoseconds.
    interval: u64,
    /// How far the time of the next may lie ahead, in nanoseconds.
    leeway: u64,
    /// When the next is due, in nanoseconds since the start of the clock.
    due: AtomicU64,
}

impl Pace {
    /// At most so many in any second; at least one.
    pub(super) fn new(per_second: u32) -> Pace {
        let per_second = u64::from(per_second.max(1));
        let at_once = (per_second / 2).max(1);
        // In a second that begins with all at once there is room for the rest but the first.
        let interval = 1_000_000_000_u64.div_ceil(per_second - at_once + 1);
        Pace {
            interval,
            leeway: interval * (at_once - 1),
            due: AtomicU64::new(0),
        }
    }

    /// Whether one more may be told at this time since the start of the clock; then it counts.
    pub(super) fn admits(&self, now: Duration) -> bool {
        // Saturates after five centuries.
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let mut due = self.due.load(Relaxed);
        for _ in 0..TRIES {
            let from = due.max(now);
            if from - now > self.leeway {
                return false;
            }
            let next = from.saturating_add(self.interval);
            match self.due.compare_exchange_weak(due, next, Relaxed, Relaxed) {
                Ok(_) => return true,
                Err(other) => due = other,
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop_assert, proptest};

    proptest! {
        /// O30
        #[test]
        fn no_second_has_more_than_it_may(
            per_second in 1_u32..=1_000,
            steps in proptest::collection::vec(0_u64..5_000_000, 1..3_000),
        ) {
            let pace = Pace::new(per_second);
            let mut now = 0;
            let mut admitted = Vec::new();
            for step in steps {
                now += step;
                if pace.admits(Duration::from_nanos(now)) {
                    admitted.push(now);
                }
            }
            prop_assert!(!admitted.is_empty());
            let most = per_second as usize;
            for (first, beyond) in admitted.iter().zip(admitted.iter().skip(most)) {
                prop_assert!(beyond - first >= 1_000_000_000);
            }
        }
    }

    #[test]
    fn what_may_be_told_is_told() {
        for per_second in [1, 2, 10, 99, 1_000] {
            let pace = Pace::new(per_second);
            let admitted = (0..100_000)
                .filter(|tenth_of_ms| pace.admits(Duration::from_micros(tenth_of_ms * 100)))
                .count();
            // Ten seconds.
            let least = per_second as usize * 5;
            assert!(
                (least..=per_second as usize * 10).contains(&admitted),
                "{per_second}: {admitted}"
            );
        }
    }
}
