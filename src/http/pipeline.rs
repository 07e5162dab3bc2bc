//! From bytes received to bytes to send: takes requests from the front of a buffer, one after another, and answers them.
//!
//! No socket here. What the loop is to do with the connection comes out as a [`Next`].

use std::net::{IpAddr, Ipv4Addr};

use super::codec::head::{Head, Method, Parsed};
use super::codec::reply::Frame;
use super::codec::{head, reply};
use super::full_scrape;
use super::handler::{Arrival, Client, Endpoint, Fields, Handler, Request, endpoint};
use super::settings::Settings;
use super::{Probe, ProbeReply, ProbeResponder};
use crate::clock::Seconds;
use crate::invariant::present;
use crate::metrics::{Failure, Transport, WorkerCounters};
use crate::net::client_address::{ClientAddressRules, Forwarding};
use crate::net::handover::Source;
use crate::net::limits::Refused as Limited;

/// What a connection needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// More bytes from the client.
    Read,
    /// The replies so far sent, then to go on with the bytes that are left.
    Flush,
    /// Its end, once the replies are sent.
    Close,
    /// Its end, once the replies are sent and what the client still says is read: closing at once would make the system
    /// throw the reply away.
    Drain,
    /// To be handed to the pages, with the bytes that are left.
    HandOver,
}

/// What was done with a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Served {
    /// Where the bytes begin that are left.
    pub consumed: usize,
    /// Requests answered.
    pub requests: u32,
    /// What the connection needs.
    pub next: Next,
}

/// The circumstances under which a connection is served.
#[derive(Clone, Copy)]
pub(super) struct PipelineContext<'a> {
    /// The settings in force.
    pub settings: &'a Settings,
    /// Whether there are pages to hand other requests to.
    pub has_pages: bool,
    /// Who tells how the process is.
    pub reports: Option<&'a ProbeResponder>,
    /// The port at the socket's other end.
    pub port: u16,
    /// Whether it is a connection by TLS.
    pub is_tls: bool,
    /// Whether connections end after their request, because the process does.
    pub is_stopping: bool,
    /// The time.
    pub now: Seconds,
}

/// Replies are sent when more bytes than this are waiting.
const FLUSH_BYTES: usize = 32 * 1024;

/// Answers the requests at the start of `input` into `out`. `answered` is how many the connection has had before; `may_stay`
/// is asked once before a reply promises that the connection stays open.
pub(super) fn serve(
    handler: &mut Handler,
    pipeline: PipelineContext<'_>,
    socket: IpAddr,
    answered: u32,
    mut may_stay: impl FnMut() -> bool,
    input: &[u8],
    out: &mut Vec<u8>,
) -> Served {
    let mut served = Served {
        consumed: 0,
        requests: 0,
        next: Next::Read,
    };
    let limit = pipeline.settings.head_limit();
    loop {
        let rest = present(
            input.get(served.consumed..),
            "a head is a part of the input",
        );
        let rest = rest.unwrap_or_default();
        if rest.is_empty() {
            return served;
        }
        // Only what may be a head is looked at, so that the answer does not hang on how many bytes came at once.
        let head = match head::parse(rest.get(..limit).unwrap_or(rest)) {
            Parsed::Complete(head) => head,
            Parsed::Partial { .. } if rest.len() <= limit => return served,
            parsed => {
                // Whoever a proxy that does not name it by a header of the connection stands for is not known from this.
                match handler.admit_request(socket) {
                    Ok(()) => refuse(handler.counters(), parsed, head::asks_head_only(rest), out),
                    Err(limited) => too_many(limited, head::asks_head_only(rest), out),
                }
                served.next = Next::Drain;
                return served;
            }
        };
        let count = answered.saturating_add(served.requests).saturating_add(1);
        let most = pipeline.settings.max_requests;
        let keeps = head.keeps_alive
            && !pipeline.is_stopping
            && !pipeline.settings.idle_timeout.is_zero()
            && (most == 0 || count < most);
        let before = out.len();
        let next = respond(
            handler,
            pipeline,
            socket,
            &head,
            || keeps && may_stay(),
            out,
        );
        if next == Next::HandOver {
            served.next = next;
            return served;
        }
        handler
            .counters()
            .moved(Transport::Http, head.length, out.len() - before);
        served.consumed += head.length;
        served.requests += 1;
        if next != Next::Read {
            served.next = next;
            return served;
        }
        if out.len() > FLUSH_BYTES {
            served.next = Next::Flush;
            return served;
        }
    }
}

