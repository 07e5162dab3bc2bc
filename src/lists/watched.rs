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
type Stamp = Option<(u64, u64, u64, (i64, i64), (i64, i64))>;

/// What shows now that a file is the same. Through links, so that a link which is led elsewhere is another file.
fn stamp(path: &Path) -> Stamp {
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
    /// As it was at the last look, and whether it was the same at the one before.
    seen: Stamp,
    is_still: bool,
}

/// Files, and what is known of them.
#[derive(Debug, Default)]
pub struct WatchedFiles {
    files: Vec<Watched>,
    looked: Option<Seconds>,
    /// Whether it is uncertain which state of them was read.
    is_uncertain: bool,
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
                is_still: true,
            }
        });
        WatchedFiles {
            files: files.collect(),
            looked: None,
            is_uncertain: false,
        }
    }

    /// Begins with files that somebody has read, be it in this state or in one just before: they count as changed once.
    pub fn of_uncertain_state(paths: impl IntoIterator<Item = PathBuf>) -> WatchedFiles {
        WatchedFiles {
            is_uncertain: true,
            ..WatchedFiles::new(paths)
        }
    }

    /// The files that have changed since they were last told, each told once. One that is being written is not told before it has been
    /// the same at two looks. Costs nothing when the last look is less than [`LOOK_SECONDS`] ago.
    pub fn changed(&mut self, now: Seconds) -> Vec<PathBuf> {
        if !self.is_due(now) {
            return Vec::new();
        }
        self.look();
        let mut changed = Vec::new();
        for file in &mut self.files {
            if file.seen != file.known && file.is_still {
                file.known = file.seen;
                changed.push(file.path.clone());
            }
        }
        changed
    }

    /// The same of files that belong together, as a certificate and its key: whether any has changed, told once and when all have come to
    /// rest.
    pub fn have_changed(&mut self, now: Seconds) -> bool {
        if !self.is_due(now) {
            return false;
        }
        self.look();
        let is_told = self.files.iter().all(|file| file.is_still)
            && (self.is_uncertain || self.files.iter().any(|file| file.seen != file.known));
        if is_told {
            self.is_uncertain = false;
            for file in &mut self.files {
                file.known = file.seen;
            }
        }
        is_told
    }

    fn is_due(&mut self, now: Seconds) -> bool {
        let is_recent = self
            .looked
            .is_some_and(|last| now.since(last) < LOOK_SECONDS);
        let is_due = !self.files.is_empty() && !is_recent;
        if is_due {
            self.looked = Some(now);
        }
        is_due
    }

    fn look(&mut self) {
        for file in &mut self.files {
            let before = std::mem::replace(&mut file.seen, stamp(&file.path));
            file.is_still = file.seen == before;
        }
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

    /// P23: a certificate and its key are written one after the other.
    #[test]
    fn files_that_belong_together_are_told_when_all_have_come_to_rest() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|name| folder.path().join(name));
        fs::write(&a, "1").unwrap();
        fs::write(&b, "1").unwrap();
        let mut watched = WatchedFiles::new([a.clone(), b.clone()]);
        let mut now = Seconds::START;
        let mut look = || {
            now = now.plus(LOOK_SECONDS);
            watched.have_changed(now)
        };
        assert!(!look());
        fs::write(&a, "22").unwrap();
        assert!(!look());
        fs::write(&b, "22").unwrap();
        assert!(!look(), "the one is at rest, the other is not");
        assert!(look());
        assert!(!look(), "once for each change");
        fs::remove_file(&b).unwrap();
        assert!(!look());
        assert!(look());
        let mut uncertain = WatchedFiles::of_uncertain_state([a]);
        assert!(uncertain.have_changed(now));
        assert!(!uncertain.have_changed(now.plus(LOOK_SECONDS)));
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
