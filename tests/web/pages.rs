//! What the pages show and do, in both languages.

use std::sync::Arc;

use retracker::clock::Wall;
use retracker::metrics::Gauge;
use retracker::tracker::report::census::{FrequentAnnouncer, HandedOut, Roles, ZoneCount};
use retracker::tracker::{InfoHash, ZoneRule, ZoneStatisticsRow, Zones};
use retracker::web::BackendError;

use crate::harness::{Site, Visitor, start};

const PAGES: [&str; 12] = [
    "/stat",
    "/torrents",
    "/torrents/0707070707070707070707070707070707070707",
    "/torrents/0808080808080808080808080808080808080808",
    "/all_peers",
    "/zones",
    "/clients",
    "/callers",
    "/blocklist",
    "/sites",
    "/listed",
    "/about",
];

/// A site with two peers in one torrent, a zone and a frequent announcer.
fn furnished() -> Site {
    let site = start();
    assert!(site.announce("192.0.2.1", [7; 20], true));
    assert!(site.announce("2001:db8::1", [7; 20], false));
    site.count();
    let mut census = site.census.load().as_ref().clone();
    census.zones.push(ZoneCount {
        path: "moscow/<north>".into(),
        below: Roles {
            seeders: 1,
            leechers: 1,
        },
        handed_out: HandedOut {
            announces: 4,
            announces_with_local: 1,
            peers: 10,
            local_peers: 4,
            saved_mib: 2_048,
            ..HandedOut::default()
        },
        announces_per_second: 2.5,
        ..ZoneCount::default()
    });
    census.callers.push(FrequentAnnouncer {
        network: "192.0.2.9/32".parse().unwrap(),
        early: 1_234,
        last_seen: site.clock.now(),
    });
    site.census.store(Arc::new(census));
    site
}

/// W1, W8
#[test]
fn every_page_is_there_in_both_languages() {
    let site = furnished();
    let mut operator = site.operator();
    for language in ["en", "ru"] {
        for path in PAGES {
            let reply = operator.get(&format!("{path}?lang={language}"));
            assert_eq!(reply.status, 200, "{path}: {}", reply.body);
            assert!(reply.body.contains(&format!("<html lang=\"{language}\"")));
            let is_russian = reply.body.contains("Обзор");
            assert_eq!(is_russian, language == "ru", "{path}");
            assert!(reply.body.len() < 1 << 20);
            let theme = operator.get(&format!("{path}?theme=dark"));
            assert!(theme.body.contains("data-theme=\"dark\""));
        }
    }
}

/// W2
#[test]
fn the_overview_has_all_that_the_original_showed() {
    let site = furnished();
    let metrics = site.tracker.metrics();
    metrics.set(Gauge::SeedersV4, 1);
    metrics.set(Gauge::LeechersV6, 1);
    metrics.set(Gauge::Torrents, 1);
    metrics.set(Gauge::SnapshotBytes, 5 << 20);
    metrics.set(Gauge::DatabasePeers, 2);
    let body = site.operator().get("/stat").body;
    for text in [
        "Server time",
        "Uptime",
        "Announce interval",
        "1,800 s",
        "Torrents",
        "Peers",
        "Seeders",
        "Addresses",
        "Database size",
        "5.0\u{a0}MiB",
        "Records",
        "Top 10 torrents",
        "Last 20 active peers",
        "0707070707070707070707070707070707070707",
        "192.0.2.1",
        "2001:db8::1",
        "6881",
        "qBittorrent",
        "4.5.2",
    ] {
        assert!(body.contains(text), "{text} is missing");
    }
}

