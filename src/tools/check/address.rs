//! The announce URL of a tracker: its parts, the addresses that its host has, and the URL of its scrape.

use std::net::{SocketAddr, ToSocketAddrs};

use anyhow::{Context, bail};

/// How a tracker is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http,
    Udp,
}

/// An announce URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub protocol: Protocol,
    /// Host without the brackets of a v6 address.
    host: String,
    port: u16,
    /// Path and query as they are written, `/` at least.
    pub target: String,
}

impl Address {
    /// Reads `http://host[:port][/path][?query]` or `udp://host:port[/path]`.
    pub(super) fn parse(url: &str) -> anyhow::Result<Address> {
        let (scheme, rest) = url
            .split_once("://")
            .with_context(|| format!("{url}: http:// or udp:// is missing"))?;
        let protocol = match scheme.to_ascii_lowercase().as_str() {
            "http" => Protocol::Http,
            "udp" => Protocol::Udp,
            _ => bail!("{url}: only http:// and udp:// can be checked"),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let (host, port) = split_port(authority).with_context(|| format!("{url}: bad host"))?;
        let port = match (port, protocol) {
            (Some(port), _) => port
                .parse()
                .with_context(|| format!("{url}: {port} is no port"))?,
            (None, Protocol::Http) => 80,
            (None, Protocol::Udp) => bail!("{url}: a udp:// URL needs a port"),
        };
        if host.is_empty()
            || url.contains(|letter: char| letter.is_ascii_control() || letter == ' ')
        {
            bail!("{url}: no usable URL");
        }
        let target = target.split_once('#').map_or(target, |(before, _)| before);
        let target = if target.starts_with('/') {
            target.to_owned()
        } else {
            format!("/{target}")
        };
        Ok(Address {
            protocol,
            host: host.to_owned(),
            port,
            target,
        })
    }

    /// The host's first address of each family, in the order that the system prefers.
    pub(super) fn resolve(&self) -> anyhow::Result<Vec<SocketAddr>> {
        let all = (self.host.as_str(), self.port)
            .to_socket_addrs()
            .with_context(|| format!("{}: no such host", self.host))?;
        let mut firsts: Vec<SocketAddr> = Vec::new();
        for address in all {
            if firsts
                .iter()
                .all(|first| first.is_ipv4() != address.is_ipv4())
            {
                firsts.push(address);
            }
        }
        if firsts.is_empty() {
            bail!("{}: the host has no address", self.host);
        }
        Ok(firsts)
    }

    /// What stands in the `Host` header.
    pub(super) fn authority(&self) -> String {
        let is_v6 = self.host.contains(':');
        match (is_v6, self.port) {
            (true, 80) => format!("[{}]", self.host),
            (true, port) => format!("[{}]:{port}", self.host),
            (false, 80) => self.host.clone(),
            (false, port) => format!("{}:{port}", self.host),
        }
    }

    /// The target with parameters behind those that the URL has already (a passkey, say).
    pub(super) fn announce(&self, parameters: &str) -> String {
        extend(&self.target, parameters)
    }

    /// The scrape's target: `announce` at the begin of the last part of the path becomes `scrape`; without it a tracker has
    /// none.
    pub(super) fn scrape(&self, parameters: &str) -> Option<String> {
        let path_end = self.target.find('?').unwrap_or(self.target.len());
        let (path, query) = self.target.split_at(path_end);
        let (folders, last) = path.rsplit_once('/')?;
        let suffix = last.strip_prefix("announce")?;
        Some(extend(
            &format!("{folders}/scrape{suffix}{query}"),
            parameters,
        ))
    }
}

fn extend(target: &str, parameters: &str) -> String {
    let joint = if target.contains('?') { '&' } else { '?' };
    format!("{target}{joint}{parameters}")
}

fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    if let Some(v6) = authority.strip_prefix('[') {
        let (host, rest) = v6.split_once(']')?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(port))),
            None => rest.is_empty().then_some((host, None)),
        };
    }
    Some(match authority.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::proptest;

    #[test]
    fn urls_have_their_usual_parts() {
        let http = Address::parse("http://retracker.local/announce.php?passkey=1").unwrap();
        assert_eq!(http.authority(), "retracker.local");
        assert_eq!(http.announce("a=b"), "/announce.php?passkey=1&a=b");
        assert_eq!(http.scrape("a=b").unwrap(), "/scrape.php?passkey=1&a=b");
        let bare = Address::parse("http://127.0.0.1:8080").unwrap();
        assert_eq!(
            (bare.authority(), bare.announce("a=b")),
            ("127.0.0.1:8080".into(), "/?a=b".into())
        );
        assert_eq!(bare.scrape("a=b"), None);
        let v6 = Address::parse("UDP://[::1]:8080/announce").unwrap();
        assert_eq!(v6.protocol, Protocol::Udp);
        assert_eq!(v6.resolve().unwrap(), ["[::1]:8080".parse().unwrap()]);
        assert_eq!(v6.authority(), "[::1]:8080");
    }

    #[test]
    fn what_is_no_tracker_s_url_is_refused() {
        for url in [
            "",
            "retracker.local",
            "https://a/announce",
            "udp://host",
            "http://:80/",
            "http://a:99999/",
            "http://[::1/",
            "http://[::1]80/",
            "http://a b/",
            "http://a/\r\nX: y",
        ] {
            assert!(Address::parse(url).is_err(), "{url}");
        }
    }

    proptest! {
        #[test]
        fn any_text_gives_an_address_or_an_error(url in ".{0,60}", rest in "(http|udp)://[a-z\\[\\]:0-9/?&#]{0,40}") {
            for url in [url, rest] {
                if let Ok(address) = Address::parse(&url) {
                    assert!(address.target.starts_with('/'));
                }
            }
        }
    }
}
