//! Asks an HTTP tracker as a client does: one connection for each request, the reply read whole and with bounds.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use super::address::Address;
use super::bencode::Value;
use super::seen::{Asked, Counts, Event, Seen, printable};
use crate::clock::Clock;
use crate::http_reply::{BodyState, Head};
use crate::net::compact_peers;

/// The longest reply that is read.
const MAX_REPLY: usize = 1 << 20;

/// A tracker at one of its addresses.
#[derive(Debug)]
pub(super) struct Client {
    pub url: Address,
    pub address: SocketAddr,
    pub patience: Duration,
}

impl Client {
    /// Announces, with the peers in compact form (BEP 23) or as dictionaries.
    pub(super) fn announce(&self, asked: &Asked, is_compact: bool) -> anyhow::Result<Seen> {
        let event = match asked.event {
            Event::Started => "&event=started",
            Event::Stopped => "&event=stopped",
        };
        let parameters = format!(
            "info_hash={}&peer_id={}&port={}&uploaded=0&downloaded=0&left={}&key={:08X}&numwant={}&compact={}{event}",
            percent(&asked.info_hash.0),
            percent(&asked.peer_id.0),
            asked.port,
            asked.left,
            asked.key,
            asked.num_want,
            u8::from(is_compact),
        );
        let body = self.get(&self.url.announce(&parameters))?;
        let reply = dictionary(&body)?;
        let mut peers = peers(reply.find(b"peers"), true)?;
        peers.extend(self::peers(reply.find(b"peers6"), false)?);
        Ok(Seen {
            interval: reply.integer(b"interval"),
            min_interval: reply.integer(b"min interval"),
            counts: counts(&reply),
            peers,
            external_ip: reply.bytes(b"external ip").and_then(ip),
            warning: reply.bytes(b"warning message").map(printable),
        })
    }

    /// Scrapes one torrent; `None` when the URL has no scrape beside it.
    pub(super) fn scrape(&self, asked: &Asked) -> anyhow::Result<Option<Counts>> {
        let parameters = format!("info_hash={}", percent(&asked.info_hash.0));
        let Some(target) = self.url.scrape(&parameters) else {
            return Ok(None);
        };
        let body = self.get(&target)?;
        let reply = dictionary(&body)?;
        let files = reply.find(b"files").context("the scrape has no files")?;
        let torrent = files.find(&asked.info_hash.0);
        Ok(Some(counts(torrent.context(
            "the scrape says nothing of the torrent that was asked for",
        )?)))
    }

    fn get(&self, target: &str) -> anyhow::Result<Vec<u8>> {
        let clock = Clock::start();
        let mut stream = TcpStream::connect_timeout(&self.address, self.patience)?;
        stream.set_write_timeout(Some(self.patience))?;
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: {}\r\nUser-Agent: retracker/{}\r\nConnection: close\r\n\r\n",
            self.url.authority(),
            env!("CARGO_PKG_VERSION"),
        );
        stream.write_all(request.as_bytes())?;
        let mut received = Vec::new();
        let mut buffer = [0; 8_192];
        loop {
            if let Some(body) = body_of(&received, false)? {
                return Ok(body);
            }
            let left = self.patience.checked_sub(clock.elapsed());
            let left = left.filter(|left| !left.is_zero());
            stream.set_read_timeout(Some(left.context("the reply took too long")?))?;
            let length = stream.read(&mut buffer).context("no reply")?;
            if length == 0 {
                return body_of(&received, true)?.context("the reply is cut off");
            }
            debug_assert!(length <= buffer.len(), "no more than there is room for");
            received.extend(buffer.get(..length).unwrap_or_default());
            ensure!(
                received.len() <= MAX_REPLY,
                "the reply is longer than {MAX_REPLY} bytes"
            );
        }
    }
}

/// The body of a reply of status 200, once it is whole.
fn body_of(received: &[u8], has_ended: bool) -> anyhow::Result<Option<Vec<u8>>> {
    let Some(head) = Head::read(received)? else {
        return Ok(None);
    };
    if head.status != 200 {
        // A status line needs no reason (RFC 9112, section 4).
        let reason = printable(head.reason.as_bytes());
        let place = head.location;
        let place = place.map(|place| format!(" to {}", printable(place)));
        bail!(
            "status {} {reason}{}",
            head.status,
            place.unwrap_or_default()
        );
    }
    let body = head.body(received, has_ended);
    match body.state {
        BodyState::Whole => Ok(Some(body.bytes.into_owned())),
        BodyState::Partial => Ok(None),
        BodyState::Broken => bail!("a bad chunk"),
    }
}

