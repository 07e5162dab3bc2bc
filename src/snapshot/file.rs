//! The database as files: one process per database, safe creation, and setting aside what cannot be used. No SQL.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::Error;
use crate::clock::Wall;
use crate::regular_file;

/// Mode of the database: the group (a backup, an operator) may read, others may not, for it names who shares what.
const MODE: u32 = 0o640;

/// The files that SQLite keeps beside a database; they belong to it and move with it.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// How often the lock is tried, and the pause between: a predecessor that is just ending, or a child of it that has not yet got
/// rid of its files, may hold it for a moment.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// What belongs to a database, itself first.
pub(super) fn all(path: &Path) -> Vec<PathBuf> {
    let suffixes = [""].into_iter().chain(COMPANIONS).chain([".lock"]);
    suffixes.map(|suffix| beside(path, suffix)).collect()
}

/// `path` with `suffix` behind its name.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Takes the lock that keeps a second process off the database. It ends with the process, however that ends; the lock file
/// stays, for removing it would let two processes lock two files of one name.
///
/// # Errors
/// [`Error::InUse`] when another process has it; else what the system says.
pub(super) fn lock(path: &Path) -> Result<File, Error> {
    let fail = |source| Error::File {
        file: path.into(),
        source,
    };
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        DirBuilder::new()
            .recursive(true)
            .mode(0o750)
            .create(folder)
            .map_err(fail)?;
    }
    let beside = beside(path, ".lock");
    refuse_other_lock(path)?;
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(MODE)
        .custom_flags(regular_file::without_following())
        .open(beside)
        .map_err(fail)?;
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(source)) => return Err(fail(source)),
        }
    }
    Err(Error::InUse { file: path.into() })
}

/// Looks whether the lock is a regular file, or not there. A link is none: who may write the folder would have root make a file
/// wherever it leads.
///
/// # Errors
/// It is none.
pub(super) fn refuse_other_lock(path: &Path) -> Result<(), Error> {
    let file = beside(path, ".lock");
    let is_link = fs::symlink_metadata(&file).is_ok_and(|about| about.is_symlink());
    let judged = if is_link {
        let text = "it is a link; a regular file is expected";
        Err(io::Error::new(io::ErrorKind::InvalidInput, text))
    } else {
        regular_file::refuse_others(&file)
    };
    judged.map_err(|source| Error::File { file, source })
}

/// Looks whether the database and its companions are regular files, or not there: SQLite would wait for a FIFO.
///
/// # Errors
/// Which is none, and what it is instead.
pub(super) fn refuse_others(path: &Path) -> Result<(), Error> {
    for suffix in [""].into_iter().chain(COMPANIONS) {
        let file = beside(path, suffix);
        regular_file::refuse_others(&file).map_err(|source| Error::File { file, source })?;
    }
    Ok(())
}

/// Takes away what others may do beyond [`MODE`]; never gives more than there is.
pub(super) fn narrow(path: &Path) -> io::Result<()> {
    let mode = fs::metadata(path)?.permissions().mode() & 0o777;
    if mode & MODE == mode {
        return Ok(());
    }
    fs::set_permissions(path, PermissionsExt::from_mode(mode & MODE))
}

/// Renames the finished file `new` to `path`, so that no other state of `path` is ever seen, even after a power cut.
pub(super) fn publish(new: &Path, path: &Path) -> io::Result<()> {
    fs::set_permissions(new, PermissionsExt::from_mode(MODE))?;
    regular_file::whole::publish(new, path)
}

/// Removes what a creation that was cut short left of `new`: it was never a database.
pub(super) fn clear(new: &Path) -> io::Result<()> {
    COMPANIONS
        .into_iter()
        .chain([""])
        .try_for_each(|suffix| tolerate_missing(fs::remove_file(beside(new, suffix))))
}

/// Renames the database and its companions to `NAME.corrupt-TIME…` and returns the new name. Overwrites nothing. Companions go
/// first: left beside a new database, SQLite would take an old log for its own.
pub(super) fn set_aside(path: &Path, wall: Wall) -> io::Result<PathBuf> {
    let aside = free_name(path, wall)?;
    for suffix in COMPANIONS.into_iter().chain([""]) {
        tolerate_missing(fs::rename(beside(path, suffix), beside(&aside, suffix)))?;
    }
    Ok(aside)
}

