//! One client's session of one torrent: what it tells each tracker, one announce after another.

use std::net::IpAddr;
use std::time::Duration;

use super::book::{Book, Evidence, Finding};
use super::outcome::{Outcome, RetryIn, Terms};
use super::rule::Rule;
use super::tiers::{Place, Progress};
use super::{Options, in_seconds, is_before};
use crate::lab::reading::Announce;

/// Places that are followed of a session.
const TRACKS: usize = 32;
/// Steps of a session that are kept for the report.
const STEPS: usize = 100;
/// Characters that are kept of an event, and bytes of a key.
const EVENT_LIMIT: usize = 40;
const KEY_LIMIT: usize = 64;
/// Redirects that a client may follow one after another.
const REDIRECTS: u32 = 20;
/// What is longer between two requests is no redirect that is followed.
const REDIRECT_GAP: Duration = Duration::from_secs(5);
/// Announces in a row that a failing tracker may get in [`HAMMER_WINDOW`].
const HAMMER_LIMIT: usize = 5;
const HAMMER_WINDOW: Duration = Duration::from_secs(60);
/// What some clients have as the least time between two announces, whatever the tracker says; libtorrent has five minutes.
const OWN_MINIMUM: Duration = Duration::from_secs(300);
/// More than any torrent, or what anybody sends of one.
const BYTES_LIMIT: u64 = 1 << 60;

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
    pub(super) outcome: Outcome,
    /// Whether the answer was packed as the client says that it can read.
    pub(super) is_packed: bool,
    /// The Host header, to tell whether a redirect leads to where it can be seen.
    pub(super) host: Option<Vec<u8>>,
    pub(super) evidence: Evidence,
}

/// What a session says at one place, from one address.
#[derive(Clone, Debug)]
struct Track {
    place: Place,
    client: IpAddr,
    key: Option<Vec<u8>>,
    last: Last,
    /// What was downloaded when it began.
    downloaded_at_first: Option<u64>,
    has_completed: bool,
    /// Times of the latest announces that came to nothing.
    failures: Vec<Duration>,
    redirect: Option<Redirect>,
}

/// The latest announce of a track.
#[derive(Clone, Debug)]
struct Last {
    at: Duration,
    event: String,
    outcome: Outcome,
    uploaded: Option<u64>,
    downloaded: Option<u64>,
    left: Option<u64>,
    is_packed: bool,
    evidence: Evidence,
}

