//! The configuration: INI file, `.env`, environment and command line become every component's settings, or a precise error.
//!
//! The only place that knows INI. It starts nothing and logs nothing; components know nothing of it. All that is known of a
//! key stands in one row of the table in [`keys`], from which come reading, checking, printing and the sample file.

mod certificates;
mod check;
mod dialect;
mod env_file;
mod key;
mod keys;
mod language;
mod list;
mod place;
mod print;
mod problem;
mod russian;
mod sites;
mod sources;
mod value;
mod zones;

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, io};

pub use certificates::TlsSources;
pub use key::{Key, Section};
pub use keys::SECTIONS;
pub use language::Language;
pub use list::{ListenAddress, network};
pub use place::{Place, Reason};
pub use print::{Row, about, digest, example, meaning, printed, rows, sample};
pub use problem::{Location, Problem, Problems};
pub use sites::{EngineUser, SiteSources};
pub use sources::{Loaded, Override, Sources};
pub use zones::{ZoneSources, read_zones_file, zone_path};

use crate::net::client_address::ClientAddressRules;
use crate::net::{Networks, limits, reported_address};
use crate::tracker::{ClientRule, ZoneRule};
use crate::{
    http, lists, logging, regular_file, sites as other_sites, snapshot, tracker, udp, web,
};

/// The exit code of a configuration that cannot be used: `EX_CONFIG`.
pub const BAD_CONFIGURATION: u8 = 78;

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
    /// Whose requests alone are served (`allow_networks`). Default everybody's: none is named.
    pub allow_networks: Networks,
    /// Files of listed torrents and of what is blocked (`torrents`, `torrents_file`, `blocklist_file`).
    pub lists: lists::Settings,
    /// Which clients are refused (`deny_clients`, `allow_clients`). Default none.
    pub clients: Vec<ClientRule>,
    /// A file with keys of announce addresses (`keys_file`). Default none.
    pub keys_file: Option<PathBuf>,
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
    /// TLS (`[TLS]`): where to listen, and the certificates; HTTP gets the addresses.
    pub tls: TlsSources,
    /// UDP.
    pub udp: udp::Settings,
    /// The port of UDP, where it is another than that of HTTP (`[UDP] port`).
    pub udp_port: Option<NonZeroU16>,
    /// How much one source may ask for; of HTTP, UDP and the pages.
    pub limits: limits::Settings,
    /// The pages.
    pub web: web::Settings,
    /// Who else may log in (`[USERS]`), and where that was said; the pages get them.
    pub users: Vec<(web::User, Location)>,
    /// What is said of zones; [`Config::zones`] is what comes of it.
    pub zoning: ZoneSources,
    /// The zones.
    pub zones: Vec<ZoneRule>,
    /// What is said of other sites; [`Config::sites`] is what comes of it.
    pub site_sources: SiteSources,
    /// The other sites; `None`: this tracker is alone.
    pub sites: Option<other_sites::Settings>,
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
            allow_networks: Networks::default(),
            lists: lists::Settings::default(),
            clients: Vec::new(),
            keys_file: None,
            cleanup_period: Duration::from_secs(600),
            address_rules: ClientAddressRules::default(),
            reported: reported_address::Rules::default(),
            free_bind: false,
            http: http::Settings::default(),
            tls: TlsSources::default(),
            udp: udp::Settings::default(),
            udp_port: None,
            limits: limits::Settings::default(),
            web: web::Settings::default(),
            users: Vec::new(),
            zoning: ZoneSources::default(),
            zones: Vec::new(),
            site_sources: SiteSources::default(),
            sites: None,
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
        let https = self.tls.listen.iter();
        let https: Vec<SocketAddr> = https.map(|address| address.or_port(HTTPS_PORT)).collect();
        self.http.tls.listen = list::distinct(&https);
        (self.http.free_bind, self.udp.free_bind) = (self.free_bind, self.free_bind);
        self.http.address_rules = self.address_rules.clone();
        self.http.reported = self.reported.clone();
        self.udp.reported = self.reported.clone();
        self.web.users = self.users.iter().map(|(user, _)| user.clone()).collect();
        self.web.snapshot_interval = self.snapshot.interval;
        if let Some(folder) = self.snapshot.file.parent() {
            self.web.state_folder = folder.to_owned();
        }
    }

    /// Makes relative paths count from the place's folder.
    fn settle_in(&mut self, place: &Place) {
        let paths = [&mut self.snapshot.file, &mut self.web.state_folder];
        let optional = [
            &mut self.logging.log_file,
            &mut self.web.templates,
            &mut self.keys_file,
            &mut self.lists.torrents_file,
        ];
        let sites = self.sites.as_mut().and_then(|sites| sites.ca_file.as_mut());
        let optional = optional.into_iter().flatten().chain(sites);
        let blocklists = &mut self.lists.blocklist_files;
        for path in paths.into_iter().chain(optional).chain(blocklists) {
            *path = place.resolve(path);
        }
    }
}

