//! What was seen of a client, and what that says of what was expected. What cannot be seen is said so, and judged neither way.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::lab::exchange::{Body, Event, Exchange};
use crate::lab::misbehave::scenario::{Expectation, Listener};
use crate::lab::reading::Reading;

/// What was seen from outside.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// At the tracker that misbehaves.
    pub(super) first: Vec<Contact>,
    /// At the tracker that behaves.
    pub(super) second: Vec<Contact>,
    /// Connections to the peers that listen.
    pub(super) connections: BTreeMap<&'static str, u32>,
    /// For how long it was watched since its first request.
    pub(super) watched: Duration,
    /// For how long what it does is counted; a patient watch is longer.
    pub(super) counted: Duration,
    /// How it ended, where that was wrong.
    pub(super) end: Option<String>,
    /// Whether a TCP connection came to a tracker, with a request or without: who trusts no certificate asks nothing.
    pub(super) has_connected: bool,
}

/// A request as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Contact {
    pub(super) at: Duration,
    /// How long its answer took.
    pub(super) took: Duration,
    pub(super) kind: Kind,
    pub(super) path: String,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An announce that is no `stopped`.
    Announce,
    Stopped,
    Scrape,
    Connect,
    Other,
}

/// What is said of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// As a good client does.
    Right,
    /// Otherwise, and how.
    Wrong(String),
    /// Why it cannot be said.
    Unseen(String),
}

/// What the controls, where the tracker behaves, have shown of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Abilities {
    /// It announces over UDP.
    pub(super) speaks_udp: bool,
    /// It connects to the peers that listen.
    pub(super) connects: bool,
    /// It connects to one over IPv6.
    pub(super) connects_v6: bool,
}

impl Abilities {
    /// As if it could everything: what is assumed where controls are run.
    pub(super) const ALL: Abilities = Abilities {
        speaks_udp: true,
        connects: true,
        connects_v6: true,
    };
}

impl Contact {
    pub(super) fn of(exchange: &Exchange) -> Contact {
        let request = &exchange.request;
        let kind = match Reading::of(request) {
            Reading::Announce(announce) if announce.event == "stopped" => Kind::Stopped,
            Reading::Announce(_) => Kind::Announce,
            Reading::Scrape(_) => Kind::Scrape,
            Reading::Connect(_) => Kind::Connect,
            Reading::Other => Kind::Other,
        };
        let path = match &request.body {
            Body::Http(head) => String::from_utf8_lossy(&head.path).into_owned(),
            Body::Datagram(_) | Body::Unreadable(_) => String::new(),
        };
        Contact {
            at: request.at.real,
            took: exchange.answer.took,
            kind,
            path,
        }
    }
}

impl Seen {
    /// Notes what happened at a tracker.
    pub(super) fn note(&mut self, event: &Event, is_second: bool) {
        match event {
            Event::Exchange(exchange) => {
                let contacts = if is_second {
                    &mut self.second
                } else {
                    &mut self.first
                };
                if contacts.len() < MOST_CONTACTS {
                    contacts.push(Contact::of(exchange));
                }
            }
            Event::Connected { .. } => self.has_connected = true,
            Event::Disconnected { .. } => {}
        }
    }

    /// Whether it has come to any tracker.
    pub(super) fn has_come(&self) -> bool {
        !self.first.is_empty() || !self.second.is_empty() || self.has_connected
    }

    fn announces(&self) -> impl Iterator<Item = &Contact> {
        self.first
            .iter()
            .filter(|contact| contact.kind == Kind::Announce)
    }

    fn connections(&self, listener: Listener) -> u32 {
        self.connections
            .get(listener.name())
            .copied()
            .unwrap_or_default()
    }

