//! Sends the replies of one batch, with one system call for all that leave from the same address. What the system does not take
//! at once (a full queue, a route that is gone) is counted and dropped: the client asks again, and nobody else waits for it.

use std::fmt;
use std::io::IoSlice;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use nix::libc;
use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrLike, sendmmsg};

use super::packet::MAX_REPLY_V4;
use crate::invariant::present;
use crate::metrics::{Failure, Transport, WorkerCounters};

/// Datagrams in one batch at most.
pub(super) const BATCH: usize = 32;

/// Why slices of a batch are there.
const COUNTED: &str = "no more is sent than there is";

/// One reply, in the buffer that it is sent from.
#[derive(Debug)]
pub(super) struct Outgoing<S> {
    pub bytes: [u8; MAX_REPLY_V4],
    pub length: usize,
    pub to: Option<S>,
    pub from: Option<Source>,
}

impl<S> Outgoing<S> {
    pub(super) fn empty() -> Outgoing<S> {
        Outgoing {
            bytes: [0; MAX_REPLY_V4],
            length: 0,
            to: None,
            from: None,
        }
    }

    /// What is sent.
    pub(super) fn as_slice(&self) -> &[u8] {
        present(
            self.bytes.get(..self.length),
            "no more is written than fits",
        )
        .unwrap_or_default()
    }
}

/// The local address that a reply leaves from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// An IPv4 address, in network order.
    V4([u8; 4]),
    /// An IPv6 address, and the interface that it is valid on: 0 leaves the choice to the system.
    V6 { ip: [u8; 16], interface: u32 },
}

/// The headers of the messages, kept from batch to batch so that none allocates.
pub(super) struct Sender<S> {
    /// Without room for a control message: the system takes empty room for a broken one.
    plain: MultiHeaders<S>,
    /// With room for one control message (`IP_PKTINFO`, `IPV6_PKTINFO`).
    pinned: MultiHeaders<S>,
}

impl<S> fmt::Debug for Sender<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl<S: SockaddrLike + Copy> Sender<S> {
    /// With `control` as the room for the control message of the socket's family.
    pub(super) fn new(control: Vec<u8>) -> Sender<S> {
        Sender {
            plain: MultiHeaders::preallocate(BATCH, None),
            pinned: MultiHeaders::preallocate(BATCH, Some(control)),
        }
    }

    /// Sends what it can of at most [`BATCH`] replies and returns how many bytes that were.
    pub(super) fn send(
        &mut self,
        socket: &UdpSocket,
        replies: &[Outgoing<S>],
        counters: &WorkerCounters,
    ) -> usize {
        let mut sent_bytes = 0;
        for (index, first) in replies.iter().enumerate() {
            let mut earlier = replies.iter().take(index);
            if earlier.all(|earlier| earlier.from != first.from) {
                let rest = replies.iter().skip(index);
                let group = rest.filter(|reply| reply.from == first.from);
                sent_bytes += self.send_group(socket, first.from, group, counters);
            }
        }
        sent_bytes
    }

    /// Sends replies that leave from the same address with one system call for as many as it takes.
    fn send_group<'a>(
        &mut self,
        socket: &UdpSocket,
        source: Option<Source>,
        group: impl Iterator<Item = &'a Outgoing<S>>,
        counters: &WorkerCounters,
    ) -> usize
    where
        S: 'a,
    {
        let mut slices = [[IoSlice::new(&[])]; BATCH];
        let mut addresses = [None; BATCH];
        let mut count = 0;
        for ((reply, slice), address) in group.zip(&mut slices).zip(&mut addresses) {
            *slice = [IoSlice::new(reply.as_slice())];
            *address = reply.to;
            count += 1;
        }
        let mut slices = present(slices.get(..count), COUNTED).unwrap_or_default();
        let mut addresses = present(addresses.get(..count), COUNTED).unwrap_or_default();
        let (v4, v6);
        let control = match source {
            None => None,
            Some(Source::V4(ip)) => {
                v4 = in_pktinfo(ip);
                Some(ControlMessage::Ipv4PacketInfo(&v4))
            }
            Some(Source::V6 { ip, interface }) => {
                v6 = in6_pktinfo(ip, interface);
                Some(ControlMessage::Ipv6PacketInfo(&v6))
            }
        };
        let headers = match control {
            None => &mut self.plain,
            Some(_) => &mut self.pinned,
        };
        let fd = socket.as_raw_fd();
        let flags = MsgFlags::MSG_DONTWAIT;
        let mut sent_bytes = 0;
        while !slices.is_empty() {
            // The system stops at the first reply that it cannot send, and names the error only when none came before it.
            let done = match sendmmsg(fd, headers, slices, addresses, control.as_slice(), flags) {
                Ok(sent) => sent.map(|message| sent_bytes += message.bytes).count(),
                Err(_) => {
                    counters.failed(Transport::Udp, Failure::Socket);
                    1
                }
            };
            slices = present(slices.get(done.max(1)..), COUNTED).unwrap_or_default();
            addresses = present(addresses.get(done.max(1)..), COUNTED).unwrap_or_default();
        }
        sent_bytes
    }
}

