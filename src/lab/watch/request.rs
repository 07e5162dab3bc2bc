//! A request as it is shown: each parameter raw and read, whatever transport it came by, in text that steers no terminal.

use crate::lab::exchange::{Body, Request};
use crate::lab::reading::{self, Announce, Reading, UdpHead};

/// Bytes of one value that are shown.
const MAX_SHOWN: usize = 2_048;

/// One request.
#[derive(Debug)]
pub(super) struct Shown {
    reading: Reading,
    /// `announce`, `scrape`, `connect`, or `other`.
    pub kind: &'static str,
    /// The method of HTTP.
    pub method: Option<String>,
    /// The path of HTTP.
    pub path: Option<String>,
    /// Its parameters in their order: of the query, or the fields of a datagram.
    pub parameters: Vec<Parameter>,
    /// The fields of an HTTP head.
    pub headers: Vec<(String, String)>,
    /// Bytes that came, where they are no request.
    pub unreadable: Option<String>,
    /// How many bytes came.
    pub bytes: usize,
}

/// One parameter.
#[derive(Debug, serde::Serialize)]
pub(super) struct Parameter {
    pub name: String,
    /// As it came: percent-encoded, or the bytes of a datagram in hex.
    pub raw: String,
    /// As it is read: an info hash in hex, anything else as text in which other bytes than printable ASCII stand as `\xNN`.
    pub value: String,
}

impl Shown {
    pub(super) fn of(request: &Request) -> Shown {
        let reading = Reading::of(request);
        let kind = match &reading {
            Reading::Announce(_) => "announce",
            Reading::Scrape(_) => "scrape",
            Reading::Connect(_) => "connect",
            Reading::Other => "other",
        };
        let mut shown = Shown {
            parameters: Vec::new(),
            reading,
            kind,
            method: None,
            path: None,
            headers: Vec::new(),
            unreadable: None,
            bytes: 0,
        };
        match &request.body {
            Body::Http(head) => {
                shown.method = Some(text(&head.method));
                shown.path = Some(text(&head.path));
                let query = head.query.as_deref().unwrap_or_default();
                let parameters = reading::parameters(query);
                let parameters = parameters.iter().map(|there| Parameter {
                    name: text(&there.name),
                    raw: text(&there.raw),
                    value: value(&there.name, &there.value),
                });
                shown.parameters = parameters.collect();
                let headers = head.headers.iter();
                shown.headers = headers
                    .map(|(name, value)| (text(name), text(value)))
                    .collect();
                shown.bytes = head.raw.len();
            }
            Body::Datagram(datagram) => {
                shown.parameters = fields(datagram, &shown.reading);
                shown.bytes = datagram.len();
                if shown.parameters.is_empty() {
                    shown.unreadable = Some(text(datagram));
                }
            }
            Body::Unreadable(bytes) => {
                shown.unreadable = Some(text(bytes));
                shown.bytes = bytes.len();
            }
        }
        shown
    }

    /// The announce, where it is one.
    pub(super) fn announce(&self) -> Option<&Announce> {
        match &self.reading {
            Reading::Announce(announce) => Some(announce),
            Reading::Scrape(_) | Reading::Connect(_) | Reading::Other => None,
        }
    }

    /// The info hashes of a scrape.
    pub(super) fn scraped(&self) -> &[Vec<u8>] {
        match &self.reading {
            Reading::Scrape(hashes) => hashes,
            Reading::Announce(_) | Reading::Connect(_) | Reading::Other => &[],
        }
    }

    /// The value of the first header of this name.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let (_, value) = headers.find(|(there, _)| there.eq_ignore_ascii_case(name))?;
        Some(value)
    }
}

/// Bytes as text on one line.
pub(super) fn text(bytes: &[u8]) -> String {
    let shown = bytes.get(..MAX_SHOWN).unwrap_or(bytes);
    let dots = if shown.len() < bytes.len() { "…" } else { "" };
    format!("{}{dots}", shown.escape_ascii())
}

/// Bytes in hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    let shown = bytes.get(..MAX_SHOWN).unwrap_or(bytes);
    shown.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn value(name: &[u8], value: &[u8]) -> String {
    if name == b"info_hash" {
        hex(value)
    } else {
        text(value)
    }
}

/// The fields of a datagram (BEP 15); none of one that is no request.
fn fields(datagram: &[u8], reading: &Reading) -> Vec<Parameter> {
    let Some(head) = UdpHead::read(datagram) else {
        return Vec::new();
    };
    let mut fields = Vec::new();
    let mut field = |name: &str, from: usize, to: usize, value: String| {
        let raw = datagram.get(from..to).unwrap_or_default();
        fields.push(Parameter {
            name: name.to_owned(),
            raw: hex(raw),
            value,
        });
    };
    let id = if head.action == 0 {
        "protocol_id"
    } else {
        "connection_id"
    };
    field(id, 0, 8, format!("{:#x}", head.connection_id));
    field("action", 8, 12, head.action.to_string());
    field(
        "transaction_id",
        12,
        16,
        format!("{:#010x}", head.transaction),
    );
    match reading {
        Reading::Announce(announce) => {
            for (name, from, to, value) in announced(datagram, announce) {
                field(name, from, to, value);
            }
        }
        Reading::Scrape(hashes) => {
            for (index, hash) in hashes.iter().enumerate() {
                let from = 16 + index * 20;
                field("info_hash", from, from + hash.len(), hex(hash));
            }
        }
        Reading::Connect(_) | Reading::Other => {
            if datagram.len() > 16 {
                let rest = datagram.get(16..).unwrap_or_default();
                field("rest", 16, datagram.len(), text(rest));
            }
        }
    }
    fields
}

/// The fields of an announce behind its head: name, where it begins and ends, value.
fn announced(datagram: &[u8], announce: &Announce) -> Vec<(&'static str, usize, usize, String)> {
    let bytes = |from: usize, to: usize| datagram.get(from..to).unwrap_or_default();
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    let wanted = announce.numwant.map(|wanted| wanted.to_string());
    let udp = announce.udp.as_ref();
    let [a, b, c, d] = udp.map(|udp| udp.address).unwrap_or_default();
    let mut fields = vec![
        ("info_hash", 16, 36, hex(bytes(16, 36))),
        ("peer_id", 36, 56, text(bytes(36, 56))),
        ("downloaded", 56, 64, number(announce.downloaded)),
        ("left", 64, 72, number(announce.left)),
        ("uploaded", 72, 80, number(announce.uploaded)),
        ("event", 80, 84, announce.event.clone()),
        ("ip", 84, 88, format!("{a}.{b}.{c}.{d}")),
        ("key", 88, 92, hex(bytes(88, 92))),
        ("numwant", 92, 96, wanted.unwrap_or_default()),
        ("port", 96, 98, number(announce.port.map(u64::from))),
    ];
    let end = datagram.len();
    if end > 98 {
        fields.push(("options", 98, end, text(bytes(98, end))));
    }
    fields
}
