//! Tells the others: a thread that takes the news of all workers every 250 ms and appends it to this tracker's own log, on the nearest
//! engine that takes it.
//!
//! An engine that fails may have taken its log with it, so what was told in the last seconds is told again to the next one at once, and
//! everything else behind it (`repair.rs`). While no engine takes anything, only since when is remembered.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::block::{BlockDelta, Blocklist};
use super::come_back::ComeBack;
use super::engine::{Connection, EngineError, LogState};
use super::engine_time::EngineTime;
use super::entry_id::{self, EntryId};
use super::frame::{Hello, Packed, Packer};
use super::name::SiteName;
use super::repair::{self, Duty, Portion, Repair};
use super::shared::{Shared, Way};
use super::status::Outgoing;
use crate::clock::Seconds;
use crate::tracker::{SwarmDelta, Tracker};

/// From one batch to the next.
const TICK: Duration = Duration::from_millis(250);

/// What was told in this time is told again when an engine fails.
const RECENT: Duration = Duration::from_secs(5);

/// Peers in it at most; more are left to the repair.
const MAX_RECENT: usize = 131_072;

/// Who has left in this time is told again when somebody asks for everything.
const LEFT_WITHIN: Duration = Duration::from_secs(120);

/// From one word of life to the next.
const HELLO_EVERY: Duration = Duration::from_secs(5);

/// From one look at the own log to the next.
const CHECK_EVERY: Duration = Duration::from_secs(2);

/// A nearer engine is gone back to when it has been read well for so long.
const WELL_FOR: Duration = Duration::from_secs(5);

/// From one try of an engine to the next: of one that does not answer, and of one that refuses.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_REFUSED: Duration = Duration::from_secs(5);

/// Frames in one call: 256 KiB, which a slow line takes within its second.
const FRAMES: usize = 16;

/// Peers that a repair tells in a second: at most, at least, and by all trackers together.
const REPAIR_MOST: usize = 40_000;
const REPAIR_LEAST: usize = 10_000;
const REPAIR_ALL: usize = 120_000;

/// What is known of the own log on one engine.
#[derive(Clone, Copy, Debug, Default)]
struct OwnLog {
    /// The last entry that the engine took.
    last: EntryId,
    /// Entries that the log was ever given, as far as this is told.
    appended: Option<u64>,
    retry_at: Duration,
}

/// The writer.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    tracker: Arc<Tracker>,
    blocks: Arc<Blocklist>,
    connection: Option<(usize, Connection)>,
    time: EngineTime,
    logs: Vec<OwnLog>,
    sequence: u32,
    recent: VecDeque<(Duration, Vec<SwarmDelta>)>,
    recent_peers: usize,
    repair: Repair,
    /// That everything is to be told again, and since when it may not be known who left.
    wanted_repair: Option<Seconds>,
    /// When those who have come back from behind a block are to be told of.
    come_back: ComeBack,
    duty: Duty,
    duty_at: Duration,
    hello_at: Duration,
    check_at: Duration,
    outgoing: Outgoing,
}

