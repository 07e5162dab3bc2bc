//! An ephemeral tracker to develop clients against: the tracker's own core and codecs behind sockets on loopback, with a time that may
//! run faster, and with every request shown to whoever wants to see it. As a library ([`Lab`]) and as `retracker-lab serve`.
//!
//! - `connection` serves a TCP connection, `tcp` accepts them; `udp` serves a socket, `dropped` knows what never came out of one. Plain
//!   threads, every wait with an end.
//! - `shared` is the core with its `virtual_clock`; `told` translates its times into those that clients wait; `publisher` tells what
//!   happens, `line` in which order.
//! - `authority` makes the certificates of HTTPS, `ca_file` holds one for clients.
//! - `command` is the program, `serving` its options, which other commands have as well; `ready` is what it tells first, `writers` write
//!   what it shows, `ends` says when it ends.

mod authority;
pub(crate) mod ca_file;
mod command;
mod connection;
mod dropped;
pub(crate) mod ends;
mod line;
mod listen;
mod publisher;
pub(crate) mod ready;
pub(crate) mod serving;
mod shared;
mod stop;
mod tcp;
mod told;
mod udp;
mod virtual_clock;
pub(crate) mod writers;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::exchange::{self, Answerer, Moment, Transport};
use crate::clock::Clock;
use crate::http;
use crate::metrics::Metrics;
use crate::supervise;
use crate::tls::Acceptor;
use crate::tracker::{self, InfoHash, PeerId, Tracker};
use crate::udp::connection_id::ConnectionIds;
use authority::Authority;
use shared::Shared;
use told::Told;

pub use command::{Arguments, run};
pub(crate) use command::{serve, use_small_pages};
pub use publisher::{Events, MAX_WAITING_BYTES, MAX_WAITING_EVENTS};
pub use shared::MAX_PLANTED;
pub use tcp::MAX_CONNECTIONS;

/// The fastest that virtual time may run.
pub const MAX_SPEED: f64 = 10_000.0;

/// What the laboratory's tracker is to be. The default: everything on loopback, real time, an interval of 1,800 s without jitter, and
/// honest.
pub struct Options {
    /// Where to listen for HTTP. Port 0 is any free one; empty: not at all. Default 127.0.0.1 and `::1`, port 0.
    pub http: Vec<SocketAddr>,
    /// Where to listen for HTTPS. Default as `http`.
    pub https: Vec<SocketAddr>,
    /// Where to listen for UDP. Default as `http`.
    pub udp: Vec<SocketAddr>,
    /// Virtual seconds in a real one, 1 to [`MAX_SPEED`]. Peers expire, and connection ids of UDP end, in virtual time; intervals are
    /// told to clients in real time. Default 1.
    pub speed: f64,
    /// The interval that clients are told, in real seconds, whatever the speed. Default none: that of `tracker`, which is virtual time.
    pub interval: Option<u32>,
    /// The `min interval` that clients are told over HTTP, in real seconds; at least 1, and no more than the interval. Default none: 0.9 of
    /// the interval, and at least 1.
    pub min_interval: Option<u32>,
    /// What is done about each request. Default [`exchange::honest`].
    pub answerer: Answerer,
    /// Settings of the core; times in it are virtual. `interval` and `min_interval` have the last word. Default: as a tracker's, but
    /// without jitter, and any number of peers for one address.
    pub tracker: tracker::Settings,
    /// Settings of HTTP, of which those of sockets and pages mean nothing here. Its time limits are real time.
    pub http_settings: http::Settings,
    /// Seed of every choice.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Options {
        let loopback = || {
            vec![
                SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
                SocketAddr::from((Ipv6Addr::LOCALHOST, 0)),
            ]
        };
        Options {
            http: loopback(),
            https: loopback(),
            udp: loopback(),
            speed: 1.0,
            interval: None,
            min_interval: None,
            answerer: Box::new(exchange::honest),
            tracker: tracker::Settings {
                interval_jitter: 0,
                max_peers: 200_000,
                max_torrents: 100_000,
                // Everybody comes from one address here.
                max_torrents_per_address: 0,
                max_ports_per_address: 0,
                ..tracker::Settings::default()
            },
            http_settings: http::Settings::default(),
            seed: 1,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("http", &self.http)
            .field("https", &self.https)
            .field("udp", &self.udp)
            .field("speed", &self.speed)
            .field("interval", &self.interval)
            .field("min_interval", &self.min_interval)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// Settings of the core, and how its times are told.
    fn timing(&self) -> io::Result<(tracker::Settings, Told)> {
        if !(1.0..=MAX_SPEED).contains(&self.speed) {
            let why = format!("the speed is no number from 1 to {MAX_SPEED}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let told = Told {
            speed: self.speed,
            min_interval: self.min_interval,
        };
        let mut settings = self.tracker.clone();
        if let Some(interval) = self.interval {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "clamped to what fits"
            )]
            let interval =
                (f64::from(interval) * self.speed).clamp(1.0, f64::from(u32::MAX / 8)) as u32;
            settings.announce_interval = interval;
        }
        if let Some(min_interval) = self.min_interval {
            let interval = told.real(settings.announce_interval.into()).max(1);
            if !(1..=interval).contains(&min_interval.into()) {
                let why = format!(
                    "the min interval, {min_interval} s, is not from 1 s to the interval, {interval} s"
                );
                return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
            }
            let share = (i64::from(min_interval) * 100 + interval - 1) / interval;
            settings.min_interval_share = u32::try_from(share).unwrap_or(100).min(100);
        }
        Ok((settings, told))
    }
}

