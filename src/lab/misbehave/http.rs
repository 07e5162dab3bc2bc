//! Answers over HTTP, right or wrong, byte for byte.

use std::io::Write;
use std::net::SocketAddr;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::act::{Act, Content, Cut, Figure, Gzip, HttpForm, Length, PeersForm, Redirect, RetryIn};
use super::peers::{self, Places};
use super::script::AddressFamily;
use crate::lab::bencode::writing::{Dictionary, Value};
use crate::lab::exchange::{HttpHead, Request, Step};
use crate::lab::reading::{Announce, Reading};

/// Bytes by which a wrong `Content-Length` is wrong.
const WRONG_BY: usize = 10;
/// Bytes of a chunk: more than one for any answer.
const CHUNK: usize = 50;

/// What is sent in the place of an honest answer, and how the connection is left.
pub(super) fn answer(
    act: &Act,
    places: &Places,
    request: &Request,
    head: &HttpHead,
    reading: &Reading,
    honest: &[u8],
) -> Vec<Step> {
    let body = match (&act.content.body, &act.http.redirect) {
        (Some(body), _) => body.clone().into_bytes(),
        (None, Some(_)) => Vec::new(),
        (None, None) => body(&act.content, places, request, reading, honest),
    };
    let body = match act.http.gzip {
        Some(_) => compressed(&body),
        None => body,
    };
    let mut answer = head_of(act, places, head, reading, body.len());
    let cut = match act.sending.cut {
        Some(Cut::Reset(after)) => Some(after),
        Some(Cut::Truncated(after)) => Some(answer.len() + after),
        None => None,
    };
    match act.http.length {
        Length::Chunked => answer.extend(chunked(&body)),
        _ => answer.extend(&body),
    }
    if let Some(after) = cut {
        answer.truncate(after);
    }
    let mut steps = Vec::new();
    if !answer.is_empty() {
        steps.push(Step::Send(answer.clone()));
    }
    if act.sending.is_twice {
        steps.push(Step::Send(answer));
    }
    steps.push(match act.sending.cut {
        Some(Cut::Reset(_)) => Step::Reset,
        Some(Cut::Truncated(_)) | None => Step::Close,
    });
    steps
}

/// The honest answer with one more peer, for a tracker that behaves and has a planted one.
pub(super) fn with_peers(
    places: &Places,
    request: &Request,
    announce: &Announce,
    honest: &[u8],
) -> Option<Vec<u8>> {
    let (head, old) = split(honest)?;
    let Some(Value::Dictionary(mut answer)) = Value::decode(old) else {
        return None;
    };
    answer.find("interval")?;
    let content = Content::default();
    let there = peers::of_answer(&answer);
    let peers = peers::chosen(&content, places, request, announce, there);
    // A client that wants dictionaries, or none, gets the form that it asked for.
    let form = match answer.find("peers") {
        Some(Value::List(_)) => PeersForm::Dictionaries,
        _ => PeersForm::Compact,
    };
    set_peers(&mut answer, &peers, form, 0);
    let body = Value::Dictionary(answer).encode();
    let mut out = Vec::new();
    for line in head.split_inclusive(|byte| *byte == b'\n') {
        let name = line.get(..CONTENT_LENGTH.len()).unwrap_or_default();
        if name.eq_ignore_ascii_case(CONTENT_LENGTH) {
            out.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
        } else {
            out.extend_from_slice(line);
        }
    }
    out.extend(body);
    Some(out)
}

const CONTENT_LENGTH: &[u8] = b"content-length:";

/// Head, with its empty line, and body.
fn split(answer: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    answer.split_at_checked(end + 4)
}

fn body(
    content: &Content,
    places: &Places,
    request: &Request,
    reading: &Reading,
    honest: &[u8],
) -> Vec<u8> {
    let honest = split(honest).map(|(_, body)| body).unwrap_or_default();
    let mut answer = match Value::decode(honest) {
        Some(Value::Dictionary(answer)) => answer,
        _ => Dictionary::default(),
    };
    let announce = match reading {
        Reading::Announce(announce) => Some(announce),
        _ => None,
    };
    if let Some(failure) = &content.failure {
        answer = Dictionary::default();
        answer.set("failure reason", Value::bytes(failure.as_str()));
    }
    if let Some(warning) = &content.warning {
        answer.set("warning message", Value::bytes(warning.as_str()));
    }
    match content.retry_in {
        Some(RetryIn::Minutes(minutes)) => answer.set("retry in", Value::Integer(minutes)),
        Some(RetryIn::Never) => answer.set("retry in", Value::bytes("never")),
        None => {}
    }
    for (key, figure) in [
        ("interval", content.interval),
        ("min interval", content.min_interval),
    ] {
        match figure {
            Some(Figure::Absent) => answer.remove(key),
            Some(Figure::Is(number)) => answer.set(key, Value::Integer(number)),
            None => {}
        }
    }
    let has_peers = content.failure.is_none() || content.peers.is_some();
    if let Some(announce) = announce.filter(|_| has_peers) {
        let there = peers::of_answer(&answer);
        let peers = peers::chosen(content, places, request, announce, there);
        set_peers(&mut answer, &peers, content.form, content.odd_bytes);
    }
    if content.padding > 0 {
        let length = usize::try_from(content.padding).unwrap_or_default();
        answer.set("padding", Value::Bytes(vec![b'x'; length]));
    }
    if content.nesting > 0 {
        let depth = usize::try_from(content.nesting).unwrap_or_default();
        let nested = [vec![b'l'; depth], vec![b'e'; depth]].concat();
        answer.set("nested", Value::Raw(nested));
    }
    if content.is_unsorted {
        answer.0.reverse();
    }
    Value::Dictionary(answer).encode()
}

