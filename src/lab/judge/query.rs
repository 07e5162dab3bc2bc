//! How an announce is written: the query with its encoding, and what each parameter may be.

use super::book::{Book, Evidence, Finding, escaped};
use super::rule::Rule;
use crate::lab::exchange::{Body, Request};
use crate::lab::reading::{Announce, Parameter, decoded};

/// Parameters that are bytes, not text.
const BINARY: [&[u8]; 4] = [b"info_hash", b"peer_id", b"key", b"trackerid"];

/// What stands unescaped in a URL by RFC 3986 or RFC 1738; the plus sign has a rule of its own.
const UNRESERVED: &[u8] = b"-_.~$!*'(),";

/// The most peers that a client may want; trackers hand out no more than some hundred.
const NUMWANT_LIMIT: i64 = 1_000;

/// Judges how one announce is written.
pub(super) fn check(book: &mut Book, session: Option<u32>, request: &Request, announce: &Announce) {
    let text = Text {
        session,
        request,
        announce,
    };
    if let Body::Http(head) = &request.body {
        text.check_form(book, head.query.as_deref().unwrap_or_default());
        text.check_encoding(book);
        text.check_required(book);
        text.check_switches(book);
    }
    text.check_hash_and_id(book);
    text.check_values(book);
}

struct Text<'a> {
    session: Option<u32>,
    request: &'a Request,
    announce: &'a Announce,
}

