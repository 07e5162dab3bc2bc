//! The doors between parts that do not know each other: closures over one part, handed to another.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arc_swap::ArcSwap;

use crate::clock::Clock;
use crate::config::Loaded;
use crate::origin::Origin;
use crate::snapshot::Mailbox;
use crate::tracker::census::Census;
use crate::tracker::{LedgerRow, Tracker};
use crate::{http, reaper, web};

/// The name under which the snapshot database keeps the zones' counters.
const LEDGER: &str = "zones";

/// How often the zones' counters are kept, in seconds.
const LEDGER_PERIOD: u32 = 60;

type Acceptor = Arc<dyn Fn(web::Handed) + Send + Sync>;
type Reporter = Arc<dyn Fn(bool, bool) -> (bool, String) + Send + Sync>;

/// Connections that wait for the pages' start at most.
const EARLY_MOST: usize = 64;

/// Hands connections of the HTTP tracker to the pages. The tracker serves a moment before the pages do: what comes in between
/// waits.
#[derive(Default)]
pub(super) struct Hall {
    acceptor: OnceLock<Acceptor>,
    reporter: OnceLock<Reporter>,
    early: Mutex<Vec<web::Handed>>,
}

impl Hall {
    pub(super) fn entrance(self: &Arc<Self>) -> http::Pages {
        let hall = Arc::clone(self);
        Arc::new(move |handover: http::Handover| {
            hall.receive(web::Handed {
                stream: handover.stream,
                read: handover.read,
                peer: handover.peer,
                hold: handover
                    .hold
                    .map(|hold| -> Box<dyn Send> { Box::new(hold) }),
            });
        })
    }

    /// Lets the HTTP tracker tell how the process is, once the pages know.
    pub(super) fn reports(self: &Arc<Self>) -> http::Reports {
        let hall = Arc::clone(self);
        Arc::new(move |question, is_admin| {
            let asks_ready = question == http::Question::Ready;
            let (is_good, body) = hall.reporter.get()?(asks_ready, is_admin);
            Some(http::Report { is_good, body })
        })
    }

    fn receive(&self, handed: web::Handed) {
        if let Some(accept) = self.acceptor.get() {
            return accept(handed);
        }
        let mut early = self.early.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock, since the doors may have opened meanwhile.
        match self.acceptor.get() {
            Some(accept) => accept(handed),
            None if early.len() < EARLY_MOST => early.push(handed),
            None => {}
        }
    }

    /// The pages are there.
    pub(super) fn open(&self, acceptor: Acceptor, reporter: Reporter) {
        self.reporter.get_or_init(|| reporter);
        let mut early = self.early.lock().unwrap_or_else(PoisonError::into_inner);
        let accept = self.acceptor.get_or_init(|| acceptor);
        early.drain(..).for_each(|handed| accept(handed));
    }
}

/// What the doors of the pages are made of.
pub(super) struct Making<'a> {
    pub(super) mailbox: &'a Mailbox,
    pub(super) census: Arc<ArcSwap<Census>>,
    pub(super) origin: Arc<ArcSwap<Origin>>,
    pub(super) loaded: Arc<ArcSwap<Loaded>>,
    pub(super) routes: http::Routes,
}

impl Making<'_> {
    pub(super) fn make(self) -> web::Doors {
        let (block, unblock, save) = (
            self.mailbox.clone(),
            self.mailbox.clone(),
            self.mailbox.clone(),
        );
        let (put, get) = (self.mailbox.clone(), self.mailbox.clone());
        let (routes, loaded) = (self.routes, self.loaded);
        web::Doors {
            block: Box::new(move |new: web::NewBlock| {
                let made = block.block(new.target, &new.reason, new.expires);
                made.map_err(|refused| refused.to_string())
            }),
            unblock: Box::new(move |number| {
                let removed = unblock.unblock(number);
                removed.map_err(|refused| refused.to_string())
            }),
            save: Box::new(move |()| {
                let saved = save.save();
                saved.map(drop).map_err(|refused| refused.to_string())
            }),
            put: Box::new(move |name, data| {
                if let Err(refused) = put.put_ring(name, data) {
                    log::debug!("{name} is not kept: {refused}");
                }
            }),
            get: Box::new(move |name| get.ring(name).ok().flatten()),
            census: self.census,
            origin: self.origin,
            configuration: Box::new(move || rows(&loaded.load())),
            routes: vec![Arc::new(move |service| routes.mount(service))],
        }
    }
}

fn rows(loaded: &Loaded) -> Vec<web::ConfigurationRow> {
    let rows = loaded.rows().into_iter();
    rows.map(|row| web::ConfigurationRow {
        section: row.section.to_owned(),
        key: row.key,
        value: row.value,
        origin: row.place,
    })
    .collect()
}

/// Puts the zones' counters of the last run back.
pub(super) fn restore_ledger(tracker: &Tracker, mailbox: &Mailbox) {
    let Ok(Some(kept)) = mailbox.ring(LEDGER) else {
        return;
    };
    match serde_json::from_slice::<Vec<LedgerRow>>(&kept) {
        Ok(rows) => tracker.restore_ledger(&rows),
        Err(error) => log::warn!("the zones' counters of the last run cannot be read: {error}"),
    }
}

/// Keeps the zones' counters for the next run.
pub(super) fn keep_ledger(tracker: &Tracker, mailbox: &Mailbox) {
    let rows = tracker.ledger();
    if rows.is_empty() {
        return;
    }
    let kept = serde_json::to_vec(&rows).map_err(|error| error.to_string());
    let kept = kept.and_then(|kept| {
        mailbox
            .put_ring(LEDGER, kept)
            .map_err(|refused| refused.to_string())
    });
    if let Err(fault) = kept {
        log::warn!("the zones' counters are not kept: {fault}");
    }
}

/// Keeps the zones' counters once in a while, on the thread that counts the census.
pub(super) fn ledger_keeper(
    tracker: &Arc<Tracker>,
    mailbox: &Mailbox,
    clock: Clock,
) -> reaper::Counted {
    let (tracker, mailbox) = (Arc::clone(tracker), mailbox.clone());
    let mut kept = clock.now();
    Box::new(move |census| {
        if census.at.since(kept) >= LEDGER_PERIOD {
            kept = census.at;
            keep_ledger(&tracker, &mailbox);
        }
    })
}
