//! W12: who did what, from where; in files that outlive the process, on a page and in the API.

use retracker::audit::{Actor, Deed, Entry};
use retracker::clock::Wall;
use retracker::web::Scope;

use crate::harness::{PASSWORD, Site, start};

/// What the audit holds, newest first, as `who from deed about`.
fn told(site: &Site) -> Vec<String> {
    let entries = site.audit.latest().unwrap();
    let line = |entry: &Entry| {
        format!(
            "{} {} {:?} {}",
            entry.who, entry.from, entry.deed, entry.about
        )
    };
    entries.iter().map(line).collect()
}

/// W12
#[test]
fn whatever_changes_something_says_who_from_where_and_what() {
    let site = start();
    let mut operator = site.operator();
    let fields = [("ip", "192.0.2.0/24"), ("reason", "spammer")];
    let blocked = operator.submit("/blocklist", "/blocklist", &fields);
    assert_eq!(blocked.status, 302);
    let unblocked = operator.submit("/blocklist", "/blocklist/unblock/1", &[]);
    assert_eq!(unblocked.status, 302);
    let made = [("name", "grafana"), ("scope", "block")];
    assert_eq!(
        operator.submit("/about", "/about/tokens", &made).status,
        200
    );
    let revoked = operator.submit("/about", "/about/tokens/1/revoke", &[]);
    assert_eq!(revoked.status, 302);
    let mut program = site.program(Scope::Admin, None);
    program.from = "127.0.0.9".into();
    let body = r#"{"info_hash":"0707070707070707070707070707070707070707"}"#;
    assert_eq!(program.send("POST", "/api/v1/blocklist", body).status, 201);
    let gone = program.send("DELETE", "/api/v1/blocklist/1", "");
    assert_eq!(gone.status, 204);
    // What is not done is not told.
    assert_eq!(
        operator
            .submit("/blocklist", "/blocklist", &[("ip", "x")])
            .status,
        400
    );
    assert_eq!(
        program.send("DELETE", "/api/v1/blocklist/7", "").status,
        404
    );
    let hash = "07".repeat(20);
    assert_eq!(
        told(&site),
        [
            format!("test 127.0.0.9 Unblock {hash}"),
            format!("test 127.0.0.9 Block {hash}"),
            "test 127.0.0.9 TokenUsed ".to_owned(),
            "admin 127.0.0.1 TokenRevoked grafana".to_owned(),
            "admin 127.0.0.1 TokenMade grafana (block)".to_owned(),
            "admin 127.0.0.1 Unblock 192.0.2.0/24".to_owned(),
            "admin 127.0.0.1 Block 192.0.2.0/24 (spammer)".to_owned(),
            "admin 127.0.0.1 Login ".to_owned(),
        ]
    );
}

/// W12
#[test]
fn the_page_and_the_api_show_it_newest_first_and_in_both_languages() {
    let site = start();
    let mut operator = site.operator();
    let fields = [("ip", "192.0.2.1"), ("reason", "<script>alert(1)</script>")];
    operator.submit("/blocklist", "/blocklist", &fields);
    let page = operator.get("/audit").body;
    assert!(page.contains("blocked") && page.contains("login"), "{page}");
    assert!(page.find("192.0.2.1 (") < page.find(">login<"));
    assert!(!page.contains("<script>alert"));
    let page = operator.get("/audit?lang=ru").body;
    assert!(page.contains("заблокировано") && page.contains(">вход<"));
    assert!(operator.get("/stat").body.contains("href=\"/audit\""));
    let table = operator.get("/audit?format=csv");
    assert_eq!(
        table.header("content-type"),
        "text/csv; charset=utf-8; header=present"
    );
    let mut lines = table.body.split("\r\n");
    assert_eq!(
        lines.next(),
        Some("time,last,actor,who,from,deed,about,count")
    );
    let block = lines.next().unwrap();
    let cells = ",user,admin,127.0.0.1,block,192.0.2.1 (<script>alert(1)</script>),1";
    assert!(block.ends_with(cells), "{block}");
    let mut program = site.program(Scope::Admin, None);
    let entries = program.get("/api/v1/audit").json();
    let deeds: Vec<&str> = entries["audit"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["deed"].as_str().unwrap())
        .collect();
    assert_eq!(deeds, ["token_used", "block", "login"]);
    assert_eq!(entries["audit"][1]["who"], "admin");
    // Every kind of entry is described, and has a text in both languages.
    let description = program.get("/api/v1/openapi.json").json();
    let described = &description["components"]["schemas"]["AuditEntry"]["properties"];
    for (name, of) in [("deed", "deed"), ("actor", "actor")] {
        for kind in described[of]["enum"].as_array().unwrap() {
            let key = format!("{name}_{}", kind.as_str().unwrap());
            for language in [
                include_str!("../../templates/lang/en.json"),
                include_str!("../../templates/lang/ru.json"),
            ] {
                assert!(language.contains(&format!("\"{key}\":")), "{key}");
            }
        }
    }
    let keys = |value: &serde_json::Value| -> Vec<String> {
        let mut keys: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    };
    assert_eq!(keys(&entries["audit"][0]), keys(described));
}

