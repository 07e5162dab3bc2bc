//! What a client scrapes, where, and how often.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::book::{Book, Evidence, Finding, escaped};
use super::rule::Rule;
use super::{in_seconds, is_before};
use crate::http_reply::Head;
use crate::lab::bencode::Value;
use crate::lab::exchange::{Body, Exchange, Transport};

/// Addresses of clients that are followed.
const CLIENTS: usize = 64;
/// Paths of announces, and of scrapes, that are remembered of a client.
const PATHS: usize = 32;
/// Scrapes that are remembered of a client, to see how often each is sent.
const SCRAPES: usize = 64;
/// How long a client waits before it sends a scrape again, where the tracker does not say.
const SHORTEST_WAIT: Duration = Duration::from_secs(30);

/// What clients scrape, by their addresses.
#[derive(Clone, Debug, Default)]
pub(super) struct Scrapes {
    clients: HashMap<IpAddr, Client>,
}

#[derive(Clone, Debug, Default)]
struct Client {
    /// Where it announced over HTTP.
    announced: Vec<(SocketAddr, Vec<u8>)>,
    /// Where it scraped over HTTP, the first time each.
    scraped: Vec<(SocketAddr, Vec<u8>, Evidence)>,
    latest: Vec<Latest>,
}

#[derive(Clone, Debug)]
struct Latest {
    /// Clients of one address are told apart by their sockets (UDP) or by what they call themselves.
    who: Vec<u8>,
    tracker: SocketAddr,
    transport: Transport,
    hashes: Vec<Vec<u8>>,
    at: Duration,
    wait: Duration,
    evidence: Evidence,
}

impl Scrapes {
    fn client(&mut self, exchange: &Exchange) -> Option<&mut Client> {
        let address = exchange.request.client.ip().to_canonical();
        if self.clients.len() >= CLIENTS && !self.clients.contains_key(&address) {
            return None;
        }
        Some(self.clients.entry(address).or_default())
    }

    /// An announce, of which the path matters.
    pub(super) fn hear_announce(&mut self, exchange: &Exchange) {
        let Body::Http(head) = &exchange.request.body else {
            return;
        };
        let there = (exchange.request.tracker, head.path.clone());
        if let Some(client) = self.client(exchange)
            && client.announced.len() < PATHS
            && !client.announced.contains(&there)
        {
            client.announced.push(there);
        }
    }

    pub(super) fn hear(&mut self, book: &mut Book, exchange: &Exchange, hashes: &[Vec<u8>]) {
        let request = &exchange.request;
        let finding = |what: String, right: &str| Finding::of_request(request, what, right);
        let odd = hashes.iter().find(|hash| hash.len() != 20);
        let is_right = odd.is_none() && !hashes.is_empty();
        // Datagrams have a rule for their lengths.
        if matches!(request.body, Body::Http(_)) {
            book.check(Rule::ScrapeHashes, is_right, || {
                let what = match odd {
                    Some(hash) => format!("an info_hash of {} bytes", hash.len()),
                    None => "a scrape without info_hash asks for all torrents".to_owned(),
                };
                finding(what, "an info_hash of 20 bytes for each torrent")
            });
        }
        let Some(client) = self.client(exchange) else {
            return;
        };
        client.check_rate(book, exchange, hashes);
        if let Body::Http(head) = &request.body {
            let there = &mut client.scraped;
            let is_new = !there
                .iter()
                .any(|(tracker, path, _)| *tracker == request.tracker && *path == head.path);
            if is_new && there.len() < PATHS {
                there.push((request.tracker, head.path.clone(), Evidence::of(request)));
            }
        }
    }

