//! What the configured files say: read at the start and at a reload, again when one of them changes, and put in force. A file that is
//! refused changes nothing: what was in force stays.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::lines::Refused;
use super::watched::WatchedFiles;
use super::{Settings, blocklist, torrents};
use crate::clock::{Clock, Wall};
use crate::metrics::{Gauge, Metrics};
use crate::tracker::{AccessLists, BlocklistFile, TorrentSet};

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Torrents that are served (`torrents_file`).
    Torrents,
    /// What is blocked (`blocklist_file`).
    Blocklist,
}

/// How one file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileStatus {
    /// What it is for.
    pub subject: Subject,
    /// Where it is.
    pub path: PathBuf,
    /// Ranges of addresses of it in force, those that overlapped counted as one.
    pub ranges: usize,
    /// Torrents of it in force.
    pub torrents: usize,
    /// When it was read, if what is in force comes from a reading at all.
    pub read: Option<Wall>,
    /// Why it is not as it is now in force.
    pub fault: Option<String>,
}

/// What it says, on one line.
impl std::fmt::Display for FileStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (path, torrents) = (self.path.display(), self.torrents);
        match self.subject {
            Subject::Torrents => write!(f, "{path} lists {torrents} torrents"),
            Subject::Blocklist => {
                let ranges = self.ranges;
                write!(
                    f,
                    "{path} blocks {ranges} ranges of addresses, {torrents} torrents"
                )
            }
        }
    }
}

/// What a look at the files found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looked {
    /// Nothing that is to be told.
    Same,
    /// Files have changed, and none of them is taken.
    Refused,
    /// Some of what is there is to be put in force.
    New,
}

#[derive(Debug)]
struct ListFile<T> {
    path: PathBuf,
    /// What is in force of it.
    content: Arc<T>,
    read: Option<Wall>,
    /// The last reading, when nothing of that was taken.
    refused: Option<Refused>,
}

/// Reads the content of a file.
type Reader<T> = fn(&Path) -> Result<T, Refused>;

impl<T: Default> ListFile<T> {
    fn new(path: &Path, reader: Reader<T>, clock: Clock) -> ListFile<T> {
        let mut file = ListFile {
            path: path.to_owned(),
            content: Arc::default(),
            read: None,
            refused: None,
        };
        file.reread(reader, clock);
        file
    }

    /// Whether it is taken.
    fn reread(&mut self, reader: Reader<T>, clock: Clock) -> bool {
        match reader(&self.path) {
            Ok(content) => {
                self.content = Arc::new(content);
                self.read = Some(clock.wall());
                self.refused = None;
                true
            }
            Err(refused) => {
                self.refused = Some(refused);
                false
            }
        }
    }

    fn reread_and_tell(&mut self, reader: Reader<T>, clock: Clock) -> bool {
        let is_taken = self.reread(reader, clock);
        if is_taken {
            log::info!("{} has changed and is read again", self.path.display());
        }
        for line in self.refused.iter().flat_map(Refused::lines) {
            log::error!("the list is refused, what was in force of it stays: {line}");
        }
        is_taken
    }

    fn status(&self, subject: Subject, ranges: usize, torrents: usize) -> FileStatus {
        FileStatus {
            subject,
            path: self.path.clone(),
            ranges,
            torrents,
            read: self.read,
            fault: self.refused.as_ref().map(ToString::to_string),
        }
    }
}

/// All files of one configuration.
#[derive(Debug, Default)]
pub struct ListFiles {
    settings: Settings,
    watched: WatchedFiles,
    torrents: Option<ListFile<TorrentSet>>,
    blocklists: Vec<ListFile<BlocklistFile>>,
    /// How long the last reading took, in milliseconds.
    millis: u64,
    failures: u64,
}

impl ListFiles {
    /// Reads every file. Of one that is refused nothing is in force until it changes.
    pub fn read(settings: Settings, clock: Clock) -> ListFiles {
        let began = clock.elapsed();
        let (torrents, blocklists) = (&settings.torrents_file, &settings.blocklist_files);
        let watched = WatchedFiles::new(torrents.iter().chain(blocklists).cloned());
        let torrents = torrents.as_deref();
        let torrents = torrents.map(|path| ListFile::new(path, torrents::read, clock));
        let blocklists = blocklists.iter();
        let blocklists = blocklists.map(|path| ListFile::new(path, blocklist::read, clock));
        let mut files = ListFiles {
            watched,
            torrents,
            blocklists: blocklists.collect(),
            millis: 0,
            failures: 0,
            settings,
        };
        files.failures = files.refused().count() as u64;
        files.took(began, clock);
        files
    }

    fn took(&mut self, began: std::time::Duration, clock: Clock) {
        let took = clock.elapsed().saturating_sub(began).as_millis();
        // Saturates after half a billion years.
        self.millis = u64::try_from(took).unwrap_or(u64::MAX);
    }

    /// Takes the place of `old`, whose failures go on to be counted.
    pub fn succeed(&mut self, old: &ListFiles) {
        self.failures += old.failures;
    }

    /// Why files are not in force as they are.
    pub fn refused(&self) -> impl Iterator<Item = &Refused> {
        let torrents = self.torrents.iter().map(|file| &file.refused);
        let blocklists = self.blocklists.iter().map(|file| &file.refused);
        torrents.chain(blocklists).flatten()
    }

