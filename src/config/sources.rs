//! The four sources of values, laid over one another: file, `.env`, environment, command line; the last one wins.
//!
//! Everything is read and checked, also what a later source overrides, so that a bad line is found when it is written.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use super::dialect::Entry;
use super::key::{FreeKeys, Key, Section};
use super::place::{self, Place};
use super::problem::{Location, Locations, Problem, Problems, named, nearest};
use super::{Config, MAX_ZONES_BYTES, check, dialect, env_file, keys};
use crate::tls::Certificate;
use crate::{regular_file, web};

/// Before every variable of ours: `RETRACKER_SECTION_KEY`.
const PREFIX: &str = "RETRACKER_";

/// What one option of the command line sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// The option, as `--port`.
    pub option: &'static str,
    /// The section of the key that it sets.
    pub section: &'static str,
    /// The key that it sets.
    pub key: &'static str,
    /// The text of the value.
    pub value: String,
}

/// The texts to read, as they are.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The configuration file: its path and what is in it.
    pub file: Option<(String, Vec<u8>)>,
    /// What is in `.env`.
    pub env_file: Vec<u8>,
    /// The environment's variables.
    pub environment: Vec<(String, String)>,
    /// The command line.
    pub overrides: Vec<Override>,
    /// Whether the service manager hands over sockets, so that it is not known from the values where is listened.
    pub has_sockets: bool,
}

/// A configuration that may be used.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// What an operator should know about them; one line each, to be logged once.
    pub warnings: Vec<String>,
    /// Which file it is from, and what its paths count from.
    pub place: Place,
    pub(super) locations: Locations,
}

impl Sources {
    /// Reads and checks everything; `read_file` gives what is in a file that a value names.
    ///
    /// # Errors
    /// All that is wrong, in the order of the sources.
    pub fn resolve(
        &self,
        read_file: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
    ) -> Result<Loaded, Problems> {
        let mut reading = Reading::default();
        if let Some((path, text)) = &self.file {
            reading.file(path, text);
        }
        let in_file = env_file::parse(&self.env_file);
        reading.variables(in_file.iter().map(|variable| {
            let name = variable.name.clone();
            let line = variable.line;
            let value = variable.value.as_str();
            (
                variable.name.as_str(),
                value,
                Location::EnvFile {
                    line,
                    variable: name,
                },
            )
        }));
        let environment = self.environment.iter();
        reading.variables(environment.map(|(name, value)| {
            (
                name.as_str(),
                value.as_str(),
                Location::Environment(name.clone()),
            )
        }));
        for given in &self.overrides {
            if let Some((section, key)) = keys::find(given.section, given.key) {
                reading.set(
                    section,
                    key,
                    &given.value,
                    Location::CommandLine(given.option),
                );
            }
        }
        reading.certificates(read_file);
        reading.zones(read_file);
        reading.users();
        reading.sites(read_file);
        if reading.problems.is_empty() {
            reading.config.settle();
            let shared = check::shared_port(&reading.config, &reading.locations);
            match shared {
                Some(text) if self.has_sockets => reading.warnings.push(text),
                Some(text) => reading.problem(text),
                None => {}
            }
        }
        if reading.problems.is_empty() {
            check::check(&reading.config, &reading.locations, &mut reading.warnings);
            Ok(Loaded {
                config: reading.config,
                warnings: reading.warnings,
                place: Place::default(),
                locations: reading.locations,
            })
        } else {
            Err(Problems(reading.problems))
        }
    }
}

impl Loaded {
    /// Where a key was given, with its section and name, as what is said of it begins.
    pub fn place_of(&self, section: &'static str, key: &'static str) -> String {
        named(&self.locations, section, key)
    }

    /// The files that it was read from and the start cannot do without, as this process can open them.
    pub fn files_read(&self) -> Vec<PathBuf> {
        let place = &self.place;
        let env_file = place.has_env_file.then(|| place.resolve(Path::new(".env")));
        let zones = self.config.zoning.file.as_deref();
        let zones = zones.map(|file| place.resolve(file));
        let sites = self.config.site_sources.files();
        let sites = sites.map(|file| place.resolve(file));
        place
            .file
            .iter()
            .cloned()
            .chain(env_file)
            .chain(zones)
            .chain(sites)
            .chain(self.certificate_files())
            .collect()
    }