    /// Where it scraped can be judged when it is known where it announced, before or after.
    pub(super) fn finish(&self, book: &mut Book) {
        for client in self.clients.values() {
            for (tracker, path, evidence) in &client.scraped {
                let paths: Vec<&[u8]> = client
                    .announced
                    .iter()
                    .filter(|(there, _)| there == tracker)
                    .map(|(_, path)| path.as_slice())
                    .collect();
                if paths.is_empty() {
                    continue;
                }
                let belongs = |announce: &&[u8]| scrape_path(announce).as_ref() == Some(path);
                book.check(Rule::ScrapeWhere, paths.iter().any(belongs), || {
                    let announced: Vec<String> = paths.iter().map(|path| escaped(path)).collect();
                    Finding {
                        session: None,
                        what: format!(
                            "scraped at `{}`, announced at `{}`",
                            escaped(path),
                            announced.join("`, `")
                        ),
                        right: match paths.iter().find_map(|path| scrape_path(path)) {
                            Some(right) => format!("`{}`", escaped(&right)),
                            None => {
                                "no scrape: the announce URL does not end in `announce…`".to_owned()
                            }
                        },
                        evidence: vec![evidence.clone()],
                    }
                });
            }
        }
    }
}

impl Client {
    fn check_rate(&mut self, book: &mut Book, exchange: &Exchange, hashes: &[Vec<u8>]) {
        let request = &exchange.request;
        let who = match &request.body {
            Body::Http(head) => {
                let agent = head.header("user-agent").unwrap_or_default();
                agent.iter().take(200).copied().collect()
            }
            Body::Datagram(_) | Body::Unreadable(_) => request.client.port().to_be_bytes().to_vec(),
        };
        let same = |latest: &Latest| {
            latest.who == who
                && latest.tracker == request.tracker
                && latest.transport == request.transport
                && latest.hashes == hashes
        };
        let earlier = self.latest.iter().position(same);
        let earlier = earlier.map(|place| self.latest.swap_remove(place));
        if let Some(earlier) = earlier {
            let gap = request.at.real.saturating_sub(earlier.at);
            book.check(Rule::ScrapeRate, !is_before(gap, earlier.wait), || {
                Finding {
                    session: None,
                    what: format!(
                        "the scrape of request {} comes again after {}",
                        earlier.evidence.request,
                        in_seconds(gap)
                    ),
                    right: format!("after {} at the earliest", in_seconds(earlier.wait)),
                    evidence: vec![earlier.evidence.clone(), Evidence::of(request)],
                }
            });
        }
        if let Some(wait) = wait(exchange)
            && self.latest.len() < SCRAPES
            && hashes.len() <= 100
        {
            self.latest.push(Latest {
                who,
                tracker: request.tracker,
                transport: request.transport,
                hashes: hashes.to_vec(),
                at: request.at.real,
                wait,
                evidence: Evidence::of(request),
            });
        }
    }
}

/// How long the answer to a scrape lets the client wait; none where there was no such answer.
fn wait(exchange: &Exchange) -> Option<Duration> {
    let answer = &exchange.answer;
    if exchange.request.transport == Transport::Udp {
        return answer
            .sent
            .iter()
            .any(|reply| !reply.is_empty())
            .then_some(SHORTEST_WAIT);
    }
    let sent = answer.sent.concat();
    let head = Head::read(&sent).ok().flatten();
    let head = head.filter(|head| head.status == 200)?;
    let told = Value::read(&head.body(&sent, true).bytes).and_then(|value| {
        let flags = value.get("flags")?;
        let seconds = flags.get("min_request_interval")?.integer()?;
        u64::try_from(seconds).ok().map(Duration::from_secs)
    });
    Some(told.unwrap_or(SHORTEST_WAIT))
}

/// The path of the scrape that belongs to an announce's; none where BEP 48 has none.
fn scrape_path(announce: &[u8]) -> Option<Vec<u8>> {
    let slash = memchr::memrchr(b'/', announce)?;
    let (folder, name) = announce.split_at_checked(slash + 1)?;
    let rest = name.strip_prefix(b"announce")?;
    Some([folder, b"scrape", rest].concat())
}
