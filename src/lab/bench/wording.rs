//! HTTP requests in the words of qBittorrent, put together from prepared pieces.

use super::load::{Action, Event, Load, Request};
use super::target::Target;

/// How the client deals with connections and replies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// Whether every request has a connection of its own.
    pub is_closing: bool,
    /// Whether it says that replies may be compressed, as most clients do.
    pub takes_gzip: bool,
}

/// Puts requests together from prepared pieces, as qBittorrent words them.
pub(super) struct Writer {
    announce: Vec<u8>,
    scrape: Vec<u8>,
    tail: Vec<u8>,
    request: Vec<u8>,
}

impl Writer {
    pub(super) fn new(target: &Target, manner: Manner) -> Writer {
        let path = &target.path;
        let cut = path.rfind("announce").unwrap_or(path.len());
        let (before, after) = path.split_at(cut);
        // Nothing stands behind where no `announce` is.
        let after = after.strip_prefix("announce").unwrap_or_default();
        let connection = if manner.is_closing {
            "close"
        } else {
            "keep-alive"
        };
        let encoding = if manner.takes_gzip {
            "Accept-Encoding: gzip\r\n"
        } else {
            ""
        };
        Writer {
            announce: format!("GET {path}?info_hash=").into_bytes(),
            scrape: format!("GET {before}scrape{after}?info_hash=").into_bytes(),
            tail: format!(
                " HTTP/1.1\r\nHost: {}\r\nUser-Agent: qBittorrent/4.5.2\r\n{encoding}\
                 Connection: {connection}\r\n\r\n",
                target.host
            )
            .into_bytes(),
            request: Vec::with_capacity(1_024),
        }
    }

    pub(super) fn write(&mut self, request: Request, load: &Load) -> &[u8] {
        self.request.clear();
        let torrent = load.torrent(request.peer);
        debug_assert!(torrent.is_some(), "peers are in torrents of the load");
        let hash = torrent.map_or(&[][..], |torrent| &torrent.escaped);
        let Action::Announce(event) = request.action else {
            for piece in [&self.scrape, hash, &self.tail] {
                self.request.extend_from_slice(piece);
            }
            return &self.request;
        };
        let (downloaded, left) = load.transferred(request.peer);
        let mut rooms = [[0; 10]; 4];
        let [port_room, downloaded_room, left_room, wanted_room] = &mut rooms;
        let event: &[u8] = match event {
            Event::None => b"",
            Event::Started => b"&event=started",
            Event::Completed => b"&event=completed",
            Event::Stopped => b"&event=stopped",
        };
        for piece in [
            self.announce.as_slice(),
            hash,
            b"&peer_id=",
            &load.peer_id(request.peer),
            b"&port=",
            decimal(load.port(request.peer).into(), port_room),
            b"&uploaded=0&downloaded=",
            decimal(downloaded, downloaded_room),
            b"&left=",
            decimal(left, left_room),
            b"&corrupt=0&key=5B4C1A2E",
            event,
            b"&numwant=",
            decimal(load.num_want(), wanted_room),
            b"&compact=1&no_peer_id=1&supportcrypto=1&redundant=0",
            &self.tail,
        ] {
            self.request.extend_from_slice(piece);
        }
        &self.request
    }
}

fn decimal(number: u32, room: &mut [u8; 10]) -> &[u8] {
    let mut rest = number;
    let mut at = room.len();
    for digit in room.iter_mut().rev() {
        let value = u8::try_from(rest % 10);
        debug_assert!(value.is_ok(), "below ten");
        *digit = b'0' + value.unwrap_or(0);
        rest /= 10;
        at -= 1;
        if rest == 0 {
            break;
        }
    }
    debug_assert!(at < room.len(), "one digit at least");
    room.get(at..).unwrap_or_default()
}
