//! Ties the part that speaks with other sites to the snapshots, the blocklist and the pages, which do not know it.

use std::sync::mpsc::Sender;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;
use arc_swap::ArcSwap;

use crate::clock::Clock;
use crate::config::Config;
use crate::net::client_address::ClientAddressRules;
use crate::net::is_wide;
use crate::snapshot::{self, BlockEdit, Mailbox};
use crate::supervise::Exit;
use crate::tracker::{Origin, Target, Tracker};
use crate::{sites, web};

/// The name under which the snapshot database keeps how far the others have been read.
const STATE: &str = "sites";

/// How long the start waits for what the others have told meanwhile.
const CATCH_UP: Duration = Duration::from_secs(10);

/// The running part, once it runs: the snapshot thread is there before it.
pub(super) type Slot = Arc<OnceLock<sites::Handle>>;

/// Whose the admin networks are, as of the last reload.
pub(super) type AddressRules = Arc<ArcSwap<ClientAddressRules>>;

/// What the snapshot thread keeps of it, and tells it.
pub(super) fn links(config: &Config, slot: &Slot) -> snapshot::Links {
    let Some(settings) = &config.sites else {
        return snapshot::Links::default();
    };
    let (keeping, telling) = (Arc::clone(slot), Arc::clone(slot));
    // Before it runs, what the last run kept stays.
    let state = move || keeping.get().map(sites::Handle::kept_state);
    let tell = move |edit: &BlockEdit| {
        if let Some(handle) = telling.get() {
            handle.publish_block(delta(edit));
        }
    };
    snapshot::Links {
        states: vec![(STATE, Box::new(state))],
        edited: settings
            .share_blocklist
            .then(|| Box::new(tell) as snapshot::EditListener),
    }
}

/// What the last run kept of it.
pub(super) fn kept(restored: &snapshot::Restored) -> Option<Vec<u8>> {
    restored.saved_state(STATE)
}

/// Whose the counts in the database are, where this tracker was called otherwise when it made them: else they would count again under the
/// present name.
pub(super) fn renamed(config: &Config, database: &snapshot::Opened) -> Option<snapshot::Renamed> {
    let name = &config.sites.as_ref()?.name;
    let renamed = sites::renamed(&database.saved_state(STATE)?, name)?;
    let former_name = &renamed.former_name;
    let Some(former) = renamed.former else {
        log::warn!(
            "sites: the database is of {former_name}, and there is no number left for that name: its counts of downloads are those of {name} now, and count twice on the others until they forget {former_name}"
        );
        return None;
    };
    log::warn!(
        "sites: the database is of {former_name}: what it counted stays {former_name}'s, and {name} counts from 0; others are not to forget {former_name} while its counts are wanted"
    );
    Some(snapshot::Renamed {
        former,
        own: renamed.own,
    })
}

/// Reads what the others have told meanwhile, then starts the part; nothing where this tracker is alone.
pub(super) fn start(
    config: &Config,
    kept: Option<&[u8]>,
    tracker: &Arc<Tracker>,
    (mailbox, slot, rules): (&Mailbox, &Slot, &AddressRules),
    clock: Clock,
    ends: &Sender<Exit>,
) -> anyhow::Result<Option<sites::Running>> {
    let Some(settings) = &config.sites else {
        return Ok(None);
    };
    let blocks = if settings.share_blocklist {
        blocklist(mailbox, Arc::clone(rules), clock)
    } else {
        sites::Blocklist::none()
    };
    let opened = sites::open(settings, kept, Arc::clone(tracker), blocks, clock);
    let mut opened = opened.context("the other sites")?;
    let caught_up = opened.catch_up(CATCH_UP);
    let sites::CaughtUp {
        engines,
        of,
        deltas,
        took,
    } = caught_up;
    let seconds = took.as_secs_f32();
    log::info!(
        "sites: this tracker is {} of {}; read {engines} of {of} engines in {seconds:.1} s: {deltas} changes of peers",
        settings.name,
        settings.network
    );
    if engines < of {
        log::warn!(
            "sites: {} engines have not been read yet; /ready says why",
            of - engines
        );
    }
    let running = opened.start(ends).context("the other sites")?;
    // It is set here only.
    drop(slot.set(running.handle()));
    Ok(Some(running))
}

