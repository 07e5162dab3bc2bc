//! Keys in announce addresses (O16): who may announce with which, how many addresses and torrents it may have at once, and what its
//! clients have reported, for the accounting of a site that gives keys to its members.
//!
//! A key is looked up by its digest (`digest.rs`) under one of 64 locks; nothing waits under it. It has its sessions (`sessions.rs`)
//! and a meter (`meter.rs`). An announce without a key asks one atomic. `path.rs` says where a key stands in a path. Who makes keys,
//! and where they are kept, is not known here.

mod digest;
mod meter;
mod path;
mod places;
mod sessions;

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

pub use digest::KeyDigest;
pub use meter::Traffic;
pub use path::name_before_key;
pub use sessions::KeySession;

use meter::{Meter, capacity};
use path::key_in_path;
pub(in crate::tracker) use places::KeyedPlaces;
use sessions::{Presence, Sessions};

use super::announce::{Announce, Event, Refusal};
use crate::clock::{Seconds, Wall};
use crate::invariant::present;
use crate::percent;

/// Bytes of a key at least: 32 hex digits are 128 bits.
pub const MIN_KEY_BYTES: usize = 32;
/// Bytes of a key at most.
pub const MAX_KEY_BYTES: usize = 64;
/// Keys at most, those that have ended and are still remembered included.
pub const MAX_KEYS: usize = 500_000;
/// Characters of a label at most.
pub const MAX_LABEL: usize = 100;
/// Sessions of one key at most, and so torrents.
pub const MAX_SESSIONS: usize = 10_000;
/// Addresses of one key at once at most, of each family.
pub const MAX_ADDRESSES: usize = 1_000;
/// Sessions of all keys at most: 88 bytes each.
const MAX_ALL_SESSIONS: u64 = 10_000_000;

/// Locks; each has a 64th of the keys.
const SHARDS: usize = 64;

/// Whether announces need keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyMode {
    /// There are none; a path with one means the same as without.
    #[default]
    Off,
    /// Who has one is accounted for, who has none is served all the same.
    Accepted,
    /// Who has none is refused.
    Required,
}

/// How much of a key is used at once at most. 0: no limit but [`MAX_ADDRESSES`] and [`MAX_SESSIONS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct KeyLimits {
    /// Addresses (v6: /64) of each family.
    pub addresses: u32,
    /// Torrents.
    pub torrents: u32,
}

/// A key to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// What it is known by.
    pub digest: KeyDigest,
    /// Whose it is, in the operator's words; at most [`MAX_LABEL`] characters.
    pub label: String,
    /// When it ends; `None` for never.
    pub expires: Option<Wall>,
    /// How much of it is used at once at most.
    pub limits: KeyLimits,
}

/// What is kept of a key, apart from its use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// Its number, which no other key ever has.
    pub number: i64,
    /// What it was made with.
    pub key: NewKey,
    /// Whether it stands in `keys_file`.
    pub is_from_file: bool,
    /// When it was made.
    pub created: Wall,
    /// When it was revoked; `None` while it is in force.
    pub revoked: Option<Wall>,
}

impl KeyRecord {
    /// When it ended or was revoked, if it has or was by `now`.
    pub fn over_since(&self, now: Wall) -> Option<Wall> {
        let ended = self.key.expires.filter(|end| *end <= now);
        match (self.revoked, ended) {
            (Some(revoked), Some(ended)) => Some(revoked.min(ended)),
            (revoked, ended) => revoked.or(ended),
        }
    }
}

/// What has been done with a key, in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyTotals {
    /// As its clients reported.
    pub traffic: Traffic,
    /// When it was last announced with.
    pub last_seen: Option<Wall>,
}

/// The use of a key, to be kept and restored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyUse {
    /// The key's number.
    pub number: i64,
    /// In all.
    pub totals: KeyTotals,
    /// At the moment.
    pub sessions: Vec<KeySession>,
}

/// A key as people and sites see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyReport {
    /// What is kept of it.
    pub record: KeyRecord,
    /// What has been done with it.
    pub totals: KeyTotals,
    /// Torrents that it has at the moment.
    pub torrents: u32,
    /// Addresses (v6: /64) that it is used from at the moment.
    pub addresses: Vec<IpAddr>,
}

