//! What the laboratory sees: requests as they came, byte for byte, and what was answered. Nothing is judged here.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// By what a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Transport {
    /// HTTP in the open.
    Http,
    /// HTTP over TLS.
    Https,
    /// BEP 15.
    Udp,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Transport::Http => "http",
            Transport::Https => "https",
            Transport::Udp => "udp",
        })
    }
}

/// Bytes of an answer that are kept of what was sent; scripts can have some that are longer than any client should take.
pub const MAX_KEPT_ANSWER: usize = 16 << 20;

/// Something that happened at the laboratory's tracker. A clone is cheap: it shares the exchange.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A request came and was dealt with.
    Exchange(#[serde(with = "shared")] Arc<Exchange>),
    /// A TCP connection came.
    Connected {
        /// Its number, from 1.
        connection: u64,
        /// When.
        at: Moment,
        /// HTTP or HTTPS.
        transport: Transport,
        /// The client's end.
        client: SocketAddr,
    },
    /// A TCP connection has ended.
    Disconnected {
        /// Its number.
        connection: u64,
        /// When.
        at: Moment,
        /// Requests that came on it.
        requests: u32,
        /// Why, where it was not the client's or the tracker's orderly end; a failed handshake of TLS for example.
        error: Option<String>,
    },
}

impl Event {
    /// When it happened.
    pub fn at(&self) -> Moment {
        match self {
            Event::Exchange(exchange) => exchange.request.at,
            Event::Connected { at, .. } | Event::Disconnected { at, .. } => *at,
        }
    }

    /// The bytes that it holds, more or less.
    pub(crate) fn weight(&self) -> usize {
        let held = match self {
            Event::Exchange(exchange) => size_of::<Exchange>() + exchange.weight(),
            Event::Connected { .. } => 0,
            Event::Disconnected { error, .. } => error.as_ref().map_or(0, String::len),
        };
        size_of::<Event>() + held
    }
}

/// An exchange in a recording: as if nobody shared it.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Exchange;

    pub(super) fn serialize<S: Serializer>(
        exchange: &Arc<Exchange>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        exchange.as_ref().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<Exchange>, D::Error> {
        Exchange::deserialize(deserializer).map(Arc::new)
    }
}

/// A time since the laboratory started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Moment {
    /// As it passes.
    pub real: Duration,
    /// As the tracker sees it: with `--speed 60` sixty times as much.
    pub virtual_time: Duration,
}

/// One request, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// What came.
    pub request: Request,
    /// What was answered.
    pub answer: Answer,
}

impl Exchange {
    /// The bytes of what came and of what was sent.
    fn weight(&self) -> usize {
        let came = match &self.request.body {
            Body::Http(head) => {
                let fields = head.headers.len() * size_of::<(Vec<u8>, Vec<u8>)>();
                // Method, path, query and headers are copies of parts of it.
                head.raw.len() * 2 + fields
            }
            Body::Datagram(bytes) | Body::Unreadable(bytes) => bytes.len(),
        };
        came + self.answer.honest.len() + self.answer.sent.iter().map(Vec::len).sum::<usize>()
    }
}

/// One request as it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// From 1, over all transports.
    pub number: u64,
    /// When it was whole.
    pub at: Moment,
    /// By what it came.
    pub transport: Transport,
    /// The client's end.
    pub client: SocketAddr,
    /// The tracker's end.
    pub tracker: SocketAddr,
    /// On which TCP connection; none for UDP.
    pub connection: Option<ConnectionUse>,
    /// What it says.
    pub body: Body,
}

/// The place of a request on its TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionUse {
    /// The number of the connection, from 1.
    pub connection: u64,
    /// Requests before it on the same connection.
    pub earlier: u32,
    /// Whether it was sent before the reply to the one before it was.
    pub is_pipelined: bool,
}

/// What a request says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// A head of HTTP.
    Http(HttpHead),
    /// A datagram, whole.
    Datagram(Vec<u8>),
    /// Bytes on a TCP connection that are no head of HTTP.
    Unreadable(Vec<u8>),
}

/// A head of HTTP, each part as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpHead {
    /// The whole head with its last empty line.
    pub raw: Vec<u8>,
    /// `GET`.
    pub method: Vec<u8>,
    /// What stands before the question mark.
    pub path: Vec<u8>,
    /// What stands behind it; none when there is no question mark.
    pub query: Option<Vec<u8>>,
    /// 0 for HTTP/1.0, 1 for HTTP/1.1.
    pub minor_version: u8,
    /// Names as they came, values without blanks around them.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
}

