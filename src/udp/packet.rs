//! The datagrams of BEP 15: reading requests, writing replies. All numbers are big-endian; offsets are fixed, so every
//! read is a length check and nothing more.
//!
//! What follows the 98 bytes of an announce (BEP 41 options, or padding: aria2 sends two zero bytes) is walked only where keys of
//! announce addresses mean something, which stand there.

use std::fmt::{self, Display, Write};
use std::net::IpAddr;

use crate::invariant::present;
use crate::tracker::{
    Announce, AnnounceReply, ClientKey, Event, InfoHash, ListOptions, PeerAddresses, PeerId,
    PeerList, ScrapeReply,
};
use crate::watch::{Announced, Answer, Peers};

/// The number that a connect request carries instead of a connection id.
pub const PROTOCOL_ID: u64 = 0x0417_2710_1980;
/// Hashes in one scrape at most (BEP 15): what fits into an Ethernet frame.
pub const MAX_SCRAPED: usize = 74;
/// The longest reply to a v4 client: an Ethernet frame without the headers of IPv4 and UDP.
pub const MAX_REPLY_V4: usize = 1_472;
/// The longest reply to a v6 client: the least MTU of IPv6 without its headers.
pub const MAX_REPLY_V6: usize = 1_232;
/// The length of an announce without options.
pub const ANNOUNCE_LENGTH: usize = 98;
/// The length of a scrape of one torrent, the shortest request that wants an id.
pub const SHORTEST_SCRAPE: usize = HEAD_LENGTH + 20;

const HEAD_LENGTH: usize = 16;
const REPLY_HEAD: usize = 20;
/// The action of a refusal, the highest that a reply has.
const ERROR: u32 = 3;

/// What a datagram asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A connection id.
    Connect,
    /// An announce.
    Announce,
    /// A scrape.
    Scrape,
    /// Anything else.
    Unknown,
}

/// The first 16 bytes of every request.
///
/// | offset | size | name |
/// |---|---|---|
/// | 0 | 8 | connection id, or [`PROTOCOL_ID`] |
/// | 8 | 4 | action |
/// | 12 | 4 | transaction id |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The connection id that the client shows.
    pub connection_id: u64,
    /// What it asks for.
    pub action: Action,
    /// The client's number for the request, which stands in the reply.
    pub transaction: [u8; 4],
}

impl Head {
    /// Takes the head off a datagram and gives the rest beside it; `None` when there is no whole head.
    pub fn split(datagram: &[u8]) -> Option<(Head, &[u8])> {
        let (id, rest) = datagram.split_first_chunk()?;
        let (action, rest) = rest.split_first_chunk()?;
        let (transaction, rest) = rest.split_first_chunk()?;
        let action = match u32::from_be_bytes(*action) {
            0 => Action::Connect,
            1 => Action::Announce,
            2 => Action::Scrape,
            _ => Action::Unknown,
        };
        let head = Head {
            connection_id: u64::from_be_bytes(*id),
            action,
            transaction: *transaction,
        };
        Some((head, rest))
    }

    /// Whether this is a connect request.
    pub fn is_connect(&self) -> bool {
        self.action == Action::Connect && self.connection_id == PROTOCOL_ID
    }

    /// Whether the datagram is a reply of a tracker, this one or any other, and so never to be answered. Replies begin with their
    /// action, a 32-bit number from 0 to 3, where requests have the first half of an id: [`PROTOCOL_ID`] begins with 0x417, and
    /// the ids that are issued here with a one.
    pub fn is_reply(&self) -> bool {
        self.connection_id >> 32 <= u64::from(ERROR)
    }

    /// Whether `body` makes this a whole request that wants an id: an announce, or a scrape of at least one torrent.
    pub fn is_whole(&self, body: &[u8]) -> bool {
        match self.action {
            Action::Announce => body.len() >= ANNOUNCE_LENGTH - HEAD_LENGTH,
            Action::Scrape => scraped(body).is_some_and(|hashes| !hashes.is_empty()),
            Action::Connect | Action::Unknown => false,
        }
    }
}

