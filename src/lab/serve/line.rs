//! In which order what happens is told: exchanges by their numbers, though each is whole only when its answer has been sent, and each is
//! served by a thread of its own. An exchange takes its place with its number; what comes after it is held until it is told, or gives its
//! place up. It gives it up before it waits for anything but the processor, so nothing is held for long.

use std::collections::VecDeque;

use super::publisher::{MAX_WAITING_BYTES, MAX_WAITING_EVENTS};
use crate::lab::exchange::Event;

/// Places of exchanges, and the events that are held behind them. When there are too many, the foremost exchange loses its place.
#[derive(Debug, Default)]
pub(super) struct Line {
    held: VecDeque<Held>,
    /// Of the events.
    bytes: usize,
    /// The number that was given last.
    number: u64,
}

#[derive(Debug)]
enum Held {
    /// The place of the exchange with this number.
    Place(u64),
    Event(Event, usize),
}

impl Line {
    /// Gives the next number, and a place at the end.
    pub(super) fn begin(&mut self) -> u64 {
        self.number += 1;
        self.held.push_back(Held::Place(self.number));
        self.number
    }

    /// An exchange is told: in its place, or at the end where it has none any more.
    pub(super) fn finish(&mut self, number: u64, event: Event) {
        let bytes = event.weight();
        let done = Held::Event(event, bytes);
        self.bytes += bytes;
        match self.place_of(number).and_then(|at| self.held.get_mut(at)) {
            Some(place) => *place = done,
            None => self.held.push_back(done),
        }
    }

    /// An exchange holds up nobody any more.
    pub(super) fn give_up(&mut self, number: u64) {
        if let Some(at) = self.place_of(number) {
            self.held.remove(at);
        }
    }

    /// Adds an event at the end.
    pub(super) fn push(&mut self, event: Event) {
        let bytes = event.weight();
        self.bytes += bytes;
        self.held.push_back(Held::Event(event, bytes));
    }

    /// Whether a request of a TCP connection is held.
    pub(super) fn holds_of(&self, connection: u64) -> bool {
        self.held.iter().any(|held| match held {
            Held::Event(Event::Exchange(exchange), _) => exchange
                .request
                .connection
                .is_some_and(|there| there.connection == connection),
            Held::Event(..) | Held::Place(_) => false,
        })
    }

    /// The next event that is to be told now, with its bytes.
    pub(super) fn next(&mut self) -> Option<(Event, usize)> {
        while self.held.len() > MAX_WAITING_EVENTS || self.bytes > MAX_WAITING_BYTES {
            if !matches!(self.held.front(), Some(Held::Place(_))) {
                break;
            }
            self.held.pop_front();
        }
        match self.held.pop_front()? {
            Held::Event(event, bytes) => {
                self.bytes -= bytes;
                Some((event, bytes))
            }
            place @ Held::Place(_) => {
                self.held.push_front(place);
                None
            }
        }
    }

    /// The next event, whatever has a place before it.
    pub(super) fn last_words(&mut self) -> Option<(Event, usize)> {
        self.held.retain(|held| matches!(held, Held::Event(..)));
        self.next()
    }

    fn place_of(&self, number: u64) -> Option<usize> {
        let is_it = |held: &Held| matches!(held, Held::Place(there) if *there == number);
        self.held.iter().position(is_it)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::exchange::{Body, ConnectionUse, MAX_KEPT_ANSWER, Moment, Request, Transport};

    /// The exchange with this number, on a connection of the same number, answered with so many bytes.
    fn exchange(number: u64, bytes: usize) -> Event {
        let request = Request {
            number,
            connection: Some(ConnectionUse {
                connection: number,
                earlier: 0,
                is_pipelined: false,
            }),
            ..Request::of_test(Transport::Http, Body::Unreadable(Vec::new()))
        };
        request.answered(bytes)
    }

    fn disconnected(connection: u64) -> Event {
        Event::Disconnected {
            connection,
            at: Moment::default(),
            requests: 1,
            error: None,
        }
    }

    fn told(line: &mut Line) -> Vec<Event> {
        std::iter::from_fn(|| line.next().map(|(event, _)| event)).collect()
    }

    /// O19: whichever exchange is answered first, the one that came first is told first; and the end of a connection behind its requests.
    #[test]
    fn exchanges_are_told_in_the_order_of_their_numbers() {
        let mut line = Line::default();
        assert_eq!([line.begin(), line.begin(), line.begin()], [1, 2, 3]);
        line.finish(3, exchange(3, 0));
        assert!(line.holds_of(3) && !line.holds_of(2));
        line.push(disconnected(3));
        assert_eq!(told(&mut line), []);
        line.finish(1, exchange(1, 0));
        assert_eq!(told(&mut line), [exchange(1, 0)]);
        line.finish(2, exchange(2, 0));
        let rest = [exchange(2, 0), exchange(3, 0), disconnected(3)];
        assert_eq!(told(&mut line), rest);
        assert!(!line.holds_of(3));
        assert_eq!(line.bytes, 0);
    }

    /// O19: an answer that waits holds up no other, and is told when it was sent.
    #[test]
    fn who_waits_gives_its_place_up() {
        let mut line = Line::default();
        let [slow, next] = [line.begin(), line.begin()];
        line.finish(next, exchange(next, 0));
        line.give_up(slow);
        assert_eq!(told(&mut line), [exchange(next, 0)]);
        let third = line.begin();
        line.finish(slow, exchange(slow, 0));
        line.finish(third, exchange(third, 0));
        assert_eq!(
            told(&mut line),
            [exchange(third, 0), exchange(slow, 0)],
            "held behind what has a place"
        );
    }

    /// O19: who keeps its place for ever loses it when too much is held behind it; in the end all is told.
    #[test]
    fn what_is_held_has_a_bound() {
        let mut line = Line::default();
        line.begin();
        for _ in 1..MAX_WAITING_EVENTS {
            let number = line.begin();
            line.finish(number, exchange(number, 0));
        }
        assert_eq!(told(&mut line), []);
        let number = line.begin();
        line.finish(number, exchange(number, 0));
        assert_eq!(told(&mut line).len(), MAX_WAITING_EVENTS);

        line.begin();
        let huge = MAX_KEPT_ANSWER * 3 / 4;
        for expected in [0, 0, 3] {
            let number = line.begin();
            line.finish(number, exchange(number, huge));
            // All three are more than may be held.
            assert_eq!(told(&mut line).len(), expected);
        }
        assert_eq!(line.bytes, 0);

        line.begin();
        line.push(disconnected(1));
        assert_eq!(told(&mut line), []);
        assert_eq!(
            line.last_words().map(|(event, _)| event),
            Some(disconnected(1))
        );
        assert_eq!(line.last_words(), None);
    }
}
