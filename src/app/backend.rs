//! What ties parts together that do not know each other: closures over one part, handed to another.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use arc_swap::ArcSwap;

use super::bans::Keeper;
use crate::audit::Audit;
use crate::clock::Clock;
use crate::config::Loaded;
use crate::lists::{FileStatus, Subject};
use crate::net::client_address::ClientAddressRules;
use crate::snapshot::{Mailbox, Refused};
use crate::supervise::Exit;
use crate::tls::{Acceptor, Certificate};
use crate::tracker::report::census::Census;
use crate::tracker::{Tracker, ZoneStatisticsRow};
use crate::watch::Watch;
use crate::web::BackendError;
use crate::{audit, http, reaper, web};

/// The name under which the snapshot database keeps the zones' counters.
const ZONE_STATISTICS: &str = "zones";

/// How often the zones' counters are kept, in seconds.
const STATISTICS_PERIOD: u32 = 60;

/// Starts the audit beside the database.
pub(super) fn start_audit(
    settings: &web::Settings,
    clock: Clock,
    ends: &Sender<Exit>,
) -> io::Result<audit::Running> {
    let (folder, window) = (&settings.state_folder, settings.login_window);
    audit::start(folder, window, clock, ends.clone())
}

/// Where the tracker listens, for the addresses that the pages tell.
pub(super) fn listening(
    http: &[SocketAddr],
    https: &[SocketAddr],
    udp: &[SocketAddr],
) -> web::Listening {
    web::Listening {
        http: http.to_vec(),
        https: https.to_vec(),
        udp: udp.to_vec(),
    }
}

/// Tells the certificates in force; none where there is no TLS.
pub(super) fn certificates(tls: Option<Acceptor>) -> web::Certificates {
    let row = |certificate: &Certificate| web::CertificateRow {
        file: certificate.files.certificate.display().to_string(),
        ends: certificate.ends,
    };
    Box::new(move || {
        let certificates = tls.as_ref().map(Acceptor::certificates);
        certificates
            .iter()
            .flat_map(|all| all.iter())
            .map(row)
            .collect()
    })
}

/// What the pages may ask of the other parts.
#[expect(
    clippy::too_many_arguments,
    reason = "as many as there are parts that they ask"
)]
pub(super) fn of_pages(
    mailbox: &Mailbox,
    census: Arc<ArcSwap<Census>>,
    origin: Arc<ArcSwap<ClientAddressRules>>,
    loaded: Arc<ArcSwap<Loaded>>,
    (listening, lists): (web::Listening, Arc<ArcSwap<Vec<FileStatus>>>),
    routes: http::Routes,
    audit: Audit,
    bans: &Arc<Keeper>,
) -> web::Backend {
    let mailboxes = || mailbox.clone();
    let (block, unblock, save) = (mailboxes(), mailboxes(), mailboxes());
    let (put, get, list) = (mailboxes(), mailboxes(), mailboxes());
    let (make, revoke) = (mailboxes(), mailboxes());
    let lifting = Arc::clone(bans);
    web::Backend {
        block: Box::new(move |new: web::NewBlock| {
            let made = if new.may_change {
                block.block(new.target, &new.reason, new.expires)
            } else {
                block.block_anew(new.target, &new.reason, new.expires)
            };
            made.map_err(backend_error)
        }),
        unblock: Box::new(move |number| unblock.unblock(number).map_err(backend_error)),
        make_keys: Box::new(move |keys| make.make_keys(keys).map_err(backend_error)),
        revoke_keys: Box::new(move |numbers| revoke.revoke_keys(numbers).map_err(backend_error)),
        list_torrents: Box::new(move |change: web::TorrentListChange| {
            let outcome = list.list_torrents(change.added, change.removed);
            let outcome = outcome.map_err(backend_error)?;
            Ok(web::TorrentListOutcome {
                added: outcome.added,
                removed: outcome.removed,
                total: outcome.total,
            })
        }),
        list_files: Box::new(move || lists.load().iter().map(list_file).collect()),
        save: Box::new(move |()| save.save().map(drop).map_err(backend_error)),
        put: Box::new(move |name, data| {
            if let Err(refused) = put.put_saved_state(name, data) {
                log::debug!("{name} is not kept: {refused}");
            }
        }),
        get: Box::new(move |name| get.saved_state(name).map_err(backend_error)),
        census,
        address_rules: origin,
        configuration: Box::new(move || rows(&loaded.load())),
        listening,
        full_scrape: full_scrape(&routes),
        certificates: Box::new(Vec::new),
        routes: vec![Arc::new(move |service| routes.mount(service))],
        // Where there are any, they are added.
        sites: None,
        audit,
        // Replaced by that in which the trackers tell.
        watch: Arc::new(Watch::new(Clock::start())),
        limits: Arc::clone(bans.limits()),
        lift: Box::new(move |number| lifting.lift(number).map_err(backend_error)),
    }
}

