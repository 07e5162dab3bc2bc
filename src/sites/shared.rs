//! What the threads of this part and its [`Handle`](super::Handle) share: who the others are, how far each log has been read, what
//! was counted, and what somebody asked for. No lock is held while anything is waited for.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::block::BlockDelta;
use super::engine::{Engine, EngineError, EngineNotes};
use super::entry_id::EntryId;
use super::kept::Kept;
use super::lag::Lags;
use super::name::{Keys, SiteName};
use super::settings::{MAX_ENGINES, Settings};
use super::status::{
    Dropped, EngineState, EngineStatus, Outgoing, SiteStatus, Status, Trouble, TroubleKind,
};
use crate::clock::{Clock, Seconds};
use crate::tracker::{Origin, Tracker};

/// Changes of the blocklist that wait to be told; more come with the next round.
const MAX_WAITING_BLOCKS: usize = 1_024;

/// After so long this tracker counts as ready, whatever has not been read: it serves what it knows. The start waits no longer either.
const READY_AFTER: Duration = Duration::from_secs(10);

/// With so many trackers known, no more are taken from what partners say.
const MAX_HEARSAY: usize = 40;

/// A tracker that has said nothing for so long, four words of life, is taken for dead.
const LIVES_FOR: Duration = Duration::from_secs(20);

/// So long after somebody else was last seen to write under the own name, that counts as being so. Whoever runs says a word of life
/// every 5 s, and is seen every 2 s where both write, every 10 s elsewhere.
const NAME_TAKEN_FOR: Duration = Duration::from_secs(25);

/// From one line about a trouble to the next about the same.
const QUIET: Duration = Duration::from_secs(60);

/// One other tracker.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) origin: Origin,
    /// When its last frame entered a log, in time since this process started.
    pub(super) heard: Option<Duration>,
    pub(super) lag_ms: Option<u64>,
    pub(super) frames: u64,
    pub(super) deltas: u64,
    pub(super) missed: u64,
    pub(super) dropped: [u64; Dropped::COUNT],
    pub(super) throttled: u64,
    pub(super) version: String,
    pub(super) lifetime: Option<u32>,
    pub(super) zones_digest: Option<u64>,
    pub(super) is_forgotten: bool,
    /// Whether it is forgotten and nothing is stored under its number any more.
    pub(super) may_be_replaced: bool,
    epoch: u64,
    next: u32,
}

impl Site {
    fn new(origin: Origin) -> Site {
        Site {
            origin,
            heard: None,
            lag_ms: None,
            frames: 0,
            deltas: 0,
            missed: 0,
            dropped: [0; Dropped::COUNT],
            throttled: 0,
            version: String::new(),
            lifetime: None,
            zones_digest: None,
            is_forgotten: false,
            may_be_replaced: false,
            epoch: 0,
            next: 0,
        }
    }

    /// Follows the sender's numbering: what is skipped counts as missed until it comes, by another engine.
    pub(super) fn follow(&mut self, epoch: u64, sequence: u32) {
        if epoch != self.epoch {
            (self.epoch, self.next) = (epoch, sequence.wrapping_add(1));
            return;
        }
        let ahead = sequence.wrapping_sub(self.next);
        if ahead < u32::MAX / 2 {
            self.missed += u64::from(ahead);
            self.next = sequence.wrapping_add(1);
        } else {
            self.missed = self.missed.saturating_sub(1);
        }
    }
}

/// How a thread finds an engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// What is wrong; `None` when nothing is.
    pub(super) error: Option<EngineError>,
    /// Since when it is so, or is well; `None` before the first try.
    pub(super) since: Option<Duration>,
}

/// What a thread does with an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Read,
    Write,
}

impl Way {
    fn done(self) -> &'static str {
        match self {
            Way::Read => "read",
            Way::Write => "written",
        }
    }
}

