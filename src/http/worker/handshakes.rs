//! How many TLS handshakes are under way, in all and from each address, and which of them goes when another needs its place: a permit
//! is taken before anything is done for one, for a handshake costs as much as some dozen announces.
//!
//! Whoever begins handshakes and leaves them lying fills all places, from one address or from many. So where they are full, whoever has
//! sent no whole hello for a while gives its place up, if many have not; so do whole hellos that nothing has followed for a while, if very
//! many lie about. Then the source (a v4 /24, a v6 /48) that has most handshakes gives one up: of what its own clients leave lying, if that
//! is much, else of the address that has most in it, so that nobody pays for his neighbour. Where no source has many, whoever has made
//! nothing of its place for a while gives way. Of those who are alike, who has not said hello whole goes before who has.
//! People who run the tracker have some places that nobody else can take.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use ipnet::IpNet;
use rustix::net::Shutdown;

use super::timers::{TICK, Tick};
use crate::invariant::present;
use crate::metrics::{Gauge, Metrics};
use crate::net::subscriber::{neighbourhood, subscriber};

/// Places beside those for everybody, that only admin networks get.
const ADMIN_HANDSHAKES: usize = 8;

/// A source has many handshakes when it has more than this part of all places; so have those that are late with their hello, together.
const FAIR_SHARE: usize = 32;

/// Whole hellos that nothing follows give way wherever they are from when they are more than this part of all places. Their clients have
/// been answered, so the slow line may be the honest client's: it takes more of them than of half hellos.
const LYING_SHARE: usize = 8;

/// So many are very many in any case: they are counted under the lock.
const MANY_LYING: usize = 1_024;

/// How long a handshake of a source that has few keeps its place, whoever comes: two round trips to the far end of a provider's network.
/// Without that, a flood of newcomers would let nobody finish.
const GRACE: Duration = Duration::from_millis(300);

/// That the places are full is logged this often.
const LOG_PAUSE: Duration = Duration::from_secs(60);

/// The handshakes of all workers.
#[derive(Debug)]
pub(crate) struct HandshakeLimiter {
    /// Taken when a handshake begins, has said hello, and ends.
    under_way: Mutex<UnderWay>,
    /// How many have had to give way so far.
    given_away: AtomicU64,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct UnderWay {
    /// In places for everybody.
    ordinary: usize,
    /// In places for admins.
    reserved: usize,
    /// By whom they count for; one without a handshake has no entry.
    by_address: HashMap<IpAddr, u32, foldhash::fast::RandomState>,
    /// Those in places for everybody, who gives way first in front.
    order: Order,
    by_source: Weights<IpNet>,
    /// The addresses of each source; one without a handshake has no entry.
    within: HashMap<IpNet, Weights<IpAddr>, foldhash::fast::RandomState>,
    numbers: u64,
    may_log_at: Option<Tick>,
}

type Order = BTreeMap<Rank, Arc<Place>>;

/// Handshakes by whom they are from, and who has most.
#[derive(Debug)]
struct Weights<Key> {
    orders: HashMap<Key, Order, foldhash::fast::RandomState>,
    /// How many each has, fewest first.
    counts: BTreeSet<(usize, Key)>,
}

impl<Key> Default for Weights<Key> {
    fn default() -> Weights<Key> {
        Weights {
            orders: HashMap::default(),
            counts: BTreeSet::new(),
        }
    }
}

impl<Key: Copy + Eq + Hash + Ord> Weights<Key> {
    fn insert(&mut self, key: Key, rank: Rank, place: &Arc<Place>) {
        let own = self.orders.entry(key).or_default();
        let before = own.len();
        own.insert(rank, Arc::clone(place));
        self.counts.remove(&(before, key));
        self.counts.insert((before + 1, key));
    }

    fn remove(&mut self, key: Key, rank: Rank) {
        let Some(own) = self.orders.get_mut(&key) else {
            return;
        };
        self.counts.remove(&(own.len(), key));
        own.remove(&rank);
        if own.is_empty() {
            self.orders.remove(&key);
        } else {
            self.counts.insert((own.len(), key));
        }
    }

