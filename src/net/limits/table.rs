//! Token buckets by source in constant memory: a table of sets, a cache line each, that all threads share without a lock.
//!
//! A bucket is the time at which it will be full again (the generic cell rate algorithm), 32 bits of it beside 32 bits that tell its
//! owner from others of its set; both are changed as one number. Whoever comes and has no place takes that of the bucket in the set that is
//! nearest to full. So what is forgotten is forgotten in favour of its owner: a flood of sources lets some through that should wait, and
//! makes nobody wait who need not.
//!
//! A bucket with much left is written without a look at who else writes it, for a third of the cost: what other threads count between its
//! being read and written is forgotten, in favour of its owner too. That is a request now and then; of a thread that is put off the processor
//! in between, all that was counted meanwhile. From half empty on it is written exactly.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::rate::{Nanos, Spread, Tick};
use crate::invariant::present;

/// Buckets in a set.
const WAYS: usize = 8;

/// How often a change is tried while other threads change the same set; then the request passes uncounted.
const TRIES: u32 = 16;

/// A bucket is never so far from full as this; what seems to be is a reading from before the ticks wrapped.
const FURTHEST: u32 = 1 << 24;

/// A bucket that has so many left, and half of what it holds, has much left.
const MUCH: u32 = 16;

#[derive(Debug, Default)]
#[repr(align(64))]
struct Set([AtomicU64; WAYS]);

/// One bucket as it is kept; 0 is nobody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bucket(u64);

impl Bucket {
    fn new(owner: u32, full_at: Tick) -> Bucket {
        Bucket(u64::from(owner) << 32 | u64::from(full_at.0))
    }

    const fn owner(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// What it lacks, in ticks.
    #[expect(clippy::cast_possible_truncation, reason = "it is the lower half")]
    const fn lacks(self, now: Tick) -> u32 {
        let lacks = (self.0 as u32).wrapping_sub(now.0);
        if lacks <= FURTHEST { lacks } else { 0 }
    }
}

/// A change of a bucket that is about to be made.
struct Taking<'a> {
    place: &'a AtomicU64,
    found: Bucket,
    taken: Bucket,
    /// What it lacks when one is taken, in ticks.
    lacks: u32,
}

/// The buckets of one rate.
#[derive(Debug)]
pub(super) struct Table {
    sets: Box<[Set]>,
    spread: Spread,
    /// A bucket that lacks no more has much left.
    loose: u32,
}

impl Table {
    /// Room for `2^bits` buckets, at least one set, at eight bytes each.
    pub(super) fn new(spread: Spread, bits: u32) -> Table {
        let sets = 1_usize << bits.saturating_sub(WAYS.trailing_zeros());
        let much = spread.interval.saturating_mul(MUCH);
        Table {
            sets: (0..sets).map(|_| Set::default()).collect(),
            spread,
            loose: (spread.window / 2).min(spread.window.saturating_sub(much)),
        }
    }

    /// Takes one from the bucket of the source with this hash. A source that is refused is charged nothing.
    ///
    /// # Errors
    /// In how many seconds it would be there, at least one.
    #[inline(always)]
    pub(super) fn take(&self, hash: u64, now: Nanos) -> Result<(), u32> {
        let Some(taking) = self.taking(hash, now)? else {
            return Ok(());
        };
        if taking.lacks <= self.loose {
            taking.place.store(taking.taken.0, Relaxed);
            return Ok(());
        }
        self.take_exactly(hash, now)
    }

