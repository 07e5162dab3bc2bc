//! Login, logout and sessions: the original's contract (original.md 1), W3, and the figures of R6.

use std::sync::Arc;

use retracker::metrics::Failure;
use retracker::net::Networks;
use retracker::net::client_address::{ClientAddressRules, Mode};
use retracker::net::limits;
use retracker::secret::Secret;

use crate::harness::{PASSWORD, start, start_with};

/// W1
#[test]
fn pages_send_strangers_to_the_login_and_the_login_to_the_overview() {
    let site = start();
    let mut visitor = site.visitor();
    assert_eq!(visitor.get("/").header("location"), "/stat");
    for path in ["/stat", "/all_peers", "/blocklist"] {
        let reply = visitor.get(path);
        assert_eq!((reply.status, reply.header("location")), (302, "/login"));
    }
    let form = visitor.get("/login");
    assert!(form.body.contains("name=\"username\"") && form.body.contains("name=\"password\""));
    let reply = visitor.log_in("admin", PASSWORD);
    assert_eq!((reply.status, reply.header("location")), (302, "/stat"));
    assert_eq!(visitor.get("/stat").status, 200);
    assert_eq!(visitor.get("/login").header("location"), "/stat");
}

/// W1
#[test]
fn a_wrong_password_shows_the_form_again_with_the_notice_of_the_original() {
    let site = start();
    let mut visitor = site.visitor();
    visitor
        .headers
        .push(("Accept-Language".into(), "ru-RU,ru;q=0.9".into()));
    for (username, password) in [("admin", "wrong"), ("nobody", PASSWORD), ("", "")] {
        let reply = visitor.log_in(username, password);
        assert_eq!(reply.status, 200);
        assert!(reply.body.contains("Неверное имя пользователя или пароль"));
    }
    assert_eq!(visitor.get("/stat").header("location"), "/login");
}

/// W1, W3
#[test]
fn logout_ends_the_session_on_the_server_too() {
    let site = start();
    let mut visitor = site.operator();
    let stolen = visitor.clone();
    assert_eq!(visitor.get("/logout").status, 200);
    assert_eq!(visitor.get("/stat").status, 200, "looking is not leaving");
    let reply = visitor.submit("/logout", "/logout", &[]);
    assert_eq!(
        (reply.status, reply.header("location")),
        (302, "/login?out=1")
    );
    visitor
        .headers
        .push(("Accept-Language".into(), "ru".into()));
    assert!(
        visitor
            .get("/login?out=1")
            .body
            .contains("Вы вышли из системы.")
    );
    assert_eq!(visitor.get("/stat").status, 302);
    assert_eq!(stolen.clone().get("/stat").status, 302);
}

/// W3
#[test]
fn the_cookie_is_bound_to_the_site_and_hidden_from_scripts() {
    let site = start();
    let mut visitor = site.visitor();
    let reply = visitor.log_in("admin", PASSWORD);
    let cookie = reply
        .headers
        .iter()
        .find(|(name, value)| name == "set-cookie" && value.starts_with("session="));
    let (_, cookie) = cookie.unwrap();
    for part in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    for part in ["Secure", "Domain", "Max-Age"] {
        assert!(!cookie.contains(part), "{cookie}");
    }
    let value = &visitor.cookies["session"];
    assert!(value.len() > 64, "{value}");
}

/// W3
#[test]
fn cookies_are_secure_when_a_trusted_proxy_says_that_tls_is_spoken() {
    let site = start();
    site.address_rules.store(Arc::new(ClientAddressRules {
        mode: Mode::Proxy,
        ..ClientAddressRules::default()
    }));
    let mut visitor = site.visitor();
    visitor
        .headers
        .push(("X-Forwarded-Proto".into(), "https".into()));
    let is_secure = |reply: &crate::harness::Reply| {
        let mut cookies = reply
            .headers
            .iter()
            .filter(|(name, _)| name == "set-cookie");
        cookies.all(|(_, value)| value.ends_with("; Secure"))
    };
    let reply = visitor.log_in("admin", PASSWORD);
    assert!(reply.status == 302 && is_secure(&reply));
    site.address_rules
        .store(Arc::new(ClientAddressRules::default()));
    assert!(!is_secure(&site.visitor().get("/login")));
    visitor.cookies.clear();
    assert!(!is_secure(&visitor.get("/login")));
}

