//! Tries the engines as a tracker would, and says in words what is wrong: `retracker sites check`. Appends nothing.

use std::time::Duration;

use super::engine::{Connection, Engine, EngineError, EngineNotes};
use super::engine_time::EngineTime;
use super::name::{Keys, SiteName};
use super::settings::Settings;
use crate::clock::Clock;

/// How far the engine's clock may be from ours without a word.
const CLOCK_DIFFERENCE_MS: i64 = 5_000;

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grade {
    /// As it should be.
    Good,
    /// It works, and something is to be thought about.
    Doubtful,
    /// It does not work.
    Bad,
}

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The engine that it is about; `None` for the settings.
    pub engine: Option<String>,
    /// How grave it is.
    pub grade: Grade,
    /// What was found, as a sentence.
    pub text: String,
}

/// Tries everything; takes some seconds at the longest.
pub fn check(settings: &Settings, clock: Clock) -> Vec<Finding> {
    let engines = match super::engines(settings) {
        Ok(engines) => engines,
        Err(error) => {
            return vec![Finding {
                engine: None,
                grade: Grade::Bad,
                text: error.to_string(),
            }];
        }
    };
    let tried = engines.iter().map(|engine| {
        let mut findings = Findings {
            engine: engine.url.to_string(),
            all: Vec::new(),
        };
        if let Err(error) = findings.try_engine(engine, settings, clock) {
            findings.add(Grade::Bad, in_words(&error, engine, settings));
        }
        findings.all
    });
    tried.flatten().collect()
}

/// What an error means to whoever has to mend it.
fn in_words(error: &EngineError, engine: &Engine, settings: &Settings) -> String {
    let user = settings.user.as_deref().unwrap_or("default");
    match error {
        EngineError::Unresolved => format!("the name {} has no address", engine.url.host()),
        EngineError::Refused => "nothing listens there, or a firewall refuses".into(),
        EngineError::TimedOut if engine.url.has_tls() => {
            "no answer within a second: a firewall, an engine that hangs, or a port without TLS".into()
        }
        EngineError::TimedOut => "no answer within a second: a firewall, or an engine that hangs".into(),
        EngineError::Closed if engine.url.has_tls() => "the connection is closed in the handshake: does TLS listen on this port?".into(),
        EngineError::Closed => "the connection is closed at once: does this port want TLS (rediss://)?".into(),
        error if error.says("WRONGPASS") => format!("the user {user} or its password is wrong"),
        error if error.says("NOAUTH") => "a password is wanted: set user and password_file".into(),
        error if error.says("ERR AUTH") => "a password is set here, and the engine has none for its default user".into(),
        error if error.says("NOPERM") => format!("the user {user} lacks a right: {error}"),
        error if error.says("DENIED") => "the engine is in protected mode: it serves its own machine only until it has a password".into(),
        error if error.says("ERR The stream has exhausted") => {
            format!("the log of {} has no ids left: it takes nothing more until it is removed", settings.name)
        }
        error if error.says("LOADING") => "the engine is still reading its files; try again".into(),
        error => error.to_string(),
    }
}

struct Findings {
    engine: String,
    all: Vec<Finding>,
}

impl Findings {
    fn add(&mut self, grade: Grade, text: impl Into<String>) {
        self.all.push(Finding {
            engine: Some(self.engine.clone()),
            grade,
            text: text.into(),
        });
    }

    fn try_engine(
        &mut self,
        engine: &Engine,
        settings: &Settings,
        clock: Clock,
    ) -> Result<(), EngineError> {
        let mut connection = engine.connect(clock)?;
        let rtt = connection.rtt;
        let way = match (engine.url.has_tls(), &settings.password) {
            (true, Some(_)) => "over TLS, logged in",
            (true, None) => "over TLS, without a login",
            (false, Some(_)) => "without TLS, logged in",
            (false, None) => "without TLS and without a login",
        };
        self.add(
            Grade::Good,
            format!("reached {way}; it answers within {} ms", millis(rtt)),
        );
        if !engine.url.has_tls() && !is_near(engine.url.host()) {
            let text = "neither the password nor what is told is encrypted on the way: rediss:// and ca_file do that";
            self.add(Grade::Doubtful, text);
        }
        let notes = connection.notes()?;
        self.judge(&notes);
        let asked = clock.elapsed();
        let engine_ms = connection.time()?;
        let time = EngineTime::measured(engine_ms, asked, clock.elapsed());
        let ahead = time.ahead_of(clock.elapsed(), clock.wall());
        if ahead.abs() > CLOCK_DIFFERENCE_MS {
            let text = format!(
                "its clock and this machine's differ by {} s; no peer is older or younger for that, since ages go by the engine's clock, but one of the two is wrong",
                ahead / 1_000
            );
            self.add(Grade::Doubtful, text);
        } else {
            self.add(Grade::Good, "its clock agrees with this machine's");
        }
        self.try_rights(&mut connection, settings)
    }