    /// As [`Table::take`], and exact however much is left.
    ///
    /// # Errors
    /// As there.
    #[inline(never)]
    pub(super) fn take_exactly(&self, hash: u64, now: Nanos) -> Result<(), u32> {
        for _ in 0..TRIES {
            let Some(taking) = self.taking(hash, now)? else {
                return Ok(());
            };
            let (found, taken) = (taking.found.0, taking.taken.0);
            let changed = taking
                .place
                .compare_exchange(found, taken, Relaxed, Relaxed);
            if changed.is_ok() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// As [`Table::take`], and never exact: what other threads take while one does may be forgotten.
    ///
    /// # Errors
    /// As there.
    #[inline(always)]
    pub(super) fn take_loosely(&self, hash: u64, now: Nanos) -> Result<(), u32> {
        if let Some(Taking { place, taken, .. }) = self.taking(hash, now)? {
            place.store(taken.0, Relaxed);
        }
        Ok(())
    }

    /// What is to be written where, so that one is taken.
    #[inline(always)]
    fn taking(&self, hash: u64, now: Nanos) -> Result<Option<Taking<'_>>, u32> {
        let Some((set, owner)) = self.place(hash) else {
            return Ok(None);
        };
        let (spread, now) = (self.spread, self.spread.tick(now));
        let (place, found) = find(set, home(hash), owner, now);
        let lacks = if found.owner() == owner {
            found.lacks(now)
        } else {
            0
        };
        let then = lacks + spread.interval;
        if then > spread.window {
            return Err(spread.wait(then));
        }
        let taken = Bucket::new(owner, Tick(now.0.wrapping_add(then)));
        Ok(Some(Taking {
            place,
            found,
            taken,
            lacks: then,
        }))
    }

    /// Fills the bucket of the source with this hash.
    pub(super) fn forget(&self, hash: u64) {
        let Some((set, owner)) = self.place(hash) else {
            return;
        };
        for place in &set.0 {
            let found = place.load(Relaxed);
            if Bucket(found).owner() == owner {
                // One that has changed meanwhile is somebody's who asks again; it is no worse than without this.
                let _ = place.compare_exchange(found, 0, Relaxed, Relaxed);
            }
        }
    }

    /// Gives up the places of full buckets, before the ticks wrap and they seem to lack something.
    pub(super) fn sweep(&self, now: Nanos) {
        let now = self.spread.tick(now);
        for place in self.sets.iter().flat_map(|set| &set.0) {
            let found = place.load(Relaxed);
            if found != 0 && Bucket(found).lacks(now) == 0 {
                let _ = place.compare_exchange(found, 0, Relaxed, Relaxed);
            }
        }
    }

    /// The set of a hash, and what tells its owner from others there: never 0.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "a hash has bits enough")]
    fn place(&self, hash: u64) -> Option<(&Set, u32)> {
        let owner = ((hash >> 32) as u32).max(1);
        let index = hash as usize & self.sets.len().wrapping_sub(1);
        Some((self.sets.get(index)?, owner))
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        size_of_val(&*self.sets)
    }
}

/// The place in its set that a source takes if it can, so that it is mostly found at the first look.
#[inline]
const fn home(hash: u64) -> usize {
    (hash >> 61) as usize % WAYS
}

/// The bucket of the owner, or else the one that is nearest to full.
#[inline(always)]
fn find(set: &Set, home: usize, owner: u32, now: Tick) -> (&AtomicU64, Bucket) {
    let [first, ..] = &set.0;
    let place = present(set.0.get(home), "a home is one of the places").unwrap_or(first);
    let found = Bucket(place.load(Relaxed));
    if found.owner() == owner {
        return (place, found);
    }
    find_elsewhere(set, (place, found), owner, now)
}

#[inline(never)]
fn find_elsewhere<'a>(
    set: &'a Set,
    home: (&'a AtomicU64, Bucket),
    owner: u32,
    now: Tick,
) -> (&'a AtomicU64, Bucket) {
    for place in &set.0 {
        let found = Bucket(place.load(Relaxed));
        if found.owner() == owner {
            return (place, found);
        }
    }
    let mut nearest = home;
    for place in &set.0 {
        let found = Bucket(place.load(Relaxed));
        if found.lacks(now) < nearest.1.lacks(now) {
            nearest = (place, found);
        }
    }
    nearest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::limits::Rate;
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};
    use std::collections::HashMap;
    use std::sync::atomic::AtomicU32;
    use std::time::Duration;

    fn rate(text: &str) -> Rate {
        text.parse().unwrap()
    }

    fn table(text: &str, bits: u32) -> Table {
        Table::new(rate(text).spread(), bits)
    }

    /// Some number that is as good as a hash.
    fn hash(number: u64) -> u64 {
        let mixed = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    }

    /// Takes one, whether it is there or not.
    fn ask(table: &Table, hash: u64, now: Nanos) {
        let _ = table.take(hash, now);
    }

