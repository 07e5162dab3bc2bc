//! What is counted while load runs: replies, faults, latency, and what the server's process spends.

use std::collections::BTreeMap;
use std::fs;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;

use super::load::{Action, Event, Load, Request};
use super::reply::{Answer, Fault};
use crate::clock::Clock;

/// Nanoseconds beyond which latencies are not told apart.
const LATENCY_CAP: u64 = 60_000_000_000;

/// Counts of one phase.
#[derive(Debug)]
pub(super) struct Tally {
    pub announces: u64,
    pub scrapes: u64,
    pub connects: u64,
    /// Peers in all replies.
    pub peers: u64,
    /// Requests sent again because the server had ended the connection that was kept.
    pub reopened: u64,
    /// Connections over TLS that began anew, and those that went on from a session of before.
    pub handshakes: u64,
    pub resumed: u64,
    pub faults: BTreeMap<&'static str, u64>,
    /// Nanoseconds.
    pub latency: Histogram<u64>,
}

impl Tally {
    pub(super) fn new() -> anyhow::Result<Tally> {
        Ok(Tally {
            announces: 0,
            scrapes: 0,
            connects: 0,
            peers: 0,
            reopened: 0,
            handshakes: 0,
            resumed: 0,
            faults: BTreeMap::new(),
            latency: Histogram::new_with_max(LATENCY_CAP, 3)?,
        })
    }

    pub(super) fn answered(&self) -> u64 {
        self.announces + self.scrapes + self.connects
    }

    pub(super) const fn shook_hands(&mut self, is_resumed: bool) {
        if is_resumed {
            self.resumed += 1;
        } else {
            self.handshakes += 1;
        }
    }

    pub(super) fn faulty(&self) -> u64 {
        self.faults.values().sum()
    }
}

/// One stretch of load: which requests come next, until when, and where they are counted.
pub(super) struct Phase<'a> {
    pub clock: &'a Clock,
    pub load: &'a mut Load,
    pub tally: &'a mut Tally,
    pub deadline: Duration,
    pub requests_left: u64,
    pub is_exact: bool,
    name: &'static str,
    /// Time between two requests; zero for as fast as it goes.
    gap: Duration,
    due: Duration,
    shown: Duration,
    shown_answers: u64,
    is_terminal: bool,
}

impl<'a> Phase<'a> {
    pub(super) fn new(
        clock: &'a Clock,
        load: &'a mut Load,
        tally: &'a mut Tally,
        name: &'static str,
    ) -> Phase<'a> {
        Phase {
            clock,
            load,
            tally,
            deadline: Duration::MAX,
            requests_left: u64::MAX,
            is_exact: false,
            name,
            gap: Duration::ZERO,
            due: Duration::ZERO,
            shown: clock.elapsed(),
            shown_answers: 0,
            is_terminal: std::io::stderr().is_terminal(),
        }
    }

    /// Spreads the requests evenly over time.
    pub(super) fn pace(&mut self, per_second: u32) {
        if per_second > 0 {
            self.gap = Duration::from_secs(1) / per_second;
            self.due = self.clock.elapsed();
        }
    }

    pub(super) fn is_paced(&self) -> bool {
        !self.gap.is_zero()
    }

    /// Whether no further request is to be sent.
    pub(super) fn is_over(&self, now: Duration) -> bool {
        self.requests_left == 0 || now >= self.deadline
    }

    /// Takes the turn of one request: the time it counts from. `None` when none is due yet.
    pub(super) fn take_turn(&mut self, now: Duration) -> Option<Duration> {
        if self.gap.is_zero() {
            return Some(now);
        }
        (self.due <= now).then(|| {
            let due = self.due;
            self.due += self.gap;
            due
        })
    }

    /// How long nothing is due.
    pub(super) fn wait(&self, now: Duration) -> Duration {
        self.due.saturating_sub(now)
    }

    /// The next request of a lane, taken off what is left.
    pub(super) fn next(&mut self, lane: usize) -> Option<Request> {
        let request = self.load.next(lane)?;
        self.requests_left = self.requests_left.saturating_sub(1);
        Some(request)
    }

    /// Counts the reply to a request, after a look at whether it can be true.
    pub(super) fn count(
        &mut self,
        request: Request,
        result: Result<Answer, Fault>,
        took: Duration,
    ) {
        let plausible = result.and_then(|answer| self.check(request, answer));
        match plausible {
            Ok(answer) => {
                match request.action {
                    Action::Announce(_) => self.tally.announces += 1,
                    Action::Scrape => self.tally.scrapes += 1,
                    Action::Connect => self.tally.connects += 1,
                }
                self.tally.peers += u64::from(answer.peers);
                // The histogram tells nothing apart beyond the cap.
                let nanos = u64::try_from(took.as_nanos()).unwrap_or(LATENCY_CAP);
                self.tally.latency.saturating_record(nanos);
            }
            Err(fault) => self.count_fault(fault),
        }
    }

    pub(super) fn count_fault(&mut self, fault: Fault) {
        *self.tally.faults.entry(fault.label()).or_default() += 1;
    }

    fn check(&self, request: Request, answer: Answer) -> Result<Answer, Fault> {
        let Action::Announce(event) = request.action else {
            return Ok(answer);
        };
        if answer.peers > self.load.num_want() {
            return Err(Fault::TooManyPeers);
        }
        if self.is_exact {
            let torrent = self.load.torrent(request.peer);
            debug_assert!(torrent.is_some(), "peers are in torrents of the load");
            let members = torrent.map_or(0, |torrent| torrent.members);
            let living = answer.complete.saturating_add(answer.incomplete);
            let least = u32::from(event != Event::Stopped);
            if living < least || living > members || answer.peers > members {
                return Err(Fault::WrongCounts);
            }
        }
        Ok(answer)
    }

    /// Shows how far things are, once a second, when somebody looks on.
    pub(super) fn show(&mut self, now: Duration) {
        let since = now.saturating_sub(self.shown);
        if !self.is_terminal || since < Duration::from_secs(1) {
            return;
        }
        let answered = self.tally.answered();
        let rate = (answered - self.shown_answers) as f64 / since.as_secs_f64();
        (self.shown, self.shown_answers) = (now, answered);
        // Progress that cannot be shown is no reason to stop.
        drop(write!(
            std::io::stderr(),
            "\r{}: {answered} answered, {rate:.0}/s, {} faults \x1b[K",
            self.name,
            self.tally.faulty()
        ));
    }

    /// Clears what was shown.
    pub(super) fn clear(&self) {
        if self.is_terminal {
            drop(write!(std::io::stderr(), "\r\x1b[K"));
        }
    }
}

