//! Reads the logs of all trackers from one engine and merges them: a thread for each engine.
//!
//! Logs are read by concrete ids; new ones are looked for every second. What a partner tells too fast waits in its own log. A log
//! that cannot be read within the bounds is found by reading each alone, and left out for a minute.

use std::sync::Arc;
use std::time::Duration;

use super::block::Blocklist;
use super::engine::{Connection, EngineError, LogPart, MAX_BULK};
use super::engine_time::EngineTime;
use super::entry_id::EntryId;
use super::frame::{self, Entry, Frame, FrameError, SwarmEntry};
use super::name::SiteName;
use super::shared::{Shared, Way};
use super::status::Dropped;
use crate::clock::Seconds;
use crate::tracker::{Merged, Origin, SwarmDelta, Tracker};

/// How long a question waits for something new.
const WAIT: Duration = Duration::from_millis(500);

/// From one search for new logs to the next.
const SEARCH_EVERY: Duration = Duration::from_secs(1);

/// From one look at the engine's clock and notes to the next.
const NOTES_EVERY: Duration = Duration::from_secs(10);

/// From one look at the own log to the next; whoever else writes to it does so every 5 s.
const LOOK_EVERY: Duration = Duration::from_secs(6);

/// Entries that one question brings, over all logs: 4 MiB of frames.
const ENTRIES: usize = 256;

/// A log that cannot be read is left out for so long.
const SHUT_FOR: Duration = Duration::from_secs(60);

/// What one partner may tell, in peers a second, and how much of it at once. A repair goes at half of it.
const PACE: u64 = 80_000;
const BURST: u64 = 2 * PACE;

/// From one try to connect to the next, growing up to the second.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const MOST_PAUSE: Duration = Duration::from_secs(2);

/// A log that is read.
#[derive(Debug)]
struct Log {
    name: SiteName,
    key: String,
    /// `None`: this tracker's own, which is read back at a cold start.
    origin: Option<Origin>,
    position: EntryId,
    /// Peers that it may still tell, and when that was counted.
    allowance: i64,
    allowed_at: Duration,
    shut_until: Duration,
}

impl Log {
    /// Whether it may tell something at `now`.
    fn may_tell(&mut self, now: Duration) -> bool {
        let gone = now.saturating_sub(self.allowed_at).as_millis();
        let more = u64::try_from(gone).unwrap_or(BURST).saturating_mul(PACE) / 1_000;
        self.allowed_at = now;
        let more = i64::try_from(more.min(2 * BURST)).unwrap_or(0);
        let burst = i64::try_from(BURST).unwrap_or(0);
        self.allowance = self.allowance.saturating_add(more).min(burst);
        self.allowance > 0 && now >= self.shut_until
    }
}

/// Whether what one log holds can be the cause; others are of the engine.
fn is_of_a_log(error: &EngineError) -> bool {
    matches!(error, EngineError::TooLarge | EngineError::Shape) || error.says("WRONGTYPE")
}

/// What became of the entries of one log.
#[derive(Debug, Default)]
struct Tally {
    frames: u64,
    deltas: u64,
    dropped: [u64; Dropped::COUNT],
    merged: Merged,
}

impl Tally {
    fn drop(&mut self, why: Dropped, number: u64) {
        if let Some(count) = self.dropped.get_mut(why as usize) {
            *count += number;
        }
    }
}

/// How this tracker's own log was when it was last looked at.
#[derive(Debug, Default)]
struct OwnLog {
    looked: Duration,
    last: EntryId,
    /// How often the writer had begun to append by then.
    appends: u64,
    /// In how many looks, one after another, it had grown without the writer.
    grown: u32,
}

/// The reader of one engine.
#[derive(Debug)]
pub(super) struct Reader {
    shared: Arc<Shared>,
    tracker: Arc<Tracker>,
    blocks: Arc<Blocklist>,
    engine: usize,
    connection: Option<Connection>,
    /// Bytes read over connections that have ended.
    bytes_before: u64,
    time: EngineTime,
    logs: Vec<Log>,
    searched: Duration,
    noted: Duration,
    own: OwnLog,
    /// The keys that are still to be read one by one, after a failure of all together.
    alone: Vec<String>,
    is_caught_up: bool,
}