    /// How many handshakes the one has that has most.
    fn most(&self) -> usize {
        self.counts.last().map_or(0, |(count, _)| *count)
    }

    /// Who has most, and its handshakes.
    fn heaviest(&self) -> Option<(Key, &Order)> {
        let (_, key) = self.counts.last()?;
        Some((*key, self.orders.get(key)?))
    }
}

/// By what it is decided who gives way: the first does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// Whether it has said hello whole.
    is_greeted: bool,
    /// The tick of the last progress: that it was accepted, or has said hello. Bytes that come one by one are none.
    since: u64,
    number: u64,
}

/// The place of one handshake.
#[derive(Debug)]
struct Place {
    number: u64,
    /// Whom it counts for, when that is bounded.
    address: Option<IpAddr>,
    /// Whose it is.
    subscriber: IpAddr,
    /// The source that it weighs on; none for proxies that are believed, which bring everybody.
    source: Option<IpNet>,
    is_reserved: bool,
    /// The tick of its last progress. Changed under the lock only, as is the next.
    since: AtomicU64,
    is_greeted: AtomicBool,
    /// Whether another handshake has the place. Set under the lock.
    is_given_away: AtomicBool,
    /// To be shut down then; the connection itself belongs to its worker.
    socket: Weak<OwnedFd>,
}

/// The right to one handshake; given back when dropped.
#[derive(Debug)]
pub(super) struct HandshakePermit {
    limiter: Arc<HandshakeLimiter>,
    place: Arc<Place>,
}

/// The bounds on handshakes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// In all.
    pub total: usize,
    /// From one address; `None` for any number.
    pub per_address: Option<u32>,
    /// Whether it comes through a proxy that is believed, whose handshakes are no single source's.
    pub is_of_proxy: bool,
    /// Whether the places of admins are open to it.
    pub is_admin: bool,
}

impl HandshakeLimiter {
    pub(crate) fn new(metrics: Arc<Metrics>) -> HandshakeLimiter {
        HandshakeLimiter {
            under_way: Mutex::default(),
            given_away: AtomicU64::new(0),
            metrics,
        }
    }

    /// A permit for a handshake of `ip` (canonical); `None` when its address has as many as it may, or all places are taken and nobody
    /// gives way. Costs the logarithm of the handshakes under way; where all places are taken, a step for each of a 32nd of them, or of
    /// [`MANY_LYING`].
    pub(super) fn take(
        self: &Arc<Self>,
        ip: IpAddr,
        socket: &Arc<OwnedFd>,
        bounds: Bounds,
        now: Tick,
    ) -> Option<HandshakePermit> {
        let total = bounds.total.max(1);
        let mut given_away = None;
        let mut full = None;
        let place = {
            let mut under_way = self.lock();
            let own = subscriber(ip);
            let address = bounds.per_address.map(|_| own);
            if let (Some(address), Some(most)) = (address, bounds.per_address) {
                // Who has none under way has no entry.
                let count = under_way.by_address.get(&address).copied().unwrap_or(0);
                if count >= most {
                    return None;
                }
            }
            let is_reserved = bounds.is_admin && under_way.reserved < ADMIN_HANDSHAKES;
            let is_full = !is_reserved && under_way.ordinary >= total;
            if is_full {
                full = under_way.word_of_full(total, now);
                given_away = under_way.first_to_go(total, now);
            }
            if let Some(place) = &given_away {
                place.is_given_away.store(true, Relaxed);
                under_way.release(place);
                self.given_away.fetch_add(1, Relaxed);
            }
            (!is_full || given_away.is_some()).then(|| {
                let source = (!bounds.is_of_proxy).then(|| neighbourhood(ip));
                under_way.add(address, own, source, is_reserved, socket, now)
            })
        };
        if let Some(socket) = given_away.and_then(|place| place.socket.upgrade()) {
            // Its worker sees the end of it and closes it. One that is gone by now needs no end.
            let _ = rustix::net::shutdown(&socket, Shutdown::Both);
        }
        if let Some(heaviest) = full {
            log::warn!(
                "all {total} places for TLS handshakes (max_handshakes) are taken: who has made nothing of its place gives way, first of \
                 the network that has most, now {heaviest}"
            );
        }
        Some(HandshakePermit {
            limiter: Arc::clone(self),
            place: place?,
        })
    }

