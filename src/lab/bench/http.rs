//! Load over HTTP/1.1, with and without TLS, on one epoll: connections that are kept alive, or one for every request.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::bail;
use nix::sys::socket::{setsockopt, sockopt::IpBindAddressNoPort};
use rustix::event::{Timespec, epoll};
use socket2::{Domain, Socket, Type};

use super::load::{Action, Request};
use super::measure::Phase;
use super::reply::{self, Answer, Fault};
use super::target::{Sources, Target};
use super::tls::{Stream, Tls};
use super::wording::{Manner, Writer};

/// A request that has no reply for so long counts as lost.
const PATIENCE: Duration = Duration::from_secs(10);
/// Faults in a row, without any reply between them, after which there is no point in going on.
const HOPELESS: u32 = 1_000;

/// The connections and what is on its way over them.
pub(super) struct Engine {
    address: SocketAddr,
    sources: Sources,
    is_closing: bool,
    tls: Option<Tls>,
    /// Whether a fault of TLS was shown.
    has_shown: bool,
    epoll: OwnedFd,
    slots: Vec<Slot>,
    /// Slots without a request on its way.
    idle: Vec<usize>,
    /// Lane of the next request, when each has a connection of its own.
    next_lane: usize,
    writer: Writer,
    buffer: Vec<u8>,
    faults_in_a_row: u32,
}

#[derive(Default)]
struct Slot {
    stream: Option<Stream>,
    /// Whether the connection has brought a reply before.
    is_used: bool,
    pending: Option<Pending>,
    received: Vec<u8>,
    /// Bytes of the request that the connection has not taken yet.
    unsent: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Pending {
    request: Request,
    lane: usize,
    since: Duration,
    is_answered: bool,
}

impl Engine {
    pub(super) fn new(
        target: &Target,
        sources: Sources,
        connections: usize,
        manner: Manner,
        tls: Option<Tls>,
    ) -> anyhow::Result<Engine> {
        let mut sources = sources;
        if !manner.is_closing {
            // Every source has the same number of connections, so that a lane's peers all come from one address.
            sources.count = (1..=sources.count.min(connections))
                .rev()
                .find(|count| connections.is_multiple_of(*count))
                .unwrap_or(1);
        }
        Ok(Engine {
            address: target.address,
            sources,
            is_closing: manner.is_closing,
            tls,
            has_shown: false,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            slots: (0..connections).map(|_| Slot::default()).collect(),
            idle: (0..connections).rev().collect(),
            next_lane: 0,
            writer: Writer::new(target, manner),
            buffer: vec![0; 65_536],
            faults_in_a_row: 0,
        })
    }

    pub(super) fn lanes(&self) -> (usize, usize) {
        if self.is_closing {
            (self.sources.count, self.sources.count)
        } else {
            (self.slots.len(), self.sources.count)
        }
    }

    pub(super) fn run(&mut self, phase: &mut Phase<'_>) -> anyhow::Result<()> {
        let mut events = Vec::with_capacity(1_024);
        let mut scanned = phase.clock.elapsed();
        loop {
            let now = phase.clock.elapsed();
            let is_done = self.start_idle(phase, now);
            if is_done && self.idle.len() == self.slots.len() {
                break;
            }
            if self.faults_in_a_row >= HOPELESS {
                bail!("{HOPELESS} faults in a row: {:?}", phase.tally.faults);
            }
            let wait = if phase.is_paced() && !self.idle.is_empty() && !is_done {
                phase.wait(now)
            } else {
                Duration::from_millis(100)
            };
            let wait = Timespec::try_from(wait)?;
            events.clear();
            match epoll::wait(
                &self.epoll,
                rustix::buffer::spare_capacity(&mut events),
                Some(&wait),
            ) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in events.drain(..) {
                let index = usize::try_from(event.data.u64())?;
                let flags = event.flags;
                if flags.contains(epoll::EventFlags::OUT) || self.tls.is_some() {
                    self.write_on(index, phase);
                }
                let has_ended = flags.intersects(
                    epoll::EventFlags::RDHUP | epoll::EventFlags::HUP | epoll::EventFlags::ERR,
                );
                self.read_on(index, has_ended, phase);
            }
            let now = phase.clock.elapsed();
            if now.saturating_sub(scanned) > Duration::from_secs(1) {
                scanned = now;
                self.give_up_the_lost(phase, now);
                phase.show(now);
            }
        }
        phase.clear();
        Ok(())
    }

