//! Where the load goes to and which addresses it comes from.

use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};

use anyhow::{Context, bail};

/// How a tracker is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http,
    Https,
    Udp,
}

impl Protocol {
    /// The port of a URL that names none.
    const fn port(self) -> u16 {
        match self {
            Protocol::Http | Protocol::Udp => 80,
            Protocol::Https => 443,
        }
    }
}

/// A tracker's announce address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub url: String,
    pub protocol: Protocol,
    pub address: SocketAddr,
    /// Host and port as the URL has them.
    pub host: String,
    /// Path up to `announce`, with the leading slash; the scrape's is made from it.
    pub path: String,
}

impl Target {
    /// Reads a URL and resolves its host; anything that is not loopback is refused unless `allow_remote`.
    pub(super) fn parse(url: &str, allow_remote: bool) -> anyhow::Result<Target> {
        let (scheme, rest) = url
            .split_once("://")
            .with_context(|| format!("{url}: no http://, https:// or udp:// URL"))?;
        let protocol = match scheme {
            "http" => Protocol::Http,
            "https" => Protocol::Https,
            "udp" => Protocol::Udp,
            _ => bail!("{url}: only http://, https:// and udp:// are known"),
        };
        let (host, path) = rest
            .find('/')
            .map_or((rest, "/announce"), |at| rest.split_at(at));
        let path = if path == "/" { "/announce" } else { path };
        let address = host
            .to_socket_addrs()
            .or_else(|_| (host.trim_matches(['[', ']']), protocol.port()).to_socket_addrs())
            .with_context(|| format!("{url}: no such host"))?
            .next()
            .with_context(|| format!("{url}: no such host"))?;
        if !address.ip().to_canonical().is_loopback() && !allow_remote {
            bail!(
                "{url}: {} is not a loopback address (--allow-remote permits it)",
                address.ip()
            );
        }
        Ok(Target {
            url: url.to_owned(),
            protocol,
            address,
            host: host.to_owned(),
            path: path.to_owned(),
        })
    }
}

/// The addresses that the load comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sources {
    pub count: usize,
    zones: usize,
    is_bound: bool,
}

impl Sources {
    /// `count` addresses in `zones` networks when the target is at v4 loopback, where any address of 127.0.0.0/8 can ask; else
    /// the one that the system chooses.
    pub(super) fn new(count: u32, zones: u32, target: SocketAddr) -> Sources {
        let is_bound = target.is_ipv4() && target.ip().is_loopback();
        Sources {
            count: if is_bound { count as usize } else { 1 },
            zones: (zones as usize).max(1),
            is_bound,
        }
    }

    /// Whether the sources have addresses of their own.
    pub(super) fn are_bound(&self) -> bool {
        self.is_bound
    }

    /// The address of a source; `None` to leave the choice to the system.
    pub(super) fn address(&self, source: usize) -> Option<Ipv4Addr> {
        if !self.is_bound {
            return None;
        }
        let zone = u8::try_from(1 + source % self.zones);
        let host = u16::try_from(1 + source / self.zones);
        debug_assert!(
            zone.is_ok() && host.is_ok(),
            "the arguments allow 200 zones and 65,000 sources"
        );
        let [high, low] = host.unwrap_or(u16::MAX).to_be_bytes();
        Some(Ipv4Addr::new(127, zone.unwrap_or(u8::MAX), high, low))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_loaded_unless_allowed() {
        assert!(Target::parse("http://192.0.2.1:80/announce", false).is_err());
        assert!(Target::parse("http://192.0.2.1:80/announce", true).is_ok());
        assert!(Target::parse("udp://[::1]:80", false).is_ok());
        assert!(Target::parse("ftp://127.0.0.1:80", false).is_err());
        let target = Target::parse("http://127.0.0.1:8080", false).unwrap();
        assert_eq!(target.path, "/announce");
        assert_eq!(target.address, "127.0.0.1:8080".parse().unwrap());
        let target = Target::parse("https://[::1]/announce", false).unwrap();
        assert_eq!(target.address, "[::1]:443".parse().unwrap());
    }

    #[test]
    fn sources_are_distinct_and_lie_in_their_zones() {
        let sources = Sources::new(1_000, 3, "127.0.0.1:1".parse().unwrap());
        let all: std::collections::HashSet<_> = (0..1_000)
            .map(|source| sources.address(source).unwrap())
            .collect();
        assert_eq!(all.len(), 1_000);
        assert_eq!(sources.address(4), Some("127.2.0.2".parse().unwrap()));
    }
}
