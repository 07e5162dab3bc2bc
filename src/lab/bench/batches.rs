//! One UDP socket that sends from many addresses and moves datagrams in batches.

use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg, setsockopt,
    sockopt,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::target::Sources;

/// Datagrams sent or received with one system call at most.
pub(super) const BATCH: usize = 32;

/// The socket and its buffers.
pub(super) struct Batches {
    socket: UdpSocket,
    target: SocketAddr,
    sources: Sources,
    outgoing: Vec<Vec<u8>>,
    incoming: Vec<[u8; 2_048]>,
    lengths: [usize; BATCH],
    send_headers: MultiHeaders<SockaddrStorage>,
    receive_headers: MultiHeaders<()>,
}

impl Batches {
    /// Opens the socket towards `target`; its datagrams will leave from one of `sources`.
    pub(super) fn new(target: SocketAddr, sources: Sources) -> anyhow::Result<Batches> {
        let any: IpAddr = if target.is_ipv4() {
            Ipv4Addr::UNSPECIFIED.into()
        } else {
            Ipv6Addr::UNSPECIFIED.into()
        };
        let socket = UdpSocket::bind((any, 0))?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        // The system gives what it permits.
        setsockopt(&socket, sockopt::RcvBuf, &(8 << 20))?;
        setsockopt(&socket, sockopt::SndBuf, &(8 << 20))?;
        // Room for control messages that none is written into is sent as it is, and the system refuses it (EINVAL).
        let control = sources
            .are_bound()
            .then(|| nix::cmsg_space!(libc::in_pktinfo));
        Ok(Batches {
            socket,
            target,
            outgoing: vec![Vec::new(); BATCH],
            incoming: vec![[0; 2_048]; BATCH],
            lengths: [0; BATCH],
            sources,
            send_headers: MultiHeaders::preallocate(BATCH, control),
            receive_headers: MultiHeaders::preallocate(BATCH, None),
        })
    }

    /// The place of one datagram of the next batch.
    pub(super) fn outgoing(&mut self, at: usize) -> Option<&mut Vec<u8>> {
        self.outgoing.get_mut(at)
    }

    /// Sends the first `count` outgoing datagrams from a source, or from where the system likes.
    pub(super) fn send(&mut self, source: usize, count: usize) -> anyhow::Result<()> {
        let source = self.sources.address(source).map(|ip| libc::in_pktinfo {
            ipi_ifindex: 0,
            ipi_spec_dst: libc::in_addr {
                s_addr: u32::from_ne_bytes(ip.octets()),
            },
            ipi_addr: libc::in_addr { s_addr: 0 },
        });
        let control: Vec<ControlMessage<'_>> =
            source.iter().map(ControlMessage::Ipv4PacketInfo).collect();
        let addresses = [Some(SockaddrStorage::from(self.target)); BATCH];
        debug_assert!(count <= BATCH, "a batch has {BATCH} places");
        let mut sent = 0;
        while sent < count {
            let rest = self.outgoing.get(sent..count).unwrap_or_default();
            let slices: Vec<[IoSlice<'_>; 1]> = rest
                .iter()
                .map(|datagram| [IoSlice::new(datagram)])
                .collect();
            let fd = self.socket.as_raw_fd();
            let flags = MsgFlags::empty();
            match sendmmsg(
                fd,
                &mut self.send_headers,
                &slices,
                addresses,
                &control,
                flags,
            ) {
                Ok(results) => sent += results.count().max(1),
                Err(Errno::EINTR | Errno::ENOBUFS | Errno::EAGAIN) => {}
                // An ICMP error of an earlier datagram: this one has not been sent, and will count as lost.
                Err(Errno::ECONNREFUSED) => sent += 1,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Waits until something has come, for at most 100 ms.
    pub(super) fn wait(&self, at_most: Duration) -> anyhow::Result<()> {
        let mut fds = [PollFd::new(&self.socket, PollFlags::IN)];
        let timeout = Timespec::try_from(at_most.min(Duration::from_millis(100)))?;
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Receives what is there; with `waits` at least one datagram unless none comes for 100 ms. Returns how many.
    pub(super) fn receive(&mut self, waits: bool) -> anyhow::Result<usize> {
        let flags = if waits {
            MsgFlags::MSG_WAITFORONE
        } else {
            MsgFlags::MSG_DONTWAIT
        };
        let mut slices: Vec<[IoSliceMut<'_>; 1]> = self
            .incoming
            .iter_mut()
            .map(|buffer| [IoSliceMut::new(buffer)])
            .collect();
        let fd = self.socket.as_raw_fd();
        match recvmmsg(
            fd,
            &mut self.receive_headers,
            slices.iter_mut(),
            flags,
            None,
        ) {
            Ok(results) => {
                let mut count = 0;
                for (length, message) in self.lengths.iter_mut().zip(results) {
                    *length = message.bytes;
                    count += 1;
                }
                Ok(count)
            }
            Err(Errno::EINTR | Errno::EAGAIN | Errno::ECONNREFUSED) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// A datagram of the last batch received.
    pub(super) fn received(&self, at: usize) -> &[u8] {
        let length = self.lengths.get(at);
        let buffer = self.incoming.get(at);
        let datagram = buffer
            .zip(length)
            .and_then(|(buffer, length)| buffer.get(..*length));
        debug_assert!(datagram.is_some(), "one of those that `receive` counted");
        datagram.unwrap_or_default()
    }
}
