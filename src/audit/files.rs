//! The files: one of deeds and one of failures, an entry a line, appended to. A file that has grown to its bound becomes the `.old`
//! one, by one rename, so that nothing is ever rewritten: what was written stays whole whenever the process ends.
//!
//! They are no table of the database, which belongs to the process that runs: a tool could tell nothing beside it, and a database that
//! is damaged or set aside would take along who did it.
//!
//! Tools append to the file of deeds while the tracker runs. One write with `O_APPEND` is one line, whoever else writes; only the
//! tracker renames, and a tool that still has the file open then writes into the `.old` one, which is read as well.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{Actor, Entry, MAX_ENTRIES, MAX_FAILURES};
use crate::regular_file;

/// The file of what users, tokens and tools do.
const DEEDS: &str = "retracker.audit";
/// The file of what strangers cause.
const FAILURES: &str = "retracker.audit-failures";

/// Bytes of a line at most: 264 characters of four bytes, and the names of the fields (`Entry::new` cuts what is longer).
const MAX_LINE_BYTES: u64 = 1_536;
/// A file as long as this is full: it holds [`MAX_ENTRIES`] whatever is in them, so that the `.old` one always does.
const FULL_BYTES: u64 = MAX_LINE_BYTES * MAX_ENTRIES as u64;
/// The same for failures, whose lines are shorter, and of which one may stand there several times.
const FULL_OF_FAILURES_BYTES: u64 = 1_024 * MAX_FAILURES as u64;
/// What is read of a file at most; tools add to no file that is longer than half of it.
const MAX_BYTES: u64 = 4 * FULL_BYTES;

/// The files of one folder.
#[derive(Debug)]
pub(super) struct Files {
    deeds: PathBuf,
    failures: PathBuf,
    /// How much of the file of deeds was seen by [`Files::told_from_outside`].
    seen_bytes: u64,
}

impl Files {
    /// Looks at the files in `folder`; what is in them was seen before.
    pub(super) fn new(folder: &Path) -> Files {
        let deeds = folder.join(DEEDS);
        Files {
            // A file that is not there yet is seen from its beginning on.
            seen_bytes: fs::metadata(&deeds).map_or(0, |about| about.len()),
            deeds,
            failures: folder.join(FAILURES),
        }
    }

    /// What tools have written since this was asked last.
    pub(super) fn told_from_outside(&mut self) -> io::Result<Vec<Entry>> {
        let length = match fs::metadata(&self.deeds) {
            Ok(about) => about.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        let from = std::mem::replace(&mut self.seen_bytes, length);
        if length <= from {
            return Ok(Vec::new());
        }
        let mut file = regular_file::open(&self.deeds)?;
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(length - from).read_to_end(&mut bytes)?;
        let mut entries = parse(&bytes);
        entries.retain(|entry| entry.actor == Actor::Tool);
        Ok(entries)
    }

    /// Adds deeds, and begins a new file where this one is full.
    pub(super) fn append_deeds(&mut self, entries: &[Entry]) -> io::Result<()> {
        if append(&self.deeds, entries, MAX_BYTES)? >= FULL_BYTES {
            make_old(&self.deeds)?;
            self.seen_bytes = 0;
        }
        Ok(())
    }

    /// Adds failures, and begins a new file where this one is full.
    pub(super) fn append_failures(&self, entries: &[Entry]) -> io::Result<()> {
        if append(&self.failures, entries, MAX_BYTES)? >= FULL_OF_FAILURES_BYTES {
            make_old(&self.failures)?;
        }
        Ok(())
    }

    /// Adds a deed from another process than the tracker.
    pub(super) fn append_from_outside(&self, entry: &Entry) -> io::Result<()> {
        append(&self.deeds, std::slice::from_ref(entry), MAX_BYTES / 2).map(drop)
    }

    /// The latest deeds, oldest first: at least [`MAX_ENTRIES`] when there were so many.
    pub(super) fn deeds(&self) -> io::Result<Vec<Entry>> {
        read_both(&self.deeds, MAX_ENTRIES)
    }

    /// The latest failures, oldest first; one may stand there several times.
    pub(super) fn failures(&self) -> io::Result<Vec<Entry>> {
        read_both(&self.failures, MAX_FAILURES * 4)
    }
}

fn old(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".old");
    PathBuf::from(name)
}

fn make_old(path: &Path) -> io::Result<()> {
    fs::rename(path, old(path))
}

fn read_both(path: &Path, enough: usize) -> io::Result<Vec<Entry>> {
    let newer = read(path)?;
    if newer.len() >= enough {
        return Ok(newer);
    }
    let mut all = read(&old(path))?;
    all.extend(newer);
    Ok(all)
}

