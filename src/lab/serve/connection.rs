//! One TCP connection: its requests one after another, each answered as it was decided.

use std::io;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::PollFlags;
use socket2::SockRef;

use super::publisher::Place;
use super::shared::Shared;
use super::stop::Waited;
use crate::http::{Front, SocketlessConnection};
use crate::lab::exchange::{
    Answer, Body, ConnectionUse, Delivery, End, Event, HttpHead, Moment, Request, Step, Transport,
};
use crate::tls::{Acceptor, Session};

/// Bytes read at once.
const READ_BYTES: usize = 16 * 1024;

/// Bytes that are kept of what a client sends ahead.
const MAX_AHEAD: usize = 256 * 1024;

/// After an orderly close, how long and how much the client may still say before the socket is dropped; else the system would throw
/// the answer away.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1 << 20;

/// One connection.
pub(super) struct Connection {
    shared: Arc<Shared>,
    socket: TcpStream,
    session: Option<io::Result<Box<Session>>>,
    /// Its number, from 1.
    pub number: u64,
    client: SocketAddr,
    tracker: SocketAddr,
    received: Vec<u8>,
    is_at_end: bool,
    requests: u32,
    /// Of the request that is being answered.
    place: Option<Place>,
}

/// Why a connection ends otherwise than in order.
type Ended = String;

impl Connection {
    /// A connection that has come from the first of the two `ends` to the second.
    pub(super) fn new(
        shared: Arc<Shared>,
        socket: TcpStream,
        ends: (SocketAddr, SocketAddr),
        acceptor: Option<&Acceptor>,
    ) -> Connection {
        let session = acceptor.map(|acceptor| {
            let session = acceptor.session().map(Box::new);
            session.map_err(io::Error::other)
        });
        let tracker = socket.local_addr().unwrap_or(ends.1);
        Connection {
            number: shared.next_connection(),
            shared,
            socket,
            session,
            client: SocketAddr::new(ends.0.ip().to_canonical(), ends.0.port()),
            tracker,
            received: Vec::new(),
            is_at_end: false,
            requests: 0,
            place: None,
        }
    }

    fn transport(&self) -> Transport {
        if self.session.is_some() {
            Transport::Https
        } else {
            Transport::Http
        }
    }

    /// What is told of its coming.
    pub(super) fn connected(&self, at: Moment) -> Event {
        Event::Connected {
            connection: self.number,
            at,
            transport: self.transport(),
            client: self.client,
        }
    }

    /// Serves it to its end.
    pub(super) fn serve(mut self) {
        let shared = Arc::clone(&self.shared);
        shared
            .publisher
            .tell(&self.connected(shared.clock.moment()));
        let error = self.exchange_all().err();
        let (connection, requests) = (self.number, self.requests);
        drop(self);
        shared.publisher.tell(&Event::Disconnected {
            connection,
            at: shared.clock.moment(),
            requests,
            error,
        });
    }

    fn exchange_all(&mut self) -> Result<(), Ended> {
        self.socket
            .set_nonblocking(true)
            .and_then(|()| self.socket.set_nodelay(true))
            .map_err(|error| error.to_string())?;
        if let Some(Err(error)) = &self.session {
            return Err(error.to_string());
        }
        let shared = Arc::clone(&self.shared);
        let seed = shared.seed_of(self.number);
        let ip = self.client.ip();
        let talk = SocketlessConnection::new(&shared.tracker, shared.http.clone(), ip, seed);
        let mut talk = talk.without_pages();
        let mut is_pipelined = false;
        while let Some((body, bytes)) = self.next_request(&talk)? {
            let (request, place) = self.request(body, is_pipelined);
            self.place = Some(place);
            let now = shared.clock.now();
            shared.keep_up(now);
            let mut honest = Vec::new();
            talk.set_now(now);
            talk.hear(&bytes, &mut honest);
            let honest = shared.told.translate(request.transport, honest);
            let delivery = shared.decide(&request, honest.clone());
            // What has come by now was sent before the answer was.
            self.read_ahead();
            is_pipelined = !self.received.is_empty();
            let mut answer = Answer {
                honest,
                misbehaviour: delivery.misbehaviour.clone(),
                ..Answer::default()
            };
            answer.end = self.deliver(delivery, talk.ending().is_some(), &mut answer);
            answer.took = shared.clock.real().saturating_sub(request.at.real);
            let end = answer.end;
            if let Some(place) = self.place.take() {
                Shared::tell(place, request, answer);
            }
            match end {
                End::Open => {}
                End::Closed => {
                    self.linger(&talk);
                    return Ok(());
                }
                End::Reset => return Ok(()),
                End::Lost => return Err("the client was away before all was sent".to_owned()),
            }
        }
        Ok(())
    }