/// W5
#[test]
fn peers_are_paged_sorted_and_searched() {
    let site = start();
    for host in 1..=45 {
        assert!(site.announce(&format!("10.0.0.{host}"), [7; 20], host % 2 == 0));
    }
    let mut operator = site.operator();
    let page = operator.get("/all_peers?page=3&sort_by=ip&sort=asc").body;
    assert!(
        page.contains("10.0.0.41") && page.contains("10.0.0.45") && !page.contains("10.0.0.40<")
    );
    assert!(page.contains("41–45 / 45"));
    let first = operator.get("/all_peers").body;
    assert!(
        first.contains("10.0.0.45") && !first.contains(">10.0.0.1<"),
        "default is descending by address"
    );
    let found = operator.get("/all_peers?q=10.0.0.8/30").body;
    assert!(found.contains("10.0.0.8") && found.contains("1–4 / 4"));
    assert!(
        operator
            .get("/all_peers?q=qbittorrent")
            .body
            .contains("/ 45")
    );
    assert!(
        operator
            .get("/all_peers?q=Transmission")
            .body
            .contains("/ 0")
    );
    let hash = "07".repeat(20);
    assert!(
        operator
            .get(&format!("/all_peers?q={hash}"))
            .body
            .contains("/ 45")
    );
}

/// W5 W8 W9
#[test]
fn a_list_that_goes_on_says_where_it_ends() {
    let site = start();
    for number in 0_u16..10_001 {
        let mut hash = [0; 20];
        hash[..2].copy_from_slice(&number.to_be_bytes());
        assert!(site.announce("192.0.2.1", hash, true));
    }
    let mut operator = site.operator();
    for (path, last) in [("/all_peers", 500), ("/torrents", 200)] {
        let before = operator.get(&format!("{path}?page={}&lang=en", last - 1));
        assert!(!before.body.contains("goes no further"), "{path}");
        let page = operator.get(&format!("{path}?page={last}&lang=en"));
        assert!(page.body.contains("10,000 / 10,001"), "{path}");
        assert!(page.body.contains("goes no further"), "{path}");
        let beyond = operator.get(&format!("{path}?page={}&lang=ru", last + 1));
        assert!(beyond.body.contains("Дальше список"), "{path}");
        assert!(beyond.body.contains("Ничего нет"), "{path}");
    }
    let mut program = site.visitor();
    let header = format!("Bearer {}", site.token());
    program.headers.push(("Authorization".into(), header));
    let list = program.get("/api/v1/torrents?page=201").json();
    assert_eq!(
        list,
        serde_json::json!({ "total": 10_001, "listed": 10_000, "torrents": [] })
    );
    let narrowed = program.get("/api/v1/torrents?q=2710").json();
    assert_eq!(
        (&narrowed["total"], &narrowed["listed"]),
        (&1.into(), &1.into())
    );
}

/// W1, W4
#[test]
fn blocking_and_unblocking_act_at_once() {
    let site = start();
    let mut operator = site.operator();
    let hash = "AB".repeat(20);
    for (field, value) in [
        ("ip", "192.0.2.1"),
        ("ip", "198.51.100.0/24"),
        ("info_hash", hash.as_str()),
    ] {
        let reply = operator.submit(
            "/blocklist",
            "/blocklist",
            &[(field, value), ("reason", "<b>spam</b>")],
        );
        assert_eq!(
            (reply.status, reply.header("location")),
            (302, "/blocklist?done=block")
        );
    }
    assert!(!site.announce("192.0.2.1", [7; 20], true));
    assert!(!site.announce("198.51.100.77", [7; 20], true));
    assert!(!site.announce("203.0.113.1", [0xab; 20], true));
    assert!(site.announce("203.0.113.1", [7; 20], true));
    let list = operator.get("/blocklist").body;
    assert!(list.contains("198.51.100.0/24") && list.contains(&InfoHash([0xab; 20]).to_string()));
    assert!(list.contains("&lt;b&gt;spam") && !list.contains("<b>spam"));
    for number in 1..=3 {
        let path = format!("/blocklist/unblock/{number}");
        let reply = operator.submit("/blocklist", &path, &[]);
        assert_eq!(
            (reply.status, reply.header("location")),
            (302, "/blocklist?done=unblock")
        );
    }
    assert!(site.announce("192.0.2.1", [7; 20], true));
    assert!(site.announce("203.0.113.1", [0xab; 20], true));
}

