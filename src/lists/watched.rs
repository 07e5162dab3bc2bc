//! Files that are looked at once in a while, so that whoever reads them is told when one has become another. Looks at what the system says
//! of a file and opens none; when, is the caller's argument.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::clock::Seconds;

/// The least time from one look to the next, in seconds.
pub const LOOK_SECONDS: u32 = 2;

/// What shows that a file is the same: where it lies, how large it is, when its content and when anything of it changed. `None` for one
/// that cannot be looked at.
pub type Stamp = Option<(u64, u64, u64, (i64, i64), (i64, i64))>;

/// What shows now that a file is the same. Through links, so that a link which is led elsewhere is another file.
pub fn stamp(path: &Path) -> Stamp {
    let about = fs::metadata(path).ok()?;
    let (content, any) = (
        (about.mtime(), about.mtime_nsec()),
        (about.ctime(), about.ctime_nsec()),
    );
    Some((about.dev(), about.ino(), about.len(), content, any))
}

#[derive(Debug)]
struct Watched {
    path: PathBuf,
    /// As it was when the caller was last told, or began.
    known: Stamp,
    /// As it was at the last look.
    seen: Stamp,
}

/// Files, and what is known of them.
#[derive(Debug, Default)]
pub struct WatchedFiles {
    files: Vec<Watched>,
    looked: Option<Seconds>,
}

impl WatchedFiles {
    /// Begins with the files as they are: to be called before they are read, so that a change meanwhile is seen afterwards.
    pub fn new(paths: impl IntoIterator<Item = PathBuf>) -> WatchedFiles {
        let files = paths.into_iter().map(|path| {
            let known = stamp(&path);
            Watched {
                path,
                known,
                seen: known,
            }
        });
        WatchedFiles {
            files: files.collect(),
            looked: None,
        }
    }

    /// The files that have changed since they were last told, each told once. One that is being written is not told before it has been
    /// the same at two looks. Costs nothing when the last look is less than [`LOOK_SECONDS`] ago.
    pub fn changed(&mut self, now: Seconds) -> Vec<PathBuf> {
        if self.files.is_empty()
            || self
                .looked
                .is_some_and(|last| now.since(last) < LOOK_SECONDS)
        {
            return Vec::new();
        }
        self.looked = Some(now);
        let mut changed = Vec::new();
        for file in &mut self.files {
            let before = std::mem::replace(&mut file.seen, stamp(&file.path));
            if file.seen != file.known && file.seen == before {
                file.known = file.seen;
                changed.push(file.path.clone());
            }
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// O21, O22
    #[test]
    fn a_change_is_told_once_and_when_it_has_come_to_rest() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|name| folder.path().join(name));
        fs::write(&a, "1").unwrap();
        let mut watched = WatchedFiles::new([a.clone(), b.clone()]);
        let mut now = Seconds::START;
        let mut look = || {
            now = now.plus(LOOK_SECONDS);
            watched.changed(now)
        };
        assert!(look().is_empty());
        // It grows from look to look.
        for text in ["12", "123", "1234"] {
            fs::write(&a, text).unwrap();
            assert!(look().is_empty(), "{text}");
        }
        assert_eq!(look(), std::slice::from_ref(&a));
        assert!(look().is_empty());
        // Another file in its place, one that appears, one that is gone.
        fs::write(&b, "1234").unwrap();
        assert!(look().is_empty());
        assert_eq!(look(), std::slice::from_ref(&b));
        fs::rename(&b, &a).unwrap();
        assert!(look().is_empty());
        assert_eq!(look(), [a.clone(), b.clone()]);
        assert!(look().is_empty());
        // A change that is taken back before anybody read it.
        fs::remove_file(&a).unwrap();
        std::os::unix::fs::symlink(folder.path(), &a).unwrap();
        assert!(look().is_empty());
        fs::remove_file(&a).unwrap();
        assert!(look().is_empty());
        assert_eq!(look(), [a]);
    }

    /// O21, O22
    #[test]
    fn a_look_comes_no_sooner_than_it_is_due() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        let mut watched = WatchedFiles::new([file.clone()]);
        let now = Seconds::START;
        assert!(watched.changed(now).is_empty());
        fs::write(&file, "1").unwrap();
        assert!(watched.changed(now.plus(1)).is_empty());
        assert!(watched.changed(now.plus(2)).is_empty());
        assert!(watched.changed(now.plus(3)).is_empty());
        assert_eq!(watched.changed(now.plus(4)), [file]);
    }
}
