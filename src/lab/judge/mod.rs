//! `retracker-lab judge`: clients are watched against the BEPs and what trackers need.
//!
//! The judge is a function of events: no clock, no socket. What it says of times is measured in real time, against what the client
//! was actually sent, with a tolerance of 2 s and a twentieth, for clients that count in whole seconds. It errs on the side of the
//! client: where an answer was odd enough that a client may take it or leave it, nothing is concluded from what comes next.

mod book;
mod command;
mod connections;
mod hearing;
mod order;
mod outcome;
mod query;
mod recording;
mod report;
mod rule;
mod scrapes;
mod session;
mod tiers;
mod udp;

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

pub use book::{Evidence, FINDINGS_KEPT, Finding, State, Verdict};
pub use command::{Arguments, RULES_BROKEN, run};
pub(in crate::lab) use hearing::Hearing;
pub(crate) use report::finding_json;
pub use report::{Report, SessionReport};
pub use rule::{Rule, Severity};
pub use session::Step;
pub use tiers::Place;

use serde::{Deserialize, Serialize};

use book::Book;
use connections::{Connections, accepts};
use order::{Order, Said};
use outcome::Outcome;
use scrapes::Scrapes;
use session::{Heard, Session};
use tiers::Attempt;
use tiers::Unconnected;
use udp::Conversations;

use super::exchange::{Body, Event, Exchange, Transport};
use super::reading::{Announce, Reading};
use crate::http_reply::Head;

/// Sessions that are followed; announces of more are counted and not judged as sessions.
pub const SESSIONS: usize = 1_024;

/// Bytes that are kept of what should have 20.
const ID_LIMIT: usize = 64;

/// How long the end of a run has to be away for what did not come to be missed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who is given a connection id later than this may have gone on to the next tracker.
const CONNECT_PATIENCE: Duration = Duration::from_secs(3);

/// What the judge cannot see, and is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// The announce URLs that the client has, by tiers (BEP 12). Empty: tiers are not judged.
    pub tiers: Vec<Vec<Place>>,
    /// The size of the torrent in bytes.
    pub size: Option<u64>,
    /// Whether the client has a way to the tracker over both IPv4 and IPv6.
    pub has_both_families: bool,
    /// The sockets of the laboratory: redirects to them are expected to be followed, those to others cannot be seen.
    pub trackers: Vec<SocketAddr>,
}

/// Watches clients. Its memory is bounded, whatever it hears.
#[derive(Clone, Debug)]
pub struct Judge {
    options: Options,
    /// What was heard and is not yet taken into account.
    order: Order,
    book: Book,
    sessions: Vec<Session>,
    /// Sessions by info hash and peer id.
    by_id: HashMap<(Vec<u8>, Vec<u8>), usize>,
    /// The latest session by info hash, address and port.
    by_port: HashMap<(Vec<u8>, IpAddr, u16), usize>,
    connections: Connections,
    conversations: Conversations,
    scrapes: Scrapes,
    unconnected: Unconnected,
    requests: u64,
    /// Announces that trackers took which are not heard here.
    taken_elsewhere: u64,
    unfollowed: u64,
    has_ended: bool,
    /// When the client was asked to end; real time.
    dismissed: Option<Duration>,
}

impl Judge {
    /// A judge that has heard nothing.
    pub fn new(options: Options) -> Judge {
        Judge {
            options,
            order: Order::default(),
            book: Book::new(),
            sessions: Vec::new(),
            by_id: HashMap::new(),
            by_port: HashMap::new(),
            connections: Connections::default(),
            conversations: Conversations::default(),
            scrapes: Scrapes::default(),
            unconnected: Unconnected::default(),
            requests: 0,
            taken_elsewhere: 0,
            unfollowed: 0,
            has_ended: false,
            dismissed: None,
        }
    }

    /// Hears what happened at one tracker. Requests are judged in the order of their numbers, as far as the order in which they are heard
    /// differs from that by no more than [`MAX_WAITING_EVENTS`](super::serve::MAX_WAITING_EVENTS).
    pub fn hear(&mut self, event: &Event) {
        self.say(Said::Event(event.clone()));
    }

    fn say(&mut self, said: Said) {
        self.order.add(said);
        while let Some(said) = self.order.next() {
            self.take(&said);
        }
    }

    /// Takes all that was heard into account.
    fn take_all(&mut self) {
        while let Some(said) = self.order.first() {
            self.take(&said);
        }
    }

    fn take(&mut self, said: &Said) {
        match said {
            Said::Event(Event::Exchange(exchange)) => self.hear_exchange(exchange),
            Said::Event(Event::Connected { .. }) => {}
            Said::Event(Event::Disconnected { connection, .. }) => {
                self.connections.end(&mut self.book, *connection);
            }
            Said::TakenElsewhere => {
                self.taken_elsewhere = self.taken_elsewhere.saturating_add(1);
            }
        }
    }

    /// Another tracker of the torrent, which is not heard here, may have taken an announce (see [`may_be_taken`]): some clients count
    /// what one tracker was told for all of them, and BEP 12 has each announce begin with the first tier.
    pub(in crate::lab) fn taken_elsewhere(&mut self) {
        self.say(Said::TakenElsewhere);
    }