/// W4
#[test]
fn an_entry_may_end_and_a_bad_one_is_explained() {
    let site = start();
    let mut operator = site.operator();
    let fields = [("ip", "192.0.2.1"), ("hours", "2")];
    assert_eq!(
        operator.submit("/blocklist", "/blocklist", &fields).status,
        302
    );
    let expires = site.tracker.access().blocks()[0].expires.unwrap();
    assert!(expires > Wall(site.clock.wall().0 + 7_000));
    let reply = operator.submit(
        "/blocklist",
        "/blocklist",
        &[("ip", "\"><script>x"), ("reason", "kept")],
    );
    assert_eq!(reply.status, 400);
    assert!(reply.body.contains("no address and no network") && reply.body.contains("kept"));
    assert!(!reply.body.contains("<script>x"));
}

/// Sends a form that is asked about, and confirms it.
fn asks_first(
    site: &Site,
    operator: &mut Visitor,
    fields: &[(&str, &str)],
    concerns: &[&str],
    counts: &str,
) {
    let (ip, info_hash) = (fields[0].1, fields[1].1);
    let asked = operator.submit("/blocklist", "/blocklist", fields);
    assert_eq!(asked.status, 409, "{ip}");
    assert!(site.tracker.access().blocks().is_empty(), "{ip}");
    for text in concerns.iter().chain([&counts]) {
        assert!(asked.body.contains(text), "{ip}: {text}");
    }
    let told = asked.body.matches("<li>").count();
    assert_eq!(told, concerns.len(), "{ip}");
    // What was typed stays, and the second step carries the form's token as the first one does.
    let confirm = format!("{ip} {info_hash}");
    let carried = format!("name=\"confirm\" value=\"{confirm}\"");
    for kept in ["value=\"kept &quot;so&quot;\"", "value=\"7\"", &carried] {
        assert!(asked.body.contains(kept), "{ip}: {kept}");
    }
    let mut confirmed = fields.to_vec();
    confirmed.push(("confirm", &confirm));
    assert_eq!(operator.post("/blocklist", &confirmed).status, 403);
    // Another target was not asked about.
    let mut other = confirmed.clone();
    other[0] = ("ip", "0.0.0.0/0");
    let reply = operator.submit("/blocklist", "/blocklist", &other);
    assert_eq!(reply.status, 409, "{ip}");
    let reply = operator.submit("/blocklist", "/blocklist", &confirmed);
    assert_eq!(reply.status, 302, "{ip}");
}

/// W4, W11: what may be a slip is asked about, with whom it would hit, and nothing is done before it is sent once more.
#[test]
fn a_block_that_may_be_a_slip_is_asked_about_first() {
    let site = start();
    for number in 0..150 {
        assert!(site.announce(&format!("192.0.2.{number}"), [7; 20], true));
        assert!(site.announce(&format!("2001:db8:{number}::1"), [8; 20], true));
    }
    let mut operator = site.operator();
    let hash = "07".repeat(20);
    for (ip, info_hash, concerns, counts) in [
        ("192.0.2.1", "", &[][..], ""),
        ("192.0.2.0/30", "", &["1 % of all peers"], "<b>4</b> of 300"),
        (
            "",
            hash.as_str(),
            &["1 % of all peers"],
            "<b>150</b> of 300",
        ),
        (
            "192.0.2.1",
            hash.as_str(),
            &["1 % of all peers"],
            "<b>1</b> of 2",
        ),
        (
            "192.0.0.0/15",
            "",
            &["1 % of all", "is wide"],
            "<b>150</b> of 300",
        ),
        ("198.18.0.0/15", "", &["is wide"], "<b>0</b> of 300"),
        (
            "2001:db8::/31",
            "",
            &["1 % of all", "is wide"],
            "<b>150</b> of 300",
        ),
        (
            "127.0.0.1",
            "",
            &["ask from", "admin network"],
            "<b>0</b> of 300",
        ),
        ("127.9.0.0/24", "", &["admin network"], "<b>0</b> of 300"),
    ] {
        let fields = [
            ("ip", ip),
            ("info_hash", info_hash),
            ("reason", "kept \"so\""),
            ("hours", "7"),
        ];
        if concerns.is_empty() {
            let reply = operator.submit("/blocklist", "/blocklist", &fields);
            assert_eq!(reply.status, 302, "{ip}");
        } else {
            asks_first(&site, &mut operator, &fields, concerns, counts);
        }
        for block in site.tracker.access().blocks() {
            let unblock = format!("/blocklist/unblock/{}", block.number);
            assert_eq!(operator.submit("/blocklist", &unblock, &[]).status, 302);
        }
        // Taken back at once, a block costs nobody its place.
        assert_eq!(site.tracker.peers(), 300, "{ip}");
    }
}

