//! One engine (Redis or Valkey) as a client sees it: connect, log in, append to a log, read logs, ask how it is. The only place that
//! knows its commands.
//!
//! Every call has a deadline of its own and every reply a bound (`wire.rs`, `resp.rs`), which no client library at hand gives both;
//! that is why there is none here. A connection that failed in the middle of a reply is of no more use and is dropped by its owner.

mod resolve;
mod resp;
mod wire;

use std::io::{self, Write};
use std::time::Duration;

use rustls::pki_types::ServerName;

use super::engine_url::EngineUrl;
use super::entry_id::EntryId;
use super::settings::Settings;
use crate::clock::Clock;
use crate::secret::Secret;
use crate::shown::steers;
use resolve::Resolver;
use resp::{Input, Value, write_command};
use wire::Wire;

pub(super) use resp::MAX_BULK;
pub(super) use wire::{Tls, tls};

/// How long an ordinary call may take, and a connection to be made.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// How long a reply may take that keeps coming: megabytes of a log over a slow line.
const LONG_PATIENCE: Duration = Duration::from_secs(10);

/// The field of an entry that holds the frame.
const FIELD: &[u8] = b"f";

/// Longest text of an error that is kept.
const MAX_ERROR: usize = 200;

/// Keys that one question may find.
const MAX_KEYS_FOUND: usize = 4_096;

/// Steps of a search through all keys; what an engine that is full of other things has behind them is not found.
const MAX_SCANS: usize = 200;

/// Why an engine did not do as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum EngineError {
    #[error("no answer in time")]
    TimedOut,
    #[error("the connection was closed")]
    Closed,
    #[error("the connection is refused")]
    Refused,
    #[error("the name has no address")]
    Unresolved,
    #[error("TLS: {0}")]
    Tls(&'static str),
    #[error("{}", .0)]
    System(io::ErrorKind),
    #[error("no reply of the engine's protocol; is it a Redis or Valkey, and without TLS?")]
    NoReply,
    #[error("a reply over a bound")]
    TooLarge,
    #[error("a reply of another shape than the command has")]
    Shape,
    /// The engine's own words.
    #[error("{0}")]
    Says(String),
}

impl EngineError {
    fn of(error: &io::Error) -> EngineError {
        let tls = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(error) = tls {
            return EngineError::Tls(match error {
                rustls::Error::InvalidCertificate(why) => match why {
                    rustls::CertificateError::UnknownIssuer => {
                        "its certificate is not signed by one of ca_file"
                    }
                    rustls::CertificateError::Expired
                    | rustls::CertificateError::ExpiredContext { .. } => {
                        "its certificate has ended"
                    }
                    rustls::CertificateError::NotValidYet
                    | rustls::CertificateError::NotValidYetContext { .. } => {
                        "its certificate has not begun; is the clock right?"
                    }
                    rustls::CertificateError::NotValidForName
                    | rustls::CertificateError::NotValidForNameContext { .. } => {
                        "its certificate is of another name"
                    }
                    _ => "its certificate is not taken",
                },
                rustls::Error::InvalidMessage(_) => "no TLS is spoken there",
                rustls::Error::AlertReceived(_) => {
                    "the engine ends the handshake; does it want a certificate of its clients?"
                }
                _ => "the handshake failed",
            });
        }
        match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => EngineError::TimedOut,
            io::ErrorKind::ConnectionRefused => EngineError::Refused,
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => EngineError::Closed,
            kind => EngineError::System(kind),
        }
    }

    /// Whether the engine answered, and does not want to.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(
            self,
            EngineError::Says(_) | EngineError::Shape | EngineError::Tls(_)
        )
    }

    /// Whether the engine's words begin with this.
    pub(super) fn says(&self, word: &str) -> bool {
        matches!(self, EngineError::Says(text) if text.starts_with(word))
    }
}

/// Where an engine is and how to get in.
#[derive(Debug)]
pub(super) struct Engine {
    pub(super) url: EngineUrl,
    resolver: Resolver,
    tls: Option<Tls>,
    user: Option<String>,
    password: Option<Secret>,
    client_name: String,
}

impl Engine {
    pub(super) fn new(url: &EngineUrl, settings: &Settings, tls: Option<Tls>) -> Engine {
        Engine {
            url: url.clone(),
            resolver: Resolver::new(url.host(), url.port()),
            tls: tls.filter(|_| url.has_tls()),
            user: settings.user.clone(),
            password: settings.password.clone(),
            client_name: format!("retracker-{}", settings.name),
        }
    }

