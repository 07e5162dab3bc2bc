//! The one SQLite connection: opening, checking, creating, migrating, transactions. What is in the tables is in `tables.rs`.
//!
//! WAL with `synchronous=FULL`: a commit is on the disk when it returns; only this thread waits for that.

pub(super) mod keys;
pub(super) mod tables;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use keys::KeyRow;

use super::file::HeaderNumbers;
use super::{Error, file, guard};
use crate::clock::Wall;
use crate::shown;
use crate::tracker::{Block, InfoHash};

/// `PRAGMA application_id` of a database of ours: "retr".
pub const APPLICATION: u32 = 0x7265_7472;

/// What takes a database from version `index + 1` to the next, each in a transaction of its own. It leaves the very statements of
/// [`SCHEMA`] in the schema.
const MIGRATIONS: &[&str] = &[concat!(
    include_str!("keys.sql"),
    include_str!("block_edits.sql"),
    include_str!("listed_torrents.sql")
)];

/// `PRAGMA user_version` that is written.
const VERSION: u32 = 2;

const SCHEMA: &str = concat!(
    include_str!("schema.sql"),
    include_str!("keys.sql"),
    include_str!("block_edits.sql"),
    include_str!("listed_torrents.sql")
);

/// Above this size the check at the start leaves out that indexes agree with tables: that would take seconds.
const FULL_CHECK_BYTES: u64 = 256 << 20;

/// How long the check at the start may take; no sound database of a tracker takes a tenth of it.
pub(super) const MAX_CHECK: Duration = Duration::from_secs(120);

/// How long the blocklist of a database that cannot be used is read.
const MAX_RESCUE: Duration = Duration::from_secs(10);

/// Entries of a schema that are looked at.
const MAX_SCHEMA: usize = 1_000;

/// How long a command waits for another program that has the database locked (a backup, an operator's shell).
const BUSY: Duration = Duration::from_secs(3);

/// What was found where the database should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A sound database.
    Whole,
    /// Nothing: a new one was made.
    Created,
    /// Something that cannot be used: it was renamed, and a new database was made.
    SetAside {
        /// Its new name.
        to: PathBuf,
        /// What is wrong with it.
        why: String,
        /// Entries of the blocklist that could be read from it.
        rescued: usize,
    },
}

/// The open database, and the lock that keeps others out.
pub(super) struct Database {
    pub connection: Connection,
    path: PathBuf,
    /// The file that was opened, whatever bears its name later.
    identity: (u64, u64),
    _lock: File,
}

/// Why a file cannot be used as it is.
enum Fault {
    /// It is damaged or foreign: to be set aside.
    Unusable(String),
    /// The system or an operator must help: to be left as it is.
    Error(Error),
}

