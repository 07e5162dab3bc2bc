//! W13: users with roles, tokens with a scope and an end.

use retracker::clock::Wall;
use retracker::web::{Role, Scope, Settings, User};

use crate::harness::{PASSWORD, Site, Visitor, quick_hash, start, start_with};

fn user(name: &str, role: Role) -> User {
    User::parse(name, &format!("{role} {}", quick_hash())).unwrap()
}

fn site_with(users: &[User]) -> Site {
    start_with(|settings| settings.users = users.to_vec())
}

fn logged_in(site: &Site, name: &str) -> Visitor {
    let mut visitor = site.visitor();
    let reply = visitor.log_in(name, PASSWORD);
    assert_eq!((reply.status, reply.header("location")), (302, "/stat"));
    visitor
}

/// Puts other users in force, as a reload does.
fn reload(site: &Site, users: &[User]) {
    let settings = Settings {
        users: users.to_vec(),
        ..Settings::default()
    };
    site.running.as_ref().unwrap().configure(&settings);
}

/// W13
#[test]
fn a_viewer_sees_the_pages_and_changes_nothing() {
    let site = site_with(&[user("anna", Role::Viewer)]);
    assert!(site.announce("192.0.2.1", [7; 20], true));
    let mut operator = site.operator();
    let blocked = operator.submit("/blocklist", "/blocklist", &[("ip", "198.51.100.1")]);
    assert_eq!(blocked.status, 302);
    let mut anna = logged_in(&site, "anna");
    let torrent = format!("/torrents/{}", "07".repeat(20));
    for path in [
        "/stat",
        "/torrents",
        &torrent,
        "/all_peers",
        "/zones",
        "/clients",
        "/callers",
        "/blocklist",
        "/about",
        "/logout",
    ] {
        let page = anna.get(path);
        assert_eq!(page.status, 200, "{path}");
        let forms = page.body.matches("<form method=\"post\"").count();
        assert_eq!(forms, usize::from(path == "/logout"), "{path}");
        assert!(!page.body.contains("/blocklist?i"), "{path}");
        assert!(!page.body.contains("href=\"/audit\""), "{path}");
    }
    assert_eq!(anna.get("/audit").status, 403);
    // The token of her session is right, and does not help.
    let csrf = anna.get("/logout").csrf();
    for path in [
        "/blocklist",
        "/blocklist/unblock/1",
        "/callers/lift/1",
        "/about/save",
        "/about/tokens",
        "/about/tokens/1/revoke",
    ] {
        let fields = [("csrf", csrf.as_str()), ("ip", "192.0.2.1"), ("name", "x")];
        let reply = anna.post(path, &fields);
        assert_eq!(reply.status, 403, "{path}");
        assert!(reply.body.contains("operator"), "{path}: {}", reply.body);
    }
    assert_eq!(site.tracker.access().blocks().len(), 1);
    assert!(!site.folder.path().join("retracker.tokens").exists());
    // Of the API she reads what every token reads.
    assert_eq!(anna.get("/api/v1/blocklist").status, 200);
    assert_eq!(anna.get("/api/v1/audit").status, 403);
    assert_eq!(operator.get("/api/v1/audit").status, 200);
    assert_eq!(anna.submit("/logout", "/logout", &[]).status, 302);
}

/// W13, W14, W15
#[test]
fn a_viewer_is_refused_in_the_frame_and_gets_no_table_that_is_not_on_the_page() {
    let site = site_with(&[user("anna", Role::Viewer)]);
    site.token();
    let mut operator = site.operator();
    let tokens = "/about?format=csv&table=tokens";
    let table = operator.get(tokens).body;
    let begin =
        "number,name,created,scope,expires,last_used\r\n1,test,1970-01-01T00:00:01Z,admin,,";
    assert!(table.starts_with(begin), "{table}");
    let mut anna = site.browser();
    assert_eq!(anna.log_in("anna", PASSWORD).status, 302);
    assert_eq!(
        anna.get("/about?format=csv&table=configuration").status,
        200
    );
    assert_eq!(anna.get("/blocklist?format=csv").status, 200);
    let csrf = anna.get("/logout?lang=ru").csrf();
    let fields = [("csrf", csrf.as_str()), ("ip", "192.0.2.1")];
    for refused in [
        anna.post("/blocklist", &fields),
        anna.get("/audit"),
        anna.get("/audit?format=csv"),
        anna.get(tokens),
    ] {
        assert_eq!(refused.status, 403);
        let text = "только для просмотра";
        let is_framed = refused.body.contains("<nav") && refused.body.contains("anna");
        assert!(refused.body.contains(text) && is_framed, "{}", refused.body);
        assert!(!refused.body.contains("href=\"/audit\""));
    }
    // A page that is none leaves an operator what is an operator's.
    let mut operator = site.browser();
    assert_eq!(operator.log_in("admin", PASSWORD).status, 302);
    let nowhere = operator.get("/nowhere");
    assert_eq!(nowhere.status, 404);
    assert!(nowhere.body.contains("href=\"/audit\""), "{}", nowhere.body);
}

/// W13, W14
#[test]
fn who_is_demoted_amid_a_form_is_led_through_the_login_to_what_was_entered() {
    let site = site_with(&[user("anna", Role::Operator)]);
    let mut anna = site.browser();
    assert_eq!(anna.log_in("anna", PASSWORD).status, 302);
    let csrf = anna.get("/blocklist").csrf();
    reload(&site, &[user("anna", Role::Viewer)]);
    let fields = [("csrf", csrf.as_str()), ("ip", "192.0.2.1")];
    let reply = anna.post("/blocklist", &fields);
    assert_eq!(reply.status, 403);
    assert!(reply.body.contains("action=\"/login\"") && reply.body.contains("keep.ip"));
    assert!(!reply.body.contains("<nav"), "{}", reply.body);
    assert!(site.tracker.access().blocks().is_empty());
}