/// Gives the database the further name `NAME.corrupt-TIME`, and its companions only that one. It keeps its own name until
/// [`publish`] puts another in its place: however this is cut short, the next start finds one of the two.
pub(super) fn keep(path: &Path, wall: Wall) -> io::Result<PathBuf> {
    let aside = free_name(path, wall)?;
    for suffix in COMPANIONS {
        tolerate_missing(fs::rename(beside(path, suffix), beside(&aside, suffix)))?;
    }
    // Not every file system knows second names.
    let named = fs::hard_link(path, &aside).or_else(|_| fs::rename(path, &aside));
    tolerate_missing(named)?;
    Ok(aside)
}

fn tolerate_missing(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn free_name(path: &Path, wall: Wall) -> io::Result<PathBuf> {
    (0_u32..)
        .map(|turn| match turn {
            0 => beside(path, &format!(".corrupt-{}", wall.0)),
            _ => beside(path, &format!(".corrupt-{}-{turn}", wall.0)),
        })
        .find(|aside| {
            let is_taken = |suffix: &str| fs::symlink_metadata(beside(aside, suffix)).is_ok();
            !is_taken("") && !COMPANIONS.into_iter().any(is_taken)
        })
        .ok_or(io::ErrorKind::AlreadyExists.into())
}

/// Whether companions lie about without their database.
pub(super) fn has_orphans(path: &Path) -> bool {
    COMPANIONS
        .iter()
        .any(|suffix| fs::symlink_metadata(beside(path, suffix)).is_ok())
}

/// What the header of a database file says of it, read without SQLite, which would already change what it opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HeaderNumbers {
    /// `PRAGMA user_version`.
    pub version: u32,
    /// `PRAGMA application_id`.
    pub application: u32,
}

/// Reads the first 100 bytes; `None` when they are not those of a SQLite database.
///
/// # Errors
/// What the system says when the file cannot be read.
pub(super) fn header_numbers(path: &Path) -> io::Result<Option<HeaderNumbers>> {
    let mut header = Vec::new();
    regular_file::open(path)?
        .take(100)
        .read_to_end(&mut header)?;
    let number = |at: usize| {
        let bytes = header.get(at..)?.first_chunk::<4>()?;
        Some(u32::from_be_bytes(*bytes))
    };
    if header.len() < 100 || !header.starts_with(b"SQLite format 3\0") {
        return Ok(None);
    }
    Ok(number(60)
        .zip(number(68))
        .map(|(version, application)| HeaderNumbers {
            version,
            application,
        }))
}

/// Device and number of a file.
pub(super) fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let about = fs::metadata(path)?;
    Ok((about.dev(), about.ino()))
}

/// Bytes of the database with its log.
pub(super) fn size(path: &Path) -> u64 {
    // A log that is not there has no bytes.
    let bytes = |file: &Path| fs::metadata(file).map_or(0, |about| about.len());
    bytes(path) + bytes(&beside(path, "-wal"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_aside_moves_the_log_too_and_overwrites_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sqlite");
        let mut names = Vec::new();
        for turn in 0..3 {
            fs::write(&path, format!("{turn}")).unwrap();
            fs::write(beside(&path, "-wal"), format!("log {turn}")).unwrap();
            names.push(set_aside(&path, Wall(5)).unwrap());
            assert!(!path.exists() && !has_orphans(&path));
        }
        for (turn, name) in names.iter().enumerate() {
            assert_eq!(fs::read_to_string(name).unwrap(), format!("{turn}"));
            let log = fs::read_to_string(beside(name, "-wal")).unwrap();
            assert_eq!(log, format!("log {turn}"));
        }
    }

    /// R8: two instances.
    #[test]
    fn a_second_lock_is_refused_and_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/a.sqlite");
        let held = lock(&path).unwrap();
        let refused = lock(&path).unwrap_err();
        assert!(matches!(refused, Error::InUse { .. }));
        assert!(refused.to_string().contains("deep/er/a.sqlite"));
        drop(held);
        lock(&path).unwrap();
        // A link makes no file elsewhere.
        let (elsewhere, lock_file) = (folder.path().join("elsewhere"), beside(&path, ".lock"));
        fs::remove_file(&lock_file).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &lock_file).unwrap();
        let refused = lock(&path).unwrap_err().to_string();
        assert!(refused.contains("it is a link"), "{refused}");
        assert!(!elsewhere.exists());
    }
}