#[derive(Debug)]
struct Entry {
    record: KeyRecord,
    totals: KeyTotals,
    sessions: Sessions,
    /// Made with the first announce.
    meter: Option<Meter>,
    /// Whether its use has changed since it was last taken for a snapshot.
    is_changed: bool,
}

type Shard = HashMap<KeyDigest, Box<Entry>, foldhash::fast::RandomState>;

/// All keys. Every method may be called from any thread.
#[derive(Debug)]
pub struct Keys {
    mode: AtomicU8,
    /// The wall time of the last look at the clock, by which ends are judged.
    wall: AtomicU64,
    /// Sessions of all keys.
    sessions: AtomicU64,
    max_sessions: u64,
    shards: Box<[Mutex<Shard>]>,
    numbers: RwLock<BTreeMap<i64, KeyDigest>>,
}

/// A key that an announce came in by, and what it reported beside what the core needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyUser {
    /// The key.
    pub digest: KeyDigest,
    /// Bytes uploaded in this session.
    pub uploaded: u64,
}

/// By what an announce is judged and accounted for.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyRules {
    pub now: Seconds,
    /// Seconds that a session lives after its last announce.
    pub lifetime: u32,
    /// What a line carries, in MiB a second.
    pub line_mib: u32,
}

impl Keys {
    /// No keys yet.
    pub(super) fn new(mode: KeyMode) -> Keys {
        Keys {
            mode: AtomicU8::new(mode as u8),
            wall: AtomicU64::new(0),
            sessions: AtomicU64::new(0),
            max_sessions: MAX_ALL_SESSIONS,
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            numbers: RwLock::default(),
        }
    }

    pub(super) fn configure(&self, mode: KeyMode) {
        self.mode.store(mode as u8, Ordering::Relaxed);
    }

    /// Whether keys mean nothing.
    #[inline]
    pub fn are_off(&self) -> bool {
        self.mode.load(Ordering::Relaxed) == KeyMode::Off as u8
    }

    /// Whether who has no key is refused.
    #[inline]
    pub fn are_required(&self) -> bool {
        self.mode.load(Ordering::Relaxed) == KeyMode::Required as u8
    }

    /// Whether somebody may still be stored who was let in without a key.
    ///
    /// # Errors
    /// The refusal that the client is to read.
    #[inline]
    pub(super) fn admit_without(&self) -> Result<(), Refusal> {
        if self.are_required() {
            return Err(Refusal::KeyMissing);
        }
        Ok(())
    }

