//! Replies, written into one buffer: the head of HTTP/1.1, and canonical bencode (BEP 3: sorted keys) behind it.
//!
//! The forms are those of BEP 7, 21, 23, 24, 31 and 48.

use std::net::IpAddr;

use crate::invariant::present;
use crate::tracker::{AnnounceReply, InfoHash, PeerId, PeerList, ScrapeReply};

/// What becomes of the connection, and whether the body is sent: the part of a reply that the request's head decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Whether the connection is closed behind the reply.
    pub closes: bool,
    /// Whether a client of HTTP/1.0 must be told that it stays open.
    pub tells_keep_alive: bool,
    /// Whether only the head is wanted.
    pub is_head_only: bool,
}

/// The form of the peers in an announce reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnnounceFormat {
    /// Compact strings (BEP 23, BEP 7), else dictionaries.
    pub is_compact: bool,
    /// Whether `peers6` stands in a compact reply even when it is empty.
    pub wants_v6: bool,
    /// The address that the request counts for, when the client is to be told (BEP 24).
    pub external_ip: Option<IpAddr>,
}

/// Where a reply that is being written begins, so that its head can be finished.
#[derive(Debug)]
#[must_use]
pub struct OpenReply {
    length_at: usize,
    body_at: usize,
    frame: Frame,
}

/// Digits that the length of a body mostly has. Another number of them costs a move of the body.
const COMMON_DIGITS: usize = 3;

/// Writes the head of a reply with the status line's code and reason, as `200 OK`; the length is filled in by [`finish`].
pub fn begin(out: &mut Vec<u8>, status: &str, frame: Frame) -> OpenReply {
    begin_with(out, status, b"text/plain\r\n", frame)
}

/// As [`begin`], with the lines of the head from the value of Content-Type on.
#[inline]
fn begin_with(out: &mut Vec<u8>, status: &str, fields: &[u8], frame: Frame) -> OpenReply {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_bytes());
    out.extend_from_slice(b"\r\nContent-Type: ");
    out.extend_from_slice(fields);
    if frame.closes {
        out.extend_from_slice(b"Connection: close\r\n");
    } else if frame.tells_keep_alive {
        out.extend_from_slice(b"Connection: keep-alive\r\n");
    }
    if status.starts_with("405") {
        out.extend_from_slice(b"Allow: GET, HEAD\r\n");
    }
    out.extend_from_slice(b"Content-Length: ");
    let length_at = out.len();
    out.extend_from_slice(b"000\r\n\r\n");
    OpenReply {
        length_at,
        body_at: out.len(),
        frame,
    }
}

/// Fills in the length of the body, which has been written behind the head.
pub fn finish(out: &mut Vec<u8>, begun: &OpenReply) {
    let &OpenReply {
        length_at,
        body_at,
        frame,
    } = begun;
    debug_assert!(out.len() >= body_at, "a body only grows behind its head");
    let length = out.len().saturating_sub(body_at);
    let mut digits = [0; DECIMAL_DIGITS];
    let digits = decimal_digits(short(length), &mut digits);
    if digits.len() != COMMON_DIGITS {
        let placeholder = length_at..length_at + COMMON_DIGITS;
        out.splice(placeholder, digits.iter().copied());
    } else if let Some(digits_at) = out.get_mut(length_at..length_at + COMMON_DIGITS) {
        digits_at.copy_from_slice(digits);
    }
    if frame.is_head_only {
        out.truncate(out.len().saturating_sub(length));
    }
}

/// Writes a whole reply with a short text.
pub fn text(out: &mut Vec<u8>, status: &str, frame: Frame, body: &str) {
    let begun = begin(out, status, frame);
    out.extend_from_slice(body.as_bytes());
    finish(out, &begun);
}

/// Writes a whole reply about the process, in JSON that nobody may keep or take for anything else.
pub fn report(out: &mut Vec<u8>, is_good: bool, frame: Frame, body: &str) {
    let status = if is_good {
        "200 OK"
    } else {
        "503 Service Unavailable"
    };
    let fields =
        b"application/json\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n";
    let begun = begin_with(out, status, fields, frame);
    out.extend_from_slice(body.as_bytes());
    finish(out, &begun);
}

