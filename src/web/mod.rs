//! Pages for people, the API, and the endpoints for monitoring. No announce passes through here. Only the lists of peers and
//! torrents walk the swarms, one list at a time, on a thread apart; every other page reads the census.
//!
//! The component runs actix-web's application on one thread of its own. It owns no listener: connections come by a channel
//! ([`crate::net::handover`]), with the bytes that were read already; each is read for one request and answered once.

mod announce_url;
mod api;
mod auth;
mod backend;
mod client;
mod examine;
mod full_scrape;
mod jobs;
mod key_api;
mod monitor;
mod pages;
mod refusal;
mod routes;
mod server;
mod settings;
mod sites;
mod view;
mod watch;

use std::io;
use std::sync::{Arc, Mutex};

pub use announce_url::{AnnounceUrl, NoAnnounceUrl};
pub use auth::password::{PasswordError, hash as hash_password};
pub use auth::tokens::{
    Admission, MAX_TOKENS, NAME_CHARACTERS, NewToken, Scope, Token, TokenError, Tokens,
};
pub use auth::user::{Role, User, UserError};
pub use auth::users::MAX_USERS;
pub use auth::uses::Uses;
pub use backend::{
    Backend, BackendError, CertificateRow, Certificates, ConfigurationRow, FullScrape, ListFile,
    ListFileSubject, Listening, NewBlock, Routes, TorrentListChange, TorrentListOutcome,
};
pub use examine::{Examined, examine};
pub use server::{Running, start};
pub use settings::Settings;
pub use sites::{
    Difference, ENGINE_STATES, Engine, Lag, Outgoing, SITES_TROUBLES, Site, Sites, SitesStatus,
    SitesTrouble,
};
pub use view::language::moment;

use arc_swap::ArcSwap;

use crate::clock::{Clock, Wall};
use crate::metrics::Metrics;
use crate::tracker::Tracker;
use auth::password::Credentials;
use auth::sessions::Store;
use auth::throttle::Throttle;
use auth::users::Users;
use jobs::Jobs;
use monitor::history::History;
use monitor::sampler::Rates;
use view::subscribers::SubscriberPage;
use view::templates::Templates;

/// Password hashes computed at a time: each takes 19 MiB and some 50 ms.
const HASHES_AT_A_TIME: usize = 4;
/// Views of peers and torrents counted at a time: each takes a thread for some 100 ms at a million peers.
const VIEWS_AT_A_TIME: usize = 1;
/// Changes of the blocklist and the tokens that wait for the disk at a time.
const WRITES_AT_A_TIME: usize = 4;
/// Snapshots on demand at a time.
const SAVES_AT_A_TIME: usize = 1;

/// Scrapes of all torrents under way at a time: each keeps 20 bytes a torrent, and takes a thread for as long as its reader does.
const SCRAPES_AT_A_TIME: usize = 1;

/// Readings of the audit's files at a time.
const AUDITS_AT_A_TIME: usize = 1;

/// What all handlers share.
struct State {
    settings: Settings,
    tracker: Arc<Tracker>,
    metrics: Arc<Metrics>,
    clock: Clock,
    started: Wall,
    backend: Backend,
    templates: Templates,
    subscriber_page: Option<SubscriberPage>,
    key: Vec<u8>,
    users: ArcSwap<Users>,
    throttle: Throttle,
    tokens: Tokens,
    uses: Uses,
    sessions: Store,
    hashes: Jobs,
    views: Jobs,
    writes: Jobs,
    saves: Jobs,
    audits: Jobs,
    scrapes: Jobs,
    history: Mutex<History>,
    rates: Mutex<Rates>,
}

impl State {
    fn new(
        settings: Settings,
        tracker: Arc<Tracker>,
        clock: Clock,
        backend: Backend,
    ) -> io::Result<State> {
        let password = auth::secrets::login_password(&settings, &mut io::stderr())?;
        let credentials = Credentials::new(&settings.username, &password)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let users = Users::new(&settings.username, credentials, &settings.users);
        let users = users.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let templates = Templates::load(settings.templates.as_deref())?;
        Ok(State {
            subscriber_page: SubscriberPage::new(&templates, &settings.subscriber_page)?,
            templates,
            key: auth::secrets::session_key(&settings)?,
            users: ArcSwap::from_pointee(users),
            throttle: Throttle::new(settings.login_failures, settings.login_window),
            tokens: Tokens::new(&settings.state_folder),
            uses: Uses::load(&settings.state_folder),
            sessions: Store::new(clock, settings.session_idle, settings.session_limit),
            hashes: Jobs::new("web-hash", HASHES_AT_A_TIME),
            views: Jobs::new("web-view", VIEWS_AT_A_TIME),
            writes: Jobs::new("web-write", WRITES_AT_A_TIME),
            saves: Jobs::new("web-save", SAVES_AT_A_TIME),
            audits: Jobs::new("web-audit", AUDITS_AT_A_TIME),
            scrapes: Jobs::new("web-scrape", SCRAPES_AT_A_TIME),
            history: Mutex::new(monitor::sampler::restore(&backend)),
            rates: Mutex::default(),
            started: clock.wall(),
            clock,
            metrics: Arc::clone(tracker.metrics()),
            tracker,
            settings,
            backend,
        })
    }

    /// Puts other users in force: the session of one who is gone or has got another role or password is over.
    fn set_users(&self, others: &[User]) {
        let settings = Settings {
            users: others.to_vec(),
            ..self.settings.clone()
        };
        for warning in auth::users::warnings(&settings) {
            log::warn!("{warning}");
        }
        match self.users.load().with(others) {
            Ok(users) => self.users.store(Arc::new(users)),
            // Each was read as a hash before.
            Err(error) => log::error!("the users are not changed: {error}"),
        }
    }

    /// Writes when tokens were used last. For threads that may wait.
    fn keep_uses(&self) {
        let kept = self
            .tokens
            .list()
            .and_then(|tokens| self.uses.keep(&tokens));
        if let Err(error) = kept {
            log::warn!("when tokens were used last is not kept: {error}");
        }
    }
}