fn read(path: &Path) -> io::Result<Vec<Entry>> {
    match regular_file::read(path, MAX_BYTES) {
        Ok(bytes) => Ok(parse(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The entries of a file. Lines that are none, as a lost power leaves them, are passed over.
fn parse(bytes: &[u8]) -> Vec<Entry> {
    let lines = bytes.split(|byte| *byte == b'\n');
    lines
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect()
}

/// Adds lines to a file, which is made when there is none, and waits until the disk has them. Returns how long the file is then.
fn append(path: &Path, entries: &[Entry], most_bytes: u64) -> io::Result<u64> {
    if entries.is_empty() {
        return Ok(0);
    }
    let mut file = open(path)?;
    let length = file.metadata()?.len();
    if length >= most_bytes {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("{}: {length} bytes are there already", path.display()),
        ));
    }
    let mut text = Vec::new();
    if !ends_in_a_line(&file, length)? {
        text.push(b'\n');
    }
    for entry in entries {
        serde_json::to_writer(&mut text, entry)?;
        text.push(b'\n');
    }
    if let Err(error) = file.write_all(&text) {
        // Whole lines of these may be there: they come again.
        file.set_len(length)?;
        return Err(error);
    }
    file.sync_data()?;
    Ok(length + text.len() as u64)
}

/// Opens the file, or makes it, readable by the owner only. No link is followed and no FIFO waited for.
fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(regular_file::without_following())
        .open(path)?;
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{} is no regular file", path.display()),
        ));
    }
    // What root makes on the command line would lock the tracker out.
    if about.len() == 0 {
        let owner = fs::metadata(regular_file::folder_of(path))?;
        if rustix::process::geteuid().is_root() && owner.uid() != about.uid() {
            std::os::unix::fs::fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
        }
    }
    Ok(file)
}

/// Whether the last line is whole: the process that wrote it may have been killed, or the disk been full.
fn ends_in_a_line(file: &File, length: u64) -> io::Result<bool> {
    let Some(last) = length.checked_sub(1) else {
        return Ok(true);
    };
    let mut byte = [0];
    file.read_exact_at(&mut byte, last)?;
    Ok(byte == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Deed;
    use crate::clock::Wall;
    use std::os::unix::fs::PermissionsExt;

    fn deed(number: u64) -> Entry {
        Entry::new(
            Deed::Block,
            Actor::User,
            "anna",
            &number.to_string(),
            Wall(number),
        )
    }

    /// W12
    #[test]
    fn what_was_appended_is_read_back_also_behind_a_line_that_was_cut() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = Files::new(folder.path());
        files.append_deeds(&[deed(1), deed(2)]).unwrap();
        let path = folder.path().join(DEEDS);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 5]).unwrap();
        let mut files = Files::new(folder.path());
        assert_eq!(files.deeds().unwrap(), [deed(1)]);
        files.append_deeds(&[deed(3)]).unwrap();
        assert_eq!(files.deeds().unwrap(), [deed(1), deed(3)]);
    }

    /// W12
    #[test]
    fn files_are_bounded_and_hold_the_last_thousand() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = Files::new(folder.path());
        let long = |number: u64| Entry {
            about: "ы".repeat(200),
            ..deed(number)
        };
        for round in 0..20 {
            let batch: Vec<Entry> = (0..1_000).map(|n| long(round * 1_000 + n)).collect();
            files.append_deeds(&batch).unwrap();
            let deeds = files.deeds().unwrap();
            assert_eq!(deeds.last(), batch.last());
            assert!(deeds.len() >= 1_000);
        }
        for path in [folder.path().join(DEEDS), old(&folder.path().join(DEEDS))] {
            let length = fs::metadata(path).map_or(0, |about| about.len());
            assert!(length < 2 * FULL_BYTES, "{length}");
        }
        let bytes = serde_json::to_vec(&long(1)).unwrap().len();
        assert!(u64::try_from(bytes).unwrap() < MAX_LINE_BYTES);
    }

    /// W12
    #[test]
    fn what_a_tool_adds_is_noticed_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = Files::new(folder.path());
        assert_eq!(files.told_from_outside().unwrap(), []);
        files.append_deeds(&[deed(1)]).unwrap();
        let tool = Entry {
            actor: Actor::Tool,
            ..deed(2)
        };
        Files::new(folder.path())
            .append_from_outside(&tool)
            .unwrap();
        files.append_deeds(&[deed(3)]).unwrap();
        assert_eq!(files.told_from_outside().unwrap(), [tool]);
        assert_eq!(files.told_from_outside().unwrap(), []);
        assert_eq!(files.deeds().unwrap().len(), 3);
    }

    #[test]
    fn a_link_or_a_folder_in_its_place_is_not_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join(DEEDS), folder.path().join("other"));
        fs::write(&other, "mine").unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        let mut files = Files::new(folder.path());
        assert!(files.append_deeds(&[deed(1)]).is_err());
        assert_eq!(fs::read_to_string(&other).unwrap(), "mine");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(files.append_deeds(&[deed(1)]).is_err());
    }
}
