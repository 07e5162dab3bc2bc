//! What an import has found: prefixes with their zones, and the rows that cannot be used, each with its place.

use std::collections::hash_map::{Entry, HashMap};
use std::fmt::{self, Write};

use ipnet::IpNet;

use super::template::Filled;
use crate::config;

/// Rows that cannot be used and are told one by one.
const BAD_ROWS_TOLD: usize = 20;

/// Where a prefix stands in what was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A line, from 1 on.
    Line(u64),
    /// An entry of a list, from 1 on.
    Entry(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Line(number) => write!(f, "line {number}"),
            Place::Entry(number) => write!(f, "entry {number}"),
        }
    }
}

/// Everything that was found in all files.
#[derive(Debug, Default)]
pub(super) struct Found {
    prefixes: HashMap<IpNet, Prefix>,
    files: Vec<String>,
    bad: Vec<String>,
    bad_rows: usize,
    /// Prefixes that stand twice and mean the same both times.
    pub doubled: usize,
    /// Prefixes that no zone is for, where that is no fault.
    pub left_out: usize,
    /// Paths with a sign that `-` stands for.
    pub altered: usize,
}

#[derive(Debug)]
struct Prefix {
    path: String,
    file: usize,
    place: Place,
}

impl Found {
    /// What follows is of this file.
    pub(super) fn begin(&mut self, file: String) {
        self.files.push(file);
    }

    fn file(&self, number: usize) -> &str {
        self.files.get(number).map_or("", String::as_str)
    }

    /// Takes one prefix, or notes why it cannot be used.
    pub(super) fn add(&mut self, place: Place, prefix: IpNet, path: Result<Filled, String>) {
        let path = path.and_then(|filled| {
            self.altered += usize::from(filled.is_altered);
            config::zone_path(&filled.path)
        });
        let path = match path {
            Ok(path) => path,
            Err(why) => return self.refuse(place, &format!("{prefix}: {why}")),
        };
        let file = self.files.len().saturating_sub(1);
        match self.prefixes.entry(prefix) {
            Entry::Vacant(vacant) => {
                vacant.insert(Prefix { path, file, place });
            }
            Entry::Occupied(first) if first.get().path == path => self.doubled += 1,
            Entry::Occupied(first) => {
                let first = first.get();
                let name = self.files.get(first.file).map_or("", String::as_str);
                let why = format!(
                    "{prefix} is in {path} here and in {} in {name}, {}; a prefix is in one zone",
                    first.path, first.place
                );
                self.refuse(place, &why);
            }
        }
    }

    /// Notes a row that cannot be used.
    pub(super) fn refuse(&mut self, place: Place, why: &str) {
        self.bad_rows += 1;
        if self.bad.len() < BAD_ROWS_TOLD {
            let file = self.file(self.files.len().saturating_sub(1));
            self.bad.push(format!("{file}, {place}: {why}"));
        }
    }

    /// Leaves out what is not wanted.
    pub(super) fn keep(&mut self, is_wanted: impl Fn(&IpNet) -> bool) {
        self.prefixes.retain(|prefix, _| is_wanted(prefix));
    }

    /// How many rows cannot be used.
    pub(super) fn bad_rows(&self) -> usize {
        self.bad_rows
    }

    /// The rows that cannot be used, a line each.
    pub(super) fn complaint(&self) -> String {
        let mut text = String::new();
        for bad in &self.bad {
            text.push_str("\n  ");
            text.push_str(bad);
        }
        let more = self.bad_rows.saturating_sub(self.bad.len());
        if more > 0 {
            // Writing to a string does not fail.
            let _ = write!(text, "\n  … and {more} more");
        }
        text
    }

    /// How many prefixes, and in how many zones.
    pub(super) fn counts(&self) -> (usize, usize) {
        let mut paths: Vec<&str> = self.prefixes.values().map(|p| p.path.as_str()).collect();
        paths.sort_unstable();
        paths.dedup();
        (self.prefixes.len(), paths.len())
    }

    /// The file of prefixes, zone by zone, so that two of them can be compared line by line.
    pub(super) fn written(&self) -> String {
        let mut lines: Vec<(&str, IpNet)> = self
            .prefixes
            .iter()
            .map(|(net, prefix)| (prefix.path.as_str(), *net))
            .collect();
        lines.sort_unstable();
        let mut text = String::with_capacity(lines.len() * 40);
        text.push_str("# Made by `retracker zones import`: PREFIX ZONE\n");
        for (path, net) in lines {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{net} {path}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(path: &str) -> Result<Filled, String> {
        Ok(Filled {
            path: path.into(),
            is_altered: false,
        })
    }

    /// O14
    #[test]
    fn what_stands_twice_is_one_and_what_contradicts_itself_is_told_with_both_places() {
        let mut found = Found::default();
        found.begin("a.csv".into());
        let net: IpNet = "192.0.2.0/24".parse().unwrap();
        found.add(Place::Line(2), net, filled("msk/b"));
        found.begin("b.csv".into());
        found.add(Place::Line(3), net, filled("msk / b"));
        found.add(Place::Line(4), net, filled("msk/c"));
        found.add(
            Place::Line(5),
            "2001:db8::/32".parse().unwrap(),
            filled("a//b"),
        );
        assert_eq!((found.doubled, found.bad_rows()), (1, 2));
        let told = found.complaint();
        assert!(
            told.contains(
                "b.csv, line 4: 192.0.2.0/24 is in msk/c here and in msk/b in a.csv, line 2"
            ),
            "{told}"
        );
        assert!(
            told.contains("b.csv, line 5: 2001:db8::/32: `a//b` is no zone"),
            "{told}"
        );
        assert_eq!(found.counts(), (1, 1));
        assert!(found.written().ends_with("\n192.0.2.0/24 msk/b\n"));
    }

    #[test]
    fn bad_rows_beyond_the_first_are_counted() {
        let mut found = Found::default();
        found.begin("a".into());
        for line in 0..100 {
            found.refuse(Place::Line(line), "odd");
        }
        assert_eq!(found.complaint().lines().count(), BAD_ROWS_TOLD + 2);
        assert!(found.complaint().ends_with("… and 80 more"));
    }
}
