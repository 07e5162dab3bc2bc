//! Load over UDP (BEP 15): which datagrams are on their way, and what comes back.

use std::time::Duration;

use anyhow::bail;

use super::batches::{BATCH, Batches};
use super::datagram;
use super::load::{Action, Request};
use super::measure::Phase;
use super::reply::Fault;
use super::target::{Sources, Target};

/// A datagram that has no answer for so long counts as lost.
const PATIENCE: Duration = Duration::from_secs(3);
/// Connection ids are renewed at this age; BEP 15 lets a client use one for a minute.
const ID_AGE: Duration = Duration::from_secs(50);
/// Lost or wrong replies in a row after which there is no point in going on.
const HOPELESS: u32 = 1_000;

/// The socket and the datagrams on their way.
pub(super) struct Engine {
    socket: Batches,
    peer_size: usize,
    sources: Sources,
    is_echo: bool,
    /// Connection id of each source and when it came.
    ids: Vec<Id>,
    slots: Vec<Slot>,
    free: Vec<u16>,
    next_lane: usize,
    faults_in_a_row: u32,
}

#[derive(Clone, Copy, Default)]
struct Id {
    value: u64,
    since: Option<Duration>,
    is_asked_for: bool,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    /// Tells late replies to an earlier request of the slot apart.
    generation: u16,
    pending: Option<Pending>,
}

#[derive(Clone, Copy)]
struct Pending {
    request: Request,
    lane: usize,
    since: Duration,
}

impl Engine {
    pub(super) fn new(
        target: &Target,
        sources: Sources,
        in_flight: usize,
        is_echo: bool,
    ) -> anyhow::Result<Engine> {
        let id = Id {
            // An echo takes any.
            since: is_echo.then_some(Duration::MAX),
            ..Id::default()
        };
        let free = (0..u16::try_from(in_flight)?).rev().collect();
        Ok(Engine {
            socket: Batches::new(target.address, sources)?,
            peer_size: if target.address.is_ipv4() { 6 } else { 18 },
            sources,
            is_echo,
            ids: vec![id; sources.count],
            slots: vec![Slot::default(); in_flight],
            free,
            next_lane: 0,
            faults_in_a_row: 0,
        })
    }

    pub(super) fn lanes(&self) -> (usize, usize) {
        (self.sources.count, self.sources.count)
    }

    pub(super) fn run(&mut self, phase: &mut Phase<'_>) -> anyhow::Result<()> {
        let enough = (self.slots.len() / 4).clamp(1, BATCH);
        let mut scanned = phase.clock.elapsed();
        loop {
            let now = phase.clock.elapsed();
            let mut is_over = phase.is_over(now);
            while !is_over && self.free.len() >= enough {
                match self.send_batch(phase, now)? {
                    Sent::Some => is_over = phase.is_over(now),
                    Sent::NotDue => break,
                    // With nothing on its way either, everything has been said.
                    Sent::Nothing => {
                        is_over = self.free.len() == self.slots.len();
                        break;
                    }
                }
            }
            if is_over && self.free.len() == self.slots.len() {
                break;
            }
            if self.faults_in_a_row >= HOPELESS {
                bail!("{HOPELESS} faults in a row: {:?}", phase.tally.faults);
            }
            if phase.is_paced() && !is_over {
                self.socket.wait(phase.wait(now))?;
            }
            self.receive(phase)?;
            let now = phase.clock.elapsed();
            if now.saturating_sub(scanned) > Duration::from_secs(1) {
                scanned = now;
                self.give_up_the_lost(phase, now);
                phase.show(now);
            }
        }
        phase.clear();
        Ok(())
    }

    /// Sends what one lane has to say next, up to a batch.
    fn send_batch(&mut self, phase: &mut Phase<'_>, now: Duration) -> anyhow::Result<Sent> {
        let mut outcome = Sent::Nothing;
        for _ in 0..self.sources.count {
            let lane = self.next_lane;
            self.next_lane = (lane + 1) % self.sources.count;
            let (count, is_due) = self.compose(lane, phase, now);
            if count > 0 {
                self.socket.send(lane, count)?;
                return Ok(Sent::Some);
            }
            if !is_due {
                outcome = Sent::NotDue;
                break;
            }
        }
        Ok(outcome)
    }

