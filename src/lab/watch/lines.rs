//! What happens in lines for people.

use std::fmt::Write;

use super::memory::{Change, key};
use super::request::{Shown, hex, text};
use crate::lab::answer::{AnswerKind, AnswerReading};
use crate::lab::exchange::{End, Event, Exchange, Moment};
use crate::lab::reading::Announce;
use crate::shown;

/// Colours, on a terminal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint {
    pub has_colour: bool,
}

impl Paint {
    fn with(self, colour: &str, text: &str) -> String {
        if self.has_colour && !text.is_empty() {
            format!("\x1b[{colour}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    fn faint(self, text: &str) -> String {
        self.with("2", text)
    }

    fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    fn odd(self, text: &str) -> String {
        self.with("33", text)
    }

    fn bad(self, text: &str) -> String {
        self.with("31", text)
    }
}

/// Before every line but the first.
const INDENT: &str = "           ";

pub(super) fn exchange(
    exchange: &Exchange,
    shown: &Shown,
    change: Option<&Change>,
    paint: Paint,
    has_all: bool,
) -> String {
    let request = &exchange.request;
    let mut out = String::new();
    let mut line = |text: String| {
        // What strangers sent is escaped already; this is for what answerers say of themselves.
        out.push_str(&text);
        out.push('\n');
    };
    let what = match (shown.announce(), &shown.unreadable) {
        (Some(announce), _) => paint.bold(&said(announce)),
        (None, Some(bytes)) => paint.bad(&format!("unreadable: {bytes}")),
        (None, None) => paint.bold(&asked(shown)),
    };
    let transport = request.transport.to_string();
    line(format!(
        "{}  {transport:5}  {}  {what}",
        time(request.at),
        request.client
    ));
    if let Some(announce) = shown.announce() {
        let agent = shown.header("user-agent").map(|agent| format!("  {agent}"));
        let agent = agent.unwrap_or_default();
        line(paint.faint(&format!("{INDENT}{}{agent}", numbers(announce))));
    }
    if has_all {
        for parameter in &shown.parameters {
            let (name, raw, value) = (&parameter.name, &parameter.raw, &parameter.value);
            let value = if raw == value {
                String::new()
            } else {
                format!("  = {value}")
            };
            line(paint.faint(&format!("{INDENT}{name:14} {raw}{value}")));
        }
        for (name, value) in &shown.headers {
            line(paint.faint(&format!("{INDENT}{name}: {value}")));
        }
    }
    line(format!("{INDENT}→ {}", answered(exchange, paint)));
    if let Some(change) = change {
        let since = change.since.real.as_secs_f64();
        let changes = change.changed.iter().map(|there| {
            let none = |text: &str| {
                if text.is_empty() {
                    "none".to_owned()
                } else {
                    text.to_owned()
                }
            };
            format!("{} {} → {}", there.name, none(&there.from), none(&there.to))
        });
        let changes: Vec<String> = changes.collect();
        let changes = if changes.is_empty() {
            "nothing has changed".to_owned()
        } else {
            changes.join(", ")
        };
        line(paint.faint(&format!("{INDENT}{since:.1} s since its last: {changes}")));
    }
    if let Some(misbehaviour) = &exchange.answer.misbehaviour {
        let misbehaviour = shown::in_lines(misbehaviour);
        line(paint.odd(&format!("{INDENT}misbehaved: {misbehaviour}")));
    }
    out
}

pub(super) fn connection(event: &Event, paint: Paint, has_all: bool) -> String {
    match event {
        Event::Connected {
            connection,
            at,
            transport,
            client,
        } if has_all => {
            let transport = transport.to_string();
            paint.faint(&format!(
                "{}  {transport:5}  {client}  connection {connection}",
                time(*at)
            )) + "\n"
        }
        Event::Disconnected {
            connection,
            at,
            requests,
            error,
        } if has_all || error.is_some() => {
            let plural = if *requests == 1 { "" } else { "s" };
            let end = format!(
                "{}  connection {connection} ended after {requests} request{plural}",
                time(*at)
            );
            match error {
                Some(error) => format!("{end}: {}\n", paint.bad(&shown::in_lines(error))),
                None => paint.faint(&end) + "\n",
            }
        }
        Event::Connected { .. } | Event::Disconnected { .. } | Event::Exchange(_) => String::new(),
    }
}

fn time(at: Moment) -> String {
    format!("{:9.3}", at.real.as_secs_f64())
}

fn short(hash: &[u8]) -> String {
    let hex = hex(hash);
    match (hex.get(..8), hex.len()) {
        (Some(start), 9..) => format!("{start}…"),
        _ => hex,
    }
}

fn said(announce: &Announce) -> String {
    let event = if announce.event.is_empty() {
        String::new()
    } else {
        format!(" {}", text(announce.event.as_bytes()))
    };
    let hash = announce.info_hash.as_deref().map(short);
    let id = announce.peer_id.as_deref().map(text);
    format!(
        "announce{event}  {}  by {}",
        hash.unwrap_or_else(|| "no info_hash".to_owned()),
        id.unwrap_or_else(|| "no peer_id".to_owned())
    )
}

fn asked(shown: &Shown) -> String {
    let mut asked = shown.kind.to_owned();
    if shown.kind == "other" {
        let method = shown.method.as_deref().unwrap_or_default();
        let path = shown.path.as_deref().unwrap_or_default();
        asked = format!("{method} {path}").trim().to_owned();
        if asked.is_empty() {
            asked = "a datagram that is no request".to_owned();
        }
    }
    for hash in shown.scraped() {
        asked = format!("{asked}  {}", short(hash));
    }
    asked
}

fn numbers(announce: &Announce) -> String {
    let mut out = String::new();
    let mut add = |name: &str, value: Option<String>| {
        let gap = if out.is_empty() { "" } else { "  " };
        let value = value.unwrap_or_else(|| "missing".to_owned());
        // Writing to a string does not fail.
        let _ = write!(out, "{gap}{name} {value}");
    };
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    add("left", number(announce.left));
    add("down", number(announce.downloaded));
    add("up", number(announce.uploaded));
    add("port", number(announce.port.map(u64::from)));
    if let Some(wanted) = announce.numwant {
        add("numwant", Some(wanted.to_string()));
    }
    if announce.key.is_some() {
        add("key", Some(key(announce)));
    }
    out
}

fn answered(exchange: &Exchange, paint: Paint) -> String {
    let reading = AnswerReading::of(exchange);
    let mut parts = Vec::new();
    if let Some(status) = reading.status.filter(|status| *status != 200) {
        parts.push(paint.bad(&format!("status {status}")));
    }
    if let Some(location) = &reading.location {
        parts.push(format!("to {}", text(location.as_bytes())));
    }
    match reading.kind {
        AnswerKind::Nothing => parts.push(paint.odd("nothing")),
        AnswerKind::Unreadable => parts.push(paint.odd("unreadable")),
        AnswerKind::Connect => parts.push("a connection id".to_owned()),
        AnswerKind::Failure | AnswerKind::Other => {}
        AnswerKind::Announce => {
            let interval = reading.interval.map(|interval| interval.to_string());
            let interval = interval.unwrap_or_else(|| "missing".to_owned());
            let min = reading.min_interval.map(|min| format!(" (min {min})"));
            parts.push(paint.good(&format!("interval {interval}{}", min.unwrap_or_default())));
        }
        AnswerKind::Scrape => parts.push(format!("{} torrents", reading.torrents)),
    }
    if let Some(failure) = &reading.failure {
        parts.push(paint.bad(&format!("failure: {}", text(failure.as_bytes()))));
    }
    if let Some(warning) = &reading.warning {
        parts.push(paint.odd(&format!("warning: {}", text(warning.as_bytes()))));
    }
    if let Some(retry) = &reading.retry_in {
        parts.push(format!("retry in {}", text(retry.as_bytes())));
    }
    if let Some((seeders, leechers)) = reading.seeders.zip(reading.leechers) {
        parts.push(format!("{seeders} seeders, {leechers} leechers"));
    }
    if reading.peers.is_some() {
        let (v4, v6) = reading.families();
        parts.push(format!("{v4} peers of v4, {v6} of v6"));
    }
    let bytes = exchange.answer.sent_bytes();
    let took = exchange.answer.took.as_secs_f64() * 1_000.0;
    parts.push(paint.faint(&format!("{bytes} bytes in {took:.1} ms")));
    match exchange.answer.end {
        End::Open => {}
        End::Closed => parts.push(paint.faint("closed")),
        End::Reset => parts.push(paint.odd("reset")),
        End::Lost => parts.push(paint.bad("the client was away")),
    }
    parts.join("  ")
}
