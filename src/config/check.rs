//! What no single key can tell: combinations that do not mean what they seem to, and meanings that differ from the original's.

use std::net::{IpAddr, SocketAddr};

use super::Config;
use super::problem::Location;
use super::problem::{Locations, named};
use crate::net::client_address::Mode;
use crate::net::{AddressPair, is_wide};
use crate::tracker::KeyMode;

/// What a tracker asks its clients to wait is rarely shorter than this, in seconds; most of them come no sooner anyway.
const SHORT_INTERVAL: u32 = 60;

/// Adds a warning for everything that is odd.
pub(super) fn check(config: &Config, locations: &Locations, warnings: &mut Vec<String>) {
    let location = |section, key| named(locations, section, key);
    let is_all_of_v6_only = |addresses: &[SocketAddr]| {
        addresses.iter().all(SocketAddr::is_ipv6)
            && addresses
                .iter()
                .any(|address| address.ip().is_unspecified())
    };
    if is_all_of_v6_only(&config.http.listen) {
        let location = location("TRACKER", "host");
        warnings.push(format!(
            "{location} is all of IPv6 only: IPv4 clients are not served; `host = 0.0.0.0 ::`, or no host at all, serves both"
        ));
    }
    for mapped in config.hosts.iter().filter(|host| host.is_mapped) {
        let location = location("TRACKER", "host");
        let ip = mapped.ip;
        warnings.push(format!(
            "{location}: ::ffff:{ip} is the IPv4 address {ip} in the spelling of IPv6, and serves IPv4 only; write {ip}, and for \
             IPv6 an address of its own, as `host = {ip} ::`"
        ));
    }
    let tracker = &config.tracker;
    if tracker.peer_expire_factor < 2.0 {
        let location = location("TRACKER", "peer_expire_factor");
        warnings.push(format!(
            "{location} is below 2 and counts as 2: a client may be late once"
        ));
    }
    if tracker.announce_interval < SHORT_INTERVAL {
        let location = location("TRACKER", "announce_interval");
        let seconds = tracker.announce_interval;
        let pace = 1_000 / seconds.max(1);
        warnings.push(format!(
            "{location} lets every client announce each {seconds} s: 1,000 peers make {pace} requests a second; 1800 is usual"
        ));
    }
    if tracker.num_want > tracker.max_num_want {
        let location = location("TRACKER", "numwant");
        let most = tracker.max_num_want;
        warnings.push(format!(
            "{location} is above max_numwant: {most} peers are handed out"
        ));
    }
    proxies(config, locations, warnings);
    ignored(config, locations, warnings);
    served(config, locations, warnings);
    let reports = &config.reported;
    // Where both networks are of one size, nobody has to tell.
    let is_told = reports.pairs.iter().all(AddressPair::is_one_to_one);
    if reports.ignore && !is_told {
        let location = location("TRACKER", "address_pairs");
        warnings.push(format!(
            "{location} has no effect while ignore_reported_ip is on: nobody's inner address is learned"
        ));
    }
    limits(config, locations, warnings);
    keys(config, locations, warnings);
    reported(config, locations, warnings);
    one_top_zone(config, warnings);
    config.site_sources.check(locations, warnings);
    tls(config, locations, warnings);
    if config.logging.log_file.is_none() && !config.logging.console_output {
        let location = location("LOGGING", "console_output");
        warnings.push(format!(
            "{location} is off and there is no log_file: nothing is logged"
        ));
    }
}

/// Headers of the PROXY protocol that nobody may send.
fn proxies(config: &Config, locations: &Locations, warnings: &mut Vec<String>) {
    let is_direct = config.address_rules.mode == Mode::Direct;
    if config.http.proxy_protocol && (is_direct || config.address_rules.trusted_proxies.is_empty())
    {
        let location = named(locations, "HTTP", "proxy_protocol");
        warnings.push(format!(
            "{location} is on and no proxy is believed (mode = proxy, trusted_proxies): every connection that begins with a PROXY header \
             is refused"
        ));
    }
}

/// Keys that mean nothing.
fn keys(config: &Config, locations: &Locations, warnings: &mut Vec<String>) {
    if config.keys_file.is_some() && config.tracker.keys == KeyMode::Off {
        let location = named(locations, "TRACKER", "keys_file");
        warnings.push(format!(
            "{location} has no effect while keys is off: everybody is served"
        ));
    }
}

/// Where HTTPS is listened for, and with what.
fn tls(config: &Config, locations: &Locations, warnings: &mut Vec<String>) {
    if !config.tls.certificates.is_empty() && config.tls.listen.is_empty() {
        let location = named(locations, "TLS", "certificate");
        warnings.push(format!(
            "{location} has no effect while [TLS] listen is empty, unless the service manager hands over sockets named tls"
        ));
    }
}

/// What is wrong with an address and port that is listened at with and without TLS, if there is one.
pub(super) fn shared_port(config: &Config, locations: &Locations) -> Option<String> {
    let mut both = config.http.tls.listen.iter();
    let address =
        both.find(|address| address.port() != 0 && config.http.listen.contains(address))?;
    let location = named(locations, "TLS", "listen");
    Some(format!(
        "{location}: {address} is where HTTP without TLS is listened for already; one port speaks one of them"
    ))
}