    /// Where the clients of all keys may be stored. Copies that, one shard at a time.
    pub(super) fn places(&self) -> KeyedPlaces {
        let of_shard = |shard: &Mutex<Shard>| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let sessions = shard.values().flat_map(|entry| entry.sessions.list());
            let places = sessions.flat_map(|session| {
                let hash = session.info_hash;
                session.places().map(move |(ip, port)| (hash, ip, port))
            });
            places.collect::<Vec<_>>()
        };
        KeyedPlaces::of(self.shards.iter().flat_map(of_shard))
    }

    /// Tells the time by which ends are judged.
    pub fn set_wall(&self, wall: Wall) {
        self.wall.store(wall.0, Ordering::Relaxed);
    }

    fn wall(&self) -> Wall {
        Wall(self.wall.load(Ordering::Relaxed))
    }

    /// Sessions of all keys.
    pub fn sessions(&self) -> u64 {
        self.sessions.load(Ordering::Relaxed)
    }

    /// How many keys are known, those that have ended or were revoked lately included.
    pub fn len(&self) -> usize {
        let numbers = self.numbers.read().unwrap_or_else(PoisonError::into_inner);
        numbers.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The key of a request whose path this is, as it came, with or without a query behind it; `None` where it has none and needs none.
    /// Whether it is a known one, nobody has looked.
    ///
    /// # Errors
    /// The refusal that the client is to read.
    pub fn in_path(&self, path: &[u8]) -> Result<Option<KeyDigest>, Refusal> {
        let path = path.split(|byte| *byte == b'?').next().unwrap_or(path);
        match key_in_path(&percent::decode_path(path)) {
            Some(key) => KeyDigest::of(key).ok_or(Refusal::KeyUnknown).map(Some),
            None => self.admit_without().map(|()| None),
        }
    }

    fn shard(&self, digest: &KeyDigest) -> Option<MutexGuard<'_, Shard>> {
        let at = usize::from(digest.leading()) % SHARDS;
        let shard = present(self.shards.get(at), "the remainder is below their number")?;
        Some(shard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a key is in force. One look-up under one lock.
    ///
    /// # Errors
    /// The refusal that the client is to read.
    pub fn admit(&self, digest: &KeyDigest) -> Result<(), Refusal> {
        let shard = self.shard(digest).ok_or(Refusal::KeyUnknown)?;
        let entry = shard.get(digest).ok_or(Refusal::KeyUnknown)?;
        entry.judge(self.wall())
    }

    /// Lets an announce in, if the key is in force and within its limits, and accounts for it. Returns the session at the places that it
    /// has left by it: its peers there are to be removed, or one client would be in a swarm from any number of addresses.
    ///
    /// # Errors
    /// The refusal that the client is to read; nothing has changed then.
    pub(super) fn enter(
        &self,
        user: &KeyUser,
        announce: &Announce,
        rules: KeyRules,
    ) -> Result<Option<KeySession>, Refusal> {
        let wall = self.wall();
        let mut shard = self.shard(&user.digest).ok_or(Refusal::KeyUnknown)?;
        let entry = shard.get_mut(&user.digest).ok_or(Refusal::KeyUnknown)?;
        entry.judge(wall)?;
        let presence = Presence {
            info_hash: &announce.info_hash,
            peer_id: &announce.peer_id,
            ip: announce.ip,
            port: announce.port,
            reported: Traffic {
                uploaded: user.uploaded,
                downloaded: announce.downloaded,
            },
            now: rules.now,
            lifetime: rules.lifetime,
        };
        let before = entry.sessions.list().len();
        let is_stopped = announce.event == Event::Stopped;
        if !is_stopped && self.sessions() >= self.max_sessions && !entry.sessions.has(&presence) {
            return Err(Refusal::KeysFull);
        }
        let last = if is_stopped {
            Ok(entry.sessions.leave(&presence))
        } else {
            entry.sessions.meet(&presence, entry.record.key.limits)
        };
        self.recount(before, entry.sessions.list().len());
        let last = last?;
        let reported = last.map(|former| (former.reported, former.seen));
        entry.account(reported, &presence, rules.line_mib);
        entry.totals.last_seen = Some(wall);
        entry.is_changed = true;
        Ok(last.and_then(|former| former.left))
    }

    fn recount(&self, before: usize, after: usize) {
        let (before, after) = (before as u64, after as u64);
        if after >= before {
            self.sessions.fetch_add(after - before, Ordering::Relaxed);
        } else {
            self.sessions.fetch_sub(before - after, Ordering::Relaxed);
        }
    }

    /// Puts a key in force, or changes one that is there and leaves its use as it is.
    pub fn put(&self, record: KeyRecord) {
        let (number, digest) = (record.number, record.key.digest);
        if let Some(mut shard) = self.shard(&digest) {
            match shard.get_mut(&digest) {
                Some(entry) => entry.record = record,
                None => drop(shard.insert(digest, Box::new(Entry::new(record)))),
            }
        }
        let mut numbers = self.numbers.write().unwrap_or_else(PoisonError::into_inner);
        numbers.insert(number, digest);
    }

    /// Puts the kept use of a key back, before the first announce. The meter is full: its sessions began before.
    pub fn restore(&self, kept: KeyUse, now: Seconds) {
        let Some(digest) = self.digest(kept.number) else {
            return;
        };
        let Some(mut shard) = self.shard(&digest) else {
            return;
        };
        if let Some(entry) = shard.get_mut(&digest) {
            entry.totals = kept.totals;
            entry.sessions = Sessions::restored(kept.sessions);
            entry.meter = Some(Meter::full(now));
            self.recount(0, entry.sessions.list().len());
        }
    }

    fn digest(&self, number: i64) -> Option<KeyDigest> {
        let numbers = self.numbers.read().unwrap_or_else(PoisonError::into_inner);
        numbers.get(&number).copied()
    }

    /// Ends a key; returns the sessions that it had.
    pub(super) fn revoke(&self, number: i64, wall: Wall) -> Vec<KeySession> {
        let Some(digest) = self.digest(number) else {
            return Vec::new();
        };
        let Some(mut shard) = self.shard(&digest) else {
            return Vec::new();
        };
        let Some(entry) = shard.get_mut(&digest) else {
            return Vec::new();
        };
        entry.record.revoked.get_or_insert(wall);
        self.end(entry)
    }

    fn end(&self, entry: &mut Entry) -> Vec<KeySession> {
        let sessions = entry.sessions.take_all();
        entry.is_changed |= !sessions.is_empty();
        self.recount(sessions.len(), 0);
        sessions
    }

    /// Forgets the sessions of the dead; returns those of keys that have ended, one shard at a time.
    pub(super) fn sweep(&self, now: Seconds, lifetime: u32) -> Vec<KeySession> {
        let wall = self.wall();
        let mut over = Vec::new();
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            for entry in shard.values_mut() {
                if entry.judge(wall).is_err() {
                    over.append(&mut self.end(entry));
                    continue;
                }
                let before = entry.sessions.list().len();
                if before > 0 && entry.sessions.forget_dead(now, lifetime) {
                    entry.is_changed = true;
                    self.recount(before, entry.sessions.list().len());
                }
            }
        }
        over
    }

    /// Forgets the keys that were over before `wall`.
    pub fn forget(&self, wall: Wall) {
        let now = self.wall();
        for shard in &self.shards {
            let mut gone = Vec::new();
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.retain(|_, entry| {
                let is_kept = entry.record.over_since(now).is_none_or(|end| end >= wall);
                if !is_kept {
                    gone.push(entry.record.number);
                    self.recount(entry.sessions.list().len(), 0);
                }
                is_kept
            });
            drop(shard);
            let mut numbers = self.numbers.write().unwrap_or_else(PoisonError::into_inner);
            for number in gone {
                numbers.remove(&number);
            }
        }
    }

    /// The use that has changed since it was last taken, of the keys of one shard; `None` behind the last. Copies it.
    pub fn take_changed(&self, shard: usize) -> Option<Vec<KeyUse>> {
        let shard = self.shards.get(shard)?;
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = shard.values_mut().filter(|entry| entry.is_changed);
        Some(
            changed
                .map(|entry| {
                    entry.is_changed = false;
                    entry.usage()
                })
                .collect(),
        )
    }

    /// Takes back that the use of these keys was taken: it was not written.
    pub fn mark_changed(&self, numbers: &[i64]) {
        for number in numbers {
            if let Some(digest) = self.digest(*number)
                && let Some(mut shard) = self.shard(&digest)
                && let Some(entry) = shard.get_mut(&digest)
            {
                entry.is_changed = true;
            }
        }
    }

    /// Every key that is known, in order of their numbers. Copies them.
    pub fn records(&self) -> Vec<KeyRecord> {
        let numbers = self.numbers.read().unwrap_or_else(PoisonError::into_inner);
        let digests: Vec<KeyDigest> = numbers.values().copied().collect();
        drop(numbers);
        let record = |digest: KeyDigest| {
            let shard = self.shard(&digest)?;
            shard.get(&digest).map(|entry| entry.record.clone())
        };
        digests.into_iter().filter_map(record).collect()
    }

    /// The numbers of the keys that `keep` keeps, in no order; one shard at a time.
    pub fn numbers(&self, keep: impl Fn(&KeyRecord) -> bool) -> Vec<i64> {
        let mut found = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let kept = shard.values().filter(|entry| keep(&entry.record));
            found.extend(kept.map(|entry| entry.record.number));
        }
        found
    }

    /// What is kept of the key with this digest.
    pub fn find(&self, digest: &KeyDigest) -> Option<KeyRecord> {
        let shard = self.shard(digest)?;
        shard.get(digest).map(|entry| entry.record.clone())
    }

    /// The key of this number.
    pub fn one(&self, number: i64) -> Option<KeyReport> {
        let digest = self.digest(number)?;
        let shard = self.shard(&digest)?;
        shard.get(&digest).map(|entry| entry.report())
    }

    /// Keys in order of their numbers, behind `after`: at most `most` that `keep` keeps. May look at all keys, each under its lock.
    pub fn page(
        &self,
        after: i64,
        most: usize,
        keep: impl Fn(&KeyReport) -> bool,
    ) -> Vec<KeyReport> {
        let mut found = Vec::new();
        let mut after = after;
        loop {
            let numbers = self.numbers.read().unwrap_or_else(PoisonError::into_inner);
            let range = (std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded);
            let batch: Vec<i64> = numbers
                .range(range)
                .map(|(number, _)| *number)
                .take(1_000)
                .collect();
            drop(numbers);
            let Some(last) = batch.last() else {
                return found;
            };
            after = *last;
            for number in batch {
                let Some(report) = self.one(number) else {
                    continue;
                };
                if keep(&report) {
                    found.push(report);
                }
                if found.len() >= most {
                    return found;
                }
            }
        }
    }
}

