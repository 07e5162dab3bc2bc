//! Snapshots: the swarms, the blocklist, the keys and the history of the graphs in one SQLite database, kept by one thread.
//!
//! The thread is an actor: it owns the connection, and others reach it through a [`Mailbox`]. It asks the core for what changed,
//! copies one swarm at a time and writes the copies; no announce ever waits for the disk.
//!
//! - `writer.rs` is the thread, `mailbox.rs` what it can be asked, `restore.rs` the way back at the start; `import.rs` takes over
//!   an original's database, which `original.rs` reads.
//! - `database/` knows SQL, `guard.rs` what files may cost, `record.rs` bincode, `key_sessions.rs` sessions, `file.rs` files, `timeline.rs` time.
//!
//! What stops the start: another process has the database, a newer version wrote it, or what stands at the configured path cannot
//! be a database at all. What does not: damage (set aside under another name, never deleted) and a disk that is full, read-only or
//! failing (the tracker serves from memory, says so, and tries again at every interval).

mod database;
mod edits;
mod file;
mod guard;
mod import;
mod key_sessions;
mod mailbox;
mod original;
mod record;
mod restore;

mod timeline;
mod writer;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::ErrorCode;

pub use database::{APPLICATION, Found};
pub use edits::{BlockChange, BlockEdit};
pub use guard::{Owner, has_plain_table, open_read_only};
pub use import::{Import, Imported};
pub use mailbox::{
    FileKeys, ListChange, MAX_BLOCKS, MAX_LIST_CHANGES, MAX_LISTED, MAX_REASON,
    MAX_SAVED_STATE_BYTES, Mailbox, Refused, Saved,
};
pub use original::BadRow;
pub use record::{Record, RecordError, read as read_record, write as write_record};
pub use restore::{Renamed, Summary};
pub use timeline::Moment;

use crate::clock::{Clock, Seconds, Wall};
use crate::metrics::Gauge;
use crate::supervise;
use crate::supervise::Exit;
use crate::tracker::Tracker;
use database::Database;
use timeline::{Finished, Timeline};
use writer::Writer;

/// Where and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The database (`file`); its folder is made when it is missing. Default `snapshots/retracker.sqlite`.
    pub file: PathBuf,
    /// Time from one snapshot to the next (`interval`, in seconds). Default 60 s; 0: only at the stop and on demand.
    pub interval: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            file: "snapshots/retracker.sqlite".into(),
            interval: Duration::from_secs(60),
        }
    }
}

impl Settings {
    /// The database and what lies beside it and belongs to it; all of them are written.
    pub fn files(&self) -> Vec<PathBuf> {
        file::all(&self.file)
    }
}

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has it.
    #[error("{} is in use by another process", file.display())]
    InUse {
        /// Which.
        file: PathBuf,
    },
    /// A newer version of this program wrote it; it is left as it is.
    #[error("{} was written by a newer version (database version {version})", file.display())]
    Newer {
        /// Which.
        file: PathBuf,
        /// Its `user_version`.
        version: u32,
    },
    /// The system refuses the file.
    #[error("{}: {source}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// SQLite cannot do as asked.
    #[error("{}: {source}", file.display())]
    Database {
        /// Which.
        file: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// Reading it takes so long that something else is the matter.
    #[error("{}: not read within {} s", file.display(), most.as_secs())]
    Slow {
        /// Which.
        file: PathBuf,
        /// How long was waited.
        most: Duration,
    },
}

impl Error {
    /// What SQLite says, told apart from what [`guard`] ended.
    fn of(file: &std::path::Path, most: Duration, source: rusqlite::Error) -> Error {
        let file = file.to_owned();
        if source.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) {
            return Error::Slow { file, most };
        }
        Error::Database { file, source }
    }

    /// Whether the disk may mend by itself, or by the hand of an operator who must not have to start the tracker again.
    fn is_the_disk(&self) -> bool {
        match self {
            Error::InUse { .. } | Error::Newer { .. } | Error::Slow { .. } => false,
            Error::File { source, .. } => {
                matches!(
                    source.kind(),
                    io::ErrorKind::StorageFull
                        | io::ErrorKind::ReadOnlyFilesystem
                        | io::ErrorKind::QuotaExceeded
                ) || source.raw_os_error() == Some(EIO)
            }
            Error::Database { source, .. } => matches!(
                source.sqlite_error_code(),
                Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure | ErrorCode::ReadOnly)
            ),
        }
    }

    /// Whether the database itself is damaged.
    fn is_damage(&self) -> bool {
        let Error::Database { source, .. } = self else {
            return false;
        };
        let code = source.sqlite_error_code();
        matches!(
            code,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
        )
    }
}

