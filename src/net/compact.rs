//! Addresses of peers in the compact form, read. Trackers write it from packed addresses of their own.

use std::net::SocketAddr;

/// Peers of the compact form (BEP 23, BEP 7, BEP 15) in what another tracker sent: 4 or 16 bytes of address, 2 of port. A rest that is no whole peer is left out.
pub(crate) fn compact_peers(bytes: &[u8], is_v4: bool) -> Vec<SocketAddr> {
    if is_v4 {
        let (peers, _) = bytes.as_chunks::<6>();
        let peers = peers.iter().map(|[a, b, c, d, high, low]| {
            SocketAddr::from(([*a, *b, *c, *d], u16::from_be_bytes([*high, *low])))
        });
        return peers.collect();
    }
    let (peers, _) = bytes.as_chunks::<18>();
    let peers = peers.iter().filter_map(|peer| {
        let (ip, port) = peer.split_first_chunk::<16>()?;
        let port = u16::from_be_bytes(*port.first_chunk()?);
        Some(SocketAddr::from((*ip, port)))
    });
    peers.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compact_peers_are_read_in_both_families() {
        assert_eq!(
            compact_peers(b"\xc0\0\x02\x01\x1a\xe1rest!", true),
            ["192.0.2.1:6881".parse().unwrap()]
        );
        let v6 = compact_peers(&[[0; 15].as_slice(), &[1, 0, 80]].concat(), false);
        assert_eq!(v6, ["[::1]:80".parse().unwrap()]);
    }
}
