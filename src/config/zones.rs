//! The zones: `[ZONES]`, the file of prefixes, which zones are strict, behind one address or have a warning, made into one list
//! of rules.
//!
//! A prefix that stands twice is found here, where the locations are known; the tree itself is the tracker's.

use std::collections::HashMap;
use std::path::PathBuf;

use ipnet::IpNet;

use super::list;
use super::problem::{Location, Problem, Problems, nearest};
use super::value::Slot;
use crate::invariant::present;
use crate::shown::steers;
use crate::tracker::{MAX_DEPTH, ZoneRule};

/// Bad lines of a file of prefixes that are told one by one.
const BAD_LINES_TOLD: usize = 20;

/// Longest path of a zone, in bytes.
const MAX_PATH_BYTES: usize = 400;

/// Longest line of a file of prefixes, in bytes; one that is longer is of another kind of file.
const MAX_LINE_BYTES: usize = 1_000;

/// Prefixes of a file at most: ten times those of the largest provider, and a bound on what a wrong file takes.
const MAX_PREFIXES: usize = 1_000_000;

/// What the sources say of zones, with the locations.
#[derive(Clone, Debug, Default)]
pub struct ZoneSources {
    /// Prefixes of zones, a line each, in order.
    lines: Vec<Line>,
    /// Warnings for the peers of zones.
    pub(super) warnings: Vec<(String, String, Location)>,
    /// Zones whose peers see only their own (`strict_zones`).
    pub strict: Vec<String>,
    /// Zones whose peers live behind one address (`nat_zones`).
    pub(super) behind_nat: Vec<String>,
    /// A file with more prefixes (`zones_file`).
    pub file: Option<PathBuf>,
}

/// Prefixes of one zone.
#[derive(Clone, Debug)]
struct Line {
    path: String,
    prefixes: Vec<IpNet>,
    location: Location,
    is_from_file: bool,
}

/// A path as it is compared: without blanks around its parts.
///
/// # Errors
/// When a part is empty, when there are too many, when the whole is long or holds what steers a terminal: names are shown in the
/// log, on pages and by tools.
pub fn zone_path(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.split('/').map(str::trim).collect();
    if parts.iter().any(|part| part.is_empty()) {
        return Err(format!("`{text}` is no zone: a part of the path is empty"));
    }
    if text.contains(steers) {
        return Err(format!(
            "`{text}` is no zone: it holds a character that is not seen"
        ));
    }
    if text.len() > MAX_PATH_BYTES {
        return Err(format!(
            "a zone's path of {} bytes; {MAX_PATH_BYTES} are the most",
            text.len()
        ));
    }
    if parts.len() > MAX_DEPTH {
        return Err(format!("`{text}` has more than {MAX_DEPTH} parts"));
    }
    Ok(parts.join("/"))
}

impl ZoneSources {
    /// Takes one key of `[ZONES]`.
    pub(super) fn read(
        &mut self,
        name: &str,
        text: &str,
        location: &Location,
    ) -> Result<(), String> {
        self.lines.push(Line {
            path: zone_path(name)?,
            prefixes: list::networks(text)?,
            location: location.clone(),
            is_from_file: false,
        });
        Ok(())
    }

    /// Takes one key of `[ZONE_WARNINGS]`.
    pub(super) fn read_warning(
        &mut self,
        name: &str,
        text: &str,
        location: &Location,
    ) -> Result<(), String> {
        if text.is_empty() || text.len() > 200 {
            return Err("expected a text of 200 bytes at most".into());
        }
        self.warnings
            .push((zone_path(name)?, text.to_owned(), location.clone()));
        Ok(())
    }

    /// The rules with another file in the place of the one that was read.
    ///
    /// # Errors
    /// What a reload with that file would refuse.
    pub fn with_file(&self, file: &str, bytes: &[u8]) -> Result<Vec<ZoneRule>, Problems> {
        let mut other = self.clone();
        other.lines.retain(|line| !line.is_from_file);
        let mut problems = Vec::new();
        other.read_file(file, bytes, &mut problems);
        let rules = other.rules(|key| format!("[TRACKER] {key}"), &mut problems);
        if problems.is_empty() {
            Ok(rules)
        } else {
            Err(Problems(problems))
        }
    }

    /// The keys of `[ZONES]`; those of the file are not among them.
    pub(super) fn written(&self) -> Vec<(String, String, Location)> {
        let own = self.lines.iter().filter(|line| !line.is_from_file);
        own.map(|line| {
            let prefixes = list::written(line.prefixes.iter().copied());
            (line.path.clone(), prefixes, line.location.clone())
        })
        .collect()
    }