    /// The files of certificates and keys, as this process can open them.
    pub fn certificate_files(&self) -> Vec<PathBuf> {
        let files = self.config.tls.files();
        let files = files.iter().map(|file| self.place.resolve(file));
        files.collect()
    }

    /// The files of private keys, as this process can open them.
    pub fn key_files(&self) -> Vec<PathBuf> {
        let certificates = self.config.tls.certificates.iter();
        let keys = certificates.map(|certificate| self.place.resolve(&certificate.files.key));
        keys.collect()
    }

    /// The file of the password of other sites' engines, as this process can open it, where it is read.
    pub fn sites_password_file(&self) -> Option<PathBuf> {
        let sites = &self.config.site_sources;
        let file = sites
            .password_file
            .as_ref()
            .filter(|_| !sites.engines.is_empty());
        file.map(|file| self.place.resolve(file))
    }

    /// The files that values with a secret in force were read from, as this process can open them.
    pub fn files_with_secrets(&self) -> Vec<PathBuf> {
        let mut config = self.config.clone();
        let set = keys::all().filter(|(_, key)| key.is_secret && !key.text(&mut config).is_empty());
        let of_keys =
            set.filter_map(|(section, key)| self.locations.get(&(section.name, key.name)));
        let of_users = self.config.users.iter().map(|(_, location)| location);
        let (mut is_in_file, mut is_in_env_file) = (false, false);
        for location in of_keys.chain(of_users) {
            match location {
                Location::File { .. } => is_in_file = true,
                Location::EnvFile { .. } => is_in_env_file = true,
                Location::Default | Location::Environment(_) | Location::CommandLine(_) => {}
            }
        }
        let file = self.place.file.clone().filter(|_| is_in_file);
        let env_file = is_in_env_file.then(|| self.place.resolve(Path::new(".env")));
        file.into_iter().chain(env_file).collect()
    }

    /// Reads the certificates once more.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn certificates_anew(&self) -> Result<Vec<Certificate>, Problems> {
        let read = |path: &Path| regular_file::read(&self.place.resolve(path), MAX_ZONES_BYTES);
        let tls = &self.config.tls;
        tls.read(&self.locations, &read).map_err(Problems)
    }

    /// The keys whose values differ from those of `newer` although they are taken at the start only, as `[SECTION] key`.
    pub fn changed_but_fixed(&self, newer: &Loaded) -> Vec<String> {
        let (mut old, mut new) = (self.config.clone(), newer.config.clone());
        let changed =
            keys::all().filter(|(_, key)| key.is_fixed && key.text(&mut old) != key.text(&mut new));
        changed
            .map(|(section, key)| format!("[{}] {}", section.name, key.name))
            .collect()
    }
}

/// The lines of one file where each name stands first.
#[derive(Default)]
struct Read {
    sections: HashMap<String, usize>,
    keys: HashMap<(String, String), usize>,
}

