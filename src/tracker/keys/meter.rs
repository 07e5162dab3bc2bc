//! How much of what clients report is counted: no more than a line can have carried.

use crate::clock::Seconds;

/// Bytes up and down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Uploaded.
    pub uploaded: u64,
    /// Downloaded.
    pub downloaded: u64,
}

impl Traffic {
    fn each(self, other: Traffic, join: impl Fn(u64, u64) -> u64) -> Traffic {
        Traffic {
            uploaded: join(self.uploaded, other.uploaded),
            downloaded: join(self.downloaded, other.downloaded),
        }
    }

    /// Adds, and stays at the largest number.
    pub(super) fn plus(self, other: Traffic) -> Traffic {
        self.each(other, u64::saturating_add)
    }

    /// By how much the figures of a client have grown since `base`, at most `most` in each direction. A smaller one is a client that
    /// began anew: it counts for nothing.
    pub(super) fn growth_since(self, base: Traffic, most: u64) -> Traffic {
        self.each(base, |new, old| new.saturating_sub(old).min(most))
    }

    fn at_most(self, most: Traffic) -> Traffic {
        self.each(most, u64::min)
    }

    fn minus(self, other: Traffic) -> Traffic {
        self.each(other, u64::saturating_sub)
    }
}

/// What a line carries in so many seconds, in bytes; and in one more, for both ends were cut to whole seconds.
pub(super) fn capacity(line_mib: u32, seconds: u32) -> u64 {
    bytes(line_mib, seconds.saturating_add(1))
}

fn bytes(line_mib: u32, seconds: u32) -> u64 {
    let mib = u64::from(line_mib).saturating_mul(seconds.into());
    mib.saturating_mul(1 << 20)
}

/// What the lines of one key can still have carried: it fills as time passes and is emptied by what is counted, so that many torrents
/// together count for no more than one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meter {
    room: Traffic,
    at: Seconds,
}

impl Meter {
    /// Of a key that is met for the first time: the second that is cut off is all that it has.
    pub(super) fn new(now: Seconds, line_mib: u32) -> Meter {
        let second = bytes(line_mib, 1);
        let room = Traffic {
            uploaded: second,
            downloaded: second,
        };
        Meter { room, at: now }
    }

    /// Of a key whose sessions began before the process did; [`Meter::fill`] cuts it to what fits.
    pub(super) const fn full(now: Seconds) -> Meter {
        let room = Traffic {
            uploaded: u64::MAX,
            downloaded: u64::MAX,
        };
        Meter { room, at: now }
    }

    /// Lets so many lines fill it up to `now`, for `lifetime` seconds at most: nothing that is counted was longer under way.
    pub(super) fn fill(&mut self, now: Seconds, lifetime: u32, lines: u32, line_mib: u32) {
        let rate = line_mib.saturating_mul(lines.max(1));
        let gained = bytes(rate, now.since(self.at));
        let most = capacity(rate, lifetime);
        let same = |bytes| Traffic {
            uploaded: bytes,
            downloaded: bytes,
        };
        self.room = self.room.plus(same(gained)).at_most(same(most));
        self.at = now;
    }

    /// Takes growth as far as there is room for it; what is counted of it.
    pub(super) fn take(&mut self, growth: Traffic) -> Traffic {
        let counted = growth.at_most(self.room);
        self.room = self.room.minus(counted);
        counted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    const GIB: u64 = 1 << 30;

    fn up(uploaded: u64) -> Traffic {
        Traffic {
            uploaded,
            downloaded: 0,
        }
    }

    /// O16
    #[test]
    fn what_no_line_carries_is_not_counted() {
        let growth = |base, new, seconds| {
            let most = capacity(125, seconds);
            up(new).growth_since(up(base), most).uploaded
        };
        assert_eq!(growth(0, GIB, 1_800), GIB);
        assert_eq!(growth(0, 1 << 63, 1_800), (125 * 1_801) << 20);
        assert_eq!(growth(GIB, 5, 1_800), 0);
        assert_eq!(growth(0, u64::MAX, 0), 125 << 20);
        assert_eq!(capacity(u32::MAX, u32::MAX), u64::MAX);
    }

    /// O16
    #[test]
    fn many_torrents_count_for_no_more_than_the_line() {
        let at = |seconds| Seconds::START.plus(seconds);
        let mut meter = Meter::new(at(0), 1);
        meter.fill(at(0), 3_600, 1, 1);
        assert_eq!(meter.take(up(GIB)).uploaded, 1 << 20);
        assert_eq!(meter.take(up(GIB)).uploaded, 0);
        meter.fill(at(100), 3_600, 1, 1);
        assert_eq!(meter.take(up(60 << 20)).uploaded, 60 << 20);
        assert_eq!(meter.take(up(60 << 20)).uploaded, 40 << 20);
        // However long it was away, it is filled for a lifetime only; two addresses are two lines.
        meter.fill(at(1_000_000), 3_600, 2, 1);
        assert_eq!(meter.take(up(u64::MAX)).uploaded, (2 * 3_601) << 20);
        let mut restored = Meter::full(at(5));
        restored.fill(at(5), 10, 1, 1);
        assert_eq!(restored.take(up(GIB)).uploaded, 11 << 20);
    }

    proptest! {
        /// O16
        #[test]
        fn no_reports_add_up_to_more_than_the_line_carried(
            reports in proptest::collection::vec((0_u32..4_000, any::<u64>(), any::<u64>()), 1..50), line in 1_u32..2_000,
        ) {
            let (mut now, mut base, mut counted) = (Seconds::START, Traffic::default(), Traffic::default());
            let mut meter = Meter::new(now, line);
            for (later, uploaded, downloaded) in reports {
                now = now.plus(later);
                let new = Traffic { uploaded, downloaded };
                meter.fill(now, 3_600, 1, line);
                counted = counted.plus(meter.take(new.growth_since(base, capacity(line, later))));
                base = new;
            }
            let most = capacity(line, now.since(Seconds::START));
            prop_assert!(counted.uploaded <= most && counted.downloaded <= most);
            prop_assert_eq!(counted.minus(counted), Traffic::default());
        }
    }
}
