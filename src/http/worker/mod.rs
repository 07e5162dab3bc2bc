//! The loop of one worker: an epoll of its own, listening sockets of its own, and the connections accepted from them.
//!
//! A connection that is answered and closed at once costs accept4, recv, send and close, and nothing else: it is never
//! registered. Every time limit is kept here, by a timer wheel, at no cost per request. An error of a socket ends its connection and
//! is counted; it never ends the loop.

pub(super) mod accept;
mod advance;
mod connection;
pub(super) mod handshakes;
pub(super) mod permits;
mod proxied;
mod timers;
mod tls;

use std::os::fd::OwnedFd;
use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

use super::codec::proxy_protocol::MAX_LENGTH;
use super::handler::Handler;
use super::{LiveSettings, Shared};
use crate::clock::{Clock, Seconds};
use crate::invariant::present;
use crate::metrics::{Failure, Handshake, Transport};
use accept::{Listener, listener_flags};
use connection::Slots;
use timers::{TICK, Tick, Timers};
use tls::TlsWork;

/// What an event is about, as a number that the kernel keeps beside each descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    /// The connection with this key, below half of all numbers ([`Slots`]).
    Connection(u64),
    /// The listener at this index: a number of the upper half.
    Listener(usize),
    /// The descriptor that wakes the worker to stop: the last number.
    Wake,
}

impl Token {
    const FIRST_LISTENER: u64 = 1 << 63;
    const WAKE: u64 = u64::MAX;

    fn pack(self) -> epoll::EventData {
        epoll::EventData::new_u64(match self {
            Token::Connection(key) => {
                debug_assert!(key < Token::FIRST_LISTENER, "generations are of 31 bits");
                key
            }
            Token::Listener(index) => Token::FIRST_LISTENER | index as u64,
            Token::Wake => Token::WAKE,
        })
    }

    fn unpack(data: epoll::EventData) -> Token {
        match data.u64() {
            Token::WAKE => Token::Wake,
            number if number < Token::FIRST_LISTENER => Token::Connection(number),
            number => {
                let index = usize::try_from(number - Token::FIRST_LISTENER).ok();
                Token::Listener(present(index, "it was an index").unwrap_or(usize::MAX))
            }
        }
    }
}

/// Events taken per wake-up.
const EVENTS: usize = 256;

/// For a wake-up that waits for nobody.
const NO_TIME: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// Batches accepted at most when the process is about to end.
const STOP_BATCHES: u32 = 64;

/// One worker.
pub(super) struct Worker {
    shared: Arc<Shared>,
    latest: Cache<Arc<ArcSwap<LiveSettings>>, Arc<LiveSettings>>,
    /// The settings of this wake-up.
    live: Arc<LiveSettings>,
    clock: Clock,
    epoll: OwnedFd,
    wake: OwnedFd,
    listeners: Vec<Listener>,
    slots: Slots,
    timers: Timers,
    due: Vec<(u64, Tick)>,
    handler: Handler,
    /// What was received last, at the front.
    input: Vec<u8>,
    /// Replies that wait to be sent.
    out: Vec<u8>,
    tls: TlsWork,
    tick: Tick,
    now: Seconds,
    stop_at: Option<Tick>,
    may_log_at: Tick,
}

