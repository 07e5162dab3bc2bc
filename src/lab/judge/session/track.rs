//! What a session says at one place, from one address: the latest announce, and what the next one is judged by.

use std::net::IpAddr;
use std::time::Duration;

use super::target::Redirect;
use super::{EVENT_LIMIT, Heard};
use crate::lab::judge::book::Evidence;
use crate::lab::judge::outcome::Outcome;
use crate::lab::judge::tiers::Place;
use crate::lab::reading::Announce;

/// Failures in a row whose times are kept.
pub(super) const FAILURES: usize = 5;

/// Bytes that are kept of a key.
const KEY_LIMIT: usize = 64;

/// What a session says at one place, from one address.
#[derive(Clone, Debug)]
pub(super) struct Track {
    pub(super) place: Place,
    pub(super) client: IpAddr,
    pub(super) key: Option<Vec<u8>>,
    pub(super) last: Last,
    /// What was downloaded when it began.
    pub(super) downloaded_at_first: Option<u64>,
    pub(super) has_completed: bool,
    /// The latest announces that came to nothing.
    pub(super) failures: Vec<Failure>,
    pub(super) redirect: Option<Redirect>,
}

/// An announce that came to nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    pub(super) at: Duration,
    /// Announces of the session that trackers had taken by then.
    pub(super) taken: u64,
}

/// The latest announce of a track.
#[derive(Clone, Debug)]
pub(super) struct Last {
    pub(super) at: Duration,
    /// When the client had the answer.
    pub(super) known_at: Duration,
    pub(super) event: String,
    pub(super) outcome: Outcome,
    pub(super) uploaded: Option<u64>,
    pub(super) downloaded: Option<u64>,
    pub(super) left: Option<u64>,
    pub(super) is_packed: bool,
    pub(super) evidence: Evidence,
}

impl Track {
    /// A track that begins with this announce.
    pub(super) fn begin(redirect: Option<Redirect>, taken: u64, heard: &Heard<'_>) -> Track {
        let mut track = Track {
            place: heard.place.clone(),
            client: heard.client,
            key: None,
            last: Last::of(heard),
            downloaded_at_first: heard.announce.downloaded,
            has_completed: false,
            failures: Vec::new(),
            redirect: None,
        };
        track.note(redirect, taken, heard);
        track
    }

    /// The track for who does not know what the latest announce came to.
    pub(super) fn unknown(&self) -> Track {
        let mut track = self.clone();
        track.last.outcome = Outcome::Doubtful;
        track
    }

    /// Keeps what the next announce is judged by; `taken` is how many announces of the session trackers had taken before.
    pub(super) fn note(&mut self, redirect: Option<Redirect>, taken: u64, heard: &Heard<'_>) {
        let announce = heard.announce;
        match heard.outcome {
            Outcome::Accepted(_) | Outcome::Redirected(_) => self.failures.clear(),
            _ => {
                if self.failures.len() >= FAILURES {
                    self.failures.remove(0);
                }
                self.failures.push(Failure {
                    at: heard.at,
                    taken,
                });
            }
        }
        if announce.event == "started" {
            self.has_completed = false;
            self.downloaded_at_first = announce.downloaded;
        }
        let is_accepted = matches!(heard.outcome, Outcome::Accepted(_));
        self.has_completed |= is_accepted && announce.event == "completed";
        self.key = short_key(announce);
        self.last = Last::of(heard);
        self.redirect = redirect;
    }
}

impl Last {
    fn of(heard: &Heard<'_>) -> Last {
        Last {
            at: heard.at,
            known_at: heard.known_at,
            event: heard.announce.event.chars().take(EVENT_LIMIT).collect(),
            outcome: heard.outcome.clone(),
            uploaded: heard.announce.uploaded,
            downloaded: heard.announce.downloaded,
            left: heard.announce.left,
            is_packed: heard.is_packed,
            evidence: heard.evidence.clone(),
        }
    }
}

/// The key of an announce; of one that is longer than any key the beginning.
pub(super) fn short_key(announce: &Announce) -> Option<Vec<u8>> {
    let key = announce.key.as_ref()?;
    Some(key.iter().take(KEY_LIMIT).copied().collect())
}
