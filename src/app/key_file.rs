//! The file of keys (`keys_file`, O16): put in force at the start, on SIGHUP and when it changes. One that is bad is refused whole, and
//! the keys that are in force stay.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Seconds;
use crate::config::Config;
use crate::lists::keys::read;
use crate::lists::watched::WatchedFiles;
use crate::metrics::{Gauge, Metrics};
use crate::snapshot::Mailbox;
use crate::tracker::NewKey;

/// The file that is in force, watched.
#[derive(Debug)]
pub(super) struct KeyFile {
    watched: Mutex<WatchedFiles>,
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
    /// What is wrong, a line each.
    pub(super) fn of(config: &Config) -> Result<FoundKeys, Vec<String>> {
        let watched = WatchedFiles::new(config.keys_file.clone());
        let keys = match &config.keys_file {
            None => Vec::new(),
            Some(file) => read(file).map_err(|refused| refused.lines().collect::<Vec<_>>())?,
        };
        Ok(FoundKeys { watched, keys })
    }
}

impl KeyFile {
    /// Puts the file of this configuration in force.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn start(
        config: &Config,
        mailbox: &Mailbox,
        metrics: &Metrics,
    ) -> anyhow::Result<KeyFile> {
        let found = FoundKeys::of(config).map_err(|lines| anyhow::anyhow!(lines.join("; ")))?;
        let is_done = put_in_force(found.keys, config.keys_file.as_deref(), mailbox);
        report(metrics, is_done);
        Ok(KeyFile {
            watched: Mutex::new(found.watched),
        })
    }

    /// Puts another file in force: that of this configuration.
    pub(super) fn replace(
        &self,
        found: FoundKeys,
        config: &Config,
        mailbox: &Mailbox,
        metrics: &Metrics,
    ) {
        *self.watched() = found.watched;
        let is_done = put_in_force(found.keys, config.keys_file.as_deref(), mailbox);
        report(metrics, is_done);
    }

    fn watched(&self) -> MutexGuard<'_, WatchedFiles> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the file again if it has changed, and puts it in force. Waits for the disk then.
    pub(super) fn look(&self, now: Seconds, mailbox: &Mailbox, metrics: &Metrics) {
        let changed = self.watched().changed(now);
        let Some(file) = changed.first() else {
            return;
        };
        let is_done = match read(file) {
            Ok(keys) => put_in_force(keys, Some(file), mailbox),
            Err(refused) => {
                for line in refused.lines() {
                    log::error!("the keys in force stay: {line}");
                }
                false
            }
        };
        report(metrics, is_done);
    }
}

/// Lets the metrics tell whether the file is in force as it is.
fn report(metrics: &Metrics, is_done: bool) {
    metrics.set(Gauge::KeysFileRefused, (!is_done).into());
}

/// Puts the keys of the file in the place of those that stood there before, on the disk and in force. When the disk refuses, the log
/// says so and the keys in force stay. A file without any is more likely a failed export than the end of a community: it revokes nobody.
/// Whether the file is in force as it is.
fn put_in_force(keys: Vec<NewKey>, file: Option<&Path>, mailbox: &Mailbox) -> bool {
    if let Some(file) = file.filter(|_| keys.is_empty()) {
        let file = file.display();
        log::warn!(
            "{file} has no key, so nobody is revoked by it: without keys_file all of its keys are"
        );
        return false;
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
            true
        }
        Err(refused) => {
            log::error!("the keys of keys_file are not put in force: {refused}");
            false
        }
    }
}
