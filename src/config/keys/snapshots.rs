//! `[SNAPSHOTS]`.

use crate::config::key::{Key, Section, key};
use crate::config::value::{File, seconds};

pub(super) const SECTION: Section = Section {
    name: "SNAPSHOTS",
    about: "The database that keeps the swarms over a restart, and the blocklist.",
    keys: KEYS,
    free: None,
};

const KEYS: &[Key] = &[
    key(
        "file",
        "The SQLite database; its folder is made. One process at a time may have it.",
        |c| Box::new(File(&mut c.snapshot.file)),
    )
    .fixed(),
    key(
        "interval",
        "Seconds between snapshots. 0: only at the stop and when told to.",
        |c| Box::new(seconds(&mut c.snapshot.interval, 0..=86_400)),
    )
    .fixed(),
];