impl KeyReport {
    /// When it was last used, made or over, as far as a site must know.
    pub fn changed_at(&self, now: Wall) -> Wall {
        let used = self.totals.last_seen.unwrap_or_default();
        let over = self.record.over_since(now).unwrap_or_default();
        used.max(over).max(self.record.created)
    }
}

impl Entry {
    fn new(record: KeyRecord) -> Entry {
        Entry {
            record,
            totals: KeyTotals::default(),
            sessions: Sessions::default(),
            meter: None,
            is_changed: false,
        }
    }

    fn judge(&self, wall: Wall) -> Result<(), Refusal> {
        if self.record.revoked.is_some() {
            return Err(Refusal::KeyRevoked);
        }
        if self.record.key.expires.is_some_and(|end| end <= wall) {
            return Err(Refusal::KeyEnded);
        }
        Ok(())
    }

    /// Counts what a client has moved since what it reported `last`. The first time nothing: it is the base.
    fn account(
        &mut self,
        last: Option<(Traffic, Seconds)>,
        presence: &Presence<'_>,
        line_mib: u32,
    ) {
        let lines = self.sessions.lines();
        let now = presence.now;
        let meter = self.meter.get_or_insert_with(|| Meter::new(now, line_mib));
        meter.fill(now, presence.lifetime, lines, line_mib);
        let Some((base, seen)) = last else {
            return;
        };
        let most = capacity(line_mib, now.since(seen));
        let growth = presence.reported.growth_since(base, most);
        self.totals.traffic = self.totals.traffic.plus(meter.take(growth));
    }

