//! The API and the endpoints for monitoring.

use std::sync::Arc;

use retracker::metrics::{Action, Family, Gauge, Transport};
use retracker::net::client_address::ClientAddressRules;
use retracker::net::hosts::Hosts;
use retracker::web::{BackendError, Scope};

use crate::harness::{Site, Visitor, exchange, parse, start};

fn program(site: &Site) -> Visitor {
    let mut visitor = site.visitor();
    let header = format!("Bearer {}", site.token());
    visitor.headers.push(("Authorization".into(), header));
    visitor
}

/// W9
#[test]
fn a_token_opens_the_api_and_nothing_else() {
    let site = start();
    let mut program = program(&site);
    for path in [
        "/stats.json",
        "/api/v1/stats",
        "/api/v1/history?range=day",
        "/api/v1/zones",
        "/api/v1/clients",
        "/api/v1/torrents",
        "/api/v1/blocklist",
        "/api/v1/openapi.json",
    ] {
        let reply = program.get(path);
        assert_eq!(reply.status, 200, "{path}");
        assert!(reply.json().is_object(), "{path}");
        assert_eq!(site.visitor().get(path).status, 401, "{path}");
    }
    assert_eq!(program.get("/stat").status, 302);
    assert_eq!(program.get("/about").status, 302);
}

/// W9
#[test]
fn figures_and_torrents_are_told() {
    let site = start();
    assert!(site.announce("192.0.2.1", [7; 20], true));
    site.count();
    let counters = site.tracker.metrics().counters(0);
    counters.answered(Transport::Udp, Family::V4, Action::Announce);
    site.tracker.metrics().set(Gauge::SeedersV4, 1);
    let mut program = program(&site);
    let stats = program.get("/api/v1/stats").json();
    assert_eq!(
        (&stats["seeders"], &stats["announces"]),
        (&1.into(), &1.into())
    );
    assert_eq!(stats["announce_interval_seconds"], 1_800);
    let list = program.get("/api/v1/torrents?q=0707").json();
    assert_eq!(
        (&list["total"], &list["torrents"][0]["seeders"]),
        (&1.into(), &1.into())
    );
    let one = program
        .get(&format!("/api/v1/torrents/{}", "07".repeat(20)))
        .json();
    assert_eq!(one["clients"][0]["name"], "qBittorrent");
    assert_eq!(program.get("/api/v1/torrents/07").status, 404);
    assert_eq!(
        program
            .get(&format!("/api/v1/torrents/{}", "08".repeat(20)))
            .status,
        404
    );
}

/// O8, W9
#[test]
fn bans_are_told_and_lifted_with_a_token_that_may_block() {
    let site = start();
    site.ban("192.0.2.66/32", 7);
    let mut reader = site.program(Scope::Read, None);
    let bans = reader.get("/api/v1/bans").json();
    let ban = &bans["bans"][0];
    assert_eq!(
        (&ban["number"], &ban["ip"], &ban["too_many"]),
        (&7.into(), &"192.0.2.66".into(), &"requests".into())
    );
    let lasts = ban["expires"].as_u64().unwrap() - ban["created"].as_u64().unwrap();
    assert_eq!(lasts, 3_600);
    assert_eq!(reader.send("DELETE", "/api/v1/bans/7", "").status, 403);
    let mut blocker = site.program(Scope::Block, None);
    site.refuse(BackendError::Disk);
    assert_eq!(blocker.send("DELETE", "/api/v1/bans/7", "").status, 503);
    for number in ["+7", "07"] {
        let path = format!("/api/v1/bans/{number}");
        assert_eq!(blocker.send("DELETE", &path, "").status, 404, "{number}");
    }
    *site.refuses.lock().unwrap() = None;
    assert_eq!(blocker.send("DELETE", "/api/v1/bans/7", "").status, 204);
    for number in ["7", "x", "-1"] {
        let path = format!("/api/v1/bans/{number}");
        assert_eq!(blocker.send("DELETE", &path, "").status, 404, "{number}");
    }
    let stranger = site.visitor().get("/api/v1/bans");
    assert_eq!(stranger.status, 401);
    let metrics = site.visitor().get("/metrics").body;
    assert!(metrics.contains("retracker_bans 0\n"));
}

