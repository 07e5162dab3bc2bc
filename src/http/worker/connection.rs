//! Connections that are held: their state, and the slots they are kept in.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::event::epoll::EventFlags;

use super::permits::ConnectionPermit;
use super::timers::Tick;
use super::tls::Encryption;
use crate::http::pipeline::Next;
use crate::invariant::present;

/// What a connection is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Bytes of a TLS handshake.
    Handshaking,
    /// Bytes of a request.
    Reading,
    /// Room for the rest of its replies; and what comes then.
    Writing(Next),
    /// The client to notice that this was all; how many more bytes it may say.
    Draining(usize),
}

/// One accepted connection.
#[derive(Debug)]
pub(super) struct Connection {
    /// Shared with its permit, so that whoever is given the permit can shut it down.
    pub socket: Arc<OwnedFd>,
    /// The other end of the socket, or what a proxy's header names in its place ([`super::proxied`]).
    pub peer: SocketAddr,
    /// Whether the first bytes may be a proxy's header.
    pub expects_proxy_header: bool,
    pub state: State,
    /// Its TLS, when it has any.
    pub tls: Option<Box<Encryption>>,
    /// What the epoll looks for; nothing while it does not know the connection.
    pub watched: EventFlags,
    /// Bytes of requests that could not be answered yet; empty most of the time.
    pub pending: Vec<u8>,
    /// Bytes of replies that could not be sent yet, sealed where there is TLS; empty most of the time.
    pub unsent: Vec<u8>,
    /// Requests answered.
    pub requests: u32,
    /// When it ends unless something happens.
    pub deadline: Tick,
    /// When the timers will look at it.
    pub wake: Tick,
    /// Its permit to be held.
    pub hold: Option<ConnectionPermit>,
}

impl Connection {
    pub(super) fn new(socket: OwnedFd, peer: SocketAddr, deadline: Tick) -> Connection {
        Connection {
            socket: Arc::new(socket),
            peer,
            expects_proxy_header: false,
            state: State::Reading,
            tls: None,
            watched: EventFlags::empty(),
            pending: Vec::new(),
            unsent: Vec::new(),
            requests: 0,
            deadline,
            wake: deadline,
            hold: None,
        }
    }

    /// Whether it is kept between requests.
    pub(super) fn is_idle(&self) -> bool {
        self.is_at_rest() && self.requests > 0
    }

    /// Whether its TLS handshake is not over.
    pub(super) fn is_handshaking(&self) -> bool {
        let tls = self.tls.as_ref();
        tls.is_some_and(|tls| tls.session.is_handshaking())
    }

    /// Whether another handshake has the place of its own.
    pub(super) fn has_given_way(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.has_given_way())
    }

    /// Whether no request is under way, be it that none has come yet.
    fn is_at_rest(&self) -> bool {
        self.state == State::Reading && self.pending.is_empty()
    }

    /// Tells its permit when it is at rest.
    pub(super) fn tell_rest(&self, now: Tick) {
        if let Some(hold) = self.hold.as_ref().filter(|_| self.is_at_rest()) {
            hold.rests(now);
        }
    }

    /// Takes the socket out with the bytes that were read, for somebody else to serve.
    pub(super) fn into_stream(self) -> io::Result<(TcpStream, Vec<u8>)> {
        let socket = match Arc::try_unwrap(self.socket) {
            Ok(socket) => socket,
            // Somebody is looking at its permit at this very moment.
            Err(shared) => shared.try_clone()?,
        };
        Ok((socket.into(), self.pending))
    }
}

#[derive(Debug)]
struct Slot {
    /// Raised when the slot is freed, so that a late event for its last connection is known as such.
    generation: u32,
    /// Boxed: it is taken out while it is worked on.
    connection: Option<Box<Connection>>,
}

/// The connections of one worker by key.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    free: Vec<u32>,
    count: usize,
}

impl Slots {
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Reserves a slot. It must be [filled](Slots::put) or [freed](Slots::free).
    pub(super) fn reserve(&mut self) -> u64 {
        self.count += 1;
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: 0,
                connection: None,
            });
            let last = u32::try_from(self.slots.len() - 1).ok();
            present(last, "there are fewer sockets than numbers").unwrap_or(u32::MAX)
        });
        let slot = present(self.slot(index), "it is free, or was just made");
        let generation = slot.map_or(0, |slot| slot.generation);
        u64::from(generation) << 32 | u64::from(index)
    }

    /// Takes the connection out for work; it must be put back or its slot freed.
    pub(super) fn take(&mut self, key: u64) -> Option<Box<Connection>> {
        self.find(key)?.connection.take()
    }

    /// Puts a connection into its slot.
    pub(super) fn put(&mut self, key: u64, connection: Box<Connection>) {
        if let Some(slot) = present(self.find(key), "it was reserved and not freed") {
            slot.connection = Some(connection);
        }
    }

    /// Looks at a connection.
    pub(super) fn look(&mut self, key: u64) -> Option<&mut Connection> {
        self.find(key)?.connection.as_deref_mut()
    }

    /// Gives up a slot; its key is never valid again, and frees nothing any more.
    pub(super) fn free(&mut self, key: u64) {
        if let Some(slot) = self.find(key) {
            slot.generation = slot.generation.wrapping_add(1) & MAX_GENERATION;
            slot.connection = None;
            self.free.push(index_of(key));
            debug_assert!(self.count > 0, "no more are freed than were reserved");
            self.count = self.count.saturating_sub(1);
        }
    }

    /// The keys of all connections.
    pub(super) fn keys(&self) -> Vec<u64> {
        let filled = self.slots.iter().zip(0_u64..);
        filled
            .filter(|(slot, _)| slot.connection.is_some())
            .map(|(slot, index)| u64::from(slot.generation) << 32 | index)
            .collect()
    }

    fn find(&mut self, key: u64) -> Option<&mut Slot> {
        let slot = self.slot(index_of(key))?;
        (u64::from(slot.generation) == key >> 32).then_some(slot)
    }

    fn slot(&mut self, index: u32) -> Option<&mut Slot> {
        self.slots.get_mut(index as usize)
    }
}

/// Generations stay below the upper half, which marks keys that are no connection's.
const MAX_GENERATION: u32 = u32::MAX >> 1;

fn index_of(key: u64) -> u32 {
    let low = u32::try_from(key & u64::from(u32::MAX)).ok();
    present(low, "32 bits are left").unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection() -> Box<Connection> {
        let socket = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        Box::new(Connection::new(
            socket,
            SocketAddr::from(([127, 0, 0, 1], 1)),
            Tick::default(),
        ))
    }

    #[test]
    fn a_key_dies_with_its_connection() {
        let mut slots = Slots::default();
        let first = slots.reserve();
        slots.put(first, connection());
        let second = slots.reserve();
        slots.put(second, connection());
        assert_eq!(slots.keys(), [first, second]);
        assert!(slots.take(first).is_some() && slots.take(first).is_none());
        slots.free(first);
        let third = slots.reserve();
        slots.put(third, connection());
        assert_ne!(first, third);
        assert!(slots.look(first).is_none() && slots.look(third).is_some());
        slots.free(first);
        assert!(slots.look(third).is_some());
        slots.free(second);
        slots.free(third);
        assert!(slots.is_empty());
    }
}
