//! Sessions of a client as a script, and the events that they would be at the laboratory.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::lab::exchange::{
    Answer, Body, ConnectionUse, End, Event, Exchange, HttpHead, Moment, Request, Transport,
};
use crate::lab::judge::{Judge, Options, Report};

pub(super) const HASH: &[u8; 20] = b"\x124Vx\x9a +~-_.\xff\xfeab\x00\x01\x02%&";
pub(super) const PEER_ID: &[u8; 20] = b"-LB1000-abcdefghijkl";

#[derive(Default)]
pub(super) struct Script {
    pub(super) steps: Vec<Step>,
    pub(super) options: Options,
    pub(super) has_ended: bool,
    pub(super) until: f64,
}

pub(super) enum Step {
    Http(Http),
    Udp(Udp),
    Unreadable(f64),
}

pub(super) struct Http {
    pub(super) at: f64,
    pub(super) method: String,
    pub(super) path: String,
    /// What stands before the parameters, mostly nothing.
    pub(super) before: String,
    pub(super) parameters: Vec<(String, String)>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) minor_version: u8,
    pub(super) client: SocketAddr,
    pub(super) tracker: SocketAddr,
    /// Number, requests before, pipelined; a connection of its own by default.
    pub(super) connection: Option<(u64, u32, bool)>,
    pub(super) sent: Vec<u8>,
    pub(super) honest: Vec<u8>,
    /// Seconds until it was sent.
    pub(super) took: f64,
    /// Whether its connection ends after it.
    pub(super) is_last: bool,
}

pub(super) struct Udp {
    pub(super) at: f64,
    pub(super) client: SocketAddr,
    pub(super) tracker: SocketAddr,
    pub(super) bytes: Vec<u8>,
    pub(super) sent: Vec<Vec<u8>>,
    /// Seconds until it was sent.
    pub(super) took: f64,
}

/// An answer of HTTP with this body.
pub(super) fn ok(body: &str) -> Vec<u8> {
    with_headers("200 OK", "", body)
}

pub(super) fn with_headers(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n{body}").into_bytes()
}

