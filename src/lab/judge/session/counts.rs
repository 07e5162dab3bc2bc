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
        self.check_left(book, track, heard);
    }

    /// `left` grows when more files are wanted, when data is found broken, and, before anything is downloaded, when the size becomes known
    /// (magnet links) or what is there is checked. That it grows by just what was downloaded since is the fault of who counts what it has.
    fn check_left(&self, book: &mut Book, track: &Track, heard: &Heard<'_>) {
        let (last, announce) = (&track.last, heard.announce);
        let (Some(before), Some(after)) = (last.left, announce.left) else {
            return;
        };
        let (Some(had @ 1..), Some(has)) = (last.downloaded, announce.downloaded) else {
            return;
        };
        let Some(more) = after.checked_sub(before).filter(|more| *more > 0) else {
            book.kept(Rule::LeftShrinks);
            return;
        };
        if has.checked_sub(had) == Some(more) {
            book.check(Rule::LeftShrinks, false, || {
                let what = format!(
                    "`left` went from {before} (request {}) to {after} (request {}), and `downloaded` from {had} to {has}",
                    last.evidence.request, heard.evidence.request
                );
                let right = format!("{before} or less: what was downloaded is not left");
                self.finding(what, right, &[&last.evidence, &heard.evidence])
            });
        }
    }
}