impl Text<'_> {
    fn finding(&self, what: String, right: &str) -> Finding {
        Finding {
            session: self.session,
            what,
            right: right.to_owned(),
            evidence: vec![Evidence::of(self.request)],
        }
    }

    fn parameter(&self, name: &str) -> Option<&Parameter> {
        let mut parameters = self.announce.parameters.iter();
        parameters.find(|parameter| parameter.name == name.as_bytes())
    }

    fn check_form(&self, book: &mut Book, query: &[u8]) {
        let is_odd = |pair: &[u8]| pair.is_empty() || pair.starts_with(b"=");
        let is_well_formed =
            !query.starts_with(b"?") && !query.split(|byte| *byte == b'&').any(is_odd);
        book.check(Rule::QueryWellFormed, is_well_formed, || {
            self.finding(
                format!("the query is `{}`", escaped(query)),
                "`?name=value&name=value`; to a URL that has a query already, parameters are added with `&`",
            )
        });
        let parameters = &self.announce.parameters;
        let twice = parameters.iter().enumerate().find(|(at, parameter)| {
            let mut earlier = parameters.iter().take(*at);
            earlier.any(|there| there.name == parameter.name)
        });
        book.check(Rule::ParametersOnce, twice.is_none(), || {
            let name = twice.map(|(_, parameter)| escaped(&parameter.name));
            let name = name.unwrap_or_default();
            self.finding(format!("`{name}` stands twice"), "each parameter once")
        });
    }

    fn check_encoding(&self, book: &mut Book) {
        for parameter in &self.announce.parameters {
            let Parameter { name, raw, value } = parameter;
            let shown = || format!("`{}={}`", escaped(name), escaped(raw));
            if raw.contains(&b'%') {
                book.check(Rule::EscapesWellFormed, has_whole_escapes(raw), || {
                    let what = format!("{} has a percent sign without two digits", shown());
                    self.finding(what, "a percent sign that is meant is `%25`")
                });
            }
            if !BINARY.contains(&name.as_slice()) {
                continue;
            }
            let is_plain = |byte: &u8| {
                byte.is_ascii_alphanumeric() || UNRESERVED.contains(byte) || b"%+".contains(byte)
            };
            book.check(Rule::ReservedEncoded, raw.iter().all(is_plain), || {
                let strange = raw.iter().find(|byte| !is_plain(byte));
                let strange = strange.copied().unwrap_or_default();
                self.finding(
                    format!("{} has the byte 0x{strange:02x} as it is", shown()),
                    &format!("`%{strange:02X}`"),
                )
            });
            if value.iter().any(|byte| b" +".contains(byte)) {
                book.check(Rule::PlusEncoded, !raw.contains(&b'+'), || {
                    let what = format!("{} has a plus sign", shown());
                    self.finding(what, "`%20` for a blank, `%2B` for a plus sign")
                });
            }
        }
        for name in ["info_hash", "peer_id"] {
            let Some(parameter) = self.parameter(name) else {
                continue;
            };
            book.check(
                Rule::EncodedOnce,
                !is_encoded_twice(&parameter.value),
                || {
                    let raw = escaped(&parameter.raw);
                    let once = escaped(&parameter.value);
                    self.finding(
                        format!("`{name}={raw}` decodes to escapes, and those to 20 bytes"),
                        &format!("`{name}={once}`"),
                    )
                },
            );
        }
    }

    fn check_required(&self, book: &mut Book) {
        let names = [
            "info_hash",
            "peer_id",
            "port",
            "uploaded",
            "downloaded",
            "left",
        ];
        let missing: Vec<&str> = names
            .into_iter()
            .filter(|name| {
                self.parameter(name)
                    .is_none_or(|there| there.raw.is_empty())
            })
            .collect();
        let numbers = [
            ("uploaded", self.announce.uploaded),
            ("downloaded", self.announce.downloaded),
            ("left", self.announce.left),
        ];
        let garbled: Vec<&str> = numbers
            .into_iter()
            .filter(|(name, value)| !missing.contains(name) && value.is_none())
            .map(|(name, _)| name)
            .collect();
        let is_complete = missing.is_empty() && garbled.is_empty();
        book.check(Rule::RequiredParameters, is_complete, || {
            let what = if missing.is_empty() {
                format!("no whole number from 0: {}", garbled.join(", "))
            } else {
                format!("missing: {}", missing.join(", "))
            };
            self.finding(what, "all six with each announce")
        });
    }

    fn check_switches(&self, book: &mut Book) {
        for (name, rule) in [
            ("compact", Rule::CompactSane),
            ("no_peer_id", Rule::NoPeerIdSane),
        ] {
            let Some(parameter) = self.parameter(name) else {
                continue;
            };
            let is_sane = matches!(parameter.value.as_slice(), b"0" | b"1");
            book.check(rule, is_sane, || {
                let what = format!("`{name}={}`", escaped(&parameter.raw));
                self.finding(what, &format!("`{name}=1` or `{name}=0`"))
            });
        }
    }

    fn check_hash_and_id(&self, book: &mut Book) {
        for (name, value, rule) in [
            ("info_hash", &self.announce.info_hash, Rule::HashLength),
            ("peer_id", &self.announce.peer_id, Rule::PeerIdLength),
        ] {
            // Absent and twice encoded ones have rules of their own.
            let Some(value) = value.as_ref().filter(|value| !is_encoded_twice(value)) else {
                continue;
            };
            book.check(rule, value.len() == 20, || {
                let what = format!("{name} is {} bytes: `{}`", value.len(), escaped(value));
                self.finding(what, "20 bytes")
            });
        }
        let Some(id) = self.announce.peer_id.as_ref().filter(|id| id.len() == 20) else {
            return;
        };
        let is_named = match id.as_slice() {
            [b'-', name @ ..] if name.get(6) == Some(&b'-') => name
                .iter()
                .take(6)
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-~".contains(byte)),
            // Shadow's style: a letter, up to five signs of the version, dashes.
            [first, rest @ ..] => {
                first.is_ascii_alphanumeric() && rest.iter().take(8).any(|byte| *byte == b'-')
            }
            [] => false,
        };
        book.check(Rule::PeerIdNamed, is_named, || {
            self.finding(
                format!("peer_id is `{}`", escaped(id)),
                "`-XX1234-` and twelve random bytes, where the client may be known",
            )
        });
    }

    fn check_values(&self, book: &mut Book) {
        let port = self.announce.port;
        if self.announce.udp.is_some() || self.parameter("port").is_some() {
            book.check(Rule::PortValid, port.is_some_and(|port| port > 0), || {
                let raw = self.parameter("port");
                let raw = raw.map_or_else(|| "0".to_owned(), |there| escaped(&there.raw));
                self.finding(
                    format!("port is `{raw}`"),
                    "the port that the client listens on",
                )
            });
        }
        let event = self.announce.event.as_str();
        let is_over_udp = self.announce.udp.is_some();
        if !event.is_empty() || self.parameter("event").is_some() || is_over_udp {
            let is_known = matches!(event, "" | "started" | "completed" | "stopped" | "paused");
            book.check(Rule::EventKnown, is_known, || {
                let what = format!("event is `{}`", escaped(event.as_bytes()));
                self.finding(what, "`started`, `completed`, `stopped`, `paused`, or none")
            });
        }
        if is_over_udp || self.parameter("numwant").is_some() {
            let lowest = if is_over_udp { -1 } else { 0 };
            let numwant = self.announce.numwant;
            let is_sane = numwant.is_some_and(|want| (lowest..=NUMWANT_LIMIT).contains(&want));
            book.check(Rule::NumwantSane, is_sane, || {
                let what = match numwant {
                    Some(number) => format!("numwant is {number}"),
                    None => "numwant is no number".to_owned(),
                };
                self.finding(
                    what,
                    "what the client can use; none for the tracker's default",
                )
            });
        }
        let has_key = self
            .announce
            .key
            .as_ref()
            .is_some_and(|key| !key.is_empty());
        book.check(Rule::KeyPresent, has_key, || {
            self.finding("no key".to_owned(), "a `key` of 32 random bits")
        });
    }
}

fn is_encoded_twice(value: &[u8]) -> bool {
    value.len() > 20 && value.contains(&b'%') && decoded(value).len() == 20
}

fn has_whole_escapes(raw: &[u8]) -> bool {
    raw.iter().enumerate().all(|(at, byte)| {
        let digits = raw.get(at + 1..at + 3);
        *byte != b'%' || digits.is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit))
    })
}
