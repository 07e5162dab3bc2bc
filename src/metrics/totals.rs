//! What all workers counted, added up for whoever reports it.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::{
    Action, AnnounceEvent, AnnounceOutcome, ByFailure, Failure, Family, Full, Handshake, LABELLED,
    LATENCY_BOUNDS_US, StrangerReason, TlsVersion, Transport, WorkerCounters,
};
use crate::invariant::present;

/// The sums over all counters at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// By transport, family, action.
    pub answered: [[[u64; Action::COUNT]; Family::COUNT]; Transport::COUNT],
    /// By transport and reason.
    pub failures: [ByFailure<u64>; Transport::COUNT],
    /// Announces by event.
    pub by_event: [u64; AnnounceEvent::COUNT],
    /// Announces by outcome.
    pub outcomes: [u64; AnnounceOutcome::COUNT],
    /// Peers that left for newcomers, by bound.
    pub evicted: [u64; Full::COUNT],
    /// Lists with strangers by the rule `few`, by why.
    pub stranger_lists: [u64; StrangerReason::COUNT],
    /// Intervals that it shortened.
    pub shortened_intervals: u64,
    /// By transport.
    pub received_bytes: [u64; Transport::COUNT],
    /// By transport.
    pub sent_bytes: [u64; Transport::COUNT],
    /// Peers handed out.
    pub handed_out: u64,
    /// Requests per latency bucket (not cumulative).
    pub latency: [u64; LATENCY_BOUNDS_US.len() + 1],
    /// Sum of all latencies.
    pub latency_sum_us: u64,
    /// TLS handshakes by how they ended.
    pub handshakes: [u64; Handshake::COUNT],
    /// Connections by their version of TLS.
    pub tls_versions: [u64; TlsVersion::COUNT],
}

impl Totals {
    pub(super) fn of<'a>(by_worker: impl Iterator<Item = &'a WorkerCounters>) -> Totals {
        let mut totals = Totals::default();
        for counters in by_worker {
            for (sums, counters) in totals
                .answered
                .iter_mut()
                .flatten()
                .zip(counters.answered.iter().flatten())
            {
                gather(sums, counters);
            }
            for (sums, counters) in totals.failures.iter_mut().zip(&counters.failures) {
                gather(sums, counters);
            }
            gather(&mut totals.by_event, &counters.by_event);
            gather(&mut totals.outcomes, &counters.outcomes);
            gather(&mut totals.evicted, &counters.evicted);
            gather(&mut totals.stranger_lists, &counters.stranger_lists);
            gather_one(
                &mut totals.shortened_intervals,
                &counters.shortened_intervals,
            );
            gather(&mut totals.received_bytes, &counters.received_bytes);
            gather(&mut totals.sent_bytes, &counters.sent_bytes);
            gather_one(&mut totals.handed_out, &counters.handed_out);
            gather(&mut totals.latency, &counters.latency);
            gather_one(&mut totals.latency_sum_us, &counters.latency_sum_us);
            gather(&mut totals.handshakes, &counters.handshakes);
            gather(&mut totals.tls_versions, &counters.tls_versions);
        }
        totals
    }

    /// Requests answered, of one transport and action, both families.
    pub fn answered(&self, transport: Transport, action: Action) -> u64 {
        let families = self.answered.get(transport as usize).into_iter().flatten();
        families
            .filter_map(|actions| actions.get(action as usize))
            .sum()
    }

    /// Refusals of one reason, all transports.
    pub fn failures(&self, failure: Failure) -> u64 {
        self.failures
            .iter()
            .filter_map(|reasons| reasons.get(failure as usize))
            .sum()
    }

    /// Bytes of requests and of replies.
    pub fn moved(&self, transport: Transport) -> (u64, u64) {
        let of = |bytes: &[u64]| *present(bytes.get(transport as usize), LABELLED).unwrap_or(&0);
        (of(&self.received_bytes), of(&self.sent_bytes))
    }

    /// Refusals over one transport, for all reasons.
    pub fn refused(&self, transport: Transport) -> u64 {
        let reasons = present(self.failures.get(transport as usize), LABELLED);
        reasons.into_iter().flat_map(|reasons| reasons.iter()).sum()
    }

    /// TLS handshakes that ended so.
    pub fn handshakes(&self, end: Handshake) -> u64 {
        *present(self.handshakes.get(end as usize), LABELLED).unwrap_or(&0)
    }

    /// Connections over one version of TLS.
    pub fn tls_versions(&self, version: TlsVersion) -> u64 {
        *present(self.tls_versions.get(version as usize), LABELLED).unwrap_or(&0)
    }

    /// Announces that met one outcome.
    pub fn outcomes(&self, outcome: AnnounceOutcome) -> u64 {
        *present(self.outcomes.get(outcome as usize), LABELLED).unwrap_or(&0)
    }

    /// Peers that left for newcomers at one bound.
    pub fn evicted(&self, bound: Full) -> u64 {
        *present(self.evicted.get(bound as usize), LABELLED).unwrap_or(&0)
    }
}

fn gather(into: &mut [u64], from: &[AtomicU64]) {
    for (sum, counter) in into.iter_mut().zip(from) {
        gather_one(sum, counter);
    }
}

fn gather_one(sum: &mut u64, counter: &AtomicU64) {
    *sum = sum.wrapping_add(counter.load(Relaxed));
}
