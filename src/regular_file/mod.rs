//! Files that are read: regular ones only, and no larger than their kind may be; [`whole`] replaces some. So no FIFO, no device and no file that somebody
//! put in the place of another holds a thread or fills the memory.
//!
//! Whether a file system answers is not ours: a network's that hangs holds whoever opens a file there.

pub mod whole;

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

/// Flags with which opening follows no link either.
pub fn without_following() -> i32 {
    without_waiting() | OFlags::NOFOLLOW.bits().cast_signed()
}

/// The folder that a file lies in: the working directory where only a name is given.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
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
    /// Read a file that is the operator's, as the configuration, and not the tracker's own.
    Consult,
    /// Pass through a folder to such a file.
    Enter,
}

/// The folder that systemd makes for the service (`StateDirectory`).
const STATE_FOLDER: &str = "/var/lib/retracker";

/// Names that the tracker gives to files in its folder, or their beginnings.
const OWN_NAMES: [&str; 5] = [
    "retracker.sqlite",
    "retracker.tokens",
    "retracker.udp-key",
    "retracker.key",
    "retracker.password",
];

/// A file that its permissions keep from this process: whose it is, and what root would have to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    path: PathBuf,
    wanted: Use,
    /// This process: user and group.
    own: (u32, u32),
    /// Whether it is the tracker's own beyond doubt, so that giving it away harms nobody.
    is_ours: bool,
    /// User and mode; `None` when a folder above the file does not let look.
    owner: Option<(u32, u32)>,
}

/// Looks whether the permissions of a file or folder keep it from this process. What is not there, or fails otherwise, is no matter
/// of permissions.
pub fn denied(path: &Path, wanted: Use) -> Option<Denied> {
    let access = match wanted {
        Use::Read | Use::Consult => Access::READ_OK,
        Use::Enter => Access::EXEC_OK,
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
            let on_the_way = match wanted {
                Use::Keep | Use::Enter => None,
                Use::Consult => Some(Use::Enter),
                Use::Read | Use::Write => Some(Use::Keep),
            };
            if let Some((folder, wanted)) = seen.zip(on_the_way) {
                return denied(folder, wanted);
            }
            None
        }
    };
    let user = geteuid().as_raw();
    Some(Denied {
        is_ours: is_ours(&whole, user),
        path: whole,
        wanted,
        own: (user, getegid().as_raw()),
        owner: about.map(|about| (about.uid(), about.mode() & 0o7777)),
    })
}

/// Whether root may give this to `user` without giving away what is others': the configuration, and an `.env` that the user itself
/// may write, can name any path there is. It is in the state folder, or in a folder of that user, or a folder with nothing but what
/// the tracker made. A link never is: what it leads to may be anything.
fn is_ours(path: &Path, user: u32) -> bool {
    let is_link = fs::symlink_metadata(path).is_ok_and(|about| about.is_symlink());
    let Some(folder) = path.parent().filter(|_| !is_link) else {
        return false;
    };
    let state = Path::new(STATE_FOLDER);
    if path == state {
        return true;
    }
    // Links on the way lead elsewhere, or to what another name has.
    let Ok(folder) = fs::canonicalize(folder) else {
        return false;
    };
    let state = fs::canonicalize(state).unwrap_or_else(|_| state.to_owned());
    let is_the_user_s = fs::metadata(&folder).is_ok_and(|about| about.uid() == user);
    is_the_user_s || folder.starts_with(state) || holds_only_ours(path)
}

