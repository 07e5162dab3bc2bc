//! The composition root: builds the parts (bind, restore, start), runs until told to stop or until a part ends, and stops them
//! in order. The only place that knows all parts.
//!
//! - `backend.rs` ties the parts to each other by closures, `sites.rs` to other sites.
//! - `connection_key.rs` and `bans.rs` keep what UDP clients are known by, and bans, over a restart.
//! - `certificates.rs`, `key_file.rs` and `lists.rs` put files in force, at the start and when they change.
//! - `examine.rs` says what is to be said of a configuration before anything is built.
//! - `places.rs` says where the tracker can be reached, in addresses that one can use.
//! - `reload.rs` puts a new configuration in force.
//! - `service.rs` speaks to the service manager: sockets handed over, readiness, watchdog.
//! - `signals.rs` catches what an operator sends.

mod backend;
mod bans;
mod certificates;
mod connection_key;
mod examine;
mod key_file;
mod lists;
mod places;
mod reload;
mod secret_files;
mod service;
mod signals;
mod sites;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use arc_swap::ArcSwap;

use crate::clock::{Clock, Seconds};
use crate::config::{BAD_CONFIGURATION, Config, Loaded, Loader};
use crate::metrics::Metrics;
use crate::net::client_address::ClientAddressRules;
use crate::net::handover;
use crate::snapshot::Moment;
use crate::supervise::Exit;
use crate::tls::Acceptor;
use crate::tracker::Tracker;
use crate::tracker::report::census::Census;
use crate::{audit, http, logging, reaper, shown, snapshot, udp, watch, web};
use certificates::Watch;
pub use examine::{Outlook, examine};
use key_file::KeyFile;
use lists::Lists;
use service::Service;
use signals::Command;
pub use signals::Signals;

/// How often the main thread looks for signals and at the parts' signs of life.
const LOOK: Duration = Duration::from_millis(100);

/// The exit code when permissions keep the tracker from its own files: `EX_NOPERM`. Trying again would change nothing.
pub const NO_PERMISSION: u8 = 77;

/// How long requests under way may take at the stop.
const GRACE: Duration = Duration::from_secs(3);

/// All parts, running.
#[derive(Debug)]
pub struct App {
    clock: Clock,
    tracker: Arc<Tracker>,
    http: http::Running,
    udp: udp::Running,
    web: web::Running,
    audit: audit::Running,
    reaper: reaper::Running,
    /// The other sites; `None`: this tracker is alone.
    sites: Option<crate::sites::Running>,
    mailbox: snapshot::Mailbox,
    snapshots: JoinHandle<()>,
    key_file: KeyFile,
    ends: Receiver<Exit>,
    addresses: Vec<SocketAddr>,
    udp_addresses: Vec<SocketAddr>,
    /// What begins TLS, where it is listened at.
    tls: Option<Acceptor>,
    address_rules: Arc<ArcSwap<ClientAddressRules>>,
    bans: Arc<bans::Keeper>,
    /// What is in force, for a reload to compare with and for the about page.
    loaded: Arc<ArcSwap<Loaded>>,
    /// What the files of lists say.
    lists: Lists,
}

/// Why [`App::run`] returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was told to.
    Stopped,
    /// A part ended by itself.
    Failed(Exit),
}