/// Whether a block of a partner is none that an operator would be asked about: it is for one slip to shut out a whole provider, or
/// those who could lift it, on all trackers. Lifts are never dangerous.
fn is_modest(block: &BlockEdit, rules: &ClientAddressRules) -> Result<(), sites::NotTaken> {
    let (snapshot::BlockChange::Put { .. }, Target::Network(network)) =
        (&block.change, block.target)
    else {
        return Ok(());
    };
    if is_wide(network) {
        return Err(sites::NotTaken::Wide);
    }
    let mut admins = rules.admin_networks.iter();
    if admins.any(|admins| network.contains(&admins) || admins.contains(&network)) {
        return Err(sites::NotTaken::AdminNetwork);
    }
    Ok(())
}

/// The doors to the blocklist, which the snapshot thread keeps.
fn blocklist(mailbox: &Mailbox, rules: AddressRules, clock: Clock) -> sites::Blocklist {
    let (taking, listing) = (mailbox.clone(), mailbox.clone());
    sites::Blocklist {
        take: Box::new(move |delta, told_by| {
            let edit = edit(delta, told_by);
            is_modest(&edit, &rules.load())?;
            let taken = taking.edit_from_elsewhere(edit, clock.wall());
            taken.map_err(|refused| match refused {
                snapshot::Refused::TooLong => sites::NotTaken::Impossible,
                _ => sites::NotTaken::Busy,
            })
        }),
        list: Box::new(move || {
            let known = listing.known_edits();
            known
                .iter()
                .map(|edit| (edit.told_by, delta(edit)))
                .collect()
        }),
    }
}

fn delta(edit: &BlockEdit) -> sites::BlockDelta {
    let change = match &edit.change {
        snapshot::BlockChange::Put {
            reason,
            created,
            expires,
        } => sites::BlockChange::Put {
            reason: reason.clone(),
            created: *created,
            expires: *expires,
        },
        snapshot::BlockChange::Lifted => sites::BlockChange::Lifted,
    };
    sites::BlockDelta {
        target: edit.target,
        change,
        stamp: edit.stamp,
    }
}

fn edit(delta: sites::BlockDelta, told_by: Option<Origin>) -> BlockEdit {
    let change = match delta.change {
        sites::BlockChange::Put {
            reason,
            created,
            expires,
        } => snapshot::BlockChange::Put {
            reason,
            created,
            expires,
        },
        sites::BlockChange::Lifted => snapshot::BlockChange::Lifted,
    };
    BlockEdit {
        target: delta.target,
        change,
        stamp: delta.stamp,
        told_by,
    }
}

/// What the pages may ask of it.
pub(super) fn of_pages(running: &sites::Running) -> web::Sites {
    let handle = running.handle();
    let (resending, forgetting) = (handle.clone(), handle.clone());
    web::Sites {
        status: Box::new(move || status(&handle)),
        resend: Box::new(move || resending.resend()),
        forget: Box::new(move |name| {
            let name = name.parse().ok()?;
            forgetting.forget(&name).ok()
        }),
    }
}

