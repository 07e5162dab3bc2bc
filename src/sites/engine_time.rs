//! The engine's clock beside ours. When something happened is told by the entry's id, which is the engine's time, less the age that the
//! frame gives, and compared with the same engine's time now; so neither a tracker's wall clock matters, nor by what two engines' differ.

use std::time::Duration;

use crate::clock::Seconds;

/// The engine's milliseconds since 1970 less those since this process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct EngineTime {
    offset_ms: i64,
}

fn signed_ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

impl EngineTime {
    /// From the engine's answer to a question that was under way from `asked` to `answered`.
    pub(super) fn measured(engine_ms: u64, asked: Duration, answered: Duration) -> EngineTime {
        let between = signed_ms(asked).midpoint(signed_ms(answered));
        let engine_ms = i64::try_from(engine_ms).unwrap_or(i64::MAX);
        EngineTime {
            offset_ms: engine_ms.saturating_sub(between),
        }
    }

    /// The engine's clock now.
    pub(super) fn at(self, elapsed: Duration) -> u64 {
        u64::try_from(self.offset_ms.saturating_add(signed_ms(elapsed))).unwrap_or(0)
    }

    /// The engine's clock less the wall clock, whose seconds are whole: on average half a second is gone.
    pub(super) fn ahead_of(self, elapsed: Duration, wall: crate::clock::Wall) -> i64 {
        let wall_ms = i64::try_from(wall.0.saturating_mul(1_000)).unwrap_or(i64::MAX);
        let engine_ms = self.offset_ms.saturating_add(signed_ms(elapsed));
        engine_ms.saturating_sub(wall_ms.saturating_add(500))
    }

    /// When something happened here, by our clock, that was `age_ms` old at the engine's `entry_ms`; never later than `now`, and an
    /// entry from the engine's future is taken for one of now.
    pub(super) fn seen(self, entry_ms: u64, age_ms: u64, now: Seconds) -> Seconds {
        let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        let now_seconds = i64::from(now.raw()) - i64::from(Seconds::START.raw());
        let ours = signed(entry_ms)
            .saturating_sub(self.offset_ms)
            .min(now_seconds * 1_000 + 999)
            .saturating_sub(signed(age_ms));
        let seconds = ours.div_euclid(1_000);
        let distance = u32::try_from(seconds.unsigned_abs()).unwrap_or(u32::MAX);
        let seen = if seconds < 0 {
            Seconds::START.minus(distance)
        } else {
            Seconds::START.plus(distance)
        };
        seen.min(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Wall;

    #[test]
    fn ages_are_told_by_the_engines_clock() {
        let ms = Duration::from_millis;
        let time = EngineTime::measured(1_700_000_000_000, ms(4_900), ms(5_100));
        assert_eq!(time.at(ms(6_000)), 1_700_000_001_000);
        let now = Seconds::START.plus(10);
        let seen = |entry_ms, age_ms| time.seen(entry_ms, age_ms, now);
        assert_eq!(seen(1_700_000_000_000, 0), Seconds::START.plus(5));
        assert_eq!(seen(1_700_000_000_000, 5_001), Seconds::START.minus(1));
        // From the future, and from before everything.
        assert_eq!(seen(u64::MAX, 0), now);
        assert_eq!(seen(u64::MAX, 4_000), now.minus(4));
        assert_eq!(seen(0, u64::MAX), Seconds::from_raw(0));
        assert_eq!(time.ahead_of(ms(5_000), Wall(1_699_999_990)), 9_500);
    }
}
