//! Files that are read: regular ones only, and no larger than their kind may be. So no FIFO, no device and no file that somebody
//! put in the place of another holds a thread or fills the memory.
//!
//! Whether a file system answers is not ours: a network's that hangs holds whoever opens a file there.

use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// Opens a regular file for reading, without waiting for anybody.
///
/// # Errors
/// What the system says; [`io::ErrorKind::IsADirectory`] for a folder, [`io::ErrorKind::InvalidInput`] for what else is no
/// regular file.
pub fn open(path: &Path) -> io::Result<File> {
    // Looked at before it is opened too: being opened is enough to make some devices move.
    judge(fs::metadata(path)?.file_type())?;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(without_waiting())
        .open(path)?;
    judge(file.metadata()?.file_type())?;
    Ok(file)
}

/// Reads a regular file of at most `max_bytes`.
///
/// # Errors
/// As [`open`], and [`io::ErrorKind::FileTooLarge`] when there is more in it.
pub fn read(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // What it is said to hold may be more or less than what comes.
    open(path)?.take(max_bytes + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it is larger than {max_bytes} bytes, the most that is read of such a file"),
        ));
    }
    Ok(bytes)
}

/// Looks whether a file that somebody else will open is regular, or not there.
///
/// # Errors
/// As [`open`], except for a file that is missing.
pub fn refuse_others(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(about) => judge(about.file_type()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Flags with which opening waits for nobody, and takes no terminal for the process's own.
pub fn without_waiting() -> i32 {
    (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed()
}

fn judge(kind: FileType) -> io::Result<()> {
    if kind.is_file() {
        return Ok(());
    }
    if kind.is_dir() {
        return Err(io::Error::new(
            io::ErrorKind::IsADirectory,
            "it is a folder; a regular file is expected",
        ));
    }
    let what = if kind.is_fifo() {
        "FIFO"
    } else if kind.is_socket() {
        "socket"
    } else {
        "device"
    };
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("it is a {what}; a regular file is expected"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, Mode, mkfifoat};
    use std::os::unix::net::UnixListener;

    /// C1, O2: none of these holds a thread.
    #[test]
    fn only_regular_files_are_read_and_the_error_says_what_else_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (fifo, socket) = (folder.path().join("fifo"), folder.path().join("socket"));
        mkfifoat(CWD, &fifo, Mode::RUSR | Mode::WUSR).unwrap();
        let _listener = UnixListener::bind(&socket).unwrap();
        for (path, word) in [
            (fifo.as_path(), "FIFO"),
            (socket.as_path(), "socket"),
            (folder.path(), "folder"),
            (Path::new("/dev/zero"), "device"),
            (Path::new("/dev/null"), "device"),
        ] {
            let error = read(path, 10).unwrap_err();
            assert!(error.to_string().contains(word), "{path:?}: {error}");
            assert!(refuse_others(path).is_err(), "{path:?}");
        }
        let missing = folder.path().join("missing");
        assert_eq!(
            read(&missing, 10).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        refuse_others(&missing).unwrap();
    }

    /// C1
    #[test]
    fn a_file_is_read_up_to_its_limit_and_not_beyond() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "0123456789").unwrap();
        assert_eq!(read(&path, 10).unwrap(), b"0123456789");
        assert_eq!(
            read(&path, 9).unwrap_err().kind(),
            io::ErrorKind::FileTooLarge
        );
        // It says that it holds nothing, and holds something.
        assert!(
            !read(Path::new("/proc/self/status"), 1 << 20)
                .unwrap()
                .is_empty()
        );
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(read(&link, 10).unwrap().len(), 10);
    }
}