/// Writes the reply to a connection that gets no permit.
pub(crate) fn busy(out: &mut Vec<u8>, is_head_only: bool) {
    let frame = Frame {
        closes: true,
        tells_keep_alive: false,
        is_head_only,
    };
    let fields = b"text/plain\r\nRetry-After: 10\r\n";
    let begun = begin_with(out, "503 Service Unavailable", fields, frame);
    out.extend_from_slice(b"busy\n");
    finish(out, &begun);
}

/// Writes the reply to a client that asks for too much: what the matter is, and after how many seconds to come again.
pub(crate) fn too_many(out: &mut Vec<u8>, why: &str, seconds: u32, frame: Frame) {
    let mut digits = [0; DECIMAL_DIGITS];
    let mut fields = b"text/plain\r\nRetry-After: ".to_vec();
    fields.extend_from_slice(decimal_digits(seconds, &mut digits));
    fields.extend_from_slice(b"\r\n");
    let begun = begin_with(out, "429 Too Many Requests", &fields, frame);
    out.extend_from_slice(why.as_bytes());
    out.push(b'\n');
    finish(out, &begun);
}

/// Writes the reply to HTTP without TLS where TLS is spoken.
pub(crate) fn needs_tls(out: &mut Vec<u8>) {
    let frame = Frame {
        closes: true,
        tells_keep_alive: false,
        is_head_only: false,
    };
    let why = "this port is for HTTPS; the address begins with https://\n";
    text(out, "400 Bad Request", frame, why);
}

/// Writes the body of an announce reply.
pub fn announce(
    out: &mut Vec<u8>,
    reply: &AnnounceReply,
    list: &PeerList,
    form: AnnounceFormat,
    warning: Option<&str>,
) {
    out.extend_from_slice(b"d8:complete");
    integer(out, reply.complete);
    out.extend_from_slice(b"10:downloaded");
    integer(out, reply.downloaded);
    match form.external_ip {
        Some(IpAddr::V4(ip)) => {
            out.extend_from_slice(b"11:external ip");
            string(out, &ip.octets());
        }
        Some(IpAddr::V6(ip)) => {
            out.extend_from_slice(b"11:external ip");
            string(out, &ip.octets());
        }
        None => {}
    }
    out.extend_from_slice(b"10:incomplete");
    integer(out, reply.incomplete);
    out.extend_from_slice(b"8:interval");
    integer(out, reply.interval);
    out.extend_from_slice(b"12:min interval");
    integer(out, reply.min_interval);
    out.extend_from_slice(b"5:peers");
    if form.is_compact {
        string(out, list.v4.as_flattened());
        if form.wants_v6 || !list.v6.is_empty() {
            out.extend_from_slice(b"6:peers6");
            string(out, list.v6.as_flattened());
        }
    } else {
        dictionaries(out, list);
    }
    if let Some(warning) = warning {
        out.extend_from_slice(b"15:warning message");
        string(out, warning.as_bytes());
    }
    out.push(b'e');
}

fn dictionaries(out: &mut Vec<u8>, list: &PeerList) {
    use std::fmt::Write;

    let mut address = String::new();
    out.push(b'l');
    let mut ids = list.ids_v4.iter();
    for [a, b, c, d, high, low] in &list.v4 {
        address.clear();
        // Writing to a string cannot fail.
        let _ = write!(address, "{a}.{b}.{c}.{d}");
        dictionary(out, &address, ids.next(), [*high, *low]);
    }
    let mut ids = list.ids_v6.iter();
    for peer in &list.v6 {
        let Some((ip, port)) = peer.split_first_chunk::<16>() else {
            continue;
        };
        address.clear();
        let _ = write!(address, "{}", std::net::Ipv6Addr::from(*ip));
        dictionary(
            out,
            &address,
            ids.next(),
            present(
                port.first_chunk().copied(),
                "18 bytes are an address and a port",
            )
            .unwrap_or_default(),
        );
    }
    out.push(b'e');
}