/// W3
#[test]
fn a_session_that_a_stranger_planted_is_not_adopted() {
    let site = start();
    let mut visitor = site.visitor();
    visitor.cookies.insert("session".into(), "planted".into());
    assert_eq!(visitor.log_in("admin", PASSWORD).status, 302);
    let first = visitor.cookies["session"].clone();
    assert_ne!(first, "planted");
    // Logging in again gives another key, and the old one is dead only at its logout; the planted one never lives.
    let mut other = site.visitor();
    other.cookies.insert("session".into(), "planted".into());
    assert_eq!(other.get("/stat").status, 302);
    let mut tampered = visitor.clone();
    let middle = first.len() / 2;
    let flipped = if &first[middle..=middle] == "a" {
        "b"
    } else {
        "a"
    };
    let value = format!("{}{flipped}{}", &first[..middle], &first[middle + 1..]);
    tampered.cookies.insert("session".into(), value);
    assert_eq!(tampered.get("/stat").status, 302);
}

/// W3
#[test]
fn the_sixth_wrong_password_from_one_address_waits_and_others_do_not() {
    let site = start();
    let mut guesser = site.visitor();
    guesser.from = "127.0.0.66".into();
    for guess in 0..5 {
        assert_eq!(
            guesser.log_in("admin", &format!("guess{guess}")).status,
            200
        );
    }
    let reply = guesser.log_in("admin", PASSWORD);
    assert_eq!(reply.status, 429);
    let wait: u64 = reply.header("retry-after").parse().unwrap();
    assert!((1..=900).contains(&wait));
    assert_eq!(site.operator().get("/stat").status, 200);
}

/// O8: right or wrong, so many tries and no more; and who goes on is banned, if anybody is.
#[test]
fn tries_to_log_in_are_limited_and_lead_to_a_ban() {
    let site = start();
    site.limits.configure(
        limits::Settings {
            logins: "1/h 10".parse().ok(),
            ban_after: 3,
            ..limits::Settings::off()
        },
        std::iter::once("127.0.0.9/32".parse().unwrap()).collect(),
    );
    let mut visitor = site.visitor();
    visitor.from = "127.0.0.66".into();
    for _ in 0..10 {
        assert_eq!(visitor.log_in("admin", PASSWORD).status, 302);
        visitor.cookies.clear();
    }
    let reply = visitor.log_in("admin", PASSWORD);
    assert_eq!(reply.status, 429);
    let wait: u64 = reply.header("retry-after").parse().unwrap();
    assert!((3_500..=3_600).contains(&wait));
    for _ in 0..3 {
        visitor.log_in("admin", PASSWORD);
    }
    let bans = site.limits.bans(site.clock.now());
    assert_eq!((bans.len(), bans[0].kind), (1, limits::Kind::Logins));
    // Of another address, where the throttle on wrong passwords refuses: that counts as well.
    let mut guesser = site.visitor();
    guesser.from = "127.0.0.67".into();
    for _ in 0..9 {
        guesser.log_in("admin", "guess");
    }
    assert_eq!(site.limits.bans(site.clock.now()).len(), 2);
    let mut exempt = site.visitor();
    exempt.from = "127.0.0.9".into();
    for _ in 0..15 {
        assert_eq!(exempt.log_in("admin", PASSWORD).status, 302);
        exempt.cookies.clear();
    }
}

/// O8, W9: whoever is banned is counted so, as he is where he announces.
#[test]
fn a_login_of_who_is_banned_is_counted_as_such() {
    let site = start();
    site.ban("127.0.0.66/32", 1);
    let mut visitor = site.visitor();
    visitor.from = "127.0.0.66".into();
    assert_eq!(visitor.log_in("admin", PASSWORD).status, 429);
    let totals = site.tracker.metrics().totals();
    let counted = [Failure::Banned, Failure::RequestRate].map(|failure| totals.failures(failure));
    assert_eq!(counted, [1, 0]);
}

