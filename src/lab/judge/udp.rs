//! How a client speaks BEP 15: datagrams, connection ids, transaction ids, and how often it asks who does not answer.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::book::{Book, Evidence, Finding};
use super::rule::Rule;
use super::{in_seconds, is_before, known_at};
use crate::lab::answer::{connection_id, transaction};
use crate::lab::exchange::{Body, Exchange, Request};
use crate::lab::reading::{Announce, Reading, UdpHead};

/// Pairs of a client's address and a tracker's that are followed.
const PAIRS: usize = 128;
/// Connection ids that are remembered of a pair.
const IDS: usize = 64;
/// Transaction ids that are remembered of a pair.
const TRANSACTIONS: usize = 32;
/// Requests whose connection id nobody has seen yet.
const UNKNOWN: usize = 32;
/// Requests without an answer that are remembered of a pair.
const UNANSWERED: usize = 32;
/// Connects that may be repeats, remembered of a pair.
const CONNECTS: usize = 64;

/// What a connect begins with.
const PROTOCOL: u64 = 0x417_2710_1980;
/// How long a client may use a connection id, and what is added for the way of the last request.
const ID_LIFETIME: Duration = Duration::from_secs(60);
const ID_LENIENCE: Duration = Duration::from_secs(2);
/// How long a client waits before it sends a request again, at first.
const FIRST_WAIT: Duration = Duration::from_secs(15);
/// The most torrents of a scrape.
const SCRAPE_LIMIT: usize = 74;

/// Conversations over UDP, by the client's address and the tracker's.
#[derive(Clone, Debug, Default)]
pub(super) struct Conversations {
    pairs: HashMap<(IpAddr, SocketAddr), Conversation>,
}

#[derive(Clone, Debug, Default)]
struct Conversation {
    issued: VecDeque<Issued>,
    /// Whether ids were forgotten: then an unknown one proves nothing.
    has_forgotten: bool,
    /// Transaction ids of requests that were answered, and since when the client knows.
    answered: VecDeque<(u32, Duration, Evidence)>,
    /// Requests with ids that were not issued yet when they came.
    unknown: VecDeque<(u64, Option<u32>, Evidence)>,
    unanswered: VecDeque<Unanswered>,
    /// Connects that may be repeats of unanswered ones.
    connects: Vec<Repeat>,
}

/// A connect that follows an unanswered one. It names no torrent, so it proves something only when the client turns out to have one; or,
/// where nobody knows what torrents it has, when it is the same datagram again.
#[derive(Clone, Debug)]
struct Repeat {
    is_same: bool,
    /// Whether it kept to the wait.
    verdict: Result<(), Finding>,
}

#[derive(Clone, Debug)]
struct Issued {
    id: u64,
    at: Duration,
    /// Whether it came in a reply with the transaction id of the connect.
    is_matched: bool,
    evidence: Evidence,
}

/// A request that was sent and not answered, as often as in `times`.
#[derive(Clone, Debug)]
struct Unanswered {
    request: Kind,
    transaction: u32,
    at: Duration,
    times: u32,
    evidence: Evidence,
}

/// What makes two requests the same one, sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// Of one socket; who has several torrents connects for each.
    Connect(SocketAddr),
    /// Info hash, peer id and event.
    Announce(Vec<u8>, Vec<u8>, String),
    Scrape(Vec<Vec<u8>>),
}

impl Conversations {
    /// `is_alone` says that the client has one torrent only, whose requests are told apart.
    pub(super) fn hear(
        &mut self,
        book: &mut Book,
        exchange: &Exchange,
        reading: &Reading,
        session: Option<u32>,
        is_alone: bool,
    ) {
        let request = &exchange.request;
        let Body::Datagram(datagram) = &request.body else {
            return;
        };
        check_datagram(book, request, datagram, reading, session);
        let Some(head) = UdpHead::read(datagram) else {
            return;
        };
        let pair = (request.client.ip().to_canonical(), request.tracker);
        if self.pairs.len() >= PAIRS && !self.pairs.contains_key(&pair) {
            return;
        }
        let conversation = self.pairs.entry(pair).or_default();
        conversation.check_transaction(book, exchange, head, session);
        match reading {
            Reading::Connect(_) => conversation.note_ids(exchange, head),
            Reading::Announce(_) | Reading::Scrape(_) => {
                conversation.check_id(book, request, head, session);
            }
            Reading::Other => return,
        }
        let kind = match reading {
            // What begins with something else is no connect that a tracker would answer.
            Reading::Connect(_) if is_alone && head.connection_id == PROTOCOL => {
                Kind::Connect(request.client)
            }
            Reading::Announce(announce) => {
                let hash = announce.info_hash.clone().unwrap_or_default();
                let peer_id = announce.peer_id.clone().unwrap_or_default();
                Kind::Announce(hash, peer_id, announce.event.clone())
            }
            Reading::Scrape(hashes) => Kind::Scrape(hashes.iter().take(4).cloned().collect()),
            _ => return,
        };
        conversation.check_back_off(book, exchange, (kind, head.transaction), session);
    }

