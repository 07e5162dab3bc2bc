//! The database's own time: seconds that go on while the process runs, whatever happens to the wall clock, and that skip the
//! time the process was away. It is guessed once per start, from the boot clock or else from the wall clock.

use crate::clock::{Boot, Clock, Seconds, Wall};

/// A wall clock that shows less than this (2025-01-01) was never set: boards without a battery start in 1970.
const PLAUSIBLE: Wall = Wall(1_735_689_600);

/// One reading of every clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Monotonic seconds.
    pub now: Seconds,
    /// Wall time.
    pub wall: Wall,
    /// The machine's boot, where it can be told.
    pub boot: Option<Boot>,
}

impl Moment {
    /// Reads the clocks.
    pub fn of(clock: &Clock) -> Moment {
        Moment {
            now: clock.now(),
            wall: clock.wall(),
            boot: clock.boot(),
        }
    }
}

/// When the last snapshot finished, by every clock there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Finished {
    /// The database's time.
    pub stamp: u64,
    pub wall: Wall,
    pub boot: Option<Boot>,
}

/// Converts between monotonic seconds of this run and the database's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timeline {
    origin: Seconds,
    stamp: u64,
    goes_on: bool,
}

impl Timeline {
    /// Goes on after the last finished snapshot, or begins at the wall time when there is none.
    pub(super) fn resume(last: Option<Finished>, moment: Moment) -> Timeline {
        let away = last.and_then(|last| seconds_away(last, moment));
        let stamp = match last {
            // Then no time has passed, and peers live at most one lifetime too long.
            Some(last) => last.stamp.saturating_add(away.unwrap_or(0)),
            None => moment.wall.max(PLAUSIBLE).0,
        };
        Timeline {
            origin: moment.now,
            stamp,
            goes_on: away.is_some(),
        }
    }

    /// Whether there was a time to go on from, and a clock that told how much of it had gone by.
    pub(super) fn goes_on(&self) -> bool {
        self.goes_on
    }

    /// The database's time at the monotonic reading `at`.
    pub(super) fn stamp(&self, at: Seconds) -> u64 {
        (self.stamp.saturating_add(at.raw().into())).saturating_sub(self.origin.raw().into())
    }

    /// The monotonic reading at which the database's time was `stamp`, but never after `now`: what claims to come from the
    /// future counts as fresh, and is not immortal.
    pub(super) fn seconds(&self, stamp: u64, now: Seconds) -> Seconds {
        let age = self.stamp(now).saturating_sub(stamp);
        // An age that saturates is that of the dead.
        now.minus(u32::try_from(age).unwrap_or(u32::MAX))
    }
}

/// How long the process was away. The boot clock knows it for sure; across boots there is only the wall clock, and one that
/// was never set, or went back, says nothing.
fn seconds_away(last: Finished, moment: Moment) -> Option<u64> {
    if let (Some(then), Some(now)) = (last.boot, moment.boot)
        && then.id == now.id
        && now.seconds >= then.seconds
    {
        return Some(now.seconds - then.seconds);
    }
    if last.wall < PLAUSIBLE || moment.wall < PLAUSIBLE {
        return None;
    }
    moment.wall.0.checked_sub(last.wall.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;
    const WALL: Wall = Wall(1_800_000_000);

    fn boot(id: u128, seconds: u64) -> Option<Boot> {
        Some(Boot { id, seconds })
    }

    fn moment(wall: u64, boot: Option<Boot>) -> Moment {
        Moment {
            now: Seconds::START,
            wall: Wall(wall),
            boot,
        }
    }

    fn away(last_boot: Option<Boot>, now: Moment) -> u64 {
        let last = Finished {
            stamp: 5_000,
            wall: WALL,
            boot: last_boot,
        };
        Timeline::resume(Some(last), now).stamp(now.now) - 5_000
    }

    /// R8: the clock is wrong across a restart.
    #[test]
    fn within_one_boot_a_wall_clock_that_jumped_is_not_believed() {
        for wall in [0, WALL.0 - 365 * DAY, WALL.0 + 365 * DAY, u64::MAX] {
            assert_eq!(away(boot(7, 100), moment(wall, boot(7, 130))), 30);
        }
    }

    /// R8
    #[test]
    fn across_boots_the_wall_clock_decides_unless_it_was_never_set_or_went_back() {
        assert_eq!(away(boot(7, 100), moment(WALL.0 + 60, boot(8, 20))), 60);
        assert_eq!(away(None, moment(WALL.0 + 60, None)), 60);
        assert_eq!(away(None, moment(WALL.0 - DAY, None)), 0);
        assert_eq!(away(None, moment(12, None)), 0);
        let unset = Finished {
            stamp: 9,
            wall: Wall(40),
            boot: None,
        };
        let resumed = Timeline::resume(Some(unset), moment(WALL.0, None));
        assert_eq!(resumed.stamp(Seconds::START), 9);
    }

    /// P24: what must not last longer than it says is not carried over a time that nobody knows
    #[test]
    fn the_time_goes_on_only_where_a_clock_tells_how_much_went_by() {
        let goes_on = |wall, last_boot, boot| {
            let last = Finished {
                stamp: 5_000,
                wall: WALL,
                boot: last_boot,
            };
            Timeline::resume(Some(last), moment(wall, boot)).goes_on()
        };
        assert!(goes_on(WALL.0, None, None));
        assert!(goes_on(WALL.0 - DAY, boot(7, 100), boot(7, 130)));
        assert!(!goes_on(WALL.0 - DAY, boot(7, 100), boot(8, 130)));
        assert!(!goes_on(WALL.0 - 1, None, None));
        assert!(!goes_on(12, None, None));
        assert!(!Timeline::resume(None, moment(WALL.0, None)).goes_on());
    }

    #[test]
    fn what_comes_from_the_future_is_fresh_and_what_is_old_keeps_its_age() {
        let timeline = Timeline::resume(None, moment(WALL.0, None));
        let now = Seconds::START.plus(50);
        assert_eq!(timeline.stamp(now), WALL.0 + 50);
        assert_eq!(timeline.seconds(WALL.0 + 9_000, now), now);
        assert_eq!(timeline.seconds(WALL.0 + 20, now), now.minus(30));
        assert_eq!(timeline.seconds(0, now), now.minus(u32::MAX));
    }
}