    /// Takes the file of prefixes: `PREFIX ZONE` on each line, comments behind `#`.
    pub(super) fn read_file(&mut self, file: &str, bytes: &[u8], problems: &mut Vec<Problem>) {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut bad = 0;
        for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let location = Location::File {
                path: file.to_owned(),
                line: at + 1,
            };
            match prefix(line) {
                Ok(Some(_)) if self.lines.len() >= MAX_PREFIXES => {
                    let text = format!("{location}: {MAX_PREFIXES} prefixes are the most");
                    return problems.push(Problem(text));
                }
                Ok(Some((prefix, path))) => self.lines.push(Line {
                    path,
                    prefixes: vec![prefix],
                    location,
                    is_from_file: true,
                }),
                Ok(None) => {}
                Err(fault) => {
                    bad += 1;
                    if bad <= BAD_LINES_TOLD {
                        problems.push(Problem(format!("{location}: {fault}")));
                    }
                }
            }
        }
        if bad > BAD_LINES_TOLD {
            let more = bad - BAD_LINES_TOLD;
            problems.push(Problem(format!("{file}: {more} more lines like that")));
        }
    }

    /// One rule for each zone. Prefixes that stand twice and names of zones that do not exist become problems; `location` tells where
    /// a key of `[TRACKER]` stands.
    pub(super) fn rules(
        &self,
        location: impl Fn(&'static str) -> String,
        problems: &mut Vec<Problem>,
    ) -> Vec<ZoneRule> {
        let mut rules = Rules::default();
        let mut locations: HashMap<IpNet, &Location> = HashMap::new();
        for line in &self.lines {
            let rule = rules.of(&line.path);
            for prefix in &line.prefixes {
                rule.prefixes.push(*prefix);
                if let Some(first) = locations.insert(*prefix, &line.location) {
                    let key = if line.is_from_file {
                        String::new()
                    } else {
                        format!("[ZONES] {}: ", line.path)
                    };
                    problems.push(Problem(format!(
                        "{}: {key}{prefix} stands twice, first in {first}",
                        line.location
                    )));
                }
            }
        }
        for (path, text, location) in &self.warnings {
            match self.known(path) {
                Ok(()) => rules.of(path).warning = Some(text.clone()),
                Err(fault) => {
                    problems.push(Problem(format!(
                        "{location}: [ZONE_WARNINGS] {path}: {fault}"
                    )));
                }
            }
        }
        let named: [(_, _, fn(&mut ZoneRule)); 2] = [
            ("strict_zones", &self.strict, |rule| rule.is_strict = true),
            ("nat_zones", &self.behind_nat, |rule| {
                rule.is_behind_nat = true;
            }),
        ];
        for (key, paths, set) in named {
            for path in paths {
                match self.known(path) {
                    Ok(()) => set(rules.of(path)),
                    Err(fault) => problems.push(Problem(format!("{}: {fault}", location(key)))),
                }
            }
        }
        rules.rules
    }

    /// Whether `path` is a zone or has one below it.
    fn known(&self, path: &str) -> Result<(), String> {
        let is_within = |line: &Line| {
            let rest = line.path.strip_prefix(path);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if self.lines.iter().any(is_within) {
            return Ok(());
        }
        let meant = nearest(path, self.lines.iter().map(|line| line.path.as_str()));
        // Nothing is added where no name is near.
        let meant = meant
            .map(|meant| format!("; did you mean {meant}?"))
            .unwrap_or_default();
        Err(format!("there is no zone {path}{meant}"))
    }
}

/// The rules of a file of prefixes by itself.
///
/// # Errors
/// All that is wrong with it, by line.
pub fn read_zones_file(file: &str, bytes: &[u8]) -> Result<Vec<ZoneRule>, Problems> {
    ZoneSources::default().with_file(file, bytes)
}

/// Zones, separated by commas: their names may hold blanks.
pub(super) struct PathList<'a>(pub &'a mut Vec<String>);

impl Slot for PathList<'_> {
    fn read(&mut self, text: &str) -> Result<(), String> {
        let entries = text.split(',').filter(|entry| !entry.trim().is_empty());
        *self.0 = entries.map(zone_path).collect::<Result<_, _>>()?;
        Ok(())
    }

    fn write(&self) -> String {
        self.0.join(", ")
    }

    fn expects(&self) -> String {
        "zones, separated by commas".into()
    }

    fn may_be_empty(&self) -> bool {
        true
    }
}

/// Rules in the order in which their zones are first named.
#[derive(Default)]
struct Rules {
    rules: Vec<ZoneRule>,
    numbers: HashMap<String, usize>,
}

impl Rules {
    fn of(&mut self, path: &str) -> &mut ZoneRule {
        let next = self.rules.len();
        let number = *self.numbers.entry(path.to_owned()).or_insert(next);
        if number == next {
            self.rules.push(ZoneRule {
                path: path.to_owned(),
                ..ZoneRule::default()
            });
        }
        #[expect(
            clippy::indexing_slicing,
            reason = "every number in the map is that of a rule in the list"
        )]
        &mut self.rules[number]
    }
}

