//! What the judge found, for people in Markdown and for programs in JSON.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use super::book::{Finding, State, Verdict, escaped};
use super::in_seconds;
use super::rule::{Rule, Severity};
use super::session::{Session, Step};

/// Steps of a session that Markdown shows; JSON has all that are kept.
const STEPS_SHOWN: usize = 40;

/// The outcome of watching.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// How long was watched, in real time.
    pub took: Duration,
    /// Requests that came.
    pub requests: u64,
    /// How a client ended that was started for this and ended by itself, where that was not with status 0.
    pub client_end: Option<String>,
    /// Announces that were judged each for itself, for there was no room for another session.
    pub unfollowed: u64,
    /// Sessions, by their numbers from 1.
    pub sessions: Vec<SessionReport>,
    /// One verdict for each rule, in the order of [`Rule::ALL`].
    pub verdicts: Vec<Verdict>,
}

/// A session of a client with a torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionReport {
    /// From 1, as findings name it.
    pub number: u32,
    /// Hexadecimal.
    pub info_hash: String,
    /// With what is not printable escaped.
    pub peer_id: String,
    /// The first User-Agent of it; none over UDP.
    pub agent: Option<String>,
    /// The client's address and where it listens.
    pub client: String,
    /// Announces in all.
    pub announces: u64,
    /// The first of them, in their order.
    pub steps: Vec<Step>,
}

impl SessionReport {
    pub(super) fn of(session: Session) -> SessionReport {
        let hash = session.hash.iter().map(|byte| format!("{byte:02x}"));
        let port = session.port.map_or("?".to_owned(), |port| port.to_string());
        SessionReport {
            number: session.number,
            info_hash: hash.collect(),
            peer_id: escaped(&session.peer_id),
            agent: session.agent,
            client: format!("{} port {port}", session.client),
            announces: session.announces,
            steps: session.steps,
        }
    }
}

impl Report {
    /// What was found about a rule.
    pub fn verdict(&self, rule: Rule) -> Option<&Verdict> {
        self.verdicts.get(rule as usize)
    }

    /// The rules in a state.
    pub fn rules(&self, state: State) -> impl Iterator<Item = Rule> {
        let found = self.verdicts.iter();
        found
            .filter(move |verdict| verdict.state() == state)
            .map(|verdict| verdict.rule)
    }

    /// What the heaviest broken rule weighs; none where nothing is broken.
    pub fn worst(&self) -> Option<Severity> {
        self.rules(State::Broken).map(Rule::severity).max()
    }

    /// In JSON. Names are stable; new ones may come.
    pub fn to_json(&self) -> Value {
        let sessions = self.sessions.iter().map(|session| {
            let steps = session.steps.iter().map(|step| {
                json!({
                    "request": step.request,
                    "at_seconds": step.at.as_secs_f64(),
                    "url": step.url,
                    "event": step.event,
                    "left": step.left,
                    "outcome": step.outcome,
                })
            });
            json!({
                "number": session.number,
                "info_hash": session.info_hash,
                "peer_id": session.peer_id,
                "user_agent": session.agent,
                "client": session.client,
                "announces": session.announces,
                "steps": steps.collect::<Vec<Value>>(),
            })
        });
        let rules = self.verdicts.iter().map(|verdict| {
            json!({
                "id": verdict.rule.id(),
                "severity": verdict.rule.severity().name(),
                "asks": verdict.rule.asks(),
                "source": verdict.rule.source(),
                "state": verdict.state().name(),
                "seen": verdict.seen,
                "broken": verdict.broken,
                "findings": verdict.findings.iter().map(finding_json).collect::<Vec<Value>>(),
            })
        });
        json!({
            "version": 1,
            "seconds": self.took.as_secs_f64(),
            "requests": self.requests,
            "client_end": self.client_end,
            "announces_not_followed": self.unfollowed,
            "worst": self.worst().map(Severity::name),
            "sessions": sessions.collect::<Vec<Value>>(),
            "rules": rules.collect::<Vec<Value>>(),
        })
    }