/// A process whose expenses are read from /proc.
#[derive(Clone, Copy, Debug)]
pub(super) struct Process {
    pid: u32,
}

/// What a process has spent so far and holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expense {
    /// User and system time of all its threads, the ended ones too.
    pub user: Duration,
    system: Duration,
    pub resident_bytes: u64,
}

impl Expense {
    /// What several processes have spent together; nothing of none.
    pub(super) fn of_all(processes: &[Process]) -> anyhow::Result<Option<Expense>> {
        let mut all: Option<Expense> = None;
        for process in processes {
            let one = process.read()?;
            all = Some(all.map_or(one, |before| Expense {
                user: before.user + one.user,
                system: before.system + one.system,
                resident_bytes: before.resident_bytes + one.resident_bytes,
            }));
        }
        Ok(all)
    }

    pub(super) fn cpu(&self) -> Duration {
        self.user + self.system
    }
}

impl Process {
    pub(super) fn new(pid: u32) -> Process {
        Process { pid }
    }

    pub(super) fn own() -> Process {
        Process::new(std::process::id())
    }

    /// Reads /proc/PID/stat, whose times come in ticks (10 ms as a rule).
    pub(super) fn read(&self) -> anyhow::Result<Expense> {
        let path = format!("/proc/{}/stat", self.pid);
        let text = fs::read_to_string(&path).with_context(|| format!("{path}: no such process"))?;
        // The name, field 2, may hold blanks and brackets; field 3 follows the last bracket.
        let (_, rest) = text.rsplit_once(')').context("/proc: unknown format")?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let field = |number: usize| {
            let text = fields.get(number - 3).copied().unwrap_or_default();
            text.parse::<u64>()
                .with_context(|| format!("{path}: field {number} is no number"))
        };
        let per_second = rustix::param::clock_ticks_per_second();
        ensure!(per_second > 0, "no clock ticks");
        let time = |ticks: u64| Duration::from_nanos(ticks * (1_000_000_000 / per_second));
        Ok(Expense {
            user: time(field(14)?),
            system: time(field(15)?),
            resident_bytes: field(24)? * rustix::param::page_size() as u64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_processes_are_charged_together() {
        assert!(Expense::of_all(&[]).unwrap().is_none());
        let one = Process::own().read().unwrap();
        let both = Expense::of_all(&[Process::own(), Process::own()]).unwrap();
        let both = both.unwrap();
        assert!(both.resident_bytes > one.resident_bytes && both.cpu() >= one.cpu() * 2);
    }

    #[test]
    fn own_expenses_are_readable_and_grow() {
        let before = Process::own().read().unwrap();
        assert!(before.resident_bytes > 100_000);
        let mut sum = 0_u64;
        while Process::own().read().unwrap().cpu() == before.cpu() {
            for n in 0..1_000_000 {
                sum = std::hint::black_box(sum.wrapping_add(n));
            }
        }
    }
}
