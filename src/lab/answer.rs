//! What a client was answered: read from the bytes that were sent, honest or not. It reads what there is to read and judges nothing.

use std::borrow::Cow;
use std::net::SocketAddr;

use super::bencode::Value;
use super::exchange::{Exchange, Transport};
use crate::http_reply::Head;
use crate::net::compact_peers;

/// What an answer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnswerKind {
    /// Nothing was sent.
    #[default]
    Nothing,
    /// The reply to an announce.
    Announce,
    /// The reply to a scrape.
    Scrape,
    /// The reply to a connect of BEP 15.
    Connect,
    /// A failure (BEP 3), or an error packet (BEP 15).
    Failure,
    /// Something that can be read and is no answer of a tracker: a text, a redirect.
    Other,
    /// What cannot be read: cut off, compressed, no bencode.
    Unreadable,
}

impl AnswerKind {
    /// In one word.
    pub const fn name(self) -> &'static str {
        match self {
            AnswerKind::Nothing => "nothing",
            AnswerKind::Announce => "announce",
            AnswerKind::Scrape => "scrape",
            AnswerKind::Connect => "connect",
            AnswerKind::Failure => "failure",
            AnswerKind::Other => "other",
            AnswerKind::Unreadable => "unreadable",
        }
    }
}

/// An answer. What is not in it is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerReading {
    /// What it is.
    pub kind: AnswerKind,
    /// The status of HTTP.
    pub status: Option<u16>,
    /// Where a redirect leads.
    pub location: Option<String>,
    /// Real seconds until the next announce.
    pub interval: Option<i64>,
    /// Real seconds before which there shall be none.
    pub min_interval: Option<i64>,
    /// Seeders; of a scrape those of its first torrent.
    pub seeders: Option<i64>,
    /// Leechers; likewise.
    pub leechers: Option<i64>,
    /// Who ever completed it; likewise.
    pub downloaded: Option<i64>,
    /// The peers, v4 before v6 over HTTP; `None` where there is no list at all.
    pub peers: Option<Vec<SocketAddr>>,
    /// The failure that the client is told.
    pub failure: Option<String>,
    /// The warning that it is told.
    pub warning: Option<String>,
    /// Minutes after which to ask again, or `never` (BEP 31).
    pub retry_in: Option<String>,
    /// Torrents in the reply to a scrape.
    pub torrents: usize,
    /// The connection id of BEP 15.
    pub connection_id: Option<u64>,
}

impl AnswerReading {
    /// Reads what was sent: the bytes of the connection, or the first datagram.
    pub fn of(exchange: &Exchange) -> AnswerReading {
        let sent = &exchange.answer.sent;
        match exchange.request.transport {
            Transport::Http | Transport::Https => of_http(&sent.concat()),
            Transport::Udp => {
                let is_v4 = exchange.request.client.ip().to_canonical().is_ipv4();
                sent.first()
                    .map_or_else(AnswerReading::default, |sent| of_datagram(sent, is_v4))
            }
        }
    }

    fn kind(kind: AnswerKind) -> AnswerReading {
        AnswerReading {
            kind,
            ..AnswerReading::default()
        }
    }

    /// How many of the peers are of v4, and how many of v6.
    pub fn families(&self) -> (usize, usize) {
        let peers = self.peers.as_deref().unwrap_or_default();
        let v4 = peers.iter().filter(|peer| peer.is_ipv4()).count();
        (v4, peers.len() - v4)
    }
}

fn of_http(sent: &[u8]) -> AnswerReading {
    if sent.is_empty() {
        return AnswerReading::default();
    }
    let Ok(Some(head)) = Head::read(sent) else {
        return AnswerReading::kind(AnswerKind::Unreadable);
    };
    let location = head.location.map(String::from_utf8_lossy);
    AnswerReading {
        status: Some(head.status),
        location: location.map(Cow::into_owned),
        // What has come of it, whole or not.
        ..of_body(&head.body(sent, true).bytes)
    }
}

