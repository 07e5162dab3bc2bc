//! W14: what a person is told instead of a page, the way through the login and back, and the page for subscribers.

use retracker::web::BackendError;

use crate::harness::{PASSWORD, Reply, Site, Visitor, start, start_with};

/// Whether a reply is a page in this language, with this status and this text.
fn is_page(reply: &Reply, status: u16, language: &str, text: &str) -> bool {
    let is_framed = reply.body.contains("<header class=\"top\">");
    let is_right = reply.body.contains(&format!("<html lang=\"{language}\""));
    let is_html = reply.header("content-type").starts_with("text/html");
    is_html && is_framed && is_right && reply.status == status && reply.body.contains(text)
}

fn operator_with_browser(site: &Site) -> Visitor {
    let mut browser = site.browser();
    let reply = browser.log_in("admin", PASSWORD);
    assert_eq!((reply.status, reply.header("location")), (302, "/stat"));
    browser
}

/// What is asked for, and what is told in English and in Russian. `LONG` stands for a form that is too long.
const REFUSALS: [(&str, &str, &str, u16, [&str; 2]); 7] = [
    (
        "GET",
        "/nothing",
        "",
        404,
        ["There is no such page", "Такой страницы нет"],
    ),
    (
        "GET",
        "/static/nothing.css",
        "",
        404,
        ["no such page", "страницы нет"],
    ),
    (
        "GET",
        "/torrents/nothing",
        "",
        404,
        ["no such page", "страницы нет"],
    ),
    (
        "POST",
        "/stat",
        "",
        405,
        ["does not take this method", "не поддерживает"],
    ),
    (
        "POST",
        "/blocklist",
        "csrf=x&ip=10.0.0.1",
        403,
        ["This form has expired", "Форма устарела"],
    ),
    (
        "POST",
        "/blocklist",
        "{\"ip\":1}",
        400,
        ["no form of these pages", "не форма"],
    ),
    (
        "POST",
        "/blocklist",
        "LONG",
        413,
        ["longer than 4", "больше 4"],
    ),
];

/// W14
#[test]
fn a_browser_is_told_in_the_frame_and_in_its_language() {
    let site = start();
    let mut browser = operator_with_browser(&site);
    let long = format!("reason={}", "x".repeat(5_000));
    for (method, path, body, status, texts) in REFUSALS {
        let body = if body == "LONG" { long.as_str() } else { body };
        for (language, text) in ["en", "ru"].into_iter().zip(texts) {
            browser.cookies.insert("lang".into(), language.into());
            let reply = browser.send(method, path, body);
            let told = format!(
                "{method} {path} in {language}: {} {}",
                reply.status, reply.body
            );
            assert!(is_page(&reply, status, language, text), "{told}");
            assert_eq!(reply.header("x-frame-options"), "DENY");
        }
    }
    let mut program = browser.clone();
    program.headers.clear();
    for (path, status) in [
        ("/nothing", 404),
        ("/torrents/nothing", 404),
        ("/static/no.js", 404),
    ] {
        let reply = program.get(path);
        assert_eq!(reply.status, status, "{path}");
        assert!(
            reply.header("content-type").starts_with("text/plain"),
            "{path}"
        );
    }
    // The API is for programs, whoever asks.
    let api = browser.get("/api/v1/nothing");
    assert_eq!(
        (api.status, api.header("content-type")),
        (404, "application/json")
    );
}

/// W14
#[test]
fn who_may_not_is_told_in_the_frame_without_the_menu() {
    let site = start();
    let mut stranger = site.browser();
    stranger
        .headers
        .push(("Accept-Language".into(), "ru".into()));
    let reply = stranger.get("/nothing");
    assert!(is_page(&reply, 404, "ru", "Такой страницы нет"));
    assert!(
        !reply.body.contains("href=\"/torrents\""),
        "no menu for strangers"
    );
    let mut named = stranger.clone();
    named.headers.push(("Host".into(), "evil.example".into()));
    assert!(is_page(
        &named.get("/metrics"),
        403,
        "ru",
        "Только для сетей администраторов"
    ));
    stranger
        .headers
        .push(("Origin".into(), "http://evil.example".into()));
    let reply = stranger.post("/blocklist", &[("ip", "10.0.0.1")]);
    assert!(is_page(&reply, 403, "ru", "со страницы другого сайта"));
    let mut odd = site.browser();
    let reply = odd.get("//evil.example/x");
    assert_eq!(reply.status, 404);
    assert!(!reply.body.contains("href=\"//"), "{}", reply.body);
}