impl HttpHead {
    /// Takes a head apart that begins a request and ends with an empty line. What is missing stays empty.
    pub fn read(raw: &[u8]) -> HttpHead {
        let mut lines = raw.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let line = lines.find(|line| !line.is_empty()).unwrap_or_default();
        let mut words = line.split(|byte| *byte == b' ');
        let method = words.next().unwrap_or_default().to_vec();
        let target = words.next().unwrap_or_default();
        let question = target.iter().position(|byte| *byte == b'?');
        let (path, query) = target.split_at(question.unwrap_or(target.len()));
        let headers = lines.filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let (name, value) = line.split_at(colon);
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            Some((name.to_vec(), value.to_vec()))
        });
        HttpHead {
            raw: raw.to_vec(),
            method,
            path: path.to_vec(),
            query: question.map(|_| query.get(1..).unwrap_or_default().to_vec()),
            minor_version: u8::from(!line.ends_with(b"HTTP/1.0")),
            headers: headers.collect(),
        }
    }

    /// The value of the first header of this name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let mut headers = self.headers.iter();
        headers
            .find(|(there, _)| there.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value.as_slice())
    }
}

/// What was answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// What a tracker that behaves would have sent: head and body of HTTP, or a datagram; empty where it would be silent.
    pub honest: Vec<u8>,
    /// What was done instead; none where the honest answer was sent.
    pub misbehaviour: Option<String>,
    /// What was sent: each datagram, or the bytes on the connection; of all that the first [`MAX_KEPT_ANSWER`] bytes.
    pub sent: Vec<Vec<u8>>,
    /// Bytes that were sent beyond those.
    #[serde(default)]
    pub left_out: usize,
    /// How long it took until the last of it was sent.
    pub took: Duration,
    /// How the connection was left.
    pub end: End,
}

impl Answer {
    /// Notes what was sent, as far as it is kept.
    pub(crate) fn note_sent(&mut self, mut bytes: Vec<u8>) {
        let kept: usize = self.sent.iter().map(Vec::len).sum();
        let room = MAX_KEPT_ANSWER.saturating_sub(kept);
        self.left_out += bytes.len().saturating_sub(room);
        bytes.truncate(room);
        // What was not sent of it is not held either.
        bytes.shrink_to_fit();
        self.sent.push(bytes);
    }

    /// How many bytes were sent.
    pub fn sent_bytes(&self) -> usize {
        self.sent.iter().map(Vec::len).sum::<usize>() + self.left_out
    }
}

/// How an answer left its connection. Datagrams leave nothing: [`End::Open`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// For another request.
    #[default]
    Open,
    /// Closed in order.
    Closed,
    /// Reset.
    Reset,
    /// The client was away before all was sent.
    Lost,
}

/// What is to be done about a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// How it differs from the honest answer, in a few words; none where it does not.
    pub misbehaviour: Option<String>,
    /// One after another.
    pub steps: Vec<Step>,
}

/// A step of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing, for so long (real time).
    Wait(Duration),
    /// Bytes on the connection, or one datagram.
    Send(Vec<u8>),
    /// The connection is closed in order; the last step.
    Close,
    /// The connection is reset; the last step.
    Reset,
}

/// Decides what is done about a request, given the honest answer to it.
pub type Answerer = Box<dyn FnMut(&Request, Vec<u8>) -> Delivery + Send>;

/// Does what a tracker should: sends the honest answer. What closes then is HTTP's matter.
pub fn honest(_: &Request, answer: Vec<u8>) -> Delivery {
    let steps = if answer.is_empty() {
        Vec::new()
    } else {
        vec![Step::Send(answer)]
    };
    Delivery {
        misbehaviour: None,
        steps,
    }
}

#[cfg(test)]
impl Request {
    /// A request for tests, on no connection.
    pub(in crate::lab) fn of_test(transport: Transport, body: Body) -> Request {
        Request {
            number: 1,
            at: Moment::default(),
            transport,
            client: "127.0.0.1:50000".parse().unwrap(),
            tracker: "127.0.0.1:80".parse().unwrap(),
            connection: None,
            body,
        }
    }

    /// What is told of it when it was answered with so many bytes.
    pub(in crate::lab) fn answered(self, bytes: usize) -> Event {
        let mut answer = Answer::default();
        answer.note_sent(vec![0; bytes]);
        let exchange = Exchange {
            request: self,
            answer,
        };
        Event::Exchange(Arc::new(exchange))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// O19: what is kept of an answer has a bound, and what it has lost is known.
    #[test]
    fn of_a_huge_answer_the_beginning_is_kept() {
        let mut answer = Answer::default();
        answer.note_sent(vec![1; 5]);
        answer.note_sent(vec![2; MAX_KEPT_ANSWER]);
        answer.note_sent(vec![3; 7]);
        let lengths: Vec<usize> = answer.sent.iter().map(Vec::len).collect();
        assert_eq!(lengths, [5, MAX_KEPT_ANSWER - 5, 0]);
        assert_eq!(answer.left_out, 12);
        assert_eq!(answer.sent_bytes(), MAX_KEPT_ANSWER + 12);
    }
}