pub(super) fn encoded(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(byte) {
            text.push(char::from(*byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

impl Http {
    /// An announce of a good client, without an event.
    pub(super) fn at(at: f64) -> Http {
        let mut http = Http {
            at,
            method: "GET".into(),
            path: "/announce".into(),
            before: String::new(),
            parameters: Vec::new(),
            headers: vec![("Host".into(), "127.0.0.1:80".into())],
            minor_version: 1,
            client: "127.0.0.1:40000".parse().unwrap(),
            tracker: "127.0.0.1:80".parse().unwrap(),
            connection: None,
            sent: Vec::new(),
            honest: Vec::new(),
            took: 0.0,
            is_last: true,
        };
        http.headers
            .push(("User-Agent".into(), "labrat/1.0".into()));
        http.answer("d8:completei1e10:incompletei1e8:intervali1800e5:peers0:e");
        for (name, value) in [
            ("info_hash", encoded(HASH).as_str()),
            ("peer_id", encoded(PEER_ID).as_str()),
            ("port", "6881"),
            ("uploaded", "0"),
            ("downloaded", "0"),
            ("left", "1000"),
            ("key", "1A2B3C4D"),
            ("compact", "1"),
            ("no_peer_id", "1"),
            ("numwant", "50"),
        ] {
            http.set(name, value);
        }
        http
    }

    pub(super) fn scrape(at: f64) -> Http {
        let mut http = Http::at(at);
        http.path = "/scrape".into();
        http.parameters.truncate(1);
        http.answer("d5:filesdee");
        http
    }

    pub(super) fn with(mut self, changes: &[(&str, &str)]) -> Http {
        for (name, value) in changes {
            self.set(name, value);
        }
        self
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        let mut parameters = self.parameters.iter_mut();
        match parameters.find(|(there, _)| there == name) {
            Some((_, there)) => *there = value.into(),
            None => self.parameters.push((name.into(), value.into())),
        }
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.parameters.retain(|(there, _)| there != name);
    }

    pub(super) fn answer(&mut self, body: &str) {
        self.sent = ok(body);
    }

    fn event(&self, number: u64) -> Event {
        let pairs = self.parameters.iter();
        let pairs: Vec<String> = pairs
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let query = format!("{}{}", self.before, pairs.join("&")).into_bytes();
        let mut raw = format!("{} {}?", self.method, self.path).into_bytes();
        raw.extend_from_slice(&query);
        raw.extend_from_slice(format!(" HTTP/1.{}\r\n", self.minor_version).as_bytes());
        for (name, value) in &self.headers {
            raw.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        raw.extend_from_slice(b"\r\n");
        let (connection, earlier, is_pipelined) =
            self.connection.unwrap_or((1_000 + number, 0, false));
        let headers = self.headers.iter();
        exchange(
            Request {
                number,
                at: moment(self.at),
                transport: Transport::Http,
                client: self.client,
                tracker: self.tracker,
                connection: Some(ConnectionUse {
                    connection,
                    earlier,
                    is_pipelined,
                }),
                body: Body::Http(HttpHead {
                    raw,
                    method: self.method.clone().into_bytes(),
                    path: self.path.clone().into_bytes(),
                    query: Some(query),
                    minor_version: self.minor_version,
                    headers: headers
                        .map(|(name, value)| {
                            (name.clone().into_bytes(), value.clone().into_bytes())
                        })
                        .collect(),
                }),
            },
            Answer {
                honest: self.honest.clone(),
                took: Duration::from_secs_f64(self.took),
                sent: vec![self.sent.clone()],
                end: if self.is_last { End::Closed } else { End::Open },
                ..Answer::default()
            },
        )
    }
}

impl Udp {
    fn new(at: f64, bytes: Vec<u8>, sent: Vec<Vec<u8>>) -> Udp {
        Udp {
            at,
            client: "127.0.0.1:6881".parse().unwrap(),
            tracker: "127.0.0.1:81".parse().unwrap(),
            bytes,
            sent,
            took: 0.0,
        }
    }

    pub(super) fn connect(at: f64, transaction: u32, id: u64) -> Udp {
        let reply = reply(0, transaction, &id.to_be_bytes());
        Udp::new(at, head(0x417_2710_1980, 0, transaction), vec![reply])
    }

    /// An announce with an event of BEP 15, of what is left.
    pub(super) fn announce(at: f64, transaction: u32, id: u64, event: u8, left: u64) -> Udp {
        let mut bytes = head(id, 1, transaction);
        bytes.extend_from_slice(HASH);
        bytes.extend_from_slice(PEER_ID);
        bytes.extend_from_slice(&(1_000 - left).to_be_bytes());
        bytes.extend_from_slice(&left.to_be_bytes());
        bytes.extend_from_slice(&0u64.to_be_bytes());
        bytes.extend_from_slice(&[0, 0, 0, event, 0, 0, 0, 0, 1, 2, 3, 4]);
        bytes.extend_from_slice(&[0xff; 4]);
        bytes.extend_from_slice(&6_881u16.to_be_bytes());
        bytes.extend_from_slice(b"\x02\x09/announce");
        let reply = reply(1, transaction, &[0, 0, 7, 8, 0, 0, 0, 1, 0, 0, 0, 1]);
        Udp::new(at, bytes, vec![reply])
    }

    pub(super) fn scrape(at: f64, transaction: u32, id: u64, count: usize) -> Udp {
        let bytes = [head(id, 2, transaction), HASH.repeat(count)].concat();
        Udp::new(
            at,
            bytes,
            vec![reply(2, transaction, &[0; 12].repeat(count))],
        )
    }
}

pub(super) fn head(id: u64, action: u32, transaction: u32) -> Vec<u8> {
    [
        &id.to_be_bytes()[..],
        &action.to_be_bytes(),
        &transaction.to_be_bytes(),
    ]
    .concat()
}

pub(super) fn reply(action: u32, transaction: u32, rest: &[u8]) -> Vec<u8> {
    [&action.to_be_bytes()[..], &transaction.to_be_bytes(), rest].concat()
}

impl Script {
    pub(super) fn of(steps: Vec<Step>) -> Script {
        Script {
            steps,
            options: Options::default(),
            has_ended: true,
            until: 10_000.0,
        }
    }

    pub(super) fn http(&mut self, place: usize) -> &mut Http {
        match &mut self.steps[place] {
            Step::Http(http) => http,
            _ => panic!("no HTTP at {place}"),
        }
    }

    pub(super) fn udp(&mut self, place: usize) -> &mut Udp {
        match &mut self.steps[place] {
            Step::Udp(udp) => udp,
            _ => panic!("no UDP at {place}"),
        }
    }

    pub(super) fn events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        for (number, step) in (1u64..).zip(&self.steps) {
            match step {
                Step::Http(http) => {
                    events.push(http.event(number));
                    if http.is_last {
                        events.push(Event::Disconnected {
                            connection: http.connection.map_or(1_000 + number, |(is, ..)| is),
                            at: moment(http.at),
                            requests: 1,
                            error: None,
                        });
                    }
                }
                Step::Udp(udp) => events.push(exchange(
                    Request {
                        number,
                        at: moment(udp.at),
                        transport: Transport::Udp,
                        client: udp.client,
                        tracker: udp.tracker,
                        connection: None,
                        body: Body::Datagram(udp.bytes.clone()),
                    },
                    Answer {
                        sent: udp.sent.clone(),
                        took: Duration::from_secs_f64(udp.took),
                        ..Answer::default()
                    },
                )),
                Step::Unreadable(at) => events.push(exchange(
                    Request {
                        number,
                        at: moment(*at),
                        transport: Transport::Http,
                        client: "127.0.0.1:40000".parse().unwrap(),
                        tracker: "127.0.0.1:80".parse().unwrap(),
                        connection: Some(ConnectionUse {
                            connection: 1,
                            earlier: 0,
                            is_pipelined: false,
                        }),
                        body: Body::Unreadable(b"\x16\x03\x01".to_vec()),
                    },
                    Answer::default(),
                )),
            }
        }
        events
    }

    pub(super) fn report(&self) -> Report {
        let mut judge = Judge::new(self.options.clone());
        for event in self.events() {
            judge.hear(&event);
        }
        if self.has_ended {
            judge.client_ended();
        }
        judge.finish(Duration::from_secs_f64(self.until))
    }
}

fn exchange(request: Request, answer: Answer) -> Event {
    Event::Exchange(Arc::new(Exchange { request, answer }))
}

fn moment(seconds: f64) -> Moment {
    let real = Duration::from_secs_f64(seconds);
    Moment {
        real,
        virtual_time: real,
    }
}