    /// What can be said of ids at the end only: answers may be noted after requests that followed them.
    /// `torrents` says how many the client of an address has named.
    pub(super) fn finish(&mut self, book: &mut Book, torrents: impl Fn(IpAddr) -> usize) {
        for ((client, _), conversation) in &mut self.pairs {
            let torrents = torrents(*client);
            for repeat in conversation.connects.drain(..) {
                match repeat.verdict {
                    _ if torrents > 1 || (torrents == 0 && !repeat.is_same) => {}
                    Ok(()) => book.kept(Rule::UdpBackOff),
                    Err(finding) => book.check(Rule::UdpBackOff, false, || finding),
                }
            }
            for (id, session, evidence) in &conversation.unknown {
                let is_known = conversation.has_forgotten
                    || conversation.issued.iter().any(|issued| issued.id == *id);
                book.check(Rule::UdpIdIssued, is_known, || Finding {
                    session: *session,
                    what: format!(
                        "request {} has the id {id:#018x}, which was sent in no reply",
                        evidence.request
                    ),
                    right: "the id of the last reply to a connect".to_owned(),
                    evidence: vec![evidence.clone()],
                });
            }
        }
    }
}

impl Conversation {
    fn check_transaction(
        &mut self,
        book: &mut Book,
        exchange: &Exchange,
        head: UdpHead,
        session: Option<u32>,
    ) {
        let request = &exchange.request;
        if !self.answered.is_empty() {
            // Who has had no answer yet may send the same datagram again.
            let mut known = self.answered.iter();
            let earlier =
                known.find(|(id, since, _)| *id == head.transaction && *since <= request.at.real);
            book.check(Rule::UdpTransactionNew, earlier.is_none(), || Finding {
                session,
                what: format!(
                    "request {} has the transaction id {:#010x} of a request that was answered",
                    request.number, head.transaction
                ),
                right: "a random number of its own".to_owned(),
                evidence: earlier
                    .map(|(.., evidence)| evidence.clone())
                    .into_iter()
                    .chain([Evidence::of(request)])
                    .collect(),
            });
        }
        let mut sent = exchange.answer.sent.iter();
        if sent.any(|reply| transaction(reply) == Some(head.transaction)) {
            if self.answered.len() >= TRANSACTIONS {
                self.answered.pop_front();
            }
            let since = known_at(exchange);
            self.answered
                .push_back((head.transaction, since, Evidence::of(request)));
        }
    }

    fn note_ids(&mut self, exchange: &Exchange, head: UdpHead) {
        let request = &exchange.request;
        for reply in &exchange.answer.sent {
            let Some(id) = connection_id(reply) else {
                continue;
            };
            if self.issued.len() >= IDS {
                self.issued.pop_front();
                self.has_forgotten = true;
            }
            self.issued.push_back(Issued {
                id,
                at: request.at.real.saturating_add(exchange.answer.took),
                is_matched: transaction(reply) == Some(head.transaction),
                evidence: Evidence::of(request),
            });
        }
    }

    fn check_id(
        &mut self,
        book: &mut Book,
        request: &Request,
        head: UdpHead,
        session: Option<u32>,
    ) {
        let id = head.connection_id;
        let same = self.issued.iter().rev().filter(|issued| issued.id == id);
        let Some(issued) = same.max_by_key(|issued| (issued.is_matched, issued.at)) else {
            if self.unknown.len() < UNKNOWN {
                self.unknown.push_back((id, session, Evidence::of(request)));
            }
            return;
        };
        book.kept(Rule::UdpIdIssued);
        let finding = |what: String, right: &str| Finding {
            session,
            what,
            right: right.to_owned(),
            evidence: vec![issued.evidence.clone(), Evidence::of(request)],
        };
        book.check(Rule::UdpTransactionChecked, issued.is_matched, || {
            finding(
                format!(
                    "request {} has an id that came only in a reply with another transaction id than its connect",
                    request.number
                ),
                "such a reply is dropped, and the connect sent again",
            )
        });
        let age = request.at.real.saturating_sub(issued.at);
        book.check(Rule::UdpIdFresh, age <= ID_LIFETIME + ID_LENIENCE, || {
            finding(
                format!(
                    "request {} has an id that is {} old",
                    request.number,
                    in_seconds(age)
                ),
                "a new connect after 60 s",
            )
        });
    }

