//! How much is allowed: a rate and how many at once, and the same in the ticks that a bucket counts in.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::clock::Seconds;

/// Longest time in which an empty bucket fills: a day.
const MAX_REFILL: Duration = Duration::from_hours(24);

/// Most of a rate in its unit, and most at once. A bucket of as many is exact to one part in 40.
const MAX_COUNT: u32 = 10_000;
const MAX_BURST: u32 = 100_000;

/// The time that a rate counts by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Second,
    Minute,
    Hour,
}

const UNITS: [(&str, Unit); 3] = [
    ("s", Unit::Second),
    ("min", Unit::Minute),
    ("h", Unit::Hour),
];

impl Unit {
    const fn nanos(self) -> u64 {
        match self {
            Unit::Second => 1_000_000_000,
            Unit::Minute => 60_000_000_000,
            Unit::Hour => 3_600_000_000_000,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Unit::Second => "s",
            Unit::Minute => "min",
            Unit::Hour => "h",
        }
    }
}

/// A rate and how many may come at once, written as `5/s 100`: what a token bucket of 100 allows that gains five a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    count: u32,
    unit: Unit,
    burst: u32,
}

/// Why a text is no rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// Not of the form.
    #[error("expected a rate and how many at once, as 5/s 100; the unit is s, min or h")]
    Form,
    /// Out of bounds.
    #[error("the rate is 1 to 10000, and 1 to 100000 come at once")]
    Bounds,
    /// Who has used it up waits too long.
    #[error("an empty bucket would take more than a day to fill")]
    Slow,
}

impl Rate {
    /// So many within `window`, all at once if need be; at least one, within a second to a day.
    pub(super) fn within(burst: u32, window: Duration) -> Spread {
        let window = window.clamp(Duration::from_secs(1), MAX_REFILL);
        let burst = burst.clamp(1, MAX_BURST);
        Spread::new(nanos(window) / u64::from(burst), burst)
    }

    /// The time that one takes.
    const fn interval_nanos(self) -> u64 {
        self.unit.nanos() / self.count as u64
    }

    pub(super) fn spread(self) -> Spread {
        Spread::new(self.interval_nanos(), self.burst)
    }

    /// How many it allows in an hour, for comparing rates.
    pub fn per_hour(self) -> u64 {
        u64::from(self.count) * (Unit::Hour.nanos() / self.unit.nanos())
    }

    /// How many may come at once.
    pub const fn burst(self) -> u32 {
        self.burst
    }
}

/// More saturates.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Rate, RateError> {
        let mut words = text.split_whitespace();
        let (Some(rate), Some(burst), None) = (words.next(), words.next(), words.next()) else {
            return Err(RateError::Form);
        };
        let (count, unit) = rate.split_once('/').ok_or(RateError::Form)?;
        let unit = UNITS.iter().find(|(name, _)| *name == unit);
        let (_, unit) = unit.ok_or(RateError::Form)?;
        let number = |text: &str, most| {
            let number: u32 = text.parse().map_err(|_| RateError::Form)?;
            let is_within = (1..=most).contains(&number);
            is_within.then_some(number).ok_or(RateError::Bounds)
        };
        let rate = Rate {
            count: number(count, MAX_COUNT)?,
            unit: *unit,
            burst: number(burst, MAX_BURST)?,
        };
        let refill = rate.interval_nanos().saturating_mul(rate.burst.into());
        if Duration::from_nanos(refill) > MAX_REFILL {
            return Err(RateError::Slow);
        }
        Ok(rate)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, unit, burst) = (self.count, self.unit.name(), self.burst);
        write!(out, "{count}/{unit} {burst}")
    }
}

/// The time since the start of the clock in nanoseconds, worked out once for many requests; good for half a millennium.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Nanos(u64);

impl From<Duration> for Nanos {
    fn from(time: Duration) -> Nanos {
        Nanos(nanos(time))
    }
}

impl From<Nanos> for Seconds {
    fn from(now: Nanos) -> Seconds {
        Seconds::at(Duration::from_nanos(now.0))
    }
}

