//! How long frames take from log to swarm: percentiles over the last minute, in constant memory.

use std::time::Duration;

use super::status::Lag;

/// Upper ends of the buckets, in milliseconds.
const ENDS: [u64; 24] = [
    1, 2, 5, 10, 20, 50, 100, 150, 200, 250, 300, 400, 500, 600, 800, 1_000, 1_500, 2_000, 3_000,
    5_000, 10_000, 30_000, 60_000, 600_000,
];

/// Half of what is looked back at.
const HALF: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, Default)]
struct Half {
    counts: [u64; ENDS.len()],
    most_ms: u64,
}

/// The last half minute that is over, and the one under way.
#[derive(Debug, Default)]
pub(super) struct Lags {
    began: Duration,
    last: Half,
    current: Half,
}

impl Lags {
    pub(super) fn note(&mut self, lag_ms: u64, now: Duration) {
        self.turn(now);
        let bucket = ENDS.iter().position(|end| lag_ms <= *end);
        let bucket = bucket.unwrap_or(ENDS.len() - 1);
        if let Some(count) = self.current.counts.get_mut(bucket) {
            *count += 1;
        }
        self.current.most_ms = self.current.most_ms.max(lag_ms);
    }

    pub(super) fn percentiles(&mut self, now: Duration) -> Lag {
        self.turn(now);
        let halves = || self.last.counts.iter().zip(&self.current.counts);
        let all: u64 = halves().map(|(last, current)| last + current).sum();
        let at = |percent: u64| {
            let mut left = (all * percent).div_ceil(100);
            let buckets = halves().zip(ENDS).find(|((last, current), _)| {
                let here = **last + **current;
                let is_here = here >= left;
                left = left.saturating_sub(here);
                is_here
            });
            buckets.map_or(0, |(_, end)| end)
        };
        if all == 0 {
            return Lag::default();
        }
        let most_ms = self.last.most_ms.max(self.current.most_ms);
        Lag {
            p50_ms: at(50).min(most_ms),
            p99_ms: at(99).min(most_ms),
            most_ms,
        }
    }

    fn turn(&mut self, now: Duration) {
        let gone = now.saturating_sub(self.began);
        if gone >= HALF {
            let current = std::mem::take(&mut self.current);
            self.last = if gone < 2 * HALF {
                current
            } else {
                Half::default()
            };
            self.began = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_last_minute() {
        let mut lags = Lags::default();
        let at = Duration::from_secs;
        assert_eq!(lags.percentiles(at(1)), Lag::default());
        (0..99).for_each(|_| lags.note(120, at(31)));
        lags.note(700, at(31));
        let lag = lags.percentiles(at(40));
        assert_eq!((lag.p50_ms, lag.p99_ms, lag.most_ms), (150, 150, 700));
        (0..5).for_each(|_| lags.note(2_500, at(62)));
        assert_eq!(lags.percentiles(at(63)).p99_ms, 2_500);
        assert_eq!(lags.percentiles(at(200)), Lag::default());
    }
}
