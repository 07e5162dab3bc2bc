//! Threads that write what happens, so that who does not read what is written keeps nothing from its end.

use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use std::{io, iter};

use super::Lab;
use crate::clock::Clock;
use crate::supervise::{self, Exit};
use crate::{program, shown};

/// How long is waited at the end for what has not been written yet: nobody may be reading.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What has happened and was not shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Missed {
    events: u64,
    datagrams: u64,
}

impl Missed {
    pub(crate) fn of(lab: &Lab) -> Missed {
        Missed {
            events: lab.lost_events(),
            datagrams: lab.dropped_datagrams(),
        }
    }

    /// A sentence for each kind.
    pub(crate) fn words(self) -> Vec<String> {
        let events = format!(
            "{} events came faster than they could be processed",
            self.events
        );
        let datagrams = format!(
            "{} datagrams came faster than they were read: the system threw them away, and nobody has seen them",
            self.datagrams
        );
        let kinds = [(self.events, events), (self.datagrams, datagrams)];
        kinds
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(_, words)| words)
            .collect()
    }
}

/// Them.
#[derive(Debug)]
pub(crate) struct Writers {
    ends: Sender<Exit>,
    over: Receiver<Exit>,
    begun: usize,
    /// Whose other end sees when one of them has ended.
    sign: Option<UnixStream>,
}

impl Writers {
    /// None yet; the first that ends shuts down `sign`, for the program to end as well.
    pub(crate) fn new(sign: Option<UnixStream>) -> Writers {
        let (ends, over) = channel();
        Writers {
            ends,
            over,
            begun: 0,
            sign,
        }
    }

    /// Begins one.
    ///
    /// # Errors
    /// When the system gives no thread or no descriptor.
    pub(crate) fn begin(
        &mut self,
        write: impl FnOnce() -> anyhow::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        let sign = self.sign.as_ref().map(UnixStream::try_clone).transpose()?;
        supervise::start("lab-watch", self.ends.clone(), move || {
            let written = write();
            if let Some(sign) = sign {
                // The program may have ended.
                drop(sign.shutdown(Shutdown::Both));
            }
            written.map_err(|error| shown::with_causes(&error))
        })?;
        self.begun += 1;
        Ok(())
    }

    /// Waits for them, but never longer than for last words; then tells how much was `missed` in the end.
    ///
    /// # Errors
    /// When one of them could not write.
    pub(crate) fn finish(mut self, missed: Missed) -> anyhow::Result<()> {
        let fault = self.wait();
        let words = missed.words();
        if !words.is_empty() {
            // Standard error may be what nobody reads.
            self.begin(move || {
                for words in words {
                    program::tell("retracker-lab", &words);
                }
                Ok(())
            })?;
            self.wait();
        }
        match fault {
            Some(fault) => Err(anyhow::Error::msg(fault)),
            None => Ok(()),
        }
    }

    /// What was wrong with the first that failed.
    fn wait(&mut self) -> Option<String> {
        let clock = Clock::start();
        let over = iter::repeat_with(|| {
            let left = LAST_WORDS.saturating_sub(clock.elapsed());
            self.over.recv_timeout(left)
        });
        let over = over.take(self.begun).map_while(Result::ok);
        let mut faults: Vec<String> = over.filter_map(|exit| exit.fault).collect();
        self.begun = 0;
        (!faults.is_empty()).then(|| faults.swap_remove(0))
    }
}
