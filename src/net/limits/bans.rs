//! Who is refused everything for a time. Bounded in number, looked up by every request while there are any, changed seldom.
//!
//! A filter in front tells of nearly everybody who is not banned that he is not, by one look at a word that a near cache holds. The bans
//! themselves lie in lists that are replaced whole: a look-up waits for nobody.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use ipnet::IpNet;

use super::Kind;
use crate::clock::Seconds;

/// Lists, and bans in one of them at most. At a bound the one that ends soonest goes.
const LISTS: usize = 64;
const LIST_LENGTH: usize = 256;

/// Most bans at one time.
pub const MAX_BANS: usize = LISTS * LIST_LENGTH;

/// Words of the filter: 16 KiB, half of a processor's nearest cache.
const FILTER_WORDS: usize = 1 << 11;

/// One banned source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ban {
    /// A number of its own, by which it is lifted.
    pub number: u64,
    /// Who: a v4 address, or a /64 of v6.
    pub network: IpNet,
    /// What there was too much of.
    pub kind: Kind,
    /// Since when.
    pub since: Seconds,
    /// Until when.
    pub until: Seconds,
}

/// All bans.
#[derive(Debug)]
pub(super) struct Bans {
    /// How many there are, ended ones included until a sweep.
    count: AtomicUsize,
    filter: Filter,
    /// Each in the order of its networks.
    lists: Box<[ArcSwap<Vec<Ban>>]>,
    /// Raised with each change.
    version: AtomicU64,
    made: AtomicU64,
    /// The last number given; locked by whoever changes anything.
    numbers: Mutex<u64>,
}

impl Default for Bans {
    fn default() -> Bans {
        Bans::with_room(FILTER_WORDS, LISTS)
    }
}

impl Bans {
    /// For where nobody is ever banned: without room for any, and so without memory.
    pub(super) fn none() -> Bans {
        Bans::with_room(0, 0)
    }

    fn with_room(filter_words: usize, lists: usize) -> Bans {
        Bans {
            count: AtomicUsize::new(0),
            filter: Filter::with_words(filter_words),
            lists: (0..lists).map(|_| ArcSwap::default()).collect(),
            version: AtomicU64::new(0),
            made: AtomicU64::new(0),
            numbers: Mutex::new(0),
        }
    }