/// W14, W4
#[test]
fn a_refusal_of_the_disk_is_told_in_the_frame() {
    let site = start();
    let mut browser = operator_with_browser(&site);
    site.refuse(BackendError::Disk);
    let reply = browser.submit("/blocklist", "/blocklist", &[("ip", "192.0.2.1")]);
    assert!(is_page(&reply, 503, "en", "could not be written"));
}

/// W14
#[test]
fn the_login_leads_back_to_where_one_was() {
    let site = start();
    for path in [
        "/torrents?sort_by=seeders&page=2",
        "/all_peers?q=10.0.0.0/8",
        "/zones?zone=a%26b",
    ] {
        let mut browser = site.browser();
        let reply = browser.get(path);
        assert_eq!(
            (reply.status, reply.header("location")),
            (302, "/login"),
            "{path}"
        );
        let form = browser.get("/login");
        let wrong = browser.log_in_by(&form, "wrong");
        assert_eq!(wrong.status, 200);
        let reply = browser.log_in_by(&wrong, PASSWORD);
        assert_eq!((reply.status, reply.header("location")), (302, path));
        assert!(
            !browser.cookies.contains_key("back"),
            "what is done is forgotten"
        );
        assert_eq!(browser.get(path).status, 200);
    }
    let mut left = operator_with_browser(&site);
    left.get("/torrents");
    left.submit("/logout", "/logout", &[]);
    let form = left.get("/login?out=1");
    let reply = left.log_in_by(&form, PASSWORD);
    assert_eq!(reply.header("location"), "/stat", "who left begins anew");
}

/// W14
#[test]
fn the_login_leads_to_no_other_site() {
    let site = start();
    for next in [
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "http://evil.example/",
        "javascript:alert(1)",
        "/\t/evil.example",
        "/x\r\nSet-Cookie: a=b",
        "/login",
        "/logout",
    ] {
        let mut browser = site.browser();
        let form = browser.get("/login");
        let csrf = form.csrf();
        let fields = [
            ("csrf", csrf.as_str()),
            ("username", "admin"),
            ("password", PASSWORD),
            ("next", next),
        ];
        let reply = browser.post("/login", &fields);
        assert_eq!(
            (reply.status, reply.header("location")),
            (302, "/stat"),
            "{next}"
        );
        let mut planted = site.browser();
        let cookie = crate::harness::encode(next);
        planted.cookies.insert("back".into(), cookie);
        let form = planted.get("/login");
        let reply = planted.log_in_by(&form, PASSWORD);
        assert_eq!(reply.header("location"), "/stat", "{next}");
    }
}

/// W14
#[test]
fn a_form_that_was_sent_too_late_comes_back_filled_in_and_does_nothing_by_itself() {
    let site = start();
    let reason = "спам & <b>\"co\"</b>";
    let fields = [
        ("ip", "192.0.2.0/24"),
        ("reason", reason),
        ("hours", "5"),
        ("csrf", "old"),
    ];
    let mut browser = operator_with_browser(&site);
    browser.cookies.insert("session".into(), "ended".into());
    let late = browser.post("/blocklist", &fields);
    assert!(is_page(&late, 403, "en", "Your session has ended"));
    assert!(late.body.contains("What you had entered is kept"));
    assert!(!late.body.contains("<b>\"co"), "{}", late.body);
    let wrong = browser.log_in_by(&late, "wrong");
    assert!(wrong.body.contains("Wrong user name") && wrong.body.contains("is kept"));
    let reply = browser.log_in_by(&wrong, PASSWORD);
    let back = reply.header("location").to_owned();
    assert!(
        back.starts_with("/blocklist?ip=192.0.2.0/24&reason="),
        "{back}"
    );
    let page = browser.get(&back);
    for value in [
        "value=\"192.0.2.0/24\"",
        "value=\"5\"",
        "спам &amp; &lt;b&gt;",
    ] {
        assert!(page.body.contains(value), "{value}");
    }
    assert!(
        site.tracker.access().blocks().is_empty(),
        "nobody pressed the button"
    );
    let hidden = page.hidden_fields();
    let csrf = hidden.iter().find(|(name, _)| name == "csrf").unwrap();
    let mut again = fields.to_vec();
    again[3] = ("csrf", &csrf.1);
    assert_eq!(browser.post("/blocklist", &again).status, 302);
    assert_eq!(site.tracker.access().blocks()[0].reason, reason);
}