/// A redirect that is not followed yet.
#[derive(Clone, Debug)]
struct Redirect {
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
            had_left: None,
            has_said_completed: false,
        }
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

    /// Judges one announce of it.
    pub(super) fn hear(&mut self, book: &mut Book, options: &Options, heard: &Heard<'_>) {
        let event = heard.announce.event.as_str();
        if self.announces == 0 {
            book.check(Rule::StartedFirst, event == "started", || {
                let what = match event {
                    "" => "the first announce has no event".to_owned(),
                    _ => format!(
                        "the first announce has the event `{}`",
                        event.escape_debug()
                    ),
                };
                self.finding(what, "`event=started`".to_owned(), &[&heard.evidence])
            });
        }
        self.check_numbers(book, options, heard);
        let at = self
            .tracks
            .iter()
            .position(|track| track.place == *heard.place && track.client == heard.client);
        let link = self.follow_redirects(book, options, at, heard);
        if let Some(track) = at.and_then(|at| self.tracks.get(at)) {
            self.check_pace(book, track, heard);
            self.check_events(book, track, heard);
            self.check_counts(book, track, heard);
            self.check_answers(book, track, heard);
        }
        self.check_completed(book, at, heard);
        self.note(at, link, heard);
    }

    fn check_numbers(&self, book: &mut Book, options: &Options, heard: &Heard<'_>) {
        let announce = heard.announce;
        let limit = options.size.unwrap_or(BYTES_LIMIT - 1);
        let numbers = [
            ("left", announce.left, limit),
            ("downloaded", announce.downloaded, BYTES_LIMIT - 1),
            ("uploaded", announce.uploaded, BYTES_LIMIT - 1),
        ];
        for (name, number, limit) in numbers {
            let Some(number) = number else { continue };
            book.check(Rule::NumbersPlausible, number <= limit, || {
                let what = format!("`{name}` is {number}");
                self.finding(what, format!("{limit} at most"), &[&heard.evidence])
            });
        }
    }

    /// How long after the last announce this one comes.
    fn check_pace(&self, book: &mut Book, track: &Track, heard: &Heard<'_>) {
        let last = &track.last;
        let gap = heard.at.saturating_sub(last.at);
        let event = heard.announce.event.as_str();
        // BEP 21: a partial seed says `paused` in each announce; with the first it tells what has changed, as with `completed`.
        let is_regular = match event {
            "" => last.event != "stopped",
            "paused" => last.event == "paused",
            _ => false,
        };
        let pair = [&last.evidence, &heard.evidence];
        let came = || {
            format!(
                "request {} came {} after request {}",
                heard.evidence.request,
                in_seconds(gap),
                last.evidence.request
            )
        };
        match &last.outcome {
            Outcome::Accepted(terms) => {
                if is_regular {
                    self.check_interval(book, terms, gap, &came, pair);
                }
                if last.event != "stopped" && self.is_only_place(heard.client) {
                    let latest = (terms.interval * 2).max(terms.interval + OWN_MINIMUM);
                    let latest = latest + latest / 20;
                    // An event may come at any time; only one that comes late proves something.
                    if is_regular || gap > latest {
                        book.check(Rule::AnnouncesAgain, gap <= latest, || {
                            let right = format!(
                                "after {}, the interval of the last answer",
                                in_seconds(terms.interval)
                            );
                            self.finding(came(), right, &pair)
                        });
                    }
                }
            }
            Outcome::Refused(Some(retry)) if event != "stopped" => {
                let is_early = match retry {
                    RetryIn::Never => true,
                    RetryIn::After(wait) => is_before(gap, *wait),
                };
                book.check(Rule::RetryInKept, !is_early, || {
                    let right = match retry {
                        RetryIn::Never => "none: the answer says `retry in` never".to_owned(),
                        RetryIn::After(wait) => {
                            format!("after {}, as `retry in` says", in_seconds(*wait))
                        }
                    };
                    self.finding(came(), right, &pair)
                });
            }
            _ => {}
        }
        if !track.failures.is_empty() && event != "stopped" {
            let since = track.failures.len().checked_sub(HAMMER_LIMIT);
            let since = since.and_then(|place| track.failures.get(place));
            let span = since.map(|since| heard.at.saturating_sub(*since));
            let is_calm = span.is_none_or(|span| span >= HAMMER_WINDOW);
            book.check(Rule::NotHammered, is_calm, || {
                let what = format!(
                    "{} announces within {} to a tracker that gave no answer to go by",
                    HAMMER_LIMIT + 1,
                    in_seconds(span.unwrap_or_default())
                );
                let right = "longer waits with each failure".to_owned();
                self.finding(what, right, &pair)
            });
        }
    }

    fn check_interval(
        &self,
        book: &mut Book,
        terms: &Terms,
        gap: Duration,
        came: &dyn Fn() -> String,
        pair: [&Evidence; 2],
    ) {
        let (rule, name, wait) = match terms.min_interval {
            Some(least) => (Rule::MinIntervalKept, "min interval", least),
            None => (Rule::IntervalKept, "interval", terms.interval),
        };
        book.check(rule, !is_before(gap, wait), || {
            let right = format!("after {}, the `{name}` of the answer", in_seconds(wait));
            self.finding(came(), right, &pair)
        });
    }

    /// Which event follows which.
    fn check_events(&self, book: &mut Book, track: &Track, heard: &Heard<'_>) {
        let last = &track.last;
        let event = heard.announce.event.as_str();
        let pair = [&last.evidence, &heard.evidence];
        if last.event == "stopped" {
            let is_over = matches!(event, "started" | "stopped");
            book.check(Rule::NothingAfterStopped, is_over, || {
                let what = format!("request {} follows a `stopped`", heard.evidence.request);
                self.finding(what, "`started`, or nothing".to_owned(), &pair)
            });
            return;
        }
        let is_open = matches!(last.event.as_str(), "started" | "completed");
        match &last.outcome {
            Outcome::Accepted(terms) => {
                let is_repeated = event == "started" || (is_open && event == last.event);
                let rule = if last.is_packed && is_open {
                    Some(Rule::EncodingRead)
                } else if terms.has_warning {
                    Some(Rule::WarningIsNoFailure)
                } else if event == "started" || last.event != "completed" {
                    Some(Rule::StartedOnce)
                } else {
                    None
                };
                if let Some(rule) = rule {
                    book.check(rule, !is_repeated, || {
                        let what = format!(
                            "request {} says `{event}`, though request {} was answered in order",
                            heard.evidence.request, last.evidence.request
                        );
                        self.finding(what, "no event".to_owned(), &pair)
                    });
                }
            }
            outcome if outcome.is_failure() && is_open => {
                let is_never = *outcome == Outcome::Refused(Some(RetryIn::Never));
                // What another tracker took may count for all of them.
                let is_taken = self.tracks.iter().any(|other| {
                    other.place != track.place && matches!(other.last.outcome, Outcome::Accepted(_))
                });
                if is_never || is_taken || (last.event == "completed" && track.has_completed) {
                    return;
                }
                let is_repeated = matches!(event, "started" | "completed" | "stopped");
                book.check(Rule::EventRepeated, is_repeated, || {
                    let what = format!(
                        "request {} has no event, though `{}` of request {} had {}",
                        heard.evidence.request,
                        last.event,
                        last.evidence.request,
                        outcome.word()
                    );
                    self.finding(what, format!("`event={}`", last.event), &pair)
                });
            }
            _ => {}
        }
    }

    /// What must grow, what must shrink, and what must stay.
    fn check_counts(&self, book: &mut Book, track: &Track, heard: &Heard<'_>) {
        let (last, announce) = (&track.last, heard.announce);
        let pair = [&last.evidence, &heard.evidence];
        let told = |name: &str, before: u64, after: u64| {
            format!(
                "`{name}` went from {before} (request {}) to {after} (request {})",
                last.evidence.request, heard.evidence.request
            )
        };
        if announce.event != "started" && last.event != "stopped" {
            let grows = [
                (
                    Rule::DownloadedGrows,
                    "downloaded",
                    last.downloaded,
                    announce.downloaded,
                ),
                (
                    Rule::UploadedGrows,
                    "uploaded",
                    last.uploaded,
                    announce.uploaded,
                ),
            ];
            for (rule, name, before, after) in grows {
                if let (Some(before), Some(after)) = (before, after) {
                    book.check(rule, after >= before, || {
                        let right = format!("{before} or more");
                        self.finding(told(name, before, after), right, &pair)
                    });
                }
            }
            // Before anything is downloaded, the size may not be known yet (magnet links), or what is there is being checked.
            if let (Some(before), Some(after), Some(1..)) =
                (last.left, announce.left, last.downloaded)
            {
                book.check(Rule::LeftShrinks, after <= before, || {
                    let right = format!("{before} or less, unless files were added");
                    self.finding(told("left", before, after), right, &pair)
                });
            }
        }
        let key = short_key(announce);
        book.check(Rule::SameKey, key == track.key, || {
            let shown = |key: &Option<Vec<u8>>| match key {
                Some(key) => format!("`{}`", super::book::escaped(key)),
                None => "none".to_owned(),
            };
            let what = format!("the key was {}, and is {}", shown(&track.key), shown(&key));
            self.finding(what, "the same key".to_owned(), &pair)
        });
    }

    /// What the client makes of what the last answer said.
    fn check_answers(&self, book: &mut Book, track: &Track, heard: &Heard<'_>) {
        let Outcome::Accepted(terms) = &track.last.outcome else {
            return;
        };
        if let Some(id) = &terms.tracker_id {
            let mut parameters = heard.announce.parameters.iter();
            let returned = parameters.find(|parameter| parameter.name == b"trackerid");
            let returned = returned.map(|parameter| &parameter.value);
            book.check(Rule::TrackerIdReturned, returned == Some(id), || {
                let id = super::book::escaped(id);
                self.finding(
                    format!(
                        "the answer had the tracker id `{id}`, and the next announce has it not"
                    ),
                    format!("`trackerid={id}`, encoded"),
                    &[&track.last.evidence, &heard.evidence],
                )
            });
        }
    }

    fn check_completed(&self, book: &mut Book, at: Option<usize>, heard: &Heard<'_>) {
        let announce = heard.announce;
        let track = at.and_then(|at| self.tracks.get(at));
        let before = track.map_or(&self.last, |track| &track.last.evidence);
        let pair = [before, &heard.evidence];
        if announce.event != "completed" {
            let Some(track) = track else { return };
            let has_grown = track.last.downloaded < announce.downloaded;
            let is_last_of_it = track.last.left > Some(0) && announce.left == Some(0);
            if is_last_of_it && has_grown && announce.event != "started" {
                book.check(Rule::CompletedSent, self.has_said_completed, || {
                    let what = format!(
                        "`left` went from {} to 0, and nothing says `completed`",
                        track.last.left.unwrap_or_default()
                    );
                    self.finding(what, "`event=completed`".to_owned(), &pair)
                });
            }
            return;
        }
        let finding = |what: String, right: &str| self.finding(what, right.to_owned(), &pair);
        if let Some(track) = track {
            book.check(Rule::CompletedOnce, !track.has_completed, || {
                finding("`completed` was accepted before".to_owned(), "no event")
            });
        }
        if let Some(left) = announce.left {
            book.check(Rule::CompletedWhenWhole, left == 0, || {
                finding(format!("`completed` with {left} bytes left"), "`left=0`")
            });
        }
        if let Some(had_left) = self.had_left {
            book.check(Rule::CompletedAfterLeft, had_left, || {
                finding("nothing was left from the start".to_owned(), "no event")
            });
            book.kept(Rule::CompletedSent);
        }
        if let (Some(track), Some(true)) = (track, self.had_left) {
            let has_grown = announce.downloaded > track.downloaded_at_first;
            book.check(Rule::DownloadedCounts, has_grown, || {
                let what = format!(
                    "`completed`, and `downloaded` is {} as at the start",
                    announce.downloaded.unwrap_or_default()
                );
                finding(what, "what was downloaded since `started`")
            });
        }
    }

    /// Judges what became of redirects; which link of a chain of them this announce is.
    fn follow_redirects(
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

    fn unfollowed(&self, redirect: &Redirect, evidence: &[&Evidence]) -> Finding {
        let target = super::book::escaped(&redirect.target.text);
        self.finding(
            format!(
                "request {} was redirected to `{target}`, where nothing came",
                redirect.evidence.request
            ),
            format!("a request for `{target}`"),
            evidence,
        )
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
        let redirect = match &heard.outcome {
            Outcome::Redirected(location) => {
                Target::read(location, heard.host.as_deref()).map(|target| Redirect {
                    target,
                    link: link + 1,
                    at: heard.at,
                    evidence: heard.evidence.clone(),
                })
            }
            _ => None,
        };
        if let Some(track) = at.and_then(|at| self.tracks.get_mut(at)) {
            track.note(redirect, heard);
        } else if self.tracks.len() < TRACKS {
            let place = heard.place.clone();
            let client = heard.client;
            let mut track = Track {
                place,
                client,
                key: None,
                last: Last::of(heard),
                downloaded_at_first: announce.downloaded,
                has_completed: false,
                failures: Vec::new(),
                redirect: None,
            };
            track.note(redirect, heard);
            self.tracks.push(track);
        }
    }

    /// Judges a session whose client has begun another one, or has ended: `how` says which.
    pub(super) fn check_ended(&self, book: &mut Book, how: &str, evidence: Option<&Evidence>) {
        for track in &self.tracks {
            let last = &track.last;
            let is_counted = matches!(last.outcome, Outcome::Accepted(_));
            if last.event == "stopped" {
                book.kept(Rule::StoppedAtEnd);
            } else if is_counted {
                book.check(Rule::StoppedAtEnd, false, || {
                    let what = format!(
                        "{how}, and {} counts it since request {}",
                        track.place.url(),
                        last.evidence.request
                    );
                    let evidence: Vec<&Evidence> =
                        [&last.evidence].into_iter().chain(evidence).collect();
                    self.finding(what, "`event=stopped`".to_owned(), &evidence)
                });
            }
        }
    }

    /// Judges redirects that were not followed until the end of the run.
    pub(super) fn check_redirects(
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

    /// Judges what should have come until `at`, while the client was expected to be there, and did not.
    pub(super) fn check_silence(&self, book: &mut Book, at: Duration) {
        for track in &self.tracks {
            let last = &track.last;
            let gap = at.saturating_sub(last.at);
            if let Outcome::Accepted(terms) = &last.outcome
                && last.event != "stopped"
                && self.is_only_place(track.client)
            {
                let latest = (terms.interval * 2).max(terms.interval + OWN_MINIMUM);
                if gap > latest + latest / 20 {
                    book.check(Rule::AnnouncesAgain, false, || {
                        let what = format!(
                            "no announce for {} since request {}",
                            in_seconds(gap),
                            last.evidence.request
                        );
                        let right = format!("one each {}", in_seconds(terms.interval));
                        self.finding(what, right, &[&last.evidence])
                    });
                }
            }
        }
    }
}

impl Last {
    fn of(heard: &Heard<'_>) -> Last {
        Last {
            at: heard.at,
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

impl Track {
    /// Keeps what the next announce is judged by.
    fn note(&mut self, redirect: Option<Redirect>, heard: &Heard<'_>) {
        let announce = heard.announce;
        match heard.outcome {
            Outcome::Accepted(_) | Outcome::Redirected(_) => self.failures.clear(),
            _ => {
                if self.failures.len() >= HAMMER_LIMIT {
                    self.failures.remove(0);
                }
                self.failures.push(heard.at);
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

/// The key of an announce; of one that is longer than any key the beginning.
fn short_key(announce: &Announce) -> Option<Vec<u8>> {
    let key = announce.key.as_ref()?;
    Some(key.iter().take(KEY_LIMIT).copied().collect())
}

impl Target {
    /// Reads a Location; none where it leads to no URL of HTTP.
    fn read(location: &[u8], host: Option<&[u8]>) -> Option<Target> {
        let path_of = |url: &[u8]| {
            let path = url.split(|byte| matches!(byte, b'?' | b'#')).next();
            path.unwrap_or_default().to_vec()
        };
        let text = location.iter().take(200).copied().collect();
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