/// Lets the pages send what the HTTP tracker tells of all torrents.
fn full_scrape(routes: &http::Routes) -> web::FullScrape {
    let own = || routes.full_scrape();
    let (state, writer, denied, busy) = (own(), own(), own(), own());
    web::FullScrape {
        is_on: Box::new(move || state.is_on()),
        write: Box::new(move |take| writer.write(take)),
        denied: Box::new(move || denied.denied()),
        busy: Box::new(move || busy.busy()),
    }
}

fn list_file(file: &FileStatus) -> web::ListFile {
    web::ListFile {
        subject: match file.subject {
            Subject::Torrents => web::ListFileSubject::Torrents,
            Subject::Blocklist => web::ListFileSubject::Blocklist,
        },
        path: file.path.display().to_string(),
        ranges: file.ranges,
        torrents: file.torrents,
        read: file.read.map(|read| read.0),
        fault: file.fault.clone(),
    }
}

fn backend_error(refused: Refused) -> BackendError {
    match refused {
        Refused::ListFull => BackendError::BlocklistFull,
        Refused::KeysFull => BackendError::KeysFull,
        Refused::TooManyTorrents => BackendError::TooManyTorrents,
        Refused::TooLong => BackendError::TooLong,
        Refused::Known => BackendError::Known,
        Refused::Busy => BackendError::Busy,
        Refused::Silent => BackendError::Silent,
        Refused::Closed => BackendError::Closed,
        Refused::Failed => BackendError::Disk,
    }
}

/// Lets the HTTP tracker tell how the process is, which the pages know.
pub(super) fn reports(web: &web::Running) -> http::ProbeResponder {
    let report = web.reports();
    Arc::new(move |question, is_admin| {
        let (is_good, body) = report(question == http::Probe::Ready, is_admin);
        http::ProbeReply { is_good, body }
    })
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
    let unread = |error: &dyn std::error::Error| {
        log::warn!("the zones' counters of the last run cannot be read: {error}");
    };
    match mailbox.saved_state(ZONE_STATISTICS) {
        Ok(None) => {}
        Ok(Some(kept)) => match serde_json::from_slice::<Vec<ZoneStatisticsRow>>(&kept) {
            Ok(rows) => tracker.restore_zone_statistics(&rows),
            Err(error) => unread(&error),
        },
        Err(refused) => unread(&refused),
    }
}

/// Keeps the zones' counters for the next run.
pub(super) fn keep_statistics(tracker: &Tracker, mailbox: &Mailbox) {
    let rows = tracker.zone_statistics();
    if rows.is_empty() {
        return;
    }
    let kept = serde_json::to_vec(&rows)
        .map_err(anyhow::Error::from)
        .and_then(|kept| Ok(mailbox.put_saved_state(ZONE_STATISTICS, kept)?));
    if let Err(error) = kept {
        log::warn!("the zones' counters are not kept: {error}");
    }
}

/// Keeps the zones' counters once in a while, and bans when they change, on the reaper's thread.
pub(super) fn of_reaper(
    tracker: &Arc<Tracker>,
    mailbox: &Mailbox,
    bans: &Arc<Keeper>,
    clock: Clock,
) -> reaper::Hooks {
    let (tracker, mailbox) = (Arc::clone(tracker), mailbox.clone());
    let (looked_at, bans) = (Arc::clone(bans), Arc::clone(bans));
    let mut kept = clock.now();
    reaper::Hooks {
        ticked: Box::new(move || looked_at.look()),
        counted: Box::new(move |census| {
            bans.tend();
            if census.at.since(kept) >= STATISTICS_PERIOD {
                kept = census.at;
                keep_statistics(&tracker, &mailbox);
            }
        }),
    }
}