    /// Sends requests on idle connections, as many as are due. Returns whether no more are to come.
    fn start_idle(&mut self, phase: &mut Phase<'_>, now: Duration) -> bool {
        let mut spent = Vec::new();
        let mut is_over = phase.is_over(now);
        while !is_over && let Some(index) = self.idle.pop() {
            let Some(since) = phase.take_turn(now) else {
                self.idle.push(index);
                break;
            };
            match self.choose(index, phase) {
                Some((lane, request)) => {
                    // Opening connections takes long enough for the next one to need a clock of its own.
                    let since = if phase.is_paced() {
                        since
                    } else {
                        phase.clock.elapsed()
                    };
                    self.start(index, lane, request, since, phase);
                }
                None => spent.push(index),
            }
            is_over = phase.is_over(now);
        }
        let is_exhausted = !spent.is_empty() && self.idle.is_empty();
        self.idle.append(&mut spent);
        is_over || is_exhausted
    }

    fn choose(&mut self, index: usize, phase: &mut Phase<'_>) -> Option<(usize, Request)> {
        if !self.is_closing {
            return phase.next(index).map(|request| (index, request));
        }
        for _ in 0..self.sources.count {
            let lane = self.next_lane;
            self.next_lane = (lane + 1) % self.sources.count;
            if let Some(request) = phase.next(lane) {
                return Some((lane, request));
            }
        }
        None
    }

    fn start(
        &mut self,
        index: usize,
        lane: usize,
        request: Request,
        since: Duration,
        phase: &mut Phase<'_>,
    ) {
        let bytes = self.writer.write(request, phase.load);
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        slot.pending = Some(Pending {
            request,
            lane,
            since,
            is_answered: false,
        });
        slot.received.clear();
        let is_new = slot.stream.is_none();
        slot.is_used &= !is_new;
        let opened = match slot.stream.take() {
            Some(stream) => Ok(stream),
            None => open(self.address, self.sources, lane).and_then(|socket| match &self.tls {
                Some(tls) => tls.over(socket),
                None => Ok(Stream::Plain(socket)),
            }),
        };
        let Ok(mut stream) = opened else {
            return self.fail(index, Fault::Refused, phase);
        };
        let written = match stream.write(bytes) {
            Ok(count) => count,
            // Not connected yet, or the connection's buffer is full.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::NotConnected
                ) =>
            {
                0
            }
            Err(error) if is_new => {
                self.show(&error);
                return self.fail(index, Fault::Closed, phase);
            }
            // The server has ended the connection: what epoll tells next opens another.
            Err(_) => bytes.len(),
        };
        debug_assert!(written <= bytes.len(), "no more than there was");
        slot.unsent = bytes.get(written..).unwrap_or_default().to_vec();
        if is_new {
            let mut flags =
                epoll::EventFlags::IN | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
            if !slot.unsent.is_empty() || stream.is_sealed() {
                flags |= epoll::EventFlags::OUT;
            }
            let data = epoll::EventData::new_u64(index as u64);
            if epoll::add(&self.epoll, &stream, data, flags).is_err() {
                return self.fail(index, Fault::Refused, phase);
            }
        }
        slot.stream = Some(stream);
    }

