//! How many connections are held, in all and from each address, and which of them goes when another needs its place; and the
//! limit on open files that they share with the rest.
//!
//! Only connections that outlive their first reading are held: one that is answered and closed at once costs nothing here. At a
//! bound a request that is under way outranks a connection that is only kept: the one that has been silent longest gives way, of
//! the same address or of all, whichever bound it is. People who run the tracker have some places that nobody else can take.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustix::net::Shutdown;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::wheel::Tick;
use crate::metrics::{Gauge, Metrics};
use crate::tracker::subscriber;

/// Places beyond the bound in all that only connections of admin networks get.
const ADMIN_PLACES: usize = 32;

/// Files that are kept free: for the database, logs, pages and listeners, and for [`ADMIN_PLACES`].
const SPARE_FILES: usize = 128 + ADMIN_PLACES;

/// More open files than this are not asked for; some systems know no end, and tables grow with the limit.
const MOST_FILES: u64 = 1 << 20;

/// Connections held by all workers.
#[derive(Debug)]
pub(super) struct Holds {
    /// Taken when a connection begins and ends to be held and when it rests for the first time, never per request.
    places: Mutex<Places>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Places {
    /// Held, but for those in the places of admins.
    ordinary: usize,
    /// Held in the places of admins.
    reserved: usize,
    by_address: HashMap<IpAddr, Vec<Arc<Place>>, foldhash::fast::RandomState>,
    /// Those that have rested, by when that began and their number. A place that has worked since then stands where it was
    /// and is put right when its turn comes, so that a request costs nothing here.
    resting: BTreeMap<(u64, u64), Arc<Place>>,
    numbers: u64,
}

/// Where one connection is held.
#[derive(Debug)]
struct Place {
    number: u64,
    /// Whom it counts for, when that is bounded.
    address: Option<IpAddr>,
    is_reserved: bool,
    /// The tick since which it rests, [`AT_WORK`] or [`GIVEN_AWAY`].
    state: AtomicU64,
    /// Its key among the resting, or [`UNLISTED`]. Changed under the lock only.
    listed: AtomicU64,
    /// To be shut when the place is given away; the connection itself is its worker's.
    socket: Weak<OwnedFd>,
}

/// A request is under way.
const AT_WORK: u64 = u64::MAX;
/// Another connection has the place.
const GIVEN_AWAY: u64 = u64::MAX - 1;
/// Not among the resting.
const UNLISTED: u64 = u64::MAX;

/// One connection held; gives its place back when dropped.
#[derive(Debug)]
pub struct Hold {
    holds: Arc<Holds>,
    place: Arc<Place>,
}

/// The bounds on held connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// In all.
    pub(super) total: usize,
    /// From one address; `None` for any number.
    pub(super) per_address: Option<u32>,
    /// Whether the places of admins are open to it.
    pub(super) is_admin: bool,
}

/// What a place is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A request that is under way: one that rests gives way.
    Work,
    /// To be kept when all is answered: nobody gives way.
    Rest,
}

impl Holds {
    pub(super) fn new(metrics: Arc<Metrics>) -> Holds {
        Holds {
            places: Mutex::default(),
            metrics,
        }
    }

    /// Takes a place for a connection of `ip` (canonical); `None` when a bound is reached and nobody gives way. Costs the
    /// logarithm of the connections held, beside a look at all of the address when that has too many.
    pub(super) fn take(
        self: &Arc<Self>,
        ip: IpAddr,
        socket: &Arc<OwnedFd>,
        bounds: Bounds,
        purpose: Purpose,
    ) -> Option<Hold> {
        let mut given_away = Vec::new();
        let place = {
            let mut places = self.lock();
            let mut gives_way = |found: Option<Arc<Place>>, places: &mut Places| {
                let found = found.filter(|_| purpose == Purpose::Work)?;
                if !found.is_given_away() {
                    return None;
                }
                places.release(&found);
                self.metrics.lower(Gauge::Connections, 1);
                given_away.push(found);
                Some(())
            };
            let address = bounds.per_address.map(|_| subscriber(ip));
            if let (Some(address), Some(most)) = (address, bounds.per_address) {
                let held = places.by_address.get(&address).map_or(0, Vec::len);
                if held >= usize::try_from(most).unwrap_or(usize::MAX) {
                    let longest = places.longest_of(&address);
                    gives_way(longest, &mut places)?;
                }
            }
            let mut is_reserved = false;
            if places.ordinary >= bounds.total {
                let longest = (purpose == Purpose::Work).then(|| places.longest());
                if gives_way(longest.flatten(), &mut places).is_none() {
                    is_reserved = bounds.is_admin
                        && purpose == Purpose::Work
                        && places.reserved < ADMIN_PLACES;
                    if !is_reserved {
                        return None;
                    }
                }
            }
            self.metrics.raise(Gauge::Connections, 1);
            places.add(address, is_reserved, socket)
        };
        for socket in given_away.iter().filter_map(|place| place.socket.upgrade()) {
            // Its worker sees the end of it and closes it. One that is gone by now needs no end.
            let _ = rustix::net::shutdown(&socket, Shutdown::Both);
        }
        Some(Hold {
            holds: Arc::clone(self),
            place,
        })
    }

