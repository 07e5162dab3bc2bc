//! How long after one announce the next one comes: intervals, `retry in`, trackers that fail, and clients that fall silent.

use std::time::Duration;

use super::track::{FAILURES, Track};
use super::{Heard, Session};
use crate::lab::judge::book::{Book, Evidence};
use crate::lab::judge::outcome::{Outcome, RetryIn, Terms};
use crate::lab::judge::rule::Rule;
use crate::lab::judge::{in_seconds, is_before};

/// The shortest time in which a tracker that fails may get one announce more than [`FAILURES`].
const HAMMER_WINDOW: Duration = Duration::from_secs(60);
/// Announces that other trackers took meanwhile, where [`FAILURES`] and one more came with them: two with each, and with the next.
const FAILURES_TAKEN: u64 = FAILURES.div_ceil(2) as u64 - 1;
/// What some clients have as the least time between two announces, whatever the tracker says; libtorrent has five minutes.
const OWN_MINIMUM: Duration = Duration::from_secs(300);

impl Session {
    /// How long after the last announce this one comes.
    pub(super) fn check_pace(&self, book: &mut Book, track: &Track, heard: &Heard<'_>) {
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
                    let latest = latest(terms);
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
        if event != "stopped" {
            self.check_failures(book, track, heard);
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

    /// Whether a tracker that fails is left in peace.
    fn check_failures(&self, book: &mut Book, track: &Track, heard: &Heard<'_>) {
        if track.failures.is_empty() {
            return;
        }
        let pair = [&track.last.evidence, &heard.evidence];
        let since = track.failures.len().checked_sub(FAILURES);
        let since = since.and_then(|place| track.failures.get(place));
        let span = since.map(|since| heard.at.saturating_sub(since.at));
        // Each announce begins with the first tier (BEP 12): where a later one answers, its intervals are the pace of all. A connection
        // that breaks may be followed by another one at once (RFC 9112, 9.3.1).
        let taken = self.taken_until(heard);
        let is_led = since.is_some_and(|since| taken.saturating_sub(since.taken) >= FAILURES_TAKEN);
        let is_calm = is_led || span.is_none_or(|span| span >= HAMMER_WINDOW);
        book.check(Rule::NotHammered, is_calm, || {
            let what = format!(
                "{} announces within {} to a tracker that gave no answer to go by",
                FAILURES + 1,
                in_seconds(span.unwrap_or_default())
            );
            let right = "longer waits with each failure".to_owned();
            self.finding(what, right, &pair)
        });
    }

    /// Judges what should have come until `at`, while the client was expected to be there, and did not.
    pub(in crate::lab::judge) fn check_silence(&self, book: &mut Book, at: Duration) {
        for track in &self.tracks {
            let last = &track.last;
            let gap = at.saturating_sub(last.at);
            if let Outcome::Accepted(terms) = &last.outcome
                && last.event != "stopped"
                && self.is_only_place(track.client)
                && gap > latest(terms)
            {
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

/// How long after an answer with these terms the next announce has come at the latest: whoever is slow, or has a least wait of its own,
/// is not missing yet. What trackers tell has no bound, so nothing here overflows.
fn latest(terms: &Terms) -> Duration {
    let twice = terms.interval.saturating_mul(2);
    let latest = twice.max(terms.interval.saturating_add(OWN_MINIMUM));
    latest.saturating_add(latest / 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_interval_has_a_latest_time() {
        let latest_after = |interval| {
            latest(&Terms {
                interval,
                ..Terms::default()
            })
        };
        assert_eq!(latest_after(Duration::from_secs(1_000)).as_secs(), 2_100);
        assert_eq!(latest_after(Duration::from_secs(20)).as_secs(), 336);
        let longest = Duration::from_secs(i64::MAX.unsigned_abs());
        assert!(latest_after(longest) > longest);
        assert_eq!(latest_after(Duration::MAX), Duration::MAX);
    }
}
