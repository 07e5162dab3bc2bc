//! What a database may cost whoever opens it, whoever wrote it: no view or trigger of it does anything, values and statements have
//! a length, and reading has an end.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags, OptionalExtension, ffi};

use super::{Error, file};
use crate::clock::Clock;
use crate::regular_file;

/// Longest value of a database of ours: the record of a million v6 peers.
pub(super) const MAX_VALUE_BYTES: i32 = 64 << 20;

/// Longest value that is read of a foreign database, where the longest is the reason of a block.
pub(super) const MAX_FOREIGN_BYTES: i32 = 1 << 20;

/// Longest statement of a schema.
const MAX_SQL_BYTES: i32 = 256 << 10;

/// Memory that the library may have, in all connections of the process.
const MAX_HEAP_BYTES: u32 = 512 << 20;

/// Steps of the library between two looks at the time.
const STEPS: i32 = 10_000;

/// Who is said to have written a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// This program.
    Us,
    /// Another; its values are short.
    Another,
}

/// Opens a database for reading only: with its log if that can be used, else without, as on a disk that cannot be written. What
/// is read of it within `most` is bounded, whatever is in it; what takes longer is interrupted.
///
/// # Errors
/// It is no regular file, or what SQLite says.
pub fn open_read_only(path: &Path, owner: Owner, most: Duration) -> Result<Connection, Error> {
    file::refuse_others(path)?;
    regular_file::open(path).map_err(|source| Error::File {
        file: path.into(),
        source,
    })?;
    let value_bytes = match owner {
        Owner::Us => MAX_VALUE_BYTES,
        Owner::Another => MAX_FOREIGN_BYTES,
    };
    read_only(path, value_bytes, most).map_err(|source| Error::of(path, most, source))
}

fn read_only(path: &Path, value_bytes: i32, most: Duration) -> rusqlite::Result<Connection> {
    let guarded = |mut connection: Connection| -> rusqlite::Result<Connection> {
        harden(&connection, value_bytes)?;
        limit_time(&mut connection, most)?;
        Ok(connection)
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let probe = |connection: &Connection| {
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
    };
    let connection = guarded(Connection::open_with_flags(path, flags)?)?;
    if probe(&connection).is_ok() {
        return Ok(connection);
    }
    let mut name = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        name.push_str(&format!("%{byte:02x}"));
    }
    let connection = guarded(Connection::open_with_flags(name + "?immutable=1", flags)?)?;
    probe(&connection)?;
    Ok(connection)
}

/// Makes a connection that has not read anything yet safe to read with.
pub(super) fn harden(connection: &Connection, max_value_bytes: i32) -> rusqlite::Result<()> {
    for (limit, most) in [
        (Limit::SQLITE_LIMIT_LENGTH, max_value_bytes),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, MAX_SQL_BYTES),
        (Limit::SQLITE_LIMIT_COLUMN, 100),
        (Limit::SQLITE_LIMIT_EXPR_DEPTH, 50),
        (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 10),
        // Patterns are matched in one step, however long that takes; we have none.
        (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1),
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ] {
        connection.set_limit(limit, most)?;
    }
    for (switch, is_on) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
    ] {
        connection.set_db_config(switch, is_on)?;
    }
    connection.execute_batch(&format!(
        "PRAGMA hard_heap_limit = {MAX_HEAP_BYTES}; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0"
    ))
}

/// Ends with `SQLITE_INTERRUPT` whatever the connection does `most` from here on.
pub(super) fn limit_time(connection: &mut Connection, most: Duration) -> rusqlite::Result<()> {
    let clock = Clock::start();
    connection.progress_handler(STEPS, Some(move || clock.elapsed() > most))
}

/// Lets the connection take its time again.
pub(super) fn unlimit_time(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.progress_handler(0, None::<fn() -> bool>)
}

/// Looks whether `name` is a plain table or not there at all; `false` when it is not.
///
/// # Errors
/// It is a view, a virtual table, or computes its columns: reading it would run what somebody else wrote.
pub fn has_plain_table(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT type FROM pragma_table_list(?1) WHERE schema = 'main'";
    let kind: Option<String> = connection
        .query_row(sql, [name], |row| row.get(0))
        .optional()?;
    let Some(kind) = kind else {
        return Ok(false);
    };
    if kind != "table" {
        return Err(refused(format!("{name} is a {kind}; a table is expected")));
    }
    let sql = "SELECT count(*) FROM pragma_table_xinfo(?1) WHERE hidden > 1";
    let computed: u32 = connection.query_row(sql, [name], |row| row.get(0))?;
    if computed > 0 {
        return Err(refused(format!("{name} computes its columns")));
    }
    Ok(true)
}

/// An error like those of the library, for what it would have taken.
fn refused(why: String) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_NOTADB), Some(why))
}
