//! The only reader of the clock. Everything else takes the time as an argument, so that no test sleeps.
//!
//! Two clocks are told apart: [`Seconds`] run monotonically and decide who is alive; [`Wall`] is what a calendar shows and
//! goes to disk and to people only.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Monotonic seconds. The process starts at [`Seconds::START`], so that ages that reach back before the start (peers restored
/// from a snapshot) are representable. 32 bits last for 100 years of running.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seconds(u32);

impl Seconds {
    /// The reading at the start of the process: 31.7 years after zero.
    pub const START: Seconds = Seconds(1_000_000_000);

    /// Makes a reading from a raw count.
    pub const fn from_raw(raw: u32) -> Seconds {
        Seconds(raw)
    }

    /// The reading when so much time has passed since the start; saturates after a century.
    pub(crate) fn at(elapsed: Duration) -> Seconds {
        Seconds::START.plus(u32::try_from(elapsed.as_secs()).unwrap_or(u32::MAX))
    }

    /// The raw count, as it is kept in swarms.
    pub const fn raw(self) -> u32 {
        self.0
    }

    /// Seconds gone since `earlier`; 0 when `earlier` is later.
    pub const fn since(self, earlier: Seconds) -> u32 {
        self.0.saturating_sub(earlier.0)
    }

    /// This reading plus `seconds`, at most the largest.
    pub const fn plus(self, seconds: u32) -> Seconds {
        Seconds(self.0.saturating_add(seconds))
    }

    /// This reading minus `seconds`, at least zero.
    pub const fn minus(self, seconds: u32) -> Seconds {
        Seconds(self.0.saturating_sub(seconds))
    }
}

/// Wall time in whole seconds since 1970 (UTC). Never used to decide who is alive.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
pub struct Wall(pub u64);

/// Which boot of the machine this is and how long it has lasted, sleep included: tells how long the process was away without
/// asking the wall clock, as long as the machine was not booted in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boot {
    /// The kernel's random id of this boot.
    pub id: u128,
    /// Seconds since it began.
    pub seconds: u64,
}

/// Reads both clocks. Cheap to copy; every copy counts from the same start.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts the monotonic clock at [`Seconds::START`].
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clock"
    )]
    pub fn start() -> Clock {
        Clock {
            start: Instant::now(),
        }
    }

    /// Monotonic seconds.
    pub fn now(&self) -> Seconds {
        Seconds::at(self.elapsed())
    }

    /// Time since the start, as precise as the system has it; for durations that are measured and for deadlines of sockets.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clock"
    )]
    pub fn elapsed(&self) -> Duration {
        Instant::now().saturating_duration_since(self.start)
    }

    /// The boot that the process runs in; `None` where the kernel's boot id is hidden from it. Reads a file of /proc.
    pub fn boot(&self) -> Option<Boot> {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let id = u128::from_str_radix(&id.trim().replace('-', ""), 16).ok()?;
        let since = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Some(Boot {
            id,
            seconds: u64::try_from(since.tv_sec).ok()?,
        })
    }

    /// Wall time; 1970 when the system's clock stands before it.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clock"
    )]
    pub fn wall(&self) -> Wall {
        Wall(
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |gone| gone.as_secs()),
        )
    }

    /// Wall time in milliseconds since 1970 (UTC), to be shown; 0 when the system's clock stands before it.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clock"
    )]
    pub fn wall_millis(&self) -> u64 {
        let gone = SystemTime::now().duration_since(UNIX_EPOCH);
        // Saturates after half a billion years.
        gone.map_or(0, |gone| {
            u64::try_from(gone.as_millis()).unwrap_or(u64::MAX)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_never_wrap() {
        let early = Seconds::from_raw(5);
        assert_eq!(early.minus(9), Seconds::from_raw(0));
        assert_eq!(early.since(Seconds::START), 0);
        assert_eq!(Seconds::from_raw(u32::MAX).plus(1).raw(), u32::MAX);
    }
}
