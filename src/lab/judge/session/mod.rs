//! One client's session of one torrent: what it tells each tracker, one announce after another. What is expected of an announce
//! stands in the modules below, by subject.

mod counts;
mod events;
mod identity;
mod pace;
mod redirects;
mod target;
mod track;

use std::net::IpAddr;
use std::time::Duration;

use target::Redirect;
use track::Track;

use super::Options;
use super::book::{Book, Evidence, Finding};
use super::outcome::Outcome;
use super::tiers::{Place, Progress};
use crate::lab::reading::Announce;

/// Places that are followed of a session.
const TRACKS: usize = 32;
/// Steps of a session that are kept for the report.
const STEPS: usize = 100;
/// Characters that are kept of an event.
const EVENT_LIMIT: usize = 40;

/// A session, while it is followed.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) number: u32,
    pub(super) hash: Vec<u8>,
    pub(super) peer_id: Vec<u8>,
    pub(super) client: IpAddr,
    pub(super) port: Option<u16>,
    pub(super) agent: Option<String>,
    pub(super) announces: u64,
    pub(super) last: Evidence,
    pub(super) steps: Vec<Step>,
    pub(super) progress: Progress,
    pub(super) names_other_family: bool,
    tracks: Vec<Track>,
    /// Announces that trackers took, farewells left out.
    taken: u64,
    /// Whether it ever had something left; none while `left` was not told.
    had_left: Option<bool>,
    has_said_completed: bool,
}

/// An announce in a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The request's number.
    pub request: u64,
    /// When; real time since the laboratory started.
    pub at: Duration,
    /// Where.
    pub url: String,
    /// Its event; empty for none.
    pub event: String,
    /// What is left, where it is told.
    pub left: Option<u64>,
    /// What it came to, in a word.
    pub outcome: &'static str,
}

/// An announce, ready to be judged.
pub(super) struct Heard<'a> {
    pub(super) announce: &'a Announce,
    pub(super) place: &'a Place,
    pub(super) client: IpAddr,
    pub(super) at: Duration,
    /// When the client had the answer.
    pub(super) known_at: Duration,
    pub(super) outcome: Outcome,
    /// Whether the answer was packed as the client says that it can read.
    pub(super) is_packed: bool,
    /// Announces that other trackers may have taken until now, which are not heard here.
    pub(super) taken_elsewhere: u64,
    /// The Host header, to tell whether a redirect leads to where it can be seen.
    pub(super) host: Option<Vec<u8>>,
    pub(super) evidence: Evidence,
}

impl Session {
    pub(super) fn new(number: u32, hash: Vec<u8>, peer_id: Vec<u8>, heard: &Heard<'_>) -> Session {
        Session {
            number,
            hash,
            peer_id,
            client: heard.client,
            port: heard.announce.port,
            agent: None,
            announces: 0,
            last: heard.evidence.clone(),
            steps: Vec::new(),
            progress: Progress::default(),
            names_other_family: false,
            tracks: Vec::new(),
            taken: 0,
            had_left: None,
            has_said_completed: false,
        }
    }

    /// Judges one announce of it.
    pub(super) fn hear(&mut self, book: &mut Book, options: &Options, heard: &Heard<'_>) {
        if self.announces == 0 {
            self.check_first(book, heard);
        }
        self.check_numbers(book, options, heard);
        let at = self
            .tracks
            .iter()
            .position(|track| track.place == *heard.place && track.client == heard.client);
        let link = self.follow_redirects(book, options, at, heard);
        if let Some(track) = at.and_then(|at| self.tracks.get(at)) {
            // What had not been answered yet told the client nothing.
            let unknown = (heard.at < track.last.known_at).then(|| track.unknown());
            let track = unknown.as_ref().unwrap_or(track);
            self.check_pace(book, track, heard);
            self.check_events(book, track, heard);
            self.check_counts(book, track, heard);
            self.check_key(book, track, heard);
            self.check_tracker_id(book, track, heard);
        }
        self.check_completed(book, at, heard);
        self.note(at, link, heard);
    }

    /// Keeps what the next announce is judged by.
    fn note(&mut self, at: Option<usize>, link: u32, heard: &Heard<'_>) {
        let announce = heard.announce;
        self.announces += 1;
        self.last = heard.evidence.clone();
        if self.steps.len() < STEPS {
            self.steps.push(Step {
                request: heard.evidence.request,
                at: heard.at,
                url: heard.place.url(),
                event: announce.event.chars().take(EVENT_LIMIT).collect(),
                left: announce.left,
                outcome: heard.outcome.word(),
            });
        }
        let is_started = announce.event == "started";
        if is_started && at.is_some() && self.has_stopped() {
            self.had_left = None;
            self.has_said_completed = false;
        }
        if let Some(left) = announce.left {
            self.had_left = Some(self.had_left == Some(true) || left > 0);
        }
        self.has_said_completed |= announce.event == "completed";
        let redirect = Redirect::of(heard, link);
        let taken = self.taken_until(heard);
        if matches!(heard.outcome, Outcome::Accepted(_)) && announce.event != "stopped" {
            self.taken += 1;
        }
        if let Some(track) = at.and_then(|at| self.tracks.get_mut(at)) {
            track.note(redirect, taken, heard);
        } else if self.tracks.len() < TRACKS {
            self.tracks.push(Track::begin(redirect, taken, heard));
        }
    }

    /// Announces of it that trackers had taken when this one came, heard here or not.
    fn taken_until(&self, heard: &Heard<'_>) -> u64 {
        self.taken.saturating_add(heard.taken_elsewhere)
    }

    fn finding(&self, what: String, right: String, evidence: &[&Evidence]) -> Finding {
        Finding {
            session: Some(self.number),
            what,
            right,
            evidence: evidence.iter().map(|one| (*one).clone()).collect(),
        }
    }

    /// Whether it has said `stopped` everywhere since it last said anything else.
    pub(super) fn has_stopped(&self) -> bool {
        self.tracks
            .iter()
            .all(|track| track.last.event == "stopped")
    }

    /// Whether it has announced at one place only from this address: who has several may turn from one to another.
    fn is_only_place(&self, client: IpAddr) -> bool {
        let mut places = self.tracks.iter().filter(|track| track.client == client);
        places.nth(1).is_none()
    }

    /// The families of the trackers that it was counted at.
    pub(super) fn families(&self) -> (bool, bool) {
        let accepted = |track: &&Track| matches!(track.last.outcome, Outcome::Accepted(_));
        let is_v4 = |track: &Track| track.place.tracker.ip().to_canonical().is_ipv4();
        let mut counted = self.tracks.iter().filter(accepted);
        let v4 = counted.clone().any(is_v4);
        (v4, counted.any(|track| !is_v4(track)))
    }
}
