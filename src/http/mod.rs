//! The HTTP tracker (BEP 3, 7, 23, 48): a lean HTTP/1.x loop that answers announces and scrapes itself and hands every other
//! request, with what it has read of it, to whoever serves the pages on the same port.
//!
//! - [`codec`] reads request heads and queries and writes replies: bytes in, values out, and back.
//! - `handler` answers one request, `pipeline` a buffer of them; neither knows a socket.
//! - `socketless` is a connection without one, for tests and fuzzing.
//! - `worker` is the loop on the sockets: `accept` on its listeners, `advance` on its connections, `proxied` on what proxies
//!   say before them, with `timers` (time limits) and `permits` (bounds on connections); `tls` stands before the requests of a
//!   connection to a TLS port, `handshakes` bounds what that costs. `listen` opens the sockets.
//! - `full_scrape` tells all torrents, for the pages to send.
//! - `watched` is a request as a watcher sees it.
//! - `actix` mounts the same answers on actix-web, for requests that came another way.

mod actix;
pub mod codec;
mod full_scrape;
mod handler;
mod listen;
mod pipeline;
mod settings;
mod socketless;
mod watched;
mod worker;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustix::event::{EventfdFlags, eventfd};

use crate::clock::Clock;
use crate::metrics::Gauge;
use crate::net::handover;
use crate::net::limits::Limits;
use crate::supervise;
use crate::supervise::Exit;
use crate::tls::Acceptor;
use crate::tracker::Tracker;
use crate::watch::Watch;
use handler::Handler;
use listen::Listeners;
use worker::Worker;
use worker::accept::Listener;
use worker::handshakes::HandshakeLimiter;
use worker::permits::ConnectionLimiter;

pub use actix::Routes;
pub use full_scrape::FullScrape;
pub use settings::{Settings, TlsSettings};
pub use socketless::{Ending, Front, SocketlessConnection};

/// What may be asked about the process itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Whether it and all of its parts are alive (`/health`).
    Health,
    /// Whether all is restored as well (`/ready`).
    Ready,
}

/// How the process is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeReply {
    /// Whether all is well: 200, else 503.
    pub is_good: bool,
    /// JSON.
    pub body: String,
}

/// Tells how the process is, in more words to an admin (`true`). Called on a worker, so that strangers who take all permits of the
/// pages hide nothing from whoever watches; it must not block.
pub type ProbeResponder = Arc<dyn Fn(Probe, bool) -> ProbeReply + Send + Sync>;

/// Settings with what follows from them.
#[derive(Debug)]
struct LiveSettings {
    settings: Settings,
    max_connections: usize,
}

impl LiveSettings {
    fn new(settings: Settings) -> LiveSettings {
        LiveSettings {
            max_connections: worker::permits::connection_limit(settings.max_connections),
            settings,
        }
    }
}

/// What the workers share.
struct Shared {
    live: Arc<ArcSwap<LiveSettings>>,
    limiter: Arc<ConnectionLimiter>,
    tls: Option<Acceptor>,
    handshakes: Arc<HandshakeLimiter>,
    pages: Option<handover::Sender>,
    reports: Option<ProbeResponder>,
    grace_ms: AtomicU64,
}

impl Shared {
    fn grace(&self) -> Duration {
        Duration::from_millis(self.grace_ms.load(Relaxed))
    }
}

/// Listening sockets that nobody serves yet.
pub struct Bound {
    live: Arc<ArcSwap<LiveSettings>>,
    listeners: Vec<Listeners>,
    tls_listeners: Vec<Listeners>,
    tls: Option<Acceptor>,
    workers: usize,
    reports: Option<ProbeResponder>,
    limits: Arc<Limits>,
    watch: Arc<Watch>,
}

impl std::fmt::Debug for Bound {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Bound")
            .field("live", &self.live)
            .field("listeners", &self.listeners)
            .field("tls_listeners", &self.tls_listeners)
            .finish_non_exhaustive()
    }
}

/// Opens the listening sockets of the settings, or takes over `inherited` ones in their stead when there are any.
///
/// # Errors
/// When an address cannot be had: in use, not ours, not permitted. A v6 address on a system without v6 is passed over with a
/// warning as long as another address is left.
pub fn bind(settings: &Settings, inherited: Vec<TcpListener>) -> io::Result<Bound> {
    Ok(Bound {
        live: Arc::new(ArcSwap::from_pointee(LiveSettings::new(settings.clone()))),
        listeners: open_all(settings, &settings.listen, inherited)?,
        tls_listeners: Vec::new(),
        tls: None,
        workers: settings.worker_count(),
        reports: None,
        limits: Arc::default(),
        watch: Arc::new(Watch::new(Clock::start())),
    })
}

/// The listening sockets at the addresses, or `inherited` ones in their stead.
fn open_all(
    settings: &Settings,
    addresses: &[SocketAddr],
    inherited: Vec<TcpListener>,
) -> io::Result<Vec<Listeners>> {
    let workers = settings.worker_count();
    let mut listeners = Vec::new();
    let mut missing = None;
    for listener in inherited {
        listeners.push(listen::adopt(listener, workers)?);
    }
    let addresses = if listeners.is_empty() { addresses } else { &[] };
    for address in addresses {
        match listen::open(*address, workers, settings.free_bind) {
            Ok(opened) => listeners.push(opened),
            Err(error) if listen::is_family_missing(*address, &error) => {
                log::warn!("http: {address} is left out: {error}");
                missing = Some(error);
            }
            Err(error) => return Err(listen::explain(*address, &error)),
        }
    }
    if listeners.is_empty() {
        return Err(missing.unwrap_or_else(|| io::Error::other("no address to listen on")));
    }
    Ok(listeners)
}

