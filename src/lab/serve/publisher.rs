//! What happens, told to whoever has asked to be told.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{
    Receiver, RecvError, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::line::Line;
use super::lock;
use crate::lab::exchange::{Event, MAX_KEPT_ANSWER};

/// Events that wait for one reader at most; what comes when so many wait is lost to it.
pub const MAX_WAITING_EVENTS: usize = 4_096;

/// Bytes of the events that wait for one reader at most; what would make them more is lost to it. Any one event has room.
pub const MAX_WAITING_BYTES: usize = 2 * MAX_KEPT_ANSWER;

/// Tells events to all readers.
#[derive(Debug, Default)]
pub(super) struct Publisher {
    telling: Mutex<Telling>,
    lost: AtomicU64,
}

/// Who is told, and what is still to be told.
#[derive(Debug, Default)]
struct Telling {
    /// None once there is nothing more to tell.
    readers: Option<Vec<Reader>>,
    line: Line,
}

/// The place of an exchange among all that happens, from the moment at which its request was whole. What comes after it is held until it
/// is told, gives its place up, or is dropped.
#[derive(Debug)]
pub(super) struct Place {
    publisher: Arc<Publisher>,
    number: u64,
    is_kept: bool,
}

impl Place {
    /// The number of the request, from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Holds up nobody any more: to be called before anything is waited for. What is told then is told when it comes.
    pub(super) fn give_up(&mut self) {
        if std::mem::take(&mut self.is_kept) {
            self.publisher.change(|line| line.give_up(self.number));
        }
    }

    /// Tells what became of the request.
    pub(super) fn tell(mut self, event: Event) {
        self.is_kept = false;
        self.publisher
            .change(|line| line.finish(self.number, event));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// One that is told.
#[derive(Debug)]
struct Reader {
    sender: SyncSender<Waiting>,
    waiting_bytes: Arc<AtomicUsize>,
}

/// An event that waits, and its bytes.
type Waiting = (Event, usize);

/// What happens, one event after another; whoever drops it is told no more.
#[derive(Debug)]
pub struct Events {
    receiver: Receiver<Waiting>,
    waiting_bytes: Arc<AtomicUsize>,
}

impl Events {
    /// The next event; waits for it.
    ///
    /// # Errors
    /// When the laboratory has ended, and everything that waited has been read.
    pub fn recv(&self) -> Result<Event, RecvError> {
        self.receiver.recv().map(|waiting| self.take(waiting))
    }

    /// The next event; waits so long for it.
    ///
    /// # Errors
    /// When none has come by then; or as of [`Events::recv`].
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Event, RecvTimeoutError> {
        let received = self.receiver.recv_timeout(timeout);
        received.map(|waiting| self.take(waiting))
    }

    /// The next event, if it is there.
    ///
    /// # Errors
    /// When there is none; or as of [`Events::recv`].
    pub fn try_recv(&self) -> Result<Event, TryRecvError> {
        self.receiver.try_recv().map(|waiting| self.take(waiting))
    }

    /// All that come until the laboratory ends.
    pub fn iter(&self) -> impl Iterator<Item = Event> {
        self.receiver.iter().map(|waiting| self.take(waiting))
    }

    /// Those that are there.
    pub fn try_iter(&self) -> impl Iterator<Item = Event> {
        self.receiver.try_iter().map(|waiting| self.take(waiting))
    }

    fn take(&self, (event, bytes): Waiting) -> Event {
        self.waiting_bytes.fetch_sub(bytes, Relaxed);
        event
    }
}

impl Publisher {
    pub(super) fn new() -> Publisher {
        Publisher {
            telling: Mutex::new(Telling {
                readers: Some(Vec::new()),
                line: Line::default(),
            }),
            lost: AtomicU64::new(0),
        }
    }

    /// A reader of what happens from now on.
    pub(super) fn subscribe(&self) -> Events {
        let (sender, receiver) = sync_channel(MAX_WAITING_EVENTS);
        let waiting_bytes = Arc::new(AtomicUsize::new(0));
        if let Some(readers) = lock(&self.telling).readers.as_mut() {
            readers.push(Reader {
                sender,
                waiting_bytes: Arc::clone(&waiting_bytes),
            });
        }
        Events {
            receiver,
            waiting_bytes,
        }
    }

    /// Gives a request its number and its place. `at` tells the time, which so goes with the numbers.
    pub(super) fn begin<T>(self: &Arc<Publisher>, at: impl FnOnce() -> T) -> (Place, T) {
        let mut telling = lock(&self.telling);
        let place = Place {
            publisher: Arc::clone(self),
            number: telling.line.begin(),
            is_kept: true,
        };
        (place, at())
    }

    /// Tells an event that has no place of its own: at once, or the end of a connection behind its last request. Waits for nobody.
    pub(super) fn tell(&self, event: &Event) {
        let mut telling = lock(&self.telling);
        if let Event::Disconnected { connection, .. } = event
            && telling.line.holds_of(*connection)
        {
            telling.line.push(event.clone());
        } else {
            self.tell_readers(&mut telling.readers, event, event.weight());
        }
    }

    /// Changes who holds up whom, and tells what is held up no more.
    fn change(&self, change: impl FnOnce(&mut Line)) {
        let mut telling = lock(&self.telling);
        change(&mut telling.line);
        while let Some((event, bytes)) = telling.line.next() {
            self.tell_readers(&mut telling.readers, &event, bytes);
        }
    }

    fn tell_readers(&self, readers: &mut Option<Vec<Reader>>, event: &Event, bytes: usize) {
        let mut is_lost = false;
        let Some(readers) = readers else {
            return;
        };
        readers.retain(|reader| match reader.tell(event, bytes) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                is_lost = true;
                true
            }
            Err(TrySendError::Disconnected(_)) => false,
        });
        self.lost.fetch_add(u64::from(is_lost), Relaxed);
    }

