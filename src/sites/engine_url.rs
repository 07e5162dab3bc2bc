//! Where an engine is: `redis://HOST[:PORT]`, or `rediss://` for TLS. Neither user nor password stands in it: these have keys of
//! their own, so that no log and no page can show them.

use std::fmt;
use std::str::FromStr;

/// The port of both schemes when none is given.
const PORT: u16 = 6379;

/// Longest host name (RFC 1035).
const MAX_HOST: usize = 253;

/// The address of one engine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EngineUrl {
    host: String,
    port: u16,
    has_tls: bool,
}

/// Why a text is no engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadEngineUrl {
    /// Another scheme, or none.
    #[error("an engine is redis://HOST[:PORT] or rediss://HOST[:PORT]")]
    Scheme,
    /// A user or a password.
    #[error("user and password have keys of their own, and do not stand in the address")]
    Secret,
    /// A path (number of a database) or a query.
    #[error("nothing may follow the port: database 0 is used")]
    Path,
    /// No name and no address.
    #[error("not a host")]
    Host,
    /// Not from 1 to 65535.
    #[error("not a port")]
    Port,
}

impl EngineUrl {
    /// A name or an address; of IPv6 without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Never 0.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it is spoken to over TLS (`rediss`).
    pub fn has_tls(&self) -> bool {
        self.has_tls
    }
}

impl FromStr for EngineUrl {
    type Err = BadEngineUrl;

    fn from_str(text: &str) -> Result<EngineUrl, BadEngineUrl> {
        let (has_tls, rest) = match text.split_once("://") {
            Some(("redis", rest)) => (false, rest),
            Some(("rediss", rest)) => (true, rest),
            _ => return Err(BadEngineUrl::Scheme),
        };
        if rest.contains('@') {
            return Err(BadEngineUrl::Secret);
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#']) {
            return Err(BadEngineUrl::Path);
        }
        let (host, port) = match rest.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
            Some((host, after)) => {
                let is_v6 = host.parse::<std::net::Ipv6Addr>().is_ok();
                let port = match after.strip_prefix(':') {
                    Some(port) => Some(port),
                    None if after.is_empty() => None,
                    None => return Err(BadEngineUrl::Host),
                };
                (Some(host).filter(|_| is_v6), port)
            }
            None => match rest.split_once(':') {
                Some((host, port)) => (Some(host), Some(port)),
                None => (Some(rest), None),
            },
        };
        let is_host = |host: &&str| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
            !host.is_empty() && host.len() <= MAX_HOST && host.bytes().all(is_plain)
        };
        let host = host.filter(is_host).ok_or(BadEngineUrl::Host)?;
        let port = match port {
            None => PORT,
            Some(port) => {
                let number = port.parse().ok().filter(|number| *number != 0);
                number
                    .filter(|_| !port.starts_with('+'))
                    .ok_or(BadEngineUrl::Port)?
            }
        };
        Ok(EngineUrl {
            host: host.to_ascii_lowercase(),
            port,
            has_tls,
        })
    }
}

/// As it is written in the configuration, with its port.
impl fmt::Display for EngineUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.has_tls { "rediss" } else { "redis" };
        let EngineUrl { host, port, .. } = self;
        if host.contains(':') {
            write!(out, "{scheme}://[{host}]:{port}")
        } else {
            write!(out, "{scheme}://{host}:{port}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_engines_are_read() {
        for (text, shown) in [
            ("redis://e1", "redis://e1:6379"),
            ("redis://E1.Example:1/", "redis://e1.example:1"),
            ("rediss://192.0.2.1:7000", "rediss://192.0.2.1:7000"),
            ("redis://[2001:db8::1]", "redis://[2001:db8::1]:6379"),
            ("redis://[::1]:5", "redis://[::1]:5"),
        ] {
            let url: EngineUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(url.to_string().parse(), Ok(url));
        }
    }

    #[test]
    fn what_is_no_engine_is_refused_with_its_reason() {
        for (text, why) in [
            ("", BadEngineUrl::Scheme),
            ("e1:6379", BadEngineUrl::Scheme),
            ("http://e1", BadEngineUrl::Scheme),
            ("redis://user:secret@e1", BadEngineUrl::Secret),
            ("redis://e1/2", BadEngineUrl::Path),
            ("redis://e1?x", BadEngineUrl::Path),
            ("redis://", BadEngineUrl::Host),
            ("redis://e 1", BadEngineUrl::Host),
            ("redis://[e1]", BadEngineUrl::Host),
            ("redis://[::1]x", BadEngineUrl::Host),
            ("redis://e1:0", BadEngineUrl::Port),
            ("redis://e1:+5", BadEngineUrl::Port),
            ("redis://e1:70000", BadEngineUrl::Port),
            ("redis://::1", BadEngineUrl::Host),
        ] {
            assert_eq!(text.parse::<EngineUrl>(), Err(why), "{text}");
        }
    }
}
