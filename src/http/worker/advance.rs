//! The life of a connection between two events: bytes are read, requests answered, replies sent, deadlines set.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::epoll;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown};

use super::connection::{Connection, State};
use super::permits::{Bounds, ConnectionPermit, Purpose};
use super::timers::Tick;
use super::tls::seal;
use super::{Token, Worker};
use crate::http::codec::{head, reply};
use crate::http::pipeline::{Next, PipelineContext, serve, source, turn_away};
use crate::http::{LiveSettings, Shared};
use crate::invariant::present;
use crate::metrics::{Failure, Transport};
use crate::net::handover::Handover;
use crate::net::limits::Refused as Limited;
use crate::tls::Session;

/// A request that begins when the connection has been silent for almost the time allowed has this much left at least.
const IDLE_LEEWAY: Duration = Duration::from_secs(5);

/// How long a client may take to notice that it was refused, and how much it may say meanwhile.
const DRAIN_TIME: Duration = Duration::from_secs(2);
const DRAIN_BYTES: usize = 256 * 1024;

/// Why the input has room for what is read and kept.
pub(super) const FITS: &str = "the input is as long as the longest reading";

/// How far the last bytes have brought a connection.
#[derive(Clone, Copy)]
enum Progress {
    /// A request was answered.
    Answered,
    /// A request has begun.
    OpenReply,
    /// A request that had begun before is still not whole.
    UnderWay,
}

/// What becomes of a connection after work on it.
pub(super) enum Disposition {
    Stays,
    Gone,
    HandOver,
}

impl Worker {
    /// Goes on with a connection that something has happened to.
    pub(super) fn advance(&mut self, key: u64, happened: epoll::EventFlags) {
        let Some(mut connection) = self.slots.take(key) else {
            return;
        };
        let disposition = match connection.state {
            State::Handshaking | State::Writing(_) if connection.has_given_way() => {
                self.count_given_way();
                Disposition::Gone
            }
            State::Handshaking if !self.tls.may_look() => {
                return self.slots.put(key, connection);
            }
            State::Handshaking => self.read_sealed(&mut connection),
            State::Reading if !has_permit(&connection) => Disposition::Gone,
            State::Reading => self.read(&mut connection),
            State::Writing(next) => self.flush(&mut connection, next, happened),
            State::Draining(left) => self.drain(&mut connection, left),
        };
        let is_watched = match disposition {
            Disposition::Stays => self.watch(key, &mut connection),
            Disposition::Gone => false,
            Disposition::HandOver => {
                // The socket lives on elsewhere; closing it would have taken it out of the epoll.
                let _ = epoll::delete(&self.epoll, &connection.socket);
                self.slots.free(key);
                self.hand_over(*connection);
                return;
            }
        };
        if !is_watched {
            self.slots.free(key);
            return;
        }
        connection.tell_rest(self.tick);
        if !connection.wake.has_come(connection.deadline) {
            connection.wake = self.timers.put(key, connection.deadline);
        }
        self.slots.put(key, connection);
    }

    /// Has the epoll look for what the connection waits for; whether it does.
    pub(super) fn watch(&self, key: u64, connection: &mut Connection) -> bool {
        let wanted = flags(connection.state);
        let before = std::mem::replace(&mut connection.watched, wanted);
        if before == wanted {
            return true;
        }
        let data = Token::Connection(key).pack();
        let watched = if before.is_empty() {
            epoll::add(&self.epoll, &connection.socket, data, wanted)
        } else {
            epoll::modify(&self.epoll, &connection.socket, data, wanted)
        };
        watched.is_ok()
    }