/// An address that clients announce to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// By what.
    pub transport: Transport,
    /// Where it listens, with its real port.
    pub address: SocketAddr,
}

impl fmt::Display for Url {
    /// `http://127.0.0.1:40001/announce`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}/announce", self.transport, self.address)
    }
}

/// A peer of a swarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwarmPeer {
    /// Where others reach it.
    pub address: SocketAddr,
    /// What it calls itself.
    pub peer_id: PeerId,
    /// Whether it has everything.
    pub is_seeder: bool,
}

/// A tracker that runs until it is dropped, which ends every thread, connection and socket of it.
pub struct Lab {
    shared: Arc<Shared>,
    urls: Vec<Url>,
    left_out: Vec<SocketAddr>,
    ca_pem: Option<String>,
    threads: Vec<JoinHandle<()>>,
    /// Of the UDP sockets.
    inodes: Vec<u64>,
}

impl fmt::Debug for Lab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lab")
            .field("urls", &self.urls)
            .finish_non_exhaustive()
    }
}

impl Lab {
    /// Starts it. When this returns, all of it listens.
    ///
    /// # Errors
    /// When an address cannot be had, there is none, or the speed or the `min interval` is out of range; when the system gives no thread, descriptor or random
    /// bytes. Loopback of v6 is left out where the machine has none ([`Lab::left_out`]).
    pub fn start(options: Options) -> io::Result<Lab> {
        let (settings, told) = options.timing()?;
        let metrics = Arc::new(Metrics::new(0));
        let tracker = Arc::new(Tracker::new(settings, metrics));
        let http = options.http_settings;
        let shared = Shared::new(tracker, http, told, options.answerer, options.seed)?;
        let mut lab = Lab {
            shared: Arc::new(shared),
            urls: Vec::new(),
            left_out: Vec::new(),
            ca_pem: None,
            threads: Vec::new(),
            inodes: Vec::new(),
        };
        for address in &options.http {
            lab.listen_tcp(*address, None)?;
        }
        if !options.https.is_empty() {
            let authority = Authority::make(Clock::start().wall(), &options.https)?;
            lab.ca_pem = Some(authority.ca_pem);
            let acceptor = Acceptor::new(vec![authority.certificate]).map_err(io::Error::other)?;
            for address in &options.https {
                lab.listen_tcp(*address, Some(&acceptor))?;
            }
        }
        let ids = ConnectionIds::generate().map_err(io::Error::other)?;
        for address in &options.udp {
            lab.listen_udp(*address, ids)?;
        }
        if lab.urls.is_empty() {
            return Err(io::Error::other("there is no address to listen on"));
        }
        Ok(lab)
    }

    fn listen_tcp(&mut self, address: SocketAddr, acceptor: Option<&Acceptor>) -> io::Result<()> {
        let Some(socket) = self.had(address, listen::tcp(address))? else {
            return Ok(());
        };
        let listener = tcp::Listener {
            address: socket.local_addr()?,
            socket,
            acceptor: acceptor.cloned(),
            max_connections: MAX_CONNECTIONS,
            shared: Arc::clone(&self.shared),
        };
        let url = Url {
            transport: listener.transport(),
            address: listener.address,
        };
        self.begin(url, move || listener.run())
    }

    fn listen_udp(&mut self, address: SocketAddr, ids: ConnectionIds) -> io::Result<()> {
        let Some(socket) = self.had(address, listen::udp(address))? else {
            return Ok(());
        };
        let address = socket.local_addr()?;
        self.inodes.push(rustix::fs::fstat(&socket)?.st_ino);
        let socket = udp::Socket::new(socket, address, Arc::clone(&self.shared), ids);
        let url = Url {
            transport: Transport::Udp,
            address,
        };
        self.begin(url, move || socket.run())
    }