/// What is known of one engine.
#[derive(Debug, Default)]
pub(super) struct EngineBoard {
    pub(super) read: Found,
    pub(super) write: Found,
    pub(super) positions: BTreeMap<SiteName, EntryId>,
    pub(super) notes: Option<EngineNotes>,
    pub(super) rtt: Option<Duration>,
    pub(super) clock_offset_ms: Option<i64>,
    pub(super) is_caught_up: bool,
    pub(super) streams: usize,
    pub(super) bytes_read: u64,
    pub(super) connects: u64,
    /// Times that the writer began to append there.
    pub(super) own_appends: u64,
    /// When somebody else was last seen to write to the own log there.
    pub(super) name_taken: Option<Duration>,
    /// Whether the own log there is ahead of the engine's clock and may not be removed.
    pub(super) is_own_ahead: bool,
    /// Whose logs there are ahead of the engine's clock.
    pub(super) ahead: Vec<SiteName>,
}

/// Everything that is counted and known.
#[derive(Debug)]
pub(super) struct Board {
    pub(super) sites: BTreeMap<SiteName, Site>,
    pub(super) engines: Vec<EngineBoard>,
    pub(super) outgoing: Outgoing,
    pub(super) lags: Lags,
    /// Which engine is written to.
    pub(super) writes_to: Option<usize>,
    said: BTreeMap<(usize, &'static str), Duration>,
}

impl Board {
    /// The number of a tracker that another one speaks of: as [`Board::number`], but what partners make up leaves numbers for those that
    /// have a log, and one that is forgotten comes back only by its own word.
    pub(super) fn number_of_hearsay(&mut self, name: &SiteName) -> Option<Origin> {
        if let Some(site) = self.sites.get(name) {
            return Some(site.origin).filter(|_| !site.is_forgotten);
        }
        let remembered = self.sites.values().filter(|site| !site.is_forgotten);
        (remembered.count() < MAX_HEARSAY)
            .then(|| self.number(name))
            .flatten()
    }

    /// The number of another tracker, which it gets when it is new, in the place of a forgotten one where no number is free; `None` when
    /// there are as many as can be.
    pub(super) fn number(&mut self, name: &SiteName) -> Option<Origin> {
        if let Some(site) = self.sites.get(name) {
            return Some(site.origin);
        }
        let is_free = |origin: &Origin| self.sites.values().all(|site| site.origin != *origin);
        let numbers = (1..).map_while(Origin::new);
        let mut named = numbers.take_while(|origin| *origin != Origin::UNKNOWN);
        let origin = named.find(is_free).or_else(|| self.replaced())?;
        self.sites.insert(name.clone(), Site::new(origin));
        Some(origin)
    }

    /// The number of a forgotten tracker, which has none from now on.
    fn replaced(&mut self) -> Option<Origin> {
        let mut sites = self.sites.iter();
        let (name, _) = sites.find(|(_, site)| site.may_be_replaced)?;
        let name = name.clone();
        self.sites.remove(&name).map(|site| site.origin)
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) keys: Keys,
    pub(super) engines: Vec<Engine>,
    pub(super) clock: Clock,
    /// Which run of this tracker.
    pub(super) epoch: u64,
    /// Whether nothing was kept of the others: this tracker has no database, or never spoke with anybody.
    pub(super) began_with_nothing: bool,
    board: Mutex<Board>,
    is_stopping: AtomicBool,
    resend: AtomicBool,
    blocks: Mutex<VecDeque<BlockDelta>>,
    /// Whether the writer is to look at once, and what it waits on.
    woken: Mutex<bool>,
    wake: Condvar,
    /// Last sign of life of the writer and of each reader.
    alive: [AtomicU32; 1 + MAX_ENGINES],
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new(
        settings: &Settings,
        engines: Vec<Engine>,
        kept: Option<&Kept>,
        epoch: u64,
        clock: Clock,
    ) -> Shared {
        let began_with_nothing = kept.is_none();
        let nothing = Kept::default();
        let kept = kept.unwrap_or(&nothing);
        let named = kept.origins.iter();
        let board = Board {
            sites: named
                .map(|(name, origin)| (name.clone(), Site::new(*origin)))
                .collect(),
            engines: engines
                .iter()
                .map(|engine| {
                    let url = engine.url.to_string();
                    let here = kept
                        .positions
                        .iter()
                        .filter(|((kept_url, _), _)| *kept_url == url);
                    EngineBoard {
                        positions: here.map(|((_, name), id)| (name.clone(), *id)).collect(),
                        ..EngineBoard::default()
                    }
                })
                .collect(),
            outgoing: Outgoing::default(),
            lags: Lags::default(),
            writes_to: None,
            said: BTreeMap::new(),
        };
        Shared {
            settings: settings.clone(),
            keys: Keys::new(&settings.network),
            engines,
            clock,
            epoch,
            began_with_nothing,
            board: Mutex::new(board),
            is_stopping: AtomicBool::new(false),
            resend: AtomicBool::new(false),
            blocks: Mutex::default(),
            woken: Mutex::new(false),
            wake: Condvar::new(),
            alive: std::array::from_fn(|_| AtomicU32::new(0)),
        }
    }

