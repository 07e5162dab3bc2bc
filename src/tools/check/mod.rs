//! `retracker check URL`: announces and scrapes as clients do, says what they see, and fails when they could not trade.
//!
//! Clients that do not exist, a seeder and a leecher, join a torrent that does not exist, look for each other, and leave again:
//! nothing stays on the tracker. Each address family of the host is tried, over HTTP both forms of the peers, each by a leecher of
//! its own: one that came again at once would be counted among those that announce too often.

mod address;
mod bencode;
mod http;
mod seen;
mod udp;

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use crate::clock::Clock;
use crate::tracker::{InfoHash, PeerId};
use address::{Address, Protocol};
use seen::{Asked, Counts, Event, Seen, misplaced};

/// What to check.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Announce URLs: `http://host[:port]/announce` or `udp://host:port`.
    #[arg(required = true, value_name = "URL")]
    urls: Vec<String>,
    /// The torrent, as 40 hex digits; without it one that nobody has.
    #[arg(long, value_name = "HASH", value_parser = info_hash)]
    info_hash: Option<InfoHash>,
    /// Seconds to wait for each reply.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    timeout: u16,
}

fn info_hash(text: &str) -> Result<InfoHash, &'static str> {
    InfoHash::from_hex(text).ok_or("an info hash has 40 hex digits")
}

/// Checks every URL at every family of its host and prints what was seen.
///
/// # Errors
/// When any of them failed; each has been printed then.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    check(arguments, &mut std::io::stdout().lock())
}

fn check(arguments: &Arguments, out: &mut impl Write) -> anyhow::Result<()> {
    let mut failed = 0;
    let mut checked = 0;
    for text in &arguments.urls {
        let url = Address::parse(text)?;
        for address in url.resolve()? {
            writeln!(out, "{text} at {address}")?;
            let mut visit = Visit {
                patience: Duration::from_secs(arguments.timeout.into()),
                is_own_torrent: arguments.info_hash.is_none(),
                info_hash: arguments.info_hash.unwrap_or_else(|| InfoHash(random())),
                clock: Clock::start(),
                tracker: address,
                out,
            };
            checked += 1;
            match visit.pay(&url, address) {
                Ok(()) => {
                    writeln!(out, "  good")?;
                    if url.protocol == Protocol::Http && address.ip().to_canonical().is_loopback() {
                        writeln!(out, "  {BLIND}")?;
                    }
                }
                Err(error) => {
                    failed += 1;
                    writeln!(out, "  FAILED: {error:#}")?;
                }
            }
        }
    }
    ensure!(failed == 0, "{failed} of {checked} checks failed");
    Ok(())
}

/// Said of a check over loopback: there a proxy's address is the right one for who asks.
const BLIND: &str = "asked over loopback, where a proxy that hides its clients is not seen: check from another machine too";

fn random() -> [u8; 20] {
    std::array::from_fn(|_| fastrand::u8(..))
}

/// One of the two protocols, towards one address.
enum Client {
    Http(http::Client),
    Udp(udp::Client),
}

impl Client {
    fn announce(&self, asked: &Asked, is_compact: bool) -> anyhow::Result<Seen> {
        match self {
            Client::Http(client) => client.announce(asked, is_compact),
            Client::Udp(client) => client.announce(asked),
        }
    }

    fn scrape(&self, asked: &Asked) -> anyhow::Result<Option<Counts>> {
        match self {
            Client::Http(client) => client.scrape(asked),
            Client::Udp(client) => client.scrape(asked).map(Some),
        }
    }
}

/// A client that looks for the seeder.
struct Leecher {
    name: &'static str,
    /// What its port differs in from the seeder's.
    port: u16,
    is_compact: bool,
    scrapes: bool,
}

const HTTP_LEECHERS: [Leecher; 2] = [
    Leecher {
        name: "leecher",
        port: 1,
        is_compact: true,
        scrapes: false,
    },
    Leecher {
        name: "second leecher",
        port: 2,
        is_compact: false,
        scrapes: true,
    },
];

const UDP_LEECHERS: [Leecher; 1] = [Leecher {
    name: "leecher",
    port: 1,
    is_compact: true,
    scrapes: true,
}];

/// The visit of the clients to a tracker at one of its addresses.
struct Visit<'a, W> {
    patience: Duration,
    is_own_torrent: bool,
    info_hash: InfoHash,
    clock: Clock,
    /// Where it goes.
    tracker: SocketAddr,
    out: &'a mut W,
}

