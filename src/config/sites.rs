//! What is said of other sites becomes the settings of the part that speaks with them, or a precise error.

use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::list::entries;
use super::problem::{Locations, Problem, named};
use super::value::Slot;
use crate::secret::Secret;
use crate::sites::{EngineUrl, MAX_ENGINES, Settings, SiteName};

/// What is read of a file with a password at most.
const MAX_PASSWORD_BYTES: usize = 1_024;

/// What is said in `[SITES]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteSources {
    /// What this tracker is called (`name`).
    pub name: Option<SiteName>,
    /// The engines, the nearest first (`engines`); none: there are no other sites.
    pub engines: Vec<EngineUrl>,
    /// Which network of trackers (`network`).
    pub network: SiteName,
    /// As whom (`user`); `None` for the engine's default user.
    pub user: Option<EngineUser>,
    /// Where the password is (`password_file`).
    pub password_file: Option<PathBuf>,
    /// Whose certificates are believed (`ca_file`).
    pub ca_file: Option<PathBuf>,
    /// Whether the blocklist is shared (`blocklist`).
    pub share_blocklist: bool,
}

/// The name of a user of an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineUser(String);

impl FromStr for EngineUser {
    type Err = ();

    fn from_str(text: &str) -> Result<EngineUser, ()> {
        let is_plain = |byte: u8| byte.is_ascii_graphic();
        (text.len() <= 128 && text.bytes().all(is_plain))
            .then(|| EngineUser(text.to_owned()))
            .ok_or(())
    }
}

impl std::fmt::Display for EngineUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Default for SiteSources {
    fn default() -> SiteSources {
        SiteSources {
            name: None,
            engines: Vec::new(),
            network: default_network(),
            user: None,
            password_file: None,
            ca_file: None,
            share_blocklist: true,
        }
    }
}

impl SiteSources {
    /// The files that are read for it.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        let files = [&self.password_file, &self.ca_file];
        let files = files.into_iter().filter(|_| !self.engines.is_empty());
        files.filter_map(|file| file.as_deref())
    }

    /// The settings that come of it; `None` where there are no other sites.
    pub(super) fn settings(
        &self,
        read_file: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
        locations: &Locations,
        problems: &mut Vec<Problem>,
    ) -> Option<Settings> {
        let location = |key| named(locations, "SITES", key);
        let first = self.engines.first()?;
        let before = problems.len();
        let Some(name) = self.name.clone() else {
            let location = location("engines");
            problems.push(Problem(format!(
                "{location} = `{first}`: [SITES] name is missing: what this tracker is called among the others"
            )));
            return None;
        };
        let tls = self.engines.iter().find(|engine| engine.has_tls());
        if let Some(engine) = tls.filter(|_| self.ca_file.is_none()) {
            let location = location("engines");
            problems.push(Problem(format!(
                "{location} = `{engine}`: [SITES] ca_file is missing: whose certificates are believed; those of the system are not"
            )));
        }
        let mut read = |key, file: &Path| {
            let read = read_file(file).map_err(|error| format!("cannot be read: {error}"));
            let fault = |fault: &String| {
                let text = format!("{} = `{}`: {fault}", location(key), file.display());
                problems.push(Problem(text));
            };
            read.inspect_err(fault).ok()
        };
        let password = self.password_file.as_deref().map(|file| {
            let bytes = read("password_file", file)?;
            Some((file, password(&bytes)))
        });
        // That it is there; what is in it is looked at when it is needed.
        if let Some(file) = &self.ca_file {
            read("ca_file", file);
        }
        let password = password.flatten().and_then(|(file, password)| {
            if password.is_none() {
                let location = location("password_file");
                problems.push(Problem(format!(
                    "{location} = `{}`: expected one line of text, the password",
                    file.display()
                )));
            }
            password
        });
        (problems.len() == before).then(|| Settings {
            user: self.user.as_ref().map(ToString::to_string),
            password,
            ca_file: self.ca_file.clone(),
            share_blocklist: self.share_blocklist,
            ..Settings::new(name, self.network.clone(), self.engines.clone())
        })
    }

    /// What makes no sense together.
    pub(super) fn check(&self, locations: &Locations, warnings: &mut Vec<String>) {
        let location = |key| named(locations, "SITES", key);
        if self.engines.is_empty() {
            let given = [
                ("name", self.name.is_some()),
                ("user", self.user.is_some()),
                ("password_file", self.password_file.is_some()),
                ("ca_file", self.ca_file.is_some()),
            ];
            if let Some((key, _)) = given.into_iter().find(|(_, is_given)| *is_given) {
                let location = location(key);
                warnings.push(format!(
                    "{location} has no effect while there are no engines: this tracker is alone"
                ));
            }
            return;
        }
        if self.user.is_some() && self.password_file.is_none() {
            let location = location("user");
            warnings.push(format!(
                "{location} has no effect without password_file: nobody logs in without a password"
            ));
        }
        let is_here = |host: &str| {
            let ip = host.parse::<std::net::IpAddr>();
            host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
        };
        let open = self
            .engines
            .iter()
            .find(|engine| !engine.has_tls() && !is_here(engine.host()));
        if let Some(engine) = open.filter(|_| self.password_file.is_some()) {
            let location = location("engines");
            warnings.push(format!(
                "{location}: the password goes to {engine} unencrypted; rediss:// with ca_file encrypts it"
            ));
        }
    }
}

