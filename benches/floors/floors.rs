//! The floors: servers that do nothing but what a tracker cannot do without, to measure trackers against.
//!
//! `floors http ADDRESS` answers every request head with a fixed reply of 350 bytes and keeps the connection, `floors close
//! ADDRESS` ends it after the reply; both are one bare epoll loop. `floors udp ADDRESS` echoes datagrams one by one, `floors
//! batch ADDRESS` up to 32 at a time.

#![expect(
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a measuring instrument, not a server: it may end on any error"
)]

use std::io::{IoSlice, IoSliceMut};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use anyhow::{Context, bail};
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg};
use rustix::event::epoll;
use rustix::net::{RecvFlags, SendFlags, SocketFlags};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, address] = arguments.as_slice() else {
        eprintln!("usage: floors http|close|udp|batch ADDRESS");
        bail!("two arguments are needed");
    };
    match mode.as_str() {
        "http" => serve(&TcpListener::bind(address)?, false),
        "close" => serve(&TcpListener::bind(address)?, true),
        "udp" => echo(&UdpSocket::bind(address)?),
        "batch" => echo_batches(&UdpSocket::bind(address)?),
        _ => bail!("{mode}: unknown"),
    }
}

/// A reply of 350 bytes, as a tracker's with some peers.
fn fixed_reply(closes: bool) -> Vec<u8> {
    let start = b"d8:completei9e10:incompletei3e8:intervali1800e5:peers";
    let connection = if closes { "Connection: close\r\n" } else { "" };
    let head = |length: usize| {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n{connection}Content-Length: {length}\r\n\r\n"
        )
    };
    // A body of three digits, peers of three digits; the odd bytes are made up by a last key.
    let room = 350 - head(100).len() - start.len() - b"000:e".len();
    let peers = room / 6 * 6 - 6;
    let filler = room - peers - b"1:z0:".len();
    let body = [
        start.as_slice(),
        format!("{peers:03}:").as_bytes(),
        &vec![b'x'; peers],
        b"1:z",
        format!("{filler}:").as_bytes(),
        &vec![b'z'; filler],
        b"e",
    ]
    .concat();
    [head(body.len()).as_bytes(), &body].concat()
}

fn serve(listener: &TcpListener, closes: bool) -> anyhow::Result<()> {
    const LISTENER: u64 = u64::MAX;
    listener.set_nonblocking(true)?;
    let reply = fixed_reply(closes);
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(
        &epoll,
        listener,
        epoll::EventData::new_u64(LISTENER),
        epoll::EventFlags::IN,
    )?;
    let mut connections: Vec<Option<OwnedFd>> = Vec::new();
    let mut events = Vec::with_capacity(256);
    let mut buffer = [0; 8_192];
    loop {
        events.clear();
        epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            if event.data.u64() == LISTENER {
                while let Ok(connection) =
                    rustix::net::accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)
                {
                    let number = usize::try_from(connection.as_raw_fd())?;
                    let data = epoll::EventData::new_u64(number as u64);
                    epoll::add(&epoll, &connection, data, epoll::EventFlags::IN)?;
                    if connections.len() <= number {
                        connections.resize_with(number + 1, || None);
                    }
                    connections[number] = Some(connection);
                }
                continue;
            }
            let number = usize::try_from(event.data.u64())?;
            let connection = connections[number]
                .as_ref()
                .context("an event without a connection")?;
            let (_, length) =
                rustix::net::recv(connection.as_fd(), &mut buffer, RecvFlags::empty())
                    .unwrap_or((0, 0));
            if length > 0 && buffer[..length].ends_with(b"\r\n\r\n") {
                rustix::net::send(connection.as_fd(), &reply, SendFlags::NOSIGNAL)?;
            }
            if length == 0 || closes {
                connections[number] = None;
            }
        }
    }
}

fn echo(socket: &UdpSocket) -> anyhow::Result<()> {
    let mut buffer = [0; 2_048];
    loop {
        let (length, from) = socket.recv_from(&mut buffer)?;
        socket.send_to(&buffer[..length], from)?;
    }
}

fn echo_batches(socket: &UdpSocket) -> anyhow::Result<()> {
    const BATCH: usize = 32;
    let mut buffers = vec![[0_u8; 2_048]; BATCH];
    let mut receive = MultiHeaders::<SockaddrStorage>::preallocate(BATCH, None);
    let mut send = MultiHeaders::<SockaddrStorage>::preallocate(BATCH, None);
    loop {
        let mut lengths = [0; BATCH];
        let mut addresses = [None; BATCH];
        let mut count = 0;
        {
            let mut slices: [[IoSliceMut<'_>; 1]; BATCH] = {
                let mut rest = buffers.iter_mut();
                std::array::from_fn(|_| {
                    [IoSliceMut::new(
                        rest.next().map_or(&mut [], |b| b.as_mut_slice()),
                    )]
                })
            };
            let flags = MsgFlags::MSG_WAITFORONE;
            for message in recvmmsg(
                socket.as_raw_fd(),
                &mut receive,
                slices.iter_mut(),
                flags,
                None,
            )? {
                lengths[count] = message.bytes;
                addresses[count] = message.address;
                count += 1;
            }
        }
        let slices: [[IoSlice<'_>; 1]; BATCH] =
            std::array::from_fn(|at| [IoSlice::new(&buffers[at][..lengths[at]])]);
        sendmmsg(
            socket.as_raw_fd(),
            &mut send,
            &slices[..count],
            addresses,
            [],
            MsgFlags::empty(),
        )?
        .for_each(drop);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fixed_reply_has_350_bytes_either_way() {
        assert_eq!(fixed_reply(false).len(), 350);
        assert_eq!(fixed_reply(true).len(), 350);
    }
}