    fn judge(&mut self, notes: &EngineNotes) {
        let version = &notes.version;
        let number = version.split_once(' ').map_or("", |(_, number)| number);
        let major: u32 = number
            .split('.')
            .next()
            .and_then(|part| part.parse().ok())
            .unwrap_or(0);
        if major >= 7 {
            self.add(Grade::Good, format!("it is {version}"));
        } else {
            let text =
                format!("it is {version}; 7.0 or newer is needed to notice each loss of a log");
            self.add(Grade::Doubtful, text);
        }
        if notes.is_cluster {
            self.add(
                Grade::Bad,
                "it is part of a cluster; a server of its own is needed",
            );
        }
        if notes.role != "master" && !notes.role.is_empty() {
            self.add(Grade::Bad, "it is a replica, which takes nothing");
        }
        let max_memory = notes.max_memory.unwrap_or(0);
        if !notes.policy.is_empty() && notes.policy != "noeviction" {
            let text = format!(
                "maxmemory-policy is {}: it would throw logs away; noeviction is right",
                notes.policy
            );
            self.add(Grade::Bad, text);
        } else if max_memory == 0 {
            let text = "maxmemory is not set: the engine may take all memory of its machine";
            self.add(Grade::Doubtful, text);
        } else {
            self.add(Grade::Good, "maxmemory is set, and nothing is thrown away");
        }
        if let (Some(memory), 1..) = (notes.memory, max_memory)
            && memory > max_memory / 10 * 8
        {
            self.add(
                Grade::Doubtful,
                "more than four fifths of its memory are used",
            );
        }
    }

    /// What this tracker has to be able to do, and what it should not.
    fn try_rights(
        &mut self,
        connection: &mut Connection,
        settings: &Settings,
    ) -> Result<(), EngineError> {
        let keys = Keys::new(&settings.network);
        let (name, own) = (&settings.name, keys.stream(&settings.name));
        let found = connection.find_logs(&keys.pattern())?;
        let others = found
            .iter()
            .filter_map(|key| keys.owner(key))
            .filter(|other| other != name);
        let others: Vec<String> = others.map(|other| other.to_string()).collect();
        let text = match others.len() {
            0 => "no other tracker has a log there yet".to_owned(),
            1..=8 => format!("other trackers have logs there: {}", others.join(", ")),
            number => format!("{number} other trackers have logs there"),
        };
        self.add(Grade::Good, text);
        let Some(stranger) = stranger(name) else {
            return Ok(());
        };
        let foreign = keys.stream(&stranger);
        connection.read_logs(
            &[(&foreign, super::entry_id::EntryId::default())],
            1,
            Duration::ZERO,
        )?;
        if connection.may_remove(&foreign)? {
            self.add(Grade::Good, format!("the log of {name} can be begun anew"));
        } else {
            let text = format!(
                "the log of {name} may not be removed: if it ever runs ahead of the engine's clock, this tracker cannot begin it anew; allow +unlink"
            );
            self.add(Grade::Doubtful, text);
        }
        let engine_ms = connection.time()?;
        let state = connection.log_state(&own)?;
        if let Some(ahead_ms) = state.and_then(|state| state.last.ahead_of(engine_ms)) {
            let text = format!(
                "the log of {name} is {} ahead of the engine's clock: nothing in it is ever dropped; a running tracker that may remove it begins it anew",
                super::entry_id::in_words(ahead_ms)
            );
            self.add(Grade::Bad, text);
        }
        if connection.may_append(&own)? {
            self.add(
                Grade::Good,
                format!("the log of {name} can be written, and the others' can be read"),
            );
        } else {
            let text = format!(
                "the log of {name} ({own}) may not be written: is the name right, and does the rule of access name this key?"
            );
            self.add(Grade::Bad, text);
        }
        match connection.may_append(&foreign) {
            Ok(false) => self.add(Grade::Good, "the logs of others may not be written"),
            Ok(true) => {
                let text = "the logs of others may be written too: whoever has this password can speak for every tracker; give each a user of its own";
                self.add(Grade::Doubtful, text);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// A name that no tracker is likely to have.
fn stranger(name: &SiteName) -> Option<SiteName> {
    let stranger = if name.as_str() == "0-check" {
        "1-check"
    } else {
        "0-check"
    };
    stranger.parse().ok()
}

fn is_near(host: &str) -> bool {
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

fn millis(time: Duration) -> u128 {
    time.as_micros().div_ceil(1_000)
}