/// The network where none is named.
#[expect(
    clippy::expect_used,
    reason = "a constant that is a name, as a test shows"
)]
fn default_network() -> SiteName {
    "retracker".parse().expect("it is a name")
}

/// The one line of a file, without its end.
fn password(bytes: &[u8]) -> Option<Secret> {
    let text = std::str::from_utf8(bytes)
        .ok()?
        .trim_end_matches(['\n', '\r']);
    let is_line = !text.is_empty() && text.len() <= MAX_PASSWORD_BYTES;
    (is_line && !text.contains(char::is_control)).then(|| Secret::new(text))
}

/// The engines.
pub(super) struct EngineList<'a>(pub &'a mut Vec<EngineUrl>);

impl Slot for EngineList<'_> {
    fn read(&mut self, text: &str) -> Result<(), String> {
        let mut engines: Vec<EngineUrl> = Vec::new();
        for entry in entries(text) {
            let engine: EngineUrl = entry
                .parse()
                .map_err(|error| format!("`{}`: {error}", self.shown(entry)))?;
            if engines.contains(&engine) {
                return Err(format!("{engine} stands there twice"));
            }
            engines.push(engine);
        }
        if engines.len() > MAX_ENGINES {
            return Err(format!("at most {MAX_ENGINES} engines"));
        }
        *self.0 = engines;
        Ok(())
    }

    fn shown(&self, text: &str) -> String {
        let entries = entries(text).map(without_secrets);
        entries.collect::<Vec<_>>().join(" ")
    }

    fn write(&self) -> String {
        let engines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        engines.join(" ")
    }

    fn expects(&self) -> String {
        format!(
            "1 to {MAX_ENGINES} engines, as redis://e1.example:6379 rediss://e2.example, or nothing"
        )
    }

    fn may_be_empty(&self) -> bool {
        true
    }
}

/// What may be shown of an address that somebody may have written a password into, be it with a blank in it: what is no address of an
/// engine up to its host is left out.
fn without_secrets(entry: &str) -> String {
    let (scheme, rest) = match entry.split_once("://") {
        Some((scheme @ ("redis" | "rediss" | "http" | "https"), rest)) => (scheme, rest),
        _ => ("", entry),
    };
    let separator = if scheme.is_empty() { "" } else { "://" };
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}{separator}…@{host}"),
        // The beginning of a password with a blank would stand where a port does.
        None if format!("redis://{rest}").parse::<EngineUrl>().is_err() => {
            match rest.split_once(':') {
                Some((host, port)) if !port.bytes().all(|byte| byte.is_ascii_digit()) => {
                    format!("{scheme}{separator}{host}:…")
                }
                _ => entry.to_owned(),
            }
        }
        None => entry.to_owned(),
    }
}

/// What trackers or networks of them are called.
pub(super) struct Name<'a>(pub &'a mut SiteName);

impl Slot for Name<'_> {
    fn read(&mut self, text: &str) -> Result<(), String> {
        *self.0 = text.parse().map_err(|error| format!("{error}"))?;
        Ok(())
    }

    fn write(&self) -> String {
        self.0.to_string()
    }

    fn expects(&self) -> String {
        NAME.to_owned()
    }
}

/// What a name may be.
pub(super) const NAME: &str = "1 to 32 of a-z, 0-9, - and _, the first a letter or digit";
