//! How many connections are held, in all and from each address, and which of them goes when another needs its permit; and the
//! limit on open files that they share with the rest.
//!
//! Only connections that outlive their first reading are held: one that is answered and closed at once costs nothing here. At a
//! bound a request that is under way outranks a connection that is only kept: the one that has been silent longest gives way, of
//! the same address or of all, whichever bound it is. People who run the tracker have some permits that nobody else can take.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustix::net::Shutdown;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::timers::Tick;
use crate::metrics::{Gauge, Metrics};
use crate::net::subscriber;

/// Permits beyond the bound in all that only connections of admin networks get.
const ADMIN_CONNECTIONS: usize = 32;

/// Files that are kept free: for the database, logs, pages and listeners, and for [`ADMIN_CONNECTIONS`].
const SPARE_FILES: usize = 128 + ADMIN_CONNECTIONS;

/// More open files than this are not asked for; some systems know no end, and tables grow with the limit.
const MAX_FILES: u64 = 1 << 20;

/// Connections held by all workers.
#[derive(Debug)]
pub(crate) struct ConnectionLimiter {
    /// Taken when a connection begins and ends to be held and when it rests for the first time, never per request.
    table: Mutex<HeldConnections>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct HeldConnections {
    /// Held, but for those by the permits of admins.
    ordinary: usize,
    /// Held by the permits of admins.
    reserved: usize,
    by_address: HashMap<IpAddr, Vec<Arc<HeldConnection>>, foldhash::fast::RandomState>,
    /// Those that have rested, by when that began and their number. One that has worked since then stays where it was
    /// and is put right when it comes to the front, so that a request costs nothing here.
    resting: BTreeMap<(u64, u64), Arc<HeldConnection>>,
    numbers: u64,
}

/// What is known of one connection that is held.
#[derive(Debug)]
struct HeldConnection {
    number: u64,
    /// Whom it counts for, when that is bounded.
    address: Option<IpAddr>,
    is_reserved: bool,
    state: PermitState,
    /// The tick under which it is among the resting, or [`UNLISTED`]. Changed under the lock only.
    listed: AtomicU64,
    /// To be shut down when the permit is given away; the connection itself belongs to its worker.
    socket: Weak<OwnedFd>,
}

/// Not among the resting; no tick is as late.
const UNLISTED: u64 = u64::MAX;

/// What a permit is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Activity {
    /// A request is under way.
    Work,
    /// No request has been under way since this tick.
    Rest(u64),
    /// Another connection has the permit.
    GivenAway,
}

/// A [`Activity`] that workers change without a lock: a tick as it is, which has 32 bits, the others as the two last numbers.
#[derive(Debug)]
struct PermitState(AtomicU64);

impl PermitState {
    const WORK: u64 = u64::MAX;
    const GIVEN_AWAY: u64 = u64::MAX - 1;

    const fn pack(now: Activity) -> u64 {
        match now {
            Activity::Work => PermitState::WORK,
            Activity::GivenAway => PermitState::GIVEN_AWAY,
            Activity::Rest(since) => since,
        }
    }

    const fn unpack(number: u64) -> Activity {
        match number {
            PermitState::WORK => Activity::Work,
            PermitState::GIVEN_AWAY => Activity::GivenAway,
            since => Activity::Rest(since),
        }
    }

    const fn new(now: Activity) -> PermitState {
        PermitState(AtomicU64::new(PermitState::pack(now)))
    }

    fn load(&self) -> Activity {
        PermitState::unpack(self.0.load(SeqCst))
    }

    fn store(&self, now: Activity) {
        self.0.store(PermitState::pack(now), SeqCst);
    }

    /// Changes it and returns what it was.
    fn swap(&self, now: Activity) -> Activity {
        PermitState::unpack(self.0.swap(PermitState::pack(now), SeqCst))
    }

    /// Changes it if it still is `before`; whether it was.
    fn replace(&self, before: Activity, now: Activity) -> bool {
        let (before, now) = (PermitState::pack(before), PermitState::pack(now));
        self.0.compare_exchange(before, now, SeqCst, SeqCst).is_ok()
    }
}

/// The right of one connection to be held; given back when dropped.
#[derive(Debug)]
pub(crate) struct ConnectionPermit {
    limiter: Arc<ConnectionLimiter>,
    held: Arc<HeldConnection>,
}

/// The bounds on held connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// In all.
    pub total: usize,
    /// From one address; `None` for any number.
    pub per_address: Option<u32>,
    /// Whether the permits of admins are open to it.
    pub is_admin: bool,
}

