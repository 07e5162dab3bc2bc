//! What happens as JSON, one object a line. Names stay as they are; new ones may come.

use std::time::Duration;

use serde::Serialize;

use super::memory::{Change, Changed, key};
use super::request::{Parameter, Shown, hex, text};
use crate::lab::answer::AnswerReading;
use crate::lab::exchange::{End, Event, Exchange};
use crate::lab::reading::Announce;

/// Peers of an answer that are named.
const NAMED_PEERS: usize = 100;

#[derive(Serialize)]
struct ExchangeLine<'a> {
    kind: &'static str,
    number: u64,
    time: f64,
    virtual_time: f64,
    transport: String,
    client: String,
    tracker: String,
    connection: Option<ConnectionField>,
    method: Option<&'a str>,
    path: Option<&'a str>,
    parameters: &'a [Parameter],
    headers: Vec<HeaderField<'a>>,
    unreadable: Option<&'a str>,
    bytes: usize,
    announce: Option<AnnounceField>,
    answer: AnswerField,
    misbehaviour: Option<&'a str>,
    since_last: Option<f64>,
    virtual_since_last: Option<f64>,
    changed: &'a [Changed],
}

#[derive(Serialize)]
struct ConnectionField {
    number: u64,
    earlier: u32,
    is_pipelined: bool,
}

#[derive(Serialize)]
struct HeaderField<'a> {
    name: &'a str,
    value: &'a str,
}

/// An announce as it is read, the same for both protocols.
#[derive(Serialize)]
struct AnnounceField {
    info_hash: Option<String>,
    peer_id: Option<String>,
    port: Option<u16>,
    uploaded: Option<u64>,
    downloaded: Option<u64>,
    left: Option<u64>,
    event: String,
    numwant: Option<i64>,
    key: Option<String>,
    compact: Option<String>,
}

impl AnnounceField {
    fn of(announce: &Announce) -> AnnounceField {
        AnnounceField {
            info_hash: announce.info_hash.as_deref().map(hex),
            peer_id: announce.peer_id.as_deref().map(text),
            port: announce.port,
            uploaded: announce.uploaded,
            downloaded: announce.downloaded,
            left: announce.left,
            event: announce.event.clone(),
            numwant: announce.numwant,
            key: announce.key.is_some().then(|| key(announce)),
            compact: announce.compact.as_deref().map(text),
        }
    }
}

#[derive(Serialize)]
struct AnswerField {
    kind: &'static str,
    status: Option<u16>,
    location: Option<String>,
    interval: Option<i64>,
    min_interval: Option<i64>,
    seeders: Option<i64>,
    leechers: Option<i64>,
    downloaded: Option<i64>,
    peers: Option<PeersField>,
    failure: Option<String>,
    warning: Option<String>,
    retry_in: Option<String>,
    torrents: usize,
    bytes: usize,
    milliseconds: f64,
    end: &'static str,
}

#[derive(Serialize)]
struct PeersField {
    v4: usize,
    v6: usize,
    addresses: Vec<String>,
}

impl AnswerField {
    fn of(exchange: &Exchange) -> AnswerField {
        let reading = AnswerReading::of(exchange);
        let (v4, v6) = reading.families();
        let peers = reading.peers.map(|peers| PeersField {
            v4,
            v6,
            addresses: peers
                .iter()
                .take(NAMED_PEERS)
                .map(ToString::to_string)
                .collect(),
        });
        AnswerField {
            kind: reading.kind.name(),
            status: reading.status,
            location: reading.location,
            interval: reading.interval,
            min_interval: reading.min_interval,
            seeders: reading.seeders,
            leechers: reading.leechers,
            downloaded: reading.downloaded,
            peers,
            failure: reading.failure,
            warning: reading.warning,
            retry_in: reading.retry_in,
            torrents: reading.torrents,
            bytes: exchange.answer.sent_bytes(),
            milliseconds: seconds(exchange.answer.took * 1_000),
            end: match exchange.answer.end {
                End::Open => "open",
                End::Closed => "closed",
                End::Reset => "reset",
                End::Lost => "lost",
            },
        }
    }
}

#[derive(Serialize)]
struct ConnectedLine {
    kind: &'static str,
    time: f64,
    connection: u64,
    transport: String,
    client: String,
}

#[derive(Serialize)]
struct DisconnectedLine<'a> {
    kind: &'static str,
    time: f64,
    connection: u64,
    requests: u32,
    error: Option<&'a str>,
}

/// To a thousandth.
fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1_000.0).round() / 1_000.0
}

pub(super) fn exchange(exchange: &Exchange, shown: &Shown, change: Option<&Change>) -> String {
    let request = &exchange.request;
    let headers = shown.headers.iter();
    line(&ExchangeLine {
        kind: shown.kind,
        number: request.number,
        time: seconds(request.at.real),
        virtual_time: seconds(request.at.virtual_time),
        transport: request.transport.to_string(),
        client: request.client.to_string(),
        tracker: request.tracker.to_string(),
        connection: request.connection.map(|there| ConnectionField {
            number: there.connection,
            earlier: there.earlier,
            is_pipelined: there.is_pipelined,
        }),
        method: shown.method.as_deref(),
        path: shown.path.as_deref(),
        parameters: &shown.parameters,
        headers: headers
            .map(|(name, value)| HeaderField { name, value })
            .collect(),
        unreadable: shown.unreadable.as_deref(),
        bytes: shown.bytes,
        announce: shown.announce().map(AnnounceField::of),
        answer: AnswerField::of(exchange),
        misbehaviour: exchange.answer.misbehaviour.as_deref(),
        since_last: change.map(|change| seconds(change.since.real)),
        virtual_since_last: change.map(|change| seconds(change.since.virtual_time)),
        changed: change
            .map(|change| change.changed.as_slice())
            .unwrap_or_default(),
    })
}

pub(super) fn connection(event: &Event) -> String {
    match event {
        Event::Connected {
            connection,
            at,
            transport,
            client,
        } => line(&ConnectedLine {
            kind: "connected",
            time: seconds(at.real),
            connection: *connection,
            transport: transport.to_string(),
            client: client.to_string(),
        }),
        Event::Disconnected {
            connection,
            at,
            requests,
            error,
        } => line(&DisconnectedLine {
            kind: "disconnected",
            time: seconds(at.real),
            connection: *connection,
            requests: *requests,
            error: error.as_deref(),
        }),
        Event::Exchange(_) => String::new(),
    }
}

fn line(value: &impl Serialize) -> String {
    // Numbers and texts can always be written.
    serde_json::to_string(value).map_or_else(|_| String::new(), |json| json + "\n")
}