impl App {
    /// Binds every socket, restores the swarms, then lets the parts serve. Nothing is answered before the swarms are back; who
    /// connects meanwhile waits in the listeners' queues.
    ///
    /// # Errors
    /// When an address is taken, the database is another process's or a newer version's, or a part cannot start.
    #[expect(
        clippy::too_many_lines,
        reason = "one part after another, in the one order that is right"
    )]
    pub fn build(loaded: Loaded, inherited: service::InheritedSockets) -> anyhow::Result<App> {
        let config = loaded.config.clone();
        let clock = Clock::start();
        let (ends_in, ends) = channel();
        let (pages, connections) = handover::channel(config.web.handover_limits());
        let (http, mut udp, tls) = bind(&config, inherited)?;
        let first_worker = http.workers();
        let tracker = core(&loaded, first_worker + udp.threads(), clock)?;
        // Before the swarms come back, so that whom a list covers is hidden from the first moment on.
        let lists = Lists::begin(&tracker, &config, clock);
        reload::report(tracker.metrics(), &loaded, clock);
        let address_rules = Arc::new(ArcSwap::from_pointee(config.address_rules.clone()));
        let rules = &address_rules;
        let restored = restore(&config, &tracker, &mut udp, rules, clock, &ends_in)?;
        let (mailbox, sites, origin) = (restored.mailbox, restored.sites, restored.origin);
        let key_file = KeyFile::start(&config, &tracker, &mailbox, clock.now());
        backend::restore_zone_statistics(&tracker, &mailbox);
        let census = Arc::new(ArcSwap::from_pointee(Census::default()));
        let bans = Arc::new(bans::Keeper::new(&config, &mailbox, clock, origin));
        udp.limit(Arc::clone(bans.limits()));
        let hooks = backend::of_reaper(&tracker, &mailbox, &bans, clock);
        let watch = Arc::new(watch::Watch::new(clock));
        udp.watch(Arc::clone(&watch));
        let http = http.watched(Arc::clone(&watch));
        let reaper = reaper::start(
            reload::reaper_settings(&config),
            Arc::clone(&tracker),
            clock,
            Arc::clone(&census),
            hooks,
            ends_in.clone(),
        )?;
        let (addresses, udp_addresses) = (http.addresses(), udp.addresses().to_vec());
        let loaded = Arc::new(ArcSwap::from_pointee(loaded));
        let audit = backend::start_audit(&config.web, clock, &ends_in)?;
        let mut backend = backend::of_pages(
            &mailbox,
            census,
            Arc::clone(&address_rules),
            Arc::clone(&loaded),
            (
                backend::listening(&addresses, &http.tls_addresses(), &udp_addresses),
                lists.status(),
            ),
            http.routes(&tracker, clock),
            audit.audit(),
            &bans,
        );
        backend.sites = sites.as_ref().map(sites::of_pages);
        backend.certificates = backend::certificates(tls.clone());
        backend.watch = watch;
        let web = web::start(
            config.web.clone(),
            Arc::clone(&tracker),
            clock,
            backend,
            connections,
            ends_in.clone(),
        )
        .context("the pages cannot start")?;
        let http = http.reporting(backend::reports(&web));
        let http = http.limited(Arc::clone(bans.limits()));
        let http = http.start(&tracker, clock, Some(pages), &ends_in)?;
        let udp = udp.start(&tracker, clock, first_worker, &ends_in)?;
        Ok(App {
            clock,
            tracker,
            http,
            udp,
            web,
            audit,
            reaper,
            sites,
            mailbox,
            snapshots: restored.snapshots,
            key_file,
            ends,
            addresses,
            udp_addresses,
            tls,
            address_rules,
            bans,
            loaded,
            lists,
        })
    }

    /// Where HTTP is served.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where HTTPS is served.
    pub fn tls_addresses(&self) -> &[SocketAddr] {
        self.http.tls_addresses()
    }

    /// Where UDP is served.
    pub fn udp_addresses(&self) -> &[SocketAddr] {
        &self.udp_addresses
    }

    /// The core.
    pub fn tracker(&self) -> &Arc<Tracker> {
        &self.tracker
    }

    /// Serves until SIGTERM, SIGINT or SIGQUIT, or until a part ends. SIGHUP reloads by `loader`, SIGUSR1 reopens the log.
    pub fn run(
        &self,
        loader: &Loader,
        log: &logging::Running,
        service: &mut Service,
        signals: &mut Signals,
    ) -> Outcome {
        service.ready(&self.status());
        let mut watch = Watch::new(&self.loaded.load(), self.clock.elapsed());
        loop {
            match self.ends.recv_timeout(LOOK) {
                Ok(end) => return Outcome::Failed(end),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            for command in signals.wishes() {
                match command {
                    Command::Reload => {
                        self.reload(loader, log);
                        watch.begin_anew(&self.loaded.load());
                        log.reopen();
                    }
                    Command::Reopen => log.reopen(),
                    Command::Stop => return Outcome::Stopped,
                }
            }
            let metrics = self.tracker.metrics();
            self.key_file.look(self.clock.now(), &self.mailbox, metrics);
            let config = &self.loaded.load().config;
            self.lists.look(&self.tracker, config, self.clock);
            self.look_at_certificates(&mut watch);
            if self.is_alive() {
                service.alive(self.clock.elapsed(), || self.status());
            }
        }
    }

    /// Whether the core answers and the background parts have given a sign of life lately.
    fn is_alive(&self) -> bool {
        let now = self.clock.now();
        self.tracker.scrape(&crate::tracker::InfoHash([0; 20]), now);
        service::is_fresh(self.tracker.metrics(), now)
    }

    fn status(&self) -> String {
        let peers = self.tracker.peers();
        format!("{peers} peers")
    }

    /// Stops listening, finishes requests, ends the parts, takes the last snapshot. Returns the fault with which the snapshot
    /// thread ended, if any: the last snapshot is not whole then.
    pub fn stop(self) -> Option<String> {
        self.http.stop(GRACE);
        self.web.stop();
        self.audit.stop();
        self.udp.stop();
        // Nobody announces any more: the others are told the last of it, and how far they were read is kept with the swarms.
        if let Some(sites) = self.sites {
            sites.stop();
        }
        self.reaper.stop();
        backend::keep_statistics(&self.tracker, &self.mailbox);
        self.bans.tend();
        self.mailbox.stop();
        drop(self.snapshots.join());
        let mut ended = self.ends.try_iter();
        ended.find_map(|end| end.fault.filter(|_| end.part == "snapshot"))
    }
}

/// The core, filled with what the configuration says; `workers` threads count for themselves.
fn core(loaded: &Loaded, workers: usize, clock: Clock) -> anyhow::Result<Arc<Tracker>> {
    let (config, metrics) = (&loaded.config, Arc::new(Metrics::new(workers)));
    let tracker = Arc::new(Tracker::new(config.tracker.clone(), metrics));
    reload::fill(&tracker, config, None, clock)?;
    Ok(tracker)
}

