//! TLS before the requests of a connection: its handshake, records opened before requests are read, replies sealed before they are
//! sent.
//!
//! A handshake costs as much as some dozen announces. So one at most goes on in each wake-up of a worker, after whatever else there is
//! to do, and those that have just been accepted wait their turn in a queue: whoever begins however many, announces do not wait for them.
//! A part of a hello costs next to nothing and takes no turn: who sends no more than that does not stand in the way of who does.

use std::collections::VecDeque;

use rustix::event::epoll;
use rustix::io::Errno;
use rustix::net::RecvFlags;

use super::Worker;
use super::advance::{Disposition, FITS, may_hold, send};
use super::connection::{Connection, State};
use super::handshakes::{Bounds, HandshakePermit, OpenTls};
use super::permits::Purpose;
use super::timers::Tick;
use crate::http::codec::reply;
use crate::http::pipeline::Next;
use crate::invariant::present;
use crate::metrics::{Failure, Handshake, TlsVersion, Transport};
use crate::tls::{Acceptor, Fault, MAX_HELD, Session, Version};

/// What is read at once: a record, behind one that has come in part.
const INPUT_BYTES: usize = 2 * MAX_HELD;

/// Handshakes at most that are looked at in one wake-up, to find one whose hello is whole.
const MAX_LOOKS: u32 = 64;

/// The TLS of one connection.
#[derive(Debug)]
pub(super) struct Encryption {
    pub session: Session,
    /// Until the handshake is over.
    permit: Option<HandshakePermit>,
    /// When the first request must be whole.
    first_request_by: Tick,
    open: OpenTls,
}

impl Encryption {
    /// Whether another handshake has the place of this one.
    pub(super) fn has_given_way(&self) -> bool {
        let permit = self.permit.as_ref();
        permit.is_some_and(HandshakePermit::is_given_away)
    }

    /// Whether its handshake is not over, and the client's hello has not come whole.
    fn waits_for_hello(&self) -> bool {
        self.permit
            .as_ref()
            .is_some_and(|permit| !permit.is_greeted())
    }

    /// Takes the session out, for somebody else to go on with; the connection is counted for as long as the other part lives.
    pub(super) fn into_parts(self) -> (Session, OpenTls) {
        (self.session, self.open)
    }
}

/// Whose handshake goes on in this wake-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Turn {
    /// One that has begun and has heard something.
    #[default]
    Known,
    /// One that waits since it was accepted.
    Fresh,
    /// Nobody's: there was one.
    Over,
}

/// What a worker needs for TLS.
#[derive(Debug, Default)]
pub(super) struct TlsWork {
    /// What was received last, at the front, not opened.
    input: Vec<u8>,
    /// What is to be sent, sealed.
    pub out: Vec<u8>,
    /// Connections of which nothing has been read, in order of their coming; bounded by the permits for handshakes.
    fresh: VecDeque<u64>,
    turn: Turn,
    was_fresh: bool,
    /// How many handshakes may still be looked at in this wake-up.
    looks: u32,
    /// What [`HandshakeLimiter::given_away`](super::handshakes::HandshakeLimiter::given_away) was when the queue was last looked through.
    given_away: u64,
}

impl TlsWork {
    /// Whether a handshake waits for the next wake-up.
    pub(super) fn is_waiting(&self) -> bool {
        !self.fresh.is_empty()
    }

    /// Begins a wake-up: those who wait and those who were heard take turns.
    pub(super) fn begin(&mut self) {
        self.turn = if self.fresh.is_empty() || self.was_fresh {
            Turn::Known
        } else {
            Turn::Fresh
        };
        self.was_fresh = false;
        self.looks = MAX_LOOKS;
    }

    /// Whether a handshake that has heard something goes on now; else it is heard of again at the next wake-up.
    pub(super) fn may_look(&mut self) -> bool {
        let is_free = self.turn == Turn::Known && self.looks > 0;
        if is_free {
            self.looks -= 1;
        }
        is_free
    }
}

