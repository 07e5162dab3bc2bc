//! Requests as they are answered, for whoever watches the running tracker (O30): a way out of the path of requests that costs nobody
//! anything while nobody watches, and waits for nobody when somebody does.
//!
//! Who answers has a [`Tap`] and looks at one number. While somebody watches, announces are compared with what is wanted, as numbers; of
//! those that may be wanted, and of scrapes, the filters are asked first, then the rates; only what passes
//! both is copied, without secrets (`hidden`), into a queue of a bounded length. What finds no room there is counted, and so is what
//! came faster than it may be told; the watcher is told of both. Nothing here knows a protocol, or who may watch.

mod filter;
mod hidden;
mod observed;
mod pace;

use std::net::IpAddr;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, Cache};
use crossbeam_utils::CachePadded;

use crate::clock::Clock;
use crate::tracker::{InfoHash, PeerId};
pub use filter::{Filter, Kind, Subject};
use filter::{Sieve, Sifted};
pub use hidden::{Parameter, ShownQuery, host, path, query, user_agent};
pub use observed::{Announced, Answer, Asked, Observed, Peers, Scraped, Source, Transport};
use pace::Pace;

/// Watchers at a time.
pub const MOST_WATCHERS: usize = 4;
/// Requests told in any second, over all watchers.
pub const MOST_PER_SECOND: u32 = 1_000;
/// Requests that wait for one watcher at most: half a megabyte, with the longest queries.
const QUEUE: usize = 256;

/// Somebody who watches.
#[derive(Debug)]
struct Watcher {
    filter: Filter,
    pace: Pace,
    queue: SyncSender<Arc<Observed>>,
    dropped: AtomicU64,
    skipped: AtomicU64,
}

/// More than [`MOST_WATCHERS`], a power of two.
const GENERATION: usize = 8;
const _: () = assert!(MOST_WATCHERS < GENERATION);

type Watchers = Vec<Arc<Watcher>>;

/// What is told from here on, or was until now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Watchers at the moment.
    pub watchers: usize,
    /// Requests put into queues.
    pub told: u64,
    /// Requests for which there was no room, because their watcher reads slowly.
    pub dropped: u64,
    /// Requests that came faster than they may be told.
    pub skipped: u64,
    /// Watchers that were refused.
    pub refused: u64,
}

/// Why nobody more can watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There are [`MOST_WATCHERS`].
    #[error("{MOST_WATCHERS} watch already")]
    TooMany,
    /// The process is about to end.
    #[error("the tracker stops")]
    Stopping,
}

/// Who watches, and what they missed.
#[derive(Debug)]
pub struct Watch {
    clock: Clock,
    /// Nothing while nobody watches, which is all that a request looks at; else how many do in the lowest digit (of base
    /// [`GENERATION`]), and above it how often that has changed.
    open: CachePadded<AtomicUsize>,
    watchers: Arc<ArcSwap<Watchers>>,
    /// How often the watchers have changed; held while somebody begins or ends.
    changes: Mutex<usize>,
    pace: Pace,
    told: AtomicU64,
    dropped: AtomicU64,
    skipped: AtomicU64,
    refused: AtomicU64,
    is_over: AtomicBool,
}

impl Watch {
    /// Nobody watches yet.
    pub fn new(clock: Clock) -> Watch {
        Watch {
            clock,
            open: CachePadded::default(),
            watchers: Arc::default(),
            changes: Mutex::default(),
            pace: Pace::new(MOST_PER_SECOND),
            told: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        }
    }

    /// Begins to watch what the filter lets through, at most `per_second` (from 1 to [`MOST_PER_SECOND`]) in any second; until the
    /// [`Watching`] is dropped.
    ///
    /// # Errors
    /// [`Refused`], counted.
    pub fn begin(self: &Arc<Self>, filter: Filter, per_second: u32) -> Result<Watching, Refused> {
        let (queue, events) = sync_channel(QUEUE);
        let watcher = Arc::new(Watcher {
            filter,
            pace: Pace::new(per_second.min(MOST_PER_SECOND)),
            queue,
            dropped: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
        });
        self.change(|watchers| {
            // Asked with the lock held: `close` waits for it, and so ends whoever has come in.
            if self.is_over() {
                return Err(Refused::Stopping);
            }
            if watchers.len() >= MOST_WATCHERS {
                return Err(Refused::TooMany);
            }
            watchers.push(Arc::clone(&watcher));
            Ok(())
        })
        .inspect_err(|_| {
            self.refused.fetch_add(1, Relaxed);
        })?;
        Ok(Watching {
            watch: Arc::clone(self),
            watcher,
            events,
        })
    }

