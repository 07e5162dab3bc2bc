//! Where a redirect leads, and what is kept of one until it is followed.

use std::time::Duration;

use super::Heard;
use crate::lab::judge::Options;
use crate::lab::judge::book::Evidence;
use crate::lab::judge::outcome::Outcome;
use crate::lab::judge::tiers::Place;

/// Bytes that are kept of a Location.
const LOCATION_LIMIT: usize = 200;

/// A redirect that is not followed yet.
#[derive(Clone, Debug)]
pub(super) struct Redirect {
    pub(super) target: Target,
    /// Which one of a chain it is, from 1.
    pub(super) link: u32,
    pub(super) at: Duration,
    pub(super) evidence: Evidence,
}

/// Where a redirect leads, as far as it can be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    port: Option<u16>,
    path: Vec<u8>,
    pub(super) text: Vec<u8>,
}

impl Redirect {
    /// The one that is the answer to this announce, which is itself number `link` of a chain; none where it is none that leads to a
    /// URL of HTTP.
    pub(super) fn of(heard: &Heard<'_>, link: u32) -> Option<Redirect> {
        let Outcome::Redirected(location) = &heard.outcome else {
            return None;
        };
        Some(Redirect {
            target: Target::read(location, heard.host.as_deref())?,
            link: link + 1,
            at: heard.at,
            evidence: heard.evidence.clone(),
        })
    }
}

impl Target {
    /// Reads a Location; none where it leads to no URL of HTTP.
    fn read(location: &[u8], host: Option<&[u8]>) -> Option<Target> {
        let path_of = |url: &[u8]| {
            let path = url.split(|byte| matches!(byte, b'?' | b'#')).next();
            path.unwrap_or_default().to_vec()
        };
        let text = location.iter().take(LOCATION_LIMIT).copied().collect();
        if location.starts_with(b"/") && !location.starts_with(b"//") {
            let port = host.and_then(port_of);
            let path = path_of(location);
            return Some(Target { port, path, text });
        }
        let rest = location
            .strip_prefix(b"http://")
            .or_else(|| location.strip_prefix(b"https://"))?;
        let end = memchr::memchr3(b'/', b'?', b'#', rest).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at_checked(end)?;
        let path = path_of(rest);
        let path = if path.is_empty() { b"/".to_vec() } else { path };
        let port = port_of(authority);
        Some(Target { port, path, text })
    }

    pub(super) fn is(&self, place: &Place) -> bool {
        self.path == place.path && self.port.is_none_or(|port| port == place.tracker.port())
    }

    /// Whether a request there would be seen.
    pub(super) fn is_seen(&self, from: &Place, options: &Options) -> bool {
        self.port.is_none_or(|port| {
            port == from.tracker.port() || options.trackers.iter().any(|there| there.port() == port)
        })
    }
}

fn port_of(authority: &[u8]) -> Option<u16> {
    let colon = memchr::memrchr(b':', authority)?;
    let digits = authority.get(colon + 1..)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}
