//! The table of an acid test: Markdown for people, JSON for programs.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::json;
use time::OffsetDateTime;

use super::client::Client;
use super::verdict::{NO_PEERS, Verdict};
use crate::clock::Wall;
use crate::lab::judge::{self, Finding, Rule, Severity};
use crate::lab::misbehave::scenario::Scenario;

/// What came of one scenario with one client.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) client: String,
    pub(super) scenario: Scenario,
    /// What was expected, in words, and what is said of it; the last is of its life and end.
    pub(super) verdicts: Vec<(String, Verdict)>,
    /// Requests at the first tracker, at the second, and for how many seconds it was watched.
    pub(super) counts: [u64; 3],
    /// The rules that it broke at either tracker, as far as anything is concluded from what that did.
    pub(super) broken: Vec<Broken>,
}

/// A rule that was broken.
#[derive(Clone, Debug)]
pub(super) struct Broken {
    pub(super) rule: Rule,
    /// How often.
    pub(super) times: u64,
    /// The first time.
    pub(super) finding: Finding,
}

impl Broken {
    /// What a judge says of a rule; none where it was kept or not seen.
    pub(super) fn of(verdict: judge::Verdict) -> Option<Broken> {
        Some(Broken {
            rule: verdict.rule,
            times: verdict.broken,
            finding: verdict.findings.into_iter().next()?,
        })
    }
}

impl Outcome {
    /// The worst of its verdicts.
    pub(super) fn whole(&self) -> Verdict {
        super::verdict::all_of(self.verdicts.iter().map(|(_, verdict)| verdict))
    }

    /// What the heaviest rule weighs that it broke.
    pub(super) fn worst(&self) -> Option<Severity> {
        self.broken
            .iter()
            .map(|broken| broken.rule.severity())
            .max()
    }

    /// Of a control: a client that connects to no peer where the tracker behaves is not wrong; what it believes cannot be seen then.
    pub(super) fn excuse(&mut self) {
        if let Some((_, verdict @ Verdict::Wrong(_))) = self.verdicts.first_mut() {
            *verdict = Verdict::Unseen(NO_PEERS.to_owned());
        }
    }
}

/// Scenarios whose tracker behaves.
const CONTROL: &str = "control-";

/// The table as Markdown; it says by which command it was made, and on which day (UTC).
pub(super) fn markdown(
    clients: &[Client],
    outcomes: &[Outcome],
    command: &str,
    day: Wall,
) -> String {
    let mut out = String::from(PREFACE);
    // A String takes everything.
    let seconds = i64::try_from(day.0).unwrap_or(0);
    let day = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (version, day) = (env!("CARGO_PKG_VERSION"), day.date());
    let _ = writeln!(out, "Made by `{command}`, version {version}, on {day}.\n");
    let heads: Vec<String> = clients
        .iter()
        .map(|client| {
            format!("{} {}", client.name, client.version)
                .trim()
                .to_owned()
        })
        .collect();
    let _ = writeln!(out, "| scenario | {} |", heads.join(" | "));
    let _ = writeln!(out, "|---|{}", "---|".repeat(heads.len()));
    for scenario in scenarios(outcomes) {
        let cells: Vec<&str> = clients
            .iter()
            .map(|client| {
                find(outcomes, client, scenario).map_or("", |outcome| mark(&outcome.whole()))
            })
            .collect();
        let name = &scenario.name;
        let _ = writeln!(out, "| [{name}](#{name}) | {} |", cells.join(" | "));
    }
    let _ = writeln!(out, "\n{}\n", totals(clients, outcomes).join("; "));
    out.push_str(RULES);
    let rules = rules(clients, outcomes);
    let _ = if rules.is_empty() {
        writeln!(out, "None.\n")
    } else {
        writeln!(out, "- {}\n", rules.join("\n- "))
    };
    out.push_str("## The scenarios\n");
    for scenario in scenarios(outcomes) {
        let _ = writeln!(
            out,
            "\n### {}\n\n{} A good client: {} ({})",
            scenario.name,
            scenario.what,
            lowered(&scenario.good),
            scenario.source
        );
        let mut lines = Vec::new();
        for client in clients {
            let Some(outcome) = find(outcomes, client, scenario) else {
                continue;
            };
            match outcome.whole() {
                Verdict::Right => {}
                Verdict::Wrong(_) | Verdict::Unseen(_) => {
                    lines.push(format!("- {}: {}\n", client.name, told(outcome)));
                }
            }
        }
        if !lines.is_empty() {
            let _ = write!(out, "\n{}", lines.concat());
        }
    }
    out
}

const PREFACE: &str = "# What clients do when a tracker misbehaves

Each cell is one run: a fresh tracker that does what the scenario says, a fresh torrent, a fresh client that has nothing of the file, and
what was seen of it from outside. **right**: as a good client does. **wrong**: otherwise; how, stands below. *not seen*: it cannot be said
from outside, or it had not happened when the time was over; why, stands below. Clients are as Debian has them, with DHT, local discovery,
peer exchange, uTP and port mapping off (aria2 asks trackers over UDP only while its DHT is on: there it is, and torrents are private); peers
that listen and do not talk tell whether an answer was used. A client that announces to all tiers at once, as Transmission and qBittorrent
do, has no need to fall back, and is right there. A tracker cannot see what a client shows to its user, what it logs, and what it would have
done later.

";

const RULES: &str = "## Rules that were broken

