//! What other parts may ask of the sites; every call returns at once.

use std::sync::Arc;

use super::block::BlockDelta;
use super::name::SiteName;
use super::shared::Shared;
use super::status::Status;
use crate::tracker::Tracker;

/// The running part, seen from outside; clones share it.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) shared: Arc<Shared>,
    pub(super) tracker: Arc<Tracker>,
}

/// No tracker of this name has been heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no other tracker of this name is known")]
pub struct UnknownSite;

impl Handle {
    /// What has to be kept with a snapshot: the numbers of the other trackers, and up to where each log has been read. To be asked for
    /// before the first swarm of the snapshot is looked at: what a log has behind these positions may be merged twice, but is not lost.
    pub fn kept_state(&self) -> Vec<u8> {
        self.shared.kept_state()
    }

    /// How everything is. Holds no lock for long.
    pub fn status(&self) -> Status {
        self.shared.status(&self.tracker)
    }

    /// Has everything told again: what left and what changed a moment ago at once, all living peers at a bounded pace.
    pub fn resend(&self) {
        self.shared.ask_for_resend();
    }

    /// Drops the peers and counts that are known from another tracker only; how many peers. One that still runs tells them again; else
    /// its number is free for a new one.
    ///
    /// # Errors
    /// [`UnknownSite`] for a name that has not been heard.
    pub fn forget(&self, name: &SiteName) -> Result<u64, UnknownSite> {
        let origin = self.shared.forget(name).ok_or(UnknownSite)?;
        let peers = self.tracker.forget(origin, self.shared.now());
        self.shared.free_number(name);
        Ok(peers)
    }

    /// Tells the others of a change of the blocklist, within a moment where an engine takes it and later where none does. Never waits;
    /// does nothing where the blocklist is not shared.
    pub fn publish_block(&self, block: BlockDelta) {
        self.shared.publish_block(block);
    }

    /// Seconds since the thread that has been silent longest last gave a sign of life.
    pub fn silent_seconds(&self) -> u32 {
        self.shared.silent_seconds()
    }
}