    /// Bytes of its tables.
    #[cfg(test)]
    pub(super) fn table_bytes(&self) -> usize {
        size_of_val(&*self.filter.0) + size_of_val(&*self.lists)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Relaxed) == 0
    }

    /// Whether a source with this hash may be banned: always when it is.
    #[inline]
    pub(super) fn may_hold(&self, hash: u64) -> bool {
        self.filter.may_hold(hash)
    }

    /// When the ban of the source with this hash ends, if it is banned. Worth asking where [`Bans::may_hold`] says so.
    pub(super) fn end(&self, source: IpAddr, hash: u64, now: Seconds) -> Option<Seconds> {
        let list = self.list(hash)?.load();
        let found = place(&list, source).ok().and_then(|at| list.get(at))?;
        Some(found.until).filter(|until| *until > now)
    }

    /// Bans a source, or lets its ban last longer. Whether it is banned by this: nothing is done while somebody else changes the list, and
    /// the source is met again.
    pub(super) fn add(&self, hash: u64, ban: Ban) -> bool {
        let Ok(mut numbers) = self.numbers.try_lock() else {
            return false;
        };
        *numbers = numbers.saturating_add(1);
        let number = *numbers;
        self.put(hash, Ban { number, ..ban }, numbers);
        self.made.fetch_add(1, Relaxed);
        true
    }

    /// Puts a ban of before back.
    pub(super) fn restore(&self, hash: u64, ban: Ban) {
        let mut numbers = self.lock();
        *numbers = ban.number.max(*numbers);
        self.put(hash, ban, numbers);
    }

    fn put(&self, hash: u64, ban: Ban, _changing: MutexGuard<'_, u64>) {
        let Some(list) = self.list(hash) else {
            return;
        };
        let mut bans = Vec::clone(&list.load());
        match place(&bans, ban.network.addr()) {
            Ok(at) => {
                if let Some(known) = bans.get_mut(at) {
                    *known = ban;
                }
            }
            Err(at) => {
                bans.insert(at, ban);
                if bans.len() > LIST_LENGTH {
                    let soonest = bans.iter().enumerate().min_by_key(|(_, ban)| ban.until);
                    let soonest = soonest.map_or(at, |(at, _)| at);
                    bans.remove(soonest);
                }
            }
        }
        self.replace(list, bans);
        // Whoever has gone from the list stays in the filter until the next sweep.
        self.filter.add(hash);
    }

    /// Ends the ban of this number; who was banned, if there was one.
    pub(super) fn lift(&self, number: u64) -> Option<Ban> {
        let _changing = self.lock();
        for list in &self.lists {
            let bans = list.load_full();
            let Some(lifted) = bans.iter().find(|ban| ban.number == number).copied() else {
                continue;
            };
            let kept = bans.iter().filter(|ban| ban.number != number).copied();
            self.replace(list, kept.collect());
            return Some(lifted);
        }
        None
    }

    /// Forgets those that have ended, and makes the filter anew.
    pub(super) fn sweep(&self, now: Seconds, hash_of: impl Fn(IpAddr) -> u64) {
        let _changing = self.lock();
        if self.is_empty() {
            return;
        }
        let filter = Filter::with_words(FILTER_WORDS);
        for list in &self.lists {
            let bans = list.load_full();
            if bans.iter().any(|ban| ban.until <= now) {
                let kept = bans.iter().filter(|ban| ban.until > now).copied();
                self.replace(list, kept.collect());
            }
            for ban in list.load().iter() {
                filter.add(hash_of(ban.network.addr()));
            }
        }
        self.filter.set_to(&filter);
    }

    /// Those in force, newest first.
    pub(super) fn all(&self, now: Seconds) -> Vec<Ban> {
        let mut all: Vec<Ban> = Vec::new();
        for list in &self.lists {
            let bans = list.load_full();
            all.extend(bans.iter().filter(|ban| ban.until > now));
        }
        all.sort_unstable_by_key(|ban| std::cmp::Reverse(ban.number));
        all
    }

    /// Changes with every change of the bans.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Relaxed)
    }

    /// Bans made since the start.
    pub(super) fn made(&self) -> u64 {
        self.made.load(Relaxed)
    }

    fn replace(&self, list: &ArcSwap<Vec<Ban>>, bans: Vec<Ban>) {
        let (before, after) = (list.load().len(), bans.len());
        list.store(bans.into());
        let count = self.count.load(Relaxed) + after;
        self.count.store(count.saturating_sub(before), Relaxed);
        self.version.fetch_add(1, Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the lowest bits")]
    fn list(&self, hash: u64) -> Option<&ArcSwap<Vec<Ban>>> {
        self.lists.get(hash as usize % LISTS)
    }
}

/// Tells who may be banned (a Bloom filter, in blocks of one word): each ban sets two bits of one word. While 5,000 are banned, about one
/// in 100 of all others is looked for in the lists in vain; at the bound one in 20.
///
/// It is changed by one thread at a time and read by all.
#[derive(Debug)]
struct Filter(Box<[AtomicU64]>);

impl Filter {
    /// With a power of two of words, up to 65,536; without any nobody may be banned.
    fn with_words(words: usize) -> Filter {
        Filter((0..words).map(|_| AtomicU64::new(0)).collect())
    }

    /// The word of a hash, and its bits there. The lists and the buckets take other parts of the hash.
    #[inline]
    fn place(&self, hash: u64) -> Option<(&AtomicU64, u64)> {
        let index = (hash >> 48) as usize & self.0.len().wrapping_sub(1);
        let bits = 1 << (hash >> 36 & 63) | 1 << (hash >> 42 & 63);
        Some((self.0.get(index)?, bits))
    }

    #[inline]
    fn may_hold(&self, hash: u64) -> bool {
        self.place(hash)
            .is_some_and(|(word, bits)| word.load(Relaxed) & bits == bits)
    }

    fn add(&self, hash: u64) {
        if let Some((word, bits)) = self.place(hash) {
            word.store(word.load(Relaxed) | bits, Relaxed);
        }
    }

    fn set_to(&self, other: &Filter) {
        for (word, other) in self.0.iter().zip(&other.0) {
            word.store(other.load(Relaxed), Relaxed);
        }
    }
}

/// Where the source is in a list, or would be.
fn place(bans: &[Ban], source: IpAddr) -> Result<usize, usize> {
    bans.binary_search_by_key(&source, |ban| ban.network.addr())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::subscriber::network;
    use std::net::Ipv4Addr;

    fn at(seconds: u32) -> Seconds {
        Seconds::START.plus(seconds)
    }

    fn ip(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(0x0b00_0000 + number).into()
    }

    fn hash(ip: IpAddr) -> u64 {
        let IpAddr::V4(ip) = ip else {
            return 0;
        };
        u64::from(ip.to_bits()).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn ban(ip: IpAddr, until: u32) -> Ban {
        Ban {
            number: 0,
            network: network(ip),
            kind: Kind::Requests,
            since: Seconds::START,
            until: at(until),
        }
    }

    /// O8
    #[test]
    fn a_ban_holds_for_its_source_until_its_end() {
        let bans = Bans::default();
        assert!(bans.is_empty());
        assert!(bans.add(hash(ip(1)), ban(ip(1), 10)));
        assert!(bans.add(hash(ip(2)), ban(ip(2), 20)));
        let end = |number, now| bans.end(ip(number), hash(ip(number)), at(now));
        assert_eq!(end(1, 9), Some(at(10)));
        assert_eq!((end(1, 10), end(3, 0)), (None, None));
        // Another source of the same hash is another source.
        assert_eq!(bans.end(ip(3), hash(ip(2)), at(0)), None);
        let version = bans.version();
        bans.sweep(at(10), hash);
        assert!(bans.version() > version);
        assert_eq!(bans.all(at(10)).len(), 1);
        assert_eq!(end(2, 10), Some(at(20)));
        assert_eq!(bans.lift(1), None);
        assert_eq!(bans.lift(2).unwrap().network, network(ip(2)));
        assert_eq!(end(2, 10), None);
        assert!(bans.is_empty());
        assert_eq!(bans.made(), 2);
    }

    /// O8
    #[test]
    fn a_source_that_is_banned_again_has_one_ban() {
        let bans = Bans::default();
        bans.add(hash(ip(1)), ban(ip(1), 10));
        bans.add(hash(ip(1)), ban(ip(1), 30));
        let all = bans.all(at(0));
        assert_eq!((all.len(), all[0].until, all[0].number), (1, at(30), 2));
    }

    /// O8
    #[test]
    fn bans_are_bounded_and_those_that_end_last_stay() {
        let bans = Bans::default();
        for number in 0..40_000 {
            bans.add(hash(ip(number)), ban(ip(number), 100 + number));
        }
        let all = bans.all(at(0));
        assert!(all.len() <= MAX_BANS && all.len() > MAX_BANS / 2);
        assert_eq!(all.len(), bans.count.load(Relaxed));
        assert!(bans.end(ip(39_999), hash(ip(39_999)), at(0)).is_some());
        assert_eq!(bans.end(ip(0), hash(ip(0)), at(0)), None);
        bans.sweep(at(40_100), hash);
        assert!(bans.is_empty());
        assert!((0..40_000).all(|number| !bans.may_hold(hash(ip(number)))));
    }

    /// O8: whoever is banned is in the filter, and few others are looked for.
    #[test]
    fn the_filter_holds_everybody_who_is_banned_and_hardly_anybody_else() {
        let bans = Bans::default();
        let banned = 0..5_000;
        for number in banned.clone() {
            bans.add(hash(ip(number)), ban(ip(number), 100 + number % 2));
        }
        let may_hold = |number: &u32| bans.may_hold(hash(ip(*number)));
        assert!(banned.clone().all(|number| may_hold(&number)));
        let others = || (5_000..105_000).filter(may_hold).count();
        assert!(others() < 2_000, "{}", others());
        bans.sweep(at(100), hash);
        let (ended, kept): (Vec<u32>, Vec<u32>) = banned.partition(|number| number % 2 == 0);
        assert!(kept.iter().all(may_hold));
        assert!(ended.iter().filter(|number| may_hold(number)).count() < 250);
    }

    /// O8
    #[test]
    fn a_restored_ban_keeps_its_number_and_new_ones_get_others() {
        let bans = Bans::default();
        let old = Ban {
            number: 7,
            ..ban(ip(1), 10)
        };
        bans.restore(hash(ip(1)), old);
        bans.add(hash(ip(2)), ban(ip(2), 10));
        let numbers: Vec<u64> = bans.all(at(0)).iter().map(|ban| ban.number).collect();
        assert_eq!(numbers, [8, 7]);
        assert_eq!(bans.made(), 1);
    }
}