impl<W: Write> Visit<'_, W> {
    fn pay(&mut self, url: &Address, address: SocketAddr) -> anyhow::Result<()> {
        let client = match url.protocol {
            Protocol::Http => Client::Http(http::Client {
                url: url.clone(),
                address,
                patience: self.patience,
            }),
            Protocol::Udp => {
                let begun = self.clock.elapsed();
                let client = udp::Client::connect(address, &url.target, self.patience)?;
                self.tell("connect", begun, "a connection id")?;
                Client::Udp(client)
            }
        };
        let seeder = self.client(0);
        let joined = self.announce("seeder joins", &client, &seeder, true);
        let leechers = match client {
            Client::Http(_) => &HTTP_LEECHERS[..],
            Client::Udp(_) => &UDP_LEECHERS[..],
        };
        let looked = joined.and_then(|_| {
            let mut leechers = leechers.iter();
            leechers.try_for_each(|leecher| self.look(&client, &seeder, leecher))
        });
        // They leave whatever they saw; and what hindered them before hinders them here.
        let left = self.leave("seeder", &client, &seeder);
        looked?;
        left
    }

    fn client(&self, left: u64) -> Asked {
        let mut peer_id = *b"-RT0000-............";
        for byte in peer_id.iter_mut().filter(|byte| **byte == b'.') {
            *byte = fastrand::u8(b'a'..=b'z');
        }
        Asked {
            info_hash: self.info_hash,
            peer_id: PeerId(peer_id),
            port: fastrand::u16(49_152..),
            left,
            event: Event::Started,
            key: fastrand::u32(..),
            num_want: 50,
        }
    }

    /// A leecher joins, looks for the seeder, and leaves again; meanwhile the last one scrapes.
    fn look(&mut self, client: &Client, seeder: &Asked, leecher: &Leecher) -> anyhow::Result<()> {
        let asked = Asked {
            port: seeder.port ^ leecher.port,
            ..self.client(1 << 30)
        };
        let joins = format!("{} joins", leecher.name);
        let looked = self
            .announce(&joins, client, &asked, leecher.is_compact)
            .and_then(|seen| self.expect(&seen, seeder.port))
            .and_then(|()| {
                if leecher.scrapes {
                    self.scrape(client, &asked)
                } else {
                    Ok(())
                }
            });
        let left = self.leave(leecher.name, client, &asked);
        looked?;
        left
    }

    fn scrape(&mut self, client: &Client, asked: &Asked) -> anyhow::Result<()> {
        let begun = self.clock.elapsed();
        match client.scrape(asked).context("scrape")? {
            Some(counts) => self.tell("scrape", begun, &counts.to_string())?,
            None => self.tell("scrape", begun, "none: the path does not end in announce")?,
        }
        Ok(())
    }

    fn leave(&mut self, name: &str, client: &Client, asked: &Asked) -> anyhow::Result<()> {
        let asked = Asked {
            event: Event::Stopped,
            num_want: 0,
            ..*asked
        };
        self.announce(&format!("{name} leaves"), client, &asked, true)?;
        Ok(())
    }

    fn announce(
        &mut self,
        name: &str,
        client: &Client,
        asked: &Asked,
        is_compact: bool,
    ) -> anyhow::Result<Seen> {
        let begun = self.clock.elapsed();
        let seen = client
            .announce(asked, is_compact)
            .with_context(|| name.to_owned())?;
        self.tell(name, begun, &seen.to_string())?;
        if !matches!(asked.event, Event::Stopped) {
            let interval = seen
                .interval
                .with_context(|| format!("{name}: no interval"))?;
            ensure!(interval > 0, "{name}: an interval of {interval} s");
        }
        Ok(seen)
    }

    /// In a torrent of their own the leecher must be told of the seeder, and of nobody who stands where nobody can.
    fn expect(&self, seen: &Seen, port: u16) -> anyhow::Result<()> {
        if self.is_own_torrent && seen.peers.iter().all(|peer| peer.port() != port) {
            bail!("the leecher is not told of the seeder");
        }
        let own = own_address(self.tracker)?;
        match misplaced(&seen.peers, own, self.tracker.ip()) {
            Some(fault) => bail!("{fault}"),
            None => Ok(()),
        }
    }

    fn tell(&mut self, name: &str, begun: Duration, what: &str) -> std::io::Result<()> {
        let took = self.clock.elapsed().saturating_sub(begun);
        let millis = took.as_secs_f64() * 1_000.0;
        writeln!(self.out, "  {name:<22} {millis:>8.1} ms  {what}")
    }
}

