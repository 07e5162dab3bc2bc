//! Asks a UDP tracker (BEP 15) as a client does: connect, announce, scrape, each repeated when nothing comes back.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use super::seen::{Asked, Counts, Seen, printable};
use crate::net::compact_peers;

/// How often a request is sent, over the whole of the patience.
const TRIES: u32 = 3;
/// BEP 41, as libtorrent sends it: the path of the URL, cut to what its one-byte length can say.
const URL_DATA: u8 = 2;

/// A socket towards one address of a tracker.
#[derive(Debug)]
pub(super) struct Client {
    socket: UdpSocket,
    connection_id: [u8; 8],
    target: String,
}

impl Client {
    /// Opens the socket and asks for a connection id. `target` is the path and query of the URL.
    pub(super) fn connect(
        address: SocketAddr,
        target: &str,
        patience: Duration,
    ) -> anyhow::Result<Client> {
        let any = if address.is_ipv4() {
            "0.0.0.0:0"
        } else {
            "[::]:0"
        };
        let socket = UdpSocket::bind(any)?;
        socket.connect(address)?;
        socket.set_read_timeout(Some(patience / TRIES))?;
        let mut client = Client {
            socket,
            connection_id: 0x0417_2710_1980_u64.to_be_bytes(),
            target: target.to_owned(),
        };
        let reply = client.ask(0, &[])?;
        let id = reply
            .first_chunk()
            .context("the connect reply is cut off")?;
        client.connection_id = *id;
        Ok(client)
    }

    /// Announces; the reply's counts include the client itself.
    pub(super) fn announce(&self, asked: &Asked) -> anyhow::Result<Seen> {
        let mut body = Vec::with_capacity(100);
        body.extend(asked.info_hash.0);
        body.extend(asked.peer_id.0);
        body.extend([0; 8]);
        body.extend(asked.left.to_be_bytes());
        body.extend([0; 8]);
        body.extend(asked.event.number().to_be_bytes());
        body.extend([0; 4]);
        body.extend(asked.key.to_be_bytes());
        body.extend(i32::from(asked.num_want).to_be_bytes());
        body.extend(asked.port.to_be_bytes());
        // What is longer is cut.
        let length = u8::try_from(self.target.len()).unwrap_or(u8::MAX);
        body.extend([URL_DATA, length]);
        body.extend(self.target.bytes().take(usize::from(length)));
        let reply = self.ask(1, &body)?;
        let mut numbers = Numbers(&reply);
        let interval = numbers.next();
        let leechers = numbers.next();
        let seeders = numbers.next();
        let (Some(interval), Some(leechers), Some(seeders)) = (interval, leechers, seeders) else {
            bail!("the announce reply is cut off");
        };
        Ok(Seen {
            interval: Some(interval.into()),
            counts: Counts {
                seeders: Some(seeders.into()),
                leechers: Some(leechers.into()),
                downloaded: None,
            },
            peers: self.peers(numbers.0)?,
            ..Seen::default()
        })
    }

    fn peers(&self, bytes: &[u8]) -> anyhow::Result<Vec<SocketAddr>> {
        let (size, is_v4) = match self.socket.peer_addr()?.ip().to_canonical() {
            IpAddr::V4(_) => (6, true),
            IpAddr::V6(_) => (18, false),
        };
        ensure!(
            bytes.len().is_multiple_of(size),
            "the list of peers is no multiple of {size} bytes"
        );
        Ok(compact_peers(bytes, is_v4))
    }

    /// Scrapes one torrent.
    pub(super) fn scrape(&self, asked: &Asked) -> anyhow::Result<Counts> {
        let reply = self.ask(2, &asked.info_hash.0)?;
        let mut numbers = Numbers(&reply);
        let counts = Counts {
            seeders: numbers.next().map(Into::into),
            downloaded: numbers.next().map(Into::into),
            leechers: numbers.next().map(Into::into),
        };
        ensure!(counts.leechers.is_some(), "the scrape reply is cut off");
        Ok(counts)
    }

    /// Sends a request until its reply comes, and takes action and transaction off that.
    fn ask(&self, action: u32, body: &[u8]) -> anyhow::Result<Vec<u8>> {
        let transaction = fastrand::u32(..).to_be_bytes();
        let mut request = self.connection_id.to_vec();
        request.extend(action.to_be_bytes());
        request.extend(transaction);
        request.extend(body);
        let mut buffer = vec![0; 65_536];
        for _ in 0..TRIES {
            self.socket.send(&request)?;
            // A bound on strays: what is left over from another try, or is not ours.
            for _ in 0..100 {
                let length = match self.socket.recv(&mut buffer) {
                    Ok(length) => length,
                    Err(error) if is_timeout(&error) => break,
                    Err(error) => return Err(error).context("no UDP tracker listens there"),
                };
                debug_assert!(length <= buffer.len(), "no more than there is room for");
                let reply = buffer.get(..length).unwrap_or_default();
                let (head, body) = reply.split_at_checked(8).unwrap_or((reply, &[]));
                let Some((kind, theirs)) = head.split_first_chunk::<4>() else {
                    continue;
                };
                if theirs != transaction {
                    continue;
                }
                match u32::from_be_bytes(*kind) {
                    3 => bail!("the tracker refuses: {}", printable(body)),
                    kind if kind == action => return Ok(body.to_vec()),
                    kind => bail!("a reply of action {kind} to a request of action {action}"),
                }
            }
        }
        bail!("no reply to {TRIES} datagrams")
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
    )
}

/// Big-endian numbers, taken off the front.
struct Numbers<'a>(&'a [u8]);

impl Iterator for Numbers<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*number))
    }
}
