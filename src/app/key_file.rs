//! The file of keys (`keys_file`, O16): put in force at the start, on SIGHUP and when it changes. One that is bad is refused whole, and
//! the keys that are in force stay: at the start those that the database knows, so that a bad export and a restart lock nobody out who
//! had a key, and let nobody in who had none. What the disk refuses is tried again.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Seconds;
use crate::config::Config;
use crate::lists::keys::read;
use crate::lists::lines::Refused;
use crate::lists::watched::WatchedFiles;
use crate::metrics::{Gauge, Metrics};
use crate::snapshot::Mailbox;
use crate::tracker::{KeyMode, NewKey, Tracker};

/// The file that is in force, watched.
#[derive(Debug)]
pub(super) struct KeyFile {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// `None`: there is none, and no key is from one.
    file: Option<PathBuf>,
    watched: WatchedFiles,
    retry: Retry,
}

/// What a file holds, watched from before it was read.
pub(super) struct FoundKeys {
    watched: WatchedFiles,
    keys: Vec<NewKey>,
}

impl FoundKeys {
    /// Reads the file of this configuration; where there is none, there are no keys.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn of(config: &Config) -> Result<FoundKeys, Refused> {
        let watched = WatchedFiles::new(config.keys_file.clone());
        let keys = match &config.keys_file {
            None => Vec::new(),
            Some(file) => read(file)?,
        };
        Ok(FoundKeys { watched, keys })
    }
}

/// What came of putting a file in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    /// It is in force as it is.
    InForce,
    /// It is refused until it changes.
    Refused,
    /// It is good, and the disk refused it.
    Failed,
}

/// When what the disk refused is tried again: after 2 seconds, then after twice as long each time, up to 10 minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Retry {
    /// When, and how long that is after the last attempt, in seconds; `None` while there is nothing to try.
    next: Option<(Seconds, u32)>,
}

impl Retry {
    const FIRST: u32 = 2;
    const LONGEST: u32 = 600;

    fn note(&mut self, done: Done, now: Seconds) {
        let pause = self.next.map_or(Retry::FIRST, |(_, last)| {
            last.saturating_mul(2).min(Retry::LONGEST)
        });
        self.next = (done == Done::Failed).then(|| (now.plus(pause), pause));
    }

    fn is_due(self, now: Seconds) -> bool {
        self.next.is_some_and(|(at, _)| now >= at)
    }
}

impl State {
    /// Notes what came of an attempt, and lets the metrics tell whether the file is in force as it is.
    fn settle(&mut self, done: Done, metrics: &Metrics, now: Seconds) {
        self.retry.note(done, now);
        metrics.set(Gauge::KeysFileRefused, (done != Done::InForce).into());
    }
}

impl KeyFile {
    /// Puts the file of this configuration in force. One that is refused changes nothing: the keys that the database knows stay. What is
    /// wrong with it, `examine` has said.
    pub(super) fn start(
        config: &Config,
        tracker: &Tracker,
        mailbox: &Mailbox,
        now: Seconds,
    ) -> KeyFile {
        // Before it is read, so that a change meanwhile is seen afterwards.
        let watched = WatchedFiles::new(config.keys_file.clone());
        let file = config.keys_file.clone();
        let done = match FoundKeys::of(config) {
            Ok(found) => put_in_force(found.keys, file.as_deref(), mailbox),
            Err(_) => Done::Refused,
        };
        if done != Done::InForce {
            let in_force = tracker.keys().numbers(|key| key.revoked.is_none()).len();
            log::warn!("keys_file is not in force: {in_force} keys that the database knows are");
            if in_force == 0 && config.tracker.keys == KeyMode::Required {
                log::error!("keys = required, and no key is in force: every announce is refused");
            }
        }
        let mut state = State {
            file,
            watched,
            retry: Retry::default(),
        };
        state.settle(done, tracker.metrics(), now);
        KeyFile {
            state: Mutex::new(state),
        }
    }

    /// Puts another file in force: that of this configuration.
    pub(super) fn replace(
        &self,
        found: FoundKeys,
        config: &Config,
        mailbox: &Mailbox,
        metrics: &Metrics,
        now: Seconds,
    ) {
        let file = config.keys_file.clone();
        let done = put_in_force(found.keys, file.as_deref(), mailbox);
        let mut state = State {
            file,
            watched: found.watched,
            retry: Retry::default(),
        };
        state.settle(done, metrics, now);
        *self.state() = state;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the file again if it has changed, or if the disk refused its keys and they are to be tried again, and puts it in force.
    /// Waits for the disk then.
    pub(super) fn look(&self, now: Seconds, mailbox: &Mailbox, metrics: &Metrics) {
        let mut state = self.state();
        let is_changed = !state.watched.changed(now).is_empty();
        if !is_changed && !state.retry.is_due(now) {
            return;
        }
        let file = state.file.clone();
        drop(state);
        let done = match file.as_deref().map_or_else(|| Ok(Vec::new()), read) {
            Ok(keys) => put_in_force(keys, file.as_deref(), mailbox),
            Err(refused) => {
                for line in refused.lines() {
                    log::error!("the keys in force stay: {line}");
                }
                Done::Refused
            }
        };
        self.state().settle(done, metrics, now);
    }
}

/// Puts the keys of the file in the place of those that stood there before, on the disk and in force. When the disk refuses, the log
/// says so and the keys in force stay. A file without any is more likely a failed export than the end of a community: it revokes nobody.
fn put_in_force(keys: Vec<NewKey>, file: Option<&Path>, mailbox: &Mailbox) -> Done {
    if let Some(file) = file.filter(|_| keys.is_empty()) {
        let file = file.display();
        log::warn!(
            "{file} has no key, so nobody is revoked by it: without keys_file all of its keys are"
        );
        return Done::Refused;
    }
    match mailbox.set_keys_of_file(keys) {
        Ok(done) => {
            if done.put > 0 || done.revoked > 0 {
                log::info!(
                    "keys_file: {} keys, {} new or changed, {} revoked",
                    done.keys,
                    done.put,
                    done.revoked
                );
            }
            Done::InForce
        }
        Err(refused) => {
            log::error!(
                "the keys of keys_file are not put in force, and are tried again: {refused}"
            );
            Done::Failed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// O16: what the disk refuses is tried again, less and less often, until it is done or the file is another.
    #[test]
    fn what_the_disk_refuses_is_tried_again_with_longer_and_longer_pauses() {
        let mut retry = Retry::default();
        let mut now = Seconds::START;
        assert!(!retry.is_due(now.plus(86_400)));
        for pause in [2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600] {
            retry.note(Done::Failed, now);
            assert!(!retry.is_due(now.plus(pause - 1)), "{pause}");
            now = now.plus(pause);
            assert!(retry.is_due(now), "{pause}");
        }
        for over in [Done::InForce, Done::Refused] {
            retry.note(over, now);
            assert!(!retry.is_due(now.plus(86_400)), "{over:?}");
            retry.note(Done::Failed, now);
            assert!(retry.is_due(now.plus(2)), "{over:?}");
        }
    }
}
