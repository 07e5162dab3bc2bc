//! The page and the calls of the listed torrents (O21), and what is shown of files (O22).

use std::sync::Arc;

use retracker::audit::Deed;
use retracker::tracker::{InfoHash, TorrentSet};
use retracker::web::{BackendError, Scope};

use crate::harness::{Site, start};

fn close(site: &Site) {
    let access = site.tracker.access();
    access.list_torrents(|listed| listed.is_closed = true);
}

fn is_listed(site: &Site, number: u8) -> bool {
    let listed = site.tracker.access().listed_torrents();
    listed.contains(&InfoHash([number; 20]))
}

/// O21, W12
#[test]
fn torrents_are_listed_and_taken_off_on_the_page() {
    let site = start();
    close(&site);
    let mut operator = site.operator();
    assert!(!site.announce("192.0.2.1", [7; 20], true));
    let (sevens, eights) = ("07".repeat(20), "08".repeat(32));
    let text = format!("{sevens}\r\n{eights}");
    let fields = [("hashes", text.as_str()), ("action", "add")];
    assert_eq!(operator.submit("/listed", "/listed", &fields).status, 302);
    assert!(is_listed(&site, 7) && is_listed(&site, 8));
    assert!(site.announce("192.0.2.1", [7; 20], true));
    let page = operator.get("/listed?done=list").body;
    assert!(page.contains(&format!("/torrents/{sevens}")) && page.contains("/etc/listed"));
    assert!(page.contains("Only listed torrents are served"));
    let found = operator.get("/listed?q=08").body;
    assert!(found.contains(&"08".repeat(20)) && !found.contains(&sevens));
    assert!(
        operator
            .get("/listed?q=09")
            .body
            .contains("No such torrent")
    );
    for bad in ["", "abcd", &format!("{sevens} x")] {
        let fields = [("hashes", bad), ("action", "add")];
        let refused = operator.submit("/listed", "/listed", &fields);
        assert!(
            refused.status == 400 && refused.body.contains("40 or 64 hex"),
            "{bad}"
        );
    }
    let fields = [("hashes", eights.as_str()), ("action", "remove")];
    assert_eq!(operator.submit("/listed", "/listed", &fields).status, 302);
    assert!(is_listed(&site, 7) && !is_listed(&site, 8));
    let told: Vec<_> = site.audit.latest().unwrap();
    assert_eq!(
        (told[0].deed, &told[0].about),
        (Deed::Delist, &"08".repeat(20))
    );
    assert_eq!(told[1].deed, Deed::List);
    assert!(told[1].about.starts_with("2 torrents: 0707"));
    site.refuse(BackendError::TooManyTorrents);
    let full = operator.submit(
        "/listed",
        "/listed",
        &[("hashes", &sevens), ("action", "add")],
    );
    assert!(full.status == 409 && full.body.contains("is full"));
}

