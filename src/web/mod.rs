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
mod jobs;
mod monitor;
mod pages;
mod refusal;
mod routes;
mod server;
mod settings;
mod view;

use std::io;
use std::sync::{Arc, Mutex};

pub use announce_url::{AnnounceUrl, NoAnnounceUrl};
pub use auth::password::{PasswordError, hash as hash_password};
pub use auth::tokens::{MAX_TOKENS, NAME_CHARACTERS, Token, TokenError, Tokens};
pub use backend::{Backend, BackendError, ConfigurationRow, Listening, NewBlock, Routes};
pub use examine::{Examined, examine};
pub use server::{Running, start};
pub use settings::{Secret, Settings};

use crate::clock::{Clock, Wall};
use crate::metrics::Metrics;
use crate::tracker::Tracker;
use auth::password::Credentials;
use auth::sessions::Store;
use auth::throttle::Throttle;
use jobs::Jobs;
use monitor::history::History;
use monitor::sampler::Rates;
use view::subscribers::SubscriberPage;
use view::templates::Templates;

/// Views of peers and torrents counted at a time: each takes a thread for some 100 ms at a million peers.
const VIEWS_AT_A_TIME: usize = 1;
/// Changes of the blocklist and the tokens that wait for the disk at a time.
const WRITES_AT_A_TIME: usize = 4;
/// Snapshots on demand at a time.
const SAVES_AT_A_TIME: usize = 1;

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
    credentials: Credentials,
    throttle: Throttle,
    tokens: Tokens,
    sessions: Store,
    hashes: Jobs,
    views: Jobs,
    writes: Jobs,
    saves: Jobs,
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
        let templates = Templates::load(settings.templates.as_deref())?;
        Ok(State {
            subscriber_page: SubscriberPage::new(&templates, &settings.subscriber_page)?,
            templates,
            key: auth::secrets::session_key(&settings)?,
            credentials,
            throttle: Throttle::new(settings.login_failures, settings.login_window),
            tokens: Tokens::new(&settings.state_folder),
            sessions: Store::new(clock, settings.session_idle, settings.session_limit),
            hashes: Jobs::new("web-hash", pages::login::HASHES_AT_A_TIME),
            views: Jobs::new("web-view", VIEWS_AT_A_TIME),
            writes: Jobs::new("web-write", WRITES_AT_A_TIME),
            saves: Jobs::new("web-save", SAVES_AT_A_TIME),
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
}