`retracker-lab judge` holds what clients do against [its rules](CLIENT-DEVELOPERS.md#rules), in each of these runs too: first what was
seen in the controls, where the tracker behaves, then what is certain although it does not. Where a client was given two trackers, each is
judged by itself, and only what the other took is known; in which order they were asked is not judged. The trackers ask for short waits
(10 s, at least 5 s), so that a run shows several announces.

";

/// A line of each rule that a client broke, the heaviest first: in the controls, and in other scenarios what those do not show.
pub(super) fn rules(clients: &[Client], outcomes: &[Outcome]) -> Vec<String> {
    let mut lines = Vec::new();
    for client in clients {
        let mut its: Vec<(&Scenario, &Broken)> = outcomes
            .iter()
            .filter(|outcome| outcome.client == client.name)
            .flat_map(|outcome| {
                let broken = outcome.broken.iter();
                broken.map(move |broken| (&outcome.scenario, broken))
            })
            .collect();
        its.sort_by_key(|(scenario, broken)| {
            let is_control = scenario.name.starts_with(CONTROL);
            let weight = broken.rule.severity();
            (Reverse((is_control, weight)), broken.rule, &scenario.name)
        });
        let mut told = BTreeSet::new();
        for (scenario, broken) in &its {
            if !told.insert(broken.rule) {
                continue;
            }
            let same = its.iter().filter(|(_, there)| there.rule == broken.rule);
            let more = same.count() - 1;
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            lines.push(format!(
                "{}: `{}` ({}), in [{name}](#{name}){more}: {} ({})",
                client.name,
                broken.rule.id(),
                broken.rule.severity().name(),
                broken.finding.what,
                match broken.times {
                    1 => "once there".to_owned(),
                    times => format!("{times} times there"),
                },
                name = scenario.name,
            ));
        }
    }
    lines
}

/// The words of a sentence in the middle of another.
fn lowered(text: &str) -> String {
    let mut signs = text.chars();
    let first = signs.next().map(|first| first.to_lowercase().to_string());
    format!("{}{}", first.unwrap_or_default(), signs.as_str())
}

fn told(outcome: &Outcome) -> String {
    let words: Vec<String> = outcome
        .verdicts
        .iter()
        .filter_map(|(_, verdict)| match verdict {
            Verdict::Right => None,
            Verdict::Wrong(how) => Some(format!("**wrong**: {how}")),
            Verdict::Unseen(why) => Some(format!("*not seen*: {why}")),
        })
        .collect();
    format!("{}.", words.join("; "))
}

fn mark(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Right => "right",
        Verdict::Wrong(_) => "**wrong**",
        Verdict::Unseen(_) => "*not seen*",
    }
}

fn find<'o>(outcomes: &'o [Outcome], client: &Client, scenario: &Scenario) -> Option<&'o Outcome> {
    let mut outcomes = outcomes.iter();
    outcomes.find(|outcome| outcome.client == client.name && outcome.scenario.name == scenario.name)
}

/// Controls first, then by name.
fn scenarios(outcomes: &[Outcome]) -> Vec<&Scenario> {
    let mut seen = BTreeSet::new();
    let mut scenarios: Vec<&Scenario> = outcomes
        .iter()
        .map(|outcome| &outcome.scenario)
        .filter(|scenario| seen.insert(scenario.name.clone()))
        .collect();
    scenarios.sort_by_key(|scenario| (!scenario.name.starts_with(CONTROL), scenario.name.clone()));
    scenarios
}

/// A line of each client: `aria2: 40 right, 3 wrong, 2 not seen`.
pub(super) fn totals(clients: &[Client], outcomes: &[Outcome]) -> Vec<String> {
    clients
        .iter()
        .map(|client| {
            let mut counts = [0_u32; 3];
            let [right, wrong, unseen] = &mut counts;
            for outcome in outcomes
                .iter()
                .filter(|outcome| outcome.client == client.name)
            {
                match outcome.whole() {
                    Verdict::Right => *right += 1,
                    Verdict::Wrong(_) => *wrong += 1,
                    Verdict::Unseen(_) => *unseen += 1,
                }
            }
            format!(
                "{}: {right} right, {wrong} wrong, {unseen} not seen",
                client.name
            )
        })
        .collect()
}

/// All outcomes as JSON.
pub(super) fn json(clients: &[Client], outcomes: &[Outcome]) -> String {
    let verdict = |verdict: &Verdict| match verdict {
        Verdict::Right => ("right", None),
        Verdict::Wrong(how) => ("wrong", Some(how.clone())),
        Verdict::Unseen(why) => ("not seen", Some(why.clone())),
    };
    let rule = |broken: &Broken| {
        json!({
            "id": broken.rule.id(),
            "severity": broken.rule.severity().name(),
            "broken": broken.times,
            "finding": judge::finding_json(&broken.finding),
        })
    };
    let outcome = |outcome: &Outcome| {
        let [first, second, seconds] = outcome.counts;
        json!({
            "client": outcome.client,
            "scenario": outcome.scenario.name,
            "verdict": verdict(&outcome.whole()).0,
            "expected": outcome.verdicts.iter().map(|(expected, said)| {
                let (word, why) = verdict(said);
                json!({"expected": expected, "verdict": word, "why": why})
            }).collect::<Vec<_>>(),
            "requests": first,
            "requests_to_second": second,
            "seconds": seconds,
            "rules": outcome.broken.iter().map(rule).collect::<Vec<_>>(),
        })
    };
    let clients = clients
        .iter()
        .map(|client| json!({"name": client.name, "version": client.version}));
    let told = json!({
        "clients": clients.collect::<Vec<_>>(),
        "outcomes": outcomes.iter().map(outcome).collect::<Vec<_>>(),
    });
    format!("{told:#}\n")
}