/// What a permit is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A request that is under way: one that rests gives way.
    Work,
    /// To be kept when all is answered: nobody gives way.
    Rest,
}

impl ConnectionLimiter {
    pub(crate) fn new(metrics: Arc<Metrics>) -> ConnectionLimiter {
        ConnectionLimiter {
            table: Mutex::default(),
            metrics,
        }
    }

    /// Takes a permit for a connection of `ip` (canonical); `None` when a bound is reached and nobody gives way. Costs the
    /// logarithm of the connections held, beside a look at all of the address when that has too many.
    pub(super) fn take(
        self: &Arc<Self>,
        ip: IpAddr,
        socket: &Arc<OwnedFd>,
        bounds: Bounds,
        purpose: Purpose,
    ) -> Option<ConnectionPermit> {
        let mut given_away = Vec::new();
        let held = {
            let mut table = self.lock();
            let mut gives_way = |found: Option<Arc<HeldConnection>>,
                                 table: &mut HeldConnections| {
                let found = found.filter(|_| purpose == Purpose::Work)?;
                if !found.is_given_away() {
                    return None;
                }
                table.release(&found);
                self.metrics.lower(Gauge::Connections, 1);
                given_away.push(found);
                Some(())
            };
            let address = bounds.per_address.map(|_| subscriber(ip));
            if let (Some(address), Some(most)) = (address, bounds.per_address) {
                let held = table.by_address.get(&address).map_or(0, Vec::len);
                if held >= most as usize {
                    let longest = table.longest_of(&address);
                    gives_way(longest, &mut table)?;
                }
            }
            let mut is_reserved = false;
            if table.ordinary >= bounds.total {
                let longest = (purpose == Purpose::Work).then(|| table.longest());
                if gives_way(longest.flatten(), &mut table).is_none() {
                    is_reserved = bounds.is_admin
                        && purpose == Purpose::Work
                        && table.reserved < ADMIN_CONNECTIONS;
                    if !is_reserved {
                        return None;
                    }
                }
            }
            self.metrics.raise(Gauge::Connections, 1);
            table.add(address, is_reserved, socket)
        };
        for socket in given_away.iter().filter_map(|held| held.socket.upgrade()) {
            // Its worker sees the end of it and closes it. One that is gone by now needs no end.
            let _ = rustix::net::shutdown(&socket, Shutdown::Both);
        }
        Some(ConnectionPermit {
            limiter: Arc::clone(self),
            held,
        })
    }

    /// How many are held, but for those by the permits of admins.
    pub(super) fn held(&self) -> usize {
        self.lock().ordinary
    }

    fn lock(&self) -> MutexGuard<'_, HeldConnections> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HeldConnections {
    fn add(
        &mut self,
        address: Option<IpAddr>,
        is_reserved: bool,
        socket: &Arc<OwnedFd>,
    ) -> Arc<HeldConnection> {
        self.numbers += 1;
        let held = Arc::new(HeldConnection {
            number: self.numbers,
            address,
            is_reserved,
            state: PermitState::new(Activity::Work),
            listed: AtomicU64::new(UNLISTED),
            socket: Arc::downgrade(socket),
        });
        if let Some(address) = address {
            let all = self.by_address.entry(address).or_default();
            all.push(Arc::clone(&held));
        }
        *self.count(is_reserved) += 1;
        held
    }

