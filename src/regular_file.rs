//! Files that are read: regular ones only, and no larger than their kind may be. So no FIFO, no device and no file that somebody
//! put in the place of another holds a thread or fills the memory.
//!
//! Whether a file system answers is not ours: a network's that hangs holds whoever opens a file there.

use std::fmt;
use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, OFlags};
use rustix::io::Errno;
use rustix::process::{getegid, geteuid};

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

/// What a process wants to do with a file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Read a file.
    Read,
    /// Read and write a file.
    Write,
    /// Make, rename and remove files in a folder.
    Keep,
}

/// A file that its permissions keep from this process: whose it is, and what root would have to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    path: PathBuf,
    wanted: Use,
    /// This process: user and group.
    own: (u32, u32),
    /// User and mode; `None` when a folder above the file does not let look.
    owner: Option<(u32, u32)>,
}

/// Looks whether the permissions of a file or folder keep it from this process. What is not there, or fails otherwise, is no matter
/// of permissions.
pub fn denied(path: &Path, wanted: Use) -> Option<Denied> {
    let access = match wanted {
        Use::Read => Access::READ_OK,
        Use::Write => Access::READ_OK | Access::WRITE_OK,
        Use::Keep => Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK,
    };
    if rustix::fs::access(path, access) != Err(Errno::ACCESS) {
        return None;
    }
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let about = match fs::metadata(&whole) {
        Ok(about) => Some(about),
        // A folder above is closed: that one is what is to be mended.
        Err(_) => {
            let mut above = whole.ancestors().skip(1);
            let seen = above.find(|folder| fs::metadata(folder).is_ok());
            if let Some(folder) = seen.filter(|_| wanted != Use::Keep) {
                return denied(folder, Use::Keep);
            }
            None
        }
    };
    Some(Denied {
        path: whole,
        wanted,
        own: (geteuid().as_raw(), getegid().as_raw()),
        owner: about.map(|about| (about.uid(), about.mode() & 0o7777)),
    })
}

/// The same of a file that may be missing and is made then: what keeps it from being made.
pub fn denied_or_unmakable(path: &Path, wanted: Use) -> Option<Denied> {
    let is_there = |path: &Path| match fs::metadata(path) {
        Err(error) => error.kind() != io::ErrorKind::NotFound,
        Ok(_) => true,
    };
    if is_there(path) {
        return denied(path, wanted);
    }
    let mut above = path.ancestors().skip(1).map(|folder| {
        if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        }
    });
    denied(above.find(|folder| is_there(folder))?, Use::Keep)
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, (user, group)) = (self.path.display(), self.own);
        let what = match self.wanted {
            Use::Read => "read",
            Use::Write => "read and write",
            Use::Keep => "make files in",
        };
        write!(f, "{path}: user {user} may not {what} it; ")?;
        match self.owner {
            None => f.write_str("nor even look whose it is, for a folder above it is closed"),
            Some((owner, mode)) if owner == user => {
                let rights = if self.wanted == Use::Keep {
                    "rwx"
                } else {
                    "rw"
                };
                write!(
                    f,
                    "it is its own, with mode {mode:04o}; this opens it: chmod u+{rights} {path}"
                )
            }
            Some((owner, mode)) => {
                // Who made a folder made what is in it.
                let all = if self.wanted == Use::Keep { "-R " } else { "" };
                write!(
                    f,
                    "it belongs to user {owner}, with mode {mode:04o}; if it should be that user's who was kept from it, root \
                     gives it with: chown {all}{user}:{group} {path}"
                )
            }
        }
    }
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

    /// O17: whoever reads the line knows who, which file, why, and what to type; root is kept from nothing.
    #[test]
    fn a_denial_names_file_owner_and_remedy() {
        let denied = |owner| Denied {
            path: "/var/lib/x/tokens".into(),
            wanted: Use::Read,
            own: (990, 991),
            owner,
        };
        let others = denied(Some((0, 0o600))).to_string();
        for part in [
            "user 990",
            "user 0, with mode 0600",
            "chown 990:991 /var/lib/x/tokens",
        ] {
            assert!(others.contains(part), "{others}");
        }
        let own = denied(Some((990, 0o000))).to_string();
        assert!(own.contains("chmod u+rw /var/lib/x/tokens"), "{own}");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deep/er/file");
        assert_eq!(super::denied(&file, Use::Write), None);
        assert_eq!(denied_or_unmakable(&file, Use::Write), None);
        fs::set_permissions(
            folder.path(),
            std::os::unix::fs::PermissionsExt::from_mode(0o500),
        )
        .unwrap();
        let kept_out = denied_or_unmakable(&file, Use::Write);
        assert_eq!(kept_out.is_none(), geteuid().is_root(), "{kept_out:?}");
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