/// W12: guesses are counted, not listed, and the names that were tried are not kept.
#[test]
fn who_guesses_passwords_is_one_entry_and_pushes_nothing_out() {
    let site = start();
    drop(site.operator());
    let mut guesser = site.visitor();
    guesser.from = "127.0.0.66".into();
    for guess in 0..5 {
        let reply = guesser.log_in("my-password-by-mistake\n", &format!("guess{guess}"));
        assert_eq!(reply.status, 200);
    }
    for _ in 0..7 {
        assert_eq!(guesser.log_in("admin", PASSWORD).status, 429);
    }
    let mut other = site.visitor();
    other.from = "127.0.0.67".into();
    assert_eq!(other.log_in("admin", "guess").status, 200);
    let entries = site.audit.latest().unwrap();
    let find = |deed, from: &str| {
        let found = entries
            .iter()
            .find(|entry| entry.deed == deed && entry.from == from);
        found.map(|entry| (entry.count, entry.who.as_str(), entry.actor))
    };
    let failed = find(Deed::LoginFailed, "127.0.0.66");
    assert_eq!(failed, Some((5, "", Actor::Stranger)));
    let locked = find(Deed::LockedOut, "127.0.0.66");
    assert_eq!(locked, Some((7, "", Actor::Stranger)));
    // A name that there is says whom it was about.
    let named = find(Deed::LoginFailed, "127.0.0.67");
    assert_eq!(named, Some((1, "admin", Actor::Stranger)));
    assert_eq!(entries.len(), 4);
    assert!(entries.iter().any(|entry| entry.deed == Deed::Login));
}

/// W12
#[test]
fn it_is_kept_over_a_restart_and_the_bound_of_failures_leaves_deeds_alone() {
    let mut site = start();
    drop(site.operator());
    for day in 0..400_u64 {
        let network = "192.0.2.1".parse().unwrap();
        site.audit.login_failed(network, None, Wall(day * 86_400));
        site.audit.locked_out(network, Wall(day * 86_400));
    }
    let deed = |number: u64| {
        Entry::new(
            Deed::Block,
            Actor::User,
            "anna",
            &number.to_string(),
            Wall(number),
        )
    };
    for number in 0..740 {
        site.audit.tell(deed(number));
    }
    site.auditing.take().unwrap().stop();
    let (ends, _) = std::sync::mpsc::channel();
    let window = std::time::Duration::from_secs(900);
    let folder = site.folder.path();
    let again = retracker::audit::start(folder, window, site.clock, ends).unwrap();
    let entries = again.audit().latest().unwrap();
    again.stop();
    let failures = entries
        .iter()
        .filter(|entry| entry.actor == Actor::Stranger)
        .count();
    assert_eq!((entries.len(), failures), (741 + 250, 250));
    assert!(entries.iter().any(|entry| entry.deed == Deed::Login));
    assert!((0..740).all(|number| entries.contains(&deed(number))));
}

/// W12: the disk is full, or the file somebody else's.
#[test]
fn a_file_that_cannot_be_written_hinders_nobody() {
    let site = start();
    let file = site.folder.path().join("retracker.audit");
    std::fs::create_dir(&file).unwrap();
    let mut operator = site.operator();
    let fields = [("ip", "192.0.2.1")];
    assert_eq!(
        operator.submit("/blocklist", "/blocklist", &fields).status,
        302
    );
    assert_eq!(operator.get("/audit").status, 503);
    std::fs::remove_dir(&file).unwrap();
    // What waited is still there.
    let entries = told(&site);
    assert_eq!(entries.len(), 2, "{entries:?}");
    assert_eq!(operator.get("/audit").status, 200);
}