#[derive(Default)]
struct Reading {
    config: Config,
    locations: Locations,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl Reading {
    fn problem(&mut self, text: String) {
        self.problems.push(Problem(text));
    }

    fn file(&mut self, path: &str, text: &[u8]) {
        let document = match dialect::parse(text) {
            Ok(document) => document,
            Err(faults) => {
                let problems = faults
                    .iter()
                    .map(|fault| Problem(format!("{path}:{}: {}", fault.line, fault.text)));
                return self.problems.extend(problems);
            }
        };
        let mut read = Read::default();
        let mut headers = document.sections.iter().peekable();
        for entry in &document.entries {
            while let Some((name, line)) = headers.next_if(|(_, line)| *line < entry.line) {
                self.header(&mut read, path, name, *line);
            }
            self.entry(&mut read, path, entry);
        }
        for (name, line) in headers {
            self.header(&mut read, path, name, *line);
        }
    }

    fn entry(&mut self, read: &mut Read, path: &str, entry: &Entry) {
        let (section, key, line) = (entry.section.as_str(), entry.key.as_str(), entry.line);
        let name = (section.to_owned(), key.to_lowercase());
        if let Some(first) = read.keys.insert(name, line) {
            return self.problem(format!(
                "{path}:{line}: [{section}] {key} stands twice, first in line {first}"
            ));
        }
        match keys::find(section, key) {
            Some((section, key)) => {
                let path = path.to_owned();
                self.set(section, key, &entry.value, Location::File { path, line });
            }
            None => match keys::section(section).and_then(|section| section.free) {
                Some(free) => self.set_free(free, path, entry),
                None => self.unknown_key(path, section, key, line),
            },
        }
    }

    fn set_free(&mut self, free: &FreeKeys, path: &str, entry: &Entry) {
        let (path, line) = (path.to_owned(), entry.line);
        let location = Location::File { path, line };
        if let Err(fault) = (free.read)(&mut self.config, &entry.key, &entry.value, &location) {
            let shown = if free.is_secret {
                "(hidden)".to_owned()
            } else {
                format!("`{}`", excerpt(&entry.value))
            };
            self.problem(format!(
                "{location}: [{}] {} = {shown}: {fault}",
                entry.section, entry.key
            ));
        }
    }

    /// Reads the certificates.
    fn certificates(&mut self, read_file: &dyn Fn(&Path) -> io::Result<Vec<u8>>) {
        match self.config.tls.read(&self.locations, read_file) {
            Ok(certificates) => self.config.tls.certificates = certificates,
            Err(problems) => self.problems.extend(problems),
        }
    }

    /// Makes the rules of zones, from the file of prefixes too.
    fn zones(&mut self, read_file: &dyn Fn(&Path) -> io::Result<Vec<u8>>) {
        let zoning = &mut self.config.zoning;
        if let Some(path) = zoning.file.clone() {
            let file = path.display().to_string();
            match read_file(&path) {
                Ok(bytes) => zoning.read_file(&file, &bytes, &mut self.problems),
                Err(error) => self.problems.push(Problem(format!(
                    "{} = `{file}`: cannot be read: {error}",
                    named(&self.locations, "TRACKER", "zones_file")
                ))),
            }
        }
        let location = |key| named(&self.locations, "TRACKER", key);
        self.config.zones = zoning.rules(location, &mut self.problems);
    }

    /// Makes the settings of other sites, with the password out of its file.
    fn sites(&mut self, read_file: &dyn Fn(&Path) -> io::Result<Vec<u8>>) {
        let sources = &self.config.site_sources;
        self.config.sites = sources.settings(read_file, &self.locations, &mut self.problems);
    }

    /// Checks the users against one another and against the one of `[STATS]`.
    fn users(&mut self) {
        let config = &self.config;
        if config.users.len() > web::MAX_USERS {
            let most = web::MAX_USERS;
            self.problem(format!("[USERS]: {most} users are the most"));
            return;
        }
        let same = config
            .users
            .iter()
            .find(|(user, _)| user.name() == config.web.username);
        if let Some((user, location)) = same {
            let text = format!(
                "{location}: [USERS] {}: that is the user of [STATS] access_username, who is an operator already",
                user.name()
            );
            self.problem(text);
        }
    }

    /// Warns of a section without meaning, and refuses one that is not known.
    fn header(&mut self, read: &mut Read, path: &str, name: &str, line: usize) {
        if let Some(first) = read.sections.insert(name.to_owned(), line) {
            return self.problem(format!(
                "{path}:{line}: [{name}] stands twice, first in line {first}"
            ));
        }
        if keys::section(name).is_some() {
            return;
        }
        let retired = keys::RETIRED.iter().find(|retired| retired.section == name);
        if let Some(retired) = retired {
            let why = retired.why;
            let text =
                format!("{path}:{line}: [{name}] means nothing to this tracker and can go: {why}");
            return self.warnings.push(text);
        }
        let meant = nearest(name, keys::SECTIONS.iter().map(|section| section.name));
        // Nothing is added where no name is near.
        let meant = meant
            .map(|meant| format!("; did you mean [{meant}]?"))
            .unwrap_or_default();
        self.problem(format!("{path}:{line}: [{name}] is no section{meant}"));
    }

    fn unknown_key(&mut self, path: &str, section: &str, key: &str, line: usize) {
        let mut retired = keys::RETIRED
            .iter()
            .filter(|retired| retired.section == section);
        if let Some(retired) = retired.find(|retired| {
            retired
                .key
                .is_none_or(|name| name.eq_ignore_ascii_case(key))
        }) {
            if retired.key.is_some() {
                let why = retired.why;
                let text = format!(
                    "{path}:{line}: [{section}] {key} means nothing to this tracker and can go: {why}"
                );
                self.warnings.push(text);
            }
            return;
        }
        let Some(known) = keys::section(section) else {
            return; // Its header has been reported.
        };
        let mut elsewhere = keys::all().filter(|(_, known)| known.name.eq_ignore_ascii_case(key));
        let hint = if let Some((other, found)) = elsewhere.next() {
            format!("; {} belongs to [{}]", found.name, other.name)
        } else {
            let meant = nearest(key, known.keys.iter().map(|key| key.name));
            // Nothing is added where no name is near.
            meant
                .map(|meant| format!("; did you mean {meant}?"))
                .unwrap_or_default()
        };
        self.problem(format!("{path}:{line}: [{section}] has no key {key}{hint}"));
    }

    fn variables<'a>(&mut self, variables: impl Iterator<Item = (&'a str, &'a str, Location)>) {
        // In an order of its own: the environment has none, and of two names for a key ours wins.
        let mut variables: Vec<_> = variables.collect();
        variables.sort_by_key(|(name, ..)| (name.starts_with(PREFIX), *name));
        for (name, value, location) in variables {
            match by_variable(name) {
                Some((section, key)) => self.set(section, key, value, location),
                None => self.unknown_variable(name, &location),
            }
        }
    }

