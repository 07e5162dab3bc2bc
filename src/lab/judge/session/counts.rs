//! What a client counts: `left`, `downloaded` and `uploaded` are plausible, and go one way only.

use super::track::Track;
use super::{Heard, Session};
use crate::lab::judge::Options;
use crate::lab::judge::book::Book;
use crate::lab::judge::rule::Rule;

/// More than any torrent, or what anybody sends of one.
const BYTES_LIMIT: u64 = 1 << 60;

impl Session {
    /// Whether they can be true at all.
    pub(super) fn check_numbers(&self, book: &mut Book, options: &Options, heard: &Heard<'_>) {
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

    /// What must grow, and what must shrink.
    pub(super) fn check_counts(&self, book: &mut Book, track: &Track, heard: &Heard<'_>) {
        let (last, announce) = (&track.last, heard.announce);
        let pair = [&last.evidence, &heard.evidence];
        let told = |name: &str, before: u64, after: u64| {
            format!(
                "`{name}` went from {before} (request {}) to {after} (request {})",
                last.evidence.request, heard.evidence.request
            )
        };
        if announce.event == "started" || last.event == "stopped" {
            return;
        }
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
        if let (Some(before), Some(after), Some(1..)) = (last.left, announce.left, last.downloaded)
        {
            book.check(Rule::LeftShrinks, after <= before, || {
                let right = format!("{before} or less, unless files were added");
                self.finding(told("left", before, after), right, &pair)
            });
        }
    }
}
