//! The way out: every worker notes in a queue of its own whom others have to be told of. Nothing is written and nobody is waited for; a
//! queue that is full drops what comes and says so.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use crossbeam_utils::CachePadded;

use super::leaves::Leave;
use super::{Touched, TouchedBatch};
use crate::metrics::AnnounceOutcome;
use crate::tracker::Tracker;
use crate::tracker::announce::{Announce, AnnounceContext};
use crate::tracker::settings::Settings;
use crate::tracker::swarm::upsert::AnnounceEffect;

/// Notes in the queue of one worker at most: 2.5 MB.
const MAX_NOTES: usize = 65_536;

#[derive(Debug, Default)]
struct Queue {
    touched: Vec<Touched>,
    dropped: u64,
}

/// The queues of all workers.
#[derive(Debug)]
pub(crate) struct Outbox(Box<[CachePadded<Mutex<Queue>>]>);

impl Outbox {
    fn new(workers: usize) -> Outbox {
        let queues = (0..workers.max(1)).map(|_| CachePadded::new(Mutex::default()));
        Outbox(queues.collect())
    }

    /// Notes a peer in the queue of a worker.
    #[inline]
    fn push(&self, worker: Option<usize>, touched: Touched) {
        let own = self.0.get(worker.unwrap_or(0));
        let Some(queue) = own.or(self.0.first()) else {
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
        for queue in &self.0 {
            // The next batch will be about as large as this one: no worker is to wait while its queue grows.
            let mut taken = {
                let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
                let room = Vec::with_capacity(queue.touched.len());
                batch.dropped += std::mem::take(&mut queue.dropped);
                std::mem::replace(&mut queue.touched, room)
            };
            batch.touched.append(&mut taken);
        }
        batch.has_overflowed = batch.dropped > 0;
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

/// Whether others are to be told that a peer is still there: once in half the `min interval`, which needs no state but when it last was.
#[inline]
fn is_due(announce: &Announce, effect: &AnnounceEffect, now: u32, settings: &Settings) -> bool {
    let period = (settings.min_interval(settings.announce_interval) / 2).max(1);
    effect.since >= period
        || (now.wrapping_add(phase(announce.ip, announce.port))) % period < effect.since
}

impl Tracker {
    /// Has announces note from now on what others have to be told of. At the start only; while this has not been called, announces
    /// note nothing and remember no leaves.
    pub fn open_outbox(&self) {
        let workers = self.metrics.workers();
        self.outbox.get_or_init(|| Outbox::new(workers));
    }

    /// Takes what all workers have noted.
    pub fn take_touched(&self) -> TouchedBatch {
        self.outbox.get().map(Outbox::take).unwrap_or_default()
    }

    /// Notes an announce, when it is news for others.
    #[inline]
    pub(in crate::tracker) fn note(
        &self,
        outbox: &Outbox,
        announce: &Announce,
        effect: &AnnounceEffect,
        settings: &Settings,
        context: &AnnounceContext<'_>,
    ) {
        let is_news = match effect.outcome {
            AnnounceOutcome::Joined | AnnounceOutcome::Left => true,
            AnnounceOutcome::Refreshed => {
                effect.is_news || is_due(announce, effect, context.now.raw(), settings)
            }
            _ => false,
        };
        // Who is reached on this machine only is nobody's elsewhere.
        if !is_news || announce.ip.is_loopback() {
            return;
        }
        let address = SocketAddr::new(announce.ip, announce.port);
        let has_left = effect.outcome == AnnounceOutcome::Left;
        if has_left {
            self.remember_own_leave(announce, context.now, settings);
        }
        let touched = Touched::new(announce.info_hash, address, has_left);
        outbox.push(context.counters.worker(), touched);
    }

    #[cold]
    fn remember_own_leave(
        &self,
        announce: &Announce,
        now: crate::clock::Seconds,
        settings: &Settings,
    ) {
        let leave = Leave {
            at: now,
            is_own: true,
            is_reported: announce.is_reported,
        };
        let address = SocketAddr::new(announce.ip, announce.port);
        let lifetime = settings.lifetime();
        self.leaves
            .remember(&announce.info_hash, address, leave, now, lifetime);
    }
}