impl Worker {
    /// Begins the TLS of a connection that was just accepted, if there is a permit for it; its hello is read when its turn comes.
    pub(super) fn begin_tls(&mut self, mut connection: Connection) {
        let permit = self.handshake_permit(&connection);
        let is_held =
            permit.is_some() && may_hold(&self.shared, &self.live, &mut connection, Purpose::Work);
        let counters = self.handler.counters();
        if !is_held {
            counters.shook_hands(Handshake::TooMany);
            counters.failed(Transport::Http, Failure::Connections);
            return;
        }
        let session = self.shared.tls.as_ref().map(Acceptor::session);
        let Some(Ok(session)) = session else {
            counters.shook_hands(Handshake::Broken);
            counters.failed(Transport::Http, Failure::Internal);
            return;
        };
        let first_request_by = connection.deadline;
        let handshake_by = self.tick.after(self.live.settings.tls.handshake_timeout);
        connection.deadline = first_request_by.min(handshake_by);
        connection.state = State::Handshaking;
        connection.tls = Some(Box::new(Encryption {
            session,
            permit,
            first_request_by,
            open: self.shared.handshakes.count(),
        }));
        let key = self.slots.reserve();
        connection.wake = self.timers.put(key, connection.deadline);
        self.slots.put(key, Box::new(connection));
        self.tls.fresh.push_back(key);
    }

    /// Reads the hello of the connection that has waited longest, when this wake-up has seen no handshake yet.
    pub(super) fn shake_hands(&mut self) {
        self.clear_queue();
        while self.tls.turn != Turn::Over && self.tls.looks > 0 {
            let Some(key) = self.tls.fresh.pop_front() else {
                return;
            };
            // Its time may have been over meanwhile.
            if self.slots.look(key).is_some() {
                self.tls.was_fresh = true;
                self.tls.turn = Turn::Known;
                self.advance(key, epoll::EventFlags::IN);
            }
        }
    }

    /// Takes those out of the queue that have had to give way, or it would grow beyond the places that there are.
    fn clear_queue(&mut self) {
        let given_away = self.shared.handshakes.given_away();
        if given_away == self.tls.given_away {
            return;
        }
        self.tls.given_away = given_away;
        let mut fresh = std::mem::take(&mut self.tls.fresh);
        fresh.retain(|key| {
            let has_given_way = self
                .slots
                .look(*key)
                .is_some_and(|waiting| waiting.has_given_way());
            if has_given_way {
                self.count_given_way();
                self.slots.free(*key);
            }
            !has_given_way
        });
        self.tls.fresh = fresh;
    }

    /// Counts a handshake whose place another has.
    pub(super) fn count_given_way(&self) {
        let counters = self.handler.counters();
        counters.shook_hands(Handshake::GaveWay);
        counters.failed(Transport::Http, Failure::Connections);
    }

    /// Reads what has come over TLS, and answers what is whole.
    pub(super) fn read_sealed(&mut self, connection: &mut Connection) -> Disposition {
        if connection.expects_proxy_header {
            return self.read_proxy_header(connection);
        }
        let is_handshaking = connection.state == State::Handshaking;
        let Some(tls) = &mut connection.tls else {
            return Disposition::Gone;
        };
        if self.tls.input.is_empty() {
            self.tls.input.resize(INPUT_BYTES, 0);
        }
        let held = tls.session.held();
        let (front, room) = self.tls.input.split_at_mut(held.len().min(INPUT_BYTES));
        front.copy_from_slice(held);
        let held = held.len();
        let read = match rustix::net::recv(&connection.socket, room, RecvFlags::empty()) {
            Ok((read @ 1.., _)) => read,
            Err(Errno::AGAIN | Errno::INTR) => return Disposition::Stays,
            Ok(_) | Err(_) => {
                if tls.has_given_way() {
                    self.count_given_way();
                } else if is_handshaking {
                    self.handler.counters().shook_hands(Handshake::Gone);
                }
                return Disposition::Gone;
            }
        };
        self.open_sealed(connection, held, held + read)
    }