fn status(handle: &sites::Handle) -> web::SitesStatus {
    let found = handle.status();
    let out = found.outgoing;
    let mut status = web::SitesStatus {
        name: found.name.to_string(),
        network: found.network.to_string(),
        version: found.version.to_owned(),
        lifetime_s: found.lifetime,
        zones: digest(found.zones_digest),
        ready: found.is_ready,
        missing: found.missing,
        troubles: found.troubles.into_iter().map(trouble).collect(),
        silent_s: handle.silent_seconds(),
        own_peers: found.own_peers,
        sites: Vec::new(),
        engines: found.engines.into_iter().map(engine).collect(),
        outgoing: web::Outgoing {
            sent_frames: out.frames,
            sent_deltas: out.deltas,
            sent_bytes: out.bytes,
            dropped: out.dropped,
            overflows: out.overflows,
            resends: out.resends,
            resend_left: out.resend_left,
            engine_changes: out.engine_changes,
            new_logs: out.new_logs,
        },
        lag: web::Lag {
            half_ms: found.lag.p50_ms,
            ninety_nine_ms: found.lag.p99_ms,
            longest_ms: found.lag.most_ms,
        },
    };
    let sites = found.sites.into_iter().map(site);
    status.sites = sites
        .map(|site| web::Site {
            differs: status.differences(&site),
            ..site
        })
        .collect();
    status
}

/// A digest of zones as it is shown.
fn digest(digest: u64) -> String {
    format!("{digest:016x}")
}

fn site(found: sites::SiteStatus) -> web::Site {
    let reasons = sites::Dropped::ALL.iter().map(|reason| reason.label());
    web::Site {
        name: found.name.to_string(),
        heard_s: found.heard_seconds,
        lag_ms: found.lag_ms,
        peers: found.peers,
        frames: found.frames,
        deltas: found.deltas,
        missed: found.missed,
        dropped: reasons.zip(found.dropped).collect(),
        throttled: found.throttled,
        version: found.version,
        lifetime_s: found.lifetime,
        zones: found.zones_digest.map(digest),
        differs: Vec::new(),
        forgotten: found.is_forgotten,
    }
}

fn trouble(found: sites::Trouble) -> web::SitesTrouble {
    web::SitesTrouble {
        kind: found.kind.label(),
        site: found.site.to_string(),
        engine: found.engine,
    }
}

