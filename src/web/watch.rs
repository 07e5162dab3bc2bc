//! `/api/v1/watch`: requests of the tracker as they are answered, as server-sent events (O30), for whoever may see who does what.
//!
//! What is told waits in a queue that the workers never wait for ([`crate::watch`]); the stream looks there twenty times a second, so that
//! no worker has to wake anybody. It ends by itself after [`LIMIT`], with its reader, with the process, and with the right to it.

use std::cell::Cell;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::header::{CACHE_CONTROL, HeaderName, HeaderValue, RETRY_AFTER};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{Bytes, Data, Query};
use actix_web::{HttpRequest, HttpResponse};
use ipnet::IpNet;
use serde::Serialize;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::State;
use super::auth::{caller, guard};
use super::refusal::error;
use super::server::reply::LongReply;
use super::view::client_name::{prefixes, recognise};
use super::view::language::moment;
use crate::audit::Deed;
use crate::clock::Wall;
use crate::tracker::InfoHash;
use crate::watch::{Asked, Filter, Kind, MOST_PER_SECOND, Observed, Refused, Watching};

/// A watch ends after this long, whatever happens: one that was forgotten takes nobody's place for ever.
const LIMIT: Duration = Duration::from_mins(10);
/// How often the stream looks for what has come.
const LOOK: Duration = Duration::from_millis(50);
/// How often it says something at least.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How often it looks whether its reader still may hear it.
const RIGHT: Duration = Duration::from_secs(2);
/// When whoever finds no place is to come again, in seconds: most look for a moment.
const COME_AGAIN: HeaderValue = HeaderValue::from_static("30");
/// How often it tells at most what was missed.
const MISSED: Duration = Duration::from_secs(1);
/// Bytes of a piece, up to one event more.
const PIECE: usize = 32 * 1024;
/// Requests told in a second where nobody says how many.
const USUAL_PER_SECOND: u32 = 100;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    filter: Filter,
    per_second: u32,
    /// As the audit has it.
    words: String,
}

const UNREAD: &str = "the query cannot be read";
const UNKNOWN: &str =
    "there are address, network, info_hash, client, kind and per_second, each once";
const BAD_ADDRESS: &str = "address is one address, as 192.0.2.1 or 2001:db8::1";
const BAD_NETWORK: &str = "network is a network, as 192.0.2.0/24 or 2001:db8::/32";
const BAD_HASH: &str = "info_hash is 40 or 64 hex digits, or 32 or 52 characters of base32";
const BAD_CLIENT: &str =
    "client is a part of a client's name, as qbittorrent, or the beginning of a peer id, as -qB";
const BAD_KIND: &str = "kind is announce or scrape";
const BAD_RATE: &str = "per_second is a number from 1 to 1000";
const CLIENT_OF_SCRAPES: &str = "scrapes name no client; leave out client or kind";

impl Wanted {
    /// Reads a query; else what would be right.
    fn read(query: &str) -> Result<Wanted, &'static str> {
        let pairs = Query::<Vec<(String, String)>>::from_query(query);
        let pairs = pairs.map_err(|_| UNREAD)?.into_inner();
        let mut filter = Filter::default();
        let mut per_second = USUAL_PER_SECOND;
        let (mut words, mut names): (Vec<String>, Vec<&str>) = (Vec::new(), Vec::new());
        for (name, value) in &pairs {
            if names.contains(&name.as_str()) {
                return Err(UNKNOWN);
            }
            names.push(name);
            let value = value.trim();
            match (name.as_str(), value) {
                // As if it were not there.
                ("address" | "network" | "info_hash" | "client" | "kind" | "per_second", "") => {
                    continue;
                }
                ("address", value) => {
                    let ip = value.parse::<IpAddr>().map_err(|_| BAD_ADDRESS)?;
                    filter.address = Some(ip.to_canonical());
                }
                ("network", value) => {
                    let network = value.parse::<IpNet>().map_err(|_| BAD_NETWORK)?;
                    filter.network = Some(network.trunc());
                }
                ("info_hash", value) => {
                    let hash = InfoHash::from_text(value.as_bytes()).ok_or(BAD_HASH)?;
                    filter.info_hash = Some(hash);
                }
                ("client", value) => {
                    filter.peer_ids = prefixes(value);
                    if filter.peer_ids.is_empty() {
                        return Err(BAD_CLIENT);
                    }
                }
                ("kind", value) => {
                    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == value);
                    filter.kind = Some(kind.ok_or(BAD_KIND)?);
                }
                ("per_second", value) => {
                    let number = value.parse().map_err(|_| BAD_RATE)?;
                    if !(1..=MOST_PER_SECOND).contains(&number) {
                        return Err(BAD_RATE);
                    }
                    per_second = number;
                    continue;
                }
                _ => return Err(UNKNOWN),
            }
            words.push(format!("{name} {value}"));
        }
        if filter.kind == Some(Kind::Scrape) && !filter.peer_ids.is_empty() {
            return Err(CLIENT_OF_SCRAPES);
        }
        if words.is_empty() {
            words.push("everything".into());
        }
        words.push(format!("{per_second} a second"));
        Ok(Wanted {
            filter,
            per_second,
            words: words.join(", "),
        })
    }
}

