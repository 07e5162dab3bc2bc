//! The snapshot thread: takes a snapshot every interval, obeys the mailbox, gives signs of life. `writer/keys.rs` keeps the keys.
//!
//! A snapshot is one transaction. Only when an edit of the blocklist arrives meanwhile, what is written so far is committed
//! first, so that an operator never waits for the rest; the snapshot counts as finished at its end all the same.

mod blocklist;
pub(super) mod keys;
mod listed;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::database::Database;
use super::database::tables::SwarmRow;
use super::mailbox::{MAX_BLOCKS, MAX_SAVED_STATE_BYTES, Message, Refused, Reply, Saved, Shared};
use super::timeline::{Finished, Moment, Timeline};
use super::{Error, Links, file, record};
use crate::clock::{Clock, Seconds, Wall};
use crate::metrics::Gauge;
use crate::tracker::{Block, InfoHash, Tracker};

/// Swarms written between two signs of life and two looks into the mailbox.
const BATCH: usize = 256;

/// Time between two signs of life while there is nothing to do.
const TICK: Duration = Duration::from_secs(1);

/// One error line in this time, however often a disk fails.
const COMPLAINT_SECONDS: u32 = 60;

/// How long an ended block or key, and the lift of a block, stay in the database, by the wall clock and by the database's own time:
/// neither a clock that jumped ahead nor one that was wrong at the start erases the list.
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
    pub shared: Arc<Shared>,
    pub links: Links,
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
            if self.shared.stopping.load(Ordering::Acquire) {
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
            self.take_in_edits();
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
        self.take_in_edits();
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
                    Message::Keys(message) => message.fail(),
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
        let kept = self
            .restore_keys(&database)
            .and_then(|()| self.put_known_edits(&database))
            .and_then(|()| self.put_listed(&database));
        kept.map_err(|source| failed(&database, source))?;
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
                let removed = self.unblock(database, number);
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
            Message::Keys(message) => self.edit_keys(database, message),
        }
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
        // Before the first swarm is looked at: what these say of a way read so far must not be ahead of what is written.
        let states = self.states();
        // What has been received by then is in the database when they are.
        self.merge_edits(database)
            .map_err(|source| failed(database, source))?;
        let mut gone = self.tracker.freed();
        // A freed torrent may be there again; exporting it tells. In order of the hash, neighbours in the index are written
        // together.
        let mut hashes = gone.clone();
        hashes.extend(self.tracker.changed());
        hashes.sort_unstable();
        hashes.dedup();
        let mut written = Vec::with_capacity(hashes.len());
        let mut used = Vec::new();
        let outcome = self.write_swarms(
            database,
            &hashes,
            &states,
            &mut written,
            &mut gone,
            &mut used,
        );
        if outcome.is_err() {
            database.rollback();
            self.tracker.mark_changed(&written, &gone);
            self.tracker.keys().mark_changed(&used);
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
        states: &[(&'static str, Vec<u8>)],
        written: &mut Vec<InfoHash>,
        gone: &mut Vec<InfoHash>,
        used: &mut Vec<i64>,
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
                record::write(&swarm.peers, &swarm.downloaded_elsewhere, now, &mut record);
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
        self.write_use(database, used)?;
        let moment = Moment::of(&self.clock);
        let sure = moment.wall.0.min(self.timeline.stamp(moment.now));
        let long_ago = Wall(sure.saturating_sub(KEEP_ENDED_SECONDS));
        database.forget_blocks(long_ago)?;
        database.forget_lifts(long_ago, MAX_BLOCKS)?;
        database.forget_keys(long_ago)?;
        for (name, state) in states {
            database.put_saved_state(name, state)?;
        }
        database.finish(Finished {
            stamp: self.timeline.stamp(moment.now),
            wall: moment.wall,
            boot: moment.boot,
        })?;
        database.commit()?;
        self.forget_keys(long_ago);
        Ok(saved)
    }

    /// What other parts want kept with the swarms.
    fn states(&self) -> Vec<(&'static str, Vec<u8>)> {
        let states = self.links.states.iter();
        let mut kept: Vec<_> = states
            .filter_map(|(name, state)| Some((*name, state()?)))
            .collect();
        kept.retain(|(name, state)| {
            let fits = state.len() <= MAX_SAVED_STATE_BYTES;
            if !fits {
                log::error!("{name} takes {} bytes and is not kept", state.len());
            }
            fits
        });
        kept
    }

    /// Does what has arrived while a snapshot is being written.
    fn look_up(&mut self, database: &Database) -> rusqlite::Result<()> {
        if !self.shared.edits.is_empty() {
            database.commit()?;
            self.merge_edits(database)?;
            self.beat();
            database.begin()?;
        }
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
