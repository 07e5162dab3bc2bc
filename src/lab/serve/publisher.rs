//! What happens, told to whoever has asked to be told.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use super::lock;
use crate::lab::exchange::Event;

/// Events that wait for one reader at most; what comes when so many wait is lost to it.
pub const MAX_WAITING_EVENTS: usize = 4_096;

/// Tells events to all readers.
#[derive(Debug, Default)]
pub(super) struct Publisher {
    /// None once there is nothing more to tell.
    readers: Mutex<Option<Vec<SyncSender<Event>>>>,
    lost: AtomicU64,
}

impl Publisher {
    pub(super) fn new() -> Publisher {
        Publisher {
            readers: Mutex::new(Some(Vec::new())),
            lost: AtomicU64::new(0),
        }
    }

    /// A reader of what happens from now on.
    pub(super) fn subscribe(&self) -> Receiver<Event> {
        let (sender, receiver) = sync_channel(MAX_WAITING_EVENTS);
        if let Some(readers) = lock(&self.readers).as_mut() {
            readers.push(sender);
        }
        receiver
    }

    /// Tells an event. Waits for nobody.
    pub(super) fn tell(&self, event: &Event) {
        let mut readers = lock(&self.readers);
        let Some(readers) = readers.as_mut() else {
            return;
        };
        readers.retain(|reader| match reader.try_send(event.clone()) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                self.lost.fetch_add(1, Relaxed);
                true
            }
            Err(TrySendError::Disconnected(_)) => false,
        });
    }

    /// Events that some reader has lost because it did not read.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    /// There is nothing more to tell: readers see the end behind what waits for them.
    pub(super) fn close(&self) {
        *lock(&self.readers) = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::exchange::{Moment, Transport};

    /// O19: whoever does not read costs nobody else an event, and what he lost is counted.
    #[test]
    fn a_reader_that_does_not_read_loses_events_and_nobody_else_does() {
        let publisher = Publisher::new();
        let idle = publisher.subscribe();
        let busy = publisher.subscribe();
        drop(publisher.subscribe());
        for connection in 0..MAX_WAITING_EVENTS as u64 + 3 {
            publisher.tell(&Event::Connected {
                connection,
                at: Moment::default(),
                transport: Transport::Http,
                client: "127.0.0.1:1".parse().unwrap(),
            });
            assert!(busy.try_recv().is_ok());
        }
        assert_eq!(publisher.lost(), 3);
        publisher.close();
        assert_eq!(idle.iter().count(), MAX_WAITING_EVENTS);
        assert!(publisher.subscribe().recv().is_err());
    }
}
