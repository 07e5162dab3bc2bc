//! One thread's loop: receive a batch, answer each datagram, send the replies. Nothing is allocated once it runs.
//!
//! A batch takes what has arrived and never waits for more. It grows to [`BATCH`] while the socket has more waiting than it
//! takes, and shrinks again, so that a quiet worker asks the system for one datagram and is not told twice that there is none.
//!
//! An error of the socket is counted and the loop goes on: whatever arrives from the network, it must not end a worker.

use std::io::IoSliceMut;
use std::net::{Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc::{in_pktinfo, in6_pktinfo};
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrIn, SockaddrIn6, SockaddrLike,
    recvmmsg,
};

use super::handler::Handler;
use super::sender::{BATCH, Outgoing, Sender, Source};
use super::socket::Opened;
use crate::clock::{Clock, Seconds};
use crate::invariant::present;
use crate::metrics::{Failure, Metrics, Transport, WorkerCounters};
use crate::tracker::AnnounceContext;

/// The longest datagram that is read whole: a scrape of more than the 74 hashes that are taken must be seen to be too long.
const MAX_REQUEST: usize = 2_048;
/// One in so many batches is timed for the latency histogram; the clock costs as much as a good part of an announce.
const TIMED_EVERY: u64 = 16;
/// After so many errors in a row the worker pauses before it tries again, so that a broken socket does not take a whole core.
const FAULTS_IN_A_ROW: u32 = 16;

/// A socket's worker.
#[derive(Debug)]
pub(super) struct Worker {
    pub opened: Opened,
    pub handler: Handler,
    pub metrics: Arc<Metrics>,
    /// Its index among all workers: that of its counters.
    pub index: usize,
    pub clock: Clock,
    pub stop: Arc<AtomicBool>,
}

impl Worker {
    /// Serves until it is told to stop.
    pub(super) fn run(mut self) -> Result<(), String> {
        match self.opened.socket.local_addr() {
            Ok(SocketAddr::V4(_)) => self.serve::<SockaddrIn>(cmsg_space!(in_pktinfo)),
            Ok(SocketAddr::V6(_)) => self.serve::<SockaddrIn6>(cmsg_space!(in6_pktinfo)),
            Err(error) => return Err(format!("udp: {error}")),
        }
        Ok(())
    }

    /// Serves with `control` as the room for the control message that names the local address of a datagram.
    fn serve<S: SockaddrLike + Copy + Into<SocketAddr>>(&mut self, control: Vec<u8>) {
        let metrics = Arc::clone(&self.metrics);
        let counters = metrics.counters(self.index);
        let fd = self.opened.socket.as_raw_fd();
        let mut sender = Sender::<S>::new(control.clone());
        let control = self.opened.pins_source.then_some(control);
        let mut headers = MultiHeaders::<S>::preallocate(BATCH, control);
        let mut requests = Box::new([[0_u8; MAX_REQUEST]; BATCH]);
        let mut replies: Box<[Outgoing<S>]> = (0..BATCH).map(|_| Outgoing::empty()).collect();
        let mut rng = fastrand::Rng::new();
        let mut size = 1;
        let mut faults = 0;
        for batch in 0_u64.. {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let mut slots = requests
                .each_mut()
                .map(|request| [IoSliceMut::new(request)]);
            let slots = slots.iter_mut().take(size);
            match recvmmsg(fd, &mut headers, slots, MsgFlags::MSG_WAITFORONE, None) {
                Ok(received) => {
                    faults = 0;
                    let now = self.clock.elapsed();
                    self.handler.set_limit_time(now);
                    let mut context = AnnounceContext {
                        now: Seconds::at(now),
                        rng: &mut rng,
                        counters,
                    };
                    let begun = batch
                        .is_multiple_of(TIMED_EVERY)
                        .then(|| self.clock.elapsed());
                    let done = self.answer(received, &mut context, &mut replies);
                    if let Some(begun) = begun {
                        let share = u32::try_from(done.requests).ok();
                        let share = present(share, "a batch is short").unwrap_or(1).max(1);
                        counters.took(self.clock.elapsed().saturating_sub(begun) / share);
                    }
                    let sent = present(replies.get(..done.replies), "each was written here");
                    let sent = sent.unwrap_or_default();
                    let sent_bytes = sender.send(&self.opened.socket, sent, counters);
                    counters.moved(Transport::Udp, done.received_bytes, sent_bytes);
                    size = next_size(size, done.requests);
                }
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(_) => {
                    faults += 1;
                    pause_after(faults, counters);
                }
            }
        }
    }

    fn answer<'a, S: SockaddrLike + Copy + Into<SocketAddr> + 'a>(
        &mut self,
        received: impl Iterator<Item = RecvMsg<'a, 'a, S>>,
        context: &mut AnnounceContext<'_>,
        replies: &mut [Outgoing<S>],
    ) -> Done {
        let mut done = Done::default();
        for message in received {
            done.requests += 1;
            done.received_bytes += message.bytes;
            let (Some(source), Some(reply)) = (message.address, replies.get_mut(done.replies))
            else {
                continue;
            };
            // A datagram of no bytes has no slice of its buffer either.
            let request = message.iovs().next().unwrap_or_default();
            let length = self
                .handler
                .answer(request, source.into(), context, &mut reply.bytes);
            if let Some(length) = length {
                reply.length = length;
                reply.to = Some(source);
                reply.from = if self.opened.pins_source {
                    source_of(&message)
                } else {
                    None
                };
                done.replies += 1;
            }
        }
        done
    }
}

/// What became of a batch.
#[derive(Debug, Default)]
struct Done {
    requests: usize,
    received_bytes: usize,
    replies: usize,
}

/// Twice as many while a batch is full, else a little more than came.
fn next_size(size: usize, received: usize) -> usize {
    if received >= size {
        (size * 2).min(BATCH)
    } else {
        size.min(received + 1)
    }
}

fn pause_after(faults: u32, counters: &WorkerCounters) {
    counters.failed(Transport::Udp, Failure::Socket);
    if faults >= FAULTS_IN_A_ROW {
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The local address that a datagram came to; none when nothing can leave from it, because it is a group's. A link-local address
/// means something on its interface only; all others leave the way that the routes say.
fn source_of<S>(message: &RecvMsg<'_, '_, S>) -> Option<Source> {
    message.cmsgs().ok()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            Some(Source::V4(info.ipi_spec_dst.s_addr.to_ne_bytes()))
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => {
            let ip = Ipv6Addr::from(info.ipi6_addr.s6_addr);
            let interface = if ip.is_unicast_link_local() {
                info.ipi6_ifindex
            } else {
                0
            };
            (!ip.is_multicast()).then_some(Source::V6 {
                ip: ip.octets(),
                interface,
            })
        }
        _ => None,
    })
}
