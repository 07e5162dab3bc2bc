//! The configuration: INI file, `.env`, environment and command line become every component's settings, or a precise error.
//!
//! The only place that knows INI. It starts nothing and logs nothing; components know nothing of it. All that is known of a
//! key stands in one row of the table in [`keys`], from which come reading, checking, printing and the sample file.

mod check;
mod dialect;
mod env_file;
mod key;
mod keys;
mod list;
mod print;
mod problem;
mod sources;
mod value;
mod zones;

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, io};

pub use key::{Key, Section};
pub use keys::SECTIONS;
pub use list::ListenAddress;
pub use print::{Row, meaning, printed, rows, sample};
pub use problem::{Location, Problem, Problems};
pub use sources::{Loaded, Override, Sources};
pub use zones::ZoneSources;

use crate::net::client_address::ClientAddressRules;
use crate::net::{Networks, reported_address};
use crate::tracker::{ClientRule, ZoneRule};
use crate::{http, logging, regular_file, snapshot, tracker, udp, web};

/// Everything that can be configured.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen (`host`); empty for everywhere.
    pub hosts: Vec<ListenAddress>,
    /// The port of those that have none (`port`). Default 8080.
    pub port: u16,
    /// The core.
    pub tracker: tracker::Settings,
    /// Whose requests are refused (`ignore_ip`). Default nobody's.
    pub ignore_ip: Networks,
    /// Which clients are refused (`deny_clients`, `allow_clients`). Default none.
    pub clients: Vec<ClientRule>,
    /// Time between sweeps (`peer_cleanup_period`). Default 10 minutes.
    pub cleanup_period: Duration,
    /// How the client's address is found, and who is an admin; of HTTP and the pages.
    pub address_rules: ClientAddressRules,
    /// Which addresses clients may report of themselves; of HTTP and UDP.
    pub reported: reported_address::Rules,
    /// Whether addresses are listened at that the machine does not have yet (`free_bind`); of HTTP and UDP. Default no.
    pub free_bind: bool,
    /// HTTP.
    pub http: http::Settings,
    /// UDP.
    pub udp: udp::Settings,
    /// The port of UDP, where it is another than that of HTTP (`[UDP] port`).
    pub udp_port: Option<NonZeroU16>,
    /// The pages.
    pub web: web::Settings,
    /// What is said of zones; [`Config::zones`] is what comes of it.
    pub zoning: ZoneSources,
    /// The zones.
    pub zones: Vec<ZoneRule>,
    /// The snapshots.
    pub snapshot: snapshot::Settings,
    /// The log.
    pub logging: logging::Settings,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            hosts: Vec::new(),
            port: 8_080,
            tracker: tracker::Settings::default(),
            ignore_ip: Networks::default(),
            clients: Vec::new(),
            cleanup_period: Duration::from_secs(600),
            address_rules: ClientAddressRules::default(),
            reported: reported_address::Rules::default(),
            free_bind: false,
            http: http::Settings::default(),
            udp: udp::Settings::default(),
            udp_port: None,
            web: web::Settings::default(),
            zoning: ZoneSources::default(),
            zones: Vec::new(),
            snapshot: snapshot::Settings::default(),
            logging: logging::Settings::default(),
        }
    }
}

impl Config {
    /// Gives each component what several keys together decide.
    fn settle(&mut self) {
        let listen_addresses: &[ListenAddress] = if self.hosts.is_empty() {
            &ListenAddress::ALL
        } else {
            &self.hosts
        };
        let at = |port_of: &dyn Fn(&ListenAddress) -> SocketAddr| {
            let addresses: Vec<SocketAddr> = listen_addresses.iter().map(port_of).collect();
            list::distinct(&addresses)
        };
        self.http.listen = at(&|listen_address| listen_address.or_port(self.port));
        self.udp.listen = match self.udp_port {
            Some(port) => at(&|listen_address| SocketAddr::new(listen_address.ip, port.get())),
            None => self.http.listen.clone(),
        };
        (self.http.free_bind, self.udp.free_bind) = (self.free_bind, self.free_bind);
        self.http.address_rules = self.address_rules.clone();
        self.http.reported = self.reported.clone();
        self.udp.reported = self.reported.clone();
        self.web.snapshot_interval = self.snapshot.interval;
        if let Some(folder) = self.snapshot.file.parent() {
            self.web.state_folder = folder.to_owned();
        }
    }
}

/// Where the file is looked for when the command line names none: the container's volume first.
const STANDARD_FILES: [&str; 2] = ["/config/config.ini", "config/config.ini"];

/// What is read of a configuration file and of `.env` at most: a thousand times what anybody writes by hand.
const MAX_CONFIG_BYTES: u64 = 4 << 20;

/// What is read of a file of prefixes at most: a million lines.
const MAX_ZONES_BYTES: u64 = 32 << 20;

/// Knows where this process's configuration comes from, and reads it as often as asked: at the start and on SIGHUP.
#[derive(Clone, Debug, Default)]
pub struct Loader {
    file: Option<PathBuf>,
    overrides: Vec<Override>,
}

impl Loader {
    /// Takes the file that the command line names, if any, and what else stands there.
    pub fn new(file: Option<PathBuf>, overrides: Vec<Override>) -> Loader {
        Loader { file, overrides }
    }

    /// Reads everything anew.
    ///
    /// # Errors
    /// All that is wrong. A file that was named must be there; without a name none need be.
    pub fn load(&self) -> Result<Loaded, Problems> {
        let mut sources = Sources {
            overrides: self.overrides.clone(),
            ..Sources::default()
        };
        let standard = STANDARD_FILES
            .map(Path::new)
            .into_iter()
            .find(|path| path.exists());
        if let Some(path) = self.file.as_deref().or(standard) {
            let text = regular_file::read(path, MAX_CONFIG_BYTES);
            let text = text.map_err(|error| unreadable(path, &error))?;
            sources.file = Some((path.display().to_string(), text));
        }
        match regular_file::read(Path::new(".env"), MAX_CONFIG_BYTES) {
            Ok(text) => sources.env_file = text,
            // A folder of that name is somebody's Python.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::IsADirectory
                ) => {}
            Err(error) => return Err(unreadable(Path::new(".env"), &error)),
        }
        let variables = env::vars_os();
        sources.environment = variables
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        sources.resolve(&|path| regular_file::read(path, MAX_ZONES_BYTES))
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Problems {
    let text = format!("{}: cannot be read: {error}", path.display());
    Problems(vec![Problem(text)])
}

#[cfg(test)]
mod tests;
