//! O26: the other trackers on the page, in the API, in /metrics and in /ready, and what an operator may ask of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use retracker::web::{Engine, Lag, Outgoing, Scope, Sites, SitesStatus, SitesTrouble};

use crate::harness::{Site, start, start_among};

type Asked = Arc<Mutex<Vec<String>>>;

/// A network of three trackers, of which one is of another version and has other zones, and one has been silent for long.
fn status() -> SitesStatus {
    let mut status = SitesStatus {
        name: "msk".into(),
        network: "retracker".into(),
        version: "1.0.0".into(),
        lifetime_s: 3_600,
        zones: "00aa".into(),
        ready: true,
        missing: vec!["the logs of redis://e2:6379 have not been read to their end".into()],
        own_peers: 1_234,
        engines: vec![
            Engine {
                url: "redis://e1:6379".into(),
                state: "writing",
                rtt_us: Some(217),
                version: Some("redis 7.0.15".into()),
                memory: Some(3 << 20),
                max_memory: Some(1 << 30),
                clock_offset_ms: Some(-12),
                caught_up: true,
                streams: 3,
                ..Engine::default()
            },
            Engine {
                url: "redis://e2:6379".into(),
                state: "silent",
                since_s: 90,
                error: Some("no answer in <time>".into()),
                ..Engine::default()
            },
        ],
        outgoing: Outgoing {
            sent_frames: 77,
            sent_deltas: 4_321,
            resends: 2,
            ..Outgoing::default()
        },
        lag: Lag {
            half_ms: 140,
            ninety_nine_ms: 410,
            longest_ms: 600,
        },
        ..SitesStatus::default()
    };
    let other = retracker::web::Site {
        name: "spb".into(),
        heard_s: Some(1),
        lag_ms: Some(130),
        peers: 567,
        deltas: 8_000,
        dropped: BTreeMap::from([("malformed", 3), ("no_room", 0)]),
        version: "1.1.0".into(),
        lifetime_s: Some(3_600),
        zones: Some("00bb".into()),
        ..retracker::web::Site::default()
    };
    let silent = retracker::web::Site {
        name: "kzn".into(),
        heard_s: Some(7_200),
        ..retracker::web::Site::default()
    };
    status.sites = vec![other, silent];
    let differs: Vec<_> = status
        .sites
        .iter()
        .map(|site| status.differences(site))
        .collect();
    for (site, differs) in status.sites.iter_mut().zip(differs) {
        site.differs = differs;
    }
    status
}

/// A site that is one of several, and what was asked of the others.
fn among(status: SitesStatus) -> (Site, Asked) {
    let asked = Asked::default();
    let (resent, forgotten) = (Arc::clone(&asked), Arc::clone(&asked));
    let sites = Sites {
        status: Box::new(move || status.clone()),
        resend: Box::new(move || resent.lock().unwrap().push("resend".into())),
        forget: Box::new(move |name| {
            forgotten.lock().unwrap().push(format!("forget {name}"));
            (name == "kzn").then_some(42)
        }),
    };
    (start_among(|_| {}, Some(sites)), asked)
}

/// One of three trackers.
pub(crate) fn among_others() -> Site {
    among(status()).0
}