    /// Reads what has come, behind what is left of an earlier reading, and answers what is whole.
    pub(super) fn read(&mut self, connection: &mut Connection) -> Disposition {
        if connection.tls.is_some() {
            return self.read_sealed(connection);
        }
        let kept = self.recall(connection);
        let room = present(self.input.get_mut(kept..), FITS).unwrap_or_default();
        debug_assert!(!room.is_empty(), "{FITS}, with room for more");
        match rustix::net::recv(&connection.socket, room, RecvFlags::empty()) {
            Ok((0, _)) => Disposition::Gone,
            Ok((read, _)) if connection.expects_proxy_header => {
                self.take_proxy_header(connection, kept + read)
            }
            Ok((read, _)) => self.exchange(connection, 0, kept + read),
            Err(Errno::AGAIN | Errno::INTR) => Disposition::Stays,
            Err(_) => Disposition::Gone,
        }
    }

    /// Puts what is left of an earlier reading to the front of the input; its length.
    pub(super) fn recall(&mut self, connection: &Connection) -> usize {
        let kept = connection.pending.len();
        // Over TLS more may have been left than is read at once without it.
        if self.input.len() < kept {
            self.input.resize(kept, 0);
        }
        if let Some(front) = present(self.input.get_mut(..kept), FITS) {
            front.copy_from_slice(&connection.pending);
        }
        kept
    }

    /// Answers the requests among the bytes of the input that begin at `from` and end at `filled`.
    pub(super) fn exchange(
        &mut self,
        connection: &mut Connection,
        mut from: usize,
        filled: usize,
    ) -> Disposition {
        loop {
            self.out.clear();
            let live = &self.live;
            let pipeline = PipelineContext {
                settings: &live.settings,
                has_pages: self.shared.pages.is_some(),
                reports: self.shared.reports.as_ref(),
                port: connection.peer.port(),
                is_tls: connection.tls.is_some(),
                is_stopping: self.stop_at.is_some(),
                now: self.now,
            };
            let input = present(self.input.get(from..filled), FITS).unwrap_or_default();
            let socket = connection.peer.ip().to_canonical();
            let answered = connection.requests;
            let may_stay = || {
                connection.hold.is_some() || may_hold(&self.shared, live, connection, Purpose::Rest)
            };
            let served = serve(
                &mut self.handler,
                pipeline,
                socket,
                answered,
                may_stay,
                input,
                &mut self.out,
            );
            from += served.consumed;
            connection.requests += served.requests;
            let replies = if connection.tls.is_some() {
                if seal(connection, served.next, &self.out, &mut self.tls.out).is_err() {
                    self.tls.out.clear();
                    return Disposition::Gone;
                }
                &mut self.tls.out
            } else {
                &mut self.out
            };
            let Ok(sent) = send(&connection.socket, replies) else {
                replies.clear();
                return Disposition::Gone;
            };
            if let Some(unsent) = replies.get(sent..).filter(|unsent| !unsent.is_empty()) {
                connection.unsent = unsent.to_vec();
                connection.state = State::Writing(served.next);
                connection.deadline = self.tick.after(live.settings.write_timeout);
                replies.clear();
                self.keep(connection, from, filled);
                return Disposition::Stays;
            }
            replies.clear();
            if served.next != Next::Flush {
                let progress = match (served.requests, connection.pending.is_empty()) {
                    (0, true) => Progress::OpenReply,
                    (0, false) => Progress::UnderWay,
                    _ => Progress::Answered,
                };
                self.keep(connection, from, filled);
                return self.go_on(connection, served.next, progress);
            }
        }
    }

    /// Keeps the bytes that are left for later.
    pub(super) fn keep(&self, connection: &mut Connection, from: usize, filled: usize) {
        let left = present(self.input.get(from..filled), FITS).unwrap_or_default();
        if left.is_empty() {
            connection.pending = Vec::new();
        } else if connection.pending.len() != left.len() || from != 0 {
            connection.pending = left.to_vec();
        }
    }

