//! What was found: for each rule how often it was put to the test, and the cases in which it was broken, with their evidence.

use std::time::Duration;

use super::rule::Rule;
use crate::lab::exchange::{Body, Request};

/// Findings of one rule that are kept with their evidence; of the rest the number is.
pub const FINDINGS_KEPT: usize = 20;

/// Characters of a request that are kept as evidence.
const RAW_LIMIT: usize = 1_200;

/// A request, as evidence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The request's number.
    pub request: u64,
    /// When it came; real time since the laboratory started.
    pub at: Duration,
    /// Its bytes: of HTTP the head with what is not printable escaped, of UDP hexadecimal. The first 1,200 characters.
    pub raw: String,
}

impl Evidence {
    pub(super) fn of(request: &Request) -> Evidence {
        let raw = match &request.body {
            Body::Http(head) => escaped(&head.raw),
            Body::Datagram(bytes) => {
                let bytes = bytes.iter().take(RAW_LIMIT / 2);
                bytes.map(|byte| format!("{byte:02x}")).collect()
            }
            Body::Unreadable(bytes) => escaped(bytes),
        };
        Evidence {
            request: request.number,
            at: request.at.real,
            raw,
        }
    }
}

/// Bytes as text without signs that steer a terminal or end a code span.
pub(super) fn escaped(bytes: &[u8]) -> String {
    let bytes = bytes.get(..RAW_LIMIT).unwrap_or(bytes);
    bytes.escape_ascii().to_string().replace('`', "\\x60")
}

/// A case in which a rule was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The session it belongs to, by its number in the report; none for what belongs to a connection or an address.
    pub session: Option<u32>,
    /// What was seen, with numbers and times.
    pub what: String,
    /// What would have been right.
    pub right: String,
    /// The requests that show it, the last of them the one that broke the rule.
    pub evidence: Vec<Evidence>,
}

impl Finding {
    /// Of one request that belongs to no session.
    pub(super) fn of_request(request: &Request, what: String, right: &str) -> Finding {
        Finding {
            session: None,
            what,
            right: right.to_owned(),
            evidence: vec![Evidence::of(request)],
        }
    }
}

/// What became of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Put to the test and kept each time.
    Kept,
    /// Broken at least once.
    Broken,
    /// Nothing in the run put it to the test.
    NotSeen,
}

impl State {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            State::Kept => "kept",
            State::Broken => "broken",
            State::NotSeen => "not seen",
        }
    }
}

/// What was found about one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The rule.
    pub rule: Rule,
    /// How often it was put to the test.
    pub seen: u64,
    /// How often it was broken.
    pub broken: u64,
    /// The first [`FINDINGS_KEPT`] cases of that.
    pub findings: Vec<Finding>,
}

impl Verdict {
    /// Kept, broken or not seen.
    pub fn state(&self) -> State {
        match (self.broken, self.seen) {
            (0, 0) => State::NotSeen,
            (0, _) => State::Kept,
            _ => State::Broken,
        }
    }
}

/// All verdicts, while they are found.
#[derive(Clone, Debug)]
pub(super) struct Book {
    verdicts: Vec<Verdict>,
}

impl Book {
    pub(super) fn new() -> Book {
        let blank = |rule: &Rule| Verdict {
            rule: *rule,
            seen: 0,
            broken: 0,
            findings: Vec::new(),
        };
        Book {
            verdicts: Rule::ALL.iter().map(blank).collect(),
        }
    }

    /// Notes that a rule was put to the test; where it did not hold, what `finding` says of it.
    pub(super) fn check(&mut self, rule: Rule, holds: bool, finding: impl FnOnce() -> Finding) {
        let Some(verdict) = self.verdicts.get_mut(rule as usize) else {
            return;
        };
        verdict.seen += 1;
        if holds {
            return;
        }
        verdict.broken += 1;
        if verdict.findings.len() < FINDINGS_KEPT {
            verdict.findings.push(finding());
        }
    }

    /// Notes that a rule was put to the test and kept.
    pub(super) fn kept(&mut self, rule: Rule) {
        if let Some(verdict) = self.verdicts.get_mut(rule as usize) {
            verdict.seen += 1;
        }
    }

    pub(super) fn into_verdicts(self) -> Vec<Verdict> {
        self.verdicts
    }
}
