//! Files that are replaced whole: whoever reads one meets all of what was written or what was there before, also after a power cut, and
//! also when two write at once.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::folder_of;

/// What stands between a file's name and the numbers of who writes it, while it is written: nothing that people end names with, for what
/// is old of it is removed.
const MARK: &str = ".unfinished-";

/// An unfinished file that is so much older than one that was just written belongs to nobody any more.
const LEFT_AFTER: Duration = Duration::from_hours(1);

/// Whose a file is that root writes; what anybody else writes is his own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The process's user.
    Own,
    /// Whose the folder is, so that the service can read what root made for it.
    OfFolder,
}

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// For its owner only (mode 0600), whatever stood in its place.
    Secret(Owner),
    /// With the mode and the owner of the regular file that it replaces, if there is one, else as the umask has it.
    AsBefore {
        /// Whether one may be replaced.
        may_replace: bool,
    },
}

/// Writes `bytes` beside `path`, under a name of its own, and moves them there. Follows no link at `path`: whoever owns the folder could
/// put one there.
///
/// # Errors
/// What the system says; [`io::ErrorKind::AlreadyExists`] when nothing may be replaced and something is there. There is no trace of it
/// then, unless the folder alone could not be synced.
pub fn write(path: &Path, bytes: &[u8], manner: Manner) -> io::Result<()> {
    let old = fs::symlink_metadata(path).ok();
    let old = old.filter(fs::Metadata::is_file);
    let (fresh, file) = begin(path, old.as_ref(), manner)?;
    let written = fill(&file, path, bytes, old.as_ref(), manner).and_then(|modified| {
        let before = modified.checked_sub(LEFT_AFTER);
        // What cannot be removed is in nobody's way.
        drop(remove_unfinished(path, before));
        put(&fresh, path, manner)
    });
    if written.is_err() {
        // What is left of it helps nobody; that the disk refused is what is told.
        drop(fs::remove_file(&fresh));
    }
    written?;
    sync_folder(path)
}

/// Moves the finished file `new` to `path`, so that no other state of `path` is ever seen, even after a power cut.
///
/// # Errors
/// What the system says.
pub fn publish(new: &Path, path: &Path) -> io::Result<()> {
    File::open(new)?.sync_all()?;
    fs::rename(new, path)?;
    sync_folder(path)
}

