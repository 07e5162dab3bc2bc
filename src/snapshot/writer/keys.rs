//! The part of the snapshot thread that keeps the keys of announce addresses: made and revoked on the disk first and in force then, and
//! their use with every snapshot.

use std::collections::HashSet;

use super::{Database, Message, Refused, Writer, answer};
use crate::clock::Wall;
use crate::metrics::Gauge;
use crate::snapshot::key_sessions;
use crate::snapshot::mailbox::FileKeys;
use crate::tracker::{KeyDigest, KeyRecord, MAX_KEYS, NewKey};

/// What is asked of the keys.
#[derive(Debug)]
pub(in crate::snapshot) enum KeyMessage {
    Make {
        keys: Vec<NewKey>,
        reply: super::Reply<Vec<i64>>,
    },
    Revoke {
        numbers: Vec<i64>,
        reply: super::Reply<Vec<i64>>,
    },
    SetOfFile {
        keys: Vec<NewKey>,
        reply: super::Reply<FileKeys>,
    },
}

impl From<KeyMessage> for Message {
    fn from(message: KeyMessage) -> Message {
        Message::Keys(message)
    }
}

impl KeyMessage {
    /// Tells whoever asked that the disk does not let it be done.
    pub(super) fn fail(&self) {
        match self {
            KeyMessage::Make { reply, .. } | KeyMessage::Revoke { reply, .. } => {
                answer(reply, Err(Refused::Failed));
            }
            KeyMessage::SetOfFile { reply, .. } => answer(reply, Err(Refused::Failed)),
        }
    }
}

impl Writer {
    pub(super) fn edit_keys(&mut self, database: &Database, message: KeyMessage) {
        match message {
            KeyMessage::Make { keys, reply } => {
                let made = self.put_keys(database, keys, false);
                let numbers = made.map(|made| made.iter().map(|record| record.number).collect());
                answer(&reply, numbers);
            }
            KeyMessage::Revoke { numbers, reply } => {
                answer(&reply, self.revoke_keys(database, numbers));
            }
            KeyMessage::SetOfFile { keys, reply } => {
                answer(&reply, self.set_keys_of_file(database, keys));
            }
        }
        self.count_keys();
    }

    pub(super) fn count_keys(&self) {
        let keys = self.tracker.keys().len() as u64;
        self.tracker.metrics().set(Gauge::Keys, keys);
    }

    /// Does something in one transaction, which is undone when it fails.
    fn in_one<T>(
        &mut self,
        database: &Database,
        work: impl FnOnce(&Database) -> rusqlite::Result<T>,
    ) -> Result<T, Refused> {
        let done = database.in_transaction(|| work(database));
        self.judge(database, done)
    }

    fn put_keys(
        &mut self,
        database: &Database,
        keys: Vec<NewKey>,
        is_from_file: bool,
    ) -> Result<Vec<KeyRecord>, Refused> {
        let known = self.tracker.keys();
        let new = keys.iter().filter(|key| known.find(&key.digest).is_none());
        if known.len().saturating_add(new.count()) > MAX_KEYS {
            return Err(Refused::KeysFull);
        }
        let now = self.clock.wall();
        let records = self.in_one(database, |database| {
            let mut records = Vec::with_capacity(keys.len());
            for key in keys {
                let (number, created) = database.put_key(&key, is_from_file, now)?;
                records.push(KeyRecord {
                    number,
                    key,
                    is_from_file,
                    created,
                    revoked: None,
                });
            }
            Ok(records)
        })?;
        for record in &records {
            self.tracker.keys().put(record.clone());
        }
        Ok(records)
    }

    /// Returns the numbers of those that were in force.
    fn revoke_keys(&mut self, database: &Database, numbers: Vec<i64>) -> Result<Vec<i64>, Refused> {
        let (wall, now) = (self.clock.wall(), self.clock.now());
        let revoked = self.in_one(database, |database| {
            let mut revoked = Vec::new();
            for number in numbers {
                if database.revoke_key(number, wall)? {
                    revoked.push(number);
                }
            }
            Ok(revoked)
        })?;
        for number in &revoked {
            self.tracker.revoke_key(*number, wall, now);
        }
        Ok(revoked)
    }

    fn set_keys_of_file(
        &mut self,
        database: &Database,
        keys: Vec<NewKey>,
    ) -> Result<FileKeys, Refused> {
        let of_file = |record: &KeyRecord| record.is_from_file && record.revoked.is_none();
        let wanted: HashSet<KeyDigest> = keys.iter().map(|key| key.digest).collect();
        let is_gone = |record: &KeyRecord| of_file(record) && !wanted.contains(&record.key.digest);
        let gone = self.tracker.keys().numbers(is_gone);
        let is_same = |key: &NewKey| {
            let known = self.tracker.keys().find(&key.digest);
            known.is_some_and(|known| of_file(&known) && known.key == *key)
        };
        let changed: Vec<NewKey> = keys.into_iter().filter(|key| !is_same(key)).collect();
        let revoked = self.revoke_keys(database, gone)?.len();
        let put = self.put_keys(database, changed, true)?.len();
        Ok(FileKeys {
            keys: wanted.len(),
            put,
            revoked,
        })
    }

    /// Writes every key that is known, into a database that lacks some: their use follows with the next snapshot.
    pub(super) fn restore_keys(&self, database: &Database) -> rusqlite::Result<()> {
        let records = self.tracker.keys().records();
        if records.is_empty() {
            return Ok(());
        }
        let written = database.in_transaction(|| {
            let mut records = records.iter();
            records.try_for_each(|record| database.restore_key(record))
        });
        let numbers: Vec<i64> = records.iter().map(|record| record.number).collect();
        self.tracker.keys().mark_changed(&numbers);
        written
    }

    /// Writes the use that has changed, in the open transaction; the numbers of its keys go to `written`, also when this fails.
    pub(super) fn write_use(
        &mut self,
        database: &Database,
        written: &mut Vec<i64>,
    ) -> rusqlite::Result<()> {
        for shard in 0.. {
            let Some(changed) = self.tracker.keys().take_changed(shard) else {
                break;
            };
            written.extend(changed.iter().map(|usage| usage.number));
            let now = self.clock.now();
            let saved = self.timeline.stamp(now);
            for usage in changed {
                let sessions = key_sessions::write(&usage.sessions, now);
                database.use_key(usage.number, &usage.totals, saved, &sessions)?;
            }
            self.beat();
            self.look_up(database)?;
        }
        Ok(())
    }

    /// Forgets the keys that were over before `wall`, on the disk in the open transaction; in memory by the caller once it is committed.
    pub(super) fn forget_keys(&self, wall: Wall) {
        self.tracker.keys().forget(wall);
        self.count_keys();
    }
}
