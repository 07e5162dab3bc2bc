//! Who did what (W12): an entry for every login, failed login, block, token, reload and import, kept in files beside the database,
//! and a line in the log for each.
//!
//! - `entry.rs` is one entry. `files.rs` is the files: appended to, replaced by nothing, bounded.
//! - `failures.rs` counts failed logins by address, so that guessing is a few entries and not thousands.
//!
//! Nobody waits for it: an entry is put into memory and written by a thread apart, and a disk that refuses is told in the log and
//! hinders nobody. What strangers cause has a file and a bound of its own, so that nothing they do makes the deeds of users, tokens
//! and tools be forgotten. It decides nothing, and knows neither sessions nor routes.

mod entry;
mod failures;
mod files;

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

pub use entry::{Actor, Deed, Entry};

use crate::clock::{Clock, Wall};
use crate::supervise;
use crate::supervise::Exit;
use failures::Failures;
use files::Files;

/// Deeds of users, tokens and tools that are shown at most.
pub const MAX_ENTRIES: usize = 1_000;

/// Entries of failed logins beside them at most: what strangers cause takes no place of theirs.
const MAX_FAILURES: usize = 250;

/// Entries that wait for the disk at most; of more, the oldest are lost, which the log says.
const MAX_WAITING: usize = 1_000;

/// How often failures are written, and tried again what the disk refused.
const TICK: Duration = Duration::from_secs(1);

/// The running audit; copies are the same one.
#[derive(Clone, Debug)]
pub struct Audit {
    shared: Arc<Shared>,
}

/// The thread that writes, to be stopped after everybody who may tell something.
#[derive(Debug)]
pub struct Running {
    audit: Audit,
    thread: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    /// Taken before `memory` where both are.
    files: Mutex<Files>,
    memory: Mutex<Memory>,
    changed: Condvar,
}

/// What is not on the disk yet.
#[derive(Debug, Default)]
struct Memory {
    /// Oldest first.
    waiting: VecDeque<Entry>,
    /// How many of those had to leave for others.
    lost: usize,
    failures: Failures,
    is_stopping: bool,
}

/// Starts the thread that writes to the files in `folder`, which need not exist. Failed logins of one address within `window` are
/// one entry.
///
/// # Errors
/// When the system gives no thread.
pub fn start(
    folder: &Path,
    window: Duration,
    clock: Clock,
    ends: Sender<Exit>,
) -> io::Result<Running> {
    let audit = Audit {
        shared: Arc::new(Shared {
            files: Mutex::new(Files::new(folder)),
            memory: Mutex::new(Memory {
                failures: Failures::new(window),
                ..Memory::default()
            }),
            changed: Condvar::new(),
        }),
    };
    let own = audit.clone();
    let thread = supervise::start("audit", ends, move || {
        own.write_until_stopped(clock);
        Ok(())
    })?;
    Ok(Running { audit, thread })
}

impl Running {
    /// What others tell by.
    pub fn audit(&self) -> Audit {
        self.audit.clone()
    }

    /// Writes what is left, and ends the thread.
    pub fn stop(self) {
        self.audit.memory().is_stopping = true;
        self.audit.shared.changed.notify_all();
        if self.thread.join().is_err() {
            log::error!("the thread of the audit ended in a panic");
        }
    }
}

/// Appends one entry from a process that is not the tracker: a tool's. Does not wait for the tracker, which may be running.
///
/// # Errors
/// When the file cannot be written.
pub fn append(folder: &Path, entry: &Entry) -> io::Result<()> {
    Files::new(folder).append_from_outside(entry)
}

impl Audit {
    /// Takes an entry and says it in the log. Does not wait for the disk.
    pub fn tell(&self, entry: Entry) {
        log::info!("audit: {entry}");
        let is_full = {
            let mut memory = self.memory();
            let is_full = memory.waiting.len() >= MAX_WAITING;
            if is_full {
                memory.waiting.pop_front();
                memory.lost = memory.lost.wrapping_add(1);
            }
            memory.waiting.push_back(entry);
            is_full
        };
        if is_full {
            log::error!("the audit loses its oldest entry: {MAX_WAITING} wait for the disk");
        }
        self.shared.changed.notify_all();
    }

    /// Counts a login that failed. `name` is that of a user; others are not kept, for people type passwords there.
    pub fn login_failed(&self, network: IpAddr, name: Option<&str>, now: Wall) {
        self.memory()
            .failures
            .count(Deed::LoginFailed, network, name, now);
        self.shared.changed.notify_all();
    }

    /// Counts a login that was refused unseen, because too many failed before.
    pub fn locked_out(&self, network: IpAddr, now: Wall) {
        self.memory()
            .failures
            .count(Deed::LockedOut, network, None, now);
        self.shared.changed.notify_all();
    }