    /// Reads what a proxy says before TLS begins, and goes on with what is behind it.
    #[cold]
    fn read_proxy_header(&mut self, connection: &mut Connection) -> Disposition {
        let kept = self.recall(connection);
        let room = present(self.input.get_mut(kept..), FITS).unwrap_or_default();
        let filled = match rustix::net::recv(&connection.socket, room, RecvFlags::empty()) {
            Ok((read @ 1.., _)) => kept + read,
            Err(Errno::AGAIN | Errno::INTR) => return Disposition::Stays,
            Ok(_) | Err(_) => {
                self.handler.counters().shook_hands(Handshake::Gone);
                return Disposition::Gone;
            }
        };
        let proxy = connection.peer;
        let from = match self.take_header(connection, filled) {
            Ok(from) => from,
            Err(disposition) => return disposition,
        };
        connection.pending = Vec::new();
        if connection.peer != proxy && !self.may_shake_hands(connection) {
            let counters = self.handler.counters();
            counters.shook_hands(Handshake::TooMany);
            counters.failed(Transport::Http, Failure::Connections);
            return Disposition::Gone;
        }
        let rest = present(self.input.get(from..filled), FITS).unwrap_or_default();
        if rest.is_empty() {
            return Disposition::Stays;
        }
        let end = rest.len();
        if self.tls.input.len() < end.max(INPUT_BYTES) {
            self.tls.input.resize(end.max(INPUT_BYTES), 0);
        }
        if let Some(front) = self.tls.input.get_mut(..end) {
            front.copy_from_slice(rest);
        }
        self.open_sealed(connection, 0, end)
    }

    /// Takes a permit for a handshake in the name of the connection's other end, if there is one.
    fn handshake_permit(&self, connection: &Connection) -> Option<HandshakePermit> {
        let settings = &self.live.settings;
        let (address_rules, ip) = (&settings.address_rules, connection.peer.ip().to_canonical());
        let most = settings.tls.max_handshakes_per_address;
        let is_of_proxy = address_rules.believes(ip);
        let bounds = Bounds {
            total: settings.tls.max_handshakes,
            per_address: (most > 0 && !is_of_proxy).then_some(most),
            is_of_proxy,
            is_admin: address_rules.is_admin_socket(ip),
        };
        let handshakes = &self.shared.handshakes;
        handshakes.take(ip, &connection.socket, bounds, self.tick)
    }

    /// Changes the permit that was taken in the name of a proxy for one of the client that it has named; whether there is one.
    fn may_shake_hands(&self, connection: &mut Connection) -> bool {
        let Some(tls) = &mut connection.tls else {
            return false;
        };
        tls.permit = None;
        let permit = self.handshake_permit(connection);
        let is_there = permit.is_some();
        if let Some(tls) = &mut connection.tls {
            tls.permit = permit;
        }
        is_there
    }

    /// Opens the first `end` bytes of the sealed input, of which `held` had come before, and answers what is whole.
    fn open_sealed(&mut self, connection: &mut Connection, held: usize, end: usize) -> Disposition {
        let kept = self.recall(connection);
        let is_handshaking = connection.state == State::Handshaking;
        let Some(tls) = &mut connection.tls else {
            return Disposition::Gone;
        };
        let incoming = self.tls.input.get_mut(..end).unwrap_or_default();
        let is_text = held == 0 && incoming.first().is_some_and(u8::is_ascii_uppercase);
        let (mut filled, input) = (kept, &mut self.input);
        let hear = |piece: &[u8]| {
            let end = filled + piece.len();
            if input.len() < end {
                input.resize(end, 0);
            }
            if let Some(room) = input.get_mut(filled..end) {
                room.copy_from_slice(piece);
            }
            filled = end;
        };
        let opened = tls.session.open(incoming, hear, &mut self.tls.out);
        // Until the hello is whole, nothing is computed and nothing is said.
        if is_handshaking && !(tls.waits_for_hello() && opened.is_ok() && self.tls.out.is_empty()) {
            self.tls.turn = Turn::Over;
            if let Some(permit) = &tls.permit {
                permit.greet(self.tick);
            }
        }
        if let Err(fault) = opened {
            return self.fail(connection, fault, is_handshaking, is_text);
        }
        if is_handshaking {
            if tls.session.is_handshaking() {
                return self.send_sealed(connection);
            }
            tls.permit = None;
            self.count(connection);
        }
        let disposition = if filled > kept {
            self.exchange(connection, 0, filled)
        } else {
            self.send_sealed(connection)
        };
        self.unless_at_end(connection, disposition)
    }

