//! What the answers that were sent tell a client, byte for byte as it got them: the client is judged by these, not by what the
//! tracker meant.

use std::net::IpAddr;
use std::time::Duration;

use crate::http_reply::{self, BodyState, Head};
use crate::lab::answer::{action, number, transaction};
use crate::lab::bencode::Value;
use crate::lab::exchange::{Answer, Body, End, Request};
use crate::lab::reading::UdpHead;

/// An answer that took longer may have come to nobody: a client may have given up, whose end of the connection is not seen while
/// the answer to it is held back. The shortest time-outs that clients have are three seconds; over UDP BEP 15 says fifteen.
const HTTP_PATIENCE: Duration = Duration::from_secs(2);
const UDP_PATIENCE: Duration = Duration::from_secs(14);

/// What an announce came to, as far as the client can know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// An answer that every client can use.
    Accepted(Terms),
    /// One that clients may take or refuse: nothing is concluded from what they do next.
    Doubtful,
    /// A `failure reason`, or an error packet.
    Refused(Option<RetryIn>),
    /// To another address, named as it was sent.
    Redirected(Vec<u8>),
    /// Bytes that no client can take for success.
    Unusable,
    /// Nothing at all.
    Silent,
}

/// What an answer asks of the client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) interval: Duration,
    pub(super) min_interval: Option<Duration>,
    pub(super) has_warning: bool,
    pub(super) tracker_id: Option<Vec<u8>>,
}

/// BEP 31.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RetryIn {
    After(Duration),
    Never,
}

impl Outcome {
    /// What was sent in answer to an announce.
    pub(super) fn of(request: &Request, answer: &Answer) -> Outcome {
        if answer.sent.iter().all(Vec::is_empty) {
            return Outcome::Silent;
        }
        let (outcome, patience) = match &request.body {
            Body::Datagram(datagram) => {
                (of_datagrams(request, datagram, &answer.sent), UDP_PATIENCE)
            }
            Body::Http(_) | Body::Unreadable(_) => (of_http(answer), HTTP_PATIENCE),
        };
        if answer.took > patience {
            Outcome::Doubtful
        } else {
            outcome
        }
    }

    /// Whether the client knows that the announce did not count.
    pub(super) fn is_failure(&self) -> bool {
        match self {
            Outcome::Refused(_) | Outcome::Unusable | Outcome::Silent => true,
            Outcome::Accepted(_) | Outcome::Doubtful | Outcome::Redirected(_) => false,
        }
    }

    /// In a word, for reports.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Outcome::Accepted(_) => "accepted",
            Outcome::Doubtful => "odd answer",
            Outcome::Refused(_) => "refused",
            Outcome::Redirected(_) => "redirected",
            Outcome::Unusable => "useless answer",
            Outcome::Silent => "no answer",
        }
    }
}

fn of_http(answer: &Answer) -> Outcome {
    let sent = answer.sent.concat();
    let Ok(Some(head)) = Head::read(&sent) else {
        return Outcome::Unusable;
    };
    if (300..400).contains(&head.status)
        && let Some(location) = head.location
    {
        return Outcome::Redirected(location.to_vec());
    }
    if head.status != 200 {
        // Some clients do not look at the status.
        let body = head.body(&sent, answer.end == End::Closed);
        return match of_body(&body) {
            Outcome::Accepted(_) | Outcome::Doubtful => Outcome::Doubtful,
            _ => Outcome::Unusable,
        };
    }
    if head.encoding.is_some() {
        // What is packed is what would have been sent without: the tracker packs nothing but its answers.
        return match Head::read(&answer.honest) {
            Ok(Some(honest)) => of_body(&honest.body(&answer.honest, true)),
            _ => Outcome::Doubtful,
        };
    }
    of_body(&head.body(&sent, answer.end == End::Closed))
}

fn of_body(body: &http_reply::Body<'_>) -> Outcome {
    let Some(value) = Value::read(&body.bytes) else {
        // Something behind the end, perhaps, which some clients do not look at.
        let is_like_one = body.bytes.starts_with(b"d") && body.bytes.ends_with(b"e");
        return if is_like_one {
            Outcome::Doubtful
        } else {
            Outcome::Unusable
        };
    };
    if let Some(reason) = value.get("failure reason") {
        return match reason {
            Value::Bytes(_) => Outcome::Refused(retry_in(&value)),
            _ => Outcome::Doubtful,
        };
    }
    let seconds = |key| {
        let seconds = u64::try_from(value.get(key)?.integer()?).ok()?;
        (seconds > 0).then(|| Duration::from_secs(seconds))
    };
    let has_peers = match value.get("peers") {
        Some(Value::Bytes(peers)) => peers.len().is_multiple_of(6),
        Some(Value::List(_)) => true,
        _ => false,
    };
    let is_sorted = value.entries().is_sorted_by(|one, next| one.key < next.key);
    let is_clear = body.state == BodyState::Whole && is_sorted && has_peers;
    match seconds("interval").filter(|_| is_clear) {
        Some(interval) => Outcome::Accepted(Terms {
            interval,
            min_interval: seconds("min interval"),
            has_warning: value.get("warning message").is_some(),
            tracker_id: value
                .get("tracker id")
                .and_then(Value::bytes)
                .map(<[u8]>::to_vec),
        }),
        None => Outcome::Doubtful,
    }
}

