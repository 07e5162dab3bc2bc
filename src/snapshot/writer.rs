//! The snapshot thread: takes a snapshot every interval, obeys the mailbox, gives signs of life.
//!
//! A snapshot is one transaction. Only when an edit of the blocklist arrives meanwhile, what is written so far is committed
//! first, so that an operator never waits for the rest; the snapshot counts as finished at its end all the same.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::database::Database;
use super::database::tables::{self, SwarmRow};
use super::mailbox::{ListChange, MAX_BLOCKS, MAX_LISTED, Message, Refused, Reply, Saved};
use super::timeline::{Finished, Moment, Timeline};
use super::{Error, file, record};
use crate::clock::{Clock, Seconds, Wall};
use crate::metrics::Gauge;
use crate::tracker::{Block, Enforced, InfoHash, Tracker};

/// Swarms written between two signs of life and two looks into the mailbox.
const BATCH: usize = 256;

/// Time between two signs of life while there is nothing to do.
const TICK: Duration = Duration::from_secs(1);

/// One error line in this time, however often a disk fails.
const COMPLAINT_SECONDS: u32 = 60;

/// How long an ended block stays in the database, by the wall clock and by the database's own time: neither a clock that jumped
/// ahead nor one that was wrong at the start erases the list.
const KEEP_ENDED_SECONDS: u64 = 30 * 86_400;

/// Everything the thread has to itself.
pub(super) struct Writer {
    pub file: PathBuf,
    pub interval: Duration,
    /// `None` while the disk does not let it be opened.
    pub database: Option<Database>,
    pub tracker: Arc<Tracker>,
    pub clock: Clock,
    pub timeline: Timeline,
    pub mailbox: Receiver<Message>,
    pub stopping: Arc<AtomicBool>,
    /// Who waits for the next snapshot.
    pub waiting: Vec<Reply<Saved>>,
    pub complained: Option<Seconds>,
}