pub(super) async fn watch(state: Data<State>, request: HttpRequest) -> HttpResponse {
    if !state.settings.may_watch {
        return error(StatusCode::NOT_FOUND, "the watch is off");
    }
    let wanted = match Wanted::read(request.query_string()) {
        Ok(wanted) => wanted,
        Err(fault) => return error(StatusCode::BAD_REQUEST, fault),
    };
    let mut reply = HttpResponse::Ok();
    reply
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        // Nginx would keep events until it has a page of them.
        .insert_header((HeaderName::from_static("x-accel-buffering"), "no"));
    if *request.method() == Method::HEAD {
        return reply.body(Unsaid);
    }
    let watching = match state.backend.watch.begin(wanted.filter, wanted.per_second) {
        Ok(watching) => watching,
        Err(refused) => {
            let text = match refused {
                Refused::TooMany => "as many watch as may at a time; try again later",
                Refused::Stopping => "the tracker is stopping",
            };
            let mut reply = error(StatusCode::SERVICE_UNAVAILABLE, text);
            reply.headers_mut().insert(RETRY_AFTER, COME_AGAIN);
            return reply;
        }
    };
    caller::audit(&state, &request, Deed::Watch, &wanted.words);
    let longest = LongReply {
        limit: LIMIT + KEEP_ALIVE,
        goes_on: goes_on(Data::clone(&state), request.clone()),
    };
    let mut reply = reply.body(Events::new(state, request, watching));
    reply.extensions_mut().insert(longest);
    reply
}

/// Whether a watcher that takes nothing keeps its place: the body, which looks as well, is not asked meanwhile.
fn goes_on(state: Data<State>, request: HttpRequest) -> Rc<dyn Fn() -> bool> {
    let looked = Cell::new(state.clock.elapsed());
    Rc::new(move || {
        if state.backend.watch.is_over() {
            return false;
        }
        let now = state.clock.elapsed();
        if now.saturating_sub(looked.get()) < RIGHT {
            return true;
        }
        looked.set(now);
        guard::still_admits(&state, &request)
    })
}

/// The body of a reply to a HEAD: as long as that to a GET, which nobody knows, and never asked for.
struct Unsaid;

impl MessageBody for Unsaid {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        Poll::Ready(None)
    }
}

/// Why a stream ends.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum End {
    /// It has lasted as long as it may.
    Limit,
    /// The tracker stops.
    Stop,
    /// Its reader may no longer hear it.
    Revoked,
}

/// The body: what is told, as it comes.
struct Events {
    state: Data<State>,
    request: HttpRequest,
    watching: Watching,
    ticks: Interval,
    began: Duration,
    /// When something was said last, and when the right to hear it was looked at.
    said: Duration,
    looked: Duration,
    told_missed: Duration,
    number: u64,
    is_greeted: bool,
    is_ended: bool,
}

/// One event as it is written.
#[derive(Serialize)]
struct Row<'a> {
    number: u64,
    time: String,
    #[serde(flatten)]
    observed: &'a Observed,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<ClientRow>,
}

/// What the peer id says of the client.
#[derive(Serialize)]
struct ClientRow {
    name: String,
    version: String,
}

/// RFC 3339, to the millisecond.
fn time(ms: u64) -> String {
    let seconds = moment(Wall(ms / 1_000)).replacen(' ', "T", 1);
    format!("{seconds}.{:03}Z", ms % 1_000)
}

fn client(asked: &Asked) -> Option<ClientRow> {
    let Asked::Announce(said) = asked else {
        return None;
    };
    let known = recognise(said.peer_id.as_ref()?.0.first_chunk()?);
    Some(ClientRow {
        name: known.name,
        version: known.version,
    })
}

impl Events {
    fn new(state: Data<State>, request: HttpRequest, watching: Watching) -> Events {
        let now = state.clock.elapsed();
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Events {
            state,
            request,
            watching,
            ticks,
            began: now,
            said: now,
            looked: now,
            told_missed: now,
            number: 0,
            is_greeted: false,
            is_ended: false,
        }
    }

