//! A scenario: a script with what happens in it, what a good client does, and how that is seen from outside.

use std::time::Duration;

use super::document::{Fault, Table};
use super::script::Script;
use crate::lab::exchange::Transport;

/// Something that a tracker does to a client.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// The name of its file, without the end.
    pub name: String,
    /// One sentence: what happens.
    pub what: String,
    /// One sentence: what a good client does.
    pub good: String,
    /// BEP and section, another standard, or `practice`.
    pub source: String,
    /// For how long it is watched after its first request, in seconds: what does not come by then is not seen.
    pub seconds: u16,
    /// The tiers of the torrent's announce list (BEP 12).
    pub trackers: Vec<Vec<Tracker>>,
    /// What the first tracker does; the second one always behaves.
    pub script: Script,
    /// What is expected. Besides: that the client lives, and ends when it is told to.
    pub expect: Vec<Expectation>,
}

/// A tracker of the torrent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tracker {
    /// Whether it is the second one, which behaves.
    pub is_second: bool,
    /// By what it is announced to.
    pub transport: Transport,
}

/// A peer that listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// In the answers of the first tracker.
    Planted,
    /// In answers that must not be believed.
    Decoy,
    /// In the answers of the second tracker.
    Second,
}

/// What is expected of a client, as far as it is seen from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// It connects to this peer.
    Connects(Listener),
    /// It does not connect to this peer.
    Avoids(Listener),
    /// It asks the first tracker so many times at most (stops left aside).
    AnnouncesAtMost(u32),
    /// It does not come again to the first tracker for so long after the first answer (stops left aside).
    NotBefore(Duration),
    /// It sends so many requests of any kind to the first tracker at most.
    RequestsAtMost(u32),
    /// It comes again to the first tracker.
    ComesAgain,
    /// It announces to the second tracker.
    FallsBack,
    /// It asks for this path.
    Follows(String),
    /// It connects anew over UDP after an answer to its announce, or after none.
    Reconnects,
    /// One of these.
    Any(Vec<Expectation>),
}

const SECONDS: u32 = 12;
const LONGEST: u32 = 600;

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    /// Names file, line and key of what is wrong.
    pub fn parse(name: &str, text: &str) -> Result<Scenario, Fault> {
        let mut document = Table::of_document(&format!("{name}.toml"), text)?;
        let right = "\"http\", \"https\", \"udp\", or one of them behind \"second \"";
        let first = Tracker {
            is_second: false,
            transport: Transport::Http,
        };
        let what = document.needed_text("what")?;
        let good = document.needed_text("good")?;
        let source = document.needed_text("source")?;
        let seconds = document.count("seconds", 1..=LONGEST)?.unwrap_or(SECONDS);
        let trackers = document.lists("trackers", right, Tracker::named)?;
        let script = Script::read(&mut document)?;
        let expect = document.tables("expect")?;
        let expect = expect
            .into_iter()
            .map(Expectation::read)
            .collect::<Result<Vec<_>, _>>()?;
        document.end()?;
        if expect.is_empty() {
            return Err(document.fault_here("no [[expect]]: what is seen of a good client?"));
        }
        Ok(Scenario {
            name: name.to_owned(),
            what,
            good,
            source,
            seconds: u16::try_from(seconds).unwrap_or_default(),
            trackers: trackers.unwrap_or_else(|| vec![vec![first]]),
            script,
            expect,
        })
    }

    /// Whether the torrent has the second tracker, or is led there.
    pub fn has_second(&self) -> bool {
        use super::act::Redirect;
        let mut trackers = self.trackers.iter().flatten();
        let mut steps = self.script.steps.iter();
        trackers.any(|tracker| tracker.is_second)
            || steps.any(|step| {
                matches!(
                    step.then.http.redirect,
                    Some(Redirect::Second | Redirect::Udp)
                )
            })
    }

    /// Whether the only peers that it tells of are of IPv6.
    pub fn is_of_v6(&self) -> bool {
        use super::act::{Peer, PeersForm};
        self.script.steps.iter().any(|step| {
            let content = &step.then.content;
            content.form == PeersForm::Peers6Only
                || content.peers.as_deref() == Some(&[Peer::PlantedV6])
        })
    }

    /// Whether one of the torrent's trackers has this transport.
    pub fn has(&self, transport: Transport) -> bool {
        self.trackers
            .iter()
            .flatten()
            .any(|tracker| tracker.transport == transport)
    }
}