    /// How many are held, but for those in the places of admins.
    pub(super) fn held(&self) -> usize {
        self.lock().ordinary
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    fn add(
        &mut self,
        address: Option<IpAddr>,
        is_reserved: bool,
        socket: &Arc<OwnedFd>,
    ) -> Arc<Place> {
        self.numbers += 1;
        let place = Arc::new(Place {
            number: self.numbers,
            address,
            is_reserved,
            state: AtomicU64::new(AT_WORK),
            listed: AtomicU64::new(UNLISTED),
            socket: Arc::downgrade(socket),
        });
        if let Some(address) = address {
            let all = self.by_address.entry(address).or_default();
            all.push(Arc::clone(&place));
        }
        *self.count(is_reserved) += 1;
        place
    }

    /// Takes a place out of every list and count.
    fn release(&mut self, place: &Place) {
        let count = self.count(place.is_reserved);
        *count = count.saturating_sub(1);
        self.unlist(place);
        let Some(address) = place.address else {
            return;
        };
        if let Some(all) = self.by_address.get_mut(&address) {
            all.retain(|other| other.number != place.number);
            if all.is_empty() {
                self.by_address.remove(&address);
            }
        }
    }

    fn count(&mut self, is_reserved: bool) -> &mut usize {
        if is_reserved {
            &mut self.reserved
        } else {
            &mut self.ordinary
        }
    }

    fn list(&mut self, place: &Arc<Place>, since: u64) {
        place.listed.store(since, Relaxed);
        let key = (since, place.number);
        self.resting.insert(key, Arc::clone(place));
    }

    fn unlist(&mut self, place: &Place) {
        let since = place.listed.swap(UNLISTED, Relaxed);
        self.resting.remove(&(since, place.number));
    }

    /// The one of an address that has rested longest.
    fn longest_of(&self, address: &IpAddr) -> Option<Arc<Place>> {
        let all = self.by_address.get(address)?.iter();
        let resting = all.filter_map(|place| Some((place.rests_since()?, place)));
        let longest = resting.min_by_key(|(since, place)| (*since, place.number));
        longest.map(|(_, place)| Arc::clone(place))
    }

    /// The one of all that has rested longest. Whatever has worked since it was listed is put right on the way: every request
    /// is paid for once at most.
    fn longest(&mut self) -> Option<Arc<Place>> {
        let mut looks = 0..self.resting.len() * 2;
        while looks.next().is_some() {
            let ((listed, _), place) = self.resting.pop_first()?;
            place.listed.store(UNLISTED, Relaxed);
            match place.rests_since() {
                Some(since) if since <= listed => return Some(place),
                Some(since) => self.list(&place, since),
                None => {}
            }
        }
        None
    }
}

impl Place {
    /// The tick since which it rests, if it does.
    fn rests_since(&self) -> Option<u64> {
        let state = self.state.load(SeqCst);
        (state < GIVEN_AWAY).then_some(state)
    }

    /// Gives it away if it rests still.
    fn is_given_away(&self) -> bool {
        self.rests_since().is_some_and(|since| {
            let gives = self
                .state
                .compare_exchange(since, GIVEN_AWAY, SeqCst, SeqCst);
            gives.is_ok()
        })
    }
}

impl Hold {
    /// Says that bytes have come; whether the place is still this connection's.
    pub(super) fn works(&self) -> bool {
        let state = &self.place.state;
        let before = state.swap(AT_WORK, SeqCst);
        if before == GIVEN_AWAY {
            state.store(GIVEN_AWAY, SeqCst);
        }
        before != GIVEN_AWAY
    }

