//! The bytes of one connection, cut anywhere: the lean loop's answers are the same whatever the cuts, and every whole head that is
//! no page's gets exactly one.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use retracker::http::codec::head;
use retracker::http::codec::head::Parsed;
use retracker::http::{Ending, Settings, SocketlessConnection};
use retracker::metrics::Metrics;
use retracker::net::client_address::{Mode, ClientAddressRules};
use retracker::tracker;
use retracker::tracker::Tracker;

const SOCKET: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fuzz_target!(|input: (bool, Vec<u8>, Vec<u8>)| {
    let (is_behind_proxy, cuts, bytes) = input;
    let (whole, whole_end, whole_rest) = talk(is_behind_proxy, &[bytes.len()], &bytes);
    let cuts: Vec<usize> = cuts.iter().map(|cut| usize::from(*cut) + 1).collect();
    let (cut, cut_end, cut_rest) = talk(is_behind_proxy, &cuts, &bytes);
    assert_eq!(String::from_utf8_lossy(&whole), String::from_utf8_lossy(&cut));
    assert_eq!(whole_end, cut_end);
    // After an end it depends on the reading how much had come by then; but it is never more than was said.
    if whole_end != Some(Ending::Closed) {
        assert_eq!(whole_rest, cut_rest);
        assert!(bytes.ends_with(&whole_rest));
        assert_eq!(replies(&whole), heads(&bytes[..bytes.len() - whole_rest.len()]));
    }
});

/// What is answered to bytes that come in pieces of those lengths, the last of them again and again.
fn talk(is_behind_proxy: bool, pieces: &[usize], bytes: &[u8]) -> (Vec<u8>, Option<Ending>, Vec<u8>) {
    let settings = tracker::Settings { interval_jitter: 0, ..tracker::Settings::default() };
    let tracker = Arc::new(Tracker::new(settings, Arc::new(Metrics::new(0))));
    let mode = if is_behind_proxy { Mode::Proxy } else { Mode::Direct };
    let origin = ClientAddressRules { mode, ..ClientAddressRules::default() };
    let settings = Settings { address_rules: origin, max_request_bytes: 512, run_gc_key: "gc".into(), ..Settings::default() };
    let mut talk = SocketlessConnection::new(&tracker, settings, SOCKET, 7);
    let mut out = Vec::new();
    let mut rest = bytes;
    let mut lengths = pieces.iter().chain(std::iter::repeat(pieces.last().unwrap_or(&1)));
    while !rest.is_empty() {
        let length = lengths.next().map_or(1, |length| (*length).clamp(1, rest.len()));
        let (piece, tail) = rest.split_at(length);
        talk.hear(piece, &mut out);
        rest = tail;
    }
    let unanswered = talk.unanswered().to_vec();
    (out, talk.ending(), unanswered)
}

/// How many whole heads follow one another.
fn heads(mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while let Parsed::Complete(head) = head::parse(bytes) {
        count += 1;
        bytes = &bytes[head.length..];
    }
    assert!(bytes.is_empty());
    count
}

/// How many replies there are. No body holds a status line: what strangers say is never repeated.
fn replies(bytes: &[u8]) -> usize {
    let line = b"HTTP/1.1 ";
    bytes.windows(line.len()).filter(|window| window == line).count()
}