/// What follows the head of an announce: what it says, apart from where its client is.
///
/// | offset in the datagram | size | name |
/// |---|---|---|
/// | 16 | 20 | info hash |
/// | 36 | 20 | peer id |
/// | 56 | 8 | downloaded |
/// | 64 | 8 | left |
/// | 72 | 8 | uploaded |
/// | 80 | 4 | event |
/// | 84 | 4 | v4 address |
/// | 88 | 4 | key; 0 for none. aria2 sends another one with each event |
/// | 92 | 4 | peers wanted, signed |
/// | 96 | 2 | port |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnnounceRequest<'a>(&'a [u8; ANNOUNCE_BODY]);

/// Bytes of an announce behind its head.
const ANNOUNCE_BODY: usize = 82;

impl<'a> AnnounceRequest<'a> {
    /// Takes what follows the head of an announce; `None` when it is too short.
    pub fn read(body: &'a [u8]) -> Option<AnnounceRequest<'a>> {
        body.first_chunk().map(AnnounceRequest)
    }

    /// The bytes of the field at an offset in the datagram. Offsets are constant, so nothing is left of the check.
    #[inline(always)]
    fn field<const OFFSET: usize, const SIZE: usize>(&self) -> [u8; SIZE] {
        const { assert!(OFFSET >= 16 && OFFSET - 16 + SIZE <= ANNOUNCE_BODY) };
        let field = self.0.get(OFFSET - 16..).and_then(<[u8]>::first_chunk);
        present(field, "asserted above")
            .copied()
            .unwrap_or([0; SIZE])
    }

    /// Bytes that the client says it has uploaded in this session.
    pub fn uploaded(&self) -> u64 {
        u64::from_be_bytes(self.field::<72, 8>())
    }

    /// The torrent.
    pub(crate) fn info_hash(&self) -> InfoHash {
        InfoHash(self.field::<16, 20>())
    }

    /// The client's id.
    pub(crate) fn peer_id(&self) -> PeerId {
        PeerId(self.field::<36, 20>())
    }

    /// What the announce of a client at `source` says, for whoever watches.
    pub(crate) fn said(&self, source: IpAddr) -> Announced {
        Announced {
            info_hash: Some(InfoHash(self.field::<16, 20>())),
            peer_id: Some(PeerId(self.field::<36, 20>())),
            port: Some(u16::from_be_bytes(self.field::<96, 2>())),
            uploaded: Some(self.uploaded()),
            downloaded: Some(u64::from_be_bytes(self.field::<56, 8>())),
            left: Some(u64::from_be_bytes(self.field::<64, 8>())),
            event: Some(event_of(u32::from_be_bytes(self.field::<80, 4>())).into()),
            numwant: Some(i32::from_be_bytes(self.field::<92, 4>()).into()),
            compact: None,
            no_peer_id: None,
            reported: self.reported(source).into_iter().collect(),
            key: self.field::<88, 4>() != [0; 4],
        }
    }

    /// The address that a client at `source` reports, if it does: zero means the source. A v6 client cannot announce itself as a v4 one,
    /// since the peers of a reply are of the source's family.
    pub fn reported(&self, source: IpAddr) -> Option<IpAddr> {
        let address = self.field::<84, 4>();
        (source.is_ipv4() && address != [0; 4]).then(|| IpAddr::from(address))
    }

    /// The announce of a client at these addresses, which is answered at `source`.
    #[inline]
    pub fn announce(&self, addresses: &PeerAddresses, source: IpAddr) -> Announce {
        Announce {
            info_hash: InfoHash(self.field::<16, 20>()),
            peer_id: PeerId(self.field::<36, 20>()),
            key: ClientKey::from_number(u32::from_be_bytes(self.field::<88, 4>())),
            ip: addresses.ip,
            inner_ip: addresses.inner_ip,
            is_reported: addresses.is_reported,
            port: addresses.port(u16::from_be_bytes(self.field::<96, 2>())),
            is_seeder: self.field::<64, 8>() == [0; 8],
            downloaded: u64::from_be_bytes(self.field::<56, 8>()),
            event: event_of(u32::from_be_bytes(self.field::<80, 4>())),
            num_want: u32::try_from(i32::from_be_bytes(self.field::<92, 4>())).ok(),
            options: ListOptions {
                with_ids: false,
                own_family_only: true,
                max_peers: Some(max_peers(source)),
            },
        }
    }
}

/// Bytes of a path at most that are put together: a name and a key of the longest kind, with every byte of it percent-encoded. What
/// is longer is cut.
pub const MAX_PATH: usize = 255;

/// Options that do not end where the datagram does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadOptions;

/// The path and query of an announce address, or their beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UrlPath<'a> {
    /// As the client wrote them; empty when there are none.
    pub text: &'a [u8],
    /// Whether there is more of them than there was room for.
    pub is_cut: bool,
}