    fn usage(&self) -> KeyUse {
        KeyUse {
            number: self.record.number,
            totals: self.totals,
            sessions: self.sessions.list().to_vec(),
        }
    }

    fn report(&self) -> KeyReport {
        KeyReport {
            record: self.record.clone(),
            totals: self.totals,
            torrents: self.sessions.torrents(),
            addresses: self.sessions.addresses().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::announce::ListOptions;
    use crate::tracker::id::{InfoHash, PeerId};

    /// O16: what docs/OPERATIONS.md says of memory.
    #[test]
    fn a_key_and_a_session_are_as_large_as_they_are_said_to_be() {
        assert!(size_of::<Entry>() <= 240, "{}", size_of::<Entry>());
        assert_eq!(size_of::<KeySession>(), 88);
    }

    /// O16: the bound of all sessions is in nobody's way who has one.
    #[test]
    fn at_the_bound_of_all_sessions_nobody_new_is_accounted_for() {
        let mut keys = Keys::new(KeyMode::Required);
        keys.max_sessions = 1;
        let digest = KeyDigest::from_bytes([7; 16]);
        keys.put(KeyRecord {
            number: 1,
            key: NewKey {
                digest,
                label: String::new(),
                expires: None,
                limits: KeyLimits::default(),
            },
            is_from_file: false,
            created: Wall(0),
            revoked: None,
        });
        let user = KeyUser {
            digest,
            uploaded: 0,
        };
        let rules = KeyRules {
            now: Seconds::START,
            lifetime: 3_600,
            line_mib: 125,
        };
        let enter = |torrent: u8, event| {
            let announce = Announce {
                info_hash: InfoHash([torrent; 20]),
                peer_id: PeerId([1; 20]),
                key: None,
                ip: [192, 0, 2, 1].into(),
                inner_ip: None,
                is_reported: false,
                port: 1,
                is_seeder: false,
                downloaded: 0,
                event,
                num_want: None,
                options: ListOptions::default(),
            };
            keys.enter(&user, &announce, rules)
        };
        assert_eq!(enter(1, Event::None), Ok(None));
        assert_eq!(enter(2, Event::None), Err(Refusal::KeysFull));
        assert_eq!(enter(1, Event::None), Ok(None));
        assert_eq!(enter(2, Event::Stopped), Ok(None));
        assert_eq!(enter(1, Event::Stopped), Ok(None));
        assert_eq!(enter(2, Event::None), Ok(None));
    }
}