/// W4, W8, W11
#[test]
fn the_same_target_again_is_asked_about_before_it_changes() {
    let site = start();
    let mut operator = site.operator();
    let submit = |operator: &mut Visitor, reason: &str, confirm: &str| {
        let fields = [
            ("ip", "192.0.2.1"),
            ("reason", reason),
            ("confirm", confirm),
        ];
        operator.submit("/blocklist", "/blocklist", &fields)
    };
    assert_eq!(submit(&mut operator, "first", "").status, 302);
    assert_eq!(
        submit(&mut operator, "first", "").status,
        302,
        "nothing changes"
    );
    for (language, text) in [("en", "reason and the end"), ("ru", "причина и срок")] {
        operator.cookies.insert("lang".into(), language.into());
        let asked = submit(&mut operator, "second", "");
        assert_eq!(asked.status, 409);
        assert!(asked.body.contains(text) && asked.body.contains("first"));
        assert_eq!(site.tracker.access().blocks()[0].reason, "first");
    }
    assert_eq!(submit(&mut operator, "second", "192.0.2.1").status, 302);
    let blocks = site.tracker.access().blocks();
    assert!(blocks.iter().any(|block| block.reason == "second"));
}

/// W4, W8
#[test]
fn what_the_blocklist_refuses_is_explained_in_the_reader_s_language() {
    let site = start();
    let mut operator = site.operator();
    let fields = [("ip", "192.0.2.1"), ("reason", "kept")];
    for (error, status, english, russian) in [
        (BackendError::BlocklistFull, 409, "is full", "заполнен"),
        (BackendError::Busy, 503, "is busy", "занят"),
        (BackendError::Silent, 503, "may still be done", "ещё может"),
        (BackendError::Closed, 503, "is stopping", "останавливается"),
        (BackendError::Disk, 503, "could not be written", "записать"),
    ] {
        for (language, text) in [("en", english), ("ru", russian)] {
            operator.cookies.insert("lang".into(), language.into());
            *site.refuses.lock().unwrap() = None;
            assert_eq!(
                operator.submit("/blocklist", "/blocklist", &fields).status,
                302
            );
            let number = site.tracker.access().blocks()[0].number;
            let unblock = format!("/blocklist/unblock/{number}");
            site.refuse(error);
            let block = operator.submit("/blocklist", "/blocklist", &fields);
            assert!(block.body.contains("value=\"kept\""));
            let kept = operator.submit("/blocklist", &unblock, &[]);
            let save = operator.submit("/about", "/about/save", &[]);
            for (reply, page) in [(block, "blocklist"), (kept, "blocklist"), (save, "about")] {
                assert_eq!(reply.status, status, "{error} {page}");
                let notice = reply.body.split("role=\"alert\">").nth(1).unwrap();
                let notice = notice.split('<').next().unwrap();
                assert!(notice.contains(text), "{page}: {notice}");
                // A switch of the language leads to a page that can be asked for.
                assert!(reply.body.contains(&format!("\"/{page}?lang=ru\"")));
            }
            *site.refuses.lock().unwrap() = None;
            assert_eq!(operator.submit("/blocklist", &unblock, &[]).status, 302);
        }
    }
}

/// W9
#[test]
fn too_many_tokens_are_refused_and_a_bad_name_is_explained() {
    let site = start();
    let mut operator = site.operator();
    let bad = operator.submit("/about", "/about/tokens", &[("name", "")]);
    assert_eq!(bad.status, 400);
    assert!(bad.body.contains("Name what it is for"));
    for _ in 0..retracker::web::MAX_TOKENS {
        drop(site.token());
    }
    let more = operator.submit("/about", "/about/tokens", &[("name", "y")]);
    assert_eq!(more.status, 409);
    assert!(more.body.contains("There are 100 tokens already"));
}