    /// What is to be said; nothing while there is nothing.
    fn piece(&mut self, now: Duration) -> Vec<u8> {
        let mut piece = Vec::new();
        if !self.is_greeted {
            self.is_greeted = true;
            piece.extend_from_slice(b": watching\n\n");
        }
        while piece.len() < PIECE
            && let Some(observed) = self.watching.next_event()
        {
            self.number += 1;
            let row = Row {
                number: self.number,
                time: time(observed.time_ms),
                observed: &observed,
                client: client(&observed.asked),
            };
            let head = format!("event: {}\nid: {}\n", observed.kind.name(), self.number);
            write(&mut piece, &head, &row);
        }
        let end = self.end(now);
        let is_due = now.saturating_sub(self.told_missed) >= MISSED || end.is_some();
        if is_due && let Some(missed) = self.watching.missed() {
            self.told_missed = now;
            write(&mut piece, "event: dropped\n", &missed);
        }
        if let Some(reason) = end {
            self.is_ended = true;
            write(
                &mut piece,
                "event: end\n",
                &serde_json::json!({ "reason": reason }),
            );
        }
        if piece.is_empty() && now.saturating_sub(self.said) >= KEEP_ALIVE {
            piece.extend_from_slice(b": keep-alive\n\n");
        }
        if !piece.is_empty() {
            self.said = now;
        }
        piece
    }

    /// Whether this is the end.
    fn end(&mut self, now: Duration) -> Option<End> {
        if self.state.backend.watch.is_over() {
            return Some(End::Stop);
        }
        if now.saturating_sub(self.began) >= LIMIT {
            return Some(End::Limit);
        }
        if now.saturating_sub(self.looked) < RIGHT {
            return None;
        }
        self.looked = now;
        let is_admitted = guard::still_admits(&self.state, &self.request);
        (!is_admitted).then_some(End::Revoked)
    }
}

/// Writes one event. JSON has no line breaks of its own.
fn write(piece: &mut Vec<u8>, head: &str, data: &impl Serialize) {
    let before = piece.len();
    piece.extend_from_slice(head.as_bytes());
    piece.extend_from_slice(b"data: ");
    if let Err(fault) = serde_json::to_writer(&mut *piece, data) {
        log::error!("an event of the watch: {fault}");
        piece.truncate(before);
        return;
    }
    piece.extend_from_slice(b"\n\n");
}

impl MessageBody for Events {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            if self.is_ended {
                return Poll::Ready(None);
            }
            let now = self.state.clock.elapsed();
            let piece = self.piece(now);
            if !piece.is_empty() {
                return Poll::Ready(Some(Ok(piece.into())));
            }
            ready!(self.ticks.poll_tick(context));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// O30
    #[test]
    fn a_query_is_read_or_refused_with_what_would_be_right() {
        let hash = "0707070707070707070707070707070707070707";
        let query = format!(
            "address=%3A%3Affff%3A192.0.2.1&network=192.0.2.9/24&info_hash={hash}&client=qbit&kind=announce&per_second=1000"
        );
        let wanted = Wanted::read(&query).unwrap();
        assert_eq!(
            wanted.filter,
            Filter {
                kind: Some(Kind::Announce),
                address: Some("192.0.2.1".parse().unwrap()),
                network: Some("192.0.2.0/24".parse().unwrap()),
                info_hash: Some(InfoHash([7; 20])),
                peer_ids: vec![b"-qB".to_vec()],
            }
        );
        assert_eq!(wanted.per_second, 1_000);
        let words = format!(
            "address ::ffff:192.0.2.1, network 192.0.2.9/24, info_hash {hash}, client qbit, kind announce, 1000 a second"
        );
        assert_eq!(wanted.words, words);
        for nothing in ["", "address=&network=&info_hash=&client=&kind=&per_second="] {
            let wanted = Wanted::read(nothing).unwrap();
            assert_eq!(wanted.filter, Filter::default());
            assert_eq!(wanted.words, "everything, 100 a second");
        }
        for (query, fault) in [
            ("address=192.0.2.0/24", BAD_ADDRESS),
            ("network=192.0.2.0", BAD_NETWORK),
            ("network=192.0.2.0/33", BAD_NETWORK),
            ("info_hash=07", BAD_HASH),
            ("client=nobody+knows", BAD_CLIENT),
            ("kind=Announce", BAD_KIND),
            ("kind=connect", BAD_KIND),
            ("per_second=0", BAD_RATE),
            ("per_second=1001", BAD_RATE),
            ("per_second=-1", BAD_RATE),
            ("ip=192.0.2.1", UNKNOWN),
            ("x", UNKNOWN),
            ("kind=announce&kind=scrape", UNKNOWN),
            ("kind=scrape&client=-qB", CLIENT_OF_SCRAPES),
        ] {
            assert_eq!(Wanted::read(query), Err(fault), "{query}");
        }
    }

    #[test]
    fn times_are_told_to_the_millisecond() {
        assert_eq!(time(1_795_442_706_007), "2026-11-23T14:05:06.007Z");
    }
}