/// O21, W11: taking off what many peers are in is asked for twice, and nothing else is confirmed by that.
#[test]
fn nothing_is_emptied_by_a_slip() {
    let site = start();
    close(&site);
    let mut operator = site.operator();
    let (sevens, eights) = ("07".repeat(20), "08".repeat(20));
    let text = format!("{sevens}\n{eights}");
    operator.submit(
        "/listed",
        "/listed",
        &[("hashes", &text), ("action", "add")],
    );
    assert!(site.announce("192.0.2.1", [7; 20], true));
    let fields = [("hashes", sevens.as_str()), ("action", "remove")];
    let asked = operator.submit("/listed", "/listed", &fields);
    assert_eq!(asked.status, 409);
    assert!(asked.body.contains("more than 1 %") && is_listed(&site, 7));
    let fields = asked.hidden_fields();
    let confirm = fields.iter().find(|(name, _)| name == "confirm").unwrap();
    let sent = |hashes: &str| {
        [
            ("hashes", hashes.to_owned()),
            ("action", "remove".to_owned()),
            ("confirm", confirm.1.clone()),
        ]
    };
    let mut send = |hashes: &str| {
        let sent = sent(hashes);
        let fields: Vec<(&str, &str)> = sent
            .iter()
            .map(|(name, text)| (*name, text.as_str()))
            .collect();
        operator.submit("/listed", "/listed", &fields).status
    };
    assert_eq!(send(&text), 409);
    assert_eq!(send(&sevens), 302);
    assert!(!is_listed(&site, 7) && is_listed(&site, 8));
    assert_eq!(site.tracker.peers(), 0);

    let mut program = site.program(Scope::Block, None);
    let add = format!(r#"{{"add":["{sevens}"]}}"#);
    assert_eq!(program.send("POST", "/api/v1/listed", &add).status, 200);
    assert_eq!(site.tracker.peers(), 1);
    let body = |force: bool| format!(r#"{{"remove":["{sevens}"],"force":{force}}}"#);
    let asked = program.send("POST", "/api/v1/listed", &body(false));
    assert_eq!(
        (asked.status, &asked.json()["because"][0]),
        (409, &"many_peers".into())
    );
    assert_eq!(
        program.send("POST", "/api/v1/listed", &body(true)).status,
        200
    );
    assert!(!is_listed(&site, 7));
}

/// O21: what only the file lists, the file takes off; nothing else of such a request is done either.
#[test]
fn what_stands_in_the_file_stays_and_whoever_takes_it_off_is_told() {
    let site = start();
    let in_file = Arc::new(TorrentSet::new(vec![InfoHash([1; 20]), InfoHash([2; 20])]));
    let added = Arc::new(TorrentSet::new(vec![InfoHash([2; 20]), InfoHash([3; 20])]));
    let access = site.tracker.access();
    access.list_torrents(|listed| (listed.of_file, listed.added) = (in_file, added));
    let [ones, twos, threes] = ["01", "02", "03"].map(|byte| byte.repeat(20));
    let mut program = site.program(Scope::Block, None);
    let body = format!(r#"{{"remove":["{ones}","{threes}"],"force":true}}"#);
    let refused = program.send("POST", "/api/v1/listed", &body);
    assert_eq!(refused.status, 409);
    let told = refused.json()["error"].as_str().unwrap().to_owned();
    assert!(told.contains("torrents_file"), "{told}");
    let mut operator = site.operator();
    let text = format!("{threes}\n{ones}");
    let fields = [("hashes", text.as_str()), ("action", "remove")];
    let refused = operator.submit("/listed", "/listed", &fields);
    assert!(refused.status == 409 && refused.body.contains(&told));
    assert!(is_listed(&site, 1) && is_listed(&site, 3));
    // One of both lists is the page's to take off its own, and one of neither is off already.
    let fours = "04".repeat(20);
    let body = format!(r#"{{"remove":["{twos}","{threes}","{fours}"]}}"#);
    let done = program.send("POST", "/api/v1/listed", &body);
    assert_eq!((done.status, &done.json()["removed"]), (200, &2.into()));
    assert!(is_listed(&site, 2) && !is_listed(&site, 3));
}

/// O21, W9, W13
#[test]
fn programs_list_torrents_and_read_the_list_in_pieces() {
    let site = start();
    let mut program = site.program(Scope::Block, None);
    let base32 = "MFRGGZDFMZTWQ2LKNNWG23TPOBYXE43U";
    let add = format!(
        r#"{{"add":["{}","{}","{base32}"],"remove":["{}"]}}"#,
        "01".repeat(20),
        "02".repeat(32),
        "09".repeat(20)
    );
    let made = program.send("POST", "/api/v1/listed", &add);
    assert_eq!(made.status, 200);
    assert_eq!(
        made.json(),
        serde_json::json!({"added": 3, "removed": 0, "total": 3})
    );
    let first = program.get("/api/v1/listed?limit=2").json();
    assert_eq!(
        (&first["only_listed"], &first["added"]),
        (&false.into(), &3.into())
    );
    assert_eq!(first["torrents"].as_array().unwrap().len(), 2);
    assert_eq!(first["torrents"][0]["info_hash"], "01".repeat(20));
    let next = first["next"].as_str().unwrap();
    let second = program
        .get(&format!("/api/v1/listed?limit=2&from={next}"))
        .json();
    assert_eq!(
        second["torrents"][0]["info_hash"],
        "6162636465666768696a6b6c6d6e6f7071727374"
    );
    assert!(second["next"].is_null());
    for (body, status) in [
        ("{}", 400),
        (r#"{"add":["abcd"]}"#, 400),
        (r#"{"add":[7]}"#, 400),
        (r#"{"surprise":1}"#, 400),
    ] {
        assert_eq!(
            program.send("POST", "/api/v1/listed", body).status,
            status,
            "{body}"
        );
    }
    let mut reader = site.program(Scope::Read, None);
    assert_eq!(reader.get("/api/v1/listed").status, 200);
    assert_eq!(reader.send("POST", "/api/v1/listed", &add).status, 403);
    // What is answered is what the description says.
    let description = program.get("/api/v1/openapi.json").json();
    let listed = &description["paths"]["/api/v1/listed"];
    let keys = |value: &serde_json::Value| -> Vec<String> {
        let mut keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    };
    let schema = |method: &str| {
        listed[method]["responses"]["200"]["content"]["application/json"]["schema"]["properties"]
            .clone()
    };
    assert_eq!(keys(&schema("get")), keys(&first));
    assert_eq!(keys(&schema("post")), keys(&made.json()));
    let row = &description["components"]["schemas"]["ListedTorrent"]["properties"];
    assert_eq!(keys(row), keys(&first["torrents"][0]));
    let files = program.get("/api/v1/blocklist").json();
    let file = &description["components"]["schemas"]["ListFile"]["properties"];
    assert_eq!(keys(file), keys(&files["files"][0]));
}

/// O22: counts and not a million rows; what is wrong with a file is told, as text.
#[test]
fn the_blocklist_shows_its_files() {
    let site = start();
    let page = site.operator().get("/blocklist").body;
    assert!(
        page.contains("7,000") || page.contains("7\u{202f}000") || page.contains("7 000"),
        "{page}"
    );
    assert!(page.contains("cannot be unblocked here"));
    assert!(page.contains("&lt;b&gt;fault&lt;") && !page.contains("<b>fault"));
    let program = site
        .program(Scope::Read, None)
        .get("/api/v1/blocklist")
        .json();
    assert_eq!(program["files"][0]["ranges"], 7_000);
    assert_eq!(program["files"].as_array().unwrap().len(), 1);
}

/// O21: a torrent's own page says that it is not listed.
#[test]
fn a_torrent_that_is_not_listed_says_so() {
    let site = start();
    let mut operator = site.operator();
    let path = format!("/torrents/{}", "07".repeat(20));
    assert!(!operator.get(&path).body.contains("not listed"));
    close(&site);
    assert!(operator.get(&path).body.contains("not listed"));
}