    /// Not to be held while anything is waited for.
    pub(super) fn board(&self) -> MutexGuard<'_, Board> {
        locked(&self.board)
    }

    pub(super) fn now(&self) -> Seconds {
        self.clock.now()
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }

    pub(super) fn stop(&self) {
        self.is_stopping.store(true, Ordering::Release);
        self.wake_all();
    }

    fn wake_all(&self) {
        *locked(&self.woken) = true;
        self.wake.notify_all();
    }

    /// Sleeps; shorter when the part is stopping.
    pub(super) fn sleep(&self, time: Duration) {
        let woken = locked(&self.woken);
        let waited = self
            .wake
            .wait_timeout_while(woken, time, |_| !self.is_stopping());
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Sleeps; shorter when the part is stopping or the writer has something to do at once.
    pub(super) fn sleep_or_wake(&self, time: Duration) {
        let woken = locked(&self.woken);
        let waited = self.wake.wait_timeout_while(woken, time, |woken| !*woken);
        let (mut woken, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *woken = false;
    }

    /// A sign of life: of the writer (0) or of the reader of an engine (its place and one).
    pub(super) fn live(&self, thread: usize) {
        if let Some(alive) = self.alive.get(thread) {
            alive.store(self.now().raw(), Ordering::Relaxed);
        }
    }

    pub(super) fn silent_seconds(&self) -> u32 {
        let now = self.now().raw();
        let started = self.alive.iter().map(|alive| alive.load(Ordering::Relaxed));
        let silent = started
            .filter(|at| *at != 0)
            .map(|at| now.saturating_sub(at));
        silent.max().unwrap_or(0)
    }

    pub(super) fn ask_for_resend(&self) {
        self.resend.store(true, Ordering::Release);
        self.wake_all();
    }

    pub(super) fn take_resend(&self) -> bool {
        self.resend.swap(false, Ordering::AcqRel)
    }

    pub(super) fn publish_block(&self, block: BlockDelta) {
        if !self.settings.share_blocklist {
            return;
        }
        let mut blocks = locked(&self.blocks);
        if blocks.len() < MAX_WAITING_BLOCKS {
            blocks.push_back(block);
        }
        drop(blocks);
        self.wake_all();
    }

    pub(super) fn take_blocks(&self) -> Vec<BlockDelta> {
        locked(&self.blocks).drain(..).collect()
    }

    /// Puts back what could not be told, before what has come since.
    pub(super) fn return_blocks(&self, told: Vec<BlockDelta>) {
        let mut blocks = locked(&self.blocks);
        told.into_iter()
            .rev()
            .for_each(|block| blocks.push_front(block));
        blocks.truncate(MAX_WAITING_BLOCKS);
    }

    /// Notes that somebody else writes to the own log on an engine, and says so in the log.
    pub(super) fn note_namesake(&self, engine: usize) {
        let now = self.clock.elapsed();
        if let Some(known) = self.board().engines.get_mut(engine) {
            known.name_taken = Some(now);
        }
        let name = &self.settings.name;
        self.complain(engine, "name", || {
            format!("somebody else writes to the log of {name}: is another tracker called so?")
        });
    }

    pub(super) fn forget(&self, name: &SiteName) -> Option<Origin> {
        let mut board = self.board();
        let site = board.sites.get_mut(name)?;
        let origin = site.origin;
        *site = Site {
            is_forgotten: true,
            ..Site::new(origin)
        };
        Some(origin)
    }

    /// Gives the number of a forgotten tracker free, when nothing is stored under it any more.
    pub(super) fn free_number(&self, name: &SiteName) {
        let mut board = self.board();
        if let Some(site) = board.sites.get_mut(name) {
            site.may_be_replaced = site.is_forgotten;
        }
    }

    pub(super) fn kept_state(&self) -> Vec<u8> {
        let board = self.board();
        let mut kept = Kept {
            own: Some(self.settings.name.clone()),
            ..Kept::default()
        };
        for (name, site) in board.sites.iter().filter(|(_, site)| !site.is_forgotten) {
            kept.origins.insert(name.clone(), site.origin);
        }
        for (engine, known) in self.engines.iter().zip(&board.engines) {
            for (name, id) in &known.positions {
                kept.positions
                    .insert((engine.url.to_string(), name.clone()), *id);
            }
        }
        drop(board);
        kept.write()
    }

    /// Writes a line about a trouble of an engine, if none was written about the same within a minute.
    pub(super) fn complain(
        &self,
        engine: usize,
        trouble: &'static str,
        text: impl FnOnce() -> String,
    ) {
        if self.may_say(engine, trouble) {
            log::warn!("sites: {}", text());
        }
    }

    /// Whether nothing was written about the same within a minute.
    fn may_say(&self, engine: usize, what: &'static str) -> bool {
        let now = self.clock.elapsed();
        let mut board = self.board();
        let last = board.said.get(&(engine, what));
        let may_say = last.is_none_or(|last| now.saturating_sub(*last) >= QUIET);
        if may_say {
            board.said.insert((engine, what), now);
        }
        may_say
    }

    /// Notes how a thread finds an engine, and says so in the log when it is not well.
    pub(super) fn note_engine(&self, engine: usize, way: Way, error: Option<EngineError>) {
        let now = self.clock.elapsed();
        let mut board = self.board();
        let Some(known) = board.engines.get_mut(engine) else {
            return;
        };
        let found = match way {
            Way::Read => &mut known.read,
            Way::Write => &mut known.write,
        };
        // Another error of the same kind of state is shown, and the state goes on.
        if found.since.is_none() || found.error.is_some() != error.is_some() {
            found.since = Some(now);
        }
        let had = std::mem::replace(&mut found.error, error.clone());
        drop(board);
        let Some(at) = self.engines.get(engine) else {
            return;
        };
        let (trouble, end) = match way {
            Way::Read => ("read", "read again"),
            Way::Write => ("write", "write again"),
        };
        if let Some(error) = error {
            self.complain(engine, trouble, || {
                format!("{} cannot be {}: {error}", at.url, way.done())
            });
        } else if had.is_some() && self.may_say(engine, end) {
            log::info!("sites: {} is {} again", at.url, way.done());
        }
    }

    /// Whether the reader of an engine has found it well for so long.
    pub(super) fn reads_well(&self, engine: usize, long: Duration) -> bool {
        let now = self.clock.elapsed();
        let board = self.board();
        board.engines.get(engine).is_some_and(|known| {
            let since = known.read.since.filter(|_| known.read.error.is_none());
            since.is_some_and(|since| now.saturating_sub(since) >= long)
        })
    }

    /// Trackers that were heard a moment ago, this one not among them.
    pub(super) fn live_sites(&self) -> Vec<SiteName> {
        self.heard_now().into_iter().map(|(name, _)| name).collect()
    }

    /// Their numbers.
    pub(super) fn live_origins(&self) -> Vec<Origin> {
        self.heard_now()
            .into_iter()
            .map(|(_, origin)| origin)
            .collect()
    }

    fn heard_now(&self) -> Vec<(SiteName, Origin)> {
        let now = self.clock.elapsed();
        let is_live = |site: &Site| {
            site.heard
                .is_some_and(|heard| now.saturating_sub(heard) < LIVES_FOR)
        };
        let board = self.board();
        let live = board.sites.iter().filter(|(_, site)| is_live(site));
        live.map(|(name, site)| (name.clone(), site.origin))
            .collect()
    }

    pub(super) fn status(&self, tracker: &Tracker) -> Status {
        let peers = tracker.peers_by_origin();
        let peers_of = |origin: Origin| peers.get(usize::from(origin.get())).copied().unwrap_or(0);
        let now = self.clock.elapsed();
        let seconds = |since: Duration| {
            u32::try_from(now.saturating_sub(since).as_secs()).unwrap_or(u32::MAX)
        };
        let zones_digest = super::zones_digest::of(&tracker.zones());
        let mut board = self.board();
        let sites = board.sites.iter().map(|(name, site)| SiteStatus {
            name: name.clone(),
            index: site.origin.get(),
            heard_seconds: site.heard.map(seconds),
            lag_ms: site.lag_ms,
            peers: peers_of(site.origin),
            frames: site.frames,
            deltas: site.deltas,
            missed: site.missed,
            dropped: site.dropped,
            throttled: site.throttled,
            version: site.version.clone(),
            lifetime: site.lifetime,
            zones_digest: site.zones_digest,
            is_forgotten: site.is_forgotten,
        });
        let sites = sites.collect();
        let places = self.engines.iter().zip(&board.engines).enumerate();
        let engines: Vec<EngineStatus> = places
            .map(|(place, (engine, known))| {
                engine_status(engine, known, board.writes_to == Some(place), &seconds)
            })
            .collect();
        let mut missing: Vec<String> = engines
            .iter()
            .filter(|engine| !engine.is_caught_up)
            .map(|engine| {
                let why = engine.error.as_deref().unwrap_or("it is being read");
                format!(
                    "the logs of {} have not been read to their end: {why}",
                    engine.url
                )
            })
            .collect();
        let is_ready = is_ready(&missing, now);
        if board.writes_to.is_none() {
            missing.push("no engine takes what this tracker tells".into());
        }
        let troubles = self.troubles(&board, now);
        missing.extend(troubles.iter().map(in_words));
        Status {
            name: self.settings.name.clone(),
            network: self.settings.network.clone(),
            version: env!("CARGO_PKG_VERSION"),
            lifetime: tracker.settings().lifetime(),
            zones_digest,
            own_peers: peers.first().copied().unwrap_or(0),
            sites,
            engines,
            outgoing: board.outgoing,
            lag: board.lags.percentiles(now),
            is_ready,
            missing,
            troubles,
        }
    }

    /// What an operator has to mend.
    fn troubles(&self, board: &Board, now: Duration) -> Vec<Trouble> {
        let own = &self.settings.name;
        let mut troubles = Vec::new();
        for (engine, known) in self.engines.iter().zip(&board.engines) {
            let mut add = |kind, whose: &SiteName| {
                troubles.push(Trouble {
                    kind,
                    site: whose.clone(),
                    engine: engine.url.to_string(),
                });
            };
            let is_recent = |at: Duration| now.saturating_sub(at) < NAME_TAKEN_FOR;
            if known.name_taken.is_some_and(is_recent) {
                add(TroubleKind::NameTaken, own);
            }
            if known.is_own_ahead {
                add(TroubleKind::OwnLogAhead, own);
            }
            for name in &known.ahead {
                add(TroubleKind::OtherLogAhead, name);
            }
        }
        troubles
    }
}

fn in_words(trouble: &Trouble) -> String {
    let about = format_args!("{} on {}", trouble.site, trouble.engine);
    match trouble.kind {
        TroubleKind::NameTaken => format!(
            "somebody else writes to the log of {about}: of two trackers of one name, others miss what each tells"
        ),
        TroubleKind::OwnLogAhead => format!(
            "the log of {about} is ahead of the engine's clock or has no ids left, and this user may not remove it: allow +unlink"
        ),
        TroubleKind::OtherLogAhead => format!(
            "the log of {about} is ahead of the engine's clock: nothing in it is ever dropped, and how old it is cannot be told"
        ),
    }
}

/// Whether the time of the cold start is over, or nothing is missing: what is still to be read comes when its engine is there.
fn is_ready(missing: &[String], running_for: Duration) -> bool {
    missing.is_empty() || running_for >= READY_AFTER
}

fn engine_status(
    engine: &Engine,
    known: &EngineBoard,
    is_written: bool,
    seconds: &impl Fn(Duration) -> u32,
) -> EngineStatus {
    let of_error = |error: &EngineError| {
        if error.is_refusal() {
            EngineState::Refusing
        } else {
            EngineState::Silent
        }
    };
    let (state, found) = match (&known.read, &known.write) {
        (read, _) if read.error.is_some() => (read.error.as_ref().map(of_error), read),
        (_, write) if write.error.is_some() => (write.error.as_ref().map(of_error), write),
        (_, write) if is_written => (Some(EngineState::Writing), write),
        (read, _) if read.since.is_some() => (Some(EngineState::Reading), read),
        (read, _) => (None, read),
    };
    let notes = known.notes.as_ref();
    EngineStatus {
        url: engine.url.to_string(),
        state: state.unwrap_or(EngineState::Starting),
        since_seconds: found.since.map_or(0, seconds),
        error: found.error.as_ref().map(ToString::to_string),
        rtt_us: known
            .rtt
            .and_then(|rtt| u64::try_from(rtt.as_micros()).ok()),
        version: notes.map(|notes| notes.version.clone()),
        memory: notes.and_then(|notes| notes.memory),
        max_memory: notes.and_then(|notes| notes.max_memory),
        clock_offset_ms: known.clock_offset_ms,
        is_caught_up: known.is_caught_up,
        streams: known.streams,
        bytes_read: known.bytes_read,
        reconnects: known.connects.saturating_sub(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_that_are_missing_are_counted_until_they_come() {
        let mut site = Site::new(Origin::UNKNOWN);
        let mut missed_after = |epoch, sequence| {
            site.follow(epoch, sequence);
            site.missed
        };
        assert_eq!(missed_after(1, 700), 0);
        assert_eq!(missed_after(1, 701), 0);
        assert_eq!(missed_after(1, 704), 2);
        assert_eq!(missed_after(1, 702), 1, "it came by another engine");
        assert_eq!(missed_after(2, 0), 1, "another run has missed nothing");
        assert_eq!(missed_after(2, 1), 1);
    }

    /// O26
    #[test]
    fn an_engine_that_is_down_keeps_no_tracker_unready_beyond_the_time_of_the_start() {
        let missing = ["the logs of redis://e1:6379".to_owned()];
        let at = Duration::from_secs;
        assert!(!is_ready(&missing, at(9)));
        assert!(is_ready(&missing, at(10)));
        assert!(is_ready(&[], at(0)));
    }

    #[test]
    fn names_that_are_only_heard_of_leave_room_for_those_that_speak() {
        let settings = Settings::new("a".parse().unwrap(), "net".parse().unwrap(), Vec::new());
        let shared = Shared::new(&settings, Vec::new(), None, 1, Clock::start());
        let mut board = shared.board();
        let name = |number: usize| format!("x{number}").parse().unwrap();
        let heard_of = (0..100).filter(|number| board.number_of_hearsay(&name(*number)).is_some());
        assert_eq!(heard_of.count(), MAX_HEARSAY);
        let numbered = (100..200).filter(|number| board.number(&name(*number)).is_some());
        assert_eq!(numbered.count(), 62 - MAX_HEARSAY);
        assert_eq!(
            board.number(&name(0)),
            Origin::new(1),
            "it keeps its number"
        );
    }

    /// O26
    #[test]
    fn a_forgotten_tracker_leaves_its_number_to_a_new_one() {
        let settings = Settings::new("a".parse().unwrap(), "net".parse().unwrap(), Vec::new());
        let shared = Shared::new(&settings, Vec::new(), None, 1, Clock::start());
        let name = |number: usize| format!("x{number}").parse().unwrap();
        let number = |name: SiteName| shared.board().number(&name);
        assert_eq!((0..100).filter_map(|at| number(name(at))).count(), 62);
        let origin = shared.forget(&name(7));
        assert_eq!(number("new".parse().unwrap()), None, "its peers are there");
        shared.free_number(&name(7));
        assert_eq!(shared.board().number_of_hearsay(&name(7)), None);
        assert_eq!(Kept::read(&shared.kept_state()).unwrap().origins.len(), 61);
        assert_eq!(number("new".parse().unwrap()), origin);
        assert_eq!(number("other".parse().unwrap()), None);
        assert_eq!(number(name(7)), None, "it is a stranger");
    }
}
