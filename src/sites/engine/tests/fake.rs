//! An engine in the same process, for tests: it keeps logs as a Redis does, and hangs, lies, forgets, refuses and dies when told.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::Duration;

use super::super::resp::{Input, Value};
use crate::clock::Clock;
use crate::sites::engine_url::EngineUrl;
use crate::sites::entry_id::EntryId;

/// What its clock showed when it began.
const EPOCH_MS: u64 = 1_700_000_000_000;

/// How it misbehaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    #[default]
    Well,
    /// Takes connections and questions, and answers nothing.
    Hangs,
    /// Answers nothing to the client that calls itself so.
    HangsFor(&'static str),
    /// Takes no connection and ends those there are.
    Dead,
    /// Answers this to XADD.
    RefusesNews(&'static str),
    /// Answers that this command is not allowed.
    Forbids(&'static str),
    /// Answers this to everything.
    Says(Vec<u8>),
    /// Answers this to XREAD and XINFO, where they name the log of this key.
    LiesAbout(&'static str, Vec<u8>),
}

#[derive(Debug, Default)]
struct Log {
    entries: Vec<(EntryId, Vec<u8>)>,
    last: EntryId,
    appended: u64,
}

#[derive(Debug, Default)]
struct State {
    mood: Mood,
    logs: BTreeMap<Vec<u8>, Log>,
    connections: Vec<TcpStream>,
    run: u64,
}

/// The engine; clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Fake {
    state: Arc<Mutex<State>>,
    port: u16,
    clock: Clock,
}

impl Fake {
    pub(crate) fn start() -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let fake = Fake {
            state: Arc::default(),
            port: listener.local_addr().unwrap().port(),
            clock: Clock::start(),
        };
        let serving = fake.clone();
        let accept = move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let mut state = serving.state();
                if state.mood == Mood::Dead {
                    continue;
                }
                state.connections.push(stream.try_clone().unwrap());
                drop(state);
                let serving = serving.clone();
                let serve = move || serving.serve(stream);
                drop(Builder::new().spawn(serve).unwrap());
            }
        };
        drop(Builder::new().spawn(accept).unwrap());
        fake
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn url(&self) -> EngineUrl {
        format!("redis://127.0.0.1:{}", self.port).parse().unwrap()
    }

    pub(crate) fn is(&self, mood: Mood) {
        let mut state = self.state();
        if mood == Mood::Dead {
            for stream in state.connections.drain(..) {
                drop(stream.shutdown(Shutdown::Both));
            }
        }
        state.mood = mood;
    }

    /// As a restart without files: all logs are gone.
    pub(crate) fn forget_all(&self) {
        let mut state = self.state();
        state.logs.clear();
        state.run += 1;
        drop(state);
        self.cut();
    }

    /// Ends all connections, and takes new ones.
    pub(in crate::sites) fn cut(&self) {
        for stream in self.state().connections.drain(..) {
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    /// As FLUSHALL: all logs are gone, and no connection notices.
    pub(crate) fn flush(&self) {
        self.state().logs.clear();
    }

    /// Appends as somebody who has the rights of a tracker.
    pub(crate) fn append(&self, key: &str, frame: &[u8]) {
        let now = self.now();
        self.state().append(key.as_bytes(), now, frame.to_vec());
    }

    /// Appends with an id that the appender chose, as XADD lets whoever may append.
    pub(in crate::sites) fn append_at(&self, key: &str, id: EntryId, frame: &[u8]) {
        let mut state = self.state();
        let log = state.logs.entry(key.as_bytes().to_vec()).or_default();
        assert!(id > log.last);
        log.last = id;
        log.appended += 1;
        log.entries.push((id, frame.to_vec()));
    }

    /// Removes one log, as UNLINK does.
    pub(in crate::sites) fn remove(&self, key: &str) {
        self.state().logs.remove(key.as_bytes());
    }

    /// The last id of a log.
    pub(in crate::sites) fn last(&self, key: &str) -> Option<EntryId> {
        self.state().logs.get(key.as_bytes()).map(|log| log.last)
    }

    /// The frames of a log.
    pub(crate) fn frames(&self, key: &str) -> Vec<Vec<u8>> {
        let state = self.state();
        let log = state.logs.get(key.as_bytes());
        log.map_or(Vec::new(), |log| {
            log.entries.iter().map(|(_, frame)| frame.clone()).collect()
        })
    }

    pub(in crate::sites) fn now(&self) -> u64 {
        EPOCH_MS + u64::try_from(self.clock.elapsed().as_millis()).unwrap()
    }

    fn serve(&self, mut stream: TcpStream) {
        let mut input = Input::default();
        let mut name = Vec::new();
        while let Ok(Value::Array(command)) = input.reply(&mut stream) {
            let command: Vec<Vec<u8>> = command.into_iter().filter_map(Value::bulk).collect();
            if let [_, set, new] = command.as_slice()
                && set == b"SETNAME"
            {
                name.clone_from(new);
            }
            let reply = loop {
                let mood = self.state().mood.clone();
                match mood {
                    Mood::Hangs => std::thread::sleep(Duration::from_millis(5)),
                    Mood::HangsFor(client) if name == client.as_bytes() => {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                    Mood::Dead => return,
                    Mood::Says(lie) => break lie,
                    Mood::Well
                    | Mood::HangsFor(_)
                    | Mood::RefusesNews(_)
                    | Mood::Forbids(_)
                    | Mood::LiesAbout(..) => {
                        break self.answer(&command, &mood);
                    }
                }
            };
            if stream.write_all(&reply).is_err() {
                return;
            }
        }
    }

    fn answer(&self, command: &[Vec<u8>], mood: &Mood) -> Vec<u8> {
        let parts: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
        let now = self.now();
        match parts.as_slice() {
            [b"PING"] => b"+PONG\r\n".to_vec(),
            [b"AUTH", ..] | [b"CLIENT", ..] => b"+OK\r\n".to_vec(),
            [b"TIME"] => array(&[bulk((now / 1_000).to_string()), bulk((now % 1_000 * 1_000).to_string())]),
            [b"INFO"] => {
                let run = self.state().run;
                bulk(format!(
                    "redis_version:7.0.15\r\nrun_id:{run}\r\nrole:master\r\nused_memory:1000\r\nmaxmemory:100000\r\nmaxmemory_policy:noeviction\r\n"
                ))
            }
            [b"XADD", ..] if matches!(mood, Mood::RefusesNews(_)) => match mood {
                Mood::RefusesNews(why) => format!("-{why}\r\n").into_bytes(),
                _ => Vec::new(),
            },
            [command, ..] if matches!(mood, Mood::Forbids(forbidden) if forbidden.as_bytes() == *command) => {
                let command = String::from_utf8_lossy(command).to_lowercase();
                format!("-NOPERM this user has no permissions to run the '{command}' command\r\n").into_bytes()
            }
            [b"XADD", key, ..] if self.state().is_exhausted(key) => {
                b"-ERR The stream has exhausted the last possible ID, unable to add more items\r\n".to_vec()
            }
            [b"UNLINK", key] => {
                let removed = self.state().logs.remove(*key);
                format!(":{}\r\n", u8::from(removed.is_some())).into_bytes()
            }
            [b"XADD", key, b"NOMKSTREAM", ..] if self.state().logs.contains_key(*key) => {
                b"-ERR The ID specified in XADD is equal or smaller than the target stream top item\r\n".to_vec()
            }
            [b"XADD", _, b"NOMKSTREAM", ..] => b"$-1\r\n".to_vec(),
            [b"XADD", key, b"MINID", b"~", min, b"*", b"f", frame] => {
                let min: u64 = String::from_utf8_lossy(min).parse().unwrap();
                let mut state = self.state();
                let id = state.append(key, now, frame.to_vec());
                let log = state.logs.get_mut(*key).unwrap();
                log.entries.retain(|(id, _)| id.ms >= min);
                bulk(id.to_string())
            }
            [b"XINFO", b"STREAM", key]
                if matches!(mood, Mood::LiesAbout(about, _) if about.as_bytes() == *key) =>
            {
                match mood {
                    Mood::LiesAbout(_, lie) => lie.clone(),
                    _ => Vec::new(),
                }
            }
            [b"XINFO", b"STREAM", key] => match self.state().logs.get(*key) {
                None => b"-ERR no such key\r\n".to_vec(),
                Some(log) => array(&[
                    bulk("length"),
                    format!(":{}\r\n", log.entries.len()).into_bytes(),
                    bulk("last-generated-id"),
                    bulk(log.last.to_string()),
                    bulk("entries-added"),
                    format!(":{}\r\n", log.appended).into_bytes(),
                ]),
            },
            [b"SCAN", ..] => {
                let state = self.state();
                let keys: Vec<Vec<u8>> = state.logs.keys().map(bulk).collect();
                array(&[bulk("0"), array(&keys)])
            }
            [b"XREAD", rest @ ..] => self.read(rest, mood),
            other => format!("-ERR unknown command {:?}\r\n", other.first()).into_bytes(),
        }
    }

    fn read(&self, parts: &[&[u8]], mood: &Mood) -> Vec<u8> {
        let number = |bytes: &[u8]| String::from_utf8_lossy(bytes).parse::<u64>().unwrap();
        let count = number(parts[1]);
        let block = (parts[2] == b"BLOCK").then(|| number(parts[3]));
        let at = parts.iter().position(|part| *part == b"STREAMS").unwrap() + 1;
        let logs = (parts.len() - at) / 2;
        let (keys, ids) = parts[at..].split_at(logs);
        if let Mood::LiesAbout(key, lie) = mood
            && keys.contains(&key.as_bytes())
        {
            return lie.clone();
        }
        let until = self.clock.elapsed() + Duration::from_millis(block.unwrap_or(0));
        loop {
            let found = self.state().read(keys, ids, count);
            if !found.is_empty() {
                return array(&found);
            }
            if self.clock.elapsed() >= until {
                return b"*-1\r\n".to_vec();
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

const LAST_ID: EntryId = EntryId {
    ms: u64::MAX,
    number: u64::MAX,
};

impl State {
    fn is_exhausted(&self, key: &[u8]) -> bool {
        self.logs.get(key).is_some_and(|log| log.last == LAST_ID)
    }

    fn append(&mut self, key: &[u8], now: u64, frame: Vec<u8>) -> EntryId {
        let log = self.logs.entry(key.to_vec()).or_default();
        let id = if now > log.last.ms {
            EntryId { ms: now, number: 0 }
        } else {
            EntryId {
                ms: log.last.ms,
                number: log.last.number + 1,
            }
        };
        log.last = id;
        log.appended += 1;
        log.entries.push((id, frame));
        id
    }

    fn read(&self, keys: &[&[u8]], ids: &[&[u8]], count: u64) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        for (key, id) in keys.iter().zip(ids) {
            let behind: EntryId = String::from_utf8_lossy(id).parse().unwrap();
            let Some(log) = self.logs.get(*key) else {
                continue;
            };
            let new = log.entries.iter().filter(|(id, _)| *id > behind);
            let new: Vec<Vec<u8>> = new
                .take(usize::try_from(count).unwrap())
                .map(|(id, frame)| array(&[bulk(id.to_string()), array(&[bulk("f"), bulk(frame)])]))
                .collect();
            if !new.is_empty() {
                found.push(array(&[bulk(key), array(&new)]));
            }
        }
        found
    }
}

fn bulk(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [format!("${}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

fn array(parts: &[Vec<u8>]) -> Vec<u8> {
    [format!("*{}\r\n", parts.len()).into_bytes(), parts.concat()].concat()
}