    fn at(millis: u64) -> Nanos {
        Duration::from_millis(millis).into()
    }

    /// A token bucket as the books have it, in nanoseconds of what it lacks.
    struct Model {
        interval: u128,
        burst: u128,
        by_source: HashMap<u64, (u128, u128)>,
    }

    impl Model {
        /// Whether one was there to be taken.
        fn take(&mut self, source: u64, now: Duration) -> bool {
            let now = now.as_nanos();
            let (lacks, since) = self.by_source.get(&source).copied().unwrap_or((0, now));
            let lacks = lacks.saturating_sub(now - since) + self.interval;
            let is_there = lacks <= self.interval * self.burst;
            if is_there {
                self.by_source.insert(source, (lacks, now));
            }
            is_there
        }
    }

    proptest! {
        /// O8: agrees with an exact model where the ticks are exact, whatever comes when.
        #[test]
        fn buckets_agree_with_an_exact_model(
            burst in 1_u32..20,
            count in 1_u32..200,
            steps in proptest::collection::vec((0_u64..5, 0_u64..2_000), 1..400),
        ) {
            // A request takes 1,024 ticks of 1,024 ns, and time goes by whole ticks.
            let spread = Spread { shift: 10, interval: 1 << 10, window: burst << 10 };
            let table = Table::new(spread, 6);
            let mut model = Model {
                interval: 1 << 20,
                burst: burst.into(),
                by_source: HashMap::new(),
            };
            let mut now = Duration::from_secs(7);
            for (source, step) in steps {
                now += Duration::from_nanos(step * 1_024 * u64::from(count));
                let expected = model.take(source, now);
                prop_assert_eq!(table.take(hash(source), now.into()).is_ok(), expected);
            }
        }

        /// O8: whoever keeps to a rate as it is written is never refused, and a bucket gives hardly more than it should.
        #[test]
        fn nobody_is_refused_whom_the_rate_allows(
            burst in 1_u32..1_000,
            count in 1_u32..10_000,
            unit in 0_usize..3,
            steps in proptest::collection::vec((0_u64..3, 0_u64..4_000), 1..400),
        ) {
            let unit = ["s", "min", "h"][unit];
            let Ok(rate) = format!("{count}/{unit} {burst}").parse::<Rate>() else {
                return Ok(());
            };
            let table = Table::new(rate.spread(), 6);
            let nanos = match unit { "s" => 1_000_000_000, "min" => 60_000_000_000, _ => 3_600_000_000_000_u64 };
            // As long as the rate says at least, so that the model is never the laxer one.
            let mut model = Model {
                interval: u128::from(nanos.div_ceil(count.into())),
                burst: burst.into(),
                by_source: HashMap::new(),
            };
            let (mut now, mut given) = (Duration::from_secs(3), 0_u64);
            let begun = now;
            for (source, step) in steps {
                now += Duration::from_nanos(step * (nanos / u64::from(count)) / 1_000);
                let may = model.take(source, now);
                let did = table.take(hash(source), now.into()).is_ok();
                prop_assert!(did || !may);
                given += u64::from(did && source == 0);
            }
            let gone = u64::try_from((now - begun).as_nanos()).unwrap();
            let most = u64::from(burst) + 1 + gone * u64::from(count) / nanos * 41 / 40 + 1;
            prop_assert!(given <= most, "{} of {}", given, most);
        }
    }

    /// O8: 10⁶ requests of 10,000 sources that keep to their rate, among as many of attackers from 200,000 addresses.
    #[test]
    fn of_a_million_honest_requests_none_is_refused_among_attackers() {
        let table = table("5/s 20", 17);
        let mut refused = 0;
        let mut attacker = fastrand::Rng::with_seed(7);
        for round in 0..100_u64 {
            for source in 0..10_000_u64 {
                // Each source comes every 200 ms, some of them in bursts of 20 every four seconds.
                let is_bursty = source % 4 == 0;
                let is_due = !is_bursty || round % 20 == source / 4 % 20;
                let now = Duration::from_millis(round * 200) + Duration::from_micros(source * 20);
                let now = now.into();
                let count = if !is_due {
                    0
                } else if is_bursty {
                    20
                } else {
                    1
                };
                for _ in 0..count {
                    refused += u32::from(table.take(hash(source), now).is_err());
                }
                let other = 1_000_000 + attacker.u64(..200_000);
                ask(&table, hash(other), now);
                // One of them alone sends more than all others.
                ask(&table, hash(999_999), now);
            }
        }
        assert_eq!(refused, 0);
        assert!(table.take(hash(999_999), at(19_999)).is_err());
    }