    /// Goes on to what a connection needs next, all replies being sent.
    fn go_on(
        &mut self,
        connection: &mut Connection,
        next: Next,
        progress: Progress,
    ) -> Disposition {
        connection.state = State::Reading;
        let settings = &self.live.settings;
        match next {
            Next::Close => Disposition::Gone,
            Next::HandOver => Disposition::HandOver,
            Next::Drain => self.begin_to_drain(connection),
            Next::Read | Next::Flush => {
                if !connection.pending.is_empty() {
                    connection.deadline = self.request_deadline(connection, progress);
                } else if self.stop_at.is_some() && connection.requests > 0 {
                    return Disposition::Gone;
                } else {
                    connection.deadline = self.tick.after(settings.idle_timeout);
                }
                Disposition::Stays
            }
        }
    }

    /// Ends a connection whose replies are sent as soon as the client has seen them.
    pub(super) fn begin_to_drain(&self, connection: &mut Connection) -> Disposition {
        connection.state = State::Draining(DRAIN_BYTES);
        connection.pending = Vec::new();
        connection.deadline = self.tick.after(DRAIN_TIME);
        match rustix::net::shutdown(&connection.socket, Shutdown::Write) {
            Ok(()) => Disposition::Stays,
            Err(_) => Disposition::Gone,
        }
    }

    /// When a request must be whole of which only a part has come. The time of the first one runs from accept; that of a
    /// later one from its first byte, but not far beyond the time for which the connection might have been silent.
    fn request_deadline(&self, connection: &Connection, progress: Progress) -> Tick {
        let from_here = self.tick.after(self.live.settings.request_timeout);
        match progress {
            Progress::Answered => from_here,
            Progress::OpenReply if connection.requests > 0 => {
                from_here.min(connection.deadline.after(IDLE_LEEWAY))
            }
            Progress::OpenReply | Progress::UnderWay => connection.deadline,
        }
    }

    /// Sends the rest of the replies, then goes on with what the client had sent meanwhile.
    fn flush(
        &mut self,
        connection: &mut Connection,
        next: Next,
        happened: epoll::EventFlags,
    ) -> Disposition {
        if happened.intersects(epoll::EventFlags::ERR | epoll::EventFlags::HUP) {
            return Disposition::Gone;
        }
        let Ok(sent) = send(&connection.socket, &connection.unsent) else {
            return Disposition::Gone;
        };
        connection.unsent.drain(..sent);
        if !connection.unsent.is_empty() {
            return Disposition::Stays;
        }
        connection.unsent = Vec::new();
        if connection.is_handshaking() {
            connection.state = State::Handshaking;
            return Disposition::Stays;
        }
        if next != Next::Flush {
            return self.go_on(connection, next, Progress::Answered);
        }
        let kept = self.recall(connection);
        connection.state = State::Reading;
        self.exchange(connection, 0, kept)
    }

    /// Reads and forgets, so that the client sees why it was refused.
    fn drain(&mut self, connection: &mut Connection, left: usize) -> Disposition {
        match rustix::net::recv(
            &connection.socket,
            self.input.as_mut_slice(),
            RecvFlags::empty(),
        ) {
            Ok((read, _)) if read > 0 && read < left => {
                connection.state = State::Draining(left - read);
                Disposition::Stays
            }
            Err(Errno::AGAIN | Errno::INTR) => Disposition::Stays,
            _ => Disposition::Gone,
        }
    }

    /// Gives a connection to the pages, with the bytes of its request; one for which they have no permit is told so.
    pub(super) fn hand_over(&mut self, mut connection: Connection) {
        let Some(pages) = &self.shared.pages else {
            return;
        };
        if connection.hold.is_none() {
            may_hold(&self.shared, &self.live, &mut connection, Purpose::Work);
        }
        let Some(hold) = connection.hold.take() else {
            let counters = self.handler.counters();
            counters.failed(Transport::Http, Failure::Connections);
            return;
        };
        let peer = connection.peer;
        let tls = connection.tls.take().map(|tls| tls.into_parts());
        let (mut tls, open) = tls.unzip();
        let Ok((stream, read)) = connection.into_stream() else {
            let counters = self.handler.counters();
            counters.failed(Transport::Http, Failure::Socket);
            return;
        };
        let source = source(&self.live.settings.address_rules, peer.ip(), &read);
        if let Err(limited) = self.handler.admit_request(source.ip) {
            let tls = tls.as_mut();
            return self.turn_away_read(&stream, tls, limited, &read);
        }
        let handover = Handover {
            stream,
            tls: tls.map(Box::new),
            read,
            peer,
            hold: Box::new((hold, open)),
        };
        if let Err(mut handover) = pages.send(handover, source) {
            let counters = self.handler.counters();
            counters.failed(Transport::Http, Failure::Connections);
            refuse(&mut handover);
        }
    }
}