    /// In Markdown.
    pub fn to_markdown(&self) -> String {
        let mut text = String::from("# What the client does\n\n");
        // Writing to a string cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let ids = |state| self.rules(state).collect::<Vec<Rule>>();
        let (broken, kept) = (ids(State::Broken), ids(State::Kept));
        let unseen = ids(State::NotSeen);
        writeln!(
            out,
            "{} requests in {}, {} sessions. Rules broken: {}, kept: {}, not seen: {}.",
            self.requests,
            in_seconds(self.took),
            self.sessions.len(),
            broken.len(),
            kept.len(),
            unseen.len()
        )?;
        if self.requests == 0 {
            writeln!(out, "**No request came: nothing is known of the client.**")?;
        }
        if let Some(end) = &self.client_end {
            writeln!(out, "The client ended with {end}.")?;
        }
        if self.unfollowed > 0 {
            writeln!(
                out,
                "{} announces belong to more sessions than are followed, and were judged each for itself.",
                self.unfollowed
            )?;
        }
        writeln!(out, "\n## Broken\n")?;
        if broken.is_empty() {
            writeln!(out, "Nothing.\n")?;
        }
        let mut verdicts: Vec<&Verdict> = self.verdicts.iter().collect();
        verdicts.retain(|verdict| verdict.state() == State::Broken);
        verdicts.sort_by_key(|verdict| std::cmp::Reverse(verdict.rule.severity()));
        for verdict in verdicts {
            write_broken(out, verdict)?;
        }
        writeln!(out, "## Sessions\n")?;
        for session in &self.sessions {
            write_session(out, session)?;
        }
        writeln!(out, "## Kept\n\n{}\n", listed(&kept))?;
        writeln!(
            out,
            "## Not seen\n\nNothing put these to the test, so nothing is known of them.\n\n{}",
            listed(&unseen)
        )
    }
}

fn listed(rules: &[Rule]) -> String {
    if rules.is_empty() {
        return "None.".to_owned();
    }
    let ids: Vec<String> = rules
        .iter()
        .map(|rule| format!("`{}`", rule.id()))
        .collect();
    ids.join(", ")
}

fn write_broken(out: &mut String, verdict: &Verdict) -> std::fmt::Result {
    let rule = verdict.rule;
    writeln!(out, "### `{}` ({})\n", rule.id(), rule.severity().name())?;
    writeln!(out, "{} ({})\n", rule.asks(), rule.source())?;
    writeln!(
        out,
        "Put to the test {} times, broken {} times.\n",
        verdict.seen, verdict.broken
    )?;
    for finding in &verdict.findings {
        match finding.session {
            Some(session) => writeln!(out, "- Session {session}: {}.", finding.what)?,
            None => writeln!(out, "- {}.", finding.what)?,
        }
        writeln!(out, "  Right: {}.", finding.right)?;
        for one in &finding.evidence {
            writeln!(
                out,
                "  - request {} at {}: `{}`",
                one.request,
                in_seconds(one.at),
                one.raw
            )?;
        }
    }
    let kept = u64::try_from(verdict.findings.len()).unwrap_or(u64::MAX);
    if verdict.broken > kept {
        writeln!(out, "- and {} more.", verdict.broken - kept)?;
    }
    writeln!(out)
}

fn write_session(out: &mut String, session: &SessionReport) -> std::fmt::Result {
    writeln!(
        out,
        "### Session {}: `{}`{}\n",
        session.number,
        session.peer_id,
        session
            .agent
            .as_ref()
            .map_or(String::new(), |agent| format!(", `{agent}`"))
    )?;
    writeln!(
        out,
        "Torrent {}, from {}, {} announces.\n",
        session.info_hash, session.client, session.announces
    )?;
    writeln!(out, "| at | request | where | event | left | came to |")?;
    writeln!(out, "|---|---|---|---|---|---|")?;
    for step in session.steps.iter().take(STEPS_SHOWN) {
        writeln!(
            out,
            "| {} | {} | `{}` | {} | {} | {} |",
            in_seconds(step.at),
            step.request,
            step.url.replace('|', "\\|"),
            escaped(step.event.as_bytes()).replace('|', "\\|"),
            step.left.map_or(String::new(), |left| left.to_string()),
            step.outcome
        )?;
    }
    let shown = session.steps.len().min(STEPS_SHOWN);
    let more = session.announces
        - u64::try_from(shown)
            .unwrap_or(u64::MAX)
            .min(session.announces);
    if more > 0 {
        writeln!(out, "\nand {more} more.")?;
    }
    writeln!(out)
}

/// A finding in JSON.
pub(crate) fn finding_json(finding: &Finding) -> Value {
    let evidence = finding.evidence.iter().map(
        |one| json!({ "request": one.request, "at_seconds": one.at.as_secs_f64(), "raw": one.raw }),
    );
    json!({
        "session": finding.session,
        "what": finding.what,
        "right": finding.right,
        "evidence": evidence.collect::<Vec<Value>>(),
    })
}