impl Reader {
    pub(super) fn new(
        shared: Arc<Shared>,
        tracker: Arc<Tracker>,
        blocks: Arc<Blocklist>,
        engine: usize,
    ) -> Reader {
        Reader {
            shared,
            tracker,
            blocks,
            engine,
            connection: None,
            bytes_before: 0,
            time: EngineTime::default(),
            logs: Vec::new(),
            searched: Duration::ZERO,
            noted: Duration::ZERO,
            own: OwnLog::default(),
            alone: Vec::new(),
            is_caught_up: false,
        }
    }

    /// Reads until the part stops.
    pub(super) fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        while !self.shared.is_stopping() {
            match self.step(WAIT) {
                Ok(()) => pause = FIRST_PAUSE,
                Err(_) => {
                    self.shared.sleep(pause);
                    pause = (2 * pause).min(MOST_PAUSE);
                }
            }
        }
    }

    /// Reads all logs to their end, until `deadline` at most; whether that was reached.
    pub(super) fn catch_up(&mut self, deadline: Duration) -> bool {
        while !self.is_caught_up && self.shared.clock.elapsed() < deadline {
            match self.step(Duration::ZERO) {
                Ok(()) => {}
                // It answers and is not ready, as while it reads its own files.
                Err(EngineError::Says(_)) => self.shared.sleep(FIRST_PAUSE),
                Err(_) => break,
            }
        }
        self.is_caught_up
    }

    /// One round of questions; what fails is noted, and the connection ends with it.
    fn step(&mut self, wait: Duration) -> Result<(), EngineError> {
        self.shared.live(1 + self.engine);
        let done = self.round(wait);
        if done.is_err()
            && let Some(connection) = self.connection.take()
        {
            self.bytes_before += connection.bytes_read();
        }
        self.shared
            .note_engine(self.engine, Way::Read, done.as_ref().err().cloned());
        done
    }

    fn round(&mut self, wait: Duration) -> Result<(), EngineError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let done = self.ask(&mut connection, wait);
        self.connection = Some(connection);
        done
    }

    fn connect(&mut self) -> Result<Connection, EngineError> {
        let engine = self
            .shared
            .engines
            .get(self.engine)
            .ok_or(EngineError::Unresolved)?;
        let mut connection = engine.connect(self.shared.clock)?;
        if let Some(known) = self.shared.board().engines.get_mut(self.engine) {
            known.connects += 1;
        }
        self.note(&mut connection)?;
        self.own = OwnLog::default();
        self.search(&mut connection)?;
        // It may have lost what was read from it, and be about to give the same places to other entries.
        let start = self.start();
        for at in 0..self.logs.len() {
            self.shared.live(1 + self.engine);
            let now = self.shared.clock.elapsed();
            let Some(log) = self.logs.get_mut(at).filter(|log| now >= log.shut_until) else {
                continue;
            };
            match connection.log_state(&log.key) {
                Ok(Some(state)) if state.last >= log.position => {}
                Ok(_) => log.position = start,
                Err(error) => {
                    // It is the next connection that is made without it.
                    self.shut(at, &error);
                    return Err(error);
                }
            }
        }
        Ok(connection)
    }

    /// Leaves a log out for a while, when an error is of its making; what it holds by then is not read.
    fn shut(&mut self, at: usize, error: &EngineError) {
        let now = self.shared.clock.elapsed();
        let behind = EntryId::before(self.time.at(now));
        let Some(log) = self.logs.get_mut(at).filter(|_| is_of_a_log(error)) else {
            return;
        };
        log.shut_until = now + SHUT_FOR;
        log.position = behind;
        let name = &log.name;
        if let Some(site) = self.shared.board().sites.get_mut(name)
            && let Some(count) = site.dropped.get_mut(Dropped::Unreadable as usize)
        {
            *count += 1;
        }
        self.shared.complain(self.engine, "log", || {
            format!("the log of {name} is left out for a minute: {error}")
        });
    }

    /// Where a log is begun: what is older has died.
    fn start(&self) -> EntryId {
        let lifetime = u64::from(self.tracker.settings().lifetime()) * 1_000;
        let now = self.time.at(self.shared.clock.elapsed());
        EntryId::before(now.saturating_sub(lifetime))
    }

    /// The engine's clock and what it says of itself.
    fn note(&mut self, connection: &mut Connection) -> Result<(), EngineError> {
        let asked = self.shared.clock.elapsed();
        let engine_ms = connection.time()?;
        let answered = self.shared.clock.elapsed();
        self.time = EngineTime::measured(engine_ms, asked, answered);
        let rtt = connection.rtt;
        let notes = connection.notes()?;
        self.noted = answered;
        let ahead = self.time.ahead_of(answered, self.shared.clock.wall());
        let mut board = self.shared.board();
        if let Some(known) = board.engines.get_mut(self.engine) {
            known.notes = Some(notes);
            known.rtt = Some(rtt);
            known.clock_offset_ms = Some(ahead);
        }
        Ok(())
    }

    /// Looks whether the own log grows by somebody else's hand: another tracker of this name may be nearer to another engine, where the
    /// writer of this one never looks.
    fn look_for_namesake(&mut self, connection: &mut Connection) -> Result<(), EngineError> {
        let appends = || {
            let board = self.shared.board();
            board
                .engines
                .get(self.engine)
                .map_or(0, |known| known.own_appends)
        };
        let before = appends();
        let key = self.shared.keys.stream(&self.shared.settings.name);
        let last = match connection.log_state(&key) {
            Ok(state) => state.map_or(EntryId::default(), |state| state.last),
            // The writer meets it, and says so.
            Err(EngineError::Says(_)) => EntryId::default(),
            Err(error) => return Err(error),
        };
        let is_first = self.own.last == EntryId::default();
        let has_grown = !is_first && last > self.own.last && appends() == self.own.appends;
        let grown = if has_grown { self.own.grown + 1 } else { 0 };
        self.own = OwnLog {
            looked: self.shared.clock.elapsed(),
            last,
            appends: before,
            grown,
        };
        // Once may be what the writer sent before it left the engine.
        if grown > 1 {
            self.shared.note_namesake(self.engine);
        }
        Ok(())
    }

    /// Looks whether logs that are ahead of the engine's clock were begun anew: what comes then has lesser ids than what was read. One that
    /// was far ahead when its writer removed it may be less so by now, and is looked at for as long as it leads at all.
    fn look_back(&mut self, connection: &mut Connection) -> Result<(), EngineError> {
        let now = self.shared.clock.elapsed();
        let (engine_ms, start) = (self.time.at(now), self.start());
        let mut ahead = Vec::new();
        for at in 0..self.logs.len() {
            let Some(log) = self.logs.get_mut(at) else {
                continue;
            };
            if !log.position.leads(engine_ms) || now < log.shut_until {
                continue;
            }
            match connection.log_state(&log.key) {
                Ok(Some(state)) if state.last >= log.position => {
                    if log.position.ahead_of(engine_ms).is_some() {
                        ahead.push(log.name.clone());
                    }
                }
                Ok(_) => log.position = start,
                Err(error) => {
                    self.shut(at, &error);
                    return Err(error);
                }
            }
        }
        if let Some(name) = ahead.first() {
            self.shared.complain(self.engine, "ahead of clock", || {
                format!("the log of {name} is ahead of its engine's clock: nothing in it is ever dropped")
            });
        }
        ahead.retain(|name| *name != self.shared.settings.name);
        if let Some(known) = self.shared.board().engines.get_mut(self.engine) {
            known.ahead = ahead;
        }
        Ok(())
    }

    /// Looks for logs that are not known yet.
    fn search(&mut self, connection: &mut Connection) -> Result<(), EngineError> {
        let keys = connection.find_logs(&self.shared.keys.pattern())?;
        self.searched = self.shared.clock.elapsed();
        let start = self.start();
        let engine_ms = self.time.at(self.searched);
        let shared = Arc::clone(&self.shared);
        let mut names: Vec<SiteName> = keys
            .iter()
            .filter_map(|key| shared.keys.owner(key))
            .collect();
        names.sort_unstable();
        names.dedup();
        let is_new = |name: &SiteName| self.logs.iter().all(|log| log.name != *name);
        let new: Vec<SiteName> = names.into_iter().filter(is_new).collect();
        let mut unnumbered = None;
        let mut board = shared.board();
        for name in new {
            let is_own = name == shared.settings.name;
            if is_own && self.is_caught_up {
                continue;
            }
            let origin = if is_own { None } else { board.number(&name) };
            if origin.is_none() && !is_own {
                unnumbered = Some(name);
                continue;
            }
            let known = board.engines.get(self.engine);
            let position = known.and_then(|known| known.positions.get(&name).copied());
            // From the engine's future: the log may be another by now.
            let position = position.filter(|position| !position.leads(engine_ms));
            self.logs.push(Log {
                key: shared.keys.stream(&name),
                origin,
                name,
                position: position.unwrap_or(start).max(start),
                allowance: i64::try_from(BURST).unwrap_or(0),
                allowed_at: self.searched,
                shut_until: Duration::ZERO,
            });
        }
        if let Some(known) = board.engines.get_mut(self.engine) {
            known.streams = self.logs.len();
        }
        drop(board);
        if let Some(name) = unnumbered {
            shared.complain(self.engine, "numbers", || {
                format!("{name} is left out: more trackers than can be told apart; forget some that are gone")
            });
        }
        Ok(())
    }

    fn ask(&mut self, connection: &mut Connection, wait: Duration) -> Result<(), EngineError> {
        let now = self.shared.clock.elapsed();
        if now.saturating_sub(self.noted) >= NOTES_EVERY {
            self.note(connection)?;
        }
        if now.saturating_sub(self.own.looked) >= LOOK_EVERY {
            self.look_for_namesake(connection)?;
        }
        if now.saturating_sub(self.searched) >= SEARCH_EVERY {
            self.search(connection)?;
            self.look_back(connection)?;
        }
        if let Some(key) = self.alone.pop() {
            return self.ask_alone(connection, &key);
        }
        let is_cold = !self.is_caught_up;
        let mut waiting = 0;
        let mut asked: Vec<(&str, EntryId)> = Vec::with_capacity(self.logs.len());
        for log in &mut self.logs {
            if log.may_tell(now) || (is_cold && now >= log.shut_until) {
                asked.push((&log.key, log.position));
            } else {
                waiting += 1;
            }
        }
        if asked.is_empty() {
            if waiting == 0 {
                self.caught_up();
            }
            self.shared
                .sleep(if waiting > 0 { WAIT / 10 } else { wait });
            return Ok(());
        }
        let count = (ENTRIES / asked.len()).max(4);
        let wait = match (is_cold, waiting) {
            (true, _) => Duration::ZERO,
            (false, 0) => wait,
            (false, _) => wait.min(WAIT / 10),
        };
        match connection.read_logs(&asked, count, wait) {
            Ok(parts) if parts.is_empty() => {
                self.caught_up();
                Ok(())
            }
            Ok(parts) => self.take(parts, connection.bytes_read()),
            Err(error) => {
                if is_of_a_log(&error) {
                    self.alone = self.logs.iter().map(|log| log.key.clone()).collect();
                }
                Err(error)
            }
        }
    }

    /// Reads one log by itself, to find the one that cannot be read.
    fn ask_alone(&mut self, connection: &mut Connection, key: &str) -> Result<(), EngineError> {
        let now = self.shared.clock.elapsed();
        let found = self
            .logs
            .iter()
            .position(|log| log.key == key && now >= log.shut_until);
        let Some((at, log)) = found.and_then(|at| Some((at, self.logs.get(at)?))) else {
            return Ok(());
        };
        match connection.read_logs(&[(&log.key, log.position)], 4, Duration::ZERO) {
            Ok(parts) if parts.is_empty() => Ok(()),
            Ok(parts) => self.take(parts, connection.bytes_read()),
            Err(error) => {
                self.shut(at, &error);
                Err(error)
            }
        }
    }

    /// Every log has been read to its end once.
    fn caught_up(&mut self) {
        if self.is_caught_up {
            return;
        }
        self.is_caught_up = true;
        self.logs.retain(|log| log.origin.is_some());
        if let Some(known) = self.shared.board().engines.get_mut(self.engine) {
            known.is_caught_up = true;
        }
    }

    fn take(&mut self, parts: Vec<LogPart>, bytes_read: u64) -> Result<(), EngineError> {
        let mut has_advanced = false;
        for part in parts {
            self.shared.live(1 + self.engine);
            let Some(at) = self
                .logs
                .iter()
                .position(|log| log.key.as_bytes() == part.key)
            else {
                continue;
            };
            if !self.is_numbered(at) {
                // The next search finds it as a new one, and says so when there is no number for it.
                self.logs.remove(at);
                has_advanced = true;
                continue;
            }
            let mut tally = Tally::default();
            for (id, bytes) in part.entries {
                let Some(log) = self.logs.get_mut(at).filter(|log| id > log.position) else {
                    continue;
                };
                has_advanced = true;
                log.position = id;
                let (name, origin) = (log.name.clone(), log.origin);
                let told = self.take_entry(&name, origin, id, bytes, &mut tally);
                if let Some(log) = self.logs.get_mut(at) {
                    log.allowance = log.allowance.saturating_sub(told);
                }
            }
            self.settle(at, &tally);
        }
        if let Some(known) = self.shared.board().engines.get_mut(self.engine) {
            known.bytes_read = self.bytes_before + bytes_read;
        }
        // An engine that gives what was read already would have us ask for ever.
        if has_advanced {
            Ok(())
        } else {
            Err(EngineError::Shape)
        }
    }

    /// Whether the tracker of a log has a number still: one that was forgotten and speaks again may have another by then, or none.
    fn is_numbered(&mut self, at: usize) -> bool {
        let Some(log) = self.logs.get_mut(at).filter(|log| log.origin.is_some()) else {
            return true;
        };
        log.origin = self.shared.board().number(&log.name);
        log.origin.is_some()
    }

    /// Merges one entry. Returns how many peers' worth of work it was.
    fn take_entry(
        &mut self,
        name: &SiteName,
        origin: Option<Origin>,
        id: EntryId,
        bytes: Option<Vec<u8>>,
        tally: &mut Tally,
    ) -> i64 {
        let Some(bytes) = bytes else {
            tally.drop(Dropped::Foreign, 1);
            return 1;
        };
        let weight = i64::try_from(bytes.len() / 32).unwrap_or(i64::MAX).max(1);
        let now = self.shared.now();
        let time = self.time;
        let frame = frame::read(&bytes, |age_ms| time.seen(id.ms, age_ms, now));
        match frame {
            Ok(frame) => self.take_frame(name, origin, id, frame, now, tally),
            Err(error) => tally.drop(
                match error {
                    FrameError::TooLarge => Dropped::TooLarge,
                    FrameError::Foreign => Dropped::Foreign,
                    FrameError::Newer => Dropped::Newer,
                    FrameError::Checksum | FrameError::Entry => Dropped::Malformed,
                },
                1,
            ),
        }
        weight
    }

    fn take_frame(
        &mut self,
        name: &SiteName,
        origin: Option<Origin>,
        id: EntryId,
        frame: Frame,
        now: Seconds,
        tally: &mut Tally,
    ) {
        let engine_ms = self.time.at(self.shared.clock.elapsed());
        // What comes while it is read is of now, whatever its id says; what was there before may be of any time.
        let is_dated = self.is_caught_up || id.ahead_of(engine_ms).is_none();
        tally.frames += 1;
        tally.drop(Dropped::UnknownEntry, frame.unknown_entries.into());
        tally.drop(Dropped::Invalid, frame.invalid.into());
        let mut hello = None;
        for entry in frame.entries {
            match entry {
                Entry::Swarm(swarm) => {
                    let mut delta = self.localised(origin, swarm);
                    if !is_dated {
                        tally.drop(Dropped::Undated, delta.peers.len() as u64);
                        delta.peers.clear();
                    }
                    tally.deltas += delta.peers.len() as u64;
                    tally.merged.add(self.tracker.merge(origin, &delta, now));
                }
                Entry::Block(block) => {
                    let is_shared = self.shared.settings.share_blocklist;
                    if is_shared && let Err(why) = (self.blocks.take)(block, origin) {
                        tally.drop(Dropped::Block, 1);
                        self.shared.complain(self.engine, "block", || {
                            format!("a block that {name} tells is not taken: {why}")
                        });
                    }
                }
                Entry::Hello(said) => hello = Some(said),
            }
        }
        let elapsed = self.shared.clock.elapsed();
        let lag_ms = self.time.at(elapsed).saturating_sub(id.ms);
        let is_live = self.is_caught_up;
        let mut board = self.shared.board();
        if is_live && origin.is_some() {
            board.lags.note(lag_ms, elapsed);
        }
        let Some(site) = board.sites.get_mut(name).filter(|_| origin.is_some()) else {
            return;
        };
        site.follow(frame.header.epoch, frame.header.sequence);
        let heard = elapsed.saturating_sub(Duration::from_millis(lag_ms));
        if is_dated {
            site.heard = site.heard.max(Some(heard));
        }
        site.lag_ms = Some(lag_ms);
        site.lifetime = Some(frame.header.lifetime);
        (site.is_forgotten, site.may_be_replaced) = (false, false);
        if let Some(hello) = hello {
            site.version = hello.version;
            site.zones_digest = Some(hello.zones_digest);
        }
    }

    /// With this tracker's numbers for names. A count of this tracker's own is believed from its own log, and from others only while a
    /// tracker that began with nothing reads what there is: later it knows better, and what is believed once can never sink again.
    fn localised(&self, origin: Option<Origin>, swarm: SwarmEntry) -> SwarmDelta {
        let mut downloaded = Vec::with_capacity(swarm.counts.len());
        for (name, count) in swarm.counts {
            match name {
                None => downloaded.push((origin, count)),
                Some(name) if name == self.shared.settings.name => {
                    if self.shared.began_with_nothing && !self.is_caught_up {
                        downloaded.push((None, count));
                    }
                }
                Some(name) => {
                    let of = self.shared.board().number_of_hearsay(&name);
                    downloaded.extend(of.map(|of| (Some(of), count)));
                }
            }
        }
        SwarmDelta {
            info_hash: swarm.info_hash,
            downloaded,
            peers: swarm.peers,
        }
    }

    /// Puts what was counted, and how far the log was read, where others see it.
    fn settle(&mut self, at: usize, tally: &Tally) {
        let Some(log) = self.logs.get(at) else {
            return;
        };
        let engine_ms = self.time.at(self.shared.clock.elapsed());
        let is_kept = !log.position.leads(engine_ms);
        let mut board = self.shared.board();
        if let Some(known) = board.engines.get_mut(self.engine).filter(|_| is_kept) {
            known.positions.insert(log.name.clone(), log.position);
        }
        let Some(site) = board
            .sites
            .get_mut(&log.name)
            .filter(|_| log.origin.is_some())
        else {
            return;
        };
        site.frames += tally.frames;
        site.deltas += tally.deltas;
        site.throttled += u64::from(log.allowance <= 0);
        for (sum, more) in site.dropped.iter_mut().zip(tally.dropped) {
            *sum += more;
        }
        let merged = tally.merged;
        for (why, number) in [
            (Dropped::Invalid, merged.invalid),
            (Dropped::NoRoom, merged.over_bound),
            (Dropped::NoRoom, merged.over_quota),
        ] {
            if let Some(sum) = site.dropped.get_mut(why as usize) {
                *sum += u64::from(number);
            }
        }
    }
}

const _: () = assert!(frame::MAX_FRAME <= MAX_BULK, "a frame fits into a string");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_tells_too_much_waits_until_its_allowance_has_grown_again() {
        let burst = i64::try_from(BURST).unwrap();
        let mut log = Log {
            name: "evil".parse().unwrap(),
            key: "rt:net:d:evil".into(),
            origin: Origin::new(1),
            position: EntryId::default(),
            allowance: burst,
            allowed_at: Duration::ZERO,
            shut_until: Duration::ZERO,
        };
        let at = Duration::from_secs;
        assert!(log.may_tell(at(1)));
        assert_eq!(log.allowance, burst, "what is not used does not grow");
        log.allowance -= 2 * burst;
        assert!(!log.may_tell(at(2)));
        assert!(!log.may_tell(at(3)));
        assert!(log.may_tell(at(4)));
        log.shut_until = at(60);
        assert!(!log.may_tell(at(59)) && log.may_tell(at(60)));
    }
}
