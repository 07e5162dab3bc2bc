//! A log file that is rotated by size, as Python's `RotatingFileHandler` does it: `tracker.log`, `tracker.log.1`, ….
//!
//! `flexi_logger`'s own files carry a word in their names and count upwards; the names here are the ones that operators of the
//! original watch and rotate. Nothing that happens to the disk goes further than this file: lines that cannot be written are
//! dropped and counted.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use crate::regular_file::without_waiting;

/// The open file.
#[derive(Debug)]
pub(super) struct RotatedFile {
    path: PathBuf,
    max_bytes: u64,
    backup_count: u32,
    file: Option<File>,
    size: u64,
    /// When it was last looked whether the path still leads to the open file.
    looked_at: i64,
    lost_lines: u64,
    is_torn: bool,
}

impl RotatedFile {
    /// Opens `path` for appending and makes the folders above it.
    ///
    /// # Errors
    /// When it cannot be opened; but not for a full disk, which may have room again later.
    pub(super) fn open(path: &Path, max_bytes: u64, backup_count: u32) -> io::Result<RotatedFile> {
        let mut log = RotatedFile {
            path: path.to_owned(),
            max_bytes,
            backup_count,
            file: None,
            size: 0,
            looked_at: 0,
            lost_lines: 0,
            is_torn: false,
        };
        let opened = match path.parent() {
            Some(folder) => fs::create_dir_all(folder).and_then(|()| log.reopen()),
            None => log.reopen(),
        };
        match opened {
            Err(error) if error.kind() != io::ErrorKind::StorageFull => Err(error),
            _ => Ok(log),
        }
    }