fn set_peers(answer: &mut Dictionary, peers: &[SocketAddr], form: PeersForm, odd_bytes: u32) {
    answer.remove("peers");
    answer.remove("peers6");
    let odd = vec![0; usize::try_from(odd_bytes).unwrap_or_default()];
    let v4 = [peers::compact(peers, AddressFamily::V4), odd].concat();
    let v6 = peers::compact(peers, AddressFamily::V6);
    match form {
        PeersForm::Absent => {}
        PeersForm::Dictionaries => answer.set("peers", peers::dictionaries(peers)),
        PeersForm::Peers6Only => answer.set("peers6", Value::Bytes(v6)),
        PeersForm::Compact => {
            answer.set("peers", Value::Bytes(v4));
            if !v6.is_empty() {
                answer.set("peers6", Value::Bytes(v6));
            }
        }
    }
}

fn head_of(
    act: &Act,
    places: &Places,
    head: &HttpHead,
    reading: &Reading,
    length: usize,
) -> Vec<u8> {
    let HttpForm {
        status,
        retry_after,
        redirect,
        is_old,
        length: telling,
        gzip,
    } = &act.http;
    let status = status.unwrap_or(if redirect.is_some() { 302 } else { 200 });
    let version = if *is_old { "1.0" } else { "1.1" };
    let is_page = |body: &String| body.starts_with('<');
    let kind = match reading {
        _ if act.content.body.as_ref().is_some_and(is_page) => "text/html",
        Reading::Announce(_) | Reading::Scrape(_) => "text/plain",
        Reading::Connect(_) | Reading::Other => "text/html",
    };
    let mut lines = vec![
        format!("HTTP/{version} {status} {}", reason(status)),
        format!("Content-Type: {kind}"),
    ];
    match telling {
        Length::Right => lines.push(format!("Content-Length: {length}")),
        Length::Short => {
            lines.push(format!(
                "Content-Length: {}",
                length.saturating_sub(WRONG_BY)
            ));
        }
        Length::Long => lines.push(format!("Content-Length: {}", length + WRONG_BY)),
        Length::Absent => {}
        Length::Chunked => lines.push("Transfer-Encoding: chunked".to_owned()),
    }
    if *gzip == Some(Gzip::Told) {
        lines.push("Content-Encoding: gzip".to_owned());
    }
    if let Some(seconds) = retry_after {
        lines.push(format!("Retry-After: {seconds}"));
    }
    if let Some(redirect) = redirect {
        lines.push(format!("Location: {}", location(redirect, places, head)));
    }
    if !act.sending.is_twice {
        lines.push("Connection: close".to_owned());
    }
    format!("{}\r\n\r\n", lines.join("\r\n")).into_bytes()
}

/// Where a redirect leads, with the query of the request.
fn location(redirect: &Redirect, places: &Places, head: &HttpHead) -> String {
    let path = String::from_utf8_lossy(&head.path);
    let target = match redirect {
        Redirect::Loop => path.into_owned(),
        Redirect::Path(path) => path.clone(),
        // Where there is no second tracker, its port is one on which nobody listens.
        Redirect::Second => {
            format!(
                "{}{path}",
                places.second.as_deref().unwrap_or("http://127.0.0.1:1")
            )
        }
        Redirect::Udp => {
            format!(
                "{}{path}",
                places.second_udp.as_deref().unwrap_or("udp://127.0.0.1:1")
            )
        }
    };
    match &head.query {
        Some(query) => format!("{target}?{}", String::from_utf8_lossy(query)),
        None => target,
    }
}

fn compressed(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // A vector takes everything.
    let written = encoder.write_all(body).and_then(|()| encoder.finish());
    written.unwrap_or_default()
}

fn chunked(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in body.chunks(CHUNK) {
        out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        301 => "Moved Permanently",
        302 => "Found",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        403 => "Forbidden",
        404 => "Not Found",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        _ => "Other",
    }
}