    /// Says that no request is under way.
    pub(super) fn rests(&self, now: Tick) {
        let since = now.number();
        self.place.state.store(since, SeqCst);
        if self.place.listed.load(Relaxed) == UNLISTED && !self.place.is_reserved {
            let mut places = self.holds.lock();
            // Under the lock: it may have been given away meanwhile, and then it is in no list any more.
            if self.place.state.load(SeqCst) == since {
                places.list(&self.place, since);
            }
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut places = self.holds.lock();
        // Whoever gave it away has released it, under the same lock.
        if self.place.state.swap(GIVEN_AWAY, SeqCst) != GIVEN_AWAY {
            places.release(&self.place);
            self.holds.metrics.lower(Gauge::Connections, 1);
        }
    }
}

/// Raises the soft limit on open files to the hard one and returns how many connections it leaves room for. Says so when
/// that is less than `wanted` (0: nothing is wanted in particular).
pub(super) fn connection_limit(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let hard = limit.maximum.unwrap_or(MOST_FILES).min(MOST_FILES);
    if limit.current.is_some_and(|soft| soft < hard) {
        let raised = Rlimit {
            current: Some(hard),
            maximum: limit.maximum,
        };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            log::warn!("the limit on open files cannot be raised to {hard}: {error}");
        }
    }
    let files = getrlimit(Resource::Nofile).current.unwrap_or(MOST_FILES);
    let files = usize::try_from(files).unwrap_or(usize::MAX);
    let room = files.saturating_sub(SPARE_FILES).max(16);
    if wanted == 0 {
        return room;
    }
    if wanted > room {
        log::error!(
            "max_connections = {wanted} needs a limit of {} open files (LimitNOFILE), but it is {files}; {room} connections are held at most",
            wanted.saturating_add(SPARE_FILES),
        );
    }
    wanted.min(room)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, socketpair};
    use std::time::Duration;

    fn holds() -> Arc<Holds> {
        Arc::new(Holds::new(Arc::new(Metrics::new(0))))
    }

    const BOUNDS: Bounds = Bounds {
        total: 10,
        per_address: Some(2),
        is_admin: false,
    };

    /// A connection that is held, and its other end.
    struct Held {
        _near: Arc<OwnedFd>,
        far: OwnedFd,
        hold: Hold,
    }

    impl Held {
        fn is_shut(&self) -> bool {
            let mut byte = [0];
            let read = rustix::net::recv(&self.far, &mut byte, RecvFlags::DONTWAIT);
            matches!(read, Ok((0, _)))
        }

        fn rests(self, at: u64) -> Held {
            self.hold.rests(Tick::at(Duration::from_millis(100 * at)));
            self
        }
    }

    fn take(holds: &Arc<Holds>, ip: &str, bounds: Bounds, purpose: Purpose) -> Option<Held> {
        let flags = SocketFlags::CLOEXEC;
        let (near, far) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        let near = Arc::new(near);
        let hold = holds.take(ip.parse().unwrap(), &near, bounds, purpose)?;
        Some(Held {
            _near: near,
            far,
            hold,
        })
    }

    fn work(holds: &Arc<Holds>, ip: &str) -> Option<Held> {
        take(holds, ip, BOUNDS, Purpose::Work)
    }

    fn is_empty(holds: &Holds) -> bool {
        let places = holds.lock();
        places.by_address.is_empty()
            && places.resting.is_empty()
            && (places.ordinary, places.reserved) == (0, 0)
            && holds.metrics.gauge(Gauge::Connections) == 0
    }

    #[test]
    fn places_are_bounded_per_address_and_given_back() {
        let holds = holds();
        let first = work(&holds, "2001:db8::1").unwrap();
        let _second = work(&holds, "2001:db8::ffff").unwrap();
        assert!(work(&holds, "2001:db8::1").is_none());
        let _third = work(&holds, "2001:db8:0:1::1").unwrap();
        drop(first);
        assert!(work(&holds, "2001:db8::1").is_some());
        assert_eq!(holds.metrics.gauge(Gauge::Connections), 2);
    }

    #[test]
    fn places_are_bounded_in_all_and_nothing_is_left_behind() {
        let holds = holds();
        let bounds = Bounds { total: 3, ..BOUNDS };
        let taken: Vec<_> = (0..5_u8)
            .filter_map(|last| take(&holds, &format!("10.0.0.{last}"), bounds, Purpose::Work))
            .collect();
        assert_eq!(taken.len(), 3);
        drop(taken);
        assert!(is_empty(&holds));
        let unlimited = Bounds {
            per_address: None,
            ..bounds
        };
        assert!(take(&holds, "10.0.0.1", unlimited, Purpose::Rest).is_some());
    }

