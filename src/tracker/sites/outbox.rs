//! The way out: every worker notes in a ring of its own whom others have to be told of. Nothing is written and nobody is waited for; a
//! ring that is full drops what comes and says so.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crossbeam_utils::CachePadded;

use super::leaves::Leave;
use super::ring::Ring;
use super::{Touched, TouchedBatch};
use crate::clock::Seconds;
use crate::metrics::{AnnounceOutcome, WorkerCounters};
use crate::tracker::announce::{Announce, AnnounceContext};
use crate::tracker::swarm::upsert::AnnounceEffect;
use crate::tracker::{Policy, Tracker};

/// Notes of threads that are no workers at most.
const MAX_OTHER_NOTES: usize = 65_536;

/// What has been noted, with room for all that may be: an announce never waits for memory.
#[derive(Debug)]
pub(crate) struct Outbox {
    /// One for each worker.
    rings: Box<[Box<CachePadded<Ring>>]>,
    /// What threads noted that are no workers, which is rare.
    others: Mutex<Vec<Touched>>,
    /// How many of these found no room.
    others_dropped: AtomicU64,
    /// Held by whoever reads.
    reader: Mutex<()>,
    /// Whether peers have come back from behind a block.
    have_come_back: AtomicBool,
}

impl Outbox {
    fn new(workers: usize) -> Outbox {
        let rings = (0..workers).filter_map(|_| Ring::new());
        Outbox {
            rings: rings.map(|ring| Box::new(CachePadded::new(ring))).collect(),
            others: Mutex::default(),
            others_dropped: AtomicU64::new(0),
            reader: Mutex::default(),
            have_come_back: AtomicBool::new(false),
        }
    }

    /// Notes the peer of an announce in the ring of the worker that answers it, if one does. A function of its own that needs no stack, so
    /// that an announce without an outbox has nothing of it.
    #[inline(never)]
    fn push(&self, counters: &WorkerCounters, announce: &Announce) {
        if announce.ip.is_ipv4()
            && let Some(ring) = self.rings.get(counters.index())
        {
            ring.push(announce, false);
        } else {
            self.push_any(counters, announce, false);
        }
    }

    /// The same of any peer, and of one that has left.
    #[inline(never)]
    fn push_any(&self, counters: &WorkerCounters, announce: &Announce, has_left: bool) {
        match self.rings.get(counters.index()) {
            Some(ring) => ring.push(announce, has_left),
            None => self.push_other(announce, has_left),
        }
    }

    #[cold]
    fn push_other(&self, announce: &Announce, has_left: bool) {
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        if others.len() < MAX_OTHER_NOTES {
            let Announce {
                info_hash,
                ip,
                port,
                ..
            } = *announce;
            others.push(Touched::new(info_hash, ip, port, has_left));
        } else {
            self.others_dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Notes what is no regular announce, when it is news.
    #[inline(never)]
    fn note_other(
        &self,
        tracker: &Tracker,
        announce: &Announce,
        effect: &AnnounceEffect,
        policy: &Policy,
        context: &AnnounceContext<'_>,
    ) {
        let (counters, now) = (context.counters, context.now);
        if effect.outcome == AnnounceOutcome::Left {
            tracker.note_leave(self, announce, counters, now, policy.lifetime);
        } else if effect.outcome == AnnounceOutcome::Joined
            || effect.is_news
            || is_due(announce, effect, policy.told_period, now)
        {
            self.push(counters, announce);
        }
    }

    fn take(&self) -> TouchedBatch {
        let _reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let others =
            std::mem::take(&mut *self.others.lock().unwrap_or_else(PoisonError::into_inner));
        let mut batch = TouchedBatch {
            touched: others,
            dropped: self.others_dropped.swap(0, Ordering::Relaxed),
            ..TouchedBatch::default()
        };
        for ring in &self.rings {
            batch.dropped += ring.take(&mut batch.touched);
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

/// Whether the turn of a peer has come since it announced last, less than a `period` of seconds ago.
fn is_due(announce: &Announce, effect: &AnnounceEffect, period: u32, now: Seconds) -> bool {
    let turn = phase(announce.ip, announce.port);
    now.raw().wrapping_add(turn) % period < effect.since
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

    /// Notes an announce, when it is news for others. That a peer is still there is news once in a period: for which no state is
    /// needed but when it announced before.
    #[inline(always)]
    pub(in crate::tracker) fn note(
        &self,
        outbox: &Outbox,
        announce: &Announce,
        effect: &AnnounceEffect,
        policy: &Policy,
        context: &AnnounceContext<'_>,
    ) {
        let is_refresh = effect.outcome == AnnounceOutcome::Refreshed;
        if effect.since >= policy.told_period && is_refresh {
            outbox.push(context.counters, announce);
        } else if is_refresh
            || matches!(
                effect.outcome,
                AnnounceOutcome::Joined | AnnounceOutcome::Left
            )
        {
            outbox.note_other(self, announce, effect, policy, context);
        }
    }

    /// Notes that a peer has left, by its own word or because its key is over; a repair tells it too.
    pub(in crate::tracker) fn note_leave(
        &self,
        outbox: &Outbox,
        announce: &Announce,
        counters: &WorkerCounters,
        now: Seconds,
        lifetime: u32,
    ) {
        self.remember_own_leave(announce, now, lifetime);
        outbox.push_any(counters, announce, true);
    }

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
