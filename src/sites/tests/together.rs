//! Several trackers that act as one, whatever befalls the engines between them.

use super::super::engine::tests::fake::Mood;
use super::*;
use crate::clock::Wall;
use crate::tracker::{Block, Target};
use std::sync::Mutex;

fn both(a: &Site, b: &Site, torrent: u8, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let site = if number % 2 == 0 { a } else { b };
        site.announce(torrent, number, Event::Started);
    }
}

#[test]
fn who_announced_to_one_is_known_to_all_and_who_left_to_none() {
    let engine = Fake::start();
    let (a, b) = (site("a", &[&engine]), site("b", &[&engine]));
    // Some seconds ago: of two trackers the later second wins, and of one second what is there stays.
    for number in 0..50 {
        let site = if number % 2 == 0 { &a } else { &b };
        let before = site.clock.now().minus(5);
        tell(&site.tracker, before, &announce(1, number, Event::Started));
    }
    equal(&[&a, &b], 50);
    a.announce(1, 0, Event::Stopped);
    b.announce(1, 1, Event::Stopped);
    // It moves: now it is b's, and b's word counts.
    b.announce(1, 2, Event::None);
    b.announce(1, 2, Event::Stopped);
    equal(&[&a, &b], 47);
    let status = a.status();
    assert_eq!((status.own_peers, status.sites.len()), (23, 1));
    let known = &status.sites[0];
    assert_eq!((known.name.as_str(), known.peers), ("b", 24));
    assert_eq!(known.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(known.lifetime, Some(status.lifetime));
    assert_eq!(known.dropped, [0; Dropped::COUNT]);
    assert_eq!(known.missed, 0);
    assert!(
        status.is_ready && status.missing.is_empty(),
        "{:?}",
        status.missing
    );
    assert_eq!(status.engines[0].state, EngineState::Writing);
    assert_eq!(status.outgoing.dropped, 0);
}

#[test]
fn completions_are_counted_once_whoever_hears_of_them_again() {
    let engine = Fake::start();
    let (a, b) = (site("a", &[&engine]), site("b", &[&engine]));
    for number in 0..20 {
        a.announce(1, number, Event::Started);
        a.announce(1, number, Event::Completed);
    }
    for number in 20..25 {
        b.announce(1, number, Event::Started);
        b.announce(1, number, Event::Completed);
    }
    equal(&[&a, &b], 25);
    a.handle.resend();
    b.handle.resend();
    eventually("all told again", || {
        a.status().outgoing.resends >= 2 && b.status().outgoing.resends >= 2
    });
    let cold = site("c", &[&engine]);
    equal(&[&a, &b, &cold], 25);
    for site in [&a, &b, &cold] {
        assert_eq!(
            site.tracker.scrape(&hash(1), site.clock.now()).downloaded,
            25
        );
    }
}

/// The duty round: what a tracker that is gone had counted, those that live go on telling.
#[test]
fn the_counts_of_a_dead_tracker_live_on() {
    let engine = Fake::start();
    let short_lived = |name: &str| {
        let tracker = crate::tracker::Settings {
            announce_interval: 2,
            ..crate::tracker::Settings::default()
        };
        let tracker = Arc::new(Tracker::new(tracker, Arc::new(Metrics::new(1))));
        started(
            &settings(name, &[&engine]),
            None,
            tracker,
            Blocklist::none(),
        )
        .0
    };
    let (mut a, b) = (short_lived("a"), short_lived("b"));
    let downloaded = |site: &Site, torrent: u8| {
        site.tracker
            .scrape(&hash(torrent), site.clock.now())
            .downloaded
    };
    for torrent in 0..16 {
        a.announce(torrent, 1, Event::Started);
        a.announce(torrent, 1, Event::Completed);
    }
    eventually("b has heard of all", || {
        (0..16).all(|torrent| downloaded(&b, torrent) == 1)
    });
    a.stop();
    engine.flush();
    let c = short_lived("c");
    // Which of them b tells is chance; those that a is thought to tell come when it is known to be dead.
    eventually("c hears of some", || {
        (0..16).any(|torrent| downloaded(&c, torrent) == 1)
    });
}

#[test]
fn a_tracker_that_lost_everything_has_its_own_back_from_its_log() {
    let engine = Fake::start();
    let b = site("b", &[&engine]);
    let mut a = site("a", &[&engine]);
    both(&a, &b, 1, 0..40);
    for number in [0, 2] {
        a.announce(1, number, Event::Completed);
    }
    equal(&[&a, &b], 40);
    a.stop();
    let a = site("a", &[&engine]);
    equal(&[&a, &b], 40);
    assert_eq!(a.status().own_peers, 20);
    assert_eq!(a.tracker.scrape(&hash(1), a.clock.now()).downloaded, 2);
    // Its next completion counts on from there.
    a.announce(1, 4, Event::Completed);
    eventually("the third completion", || {
        b.tracker.scrape(&hash(1), b.clock.now()).downloaded == 3
    });
}

#[test]
fn after_a_restart_only_what_is_new_is_read() {
    let engine = Fake::start();
    let b = site("b", &[&engine]);
    let mut a = site("a", &[&engine]);
    both(&a, &b, 1, 0..40);
    equal(&[&a, &b], 40);
    let kept = a.handle.kept_state();
    a.stop();
    b.announce(1, 41, Event::Started);
    eventually("it is told", || b.status().outgoing.deltas >= 21);
    let tracker = Arc::clone(&a.tracker);
    let (a, caught_up) = started(
        &settings("a", &[&engine]),
        Some(&kept),
        tracker,
        Blocklist::none(),
    );
    equal(&[&a, &b], 41);
    assert!(caught_up.deltas < 20, "{caught_up:?}");
    assert_eq!((caught_up.engines, caught_up.of), (1, 1));
    // The clock began anew, and the peers of before are as old as they were: they are b's still.
    assert_eq!(a.status().sites[0].peers, 21);
}

#[test]
fn a_hanging_engine_is_left_for_the_next_one() {
    let (near, far) = (Fake::start(), Fake::start());
    let (a, b) = (site("a", &[&near, &far]), site("b", &[&near, &far]));
    both(&a, &b, 1, 0..20);
    equal(&[&a, &b], 20);
    near.is(Mood::Hangs);
    both(&a, &b, 2, 20..40);
    equal(&[&a, &b], 40);
    eventually("the far engine is written", || {
        let engines = a.status().engines;
        engines[0].state == EngineState::Silent && engines[1].state == EngineState::Writing
    });
    assert!(a.status().engines[0].error.is_some());
    near.is(Mood::Well);
    eventually("the near engine is gone back to", || {
        a.status().engines[0].state == EngineState::Writing
    });
    both(&a, &b, 3, 40..60);
    equal(&[&a, &b], 60);
}

#[test]
fn an_engine_that_lost_its_logs_is_told_everything_again() {
    for is_noticed in [true, false] {
        let engine = Fake::start();
        let (a, b) = (site("a", &[&engine]), site("b", &[&engine]));
        both(&a, &b, 1, 0..30);
        equal(&[&a, &b], 30);
        let before = a.status().outgoing.resends;
        if is_noticed {
            engine.forget_all();
        } else {
            engine.flush();
        }
        both(&a, &b, 2, 30..40);
        eventually("both tell everything again", || {
            a.status().outgoing.resends > before && b.status().outgoing.resends > before
        });
        let cold = site("c", &[&engine]);
        equal(&[&a, &b, &cold], 40);
    }
}

#[test]
fn with_every_engine_dead_nothing_is_lost_and_nobody_haunts() {
    let (one, other) = (Fake::start(), Fake::start());
    let (a, b) = (site("a", &[&one, &other]), site("b", &[&one, &other]));
    both(&a, &b, 1, 0..40);
    equal(&[&a, &b], 40);
    one.is(Mood::Dead);
    other.is(Mood::Dead);
    both(&a, &b, 2, 40..60);
    for number in 0..10 {
        let site = if number % 2 == 0 { &a } else { &b };
        site.announce(1, number, Event::Stopped);
    }
    eventually("what is not told is counted", || {
        a.status().outgoing.dropped > 0 && b.status().outgoing.dropped > 0
    });
    assert!(
        a.status()
            .missing
            .iter()
            .any(|missing| missing.contains("no engine"))
    );
    one.is(Mood::Well);
    equal(&[&a, &b], 50);
    other.is(Mood::Well);
    equal(&[&a, &b], 50);
}

#[test]
fn a_partition_leaves_both_sides_serving_and_heals() {
    let (left, right) = (Fake::start(), Fake::start());
    // Each is the nearer to one side.
    let (a, b) = (site("a", &[&left, &right]), site("b", &[&right, &left]));
    both(&a, &b, 1, 0..20);
    equal(&[&a, &b], 20);
    left.is(Mood::HangsFor("retracker-b"));
    right.is(Mood::HangsFor("retracker-a"));
    eventually("each sees its own engine only", || {
        [&a, &b]
            .iter()
            .all(|site| site.status().engines[1].state == EngineState::Silent)
    });
    both(&a, &b, 2, 20..40);
    a.announce(1, 0, Event::Stopped);
    b.announce(1, 1, Event::Stopped);
    eventually("each has told its engine", || {
        [&a, &b]
            .iter()
            .all(|site| site.digest().peers == 29 && site.status().outgoing.deltas >= 21)
    });
    left.is(Mood::Well);
    right.is(Mood::Well);
    equal(&[&a, &b], 38);
    assert_eq!(
        (a.status().outgoing.dropped, b.status().outgoing.dropped),
        (0, 0)
    );
}

#[test]
fn an_engine_that_is_full_is_left_for_the_next_one() {
    let (near, far) = (Fake::start(), Fake::start());
    let (a, b) = (site("a", &[&near, &far]), site("b", &[&near, &far]));
    near.is(Mood::RefusesNews(
        "OOM command not allowed when used memory > 'maxmemory'.",
    ));
    both(&a, &b, 1, 0..20);
    equal(&[&a, &b], 20);
    let near = &a.status().engines[0];
    assert_eq!(near.state, EngineState::Refusing);
    assert!(near.error.as_ref().unwrap().starts_with("OOM"), "{near:?}");
}

#[test]
fn a_block_reaches_the_others_and_comes_again_when_it_was_lost() {
    let engine = Fake::start();
    let taken = Arc::new(Mutex::new(Vec::new()));
    let taking = Arc::clone(&taken);
    let door = Blocklist {
        take: Box::new(move |block, _| {
            taking.lock().unwrap().push(block);
            Ok(())
        }),
        list: Box::new(Vec::new),
    };
    let block = BlockDelta {
        target: Target::Network("192.0.2.0/24".parse().unwrap()),
        change: BlockChange::Put {
            reason: "a test".into(),
            created: Wall(7),
            expires: None,
        },
        stamp: 9,
    };
    let lifted = BlockDelta {
        target: Target::Torrent(hash(4)),
        change: BlockChange::Lifted,
        stamp: 10,
    };
    let listed = lifted.clone();
    let known = Blocklist {
        take: Box::new(|_, _| Ok(())),
        list: Box::new(move || vec![(None, listed.clone())]),
    };
    let (a, _) = started(&settings("a", &[&engine]), None, fresh_tracker(), known);
    let (_b, _) = started(&settings("b", &[&engine]), None, fresh_tracker(), door);
    engine.is(Mood::Hangs);
    a.handle.publish_block(block.clone());
    engine.is(Mood::Well);
    eventually("the block", || taken.lock().unwrap().contains(&block));
    a.handle.resend();
    eventually("what a knows besides", || {
        taken.lock().unwrap().contains(&lifted)
    });

    let mut local = settings("c", &[&engine]);
    local.share_blocklist = false;
    let refuse = Blocklist {
        take: Box::new(|_, _| panic!("it is not shared")),
        list: Box::new(|| panic!("it is not shared")),
    };
    let (c, _) = started(&local, None, fresh_tracker(), refuse);
    c.handle.publish_block(block.clone());
    c.handle.resend();
    a.announce(1, 1, Event::Started);
    equal(&[&a, &c], 1);
}

#[test]
fn who_is_forgotten_is_gone_until_it_speaks_again() {
    let engine = Fake::start();
    let a = site("a", &[&engine]);
    let mut b = site("b", &[&engine]);
    both(&a, &b, 1, 0..10);
    equal(&[&a, &b], 10);
    b.stop();
    let name: SiteName = "b".parse().unwrap();
    assert_eq!(a.handle.forget(&name), Ok(5));
    assert_eq!(a.digest().peers, 5);
    assert!(a.status().sites[0].is_forgotten);
    assert_eq!(a.handle.forget(&"x".parse().unwrap()), Err(UnknownSite));
    let b = site("b", &[&engine]);
    b.handle.resend();
    equal(&[&a, &b], 10);
    assert!(!a.status().sites[0].is_forgotten);
}

/// Peers of a tracker that nothing names any more are no one's.
#[test]
fn peers_of_an_unnamed_tracker_are_dropped_at_the_start() {
    let engine = Fake::start();
    let (a, b) = (site("a", &[&engine]), site("b", &[&engine]));
    both(&a, &b, 1, 0..10);
    equal(&[&a, &b], 10);
    let tracker = Arc::clone(&a.tracker);
    let opened = open(
        &settings("a", &[&engine]),
        Some(b"{"),
        Arc::clone(&tracker),
        Blocklist::none(),
        a.clock,
    );
    assert!(opened.is_ok());
    assert_eq!(tracker.peers_by_origin().iter().skip(1).sum::<u64>(), 0);
}

#[test]
fn nothing_is_asked_of_an_engine_before_the_settings_are_right() {
    let engine = Fake::start();
    let try_open = |settings: &Settings| {
        open(
            settings,
            None,
            fresh_tracker(),
            Blocklist::none(),
            Clock::start(),
        )
        .map(drop)
    };
    assert!(matches!(try_open(&settings("a", &[])), Err(Error::Engines)));
    assert!(matches!(
        try_open(&settings("a", &[&engine; 4])),
        Err(Error::Engines)
    ));
    let mut secure = settings("a", &[]);
    secure.engines = vec!["rediss://127.0.0.1".parse().unwrap()];
    assert!(matches!(try_open(&secure), Err(Error::NoCertificates)));
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, "no certificate").unwrap();
    secure.ca_file = Some(ca_file);
    assert!(matches!(try_open(&secure), Err(Error::Certificates { .. })));
}