    /// The client is asked to end, at a time (real, since the laboratory started): what should have come by then, should have.
    pub fn client_dismissed(&mut self, at: Duration) {
        self.dismissed = Some(at);
    }

    /// The client has ended: what it should have said by then, it never will.
    pub fn client_ended(&mut self) {
        self.has_ended = true;
    }

    /// The report, at a time (real, since the laboratory started).
    pub fn finish(mut self, at: Duration) -> Report {
        self.take_all();
        let book = &mut self.book;
        let sessions = &self.sessions;
        self.conversations.finish(book, |client| {
            let its = sessions.iter().filter(|session| session.client == client);
            let torrents: HashSet<&Vec<u8>> = its.map(|session| &session.hash).collect();
            torrents.len()
        });
        self.scrapes.finish(book);
        for session in &self.sessions {
            // A client that ended by itself may have had its reasons to be silent.
            let heard_until = match self.dismissed {
                Some(dismissed) => Some(dismissed.min(at)),
                None => (!self.has_ended).then_some(at),
            };
            session.check_redirects(book, &self.options, at, PATIENCE);
            if let Some(until) = heard_until {
                session.check_silence(book, until);
            }
            let tiers = &self.options.tiers;
            session.progress.finish(
                book,
                session.number,
                (tiers, &self.unconnected),
                at,
                PATIENCE,
            );
            if self.has_ended {
                session.check_ended(book, "the client has ended", None);
            } else if session.has_stopped() {
                book.kept(Rule::StoppedAtEnd);
            }
            check_families(book, session, &self.options);
        }
        let sessions = self.sessions.into_iter().map(SessionReport::of);
        Report {
            took: at,
            requests: self.requests,
            client_end: None,
            unfollowed: self.unfollowed,
            sessions: sessions.collect(),
            verdicts: self.book.into_verdicts(),
        }
    }

    fn hear_exchange(&mut self, exchange: &Exchange) {
        self.requests += 1;
        self.connections.hear(&mut self.book, exchange);
        let reading = Reading::of(&exchange.request);
        let session = match &reading {
            Reading::Announce(announce) => {
                self.scrapes.hear_announce(exchange);
                self.hear_announce(exchange, announce)
            }
            Reading::Scrape(hashes) => {
                self.scrapes.hear(&mut self.book, exchange, hashes);
                None
            }
            Reading::Connect(_) => {
                let is_answered = is_connected(exchange);
                let (tiers, tracker) = (&self.options.tiers, exchange.request.tracker);
                self.unconnected.hear(tiers, tracker, is_answered);
                None
            }
            Reading::Other => None,
        };
        let client = exchange.request.client.ip().to_canonical();
        let mut its = self.sessions.iter().filter(|there| there.client == client);
        let is_alone = its.nth(1).is_none();
        self.conversations
            .hear(&mut self.book, exchange, &reading, session, is_alone);
    }

    /// Judges an announce; the number of the session that it belongs to.
    fn hear_announce(&mut self, exchange: &Exchange, announce: &Announce) -> Option<u32> {
        let request = &exchange.request;
        let outcome = Outcome::of(request, &exchange.answer);
        let (path, host, agent) = match &request.body {
            Body::Http(head) => (
                head.path.iter().take(200).copied().collect(),
                head.header("host").map(<[u8]>::to_vec),
                head.header("user-agent").map(book::escaped),
            ),
            Body::Datagram(_) | Body::Unreadable(_) => (Vec::new(), None, None),
        };
        let place = Place {
            transport: request.transport,
            tracker: request.tracker,
            path,
        };
        let heard = Heard {
            announce,
            place: &place,
            client: request.client.ip().to_canonical(),
            at: request.at.real,
            known_at: known_at(exchange),
            outcome,
            is_packed: is_packed(exchange),
            host,
            taken_elsewhere: self.taken_elsewhere,
            evidence: Evidence::of(request),
        };
        let found = self.session_of(&heard);
        let number = found
            .and_then(|at| self.sessions.get(at))
            .map(|session| session.number);
        query::check(&mut self.book, number, request, announce);
        let Some(session) = found.and_then(|at| self.sessions.get_mut(at)) else {
            self.unfollowed += 1;
            return None;
        };
        session.agent = session.agent.take().or(agent);
        session.names_other_family |= announce
            .parameters
            .iter()
            .any(|parameter| matches!(parameter.name.as_slice(), b"ipv6" | b"ipv4"));
        if announce.event != "stopped" {
            let has_failed = match &heard.outcome {
                Outcome::Accepted(_) => Some(false),
                outcome => outcome.is_failure().then_some(true),
            };
            let attempt = Attempt {
                session: number,
                place: &place,
                at: heard.at,
                has_failed,
                is_silent_datagram: request.transport == Transport::Udp
                    && heard.outcome == Outcome::Silent,
                evidence: heard.evidence.clone(),
            };
            let tiers = &self.options.tiers;
            let unconnected = &self.unconnected;
            session
                .progress
                .hear(&mut self.book, tiers, unconnected, attempt);
        }
        session.hear(&mut self.book, &self.options, &heard);
        number
    }