/// W4, W9
#[test]
fn the_blocklist_is_changed_with_a_token_only() {
    let site = start();
    let mut program = program(&site);
    let made = program.send(
        "POST",
        "/api/v1/blocklist",
        r#"{"ip":"192.0.2.0/24","reason":"x"}"#,
    );
    assert_eq!(
        (made.status, &made.json()["ip"]),
        (201, &"192.0.2.0/24".into())
    );
    assert!(!site.announce("192.0.2.1", [7; 20], true));
    for (body, status) in [
        (r#"{}"#, 400),
        (r#"{"ip":"x"}"#, 400),
        (r#"{"ip":"10.0.0.1","info_hash":"x"}"#, 400),
        (r#"{"ip":7}"#, 400),
        (r#"{"ip":"10.0.0.1","surprise":1}"#, 400),
        ("{", 400),
    ] {
        assert_eq!(
            program.send("POST", "/api/v1/blocklist", body).status,
            status,
            "{body}"
        );
    }
    let long = format!("{{\"ip\":\"{}\"}}", "x".repeat(5_000));
    let refused = program.send("POST", "/api/v1/blocklist", &long);
    assert_eq!(refused.status, 413);
    assert_eq!(refused.json()["error"], "request body too long");
    for number in ["+1", "01", "-1", "%2B1"] {
        let path = format!("/api/v1/blocklist/{number}");
        let refused = program.send("DELETE", &path, "");
        assert_eq!(refused.status, 404, "{number}");
        assert_eq!(refused.json()["error"], "not found", "{number}");
    }
    let mut operator = site.operator();
    assert_eq!(operator.get("/api/v1/blocklist").status, 200);
    assert_eq!(
        operator.send("DELETE", "/api/v1/blocklist/1", "").status,
        401
    );
    assert_eq!(
        program.send("DELETE", "/api/v1/blocklist/1", "").status,
        204
    );
    assert_eq!(
        program.send("DELETE", "/api/v1/blocklist/1", "").status,
        404
    );
    assert_eq!(
        program.send("DELETE", "/api/v1/blocklist/x", "").status,
        404
    );
    assert!(site.announce("192.0.2.1", [7; 20], true));
    assert_eq!(program.send("POST", "/api/v1/snapshot", "").status, 204);
}

/// W9
#[test]
fn what_is_wrong_with_a_block_is_told_in_a_sentence() {
    let site = start();
    let mut program = program(&site);
    for (body, sentence) in [
        (
            r#"{"ip":"10.0.0.1","reason":"a\u0007"}"#,
            "A reason has at most 500 characters, all on one line.",
        ),
        (r#"{"ip":"x"}"#, "This is no address and no network."),
        (
            r#"{"ip":""}"#,
            "Give an address, a network or an info hash.",
        ),
        (r#"{"info_hash":"x"}"#, "An info hash has 40 hex digits."),
        (
            r#"{"ip":"10.0.0.1","hours":0}"#,
            "The hours are a whole number from 1 to 87600.",
        ),
    ] {
        let refused = program.send("POST", "/api/v1/blocklist", body);
        assert_eq!(refused.status, 400, "{body}");
        assert_eq!(refused.json()["error"], sentence, "{body}");
    }
}

/// W9, W11
#[test]
fn a_program_says_force_where_a_block_may_be_a_slip() {
    let site = start();
    let mut program = program(&site);
    let description = program.get("/api/v1/openapi.json").json();
    let schemas = &description["components"]["schemas"];
    for number in 0..100 {
        assert!(site.announce(&format!("192.0.2.{number}"), [7; 20], true));
    }
    for (body, because, peers) in [
        (r#"{"ip":"192.0.2.0/24""#, &["many_peers"][..], 100),
        (r#"{"ip":"192.0.2.8/31""#, &["many_peers"], 2),
        (r#"{"ip":"10.0.0.0/8""#, &["wide_network"], 0),
        (r#"{"ip":"127.0.0.1""#, &["own_address", "admin_network"], 0),
        (
            r#"{"info_hash":"0707070707070707070707070707070707070707""#,
            &["many_peers"],
            100,
        ),
    ] {
        let asked = program.send("POST", "/api/v1/blocklist", &format!("{body}}}"));
        let told = asked.json();
        assert_eq!(
            (asked.status, &told["because"]),
            (409, &because.into()),
            "{body}"
        );
        assert_eq!(
            (&told["peers"], &told["of_peers"]),
            (&peers.into(), &100.into())
        );
        let torrents = u32::from(peers > 0);
        assert_eq!(
            (&told["torrents"], &told["of_torrents"]),
            (&torrents.into(), &1.into())
        );
        assert_eq!(told["known"].as_array().unwrap().len(), 0);
        assert!(told["error"].as_str().unwrap().contains("force"));
        let described = schemas["Unconfirmed"]["properties"].as_object().unwrap();
        assert!(described.keys().eq(told.as_object().unwrap().keys()));
        let known = &schemas["Unconfirmed"]["properties"]["because"]["items"]["enum"];
        assert!(
            because
                .iter()
                .all(|name| known.as_array().unwrap().contains(&(*name).into()))
        );
        assert!(site.tracker.access().blocks().is_empty());
        let made = program.send(
            "POST",
            "/api/v1/blocklist",
            &format!(r#"{body},"force":true}}"#),
        );
        assert_eq!(made.status, 201, "{body}");
        let unblock = format!("/api/v1/blocklist/{}", made.json()["number"]);
        assert_eq!(program.send("DELETE", &unblock, "").status, 204);
        assert_eq!(site.tracker.peers(), 100, "{body}");
    }
    let block = |reason: &str, force: bool| {
        format!(r#"{{"ip":"198.51.100.1","reason":"{reason}","force":{force}}}"#)
    };
    let mut send = |body: &str| program.send("POST", "/api/v1/blocklist", body);
    assert_eq!(send(&block("first", false)).status, 201);
    let asked = send(&block("second", false));
    assert_eq!(asked.status, 409);
    assert_eq!(asked.json()["because"][0], "already_blocked");
    assert_eq!(asked.json()["known"][0]["reason"], "first");
    assert_eq!(send(&block("second", true)).status, 201);
}

/// W4, W9
#[test]
fn what_is_not_done_is_refused_with_its_reason() {
    let site = start();
    let mut program = program(&site);
    let description = program.get("/api/v1/openapi.json").json();
    for (error, status, reason) in [
        (BackendError::BlocklistFull, 409, "full"),
        (BackendError::TooLong, 400, "500 characters"),
        (BackendError::Busy, 503, "busy"),
        (BackendError::Silent, 503, "may still be done"),
        (BackendError::Closed, 503, "stopping"),
        (BackendError::Disk, 503, "could not be written"),
    ] {
        site.refuse(error);
        let body = r#"{"ip":"192.0.2.1"}"#;
        let block = program.send("POST", "/api/v1/blocklist", body);
        let described = &description["paths"]["/api/v1/blocklist"]["post"]["responses"];
        assert!(described[status.to_string()].is_object(), "{status}");
        let unblock = program.send("DELETE", "/api/v1/blocklist/1", "");
        let save = program.send("POST", "/api/v1/snapshot", "");
        for reply in [block, unblock, save] {
            let told = reply.json();
            assert_eq!(reply.status, status, "{told}");
            let text = told["error"].as_str().unwrap();
            assert!(text.contains(reason), "{text}");
        }
    }
    assert!(site.announce("192.0.2.1", [7; 20], true));
}

/// W9: a right token is not called wrong because its file cannot be read.
#[test]
fn tokens_that_cannot_be_read_are_no_wrong_tokens() {
    let site = start();
    let mut program = program(&site);
    assert_eq!(program.get("/api/v1/stats").status, 200);
    let file = site.folder.path().join("retracker.tokens");
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    assert_eq!(program.get("/api/v1/stats").status, 503);
    assert_eq!(site.visitor().get("/api/v1/stats").status, 401);
    let mut operator = site.operator();
    assert!(operator.get("/about").body.contains("could not be read"));
    let made = operator.submit("/about", "/about/tokens", &[("name", "x")]);
    assert_eq!(made.status, 503);
    let revoked = operator.submit("/about", "/about/tokens/1/revoke", &[]);
    assert_eq!(revoked.status, 503);
}

/// O4
#[test]
fn metrics_are_for_admin_networks_and_well_formed() {
    let site = start();
    let counters = site.tracker.metrics().counters(0);
    counters.answered(Transport::Http, Family::V6, Action::Scrape);
    let reply = site.visitor().get("/metrics");
    assert_eq!(reply.status, 200);
    assert!(
        reply
            .header("content-type")
            .starts_with("text/plain; version=0.0.4")
    );
    let line =
        "retracker_requests_total{transport=\"http\",action=\"scrape\",ip_version=\"6\"} 1\n";
    assert!(reply.body.contains(line));
    assert!(reply.body.len() < 64 * 1_024);
    let mut described = std::collections::HashSet::new();
    for line in reply.body.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            assert!(described.insert(rest.split(' ').next().unwrap().to_owned()));
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().unwrap();
            let base = ["_bucket", "_sum", "_count"];
            let base = base.iter().find_map(|end| name.strip_suffix(end));
            assert!(
                described.contains(base.unwrap_or(name)) || described.contains(name),
                "{line}"
            );
            assert!(
                line.rsplit(' ').next().unwrap().parse::<f64>().is_ok(),
                "{line}"
            );
        }
    }
    site.address_rules.store(Arc::new(ClientAddressRules {
        admin_networks: Default::default(),
        ..ClientAddressRules::default()
    }));
    assert_eq!(site.visitor().get("/metrics").status, 403);
    assert_eq!(program(&site).get("/api/v1/metrics").status, 200);
}

/// O4: a foreign site that has its own name lead here (DNS rebinding) reads nothing that needs no login.
#[test]
fn what_is_open_to_admins_is_shown_under_known_names_only() {
    let site = start();
    site.address_rules.store(Arc::new(ClientAddressRules {
        hosts: Hosts::new(vec!["tracker.isp.example".into()]),
        ..ClientAddressRules::default()
    }));
    let under = |host: &str| {
        let mut visitor = site.visitor();
        visitor.headers.push(("Host".into(), host.into()));
        visitor
    };
    for (host, status) in [
        ("127.0.0.1:8080", 200),
        ("[::1]", 200),
        ("localhost:8080", 200),
        ("retracker.local", 200),
        ("Tracker.ISP.example:8080", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example:8080", 403),
    ] {
        assert_eq!(under(host).get("/metrics").status, status, "{host}");
        let health = under(host).get("/health");
        let is_told_all = health.body.contains("faults");
        assert_eq!((health.status, is_told_all), (200, status == 200), "{host}");
    }
    assert_eq!(
        site.visitor().get("http://evil.example/metrics").status,
        403
    );
    // What is behind the login is shown under any name: the cookie belongs to it.
    let mut operator = site.operator();
    operator.headers.push(("Host".into(), "any.example".into()));
    assert_eq!(operator.get("/stat").status, 200);
}

/// O4
#[test]
fn the_dashboard_asks_for_metrics_that_exist() {
    // One of several: what there is of others is there too.
    let site = crate::sites::among_others();
    let metrics = site.visitor().get("/metrics").body;
    let dashboard = include_str!("../../docs/grafana.json");
    let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
    let mut asked = 0;
    for prefix in ["retracker_", "process_"] {
        for (at, _) in dashboard.match_indices(prefix) {
            let rest = &dashboard[at..];
            let name = &rest[..rest.find(|c| !is_name(c)).unwrap()];
            let name = name.strip_suffix("_bucket").unwrap_or(name);
            assert!(metrics.contains(&format!("# TYPE {name} ")), "{name}");
            asked += 1;
        }
    }
    assert!(asked > 20);
}

/// W9
#[test]
fn the_description_names_every_path_and_every_figure() {
    let site = start();
    let mut program = program(&site);
    let description = program.get("/api/v1/openapi.json").json();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            assert!(operation["responses"].is_object(), "{method} {path}");
            let path = path
                .replace("{info_hash}", &"0".repeat(40))
                .replace("{number}", "7");
            let reply = program.send(&method.to_uppercase(), &path, "");
            assert!(
                ![405, 401, 500].contains(&reply.status),
                "{method} {path}: {}",
                reply.status
            );
            let status = reply.status.to_string();
            assert!(
                operation["responses"][&status].is_object(),
                "{method} {path} gave {status}"
            );
        }
    }
    let figures = &description["components"]["schemas"]["Figures"]["properties"];
    let stats = program.get("/stats.json").json();
    let keys = |value: &serde_json::Value| -> Vec<String> {
        let mut keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    };
    assert_eq!(keys(figures), keys(&stats));
}

/// W9: what is refused before the API sees it is told to programs as all else is, and to people as ever.
#[test]
fn refusals_below_the_api_are_json_wherever_they_come_from() {
    let site = start();
    for (request, status, text) in [
        (
            "POST {}/blocklist HTTP/1.1\r\nHost: x\r\nContent-Length: 99999",
            413,
            "request body too long",
        ),
        (
            "POST http://x{}/blocklist HTTP/1.1\r\nHost: x\r\nContent-Length: 99999",
            413,
            "request body too long",
        ),
        (
            "POST {}/blocklist HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 9",
            415,
            "encoded bodies are not taken",
        ),
        (
            "POST {}/blocklist HTTP/1.1\r\nHost: x\r\nExpect: word",
            417,
            "expectation not met",
        ),
        (
            "GET {}/blocklist HTTP/1.1\r\nHost: x\r\nHost: y",
            400,
            "bad request",
        ),
        ("GET {}/nothing HTTP/1.1\r\nHost: x", 404, "not found"),
    ] {
        let ask = |place: &str| {
            let head = format!("{}\r\n\r\n", request.replace("{}", place));
            let bytes = exchange(site.address, "127.0.0.1", head.as_bytes());
            parse(&bytes)
        };
        let told = ask("/api/v1");
        assert_eq!(
            (told.status, told.header("content-type")),
            (status, "application/json"),
            "{request}"
        );
        assert_eq!(told.json(), serde_json::json!({ "error": text }));
        assert_eq!(told.header("x-frame-options"), "DENY");
        let shown = ask("/pages");
        assert!(
            shown.header("content-type").starts_with("text/plain"),
            "{request}"
        );
    }
}