    /// Events that some reader has lost because it did not read.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    /// There is nothing more to tell: readers see the end behind what waits for them.
    pub(super) fn close(&self) {
        let mut telling = lock(&self.telling);
        while let Some((event, bytes)) = telling.line.last_words() {
            self.tell_readers(&mut telling.readers, &event, bytes);
        }
        telling.readers = None;
    }
}

impl Reader {
    /// Tells it an event of so many bytes, if there is room. Only one thread tells at a time.
    fn tell(&self, event: &Event, bytes: usize) -> Result<(), TrySendError<Waiting>> {
        // Its queue says so to what has room only, and what had waited there takes the room for ever.
        if Arc::strong_count(&self.waiting_bytes) == 1 {
            return Err(TrySendError::Disconnected((event.clone(), bytes)));
        }
        let waiting = self.waiting_bytes.fetch_add(bytes, Relaxed);
        let told = if waiting + bytes > MAX_WAITING_BYTES {
            Err(TrySendError::Full((event.clone(), bytes)))
        } else {
            self.sender.try_send((event.clone(), bytes))
        };
        if told.is_err() {
            self.waiting_bytes.fetch_sub(bytes, Relaxed);
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::exchange::{Body, Exchange, Moment, Request, Transport};

    fn connected() -> Event {
        Event::Connected {
            connection: 1,
            at: Moment::default(),
            transport: Transport::Http,
            client: "127.0.0.1:1".parse().unwrap(),
        }
    }

    /// A request with an answer of so many bytes.
    fn answered(bytes: usize) -> Event {
        Request::of_test(Transport::Udp, Body::Datagram(vec![0; 100])).answered(bytes)
    }

    /// O19: whoever does not read costs nobody else an event, and what he lost is counted.
    #[test]
    fn a_reader_that_does_not_read_loses_events_and_nobody_else_does() {
        let publisher = Publisher::new();
        let (idle, idle_too) = (publisher.subscribe(), publisher.subscribe());
        let busy = publisher.subscribe();
        drop(publisher.subscribe());
        for _ in 0..MAX_WAITING_EVENTS + 3 {
            publisher.tell(&connected());
            assert!(busy.try_recv().is_ok());
        }
        // Each once, however many readers have lost it.
        assert_eq!(publisher.lost(), 3);
        publisher.close();
        for idle in [idle, idle_too] {
            assert_eq!(idle.iter().count(), MAX_WAITING_EVENTS);
        }
        assert!(publisher.subscribe().recv().is_err());
    }

    /// O19: huge answers wait as long as they have few bytes together. What has been read makes room, and the largest has it alone.
    #[test]
    fn what_waits_for_a_reader_has_few_bytes() {
        let publisher = Publisher::new();
        let (idle, busy) = (publisher.subscribe(), publisher.subscribe());
        let third = answered(MAX_KEPT_ANSWER * 2 / 3 - 1_000);
        for _ in 0..5 {
            publisher.tell(&third);
            assert!(busy.try_recv().is_ok());
        }
        assert_eq!(publisher.lost(), 2);
        // Something small still has room.
        publisher.tell(&connected());
        assert_eq!(publisher.lost(), 2);
        assert_eq!(idle.recv(), Ok(third.clone()));
        publisher.tell(&third);
        assert_eq!(publisher.lost(), 2);
        assert_eq!(idle.try_iter().count(), 4);
        let huge = answered(MAX_KEPT_ANSWER * 4);
        publisher.tell(&huge);
        publisher.tell(&huge);
        assert_eq!(publisher.lost(), 3);
        assert_eq!(idle.try_iter().collect::<Vec<_>>(), [huge]);
    }

    /// O19: nor does a reader lose anything that went away with much that waited.
    #[test]
    fn a_reader_that_went_away_loses_nothing() {
        let publisher = Publisher::new();
        let idle = publisher.subscribe();
        for _ in 0..2 {
            publisher.tell(&answered(MAX_KEPT_ANSWER - 1_000));
        }
        drop(idle);
        publisher.tell(&answered(MAX_KEPT_ANSWER));
        assert_eq!(publisher.lost(), 0);
        let telling = lock(&publisher.telling);
        assert!(telling.readers.as_ref().unwrap().is_empty());
    }

    /// O19: readers share what they are told.
    #[test]
    fn an_answer_is_held_once_however_many_read() {
        let publisher = Publisher::new();
        let readers = [publisher.subscribe(), publisher.subscribe()];
        publisher.tell(&answered(10));
        let [first, second] = readers.map(|reader| match reader.recv().unwrap() {
            Event::Exchange(exchange) => exchange,
            _ => panic!("no exchange"),
        });
        assert!(Arc::ptr_eq(&first, &second));
    }

    /// O19: an exchange that is never told, as of a thread that panics, holds up nobody for ever; nor does one that waits.
    #[test]
    fn what_came_first_is_told_first() {
        let publisher = Arc::new(Publisher::new());
        let events = publisher.subscribe();
        let numbers = || -> Vec<u64> {
            let exchanges = events.try_iter().map(|event| match event {
                Event::Exchange(exchange) => exchange.request.number,
                _ => 0,
            });
            exchanges.collect()
        };
        let begin = || publisher.begin(|| ()).0;
        let tell = |place: Place| {
            let Event::Exchange(exchange) = answered(0) else {
                panic!("no exchange");
            };
            let mut exchange = Exchange::clone(&exchange);
            exchange.request.number = place.number();
            place.tell(Event::Exchange(Arc::new(exchange)));
        };
        let [first, second, third] = [begin(), begin(), begin()];
        tell(second);
        // Connections come at once.
        publisher.tell(&connected());
        assert_eq!(numbers(), [0]);
        tell(first);
        assert_eq!(numbers(), [1, 2]);
        let [mut fourth, fifth, sixth] = [begin(), begin(), begin()];
        tell(fifth);
        fourth.give_up();
        assert!(numbers().is_empty());
        drop(third);
        assert_eq!(numbers(), [5]);
        tell(fourth);
        assert!(numbers().is_empty(), "held behind the sixth");
        publisher.close();
        assert_eq!(numbers(), [4]);
        drop(sixth);
    }
}
