//! Datagrams of BEP 15, as a client writes and reads them.

use super::load::{Action, Event, Load, Request};
use super::reply;
use super::reply::{Answer, Fault};

/// The number that a connect begins with.
const CONNECT_MAGIC: u64 = 0x0417_2710_1980;

/// Writes a request over `datagram`.
pub(super) fn write(
    datagram: &mut Vec<u8>,
    id: u64,
    transaction: u32,
    request: Request,
    load: &Load,
) {
    datagram.clear();
    let (id, action) = match request.action {
        Action::Connect => (CONNECT_MAGIC, 0_u32),
        Action::Announce(_) => (id, 1),
        Action::Scrape => (id, 2),
    };
    datagram.extend_from_slice(&id.to_be_bytes());
    datagram.extend_from_slice(&action.to_be_bytes());
    datagram.extend_from_slice(&transaction.to_be_bytes());
    if request.action == Action::Connect {
        return;
    }
    if let Some(torrent) = load.torrent(request.peer) {
        datagram.extend_from_slice(&torrent.info_hash);
    }
    let Action::Announce(event) = request.action else {
        return;
    };
    let (downloaded, left) = load.transferred(request.peer);
    let event: u32 = match event {
        Event::None => 0,
        Event::Completed => 1,
        Event::Started => 2,
        Event::Stopped => 3,
    };
    datagram.extend_from_slice(&load.peer_id(request.peer));
    for bytes in [u64::from(downloaded), u64::from(left), 0] {
        datagram.extend_from_slice(&bytes.to_be_bytes());
    }
    datagram.extend_from_slice(&event.to_be_bytes());
    datagram.extend_from_slice(&0_u32.to_be_bytes());
    datagram.extend_from_slice(&0x5b4c_1a2e_u32.to_be_bytes());
    datagram.extend_from_slice(&load.num_want().to_be_bytes());
    datagram.extend_from_slice(&load.port(request.peer).to_be_bytes());
}

/// Checks the body of a reply, or of an echo without its first 16 bytes; addresses of peers have `peer_size` bytes with their ports.
pub(super) fn check(
    action: u32,
    body: &[u8],
    request: Request,
    peer_size: usize,
    is_echo: bool,
) -> Result<Answer, Fault> {
    let (expected, echoed_length) = match request.action {
        Action::Connect => (0, 0),
        Action::Announce(_) => (1, 82),
        Action::Scrape => (2, 20),
    };
    if action == 3 {
        return Err(Fault::Failure);
    }
    let is_right = action == expected
        && match request.action {
            _ if is_echo => body.len() == echoed_length,
            Action::Connect => body.len() == 8,
            Action::Announce(_) => return reply::udp_announce(body, peer_size),
            Action::Scrape => body.len() == 12,
        };
    if is_right {
        Ok(Answer::default())
    } else {
        Err(Fault::Packet)
    }
}

#[cfg(test)]
mod tests {
    use super::super::load::Shape;
    use super::*;

    #[test]
    fn requests_have_the_lengths_of_bep_15() {
        let load = Load::new(&Shape {
            torrents: 1,
            alike: 0,
            peers: 2,
            zipf: 0.0,
            seeders: 0,
            num_want: 50,
            scrapes: 0,
            connects: 0,
            is_regular: false,
            lanes: 1,
            sources: 1,
            seed: 1,
        });
        let mut datagram = Vec::new();
        for (action, length) in [
            (Action::Connect, 16),
            (Action::Announce(Event::Started), 98),
            (Action::Scrape, 36),
        ] {
            write(
                &mut datagram,
                7,
                0x0102_0304,
                Request { peer: 1, action },
                &load,
            );
            assert_eq!(datagram.len(), length);
            assert_eq!(datagram[12..16], [1, 2, 3, 4]);
        }
    }
}