impl Bound {
    /// Where it listens, with the real ports.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners
            .iter()
            .map(|listeners| listeners.address)
            .collect()
    }

    /// Listens for TLS besides, at the addresses of the settings for it or on `inherited` sockets in their stead, with sessions that
    /// `acceptor` begins.
    ///
    /// # Errors
    /// As [`bind`].
    pub fn with_tls(
        self,
        settings: &Settings,
        inherited: Vec<TcpListener>,
        acceptor: Acceptor,
    ) -> io::Result<Bound> {
        Ok(Bound {
            tls_listeners: open_all(settings, &settings.tls.listen, inherited)?,
            tls: Some(acceptor),
            ..self
        })
    }

    /// Where it listens for TLS, with the real ports.
    pub fn tls_addresses(&self) -> Vec<SocketAddr> {
        let listeners = self.tls_listeners.iter();
        listeners.map(|listeners| listeners.address).collect()
    }

    /// How many workers there will be; each has counters of its own, the first of all.
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// The tracker's answers for actix-web, under the settings in force.
    pub fn routes(&self, tracker: &Arc<Tracker>, clock: Clock) -> Routes {
        let watch = Arc::clone(&self.watch);
        Routes::new(Arc::clone(tracker), clock, Arc::clone(&self.live), watch)
    }

    /// Answers `/health` and `/ready` with what `reports` tells; without it they are pages.
    #[must_use]
    pub fn reporting(self, reports: ProbeResponder) -> Bound {
        Bound {
            reports: Some(reports),
            ..self
        }
    }

    /// Refuses who asks for too much, or is banned. Without it nobody is refused for that.
    #[must_use]
    pub fn limited(self, limits: Arc<Limits>) -> Bound {
        Bound { limits, ..self }
    }

    /// Tells what is answered to whoever watches; without it nobody can.
    #[must_use]
    pub fn watched(self, watch: Arc<Watch>) -> Bound {
        Bound { watch, ..self }
    }

    /// Starts the workers. Requests that are not for the tracker go to `pages`; without them they are not found.
    ///
    /// # Errors
    /// When the system gives no thread or no descriptor.
    pub fn start(
        self,
        tracker: &Arc<Tracker>,
        clock: Clock,
        pages: Option<handover::Sender>,
        ends: &Sender<Exit>,
    ) -> io::Result<Running> {
        let (addresses, tls_addresses) = (self.addresses(), self.tls_addresses());
        let mut opened_at: Vec<Vec<Listener>> = (0..self.workers).map(|_| Vec::new()).collect();
        let plain = self.listeners.into_iter().map(|plain| (plain, false));
        let tls = self.tls_listeners.into_iter().map(|tls| (tls, true));
        for (listeners, is_tls) in plain.chain(tls) {
            for (opened_at, socket) in opened_at.iter_mut().zip(listeners.sockets) {
                opened_at.push(Listener::new(socket, listeners.is_shared, is_tls));
            }
        }
        let metrics = tracker.metrics();
        let shared = Arc::new(Shared {
            live: self.live,
            limiter: Arc::new(ConnectionLimiter::new(Arc::clone(metrics))),
            tls: self.tls,
            handshakes: Arc::new(HandshakeLimiter::new(Arc::clone(metrics))),
            pages,
            reports: self.reports,
            grace_ms: AtomicU64::new(0),
        });
        let mut running = Running {
            shared: Arc::clone(&shared),
            tracker: Arc::clone(tracker),
            addresses,
            tls_addresses,
            wakes: Vec::new(),
            threads: Vec::new(),
        };
        for (index, opened_at) in opened_at.into_iter().enumerate() {
            let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
            running.wakes.push(wake.try_clone()?);
            let handler = Handler::new(Arc::clone(tracker), clock, Some(index));
            let handler = handler.limited(&self.limits).watched(&self.watch);
            let worker = Worker::new(Arc::clone(&shared), clock, handler, opened_at, wake)?;
            let thread =
                supervise::start(&format!("http-{index}"), ends.clone(), move || worker.run())?;
            running.threads.push(thread);
        }
        Ok(running)
    }
}

/// The HTTP tracker at work. Dropping it stops it without grace.
pub struct Running {
    shared: Arc<Shared>,
    tracker: Arc<Tracker>,
    addresses: Vec<SocketAddr>,
    tls_addresses: Vec<SocketAddr>,
    wakes: Vec<OwnedFd>,
    threads: Vec<JoinHandle<()>>,
}

impl Running {
    /// Where it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where it listens for TLS.
    pub fn tls_addresses(&self) -> &[SocketAddr] {
        &self.tls_addresses
    }

    /// Replaces the settings, except `listen` and `workers`. Connections that are held stay.
    pub fn configure(&self, settings: Settings) {
        // Whether a proxy is overlooked still is seen anew.
        self.tracker.metrics().set(Gauge::UntrustedProxy, 0);
        self.shared
            .live
            .store(Arc::new(LiveSettings::new(settings)));
    }

    /// Stops listening, gives requests under way `grace` to finish, and returns when all workers have ended. Their ends are
    /// reported on the channel, as any part's.
    pub fn stop(mut self, grace: Duration) {
        self.end(grace);
    }

    fn end(&mut self, grace: Duration) {
        // Saturates after half a billion years.
        let grace = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        self.shared.grace_ms.store(grace, Relaxed);
        for wake in self.wakes.drain(..) {
            if let Err(error) = rustix::io::write(&wake, &1_u64.to_ne_bytes()) {
                log::error!("http: a worker cannot be woken: {error}");
            }
        }
        for thread in self.threads.drain(..) {
            // Its panic, if any, has been reported on the channel of ends.
            drop(thread.join());
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end(Duration::ZERO);
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Running")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}
