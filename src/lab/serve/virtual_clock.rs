//! The laboratory's time: real time, and the tracker's, which may run faster and be set forward.

use std::sync::Mutex;
use std::time::Duration;

use crate::clock::{Clock, Seconds};
use crate::lab::exchange::Moment;

/// Both times since the laboratory started.
#[derive(Debug)]
pub(super) struct VirtualClock {
    clock: Clock,
    speed: f64,
    /// By how much virtual time was set forward.
    ahead: Mutex<Duration>,
}

impl VirtualClock {
    /// Starts both; virtual time runs `speed` times as fast.
    pub(super) fn start(speed: f64) -> VirtualClock {
        VirtualClock {
            clock: Clock::start(),
            speed,
            ahead: Mutex::default(),
        }
    }

    /// Both times.
    pub(super) fn moment(&self) -> Moment {
        let real = self.clock.elapsed();
        let passed = Duration::try_from_secs_f64(real.as_secs_f64() * self.speed);
        let ahead = *super::lock(&self.ahead);
        Moment {
            real,
            virtual_time: passed.unwrap_or(Duration::MAX).saturating_add(ahead),
        }
    }

    /// The tracker's time.
    pub(super) fn now(&self) -> Seconds {
        Seconds::at(self.moment().virtual_time)
    }

    /// Real time.
    pub(super) fn real(&self) -> Duration {
        self.clock.elapsed()
    }

    /// Sets virtual time forward.
    pub(super) fn advance(&self, by: Duration) {
        let mut ahead = super::lock(&self.ahead);
        *ahead = ahead.saturating_add(by);
    }
}
