//! The torrents that pages and API list: on the disk and in force before the answer.

use std::sync::Arc;

use super::Writer;
use super::blocklist::log_effect;
use crate::metrics::Gauge;
use crate::snapshot::database::Database;
use crate::snapshot::mailbox::{ListChange, MAX_LISTED, Refused};
use crate::tracker::InfoHash;

impl Writer {
    /// Lists torrents, then takes others off.
    ///
    /// # Errors
    /// There would be too many, or the disk refuses; nothing has changed then.
    pub(super) fn list_torrents(
        &mut self,
        database: &Database,
        added: &[InfoHash],
        removed: &[InfoHash],
    ) -> Result<ListChange, Refused> {
        let before = self.tracker.access().listed_torrents().added;
        // What is listed and taken off at once is off: as the database does one after the other.
        let after = before.changed(added, &[]).changed(&[], removed);
        if after.len() > MAX_LISTED {
            return Err(Refused::TooManyTorrents);
        }
        let written =
            database.in_transaction(|| database.change_listed(added, removed, self.clock.wall()));
        self.judge(database, written)?;
        let removed = before.iter().filter(|hash| !after.contains(hash)).count();
        let change = ListChange {
            added: after.len() + removed - before.len(),
            removed,
            total: after.len(),
        };
        let metrics = self.tracker.metrics();
        metrics.set(Gauge::TorrentsAdded, after.len() as u64);
        let after = Arc::new(after);
        let enforced = self.tracker.change_access(
            |access| access.list_torrents(|listed| listed.added = after),
            self.clock.now(),
        );
        log_effect(enforced);
        Ok(change)
    }

    /// Writes what is listed into a database that was made anew.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn put_listed(&self, database: &Database) -> rusqlite::Result<()> {
        let listed: Vec<InfoHash> = self
            .tracker
            .access()
            .listed_torrents()
            .added
            .iter()
            .collect();
        database.in_transaction(|| database.change_listed(&listed, &[], self.clock.wall()))
    }
}
