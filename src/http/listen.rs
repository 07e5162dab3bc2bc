//! Listening sockets: one per worker and address, so that the kernel spreads connections and no worker waits for another.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

use nix::libc;
use nix::sys::socket::{SetSockOpt, sockopt::SetStruct};
use socket2::{Domain, Protocol, Socket, Type};

/// Connections that wait to be accepted at most; the system cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 4_096;

/// Seconds that the kernel keeps a silent connection to itself.
const DEFER_SECONDS: libc::c_int = 3;

/// Wakes a listener only when data has arrived; the value is the seconds after which it is woken anyway. No safe interface
/// of the packages in use names the option; nix has the macro for such.
#[derive(Clone, Copy, Debug)]
struct DeferAccept;

nix::setsockopt_impl!(
    DeferAccept,
    libc::IPPROTO_TCP,
    libc::TCP_DEFER_ACCEPT,
    libc::c_int,
    SetStruct<'_, libc::c_int>
);

/// The sockets of one address, one per worker.
#[derive(Debug)]
pub(super) struct Listeners {
    /// Where they listen.
    pub address: SocketAddr,
    /// As many as there are workers.
    pub sockets: Vec<OwnedFd>,
    /// Whether all of them are the same socket, so that a worker that wakes may find nothing.
    pub is_shared: bool,
}

/// Opens `count` sockets on one address.
///
/// The first is bound alone, without `SO_REUSEPORT`, so that a second instance of the program is refused although each lets its
/// own workers share the port; it joins the group before it listens.
///
/// With `free_bind` the host need not have the address yet.
///
/// # Errors
/// What the system says, an address in use above all.
pub(super) fn open(address: SocketAddr, count: usize, free_bind: bool) -> io::Result<Listeners> {
    let create = |address| create(address, free_bind);
    let first = create(address)?;
    first.bind(&address.into())?;
    first.set_reuse_port(true)?;
    let address = first.local_addr()?.as_socket().unwrap_or(address);
    let mut sockets = vec![first];
    while sockets.len() < count {
        let next = create(address)?;
        next.set_reuse_port(true)?;
        next.bind(&address.into())?;
        sockets.push(next);
    }
    for socket in &sockets {
        prepare(socket);
        socket.listen(BACKLOG)?;
    }
    Ok(Listeners {
        address,
        sockets: sockets.into_iter().map(OwnedFd::from).collect(),
        is_shared: false,
    })
}

/// Takes over a listening socket that was handed to the process; the workers share it.
///
/// # Errors
/// When it cannot be copied, or is no listening socket.
pub(super) fn adopt(listener: TcpListener, count: usize) -> io::Result<Listeners> {
    let socket = Socket::from(listener);
    let address = socket
        .local_addr()?
        .as_socket()
        .ok_or_else(|| io::Error::other("inherited socket is not of IP"))?;
    socket.set_nonblocking(true)?;
    prepare(&socket);
    let mut sockets = Vec::with_capacity(count);
    for _ in 1..count {
        sockets.push(OwnedFd::from(socket.try_clone()?));
    }
    sockets.push(OwnedFd::from(socket));
    Ok(Listeners {
        address,
        sockets,
        is_shared: true,
    })
}

/// Whether `error` says that the host has no IPv6: the family is unknown, or one of the two addresses is missing that every host
/// with IPv6 has.
pub(super) fn is_family_missing(address: SocketAddr, error: &io::Error) -> bool {
    let is_common = address.ip().is_unspecified() || address.ip().is_loopback();
    let code = error.raw_os_error();
    let is_missing = is_common && code == Some(libc::EADDRNOTAVAIL)
        || [Some(libc::EAFNOSUPPORT), Some(libc::EPROTONOSUPPORT)].contains(&code);
    address.is_ipv6() && is_missing
}

/// Names the address in an error, and the option that would help.
pub(super) fn explain(address: SocketAddr, error: &io::Error) -> io::Error {
    let hint = if error.kind() == io::ErrorKind::AddrNotAvailable {
        "; free_bind = yes lets it listen at an address that comes later"
    } else {
        ""
    };
    io::Error::new(error.kind(), format!("{address}: {error}{hint}"))
}

fn create(address: SocketAddr, free_bind: bool) -> io::Result<Socket> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
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

/// Options that accepted sockets inherit, so that none is set per connection. Both only save time: a system without them
/// serves as well.
fn prepare(socket: &Socket) {
    if let Err(error) = socket.set_tcp_nodelay(true) {
        log::debug!("TCP_NODELAY on a listener: {error}");
    }
    if let Err(error) = DeferAccept.set(socket, &DEFER_SECONDS) {
        log::debug!("TCP_DEFER_ACCEPT on a listener: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_instance_is_refused_the_port() {
        let first = open(SocketAddr::from(([127, 0, 0, 1], 0)), 3, false).unwrap();
        assert_eq!(first.sockets.len(), 3);
        let error = open(first.address, 2, false).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drop(first.sockets);
        open(first.address, 2, false).unwrap();
    }

    /// P13
    #[test]
    fn v4_and_v6_share_a_port_number() {
        let v6 = open("[::]:0".parse().unwrap(), 1, false).unwrap();
        open(
            SocketAddr::from(([0, 0, 0, 0], v6.address.port())),
            1,
            false,
        )
        .unwrap();
    }

    /// C3: the standby of an address that moves between hosts
    #[test]
    fn an_address_that_comes_later_is_listened_at_with_free_bind_only() {
        for address in ["192.0.2.77:0", "[2001:db8::77]:0"] {
            let address = address.parse().unwrap();
            let error = open(address, 2, false).unwrap_err();
            assert!(!is_family_missing(address, &error));
            assert!(explain(address, &error).to_string().contains("free_bind"));
            assert_eq!(open(address, 2, true).unwrap().sockets.len(), 2);
        }
    }
}
