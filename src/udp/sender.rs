//! Sends the replies of one batch. What the system does not take at once (a full queue, a route that is gone) is counted and
//! dropped: the client asks again, and nobody else waits for it.

use std::io::IoSlice;
use std::net::UdpSocket;

use nix::libc;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, sendmmsg, sendto};
use socket2::{MsgHdr, SockAddr, SockRef};

use super::worker::{BATCH, Reply};
use crate::metrics::{Failure, Sheet, Transport};

/// The headers of a small batch are not worth building in the room for a large one.
const FEW: usize = 4;

/// The local address that a reply leaves from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// An IPv4 address, in network order.
    V4([u8; 4]),
    /// An IPv6 address, and the interface that it is valid on: 0 leaves the choice to the system.
    V6 { ip: [u8; 16], interface: u32 },
}

/// Sends what it can of at most [`BATCH`] replies and returns how many bytes that were.
pub(super) fn send(socket: &UdpSocket, replies: &[Reply], sheet: &Sheet) -> usize {
    match replies {
        [] => 0,
        [reply] => send_one(socket, reply, sheet),
        [first, ..] if first.from.is_some() => replies
            .iter()
            .map(|reply| send_one(socket, reply, sheet))
            .sum(),
        [first, ..] if replies.len() <= FEW => send_many::<FEW>(socket, first, replies, sheet),
        [first, ..] => send_many::<BATCH>(socket, first, replies, sheet),
    }
}

fn send_one(socket: &UdpSocket, reply: &Reply, sheet: &Sheet) -> usize {
    let sent = match reply.from {
        None => sendto(socket, reply.as_slice(), SendFlags::DONTWAIT, &reply.to).ok(),
        Some(source) => send_from(socket, reply, source),
    };
    sent.unwrap_or_else(|| {
        sheet.failed(Transport::Udp, Failure::Socket);
        0
    })
}

/// Sends with one system call for as many as it takes.
fn send_many<const ROOM: usize>(
    socket: &UdpSocket,
    first: &Reply,
    replies: &[Reply],
    sheet: &Sheet,
) -> usize {
    // The headers that are not needed point at the first reply, and are not handed to the system.
    let mut parts: [_; ROOM] = std::array::from_fn(|index| {
        let reply = replies.get(index).unwrap_or(first);
        let slice = [IoSlice::new(reply.as_slice())];
        let to = SocketAddrAny::from(reply.to);
        (to, slice, SendAncillaryBuffer::default())
    });
    let mut headers = parts
        .each_mut()
        .map(|(to, slice, control)| MMsgHdr::new_with_addr(to, slice, control));
    let mut waiting = headers.get_mut(..replies.len()).unwrap_or_default();
    let mut sent_bytes = 0;
    while !waiting.is_empty() {
        // The system stops at the first reply that it cannot send, and names the error only when none came before it.
        let done = match sendmmsg(socket, waiting, SendFlags::DONTWAIT) {
            Ok(count) => count,
            Err(_) => {
                sheet.failed(Transport::Udp, Failure::Socket);
                1
            }
        };
        let (gone, rest) = waiting
            .split_at_mut_checked(done.max(1))
            .unwrap_or_default();
        sent_bytes += gone.iter().map(MMsgHdr::bytes_sent).sum::<usize>();
        waiting = rest;
    }
    sent_bytes
}

/// Sends with the control message that names the local address (`IP_PKTINFO`, `IPV6_PKTINFO`).
fn send_from(socket: &UdpSocket, reply: &Reply, source: Source) -> Option<usize> {
    let to = SockAddr::from(reply.to);
    let slices = [IoSlice::new(reply.as_slice())];
    let mut control = [0; CONTROL_ROOM];
    let message = MsgHdr::new()
        .with_addr(&to)
        .with_buffers(&slices)
        .with_control(write_control(&mut control, source));
    SockRef::from(socket)
        .sendmsg(&message, libc::MSG_DONTWAIT)
        .ok()
}

/// Room for the longer of the two control messages.
const CONTROL_ROOM: usize = size_of::<libc::cmsghdr>() + size_of::<libc::in6_pktinfo>();

/// Writes a control message: its length, level and type (`struct cmsghdr`), then the address in a `struct in_pktinfo` or
/// `struct in6_pktinfo` beside the interface.
fn write_control(control: &mut [u8; CONTROL_ROOM], source: Source) -> &[u8] {
    let head_length = size_of::<libc::cmsghdr>();
    let (length, level, kind) = match source {
        Source::V4(_) => {
            let length = head_length + size_of::<libc::in_pktinfo>();
            (length, libc::IPPROTO_IP, libc::IP_PKTINFO)
        }
        Source::V6 { .. } => {
            let length = head_length + size_of::<libc::in6_pktinfo>();
            (length, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO)
        }
    };
    let head = length
        .to_ne_bytes()
        .into_iter()
        .chain(level.to_ne_bytes())
        .chain(kind.to_ne_bytes());
    let (interface, v4, v6) = match source {
        Source::V4(ip) => (0, Some(ip), None),
        Source::V6 { ip, interface } => (interface, None, Some(ip)),
    };
    let interface = interface.to_ne_bytes();
    let before = v4.map(|ip| [interface, ip]).into_iter().flatten().flatten();
    let after = v6.map(|ip| ip.into_iter().chain(interface));
    let bytes = head.chain(before).chain(after.into_iter().flatten());
    for (to, from) in control.iter_mut().zip(bytes) {
        *to = from;
    }
    control.get(..length).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_messages_have_the_layout_of_the_system() {
        let mut control = [0; CONTROL_ROOM];
        let v4 = write_control(&mut control, Source::V4([192, 0, 2, 1]));
        assert_eq!(v4.len(), 28);
        assert_eq!(v4[..8], 28_u64.to_ne_bytes());
        assert_eq!(v4[16..], [0, 0, 0, 0, 192, 0, 2, 1, 0, 0, 0, 0]);
        let mut control = [0; CONTROL_ROOM];
        let source = Source::V6 {
            ip: [7; 16],
            interface: 9,
        };
        let v6 = write_control(&mut control, source);
        assert_eq!(v6.len(), 36);
        assert_eq!(v6[16..32], [7; 16]);
        assert_eq!(v6[32..], 9_u32.to_ne_bytes());
    }
}