/// W14
#[test]
fn a_form_of_another_session_leads_back_to_the_form() {
    let site = start();
    let mut browser = operator_with_browser(&site);
    let fields = [("ip", "192.0.2.1"), ("csrf", "of-another-session")];
    let reply = browser.post("/blocklist", &fields);
    assert!(is_page(&reply, 403, "en", "This form has expired"));
    assert!(
        reply.body.contains("href=\"/blocklist?ip=192.0.2.1\""),
        "{}",
        reply.body
    );
    let reply = browser.post("/about/tokens/1/revoke", &[("csrf", "x")]);
    assert!(reply.body.contains("href=\"/about\""));
    let mut stranger = site.browser();
    let reply = stranger.post(
        "/login",
        &[("csrf", "x"), ("next", "/zones"), ("password", PASSWORD)],
    );
    assert!(is_page(&reply, 403, "en", "This form has expired"));
    assert!(!reply.body.contains(PASSWORD), "a password is never shown");
    let reply = stranger.log_in_by(&reply, PASSWORD);
    assert_eq!(reply.header("location"), "/zones");
    assert!(site.tracker.access().blocks().is_empty());
}

/// W14
#[test]
fn a_session_that_has_ended_is_told() {
    let site = start();
    let mut browser = site.browser();
    assert!(!browser.get("/login").body.contains("has ended"));
    browser
        .cookies
        .insert("session".into(), "of an earlier run".into());
    browser
        .headers
        .push(("Accept-Language".into(), "ru".into()));
    assert!(is_page(&browser.get("/login"), 200, "ru", "Сеанс завершён"));
}

/// W14
#[test]
fn without_addresses_for_subscribers_the_root_leads_to_the_statistics() {
    let reply = start().browser().get("/");
    assert_eq!((reply.status, reply.header("location")), (302, "/stat"));
}

/// W14
#[test]
fn subscribers_are_told_the_address_in_both_languages_without_a_login() {
    let addresses = [
        "http://retracker.local/announce",
        "udp://192.0.2.1:80/announce",
    ];
    let site = start_with(|settings| {
        settings.subscriber_page = addresses.map(|text| text.parse().unwrap()).to_vec();
    });
    for (language, texts) in [
        (
            "en",
            ["Automatically append these trackers", "Transmission"],
        ),
        ("ru", ["Автоматически добавлять эти трекеры", "µTorrent"]),
    ] {
        let mut browser = site.browser();
        browser
            .headers
            .push(("Accept-Language".into(), language.into()));
        let page = browser.get("/");
        assert!(
            is_page(&page, 200, language, "qBittorrent"),
            "{}",
            page.body
        );
        for text in addresses.iter().chain(&texts) {
            assert!(page.body.contains(text), "{text} is missing");
        }
        assert!(browser.cookies.is_empty(), "it keeps nothing");
        assert_eq!(page.header("cache-control"), "public, max-age=300");
        assert_eq!(page.header("vary"), "accept-language");
        browser
            .headers
            .push(("If-None-Match".into(), page.header("etag").into()));
        assert_eq!(browser.get("/").status, 304);
        for secret in ["/stat\"", "/login", env!("CARGO_PKG_VERSION"), "127.0.0.1"] {
            assert!(!page.body.contains(secret), "{secret} is nobody's business");
        }
    }
    let chosen = site.browser().get("/?lang=ru");
    assert!(is_page(&chosen, 200, "ru", "Трекер в нашей сети"));
    assert!(chosen.header("set-cookie").is_empty());
    let overview = operator_with_browser(&site).get("/stat").body;
    assert!(overview.contains(addresses[0]) && overview.contains(addresses[1]));
}

/// W14
#[test]
fn the_overview_tells_the_addresses_to_announce_to() {
    let site = start();
    let mut operator = site.operator();
    let body = operator.get("/stat").body;
    let own = format!("http://{}/announce", site.address);
    for address in [own.as_str(), "udp://127.0.0.1:6969/announce"] {
        let shown = format!("<code class=\"mono hash whole\">{address}</code>");
        assert!(body.contains(&shown), "{address} is missing");
    }
    operator
        .headers
        .push(("Host".into(), "tracker.isp.example".into()));
    let body = operator.get("/stat").body;
    assert!(body.contains(">http://tracker.isp.example/announce<"));
    assert!(body.contains(">udp://tracker.isp.example:6969/announce<"));
}