fn peers_in(deltas: &[SwarmDelta]) -> usize {
    deltas.iter().map(|delta| delta.peers.len()).sum()
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        tracker: Arc<Tracker>,
        blocks: Arc<Blocklist>,
    ) -> Writer {
        let own = &shared.settings.name;
        let board = shared.board();
        let known = board.engines.iter().map(|engine| engine.positions.get(own));
        let logs = known.map(|last| OwnLog {
            last: last.copied().unwrap_or_default(),
            ..OwnLog::default()
        });
        let logs = logs.collect();
        drop(board);
        let half = Duration::from_secs(u64::from(tracker.settings().lifetime()) / 2);
        Writer {
            duty_at: shared.clock.elapsed() + half,
            shared,
            tracker,
            blocks,
            connection: None,
            time: EngineTime::default(),
            logs,
            sequence: 0,
            recent: VecDeque::new(),
            recent_peers: 0,
            repair: Repair::default(),
            wanted_repair: None,
            come_back: ComeBack::default(),
            duty: Duty::default(),
            hello_at: Duration::ZERO,
            check_at: Duration::ZERO,
            outgoing: Outgoing::default(),
        }
    }

    /// Tells until the part stops, and then what has come before.
    pub(super) fn run(mut self) {
        loop {
            let is_last = self.shared.is_stopping();
            let began = self.shared.clock.elapsed();
            self.tick();
            if is_last {
                return;
            }
            let took = self.shared.clock.elapsed().saturating_sub(began);
            self.shared.sleep_or_wake(TICK.saturating_sub(took));
        }
    }

    fn tick(&mut self) {
        self.shared.live(0);
        let now = self.shared.now();
        let batch = self.tracker.take_touched();
        if batch.has_overflowed {
            self.outgoing.overflows += 1;
            self.outgoing.dropped += batch.dropped;
            self.want_repair(RECENT);
        }
        let elapsed = self.shared.clock.elapsed();
        if batch.have_come_back {
            self.come_back.lifted(elapsed);
        }
        // One that is under way comes to its end first: lifts that keep coming would begin it anew for ever.
        if self.repair.left() == 0 && self.come_back.take_due(elapsed) {
            self.want_repair(RECENT);
        }
        if self.shared.take_resend() {
            self.want_repair(LEFT_WITHIN);
        }
        let deltas = self.tracker.deltas_of(batch.touched, now);
        self.go_back();
        if self.connection.is_none() {
            self.choose();
        }
        if self.connection.is_some() {
            self.tell_all(deltas, now);
        } else {
            self.outgoing.dropped += peers_in(&deltas) as u64;
            self.want_repair(RECENT);
        }
        self.outgoing.resend_left = self.repair.left() as u64;
        let mut board = self.shared.board();
        board.outgoing = Outgoing {
            // The first was no change.
            engine_changes: self.outgoing.engine_changes.saturating_sub(1),
            ..self.outgoing
        };
        board.writes_to = self.connection.as_ref().map(|(engine, _)| *engine);
    }

    /// News, blocks, and a portion of what else is to be told.
    fn tell_all(&mut self, deltas: Vec<SwarmDelta>, now: Seconds) {
        let elapsed = self.shared.clock.elapsed();
        let blocks = self.shared.take_blocks();
        if !self.tell(&deltas, &blocks) {
            self.shared.return_blocks(blocks);
            self.outgoing.dropped += peers_in(&deltas) as u64;
            return;
        }
        self.remember(deltas, elapsed);
        if let Some(since) = self.wanted_repair.take() {
            self.outgoing.resends += 1;
            let leaves = self.tracker.own_leaves(since);
            let blocks = self.all_blocks();
            self.repair.begin(&self.tracker, leaves, blocks);
        }
        if elapsed >= self.duty_at {
            let half = u64::from(self.tracker.settings().lifetime()) / 2;
            self.duty_at = elapsed + Duration::from_secs(half.max(1));
            let others = self.shared.live_sites();
            let blocks = self.all_blocks();
            self.duty.begin(&self.tracker, blocks, others);
        }
        let trackers = 1 + self.shared.live_sites().len();
        let pace = (REPAIR_ALL / trackers).clamp(REPAIR_LEAST, REPAIR_MOST);
        let ticks = usize::try_from(1_000 / TICK.as_millis()).unwrap_or(1);
        let repair = self.repair.next(&self.tracker, pace / ticks, now);
        self.tell_portion(&repair);
        let duty = self.duty.next(&self.tracker, &self.shared.settings.name);
        self.tell_portion(&duty);
        if self.shared.clock.elapsed() >= self.check_at {
            self.check();
        }
    }

    fn all_blocks(&self) -> Vec<BlockDelta> {
        if self.shared.settings.share_blocklist {
            repair::told_again((self.blocks.list)(), &self.shared.live_origins())
        } else {
            Vec::new()
        }
    }

    /// What is lost with an engine comes again with the repair that this begins.
    fn tell_portion(&mut self, portion: &Portion) {
        if !portion.swarms.is_empty() || !portion.blocks.is_empty() {
            self.tell(&portion.swarms, &portion.blocks);
        }
    }

    /// Appends to the own log, on another engine when this one fails; whether one took it all.
    fn tell(&mut self, deltas: &[SwarmDelta], blocks: &[BlockDelta]) -> bool {
        for _ in 0..=self.logs.len() {
            if self.connection.is_none() && !self.change() {
                return false;
            }
            match self.append(deltas, blocks) {
                Ok(()) => return true,
                Err(error) => self.fail(&error),
            }
        }
        false
    }

    fn append(&mut self, deltas: &[SwarmDelta], blocks: &[BlockDelta]) -> Result<(), EngineError> {
        let elapsed = self.shared.clock.elapsed();
        let is_due = elapsed >= self.hello_at;
        if deltas.is_empty() && blocks.is_empty() && !is_due {
            return Ok(());
        }
        let Some((engine, connection)) = self.connection.as_mut() else {
            return Err(EngineError::Closed);
        };
        let lifetime = self.tracker.settings().lifetime();
        let (frames, sequence) = pack(
            &self.shared,
            &self.tracker,
            self.sequence,
            deltas,
            blocks,
            is_due,
        );
        let min_ms = self
            .time
            .at(elapsed)
            .saturating_sub(u64::from(lifetime) * 1_000);
        let key = self.shared.keys.stream(&self.shared.settings.name);
        // Numbers are not used twice, whatever becomes of these.
        self.sequence = sequence;
        for some in frames.chunks(FRAMES) {
            if let Some(known) = self.shared.board().engines.get_mut(*engine) {
                known.own_appends += 1;
            }
            let bytes = some.iter().map(|frame| frame.bytes.as_slice());
            let last = connection.append(&key, min_ms, bytes)?;
            if let (Some(log), Some(last)) = (self.logs.get_mut(*engine), last) {
                log.last = last;
                log.appended = log.appended.map(|appended| appended + some.len() as u64);
            }
            self.outgoing.frames += some.len() as u64;
            for frame in some {
                self.outgoing.bytes += frame.bytes.len() as u64;
                self.outgoing.deltas += u64::from(frame.peers);
            }
            let name = &self.shared.settings.name;
            let mut board = self.shared.board();
            let known = board.engines.get_mut(*engine);
            // Until the own log has been read back, it is to be read from where that has come to.
            if let (Some(known), Some(last)) = (known.filter(|known| known.is_caught_up), last) {
                known.positions.insert(name.clone(), last);
            }
        }
        if is_due {
            self.hello_at = elapsed + HELLO_EVERY;
        }
        Ok(())
    }

    /// Leaves an engine that failed.
    fn fail(&mut self, error: &EngineError) {
        let Some((engine, _)) = self.connection.take() else {
            return;
        };
        self.shared
            .note_engine(engine, Way::Write, Some(error.clone()));
        self.put_off(engine, error);
        self.want_repair(RECENT);
    }

    fn put_off(&mut self, engine: usize, error: &EngineError) {
        let pause = if error.is_refusal() {
            RETRY_REFUSED
        } else {
            RETRY
        };
        if let Some(log) = self.logs.get_mut(engine) {
            log.retry_at = self.shared.clock.elapsed() + pause;
        }
    }

    /// Chooses another engine after one failed, and tells it at once what the failed one may have lost.
    fn change(&mut self) -> bool {
        if !self.choose() {
            return false;
        }
        let since = self.shared.clock.elapsed().saturating_sub(RECENT);
        let recent = self.recent.iter().filter(|(at, _)| *at >= since);
        let recent: Vec<SwarmDelta> = recent
            .flat_map(|(_, deltas)| deltas.iter().cloned())
            .collect();
        match self.append(&recent, &[]) {
            Ok(()) => true,
            Err(error) => {
                self.fail(&error);
                self.choose()
            }
        }
    }

    /// Connects to the nearest engine that answers, those last that their reader finds unwell.
    fn choose(&mut self) -> bool {
        let now = self.shared.clock.elapsed();
        let engines = 0..self.logs.len();
        let mut places: Vec<usize> = engines
            .filter(|engine| {
                self.logs
                    .get(*engine)
                    .is_some_and(|log| log.retry_at <= now)
            })
            .collect();
        places.sort_by_key(|engine| (!self.shared.reads_well(*engine, Duration::ZERO), *engine));
        for engine in places {
            let began = self.shared.clock.elapsed();
            if self.connect(engine) {
                self.outgoing.engine_changes += 1;
                return true;
            }
            // The news must not wait for several that do not answer.
            if self.shared.clock.elapsed().saturating_sub(began) >= TICK {
                break;
            }
        }
        false
    }

    /// Goes back to a nearer engine that is well again. Both logs stay, so nothing has to be told again.
    fn go_back(&mut self) {
        let Some(current) = self.connection.as_ref().map(|(engine, _)| *engine) else {
            return;
        };
        let now = self.shared.clock.elapsed();
        for engine in 0..current {
            let is_due = self.logs.get(engine).is_some_and(|log| log.retry_at <= now);
            if is_due && self.shared.reads_well(engine, WELL_FOR) && self.connect(engine) {
                self.outgoing.engine_changes += 1;
                return;
            }
        }
    }

    /// Connects, and looks whether the engine has kept the own log; whether it is the one written to now.
    fn connect(&mut self, engine: usize) -> bool {
        match self.connected(engine) {
            Ok(connection) => {
                self.connection = Some((engine, connection));
                self.hello_at = Duration::ZERO;
                self.shared.note_engine(engine, Way::Write, None);
                true
            }
            Err(error) => {
                self.put_off(engine, &error);
                self.shared.note_engine(engine, Way::Write, Some(error));
                false
            }
        }
    }

    fn connected(&mut self, engine: usize) -> Result<Connection, EngineError> {
        let at = self
            .shared
            .engines
            .get(engine)
            .ok_or(EngineError::Unresolved)?;
        let mut connection = at.connect(self.shared.clock)?;
        let asked = self.shared.clock.elapsed();
        let engine_ms = connection.time()?;
        let time = EngineTime::measured(engine_ms, asked, self.shared.clock.elapsed());
        let key = self.shared.keys.stream(&self.shared.settings.name);
        let state = connection.log_state(&key)?;
        let state = self.begin_anew(engine, &mut connection, time, state)?;
        let is_whole = self.compare(engine, state);
        if !is_whole {
            self.want_repair(RECENT);
        }
        // One that takes questions and no news is none to choose.
        if !connection.may_append(&key)? {
            return Err(EngineError::Says(
                "NOPERM this user may not append to the log of this tracker".into(),
            ));
        }
        self.time = time;
        self.check_at = asked + CHECK_EVERY;
        Ok(connection)
    }

    /// Removes the own log where it is ahead of the engine's clock: then nothing in it is ever dropped for its age, and at the last id
    /// that there is it takes no more. Whoever may write to it can bring that about, and so does a clock that was set back. All of it is
    /// told again. Gives how the log is then.
    fn begin_anew(
        &mut self,
        engine: usize,
        connection: &mut Connection,
        time: EngineTime,
        state: Option<LogState>,
    ) -> Result<Option<LogState>, EngineError> {
        let engine_ms = time.at(self.shared.clock.elapsed());
        let ahead_ms = state.and_then(|state| state.last.ahead_of(engine_ms));
        let name = &self.shared.settings.name;
        let removed = match ahead_ms {
            None => Ok(()),
            Some(_) => connection.remove_log(&self.shared.keys.stream(name)),
        };
        let is_forbidden = match removed {
            Ok(()) => false,
            Err(error) if error.says("NOPERM") => true,
            Err(error) => return Err(error),
        };
        if let Some(known) = self.shared.board().engines.get_mut(engine) {
            known.is_own_ahead = is_forbidden;
        }
        let Some(ahead_ms) = ahead_ms else {
            return Ok(state);
        };
        let by = entry_id::in_words(ahead_ms);
        self.shared.complain(engine, "ahead", || {
            let done = if is_forbidden {
                "this user may not remove it; allow +unlink"
            } else {
                "it is begun anew, and everything is told again"
            };
            format!("the log of {name} is {by} ahead of its engine's clock: {done}")
        });
        if is_forbidden {
            return Ok(state);
        }
        self.outgoing.new_logs += 1;
        self.want_repair(LEFT_WITHIN);
        Ok(None)
    }

    /// Whether the log is at least what it was given, as the engine says; takes note of what it is.
    fn compare(&mut self, engine: usize, state: Option<LogState>) -> bool {
        let Some(log) = self.logs.get_mut(engine) else {
            return true;
        };
        let Some(state) = state else {
            log.last = EntryId::default();
            log.appended = Some(0);
            return false;
        };
        let has_fewer = log
            .appended
            .zip(state.appended)
            .is_some_and(|(had, has)| has < had);
        let is_whole = state.last >= log.last && !has_fewer;
        log.last = state.last;
        log.appended = state.appended;
        is_whole
    }

    /// Looks after the own log: an engine that was restarted empty or flushed takes news as if nothing had been.
    fn check(&mut self) {
        let Some((engine, mut connection)) = self.connection.take() else {
            return;
        };
        self.check_at = self.shared.clock.elapsed() + CHECK_EVERY;
        let key = self.shared.keys.stream(&self.shared.settings.name);
        let asked = self.shared.clock.elapsed();
        let answer = connection.time().and_then(|ms| {
            let time = EngineTime::measured(ms, asked, self.shared.clock.elapsed());
            connection.log_state(&key).map(|state| (time, state))
        });
        let answer = answer.and_then(|(time, state)| {
            self.time = time;
            let had = self.logs.get(engine).and_then(|log| log.appended);
            let has = state.and_then(|state| state.appended);
            if had.zip(has).is_some_and(|(had, has)| has > had) {
                self.shared.note_namesake(engine);
            }
            self.begin_anew(engine, &mut connection, time, state)
        });
        self.connection = Some((engine, connection));
        match answer {
            Ok(state) => {
                if !self.compare(engine, state) {
                    self.want_repair(RECENT);
                    self.tell_recent();
                }
            }
            Err(error) => self.fail(&error),
        }
    }

    /// What the lost log had last, at once.
    fn tell_recent(&mut self) {
        let recent: Vec<SwarmDelta> = self
            .recent
            .iter()
            .flat_map(|(_, deltas)| deltas.iter().cloned())
            .collect();
        if let Err(error) = self.append(&recent, &[]) {
            self.fail(&error);
        }
    }

    /// Keeps what was told for some seconds.
    fn remember(&mut self, deltas: Vec<SwarmDelta>, at: Duration) {
        self.recent_peers += peers_in(&deltas);
        self.recent.push_back((at, deltas));
        let too_old = |(then, _): &(Duration, Vec<SwarmDelta>)| at.saturating_sub(*then) > RECENT;
        while self.recent_peers > MAX_RECENT || self.recent.front().is_some_and(too_old) {
            let Some((_, old)) = self.recent.pop_front() else {
                break;
            };
            self.recent_peers = self.recent_peers.saturating_sub(peers_in(&old));
        }
    }

    /// Has everything told again as soon as an engine takes it; first who left in this time before now, or since it was first wanted.
    fn want_repair(&mut self, back: Duration) {
        let back = u32::try_from(back.as_secs()).unwrap_or(u32::MAX);
        let since = self.shared.now().minus(back.saturating_add(1));
        self.wanted_repair = Some(self.wanted_repair.map_or(since, |wanted| wanted.min(since)));
    }
}

