//! What the pages can be told, with units and defaults.

use std::path::PathBuf;
use std::time::Duration;

use super::announce_url::AnnounceUrl;
use super::auth::user::User;
use crate::net::handover::Limits;
use crate::secret::Secret;

/// How the pages are served and who may see them.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether there are pages and the API at all (`enabled`). Default yes. `/health`, `/ready` and `/metrics` stay without.
    pub is_enabled: bool,
    /// Name for the login (`access_username`). Default `admin`.
    pub username: String,
    /// Password for the login (`access_password`): a PHC string as `retracker hash-password` prints it, or plain text, with a
    /// warning. Default none: one is made at the first start, shown once on the console, and kept hashed in `state_folder`.
    pub password: Option<Secret>,
    /// Who else may log in, and with which role (`[USERS]`). Default nobody.
    pub users: Vec<User>,
    /// Key that signs session cookies (`secret_key`), at least 64 bytes; a shorter one or one out of a sample is passed over
    /// with a warning. Default none: one is made at the first start and kept in `state_folder`.
    pub secret_key: Option<Secret>,
    /// Where the made password, the made key and the tokens of the API are kept, readable by the owner only. The composition
    /// root names the database's folder. Default `snapshots`.
    pub state_folder: PathBuf,
    /// A folder whose templates, languages and static files stand before those in the binary (`templates`). Default none.
    pub templates: Option<PathBuf>,
    /// A session without a view of a page for this long is over (`session_idle`). Default 30 minutes.
    pub session_idle: Duration,
    /// A session is over after this long, whatever happens (`session_limit`). Default 12 hours.
    pub session_limit: Duration,
    /// Wrong passwords of one address (v6: one /64) within `login_window` before it has to wait (`login_failures`).
    /// Default 5.
    pub login_failures: u32,
    /// How long a wrong password counts (`login_window`). Default 15 minutes.
    pub login_window: Duration,
    /// Connections served at a time, besides 64 that only admin networks can take; more are refused at once
    /// (`max_page_connections`). Default 256.
    pub max_connections: usize,
    /// Those of one v4 address or one v6 /64 outside the admin networks (`max_page_connections_per_address`). Default 12: two
    /// browsers that load a page with its files. 0: any number.
    pub max_connections_per_address: usize,
    /// A connection is closed this long after it came, whatever it does (`page_limit`); one that is given a scrape of all torrents, when it
    /// takes nothing for as long. Default 20 s.
    pub connection_limit: Duration,
    /// How often snapshots are made, for `/health`: one that is three times as old is a fault. The composition root copies
    /// it from the snapshots' own settings. Default 60 s; 0 for no snapshots.
    pub snapshot_interval: Duration,
    /// How often the live figures on a page are fetched (`refresh`). Default 5 s; 0 for never.
    pub refresh: Duration,
    /// Whether operators may watch requests as they are answered (`watch`). Default yes.
    pub may_watch: bool,
    /// For how long a browser that came by TLS asks for nothing without it (`[TLS] hsts`; RFC 6797). Default a day; 0: it is not told.
    pub hsts: Duration,
    /// The addresses that a page at `/` tells subscribers to announce to (`subscriber_page`). Default none: there is no such page.
    pub subscriber_page: Vec<AnnounceUrl>,
}

impl Settings {
    /// The bounds on the channel by which the pages get their connections.
    pub fn handover_limits(&self) -> Limits {
        Limits {
            total: self.max_connections,
            per_subscriber: self.max_connections_per_address,
        }
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            is_enabled: true,
            username: "admin".into(),
            password: None,
            users: Vec::new(),
            secret_key: None,
            state_folder: "snapshots".into(),
            templates: None,
            session_idle: Duration::from_mins(30),
            session_limit: Duration::from_hours(12),
            login_failures: 5,
            login_window: Duration::from_mins(15),
            max_connections: 256,
            max_connections_per_address: 12,
            connection_limit: Duration::from_secs(20),
            snapshot_interval: Duration::from_secs(60),
            refresh: Duration::from_secs(5),
            may_watch: true,
            hsts: Duration::from_hours(24),
            subscriber_page: Vec::new(),
        }
    }
}