fn retry_in(value: &Value<'_>) -> Option<RetryIn> {
    match value.get("retry in")? {
        Value::Integer(minutes) => {
            let minutes = u64::try_from(*minutes).ok()?;
            Some(RetryIn::After(Duration::from_secs(
                minutes.saturating_mul(60),
            )))
        }
        Value::Bytes(b"never") => Some(RetryIn::Never),
        Value::Bytes(text) => {
            let minutes: u64 = std::str::from_utf8(text).ok()?.parse().ok()?;
            Some(RetryIn::After(Duration::from_secs(
                minutes.saturating_mul(60),
            )))
        }
        _ => None,
    }
}

fn of_datagrams(request: &Request, datagram: &[u8], sent: &[Vec<u8>]) -> Outcome {
    let Some(head) = UdpHead::read(datagram) else {
        return Outcome::Unusable;
    };
    let mine = sent
        .iter()
        .find(|reply| transaction(reply) == Some(head.transaction));
    let Some(mine) = mine else {
        return Outcome::Unusable;
    };
    match action(mine) {
        Some(3) => Outcome::Refused(None),
        Some(1) => {
            let address = match request.client.ip().to_canonical() {
                IpAddr::V4(_) => 6,
                IpAddr::V6(_) => 18,
            };
            let is_whole = mine.len() >= 20 && (mine.len() - 20).is_multiple_of(address);
            match number(mine, 8).and_then(|seconds| i32::try_from(seconds).ok()) {
                Some(1..) if is_whole => Outcome::Accepted(Terms {
                    interval: Duration::from_secs(u64::from(number(mine, 8).unwrap_or_default())),
                    ..Terms::default()
                }),
                _ => Outcome::Doubtful,
            }
        }
        _ => Outcome::Unusable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, end: End) -> Outcome {
        let answer = Answer {
            sent: vec![text.as_bytes().to_vec()],
            end,
            ..Answer::default()
        };
        of_http(&answer)
    }

    #[test]
    fn what_was_sent_is_read_as_a_client_reads_it() {
        let accepted = |answer: Outcome| matches!(answer, Outcome::Accepted(_));
        let whole = "d8:intervali30e5:peers0:e";
        let head = "HTTP/1.1 200 OK\r\n";
        let closed = End::Closed;
        assert!(accepted(of(&format!("{head}\r\n{whole}"), closed)));
        let length = format!("{head}Content-Length: 25\r\n\r\n{whole}");
        assert!(accepted(of(&length, End::Open)));
        let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n19\r\n{whole}\r\n0\r\n\r\n");
        assert!(accepted(of(&chunked, End::Open)));
        for (body, outcome) in [
            ("d8:intervali0e5:peers0:e", Outcome::Doubtful),
            ("d5:peers0:8:intervali30ee", Outcome::Doubtful),
            ("d8:intervali30ee", Outcome::Doubtful),
            ("d8:interva", Outcome::Unusable),
            ("<html>", Outcome::Unusable),
            ("d14:failure reason1:xe", Outcome::Refused(None)),
            (
                "d14:failure reason1:x8:retry in5:nevere",
                Outcome::Refused(Some(RetryIn::Never)),
            ),
            (
                "d14:failure reason1:x8:retry ini2ee",
                Outcome::Refused(Some(RetryIn::After(Duration::from_secs(120)))),
            ),
        ] {
            assert_eq!(of(&format!("{head}\r\n{body}"), closed), outcome, "{body}");
        }
        let longer = format!("{head}Content-Length: 90\r\n\r\n{whole}");
        assert_eq!(of(&longer, closed), Outcome::Doubtful);
        assert_eq!(of("HTTP/1.1 500 x\r\n\r\n", closed), Outcome::Unusable);
        let failed = "HTTP/1.1 500 x\r\n\r\nd14:failure reason2:noe";
        assert_eq!(of(failed, closed), Outcome::Unusable);
        let answered = "HTTP/1.1 500 x\r\n\r\nd8:intervali9e5:peers0:e";
        assert_eq!(of(answered, closed), Outcome::Doubtful);
        assert_eq!(
            of("HTTP/1.1 302 x\r\nLocation: /b\r\n\r\n", closed),
            Outcome::Redirected(b"/b".to_vec())
        );
        assert_eq!(of("", closed), Outcome::Unusable);
    }
}
