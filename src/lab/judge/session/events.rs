//! Events: which follows which, `started` first, `completed` once and in its place, `stopped` at the end.

use super::track::Track;
use super::{Heard, Session};
use crate::lab::judge::book::{Book, Evidence};
use crate::lab::judge::outcome::{Outcome, RetryIn};
use crate::lab::judge::rule::Rule;

impl Session {
    /// With what it begins. Who was taken by a tracker that is not heard here has begun there.
    pub(super) fn check_first(&self, book: &mut Book, heard: &Heard<'_>) {
        if heard.taken_elsewhere > 0 {
            return;
        }
        let event = heard.announce.event.as_str();
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

    /// Which event follows which.
    pub(super) fn check_events(&self, book: &mut Book, track: &Track, heard: &Heard<'_>) {
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
                let is_taken = heard.taken_elsewhere > 0
                    || self.tracks.iter().any(|other| {
                        other.place != track.place
                            && matches!(other.last.outcome, Outcome::Accepted(_))
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

    /// Whether `completed` is said when, and only when, the last of it has come.
    pub(super) fn check_completed(&self, book: &mut Book, at: Option<usize>, heard: &Heard<'_>) {
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

    /// Judges a session whose client has begun another one, or has ended: `how` says which.
    pub(in crate::lab::judge) fn check_ended(
        &self,
        book: &mut Book,
        how: &str,
        evidence: Option<&Evidence>,
    ) {
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
}