    /// Another number whenever a handshake has had to give way.
    pub(super) fn given_away(&self) -> u64 {
        self.given_away.load(Relaxed)
    }

    /// Counts a connection over TLS for as long as what this gives lives.
    pub(super) fn count(&self) -> OpenTls {
        self.metrics.raise(Gauge::TlsConnections, 1);
        OpenTls(Arc::clone(&self.metrics))
    }

    fn lock(&self) -> MutexGuard<'_, UnderWay> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl UnderWay {
    fn add(
        &mut self,
        address: Option<IpAddr>,
        subscriber: IpAddr,
        source: Option<IpNet>,
        is_reserved: bool,
        socket: &Arc<OwnedFd>,
        now: Tick,
    ) -> Arc<Place> {
        self.numbers += 1;
        let place = Arc::new(Place {
            number: self.numbers,
            address,
            subscriber,
            source,
            is_reserved,
            since: AtomicU64::new(now.number()),
            is_greeted: AtomicBool::new(false),
            is_given_away: AtomicBool::new(false),
            socket: Arc::downgrade(socket),
        });
        if let Some(address) = address {
            *self.by_address.entry(address).or_default() += 1;
        }
        if is_reserved {
            self.reserved += 1;
        } else {
            self.ordinary += 1;
            self.list(&place);
        }
        place
    }

    /// Takes a handshake out of every list and count.
    fn release(&mut self, place: &Place) {
        if place.is_reserved {
            debug_assert!(self.reserved > 0, "a permit is given back once");
            self.reserved = self.reserved.saturating_sub(1);
        } else {
            debug_assert!(self.ordinary > 0, "a permit is given back once");
            self.ordinary = self.ordinary.saturating_sub(1);
            self.unlist(place);
        }
        let Some(address) = place.address else {
            return;
        };
        let own = self.by_address.get_mut(&address);
        if let Some(own) = present(own, "it has this permit") {
            *own = own.saturating_sub(1);
            if *own == 0 {
                self.by_address.remove(&address);
            }
        }
    }

    fn list(&mut self, place: &Arc<Place>) {
        let rank = place.rank();
        self.order.insert(rank, Arc::clone(place));
        if let Some(source) = place.source {
            self.by_source.insert(source, rank, place);
            let within = self.within.entry(source).or_default();
            within.insert(place.subscriber, rank, place);
        }
    }

    fn unlist(&mut self, place: &Place) {
        let rank = place.rank();
        self.order.remove(&rank);
        let Some(source) = place.source else { return };
        self.by_source.remove(source, rank);
        if let Some(within) = self.within.get_mut(&source) {
            within.remove(place.subscriber, rank);
            if within.orders.is_empty() {
                self.within.remove(&source);
            }
        }
    }

    /// Who gives way to a newcomer.
    fn first_to_go(&self, total: usize, now: Tick) -> Option<Arc<Place>> {
        // Half hellos that many sources leave lying are no reason to send those away who come from one and get on. A few late ones are
        // clients at the end of slow lines, who do not pay for a source that floods.
        if let Some(place) = late_beyond(halves(&self.order), fair(total), now) {
            return Some(place);
        }
        let heaviest = self.by_source.heaviest();
        let heaviest = heaviest.filter(|(_, own)| own.len() > fair(total));
        // Of a source that has many, nobody who gets on pays for a neighbour who does not.
        if let Some((_, own)) = heaviest
            && let Some(place) = late_beyond(wholes(own), fair(total), now)
        {
            return Some(place);
        }
        // Nor does it pay for what many others leave lying.
        let lying = (total / LYING_SHARE).clamp(1, MANY_LYING);
        if let Some(place) = late_beyond(wholes(&self.order), lying, now) {
            return Some(place);
        }
        if let Some((source, own)) = heaviest {
            let within = self.within.get(&source).and_then(Weights::heaviest);
            // Where each has one, they are all alike.
            let heaviest = within.filter(|(_, order)| order.len() > 1);
            let order = heaviest.map_or(own, |(_, order)| order);
            return order.values().next().map(Arc::clone);
        }
        // Nobody has many: whoever has had its time already, newcomers or not.
        let mut longest = [halves(&self.order).next(), wholes(&self.order).next()]
            .into_iter()
            .flatten();
        longest.find(|place| place.is_late(now)).map(Arc::clone)
    }

