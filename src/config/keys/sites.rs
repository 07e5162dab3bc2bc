//! `[SITES]`.

use crate::config::key::{Key, Section, key};
use crate::config::sites::{EngineList, NAME, Name};
use crate::config::value::{OptionalFile, choice, number, optional};

pub(super) const SECTION: Section = Section {
    name: "SITES",
    about: "Other trackers of the same provider that act as one with this one: each answers from its own memory, and tells the others \
        through engines, which are servers of Redis or Valkey. docs/SITES.md says when that is worth it and how it is set up; \
        `retracker sites check` tries it.",
    keys: KEYS,
    free: None,
};

const BLOCKLIST: &[(&str, bool)] = &[("shared", true), ("local", false)];

const KEYS: &[Key] = &[
    key(
        "name",
        "What this tracker is called among the others; no two may be called alike, and one that changes its name is another one.",
        |c| Box::new(optional(&mut c.site_sources.name, NAME)),
    )
    .fixed(),
    key(
        "engines",
        "The engines, the nearest first: this tracker writes to the first that answers and reads all of them. Every tracker names the same \
         ones, each in its own order. rediss:// is TLS and wants ca_file. Nothing: this tracker is alone.",
        |c| Box::new(EngineList(&mut c.site_sources.engines)),
    )
    .fixed(),
    key(
        "network",
        "Which network of trackers; several may use one engine. The same for all trackers of it.",
        |c| Box::new(Name(&mut c.site_sources.network)),
    )
    .fixed(),
    key(
        "user",
        "The engine's user that this tracker logs in as, one for each tracker. Nothing: the engine's default user.",
        |c| Box::new(optional(&mut c.site_sources.user, "text")),
    )
    .fixed(),
    key(
        "password_file",
        "A file with the password for the engines in its one line, which the tracker's user may read and others may not. Nothing: no \
         password.",
        |c| Box::new(OptionalFile(&mut c.site_sources.password_file)),
    )
    .fixed(),
    key(
        "ca_file",
        "Certificates (PEM) that the certificates of engines must be signed by; needed for rediss://.",
        |c| Box::new(OptionalFile(&mut c.site_sources.ca_file)),
    )
    .fixed(),
    key(
        "blocklist",
        "Whether the blocklist is that of all trackers (shared), or each has its own (local).",
        |c| Box::new(choice(&mut c.site_sources.share_blocklist, BLOCKLIST)),
    )
    .fixed(),
    key(
        "max_share",
        "Percent of max_peers that may be known from one other tracker, so that one that is broken crowds out nobody. 100: as many as \
         there is room for.",
        |c| Box::new(number(&mut c.tracker.max_share_of_site, 1..=100)),
    ),
];
