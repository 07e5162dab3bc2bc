//! The way out: every worker notes in a queue of its own whom others have to be told of. Nothing is written and nobody is waited for; a
//! queue that is full drops what comes and says so.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crossbeam_utils::CachePadded;

use super::leaves::Leave;
use super::{Touched, TouchedBatch};
use crate::clock::Seconds;
use crate::metrics::AnnounceOutcome;
use crate::tracker::announce::{Announce, AnnounceContext};
use crate::tracker::swarm::upsert::AnnounceEffect;
use crate::tracker::{Policy, Tracker};

/// Notes in the queue of one worker at most: 2.5 MB.
const MAX_NOTES: usize = 65_536;

/// What one worker has noted, and how much did not fit.
#[derive(Debug)]
struct Queue {
    touched: Vec<Touched>,
    dropped: u64,
}

/// The queues of all workers, with room for all that they may hold: an announce never waits for memory. Pages that no note was ever
/// written to cost none.
#[derive(Debug)]
pub(crate) struct Outbox {
    queues: Box<[CachePadded<Mutex<Queue>>]>,
    /// An empty list, which takes the place of one that is read.
    spare: Mutex<Vec<Touched>>,
    /// Whether peers have come back from behind a block.
    have_come_back: AtomicBool,
}

impl Outbox {
    fn new(workers: usize) -> Outbox {
        let queue = |_| {
            CachePadded::new(Mutex::new(Queue {
                touched: Vec::with_capacity(MAX_NOTES),
                dropped: 0,
            }))
        };
        Outbox {
            queues: (0..workers.max(1)).map(queue).collect(),
            spare: Mutex::new(Vec::with_capacity(MAX_NOTES)),
            have_come_back: AtomicBool::new(false),
        }
    }

    /// Notes a peer in the queue of a worker.
    #[inline]
    fn push(&self, worker: Option<usize>, touched: Touched) {
        let own = self.queues.get(worker.unwrap_or(0));
        let Some(queue) = own.or(self.queues.first()) else {
            return;
        };
        let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.touched.len() < MAX_NOTES {
            queue.touched.push(touched);
        } else {
            queue.dropped += 1;
        }
    }

    fn take(&self) -> TouchedBatch {
        let mut batch = TouchedBatch::default();
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        for queue in &self.queues {
            {
                let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
                batch.dropped += std::mem::take(&mut queue.dropped);
                std::mem::swap(&mut queue.touched, &mut *spare);
            }
            batch.touched.extend_from_slice(&spare);
            spare.clear();
        }
        batch.has_overflowed = batch.dropped > 0;
        batch.have_come_back = self.have_come_back.swap(false, Ordering::Relaxed);
        batch
    }
}

/// When in a period the turn of an address comes, so that refreshes are spread over it.
fn phase(ip: IpAddr, port: u16) -> u32 {
    let bits = match ip {
        IpAddr::V4(ip) => ip.to_bits(),
        #[expect(clippy::cast_possible_truncation, reason = "any bits of it will do")]
        IpAddr::V6(ip) => (ip.to_bits() >> 64) as u32 ^ ip.to_bits() as u32,
    };
    (bits ^ u32::from(port)).wrapping_mul(0x9e37_79b1) >> 16
}

impl Tracker {
    /// Has announces note from now on what others have to be told of. At the start only; while this has not been called, announces
    /// note nothing and remember no leaves.
    pub fn open_outbox(&self) {
        let workers = self.metrics.workers();
        self.outbox.get_or_init(|| Outbox::new(workers));
    }

    /// Notes that so many peers have come back from behind a block: who joined just before it may have been told to nobody.
    pub(in crate::tracker) fn note_come_back(&self, peers: u64) {
        if peers > 0
            && let Some(outbox) = self.outbox.get()
        {
            outbox.have_come_back.store(true, Ordering::Relaxed);
        }
    }

    /// Takes what all workers have noted.
    pub fn take_touched(&self) -> TouchedBatch {
        self.outbox.get().map(Outbox::take).unwrap_or_default()
    }

    /// Notes an announce, when it is news for others. That a peer is still there is news once in a `period` of seconds: for which no
    /// state is needed but when it announced before.
    #[inline]
    pub(in crate::tracker) fn note(
        &self,
        outbox: &Outbox,
        announce: &Announce,
        effect: &AnnounceEffect,
        policy: &Policy,
        context: &AnnounceContext<'_>,
    ) {
        let period = policy.told_period;
        let is_due = || {
            let turn = phase(announce.ip, announce.port);
            context.now.raw().wrapping_add(turn) % period < effect.since
        };
        let is_news = match effect.outcome {
            AnnounceOutcome::Joined | AnnounceOutcome::Left => true,
            AnnounceOutcome::Refreshed => effect.is_news || effect.since >= period || is_due(),
            _ => false,
        };
        if !is_news {
            return;
        }
        let worker = context.counters.worker();
        if effect.outcome == AnnounceOutcome::Left {
            self.note_leave(outbox, announce, worker, context.now, policy.lifetime);
            return;
        }
        let touched = Touched::new(announce.info_hash, announce.ip, announce.port, false);
        outbox.push(worker, touched);
    }

    /// Notes that a peer has left, by its own word or because its key is over, in the queue of a worker; a repair tells it too.
    pub(in crate::tracker) fn note_leave(
        &self,
        outbox: &Outbox,
        announce: &Announce,
        worker: Option<usize>,
        now: Seconds,
        lifetime: u32,
    ) {
        self.remember_own_leave(announce, now, lifetime);
        let touched = Touched::new(announce.info_hash, announce.ip, announce.port, true);
        outbox.push(worker, touched);
    }

    #[cold]
    fn remember_own_leave(&self, announce: &Announce, now: Seconds, lifetime: u32) {
        let leave = Leave {
            at: now,
            is_own: true,
            is_reported: announce.is_reported,
        };
        let address = SocketAddr::new(announce.ip, announce.port);
        self.leaves
            .remember(&announce.info_hash, address, leave, now, lifetime);
    }
}