    /// A request that has come just now, which counts as one of the connection.
    fn request(&mut self, body: Body, is_pipelined: bool) -> (Request, Place) {
        let earlier = self.requests;
        self.requests = earlier.saturating_add(1);
        let (place, at) = self.shared.begin();
        let request = Request {
            number: place.number(),
            at,
            transport: self.transport(),
            client: self.client,
            tracker: self.tracker,
            connection: Some(ConnectionUse {
                connection: self.number,
                earlier,
                is_pipelined,
            }),
            body,
        };
        (request, place)
    }

    /// What is being answered holds up no other request: called before anything is waited for.
    fn give_way(&mut self) {
        if let Some(place) = &mut self.place {
            place.give_up();
        }
    }

    /// The next request with all its bytes; none when the connection is to end, or the laboratory does.
    fn next_request(
        &mut self,
        talk: &SocketlessConnection,
    ) -> Result<Option<(Body, Vec<u8>)>, Ended> {
        let shared = Arc::clone(&self.shared);
        let limit = if self.requests == 0 {
            shared.http.request_timeout
        } else {
            shared.http.idle_timeout
        };
        let mut deadline = shared.clock.real().saturating_add(limit);
        let mut has_begun = !self.received.is_empty();
        loop {
            let front = talk.front(&self.received);
            if let Front::Head(length) = front {
                let bytes: Vec<u8> = self.received.drain(..length).collect();
                return Ok(Some((Body::Http(HttpHead::read(&bytes)), bytes)));
            }
            if front == Front::Unreadable {
                let bytes = std::mem::take(&mut self.received);
                return Ok(Some((Body::Unreadable(bytes.clone()), bytes)));
            }
            if self.is_at_end {
                return self.left_midway().map_or(Ok(None), Err);
            }
            if !has_begun && !self.received.is_empty() {
                has_begun = true;
                let limit = shared.http.request_timeout;
                deadline = shared.clock.real().saturating_add(limit);
            }
            let left = deadline.saturating_sub(shared.clock.real());
            match shared.stop.wait(&self.socket, PollFlags::IN, Some(left)) {
                Waited::Over => return Ok(None),
                Waited::TimedOut => return self.was_silent().map_or(Ok(None), Err),
                Waited::Ready => self.read()?,
            }
        }
    }

    /// What is wrong with a client that has left, if anything.
    fn left_midway(&self) -> Option<Ended> {
        if self.is_handshaking() {
            Some("TLS: the client left within the handshake".to_owned())
        } else if self.received.is_empty() {
            None
        } else {
            let bytes = self.received.len();
            Some(format!(
                "the client left within a request, after {bytes} bytes"
            ))
        }
    }

    /// What is wrong with a client that said nothing for too long, if anything.
    fn was_silent(&self) -> Option<Ended> {
        if self.is_handshaking() {
            Some("TLS: no handshake within the time for it".to_owned())
        } else if self.received.is_empty() {
            None
        } else {
            Some("a request did not come whole within the time for it".to_owned())
        }
    }

    fn is_handshaking(&self) -> bool {
        matches!(&self.session, Some(Ok(session)) if session.is_handshaking())
    }

    /// Takes what has come.
    fn read(&mut self) -> Result<(), Ended> {
        let mut bytes = vec![0; READ_BYTES];
        let read = match self.socket.read(&mut bytes) {
            Ok(0) => {
                self.is_at_end = true;
                return Ok(());
            }
            Ok(read) => read,
            Err(error) if is_retried(&error) => return Ok(()),
            Err(error) => return Err(error.to_string()),
        };
        bytes.truncate(read);
        let Some(Ok(session)) = &mut self.session else {
            self.received.extend_from_slice(&bytes);
            return Ok(());
        };
        let mut incoming = [session.held(), &bytes].concat();
        let mut out = Vec::new();
        let received = &mut self.received;
        let opened = session.open(
            &mut incoming,
            |said| received.extend_from_slice(said),
            &mut out,
        );
        self.is_at_end |= session.is_at_end();
        let sent = self.send_raw(&out);
        opened.map_err(|fault| format!("TLS: {fault}"))?;
        sent.map_err(|_| "TLS: the client left within the handshake".to_owned())
    }

    /// Takes what has come already, without waiting. What is wrong shows when it is waited for.
    fn read_ahead(&mut self) {
        let now = Some(Duration::ZERO);
        while self.received.len() < MAX_AHEAD
            && !self.is_at_end
            && self.shared.stop.wait(&self.socket, PollFlags::IN, now) == Waited::Ready
        {
            let before = self.received.len();
            if self.read().is_err() || self.received.len() == before {
                return;
            }
        }
    }