/// W1, W3: what a path takes is told to those only who may ask for it.
#[test]
fn a_wrong_method_is_405_with_what_the_path_takes() {
    let site = start();
    let mut operator = site.operator();
    let mut program = site.visitor();
    let token = format!("Bearer {}", site.token());
    program.headers.push(("Authorization".into(), token));
    for (method, path, allowed) in [
        ("POST", "/stat", "GET, HEAD"),
        ("PUT", "/blocklist", "GET, HEAD, POST"),
        ("GET", "/blocklist/unblock/1", "POST"),
        ("DELETE", "/login", "GET, HEAD, POST"),
        ("OPTIONS", "/health", "GET, HEAD"),
        ("POST", "/metrics", "GET, HEAD"),
        ("POST", "/static/style.css", "GET, HEAD"),
    ] {
        let reply = operator.send(method, path, "");
        let told = (reply.status, reply.header("allow"));
        assert_eq!(told, (405, allowed), "{method} {path}");
        assert!(!reply.body.is_empty(), "{method} {path}");
    }
    for (method, path, allowed) in [
        ("POST", "/stats.json", "GET, HEAD"),
        ("PATCH", "/api/v1/blocklist", "GET, HEAD, POST"),
        ("GET", "/api/v1/blocklist/1", "DELETE"),
        ("GET", "/api/v1/snapshot", "POST"),
    ] {
        let reply = program.send(method, path, "");
        let told = (reply.status, reply.header("allow"));
        assert_eq!(told, (405, allowed), "{method} {path}");
        assert!(reply.json()["error"].is_string());
        let stranger = site.visitor().send(method, path, "");
        assert_eq!((stranger.status, stranger.header("allow")), (401, ""));
    }
    for path in ["/stat", "/blocklist", "/about"] {
        let stranger = site.visitor().send("PUT", path, "");
        let told = (stranger.status, stranger.header("location"));
        assert_eq!((told, stranger.header("allow")), ((302, "/login"), ""));
    }
}

/// W7
#[test]
fn zones_show_what_stays_local() {
    let site = furnished();
    let body = site.operator().get("/zones").body;
    for text in [
        "&lt;north&gt;",
        "/zones?zone=moscow/%3Cnorth%3E#savings",
        "Announces: 4",
        "2.5",
        "40.0\u{a0}%",
        "25.0\u{a0}%",
        "2.0\u{a0}GiB",
    ] {
        assert!(body.contains(text), "{text} is missing");
    }
}

/// O11, W7, W15: a network with one top zone does not read 100 % where nobody was handed a neighbour.
#[test]
fn locality_is_told_by_level_and_zone_by_zone() {
    let site = start();
    let rule = |path: &str, prefix: &str| ZoneRule {
        path: path.into(),
        prefixes: vec![prefix.parse().unwrap()],
        ..ZoneRule::default()
    };
    let rules = [
        rule("town/<north>", "192.0.2.0/25"),
        rule("town/south", "192.0.2.128/25"),
    ];
    let now = site.clock.now();
    site.tracker
        .set_zones(Zones::new(&rules, &[]).unwrap(), now);
    let mut operator = site.operator();
    site.count();
    assert!(!operator.get("/zones").body.contains("Who was handed whom"));
    let table = |name: &str| format!("/zones?format=csv&table={name}");
    assert_eq!(operator.get(&table("matrix")).status, 404);
    assert!(site.announce("192.0.2.1", [7; 20], true));
    assert!(site.announce("192.0.2.200", [7; 20], false));
    site.count();
    let page = operator.get("/zones").body;
    for text in [
        "Handed out by nearness",
        "There is only one top zone.",
        "Who was handed whom",
        "town/&lt;north&gt;",
        "Estimated from a sample",
        // Of the south's list all were from one level up.
        "<td class=\"n heat-0\" title=\"Peers handed out: 0; Saved, at most: 0\u{a0}B\">0.0\u{a0}%</td>\
         <td class=\"n heat-10\" title=\"Peers handed out: 1; Saved, at most: 0\u{a0}B\">100.0\u{a0}%</td>",
    ] {
        assert!(page.contains(text), "{text} is missing");
    }
    for (name, lines) in [
        (
            "levels",
            "zone,level,peers,percent,saved_bytes\r\n(all),own,0,0.00,0\r\n(all),1,1,100.00,0\r\n(all),stranger,0,0.00,0\r\n\
             town/south,own,0,0.00,0\r\ntown/south,1,1,100.00,0\r\ntown/south,stranger,0,0.00,0\r\n",
        ),
        (
            "matrix",
            "client_zone,peer_zone,peers,percent,saved_bytes\r\ntown/<north>,town/<north>,0,0.00,0\r\n\
             town/<north>,town/south,0,0.00,0\r\ntown/south,town/<north>,1,100.00,0\r\ntown/south,town/south,0,0.00,0\r\n",
        ),
    ] {
        let file = operator.get(&table(name));
        assert_eq!((file.status, file.body.as_str()), (200, lines), "{name}");
        let links = page
            .matches(&format!("format=csv&amp;table={name}"))
            .count();
        assert_eq!(links, 2, "{name}: one below each table");
    }
    let metrics = operator.get("/metrics").body;
    for line in [
        "retracker_handed_out_by_level_total{level=\"own\"} 0",
        "retracker_handed_out_by_level_total{level=\"1\"} 1",
        "retracker_handed_out_by_level_total{level=\"stranger\"} 0",
    ] {
        assert!(metrics.contains(line), "{line} is missing");
    }
}