    /// A socket, or none where it may be missing.
    fn had<T>(&mut self, address: SocketAddr, opened: io::Result<T>) -> io::Result<Option<T>> {
        match opened {
            Ok(socket) => Ok(Some(socket)),
            Err(error) if listen::is_family_missing(address, &error) => {
                self.left_out.push(address);
                Ok(None)
            }
            Err(error) => Err(listen::explain(address, &error)),
        }
    }

    fn begin(&mut self, url: Url, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        // A thread that panics has told so on standard error.
        let (ends, _) = channel();
        let thread = supervise::start(&format!("lab-{}", url.transport), ends, move || {
            work();
            Ok(())
        })?;
        self.urls.push(url);
        self.threads.push(thread);
        Ok(())
    }

    /// Where clients announce to: HTTP, HTTPS, UDP, each in the order of the options.
    pub fn urls(&self) -> &[Url] {
        &self.urls
    }

    /// The first announce URL of a transport, if it has any: that of v4 unless the options say otherwise.
    pub fn url(&self, transport: Transport) -> Option<String> {
        let mut urls = self.urls.iter();
        let url = urls.find(|url| url.transport == transport)?;
        Some(url.to_string())
    }

    /// Addresses that are not listened on because this machine has no v6.
    pub fn left_out(&self) -> &[SocketAddr] {
        &self.left_out
    }

    /// The certificate of the authority that HTTPS is believed by, in PEM; none without HTTPS.
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// What happens from now on. Each call makes a reader of its own, who sees everything; one that does not read loses what comes
    /// while [`MAX_WAITING_EVENTS`] or [`MAX_WAITING_BYTES`] wait for it, and holds up nobody. It ends when the laboratory does.
    ///
    /// An exchange is told when its answer has been sent, so after the client may have it: `recv` waits for it. Exchanges are told in the
    /// order of their numbers, in which their requests came, and behind those of a connection its end. Only what had to wait, for a
    /// [`Step::Wait`](exchange::Step::Wait) or for a client that does not read, is told when it comes.
    pub fn events(&self) -> Events {
        self.shared.publisher.subscribe()
    }

    /// Events that some reader has lost because it did not read.
    pub fn lost_events(&self) -> u64 {
        self.shared.publisher.lost()
    }

    /// Datagrams that the system has thrown away because they came faster than they were read; 0 where it does not tell.
    pub fn dropped_datagrams(&self) -> u64 {
        dropped::datagrams(&self.inodes)
    }

    /// The time.
    pub fn now(&self) -> Moment {
        self.shared.clock.moment()
    }

    /// Sets virtual time forward, and lets expire what has expired by then. Planted peers stay.
    pub fn advance(&self, by: Duration) {
        self.shared.clock.advance(by);
        let now = self.shared.clock.now();
        self.shared.keep_up(now);
    }

    /// The living peers of a torrent, by address; none of one that nobody has.
    pub fn peers(&self, info_hash: InfoHash) -> Vec<SwarmPeer> {
        let now = self.shared.clock.now();
        self.shared.keep_up(now);
        let swarm = self.shared.tracker.export(&info_hash, now);
        let peers = swarm.map(|swarm| swarm.peers).unwrap_or_default();
        let peers = peers.iter().map(|peer| SwarmPeer {
            address: SocketAddr::new(peer.ip, peer.port),
            peer_id: peer.id,
            is_seeder: peer.is_seeder,
        });
        let mut peers: Vec<SwarmPeer> = peers.collect();
        peers.sort_unstable_by_key(|peer| peer.address);
        peers
    }

    /// The torrents that anybody has or had, in no particular order.
    pub fn torrents(&self) -> Vec<InfoHash> {
        self.shared.tracker.info_hashes()
    }

    /// Plants a peer: it is handed out as any other, and stays until it is removed, as if it announced. Whether there was room
    /// ([`MAX_PLANTED`]). Who announces from its address with another peer id takes no place from it.
    pub fn add_peer(&self, info_hash: InfoHash, peer: SwarmPeer) -> bool {
        let now = self.shared.clock.now();
        self.shared.plant(info_hash, peer, now)
    }

    /// Takes a planted peer away; whether there was one.
    pub fn remove_peer(&self, info_hash: InfoHash, address: SocketAddr) -> bool {
        let now = self.shared.clock.now();
        self.shared.uproot(info_hash, address, now)
    }

    /// The core itself.
    pub fn tracker(&self) -> &Arc<Tracker> {
        &self.shared.tracker
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.shared.stop.stop();
        for thread in self.threads.drain(..) {
            // Its panic, if any, has been told on standard error.
            drop(thread.join());
        }
        self.shared.publisher.close();
    }
}

/// Whoever panicked with a lock left nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
