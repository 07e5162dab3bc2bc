//! Who hears what comes to one tracker of a trial: the judge of its rules, and the recording of it where folders are kept.

use std::path::Path;

use crate::lab::exchange::Event;
use crate::lab::judge::{self, Judge, Note, Recording};
use crate::lab::serve::Lab;

use super::table::Broken;

/// Hears one tracker. Each has numbers and times of its own, and so a judge of its own.
#[derive(Debug)]
pub(super) struct Hearing {
    judge: Judge,
    recording: Option<Recording>,
}

impl Hearing {
    /// Begins to hear a tracker; all of it is recorded in this file, in the form that `judge --from` reads.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn begin(options: judge::Options, file: Option<&Path>) -> anyhow::Result<Hearing> {
        let mut recording = file.map(Recording::create).transpose()?;
        if let Some(recording) = &mut recording {
            recording.add(&Note::Options(options.clone()))?;
        }
        Ok(Hearing {
            judge: Judge::new(options),
            recording,
        })
    }

    /// Hears what happened.
    ///
    /// # Errors
    /// When it cannot be recorded.
    pub(super) fn hear(&mut self, event: &Event) -> anyhow::Result<()> {
        self.judge.hear(event);
        match &mut self.recording {
            Some(recording) => recording.add(event),
            None => Ok(()),
        }
    }

    /// The other tracker may have taken an announce.
    ///
    /// # Errors
    /// When it cannot be recorded.
    pub(super) fn taken_elsewhere(&mut self) -> anyhow::Result<()> {
        self.judge.taken_elsewhere();
        match &mut self.recording {
            Some(recording) => recording.add(&Note::TakenElsewhere),
            None => Ok(()),
        }
    }

    /// The rules that the client broke at this tracker, as its judge says; whether it has left in order says what it should have said
    /// by then.
    ///
    /// # Errors
    /// When the recording cannot be ended.
    pub(super) fn end(mut self, lab: &Lab, has_left: bool) -> anyhow::Result<Vec<Broken>> {
        let now = lab.now().real;
        if let Some(mut recording) = self.recording {
            recording.add(&Note::End {
                at: now,
                has_ended: has_left,
                client_end: None,
            })?;
            recording.finish()?;
        }
        if lab.lost_events() > 0 {
            // Of half a story nothing is concluded.
            return Ok(Vec::new());
        }
        if has_left {
            self.judge.client_ended();
        }
        let report = self.judge.finish(now);
        Ok(report.verdicts.into_iter().filter_map(Broken::of).collect())
    }
}
