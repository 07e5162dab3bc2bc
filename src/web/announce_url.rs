//! The addresses that clients announce to, as people are told them: those that the operator gives to subscribers, and those that
//! follow from where the tracker listens and what it is called.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use crate::net::hosts::is_host_name;

/// An address of the tracker with its path, as `http://retracker.local/announce`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnounceUrl(String);

/// Why a text is no such address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an announce address is http://, https:// or udp://, a host, a path, as http://retracker.local/announce"
)]
pub struct NoAnnounceUrl;

/// An address is never longer, in bytes.
const MAX_BYTES: usize = 200;

impl FromStr for AnnounceUrl {
    type Err = NoAnnounceUrl;

    fn from_str(text: &str) -> Result<AnnounceUrl, NoAnnounceUrl> {
        let (scheme, rest) = text.split_once("://").ok_or(NoAnnounceUrl)?;
        let (authority, path) = rest.split_once('/').ok_or(NoAnnounceUrl)?;
        let needs_port = match scheme {
            "http" | "https" => false,
            "udp" => true,
            _ => return Err(NoAnnounceUrl),
        };
        let (_, port) = host_and_port(authority).ok_or(NoAnnounceUrl)?;
        let is_path = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-~%?=&".contains(&byte);
        let is_right = !path.is_empty()
            && path.bytes().all(is_path)
            && text.len() <= MAX_BYTES
            && (port.is_some() || !needs_port);
        is_right
            .then(|| AnnounceUrl(text.to_owned()))
            .ok_or(NoAnnounceUrl)
    }
}

impl fmt::Display for AnnounceUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// A name or an address as it stands in a URL, and a port where there is one.
fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let end = match authority.strip_prefix('[') {
        Some(rest) => {
            let (ip, _) = rest.split_once(']')?;
            ip.parse::<Ipv6Addr>().ok()?;
            ip.len() + 2
        }
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at_checked(end)?;
    let is_host = host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok() || is_host_name(host);
    let port = match port.strip_prefix(':') {
        Some(digits) => Some(digits.parse().ok().filter(|port| *port > 0)?),
        None if port.is_empty() => None,
        None => return None,
    };
    is_host.then_some((host, port))
}

/// Addresses that are told at most.
const MAX_URLS: usize = 12;

/// Where the tracker listens, and what it is called.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places<'a> {
    pub http: &'a [SocketAddr],
    /// Where TLS is listened for; only a name of the configuration is in a certificate for certain.
    pub https: &'a [SocketAddr],
    pub udp: &'a [SocketAddr],
    /// The names in the configuration.
    pub names: &'a [String],
    /// Whether HTTP comes through a proxy, so that its port is another one than the tracker's own.
    pub is_behind_proxy: bool,
    /// The host that the page was asked for under, and whether by TLS.
    pub host: Option<&'a str>,
    pub is_secure: bool,
}

impl Places<'_> {
    /// The addresses, those of `told` first; each once.
    pub(super) fn urls(&self, told: &[AnnounceUrl]) -> Vec<String> {
        let mut urls: Vec<String> = told.iter().map(ToString::to_string).collect();
        let asked = self
            .host
            .and_then(|host| Some((host, host_and_port(host)?.0)));
        if let Some((authority, host)) = asked {
            let scheme = if self.is_secure { "https" } else { "http" };
            urls.push(format!("{scheme}://{authority}/announce"));
            urls.extend(self.over_udp(host));
        }
        for name in self.names {
            if !self.is_behind_proxy {
                urls.extend(ports(self.http).map(|port| over_http(name, port)));
                urls.extend(ports(self.https).map(|port| over_https(name, port)));
            }
            urls.extend(self.over_udp(name));
        }
        let own =
            |address: &&SocketAddr| !address.ip().is_unspecified() && !address.ip().is_loopback();
        if !self.is_behind_proxy {
            let addresses = self.http.iter().filter(own);
            urls.extend(addresses.map(|at| over_http(&in_url(at), at.port())));
        }
        let addresses = self.udp.iter().filter(own);
        urls.extend(addresses.map(|at| format!("udp://{at}/announce")));
        let mut distinct: Vec<String> = Vec::new();
        for url in urls {
            if !distinct.contains(&url) {
                distinct.push(url);
            }
        }
        distinct.truncate(MAX_URLS);
        distinct
    }

    fn over_udp(&self, host: &str) -> impl Iterator<Item = String> {
        ports(self.udp).map(move |port| format!("udp://{host}:{port}/announce"))
    }
}

