//! Redirects: whether the client goes where they lead, and comes to an end with those that lead in a circle.

use std::time::Duration;

use super::target::Redirect;
use super::track::Track;
use super::{Heard, Session};
use crate::lab::judge::Options;
use crate::lab::judge::book::{Book, Evidence, Finding, escaped};
use crate::lab::judge::rule::Rule;

/// Redirects that a client may follow one after another.
const REDIRECTS: u32 = 20;
/// What is longer between two requests is no redirect that is followed.
const REDIRECT_GAP: Duration = Duration::from_secs(5);

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