    fn write_on(&mut self, index: usize, phase: &mut Phase<'_>) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let Some(stream) = slot.stream.as_mut() else {
            return;
        };
        let written = if !slot.unsent.is_empty() {
            stream.write(&slot.unsent)
        } else if stream.holds_back() {
            stream.flush().map(|()| 0)
        } else {
            return;
        };
        match written {
            Ok(count) => drop(slot.unsent.drain(..count)),
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::NotConnected
                ) => {}
            Err(error) => {
                self.show(&error);
                self.fail(index, Fault::Closed, phase);
            }
        }
    }

    /// Shows what is wrong with TLS, once: a fault of the connection says nothing of it.
    fn show(&mut self, error: &std::io::Error) {
        if self.tls.is_some() && !std::mem::replace(&mut self.has_shown, true) {
            log::error!("over TLS: {error}");
        }
    }

    /// Reads what has come; `has_ended` tells that the server has closed its side.
    fn read_on(&mut self, index: usize, has_ended: bool, phase: &mut Phase<'_>) {
        let mut has_ended = has_ended;
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let Some(stream) = slot.stream.as_mut() else {
            return;
        };
        loop {
            match stream.read(&mut self.buffer) {
                Ok(0) => has_ended = true,
                Ok(count) => {
                    let came = self.buffer.get(..count);
                    debug_assert!(came.is_some(), "no more than there is room for");
                    slot.received.extend_from_slice(came.unwrap_or_default());
                    if count == self.buffer.len() || has_ended || stream.is_sealed() {
                        continue;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => has_ended = true,
            }
            break;
        }
        let Some(pending) = slot.pending else {
            // The server ends an idle connection, as it may.
            slot.stream = None;
            return;
        };
        if pending.is_answered {
            if has_ended {
                self.finish(index, true);
            }
            return;
        }
        if has_ended && slot.is_used && slot.received.is_empty() {
            // The server ended the connection before the request came, as it may: asked again on a fresh one.
            slot.stream = None;
            phase.tally.reopened += 1;
            return self.start(index, pending.lane, pending.request, pending.since, phase);
        }
        match reply::whole(&slot.received, has_ended) {
            Ok(None) => {}
            Ok(Some((body, closes))) => {
                let result = check(pending.request, body);
                let took = phase.clock.elapsed().saturating_sub(pending.since);
                phase.count(pending.request, result, took);
                self.faults_in_a_row = if result.is_ok() {
                    0
                } else {
                    self.faults_in_a_row + 1
                };
                if !slot.is_used
                    && let Some(is_resumed) = slot.stream.as_ref().and_then(Stream::is_resumed)
                {
                    phase.tally.shook_hands(is_resumed);
                }
                slot.is_used = true;
                if has_ended || !(self.is_closing || closes) {
                    self.finish(index, has_ended);
                } else {
                    slot.pending = Some(Pending {
                        is_answered: true,
                        ..pending
                    });
                }
            }
            Err(fault) => self.fail(index, fault, phase),
        }
    }

    fn finish(&mut self, index: usize, has_ended: bool) {
        if let Some(slot) = self.slots.get_mut(index) {
            slot.pending = None;
            if has_ended {
                slot.stream = None;
            }
            self.idle.push(index);
        }
    }

    fn fail(&mut self, index: usize, fault: Fault, phase: &mut Phase<'_>) {
        phase.count_fault(fault);
        self.faults_in_a_row += 1;
        self.finish(index, true);
    }

    fn give_up_the_lost(&mut self, phase: &mut Phase<'_>, now: Duration) {
        for index in 0..self.slots.len() {
            let pending = self.slots.get(index).and_then(|slot| slot.pending);
            if let Some(pending) = pending
                && now.saturating_sub(pending.since) > PATIENCE
            {
                if pending.is_answered {
                    self.finish(index, true);
                } else {
                    self.fail(index, Fault::TimedOut, phase);
                }
            }
        }
    }
}

/// Opens a connection without waiting for it; on loopback it stands when this returns.
fn open(address: SocketAddr, sources: Sources, lane: usize) -> std::io::Result<TcpStream> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking(),
        None,
    )?;
    if let Some(ip) = sources.address(lane % sources.count) {
        // The port is chosen when connecting, or the addresses' ports run out.
        setsockopt(&socket, IpBindAddressNoPort, &true)?;
        socket.bind(&SocketAddr::from((ip, 0)).into())?;
    }
    match socket.connect(&address.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(nix::libc::EINPROGRESS) => {}
        Err(error) => return Err(error),
    }
    Ok(socket.into())
}

fn check(request: Request, body: &[u8]) -> Result<Answer, Fault> {
    match request.action {
        Action::Announce(_) => reply::announce(body),
        Action::Scrape | Action::Connect => reply::scrape(body),
    }
}
