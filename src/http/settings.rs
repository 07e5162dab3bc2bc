//! What the HTTP tracker can be told, with units and defaults.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::net::client_address::ClientAddressRules;
use crate::net::reported_address::Rules;

/// Settings of HTTPS. `listen` is taken at the start only.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// Addresses to listen on for TLS (`[TLS] listen`). Default none.
    pub listen: Vec<SocketAddr>,
    /// From accept to the end of the handshake (`handshake_timeout`); never longer than `request_timeout`. Default 5 s.
    pub handshake_timeout: Duration,
    /// Handshakes under way at once (`max_handshakes`). Default 256; 0 counts as 1.
    pub max_handshakes: usize,
    /// Those of one v4 address or one v6 /64; trusted proxies are exempt (`max_handshakes_per_address`). Default 16. 0: any number.
    pub max_handshakes_per_address: u32,
}

impl Default for TlsSettings {
    fn default() -> TlsSettings {
        TlsSettings {
            listen: Vec::new(),
            handshake_timeout: Duration::from_secs(5),
            max_handshakes: 256,
            max_handshakes_per_address: 16,
        }
    }
}

/// Settings of the HTTP tracker. `listen`, `free_bind` and `workers` are taken at the start only; a reload changes the rest.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Addresses to listen on, one listener each; v6 ones take v6 only (`host`, `port`). Default port 8080 of all addresses,
    /// v4 and v6. Port 0: any free one.
    pub listen: Vec<SocketAddr>,
    /// Whether it listens at addresses that the host does not have yet (`free_bind`). Default no: such an address is an error.
    pub free_bind: bool,
    /// Threads that answer (`workers`). Default 0: one per core.
    pub workers: usize,
    /// Whether trusted proxies begin their connections with a header of the PROXY protocol, version 1 or 2, and nobody else may
    /// (`proxy_protocol`). Connections that are there at a reload stay as they are. Default no.
    pub proxy_protocol: bool,
    /// Whose address a request counts for, and who is an admin.
    pub address_rules: ClientAddressRules,
    /// What clients may say of their own addresses.
    pub reported: Rules,
    /// Whether peers are compact when the client does not say (`compact_default`). Default yes.
    pub compact_default: bool,
    /// Whether a reply tells the address that the request counts for (BEP 24; `external_ip`). Default no.
    pub external_ip: bool,
    /// Info hashes in one scrape at most (`max_scrape`). Default 100. 0: scrapes are refused.
    pub max_scrape: usize,
    /// Whether admins and tokens may scrape all torrents at once (`full_scrape`). Default no.
    pub full_scrape: bool,
    /// Name of the announce parameter with which admins run a sweep (`run_gc_key`). Default empty: there is none.
    pub run_gc_key: String,
    /// Longest head of a request in bytes (`max_request_bytes`). Default 8,192; taken as at least 512 and at most 65,536.
    pub max_request_bytes: usize,
    /// From accept or a request's first byte to its last, however it arrives (`request_timeout`). Default 10 s.
    pub request_timeout: Duration,
    /// How long a kept connection may be silent between requests (`idle_timeout`). Default 15 s. 0: no connection is kept.
    pub idle_timeout: Duration,
    /// How long a client may take to read a reply (`write_timeout`). Default 10 s.
    pub write_timeout: Duration,
    /// Requests on one connection at most (`max_requests`). Default 10,000. 0: any number.
    pub max_requests: u32,
    /// Connections held at once (`max_connections`); at the bound the one that is idle longest gives way to a request, and
    /// admins have 32 more. Default 0: what the limit on open files leaves, less 160.
    pub max_connections: usize,
    /// Connections held at once from one v4 address or one v6 /64; trusted proxies are exempt (`max_connections_per_address`).
    /// Default 100. 0: any number.
    pub max_connections_per_address: u32,
    /// HTTPS.
    pub tls: TlsSettings,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            listen: vec![
                SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080)),
                SocketAddr::from((Ipv6Addr::UNSPECIFIED, 8080)),
            ],
            free_bind: false,
            workers: 0,
            proxy_protocol: false,
            address_rules: ClientAddressRules::default(),
            reported: Rules::default(),
            compact_default: true,
            external_ip: false,
            max_scrape: 100,
            full_scrape: false,
            run_gc_key: String::new(),
            max_request_bytes: 8_192,
            request_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(15),
            write_timeout: Duration::from_secs(10),
            max_requests: 10_000,
            max_connections: 0,
            max_connections_per_address: 100,
            tls: TlsSettings::default(),
        }
    }
}

impl Settings {
    /// The longest head in force.
    pub(super) fn head_limit(&self) -> usize {
        self.max_request_bytes.clamp(512, 65_536)
    }

    /// How many threads to start.
    pub(super) fn worker_count(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            workers => workers,
        }
    }
}
