//! Pages for people, the API, and the endpoints for monitoring. No announce passes through here. Only the lists of peers and
//! torrents walk the swarms, one list at a time, on a thread apart; every other page reads the census.
//!
//! The component runs actix-web's application on one thread of its own. It owns no listener: connections come from whoever
//! accepted them, with the bytes that were read already; each is read for one request and answered once.

mod about;
mod api;
mod assets;
mod blocklist;
mod caller;
mod callers;
mod client_name;
mod clients;
mod connection;
mod doors;
mod feed;
mod form;
mod guard;
mod health;
mod history;
mod language;
mod login;
mod overview;
mod page;
mod params;
mod password;
mod peers;
mod places;
mod prometheus;
mod reply;
mod request;
mod routes;
mod sampler;
mod secrets;
mod server;
mod sessions;
mod settings;
mod templates;
mod throttle;
mod tokens;
mod torrents;
mod work;
mod zones;

use std::io;
use std::sync::{Arc, Mutex};

pub use connection::Handed;
pub use doors::{ConfigurationRow, Doors, NewBlock, Routes};
pub use password::{PasswordError, hash as hash_password};
pub use server::{Running, start};
pub use settings::{Secret, Settings};
pub use tokens::{MOST_TOKENS, NAME_CHARACTERS, Token, Tokens};

use crate::clock::{Clock, Wall};
use crate::metrics::Metrics;
use crate::tracker::Tracker;
use history::History;
use password::Credentials;
use sampler::Rates;
use sessions::Store;
use templates::Templates;
use throttle::Throttle;
use work::Work;

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
    doors: Doors,
    templates: Templates,
    key: Vec<u8>,
    credentials: Credentials,
    throttle: Throttle,
    tokens: Tokens,
    sessions: Store,
    hashes: Work,
    views: Work,
    writes: Work,
    saves: Work,
    history: Mutex<History>,
    rates: Mutex<Rates>,
}

/// What the pages are given by the composition root beside their settings and doors.
#[derive(Clone, Debug)]
pub struct House {
    /// The core.
    pub tracker: Arc<Tracker>,
    /// The clock of the process.
    pub clock: Clock,
}

impl State {
    fn new(settings: Settings, house: House, doors: Doors) -> io::Result<State> {
        let metrics = Arc::clone(house.tracker.metrics());
        let password = secrets::login_password(&settings, &mut io::stderr())?;
        let credentials = Credentials::new(&settings.username, &password)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        if credentials.is_known() {
            log::error!(
                "the password of the pages stands in every manual; it works from this machine only. \
                 Set a better one: retracker hash-password"
            );
        } else if credentials.is_plain() {
            log::warn!(
                "the password of the pages is plain text; retracker hash-password makes a hash of it"
            );
        }
        Ok(State {
            key: secrets::session_key(&settings)?,
            credentials,
            templates: Templates::load(settings.templates.as_deref())?,
            throttle: Throttle::new(settings.login_failures, settings.login_window),
            tokens: Tokens::new(&settings.state_folder),
            sessions: Store::new(house.clock, settings.session_idle, settings.session_limit),
            hashes: Work::new("web-hash", login::HASHES_AT_A_TIME),
            views: Work::new("web-view", VIEWS_AT_A_TIME),
            writes: Work::new("web-write", WRITES_AT_A_TIME),
            saves: Work::new("web-save", SAVES_AT_A_TIME),
            history: Mutex::new(sampler::restore(&doors)),
            rates: Mutex::default(),
            started: house.clock.wall(),
            clock: house.clock,
            tracker: house.tracker,
            metrics,
            settings,
            doors,
        })
    }
}