fn respond(
    handler: &mut Handler,
    pipeline: PipelineContext<'_>,
    socket: IpAddr,
    head: &Head<'_>,
    stays: impl FnOnce() -> bool,
    out: &mut Vec<u8>,
) -> Next {
    let endpoint = endpoint(head.path, head.query, handler.keys());
    let is_trackers = endpoint.is_some_and(Endpoint::is_trackers);
    if is_trackers && head.method == Method::Other {
        refuse_method(handler, pipeline, socket, head, out);
        return Next::Drain;
    }
    let endpoint = endpoint.filter(|_| !head.has_body && head.method != Method::Other);
    let told = match endpoint {
        Some(Endpoint::Probe(question)) => report(handler, pipeline, socket, question, head),
        _ => None,
    };
    if endpoint == Some(Endpoint::Scrape)
        && pipeline.has_pages
        && full_scrape::is_asked(pipeline.settings, head.path, head.query)
    {
        return Next::HandOver;
    }
    let endpoint = endpoint.filter(|_| is_trackers);
    if endpoint.is_none() && told.is_none() && pipeline.has_pages {
        return Next::HandOver;
    }
    // Without pages nobody reads bodies; their bytes must not be taken for a request.
    let stays = !head.has_body && stays();
    let frame = Frame {
        closes: !stays,
        tells_keep_alive: stays && head.is_http_1_0,
        is_head_only: head.method == Method::Head,
    };
    match (endpoint, told) {
        (Some(endpoint), _) => answer(handler, pipeline, socket, endpoint, head, frame, out),
        (None, Some(Ok(told))) => reply::report(out, told.is_good, frame, &told.body),
        (None, Some(Err(limited))) => {
            reply::too_many(out, limited.text(), limited.seconds, frame);
        }
        (None, None) => match admit(handler, pipeline, socket, head) {
            Ok(()) => {
                let counters = handler.counters();
                counters.failed(Transport::Http, Failure::NotFound);
                reply::text(out, "404 Not Found", frame, "not found\n");
            }
            Err(limited) => reply::too_many(out, limited.text(), limited.seconds, frame),
        },
    }
    match (stays, head.has_body) {
        (true, _) => Next::Read,
        (false, false) => Next::Close,
        (false, true) => Next::Drain,
    }
}

/// Counts a request that the tracker itself has no answer to, but whoever is to have one at all.
///
/// # Errors
/// When its client is not to be served.
#[cold]
fn admit(
    handler: &mut Handler,
    pipeline: PipelineContext<'_>,
    socket: IpAddr,
    head: &Head<'_>,
) -> Result<(), Limited> {
    let client = client(pipeline.settings, socket, Endpoint::Status, head);
    let ip = client.known_ip();
    ip.map_or(Ok(()), |ip| handler.admit_request(ip))
}

/// Answers a request of the tracker by a method that it does not have.
#[cold]
fn refuse_method(
    handler: &mut Handler,
    pipeline: PipelineContext<'_>,
    socket: IpAddr,
    head: &Head<'_>,
    out: &mut Vec<u8>,
) {
    if let Err(limited) = admit(handler, pipeline, socket, head) {
        return too_many(limited, false, out);
    }
    handler.counters().failed(Transport::Http, Failure::Method);
    let text = "method not allowed\n";
    reply::text(out, "405 Method Not Allowed", CLOSING, text);
}

/// What is to be told of the process, and counts it; that its client is not to be served, when it asks too often.
#[cold]
fn report(
    handler: &mut Handler,
    pipeline: PipelineContext<'_>,
    socket: IpAddr,
    question: Probe,
    head: &Head<'_>,
) -> Option<Result<ProbeReply, Limited>> {
    let reports = pipeline.reports?;
    if let Err(limited) = admit(handler, pipeline, socket, head) {
        return Some(Err(limited));
    }
    let address_rules = &pipeline.settings.address_rules;
    let client = client(pipeline.settings, socket, Endpoint::Probe(question), head);
    let report = reports(question, client.is_admin(address_rules));
    handler.reported(&client, address_rules);
    Some(Ok(report))
}