    /// R30
    #[test]
    fn the_longest_resting_of_an_address_gives_way_to_work_and_to_nothing_else() {
        let holds = holds();
        let newer = work(&holds, "10.0.0.1").unwrap().rests(7);
        let older = work(&holds, "10.0.0.1").unwrap().rests(5);
        let other = work(&holds, "10.0.0.2").unwrap().rests(1);
        assert!(take(&holds, "10.0.0.1", BOUNDS, Purpose::Rest).is_none());
        let newest = work(&holds, "10.0.0.1").unwrap();
        assert!(older.is_shut() && !newer.is_shut() && !other.is_shut());
        assert!(!older.hold.works() && newer.hold.works());
        // Nobody rests there any more.
        assert!(work(&holds, "10.0.0.1").is_none());
        assert_eq!(holds.metrics.gauge(Gauge::Connections), 3);
        drop((newer, older, other, newest));
        assert!(is_empty(&holds));
    }

    /// R30
    #[test]
    fn the_longest_resting_of_all_gives_way_by_when_it_worked_last() {
        let holds = holds();
        let bounds = Bounds { total: 4, ..BOUNDS };
        let held = |last: u8| {
            let ip = format!("10.0.0.{last}");
            take(&holds, &ip, bounds, Purpose::Work).unwrap()
        };
        let ever_busy = held(0);
        let worked_since = held(1).rests(1);
        let works_now = held(2).rests(2);
        let longest = held(3).rests(3);
        assert!(worked_since.hold.works() && works_now.hold.works());
        let worked_since = worked_since.rests(9);
        let first = held(4);
        assert!(longest.is_shut() && !worked_since.is_shut());
        let second = held(5);
        assert!(worked_since.is_shut());
        assert!(!ever_busy.is_shut() && !works_now.is_shut());
        assert!(take(&holds, "10.0.0.9", bounds, Purpose::Work).is_none());
        let works_now = works_now.rests(10);
        let third = held(6);
        assert!(works_now.is_shut());
        drop((
            ever_busy,
            worked_since,
            works_now,
            longest,
            first,
            second,
            third,
        ));
        assert!(is_empty(&holds));
    }

    /// R30
    #[test]
    fn admins_have_places_that_nobody_else_can_take() {
        let holds = holds();
        let bounds = Bounds {
            total: 1,
            per_address: None,
            is_admin: false,
        };
        let admins = Bounds {
            is_admin: true,
            ..bounds
        };
        let stranger = take(&holds, "192.0.2.1", bounds, Purpose::Work).unwrap();
        assert!(take(&holds, "192.0.2.2", bounds, Purpose::Work).is_none());
        assert!(take(&holds, "10.0.0.1", admins, Purpose::Rest).is_none());
        let taken: Vec<_> = (0..ADMIN_PLACES + 5)
            .filter_map(|_| take(&holds, "10.0.0.1", admins, Purpose::Work))
            .collect();
        assert_eq!(taken.len(), ADMIN_PLACES);
        assert!(!stranger.is_shut() && holds.held() == 1);
        drop(taken);
        drop(stranger);
        assert!(is_empty(&holds));
    }

    /// R30: whatever workers do at the same time, each place has one owner and none is lost.
    #[test]
    fn places_add_up_when_many_take_rest_and_work_at_once() {
        let holds = holds();
        let bounds = Bounds {
            total: 8,
            per_address: Some(3),
            is_admin: false,
        };
        std::thread::scope(|scope| {
            for seed in 0..4 {
                let holds = &holds;
                scope.spawn(move || {
                    let mut rng = fastrand::Rng::with_seed(seed);
                    let mut own: Vec<Held> = Vec::new();
                    for round in 0..3_000 {
                        let ip = format!("10.0.0.{}", rng.u8(0..6));
                        own.extend(take(holds, &ip, bounds, Purpose::Work));
                        own.retain(|held| {
                            let is_ours = held.hold.works();
                            if is_ours && rng.bool() {
                                held.hold.rests(Tick::at(Duration::from_secs(round)));
                            }
                            is_ours && rng.u8(..) > 40
                        });
                        assert!(holds.held() <= bounds.total);
                    }
                });
            }
        });
        assert!(is_empty(&holds));
    }
}