/// What there is once the core is filled.
struct Restored {
    mailbox: snapshot::Mailbox,
    snapshots: JoinHandle<()>,
    sites: Option<crate::sites::Running>,
    /// See [`bans::origin`].
    origin: (Seconds, u64),
}

/// Fills the core from the database and by what other sites have told meanwhile, and starts the threads that go on with both.
fn restore(
    config: &Config,
    tracker: &Arc<Tracker>,
    udp: &mut udp::Bound,
    rules: &sites::AddressRules,
    clock: Clock,
    ends: &Sender<Exit>,
) -> anyhow::Result<Restored> {
    let database = snapshot::open(&config.snapshot, clock.wall())?;
    let renamed = sites::renamed(config, &database);
    let restored = database.restore_as(tracker, Moment::of(&clock), renamed);
    lists::warn_of_none(tracker);
    // Keys may have been required since the last stop only.
    reload::remove_keyless(tracker, clock);
    if udp.threads() > 0 {
        udp.resume(connection_key::ids(&config.snapshot, &restored, clock)?);
    }
    let origin = bans::origin(&restored, clock);
    let slot = sites::Slot::default();
    let (kept, links) = (sites::kept(&restored), sites::links(config, &slot));
    let (mailbox, snapshots) = restored.start(Arc::clone(tracker), clock, links, ends.clone())?;
    let ties = (&mailbox, &slot, rules);
    let sites = sites::start(config, kept.as_deref(), tracker, ties, clock, ends)?;
    Ok(Restored {
        mailbox,
        snapshots,
        sites,
        origin,
    })
}

/// Binds every socket, or takes over those that were handed over; with what begins TLS, where that is listened for.
fn bind(
    config: &Config,
    inherited: service::InheritedSockets,
) -> anyhow::Result<(http::Bound, udp::Bound, Option<Acceptor>)> {
    let tls = certificates::acceptor(config, &inherited)?;
    let mut http = http::bind(&config.http, inherited.tcp).context("HTTP cannot listen")?;
    if let Some(acceptor) = tls.clone() {
        let with_tls = http.with_tls(&config.http, inherited.tls, acceptor);
        http = with_tls.context("HTTPS cannot listen")?;
    }
    let udp = udp::bind(&config.udp, inherited.udp).context("UDP cannot listen")?;
    Ok((http, udp, tls))
}

/// Runs the tracker as the command line asks: 0 after an orderly stop, 1 when something failed, 77 and 78 for what `--check-config` would
/// refuse.
pub fn serve(
    loader: &Loader,
    loaded: Loaded,
    log: &logging::Running,
    mut signals: Signals,
) -> ExitCode {
    log::info!("retracker {} starts", env!("CARGO_PKG_VERSION"));
    log::info!("{}", places::configuration(&loaded.place));
    let outlook = examine(&loaded);
    for (level, text) in &outlook.remarks {
        log::log!(*level, "{text}");
    }
    for refused in &outlook.refused {
        log::error!("{refused}");
    }
    if !outlook.denied.is_empty() {
        for denied in &outlook.denied {
            log::error!("the tracker cannot start: {denied}");
        }
        return ExitCode::from(NO_PERMISSION);
    }
    if !outlook.faults.is_empty() {
        for fault in &outlook.faults {
            log::error!("the tracker cannot start: {fault}");
        }
        return ExitCode::from(BAD_CONFIGURATION);
    }
    let mut service = Service::new();
    let outcome = App::build(loaded, service.inherit()).and_then(|app| {
        announce(&app, &service);
        let outcome = app.run(loader, log, &mut service, &mut signals);
        match &outcome {
            Outcome::Failed(end) => log::error!("{}", describe(end)),
            Outcome::Stopped => log::info!("stopping"),
        }
        service.stopping();
        if let Some(fault) = app.stop() {
            anyhow::bail!("the last snapshot failed: {fault}");
        }
        log::info!("stopped");
        Ok(outcome)
    });
    match outcome {
        Ok(Outcome::Stopped) => ExitCode::SUCCESS,
        Ok(Outcome::Failed(_)) => ExitCode::FAILURE,
        Err(error) => {
            log::error!("{}", shown::with_causes(&error));
            ExitCode::FAILURE
        }
    }
}

/// Says where everything is, and how to end it where nobody else does.
fn announce(app: &App, service: &Service) {
    let has_pages = app.loaded.load().config.web.is_enabled;
    for line in places::lines(
        app.addresses(),
        app.tls_addresses(),
        app.udp_addresses(),
        has_pages,
    ) {
        log::info!("{line}");
    }
    if !service.is_managed() {
        log::info!("in the foreground, until Ctrl-C or SIGTERM; a last snapshot is taken then");
    }
}

fn describe(end: &Exit) -> String {
    let fault = end.fault.as_deref().unwrap_or("it ended by itself");
    format!("{} ended, so the tracker stops: {fault}", end.part)
}