/// O26, W8
#[test]
fn the_page_tells_of_trackers_and_engines_in_both_languages() {
    let (site, _) = among(status());
    let mut operator = site.operator();
    assert!(operator.get("/stat").body.contains("href=\"/sites\""));
    let page = operator.get("/sites").body;
    for part in [
        "msk",
        "spb",
        "kzn",
        "567",
        "1.1.0",
        "8,000",
        "malformed",
        "<b>version</b>",
        "<b>zones</b>",
        "redis://e1:6379",
        "redis 7.0.15",
        "217",
        "does not answer",
        "no answer in &lt;time",
        "have not been read to their end",
        "Forget",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    // Of what is alike nothing is said, and who speaks is not to be forgotten by a slip.
    assert!(!page.contains("<b>lifetime"), "{page}");
    assert_eq!(page.matches("name=\"name\"").count(), 1);
    let page = operator.get("/sites?lang=ru").body;
    for part in [
        "Площадки",
        "не отвечает",
        "зоны",
        "повреждённые",
        "Забыть",
        "ещё не прочитаны",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let table = operator.get("/sites?format=csv&table=sites").body;
    assert!(
        table.contains("spb,1,130,567,8000,0,3,0,1.1.0,3600,00bb"),
        "{table}"
    );
}

/// O26
#[test]
fn what_is_to_be_mended_stands_on_the_page_in_the_api_and_in_metrics() {
    let mut status = status();
    status.troubles = vec![SitesTrouble {
        kind: "name_taken",
        site: "msk".into(),
        engine: "redis://e1:6379".into(),
    }];
    let (site, _) = among(status);
    let mut operator = site.operator();
    let page = operator.get("/sites").body;
    let told = "msk, redis://e1:6379</span>: somebody else writes to this log";
    assert!(page.contains(told), "{page}");
    let page = operator.get("/sites?lang=ru").body;
    assert!(page.contains("в этот журнал пишет кто-то ещё"), "{page}");
    let told = site.program(Scope::Read, None).get("/api/v1/sites").json();
    assert_eq!(told["troubles"][0]["kind"], "name_taken");
    let metrics = site.visitor().get("/metrics").body;
    for line in [
        "retracker_sites_trouble{trouble=\"name_taken\"} 1",
        "retracker_sites_trouble{trouble=\"own_log_ahead\"} 0",
        "retracker_sites_trouble{trouble=\"other_log_ahead\"} 0",
        "retracker_sites_new_logs_total 0",
    ] {
        assert!(metrics.lines().any(|told| told == line), "{line}");
    }
}

/// O26
#[test]
fn an_engine_that_takes_nothing_is_told_on_the_page() {
    let mut status = status();
    status.engines.remove(0);
    let (site, _) = among(status);
    let page = site.operator().get("/sites").body;
    assert!(page.contains("No engine takes"), "{page}");
}

/// O26
#[test]
fn a_tracker_that_is_alone_says_so_and_has_nothing_to_ask() {
    let site = start();
    let mut operator = site.operator();
    assert!(!operator.get("/stat").body.contains("href=\"/sites\""));
    let page = operator.get("/sites");
    assert!(page.status == 200 && page.body.contains("This tracker is alone"));
    assert_eq!(
        operator.submit("/blocklist", "/sites/resend", &[]).status,
        404
    );
    let mut program = site.program(Scope::Admin, None);
    assert_eq!(program.get("/api/v1/sites").status, 404);
    assert_eq!(program.send("POST", "/api/v1/sites/resend", "").status, 404);
    let forget = r#"{"name":"kzn"}"#;
    assert_eq!(
        program.send("POST", "/api/v1/sites/forget", forget).status,
        404
    );
    assert!(
        !site
            .visitor()
            .get("/metrics")
            .body
            .contains("retracker_site_peers")
    );
    // What it knows can be told all the same.
    assert_eq!(program.get("/api/v1/sites/digest").json()["peers"], 0);
}

/// O26, W12
#[test]
fn what_an_operator_asks_is_done_and_told_to_the_audit() {
    let (site, asked) = among(status());
    let mut operator = site.operator();
    let sent = operator.submit("/sites", "/sites/resend", &[]);
    assert_eq!(
        (sent.status, sent.header("location")),
        (302, "/sites?done=resend")
    );
    assert!(
        operator
            .get("/sites?done=resend")
            .body
            .contains("being told again")
    );
    let forgot = operator.submit("/sites", "/sites/forget", &[("name", "kzn")]);
    assert_eq!(forgot.status, 302);
    let unknown = operator.submit("/sites", "/sites/forget", &[("name", "nobody")]);
    assert_eq!(unknown.status, 404);
    let mut program = site.program(Scope::Admin, None);
    assert_eq!(program.send("POST", "/api/v1/sites/resend", "").status, 204);
    let forgot = program.send("POST", "/api/v1/sites/forget", r#"{"name":"kzn"}"#);
    assert_eq!(
        (forgot.status, forgot.json()),
        (200, serde_json::json!({ "peers": 42 }))
    );
    let unknown = program.send("POST", "/api/v1/sites/forget", r#"{"name":"x"}"#);
    assert_eq!(unknown.status, 404);
    for scope in [Scope::Read, Scope::Block] {
        let mut reader = site.program(scope, None);
        assert_eq!(reader.get("/api/v1/sites").status, 200);
        assert_eq!(reader.send("POST", "/api/v1/sites/resend", "").status, 403);
    }
    assert_eq!(
        *asked.lock().unwrap(),
        [
            "resend",
            "forget kzn",
            "forget nobody",
            "resend",
            "forget kzn",
            "forget x"
        ]
    );
    let deeds: Vec<String> = site
        .audit
        .latest()
        .unwrap()
        .iter()
        .filter(|entry| entry.deed.to_string().contains("site"))
        .map(|entry| format!("{} {} {}", entry.who, entry.deed, entry.about))
        .collect();
    assert_eq!(
        deeds,
        [
            "test site_forgotten kzn",
            "test sites_resend ",
            "admin site_forgotten kzn",
            "admin sites_resend "
        ]
    );
}

/// O26, W9
#[test]
fn the_api_tells_what_its_description_says() {
    let (site, _) = among(status());
    assert!(site.announce("192.0.2.1", [7; 20], true));
    let mut program = site.program(Scope::Read, None);
    let description = program.get("/api/v1/openapi.json").json();
    let keys = |value: &serde_json::Value| -> Vec<String> {
        let mut keys: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    };
    let described = |name: &str| keys(&description["components"]["schemas"][name]["properties"]);
    let told = program.get("/api/v1/sites").json();
    assert_eq!(keys(&told), described("Sites"));
    assert_eq!(keys(&told["sites"][0]), described("Site"));
    assert_eq!(keys(&told["engines"][0]), described("Engine"));
    assert_eq!(
        told["sites"][0]["differs"],
        serde_json::json!(["version", "zones"])
    );
    assert_eq!(told["sites"][0]["dropped"]["malformed"], 3);
    let digest = program.get("/api/v1/sites/digest").json();
    assert_eq!(keys(&digest), described("Digest"));
    assert_eq!(
        (&digest["peers"], &digest["torrents"]),
        (&1.into(), &1.into())
    );
}

/// O26, O5
#[test]
fn ready_says_what_is_missing_and_health_who_is_silent() {
    let (site, _) = among(status());
    let ready = site.visitor().get("/ready");
    assert_eq!(ready.status, 200);
    assert!(
        ready.json()["missing"][0]
            .as_str()
            .unwrap()
            .contains("redis://e2:6379")
    );
    let (site, _) = among(SitesStatus {
        ready: false,
        ..status()
    });
    let ready = site.visitor().get("/ready");
    assert_eq!(
        (ready.status, &ready.json()["faults"][0]),
        (503, &"sites_unread".into())
    );
    assert!(
        ready.json()["missing"][0]
            .as_str()
            .unwrap()
            .contains("redis://e2:6379")
    );
    // The process is well while it reads.
    assert_eq!(site.visitor().get("/health").status, 200);
    let mut stranger = site.visitor();
    stranger
        .headers
        .push(("Host".into(), "elsewhere.example".into()));
    assert!(stranger.get("/ready").json()["missing"].is_null());
    let (site, _) = among(SitesStatus {
        silent_s: 61,
        ..status()
    });
    let health = site.visitor().get("/health");
    assert_eq!(
        (health.status, &health.json()["faults"][0]),
        (503, &"sites_silent".into())
    );
}

/// O26, O4
#[test]
fn metrics_tell_the_same() {
    let (site, _) = among(status());
    let metrics = site.visitor().get("/metrics").body;
    for line in [
        "retracker_sites_ready 1",
        "retracker_sites_lag_seconds{share=\"0.99\"} 0.41",
        "retracker_site_peers{site=\"spb\"} 567",
        "retracker_site_peers{site=\"\"} 1234",
        "retracker_site_silence_seconds{site=\"kzn\"} 7200",
        "retracker_site_dropped_total{site=\"spb\",reason=\"malformed\"} 3",
        "retracker_site_differs{site=\"spb\",what=\"zones\"} 1",
        "retracker_site_differs{site=\"spb\",what=\"lifetime\"} 0",
        "retracker_engine_state{engine=\"redis://e1:6379\",state=\"writing\"} 1",
        "retracker_engine_up{engine=\"redis://e2:6379\"} 0",
        "retracker_engine_clock_offset_seconds{engine=\"redis://e1:6379\"} -0.012",
        "retracker_engine_memory_bytes{engine=\"redis://e1:6379\"} 3145728",
        "retracker_sites_sent_deltas_total 4321",
        "retracker_sites_resends_total 2",
    ] {
        assert!(
            metrics.lines().any(|told| told == line),
            "{line}: {metrics}"
        );
    }
}