/// What is refused of networks that subscribers have.
fn ignored(config: &Config, locations: &Locations, warnings: &mut Vec<String>) {
    let location = || named(locations, "TRACKER", "ignore_ip");
    let private = PRIVATE
        .iter()
        .filter(|(ip, _)| config.ignore_ip.covers(*ip));
    let private: Vec<&str> = private.map(|(_, network)| *network).collect();
    if !private.is_empty() {
        let location = location();
        let networks = private.join(", ");
        warnings.push(format!(
            "{location} refuses private addresses ({networks}); subscribers who have one get no peers"
        ));
    }
    let wide = config.ignore_ip.iter().filter(|network| is_wide(*network));
    let wide = wide.map(|network| network.to_string());
    let wide: Vec<String> = wide
        .filter(|network| !private.contains(&network.as_str()))
        .collect();
    if !wide.is_empty() {
        let location = location();
        let networks = wide.join(", ");
        warnings.push(format!(
            "{location} refuses whole networks of providers ({networks}): shorter than /16, or /32 of IPv6"
        ));
    }
}

/// A network that may ask for less than each source in it.
fn limits(config: &Config, locations: &Locations, warnings: &mut Vec<String>) {
    let limits = &config.limits;
    for (prefix_key, key, levels) in [
        ("connections_per_prefix", "connections", limits.connections),
        ("requests_per_prefix", "requests", limits.requests),
        ("datagrams_per_prefix", "datagrams", limits.datagrams),
    ] {
        let (Some(source), Some(prefix)) = (levels.source, levels.prefix) else {
            continue;
        };
        if prefix.per_hour() < source.per_hour() || prefix.burst() < source.burst() {
            let location = named(locations, "LIMITS", prefix_key);
            warnings.push(format!(
                "{location} allows a whole network less than {key} allows each source in it, so one of them can use up all of it"
            ));
        }
    }
}

/// What only some networks or torrents are served of, and what contradicts that.
fn served(config: &Config, locations: &Locations, warnings: &mut Vec<String>) {
    let location = |key| named(locations, "TRACKER", key);
    let (served, lists) = (&config.allow_networks, &config.lists);
    let is_served = |network: ipnet::IpNet| served.covers(network.addr());
    let outside = config.reported.pairs.iter();
    let mut outside = outside.map(|pair| pair.outside);
    if !served.is_empty()
        && let Some(network) = outside.find(|network| !is_served(*network))
    {
        let location = location("allow_networks");
        warnings.push(format!(
            "{location} is without {network}, an outer network of address_pairs: who is seen from there is refused"
        ));
    }
    if lists.only_listed && lists.torrents_file.is_none() {
        let location = location("torrents");
        warnings.push(format!(
            "{location} is listed and there is no torrents_file: no torrent is served but those that pages and API list"
        ));
    }
    if !lists.only_listed && lists.torrents_file.is_some() {
        let location = location("torrents_file");
        warnings.push(format!(
            "{location} has no effect while torrents = all: every torrent is served"
        ));
    }
}

/// Where all zones are one at the top, nobody in a zone is a stranger to another.
fn one_top_zone(config: &Config, warnings: &mut Vec<String>) {
    let mut tops = config
        .zones
        .iter()
        .filter_map(|rule| rule.path.split('/').next());
    let Some(first) = tops.next() else { return };
    if tops.all(|top| top == first) {
        warnings.push(format!(
            "all zones lie in one top zone, {first}: inside it nobody is a stranger, so what is handed out within the top zone is near \
             100 % by itself; the page Zones shows the levels below it"
        ));
    }
}

/// The three options had other meanings in the original, in part opposite ones: whoever brings them along is told once.
fn reported(config: &Config, locations: &Locations, warnings: &mut Vec<String>) {
    let location = |key| {
        locations
            .get(&("TRACKER", key))
            .filter(|location| **location != Location::Default)
    };
    if config.reported.ignore {
        return;
    }
    let named = ["verify_reported_ip", "ignore_reported_ip"]
        .into_iter()
        .find_map(|key| Some((location(key)?, key)));
    let Some((location, key)) = named else {
        return;
    };
    let meaning = if config.reported.verify {
        "an address that a client reports counts only if a trusted proxy's header or one of address_pairs confirms it \
         (the Flask retracker took any)"
    } else {
        "any public address that a client reports counts, so anybody can send your subscribers anywhere (the Flask \
         retracker took none)"
    };
    warnings.push(format!("{location}: [TRACKER] {key}: {meaning}"));
}

/// An address of each private network that subscribers may have.
const PRIVATE: &[(IpAddr, &str)] = &[
    (v4(10, 0, 0, 1), "10.0.0.0/8"),
    (v4(172, 16, 0, 1), "172.16.0.0/12"),
    (v4(192, 168, 0, 1), "192.168.0.0/16"),
    (v4(100, 64, 0, 1), "100.64.0.0/10"),
];

const fn v4(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(std::net::Ipv4Addr::new(a, b, c, d))
}