impl Database {
    /// Locks, checks and opens the database; makes one when there is none, and sets aside what cannot be used.
    ///
    /// # Errors
    /// Another process has it, a newer version wrote it, or the system refuses; nothing has been changed then.
    pub(super) fn open(path: &Path, wall: Wall) -> Result<(Database, Found), Error> {
        // Through symbolic links, as SQLite goes: the log lies beside the file, not beside the link.
        let configured = path;
        let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        file::refuse_others(path)?;
        let lock = file::lock(path)?;
        let fail = |source| Error::File {
            file: path.clone(),
            source,
        };
        let why = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if !file::has_orphans(path) {
                    let new = make(path, &Rescued::default())?;
                    return Ok((Database::publish(&new, path, lock)?, Found::Created));
                }
                "its log is there without it".to_owned()
            }
            Err(error) => return Err(fail(error)),
            Ok(_) => match inspect(path) {
                Ok(connection) => {
                    // Whoever owns the file may have meant it to be open.
                    if let Err(error) = file::narrow(path) {
                        log::warn!("{} may be read by others: {error}", path.display());
                    }
                    let database = Database::of(connection, path, lock)?;
                    return Ok((database, Found::Whole));
                }
                Err(Fault::Error(error)) => return Err(error),
                Err(Fault::Unusable(why)) => why,
            },
        };
        refuse_link(configured, &why)?;
        // The new database is whole, rescued blocks and all, before the old one goes: a kill in between loses neither.
        let rescued = rescue(path);
        let new = make(path, &rescued)?;
        let to = file::keep(path, wall).map_err(fail)?;
        let database = Database::publish(&new, path, lock)?;
        let Rescued { blocks, keys, .. } = &rescued;
        if !keys.is_empty() {
            log::info!(
                "{} keys of announce addresses are rescued from it",
                keys.len()
            );
        }
        let rescued = blocks.len();
        Ok((database, Found::SetAside { to, why, rescued }))
    }

    fn publish(new: &Path, path: &Path, lock: File) -> Result<Database, Error> {
        file::publish(new, path).map_err(|source| Error::File {
            file: path.into(),
            source,
        })?;
        let connection = connect(path).map_err(|source| Error::Database {
            file: path.into(),
            source,
        })?;
        Database::of(connection, path, lock)
    }

    fn of(connection: Connection, path: &Path, lock: File) -> Result<Database, Error> {
        let identity = file::identity(path).map_err(|source| Error::File {
            file: path.into(),
            source,
        })?;
        Ok(Database {
            connection,
            path: path.into(),
            identity,
            _lock: lock,
        })
    }

    /// Whether the file still bears its name: what is written to one that was renamed or removed is lost.
    pub(super) fn is_in_place(&self) -> bool {
        file::identity(&self.path).is_ok_and(|identity| identity == self.identity)
    }

    /// Closes the file that lost its name, and sets aside what bears the name now, its log above all.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn abandon(self, wall: Wall) -> io::Result<PathBuf> {
        let path = self.path.clone();
        drop(self);
        file::set_aside(&path, wall)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Begins a transaction.
    pub(super) fn begin(&self) -> rusqlite::Result<()> {
        self.connection.execute_batch("BEGIN IMMEDIATE")
    }

    /// Commits it; what was written is on the disk then.
    pub(super) fn commit(&self) -> rusqlite::Result<()> {
        self.connection.execute_batch("COMMIT")
    }

    /// Undoes it, unless SQLite has done so already.
    pub(super) fn rollback(&self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            log::debug!("rolling back: {error}");
        }
    }

    /// Does all of it in a transaction, or nothing.
    ///
    /// # Errors
    /// What `edit` says, or that the disk refuses; nothing is changed then.
    pub(super) fn in_transaction<T>(
        &self,
        edit: impl FnOnce() -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        self.begin()?;
        let done = edit().and_then(|done| self.commit().map(|()| done));
        if done.is_err() {
            self.rollback();
        }
        done
    }

    /// Moves the log into the database, as far as no other program is reading it. Nothing is lost when this fails.
    pub(super) fn checkpoint(&self) -> rusqlite::Result<()> {
        checkpoint(&self.connection, "PASSIVE")
    }

    /// Gives the space of the log back after [`Database::checkpoint`].
    pub(super) fn truncate_log(&self) -> rusqlite::Result<()> {
        checkpoint(&self.connection, "TRUNCATE")
    }
}

/// Refuses a link to what is no database of ours: that may be anybody's, and is not to be set aside.
fn refuse_link(path: &Path, why: &str) -> Result<(), Error> {
    let Ok(target) = fs::read_link(path) else {
        return Ok(());
    };
    let text = format!(
        "it is a link to {}, which cannot be used as the database and is left as it is: {why}",
        target.display()
    );
    Err(Error::File {
        file: path.into(),
        source: io::Error::new(io::ErrorKind::InvalidInput, text),
    })
}

/// Looks at what is there, and changes nothing.
///
/// # Errors
/// What would stop the start and shows without SQLite.
pub(super) fn examine(path: &Path) -> Result<(), Error> {
    let configured = path;
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    file::refuse_others(path)?;
    file::refuse_other_lock(path)?;
    // What cannot be read now is judged when it is opened.
    match file::header_numbers(path).ok() {
        Some(Some(HeaderNumbers {
            application: APPLICATION,
            version,
        })) if version > VERSION => Err(Error::Newer {
            file: path.clone(),
            version,
        }),
        Some(None) => refuse_link(configured, "it is no SQLite database"),
        Some(Some(HeaderNumbers { application, .. })) if application != APPLICATION => {
            refuse_link(configured, "it is the database of another program")
        }
        _ => Ok(()),
    }
}

/// What operators have entered, as far as it can be read from a database that cannot be used.
#[derive(Default)]
struct Rescued {
    blocks: Vec<Block>,
    keys: Vec<KeyRow>,
    torrents: Vec<InfoHash>,
}