    /// Connects and logs in.
    pub(super) fn connect(&self, clock: Clock) -> Result<Connection, EngineError> {
        let started = clock.elapsed();
        let addresses = self.resolver.addresses(PATIENCE);
        let left = PATIENCE.saturating_sub(clock.elapsed().saturating_sub(started));
        let tls = match (&self.tls, self.url.has_tls()) {
            (Some(tls), true) => {
                let name = ServerName::try_from(self.url.host().to_owned());
                Some((
                    tls,
                    name.map_err(|_| EngineError::Tls("no name for a certificate"))?,
                ))
            }
            (None, true) => return Err(EngineError::Tls("ca_file is missing")),
            (_, false) => None,
        };
        let wire = Wire::open(&addresses, tls, clock, left)?;
        let mut connection = Connection {
            wire,
            input: Input::default(),
            clock,
            rtt: Duration::ZERO,
        };
        if let Some(password) = &self.password {
            let password = password.reveal().as_bytes();
            match &self.user {
                Some(user) => connection.call(&[b"AUTH", user.as_bytes(), password])?,
                None => connection.call(&[b"AUTH", password])?,
            };
        }
        // Helps who looks at the engine's list of clients; an engine may forbid it.
        match connection.call(&[b"CLIENT", b"SETNAME", self.client_name.as_bytes()]) {
            Ok(_) | Err(EngineError::Says(_)) => {}
            Err(error) => return Err(error),
        }
        connection.call(&[b"PING"])?;
        Ok(connection)
    }
}

/// How a log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LogState {
    /// The last entry.
    pub(super) last: EntryId,
    /// Entries that were ever appended; `None` from engines before 7.0.
    pub(super) appended: Option<u64>,
}

/// What an engine says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct EngineNotes {
    /// `redis 7.0.15`
    pub(super) version: String,
    pub(super) run_id: String,
    pub(super) memory: Option<u64>,
    pub(super) max_memory: Option<u64>,
    pub(super) policy: String,
    pub(super) role: String,
    pub(super) is_cluster: bool,
    pub(super) has_aof: bool,
}

/// One log of an answer to [`Connection::read_logs`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LogPart {
    pub(super) key: Vec<u8>,
    /// Each with the frame, where it has one.
    pub(super) entries: Vec<(EntryId, Option<Vec<u8>>)>,
}

/// A connection that is logged in.
#[derive(Debug)]
pub(super) struct Connection {
    wire: Wire,
    input: Input,
    clock: Clock,
    /// How long the last ordinary call took.
    pub(super) rtt: Duration,
}

impl Connection {
    /// Bytes of replies since the connection was made.
    pub(super) fn bytes_read(&self) -> u64 {
        self.input.total
    }

    /// One command and its reply within [`PATIENCE`]; an error that the engine answers is an error.
    fn call(&mut self, command: &[&[u8]]) -> Result<Value, EngineError> {
        let started = self.clock.elapsed();
        self.wire.allow(PATIENCE, PATIENCE);
        self.send(command)?;
        let reply = self.input.reply(&mut self.wire)?;
        self.rtt = self.clock.elapsed().saturating_sub(started);
        said(reply)
    }

    fn send(&mut self, command: &[&[u8]]) -> Result<(), EngineError> {
        let mut bytes = Vec::new();
        write_command(command, &mut bytes);
        self.send_bytes(&bytes)
    }

    fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), EngineError> {
        let sent = self.wire.write_all(bytes).and_then(|()| self.wire.flush());
        sent.map_err(|error| EngineError::of(&error))
    }

    /// The engine's clock, in milliseconds since 1970.
    pub(super) fn time(&mut self) -> Result<u64, EngineError> {
        let reply = self.call(&[b"TIME"])?.array().ok_or(EngineError::Shape)?;
        let number = |value: &Value| value.text().and_then(|text| text.parse::<u64>().ok());
        match reply.as_slice() {
            [seconds, micros] => number(seconds)
                .zip(number(micros))
                .and_then(|(seconds, micros)| {
                    seconds.checked_mul(1_000)?.checked_add(micros / 1_000)
                })
                .ok_or(EngineError::Shape),
            _ => Err(EngineError::Shape),
        }
    }

    /// What it says of itself.
    pub(super) fn notes(&mut self) -> Result<EngineNotes, EngineError> {
        let reply = self.call(&[b"INFO"])?;
        let text = reply.text().ok_or(EngineError::Shape)?;
        let mut notes = EngineNotes::default();
        for (key, value) in text.lines().filter_map(|line| line.split_once(':')) {
            let value = value.trim_end();
            match key {
                "redis_version" if notes.version.is_empty() => {
                    notes.version = format!("redis {}", shown(value, 40));
                }
                "valkey_version" => notes.version = format!("valkey {}", shown(value, 40)),
                "run_id" => notes.run_id = shown(value, 64),
                "used_memory" => notes.memory = value.parse().ok(),
                "maxmemory" => notes.max_memory = value.parse().ok(),
                "maxmemory_policy" => notes.policy = shown(value, 40),
                "role" => notes.role = shown(value, 40),
                "cluster_enabled" => notes.is_cluster = value == "1",
                "aof_enabled" => notes.has_aof = value == "1",
                _ => {}
            }
        }
        Ok(notes)
    }

    /// Appends frames to a log and drops from it what is older than `min_ms`. Returns the last entry. After an error some may have
    /// been appended.
    pub(super) fn append<'a>(
        &mut self,
        key: &str,
        min_ms: u64,
        frames: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Option<EntryId>, EngineError> {
        let (mut bytes, mut number) = (Vec::new(), 0_u32);
        let min_ms = min_ms.to_string();
        for frame in frames {
            let start: [&[u8]; 6] = [
                b"XADD",
                key.as_bytes(),
                b"MINID",
                b"~",
                min_ms.as_bytes(),
                b"*",
            ];
            let [a, b, c, d, e, f] = start;
            write_command(&[a, b, c, d, e, f, FIELD, frame], &mut bytes);
            number += 1;
        }
        let started = self.clock.elapsed();
        self.wire.allow(PATIENCE, PATIENCE);
        self.send_bytes(&bytes)?;
        let (mut last, mut refused) = (None, None);
        for _ in 0..number {
            match said(self.input.reply(&mut self.wire)?) {
                Ok(id) => {
                    let id = id.text().and_then(|id| id.parse().ok());
                    last = Some(id.ok_or(EngineError::Shape)?);
                }
                // All replies are read, so that the connection stays of use.
                Err(error) => refused = Some(error),
            }
        }
        self.rtt = self.clock.elapsed().saturating_sub(started);
        refused.map_or(Ok(last), Err)
    }

    /// Reads up to `count` entries of each log behind a concrete id. Waits up to `wait` for the first when there is none; zero: not
    /// at all.
    pub(super) fn read_logs(
        &mut self,
        logs: &[(&str, EntryId)],
        count: usize,
        wait: Duration,
    ) -> Result<Vec<LogPart>, EngineError> {
        let count = count.to_string();
        let millis = wait.as_millis().to_string();
        let ids: Vec<String> = logs.iter().map(|(_, id)| id.to_string()).collect();
        let mut command: Vec<&[u8]> = vec![b"XREAD", b"COUNT", count.as_bytes()];
        if !wait.is_zero() {
            command.extend([b"BLOCK", millis.as_bytes()]);
        }
        command.push(b"STREAMS");
        command.extend(logs.iter().map(|(key, _)| key.as_bytes()));
        command.extend(ids.iter().map(String::as_bytes));
        self.wire.allow(wait + LONG_PATIENCE, wait + PATIENCE);
        self.send(&command)?;
        match said(self.input.reply(&mut self.wire)?)? {
            Value::Nil => Ok(Vec::new()),
            Value::Array(parts) => parts.into_iter().map(log_part).collect(),
            _ => Err(EngineError::Shape),
        }
    }

    /// How a log is; `None` when there is none.
    pub(super) fn log_state(&mut self, key: &str) -> Result<Option<LogState>, EngineError> {
        let reply = match self.call(&[b"XINFO", b"STREAM", key.as_bytes()]) {
            Err(error) if error.says("ERR no such key") => return Ok(None),
            reply => reply?.array().ok_or(EngineError::Shape)?,
        };
        let (mut last, mut appended) = (None, None);
        let (pairs, _) = reply.as_chunks::<2>();
        for [field, value] in pairs {
            match field.text() {
                Some("last-generated-id") => last = value.text().and_then(|id| id.parse().ok()),
                Some("entries-added") => appended = value.integer(),
                _ => {}
            }
        }
        let last = last.ok_or(EngineError::Shape)?;
        Ok(Some(LogState { last, appended }))
    }

    /// The keys that match a pattern and are logs.
    pub(super) fn find_logs(&mut self, pattern: &str) -> Result<Vec<Vec<u8>>, EngineError> {
        let mut found = Vec::new();
        let mut cursor = "0".to_owned();
        let deadline = self.clock.elapsed() + 2 * PATIENCE;
        for _ in 0..MAX_SCANS {
            let reply = self.call(&[
                b"SCAN",
                cursor.as_bytes(),
                b"MATCH",
                pattern.as_bytes(),
                b"COUNT",
                b"1000",
                b"TYPE",
                b"stream",
            ])?;
            let [next, keys] = <[Value; 2]>::try_from(reply.array().ok_or(EngineError::Shape)?)
                .map_err(|_| EngineError::Shape)?;
            let keys = keys.array().ok_or(EngineError::Shape)?;
            found.extend(keys.into_iter().filter_map(Value::bulk));
            cursor = shown(next.text().ok_or(EngineError::Shape)?, 20);
            let is_late = self.clock.elapsed() >= deadline;
            if cursor == "0" || is_late || found.len() > MAX_KEYS_FOUND {
                break;
            }
        }
        found.truncate(MAX_KEYS_FOUND);
        Ok(found)
    }

    /// Whether this user may append to a log; nothing is appended.
    pub(super) fn may_append(&mut self, key: &str) -> Result<bool, EngineError> {
        // An id that every log has behind it, and no log is made.
        let tried = self.call(&[b"XADD", key.as_bytes(), b"NOMKSTREAM", b"0-1", FIELD, b""]);
        match tried {
            Ok(_) => Ok(true),
            Err(error) if error.says("NOPERM") => Ok(false),
            Err(error) if error.says("ERR The ID specified") => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Removes a log; the engine frees its memory beside its work.
    pub(super) fn remove_log(&mut self, key: &str) -> Result<(), EngineError> {
        self.call(&[b"UNLINK", key.as_bytes()]).map(drop)
    }

    /// Whether this user may remove a log of its own; nothing is removed. Asked of a log that nobody has: who lacks the command is told of
    /// the command, and who has it, of the key.
    pub(super) fn may_remove(&mut self, of_nobody: &str) -> Result<bool, EngineError> {
        match self.call(&[b"UNLINK", of_nobody.as_bytes()]) {
            Ok(_) => Ok(true),
            Err(EngineError::Says(text)) if text.starts_with("NOPERM") => {
                Ok(!text.to_ascii_lowercase().contains("'unlink'"))
            }
            Err(error) => Err(error),
        }
    }
}

fn said(reply: Value) -> Result<Value, EngineError> {
    match reply {
        Value::Error(text) => Err(EngineError::Says(shown(&text, MAX_ERROR))),
        reply => Ok(reply),
    }
}

/// A text of the engine, fit for a line of the log.
fn shown(text: &str, most: usize) -> String {
    let plain = text.chars().take(most);
    plain.map(|c| if steers(c) { ' ' } else { c }).collect()
}

fn log_part(value: Value) -> Result<LogPart, EngineError> {
    let shape = || EngineError::Shape;
    let part = value.array().ok_or_else(shape)?;
    let [key, entries] = <[Value; 2]>::try_from(part).map_err(|_| shape())?;
    let entries = entries.array().ok_or_else(shape)?.into_iter().map(|entry| {
        let entry = entry.array().ok_or_else(shape)?;
        let [id, fields] = <[Value; 2]>::try_from(entry).map_err(|_| shape())?;
        let id = id.text().and_then(|id| id.parse().ok()).ok_or_else(shape)?;
        // An entry that was deleted has no fields.
        let mut fields = fields.array().unwrap_or_default().into_iter();
        let frame = match (fields.next(), fields.next()) {
            (Some(Value::Bulk(name)), Some(Value::Bulk(frame))) if name == FIELD => Some(frame),
            _ => None,
        };
        Ok((id, frame))
    });
    Ok(LogPart {
        key: key.bulk().ok_or_else(shape)?,
        entries: entries.collect::<Result<_, EngineError>>()?,
    })
}

#[cfg(test)]
pub(super) mod tests;