    /// O8: who is refused is charged nothing, and told when to come again.
    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let (table, slow) = (table("2/s 5", 10), table("6/min 2", 10));
        let given = |now| (0..100).filter(|_| table.take(7, now).is_ok()).count();
        assert_eq!(given(at(1_000)), 5);
        assert_eq!(given(at(1_400)), 0);
        assert_eq!(given(at(1_501)), 1);
        assert_eq!(given(at(2_502)), 2);
        assert_eq!(given(at(60_000)), 5);
        assert_eq!(table.take(7, at(60_000)), Err(1));
        assert_eq!(slow.take(7, at(0)), Ok(()));
        assert_eq!(slow.take(7, at(0)), Ok(()));
        assert_eq!(slow.take(7, at(1_500)), Err(9));
        slow.forget(7);
        assert_eq!(slow.take(7, at(1_500)), Ok(()));
    }

    /// O8: the sources of a flood take places from one another, and not from who has used up the most.
    #[test]
    fn a_flood_of_sources_does_not_free_a_heavy_one() {
        let table = table("1/s 50", 10);
        let heavy = hash(1);
        let mut given = 0;
        for round in 0..1_000_u64 {
            given += u32::from(table.take(heavy, at(round)).is_ok());
            for other in 0..100 {
                ask(&table, hash(1_000 + round * 100 + other), at(round));
            }
        }
        assert!((50..=52).contains(&given), "{given}");
    }

    /// O8: a bucket is not taken for an empty one when the ticks have wrapped.
    #[test]
    fn what_is_swept_is_full_and_what_lacks_something_stays() {
        let table = table("1/s 4", 6);
        for source in 0..40 {
            (0..4).for_each(|_| ask(&table, hash(source), at(0)));
        }
        table.sweep(at(2_000));
        let left = |table: &Table| {
            let all = table.sets.iter().flat_map(|set| &set.0);
            all.filter(|place| place.load(Relaxed) != 0).count()
        };
        assert!(left(&table) > 0);
        table.sweep(at(5_000));
        assert_eq!(left(&table), 0);
        // Where nobody swept, a reading of long ago is none either.
        let wrap = Duration::from_nanos(1 << (32 + table.spread.shift));
        (0..4).for_each(|_| ask(&table, 7, at(0)));
        assert_eq!(table.take(7, (wrap / 2).into()), Ok(()));
    }

    /// O8: all workers share a bucket.
    #[test]
    fn threads_together_get_what_one_would() {
        // Fewer than a change is tried for, so that no thread gives up.
        let table = table("1/h 12", 10);
        let given = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1_000 {
                        given.fetch_add(u32::from(table.take(7, at(1_000)).is_ok()), Relaxed);
                    }
                });
            }
        });
        assert_eq!(given.into_inner(), 12);
    }

    /// O8: what two threads take at once from a bucket with much left may count as one, and it comes to an end all the same.
    #[test]
    fn threads_together_use_up_a_bucket_with_much_left() {
        let table = table("1/h 24", 10);
        assert_eq!(table.loose, 8 * table.spread.interval);
        let given = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1_000 {
                        given.fetch_add(u32::from(table.take(7, at(1_000)).is_ok()), Relaxed);
                    }
                });
            }
        });
        // Four thousand ask. A thread that is put aside between its two steps gives some back to all.
        let given = given.into_inner();
        assert!((24..1_000).contains(&given), "{given}");
        assert!(table.take(7, at(1_000)).is_err());
    }

    #[test]
    fn a_table_takes_eight_bytes_a_bucket() {
        assert_eq!(table("1/s 1", 17).bytes(), 1 << 20);
        assert_eq!(align_of::<Set>(), 64);
    }
}