    /// The latest entries, newest first: [`MAX_ENTRIES`] deeds and [`MAX_FAILURES`] failures at most. Reads files: for threads that may wait.
    ///
    /// # Errors
    /// When a file is there and cannot be read.
    pub fn latest(&self) -> io::Result<Vec<Entry>> {
        // Held until the end, so that each entry is either in a file or waiting.
        let files = self.files();
        let mut deeds = files.deeds()?;
        let mut failures = files.failures()?;
        {
            let memory = self.memory();
            deeds.extend(memory.waiting.iter().cloned());
            failures.extend(memory.failures.entries());
        }
        drop(files);
        Ok(merged(deeds, failures))
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        let memory = self.shared.memory.lock();
        memory.unwrap_or_else(PoisonError::into_inner)
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        let files = self.shared.files.lock();
        files.unwrap_or_else(PoisonError::into_inner)
    }

    fn write_until_stopped(&self, clock: Clock) {
        let mut is_refused = false;
        loop {
            let is_stopping = self.wait(is_refused, clock);
            match self.write(clock.wall(), is_stopping) {
                Err(error) if !is_refused => {
                    log::error!("the audit cannot be written and is kept in memory: {error}");
                    is_refused = true;
                }
                Err(_) => {}
                Ok(()) => is_refused = false,
            }
            if is_stopping {
                return;
            }
        }
    }

    /// Waits for something to write, at most for [`TICK`]; after a refusal there is no hurry. Whether it is the end.
    fn wait(&self, is_refused: bool, clock: Clock) -> bool {
        let memory = self.memory();
        let is_idle = |memory: &mut Memory| {
            let has_news = !memory.waiting.is_empty() || memory.failures.has_news(clock.wall());
            !memory.is_stopping && (is_refused || !has_news)
        };
        let waited = self
            .shared
            .changed
            .wait_timeout_while(memory, TICK, is_idle);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_stopping
    }

    /// Writes what waits. What could not be written goes on waiting.
    fn write(&self, now: Wall, is_last: bool) -> io::Result<()> {
        let mut files = self.files();
        let (waiting, lost, mut failures, mut going_on) = {
            let mut memory = self.memory();
            let lost = memory.lost;
            if is_last {
                memory.failures.hurry();
            }
            let waiting: Vec<Entry> = memory.waiting.iter().cloned().collect();
            let ended = memory.failures.take_ended();
            (waiting, lost, ended, memory.failures.take_news(now))
        };
        // What has ended was told while it went on.
        for failure in &going_on {
            log::warn!("audit: {failure}");
        }
        failures.append(&mut going_on);
        let kept = files.append_failures(&failures);
        if kept.is_err() {
            self.memory().failures.keep_as_news(failures);
        }
        files.append_deeds(&waiting)?;
        {
            let mut memory = self.memory();
            // Where more came than may wait, some of these are gone already.
            let gone = memory.lost.wrapping_sub(lost);
            let written = waiting.len().saturating_sub(gone);
            let written = written.min(memory.waiting.len());
            memory.waiting.drain(..written);
        }
        for told in files.told_from_outside()? {
            log::info!("audit: {told}");
        }
        kept
    }
}

/// Both kinds as one list, newest first. Of a failure that was written more than once, what was written last counts.
fn merged(mut deeds: Vec<Entry>, failures: Vec<Entry>) -> Vec<Entry> {
    let mut last: Vec<Entry> = Vec::new();
    for failure in failures.into_iter().rev() {
        if last.len() >= MAX_FAILURES {
            break;
        }
        if !last.iter().any(|other| other.is_same_failure(&failure)) {
            last.push(failure);
        }
    }
    let mut all = deeds.split_off(deeds.len().saturating_sub(MAX_ENTRIES));
    // Newest first before sorting, so that of one second the newest stays first.
    all.reverse();
    all.extend(last);
    all.sort_by_key(|entry| std::cmp::Reverse(entry.time));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// W12
    #[test]
    fn failures_take_no_place_of_deeds() {
        let entry = |deed, number: u32| {
            let from = format!("192.0.2.{number}");
            Entry::new(deed, Actor::Signal, &from, "", Wall(u64::from(number)))
        };
        let deeds = (0..1_200).map(|number| entry(Deed::Reload, number));
        let failures = (0..400).map(|number| entry(Deed::LoginFailed, number));
        let all = merged(deeds.collect(), failures.collect());
        let of = |deed| all.iter().filter(|entry| entry.deed == deed).count();
        assert_eq!(
            (of(Deed::Reload), of(Deed::LoginFailed)),
            (MAX_ENTRIES, MAX_FAILURES)
        );
        assert!(all.is_sorted_by_key(|entry| std::cmp::Reverse(entry.time)));
    }
}
