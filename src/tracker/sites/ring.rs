//! What one worker has noted: a ring that this worker alone writes and one reader empties. Neither takes a lock or waits for the other,
//! so a note costs an announce some twenty-five instructions.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{
    AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

use super::Touched;
use crate::tracker::announce::Announce;
use crate::tracker::id::InfoHash;

/// Notes in a ring at most: 3 MiB.
pub(super) const MAX_NOTES: usize = 65_536;

/// Notes for which room is made sure of at once: a power of two.
const BLOCK: usize = 64;

/// Marks beside a port.
const IS_V6: u32 = 1 << 16;
const HAS_LEFT: u32 = 1 << 17;

/// One note, in 32 bytes: of atomics, since two threads share it. A v6 address stands apart.
#[derive(Debug, Default)]
struct Slot {
    hash: [AtomicU64; 2],
    hash_rest: AtomicU32,
    v4: AtomicU32,
    port_and_marks: AtomicU32,
}

/// The ring.
#[derive(Debug)]
pub(super) struct Ring {
    /// Notes that were ever written; by the worker.
    written: AtomicUsize,
    /// Up to which number of notes there is room: as many as were ever read, and [`MAX_NOTES`]; by the reader.
    limit: AtomicUsize,
    /// Notes that found no room since this was last read.
    dropped: AtomicU64,
    slots: Box<[Slot; MAX_NOTES]>,
    v6: Box<[[AtomicU64; 2]; MAX_NOTES]>,
}

fn many<T: Default>() -> Option<Box<[T; MAX_NOTES]>> {
    let many: Box<[T]> = (0..MAX_NOTES).map(|_| T::default()).collect();
    many.try_into().ok()
}

impl Ring {
    /// With all its memory: a worker never waits for any.
    pub(super) fn new() -> Option<Ring> {
        Some(Ring {
            written: AtomicUsize::new(0),
            limit: AtomicUsize::new(MAX_NOTES),
            dropped: AtomicU64::new(0),
            slots: many()?,
            v6: many()?,
        })
    }

    /// Notes the peer of an announce. For the worker only.
    #[inline(always)]
    pub(super) fn push(&self, announce: &Announce, has_left: bool) {
        let written = self.written.load(Relaxed);
        if written.is_multiple_of(BLOCK) && written + BLOCK > self.limit.load(Acquire) {
            self.drop_one();
            return;
        }
        let at = written % MAX_NOTES;
        let hash = &announce.info_hash.0;
        let parts = (hash.as_chunks().0, hash.last_chunk());
        let (Some(slot), ([first, second], Some(rest))) = (self.slots.get(at), parts) else {
            return;
        };
        let mut port_and_marks = u32::from(announce.port);
        if has_left {
            port_and_marks |= HAS_LEFT;
        }
        match announce.ip {
            IpAddr::V4(ip) => slot.v4.store(u32::from_le_bytes(ip.octets()), Relaxed),
            IpAddr::V6(ip) => {
                port_and_marks |= IS_V6;
                self.put_v6(at, ip);
            }
        }
        let [to_first, to_second] = &slot.hash;
        to_first.store(u64::from_le_bytes(*first), Relaxed);
        to_second.store(u64::from_le_bytes(*second), Relaxed);
        slot.hash_rest.store(u32::from_le_bytes(*rest), Relaxed);
        slot.port_and_marks.store(port_and_marks, Relaxed);
        // Only now the reader sees it.
        self.written.store(written + 1, Release);
    }

    #[inline(always)]
    fn put_v6(&self, at: usize, ip: Ipv6Addr) {
        let octets = ip.octets();
        if let ([first, second], Some([to_first, to_second])) =
            (octets.as_chunks().0, self.v6.get(at))
        {
            to_first.store(u64::from_le_bytes(*first), Relaxed);
            to_second.store(u64::from_le_bytes(*second), Relaxed);
        }
    }

    #[cold]
    fn drop_one(&self) {
        self.dropped.fetch_add(1, Relaxed);
    }

    /// Takes all notes out, and says how many found no room. For one reader at a time.
    pub(super) fn take(&self, touched: &mut Vec<Touched>) -> u64 {
        let limit = self.limit.load(Relaxed);
        let written = self.written.load(Acquire);
        let unread = (written + MAX_NOTES).saturating_sub(limit);
        let all = |at: std::ops::Range<usize>| {
            let slots = self.slots.get(at.clone()).unwrap_or_default();
            slots.iter().zip(self.v6.get(at).unwrap_or_default())
        };
        let from = limit % MAX_NOTES;
        let in_order = all(from..MAX_NOTES).chain(all(0..from));
        touched.extend(in_order.take(unread).map(read));
        // Only now the worker writes there.
        self.limit.store(written + MAX_NOTES, Release);
        self.dropped.swap(0, Relaxed)
    }
}