fn in_pktinfo(ip: [u8; 4]) -> libc::in_pktinfo {
    libc::in_pktinfo {
        ipi_ifindex: 0,
        ipi_spec_dst: libc::in_addr {
            s_addr: u32::from_ne_bytes(ip),
        },
        ipi_addr: libc::in_addr { s_addr: 0 },
    }
}

fn in6_pktinfo(ip: [u8; 16], interface: u32) -> libc::in6_pktinfo {
    libc::in6_pktinfo {
        ipi6_addr: libc::in6_addr { s6_addr: ip },
        ipi6_ifindex: interface,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;
    use nix::sys::socket::{SockaddrIn, SockaddrIn6};
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
    use std::time::Duration;

    /// P25: also where the address that a reply would leave from has gone meanwhile
    #[test]
    fn a_reply_that_cannot_be_sent_is_counted_and_keeps_no_other_back() {
        let v4 = |[a, b, c, d]: [u8; 4], port| {
            SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), port))
        };
        let (here, there, gone) = ([127, 0, 0, 1], [127, 0, 0, 9], [192, 0, 2, 77]);
        check(
            ["127.0.0.1:0", "0.0.0.0:0"],
            nix::cmsg_space!(libc::in_pktinfo),
            |port| v4(here, port),
            [here, there, gone].map(Source::V4),
            ["127.0.0.1", "127.0.0.9"],
        );
        let source = |ip: Ipv6Addr| Source::V6 {
            ip: ip.octets(),
            interface: 0,
        };
        let gone = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x77);
        check(
            ["[::1]:0", "[::]:0"],
            nix::cmsg_space!(libc::in6_pktinfo),
            |port| SockaddrIn6::from(SocketAddrV6::new(Ipv6Addr::LOCALHOST, port, 0, 0)),
            [Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST, gone].map(source),
            ["::1", "::1"],
        );
    }

    /// Sends a full batch in which the sources take turns, and every eighth goes to port 0, which no system sends to.
    fn check<S: SockaddrLike + Copy>(
        [client, wildcard]: [&str; 2],
        control: Vec<u8>,
        to: impl Fn(u16) -> S,
        [here, there, gone]: [Source; 3],
        expected: [&str; 2],
    ) {
        let client = UdpSocket::bind(client).unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let port = client.local_addr().unwrap().port();
        let socket = UdpSocket::bind(wildcard).unwrap();
        let metrics = Metrics::new(1);
        let mut sender = Sender::new(control);
        let sources = [Some(here), Some(there), None, Some(gone)];
        let replies: Vec<Outgoing<S>> = (0..BATCH)
            .map(|index| {
                let mut reply = Outgoing::empty();
                reply.bytes[0] = u8::try_from(index).unwrap();
                reply.length = 1 + index;
                reply.to = Some(to(if index % 8 == 5 { 0 } else { port }));
                reply.from = sources[index % 4];
                reply
            })
            .collect();
        for _ in 0..3 {
            let sent_bytes = sender.send(&socket, &replies, metrics.counters(0));
            let mut received = vec![None; BATCH];
            let sendable = (0..BATCH).filter(|index| index % 4 != 3 && index % 8 != 5);
            for _ in sendable.clone() {
                let mut bytes = [0; 100];
                let (length, from) = client.recv_from(&mut bytes).unwrap();
                assert_eq!(length, 1 + usize::from(bytes[0]));
                received[usize::from(bytes[0])] = Some(from.ip().to_string());
            }
            for index in sendable.clone() {
                let from = received[index].as_deref();
                let expected = expected.get(index % 4);
                assert!(
                    from.is_some() && expected.is_none_or(|e| from == Some(e)),
                    "{index}"
                );
            }
            let expected: usize = sendable.map(|index| 1 + index).sum();
            assert_eq!(sent_bytes, expected);
        }
        let unsendable = u64::try_from(BATCH / 4 + BATCH / 8).unwrap();
        assert_eq!(metrics.totals().failures(Failure::Socket), 3 * unsendable);
    }
}