    /// Does what was decided, and notes what was sent. `closes`: as HTTP wants it, where nothing else was decided; silence leaves the
    /// connection to the client.
    fn deliver(&mut self, delivery: Delivery, closes: bool, answer: &mut Answer) -> End {
        let is_silent = delivery.steps.is_empty();
        for step in delivery.steps {
            match step {
                Step::Wait(time) => {
                    self.give_way();
                    if !self.shared.stop.sleep(time) {
                        return End::Closed;
                    }
                    // So that it is not taken for what comes behind the answer.
                    self.read_ahead();
                }
                Step::Send(mut bytes) => {
                    let (written, is_whole) = self.send(&bytes);
                    bytes.truncate(written);
                    answer.note_sent(bytes);
                    if !is_whole {
                        return End::Lost;
                    }
                }
                Step::Close => return self.close(),
                Step::Reset => {
                    // The system sends a reset for a socket that is dropped so; where it cannot, it closes.
                    let reset = SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
                    return if reset.is_ok() {
                        End::Reset
                    } else {
                        End::Closed
                    };
                }
            }
        }
        if closes && !is_silent {
            self.close()
        } else {
            End::Open
        }
    }

    fn close(&mut self) -> End {
        if let Some(Ok(session)) = &mut self.session {
            let mut out = Vec::new();
            session.close(&mut out);
            // Who is away does not hear it.
            let _ = self.send_raw(&out);
        }
        match self.socket.shutdown(Shutdown::Write) {
            Ok(()) => End::Closed,
            Err(_) => End::Lost,
        }
    }

    /// Sends bytes, sealed where there is TLS; how many were sent, and whether all were.
    fn send(&mut self, bytes: &[u8]) -> (usize, bool) {
        let Some(Ok(session)) = &mut self.session else {
            return match self.send_raw(bytes) {
                Ok(()) => (bytes.len(), true),
                Err(sent) => (sent, false),
            };
        };
        let mut out = Vec::new();
        let sealed = session.seal(bytes, &mut out);
        match sealed.is_ok() && self.send_raw(&out).is_ok() {
            true => (bytes.len(), true),
            false => (0, false),
        }
    }

    /// Sends bytes as they are, or says how many were sent.
    fn send_raw(&mut self, bytes: &[u8]) -> Result<(), usize> {
        let shared = Arc::clone(&self.shared);
        let mut sent = 0;
        while let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) {
            match self.socket.write(rest) {
                Ok(written) => sent += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.give_way();
                    let timeout = Some(shared.http.write_timeout);
                    let waited = shared.stop.wait(&self.socket, PollFlags::OUT, timeout);
                    if waited != Waited::Ready {
                        return Err(sent);
                    }
                }
                Err(_) => return Err(sent),
            }
        }
        Ok(())
    }

    /// Reads what the client still says behind the last answer. A request that comes then is told, and not answered; one that was under
    /// way before the answer was sent is not: the client could not know.
    fn linger(&mut self, talk: &SocketlessConnection) {
        let deadline = self.shared.clock.real().saturating_add(LINGER);
        let mut is_told = !self.received.is_empty();
        let mut bytes = vec![0; READ_BYTES];
        let mut read = 0;
        while read < LINGER_BYTES {
            let left = deadline.saturating_sub(self.shared.clock.real());
            let stop = &self.shared.stop;
            if stop.wait(&self.socket, PollFlags::IN, Some(left)) != Waited::Ready {
                return;
            }
            match self.socket.read(&mut bytes) {
                Ok(0) => return,
                Ok(more) => {
                    read += more;
                    if !is_told {
                        let said = bytes.get(..more).unwrap_or_default();
                        is_told = self.tell_late(talk, said);
                    }
                }
                Err(error) if is_retried(&error) => {}
                Err(_) => return,
            }
        }
    }

    /// Tells of the first request behind the close, once it is whole; whether there is nothing more to tell. Behind TLS's own close
    /// nothing can be read.
    fn tell_late(&mut self, talk: &SocketlessConnection, said: &[u8]) -> bool {
        if self.session.is_some() {
            return true;
        }
        self.received.extend_from_slice(said);
        let Front::Head(length) = talk.front(&self.received) else {
            return self.received.len() >= MAX_AHEAD;
        };
        let bytes: Vec<u8> = self.received.drain(..length).collect();
        let (request, place) = self.request(Body::Http(HttpHead::read(&bytes)), false);
        let answer = Answer {
            end: End::Closed,
            ..Answer::default()
        };
        Shared::tell(place, request, answer);
        true
    }
}

fn is_retried(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