/// Makes a database with what was rescued beside `path`, and returns its name.
fn make(path: &Path, rescued: &Rescued) -> Result<PathBuf, Error> {
    let new = file::beside(path, ".new");
    file::clear(&new).map_err(|source| Error::File {
        file: new.clone(),
        source,
    })?;
    let fill = || -> rusqlite::Result<()> {
        let connection = Connection::open(&new)?;
        connection.execute_batch(&format!(
            "PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION}; \
             PRAGMA journal_mode = WAL; BEGIN; {SCHEMA}"
        ))?;
        for block in &rescued.blocks {
            tables::put_block(&connection, block)?;
        }
        for key in &rescued.keys {
            keys::restore_key(&connection, &key.record)?;
            keys::restore_use(&connection, key)?;
        }
        for hash in &rescued.torrents {
            tables::list_torrent(&connection, hash, Wall(0))?;
        }
        connection.execute_batch("COMMIT")?;
        connection.close().map_err(|(_, source)| source)
    };
    match fill() {
        Ok(()) => Ok(new),
        Err(source) => Err(Error::Database { file: new, source }),
    }
}

/// What can be read of the lists in a database that cannot be used.
fn rescue(path: &Path) -> Rescued {
    let open = || -> rusqlite::Result<Connection> {
        let mut old = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        guard::harden(&old, guard::MAX_FOREIGN_BYTES)?;
        guard::limit_time(&mut old, MAX_RESCUE)?;
        Ok(old)
    };
    let Ok(old) = open() else {
        return Rescued::default();
    };
    // Lets SQLite read what is left of a file that was cut.
    let lenient = old
        .set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, false)
        .and_then(|_| old.execute_batch("PRAGMA writable_schema = ON"));
    if let Err(error) = lenient {
        log::debug!("rescuing the blocklist: {error}");
    }
    Rescued {
        blocks: tables::readable_blocks(&old),
        keys: keys::readable_keys(&old),
        torrents: tables::readable_torrents(&old),
    }
}

fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<()> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()))
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    guard::harden(&connection, guard::MAX_VALUE_BYTES)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(32);
    // Checkpoints are ours to time: one after each snapshot, never in the middle of a blocklist edit.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; \
         PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8000;",
    )?;
    Ok(connection)
}

/// Opens a file that is there, if it is a sound database of ours.
fn inspect(path: &Path) -> Result<Connection, Fault> {
    let unusable = |why: &str| Err(Fault::Unusable(why.to_owned()));
    let header = file::header_numbers(path).map_err(|source| {
        Fault::Error(Error::File {
            file: path.into(),
            source,
        })
    })?;
    match header {
        None if file::size(path) == 0 => return unusable("it is empty"),
        None => return unusable("it is not a SQLite database"),
        Some(HeaderNumbers { application, .. }) if application != APPLICATION => {
            return unusable("it is the database of another program");
        }
        Some(HeaderNumbers { version: 0, .. }) => return unusable("its version is unknown"),
        Some(HeaderNumbers { version, .. }) if version > VERSION => {
            return Err(newer(path, version));
        }
        Some(_) => {}
    }
    let judge = |source| judge(path, source);
    let mut connection = connect(path).map_err(judge)?;
    guard::limit_time(&mut connection, MAX_CHECK).map_err(judge)?;
    let version = connection.query_row("PRAGMA user_version", [], |row| row.get(0));
    let version: u32 = version.map_err(judge)?;
    if version > VERSION {
        return Err(newer(path, version));
    }
    if let Some(foreign) = foreign(&connection).map_err(judge)? {
        return Err(Fault::Unusable(foreign));
    }
    let check = if file::size(path) > FULL_CHECK_BYTES {
        "PRAGMA quick_check(1)"
    } else {
        "PRAGMA integrity_check(1)"
    };
    let verdict = connection.query_row(check, [], |row| row.get(0));
    let verdict: String = verdict.map_err(judge)?;
    if verdict != "ok" {
        return Err(Fault::Unusable(verdict.replace(['\n', '\r'], " ")));
    }
    migrate(&connection, version, MIGRATIONS).map_err(judge)?;
    tables::prepare_all(&connection).map_err(judge)?;
    keys::prepare_all(&connection).map_err(judge)?;
    guard::unlimit_time(&mut connection).map_err(judge)?;
    Ok(connection)
}