/// Removes what processes that were killed have left of `path` unfinished: all of it, for who holds a lock that all writers take, or
/// what was written last `before` some time.
///
/// # Errors
/// What the system says.
pub fn remove_unfinished(path: &Path, before: Option<SystemTime>) -> io::Result<()> {
    let mut begin = name_of(path)?;
    begin.push(MARK);
    for entry in fs::read_dir(folder_of(path))? {
        let entry = entry?;
        let name = entry.file_name();
        let rest = name.as_bytes().strip_prefix(begin.as_bytes());
        let is_unfinished = rest.is_some_and(are_numbers);
        let is_old = |before| {
            let modified = entry.metadata().and_then(|about| about.modified());
            modified.is_ok_and(|modified| modified < before)
        };
        if is_unfinished && before.is_none_or(is_old) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Whether it is what [`fresh_name`] ends with.
fn are_numbers(end: &[u8]) -> bool {
    let mut parts = end.split(|byte| *byte == b'-');
    let is_number = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    parts.clone().count() == 2 && parts.all(is_number)
}

fn name_of(path: &Path) -> io::Result<OsString> {
    let name = path.file_name().map(ToOwned::to_owned);
    name.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it names no file"))
}

/// A name in the same folder that no other thread and no other process uses.
fn fresh_name(path: &Path) -> io::Result<PathBuf> {
    static NUMBERS: AtomicU32 = AtomicU32::new(0);
    let mut name = name_of(path)?;
    let number = NUMBERS.fetch_add(1, Relaxed);
    name.push(format!("{MARK}{}-{number}", std::process::id()));
    Ok(folder_of(path).join(name))
}

/// Begins the file that takes the place of `old`, and is nobody else's to read before it is what that was.
fn begin(path: &Path, old: Option<&fs::Metadata>, manner: Manner) -> io::Result<(PathBuf, File)> {
    let fresh = fresh_name(path)?;
    let mode = match (manner, old) {
        (Manner::Secret(_), _) | (Manner::AsBefore { .. }, Some(_)) => 0o600,
        (Manner::AsBefore { .. }, None) => 0o666,
    };
    let mut options = OpenOptions::new();
    let options = options.write(true).create_new(true).mode(mode);
    let file = match options.open(&fresh) {
        // Of a process that had this number before, as in a container that is started again, and was killed.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(&fresh)?;
            options.open(&fresh)?
        }
        opened => opened?,
    };
    Ok((fresh, file))
}

/// Makes the file what it is to be; when it was changed last.
fn fill(
    mut file: &File,
    path: &Path,
    bytes: &[u8],
    old: Option<&fs::Metadata>,
    manner: Manner,
) -> io::Result<SystemTime> {
    file.write_all(bytes)?;
    // Only root may give a file away, and it is root's then where it did not.
    let is_root = geteuid().is_root();
    match manner {
        Manner::Secret(Owner::OfFolder) if is_root => {
            let folder = fs::metadata(folder_of(path))?;
            fchown(file, Some(folder.uid()), Some(folder.gid()))?;
        }
        Manner::Secret(_) => {}
        Manner::AsBefore { .. } => {
            if let Some(old) = old {
                if is_root {
                    fchown(file, Some(old.uid()), Some(old.gid()))?;
                }
                file.set_permissions(Permissions::from_mode(old.mode() & 0o777))?;
            }
        }
    }
    let mut modified = file.metadata()?.modified()?;
    // Two files within the clock's grain would look alike to who reads them from memory.
    if let Some(before) = old.and_then(|old| old.modified().ok())
        && modified <= before
        && let Some(later) = before.checked_add(Duration::from_nanos(1))
    {
        file.set_modified(later)?;
        modified = later;
    }
    file.sync_all()?;
    Ok(modified)
}

fn put(fresh: &Path, path: &Path, manner: Manner) -> io::Result<()> {
    match manner {
        Manner::Secret(_) | Manner::AsBefore { may_replace: true } => fs::rename(fresh, path),
        Manner::AsBefore { may_replace: false } => {
            renameat_with(CWD, fresh, CWD, path, RenameFlags::NOREPLACE).map_err(io::Error::from)
        }
    }
}

/// Makes the name of a file last. Some file systems of a network cannot, and need not be told.
fn sync_folder(path: &Path) -> io::Result<()> {
    let synced = File::open(folder_of(path))?.sync_all();
    match synced {
        Err(error) if Errno::from_io_error(&error) == Some(Errno::INVAL) => Ok(()),
        synced => synced,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<OsString> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    }

    /// W3, P24: who reads meets all of one text, whoever writes besides, and nothing stays but the file.
    #[test]
    fn writers_at_once_leave_one_whole_file_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, "open to all").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let texts: Vec<String> = ["a", "b", "c", "d"].map(|text| text.repeat(50_000)).into();
        write(&path, texts[0].as_bytes(), Manner::Secret(Owner::Own)).unwrap();
        std::thread::scope(|scope| {
            for text in &texts {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..20 {
                        write(path, text.as_bytes(), Manner::Secret(Owner::OfFolder)).unwrap();
                    }
                });
            }
            for _ in 0..100 {
                assert!(texts.contains(&fs::read_to_string(&path).unwrap()));
            }
        });
        assert!(texts.contains(&fs::read_to_string(&path).unwrap()));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(names(folder.path()), ["secret"]);
    }

    /// W13, O17: what root writes for the service is the service's, where root has not said that it is its own.
    #[test]
    fn a_secret_is_its_folder_s_owner_s_when_root_writes_it() {
        if !geteuid().is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(folder.path(), Some(990), Some(991)).unwrap();
        let path = folder.path().join("secret");
        for (owner, ids) in [(Owner::OfFolder, (990, 991)), (Owner::Own, (0, 0))] {
            write(&path, b"x", Manner::Secret(owner)).unwrap();
            let about = fs::metadata(&path).unwrap();
            assert_eq!((about.uid(), about.gid()), ids);
            assert_eq!(about.mode() & 0o777, 0o600);
        }
    }

    /// O14: mode and owner of a list go on, and nothing is replaced unasked.
    #[test]
    fn what_replaces_a_file_is_what_that_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        let manner = |may_replace| Manner::AsBefore { may_replace };
        write(&path, b"one", manner(false)).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o604)).unwrap();
        if geteuid().is_root() {
            std::os::unix::fs::chown(&path, Some(990), Some(991)).unwrap();
        }
        let before = fs::metadata(&path).unwrap();
        let refused = write(&path, b"two", manner(false)).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        write(&path, b"two", manner(true)).unwrap();
        let after = fs::metadata(&path).unwrap();
        let what = |about: &fs::Metadata| (about.uid(), about.gid(), about.mode());
        assert_eq!(what(&after), what(&before));
        assert!(after.modified().unwrap() > before.modified().unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(names(folder.path()), ["list"]);
    }

    /// O14: what is to be read by few is never open to more while it is written.
    #[test]
    fn what_replaces_a_file_is_begun_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        fs::write(&path, "for one").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let old = fs::metadata(&path).unwrap();
        let manner = Manner::AsBefore { may_replace: true };
        let (_, file) = begin(&path, Some(&old), manner).unwrap();
        assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600);
    }

    /// W3: what a killed process has left goes when nobody can be writing it any more, and nobody's other files do.
    #[test]
    fn leftovers_are_removed_when_they_are_old() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let make = |end: &str| {
            let path = folder.path().join(format!("secret{end}"));
            fs::write(&path, "half").unwrap();
            path
        };
        let [old, young] = ["1-0", "1-1"].map(|numbers| make(&format!("{MARK}{numbers}")));
        // People put dates behind names.
        let others = [
            ".new-20261130",
            ".new-2026-11",
            ".unfinished-2026-11-30",
            ".unfinished-1",
            ".unfinished-1-",
            ".unfinished-1-x",
        ];
        let others = others.map(make);
        let now = fs::metadata(&young).unwrap().modified().unwrap();
        for path in others.iter().chain([&old]) {
            let file = OpenOptions::new().write(true).open(path).unwrap();
            file.set_modified(now - 2 * LEFT_AFTER).unwrap();
        }
        write(&path, b"x", Manner::Secret(Owner::Own)).unwrap();
        assert!(!old.exists() && young.exists());
        remove_unfinished(&path, None).unwrap();
        assert!(!young.exists() && others.iter().all(|other| other.exists()));
    }
}
