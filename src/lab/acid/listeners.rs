//! Peers that only listen: who connects to one has read the answer that tells of it. TCP, and UDP on the same port for uTP (BEP 29).

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};

/// A peer with a socket of each kind on each of its addresses.
#[derive(Debug, Default)]
pub(crate) struct Peer {
    sockets: Vec<(TcpListener, UdpSocket)>,
    addresses: Vec<SocketAddr>,
    /// Kept open: a client whose connection ends at once may try again and again.
    held: Vec<TcpStream>,
    /// Connections and datagrams.
    count: u32,
}

/// Connections that are held at most; further ones are counted and closed.
const MOST_HELD: usize = 16;
/// Ports that are tried until one is free for TCP and UDP.
const TRIES: usize = 20;
/// What is looked at in one go, so that no flood holds anybody up.
const AT_ONCE: usize = 100;

impl Peer {
    /// Listens on a port of the system's choice.
    ///
    /// # Errors
    /// When no port is free, or the address is none of this machine's.
    pub(crate) fn listen(addresses: &[IpAddr]) -> io::Result<Peer> {
        let mut peer = Peer::default();
        for address in addresses {
            let (tcp, udp) = match bind(*address) {
                // A machine without IPv6: the other family is enough.
                Err(_) if *address == Ipv6Addr::LOCALHOST && addresses.len() > 1 => continue,
                bound => bound?,
            };
            peer.addresses.push(tcp.local_addr()?);
            peer.sockets.push((tcp, udp));
        }
        Ok(peer)
    }

    /// Where it listens.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// How many connections have come so far; never waits.
    pub(crate) fn count(&mut self) -> u32 {
        for (tcp, udp) in &self.sockets {
            for _ in 0..AT_ONCE {
                let Ok((stream, _)) = tcp.accept() else {
                    break;
                };
                self.count = self.count.saturating_add(1);
                if self.held.len() < MOST_HELD {
                    self.held.push(stream);
                }
            }
            for _ in 0..AT_ONCE {
                if udp.recv(&mut [0; 64]).is_err() {
                    break;
                }
                self.count = self.count.saturating_add(1);
            }
        }
        self.count
    }
}

fn bind(address: IpAddr) -> io::Result<(TcpListener, UdpSocket)> {
    let mut tries = 0;
    loop {
        tries += 1;
        let tcp = TcpListener::bind((address, 0))?;
        match UdpSocket::bind(tcp.local_addr()?) {
            Ok(udp) => {
                tcp.set_nonblocking(true)?;
                udp.set_nonblocking(true)?;
                return Ok((tcp, udp));
            }
            Err(error) if tries == TRIES => return Err(error),
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_and_datagrams_are_counted() {
        let mut peer = Peer::listen(&["127.0.0.1".parse().unwrap()]).unwrap();
        assert_eq!(peer.count(), 0);
        let address = peer.addresses()[0];
        let _one = TcpStream::connect(address).unwrap();
        while peer.count() < 1 {
            std::thread::yield_now();
        }
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(b"utp", address).unwrap();
        while peer.count() < 2 {
            std::thread::yield_now();
        }
    }
}