/// O8, W3: when strangers in all have tried too often, each of them waits, and none is banned for the others.
#[test]
fn nobody_is_banned_for_the_failed_logins_of_others() {
    let site = start();
    site.address_rules.store(Arc::new(ClientAddressRules {
        admin_networks: Networks::default(),
        ..ClientAddressRules::default()
    }));
    let settings = limits::Settings {
        ban_after: 3,
        ..limits::Settings::off()
    };
    site.limits.configure(settings, Networks::default());
    for host in 100..120 {
        let mut guesser = site.visitor();
        guesser.from = format!("127.0.0.{host}");
        for _ in 0..5 {
            assert_eq!(guesser.log_in("admin", "guess").status, 200);
        }
    }
    let mut late = site.visitor();
    late.from = "127.0.0.66".into();
    for _ in 0..8 {
        assert_eq!(late.log_in("admin", "guess").status, 429);
    }
    assert!(site.limits.bans(site.clock.now()).is_empty());
}

/// R6
#[test]
fn of_thirty_parallel_guesses_five_are_looked_at() {
    let site = start();
    let replies: Vec<u16> = std::thread::scope(|scope| {
        let guesses: Vec<_> = (0..30)
            .map(|_| {
                let mut guesser = site.visitor();
                guesser.from = "127.0.0.67".into();
                scope.spawn(move || guesser.log_in("admin", "guess").status)
            })
            .collect();
        let replies = guesses.into_iter().map(|guess| guess.join().unwrap());
        replies.collect()
    });
    let looked_at = replies.iter().filter(|status| **status == 200).count();
    let refused = replies.iter().filter(|status| **status == 429).count();
    assert_eq!((looked_at, refused), (5, 25));
}

/// W3
#[test]
fn a_password_out_of_a_manual_opens_from_loopback_only() {
    let site = start_with(|settings| settings.password = Some(Secret::new("admin")));
    assert_eq!(site.visitor().log_in("admin", "admin").status, 302);
    site.address_rules.store(Arc::new(ClientAddressRules {
        mode: Mode::Proxy,
        ..ClientAddressRules::default()
    }));
    let mut outside = site.visitor();
    outside
        .headers
        .push(("X-Real-IP".into(), "192.0.2.9".into()));
    let reply = outside.log_in("admin", "admin");
    assert_eq!(reply.status, 200);
    assert!(reply.body.contains("Wrong user name or password"));
}

/// W3, C9: neither a proxy that nobody told the tracker of nor what a stranger sends through a known one makes him an admin.
#[test]
fn nobody_is_let_in_or_shown_more_for_naming_this_machine_in_a_header() {
    let site = start_with(|settings| settings.password = Some(Secret::new("admin")));
    let proxied = || ClientAddressRules {
        mode: Mode::Proxy,
        ..ClientAddressRules::default()
    };
    for (address_rules, fields) in [
        (
            ClientAddressRules::default(),
            vec![("X-Forwarded-For", "192.0.2.9")],
        ),
        (
            ClientAddressRules::default(),
            vec![("X-Real-IP", "127.0.0.1")],
        ),
        (
            ClientAddressRules::default(),
            vec![("Forwarded", "for=127.0.0.1")],
        ),
        (
            proxied(),
            vec![("X-Real-IP", "127.0.0.1"), ("X-Forwarded-For", "192.0.2.9")],
        ),
        (proxied(), vec![("X-Forwarded-For", "127.0.0.1")]),
        (proxied(), vec![]),
    ] {
        site.address_rules.store(Arc::new(address_rules));
        let mut outside = site.visitor();
        let owned = |(name, value): &(&str, &str)| ((*name).into(), (*value).into());
        outside.headers.extend(fields.iter().map(owned));
        assert_eq!(outside.get("/metrics").status, 403, "{fields:?}");
        assert!(!outside.get("/health").body.contains("faults"));
        assert_eq!(outside.log_in("admin", "admin").status, 200, "{fields:?}");
    }
    site.address_rules.store(Arc::default());
    let mut admin = site.visitor();
    assert_eq!(admin.get("/metrics").status, 200);
    assert_eq!(admin.log_in("admin", "admin").status, 302);
    let about = admin.get("/about").body;
    assert!(about.contains("headers of a proxy that is not believed"));
}