fn client<'a>(
    settings: &Settings,
    socket: IpAddr,
    endpoint: Endpoint,
    head: &Head<'a>,
) -> Client<'a> {
    let address_rules = &settings.address_rules;
    let forwarding = head.is_forwarded.then(|| Forwarding::of(head.fields()));
    let client = Client::new(address_rules, socket, forwarding, head.browser);
    // Most requests have nothing for admins, and need not be looked through.
    if endpoint.knows_admins() || !settings.run_gc_key.is_empty() {
        client.to_host(head.host(), address_rules)
    } else {
        client
    }
}

/// Whom a connection counts for at the pages whose next request begins with these bytes.
pub(super) fn source(address_rules: &ClientAddressRules, socket: IpAddr, read: &[u8]) -> Source {
    let forwarding = match head::parse(read) {
        Parsed::Complete(head) => Forwarding::of(head.fields()),
        _ => Forwarding::default(),
    };
    // A permit gives no access: a person may come to the login under any name.
    let client = address_rules.decide(socket, &forwarding);
    let client = client.to_host(None, &address_rules.hosts);
    let unknown = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    Source {
        ip: client.address.known().unwrap_or(unknown),
        is_admin: address_rules.is_admin(&client),
    }
}

fn answer(
    handler: &mut Handler,
    pipeline: PipelineContext<'_>,
    socket: IpAddr,
    endpoint: Endpoint,
    head: &Head<'_>,
    frame: Frame,
    out: &mut Vec<u8>,
) {
    let client = client(pipeline.settings, socket, endpoint, head);
    let begun = reply::begin(out, "200 OK", frame);
    let request = Request {
        endpoint,
        path: head.path,
        query: head.query,
        client: &client,
        arrival: Arrival {
            port: pipeline.port,
            is_tls: pipeline.is_tls,
            fields: Fields::Head(head),
        },
        settings: pipeline.settings,
        now: pipeline.now,
    };
    match client.known_ip().map(|ip| handler.admit_request(ip)) {
        Some(Err(limited)) => handler.refuse_limited(limited, &request, out),
        Some(Ok(())) | None => handler.answer(&request, out),
    }
    reply::finish(out, &begun);
}

/// Answers the first request of a connection that is not to be served; nothing when it is none that could be.
#[cold]
pub(super) fn turn_away(handler: &Handler, limited: Limited, read: &[u8], out: &mut Vec<u8>) {
    let Parsed::Complete(head) = head::parse(read) else {
        return;
    };
    let frame = Frame {
        is_head_only: head.method == Method::Head,
        ..CLOSING
    };
    let endpoint = endpoint(head.path, head.query, handler.keys());
    if endpoint.is_some_and(Endpoint::is_trackers) && head.method != Method::Other {
        let begun = reply::begin(out, "200 OK", frame);
        handler.turn_away(limited, out);
        reply::finish(out, &begun);
    } else {
        reply::too_many(out, limited.text(), limited.seconds, frame);
    }
}

/// The frame of a reply after which nothing more is taken.
pub(super) const CLOSING: Frame = Frame {
    closes: true,
    tells_keep_alive: false,
    is_head_only: false,
};

/// Tells whoever asks for too much, and ends the connection.
#[cold]
fn too_many(limited: Limited, is_head_only: bool, out: &mut Vec<u8>) {
    let frame = Frame {
        is_head_only,
        ..CLOSING
    };
    reply::too_many(out, limited.text(), limited.seconds, frame);
}

/// Answers what is no request, or too long a one.
#[cold]
fn refuse(counters: &WorkerCounters, parsed: Parsed<'_>, is_head_only: bool, out: &mut Vec<u8>) {
    let (failure, status, text) = match parsed {
        Parsed::Malformed => (Failure::BadRequest, "400 Bad Request", "bad request\n"),
        Parsed::Partial {
            has_request_line: false,
        } => (
            Failure::TooLong,
            "414 URI Too Long",
            "request line too long\n",
        ),
        Parsed::TooManyFields
        | Parsed::Partial {
            has_request_line: true,
        }
        | Parsed::Complete(_) => (
            Failure::TooLong,
            "431 Request Header Fields Too Large",
            "request head too long\n",
        ),
    };
    counters.failed(Transport::Http, failure);
    let frame = Frame {
        is_head_only,
        ..CLOSING
    };
    reply::text(out, status, frame, text);
}