    /// Looks whether `path` could be opened, and makes neither file nor folder.
    ///
    /// # Errors
    /// As [`RotatedFile::open`], except for what only shows when a folder or file is made.
    pub(super) fn look(path: &Path) -> io::Result<()> {
        let opened = OpenOptions::new()
            .append(true)
            .custom_flags(without_waiting())
            .open(path);
        match opened {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::StorageFull => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut folder = path.parent();
                while let Some(above) = folder.filter(|folder| !folder.as_os_str().is_empty()) {
                    match fs::metadata(above) {
                        Ok(about) if !about.is_dir() => {
                            return Err(io::ErrorKind::NotADirectory.into());
                        }
                        Ok(_) => break,
                        Err(error) if error.kind() == io::ErrorKind::NotFound => {
                            folder = above.parent();
                        }
                        Err(error) => return Err(error),
                    }
                }
                let folder = folder.filter(|folder| !folder.as_os_str().is_empty());
                let may = Access::WRITE_OK | Access::EXEC_OK;
                Ok(access(folder.unwrap_or(Path::new(".")), may)?)
            }
            Err(error) => Err(error),
        }
    }

    /// Removes the file and its numbered copies.
    pub(super) fn clear(path: &Path, backup_count: u32) {
        drop(fs::remove_file(path));
        for number in 1..=u32::MAX {
            // Copies of an earlier, larger count go too, up to the first gap.
            if fs::remove_file(numbered(path, number)).is_err() && number >= backup_count {
                break;
            }
        }
    }

    /// Opens whatever the path leads to.
    ///
    /// # Errors
    /// When it cannot be opened; the file that was open stays open then.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o640)
            // A FIFO that nobody reads is refused, and one that is read too slowly loses lines.
            .custom_flags(without_waiting())
            .open(&self.path)?;
        // A file system that does not tell lets the file grow longer once.
        self.size = file.metadata().map_or(0, |metadata| metadata.len());
        self.file = Some(file);
        Ok(())
    }

    /// Appends `line`; `second` is any clock's, and only compared with itself.
    pub(super) fn write(&mut self, line: &[u8], second: i64) {
        if second != self.looked_at {
            self.looked_at = second;
            if !self.is_in_place() {
                // When that fails, the file that was moved away goes on to be written, if there is one.
                drop(self.reopen());
            }
        }
        let length = line.len() as u64;
        let is_rotating = self.max_bytes > 0 && self.backup_count > 0;
        if is_rotating && self.size > 0 && self.size.saturating_add(length) > self.max_bytes {
            self.rotate();
        }
        if (self.lost_lines > 0 || self.is_torn) && !self.recover() {
            self.lost_lines = self.lost_lines.saturating_add(1);
            return;
        }
        if self.append(line).is_err() {
            self.lost_lines = self.lost_lines.saturating_add(1);
        }
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let written = file.write_all(bytes);
        if written.is_ok() {
            self.size = self.size.saturating_add(bytes.len() as u64);
        } else {
            self.is_torn = true;
        }
        written
    }

    /// Ends a line that was cut by a full disk and tells how many are missing.
    fn recover(&mut self) -> bool {
        let end = if self.is_torn { "\n" } else { "" };
        let text = match self.lost_lines {
            0 => end.to_owned(),
            lost => format!("{end}({lost} lines could not be written here)\n"),
        };
        if self.append(text.as_bytes()).is_err() {
            return false;
        }
        self.lost_lines = 0;
        self.is_torn = false;
        true
    }

    /// Whether the path leads to the open file: another program may have moved or removed it.
    fn is_in_place(&self) -> bool {
        let open = self.file.as_ref().and_then(|file| file.metadata().ok());
        let there = fs::metadata(&self.path).ok();
        match (open, there) {
            (Some(open), Some(there)) => (open.dev(), open.ino()) == (there.dev(), there.ino()),
            _ => false,
        }
    }

    /// Moves every copy one number up, the last one out. If the folder forbids it, the file grows by another `max_bytes`
    /// before the next try.
    fn rotate(&mut self) {
        for number in (1..self.backup_count).rev() {
            drop(fs::rename(
                numbered(&self.path, number),
                numbered(&self.path, number + 1),
            ));
        }
        if fs::rename(&self.path, numbered(&self.path, 1)).is_err() || self.reopen().is_err() {
            self.size = 0;
        }
    }
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap_or_default()
    }

    /// C10
    #[test]
    fn copies_are_numbered_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/tracker.log");
        let mut log = RotatedFile::open(&path, 20, 2).unwrap();
        for line in [
            "one one\n",
            "two two\n",
            "three three\n",
            "four four four\n",
            "five five five\n",
        ] {
            log.write(line.as_bytes(), 1);
        }
        assert_eq!(read(&path), "five five five\n");
        assert_eq!(read(&numbered(&path, 1)), "four four four\n");
        assert_eq!(read(&numbered(&path, 2)), "three three\n");
        assert!(!numbered(&path, 3).exists());
    }

    #[test]
    fn the_whole_never_grows_beyond_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tracker.log");
        let mut log = RotatedFile::open(&path, 1_000, 3).unwrap();
        for number in 0..1_000 {
            log.write(format!("line number {number}\n").as_bytes(), number);
        }
        let total: u64 = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum();
        assert!(total <= 4_000, "{total}");
    }

    /// C10
    #[test]
    fn without_a_size_or_a_count_nothing_is_rotated() {
        for (max_bytes, backup_count) in [(0, 5), (10, 0)] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("tracker.log");
            let mut log = RotatedFile::open(&path, max_bytes, backup_count).unwrap();
            (0..10).for_each(|_| log.write(b"0123456789\n", 1));
            assert_eq!(read(&path).len(), 110);
        }
    }

    /// C10
    #[test]
    fn a_file_that_was_moved_or_removed_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tracker.log");
        let mut log = RotatedFile::open(&path, 0, 0).unwrap();
        log.write(b"one\n", 1);
        fs::rename(&path, folder.path().join("tracker.log-old")).unwrap();
        log.write(b"two\n", 1);
        log.reopen().unwrap();
        log.write(b"three\n", 1);
        assert_eq!(read(&folder.path().join("tracker.log-old")), "one\ntwo\n");
        assert_eq!(read(&path), "three\n");
        fs::remove_file(&path).unwrap();
        log.write(b"four\n", 2);
        assert_eq!(read(&path), "four\n");
    }

    /// C10
    #[test]
    fn clearing_takes_the_numbered_copies_along() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tracker.log");
        for name in [
            "tracker.log",
            "tracker.log.2",
            "tracker.log.3",
            "tracker.log.bak",
        ] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        RotatedFile::clear(&path, 2);
        let left: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["tracker.log.bak"]);
    }

    /// R8
    #[test]
    fn lines_lost_to_a_full_disk_are_counted() {
        let mut log = RotatedFile::open(Path::new("/dev/full"), 0, 0).unwrap();
        log.write(b"one\n", 1);
        log.write(b"two\n", 1);
        assert_eq!(log.lost_lines, 2);
        let folder = tempfile::tempdir().unwrap();
        log.path = folder.path().join("tracker.log");
        log.write(b"three\n", 2);
        assert_eq!(
            read(&log.path),
            "\n(2 lines could not be written here)\nthree\n"
        );
    }

    #[test]
    fn what_can_never_be_written_is_an_error_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        assert!(RotatedFile::open(folder.path(), 0, 0).is_err());
        assert!(RotatedFile::open(Path::new("/dev/null/tracker.log"), 0, 0).is_err());
    }
}