/// W7, W9, O11
#[test]
fn savings_are_shown_by_hour_for_a_zone_with_all_below_it() {
    let site = start();
    let rule = |path: &str, prefix: &str| ZoneRule {
        path: path.into(),
        prefixes: vec![prefix.parse().unwrap()],
        ..ZoneRule::default()
    };
    let rules = [
        rule("town/north", "10.1.0.0/16"),
        rule("town/south & west", "10.2.0.0/16"),
        rule("village", "10.3.0.0/16"),
    ];
    let now = site.clock.now();
    site.tracker
        .set_zones(Zones::new(&rules, &[]).unwrap(), now);
    let hour = site.clock.wall().0 / 3_600;
    let row = |path: &str, hours: &[(u64, u64)]| ZoneStatisticsRow {
        path: path.into(),
        hours: hours.to_vec(),
        ..ZoneStatisticsRow::default()
    };
    site.tracker.restore_zone_statistics(&[
        row("town/north", &[(hour - 100, 512), (hour - 1, 1_024)]),
        row("town/south & west", &[(hour - 1, 2_048), (hour, 3)]),
        row("village", &[(hour, 5_000)]),
    ]);
    site.count();
    let mut operator = site.operator();
    let page = operator.get("/zones?zone=town").body;
    for text in [
        "/zones?zone=town/south%20%26%20west#savings",
        "Saved, at most: town</h2>",
        "<b>3.0\u{a0}GiB</b>",
        "<b>3.5\u{a0}GiB</b>",
    ] {
        assert!(page.contains(text), "{text} is missing");
    }
    let all = operator.get("/zones").body;
    assert!(all.contains("Saved, at most: All zones") && all.contains("<b>7.9\u{a0}GiB</b>"));
    assert!(
        operator
            .get("/zones?zone=nowhere")
            .body
            .contains("All zones</h2>")
    );
    let saved = operator.get("/api/v1/zones/savings?zone=town/north").json();
    assert_eq!(saved["hours"][1]["start"], (hour - 1) * 3_600);
    assert_eq!(saved["hours"][1]["saved_bytes"], 1_u64 << 30);
    let all = operator.get("/api/v1/zones/savings").json();
    assert_eq!(all["hours"][2]["saved_bytes"], 5_003_u64 << 20);
    assert_eq!(
        operator.get("/api/v1/zones/savings?zone=nowhere").status,
        404
    );
    let zones = &operator.get("/stats.json").json()["zones"];
    assert_eq!(zones.as_array().map(Vec::len), Some(5));
    assert_eq!(zones[4]["zone"], "village");
}

/// W10
#[test]
fn clients_and_callers_are_listed() {
    let site = furnished();
    let mut operator = site.operator();
    let clients = operator.get("/clients").body;
    assert!(clients.contains("qBittorrent") && clients.contains("100.0\u{a0}%"));
    let callers = operator.get("/callers").body;
    assert!(callers.contains("192.0.2.9") && callers.contains("1,234"));
    assert!(callers.contains("href=\"/blocklist?ip=192.0.2.9\""));
}