/// `EIO`, which has no name in [`io::ErrorKind`].
const EIO: i32 = 5;

/// The database, open and checked, before the core is filled.
pub struct Opened {
    settings: Settings,
    source: Source,
}

enum Source {
    /// Open for writing.
    Database(Database, Found),
    /// The disk refuses; what can be read is read.
    Disk(Error, Option<rusqlite::Connection>),
}

/// Opens the database before any socket listens: locks, checks, migrates it; makes one when there is none; sets aside what is
/// damaged, and says so in the log.
///
/// # Errors
/// What must stop the start: see the module.
pub fn open(settings: &Settings, wall: Wall) -> Result<Opened, Error> {
    let source = match Database::open(&settings.file, wall) {
        Ok((database, found)) => {
            if let Found::SetAside { to, why, rescued } = &found {
                log::error!(
                    "{} cannot be used: {why}. It is kept as {}; the tracker starts empty, with {rescued} blocks rescued from it",
                    settings.file.display(),
                    to.display()
                );
            }
            Source::Database(database, found)
        }
        Err(error) if error.is_the_disk() => {
            log::error!(
                "the tracker starts without snapshots, and tries again at every interval: {error}"
            );
            let readable = open_read_only(&settings.file, Owner::Us, database::MAX_CHECK);
            Source::Disk(error, readable.ok())
        }
        Err(error) => return Err(error),
    };
    Ok(Opened {
        settings: settings.clone(),
        source,
    })
}

/// Looks at the files, and makes none: what would stop the start whatever else holds.
///
/// # Errors
/// What stands at the configured path can be no database, or a newer version wrote it.
pub fn examine(settings: &Settings) -> Result<(), Error> {
    database::examine(&settings.file)
}

impl Opened {
    /// Fills the core and sets the gauges. Takes about a microsecond per peer.
    pub fn restore(self, tracker: &Tracker, moment: Moment) -> Restored {
        self.restore_as(tracker, moment, None)
    }

    /// The blob that was kept under a name; `None` as well when it cannot be read, which is logged.
    pub fn saved_state(&self, name: &str) -> Option<Vec<u8>> {
        let connection = match &self.source {
            Source::Database(database, _) => &database.connection,
            Source::Disk(_, readable) => readable.as_ref()?,
        };
        let kept = database::tables::saved_state(connection, name);
        kept.inspect_err(|error| log::error!("{name} of the last run cannot be read: {error}"))
            .unwrap_or_default()
    }

    /// As [`Opened::restore`], for a tracker that may have another name than the one that wrote the database.
    pub fn restore_as(
        self,
        tracker: &Tracker,
        moment: Moment,
        renamed: Option<Renamed>,
    ) -> Restored {
        let metrics = tracker.metrics();
        let (connection, is_found_whole) = match &self.source {
            Source::Database(database, found) => {
                let is_lost = matches!(found, Found::SetAside { .. });
                (Some(&database.connection), !is_lost)
            }
            Source::Disk(error, readable) => {
                metrics.raise(Gauge::SnapshotFailures, 1);
                let never_was = matches!(error, Error::File { .. }) && !self.settings.file.exists();
                (readable.as_ref(), never_was || readable.is_some())
            }
        };
        let last = connection.map(database::tables::finished).and_then(|last| {
            // Without it the database goes on at the wall time, as a new one.
            last.inspect_err(|error| log::error!("reading the last snapshot's time: {error}"))
                .unwrap_or_default()
        });
        let timeline = Timeline::resume(last, moment);
        let restored = connection
            .map(|connection| restore::restore(connection, tracker, &timeline, moment, renamed));
        let summary = match restored {
            None => Summary::default(),
            Some(Ok(summary)) => summary,
            Some(Err(error)) => {
                log::error!("restoring: {error}");
                Summary::default()
            }
        };
        let is_whole = is_found_whole && (connection.is_none() || summary.is_whole);
        if summary.damaged > 0 {
            log::error!("restoring: {} damaged rows were left out", summary.damaged);
        }
        log::info!(
            "restored {} peers in {} swarms, {} peers left out, {} blocks",
            summary.peers,
            summary.swarms,
            summary.left_out,
            summary.blocks
        );
        metrics.set(Gauge::BlocklistEntries, summary.blocks);
        metrics.set(Gauge::Keys, tracker.keys().len() as u64);
        let listed = tracker.access().listed_torrents();
        metrics.set(Gauge::TorrentsAdded, listed.added.len() as u64);
        metrics.set(Gauge::SnapshotBytes, file::size(&self.settings.file));
        metrics.set(Gauge::DatabasePeers, summary.peers);
        metrics.set(Gauge::Restored, if is_whole { 1 } else { 2 });
        Restored {
            opened: self,
            timeline,
            summary,
        }
    }
}