/// The ports of these addresses, each once.
fn ports(addresses: &[SocketAddr]) -> impl Iterator<Item = u16> {
    let mut ports: Vec<u16> = addresses.iter().map(SocketAddr::port).collect();
    ports.sort_unstable();
    ports.dedup();
    ports.into_iter()
}

fn over_http(host: &str, port: u16) -> String {
    match port {
        80 => format!("http://{host}/announce"),
        _ => format!("http://{host}:{port}/announce"),
    }
}

fn over_https(host: &str, port: u16) -> String {
    match port {
        443 => format!("https://{host}/announce"),
        _ => format!("https://{host}:{port}/announce"),
    }
}

/// An address without its port as it stands in a URL.
fn in_url(address: &SocketAddr) -> String {
    match address {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// W14
    #[test]
    fn an_announce_address_is_whole_or_refused() {
        for text in [
            "http://retracker.local/announce",
            "https://tracker.isp.example:8443/announce",
            "udp://tracker.isp.example:6969/announce",
            "http://192.0.2.1/announce",
            "udp://[2001:db8::1]:80/announce",
        ] {
            let url: AnnounceUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), text);
        }
        for text in [
            "",
            "retracker.local/announce",
            "http://retracker.local",
            "http://retracker.local/",
            "http:///announce",
            "udp://retracker.local/announce",
            "udp://retracker.local:0/announce",
            "udp://retracker.local:99999/announce",
            "ftp://retracker.local/announce",
            "javascript://x/alert(1)",
            "http://a b/announce",
            "http://x/announce\"><script>",
            "http://user@host/announce",
            "http://[::1/announce",
            "http://[::1]x/announce",
        ] {
            assert!(text.parse::<AnnounceUrl>().is_err(), "{text}");
        }
        let long = format!("http://x/{}", "a".repeat(MAX_BYTES));
        assert!(long.parse::<AnnounceUrl>().is_err());
    }

    fn places() -> Places<'static> {
        Places {
            http: &[],
            https: &[],
            udp: &[],
            names: &[],
            is_behind_proxy: false,
            host: None,
            is_secure: false,
        }
    }

    /// W14
    #[test]
    fn the_addresses_follow_from_where_it_listens_and_what_it_is_called() {
        let listens: Vec<SocketAddr> = ["0.0.0.0:80", "[::]:80", "192.0.2.1:8080", "127.0.0.1:81"]
            .map(|address| address.parse().unwrap())
            .to_vec();
        let names = ["tracker.isp.example".to_owned()];
        let told = ["http://retracker.local/announce".parse().unwrap()];
        let all = Places {
            http: &listens,
            https: &[
                "0.0.0.0:443".parse().unwrap(),
                "192.0.2.1:8443".parse().unwrap(),
            ],
            udp: &listens[..2],
            names: &names,
            host: Some("tracker.isp.example"),
            ..places()
        };
        assert_eq!(
            all.urls(&told),
            [
                "http://retracker.local/announce",
                "http://tracker.isp.example/announce",
                "udp://tracker.isp.example:80/announce",
                "http://tracker.isp.example:81/announce",
                "http://tracker.isp.example:8080/announce",
                "https://tracker.isp.example/announce",
                "https://tracker.isp.example:8443/announce",
                "http://192.0.2.1:8080/announce",
            ]
        );
        let proxied = Places {
            is_behind_proxy: true,
            is_secure: true,
            ..all
        };
        assert_eq!(
            proxied.urls(&[]),
            [
                "https://tracker.isp.example/announce",
                "udp://tracker.isp.example:80/announce",
            ]
        );
    }

    /// W14
    #[test]
    fn an_odd_host_names_no_address() {
        for host in ["", "a b", "x\"y", "<b>", "evil@x", "[::1", "x:y", "x:80:90"] {
            let odd = Places {
                host: Some(host),
                ..places()
            };
            assert!(odd.urls(&[]).is_empty(), "{host}");
        }
        let v6 = Places {
            host: Some("[2001:db8::1]:8080"),
            ..places()
        };
        assert_eq!(v6.urls(&[]), ["http://[2001:db8::1]:8080/announce"]);
        let many: Vec<String> = (0..100).map(|at| format!("name-{at}")).collect();
        let many = Places {
            http: &["0.0.0.0:80".parse().unwrap()],
            names: &many,
            ..places()
        };
        assert_eq!(many.urls(&[]).len(), MAX_URLS);
    }
}