/// O8
#[test]
fn bans_are_shown_and_lifted_by_operators() {
    let site = start();
    let mut operator = site.operator();
    assert!(operator.get("/callers").body.contains("Nobody is banned."));
    site.ban("192.0.2.66/32", 1);
    site.ban("2001:db8:0:7::/64", 2);
    let callers = operator.get("/callers").body;
    assert!(callers.contains("192.0.2.66") && callers.contains("2001:db8:0:7::/64"));
    assert!(callers.contains("<td data-label=\"Too many\">requests</td>"));
    site.refuse(BackendError::Disk);
    assert_eq!(
        operator.submit("/callers", "/callers/lift/1", &[]).status,
        503
    );
    *site.refuses.lock().unwrap() = None;
    let lifted = operator.submit("/callers", "/callers/lift/1", &[]);
    assert_eq!(
        (lifted.status, lifted.header("location")),
        (302, "/callers?done=lift")
    );
    let callers = operator.get("/callers?done=lift").body;
    assert!(callers.contains("The ban is lifted.") && !callers.contains("192.0.2.66"));
    assert_eq!(operator.post("/callers/lift/2", &[]).status, 403);
    // One that is over by itself is as good as lifted.
    assert_eq!(
        operator.submit("/callers", "/callers/lift/1", &[]).status,
        302
    );
    assert_eq!(
        operator.submit("/callers", "/callers/lift/x", &[]).status,
        404
    );
    assert_eq!(site.limits.bans(site.clock.now()).len(), 1);
    let audit = operator.get("/audit").body;
    assert!(audit.contains("lifted the ban") && audit.contains("192.0.2.66"));
}

/// O8: a page has room for some of them.
#[test]
fn very_many_bans_are_counted_and_in_the_file() {
    let site = start();
    for number in 1..=600_u32 {
        let ip = std::net::Ipv4Addr::from_bits(0xc000_0200 + number);
        site.ban(&format!("{ip}/32"), number.into());
    }
    let mut operator = site.operator();
    let callers = operator.get("/callers").body;
    assert_eq!(callers.matches("/callers/lift/").count(), 500);
    assert!(callers.contains("Further bans are in the CSV and in the API: 100."));
    let csv = operator.get("/callers?format=csv&table=bans").body;
    assert_eq!(csv.lines().count(), 601);
}

#[test]
fn tokens_are_made_shown_once_and_revoked() {
    let site = start();
    let mut operator = site.operator();
    let made = operator.submit("/about", "/about/tokens", &[("name", "grafana")]);
    let (_, rest) = made.body.split_once("id=\"secret\">").unwrap();
    let token = rest.split('<').next().unwrap().to_owned();
    let mut program = site.visitor();
    program
        .headers
        .push(("Authorization".into(), format!("Bearer {token}")));
    assert_eq!(program.get("/stats.json").status, 200);
    let about = operator.get("/about").body;
    assert!(about.contains("grafana") && !about.contains(&token));
    assert!(about.contains("***"));
    let reply = operator.submit("/about", "/about/tokens/1/revoke", &[]);
    assert_eq!(reply.header("location"), "/about?done=revoke");
    assert_eq!(program.get("/stats.json").status, 401);
}

/// O5
#[test]
fn health_turns_when_snapshots_are_late_and_back() {
    let site = start();
    let mut visitor = site.visitor();
    assert_eq!(visitor.get("/health").json()["status"], "ok");
    let metrics = site.tracker.metrics();
    metrics.set(Gauge::SnapshotAlive, 1);
    let reply = visitor.get("/health");
    assert_eq!(
        (reply.status, reply.json()["faults"][0].as_str()),
        (503, Some("snapshots_silent"))
    );
    let text = reply.json()["texts"][0].to_string();
    assert!(text.contains("nothing goes to the disk"), "{text}");
    assert!(
        site.operator()
            .get("/stat")
            .body
            .contains("no sign of life")
    );
    metrics.set(Gauge::SnapshotAlive, site.clock.now().raw().into());
    assert_eq!(visitor.get("/health").status, 200);
    metrics.set(Gauge::Restored, 0);
    assert_eq!(
        (visitor.get("/health").status, visitor.get("/ready").status),
        (200, 503)
    );
}
