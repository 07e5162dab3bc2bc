//! Keys of announce addresses on their page and in the API (O16): made once, shown once, and never again.

use retracker::clock::Wall;
use retracker::tracker::{KeyDigest, KeyRecord, NewKey};
use retracker::web::{BackendError, Scope};

use crate::harness::{Site, Visitor, start};

fn program(site: &Site) -> Visitor {
    site.program(Scope::Admin, None)
}

/// Makes keys by the API and returns them with their numbers.
fn make(program: &mut Visitor, body: &str) -> Vec<(i64, String)> {
    let made = program.send("POST", "/api/v1/keys", body);
    assert_eq!(made.status, 201, "{}", made.body);
    let made = made.json();
    let made = made["keys"].as_array().unwrap();
    made.iter()
        .map(|key| {
            let number = key["number"].as_i64().unwrap();
            (number, key["key"].as_str().unwrap().to_owned())
        })
        .collect()
}

/// O16: as many labels as the description says, and not one letter more.
#[test]
fn as_many_labels_fit_into_a_body_as_the_description_says() {
    let site = start();
    let mut program = program(&site);
    let description = program.get("/api/v1/openapi.json").json();
    let labels = &description["components"]["schemas"]["NewKeys"]["properties"]["labels"];
    let told = labels["description"].as_str().unwrap();
    assert!(
        told.contains("200 labels of 17 letters fit, or 39 of 100"),
        "{told}"
    );
    for (count, length, status) in [
        (200, 17, 201),
        (200, 18, 413),
        (39, 100, 201),
        (40, 100, 413),
    ] {
        let labels = vec!["a".repeat(length); count];
        let body = serde_json::json!({ "labels": labels }).to_string();
        let made = program.send("POST", "/api/v1/keys", &body);
        assert_eq!(made.status, status, "{count} of {length}: {}", made.body);
    }
}

