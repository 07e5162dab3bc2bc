//! How the tools tell the audit what they have done: into the tracker's file, whether it runs or not.

use std::path::Path;

use crate::audit;
use crate::audit::{Actor, Deed, Entry};
use crate::clock::Clock;

/// Who called a tool. To be asked first of all: a tool may become another user for its work.
#[derive(Debug)]
pub(super) struct Caller {
    name: String,
}

impl Caller {
    /// The user that sudo names, which only root can make up, else root or the number of the user.
    pub(super) fn new() -> Caller {
        let user = rustix::process::getuid();
        let name = match std::env::var("SUDO_USER") {
            Ok(name) if user.is_root() && !name.is_empty() => name,
            _ if user.is_root() => "root".to_owned(),
            _ => format!("uid {}", user.as_raw()),
        };
        Caller { name }
    }

    /// Adds an entry to the audit beside the database. What was done is done: a file that cannot be written is a warning.
    pub(super) fn tell(&self, folder: &Path, deed: Deed, about: &str) {
        let now = Clock::start().wall();
        let entry = Entry::new(deed, Actor::Tool, &self.name, about, now);
        if let Err(error) = audit::append(folder, &entry) {
            log::warn!("the audit does not say so: {error}");
        }
    }
}
