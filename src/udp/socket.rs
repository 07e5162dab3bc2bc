//! Opens the sockets of the workers, and knows what they need: no second instance on a port, buffers, the address to reply from.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use nix::sys::socket::{SockaddrLike, SockaddrStorage, setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

use super::Settings;
use super::worker::PATIENCE;

/// A socket, ready for its worker.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) socket: UdpSocket,
    /// Whether each reply must be told to leave from the address that its request came to.
    pub(super) pins_source: bool,
}

/// Opens one socket for each worker on `address`; with port 0 all share the port that the system gives to the first.
pub(super) fn open(
    address: SocketAddr,
    workers: usize,
    settings: &Settings,
) -> io::Result<Vec<Opened>> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("udp {address}: {error}"));
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

/// Whether `error` says that the host has no IPv6, on the address that stands for all of it.
pub(super) fn is_family_missing(address: SocketAddr, error: &io::Error) -> bool {
    let is_missing = error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(nix::libc::EAFNOSUPPORT);
    address.is_ipv6() && address.ip().is_unspecified() && is_missing
}

fn create(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
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
    let pins_source = address.ip().is_unspecified()
        && settings
            .pin_source
            .unwrap_or_else(|| has_several_addresses(address.is_ipv4()));
    if pins_source && address.is_ipv4() {
        setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
    } else if pins_source {
        setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    }
    Ok(Opened {
        socket,
        pins_source,
    })
}

/// Whether clients can reach this host at more than one address of a family. One that cannot be found out counts as yes.
fn has_several_addresses(is_v4: bool) -> bool {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else {
        return true;
    };
    let addresses = interfaces.filter_map(|interface| ip_of(&interface.address?));
    let reachable: BTreeSet<IpAddr> = addresses
        .filter(|ip| ip.is_ipv4() == is_v4 && !ip.is_loopback() && !is_link_local(*ip))
        .collect();
    reachable.len() > 1
}

fn ip_of(address: &SockaddrStorage) -> Option<IpAddr> {
    address.family()?;
    let v4 = address.as_sockaddr_in().map(|v4| IpAddr::from(v4.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::from(v6.ip())))
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}
