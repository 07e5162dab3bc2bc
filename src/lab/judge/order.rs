//! In which order the judge takes what it hears: by the numbers of requests. A client may go on before it has been answered, and a
//! request whose answer is long in coming is told after those that came later.

use std::collections::BTreeMap;

use crate::lab::exchange::Event;
use crate::lab::serve::{MAX_WAITING_BYTES, MAX_WAITING_EVENTS};

/// What the judge hears.
#[derive(Clone, Debug)]
pub(super) enum Said {
    Event(Event),
    /// Another tracker, which is not heard here, may have taken an announce.
    TakenElsewhere,
}

/// Events that wait for others with lower numbers: as many as for a reader, so whatever comes later than those is taken when it comes.
#[derive(Clone, Debug, Default)]
pub(super) struct Order {
    /// By request, and then as they were heard.
    waiting: BTreeMap<(u64, u64), Said>,
    bytes: usize,
    /// The highest number of a request that was heard.
    highest: u64,
    heard: u64,
}

impl Order {
    /// Adds what was heard. What is no request comes behind all that were heard before it.
    pub(super) fn add(&mut self, said: Said) {
        let number = match &said {
            Said::Event(Event::Exchange(exchange)) => exchange.request.number,
            Said::Event(Event::Connected { .. } | Event::Disconnected { .. })
            | Said::TakenElsewhere => self.highest,
        };
        self.highest = self.highest.max(number);
        self.heard += 1;
        self.bytes += said.weight();
        self.waiting.insert((number, self.heard), said);
    }

    /// The next that need not wait, because too many do.
    pub(super) fn next(&mut self) -> Option<Said> {
        let are_many = self.waiting.len() > MAX_WAITING_EVENTS || self.bytes > MAX_WAITING_BYTES;
        are_many.then(|| self.first())?
    }

    /// The next, however few wait.
    pub(super) fn first(&mut self) -> Option<Said> {
        let (_, said) = self.waiting.pop_first()?;
        self.bytes -= said.weight();
        Some(said)
    }
}

impl Said {
    /// Roughly its bytes.
    fn weight(&self) -> usize {
        match self {
            Said::Event(event) => event.weight(),
            Said::TakenElsewhere => size_of::<Said>(),
        }
    }
}