/// W13
#[test]
fn an_operator_of_the_users_may_what_the_one_user_may() {
    let site = site_with(&[user("boris", Role::Operator)]);
    let mut boris = logged_in(&site, "boris");
    let blocked = boris.submit("/blocklist", "/blocklist", &[("ip", "192.0.2.1")]);
    assert_eq!(blocked.status, 302);
    let audit = boris.get("/audit");
    assert_eq!(audit.status, 200);
    assert!(audit.body.contains("boris") && audit.body.contains("192.0.2.1"));
    assert_eq!(site.operator().get("/audit").status, 200);
}

/// W13
#[test]
fn who_is_removed_or_demoted_by_a_reload_is_logged_out_at_once() {
    let before = [user("anna", Role::Operator), user("boris", Role::Operator)];
    let site = site_with(&before);
    let (mut anna, mut boris) = (logged_in(&site, "anna"), logged_in(&site, "boris"));
    let mut admin = site.operator();
    let csrf = anna.get("/blocklist").csrf();
    reload(&site, &before);
    assert_eq!(anna.get("/stat").status, 200, "nothing has changed");
    reload(&site, &[user("anna", Role::Viewer)]);
    let fields = [("csrf", csrf.as_str()), ("ip", "192.0.2.1")];
    for reply in [
        anna.post("/blocklist", &fields),
        anna.get("/blocklist"),
        boris.get("/stat"),
    ] {
        assert_eq!((reply.status, reply.header("location")), (302, "/login"));
    }
    assert!(site.tracker.access().blocks().is_empty());
    assert_eq!(boris.get("/api/v1/stats").status, 401);
    assert_eq!(boris.log_in("boris", PASSWORD).status, 200, "there is none");
    // With the same browser and the old cookie she logs in anew, as what she is now.
    assert_eq!(anna.log_in("anna", PASSWORD).status, 302);
    assert_eq!(anna.get("/audit").status, 403);
    assert_eq!(admin.get("/blocklist").status, 200);
    // Coming back does not bring the old session back.
    reload(&site, &before);
    assert_eq!(boris.get("/stat").status, 302);
}

/// W13
#[test]
fn what_a_token_opens_is_its_scope() {
    let site = start();
    let body = r#"{"ip":"192.0.2.1"}"#;
    for (scope, blocks, saves, audits) in [
        (Scope::Read, 403, 403, 403),
        (Scope::Block, 201, 403, 403),
        (Scope::Admin, 201, 204, 200),
    ] {
        let mut program = site.program(scope, None);
        assert_eq!(program.get("/api/v1/stats").status, 200);
        assert_eq!(program.get("/api/v1/metrics").status, 200);
        let told = (
            program.send("POST", "/api/v1/blocklist", body).status,
            program.send("POST", "/api/v1/snapshot", "").status,
            program.get("/api/v1/audit").status,
        );
        assert_eq!(told, (blocks, saves, audits), "{scope:?}");
    }
    let mut reader = site.program(Scope::Read, None);
    let refused = reader.send("DELETE", "/api/v1/blocklist/1", "");
    assert_eq!(refused.status, 403);
    assert!(refused.json()["error"].as_str().unwrap().contains("scope"));
    assert_eq!(site.tracker.access().blocks().len(), 2);
}

/// W13
#[test]
fn a_token_that_has_expired_is_refused_with_a_fixed_text() {
    let site = start();
    let mut program = site.program(Scope::Admin, Some(Wall(2)));
    for path in ["/api/v1/stats", "/stats.json", "/api/v1/audit"] {
        let refused = program.get(path);
        assert_eq!(refused.status, 401, "{path}");
        assert_eq!(refused.json()["error"], "the token has expired");
    }
    assert_eq!(program.send("POST", "/api/v1/snapshot", "").status, 401);
    let about = site.operator().get("/about").body;
    assert!(about.contains("expired") && about.contains("not yet"));
}

/// W13
#[test]
fn the_form_makes_a_token_of_the_scope_and_the_days_that_it_asks_for() {
    let site = start();
    let mut operator = site.operator();
    let mut make = |fields: &[(&str, &str)]| {
        let mut all = vec![("name", "x")];
        all.extend_from_slice(fields);
        operator.submit("/about", "/about/tokens", &all).status
    };
    assert_eq!(make(&[("scope", "block"), ("days", "90")]), 200);
    assert_eq!(make(&[("scope", "admin"), ("days", "")]), 200);
    assert_eq!(make(&[("scope", "root")]), 200);
    for days in ["0", "-1", "x", "3651", "99999999999999999999"] {
        assert_eq!(make(&[("scope", "admin"), ("days", days)]), 400, "{days}");
    }
    let tokens = retracker::web::Tokens::new(site.folder.path());
    let made = tokens.list().unwrap();
    let scopes: Vec<Scope> = made.iter().map(|token| token.scope).collect();
    // A scope that there is not is the least.
    assert_eq!(scopes, [Scope::Block, Scope::Admin, Scope::Read]);
    let end = made[0].expires.unwrap();
    assert_eq!(end.0 - made[0].created.0, 90 * 86_400);
    assert_eq!(made[1].expires, None);
}