fn of_body(body: &[u8]) -> AnswerReading {
    let is_dictionary = body.first() == Some(&b'd');
    let Some(value) = Value::read(body).filter(|_| is_dictionary) else {
        let is_text = !is_dictionary && str::from_utf8(body).is_ok();
        return AnswerReading::kind(if is_text {
            AnswerKind::Other
        } else {
            AnswerKind::Unreadable
        });
    };
    let text = |name: &str| match value.get(name)? {
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::Integer(number) => Some(number.to_string()),
        Value::List(_) | Value::Dictionary(_) => None,
    };
    let files = value.get("files").map(Value::entries);
    let torrents = files.unwrap_or_default();
    let counts = torrents.first().map_or(&value, |first| &first.value);
    let count = |name: &str| counts.get(name).and_then(Value::integer);
    let number = |name: &str| value.get(name).and_then(Value::integer);
    let failure = text("failure reason");
    let kind = if failure.is_some() {
        AnswerKind::Failure
    } else if files.is_some() {
        AnswerKind::Scrape
    } else if ["interval", "peers", "peers6"]
        .iter()
        .any(|name| value.get(name).is_some())
    {
        AnswerKind::Announce
    } else {
        AnswerKind::Other
    };
    AnswerReading {
        kind,
        interval: number("interval"),
        min_interval: number("min interval"),
        seeders: count("complete"),
        leechers: count("incomplete"),
        downloaded: count("downloaded"),
        peers: peers(&value),
        failure,
        warning: text("warning message"),
        retry_in: text("retry in"),
        torrents: torrents.len(),
        ..AnswerReading::default()
    }
}

/// The peers of a reply, compact (BEP 23, BEP 7) or not.
fn peers(reply: &Value<'_>) -> Option<Vec<SocketAddr>> {
    let (first, second) = (reply.get("peers"), reply.get("peers6"));
    if first.is_none() && second.is_none() {
        return None;
    }
    let mut all = Vec::new();
    match first {
        Some(Value::Bytes(bytes)) => all.extend(compact_peers(bytes, true)),
        Some(Value::List(listed)) => all.extend(listed.iter().filter_map(|peer| {
            let ip = str::from_utf8(peer.get("ip")?.bytes()?).ok()?;
            let port = u16::try_from(peer.get("port")?.integer()?).ok()?;
            Some(SocketAddr::new(ip.parse().ok()?, port))
        })),
        _ => {}
    }
    if let Some(Value::Bytes(bytes)) = second {
        all.extend(compact_peers(bytes, false));
    }
    Some(all)
}

fn of_datagram(sent: &[u8], is_v4: bool) -> AnswerReading {
    let signed = |offset: usize| number(sent, offset).map(|number| i64::from(number.cast_signed()));
    match (action(sent), transaction(sent)) {
        (Some(0), Some(_)) if sent.len() >= 16 => AnswerReading {
            connection_id: connection_id(sent),
            ..AnswerReading::kind(AnswerKind::Connect)
        },
        (Some(1), Some(_)) if sent.len() >= 20 => {
            let peers = sent.get(20..).unwrap_or_default();
            AnswerReading {
                interval: signed(8),
                leechers: signed(12),
                seeders: signed(16),
                peers: Some(compact_peers(peers, is_v4)),
                ..AnswerReading::kind(AnswerKind::Announce)
            }
        }
        (Some(2), Some(_)) => AnswerReading {
            seeders: signed(8),
            downloaded: signed(12),
            leechers: signed(16),
            torrents: sent.len().saturating_sub(8) / 12,
            ..AnswerReading::kind(AnswerKind::Scrape)
        },
        (Some(3), Some(_)) => {
            let text = sent.get(8..).unwrap_or_default();
            let text = String::from_utf8_lossy(text);
            AnswerReading {
                failure: Some(text.trim_end_matches('\0').to_owned()),
                ..AnswerReading::kind(AnswerKind::Failure)
            }
        }
        _ => AnswerReading::kind(AnswerKind::Unreadable),
    }
}

/// The action of a datagram that answers (BEP 15: bytes 0 to 4).
pub(super) fn action(reply: &[u8]) -> Option<u32> {
    number(reply, 0)
}

/// The transaction id of one (bytes 4 to 8).
pub(super) fn transaction(reply: &[u8]) -> Option<u32> {
    number(reply, 4)
}

