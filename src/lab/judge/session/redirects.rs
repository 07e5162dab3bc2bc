//! Redirects: whether the client goes where they lead, and comes to an end with those that lead in a circle.

use std::time::Duration;

use super::track::Track;
use super::{Heard, Session};
use crate::lab::judge::Options;
use crate::lab::judge::book::{Book, Evidence, Finding, escaped};
use crate::lab::judge::outcome::Outcome;
use crate::lab::judge::rule::Rule;
use crate::lab::judge::tiers::Place;

/// Redirects that a client may follow one after another.
const REDIRECTS: u32 = 20;
/// What is longer between two requests is no redirect that is followed.
const REDIRECT_GAP: Duration = Duration::from_secs(5);
/// Bytes that are kept of a Location.
const LOCATION_LIMIT: usize = 200;

/// A redirect that is not followed yet.
#[derive(Clone, Debug)]
pub(super) struct Redirect {
    target: Target,
    /// Which one of a chain it is, from 1.
    link: u32,
    at: Duration,
    evidence: Evidence,
}

/// Where a redirect leads, as far as it can be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    port: Option<u16>,
    path: Vec<u8>,
    text: Vec<u8>,
}

impl Session {
    /// Judges what became of redirects; which link of a chain of them this announce is.
    pub(super) fn follow_redirects(
        &mut self,
        book: &mut Book,
        options: &Options,
        at: Option<usize>,
        heard: &Heard<'_>,
    ) -> u32 {
        // Whoever gave up a chain and tries again later goes on with none.
        let leads_here = |track: &Track| {
            let redirect = track.redirect.as_ref();
            track.client == heard.client
                && redirect.is_some_and(|redirect| {
                    let is_new = redirect.link == 1 && track.place != *heard.place;
                    let gap = heard.at.saturating_sub(redirect.at);
                    redirect.target.is(heard.place) && (is_new || gap <= REDIRECT_GAP)
                })
        };
        let followed = self.tracks.iter_mut().find(|track| leads_here(track));
        if let Some(redirect) = followed.and_then(|track| track.redirect.take()) {
            book.kept(Rule::RedirectsFollowed);
            if redirect.link > 1 {
                book.check(Rule::RedirectsEnd, redirect.link <= REDIRECTS, || {
                    let what = format!("the redirect {} in a row was followed", redirect.link);
                    let right = format!("a failure after {REDIRECTS}");
                    self.finding(what, right, &[&redirect.evidence, &heard.evidence])
                });
            }
            return redirect.link;
        }
        let again = at.and_then(|at| self.tracks.get_mut(at));
        if let Some(redirect) = again.and_then(|track| track.redirect.take())
            && redirect.target.is_seen(heard.place, options)
            // Who gives up a chain has followed; the next try begins anew.
            && redirect.link < 2
        {
            let evidence = [&redirect.evidence, &heard.evidence];
            let finding = self.unfollowed(&redirect, &evidence);
            book.check(Rule::RedirectsFollowed, false, || finding);
        }
        0
    }

    /// Judges redirects that were not followed until the end of the run.
    pub(in crate::lab::judge) fn check_redirects(
        &self,
        book: &mut Book,
        options: &Options,
        at: Duration,
        patience: Duration,
    ) {
        for track in &self.tracks {
            if let Some(redirect) = &track.redirect
                && redirect.link == 1
                && redirect.target.is_seen(&track.place, options)
                && at.saturating_sub(redirect.at) > patience
            {
                book.check(Rule::RedirectsFollowed, false, || {
                    self.unfollowed(redirect, &[&redirect.evidence])
                });
            }
        }
    }

    fn unfollowed(&self, redirect: &Redirect, evidence: &[&Evidence]) -> Finding {
        let target = escaped(&redirect.target.text);
        self.finding(
            format!(
                "request {} was redirected to `{target}`, where nothing came",
                redirect.evidence.request
            ),
            format!("a request for `{target}`"),
            evidence,
        )
    }
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

    fn is(&self, place: &Place) -> bool {
        self.path == place.path && self.port.is_none_or(|port| port == place.tracker.port())
    }

    /// Whether a request there would be seen.
    fn is_seen(&self, from: &Place, options: &Options) -> bool {
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