impl UrlPath<'_> {
    /// Whether the path itself is there to its end, whatever is missing of the query.
    pub fn has_whole_path(&self) -> bool {
        !self.is_cut || self.text.contains(&b'?')
    }
}

/// The path and query of the address that a client announces to (BEP 41, `URLData`), put together into `out`, as far as there is room. `body` is what follows the head of an announce.
///
/// | type | what follows |
/// |---|---|
/// | 0 | nothing: the end of the options |
/// | 1 | nothing |
/// | 2 | a byte of length, and so much of the path |
/// | other | a byte of length, and so much that is passed over |
///
/// # Errors
/// An option is cut short.
pub fn url_path<'a>(body: &[u8], out: &'a mut [u8; MAX_PATH]) -> Result<UrlPath<'a>, BadOptions> {
    let mut options = body.get(ANNOUNCE_BODY..).unwrap_or_default();
    let (mut length, mut is_cut) = (0, false);
    while let [kind, rest @ ..] = options {
        options = match kind {
            0 => break,
            1 => rest,
            kind => {
                let (size, rest) = rest.split_first().ok_or(BadOptions)?;
                let (data, rest) = rest
                    .split_at_checked(usize::from(*size))
                    .ok_or(BadOptions)?;
                if *kind == URL_DATA {
                    let room = out.get_mut(length..).unwrap_or_default();
                    let taken = data.len().min(room.len());
                    room.iter_mut().zip(data).for_each(|(to, from)| *to = *from);
                    length += taken;
                    is_cut |= taken < data.len();
                }
                rest
            }
        };
    }
    let text = out.get(..length).unwrap_or_default();
    Ok(UrlPath { text, is_cut })
}

/// The type of an option with a part of the address.
const URL_DATA: u8 = 2;

/// BEP 15 numbers the first three; libtorrent sends 4 for the `paused` of BEP 21.
fn event_of(number: u32) -> Event {
    match number {
        1 => Event::Completed,
        2 => Event::Started,
        3 => Event::Stopped,
        4 => Event::Paused,
        _ => Event::None,
    }
}

/// The hashes of a scrape, from what follows its head; `None` when a part of a hash is left over.
pub fn scraped(body: &[u8]) -> Option<&[[u8; 20]]> {
    let (hashes, rest) = body.as_chunks();
    rest.is_empty().then_some(hashes)
}