    /// Writes the datagrams of one batch. Returns how many, and whether more could be due.
    fn compose(&mut self, lane: usize, phase: &mut Phase<'_>, now: Duration) -> (usize, bool) {
        let Some(id) = self.ids.get_mut(lane) else {
            return (0, true);
        };
        let is_fresh = id
            .since
            .is_some_and(|since| now.saturating_sub(since) < ID_AGE);
        if !is_fresh {
            if id.is_asked_for {
                return (0, true);
            }
            id.is_asked_for = true;
            let request = Request {
                peer: lane,
                action: Action::Connect,
            };
            self.put(0, lane, request, phase, now);
            return (1, true);
        }
        let mut count = 0;
        while count < BATCH && !self.free.is_empty() && !phase.is_over(now) {
            let Some(since) = phase.take_turn(now) else {
                return (count, false);
            };
            let Some(request) = phase.next(lane) else {
                break;
            };
            self.put(count, lane, request, phase, since);
            count += 1;
        }
        (count, true)
    }

    fn put(
        &mut self,
        at: usize,
        lane: usize,
        request: Request,
        phase: &Phase<'_>,
        since: Duration,
    ) {
        let Some(number) = self.free.pop() else {
            return;
        };
        let Some(slot) = self.slots.get_mut(usize::from(number)) else {
            return;
        };
        slot.generation = slot.generation.wrapping_add(1);
        slot.pending = Some(Pending {
            request,
            lane,
            since,
        });
        let transaction = u32::from(slot.generation) << 16 | u32::from(number);
        let id = self.ids.get(lane);
        debug_assert!(id.is_some(), "every lane has an id");
        let id = id.map_or(0, |id| id.value);
        if let Some(datagram) = self.socket.outgoing(at) {
            datagram::write(datagram, id, transaction, request, phase.load);
        }
    }

    fn receive(&mut self, phase: &mut Phase<'_>) -> anyhow::Result<()> {
        let count = self.socket.receive(!phase.is_paced())?;
        let now = phase.clock.elapsed();
        for at in 0..count {
            self.take_reply(at, phase, now);
        }
        Ok(())
    }

    fn take_reply(&mut self, at: usize, phase: &mut Phase<'_>, now: Duration) {
        let datagram = self.socket.received(at);
        // An echo has the connection id before the action; one that is shorter has no head either.
        let datagram = if self.is_echo {
            datagram.get(8..).unwrap_or_default()
        } else {
            datagram
        };
        let Some((head, body)) = datagram.split_first_chunk::<8>() else {
            return phase.count_fault(Fault::Packet);
        };
        let [action @ .., high, low, number_high, number_low] = *head;
        let generation = u16::from_be_bytes([high, low]);
        let number = u16::from_be_bytes([number_high, number_low]);
        let slot = self.slots.get_mut(usize::from(number));
        let Some(slot) = slot.filter(|slot| slot.generation == generation) else {
            return phase.count_fault(Fault::Packet);
        };
        let Some(pending) = slot.pending.take() else {
            return phase.count_fault(Fault::Packet);
        };
        self.free.push(number);
        let result = datagram::check(
            u32::from_be_bytes(action),
            body,
            pending.request,
            self.peer_size,
            self.is_echo,
        );
        if pending.request.action == Action::Connect
            && let Some(id) = self.ids.get_mut(pending.lane)
            && !self.is_echo
        {
            id.is_asked_for = false;
            if let Some(value) = body.first_chunk::<8>() {
                id.value = u64::from_be_bytes(*value);
                id.since = Some(now);
            }
        }
        self.faults_in_a_row = if result.is_ok() {
            0
        } else {
            self.faults_in_a_row + 1
        };
        phase.count(pending.request, result, now.saturating_sub(pending.since));
    }

    fn give_up_the_lost(&mut self, phase: &mut Phase<'_>, now: Duration) {
        for (number, slot) in (0..).zip(&mut self.slots) {
            if let Some(pending) = slot.pending
                && now.saturating_sub(pending.since) > PATIENCE
            {
                slot.pending = None;
                self.free.push(number);
                self.faults_in_a_row += 1;
                phase.count_fault(Fault::TimedOut);
                if let Some(id) = self.ids.get_mut(pending.lane) {
                    id.is_asked_for = false;
                }
            }
        }
    }
}

/// What became of an attempt to send.
enum Sent {
    Some,
    NotDue,
    Nothing,
}
