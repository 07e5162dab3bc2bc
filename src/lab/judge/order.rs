//! In which order the judge takes what it hears: by the numbers of requests. A client may go on before it has been answered, and a
//! request whose answer is long in coming is told after those that came later.

use std::collections::BTreeMap;

use crate::lab::exchange::Event;
use crate::lab::serve::{MAX_WAITING_BYTES, MAX_WAITING_EVENTS};

/// Events that wait for others with lower numbers: as many as for a reader, so whatever comes later than those is taken when it comes.
#[derive(Clone, Debug, Default)]
pub(super) struct Order {
    /// By request, and then as they were heard.
    waiting: BTreeMap<(u64, u64), Event>,
    bytes: usize,
    /// The highest number of a request that was heard.
    highest: u64,
    heard: u64,
}

impl Order {
    /// Adds an event. What is no request comes behind all that were heard before it.
    pub(super) fn add(&mut self, event: Event) {
        let number = match &event {
            Event::Exchange(exchange) => exchange.request.number,
            Event::Connected { .. } | Event::Disconnected { .. } => self.highest,
        };
        self.highest = self.highest.max(number);
        self.heard += 1;
        self.bytes += event.weight();
        self.waiting.insert((number, self.heard), event);
    }

    /// The next event that need not wait, because too many do.
    pub(super) fn next(&mut self) -> Option<Event> {
        let are_many = self.waiting.len() > MAX_WAITING_EVENTS || self.bytes > MAX_WAITING_BYTES;
        are_many.then(|| self.first())?
    }

    /// The next event, however few wait.
    pub(super) fn first(&mut self) -> Option<Event> {
        let (_, event) = self.waiting.pop_first()?;
        self.bytes -= event.weight();
        Some(event)
    }
}
