//! What ties parts together that do not know each other: closures over one part, handed to another.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arc_swap::ArcSwap;

use crate::clock::Clock;
use crate::config::Loaded;
use crate::net::client_address::Origin;
use crate::snapshot::Mailbox;
use crate::tracker::report::census::Census;
use crate::tracker::{Tracker, ZoneStatisticsRow};
use crate::{http, reaper, web};

/// The name under which the snapshot database keeps the zones' counters.
const ZONE_STATISTICS: &str = "zones";

/// How often the zones' counters are kept, in seconds.
const STATISTICS_PERIOD: u32 = 60;

type Acceptor = Arc<dyn Fn(web::HandedOver) + Send + Sync>;
type Reporter = Arc<dyn Fn(bool, bool) -> (bool, String) + Send + Sync>;

/// Connections that wait for the pages' start at most.
const MAX_EARLY: usize = 64;

/// Hands connections of the HTTP tracker to the pages. The tracker serves a moment before the pages do: what comes in between
/// waits.
#[derive(Default)]
pub(super) struct HandoverQueue {
    acceptor: OnceLock<Acceptor>,
    reporter: OnceLock<Reporter>,
    early: Mutex<Vec<web::HandedOver>>,
}

impl HandoverQueue {
    pub(super) fn entrance(self: &Arc<Self>) -> http::Pages {
        let queue = Arc::clone(self);
        Arc::new(move |handover: http::Handover| {
            queue.receive(web::HandedOver {
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
        let queue = Arc::clone(self);
        Arc::new(move |question, is_admin| {
            let asks_ready = question == http::Question::Ready;
            let (is_good, body) = queue.reporter.get()?(asks_ready, is_admin);
            Some(http::Report { is_good, body })
        })
    }

    fn receive(&self, handed: web::HandedOver) {
        if let Some(accept) = self.acceptor.get() {
            return accept(handed);
        }
        let mut early = self.early.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock, since the pages may have started meanwhile.
        match self.acceptor.get() {
            Some(accept) => accept(handed),
            None if early.len() < MAX_EARLY => early.push(handed),
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

/// What the backend of the pages is made of.
pub(super) struct BackendParts<'a> {
    pub mailbox: &'a Mailbox,
    pub census: Arc<ArcSwap<Census>>,
    pub origin: Arc<ArcSwap<Origin>>,
    pub loaded: Arc<ArcSwap<Loaded>>,
    pub routes: http::Routes,
}

impl BackendParts<'_> {
    pub(super) fn make(self) -> web::Backend {
        let (block, unblock, save) = (
            self.mailbox.clone(),
            self.mailbox.clone(),
            self.mailbox.clone(),
        );
        let (put, get) = (self.mailbox.clone(), self.mailbox.clone());
        let (routes, loaded) = (self.routes, self.loaded);
        web::Backend {
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
                if let Err(refused) = put.put_saved_state(name, data) {
                    log::debug!("{name} is not kept: {refused}");
                }
            }),
            get: Box::new(move |name| {
                let kept = get.saved_state(name).inspect_err(|refused| {
                    log::debug!("{name} of the last run cannot be read: {refused}");
                });
                kept.ok().flatten()
            }),
            census: self.census,
            origin: self.origin,
            configuration: Box::new(move || rows(&loaded.load())),
            routes: vec![Arc::new(move |service| routes.mount(service))],
        }
    }
}

fn rows(loaded: &Loaded) -> Vec<web::ConfigurationRow> {
    let rows = crate::config::rows(loaded).into_iter();
    rows.map(|row| web::ConfigurationRow {
        section: row.section.to_owned(),
        key: row.key,
        value: row.value,
        origin: row.location,
    })
    .collect()
}

/// Puts the zones' counters of the last run back.
pub(super) fn restore_zone_statistics(tracker: &Tracker, mailbox: &Mailbox) {
    let Ok(Some(kept)) = mailbox.saved_state(ZONE_STATISTICS) else {
        return;
    };
    match serde_json::from_slice::<Vec<ZoneStatisticsRow>>(&kept) {
        Ok(rows) => tracker.restore_zone_statistics(&rows),
        Err(error) => log::warn!("the zones' counters of the last run cannot be read: {error}"),
    }
}

/// Keeps the zones' counters for the next run.
pub(super) fn keep_statistics(tracker: &Tracker, mailbox: &Mailbox) {
    let rows = tracker.zone_statistics();
    if rows.is_empty() {
        return;
    }
    let kept = serde_json::to_vec(&rows).map_err(|error| error.to_string());
    let kept = kept.and_then(|kept| {
        mailbox
            .put_saved_state(ZONE_STATISTICS, kept)
            .map_err(|refused| refused.to_string())
    });
    if let Err(fault) = kept {
        log::warn!("the zones' counters are not kept: {fault}");
    }
}

/// Keeps the zones' counters once in a while, on the thread that counts the census.
pub(super) fn statistics_keeper(
    tracker: &Arc<Tracker>,
    mailbox: &Mailbox,
    clock: Clock,
) -> reaper::Counted {
    let (tracker, mailbox) = (Arc::clone(tracker), mailbox.clone());
    let mut kept = clock.now();
    Box::new(move |census| {
        if census.at.since(kept) >= STATISTICS_PERIOD {
            kept = census.at;
            keep_statistics(&tracker, &mailbox);
        }
    })
}