/// The connection id of one that answers a connect (bytes 8 to 16).
pub(super) fn connection_id(reply: &[u8]) -> Option<u64> {
    (action(reply)? == 0).then_some(())?;
    Some(u64::from_be_bytes(reply.get(8..)?.first_chunk().copied()?))
}

/// Four bytes of one as a number, in network order.
pub(super) fn number(reply: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_be_bytes(
        reply.get(offset..)?.first_chunk().copied()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(body: &str) -> AnswerReading {
        of_http(format!("HTTP/1.1 200 OK\r\nX: y\r\n\r\n{body}").as_bytes())
    }

    #[test]
    fn replies_of_http_are_read_in_each_of_their_forms() {
        let reply = http(
            "d8:completei3e10:incompletei1e8:intervali60e12:min intervali54e5:peers6:\x7f\0\0\x01\0\x0515:warning message2:hee",
        );
        assert_eq!(
            (reply.kind, reply.status),
            (AnswerKind::Announce, Some(200))
        );
        assert_eq!((reply.interval, reply.min_interval), (Some(60), Some(54)));
        assert_eq!((reply.seeders, reply.leechers), (Some(3), Some(1)));
        assert_eq!(reply.peers, Some(vec!["127.0.0.1:5".parse().unwrap()]));
        assert_eq!(reply.warning.as_deref(), Some("he"));
        let reply = http("d5:peersld2:ip3:::14:porti7eeee");
        assert_eq!(reply.families(), (0, 1));
        let reply = http("d14:failure reason2:no8:retry in5:nevere");
        assert_eq!(
            (reply.kind, reply.failure.as_deref()),
            (AnswerKind::Failure, Some("no"))
        );
        assert_eq!(reply.retry_in.as_deref(), Some("never"));
        let reply = http("d5:filesd20:hhhhhhhhhhhhhhhhhhhhd8:completei2e10:downloadedi9eeee");
        assert_eq!((reply.kind, reply.torrents), (AnswerKind::Scrape, 1));
        assert_eq!((reply.seeders, reply.downloaded), (Some(2), Some(9)));
    }

    #[test]
    fn what_is_no_answer_of_a_tracker_is_told_apart() {
        assert_eq!(http("not found\n").kind, AnswerKind::Other);
        assert_eq!(http("d8:intervali60e5:pe").kind, AnswerKind::Unreadable);
        assert_eq!(of_http(b"").kind, AnswerKind::Nothing);
        assert_eq!(of_http(b"HTTP/1.1 200").kind, AnswerKind::Unreadable);
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nd8:\r\nf;x=y\r\nintervali60eeee\r\n0\r\n\r\n";
        assert_eq!(of_http(chunked).kind, AnswerKind::Unreadable);
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nd8:\r\nd\r\nintervali60ee\r\n0\r\n\r\n";
        assert_eq!(of_http(chunked).interval, Some(60));
        let moved = b"HTTP/1.1 301 Moved\r\nlocation: udp://x\r\n\r\n";
        let moved = of_http(moved);
        assert_eq!(
            (moved.status, moved.location.as_deref()),
            (Some(301), Some("udp://x"))
        );
    }

    #[test]
    fn datagrams_are_read() {
        let numbers = |numbers: &[u32]| -> Vec<u8> {
            numbers
                .iter()
                .flat_map(|number| number.to_be_bytes())
                .collect()
        };
        let connect = of_datagram(&numbers(&[0, 1, 2, 3]), true);
        assert_eq!(connect.connection_id, Some(0x2_0000_0003));
        let mut datagram = numbers(&[1, 1, 60, 4, 5]);
        datagram.extend([127, 0, 0, 1, 0, 5]);
        let announce = of_datagram(&datagram, true);
        assert_eq!((announce.leechers, announce.seeders), (Some(4), Some(5)));
        assert_eq!(announce.families(), (1, 0));
        assert_eq!(of_datagram(&datagram, false).families(), (0, 0));
        let mut error = numbers(&[3, 1]);
        error.extend(b"no\0");
        assert_eq!(of_datagram(&error, true).failure.as_deref(), Some("no"));
        assert_eq!(of_datagram(&numbers(&[2, 1, 1, 2, 3]), true).torrents, 1);
        assert_eq!(of_datagram(b"x", true).kind, AnswerKind::Unreadable);
    }
}