    /// Other programs have variables too; only one that claims to be ours is worth a word.
    fn unknown_variable(&mut self, name: &str, location: &Location) {
        if keys::RETIRED_VARIABLES.contains(&name) {
            let text = format!("{location} means nothing to this tracker and can go");
            return self.warnings.push(text);
        }
        let is_ours = name.starts_with(PREFIX);
        if !is_ours || (name == place::VARIABLE && matches!(location, Location::Environment(_))) {
            return;
        }
        let known: Vec<String> = keys::all()
            .map(|(section, key)| variable(section, key))
            .collect();
        let meant = nearest(name, known.iter().map(String::as_str));
        // Nothing is added where no name is near.
        let meant = meant
            .map(|meant| format!("; did you mean {meant}?"))
            .unwrap_or_default();
        self.warnings.push(format!("{location} sets no key{meant}"));
    }

    fn set(
        &mut self,
        section: &'static Section,
        key: &'static Key,
        text: &str,
        location: Location,
    ) {
        let mut slot = (key.slot)(&mut self.config);
        let is_variable = matches!(
            location,
            Location::EnvFile { .. } | Location::Environment(_)
        );
        if text.is_empty() && is_variable && !slot.may_be_empty() {
            return; // As containers pass on what nobody has set.
        }
        let text = text.trim();
        let fault = if text.contains(|c: char| c.is_control() && c != '\t') {
            Err("a control character".to_owned())
        } else {
            slot.read(text)
        };
        let shown = slot.shown(text);
        drop(slot);
        match fault {
            Ok(()) => drop(self.locations.insert((section.name, key.name), location)),
            Err(fault) => {
                let shown = if key.is_secret {
                    "(hidden)".to_owned()
                } else {
                    format!("`{}`", excerpt(&shown))
                };
                let hint = if text.contains(" #") || text.contains(" ;") {
                    "; a comment behind a value wants two blanks before it"
                } else {
                    ""
                };
                let (section, key) = (section.name, key.name);
                self.problem(format!(
                    "{location}: [{section}] {key} = {shown}: {fault}{hint}"
                ));
            }
        }
    }
}

/// Enough of a value to know it again.
fn excerpt(text: &str) -> String {
    const MAX: usize = 80;
    let mut shown: String = text
        .chars()
        .take(MAX)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(MAX).is_some() {
        shown.push('…');
    }
    shown
}

/// The variable of ours that sets a key.
fn variable(section: &Section, key: &Key) -> String {
    format!("{PREFIX}{}_{}", section.name, key.name).to_ascii_uppercase()
}

fn by_variable(name: &str) -> Option<(&'static Section, &'static Key)> {
    keys::all().find(|(section, key)| {
        let ours = variable(section, key);
        ours == name || (key.has_plain_variable && ours.strip_prefix(PREFIX) == Some(name))
    })
}