/// Everything as frames, and the number of the next one.
fn pack(
    shared: &Shared,
    tracker: &Tracker,
    sequence: u32,
    deltas: &[SwarmDelta],
    blocks: &[BlockDelta],
    with_hello: bool,
) -> (Vec<Packed>, u32) {
    let elapsed = shared.clock.elapsed();
    let now = Seconds::START.plus(u32::try_from(elapsed.as_secs()).unwrap_or(u32::MAX));
    let phase_ms = u16::try_from(elapsed.subsec_millis()).unwrap_or(0);
    let lifetime = tracker.settings().lifetime();
    let mut packer = Packer::new(shared.epoch, sequence, lifetime, now, phase_ms);
    if with_hello {
        packer.hello(&Hello {
            zones_digest: super::zones_digest::of(&tracker.zones()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        });
    }
    blocks.iter().for_each(|block| packer.block(block));
    let names = names_by_number(shared, deltas);
    for delta in deltas {
        let counts = delta.downloaded.iter().filter_map(|(of, count)| match of {
            None => Some((None, *count)),
            Some(origin) => {
                let name = names.get(usize::from(origin.get()))?.as_ref()?;
                Some((Some(name), *count))
            }
        });
        packer.swarm(delta.info_hash, counts, &delta.peers);
    }
    packer.finish()
}

/// The names of all origins by their numbers, where any is needed.
fn names_by_number(shared: &Shared, deltas: &[SwarmDelta]) -> Vec<Option<SiteName>> {
    let of_others = |delta: &SwarmDelta| delta.downloaded.iter().any(|(of, _)| of.is_some());
    if !deltas.iter().any(of_others) {
        return Vec::new();
    }
    let mut names = vec![None; crate::tracker::MAX_ORIGINS];
    for (name, site) in &shared.board().sites {
        if let Some(place) = names.get_mut(usize::from(site.origin.get())) {
            *place = Some(name.clone());
        }
    }
    names
}
