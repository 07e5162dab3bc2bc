//! The names under which the operator knows this tracker, and what browsers tell of the page that makes them ask. What is open
//! to admin networks without a login is shown under these names only: a page of a foreign site can have its own name lead here
//! (DNS rebinding) and would read it in an admin's browser. What is behind the login needs no such list, for cookies belong to
//! the name.

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
        // Where /proc is hidden, the configured names are all.
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

/// Whether a text can be a host's name: without a port, and in ASCII.
pub fn is_host_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    (1..=253).contains(&text.len())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

/// The field by which browsers tell whose page makes them ask; no client of BitTorrent sends it.
const SEC_FETCH_SITE: &[u8] = b"sec-fetch-site";

/// What the fields of a request tell of a browser that sends it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Browser {
    /// Whether it says that another site makes it ask, when it says who does.
    is_cross_site: Option<bool>,
    has_origin: bool,
    has_browser_name: bool,
    has_language: bool,
}

impl Browser {
    /// Takes one field; names of no meaning here are passed over.
    #[inline]
    pub fn add(&mut self, name: &[u8], value: &[u8]) {
        if name.eq_ignore_ascii_case(SEC_FETCH_SITE) {
            // What the browser's user asked for is `none`.
            let is_own =
                value.eq_ignore_ascii_case(b"same-origin") || value.eq_ignore_ascii_case(b"none");
            self.is_cross_site = Some(self.is_cross_site.unwrap_or(false) || !is_own);
        } else if name.eq_ignore_ascii_case(b"user-agent") {
            self.has_browser_name |= value.starts_with(b"Mozilla/");
        } else if name.eq_ignore_ascii_case(b"accept-language") {
            self.has_language = true;
        } else if name.eq_ignore_ascii_case(b"origin") {
            self.has_origin = true;
        }
    }

    /// What the fields tell.
    pub fn of<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Browser {
        let mut browser = Browser::default();
        fields.for_each(|(name, value)| browser.add(name, value));
        browser
    }

    /// Whether it says that a page of another site makes it ask; nothing when it does not say whose page does.
    pub fn names_other_site(self) -> Option<bool> {
        self.is_cross_site
    }

    /// Whether a page of another site makes it ask, or may do so: over plain HTTP, and not on the machine itself, browsers name
    /// no site. They have names and languages then, which no page can take from them and no client of BitTorrent has both of;
    /// and to read without a form they send their page's origin only to another.
    pub fn may_ask_for_other_site(self) -> bool {
        self.is_cross_site
            .unwrap_or(self.has_origin || self.has_browser_name && self.has_language)
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

    /// W3
    #[test]
    fn requests_that_pages_of_other_sites_make_or_may_make_are_told() {
        let name = ("User-Agent", "Mozilla/5.0 (X11)");
        let language = ("accept-language", "ru");
        for (fields, told, may_be) in [
            (vec![], None, false),
            (vec![("Sec-Fetch-Site", "cross-site")], Some(true), true),
            (vec![("sec-fetch-site", "same-site")], Some(true), true),
            (vec![("Sec-Fetch-Site", "Same-Origin")], Some(false), false),
            (
                vec![("Sec-Fetch-Site", "none"), name, language],
                Some(false),
                false,
            ),
            (
                vec![("Sec-Fetch-Site", "what-comes-next")],
                Some(true),
                true,
            ),
            (vec![("Sec-Fetch-Site", "")], Some(true), true),
            (
                vec![("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Site", "none")],
                Some(true),
                true,
            ),
            (
                vec![("Sec-Fetch-Site", "none"), ("Sec-Fetch-Site", "cross-site")],
                Some(true),
                true,
            ),
            (vec![("Sec-Fetch-Mode", "no-cors")], None, false),
            (vec![("Origin", "http://evil.example")], None, true),
            (vec![("Origin", "null")], None, true),
            (vec![name, language], None, true),
            (vec![name], None, false),
            (vec![("User-Agent", "KTorrent/22"), language], None, false),
        ] {
            let pairs = fields.iter();
            let browser = Browser::of(pairs.map(|(n, v)| (n.as_bytes(), v.as_bytes())));
            assert_eq!(browser.names_other_site(), told, "{fields:?}");
            assert_eq!(browser.may_ask_for_other_site(), may_be, "{fields:?}");
        }
    }
}
