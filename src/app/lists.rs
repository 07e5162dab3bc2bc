//! Lists from files and the networks that are served come into force: at the start, with a reload, and when a file has changed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use crate::clock::Clock;
use crate::config::Config;
use crate::lists::{FileStatus, ListFiles, Looked};
use crate::tracker::{AccessLists, Enforced, Tracker};

/// Has the core follow the configuration and its files; the log tells what that did.
fn put(tracker: &Tracker, config: &Config, files: &ListFiles, clock: Clock) {
    let before = tracker.peers();
    let change = |access: &AccessLists| {
        access.serve(config.allow_networks.clone());
        files.put(access);
    };
    let enforced = tracker.change_access(change, clock.now());
    tell(enforced, before);
    for file in files.status() {
        log::info!("{file}");
    }
    files.report(tracker.metrics());
}

fn warn(config: &Config, files: &ListFiles) {
    for concern in concerns(config, files) {
        log::warn!("{concern}");
    }
}

fn tell(enforced: Enforced, of_peers: u64) {
    let hidden = enforced.withheld + enforced.freed;
    if hidden.saturating_mul(100) > of_peers {
        log::warn!(
            "the lists hide {hidden} of {of_peers} peers; those that they let in again within ten minutes come back"
        );
    } else if enforced != Enforced::default() {
        let restored = enforced.restored;
        log::info!("the lists hide {hidden} peers more, and {restored} have come back");
    }
    if let Some(shortage) = enforced.shortage() {
        log::warn!("{shortage}");
    }
}

/// What is said of lists that cover more than somebody may have meant. Of each kind one line a file.
pub(super) fn concerns(config: &Config, files: &ListFiles) -> Vec<String> {
    let mut concerns = Vec::new();
    for (path, file) in files.blocklists() {
        let path = path.display();
        let mut admins = config.address_rules.admin_networks.iter();
        if let Some(network) = admins.find(|network| file.addresses.touches(*network)) {
            concerns.push(format!(
                "{path} covers addresses of the admin network {network}: clients there are refused; the pages do not ask blocklists"
            ));
        }
        let prefixes = || config.zones.iter().flat_map(|rule| &rule.prefixes);
        let covered = prefixes().filter(|prefix| file.addresses.touches(**prefix));
        if let Some(first) = covered.clone().next() {
            let (covered, all) = (covered.count(), prefixes().count());
            concerns.push(format!(
                "{path} covers addresses of your zones, {first} for one ({covered} networks of {all}): subscribers there are refused"
            ));
        }
        let wide = || file.addresses.iter().filter(|range| range.is_wide());
        if let Some(first) = wide().next() {
            let count = wide().count();
            concerns.push(format!(
                "{path} blocks whole networks of providers: ranges that hold more than a /16, or a /32 of IPv6: {count}, as {first}"
            ));
        }
    }
    concerns
}

/// The files of the configuration in force.
#[derive(Debug)]
pub(super) struct Lists {
    files: Mutex<ListFiles>,
    /// How they are, for the pages, which never wait for a reading.
    status: Arc<ArcSwap<Vec<FileStatus>>>,
}

impl Lists {
    /// Reads the files at the start and puts them in force. What is wrong with them, or may not be meant, `examine` has said.
    pub(super) fn begin(tracker: &Tracker, config: &Config, clock: Clock) -> Lists {
        let files = ListFiles::read(config.lists.clone(), clock);
        put(tracker, config, &files, clock);
        Lists {
            status: Arc::new(ArcSwap::from_pointee(files.status())),
            files: Mutex::new(files),
        }
    }

    /// How the files are, for the pages.
    pub(super) fn status(&self) -> Arc<ArcSwap<Vec<FileStatus>>> {
        Arc::clone(&self.status)
    }

    fn files(&self) -> MutexGuard<'_, ListFiles> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the files of a new configuration in the place of the old one's.
    pub(super) fn replace(
        &self,
        mut new: ListFiles,
        tracker: &Tracker,
        config: &Config,
        clock: Clock,
    ) {
        let mut files = self.files();
        new.succeed(&files);
        *files = new;
        put(tracker, config, &files, clock);
        warn(config, &files);
        warn_of_none(tracker);
        self.status.store(Arc::new(files.status()));
    }

    /// Reads what has changed of the files, when a look is due, and puts it in force. Takes as long as the files are large; on the
    /// main thread, where no request waits for it.
    pub(super) fn look(&self, tracker: &Tracker, config: &Config, clock: Clock) {
        let mut files = self.files();
        match files.look(clock) {
            Looked::Same => return,
            Looked::Refused => files.report(tracker.metrics()),
            Looked::New => {
                put(tracker, config, &files, clock);
                warn(config, &files);
            }
        }
        self.status.store(Arc::new(files.status()));
    }
}

/// Says so when only listed torrents are served and none is listed.
pub(super) fn warn_of_none(tracker: &Tracker) {
    let listed = tracker.access().listed_torrents();
    if listed.is_closed && listed.of_file.is_empty() && listed.added.is_empty() {
        log::warn!("torrents = listed, and no torrent is listed: every announce is refused");
    }
}