impl Tracker {
    fn named(name: &str) -> Option<Tracker> {
        let (is_second, transport) = match name.strip_prefix("second ") {
            Some(transport) => (true, transport),
            None => (false, name),
        };
        let transport = match transport {
            "http" => Transport::Http,
            "https" => Transport::Https,
            "udp" => Transport::Udp,
            _ => return None,
        };
        Some(Tracker {
            is_second,
            transport,
        })
    }
}

impl Listener {
    /// As scenarios call it.
    pub fn name(self) -> &'static str {
        match self {
            Listener::Planted => "planted",
            Listener::Decoy => "decoy",
            Listener::Second => "second",
        }
    }
}

const LISTENERS: &[(&str, Listener)] = &[
    ("planted", Listener::Planted),
    ("decoy", Listener::Decoy),
    ("second", Listener::Second),
];

impl Expectation {
    fn read(mut table: Table) -> Result<Expectation, Fault> {
        let mut found = Vec::new();
        found.extend(
            table
                .choice("connects", LISTENERS)?
                .map(Expectation::Connects),
        );
        found.extend(table.choice("avoids", LISTENERS)?.map(Expectation::Avoids));
        let most = 0..=1_000_000;
        let announces = table.count("announces_at_most", most.clone())?;
        found.extend(announces.map(Expectation::AnnouncesAtMost));
        found.extend(
            table
                .count("requests_at_most", most)?
                .map(Expectation::RequestsAtMost),
        );
        found.extend(table.seconds("not_before")?.map(Expectation::NotBefore));
        found.extend(table.text("follows")?.map(Expectation::Follows));
        for (key, expectation) in [
            ("comes_again", Expectation::ComesAgain),
            ("falls_back", Expectation::FallsBack),
            ("reconnects", Expectation::Reconnects),
        ] {
            if table.flag(key)? {
                found.push(expectation);
            }
        }
        let any = table.tables("any")?;
        if !any.is_empty() {
            let any = any
                .into_iter()
                .map(Expectation::read)
                .collect::<Result<_, _>>()?;
            found.push(Expectation::Any(any));
        }
        table.end()?;
        match found.pop() {
            Some(one) if found.is_empty() => Ok(one),
            Some(_) => Err(table.fault_here("one expectation each: make two [[expect]]")),
            None => Err(table.fault_here("nothing is expected")),
        }
    }

    /// In words, as a good client does it.
    pub fn words(&self) -> String {
        match self {
            Expectation::Connects(peer) => format!("connects to the {} peer", peer.name()),
            Expectation::Avoids(peer) => format!("does not connect to the {} peer", peer.name()),
            Expectation::AnnouncesAtMost(most) => format!("announces {most} times at most"),
            Expectation::RequestsAtMost(most) => format!("sends {most} requests at most"),
            Expectation::NotBefore(time) => {
                format!("does not come again for {} s", time.as_secs())
            }
            Expectation::ComesAgain => "comes again".to_owned(),
            Expectation::FallsBack => "announces to the second tracker".to_owned(),
            Expectation::Follows(path) => format!("asks for {path}"),
            Expectation::Reconnects => "connects anew".to_owned(),
            Expectation::Any(any) => {
                let words: Vec<String> = any.iter().map(Expectation::words).collect();
                words.join(", or ")
            }
        }
    }

    /// Whether it speaks of all the time that a client is watched, so that it is known at the end only.
    pub fn is_of_the_whole_time(&self) -> bool {
        match self {
            Expectation::Avoids(_)
            | Expectation::AnnouncesAtMost(_)
            | Expectation::RequestsAtMost(_)
            | Expectation::NotBefore(_) => true,
            Expectation::Connects(_)
            | Expectation::ComesAgain
            | Expectation::FallsBack
            | Expectation::Follows(_)
            | Expectation::Reconnects => false,
            Expectation::Any(any) => any.iter().any(Expectation::is_of_the_whole_time),
        }
    }
}
