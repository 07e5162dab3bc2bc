//! What is asked of a tracker and what is seen of its replies, whatever the protocol.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::tracker::{InfoHash, PeerId};

/// Peers that are printed by address at most.
const PRINTED_PEERS: usize = 5;
/// Letters of a tracker's text that are printed at most.
const PRINTED_LETTERS: usize = 300;

/// What has happened to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Started,
    Stopped,
}

impl Event {
    /// BEP 15's number.
    pub(super) fn number(self) -> u32 {
        match self {
            Event::Started => 2,
            Event::Stopped => 3,
        }
    }
}

/// One announce.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub info_hash: InfoHash,
    pub peer_id: PeerId,
    pub port: u16,
    pub left: u64,
    pub event: Event,
    pub key: u32,
    pub num_want: u16,
}

/// How many peers a tracker counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub seeders: Option<i64>,
    pub leechers: Option<i64>,
    pub downloaded: Option<i64>,
}

/// A reply to an announce.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub interval: Option<i64>,
    pub min_interval: Option<i64>,
    pub counts: Counts,
    pub peers: Vec<SocketAddr>,
    pub external_ip: Option<IpAddr>,
    pub warning: Option<String>,
}

impl fmt::Display for Counts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = [
            ("seeders", self.seeders),
            ("leechers", self.leechers),
            ("downloaded", self.downloaded),
        ];
        let mut joint = "";
        for (name, count) in named {
            if let Some(count) = count {
                write!(out, "{joint}{name} {count}")?;
                joint = ", ";
            }
        }
        if joint.is_empty() {
            out.write_str("no counts")?;
        }
        Ok(())
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.interval {
            Some(interval) => write!(out, "interval {interval} s")?,
            None => out.write_str("no interval")?,
        }
        if let Some(interval) = self.min_interval {
            write!(out, ", min interval {interval} s")?;
        }
        write!(out, ", {}", self.counts)?;
        let count = self.peers.len();
        let v6 = self.peers.iter().filter(|peer| peer.is_ipv6()).count();
        match (count, v6) {
            (0, _) => out.write_str(", no peers")?,
            (_, 0) => write!(out, ", peers {count}")?,
            _ => write!(out, ", peers {count} ({v6} of them v6)")?,
        }
        let mut joint = ": ";
        for peer in self.peers.iter().take(PRINTED_PEERS) {
            write!(out, "{joint}{peer}")?;
            joint = ", ";
        }
        if count > PRINTED_PEERS {
            out.write_str(", …")?;
        }
        if let Some(ip) = self.external_ip {
            write!(out, ", you are {ip}")?;
        }
        if let Some(warning) = &self.warning {
            write!(out, ", warning: {warning}")?;
        }
        Ok(())
    }
}

/// Why a peer that was handed out cannot be reached by whoever asked from `own`: it is this machine to everybody who is told of
/// it, or it is where the tracker is reached, so that a proxy stands for its clients.
pub(super) fn misplaced(
    peers: &[SocketAddr],
    own: IpAddr,
    tracker: IpAddr,
) -> Option<&'static str> {
    let (own, tracker) = (own.to_canonical(), tracker.to_canonical());
    peers.iter().find_map(|peer| {
        let ip = peer.ip().to_canonical();
        if ip.is_loopback() && !own.is_loopback() {
            Some("a peer at loopback is handed out: a proxy on the tracker's machine is taken for its clients (mode = proxy)")
        } else if ip == tracker && own != tracker {
            Some("the tracker's own address is handed out as a peer: a proxy is taken for its clients (mode = proxy)")
        } else {
            None
        }
    })
}

/// A tracker's text, fit for a terminal: control characters escaped, and cut where it grows long.
pub(super) fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut safe = String::new();
    for letter in text.trim_end_matches('\0').chars().take(PRINTED_LETTERS) {
        if letter.is_control() {
            safe.extend(letter.escape_default());
        } else {
            safe.push(letter);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_told_in_one_line() {
        let seen = Seen {
            interval: Some(1_800),
            min_interval: Some(1_620),
            counts: Counts {
                seeders: Some(1),
                leechers: Some(2),
                downloaded: None,
            },
            peers: vec!["192.0.2.1:1".parse().unwrap(), "[::1]:2".parse().unwrap()],
            warning: Some("soon".into()),
            ..Seen::default()
        };
        assert_eq!(
            seen.to_string(),
            "interval 1800 s, min interval 1620 s, seeders 1, leechers 2, peers 2 (1 of them v6): 192.0.2.1:1, [::1]:2, \
             warning: soon"
        );
    }

    /// C9
    #[test]
    fn loopback_and_the_proxys_address_are_nobodys() {
        let is_misplaced = |peer: &str, own: &str, tracker: &str| {
            let peers = ["192.0.2.9:1".parse().unwrap(), peer.parse().unwrap()];
            misplaced(&peers, own.parse().unwrap(), tracker.parse().unwrap()).is_some()
        };
        for (peer, own, tracker) in [
            ("127.0.0.1:7", "192.0.2.1", "192.0.2.80"),
            ("[::1]:7", "2001:db8::1", "2001:db8::80"),
            ("[::ffff:127.0.0.1]:7", "192.0.2.1", "192.0.2.80"),
            ("192.0.2.80:7", "192.0.2.1", "192.0.2.80"),
        ] {
            assert!(is_misplaced(peer, own, tracker), "{peer}");
        }
        for (peer, own, tracker) in [
            ("127.0.0.1:7", "127.0.0.1", "127.0.0.1"),
            ("192.0.2.1:7", "192.0.2.1", "192.0.2.80"),
            ("192.0.2.80:7", "192.0.2.80", "192.0.2.80"),
            ("10.0.0.1:7", "192.0.2.1", "192.0.2.80"),
        ] {
            assert!(!is_misplaced(peer, own, tracker), "{peer}");
        }
    }

    #[test]
    fn a_tracker_s_text_cannot_steer_the_terminal() {
        assert_eq!(
            printable(b"a\x1b[2J\r\n\xff\0"),
            "a\\u{1b}[2J\\r\\n\u{fffd}"
        );
        assert_eq!(printable(&[b'x'; 9_999]).len(), PRINTED_LETTERS);
    }
}
