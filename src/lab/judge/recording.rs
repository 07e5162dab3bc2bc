//! What `judge --record` keeps for `judge --from`: a line of JSON for each event, and for what else the report depends on.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::{Judge, Options, Report};
use crate::lab::exchange::Event;

/// A line that is no event.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::lab) enum Note {
    /// The first line: what the judge was told.
    Options(Options),
    /// The client was asked to end; real time.
    Dismissed(Duration),
    /// A tracker that is not heard here may have taken an announce.
    TakenElsewhere,
    /// The last line.
    End {
        /// Real time.
        at: Duration,
        /// Whether the client had ended in order.
        has_ended: bool,
        /// As in [`Report::client_end`].
        client_end: Option<String>,
    },
}

/// A recording that is written.
#[derive(Debug)]
pub(in crate::lab) struct Recording {
    out: BufWriter<File>,
}

impl Recording {
    pub(in crate::lab) fn create(file: &Path) -> anyhow::Result<Recording> {
        let out = File::create(file).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(Recording {
            out: BufWriter::new(out),
        })
    }

    /// Adds a line.
    pub(in crate::lab) fn add(&mut self, line: &impl Serialize) -> anyhow::Result<()> {
        let what = "the recording cannot be written";
        serde_json::to_writer(&mut self.out, line).context(what)?;
        writeln!(self.out).context(what)
    }

    /// The end of it.
    pub(in crate::lab) fn finish(mut self) -> anyhow::Result<()> {
        self.out.flush().context("the recording cannot be written")
    }
}

/// Judges what was recorded. What is told here goes before what the recording says. One that breaks off ends with its last event.
///
/// # Errors
/// When the file cannot be read, or is no recording.
pub(super) fn judge(file: &Path, told: &Options) -> anyhow::Result<Report> {
    let what = || format!("cannot read {}", file.display());
    let mut judge = Judge::new(told.clone());
    let mut last = Duration::ZERO;
    let mut client_end = None;
    for (number, line) in (1u64..).zip(BufReader::new(File::open(file).with_context(what)?).lines())
    {
        let line = line.with_context(what)?;
        let event = match serde_json::from_str::<Event>(&line) {
            Ok(event) => event,
            Err(error) => {
                let note = serde_json::from_str(&line).map_err(|_| error);
                let note = note
                    .with_context(|| format!("{}:{number}: no recorded event", file.display()))?;
                match note {
                    // Nothing was heard before.
                    Note::Options(options) => judge = Judge::new(told.clone().or(options)),
                    Note::Dismissed(at) => judge.client_dismissed(at),
                    Note::TakenElsewhere => judge.taken_elsewhere(),
                    Note::End {
                        at,
                        has_ended,
                        client_end: end,
                    } => {
                        last = last.max(at);
                        client_end = end;
                        if has_ended {
                            judge.client_ended();
                        }
                    }
                }
                continue;
            }
        };
        last = last.max(event.at().real);
        judge.hear(&event);
    }
    Ok(Report {
        client_end,
        ..judge.finish(last)
    })
}

impl Options {
    /// These, and where they say nothing the others.
    fn or(self, other: Options) -> Options {
        Options {
            tiers: if self.tiers.is_empty() {
                other.tiers
            } else {
                self.tiers
            },
            size: self.size.or(other.size),
            has_both_families: self.has_both_families || other.has_both_families,
            trackers: if self.trackers.is_empty() {
                other.trackers
            } else {
                self.trackers
            },
        }
    }
}
