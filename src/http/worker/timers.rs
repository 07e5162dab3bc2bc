//! Deadlines of connections, coarse and cheap: a request that completes only writes a number into its connection; the timer wheel
//! looks at each connection when its old deadline comes and puts it where the new one is.

use std::time::Duration;

use crate::invariant::present;

/// How fine deadlines are.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// A moment in [`TICK`]s since the start of the clock. 32 bits last for 13 years of running; deadlines are compared by
/// difference, so that nothing happens when they wrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tick(u32);

impl Tick {
    /// The tick in which `elapsed` lies.
    pub(super) fn at(elapsed: Duration) -> Tick {
        let ticks = elapsed.as_millis() / TICK.as_millis();
        let ticks = u32::try_from(ticks & u128::from(u32::MAX)).ok();
        Tick(present(ticks, "32 bits are left").unwrap_or(0))
    }

    /// Grows with time, but for the moment at which the clock wraps.
    pub(super) fn number(self) -> u64 {
        self.0.into()
    }

    /// The first tick at which `time` has gone by for certain.
    pub(super) fn after(self, time: Duration) -> Tick {
        let ticks = time.as_millis().div_ceil(TICK.as_millis()) + 1;
        // A time of more than three years, which an operator may write, is cut there: half of all ticks are the past.
        let ticks = u32::try_from(ticks).unwrap_or(u32::MAX).min(u32::MAX / 4);
        Tick(self.0.wrapping_add(ticks))
    }

    /// The earlier of two moments.
    pub(super) fn min(self, other: Tick) -> Tick {
        if self.has_come(other) { self } else { other }
    }

    /// Whether this moment has come by `now`.
    pub(super) fn has_come(self, now: Tick) -> bool {
        now.0.wrapping_sub(self.0) <= u32::MAX / 2
    }
}

/// Slots in the wheel: deadlines up to 25 s ahead are put where they belong, later ones are looked at once more on the way.
const SLOTS: u32 = 256;

/// The timer wheel. Each entry is the key of a connection and when the wheel was told to look at it.
#[derive(Debug)]
pub(super) struct Timers {
    slots: Vec<Vec<(u64, Tick)>>,
    now: Tick,
}

impl Timers {
    pub(super) fn new(now: Tick) -> Timers {
        Timers {
            slots: (0..SLOTS).map(|_| Vec::new()).collect(),
            now,
        }
    }

    /// Asks to be shown `key` at `when`, or earlier when that is far ahead. Returns when it will be.
    pub(super) fn put(&mut self, key: u64, when: Tick) -> Tick {
        let ahead = when.0.wrapping_sub(self.now.0);
        let ahead = if ahead > u32::MAX / 2 {
            1
        } else {
            ahead.clamp(1, SLOTS - 1)
        };
        let when = Tick(self.now.0.wrapping_add(ahead));
        if let Some(slot) = self.slot(when) {
            slot.push((key, when));
        }
        when
    }

    /// Moves on to `now` and appends the entries whose time has come to `due`.
    pub(super) fn advance(&mut self, now: Tick, due: &mut Vec<(u64, Tick)>) {
        let gone = now.0.wrapping_sub(self.now.0);
        if gone > u32::MAX / 2 {
            return;
        }
        for step in 1..=gone.min(SLOTS) {
            let tick = Tick(self.now.0.wrapping_add(step));
            if let Some(slot) = self.slot(tick) {
                due.append(slot);
            }
        }
        self.now = now;
    }

    fn slot(&mut self, when: Tick) -> Option<&mut Vec<(u64, Tick)>> {
        let index = usize::try_from(when.0 % SLOTS).ok()?;
        self.slots.get_mut(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_shown_once_and_not_before_its_time() {
        for start in [0, u32::MAX - 100] {
            let mut timers = Timers::new(Tick(start));
            let mut waiting: Vec<(u64, Tick)> = (1..=300_u32)
                .map(|ahead| {
                    let when = Tick(start.wrapping_add(ahead));
                    (u64::from(ahead), timers.put(u64::from(ahead), when))
                })
                .collect();
            for step in 1..=SLOTS {
                let now = Tick(start.wrapping_add(step));
                let mut due = Vec::new();
                timers.advance(now, &mut due);
                for entry in &due {
                    assert!(entry.1.has_come(now));
                }
                waiting.retain(|entry| !due.contains(entry));
                assert!(waiting.iter().all(|(_, when)| !when.has_come(now)));
            }
            assert!(waiting.is_empty());
        }
    }

    #[test]
    fn a_time_that_is_as_good_as_forever_has_not_come() {
        for seconds in [0, 1, 200_000_000, 300_000_000, u64::MAX] {
            let now = Tick(u32::MAX - 5);
            let deadline = now.after(Duration::from_secs(seconds));
            assert!(!deadline.has_come(now), "{seconds}");
        }
    }

    #[test]
    fn a_long_pause_shows_everything() {
        let mut timers = Timers::new(Tick(5));
        timers.put(1, Tick(10));
        timers.put(2, Tick(3));
        timers.put(3, Tick(200));
        let mut due = Vec::new();
        timers.advance(Tick(1_000_000), &mut due);
        assert_eq!(due.len(), 3);
        timers.advance(Tick(1_000_000), &mut due);
        assert_eq!(due.len(), 3);
    }

    #[test]
    fn a_deadline_never_comes_early() {
        let now = Tick::at(Duration::from_millis(199));
        let deadline = now.after(Duration::from_millis(300));
        assert!(!deadline.has_come(Tick::at(Duration::from_millis(498))));
        assert!(deadline.has_come(Tick::at(Duration::from_millis(600))));
    }
}