/// Whether there is nothing in a folder but what the tracker made. An empty one says nothing of whose it is, unless the tracker was
/// started in it.
fn holds_only_ours(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else {
        return false;
    };
    let mut is_empty = true;
    for entry in entries {
        is_empty = false;
        let is_ours = entry.is_ok_and(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let is_known = OWN_NAMES.iter().any(|own| name.starts_with(own));
            is_known || name == "snapshots" || name == ".env"
        });
        if !is_ours {
            return false;
        }
    }
    !is_empty || std::env::current_dir().is_ok_and(|here| here == folder)
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
            Use::Read | Use::Consult => "read",
            Use::Write => "read and write",
            Use::Keep => "make files in",
            Use::Enter => "enter",
        };
        write!(f, "{path}: user {user} may not {what} it; ")?;
        let Some((owner, mode)) = self.owner else {
            return f.write_str("nor even look whose it is, for a folder above it is closed");
        };
        if owner == user {
            let rights = match self.wanted {
                Use::Keep => "rwx",
                Use::Read | Use::Write => "rw",
                Use::Consult => "r",
                Use::Enter => "x",
            };
            return write!(
                f,
                "it is its own, with mode {mode:04o}; this opens it: chmod u+{rights} {path}"
            );
        }
        write!(f, "it belongs to user {owner}, with mode {mode:04o}")?;
        match self.wanted {
            Use::Consult => write!(
                f,
                "; let that user read it, as by its group {group} and mode 0640, or keep it where that user may read"
            ),
            Use::Enter => f.write_str(
                "; what is to be read lies in it: keep that where the user may read, or open the folder to it",
            ),
            Use::Read | Use::Write | Use::Keep if self.is_ours => write!(
                f,
                "; if it should be that user's who was kept from it, root gives it with: chown -h {user}:{group} {path}"
            ),
            Use::Read | Use::Write | Use::Keep => write!(
                f,
                ", and may be others' too, so leave it theirs: choose another `file` in [SNAPSHOTS], below the state folder \
                 ({STATE_FOLDER} under the service) or in a folder that was made for the tracker alone"
            ),
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
            is_ours: true,
            owner,
        };
        let others = denied(Some((0, 0o600))).to_string();
        for part in [
            "user 990",
            "user 0, with mode 0600",
            "chown -h 990:991 /var/lib/x/tokens",
        ] {
            assert!(others.contains(part), "{others}");
        }
        let of = |wanted, is_ours| Denied {
            wanted,
            is_ours,
            ..denied(Some((0, 0o600)))
        };
        for (denied, word) in [
            (of(Use::Keep, false), "choose another `file`"),
            (of(Use::Write, false), "choose another `file`"),
            (of(Use::Consult, true), "let that user read it"),
            (of(Use::Enter, true), "what is to be read lies in it"),
        ] {
            let text = denied.to_string();
            assert!(text.contains(word) && !text.contains("chown"), "{text}");
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

    /// O17: no folder of the system is ever given away, whatever a configuration names.
    #[test]
    fn only_what_the_tracker_made_is_its_own() {
        let nobody = u32::MAX - 1;
        for path in [
            "/",
            "/etc",
            "/etc/x",
            "/var",
            "/var/lib",
            "/var/lib/x",
            "/srv",
            "/etc/cron.d",
        ] {
            assert!(!is_ours(Path::new(path), nobody), "{path}");
        }
        assert!(is_ours(Path::new(STATE_FOLDER), nobody));
        let folder = tempfile::tempdir().unwrap();
        let (inner, link) = (folder.path().join("inner"), folder.path().join("link"));
        fs::create_dir(&inner).unwrap();
        std::os::unix::fs::symlink("inner", &link).unwrap();
        assert!(!is_ours(&inner, nobody), "an empty folder is anybody's");
        fs::write(inner.join("retracker.sqlite-wal"), "").unwrap();
        assert!(is_ours(&inner, nobody));
        assert!(!is_ours(&inner.join("retracker.sqlite-wal"), nobody));
        let me = geteuid().as_raw();
        assert!(is_ours(&inner, me) && is_ours(&inner.join("x"), me));
        assert!(!is_ours(&link, me), "a link leads anywhere");
        fs::write(inner.join("passwd"), "").unwrap();
        assert!(!is_ours(&inner, nobody));
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
