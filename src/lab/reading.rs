//! What a request of a client means: its parameters, raw and read. It reads what clients send, right or wrong, and refuses nothing:
//! what is wrong is for who judges.

use super::exchange::{Body, HttpHead, Request};
use crate::percent;

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "most are announces, and none is kept"
)]
pub enum Reading {
    /// An announce.
    Announce(Announce),
    /// A scrape.
    Scrape(Vec<Vec<u8>>),
    /// A connect of BEP 15.
    Connect(UdpHead),
    /// Anything else.
    Other,
}

/// The first 16 bytes of a datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UdpHead {
    /// The connection id, or the number of the protocol.
    pub connection_id: u64,
    /// 0 connect, 1 announce, 2 scrape.
    pub action: u32,
    /// The client's number for the request.
    pub transaction: u32,
}

/// An announce. What is absent or no value of its kind is `None`; `parameters` has it as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announce {
    /// 20 bytes where it is right.
    pub info_hash: Option<Vec<u8>>,
    /// 20 bytes where it is right.
    pub peer_id: Option<Vec<u8>>,
    /// Where the client listens.
    pub port: Option<u16>,
    /// Bytes since `started`.
    pub uploaded: Option<u64>,
    /// Bytes since `started`.
    pub downloaded: Option<u64>,
    /// Bytes that are missing.
    pub left: Option<u64>,
    /// Empty for none.
    pub event: String,
    /// Peers wanted.
    pub numwant: Option<i64>,
    /// As it came, decoded; four bytes over UDP.
    pub key: Option<Vec<u8>>,
    /// HTTP only.
    pub compact: Option<Vec<u8>>,
    /// Parameters of the query, in their order; none over UDP.
    pub parameters: Vec<Parameter>,
    /// UDP only.
    pub udp: Option<UdpAnnounce>,
}

/// What only an announce over UDP has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UdpAnnounce {
    /// Its head.
    pub head: UdpHead,
    /// The address in it; zeros for none.
    pub address: [u8; 4],
    /// The number of its event: 0 none, 1 completed, 2 started, 3 stopped.
    pub event: u32,
    /// What follows the 98 bytes: options of BEP 41, or padding.
    pub options: Vec<u8>,
}

/// A parameter of a query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameter {
    /// Decoded.
    pub name: Vec<u8>,
    /// Still encoded.
    pub raw: Vec<u8>,
    /// Decoded; a broken escape stands for itself.
    pub value: Vec<u8>,
}

impl Reading {
    /// Reads a request.
    pub fn of(request: &Request) -> Reading {
        match &request.body {
            Body::Http(head) => of_http(head),
            Body::Datagram(datagram) => of_datagram(datagram),
            Body::Unreadable(_) => Reading::Other,
        }
    }
}

fn of_http(head: &HttpHead) -> Reading {
    let last = head.path.rsplit(|byte| *byte == b'/').next();
    let last = last.unwrap_or_default();
    let query = head.query.as_deref().unwrap_or_default();
    // As trackers find it: a client added its own question mark to a URL that had one.
    let parameters = parameters(query.strip_prefix(b"?").unwrap_or(query));
    if last.starts_with(b"scrape") {
        let hashes = parameters.into_iter();
        let hashes = hashes.filter(|parameter| parameter.name == b"info_hash");
        return Reading::Scrape(hashes.map(|parameter| parameter.value).collect());
    }
    let has_hash = parameters.iter().any(|there| there.name == b"info_hash");
    if last.starts_with(b"ann") || has_hash {
        Reading::Announce(of_query(parameters))
    } else {
        Reading::Other
    }
}

/// The parameters of a query, in their order.
pub fn parameters(query: &[u8]) -> Vec<Parameter> {
    let pairs = query.split(|byte| *byte == b'&');
    let pairs = pairs.filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let sign = pair.iter().position(|byte| *byte == b'=');
            let (name, raw) = pair.split_at(sign.unwrap_or(pair.len()));
            let raw = raw.get(1..).unwrap_or_default();
            Parameter {
                name: decoded(name),
                raw: raw.to_vec(),
                value: decoded(raw),
            }
        })
        .collect()
}

/// Decodes percent-encoding, leaving broken escapes as they are. A plus sign stays one.
pub fn decoded(text: &[u8]) -> Vec<u8> {
    percent::decode_path(text).into_owned()
}

fn of_query(parameters: Vec<Parameter>) -> Announce {
    let value = |name: &str| {
        let mut there = parameters.iter();
        there
            .find(|parameter| parameter.name == name.as_bytes())
            .map(|parameter| parameter.value.clone())
    };
    let text = |name: &str| String::from_utf8(value(name)?).ok();
    Announce {
        info_hash: value("info_hash"),
        peer_id: value("peer_id"),
        port: text("port").and_then(|text| text.parse().ok()),
        uploaded: text("uploaded").and_then(|text| text.parse().ok()),
        downloaded: text("downloaded").and_then(|text| text.parse().ok()),
        left: text("left").and_then(|text| text.parse().ok()),
        event: text("event").unwrap_or_default(),
        numwant: text("numwant").and_then(|text| text.parse().ok()),
        key: value("key"),
        compact: value("compact"),
        parameters,
        udp: None,
    }
}

fn of_datagram(datagram: &[u8]) -> Reading {
    let Some(head) = UdpHead::read(datagram) else {
        return Reading::Other;
    };
    match head.action {
        0 => Reading::Connect(head),
        1 => of_announce(head, datagram).map_or(Reading::Other, Reading::Announce),
        2 => {
            let hashes = datagram.get(16..).unwrap_or_default();
            Reading::Scrape(hashes.chunks(20).map(<[u8]>::to_vec).collect())
        }
        _ => Reading::Other,
    }
}

impl UdpHead {
    /// Reads the head of a datagram; none of one that is shorter.
    pub fn read(datagram: &[u8]) -> Option<UdpHead> {
        Some(UdpHead {
            connection_id: u64::from_be_bytes(field(datagram, 0)?),
            action: u32::from_be_bytes(field(datagram, 8)?),
            transaction: u32::from_be_bytes(field(datagram, 12)?),
        })
    }
}

fn field<const SIZE: usize>(datagram: &[u8], offset: usize) -> Option<[u8; SIZE]> {
    datagram.get(offset..)?.first_chunk().copied()
}

fn of_announce(head: UdpHead, datagram: &[u8]) -> Option<Announce> {
    let event = u32::from_be_bytes(field(datagram, 80)?);
    let named = ["", "completed", "started", "stopped"];
    let named = usize::try_from(event)
        .ok()
        .and_then(|event| named.get(event));
    Some(Announce {
        info_hash: Some(field::<20>(datagram, 16)?.to_vec()),
        peer_id: Some(field::<20>(datagram, 36)?.to_vec()),
        port: Some(u16::from_be_bytes(field(datagram, 96)?)),
        uploaded: Some(u64::from_be_bytes(field(datagram, 72)?)),
        downloaded: Some(u64::from_be_bytes(field(datagram, 56)?)),
        left: Some(u64::from_be_bytes(field(datagram, 64)?)),
        event: named.map_or_else(|| event.to_string(), |name| (*name).to_owned()),
        numwant: Some(i64::from(i32::from_be_bytes(field(datagram, 92)?))),
        key: Some(field::<4>(datagram, 88)?.to_vec()),
        compact: None,
        parameters: Vec::new(),
        udp: Some(UdpAnnounce {
            head,
            address: field(datagram, 84)?,
            event,
            options: datagram.get(98..).unwrap_or_default().to_vec(),
        }),
    })
}