/// The address that this machine has towards another; nothing is sent.
fn own_address(other: SocketAddr) -> std::io::Result<IpAddr> {
    let any: SocketAddr = if other.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(other)?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;
    use crate::{http as web, metrics, tracker, udp as server};
    use std::io::Read;
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::sync::mpsc::channel;
    use std::thread;

    fn checked(urls: Vec<String>) -> (anyhow::Result<()>, String) {
        let arguments = Arguments {
            urls,
            info_hash: None,
            timeout: 60,
        };
        let mut out = Vec::new();
        let result = check(&arguments, &mut out);
        (result, String::from_utf8(out).unwrap())
    }

    /// Answers each connection with the bodies in turn, the last one again and again.
    fn answering(bodies: Vec<&'static str>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/announce", listener.local_addr().unwrap());
        thread::spawn(move || {
            for (index, stream) in listener.incoming().enumerate() {
                let mut stream = stream.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).unwrap();
                    request.extend(byte);
                }
                let body = bodies.get(index).or(bodies.last()).unwrap();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                stream
                    .write_all(&[head.as_bytes(), body.as_bytes()].concat())
                    .unwrap();
            }
        });
        url
    }

    /// P15
    #[test]
    fn a_udp_tracker_that_works_is_good_in_both_families_and_keeps_nothing() {
        let settings = server::Settings {
            listen: vec!["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()],
            workers: 1,
            ..server::Settings::default()
        };
        let bound = server::bind(&settings, Vec::new()).unwrap();
        let urls = bound
            .addresses()
            .iter()
            .map(|address| format!("udp://{address}/announce"));
        let urls = urls.collect();
        let metrics = Arc::new(Metrics::new(bound.threads()));
        let tracker = tracker::Tracker::new(tracker::Settings::default(), Arc::clone(&metrics));
        let (ends, _reports) = channel();
        let running = bound
            .start(&Arc::new(tracker), Clock::start(), 0, &ends)
            .unwrap();
        let (result, text) = checked(urls);
        result.unwrap();
        assert_eq!(text.matches("  good\n").count(), 2, "{text}");
        assert!(!text.contains(BLIND), "{text}");
        assert!(
            text.contains("seeders 1, leechers 1, peers 1: 127.0.0.1:"),
            "{text}"
        );
        assert!(text.contains("peers 1 (1 of them v6): [::1]:"), "{text}");
        running.stop();
        let totals = metrics.totals();
        assert_eq!(totals.outcomes(metrics::AnnounceOutcome::Joined), 4);
        assert_eq!(totals.outcomes(metrics::AnnounceOutcome::Left), 4);
        assert_eq!(totals.outcomes(metrics::AnnounceOutcome::Early), 0);
    }

    /// C9, S11, O17: and it is not among those who announce too often.
    #[test]
    fn an_http_tracker_that_works_is_good_and_keeps_nothing() {
        let settings = web::Settings {
            listen: vec!["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()],
            workers: 1,
            ..web::Settings::default()
        };
        let bound = web::bind(&settings, Vec::new()).unwrap();
        let metrics = Arc::new(Metrics::new(1));
        let tracker = tracker::Tracker::new(tracker::Settings::default(), Arc::clone(&metrics));
        let (ends, _reports) = channel();
        let running = bound
            .start(&Arc::new(tracker), Clock::start(), None, &ends)
            .unwrap();
        let addresses = running.addresses().iter();
        let (result, text) = checked(
            addresses
                .map(|address| format!("http://{address}/announce"))
                .collect(),
        );
        result.unwrap();
        assert_eq!(text.matches("  good\n").count(), 2, "{text}");
        assert_eq!(text.matches(BLIND).count(), 2, "{text}");
        assert!(
            text.contains("seeders 1, leechers 1, downloaded 0\n"),
            "{text}"
        );
        assert!(text.contains("peers 1 (1 of them v6): [::1]:"), "{text}");
        let totals = metrics.totals();
        assert_eq!(totals.outcomes(metrics::AnnounceOutcome::Joined), 6);
        assert_eq!(totals.outcomes(metrics::AnnounceOutcome::Left), 6);
        assert_eq!(totals.outcomes(metrics::AnnounceOutcome::Early), 0);
        running.stop(Duration::ZERO);
    }

    #[test]
    fn a_failure_is_printed_with_the_tracker_s_words() {
        let (result, text) = checked(vec![answering(vec!["d14:failure reason8:no entrye"])]);
        assert_eq!(result.unwrap_err().to_string(), "1 of 1 checks failed");
        assert!(
            text.contains("FAILED: seeder joins: the tracker refuses: no entry\n"),
            "{text}"
        );
    }

    #[test]
    fn a_tracker_that_hands_nobody_out_fails() {
        let empty = "d8:completei1e10:incompletei1e8:intervali1800e5:peers0:e";
        let (result, text) = checked(vec![answering(vec![empty])]);
        assert!(result.is_err());
        assert!(
            text.contains("interval 1800 s, seeders 1, leechers 1, no peers"),
            "{text}"
        );
        assert!(
            text.contains("FAILED: the leecher is not told of the seeder"),
            "{text}"
        );
        assert_eq!(text.matches("leaves").count(), 2, "{text}");
    }

    #[test]
    fn replies_that_no_client_could_use_fail() {
        for body in [
            "",
            "d",
            "le",
            "<html>",
            "de",
            "d8:intervali0e5:peers0:e",
            "d5:peers5:12345e",
        ] {
            let (result, text) = checked(vec![answering(vec![body])]);
            assert!(
                result.is_err() && text.contains("FAILED: seeder joins"),
                "{body}: {text}"
            );
        }
    }

    #[test]
    fn nobody_there_fails_soon() {
        let tcp = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let (result, text) = checked(vec![format!("http://{tcp}/"), format!("udp://{udp}")]);
        assert_eq!(
            result.unwrap_err().to_string(),
            "2 of 2 checks failed",
            "{text}"
        );
        assert!(text.contains("no UDP tracker listens there"), "{text}");
    }
}