/// Gives what is to be kept, or `None` to leave what is kept already.
pub type StateSource = Box<dyn Fn() -> Option<Vec<u8>> + Send>;

/// Told of an edit of the blocklist.
pub type EditListener = Box<dyn Fn(&BlockEdit) + Send>;

/// What ties the thread to parts that it does not know.
#[derive(Default)]
pub struct Links {
    /// What is kept under a name with every snapshot: asked before the first swarm is looked at, and on the disk in the transaction that
    /// finishes the snapshot. At most [`MAX_SAVED_STATE_BYTES`] each.
    pub states: Vec<(&'static str, StateSource)>,
    /// Told of every edit of the blocklist that is made here, once it is on the disk and in force; must not wait. Without it nobody
    /// else has the list.
    pub edited: Option<EditListener>,
}

/// A filled core, and the database that goes with it.
pub struct Restored {
    opened: Opened,
    timeline: Timeline,
    summary: Summary,
}

impl Restored {
    /// What came back.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The database's time at `now`: seconds that go on over restarts. Whether they really do, or begin anew because there is no
    /// snapshot that they could go on from, or no clock that told for how long the process was away.
    pub fn elapsed(&self, now: Seconds) -> (u64, bool) {
        (self.timeline.stamp(now), self.timeline.goes_on())
    }

    /// What was found where the database should be; `None` when the disk refused.
    pub fn found(&self) -> Option<&Found> {
        match &self.opened.source {
            Source::Database(_, found) => Some(found),
            Source::Disk(..) => None,
        }
    }

    /// The blob that was kept under a name; `None` as well when it cannot be read, which is logged.
    pub fn saved_state(&self, name: &str) -> Option<Vec<u8>> {
        self.opened.saved_state(name)
    }

    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        self,
        tracker: Arc<Tracker>,
        clock: Clock,
        links: Links,
        ends: Sender<Exit>,
    ) -> io::Result<(Mailbox, JoinHandle<()>)> {
        if !self.timeline.goes_on() {
            self.begin_time(Moment::of(&clock));
        }
        let (mailbox, received, shared) = mailbox::mailbox();
        let writer = Writer {
            file: self.opened.settings.file,
            interval: self.opened.settings.interval,
            database: match self.opened.source {
                Source::Database(database, _) => Some(database),
                Source::Disk(..) => None,
            },
            tracker,
            clock,
            timeline: self.timeline,
            mailbox: received,
            shared,
            links,
            waiting: Vec::new(),
            complained: None,
        };
        writer.note_edits_at_start();
        let thread = supervise::start("snapshot", ends, move || writer.run())?;
        Ok((mailbox, thread))
    }

    /// Writes down when the database's time began, so that it goes on even if the process is killed before its first snapshot. A
    /// disk that refuses is complained of by that.
    fn begin_time(&self, moment: Moment) {
        let Source::Database(database, _) = &self.opened.source else {
            return;
        };
        let written = database.in_transaction(|| {
            database.finish(Finished {
                stamp: self.timeline.stamp(moment.now),
                wall: moment.wall,
                boot: moment.boot,
            })
        });
        if let Err(error) = written {
            log::debug!("the beginning of the database's time: {error}");
        }
    }
}