    fn change<T>(&self, change: impl FnOnce(&mut Watchers) -> T) -> T {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        *changes = changes.wrapping_add(1);
        let mut watchers = Watchers::clone(&self.watchers.load());
        let changed = change(&mut watchers);
        let count = watchers.len();
        self.watchers.store(Arc::new(watchers));
        let open = changes.wrapping_mul(GENERATION) | count;
        // Whoever sees the number finds the watchers that it counts.
        self.open.store(if count == 0 { 0 } else { open }, Release);
        drop(changes);
        changed
    }

    /// Lets nobody watch any more: who does sees that it [is over](Watch::is_over).
    pub fn close(&self) {
        self.change(|_| self.is_over.store(true, Relaxed));
    }

    /// Whether the process is about to end.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Relaxed)
    }

    /// How many watch, and what was told and not told since the start.
    pub fn counts(&self) -> Counts {
        Counts {
            watchers: self.open.load(Relaxed) % GENERATION,
            told: self.told.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            skipped: self.skipped.load(Relaxed),
            refused: self.refused.load(Relaxed),
        }
    }

    /// Offers a request that the watcher's filter has let through; it is put together by `observe`, once for all watchers.
    fn offer(&self, watcher: &Watcher, now: Duration, observe: &mut dyn FnMut() -> Arc<Observed>) {
        if !watcher.pace.admits(now) || !self.pace.admits(now) {
            watcher.skipped.fetch_add(1, Relaxed);
            self.skipped.fetch_add(1, Relaxed);
        } else if watcher.queue.try_send(observe()).is_ok() {
            self.told.fetch_add(1, Relaxed);
        } else {
            watcher.dropped.fetch_add(1, Relaxed);
            self.dropped.fetch_add(1, Relaxed);
        }
    }
}

/// The end of a watcher.
#[derive(Debug)]
pub struct Watching {
    watch: Arc<Watch>,
    watcher: Arc<Watcher>,
    events: Receiver<Arc<Observed>>,
}

/// What a watcher was not told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Missed {
    /// Requests for which there was no room: it reads slowly.
    pub dropped: u64,
    /// Requests that came faster than it wanted, or than may be told in all.
    pub skipped: u64,
}

impl Watching {
    /// The next request that waits; never waits itself.
    pub fn next_event(&self) -> Option<Arc<Observed>> {
        self.events.try_recv().ok()
    }

    /// What was missed since this was last asked; nothing when that is nothing.
    pub fn missed(&self) -> Option<Missed> {
        let missed = Missed {
            dropped: self.watcher.dropped.swap(0, Relaxed),
            skipped: self.watcher.skipped.swap(0, Relaxed),
        };
        (missed != Missed::default()).then_some(missed)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let own = &self.watcher;
        self.watch
            .change(|watchers| watchers.retain(|watcher| !Arc::ptr_eq(watcher, own)));
    }
}

/// The end of whoever answers requests: one for each thread.
#[derive(Debug)]
pub struct Tap {
    watch: Arc<Watch>,
    latest: Cache<Arc<ArcSwap<Watchers>>, Arc<Watchers>>,
    /// What the watchers want of announces, and the value of [`Watch::open`] that it is of.
    sieves: Vec<Sieve>,
    sieved: usize,
}

/// Where nobody can watch.
impl Default for Tap {
    fn default() -> Tap {
        Tap::new(&Arc::new(Watch::new(Clock::start())))
    }
}

impl Tap {
    /// Tells whoever watches by `watch`.
    pub fn new(watch: &Arc<Watch>) -> Tap {
        Tap {
            watch: Arc::clone(watch),
            latest: Cache::new(Arc::clone(&watch.watchers)),
            sieves: Vec::new(),
            sieved: 0,
        }
    }