/// O16
#[test]
fn a_site_makes_keys_reads_their_totals_and_revokes_them() {
    let site = start();
    let mut program = program(&site);
    let body =
        r#"{"labels":["user 1","user 2","user 3"],"hours":2,"max_addresses":3,"max_torrents":9}"#;
    let made = make(&mut program, body);
    assert_eq!(made.len(), 3);
    let keys = site.tracker.keys();
    for (number, key) in &made {
        assert_eq!(key.len(), 32);
        let record = keys.find(&KeyDigest::of(key.as_bytes()).unwrap()).unwrap();
        assert_eq!(record.number, *number);
        assert_eq!(record.key.limits.addresses, 3);
        assert!(record.key.expires.unwrap() > site.clock.wall());
    }
    assert_ne!(made[0].1, made[1].1);
    let listed = program.get("/api/v1/keys?limit=2").json();
    assert_eq!((&listed["total"], &listed["next"]), (&3.into(), &2.into()));
    assert_eq!(listed["keys"][1]["label"], "user 2");
    let rest = program.get("/api/v1/keys?after=2").json();
    assert_eq!(
        (
            rest["keys"].as_array().unwrap().len(),
            rest["next"].is_null()
        ),
        (1, true)
    );
    let one = program.get("/api/v1/keys/2").json();
    assert_eq!(
        (&one["key"]["state"], &one["key"]["uploaded"]),
        (&"in_force".into(), &0.into())
    );
    let ended = program.send("DELETE", "/api/v1/keys/2", "");
    assert_eq!(
        (ended.status, &ended.json()["key"]["state"]),
        (200, &"revoked".into())
    );
    let again = program.send("DELETE", "/api/v1/keys/2", "");
    let told = "no such key, or it was revoked before";
    assert_eq!((again.status, &again.json()["error"]), (404, &told.into()));
    assert_eq!(program.get("/api/v1/keys/2").status, 200);
    let many = program.send("POST", "/api/v1/keys/revoke", r#"{"numbers":[1,2,3,99]}"#);
    assert_eq!(
        (many.status, many.json()["revoked"].clone()),
        (200, serde_json::json!([1, 3]))
    );
    let shown: String = [
        "/api/v1/keys",
        "/api/v1/keys/export",
        "/api/v1/keys/1",
        "/api/v1/audit",
        "/metrics",
    ]
    .map(|path| program.get(path).body)
    .concat();
    for (_, key) in &made {
        assert!(!shown.contains(key));
    }
    assert!(
        shown.contains("1 (user 1), 2 (user 2), 3 (user 3)")
            && shown.contains("1 (user 1), 3 (user 3)")
    );
}

/// O16
#[test]
fn the_export_is_json_lines_that_go_on_where_they_were_cut() {
    let site = start();
    let mut program = program(&site);
    for _ in 0..3 {
        make(&mut program, r#"{"labels":["a","b"]}"#);
    }
    let (mut after, mut seen) = (0, Vec::new());
    loop {
        let part = program.get(&format!("/api/v1/keys/export?limit=4&after={after}"));
        assert_eq!(part.header("content-type"), "application/x-ndjson");
        let lines: Vec<serde_json::Value> = part
            .body
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let Some(last) = lines.last() else {
            break;
        };
        after = last["number"].as_i64().unwrap();
        seen.extend(lines.iter().map(|line| line["number"].as_i64().unwrap()));
    }
    assert_eq!(seen, [1, 2, 3, 4, 5, 6]);
    let later = site.clock.wall().0 + 100;
    assert_eq!(
        program
            .get(&format!("/api/v1/keys/export?since={later}"))
            .body,
        ""
    );
    // What is no number is not taken for one that was left out.
    for query in ["after=x", "limit=y", "since=abc", "since=-1", "after=1.5"] {
        for path in ["/api/v1/keys", "/api/v1/keys/export"] {
            let refused = program.get(&format!("{path}?{query}"));
            assert_eq!(refused.status, 400, "{query}");
            let told = "after, limit and since have to be whole numbers.";
            assert_eq!(refused.json()["error"], told);
        }
    }
    let all = program.get("/api/v1/keys/export?after=&limit=99999&since=0");
    assert_eq!(all.body.lines().count(), 6);
}

/// O16, W9: every answer is as it is described.
#[test]
fn the_calls_are_as_they_are_described() {
    let site = start();
    let mut program = program(&site);
    make(&mut program, r#"{"labels":["a"]}"#);
    let description = program.get("/api/v1/openapi.json").json();
    let described = &description["components"]["schemas"]["Key"]["properties"];
    let row = program.get("/api/v1/keys").json()["keys"][0].clone();
    let names = |value: &serde_json::Value| -> Vec<String> {
        let mut names: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
        names.sort();
        names
    };
    assert_eq!(names(&row), names(described));
    let paths = &description["paths"];
    let mut expect = |method: &str, path: &str, body: &str, status: u16| {
        let reply = program.send(method, path, body);
        assert_eq!(
            reply.status, status,
            "{method} {path} {body} {}",
            reply.body
        );
        let path = path
            .split('?')
            .next()
            .unwrap()
            .replace("/99", "/{number}")
            .replace("/x", "/{number}");
        let responses = &paths[path.as_str()][method.to_lowercase()]["responses"];
        assert!(
            responses[status.to_string()].is_object(),
            "{method} {path} {status}"
        );
    };
    for body in [
        "{}",
        r#"{"labels":[]}"#,
        r#"{"labels":["a"],"hours":0}"#,
        r#"{"labels":["a"],"max_addresses":1001}"#,
        r#"{"labels":["a\u0007"]}"#,
        r#"{"labels":["a"],"key":"mine"}"#,
    ] {
        expect("POST", "/api/v1/keys", body, 400);
    }
    let many = format!(r#"{{"labels":[{}""]}}"#, r#""","#.repeat(200));
    expect("POST", "/api/v1/keys", &many, 400);
    let long = format!(r#"{{"labels":["{}"]}}"#, "a".repeat(4_096));
    expect("POST", "/api/v1/keys", &long, 413);
    expect("POST", "/api/v1/keys/revoke", r#"{"numbers":[]}"#, 400);
    expect("GET", "/api/v1/keys/99", "", 404);
    expect("GET", "/api/v1/keys/x", "", 404);
    expect("DELETE", "/api/v1/keys/99", "", 404);
    site.tracker.keys().put(KeyRecord {
        number: 99,
        key: NewKey {
            digest: KeyDigest::from_bytes([9; 16]),
            label: String::new(),
            expires: None,
            limits: Default::default(),
        },
        is_from_file: true,
        created: Wall(1),
        revoked: None,
    });
    expect("DELETE", "/api/v1/keys/99", "", 409);
    expect("POST", "/api/v1/keys/revoke", r#"{"numbers":[1,99]}"#, 409);
    assert!(site.tracker.keys().one(1).unwrap().record.revoked.is_none());
    site.refuse(BackendError::KeysFull);
    expect("POST", "/api/v1/keys", r#"{"labels":["a"]}"#, 409);
    site.refuse(BackendError::Disk);
    expect("POST", "/api/v1/keys", r#"{"labels":["a"]}"#, 503);
    expect("POST", "/api/v1/keys/revoke", r#"{"numbers":[1]}"#, 503);
}

/// O16, W13: who reads figures sees no member's.
#[test]
fn a_token_that_reads_figures_sees_no_keys() {
    let site = start();
    let mut reader = site.program(Scope::Block, None);
    for (method, path) in [
        ("GET", "/api/v1/keys"),
        ("GET", "/api/v1/keys/export"),
        ("GET", "/api/v1/keys/1"),
        ("DELETE", "/api/v1/keys/1"),
        ("POST", "/api/v1/keys"),
    ] {
        assert_eq!(reader.send(method, path, "").status, 403, "{method} {path}");
    }
}

/// O16
#[test]
fn the_page_makes_keys_shows_them_once_and_revokes_them() {
    let site = start();
    let mut operator = site.operator();
    let page = operator.get("/keys").body;
    assert!(page.contains("[TRACKER] keys is off"));
    let fields = [
        ("labels", "anna\r\n<b>boris</b>"),
        ("hours", "24"),
        ("max_addresses", "2"),
        ("max_torrents", ""),
    ];
    let made = operator.submit("/keys", "/keys", &fields);
    assert_eq!(made.status, 200);
    assert!(made.body.contains("&lt;b&gt;boris") && !made.body.contains("<b>boris"));
    let keys: Vec<&str> = made
        .body
        .split("hash whole\">")
        .skip(1)
        .map(|rest| rest.split('<').next().unwrap())
        .collect();
    assert_eq!(keys.len(), 2);
    let digest = KeyDigest::of(keys[0].as_bytes()).unwrap();
    assert_eq!(site.tracker.keys().find(&digest).unwrap().key.label, "anna");
    let page = operator.get("/keys").body;
    assert!(page.contains("anna") && !page.contains(keys[0]) && !page.contains(keys[1]));
    let found = operator.get("/keys?q=ANN").body;
    assert!(found.contains(">anna<") && !found.contains("boris"));
    let revoked = operator.submit("/keys", "/keys/1/revoke", &[]);
    assert_eq!(
        (revoked.status, revoked.header("location")),
        (302, "/keys?done=revoke")
    );
    assert!(
        operator
            .get("/keys?done=revoke")
            .body
            .contains("The key is revoked")
    );
    assert!(operator.get("/keys?lang=ru").body.contains("отозван"));
    let audit = operator.get("/audit?lang=en").body;
    assert!(audit.contains("keys made") && audit.contains("1 (anna)"));
    assert!(!audit.contains(keys[0]));
    for (name, value) in [
        ("hours", "x"),
        ("max_addresses", "-1"),
        ("max_torrents", "10001"),
    ] {
        let refused = operator.submit("/keys", "/keys", &[("labels", "c"), (name, value)]);
        assert_eq!(refused.status, 400, "{name}");
    }
    assert_eq!(operator.submit("/keys", "/keys/x/revoke", &[]).status, 404);
    site.refuse(BackendError::KeysFull);
    let full = operator.submit("/keys", "/keys", &[]);
    assert_eq!(full.status, 409);
    assert!(full.body.contains("as many keys as there may be"));
    assert_eq!(site.tracker.keys().len(), 2);
}

/// O16: a key in a path that is no tracker's is not said again, whoever is asked.
#[test]
fn a_page_that_is_not_found_repeats_no_key() {
    let site = start();
    let key = "0123456789abcdef0123456789abcdef";
    let mut visitors = [site.browser(), site.operator(), program(&site)];
    for visitor in &mut visitors {
        for path in ["/K", "/announce/K", "/K/x", "/login/K", "/api/v1/K"] {
            let reply = visitor.get(&path.replace('K', key));
            let shown = format!("{:?} {}", reply.headers, reply.body);
            // A link to the same page in another language leads nowhere else.
            let links = format!("href=\"{}?", path.replace('K', key));
            assert!(!shown.replace(&links, "").contains(key), "{path} {shown}");
        }
    }
}