    /// Which session an announce belongs to: by its peer id, else by where the client listens. None where there is no room.
    fn session_of(&mut self, heard: &Heard<'_>) -> Option<usize> {
        let short = |bytes: &Option<Vec<u8>>| {
            let bytes = bytes.iter().flatten().take(ID_LIMIT);
            bytes.copied().collect::<Vec<u8>>()
        };
        let announce = heard.announce;
        let (hash, peer_id) = (short(&announce.info_hash), short(&announce.peer_id));
        let id = (hash.clone(), peer_id.clone());
        let port = announce.port.filter(|port| *port > 0);
        let by_port = port.map(|port| (hash.clone(), heard.client, port));
        if let Some(at) = self.by_id.get(&id) {
            self.book.kept(Rule::SamePeerId);
            return Some(*at);
        }
        let earlier = by_port
            .as_ref()
            .and_then(|key| self.by_port.get(key).copied());
        if let Some(at) = earlier
            && let Some(session) = self.sessions.get_mut(at)
            && !session.has_stopped()
        {
            if announce.event != "started" {
                self.book.check(Rule::SamePeerId, false, || Finding {
                    session: Some(session.number),
                    what: format!(
                        "the peer id was `{}`, and is `{}` from the same address and port",
                        book::escaped(&session.peer_id),
                        book::escaped(&peer_id)
                    ),
                    right: "the same peer id until the session ends".to_owned(),
                    evidence: vec![session.last.clone(), heard.evidence.clone()],
                });
                // As many ids as announces there may be; the latest is remembered.
                let former = std::mem::replace(&mut session.peer_id, peer_id);
                self.by_id.remove(&(hash, former));
                self.by_id.insert(id, at);
                return Some(at);
            }
            let how = format!("request {} begins a new session", heard.evidence.request);
            session.check_ended(&mut self.book, &how, Some(&heard.evidence));
        }
        if self.sessions.len() >= SESSIONS {
            return None;
        }
        let at = self.sessions.len();
        let number = u32::try_from(at).unwrap_or(u32::MAX).saturating_add(1);
        self.sessions
            .push(Session::new(number, hash, peer_id, heard));
        self.by_id.insert(id, at);
        if let Some(key) = by_port {
            self.by_port.insert(key, at);
        }
        Some(at)
    }
}

/// Whether this is an announce, no farewell, that the client may hold to be taken.
pub(in crate::lab) fn may_be_taken(event: &Event) -> bool {
    let Event::Exchange(exchange) = event else {
        return false;
    };
    let Reading::Announce(announce) = Reading::of(&exchange.request) else {
        return false;
    };
    let outcome = Outcome::of(&exchange.request, &exchange.answer);
    announce.event != "stopped" && matches!(outcome, Outcome::Accepted(_) | Outcome::Doubtful)
}

/// Whether the answer was packed as the client says that it can read.
fn is_packed(exchange: &Exchange) -> bool {
    let Body::Http(head) = &exchange.request.body else {
        return false;
    };
    let sent = exchange.answer.sent.concat();
    let reply = Head::read(&sent).ok().flatten();
    reply
        .and_then(|reply| reply.encoding)
        .is_some_and(|encoding| accepts(head, encoding))
}

/// When the client had the answer, or a second before: it is noted a little after it was sent.
fn known_at(exchange: &Exchange) -> Duration {
    let took = exchange.answer.took.saturating_sub(Duration::from_secs(1));
    exchange.request.at.real.saturating_add(took)
}

/// Whether a connect was answered with a connection id, and in time (BEP 15).
fn is_connected(exchange: &Exchange) -> bool {
    let Body::Datagram(request) = &exchange.request.body else {
        return false;
    };
    let transaction = request.get(12..16);
    let is_reply = |sent: &Vec<u8>| {
        sent.len() >= 16 && sent.starts_with(&[0; 4]) && sent.get(4..8) == transaction
    };
    exchange.answer.took < CONNECT_PATIENCE && exchange.answer.sent.iter().any(is_reply)
}

fn check_families(book: &mut Book, session: &Session, options: &Options) {
    let (v4, v6) = session.families();
    if (v4 && v6) || ((v4 || v6) && session.names_other_family) {
        book.kept(Rule::BothFamilies);
    } else if options.has_both_families && (v4 || v6) {
        book.check(Rule::BothFamilies, false, || Finding {
            session: Some(session.number),
            what: format!("announced over {} only", if v4 { "IPv4" } else { "IPv6" }),
            right: "an announce from an address of each family".to_owned(),
            evidence: vec![session.last.clone()],
        });
    }
}

/// Whether a wait was shorter than it had to be, by more than a client that counts in seconds may be off.
fn is_before(gap: Duration, wait: Duration) -> bool {
    gap + Duration::from_secs(2) + wait / 20 < wait
}

/// A duration in a report.
fn in_seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests;