    /// Takes a connection out of every list and count.
    fn release(&mut self, held: &HeldConnection) {
        let count = self.count(held.is_reserved);
        debug_assert!(*count > 0, "a permit is released once");
        *count = count.saturating_sub(1);
        self.unlist(held);
        let Some(address) = held.address else {
            return;
        };
        if let Some(all) = self.by_address.get_mut(&address) {
            all.retain(|other| other.number != held.number);
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

    fn list(&mut self, held: &Arc<HeldConnection>, since: u64) {
        held.listed.store(since, Relaxed);
        let key = (since, held.number);
        self.resting.insert(key, Arc::clone(held));
    }

    fn unlist(&mut self, held: &HeldConnection) {
        let since = held.listed.swap(UNLISTED, Relaxed);
        self.resting.remove(&(since, held.number));
    }

    /// The one of an address that has rested longest.
    fn longest_of(&self, address: &IpAddr) -> Option<Arc<HeldConnection>> {
        let all = self.by_address.get(address)?.iter();
        let resting = all.filter_map(|held| Some((held.rests_since()?, held)));
        let longest = resting.min_by_key(|(since, held)| (*since, held.number));
        longest.map(|(_, held)| Arc::clone(held))
    }

    /// The one of all that has rested longest. Whatever has worked since it was listed is put right on the way: every request
    /// is paid for once at most.
    fn longest(&mut self) -> Option<Arc<HeldConnection>> {
        let mut looks = 0..self.resting.len() * 2;
        while looks.next().is_some() {
            let ((listed, _), held) = self.resting.pop_first()?;
            held.listed.store(UNLISTED, Relaxed);
            match held.rests_since() {
                Some(since) if since <= listed => return Some(held),
                Some(since) => self.list(&held, since),
                None => {}
            }
        }
        None
    }
}

impl HeldConnection {
    /// The tick since which it rests, if it does.
    fn rests_since(&self) -> Option<u64> {
        match self.state.load() {
            Activity::Rest(since) => Some(since),
            Activity::Work | Activity::GivenAway => None,
        }
    }

    /// Gives it away if it rests still.
    fn is_given_away(&self) -> bool {
        let state = &self.state;
        self.rests_since()
            .is_some_and(|since| state.replace(Activity::Rest(since), Activity::GivenAway))
    }
}

impl ConnectionPermit {
    /// Says that bytes have come; whether the permit is still this connection's.
    pub(super) fn works(&self) -> bool {
        let state = &self.held.state;
        let before = state.swap(Activity::Work);
        if before == Activity::GivenAway {
            state.store(Activity::GivenAway);
        }
        before != Activity::GivenAway
    }

    /// Says that no request is under way.
    pub(super) fn rests(&self, now: Tick) {
        let since = now.number();
        self.held.state.store(Activity::Rest(since));
        if self.held.listed.load(Relaxed) == UNLISTED && !self.held.is_reserved {
            let mut table = self.limiter.lock();
            // Under the lock: it may have been given away meanwhile, and then it is in no list any more.
            if self.held.state.load() == Activity::Rest(since) {
                table.list(&self.held, since);
            }
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut table = self.limiter.lock();
        // Whoever gave it away has released it, under the same lock.
        if self.held.state.swap(Activity::GivenAway) != Activity::GivenAway {
            table.release(&self.held);
            self.limiter.metrics.lower(Gauge::Connections, 1);
        }
    }
}

/// Raises the soft limit on open files to the hard one and returns how many connections it leaves room for. Says so when
/// that is less than `wanted` (0: nothing is wanted in particular).
pub(crate) fn connection_limit(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let hard = limit.maximum.unwrap_or(MAX_FILES).min(MAX_FILES);
    if limit.current.is_some_and(|soft| soft < hard) {
        let raised = Rlimit {
            current: Some(hard),
            maximum: limit.maximum,
        };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            log::warn!("the limit on open files cannot be raised to {hard}: {error}");
        }
    }
    let files = getrlimit(Resource::Nofile).current.unwrap_or(MAX_FILES);
    // Saturates where pointers are shorter.
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

    fn limiter() -> Arc<ConnectionLimiter> {
        Arc::new(ConnectionLimiter::new(Arc::new(Metrics::new(0))))
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
        hold: ConnectionPermit,
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

    fn take(
        limiter: &Arc<ConnectionLimiter>,
        ip: &str,
        bounds: Bounds,
        purpose: Purpose,
    ) -> Option<Held> {
        let flags = SocketFlags::CLOEXEC;
        let (near, far) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        let near = Arc::new(near);
        let hold = limiter.take(ip.parse().unwrap(), &near, bounds, purpose)?;
        Some(Held {
            _near: near,
            far,
            hold,
        })
    }

    fn work(limiter: &Arc<ConnectionLimiter>, ip: &str) -> Option<Held> {
        take(limiter, ip, BOUNDS, Purpose::Work)
    }

    fn is_empty(limiter: &ConnectionLimiter) -> bool {
        let table = limiter.lock();
        table.by_address.is_empty()
            && table.resting.is_empty()
            && (table.ordinary, table.reserved) == (0, 0)
            && limiter.metrics.gauge(Gauge::Connections) == 0
    }

    #[test]
    fn places_are_bounded_per_address_and_given_back() {
        let limiter = limiter();
        let first = work(&limiter, "2001:db8::1").unwrap();
        let _second = work(&limiter, "2001:db8::ffff").unwrap();
        assert!(work(&limiter, "2001:db8::1").is_none());
        let _third = work(&limiter, "2001:db8:0:1::1").unwrap();
        drop(first);
        assert!(work(&limiter, "2001:db8::1").is_some());
        assert_eq!(limiter.metrics.gauge(Gauge::Connections), 2);
    }

    #[test]
    fn places_are_bounded_in_all_and_nothing_is_left_behind() {
        let limiter = limiter();
        let bounds = Bounds { total: 3, ..BOUNDS };
        let taken: Vec<_> = (0..5_u8)
            .filter_map(|last| take(&limiter, &format!("10.0.0.{last}"), bounds, Purpose::Work))
            .collect();
        assert_eq!(taken.len(), 3);
        drop(taken);
        assert!(is_empty(&limiter));
        let unlimited = Bounds {
            per_address: None,
            ..bounds
        };
        assert!(take(&limiter, "10.0.0.1", unlimited, Purpose::Rest).is_some());
    }

    /// R30
    #[test]
    fn the_longest_resting_of_an_address_gives_way_to_work_and_to_nothing_else() {
        let limiter = limiter();
        let newer = work(&limiter, "10.0.0.1").unwrap().rests(7);
        let older = work(&limiter, "10.0.0.1").unwrap().rests(5);
        let other = work(&limiter, "10.0.0.2").unwrap().rests(1);
        assert!(take(&limiter, "10.0.0.1", BOUNDS, Purpose::Rest).is_none());
        let newest = work(&limiter, "10.0.0.1").unwrap();
        assert!(older.is_shut() && !newer.is_shut() && !other.is_shut());
        assert!(!older.hold.works() && newer.hold.works());
        // Nobody rests there any more.
        assert!(work(&limiter, "10.0.0.1").is_none());
        assert_eq!(limiter.metrics.gauge(Gauge::Connections), 3);
        drop((newer, older, other, newest));
        assert!(is_empty(&limiter));
    }

    /// R30
    #[test]
    fn the_longest_resting_of_all_gives_way_by_when_it_worked_last() {
        let limiter = limiter();
        let bounds = Bounds { total: 4, ..BOUNDS };
        let held = |last: u8| {
            let ip = format!("10.0.0.{last}");
            take(&limiter, &ip, bounds, Purpose::Work).unwrap()
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
        assert!(take(&limiter, "10.0.0.9", bounds, Purpose::Work).is_none());
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
        assert!(is_empty(&limiter));
    }

    /// R30
    #[test]
    fn admins_have_places_that_nobody_else_can_take() {
        let limiter = limiter();
        let bounds = Bounds {
            total: 1,
            per_address: None,
            is_admin: false,
        };
        let admins = Bounds {
            is_admin: true,
            ..bounds
        };
        let stranger = take(&limiter, "192.0.2.1", bounds, Purpose::Work).unwrap();
        assert!(take(&limiter, "192.0.2.2", bounds, Purpose::Work).is_none());
        assert!(take(&limiter, "10.0.0.1", admins, Purpose::Rest).is_none());
        let taken: Vec<_> = (0..ADMIN_CONNECTIONS + 5)
            .filter_map(|_| take(&limiter, "10.0.0.1", admins, Purpose::Work))
            .collect();
        assert_eq!(taken.len(), ADMIN_CONNECTIONS);
        assert!(!stranger.is_shut() && limiter.held() == 1);
        drop(taken);
        drop(stranger);
        assert!(is_empty(&limiter));
    }

    /// R30: whatever workers do at the same time, each place has one owner and none is lost.
    #[test]
    fn places_add_up_when_many_take_rest_and_work_at_once() {
        let limiter = limiter();
        let bounds = Bounds {
            total: 8,
            per_address: Some(3),
            is_admin: false,
        };
        std::thread::scope(|scope| {
            for seed in 0..4 {
                let limiter = &limiter;
                scope.spawn(move || {
                    let mut rng = fastrand::Rng::with_seed(seed);
                    let mut own: Vec<Held> = Vec::new();
                    for round in 0..3_000 {
                        let ip = format!("10.0.0.{}", rng.u8(0..6));
                        own.extend(take(limiter, &ip, bounds, Purpose::Work));
                        own.retain(|held| {
                            let is_ours = held.hold.works();
                            if is_ours && rng.bool() {
                                held.hold.rests(Tick::at(Duration::from_secs(round)));
                            }
                            is_ours && rng.u8(..) > 40
                        });
                        assert!(limiter.held() <= bounds.total);
                    }
                });
            }
        });
        assert!(is_empty(&limiter));
    }
}