impl Worker {
    /// Registers the listeners and the descriptor that wakes the worker.
    pub(super) fn new(
        shared: Arc<Shared>,
        clock: Clock,
        handler: Handler,
        listeners: Vec<Listener>,
        wake: OwnedFd,
    ) -> std::io::Result<Worker> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &wake, Token::Wake.pack(), epoll::EventFlags::IN)?;
        for (index, listener) in listeners.iter().enumerate() {
            let token = Token::Listener(index).pack();
            epoll::add(&epoll, &listener.socket, token, listener_flags(listener))?;
        }
        let tick = Tick::at(clock.elapsed());
        Ok(Worker {
            latest: Cache::new(Arc::clone(&shared.live)),
            live: shared.live.load_full(),
            shared,
            clock,
            epoll,
            wake,
            listeners,
            slots: Slots::default(),
            timers: Timers::new(tick),
            due: Vec::new(),
            handler,
            input: Vec::new(),
            out: Vec::new(),
            tls: TlsWork::default(),
            tick,
            now: clock.now(),
            stop_at: None,
            may_log_at: tick,
        })
    }

    /// Serves until told to stop and all requests under way are answered or the grace is over.
    pub(super) fn run(mut self) -> Result<(), String> {
        let mut events = Vec::with_capacity(EVENTS);
        let tick = Timespec {
            tv_sec: 0,
            tv_nsec: i64::from(TICK.subsec_nanos()),
        };
        loop {
            let is_waiting = !self.slots.is_empty()
                || self
                    .listeners
                    .iter()
                    .any(|listener| listener.paused.is_some());
            let timeout = if self.tls.is_waiting() {
                Some(&NO_TIME)
            } else {
                is_waiting.then_some(&tick)
            };
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), timeout) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(format!("epoll: {error}")),
            }
            self.look_around();
            self.tls.begin();
            for event in &events {
                match Token::unpack(event.data) {
                    Token::Wake => self.begin_to_stop(),
                    Token::Listener(index) => {
                        self.accept(index);
                    }
                    Token::Connection(key) => self.advance(key, event.flags),
                }
            }
            self.shake_hands();
            if let Some(stop_at) = self.stop_at
                && (self.slots.is_empty() || stop_at.has_come(self.tick))
            {
                return Ok(());
            }
        }
    }

    /// Reads the clock and the settings, and ends what has taken too long.
    fn look_around(&mut self) {
        let elapsed = self.clock.elapsed();
        self.now = Seconds::at(elapsed);
        self.handler.set_limit_time(elapsed);
        let latest = self.latest.load();
        if !Arc::ptr_eq(latest, &self.live) {
            self.live = Arc::clone(latest);
        }
        // Room for a head of the longest kind, or a proxy's header, behind what is left of an earlier reading; which may be from before a reload, so
        // there is never less than there was.
        let room = self.live.settings.head_limit().max(MAX_LENGTH) * 2;
        if self.input.len() < room {
            self.input.resize(room, 0);
        }
        let tick = Tick::at(elapsed);
        if tick == self.tick {
            return;
        }
        self.tick = tick;
        let mut due = std::mem::take(&mut self.due);
        self.timers.advance(tick, &mut due);
        for (key, when) in due.drain(..) {
            self.check(key, when);
        }
        self.due = due;
        for index in 0..self.listeners.len() {
            self.reopen(index);
        }
        self.tell_if_full();
    }

    /// Ends a connection whose deadline has come.
    fn check(&mut self, key: u64, when: Tick) {
        let Some(connection) = self
            .slots
            .look(key)
            .filter(|connection| connection.wake == when)
        else {
            return;
        };
        if !connection.deadline.has_come(self.tick) {
            connection.wake = self.timers.put(key, connection.deadline);
            return;
        }
        if connection.is_handshaking() {
            let counters = self.handler.counters();
            counters.shook_hands(Handshake::TimedOut);
        }
        if !connection.is_idle() {
            self.handler
                .counters()
                .failed(Transport::Http, Failure::TimedOut);
        }
        self.slots.free(key);
    }

    /// Closes the listeners and what is idle; the rest may finish.
    fn begin_to_stop(&mut self) {
        if self.stop_at.is_some() {
            return;
        }
        // What has been accepted by the system by now is still served.
        for listener in 0..self.listeners.len() {
            let mut batches = 0..STOP_BATCHES;
            while batches.next().is_some() && self.accept(listener) {}
        }
        self.stop_at = Some(self.tick.after(self.shared.grace()));
        let _ = epoll::delete(&self.epoll, &self.wake);
        for listener in self.listeners.drain(..) {
            // Others may hold the same socket; then closing it does not take it out.
            let _ = epoll::delete(&self.epoll, &listener.socket);
        }
        for key in self.slots.keys() {
            if self
                .slots
                .look(key)
                .is_some_and(|connection| connection.is_idle())
            {
                self.slots.free(key);
            }
        }
    }
}