/// What a reply of ours to `source` says, for whoever watches.
pub(crate) fn answer(reply: &[u8], source: IpAddr) -> Answer {
    let number = |at: usize| {
        let number = reply.get(at..).and_then(<[u8]>::first_chunk);
        number.map_or(0, |number| u32::from_be_bytes(*number))
    };
    let behind = |length: usize| reply.len().saturating_sub(length);
    match number(0) {
        1 => Answer::Announce {
            seeders: number(16),
            leechers: number(12),
            downloaded: None,
            interval: number(8),
            min_interval: None,
            peers: match source {
                IpAddr::V4(_) => Peers {
                    ipv4: behind(REPLY_HEAD) / 6,
                    ipv6: 0,
                },
                IpAddr::V6(_) => Peers {
                    ipv4: 0,
                    ipv6: behind(REPLY_HEAD) / 18,
                },
            },
        },
        2 => Answer::Scrape {
            torrents: behind(8) / 12,
        },
        _ => {
            let text = reply.get(8..).unwrap_or_default();
            Answer::failure(String::from_utf8_lossy(text).into_owned())
        }
    }
}

/// How many peers fit into a reply to `ip`.
pub const fn max_peers(ip: IpAddr) -> usize {
    match ip {
        IpAddr::V4(_) => (MAX_REPLY_V4 - REPLY_HEAD) / 6,
        IpAddr::V6(_) => (MAX_REPLY_V6 - REPLY_HEAD) / 18,
    }
}

/// Writes replies into the caller's buffer; `None` when one does not fit, which a buffer of [`MAX_REPLY_V4`] rules out.
#[derive(Debug)]
pub struct Reply<'a> {
    out: &'a mut [u8],
    length: usize,
}

impl<'a> Reply<'a> {
    /// The reply to a connect: 16 bytes.
    pub fn connected(out: &mut [u8], transaction: [u8; 4], id: u64) -> Option<usize> {
        let mut reply = Reply::begin(out, 0, transaction)?;
        reply.push(&id.to_be_bytes())?;
        Some(reply.length)
    }

    /// The reply to an announce: 20 bytes, and the peers of the announcer's family.
    pub fn announced(
        out: &mut [u8],
        transaction: [u8; 4],
        answer: &AnnounceReply,
        peers: &PeerList,
        source: IpAddr,
    ) -> Option<usize> {
        let mut reply = Reply::begin(out, 1, transaction)?;
        reply.push(&answer.interval.to_be_bytes())?;
        reply.push(&answer.incomplete.to_be_bytes())?;
        reply.push(&answer.complete.to_be_bytes())?;
        match source {
            IpAddr::V4(_) => reply.push(peers.v4.as_flattened())?,
            IpAddr::V6(_) => reply.push(peers.v6.as_flattened())?,
        }
        Some(reply.length)
    }

    /// The reply to a scrape: 8 bytes, and 12 for each torrent.
    pub fn scraped(
        out: &mut [u8],
        transaction: [u8; 4],
        torrents: impl Iterator<Item = ScrapeReply>,
    ) -> Option<usize> {
        let mut reply = Reply::begin(out, 2, transaction)?;
        for torrent in torrents {
            reply.push(&torrent.complete.to_be_bytes())?;
            reply.push(&torrent.downloaded.to_be_bytes())?;
            reply.push(&torrent.incomplete.to_be_bytes())?;
        }
        Some(reply.length)
    }

    /// A refusal: 8 bytes, and the text.
    pub fn refused(out: &mut [u8], transaction: [u8; 4], text: impl Display) -> Option<usize> {
        let mut reply = Reply::begin(out, ERROR, transaction)?;
        write!(reply, "{text}").ok()?;
        Some(reply.length)
    }

