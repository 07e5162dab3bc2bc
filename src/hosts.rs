//! The names under which the operator knows this tracker. What is open to admin networks without a login is shown under
//! these only: a page of a foreign site can have its own name lead here (DNS rebinding) and would read it in an admin's
//! browser. What is behind the login needs no such list, for cookies belong to the name.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Names that lead here on every machine.
const ALWAYS: [&str; 2] = ["localhost", "retracker.local"];

/// Where the system says what it is called.
const MACHINE: &str = "/proc/sys/kernel/hostname";

/// The known names.
#[derive(Clone, Debug)]
pub struct Hosts {
    /// Those of the configuration, as they stand there.
    configured: Vec<String>,
    /// All of them, in lower case.
    known: Vec<String>,
}

impl Default for Hosts {
    fn default() -> Hosts {
        Hosts::new(Vec::new())
    }
}

impl Hosts {
    /// The configured names, the machine's own, and those that are always known.
    pub fn new(configured: Vec<String>) -> Hosts {
        let machine = std::fs::read_to_string(MACHINE).unwrap_or_default();
        let names = configured.iter().map(String::as_str);
        let names = names.chain(ALWAYS).chain([machine.trim()]);
        let known = names
            .map(|name| name.trim_end_matches('.').to_ascii_lowercase())
            .filter(|name| !name.is_empty())
            .collect();
        Hosts { configured, known }
    }

    /// The names of the configuration.
    pub fn configured(&self) -> &[String] {
        &self.configured
    }

    /// Whether a field `Host` names us: by a known name or by any address, which no foreign site has for a name. So does a
    /// request without one, as only programs send it.
    pub fn know(&self, host: Option<&[u8]>) -> bool {
        let Some(host) = host else { return true };
        let Ok(host) = std::str::from_utf8(host) else {
            return false;
        };
        if let Some(rest) = host.strip_prefix('[') {
            let address = rest.split_once(']').filter(|(_, port)| is_port(port));
            return address.is_some_and(|(ip, _)| ip.parse::<Ipv6Addr>().is_ok());
        }
        let (name, port) = match host.find(':') {
            Some(colon) => host.split_at(colon),
            None => (host, ""),
        };
        if !is_port(port) {
            return false;
        }
        let name = name.strip_suffix('.').unwrap_or(name);
        name.parse::<Ipv4Addr>().is_ok()
            || self.known.iter().any(|own| own.eq_ignore_ascii_case(name))
    }
}

/// Nothing, or a colon and digits.
fn is_port(text: &str) -> bool {
    let digits = text.strip_prefix(':').unwrap_or(text);
    digits.len() <= 5
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && (text.is_empty() || text.starts_with(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// O4
    #[test]
    fn addresses_and_own_names_are_known_and_foreign_ones_are_not() {
        let hosts = Hosts::new(vec!["Tracker.ISP.example.".into()]);
        for own in [
            "127.0.0.1:8080",
            "192.0.2.1",
            "[::1]:8080",
            "[2001:db8::1]",
            "localhost",
            "LOCALHOST:80",
            "retracker.local:80",
            "retracker.local.",
            "tracker.isp.example:8080",
        ] {
            assert!(hosts.know(Some(own.as_bytes())), "{own}");
        }
        for foreign in [
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "127.0.0.1@evil.example",
            "[::1].evil.example",
            "[evil]",
            "localhost:8080:evil",
            "localhost:80x",
            "tracker",
            "",
            ":80",
            "1",
            "0x7f000001",
        ] {
            assert!(!hosts.know(Some(foreign.as_bytes())), "{foreign}");
        }
        assert!(hosts.know(None) && !hosts.know(Some(b"\xff")));
    }
}
