//! The addresses that a client as libtorrent keeps: to be tried, to be tried again, or given up.

use std::collections::HashMap;

/// Seconds after which an address is tried again; each failure adds as many (libtorrent's `min_reconnect_time`).
pub(super) const RECONNECT_SECONDS: u32 = 60;

/// Failures after which an address is given up, until a tracker names it anew (libtorrent's `max_failcount`).
pub(super) const MAX_FAILURES: u32 = 3;

/// Addresses, by the peers' numbers.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct AddressBook {
    /// To be tried, the last first.
    candidates: Vec<usize>,
    /// Failed, and from which second on they are candidates again.
    later: Vec<(u32, usize)>,
    /// How often each has failed since a tracker last named it.
    failures: HashMap<usize, u32>,
}

impl AddressBook {
    /// Whether there is anybody to try, at once or later.
    pub(in super::super) fn is_empty(&self) -> bool {
        self.candidates.is_empty() && self.later.is_empty()
    }

    /// A tracker named these: they are candidates, whatever happened before, and all candidates are tried in a new random order.
    pub(in super::super) fn learn(&mut self, named: &[usize], rng: &mut fastrand::Rng) {
        for address in named {
            self.failures.remove(address);
            if !self.candidates.contains(address) {
                self.candidates.push(*address);
            }
        }
        self.later.retain(|(_, address)| !named.contains(address));
        rng.shuffle(&mut self.candidates);
    }

    /// Keeps the address of a connection that was closed, as the last to be tried.
    pub(in super::super) fn keep(&mut self, address: usize) {
        self.candidates.insert(0, address);
    }

    /// Whom to try next.
    pub(in super::super) fn next(&mut self) -> Option<usize> {
        self.candidates.pop()
    }

    /// Nobody answered there.
    pub(in super::super) fn fail(&mut self, address: usize, now: u32) {
        let failures = self.failures.entry(address).or_default();
        *failures += 1;
        if *failures < MAX_FAILURES {
            self.later
                .push((now + RECONNECT_SECONDS * *failures, address));
        }
    }

    /// Makes candidates of those that have waited long enough, to be tried after the others.
    pub(in super::super) fn revive(&mut self, now: u32) {
        let is_due = |&mut (due, _): &mut (u32, usize)| due <= now;
        for (_, address) in self.later.extract_if(.., is_due) {
            self.candidates.insert(0, address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_answer_is_tried_again_later_each_time_and_then_given_up() {
        let mut book = AddressBook::default();
        let mut rng = fastrand::Rng::with_seed(1);
        book.learn(&[7], &mut rng);
        for (now, due) in [(100, 160), (160, 280)] {
            assert_eq!(book.next(), Some(7));
            book.fail(7, now);
            book.revive(due - 1);
            assert_eq!(book.next(), None);
            assert!(!book.is_empty());
            book.revive(due);
        }
        assert_eq!(book.next(), Some(7));
        book.fail(7, 280);
        assert!(book.is_empty(), "given up");
        book.learn(&[7], &mut rng);
        assert_eq!(book.next(), Some(7), "named anew");
    }

    #[test]
    fn a_closed_connection_is_the_last_to_be_tried_and_nobody_stands_twice() {
        let mut book = AddressBook::default();
        let mut rng = fastrand::Rng::with_seed(1);
        book.learn(&[1, 2, 3], &mut rng);
        book.learn(&[3, 2], &mut rng);
        book.keep(9);
        let mut order: Vec<usize> = std::iter::from_fn(|| book.next()).collect();
        assert_eq!(order.pop(), Some(9));
        order.sort_unstable();
        assert_eq!(order, [1, 2, 3]);
    }
}