fn engine(found: sites::EngineStatus) -> web::Engine {
    web::Engine {
        url: found.url,
        state: found.state.label(),
        since_s: found.since_seconds,
        error: found.error,
        rtt_us: found.rtt_us,
        version: found.version,
        memory: found.memory,
        max_memory: found.max_memory,
        clock_offset_ms: found.clock_offset_ms,
        caught_up: found.is_caught_up,
        streams: found.streams as u64,
        read_bytes: found.bytes_read,
        reconnects: found.reconnects,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::App;
    use crate::tracker::{
        Announce, AnnounceContext, Event, InfoHash, ListOptions, PeerId, PeerList, Refusal,
    };

    /// O26: the page has a text for every reason and every state that there is.
    #[test]
    fn every_label_has_its_text() {
        let states = sites::EngineState::ALL.iter().map(|state| state.label());
        for state in states.clone() {
            assert!(web::ENGINE_STATES.contains(&state), "{state}");
        }
        let states = states.map(|state| format!("\"sites_engine_{state}\":"));
        let reasons = sites::Dropped::ALL.iter();
        let reasons = reasons.map(|reason| format!("\"sites_dropped_{}\":", reason.label()));
        let troubles = sites::TroubleKind::ALL.iter().map(|kind| kind.label());
        assert!(troubles.clone().eq(web::SITES_TROUBLES));
        let troubles = troubles.map(|kind| format!("\"sites_trouble_{kind}\":"));
        for key in states.chain(reasons).chain(troubles) {
            for texts in [
                include_str!("../../templates/lang/en.json"),
                include_str!("../../templates/lang/ru.json"),
            ] {
                assert!(texts.contains(&key), "{key}");
            }
        }
    }

    /// O25
    #[test]
    fn an_edit_of_the_blocklist_travels_and_comes_back_as_it_was() {
        for change in [
            snapshot::BlockChange::Lifted,
            snapshot::BlockChange::Put {
                reason: "why".into(),
                created: crate::clock::Wall(5),
                expires: Some(crate::clock::Wall(9)),
            },
        ] {
            let target = Target::Network("10.0.0.0/8".parse().unwrap());
            let made = BlockEdit {
                target,
                change,
                stamp: 7,
                told_by: None,
            };
            assert_eq!(edit(delta(&made), None), made);
        }
    }

    /// O25
    #[test]
    fn a_block_that_an_operator_would_be_asked_about_is_not_taken_from_a_partner() {
        let rules = ClientAddressRules {
            admin_networks: std::iter::once("192.0.2.0/24".parse().unwrap()).collect(),
            ..ClientAddressRules::default()
        };
        let of = |network: &str, change| {
            let target = Target::Network(network.parse().unwrap());
            let stamp = 1;
            is_modest(
                &BlockEdit {
                    target,
                    change,
                    stamp,
                    told_by: None,
                },
                &rules,
            )
        };
        let put = || snapshot::BlockChange::Put {
            reason: String::new(),
            created: crate::clock::Wall(1),
            expires: None,
        };
        for (network, taken) in [
            ("10.1.0.0/16", Ok(())),
            ("10.0.0.0/15", Err(sites::NotTaken::Wide)),
            ("0.0.0.0/0", Err(sites::NotTaken::Wide)),
            ("2001:db8::/32", Ok(())),
            ("::/0", Err(sites::NotTaken::Wide)),
            ("192.0.2.7/32", Err(sites::NotTaken::AdminNetwork)),
            ("192.0.0.0/16", Err(sites::NotTaken::AdminNetwork)),
        ] {
            assert_eq!(of(network, put()), taken, "{network}");
            assert_eq!(of(network, snapshot::BlockChange::Lifted), Ok(()));
        }
    }

    /// A whole tracker in a folder of its own, one of those that speak over `engine`.
    fn tracker(name: &str, folder: &std::path::Path, engine: &sites::FakeEngine) -> App {
        let file = folder.join("retracker.sqlite");
        let text = format!(
            "[SITES]\nname = {name}\nengines = {}\n[SNAPSHOTS]\nfile = {}\ninterval = 0\n[UDP]\nenabled = no\n",
            engine.url(),
            file.display()
        );
        let sources = crate::config::Sources {
            file: Some(("c.ini".into(), text.into_bytes())),
            ..Default::default()
        };
        let mut loaded = sources.resolve(&|path| std::fs::read(path)).unwrap();
        loaded.config.http.listen = vec!["127.0.0.1:0".parse().unwrap()];
        loaded.config.http.workers = 1;
        // Nobody logs in, and a hash takes seconds without optimisation.
        loaded.config.web.is_enabled = false;
        App::build(loaded, Default::default()).unwrap()
    }

    fn announce(app: &App, ip: [u8; 4]) -> Result<(), Refusal> {
        announce_event(app, ip, Event::Started)
    }

    fn announce_event(app: &App, ip: [u8; 4], event: Event) -> Result<(), Refusal> {
        let announce = Announce {
            info_hash: HASH,
            peer_id: PeerId(*b"-qB4520-abcdefghijkl"),
            key: None,
            ip: ip.into(),
            inner_ip: None,
            is_reported: false,
            port: 6881,
            is_seeder: true,
            downloaded: 0,
            event,
            num_want: Some(0),
            options: ListOptions::default(),
        };
        let mut rng = fastrand::Rng::with_seed(1);
        let mut turn = AnnounceContext {
            now: app.clock.now(),
            rng: &mut rng,
            counters: app.tracker.metrics().counters(0),
        };
        let mut list = PeerList::default();
        app.tracker
            .announce(&announce, &mut turn, &mut list)
            .map(drop)
    }

    const HASH: InfoHash = InfoHash([7; 20]);

    fn seeders(app: &App) -> u32 {
        app.tracker.scrape(&HASH, app.clock.now()).complete
    }

    fn own_peers(app: &App) -> u64 {
        app.tracker.peers_by_origin()[0]
    }

    /// Waits for what happens within a moment on a machine that has nothing else to do.
    fn wait(is_so: impl Fn() -> bool) {
        for _ in 0..6_000 {
            if is_so() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("it does not come to be");
    }

    /// O18: what a tracker counted under one name it does not count again under another.
    #[test]
    fn a_tracker_that_is_renamed_counts_nothing_twice() {
        let engine = sites::FakeEngine::start();
        let (folder_a, folder_b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let start = |name, folder: &tempfile::TempDir| tracker(name, folder.path(), &engine);
        let downloaded = |app: &App| app.tracker.scrape(&HASH, app.clock.now()).downloaded;
        let complete = |app: &App, last| {
            announce_event(app, [192, 0, 2, last], Event::Completed).unwrap();
        };
        let (a, b) = (start("a", &folder_a), start("b", &folder_b));
        (1..=3).for_each(|last| complete(&a, last));
        wait(|| downloaded(&b) == 3);
        assert_eq!(a.stop(), None);
        let c = start("c", &folder_a);
        assert_eq!((downloaded(&c), own_peers(&c)), (3, 3));
        complete(&c, 4);
        wait(|| downloaded(&b) >= 4 && seeders(&b) == 4);
        assert_eq!((downloaded(&b), downloaded(&c)), (4, 4));
        assert_eq!(c.stop(), None);
        // Again under that name: nothing moves. Back: what a counted is its own again.
        let c = start("c", &folder_a);
        assert_eq!(downloaded(&c), 4);
        assert_eq!(c.stop(), None);
        let a = start("a", &folder_a);
        complete(&a, 5);
        wait(|| downloaded(&b) >= 5 && seeders(&b) == 5);
        assert_eq!((downloaded(&a), downloaded(&b)), (5, 5));
        assert_eq!(a.stop(), None);
        assert_eq!(b.stop(), None);
    }

    /// O18, O24, O25: what one tracker hears the other hands out, its blocks are in force there, and a tracker that comes back has what
    /// was its own, from its database as well as without it.
    #[test]
    fn two_trackers_act_as_one_and_one_that_comes_back_is_whole() {
        let engine = sites::FakeEngine::start();
        let (folder_a, folder_b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let start = |name, folder: &tempfile::TempDir| tracker(name, folder.path(), &engine);
        let (a, b) = (start("a", &folder_a), start("b", &folder_b));
        for last in 1..=5 {
            announce(&a, [192, 0, 2, last]).unwrap();
        }
        announce(&b, [198, 51, 100, 1]).unwrap();
        wait(|| seeders(&a) == 6 && seeders(&b) == 6);
        assert_eq!((own_peers(&a), own_peers(&b)), (5, 1));
        let target = Target::Network("192.0.2.4/31".parse().unwrap());
        a.mailbox.block(target, "spam", None).unwrap();
        wait(|| seeders(&b) == 4);
        assert_eq!(announce(&b, [192, 0, 2, 4]), Err(Refusal::AddressBlocked));
        assert_eq!(a.stop(), None);
        let a = start("a", &folder_a);
        assert_eq!((seeders(&a), own_peers(&a)), (4, 3));
        let digest = |app: &App| app.tracker.digest(app.clock.now());
        assert_eq!(digest(&a), digest(&b));
        // While it is away, the other goes on; and its database is lost.
        assert_eq!(a.stop(), None);
        announce(&b, [198, 51, 100, 2]).unwrap();
        drop(folder_a);
        let folder_a = tempfile::tempdir().unwrap();
        let a = start("a", &folder_a);
        wait(|| seeders(&a) == 5 && a.tracker.access().blocks().len() == 1);
        assert_eq!(own_peers(&a), 3);
        assert_eq!(digest(&a), digest(&b));
        let known = b.mailbox.known_edits();
        assert_eq!(known.len(), 1);
        // The block is lifted where it was not made.
        let number = a.tracker.access().blocks()[0].number;
        assert_eq!(a.mailbox.unblock(number), Ok(true));
        wait(|| b.tracker.access().blocks().is_empty());
        assert_eq!(a.stop(), None);
        assert_eq!(b.stop(), None);
    }
}
