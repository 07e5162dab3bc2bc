//! How a client uses HTTP: its heads, and its connections.

use std::collections::HashMap;

use super::book::{Book, Evidence, Finding, escaped};
use super::rule::Rule;
use crate::http_reply::{Head, has_token};
use crate::lab::exchange::{Body, Exchange, HttpHead, Transport};

/// Connections that are followed at once; those beyond are not judged for what they do after a close.
const CONNECTIONS: usize = 4_096;

/// Connections whose end has been told.
#[derive(Clone, Debug, Default)]
pub(super) struct Connections {
    /// By number, with the request after whose answer nothing more may come.
    closing: HashMap<u64, Evidence>,
}

impl Connections {
    pub(super) fn hear(&mut self, book: &mut Book, exchange: &Exchange) {
        let request = &exchange.request;
        let finding = |what: String, right: &str| Finding::of_request(request, what, right);
        let head = match &request.body {
            Body::Http(head) => head,
            Body::Unreadable(bytes) => {
                book.check(Rule::HttpReadable, false, || {
                    let shown = bytes.get(..40).unwrap_or(bytes);
                    finding(
                        format!("no request of HTTP: `{}`", escaped(shown)),
                        "`GET /announce?… HTTP/1.1`, headers, an empty line",
                    )
                });
                return;
            }
            Body::Datagram(_) => return,
        };
        book.kept(Rule::HttpReadable);
        check_head(book, head, &finding);
        let Some(place) = request.connection else {
            return;
        };
        if place.earlier > 0 {
            book.check(Rule::HttpAnswersAwaited, !place.is_pipelined, || {
                finding(
                    "the request came before the answer to the one before it was sent".to_owned(),
                    "one request after another",
                )
            });
        }
        if let Some(closed) = self.closing.remove(&place.connection)
            && !place.is_pipelined
        {
            book.check(Rule::HttpCloseHonoured, false, || Finding {
                session: None,
                what: format!(
                    "request {} came on connection {}, which was to end after the answer to request {}",
                    request.number, place.connection, closed.request
                ),
                right: "a new connection".to_owned(),
                evidence: vec![closed, Evidence::of(request)],
            });
        }
        let sent = exchange.answer.sent.concat();
        let reply = Head::read(&sent).ok().flatten();
        let is_closed = reply.is_some_and(|reply| reply.closes);
        // What comes behind the close of TLS cannot be read, and so nothing is said of it.
        let is_seen = request.transport == Transport::Http;
        if is_closed && is_seen && self.closing.len() < CONNECTIONS {
            self.closing.insert(place.connection, Evidence::of(request));
        }
    }

    /// A connection has ended.
    pub(super) fn end(&mut self, book: &mut Book, connection: u64) {
        if self.closing.remove(&connection).is_some() {
            book.kept(Rule::HttpCloseHonoured);
        }
    }
}

fn check_head(book: &mut Book, head: &HttpHead, finding: &dyn Fn(String, &str) -> Finding) {
    book.check(Rule::HttpGet, head.method == b"GET", || {
        finding(
            format!("the method is `{}`", escaped(&head.method)),
            "`GET`",
        )
    });
    if head.minor_version >= 1 {
        let named = |(name, _): &&(Vec<u8>, Vec<u8>)| name.eq_ignore_ascii_case(b"host");
        let hosts = head.headers.iter().filter(named).count();
        book.check(Rule::HttpHost, hosts == 1, || {
            finding(
                format!("{hosts} headers Host"),
                "one, with the host and port of the URL",
            )
        });
    }
    let length = head.header("content-length");
    let has_body =
        length.is_some_and(|length| length != b"0") || head.header("transfer-encoding").is_some();
    book.check(Rule::HttpNoBody, !has_body, || {
        finding("a GET that announces a body".to_owned(), "no body")
    });
    let agent = head.header("user-agent");
    let is_named = agent.is_some_and(|agent| !agent.is_empty());
    book.check(Rule::UserAgent, is_named, || {
        finding("no User-Agent".to_owned(), "`User-Agent: name/version`")
    });
}

/// Whether a client says that it can read an encoding.
pub(super) fn accepts(head: &HttpHead, encoding: &[u8]) -> bool {
    let encoding = std::str::from_utf8(encoding).unwrap_or_default();
    let accepted = head.header("accept-encoding").unwrap_or_default();
    has_token(accepted, encoding)
}
