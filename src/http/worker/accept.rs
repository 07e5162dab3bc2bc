//! Accepting: what a worker does with its listeners, also when the process has no file left.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::epoll;
use rustix::io::Errno;
use rustix::net::SocketFlags;

use super::advance::{Disposition, may_hold};
use super::connection::Connection;
use super::permits::Purpose;
use super::timers::Tick;
use super::{Token, Worker};
use crate::metrics::{Failure, Transport};

/// Connections accepted from one listener before others are looked after.
const ACCEPT_BATCH: usize = 64;

/// How long a listener rests when the process has no file left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// Out of files is logged this often.
const LOG_PAUSE: Duration = Duration::from_secs(60);

/// One listening socket of this worker.
#[derive(Debug)]
pub(crate) struct Listener {
    pub socket: OwnedFd,
    /// Whether other workers wait for the same socket.
    is_shared: bool,
    /// Whether it is for TLS.
    is_tls: bool,
    /// Until when it rests, when the process had no file left.
    pub paused: Option<Tick>,
}

impl Listener {
    pub(crate) fn new(socket: OwnedFd, is_shared: bool, is_tls: bool) -> Listener {
        Listener {
            socket,
            is_shared,
            is_tls,
            paused: None,
        }
    }
}

impl Worker {
    /// Accepts what waits at a listener, up to a batch; whether more may be waiting.
    pub(super) fn accept(&mut self, listener: usize) -> bool {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        for _ in 0..ACCEPT_BATCH {
            // None are left once the worker stops; an event may be of before that.
            let Some(open) = self.listeners.get(listener) else {
                return false;
            };
            let is_tls = open.is_tls;
            match rustix::net::acceptfrom_with(&open.socket, flags) {
                Ok((socket, peer)) => {
                    if let Some(peer) = peer.and_then(|peer| SocketAddr::try_from(peer).ok()) {
                        self.welcome(socket, peer, is_tls);
                    }
                }
                Err(Errno::AGAIN) => return false,
                Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                    self.pause(listener);
                    return false;
                }
                // The connection broke before it was accepted; the next one is none the worse.
                Err(_) => self
                    .handler
                    .counters()
                    .failed(Transport::Http, Failure::Socket),
            }
        }
        true
    }

    /// Lets a listener rest: the process has no file left, and asking again at once would be a busy loop.
    #[cold]
    fn pause(&mut self, listener: usize) {
        self.handler
            .counters()
            .failed(Transport::Http, Failure::Socket);
        if self.may_log_at.has_come(self.tick) {
            self.may_log_at = self.tick.after(LOG_PAUSE);
            log::error!(
                "no connection can be accepted: the limit on open files (LimitNOFILE, now {}) is reached",
                rustix::process::getrlimit(rustix::process::Resource::Nofile)
                    .current
                    .map_or_else(|| "none".to_owned(), |limit| limit.to_string()),
            );
        }
        if let Some(open) = self.listeners.get_mut(listener)
            && epoll::delete(&self.epoll, &open.socket).is_ok()
        {
            open.paused = Some(self.tick.after(ACCEPT_PAUSE));
        }
    }

    /// Logs when all permits are taken, and what bounds them. Connections then end after their reply.
    pub(super) fn tell_if_full(&mut self) {
        let is_full = self.shared.limiter.held() >= self.live.max_connections;
        if is_full && self.may_log_at.has_come(self.tick) {
            self.may_log_at = self.tick.after(LOG_PAUSE);
            log::error!(
                "no more connections are kept: {} are held already, as many as max_connections and the limit on open files \
                 (LimitNOFILE) allow",
                self.live.max_connections
            );
        }
    }

    pub(super) fn reopen(&mut self, index: usize) {
        let Some(listener) = self.listeners.get_mut(index) else {
            return;
        };
        if listener
            .paused
            .is_some_and(|until| until.has_come(self.tick))
        {
            let token = Token::Listener(index).pack();
            let flags = listener_flags(listener);
            let added = epoll::add(&self.epoll, &listener.socket, token, flags);
            // No memory for the registration: it is tried again at the next tick.
            if added.is_ok() {
                listener.paused = None;
            }
        }
    }

    /// Serves a connection that was just accepted. Its request is mostly there already, and then it may never be held; with TLS there
    /// is a handshake first.
    fn welcome(&mut self, socket: OwnedFd, peer: SocketAddr, is_tls: bool) {
        if let Err(limited) = self.handler.admit_connection(peer.ip()) {
            // Who begins TLS understands nothing before it, and a handshake is more than he is to have.
            if !is_tls {
                self.turn_away(&socket, limited);
            }
            return;
        }
        let deadline = self.tick.after(self.live.settings.request_timeout);
        let mut connection = Connection::new(socket, peer, deadline);
        connection.expects_proxy_header = self.live.settings.proxy_protocol;
        if is_tls {
            return self.begin_tls(connection);
        }
        match self.read(&mut connection) {
            Disposition::Stays => self.settle(connection),
            Disposition::Gone => {}
            Disposition::HandOver => self.hand_over(connection),
        }
    }

    /// Holds a connection that goes on: registers it and has its deadline watched.
    fn settle(&mut self, mut connection: Connection) {
        let is_held = connection.hold.is_some()
            || may_hold(&self.shared, &self.live, &mut connection, Purpose::Work);
        if !is_held {
            self.handler
                .counters()
                .failed(Transport::Http, Failure::Connections);
            return;
        }
        let key = self.slots.reserve();
        if !self.watch(key, &mut connection) {
            self.handler
                .counters()
                .failed(Transport::Http, Failure::Socket);
            self.slots.free(key);
            return;
        }
        connection.tell_rest(self.tick);
        connection.wake = self.timers.put(key, connection.deadline);
        self.slots.put(key, Box::new(connection));
    }
}

pub(super) fn listener_flags(listener: &Listener) -> epoll::EventFlags {
    if listener.is_shared {
        epoll::EventFlags::IN | epoll::EventFlags::EXCLUSIVE
    } else {
        epoll::EventFlags::IN
    }
}