    /// What is to be logged of full places, if it is time: how many the source has that has most.
    fn word_of_full(&mut self, total: usize, now: Tick) -> Option<usize> {
        debug_assert!(self.ordinary >= total, "asked for when they are full");
        if self.may_log_at.is_some_and(|at| !at.has_come(now)) {
            return None;
        }
        self.may_log_at = Some(now.after(LOG_PAUSE));
        Some(self.by_source.most())
    }
}

/// Those that have not said hello whole, oldest first.
fn halves(order: &Order) -> impl Iterator<Item = &Arc<Place>> {
    let is_half = |place: &&Arc<Place>| !place.is_greeted.load(Relaxed);
    order.values().take_while(is_half)
}

/// Those that have, oldest first.
fn wholes(order: &Order) -> impl Iterator<Item = &Arc<Place>> {
    let first = Rank {
        is_greeted: true,
        since: 0,
        number: 0,
    };
    order.range(first..).map(|(_, place)| place)
}

/// The oldest of these, when more than `few` are late.
fn late_beyond<'a>(
    mut oldest_first: impl Iterator<Item = &'a Arc<Place>>,
    few: usize,
    now: Tick,
) -> Option<Arc<Place>> {
    let first = oldest_first.next()?;
    let last = oldest_first.nth(few.checked_sub(1)?)?;
    last.is_late(now).then(|| Arc::clone(first))
}

/// How many handshakes a source may have before it is the first to give way.
fn fair(total: usize) -> usize {
    (total / FAIR_SHARE).max(1)
}

impl Place {
    fn rank(&self) -> Rank {
        Rank {
            is_greeted: self.is_greeted.load(Relaxed),
            since: self.since.load(Relaxed),
            number: self.number,
        }
    }

    /// Whether it has had its place for so long that it would have made something of it.
    fn is_late(&self, now: Tick) -> bool {
        let ticks = u128::from(now.number().saturating_sub(self.since.load(Relaxed)));
        ticks > GRACE.as_millis() / TICK.as_millis()
    }
}

impl HandshakePermit {
    /// Says that the client's hello has come whole.
    pub(super) fn greet(&self, now: Tick) {
        let place = &self.place;
        if place.is_greeted.load(Relaxed) {
            return;
        }
        let mut under_way = self.limiter.lock();
        if place.is_given_away.load(Relaxed) {
            return;
        }
        let is_listed = !place.is_reserved;
        if is_listed {
            under_way.unlist(place);
        }
        place.is_greeted.store(true, Relaxed);
        place.since.store(now.number(), Relaxed);
        if is_listed {
            under_way.list(place);
        }
    }

    /// Whether the client's hello has come whole.
    pub(super) fn is_greeted(&self) -> bool {
        self.place.is_greeted.load(Relaxed)
    }

    /// Whether another handshake has its place.
    pub(super) fn is_given_away(&self) -> bool {
        self.place.is_given_away.load(Relaxed)
    }
}

impl Drop for HandshakePermit {
    fn drop(&mut self) {
        let mut under_way = self.limiter.lock();
        // Whoever gave it away has released it, under the same lock.
        if !self.place.is_given_away.load(Relaxed) {
            under_way.release(&self.place);
        }
    }
}

/// One open connection over TLS, in the count of them.
#[derive(Debug)]
pub(super) struct OpenTls(Arc<Metrics>);