#[test]
fn the_check_says_what_is_wrong_in_words() {
    let (well, dead) = (Fake::start(), Fake::start());
    dead.is(Mood::Says(b"-NOAUTH Authentication required.\r\n".to_vec()));
    let findings = check(&settings("a", &[&well, &dead]), Clock::start());
    let of = |engine: &Fake| {
        let url = Some(engine.url().to_string());
        findings
            .iter()
            .filter(|finding| finding.engine == url)
            .cloned()
            .collect::<Vec<_>>()
    };
    assert!(
        of(&well).iter().all(|finding| finding.grade != Grade::Bad),
        "{findings:#?}"
    );
    assert!(
        of(&well)
            .iter()
            .any(|finding| finding.text.contains("logs of others may be written too"))
    );
    let bad = of(&dead);
    assert_eq!((bad.len(), bad[0].grade), (1, Grade::Bad));
    assert!(bad[0].text.contains("password_file"), "{bad:?}");
    // Nothing was appended.
    assert!(well.frames("rt:net:d:a").is_empty());
}

/// O26: a database that was kept under another name, when the name was another tracker's, does not make the own one of the others.
#[test]
fn a_tracker_is_not_among_the_others() {
    let engine = Fake::start();
    let kept = br#"{"format":1,"origins":[[1,"a"],[2,"b"]],"positions":[]}"#;
    let (a, _) = started(
        &settings("a", &[&engine]),
        Some(kept),
        fresh_tracker(),
        Blocklist::none(),
    );
    let names = |site: &Site| -> Vec<String> {
        let sites = site.status().sites;
        sites.iter().map(|site| site.name.to_string()).collect()
    };
    assert_eq!(names(&a), ["b"]);
    assert_eq!(
        a.handle.forget(&"a".parse().unwrap()),
        Err(UnknownSite),
        "nobody forgets himself"
    );
}