    fn check_back_off(
        &mut self,
        book: &mut Book,
        exchange: &Exchange,
        (kind, transaction): (Kind, u32),
        session: Option<u32>,
    ) {
        let request = &exchange.request;
        let at = request.at.real;
        let mut same = self.unanswered.iter();
        let earlier = same.position(|unanswered| unanswered.request == kind);
        let earlier = earlier.and_then(|place| self.unanswered.remove(place));
        if let Some(earlier) = &earlier {
            let factor = 1u32 << earlier.times.saturating_sub(1).min(8);
            let wait = FIRST_WAIT * factor;
            let gap = at.saturating_sub(earlier.at);
            let is_kept = !is_before(gap, wait);
            let finding = || Finding {
                session,
                what: format!(
                    "request {} repeats request {}, which was not answered, after {}",
                    request.number,
                    earlier.evidence.request,
                    in_seconds(gap)
                ),
                right: format!("after {}", in_seconds(wait)),
                evidence: vec![earlier.evidence.clone(), Evidence::of(request)],
            };
            match kind {
                Kind::Connect(_) if self.connects.len() < CONNECTS => {
                    self.connects.push(Repeat {
                        is_same: earlier.transaction == transaction,
                        verdict: if is_kept { Ok(()) } else { Err(finding()) },
                    });
                }
                Kind::Connect(_) => {}
                Kind::Announce(..) | Kind::Scrape(_) => {
                    book.check(Rule::UdpBackOff, is_kept, finding);
                }
            }
        }
        if exchange.answer.sent.iter().any(|reply| !reply.is_empty()) {
            return;
        }
        if self.unanswered.len() >= UNANSWERED {
            self.unanswered.pop_front();
        }
        self.unanswered.push_back(Unanswered {
            request: kind,
            transaction,
            at,
            times: earlier.map_or(1, |earlier| earlier.times.saturating_add(1)),
            evidence: Evidence::of(request),
        });
    }
}

fn check_datagram(
    book: &mut Book,
    request: &Request,
    datagram: &[u8],
    reading: &Reading,
    session: Option<u32>,
) {
    let finding = |what: String, right: &str| Finding {
        session,
        what,
        right: right.to_owned(),
        evidence: vec![Evidence::of(request)],
    };
    let length = datagram.len();
    let Some(head) = UdpHead::read(datagram) else {
        book.check(Rule::UdpLength, false, || {
            finding(format!("a datagram of {length} bytes"), "at least 16 bytes")
        });
        return;
    };
    book.check(Rule::UdpAction, head.action <= 2, || {
        finding(
            format!("the action is {}", head.action),
            "0 connect, 1 announce, 2 scrape",
        )
    });
    let right_length = match head.action {
        0 => length == 16,
        1 => length >= 98,
        2 => length >= 36 && (length - 16).is_multiple_of(20),
        _ => true,
    };
    book.check(Rule::UdpLength, right_length, || {
        finding(
            format!("{length} bytes with the action {}", head.action),
            "16 for a connect, 98 or more for an announce, 16 and 20 for each torrent for a scrape",
        )
    });
    match reading {
        Reading::Connect(_) => {
            book.check(Rule::UdpProtocol, head.connection_id == PROTOCOL, || {
                finding(
                    format!("a connect begins with {:#x}", head.connection_id),
                    "0x41727101980",
                )
            });
        }
        Reading::Scrape(hashes) => {
            let count = hashes.len();
            book.check(Rule::ScrapeSize, count <= SCRAPE_LIMIT, || {
                finding(format!("{count} torrents in one scrape"), "at most 74")
            });
        }
        Reading::Announce(announce) => check_tail(book, request, announce, &finding),
        Reading::Other => {}
    }
}

fn check_tail(
    book: &mut Book,
    request: &Request,
    announce: &Announce,
    finding: &dyn Fn(String, &str) -> Finding,
) {
    let Some(udp) = &announce.udp else {
        return;
    };
    if request.client.ip().to_canonical().is_ipv6() {
        book.check(Rule::UdpV6, udp.address == [0; 4], || {
            finding(
                format!("the address of 4 bytes is {:?}", udp.address),
                "zeros; the tracker takes the address that the datagram comes from",
            )
        });
    }
    if udp.options.is_empty() {
        return;
    }
    let options = options(&udp.options);
    book.check(Rule::UdpOptions, options.is_some(), || {
        finding(
            format!(
                "{} bytes behind the announce, and an option is longer than what is left",
                udp.options.len()
            ),
            "type, length, data; 0 ends the options, 1 is a byte of nothing",
        )
    });
    if let Some(Some(url)) = options {
        book.check(Rule::UdpUrlData, url.starts_with(b"/"), || {
            finding(
                format!("URLData is `{}`", super::book::escaped(&url)),
                "`/announce`, or what follows host and port in the URL",
            )
        });
    }
}

/// What the options of BEP 41 say of the URL; none where they are no options.
fn options(mut rest: &[u8]) -> Option<Option<Vec<u8>>> {
    let mut url: Option<Vec<u8>> = None;
    while let Some((kind, behind)) = rest.split_first() {
        match kind {
            0 => return Some(url),
            1 => rest = behind,
            _ => {
                let (length, behind) = behind.split_first()?;
                let (data, behind) = behind.split_at_checked(usize::from(*length))?;
                if *kind == 2 {
                    url.get_or_insert_default().extend_from_slice(data);
                }
                rest = behind;
            }
        }
    }
    Some(url)
}