/// A tracker's reply, which must be a dictionary; a failure that it tells of is an error.
fn dictionary(body: &[u8]) -> anyhow::Result<Value<'_>> {
    let reply = Value::parse(body)?;
    ensure!(
        matches!(reply, Value::Dictionary(_)),
        "the reply is no dictionary"
    );
    if let Some(reason) = reply.bytes(b"failure reason") {
        bail!("the tracker refuses: {}", printable(reason));
    }
    Ok(reply)
}

fn counts(reply: &Value<'_>) -> Counts {
    Counts {
        seeders: reply.integer(b"complete"),
        leechers: reply.integer(b"incomplete"),
        downloaded: reply.integer(b"downloaded"),
    }
}

/// Peers in either form.
fn peers(value: Option<&Value<'_>>, is_v4: bool) -> anyhow::Result<Vec<SocketAddr>> {
    match value {
        None => Ok(Vec::new()),
        Some(Value::Bytes(bytes)) => {
            let size = if is_v4 { 6 } else { 18 };
            ensure!(
                bytes.len().is_multiple_of(size),
                "the list of peers is no multiple of {size} bytes"
            );
            Ok(compact_peers(bytes, is_v4))
        }
        Some(Value::List(list)) => list.iter().map(peer).collect(),
        Some(_) => bail!("the peers are neither a string nor a list"),
    }
}

fn peer(value: &Value<'_>) -> anyhow::Result<SocketAddr> {
    let ip = value.bytes(b"ip").map(String::from_utf8_lossy);
    let port = value.integer(b"port").context("a peer without a port")?;
    let ip = ip.context("a peer without an address")?;
    // BEP 3 allows names here; no client of today sends or resolves them.
    let ip: IpAddr = ip.parse().ok().context("a peer whose address is none")?;
    let port = u16::try_from(port).context("a peer whose port is none")?;
    Ok(SocketAddr::new(ip, port))
}

/// BEP 24: the address in network order.
fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}

fn percent(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(byte) {
            text.push(char::from(*byte));
        } else {
            text.push_str(&format!("%{byte:02x}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, proptest};

    fn whole(reply: &str) -> anyhow::Result<Option<Vec<u8>>> {
        body_of(reply.as_bytes(), false)
    }

    #[test]
    fn bodies_end_where_their_heads_say() {
        let length = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
        assert_eq!(whole(length).unwrap(), None);
        assert_eq!(whole(&format!("{length}de")).unwrap().unwrap(), b"de");
        let chunks =
            "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n1;x=y\r\nd\r\n1\r\ne\r\n";
        assert_eq!(whole(chunks).unwrap(), None);
        assert_eq!(
            whole(&format!("{chunks}0\r\n\r\n")).unwrap().unwrap(),
            b"de"
        );
        let open = b"HTTP/1.0 200 OK\r\n\r\nde";
        assert_eq!(body_of(open, false).unwrap(), None);
        assert_eq!(body_of(open, true).unwrap().unwrap(), b"de");
    }

    #[test]
    fn what_is_not_200_is_an_error_that_tells_why() {
        let moved = whole("HTTP/1.1 302 Found\r\nLocation: /stat\r\n\r\n").unwrap_err();
        assert_eq!(moved.to_string(), "status 302 Found to /stat");
        assert!(whole("SSH-2.0-OpenSSH_9.2\r\n").is_err());
        assert!(whole("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n").is_err());
    }

    #[test]
    fn peers_are_read_in_every_form() {
        let reply = b"d5:peersld2:ip9:192.0.2.14:porti1eed2:ip3:::14:porti2eeee";
        let reply = Value::parse(reply).unwrap();
        let list = peers(reply.find(b"peers"), true).unwrap();
        assert_eq!(
            list,
            ["192.0.2.1:1".parse().unwrap(), "[::1]:2".parse().unwrap()]
        );
        for bad in [
            &b"d5:peers5:12345e"[..],
            b"d5:peersi1ee",
            b"d5:peersld2:ip1:x4:porti1eeee",
            b"d5:peersld2:ip9:192.0.2.14:porti-1eeee",
            b"d5:peersli1eee",
        ] {
            let reply = Value::parse(bad).unwrap();
            assert!(peers(reply.find(b"peers"), true).is_err());
        }
    }

    #[test]
    fn hashes_are_escaped_as_a_url_needs_it() {
        assert_eq!(percent(b"a-~ %&\x00\xff+"), "a-~%20%25%26%00%ff%2b");
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_body_or_an_error(
            rest in proptest::collection::vec(any::<u8>(), 0..80), head in "HTTP/1.1 200 OK\r\n(Transfer-Encoding: chunked\r\n)?\r\n",
        ) {
            let reply = [head.as_bytes(), &rest].concat();
            if let Ok(Some(body)) = body_of(&reply, true) {
                drop(dictionary(&body));
            }
        }
    }
}