/// Reads one line of the file of prefixes; nothing when it is blank or a comment.
fn prefix(line: &[u8]) -> Result<Option<(IpNet, String)>, String> {
    if line.len() > MAX_LINE_BYTES {
        let bytes = line.len();
        return Err(format!(
            "a line of {bytes} bytes; {MAX_LINE_BYTES} are the most"
        ));
    }
    let line = str::from_utf8(line).map_err(|_| "not UTF-8".to_owned())?;
    let line = present(line.split('#').next(), "splitting gives one part at least");
    let line = line.unwrap_or_default().trim();
    if line.is_empty() {
        return Ok(None);
    }
    let Some((prefix, zone)) = line.split_once([' ', '\t']) else {
        return Err(format!(
            "`{line}`: expected a prefix and a zone, as 10.7.0.0/24 moscow/north"
        ));
    };
    Ok(Some((list::network(prefix)?, zone_path(zone)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zoning(file: &str) -> (ZoneSources, Vec<String>) {
        let mut zoning = ZoneSources::default();
        let mut problems = Vec::new();
        zoning.read_file("z", file.as_bytes(), &mut problems);
        zoning.rules(ToOwned::to_owned, &mut problems);
        (zoning, problems.iter().map(ToString::to_string).collect())
    }

    /// S7
    #[test]
    fn a_file_of_prefixes_gives_zones() {
        let (zoning, problems) = zoning(
            "# all\n10.7.0.0/24 moscow/north\r\n\n2001:db8:7::/48\tmoscow / north # v6\n10.8.0.9 moscow\n",
        );
        assert_eq!(problems, Vec::<String>::new());
        let rules = zoning.rules(ToOwned::to_owned, &mut Vec::new());
        assert_eq!(rules.len(), 2);
        assert_eq!(rules[0].path, "moscow/north");
        assert_eq!(rules[0].prefixes.len(), 2);
        assert_eq!(rules[1].prefixes[0].to_string(), "10.8.0.9/32");
    }

    /// S7
    #[test]
    fn every_bad_line_is_named() {
        let (_, problems) = zoning(
            "10.7.0.0/24\n10.7.0.0/33 a\n10.7.0.1/24 a\n10.7.0.0/24 a//b\n10.7.0.0/24 a\n10.7.0.0/24 b\n",
        );
        let lines: Vec<&str> = problems
            .iter()
            .map(|text| text.split(": ").next().unwrap())
            .collect();
        assert_eq!(lines, ["z:1", "z:2", "z:3", "z:4", "z:6"]);
        assert_eq!(problems[4], "z:6: 10.7.0.0/24 stands twice, first in z:5");
    }

    /// R20: names are printed as they are, so nothing that steers a terminal gets into one.
    #[test]
    fn names_and_lines_that_would_steer_a_terminal_or_fill_it_are_refused() {
        let long = "x".repeat(2_000);
        let file = format!(
            "10.1.0.0/16 a\x1b[31m\n10.2.0.0/16 a/\u{202e}b\n10.3.0.0/16 {long}\n{long}\n\x1b]0;x\x07 a\n10.4.0.0/16 улица\n"
        );
        let (zoning, problems) = zoning(&file);
        assert_eq!(zoning.lines.len(), 1);
        assert_eq!(problems.len(), 5);
        for problem in problems {
            assert!(
                problem.len() < 200 && !problem.contains(steers),
                "{problem:?}"
            );
        }
        assert!(zone_path(&"x".repeat(MAX_PATH_BYTES + 1)).is_err());
    }

    #[test]
    fn a_file_of_something_else_is_not_told_line_by_line() {
        let (_, problems) = zoning(&"10.0.0.0\n".repeat(100_000));
        assert_eq!(problems.len(), 21);
        assert_eq!(problems[20], "z: 99980 more lines like that");
    }

    /// S9, P19
    #[test]
    fn strict_zones_and_warnings_must_name_zones() {
        let (mut zoning, _) = zoning("10.7.0.0/24 moscow/north\n");
        zoning.strict = vec!["moscow".into(), "moscow/nort".into()];
        zoning
            .read_warning("moscow/north", "works tonight", &Location::Default)
            .unwrap();
        let mut problems = Vec::new();
        let location = |key: &str| format!("r.ini:3: [TRACKER] {key}");
        let rules = zoning.rules(location, &mut problems);
        assert_eq!(problems.len(), 1);
        assert_eq!(
            problems[0].to_string(),
            "r.ini:3: [TRACKER] strict_zones: there is no zone moscow/nort; did you mean moscow/north?"
        );
        assert_eq!(rules[0].warning.as_deref(), Some("works tonight"));
        assert!(rules[1].is_strict && rules[1].path == "moscow");
        assert!(zoning.read_warning("a", "", &Location::Default).is_err());
    }
}
