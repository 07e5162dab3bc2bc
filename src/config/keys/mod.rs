//! The table of keys. A new key is a row here, and nothing else but the field of its component's settings.

mod http;
mod limits;
mod logging;
mod pages;
mod sites;
mod snapshots;
mod tls;
mod tracker;
mod udp;
mod zones;

use super::key::{Key, Retired, Section};

/// Every section, in the order of the sample.
pub const SECTIONS: &[Section] = &[
    tracker::SECTION,
    http::SECTION,
    tls::SECTION,
    udp::SECTION,
    limits::SECTION,
    zones::ZONES,
    zones::WARNINGS,
    snapshots::SECTION,
    sites::SECTION,
    pages::STATS,
    pages::USERS,
    pages::FLASK,
    logging::SECTION,
];

/// What the original had and nobody needs any more.
pub(super) const RETIRED: &[Retired] = &[
    Retired {
        section: "TRACKER",
        key: Some("debug"),
        why: "there is no debugger here",
    },
    Retired {
        section: "TRACKER",
        key: Some("use_reloader"),
        why: "there is no reloader here",
    },
    Retired {
        section: "CACHE",
        key: None,
        why: "swarms live in memory",
    },
    Retired {
        section: "CACHE.sqlite",
        key: None,
        why: "swarms live in memory",
    },
    Retired {
        section: "DB",
        key: None,
        why: "see [SNAPSHOTS]; `retracker import` takes over an old database",
    },
    Retired {
        section: "DB.sqlite",
        key: None,
        why: "see [SNAPSHOTS]; `retracker import` takes over an old database",
    },
];

/// Environment variables of the original that mean nothing any more.
pub(super) const RETIRED_VARIABLES: &[&str] = &[
    "TRACKER_DEBUG",
    "TRACKER_USE_RELOADER",
    "CACHE_TYPE",
    "CACHE_DB_FILE_PATH",
    "DB_TYPE",
    "DB_FILE_PATH",
    "DB_TABLE_NAME",
    "DB_TABLE_SCHEMA",
];

/// Every key with its section.
pub(super) fn all() -> impl Iterator<Item = (&'static Section, &'static Key)> {
    let keys = |section: &'static Section| section.keys.iter().map(move |key| (section, key));
    SECTIONS.iter().flat_map(keys)
}

/// The section of that name.
pub(super) fn section(name: &str) -> Option<&'static Section> {
    SECTIONS.iter().find(|section| section.name == name)
}

/// The section of that name and the key of that name in it.
pub(super) fn find(section: &str, key: &str) -> Option<(&'static Section, &'static Key)> {
    all().find(|(in_section, found)| {
        in_section.name == section && found.name.eq_ignore_ascii_case(key)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_name_stands_twice_in_a_section() {
        let names: HashSet<_> = all()
            .map(|(section, key)| (section.name, key.name))
            .collect();
        assert_eq!(names.len(), all().count());
    }

    #[test]
    fn names_are_written_in_one_way_and_texts_are_sentences() {
        for (section, key) in all() {
            assert!(section.about.ends_with('.'), "{}", section.name);
            assert!(key.about.ends_with('.'), "{}", key.name);
            assert_eq!(key.name, key.name.to_ascii_lowercase());
        }
    }

    /// C1, C2: original.md, 6, both eras.
    #[test]
    fn every_variable_of_the_original_is_known() {
        let plain = |(section, key): (&Section, &Key)| {
            let name = format!("{}_{}", section.name, key.name).to_ascii_uppercase();
            key.has_plain_variable.then_some(name)
        };
        let mut known: HashSet<String> = all().filter_map(plain).collect();
        known.extend(RETIRED_VARIABLES.iter().map(ToString::to_string));
        let original = "FLASK_SECRET_KEY CACHE_TYPE CACHE_DB_FILE_PATH DB_TYPE DB_FILE_PATH DB_TABLE_NAME \
            DB_TABLE_SCHEMA TRACKER_MODE TRACKER_TRUSTED_PROXIES TRACKER_USE_X_REAL_IP TRACKER_USE_X_FORWARDED_FOR \
            TRACKER_HOST TRACKER_PORT TRACKER_ANNOUNCE_INTERVAL TRACKER_PEER_EXPIRE_FACTOR TRACKER_IGNORE_IP \
            TRACKER_NUMWANT TRACKER_RUN_GC_KEY TRACKER_PEER_CLEANUP_PERIOD TRACKER_DEBUG TRACKER_USE_RELOADER \
            LOGGING_LEVEL LOGGING_LOG_FILE LOGGING_MAX_BYTES LOGGING_BACKUP_COUNT LOGGING_FORMAT \
            LOGGING_CONSOLE_OUTPUT LOGGING_CLEAR_ON_START STATS_ACCESS_USERNAME STATS_ACCESS_PASSWORD";
        let original: HashSet<String> = original.split_whitespace().map(str::to_owned).collect();
        let mut missing: Vec<_> = original.difference(&known).collect();
        missing.sort();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