    /// What is said of an expectation.
    pub(super) fn judge(&self, expectation: &Expectation, can: Abilities) -> Verdict {
        let seconds = self.watched.as_secs();
        if !self.has_come() {
            return Verdict::Unseen("it asks no tracker here".to_owned());
        }
        match expectation {
            Expectation::Connects(listener) => match self.connections(*listener) {
                0 if !can.connects => Verdict::Unseen(NO_PEERS.to_owned()),
                0 => Verdict::Wrong(format!(
                    "no connection to the {} peer within {seconds} s",
                    listener.name()
                )),
                _ => Verdict::Right,
            },
            Expectation::Avoids(listener) => match self.connections(*listener) {
                0 if !can.connects => Verdict::Unseen(NO_PEERS.to_owned()),
                0 => Verdict::Right,
                count => Verdict::Wrong(format!(
                    "believes the answer: connections to the {} peer: {count}",
                    listener.name()
                )),
            },
            Expectation::AnnouncesAtMost(most) => at_most(
                self.counted(self.announces()),
                *most,
                "announces",
                self.counted,
            ),
            Expectation::RequestsAtMost(most) => at_most(
                self.counted(self.first.iter()),
                *most,
                "requests",
                self.counted,
            ),
            Expectation::NotBefore(time) => self.not_before(*time),
            Expectation::ComesAgain => match self.announces().nth(1) {
                Some(_) => Verdict::Right,
                None => Verdict::Unseen(format!("does not come again within {seconds} s")),
            },
            Expectation::FallsBack => self.falls_back(),
            Expectation::Follows(path) => match self.first.iter().find(|seen| seen.path == *path) {
                Some(_) => Verdict::Right,
                None => Verdict::Wrong(format!("does not follow within {seconds} s")),
            },
            Expectation::Reconnects => {
                let mut later = self
                    .first
                    .iter()
                    .skip_while(|seen| seen.kind != Kind::Announce);
                match later.find(|seen| seen.kind == Kind::Connect) {
                    Some(_) => Verdict::Right,
                    None => Verdict::Unseen(format!("does not come again within {seconds} s")),
                }
            }
            Expectation::Any(any) => one_of(any.iter().map(|one| self.judge(one, can))),
        }
    }

    /// How many came within the time that is counted.
    fn counted<'c>(&self, contacts: impl Iterator<Item = &'c Contact>) -> usize {
        let begin = self.first.iter().map(|contact| contact.at).min();
        let end = begin.unwrap_or_default() + self.counted;
        contacts.filter(|contact| contact.at <= end).count()
    }

    fn not_before(&self, time: Duration) -> Verdict {
        let mut announces = self.announces();
        let Some(first) = announces.next() else {
            return Verdict::Unseen("it announces nothing to the first tracker".to_owned());
        };
        let answered = first.at + first.took;
        match announces.next() {
            Some(second) if second.at < answered + time => {
                let gap = second.at.saturating_sub(answered);
                Verdict::Wrong(format!("comes again after {:.1} s", gap.as_secs_f64()))
            }
            Some(_) => Verdict::Right,
            None if self.watched >= time => Verdict::Right,
            None => Verdict::Unseen(format!("watched for {} s only", self.watched.as_secs())),
        }
    }

    fn falls_back(&self) -> Verdict {
        let has_announced = |contact: &&Contact| contact.kind == Kind::Announce;
        if self.second.iter().any(|contact| has_announced(&contact)) {
            return Verdict::Right;
        }
        let asked = self.announces().count();
        let seconds = self.watched.as_secs();
        if asked >= OFTEN {
            Verdict::Wrong(format!(
                "asks the first tracker {asked} times in {seconds} s, and never the second"
            ))
        } else {
            Verdict::Unseen(format!(
                "does not come to the second tracker within {seconds} s"
            ))
        }
    }
}

/// What a client that asks on and on is remembered by.
const MOST_CONTACTS: usize = 10_000;
/// Who has asked the first tracker so often, and no other, will not fall back.
const OFTEN: usize = 4;
pub(super) const NO_PEERS: &str =
    "it connects to no peer here at all, not even where the tracker behaves (see --peer-address)";

fn at_most(count: usize, most: u32, of: &str, time: Duration) -> Verdict {
    if u32::try_from(count).is_ok_and(|count| count <= most) {
        Verdict::Right
    } else {
        Verdict::Wrong(format!("{count} {of} in {} s", time.as_secs()))
    }
}

/// The best of several.
fn one_of(verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    let verdicts: Vec<Verdict> = verdicts.collect();
    if verdicts.contains(&Verdict::Right) {
        return Verdict::Right;
    }
    let is_unseen = |verdict: &&Verdict| matches!(verdict, Verdict::Unseen(_));
    if let Some(unseen) = verdicts.iter().find(is_unseen) {
        return unseen.clone();
    }
    let words: Vec<String> = verdicts
        .into_iter()
        .filter_map(|verdict| match verdict {
            Verdict::Wrong(how) => Some(how),
            Verdict::Right | Verdict::Unseen(_) => None,
        })
        .collect();
    Verdict::Wrong(words.join("; "))
}

/// The worst of all: wrong before unseen before right.
pub(super) fn all_of<'v>(verdicts: impl Iterator<Item = &'v Verdict>) -> Verdict {
    let mut worst = Verdict::Right;
    for verdict in verdicts {
        match (&worst, verdict) {
            (Verdict::Wrong(_), _)
            | (_, Verdict::Right)
            | (Verdict::Unseen(_), Verdict::Unseen(_)) => {}
            (_, verdict) => worst = verdict.clone(),
        }
    }
    worst
}