/// The latest time that anybody has counted at. On a cache line of its own, for it is written at each wake-up of a worker.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct Latest(AtomicU64);

impl Latest {
    /// Notes that somebody is about to count at this time.
    #[inline]
    pub(super) fn note(&self, now: Nanos) {
        if self.0.load(Relaxed) < now.0 {
            self.0.fetch_max(now.0, Relaxed);
        }
    }

    /// The latest that was noted, at least `now`.
    pub(super) fn at_least(&self, now: Nanos) -> Nanos {
        now.max(Nanos(self.0.load(Relaxed)))
    }
}

/// A reading of the clock in the ticks of one bucket; it wraps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tick(pub u32);

/// A rate in ticks: what one request takes, and what a full bucket holds. A tick is a power of two of nanoseconds, so short that the
/// bucket is exact, and so long that a reading wraps after more than an hour: 512 times the time in which the bucket fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spread {
    pub shift: u32,
    pub interval: u32,
    pub window: u32,
}

impl Spread {
    /// The most that a full bucket holds.
    const MAX_WINDOW: u64 = 1 << 23;
    /// A microsecond, as a power of two.
    const LEAST_SHIFT: u32 = 10;

    /// `interval` is rounded down, in favour of who asks.
    fn new(interval_nanos: u64, burst: u32) -> Spread {
        let window = interval_nanos.saturating_mul(burst.into());
        let mut shift = Spread::LEAST_SHIFT;
        while window >> shift > Spread::MAX_WINDOW {
            shift += 1;
        }
        let interval = u32::try_from(interval_nanos >> shift)
            .unwrap_or(u32::MAX)
            .max(1);
        Spread {
            shift,
            interval,
            window: interval.saturating_mul(burst),
        }
    }

    /// The reading at this time.
    #[expect(clippy::cast_possible_truncation, reason = "a reading wraps")]
    #[inline]
    pub(super) fn tick(self, now: Nanos) -> Tick {
        Tick((now.0 >> self.shift) as u32)
    }

    /// After how many seconds a bucket that would lack so much does not any more, rounded up, at least one.
    #[cold]
    pub(super) fn wait(self, lacks: u32) -> u32 {
        let nanos = u64::from(lacks.saturating_sub(self.window)) << self.shift;
        let seconds = u32::try_from(nanos.div_ceil(1_000_000_000));
        seconds.unwrap_or(u32::MAX).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// O8
    #[test]
    fn a_rate_is_read_and_written_in_one_way() {
        for text in ["5/s 100", "1/s 1", "10000/s 100000", "30/min 60", "1/h 24"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
        for (text, error) in [
            ("", RateError::Form),
            ("5", RateError::Form),
            ("5/s", RateError::Form),
            ("5/s 1 1", RateError::Form),
            ("5/d 1", RateError::Form),
            ("5/S 1", RateError::Form),
            ("-5/s 1", RateError::Form),
            ("0.5/s 1", RateError::Form),
            ("0/s 1", RateError::Bounds),
            ("1/s 0", RateError::Bounds),
            ("10001/s 1", RateError::Bounds),
            ("1/s 100001", RateError::Bounds),
            ("1/h 25", RateError::Slow),
        ] {
            assert_eq!(text.parse::<Rate>(), Err(error), "{text}");
        }
    }

    /// O8
    #[test]
    fn no_rate_is_made_lower_by_its_ticks_or_higher_by_more_than_a_40th() {
        for count in [1, 3, 7, 60, 999, 10_000] {
            for unit in ["s", "min", "h"] {
                for burst in [1, 2, 24, 1_000, 100_000] {
                    let Ok(rate) = format!("{count}/{unit} {burst}").parse::<Rate>() else {
                        continue;
                    };
                    let spread = rate.spread();
                    let exact = rate.interval_nanos();
                    let kept = u64::from(spread.interval) << spread.shift;
                    assert!(kept <= exact && kept >= exact - exact / 40, "{rate}");
                    assert!(u64::from(spread.window) <= Spread::MAX_WINDOW, "{rate}");
                    assert_eq!(spread.window, spread.interval * burst, "{rate}");
                }
            }
        }
    }
}