    /// Counts a handshake that is over; from here on requests are waited for.
    fn count(&self, connection: &mut Connection) {
        let Some(tls) = &connection.tls else { return };
        let counters = self.handler.counters();
        counters.shook_hands(if tls.session.is_resumed() {
            Handshake::Resumed
        } else {
            Handshake::Full
        });
        if let Some(version) = tls.session.version() {
            counters.agreed(match version {
                Version::V1_2 => TlsVersion::V1_2,
                Version::V1_3 => TlsVersion::V1_3,
            });
        }
        connection.state = State::Reading;
        connection.deadline = tls.first_request_by;
    }

    /// Sends what TLS itself has to say.
    fn send_sealed(&mut self, connection: &mut Connection) -> Disposition {
        let sent = send(&connection.socket, &self.tls.out);
        let unsent = sent.map(|sent| self.tls.out.get(sent..).unwrap_or_default().to_vec());
        self.tls.out.clear();
        match unsent {
            Ok(unsent) if unsent.is_empty() => Disposition::Stays,
            Ok(unsent) => {
                connection.unsent = unsent;
                connection.state = State::Writing(Next::Read);
                Disposition::Stays
            }
            Err(_) => Disposition::Gone,
        }
    }

    /// Ends a connection whose client has said that it sends no more, once all is answered.
    fn unless_at_end(
        &mut self,
        connection: &mut Connection,
        disposition: Disposition,
    ) -> Disposition {
        let is_reading = connection.state == State::Reading;
        match (&mut connection.tls, disposition) {
            (Some(tls), Disposition::Stays) if is_reading && tls.session.is_at_end() => {
                tls.session.close(&mut self.tls.out);
                // It goes either way.
                let _ = send(&connection.socket, &self.tls.out);
                self.tls.out.clear();
                Disposition::Gone
            }
            (_, disposition) => disposition,
        }
    }

    /// Ends a session that has failed. Its client is told why, without TLS when it speaks HTTP without it.
    #[cold]
    fn fail(
        &mut self,
        connection: &mut Connection,
        fault: Fault,
        is_handshaking: bool,
        is_text: bool,
    ) -> Disposition {
        let counters = self.handler.counters();
        let is_plain_http = is_handshaking && is_text && fault == Fault::NoTls;
        if is_handshaking {
            counters.shook_hands(match fault {
                Fault::NoTls if is_plain_http => Handshake::PlainHttp,
                Fault::NoTls => Handshake::NoTls,
                Fault::NothingInCommon => Handshake::NothingInCommon,
                Fault::Rejected => Handshake::Rejected,
                Fault::TooLong => Handshake::TooLong,
                Fault::Broken => Handshake::Broken,
            });
        }
        counters.failed(Transport::Http, Failure::Tls);
        if is_plain_http {
            self.tls.out.clear();
            reply::needs_tls(&mut self.tls.out);
        }
        // What does not go out at once is not sent.
        let _ = send(&connection.socket, &self.tls.out);
        self.tls.out.clear();
        connection.tls = None;
        self.begin_to_drain(connection)
    }
}

/// Seals replies behind what TLS has to say, where there is TLS; and says that nothing more comes, where that is so.
///
/// # Errors
/// When the session has failed.
pub(super) fn seal(
    connection: &mut Connection,
    next: Next,
    replies: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    let Some(tls) = &mut connection.tls else {
        return Ok(());
    };
    tls.session.seal(replies, out)?;
    if matches!(next, Next::Close | Next::Drain) {
        tls.session.close(out);
    }
    Ok(())
}
