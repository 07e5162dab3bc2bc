//! When those are told of who have come back from behind blocks.

use std::time::Duration;

/// Who comes back from behind a block is told of so long after: until the others have lifted it too, they take nobody from behind it.
const LIFT_TAKES: Duration = Duration::from_secs(3);

/// Lifts after which nobody was told of yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ComeBack {
    /// When the first was made, and the last. The first says when it is time, so that it comes, however many follow.
    lifts: Option<(Duration, Duration)>,
}

impl ComeBack {
    /// A block was lifted at `now`.
    pub(super) fn lifted(&mut self, now: Duration) {
        let first = self.lifts.map_or(now, |(first, _)| first);
        self.lifts = Some((first, now));
    }

    /// Whether it is time at `now`. For whom a lift brought back that is too new for it, there is another time.
    pub(super) fn take_due(&mut self, now: Duration) -> bool {
        let due = self.lifts.filter(|(first, _)| now >= *first + LIFT_TAKES);
        let Some((_, last)) = due else {
            return false;
        };
        self.lifts = (now < last + LIFT_TAKES).then_some((last, last));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// O18, O25: lifts that keep coming put it off by nothing, and each has its own three seconds.
    #[test]
    fn it_is_time_however_many_lifts_follow() {
        let mut come_back = ComeBack::default();
        let mut due = Vec::new();
        for now in (0..16_000).step_by(250) {
            if now % 1_500 == 0 && now <= 9_000 {
                come_back.lifted(ms(now));
            }
            if come_back.take_due(ms(now)) {
                due.push(now);
            }
        }
        // That of 1,500 and of 3,000 ms at 6,000, of 4,500 and 6,000 at 9,000, of 7,500 and 9,000 at 12,000.
        assert_eq!(due, [3_000, 6_000, 9_000, 12_000]);
        assert_eq!(come_back, ComeBack::default());
    }

    /// What was put off by something else stands for all lifts that are old enough by then.
    #[test]
    fn one_time_is_enough_for_all_lifts_before_it() {
        let mut come_back = ComeBack::default();
        come_back.lifted(ms(0));
        come_back.lifted(ms(1_000));
        assert!(!come_back.take_due(ms(2_999)));
        assert!(come_back.take_due(ms(4_000)));
        assert!(!come_back.take_due(ms(60_000)));
    }
}