    /// Whether anybody watches. Asked for each request; the rest only when somebody does.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.watch.open.load(Relaxed) != 0
    }

    /// Whether anybody may want to see this announce. Asked for each announce while somebody watches, so that who is not wanted pays
    /// a few comparisons of numbers.
    #[inline]
    pub fn may_want_announce(
        &mut self,
        ip: IpAddr,
        info_hash: &InfoHash,
        peer_id: &PeerId,
    ) -> bool {
        if self.watch.open.load(Relaxed) != self.sieved {
            self.sieve();
        }
        let announce = Sifted::new(ip, info_hash, peer_id);
        self.sieves.iter().any(|sieve| sieve.admits(&announce))
    }

    #[cold]
    fn sieve(&mut self) {
        self.sieved = self.watch.open.load(Acquire);
        let watchers = self.latest.load().iter();
        self.sieves = watchers
            .filter_map(|watcher| Sieve::of(&watcher.filter))
            .collect();
    }

    /// Whether anybody may want to see a request of this address, as far as can be said without reading it.
    pub fn may_want(&mut self, kind: Kind, ip: IpAddr) -> bool {
        let watchers = self.latest.load();
        watchers
            .iter()
            .any(|watcher| watcher.filter.may_match(kind, ip))
    }

    /// Tells the watchers whose filters and rates the request passes. `observe` is given the time in Unix milliseconds, and is called
    /// only when there is one.
    pub fn tell(&mut self, subject: &Subject<'_>, observe: impl FnOnce(u64) -> Observed) {
        let clock = self.watch.clock;
        self.tell_at(|| clock.elapsed(), subject, || observe(clock.wall_millis()));
    }

    /// The clock is looked at for whoever is wanted only.
    fn tell_at(
        &mut self,
        now: impl Fn() -> Duration,
        subject: &Subject<'_>,
        observe: impl FnOnce() -> Observed,
    ) {
        let mut observe = Some(observe);
        let mut observed: Option<Arc<Observed>> = None;
        let mut looked = None;
        for watcher in self.latest.load().iter() {
            if !watcher.filter.matches(subject) {
                continue;
            }
            let now = *looked.get_or_insert_with(&now);
            self.watch.offer(watcher, now, &mut || {
                let known = observed.take();
                let known = known.or_else(|| observe.take().map(|observe| Arc::new(observe())));
                let known = known.unwrap_or_default();
                observed = Some(Arc::clone(&known));
                known
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch() -> Arc<Watch> {
        Arc::new(Watch::new(Clock::start()))
    }

    fn subject<'a>(asks_for: &'a dyn Fn(&InfoHash) -> bool) -> Subject<'a> {
        Subject {
            kind: Kind::Announce,
            ip: "192.0.2.1".parse().unwrap(),
            peer_id: Some(PeerId(*b"-qB4520-abcdefghijkl")),
            asks_for,
        }
    }

    fn numbered(number: u64) -> Observed {
        Observed {
            time_ms: number,
            ..Observed::default()
        }
    }

    /// Everything that waits.
    fn taken(watching: &Watching) -> Vec<u64> {
        std::iter::from_fn(|| watching.next_event())
            .map(|event| event.time_ms)
            .collect()
    }

    /// O30: what is told, what finds no room and what came too fast are all that there was.
    #[test]
    fn a_watcher_that_reads_nothing_has_a_bounded_queue_and_is_told_what_it_missed() {
        let watch = watch();
        let mut tap = Tap::new(&watch);
        assert!(!tap.is_on());
        let watching = watch.begin(Filter::default(), MOST_PER_SECOND).unwrap();
        assert!(tap.is_on());
        let all = |_: &InfoHash| true;
        let mut made = 0;
        for second in 0..3 {
            for _ in 0..10_000 {
                let now = Duration::from_secs(second);
                tap.tell_at(
                    || now,
                    &subject(&all),
                    || {
                        made += 1;
                        numbered(made)
                    },
                );
            }
        }
        let counts = watch.counts();
        assert_eq!(counts.told, QUEUE as u64);
        assert_eq!(counts.told + counts.dropped + counts.skipped, 30_000);
        assert!(counts.dropped > 0 && made <= 3 * u64::from(MOST_PER_SECOND));
        assert_eq!(taken(&watching), (1..=QUEUE as u64).collect::<Vec<_>>());
        let missed = watching.missed().unwrap();
        let (dropped, skipped) = (counts.dropped, counts.skipped);
        assert_eq!(missed, Missed { dropped, skipped });
        assert_eq!(watching.missed(), None);
        drop(watching);
        assert!(!tap.is_on());
        tap.tell_at(|| Duration::from_secs(9), &subject(&all), || numbered(0));
        assert_eq!(
            watch.counts(),
            Counts {
                watchers: 0,
                ..counts
            }
        );
    }

    /// O30: the rate of a watcher and that of all together.
    #[test]
    fn no_second_tells_more_than_a_thousand_over_all_watchers() {
        let watch = watch();
        let mut tap = Tap::new(&watch);
        let fast: Vec<Watching> = (0..3)
            .map(|_| watch.begin(Filter::default(), MOST_PER_SECOND).unwrap())
            .collect();
        let slow = watch.begin(Filter::default(), 1).unwrap();
        assert_eq!(
            watch.begin(Filter::default(), 1).err(),
            Some(Refused::TooMany)
        );
        let all = |_: &InfoHash| true;
        let (mut told, mut of_slow) = (0, 0);
        for tenth_of_ms in 0..10_000 {
            let now = Duration::from_micros(tenth_of_ms * 100);
            tap.tell_at(|| now, &subject(&all), || numbered(0));
            for watching in &fast {
                told += taken(watching).len();
            }
            of_slow += taken(&slow).len();
        }
        assert_eq!(of_slow, 1);
        assert!((900..=1_000).contains(&(told + of_slow)), "{told}");
        assert_eq!(watch.counts().dropped, 0);
        assert_eq!(watch.counts().refused, 1);
    }

    /// O30
    #[test]
    fn a_request_is_put_together_once_and_only_for_those_who_want_it() {
        let watch = watch();
        let mut tap = Tap::new(&watch);
        let kind = |kind| Filter {
            kind: Some(kind),
            ..Filter::default()
        };
        let scrapes = watch.begin(kind(Kind::Scrape), 10).unwrap();
        let all = |_: &InfoHash| true;
        assert!(!tap.may_want(Kind::Announce, "192.0.2.1".parse().unwrap()));
        tap.tell_at(
            || Duration::ZERO,
            &subject(&all),
            || panic!("nobody wants it"),
        );
        let announces = [(); 2].map(|()| watch.begin(kind(Kind::Announce), 10).unwrap());
        assert!(tap.may_want(Kind::Announce, "192.0.2.1".parse().unwrap()));
        tap.tell_at(|| Duration::ZERO, &subject(&all), || numbered(7));
        assert!(announces.iter().all(|watching| taken(watching) == [7]));
        assert!(taken(&scrapes).is_empty());
    }

    /// O30
    #[test]
    fn what_is_wanted_of_announces_follows_the_watchers() {
        let watch = watch();
        let mut tap = Tap::new(&watch);
        let mut wants = |hash: u8| {
            let ip = "192.0.2.1".parse().unwrap();
            tap.is_on() && tap.may_want_announce(ip, &InfoHash([hash; 20]), &PeerId([1; 20]))
        };
        let of = |hash: u8| Filter {
            info_hash: Some(InfoHash([hash; 20])),
            ..Filter::default()
        };
        assert!(!wants(7));
        let first = watch.begin(of(7), 1).unwrap();
        assert!(wants(7) && !wants(8));
        let second = watch.begin(of(8), 1).unwrap();
        assert!(wants(7) && wants(8) && !wants(9));
        drop(first);
        assert!(!wants(7) && wants(8));
        // As many as before, and others.
        let third = watch.begin(of(9), 1).unwrap();
        drop(second);
        assert!(!wants(8) && wants(9));
        assert_eq!(watch.counts().watchers, 1);
        drop(third);
        assert!(!wants(9));
        assert_eq!(watch.counts().watchers, 0);
    }

    /// O30
    #[test]
    fn nobody_begins_to_watch_a_tracker_that_stops() {
        let watch = watch();
        let watching = watch.begin(Filter::default(), 1).unwrap();
        watch.close();
        assert!(watch.is_over());
        assert_eq!(
            watch.begin(Filter::default(), 1).err(),
            Some(Refused::Stopping)
        );
        drop(watching);
        assert_eq!(watch.counts().watchers, 0);
    }
}