    /// Reads again the files that have changed, when a look is due; the log says which, and what is wrong with others.
    pub fn look(&mut self, clock: Clock) -> Looked {
        let changed = self.watched.changed(clock.now());
        if changed.is_empty() {
            return Looked::Same;
        }
        let began = clock.elapsed();
        let torrents = self.torrents.iter_mut();
        let torrents = torrents.filter(|file| changed.contains(&file.path));
        let torrents = torrents.map(|file| file.reread_and_tell(torrents::read, clock));
        let blocklists = self.blocklists.iter_mut();
        let blocklists = blocklists.filter(|file| changed.contains(&file.path));
        let blocklists = blocklists.map(|file| file.reread_and_tell(blocklist::read, clock));
        let mut looked = Looked::Refused;
        for is_taken in torrents.chain(blocklists) {
            if is_taken {
                looked = Looked::New;
            } else {
                self.failures += 1;
            }
        }
        self.took(began, clock);
        looked
    }

    /// Puts all of it in force; the caller has stored peers follow.
    pub fn put(&self, access: &AccessLists) {
        let blocklists = self.blocklists.iter();
        access.block_by_files(blocklists.map(|file| Arc::clone(&file.content)));
        let torrents = self.torrents.as_ref();
        let torrents = torrents.map(|file| Arc::clone(&file.content));
        access.list_torrents(|listed| {
            listed.is_closed = self.settings.only_listed;
            listed.of_file = torrents.unwrap_or_default();
        });
    }

    /// Lets the metrics tell.
    pub fn report(&self, metrics: &Metrics) {
        let status = self.status();
        let sum = |of: fn(&FileStatus) -> usize, subject| {
            let of_subject = status.iter().filter(|file| file.subject == subject);
            of_subject.map(of).sum::<usize>() as u64
        };
        let read = status.iter().filter_map(|file| file.read).max();
        for (gauge, value) in [
            (Gauge::ListFiles, status.len() as u64),
            (Gauge::ListFilesRefused, self.refused().count() as u64),
            (Gauge::ListFileFailures, self.failures),
            (Gauge::ListReadMillis, self.millis),
            (Gauge::ListsReadAt, read.unwrap_or_default().0),
            (
                Gauge::TorrentsOfFile,
                sum(|file| file.torrents, Subject::Torrents),
            ),
            (
                Gauge::RangesBlockedByFiles,
                sum(|file| file.ranges, Subject::Blocklist),
            ),
            (
                Gauge::TorrentsBlockedByFiles,
                sum(|file| file.torrents, Subject::Blocklist),
            ),
        ] {
            metrics.set(gauge, value);
        }
    }

    /// What the files block.
    pub fn blocklists(&self) -> impl Iterator<Item = (&Path, &BlocklistFile)> {
        let blocklists = self.blocklists.iter();
        blocklists.map(|file| (file.path.as_path(), &*file.content))
    }

    /// How each file is, in the order of the configuration.
    pub fn status(&self) -> Vec<FileStatus> {
        let torrents = self.torrents.iter();
        let torrents = torrents.map(|file| file.status(Subject::Torrents, 0, file.content.len()));
        let blocklists = self.blocklists.iter().map(|file| {
            let BlocklistFile {
                addresses,
                torrents,
            } = &*file.content;
            file.status(Subject::Blocklist, addresses.len(), torrents.len())
        });
        torrents.chain(blocklists).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::InfoHash;
    use std::fs;

    /// O21, O22: what is in force stays when a file is refused, and each change is read once.
    #[test]
    fn a_bad_file_changes_nothing_and_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let [torrents, blocked] = ["torrents", "blocked"].map(|name| folder.path().join(name));
        let clock = Clock::start();
        fs::write(&blocked, "192.0.2.0/24\n").unwrap();
        let settings = Settings {
            only_listed: true,
            torrents_file: Some(torrents.clone()),
            blocklist_files: vec![blocked.clone()],
        };
        let files = ListFiles::read(settings.clone(), clock);
        let access = AccessLists::default();
        let served = |number: u8| access.admit_torrent(&InfoHash([number; 20])).is_ok();
        let admits = |ip: &str| access.admit(ip.parse().unwrap()).is_ok();
        files.put(&access);
        assert_eq!(files.refused().count(), 1);
        assert!(!served(1) && !admits("192.0.2.1"));
        fs::write(&torrents, "01".repeat(20)).unwrap();
        let mut files = ListFiles::read(settings, clock);
        files.put(&access);
        assert!(served(1) && !served(2));
        fs::write(&blocked, "nonsense\n").unwrap();
        let file = &mut files.blocklists[0];
        assert!(!file.reread(blocklist::read, clock));
        files.put(&access);
        assert!(!admits("192.0.2.1"));
        let metrics = Metrics::new(0);
        files.report(&metrics);
        assert_eq!(metrics.gauge(Gauge::ListFilesRefused), 1);
        assert_eq!(metrics.gauge(Gauge::RangesBlockedByFiles), 1);
        let status = files.status();
        assert_eq!((status[0].torrents, &status[0].fault), (1, &None));
        assert!(
            status[1]
                .fault
                .as_ref()
                .unwrap()
                .contains("blocked:1: neither")
        );
    }
}