/// The port of HTTPS where none is given.
const HTTPS_PORT: u16 = 443;

/// What is read of a configuration file and of `.env` at most: a thousand times what anybody writes by hand.
const MAX_CONFIG_BYTES: u64 = 4 << 20;

/// What is read of a file of prefixes at most: a million lines.
pub const MAX_ZONES_BYTES: u64 = 32 << 20;

/// Knows where this process's configuration comes from, and reads it as often as asked: at the start and on SIGHUP.
#[derive(Clone, Debug, Default)]
pub struct Loader {
    file: Option<PathBuf>,
    overrides: Vec<Override>,
    is_for_tool: bool,
    has_sockets: bool,
}

impl Loader {
    /// Takes the file that the command line names, if any, and what else stands there.
    pub fn new(file: Option<PathBuf>, overrides: Vec<Override>) -> Loader {
        Loader {
            file,
            overrides,
            is_for_tool: false,
            // Whoever takes the sockets takes the variable out of the environment; so it is not there at a reload.
            has_sockets: env::var_os("LISTEN_FDS").is_some(),
        }
    }

    /// Looks where the installed service has its configuration too, when there is none where the tracker itself looks: an operator's
    /// tools are called from anywhere.
    pub fn for_tool(self) -> Loader {
        Loader {
            is_for_tool: true,
            ..self
        }
    }

    /// Reads everything anew.
    ///
    /// # Errors
    /// All that is wrong. A file that was named must be there; without a name none need be.
    pub fn load(&self) -> Result<Loaded, Problems> {
        let mut sources = Sources {
            overrides: self.overrides.clone(),
            has_sockets: self.has_sockets,
            ..Sources::default()
        };
        let variable = env::var_os(place::VARIABLE);
        let mut place = Place::find(self.file.as_deref(), variable, self.is_for_tool);
        if let Some(path) = &place.file {
            let text = regular_file::read(path, MAX_CONFIG_BYTES);
            let text = text.map_err(|error| unreadable(path, &error))?;
            sources.file = Some((path.display().to_string(), text));
        }
        let env_file = place.resolve(Path::new(".env"));
        match regular_file::read(&env_file, MAX_CONFIG_BYTES) {
            Ok(text) => {
                place.has_env_file = true;
                sources.env_file = text;
            }
            // A folder of that name is somebody's Python.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::IsADirectory
                ) => {}
            Err(error) => return Err(unreadable(&env_file, &error)),
        }
        let variables = env::vars_os();
        sources.environment = variables
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let read_file = |path: &Path| regular_file::read(&place.resolve(path), MAX_ZONES_BYTES);
        let mut loaded = sources.resolve(&read_file)?;
        loaded.config.settle_in(&place);
        loaded.place = place;
        Ok(loaded)
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Problems {
    let hint = if error.kind() == io::ErrorKind::PermissionDenied {
        "; call this as root, or as the user of the service"
    } else {
        ""
    };
    let text = format!("{}: cannot be read: {error}{hint}", path.display());
    Problems(vec![Problem(text)])
}

#[cfg(test)]
mod tests;