impl Writer {
    /// Works until told to stop; then takes the last snapshot.
    ///
    /// # Errors
    /// The last snapshot failed.
    pub(super) fn run(mut self) -> Result<(), String> {
        let mut due = self.clock.elapsed() + self.interval;
        loop {
            self.beat();
            let (wall, now) = (self.clock.wall(), self.clock.now());
            if let Some(shortage) = self.tracker.judge_blocks(wall, now).shortage() {
                log::warn!("{shortage}");
            }
            if self.stopping.load(Ordering::Acquire) {
                return self.stop();
            }
            let until_due = due.saturating_sub(self.clock.elapsed());
            let wait = if self.interval.is_zero() {
                TICK
            } else {
                until_due.min(TICK)
            };
            match self.mailbox.recv_timeout(wait) {
                Ok(message) => self.obey(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.stop(),
            }
            let is_due = !self.interval.is_zero() && self.clock.elapsed() >= due;
            if is_due || !self.waiting.is_empty() {
                self.save();
                due = self.clock.elapsed() + self.interval;
            }
        }
    }

    fn stop(mut self) -> Result<(), String> {
        while let Ok(message) = self.mailbox.try_recv() {
            self.obey(message);
        }
        let saved = self.save();
        // Closing puts what is in the log into the database and removes the log.
        drop(self.database);
        match saved {
            Some(_) => Ok(()),
            None => {
                // Said whatever was complained of before: nobody will look at a gauge any more.
                let file = self.file.display();
                log::error!("the last snapshot failed: {file} is as the one before left it");
                Err("the last snapshot failed".to_owned())
            }
        }
    }

    fn beat(&self) {
        let now = self.clock.now().raw().into();
        self.tracker.metrics().set(Gauge::SnapshotAlive, now);
    }

    fn obey(&mut self, message: Message) {
        match self.ready() {
            Ok(database) => {
                self.edit(&database, message);
                self.database = Some(database);
            }
            Err(error) => {
                self.complain(&error);
                match message {
                    Message::Save(reply) => self.waiting.push(reply),
                    Message::Block { reply, .. } => answer(&reply, Err(Refused::Failed)),
                    Message::Unblock { reply, .. } => answer(&reply, Err(Refused::Failed)),
                    Message::ListTorrents { reply, .. } => answer(&reply, Err(Refused::Failed)),
                    Message::PutSavedState { reply, .. } => answer(&reply, Err(Refused::Failed)),
                    Message::SavedState { reply, .. } => answer(&reply, Err(Refused::Failed)),
                    Message::Wake => {}
                }
            }
        }
    }

    /// The database, to be put back; opened anew when the disk did not let that be done before, or when it is no longer there.
    fn ready(&mut self) -> Result<Database, Error> {
        if let Some(database) = self.database.take() {
            if database.is_in_place() {
                return Ok(database);
            }
            log::error!(
                "{} was removed or replaced under the tracker",
                self.file.display()
            );
            let abandoned = database.abandon(self.clock.wall());
            let aside = abandoned.map_err(|source| Error::File {
                file: self.file.clone(),
                source,
            })?;
            log::info!("what is in its place is kept as {}", aside.display());
        }
        let (database, found) = Database::open(&self.file, self.clock.wall())?;
        log::info!("{} is open: {found:?}", self.file.display());
        // What is in memory is the truth: whatever was found lacks some of it.
        self.tracker.mark_all_changed();
        for block in self.tracker.access().kept_blocks().iter() {
            let kept = database.put_block(block);
            kept.map_err(|source| failed(&database, source))?;
        }
        let listed = self.tracker.access().listed_torrents().added;
        let written = database.begin().and_then(|()| {
            database.change_listed(listed.hashes(), &[], self.clock.wall())?;
            database.commit()
        });
        if let Err(source) = written {
            database.rollback();
            return Err(failed(&database, source));
        }
        Ok(database)
    }

    /// Does what a message asks, outside any transaction.
    fn edit(&mut self, database: &Database, message: Message) {
        match message {
            Message::Save(reply) => self.waiting.push(reply),
            Message::Wake => {}
            Message::Block {
                target,
                reason,
                expires,
                may_change,
                reply,
            } => {
                let block = Block {
                    number: 0,
                    target,
                    reason,
                    created: self.clock.wall(),
                    expires,
                };
                answer(&reply, self.block(database, block, may_change));
            }
            Message::Unblock { number, reply } => {
                let removed = self.judge(database, database.remove_block(number));
                let removed = removed.and_then(|removed| self.enforce(database).map(|()| removed));
                answer(&reply, removed);
            }
            Message::ListTorrents {
                added,
                removed,
                reply,
            } => answer(&reply, self.list_torrents(database, &added, &removed)),
            Message::PutSavedState { name, data, reply } => {
                let put = database.put_saved_state(&name, &data);
                answer(&reply, self.judge(database, put));
            }
            Message::SavedState { name, reply } => {
                answer(&reply, self.judge(database, database.saved_state(&name)));
            }
        }
    }

    fn block(
        &mut self,
        database: &Database,
        mut block: Block,
        may_change: bool,
    ) -> Result<Block, Refused> {
        // Judged here, where edits come one after another: of two who block the same at once, the second changes nothing unasked.
        let in_force = self.tracker.access().blocks();
        let mut same = in_force.iter().filter(|known| known.target == block.target);
        let is_other =
            |known: &Block| (&known.reason, known.expires) != (&block.reason, block.expires);
        if !may_change && same.any(is_other) {
            return Err(Refused::Known);
        }
        // A target that is on the list gets the new reason and end and takes no more room.
        let kept = self.tracker.access().kept_blocks();
        let is_new = kept.iter().all(|kept| kept.target != block.target);
        if is_new && self.judge(database, database.count_blocks())? >= MAX_BLOCKS {
            // Entries that have ended make room before anybody is refused.
            let ended = database.forget_blocks(self.clock.wall());
            self.judge(database, ended)?;
            if self.judge(database, database.count_blocks())? >= MAX_BLOCKS {
                return Err(Refused::ListFull);
            }
        }
        block.number = self.judge(database, database.put_block(&block))?;
        self.enforce(database)?;
        Ok(block)
    }

    fn list_torrents(
        &mut self,
        database: &Database,
        added: &[InfoHash],
        removed: &[InfoHash],
    ) -> Result<ListChange, Refused> {
        let before = self.tracker.access().listed_torrents().added;
        // What is listed and taken off at once is off: as the database does one after the other.
        let after = before.changed(added, &[]).changed(&[], removed);
        if after.len() > MAX_LISTED {
            return Err(Refused::TooManyTorrents);
        }
        let written = database.begin().and_then(|()| {
            database.change_listed(added, removed, self.clock.wall())?;
            database.commit()
        });
        if written.is_err() {
            database.rollback();
        }
        self.judge(database, written)?;
        let left = before.hashes().iter();
        let removed = left.filter(|hash| !after.contains(hash)).count();
        let change = ListChange {
            added: after.len() + removed - before.len(),
            removed,
            total: after.len(),
        };
        let metrics = self.tracker.metrics();
        metrics.set(Gauge::TorrentsAdded, after.len() as u64);
        let after = Arc::new(after);
        let enforced = self.tracker.change_access(
            |access| access.list_torrents(|listed| listed.added = after),
            self.clock.now(),
        );
        Writer::tell(enforced);
        Ok(change)
    }

    /// Puts the blocklist in force as the database has it.
    fn enforce(&mut self, database: &Database) -> Result<(), Refused> {
        let blocks = self.judge(database, tables::blocks(&database.connection))?;
        let (wall, now) = (self.clock.wall(), self.clock.now());
        Writer::tell(self.tracker.block(blocks, wall, now));
        self.count_blocks();
        Ok(())
    }

    /// Has the log tell what a change did to stored peers.
    fn tell(enforced: Enforced) {
        if enforced != Enforced::default() {
            let Enforced {
                withheld,
                freed,
                restored,
                waiting: _,
            } = enforced;
            log::info!(
                "blocklist: {withheld} peers are hidden and kept for ten minutes, {restored} have come back, {freed} are freed"
            );
        }
        if let Some(shortage) = enforced.shortage() {
            log::warn!("{shortage}");
        }
    }

    fn count_blocks(&self) {
        let entries = self.tracker.access().blocks().len() as u64;
        self.tracker.metrics().set(Gauge::BlocklistEntries, entries);
    }

    fn judge<T>(&mut self, database: &Database, done: rusqlite::Result<T>) -> Result<T, Refused> {
        done.map_err(|source| {
            self.complain(&failed(database, source));
            Refused::Failed
        })
    }

    /// One error line a minute at most; the gauge tells the rest.
    fn complain(&mut self, error: &Error) {
        let now = self.clock.now();
        if self
            .complained
            .is_none_or(|last| now.since(last) >= COMPLAINT_SECONDS)
        {
            self.complained = Some(now);
            log::error!("the tracker goes on without the disk: {error}");
        }
    }

    /// Takes a snapshot and tells everybody who waits for one how it went.
    fn save(&mut self) -> Option<Saved> {
        let waiting = std::mem::take(&mut self.waiting);
        let started = self.clock.elapsed();
        let saved = self.ready().and_then(|database| {
            let saved = self.write(&database);
            // A database that turns out to be damaged is opened anew, and so checked and set aside.
            let is_damaged = saved.as_ref().is_err_and(Error::is_damage);
            self.database = (!is_damaged).then_some(database);
            saved
        });
        let metrics = Arc::clone(self.tracker.metrics());
        let saved = match saved {
            Ok(saved) => {
                let millis = self.clock.elapsed().saturating_sub(started).as_millis();
                // Saturates after half a billion years.
                let millis = u64::try_from(millis).unwrap_or(u64::MAX);
                let bytes = file::size(&self.file);
                metrics.set(Gauge::SnapshotFinishedAt, self.clock.wall().0);
                metrics.set(Gauge::SnapshotFinished, self.clock.now().raw().into());
                metrics.set(Gauge::SnapshotMillis, millis);
                metrics.set(Gauge::SnapshotBytes, bytes);
                metrics.set(Gauge::SnapshotSwarms, saved.swarms);
                metrics.set(Gauge::SnapshotPeers, saved.peers);
                // What did not change was written before.
                metrics.set(Gauge::DatabasePeers, self.tracker.peers());
                self.count_blocks();
                let Saved {
                    swarms,
                    peers,
                    removed,
                    ..
                } = saved;
                log::info!(
                    "snapshot: {swarms} swarms, {peers} peers, {removed} removed, {millis} ms"
                );
                Ok(Saved {
                    millis,
                    bytes,
                    ..saved
                })
            }
            Err(error) => {
                metrics.raise(Gauge::SnapshotFailures, 1);
                self.complain(&error);
                Err(Refused::Failed)
            }
        };
        for reply in waiting {
            answer(&reply, saved);
        }
        self.beat();
        saved.ok()
    }

    /// Writes what changed. When that fails, the core keeps what has changed: the next snapshot tries it all again.
    fn write(&mut self, database: &Database) -> Result<Saved, Error> {
        let mut gone = self.tracker.freed();
        // A freed torrent may be there again; exporting it tells. In order of the hash, neighbours in the index are written
        // together.
        let mut hashes = gone.clone();
        hashes.extend(self.tracker.changed());
        hashes.sort_unstable();
        hashes.dedup();
        let mut written = Vec::with_capacity(hashes.len());
        let outcome = self.write_swarms(database, &hashes, &mut written, &mut gone);
        if outcome.is_err() {
            database.rollback();
            self.tracker.mark_changed(&written, &gone);
        }
        let saved = outcome.map_err(|source| failed(database, source))?;
        self.beat();
        // The snapshot is safe in the log; this only moves it, and is tried again after the next one.
        let moved = database.checkpoint().and_then(|()| {
            self.beat();
            database.truncate_log()
        });
        if let Err(source) = moved {
            self.tracker.metrics().raise(Gauge::SnapshotFailures, 1);
            self.complain(&failed(database, source));
        }
        Ok(saved)
    }

    fn write_swarms(
        &mut self,
        database: &Database,
        hashes: &[InfoHash],
        written: &mut Vec<InfoHash>,
        gone: &mut Vec<InfoHash>,
    ) -> rusqlite::Result<Saved> {
        let mut saved = Saved::default();
        let mut record = Vec::new();
        database.begin()?;
        for batch in hashes.chunks(BATCH) {
            let now = self.clock.now();
            for hash in batch {
                let Some(swarm) = self.tracker.export(hash, now) else {
                    gone.push(*hash);
                    database.remove_swarm(hash)?;
                    saved.removed += 1;
                    continue;
                };
                written.push(*hash);
                record::write(&swarm.peers, now, &mut record);
                let row = SwarmRow {
                    info_hash: *hash,
                    downloaded: swarm.downloaded,
                    last_used: self.timeline.stamp(swarm.last_used),
                    saved: self.timeline.stamp(now),
                    record: std::mem::take(&mut record),
                };
                let seeders = swarm.peers.iter().filter(|peer| peer.is_seeder).count();
                database.put_swarm(&row, swarm.peers.len(), seeders)?;
                record = row.record;
                saved.swarms += 1;
                saved.peers += swarm.peers.len() as u64;
            }
            self.beat();
            self.look_up(database)?;
        }
        let moment = Moment::of(&self.clock);
        let sure = moment.wall.0.min(self.timeline.stamp(moment.now));
        database.forget_blocks(Wall(sure.saturating_sub(KEEP_ENDED_SECONDS)))?;
        database.finish(Finished {
            stamp: self.timeline.stamp(moment.now),
            wall: moment.wall,
            boot: moment.boot,
        })?;
        database.commit()?;
        Ok(saved)
    }

    /// Does what has arrived while a snapshot is being written.
    fn look_up(&mut self, database: &Database) -> rusqlite::Result<()> {
        while let Ok(message) = self.mailbox.try_recv() {
            match message {
                Message::Save(_) | Message::Wake => self.edit(database, message),
                edit => {
                    database.commit()?;
                    self.edit(database, edit);
                    self.beat();
                    database.begin()?;
                }
            }
        }
        Ok(())
    }
}

fn failed(database: &Database, source: rusqlite::Error) -> Error {
    Error::Database {
        file: database.path().into(),
        source,
    }
}

/// Whoever asked may have gone; that is not an error.
fn answer<T>(reply: &Reply<T>, result: Result<T, Refused>) {
    drop(reply.try_send(result));
}
