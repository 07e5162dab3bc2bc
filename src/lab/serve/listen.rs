//! The listening sockets of the laboratory.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// Opens a TCP socket; a v6 one takes v6 only.
pub(super) fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = open(address, Type::STREAM, Protocol::TCP)?;
    // Ports that were chosen are free again as soon as the laboratory before has ended.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    // One that gives up before it is accepted must not hold up the others.
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Opens a UDP socket; a v6 one takes v6 only.
pub(super) fn udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = open(address, Type::DGRAM, Protocol::UDP)?;
    socket.bind(&address.into())?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn open(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

/// Whether this machine has no loopback of v6, which is no fault of anybody's.
pub(super) fn is_family_missing(address: SocketAddr, error: &io::Error) -> bool {
    let missing = [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL];
    let is_default =
        address.is_ipv6() && (address.ip().is_loopback() || address.ip().is_unspecified());
    is_default && Errno::from_io_error(error).is_some_and(|error| missing.contains(&error))
}

/// The error with the address that it is about.
pub(super) fn explain(address: SocketAddr, error: &io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("{address} cannot be listened on: {error}"),
    )
}