/// O18, O25: whom a lift brings back, those have too that make the lift a moment later; until then they take nobody from behind the block.
#[test]
fn who_comes_back_from_behind_a_block_comes_back_everywhere() {
    let engine = Fake::start();
    let block = Block {
        number: 1,
        target: Target::Torrent(hash(1)),
        reason: String::new(),
        created: Wall(1),
        expires: None,
    };
    let tracker = fresh_tracker();
    tracker.block(vec![block.clone()], Wall(1), Seconds::START);
    let lifting = Arc::clone(&tracker);
    let door = Blocklist {
        take: Box::new(move |_, _| {
            let lifting = Arc::clone(&lifting);
            // As the thread that has it on the disk first.
            drop(std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(500));
                lifting.block(Vec::new(), Wall(1), Seconds::START);
            }));
            Ok(())
        }),
        list: Box::new(Vec::new),
    };
    let b = site("b", &[&engine]);
    let (a, _) = started(&settings("a", &[&engine]), None, tracker, door);
    b.announce(1, 1, Event::Started);
    eventually("a has heard of it", || {
        let sites = a.status().sites;
        sites.first().is_some_and(|site| site.deltas > 0)
    });
    assert_eq!(a.digest().peers, 0);
    b.tracker.block(vec![block], Wall(1), b.clock.now());
    b.tracker.block(Vec::new(), Wall(1), b.clock.now());
    b.handle.publish_block(BlockDelta {
        target: Target::Torrent(hash(1)),
        change: BlockChange::Lifted,
        stamp: 2,
    });
    equal(&[&a, &b], 1);
}