impl Worker {
    /// Tells a client that was just accepted that it is not served, if it has asked already, and ends the connection.
    #[cold]
    pub(super) fn turn_away(&mut self, socket: &OwnedFd, limited: Limited) {
        let mut input = std::mem::take(&mut self.input);
        let read = rustix::net::recv(socket, input.as_mut_slice(), RecvFlags::empty());
        let read = read.map_or(0, |(read, _)| read);
        let read = input.get(..read).unwrap_or_default();
        self.turn_away_read(socket, None, limited, read);
        self.input = input;
    }

    /// Tells a client that has asked this that it is not served.
    #[cold]
    pub(super) fn turn_away_read(
        &mut self,
        socket: impl AsFd,
        tls: Option<&mut Session>,
        limited: Limited,
        read: &[u8],
    ) {
        let mut word = Vec::new();
        turn_away(&self.handler, limited, read, &mut word);
        say_last(socket, tls, word);
    }
}

/// Tells a client that the pages are busy.
fn refuse(handover: &mut Handover) {
    let mut word = Vec::new();
    reply::busy(&mut word, head::asks_head_only(&handover.read));
    say_last(&handover.stream, handover.tls.as_deref_mut(), word);
}

/// Says the last word of a connection. What does not go out at once is not sent.
fn say_last(socket: impl AsFd, tls: Option<&mut Session>, mut word: Vec<u8>) {
    if let Some(tls) = tls {
        let mut sealed = Vec::new();
        if tls.seal(&word, &mut sealed).is_err() {
            return;
        }
        tls.close(&mut sealed);
        word = sealed;
    }
    if send(&socket, &word).is_ok() {
        let _ = rustix::net::shutdown(&socket, Shutdown::Write);
    }
}

/// Whether the connection still has the permit that it rested with.
fn has_permit(connection: &Connection) -> bool {
    connection.hold.as_ref().is_none_or(ConnectionPermit::works)
}

/// Takes a permit for the connection, if there is one.
pub(super) fn may_hold(
    shared: &Arc<Shared>,
    live: &LiveSettings,
    connection: &mut Connection,
    purpose: Purpose,
) -> bool {
    let ip = connection.peer.ip().to_canonical();
    let most = live.settings.max_connections_per_address;
    let address_rules = &live.settings.address_rules;
    let is_bounded = most > 0 && !address_rules.believes(ip);
    let bounds = Bounds {
        total: live.max_connections,
        per_address: is_bounded.then_some(most),
        is_admin: address_rules.is_admin_socket(ip),
    };
    let held = shared.limiter.take(ip, &connection.socket, bounds, purpose);
    connection.hold = held;
    connection.hold.is_some()
}

fn flags(state: State) -> epoll::EventFlags {
    match state {
        State::Handshaking | State::Reading | State::Draining(_) => epoll::EventFlags::IN,
        State::Writing(_) => epoll::EventFlags::OUT,
    }
}

/// Sends as much as there is room for.
pub(super) fn send(socket: impl AsFd, bytes: &[u8]) -> Result<usize, Errno> {
    if bytes.is_empty() {
        return Ok(0);
    }
    match rustix::net::send(socket, bytes, SendFlags::NOSIGNAL) {
        Err(Errno::AGAIN | Errno::INTR) => Ok(0),
        sent => sent,
    }
}