fn dictionary(out: &mut Vec<u8>, address: &str, id: Option<&PeerId>, port: [u8; 2]) {
    out.extend_from_slice(b"d2:ip");
    string(out, address.as_bytes());
    if let Some(id) = id {
        out.extend_from_slice(b"7:peer id");
        string(out, &id.0);
    }
    out.extend_from_slice(b"4:port");
    integer(out, u32::from(u16::from_be_bytes(port)));
    out.push(b'e');
}

/// Writes the body of a scrape reply; `files` come sorted by hash and each once.
pub fn scrape(out: &mut Vec<u8>, files: impl Iterator<Item = (InfoHash, ScrapeReply)>) {
    begin_scrape(out);
    for (hash, reply) in files {
        scraped(out, &hash, &reply);
    }
    end_scrape(out);
}

/// Begins the body of a scrape reply.
pub(crate) fn begin_scrape(out: &mut Vec<u8>) {
    out.extend_from_slice(b"d5:filesd");
}

/// What [`scraped`] writes at most, in bytes.
pub(crate) const SCRAPED_LENGTH: usize = 128;

/// Writes one torrent of a scrape reply.
#[inline]
pub(crate) fn scraped(out: &mut Vec<u8>, hash: &InfoHash, reply: &ScrapeReply) {
    string(out, &hash.0);
    out.extend_from_slice(b"d8:complete");
    integer(out, reply.complete);
    out.extend_from_slice(b"10:downloaded");
    integer(out, reply.downloaded);
    out.extend_from_slice(b"11:downloaders");
    integer(out, reply.downloaders);
    out.extend_from_slice(b"10:incomplete");
    integer(out, reply.incomplete);
    out.push(b'e');
}

/// Ends the body of a scrape reply.
pub(crate) fn end_scrape(out: &mut Vec<u8>) {
    out.extend_from_slice(b"ee");
}

/// When a refused client may ask again (BEP 31).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The tracker does not say: the request was wrong, and a right one is welcome at once.
    Unsaid,
    /// After so many minutes.
    Minutes(u32),
    /// Asking again is in vain.
    Never,
}

/// Writes the body of a refusal. `min_interval` in seconds.
pub fn failure(out: &mut Vec<u8>, reason: &str, min_interval: u32, retry: Retry) {
    out.extend_from_slice(b"d14:failure reason");
    string(out, reason.as_bytes());
    out.extend_from_slice(b"12:min interval");
    integer(out, min_interval);
    match retry {
        Retry::Unsaid => {}
        Retry::Minutes(minutes) => {
            out.extend_from_slice(b"8:retry in");
            integer(out, minutes);
        }
        Retry::Never => out.extend_from_slice(b"8:retry in5:never"),
    }
    out.push(b'e');
}

fn integer(out: &mut Vec<u8>, number: u32) {
    let mut digits = [0; DECIMAL_DIGITS];
    out.push(b'i');
    out.extend_from_slice(decimal_digits(number, &mut digits));
    out.push(b'e');
}

fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut digits = [0; DECIMAL_DIGITS];
    out.extend_from_slice(decimal_digits(short(bytes.len()), &mut digits));
    out.push(b':');
    out.extend_from_slice(bytes);
}

/// A length of something in a reply, which has bounds far below 4 GiB.
#[inline]
fn short(length: usize) -> u32 {
    present(u32::try_from(length).ok(), "replies are short").unwrap_or(u32::MAX)
}

/// Digits of the largest number of 32 bits.
const DECIMAL_DIGITS: usize = 10;