/// What is in the schema and is not ours: checking it, or writing beside it, would run what somebody else wrote. Views are let
/// be, for nobody looks at them.
fn foreign(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT type, name, sql FROM sqlite_schema \
        WHERE type <> 'view' AND substr(name, 1, 7) <> 'sqlite_' ORDER BY name";
    let schema = |connection: &Connection| -> rusqlite::Result<Vec<[String; 3]>> {
        let mut statement = connection.prepare(sql)?;
        let rows = statement.query_map([], |row| {
            // Only what SQLite makes by itself has no text, and that is not ours.
            let text: Option<String> = row.get(2)?;
            Ok([row.get(0)?, row.get(1)?, text.unwrap_or_default()])
        })?;
        rows.take(MAX_SCHEMA).collect()
    };
    let ours = Connection::open_in_memory()?;
    ours.execute_batch(SCHEMA)?;
    let (ours, there) = (schema(&ours)?, schema(connection)?);
    let odd = there.iter().find(|row| !ours.contains(row));
    Ok(odd.map(|[kind, name, _]| {
        shown::on_one_line(&format_args!("its {kind} {name:.50} is not this program's"))
    }))
}

fn newer(path: &Path, version: u32) -> Fault {
    Fault::Error(Error::Newer {
        file: path.into(),
        version,
    })
}

/// Tells damage from a system that refuses: only damage sets a database aside.
fn judge(path: &Path, source: rusqlite::Error) -> Fault {
    let code = source.sqlite_error_code();
    let is_short = source
        .sqlite_error()
        .is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHORT_READ);
    let is_the_system = matches!(
        code,
        Some(
            ErrorCode::SystemIoFailure
                | ErrorCode::DiskFull
                | ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::OutOfMemory
        )
    );
    if is_the_system && !is_short {
        return Fault::Error(Error::Database {
            file: path.into(),
            source,
        });
    }
    if code == Some(ErrorCode::OperationInterrupted) {
        let seconds = MAX_CHECK.as_secs();
        return Fault::Unusable(format!("it could not be checked within {seconds} s"));
    }
    Fault::Unusable(shown::on_one_line(&format_args!("{source}")))
}

/// Takes a database of version `from` to the newest.
fn migrate(connection: &Connection, from: u32, migrations: &[&str]) -> rusqlite::Result<()> {
    for (version, migration) in (1_u32..).zip(migrations) {
        if version >= from {
            let next = version + 1;
            connection.execute_batch(&format!(
                "BEGIN IMMEDIATE; {migration}\n; PRAGMA user_version = {next}; COMMIT;"
            ))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_library_is_past_the_log_reset_fault() {
        assert!(rusqlite::version_number() >= 3_051_003);
    }

    #[test]
    fn migrations_run_once_each_and_in_order() {
        let connection = Connection::open_in_memory().unwrap();
        let steps = [
            "CREATE TABLE a(x)",
            "INSERT INTO a VALUES (2)",
            "INSERT INTO a VALUES (3)",
        ];
        let count = |connection: &Connection| -> (u32, u32) {
            let rows = connection.query_row("SELECT count(*) FROM a", [], |row| row.get(0));
            let version = connection.query_row("PRAGMA user_version", [], |row| row.get(0));
            (rows.unwrap(), version.unwrap())
        };
        migrate(&connection, 1, &steps[..2]).unwrap();
        assert_eq!(count(&connection), (1, 3));
        migrate(&connection, 3, &steps).unwrap();
        assert_eq!(count(&connection), (2, 4));
        migrate(&connection, 4, &steps).unwrap();
        assert_eq!(count(&connection), (2, 4));
        assert_eq!(MIGRATIONS.len() + 1, VERSION as usize);
    }

    /// R8: what is created has mode 0640 and never exists half made.
    #[test]
    fn a_new_database_appears_whole_and_closed_to_others() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new.sqlite");
        fs::write(file::beside(&path, ".new"), "cut short").unwrap();
        let (database, found) = Database::open(&path, Wall(1)).unwrap();
        assert_eq!(found, Found::Created);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        assert!(!file::beside(&path, ".new").exists());
        drop(database);
        let (_database, found) = Database::open(&path, Wall(1)).unwrap();
        assert_eq!(found, Found::Whole);
    }
}