impl Drop for OpenTls {
    fn drop(&mut self) {
        self.0.lower(Gauge::TlsConnections, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, socketpair};

    fn limiter() -> Arc<HandshakeLimiter> {
        Arc::new(HandshakeLimiter::new(Arc::new(Metrics::new(0))))
    }

    const BOUNDS: Bounds = Bounds {
        total: 4,
        per_address: Some(2),
        is_of_proxy: false,
        is_admin: false,
    };

    const WIDE: Bounds = Bounds {
        total: 256,
        per_address: Some(16),
        ..BOUNDS
    };

    /// The moment so many ticks after the start.
    fn tick(count: u32) -> Tick {
        Tick::at(TICK * count)
    }

    /// A handshake under way, and its other end.
    struct Held {
        _near: Arc<OwnedFd>,
        far: OwnedFd,
        permit: HandshakePermit,
    }

    impl Held {
        /// Whether it has had to give way, and its socket knows.
        fn is_gone(&self) -> bool {
            let mut byte = [0];
            let read = rustix::net::recv(&self.far, &mut byte, RecvFlags::DONTWAIT);
            let is_shut = matches!(read, Ok((0, _)));
            assert_eq!(is_shut, self.permit.is_given_away());
            is_shut
        }
    }

    fn take(limiter: &Arc<HandshakeLimiter>, ip: &str, bounds: Bounds, now: u32) -> Option<Held> {
        let flags = SocketFlags::CLOEXEC;
        let (near, far) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        let near = Arc::new(near);
        let permit = limiter.take(ip.parse().unwrap(), &near, bounds, tick(now))?;
        Some(Held {
            _near: near,
            far,
            permit,
        })
    }

    fn take_all(
        limiter: &Arc<HandshakeLimiter>,
        ips: impl Iterator<Item = String>,
        bounds: Bounds,
        now: u32,
    ) -> Vec<Held> {
        let taken = ips.map(|ip| take(limiter, &ip, bounds, now).unwrap());
        taken.collect()
    }

    /// Addresses of one source.
    fn hosts(numbers: impl IntoIterator<Item = u8>) -> impl Iterator<Item = String> {
        let numbers = numbers.into_iter();
        numbers.map(|host| format!("192.0.2.{host}"))
    }

    /// Addresses of as many sources.
    fn networks(
        within: &str,
        numbers: impl IntoIterator<Item = u8>,
    ) -> impl Iterator<Item = String> {
        let numbers = numbers.into_iter();
        numbers.map(move |net| format!("{within}.{net}.1"))
    }

    fn is_empty(limiter: &HandshakeLimiter) -> bool {
        let under_way = limiter.lock();
        (under_way.ordinary, under_way.reserved) == (0, 0)
            && under_way.by_address.is_empty()
            && under_way.order.is_empty()
            && under_way.by_source.orders.is_empty()
            && under_way.by_source.counts.is_empty()
            && under_way.within.is_empty()
    }

    /// P23
    #[test]
    fn handshakes_are_bounded_in_all_and_per_subscriber_and_given_back() {
        let limiter = limiter();
        let own = [
            take(&limiter, "2001:db8::1", BOUNDS, 0).unwrap(),
            take(&limiter, "2001:db8::2", BOUNDS, 0).unwrap(),
        ];
        assert!(take(&limiter, "2001:db8::3", BOUNDS, 0).is_none());
        let unbounded = Bounds {
            per_address: None,
            is_of_proxy: true,
            ..BOUNDS
        };
        let others = [
            take(&limiter, "192.0.2.1", BOUNDS, 0).unwrap(),
            take(&limiter, "192.0.2.2", unbounded, 0).unwrap(),
        ];
        assert_eq!(limiter.lock().ordinary, 4);
        drop(own);
        assert!(take(&limiter, "2001:db8::3", BOUNDS, 0).is_some());
        drop(others);
        assert!(is_empty(&limiter));
    }

    /// P23: sixteen handshakes of sixteen addresses shut nobody out.
    #[test]
    fn the_source_that_has_most_gives_way_and_who_has_said_nothing_first() {
        let limiter = limiter();
        let ips = (0..16_u8).flat_map(|net| (0..16_u8).map(move |_| format!("10.0.{net}.1")));
        let mut flood: Vec<Held> = ips
            .map(|ip| take(&limiter, &ip, WIDE, 0).unwrap())
            .collect();
        drop(flood.pop());
        let honest = take(&limiter, "192.0.2.1", WIDE, 0).unwrap();
        // The first of each source has said hello.
        for first in flood.iter().step_by(16) {
            first.permit.greet(tick(1));
        }
        let newcomers: Vec<Held> = take_all(&limiter, networks("10.1", 0..100), WIDE, 1);
        assert!(!honest.is_gone() && newcomers.iter().all(|held| !held.is_gone()));
        assert!(flood.iter().step_by(16).all(|held| !held.is_gone()));
        // Each source has lost as many as the others.
        for source in flood.chunks(16) {
            let left = source.iter().filter(|held| !held.is_gone()).count();
            assert!((9..=10).contains(&left), "{left}");
        }
        drop((flood, honest, newcomers));
        assert!(is_empty(&limiter));
    }

    /// P23: half hellos of many networks, older than it takes to send a whole one, are not paid for by the subscribers of one network.
    #[test]
    fn many_who_are_late_with_their_hello_give_way_before_the_source_that_has_most() {
        let limiter = limiter();
        let flood: Vec<Held> = take_all(&limiter, networks("10.0", 0..250), WIDE, 0);
        let subscribers: Vec<Held> = (1..=100_u8)
            .map(|host| {
                let held = take(&limiter, &format!("192.0.2.{host}"), WIDE, 20).unwrap();
                if host % 2 == 0 {
                    held.permit.greet(tick(21));
                }
                held
            })
            .collect();
        assert!(subscribers.iter().all(|held| !held.is_gone()));
        let gone = flood.iter().take_while(|held| held.is_gone()).count();
        assert_eq!(gone, 94, "the oldest first");
        assert!(flood.iter().skip(94).all(|held| !held.is_gone()));
        drop((flood, subscribers));
        assert!(is_empty(&limiter));
    }

    /// P23: a flood from one network does not send away the few who are at the end of slow lines, however quickly it comes.
    #[test]
    fn few_who_are_late_keep_their_places_while_a_source_has_many() {
        let limiter = limiter();
        let slow: Vec<Held> = take_all(&limiter, networks("10.0", 0..8), WIDE, 0);
        let flood: Vec<Held> = (0..=255_u8)
            .flat_map(|host| [host; 2])
            .map(|host| take(&limiter, &format!("192.0.2.{host}"), WIDE, 20).unwrap())
            .collect();
        assert!(slow.iter().all(|held| !held.is_gone()));
        let gone = flood.iter().filter(|held| held.is_gone()).count();
        assert_eq!(gone, 512 - 248);
        drop((slow, flood));
        assert!(is_empty(&limiter));
    }

    /// P23: whole hellos that are left lying are paid for by who left them, not by neighbours who come.
    #[test]
    fn whole_hellos_left_lying_in_a_network_are_not_paid_for_by_its_clients() {
        let limiter = limiter();
        let flood: Vec<Held> = take_all(&limiter, hosts(0..=255), WIDE, 0);
        for held in &flood {
            held.permit.greet(tick(1));
        }
        let clients: Vec<Held> = take_all(&limiter, hosts(0..100), WIDE, 20);
        assert!(clients.iter().all(|held| !held.is_gone()));
        assert!(flood.iter().take(100).all(Held::is_gone));
        drop((flood, clients));
        assert!(is_empty(&limiter));
    }

    /// P23: nor are those of an address that begins anew as often as it has to give way.
    #[test]
    fn of_a_network_that_has_many_the_address_that_has_most_gives_way() {
        let limiter = limiter();
        let bounds = Bounds {
            total: 64,
            per_address: Some(16),
            ..BOUNDS
        };
        let greeted = |ip: &str| {
            let held = take(&limiter, ip, bounds, 1);
            if let Some(held) = &held {
                held.permit.greet(tick(1));
            }
            held
        };
        let mut flood: Vec<Held> = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"]
            .into_iter()
            .flat_map(|ip| [ip; 16])
            .filter_map(greeted)
            .collect();
        let clients: Vec<Held> = (0..20_u8)
            .map(|host| {
                let ip = format!("192.0.2.{}", 100 + host);
                let client = take(&limiter, &ip, bounds, 1).unwrap();
                for ip in ["192.0.2.1", "192.0.2.4"] {
                    flood.extend(greeted(ip));
                }
                client
            })
            .collect();
        assert!(clients.iter().all(|held| !held.is_gone()));
        drop((flood, clients));
        assert!(is_empty(&limiter));
    }

    /// P23: what many networks leave lying is not paid for by the one that has most clients.
    #[test]
    fn whole_hellos_that_many_networks_leave_lying_give_way_before_a_busy_one() {
        let limiter = limiter();
        let flood: Vec<Held> = take_all(&limiter, networks("10.0", 0..=255), WIDE, 0);
        for held in &flood {
            held.permit.greet(tick(1));
        }
        let subscribers: Vec<Held> = take_all(&limiter, hosts(1..=200), WIDE, 20);
        assert!(subscribers.iter().all(|held| !held.is_gone()));
        drop((flood, subscribers));
        assert!(is_empty(&limiter));
    }

    /// P23: where nobody has many, a place is kept for a while, and then belongs to who comes.
    #[test]
    fn of_many_sources_the_longest_idle_gives_way_and_no_newcomer() {
        let limiter = limiter();
        let held = |ip: u8, now| take(&limiter, &format!("10.0.{ip}.1"), BOUNDS, now);
        let [first, second, third, fourth] =
            [0, 1, 2, 3].map(|ip| held(ip, u32::from(ip)).unwrap());
        assert!(held(4, 3).is_none(), "all of them are new");
        first.permit.greet(tick(2));
        // It has said hello since, so the next goes.
        let fifth = held(5, 5).unwrap();
        assert!(!first.is_gone() && second.is_gone() && !third.is_gone());
        let sixth = held(6, 6).unwrap();
        assert!(third.is_gone() && !first.is_gone());
        // Who has said hello goes when those who have not are new.
        fourth.permit.greet(tick(6));
        let seventh = held(7, 6).unwrap();
        assert!(first.is_gone() && !fourth.is_gone());
        assert!(held(8, 6).is_none());
        // A greeting after the place is lost changes nothing.
        second.permit.greet(tick(7));
        drop((first, second, third, fourth, fifth, sixth, seventh));
        assert!(is_empty(&limiter));
    }

    /// P23
    #[test]
    fn admins_have_places_that_nobody_else_can_take() {
        let limiter = limiter();
        let admins = Bounds {
            per_address: None,
            is_admin: true,
            ..BOUNDS
        };
        let strangers: Vec<Held> = take_all(&limiter, networks("10.0", 0..4), BOUNDS, 0);
        let taken: Vec<Held> = (0..ADMIN_HANDSHAKES)
            .map(|_| take(&limiter, "192.0.2.1", admins, 0).unwrap())
            .collect();
        assert!(strangers.iter().all(|held| !held.is_gone()));
        assert!(take(&limiter, "192.0.2.1", admins, 0).is_none());
        // Nor do they lose them.
        let newcomer = take(&limiter, "10.9.9.9", BOUNDS, 99).unwrap();
        assert!(taken.iter().all(|held| !held.is_gone()));
        drop((strangers, taken, newcomer));
        assert!(is_empty(&limiter));
    }

    /// P23
    #[test]
    fn full_places_are_told_once_a_minute() {
        let limiter = limiter();
        let _held: Vec<Held> = take_all(&limiter, networks("10.0", 0..4), BOUNDS, 0);
        let told = |now| limiter.lock().word_of_full(4, tick(now));
        assert_eq!(told(0), Some(1));
        assert_eq!((told(1), told(599)), (None, None));
        assert_eq!(told(602), Some(1));
    }
}