fn decimal_digits(mut number: u32, digits: &mut [u8; DECIMAL_DIGITS]) -> &[u8] {
    let mut unused = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + present(u8::try_from(number % 10).ok(), "one digit").unwrap_or(0);
        number /= 10;
        unused -= 1;
        if number == 0 {
            break;
        }
    }
    present(digits.get(unused..), "no more are unused than there are").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bt_bencode::Value;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    const FORM: AnnounceFormat = AnnounceFormat {
        is_compact: true,
        wants_v6: false,
        external_ip: None,
    };

    fn written(
        reply: &AnnounceReply,
        list: &PeerList,
        form: AnnounceFormat,
        warning: Option<&str>,
    ) -> Value {
        let mut out = Vec::new();
        announce(&mut out, reply, list, form, warning);
        reads_back(&out)
    }

    /// Decoded and encoded again by somebody else, canonical bencode is the same.
    fn reads_back(out: &[u8]) -> Value {
        let value: Value = bt_bencode::from_slice(out).unwrap();
        assert_eq!(bt_bencode::to_vec(&value).unwrap(), out);
        value
    }

    /// P7
    #[test]
    fn peers_are_always_there_and_peers6_when_there_is_use_for_it() {
        let mut list = PeerList::default();
        let reply = AnnounceReply::default();
        let value = written(&reply, &list, FORM, None);
        assert_eq!(value["peers"], Value::from(""));
        assert!(value.get("peers6").is_none());
        let asks = AnnounceFormat {
            wants_v6: true,
            ..FORM
        };
        assert_eq!(
            written(&reply, &list, asks, None)["peers6"],
            Value::from("")
        );
        list.v4.push([192, 0, 2, 1, 0x1a, 0xe1]);
        list.v6.push([7; 18]);
        let value = written(&reply, &list, FORM, None);
        assert_eq!(
            value["peers"].as_byte_str().unwrap().as_slice(),
            [192, 0, 2, 1, 0x1a, 0xe1]
        );
        assert_eq!(value["peers6"].as_byte_str().unwrap().as_slice(), [7; 18]);
    }

    /// P6
    #[test]
    fn dictionaries_hold_address_port_and_id() {
        let list = PeerList {
            v4: vec![[192, 0, 2, 1, 0x1a, 0xe1], [192, 0, 2, 2, 0, 1]],
            v6: vec![[
                0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff,
            ]],
            ids_v4: vec![PeerId([b'a'; 20]), PeerId([b'b'; 20])],
            ..PeerList::default()
        };
        let form = AnnounceFormat {
            is_compact: false,
            ..FORM
        };
        let value = written(&AnnounceReply::default(), &list, form, None);
        let peers = value["peers"].as_array().unwrap();
        assert_eq!(
            (&peers[0]["ip"], peers[0]["port"].as_u64()),
            (&Value::from("192.0.2.1"), Some(6881))
        );
        assert_eq!(peers[1]["peer id"], Value::from("bbbbbbbbbbbbbbbbbbbb"));
        assert_eq!(
            (&peers[2]["ip"], peers[2]["port"].as_u64()),
            (&Value::from("2001:db8::1"), Some(65535))
        );
        assert!(peers[2].get("peer id").is_none());
        let none = written(&AnnounceReply::default(), &PeerList::default(), form, None);
        assert_eq!(none["peers"], Value::List(Vec::new()));
    }

    /// P17, P19
    #[test]
    fn external_address_and_warning_stand_in_their_places() {
        let form = AnnounceFormat {
            external_ip: Some("192.0.2.7".parse().unwrap()),
            ..FORM
        };
        let value = written(
            &AnnounceReply::default(),
            &PeerList::default(),
            form,
            Some("mind the gap"),
        );
        assert_eq!(
            value["external ip"].as_byte_str().unwrap().as_slice(),
            [192, 0, 2, 7]
        );
        assert_eq!(value["warning message"], Value::from("mind the gap"));
        let form = AnnounceFormat {
            external_ip: Some("2001:db8::1".parse().unwrap()),
            ..FORM
        };
        let value = written(&AnnounceReply::default(), &PeerList::default(), form, None);
        assert_eq!(value["external ip"].as_byte_str().unwrap().len(), 16);
    }

    /// P5
    #[test]
    fn failures_say_when_to_come_again() {
        for (retry, expected) in [
            (Retry::Unsaid, None),
            (Retry::Minutes(60), Some(Value::from(60_u64))),
            (Retry::Never, Some(Value::from("never"))),
        ] {
            let mut out = Vec::new();
            failure(&mut out, "address blocked", 1620, retry);
            let value = reads_back(&out);
            assert_eq!(value["failure reason"], Value::from("address blocked"));
            assert_eq!(value["min interval"].as_u64(), Some(1620));
            assert_eq!(value.get("retry in"), expected.as_ref());
        }
    }

    /// P8
    #[test]
    fn scrapes_hold_every_file() {
        let mut out = Vec::new();
        let counts = ScrapeReply {
            complete: 1,
            incomplete: 3,
            downloaded: 20,
            downloaders: 2,
        };
        let files = [
            (InfoHash([1; 20]), counts),
            (InfoHash([0xff; 20]), ScrapeReply::default()),
        ];
        scrape(&mut out, files.into_iter());
        let value: Value = bt_bencode::from_slice(&out).unwrap();
        assert_eq!(bt_bencode::to_vec(&value).unwrap(), out);
        let files = value["files"].as_dict().unwrap();
        assert_eq!(files.len(), 2);
        let file = &files[[1_u8; 20].as_slice()];
        let counts: Vec<_> = ["complete", "downloaded", "downloaders", "incomplete"]
            .map(|key| file[key].as_u64().unwrap())
            .to_vec();
        assert_eq!(counts, [1, 20, 2, 3]);
    }

    fn whole(frame: Frame, body: &str) -> String {
        let mut out = b"before".to_vec();
        text(&mut out, "200 OK", frame, body);
        String::from_utf8(out.strip_prefix(b"before").unwrap().to_vec()).unwrap()
    }

    /// P7, P14
    #[test]
    fn every_head_has_type_length_and_the_fate_of_the_connection() {
        let open = whole(Frame::default(), "OK");
        assert_eq!(
            open,
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nOK"
        );
        for length in [0, 1, 9, 10, 99, 100, 999, 1000, 12345] {
            let body = "x".repeat(length);
            let closed = whole(
                Frame {
                    closes: true,
                    ..Frame::default()
                },
                &body,
            );
            let (head, sent) = closed.split_once("\r\n\r\n").unwrap();
            assert!(
                head.ends_with(&format!("Connection: close\r\nContent-Length: {length}")),
                "{head}"
            );
            assert_eq!(sent, body);
            let only = whole(
                Frame {
                    is_head_only: true,
                    tells_keep_alive: true,
                    ..Frame::default()
                },
                &body,
            );
            assert!(
                only.ends_with(&format!(
                    "Connection: keep-alive\r\nContent-Length: {length}\r\n\r\n"
                )),
                "{only}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_reply_reads_back(
            numbers in any::<[u32; 5]>(),
            v4 in proptest::collection::vec(any::<[u8; 6]>(), 0..210),
            v6 in proptest::collection::vec(any::<[u8; 18]>(), 0..210),
            is_compact in any::<bool>(),
            external_ip in any::<Option<IpAddr>>(),
        ) {
            let [complete, incomplete, downloaded, interval, min_interval] = numbers;
            let reply = AnnounceReply { complete, incomplete, downloaded, interval, min_interval, warned_by: None };
            let ids_v4 = v4.iter().map(|peer| PeerId([peer[5]; 20])).collect();
            let list = PeerList { v4, v6, ids_v4, ..PeerList::default() };
            let form = AnnounceFormat { is_compact, wants_v6: false, external_ip };
            let value = written(&reply, &list, form, None);
            for (key, number) in [("complete", complete), ("incomplete", incomplete), ("downloaded", downloaded),
                ("interval", interval), ("min interval", min_interval)] {
                prop_assert_eq!(value[key].as_u64(), Some(u64::from(number)));
            }
            if is_compact {
                prop_assert_eq!(value["peers"].as_byte_str().unwrap().as_slice(), list.v4.as_flattened());
            } else {
                prop_assert_eq!(value["peers"].as_array().unwrap().len(), list.len());
            }
            prop_assert!(value.get("external ip").is_some() == external_ip.is_some());
        }
    }
}