    fn begin(out: &'a mut [u8], action: u32, transaction: [u8; 4]) -> Option<Reply<'a>> {
        let mut reply = Reply { out, length: 0 };
        reply.push(&action.to_be_bytes())?;
        reply.push(&transaction)?;
        Some(reply)
    }

    fn push(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.length.checked_add(bytes.len())?;
        self.out.get_mut(self.length..end)?.copy_from_slice(bytes);
        self.length = end;
        Some(())
    }
}

impl Write for Reply<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes()).ok_or(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    /// The layout of BEP 15, written down a second time.
    #[expect(
        clippy::too_many_arguments,
        reason = "one for each field of the packet"
    )]
    fn announce(
        hash: [u8; 20],
        id: [u8; 20],
        downloaded: u64,
        left: u64,
        event: u32,
        address: [u8; 4],
        num_want: i32,
        port: u16,
    ) -> Vec<u8> {
        let mut packet = vec![9; 8];
        packet.extend([0, 0, 0, 1, b't', b'r', b'a', b'n']);
        packet.extend(hash);
        packet.extend(id);
        packet.extend(downloaded.to_be_bytes());
        packet.extend(left.to_be_bytes());
        packet.extend([0; 8]);
        packet.extend(event.to_be_bytes());
        packet.extend(address);
        packet.extend([1, 2, 3, 4]);
        packet.extend(num_want.to_be_bytes());
        packet.extend(port.to_be_bytes());
        packet
    }

    proptest! {
        #[test]
        fn every_field_of_an_announce_is_read_from_its_place(
            hash in any::<[u8; 20]>(), id in any::<[u8; 20]>(), downloaded in any::<u64>(), left in 0_u64..3,
            event in 0_u32..7, address in any::<[u8; 4]>(), num_want in any::<i32>(), port in any::<u16>(),
            options in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut packet = announce(hash, id, downloaded, left, event, address, num_want, port);
            packet.extend(options);
            let (head, body) = Head::split(&packet).unwrap();
            prop_assert_eq!(head.action, Action::Announce);
            prop_assert_eq!(&head.transaction, b"tran");
            prop_assert_eq!(head.connection_id, 0x0909_0909_0909_0909);
            let source = "192.0.2.1".parse().unwrap();
            let read = AnnounceRequest::read(body).unwrap();
            let events = [Event::None, Event::Completed, Event::Started, Event::Stopped, Event::Paused];
            let expected = Announce {
                info_hash: InfoHash(hash),
                peer_id: PeerId(id),
                key: ClientKey::from_number(0x0102_0304),
                ip: source,
                inner_ip: None,
                is_reported: false,
                port,
                is_seeder: left == 0,
                downloaded,
                event: events.get(event as usize).copied().unwrap_or_default(),
                num_want: (num_want >= 0).then(|| num_want.unsigned_abs()),
                options: ListOptions {
                    own_family_only: true,
                    max_peers: Some(242),
                    ..ListOptions::default()
                },
            };
            prop_assert_eq!(read.announce(&PeerAddresses::of_source(source), source), expected);
            prop_assert_eq!(read.reported(source), (address != [0; 4]).then(|| address.into()));
            prop_assert_eq!(read.reported([0; 16].into()), None);
        }

        /// O16
        #[test]
        fn any_options_give_a_path_or_are_bad(options in proptest::collection::vec(0_u8..6, 0..400)) {
            let body = [&[0; ANNOUNCE_BODY][..], &options].concat();
            let mut out = [0; MAX_PATH];
            if let Ok(path) = url_path(&body, &mut out) {
                prop_assert!(path.text.len() <= options.len());
            }
        }

        #[test]
        fn any_bytes_give_a_request_or_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let split = Head::split(&bytes);
            prop_assert_eq!(split.is_some(), bytes.len() >= 16);
            if let Some((_, body)) = split {
                prop_assert_eq!(AnnounceRequest::read(body).is_some(), bytes.len() >= ANNOUNCE_LENGTH);
                prop_assert_eq!(scraped(body).map(<[_]>::len), (body.len() % 20 == 0).then_some(body.len() / 20));
            }
        }

        #[test]
        fn a_reply_never_outgrows_its_buffer(room in 0_usize..120, text in ".{0,80}") {
            let mut out = vec![0; room];
            let length = Reply::refused(&mut out, *b"tran", &text);
            prop_assert_eq!(length, (8 + text.len() <= room).then_some(8 + text.len()));
            if length.is_some() {
                prop_assert!(out.starts_with(b"\0\0\0\x03tran"));
                prop_assert_eq!(&out[8..8 + text.len()], text.as_bytes());
            }
        }
    }

    /// O16, BEP 41
    #[test]
    fn the_path_of_the_address_is_put_together_from_its_options() {
        let path = |options: &[u8]| {
            let body = [&[0; ANNOUNCE_BODY][..], options].concat();
            let mut out = [0; MAX_PATH];
            url_path(&body, &mut out).map(|path| {
                assert!(path.has_whole_path());
                path.text.to_vec()
            })
        };
        assert_eq!(path(b""), Ok(Vec::new()));
        assert_eq!(path(b"\0\0"), Ok(Vec::new()));
        assert_eq!(
            path(b"\x02\x02/a\x01\x02\x02/b\0\x02\x01c"),
            Ok(b"/a/b".to_vec())
        );
        assert_eq!(path(b"\x07\x03abc\x02\x02/a"), Ok(b"/a".to_vec()));
        assert_eq!(path(b"\x02\0\x02\x01/"), Ok(b"/".to_vec()));
        for cut in [&b"\x02"[..], b"\x02\x05/a", b"\x09", b"\x01\x01\x03\xff"] {
            assert_eq!(path(cut), Err(BadOptions));
        }
        let full = [&[2, 255][..], &[b'a'; 255], &[2, 0]].concat();
        assert_eq!(path(&full), Ok(vec![b'a'; 255]));
    }

    /// O16, BEP 41: the end of a path that is cut is no segment of it; what is cut of a query nobody needs.
    #[test]
    fn a_path_that_is_cut_is_told_from_a_whole_one() {
        let is_whole = |path: &[u8]| {
            let (first, more) = path.split_at(255);
            let body = [&[0; ANNOUNCE_BODY][..], &[2, 255], first, &[2, 255], more].concat();
            let mut out = [0; MAX_PATH];
            let path = url_path(&body, &mut out).unwrap();
            assert_eq!((path.text, path.is_cut), (first, true));
            path.has_whole_path()
        };
        assert!(!is_whole(&[b'a'; 510]));
        let mut with_query = [b'a'; 510];
        with_query[300] = b'?';
        assert!(!is_whole(&with_query));
        with_query[254] = b'?';
        assert!(is_whole(&with_query));
    }

    /// P15
    #[test]
    fn the_fullest_replies_fit_into_their_frames() {
        assert_eq!(REPLY_HEAD + 6 * max_peers([0; 4].into()), MAX_REPLY_V4);
        assert!(REPLY_HEAD + 18 * max_peers([0; 16].into()) <= MAX_REPLY_V6);
        assert!(REPLY_HEAD + 18 * (max_peers([0; 16].into()) + 1) > MAX_REPLY_V6);
        const { assert!(8 + 12 * MAX_SCRAPED <= MAX_REPLY_V6) };
    }

    #[test]
    fn numbers_stand_in_the_order_of_bep_15() {
        let mut out = [0; 100];
        let answer = AnnounceReply {
            complete: 3,
            incomplete: 2,
            interval: 1_800,
            ..AnnounceReply::default()
        };
        let peers = PeerList {
            v4: vec![[192, 0, 2, 1, 26, 225]],
            v6: vec![[8; 18]],
            ..PeerList::default()
        };
        let length = Reply::announced(&mut out, *b"tran", &answer, &peers, [0; 4].into()).unwrap();
        assert_eq!(
            out[..length],
            *b"\0\0\0\x01tran\0\0\x07\x08\0\0\0\x02\0\0\0\x03\xc0\0\x02\x01\x1a\xe1"
        );
        let torrent = ScrapeReply {
            complete: 1,
            incomplete: 2,
            downloaded: 3,
            downloaders: 9,
        };
        let length = Reply::scraped(&mut out, *b"tran", std::iter::once(torrent)).unwrap();
        assert_eq!(
            out[..length],
            *b"\0\0\0\x02tran\0\0\0\x01\0\0\0\x03\0\0\0\x02"
        );
    }
}
