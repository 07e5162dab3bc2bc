//! A tracker that is heard: the judge of what comes to it, and the recording of that, where it is kept.

use std::path::Path;
use std::time::Duration;

use super::recording::{Note, Recording};
use super::{Judge, Options, Report};
use crate::lab::exchange::Event;

/// Hears one tracker. Each has numbers and times of its own, and so a judge of its own.
#[derive(Debug)]
pub(in crate::lab) struct Hearing {
    judge: Judge,
    recording: Option<Recording>,
}

impl Hearing {
    /// Begins to hear a tracker; all of it is recorded in this file, in the form that `judge --from` reads.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(in crate::lab) fn begin(options: Options, file: Option<&Path>) -> anyhow::Result<Hearing> {
        let mut recording = file.map(Recording::create).transpose()?;
        if let Some(recording) = &mut recording {
            recording.add(&Note::Options(options.clone()))?;
        }
        Ok(Hearing {
            judge: Judge::new(options),
            recording,
        })
    }

    fn note(&mut self, note: &Note) -> anyhow::Result<()> {
        match &mut self.recording {
            Some(recording) => recording.add(note),
            None => Ok(()),
        }
    }

    /// Hears what happened.
    ///
    /// # Errors
    /// When it cannot be recorded, as all of these.
    pub(in crate::lab) fn hear(&mut self, event: &Event) -> anyhow::Result<()> {
        self.judge.hear(event);
        match &mut self.recording {
            Some(recording) => recording.add(event),
            None => Ok(()),
        }
    }

    /// Another tracker may have taken an announce.
    ///
    /// # Errors
    /// As above.
    pub(in crate::lab) fn taken_elsewhere(&mut self) -> anyhow::Result<()> {
        self.judge.taken_elsewhere();
        self.note(&Note::TakenElsewhere)
    }

    /// The client is asked to end.
    ///
    /// # Errors
    /// As above.
    pub(super) fn dismiss(&mut self, at: Duration) -> anyhow::Result<()> {
        self.judge.client_dismissed(at);
        self.note(&Note::Dismissed(at))
    }

    /// The report at the end; whether the client has ended in order says whether it should have said by then what it should, and
    /// `client_end` how it ended, in words.
    ///
    /// # Errors
    /// As above.
    pub(in crate::lab) fn end(
        mut self,
        at: Duration,
        has_ended: bool,
        client_end: Option<String>,
    ) -> anyhow::Result<Report> {
        if has_ended {
            self.judge.client_ended();
        }
        if let Some(mut recording) = self.recording {
            recording.add(&Note::End {
                at,
                has_ended,
                client_end: client_end.clone(),
            })?;
            recording.finish()?;
        }
        Ok(Report {
            client_end,
            ..self.judge.finish(at)
        })
    }
}