fn bytes_of<const N: usize>(words: [u64; N]) -> impl Iterator<Item = u8> {
    words.into_iter().flat_map(u64::to_le_bytes)
}

fn read((slot, v6): (&Slot, &[AtomicU64; 2])) -> Touched {
    let [first, second] = slot.hash.each_ref().map(|word| word.load(Relaxed));
    let rest = slot.hash_rest.load(Relaxed);
    let mut info_hash = InfoHash([0; 20]);
    let bytes = bytes_of([first, second, rest.into()]);
    info_hash
        .0
        .iter_mut()
        .zip(bytes)
        .for_each(|(to, byte)| *to = byte);
    let marks = slot.port_and_marks.load(Relaxed);
    let [low, high, ..] = marks.to_le_bytes();
    let ip = if marks & IS_V6 == 0 {
        Ipv4Addr::from(slot.v4.load(Relaxed).to_le_bytes()).into()
    } else {
        let [first, second] = v6.each_ref().map(|word| word.load(Relaxed));
        let mut octets = [0; 16];
        let bytes = bytes_of([first, second]);
        octets
            .iter_mut()
            .zip(bytes)
            .for_each(|(to, byte)| *to = byte);
        Ipv6Addr::from(octets).into()
    };
    let port = u16::from_le_bytes([low, high]);
    Touched::new(info_hash, ip, port, marks & HAS_LEFT != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::{Event, ListOptions, PeerId};

    fn announce(number: u32) -> Announce {
        let mut info_hash = InfoHash(std::array::from_fn(|at| u8::try_from(at).unwrap()));
        info_hash.0[..4].copy_from_slice(&number.to_be_bytes());
        let ip = if number.is_multiple_of(3) {
            Ipv6Addr::from(0x2001_0db8_u128 << 96 | u128::from(number)).into()
        } else {
            Ipv4Addr::from(number).into()
        };
        Announce {
            info_hash,
            peer_id: PeerId([1; 20]),
            key: None,
            ip,
            inner_ip: None,
            is_reported: false,
            port: u16::try_from(number % 65_536).unwrap(),
            is_seeder: false,
            downloaded: 0,
            event: Event::None,
            num_want: None,
            options: ListOptions::default(),
        }
    }

    fn note(number: u32) -> Touched {
        let Announce {
            info_hash,
            ip,
            port,
            ..
        } = announce(number);
        Touched::new(info_hash, ip, port, number.is_multiple_of(5))
    }

    fn push(ring: &Ring, number: u32) {
        ring.push(&announce(number), number.is_multiple_of(5));
    }

    #[test]
    fn notes_come_out_as_they_went_in_many_times_round() {
        let ring = Ring::new().unwrap();
        let (mut touched, mut number) = (Vec::new(), 0);
        // Of a block that was begun before the last reading no more than the rest is there.
        for count in [1, 7, 65_000, 65_472, 0, 40_000, 40_000] {
            touched.clear();
            let first = number;
            for _ in 0..count {
                push(&ring, number);
                number += 1;
            }
            assert_eq!(ring.take(&mut touched), 0);
            assert!(touched.iter().copied().eq((first..number).map(note)));
        }
        let ring = Ring::new().unwrap();
        for number in 0..65_540 {
            push(&ring, number);
        }
        touched.clear();
        assert_eq!(ring.take(&mut touched), 4, "found no room");
        assert!(touched.iter().copied().eq((0..65_536).map(note)));
        touched.clear();
        assert_eq!((ring.take(&mut touched), touched.len()), (0, 0));
    }

    /// Each note is read once, whole and in order, or counted as dropped, while one thread writes and another one reads.
    #[test]
    fn a_note_is_read_whole_while_others_are_written() {
        const COUNT: u32 = 300_000;
        let ring = Ring::new().unwrap();
        let is_over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                (0..COUNT).for_each(|number| push(&ring, number));
                is_over.store(true, Release);
            });
            let (mut touched, mut expected, mut dropped, mut read) = (Vec::new(), 0, 0, 0);
            loop {
                let was_over = is_over.load(Acquire);
                touched.clear();
                dropped += ring.take(&mut touched);
                for touched in &touched {
                    while *touched != note(expected) {
                        expected += 1;
                        assert!(expected < COUNT, "{touched:?} was never noted so");
                    }
                    expected += 1;
                }
                read += touched.len() as u64;
                if was_over {
                    break;
                }
            }
            assert_eq!(read + dropped, u64::from(COUNT));
        });
    }
}