/// W3
#[test]
fn a_form_without_its_token_is_refused_and_changes_nothing() {
    let site = start();
    let mut visitor = site.visitor();
    let fields = [("username", "admin"), ("password", PASSWORD)];
    assert_eq!(visitor.post("/login", &fields).status, 403);
    drop(visitor.get("/login"));
    let planted = [("csrf", "0"), ("username", "admin"), ("password", PASSWORD)];
    assert_eq!(visitor.post("/login", &planted).status, 403);
    let mut operator = site.operator();
    let block = [("ip", "192.0.2.1"), ("info_hash", ""), ("reason", "")];
    assert_eq!(operator.post("/blocklist", &block).status, 403);
    for path in [
        "/blocklist/unblock/1",
        "/logout",
        "/about/save",
        "/about/tokens",
    ] {
        assert_eq!(operator.post(path, &[("name", "x")]).status, 403, "{path}");
    }
    assert!(site.tracker.access().blocks().is_empty());
    assert_eq!(operator.get("/stat").status, 200);
}

/// W3
#[test]
fn a_form_of_another_site_is_refused_even_with_the_token() {
    let site = start();
    let mut operator = site.operator();
    let csrf = operator.get("/blocklist").csrf();
    operator
        .headers
        .push(("Origin".into(), "http://evil.example".into()));
    let fields = [("csrf", csrf.as_str()), ("ip", "192.0.2.1")];
    assert_eq!(operator.post("/blocklist", &fields).status, 403);
    operator.headers.clear();
    operator
        .headers
        .push(("Origin".into(), format!("http://{}", site.address)));
    assert_eq!(operator.post("/blocklist", &fields).status, 302);
}

/// W3: the name of a foreign site leads here (DNS rebinding), and its page tries the passwords of manuals on loopback.
#[test]
fn a_password_out_of_a_manual_opens_under_no_foreign_name() {
    let site = start_with(|settings| settings.password = Some(Secret::new("admin")));
    let mut visitor = site.visitor();
    visitor.headers.push(("Host".into(), "evil.example".into()));
    assert_eq!(visitor.log_in("admin", "admin").status, 200);
    assert_eq!(site.visitor().log_in("admin", "admin").status, 302);
}

/// W3
#[test]
fn guesses_from_very_many_addresses_are_bounded_and_keep_no_operator_out() {
    let site = start();
    site.address_rules.store(Arc::new(ClientAddressRules {
        admin_networks: ["127.0.0.1/32".parse().unwrap()].into_iter().collect(),
        ..ClientAddressRules::default()
    }));
    let from = |address: String| {
        let mut visitor = site.visitor();
        visitor.from = address;
        visitor
    };
    // From here the right password has come before.
    let home = "127.0.9.9";
    assert_eq!(from(home.into()).log_in("admin", PASSWORD).status, 302);
    let looked_at = (0..120)
        .map(|guess| {
            from(format!("127.0.1.{}", guess + 1))
                .log_in("admin", "guess")
                .status
        })
        .filter(|status| *status == 200)
        .count();
    assert_eq!(looked_at, 100);
    assert_eq!(
        from("127.0.2.1".into()).log_in("admin", PASSWORD).status,
        429
    );
    assert_eq!(from(home.into()).log_in("admin", PASSWORD).status, 302);
    assert_eq!(
        from("127.0.0.1".into()).log_in("admin", PASSWORD).status,
        302
    );
}

/// W3
#[test]
fn a_cookie_that_names_no_session_costs_no_line_in_the_log() {
    crate::harness::keep_log();
    let site = start();
    let mut operator = site.operator();
    let ended = operator.clone();
    assert_eq!(operator.submit("/logout", "/logout", &[]).status, 302);
    let mut signed = ended.cookies["session"].clone();
    signed.replace_range(1..2, "~");
    let garbage = ["x", "", "%ff%fe", "=;=", "\u{444}", signed.as_str()];
    for value in garbage
        .into_iter()
        .chain([ended.cookies["session"].as_str()])
    {
        let mut visitor = site.visitor();
        visitor.cookies.insert("session".into(), value.into());
        assert_eq!(visitor.get("/stat").status, 302, "{value}");
        assert_eq!(visitor.get("/login").status, 200, "{value}");
    }
    let lines = crate::harness::log_of("actix_session");
    assert!(lines.is_empty(), "{lines:?}");
}
