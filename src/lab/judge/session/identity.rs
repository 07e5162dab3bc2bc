//! By what a tracker knows a client again: the key stays the same, and the tracker's own id comes back.

use super::track::{Track, short_key};
use super::{Heard, Session};
use crate::lab::judge::book::{Book, escaped};
use crate::lab::judge::outcome::Outcome;
use crate::lab::judge::rule::Rule;

impl Session {
    /// Whether the key is that of the announce before.
    pub(super) fn check_key(&self, book: &mut Book, track: &Track, heard: &Heard<'_>) {
        let pair = [&track.last.evidence, &heard.evidence];
        let key = short_key(heard.announce);
        book.check(Rule::SameKey, key == track.key, || {
            let shown = |key: &Option<Vec<u8>>| match key {
                Some(key) => format!("`{}`", escaped(key)),
                None => "none".to_owned(),
            };
            let what = format!("the key was {}, and is {}", shown(&track.key), shown(&key));
            self.finding(what, "the same key".to_owned(), &pair)
        });
    }

    /// Whether the id of the last answer comes back.
    pub(super) fn check_tracker_id(&self, book: &mut Book, track: &Track, heard: &Heard<'_>) {
        let Outcome::Accepted(terms) = &track.last.outcome else {
            return;
        };
        if let Some(id) = &terms.tracker_id {
            let mut parameters = heard.announce.parameters.iter();
            let returned = parameters.find(|parameter| parameter.name == b"trackerid");
            let returned = returned.map(|parameter| &parameter.value);
            book.check(Rule::TrackerIdReturned, returned == Some(id), || {
                let id = escaped(id);
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
}
