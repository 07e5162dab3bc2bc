//! Opens the sockets of the workers, and knows what they need: no second instance on a port, buffers, the address to reply from.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::Settings;

/// How long a worker waits for a datagram before it looks whether it shall stop.
pub(super) const PATIENCE: Duration = Duration::from_millis(250);

/// A socket, ready for its worker.
#[derive(Debug)]
pub(super) struct Opened {
    pub socket: UdpSocket,
    /// Whether each reply must be told to leave from the address that its request came to.
    pub pins_source: bool,
}

/// Opens one socket for each worker on `address`; with port 0 all share the port that the system gives to the first.
pub(super) fn open(
    address: SocketAddr,
    workers: usize,
    settings: &Settings,
) -> io::Result<Vec<Opened>> {
    let named = |error: io::Error| {
        let hint = if error.kind() == io::ErrorKind::AddrNotAvailable {
            "; free_bind = yes lets it listen at an address that comes later"
        } else {
            ""
        };
        io::Error::new(error.kind(), format!("udp {address}: {error}{hint}"))
    };
    let create = |address| create(address, settings.free_bind);
    let first = create(address)?;
    // The first is bound alone and shares its port only afterwards: an instance that runs already is an error, not a partner
    // that would be given half of the clients.
    first.bind(&address.into()).map_err(named)?;
    first.set_reuse_port(true)?;
    let bound = first.local_addr()?;
    let mut opened = vec![prepare(first.into(), settings)?];
    while opened.len() < workers {
        let next = create(address)?;
        next.set_reuse_port(true)?;
        next.bind(&bound).map_err(named)?;
        opened.push(prepare(next.into(), settings)?);
    }
    Ok(opened)
}

/// Takes over a socket that somebody else has bound; all workers receive from it.
pub(super) fn adopt(
    socket: UdpSocket,
    workers: usize,
    settings: &Settings,
) -> io::Result<Vec<Opened>> {
    socket.set_nonblocking(false)?;
    let mut opened = Vec::new();
    for _ in 1..workers {
        opened.push(prepare(socket.try_clone()?, settings)?);
    }
    opened.push(prepare(socket, settings)?);
    Ok(opened)
}

/// Whether `error` says that the host has no IPv6: the family is unknown, or one of the two addresses is missing that every host
/// with IPv6 has.
pub(super) fn is_family_missing(address: SocketAddr, error: &io::Error) -> bool {
    let is_common = address.ip().is_unspecified() || address.ip().is_loopback();
    let is_missing = is_common && error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(nix::libc::EAFNOSUPPORT);
    address.is_ipv6() && is_missing
}

fn create(address: SocketAddr, free_bind: bool) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    match address {
        _ if !free_bind => {}
        SocketAddr::V4(_) => socket.set_freebind_v4(true)?,
        SocketAddr::V6(_) => socket.set_freebind_v6(true)?,
    }
    Ok(socket)
}

fn prepare(socket: UdpSocket, settings: &Settings) -> io::Result<Opened> {
    // A worker that nobody writes to looks now and then whether it shall stop.
    socket.set_read_timeout(Some(PATIENCE))?;
    if settings.receive_buffer > 0
        && setsockopt(&socket, sockopt::RcvBufForce, &settings.receive_buffer).is_err()
    {
        setsockopt(&socket, sockopt::RcvBuf, &settings.receive_buffer)?;
    }
    if settings.send_buffer > 0
        && setsockopt(&socket, sockopt::SndBufForce, &settings.send_buffer).is_err()
    {
        setsockopt(&socket, sockopt::SndBuf, &settings.send_buffer)?;
    }
    let address = socket.local_addr()?;
    // Addresses come and go while the process runs, so how many there are now says nothing.
    let pins_source = settings.pin_source && address.ip().is_unspecified();
    if pins_source && address.is_ipv4() {
        setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
    } else if pins_source {
        setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        // An address that a route makes the host's own (`ip route add local`, as of anycast) is received at, but without this
        // nothing may be sent from it, in IPv6 only. Systems that do not know the option are served as before.
        drop(SockRef::from(&socket).set_freebind_v6(true));
    }
    Ok(Opened {
        socket,
        pins_source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P25: what is received at an address is answered from it, also when only a route makes it the host's.
    #[test]
    fn sockets_of_all_addresses_may_send_from_each() {
        for (address, pin_source) in [("[::]:0", true), ("[::]:0", false), ("[::1]:0", true)] {
            let settings = Settings {
                pin_source,
                ..Settings::default()
            };
            let address: SocketAddr = address.parse().unwrap();
            let opened = match open(address, 2, &settings) {
                Err(error) if is_family_missing(address, &error) => return,
                opened => opened.unwrap(),
            };
            let inherited = adopt(UdpSocket::bind(address).unwrap(), 2, &settings).unwrap();
            for opened in opened.iter().chain(&inherited) {
                let may_send = SockRef::from(&opened.socket).freebind_v6().unwrap();
                assert_eq!(may_send, pin_source && address.ip().is_unspecified());
            }
        }
    }
}
