//! R6: nothing gets through, and nothing gives a 5xx.

use crate::harness::{Site, start};

const PROTECTED: [&str; 49] = [
    "/stat",
    "/torrents",
    "/torrents/0000000000000000000000000000000000000000",
    "/all_peers",
    "/zones",
    "/clients",
    "/callers",
    "/callers/lift/1",
    "/blocklist",
    "/blocklist/unblock/1",
    "/keys",
    "/keys/1/revoke",
    "/sites",
    "/sites/resend",
    "/sites/forget",
    "/listed",
    "/audit",
    "/about",
    "/about/save",
    "/about/tokens",
    "/about/tokens/1/revoke",
    "/logout",
    "/stats.json",
    "/api/v1/stats",
    "/api/v1/history",
    "/api/v1/zones",
    "/api/v1/zones/savings",
    "/api/v1/clients",
    "/api/v1/torrents",
    "/api/v1/blocklist",
    "/api/v1/blocklist/1",
    "/api/v1/bans",
    "/api/v1/bans/1",
    "/api/v1/listed",
    "/api/v1/snapshot",
    "/api/v1/keys",
    "/api/v1/keys/export",
    "/api/v1/keys/revoke",
    "/api/v1/keys/1",
    "/api/v1/sites",
    "/api/v1/sites/digest",
    "/api/v1/sites/resend",
    "/api/v1/sites/forget",
    "/api/v1/audit",
    "/api/v1/torrents/0000000000000000000000000000000000000000",
    "/api/v1/metrics",
    "/api/v1/full-scrape",
    "/api/v1/watch",
    "/api/v1/openapi.json",
];

const METHODS: [&str; 8] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND",
];

/// Ways to write a path that a careless guard takes for another one.
fn spellings(path: &str) -> Vec<String> {
    let bare = &path[1..];
    let hex = |upper: bool| {
        let escape = |byte: u8| match (byte, upper) {
            (b'/', _) => "/".to_owned(),
            (_, true) => format!("%{byte:02X}"),
            (_, false) => format!("%{byte:02x}"),
        };
        bare.bytes().map(escape).collect::<String>()
    };
    let first = format!("%{:02x}", bare.as_bytes()[0]);
    let (last, before) = (bare.as_bytes()[bare.len() - 1], &bare[..bare.len() - 1]);
    vec![
        path.to_owned(),
        format!("{path}/"),
        format!("{path}//"),
        format!("/{path}"),
        format!("///{path}"),
        format!("/.{path}"),
        format!("{path}/."),
        format!("{path}/../{bare}"),
        format!("/static/..{path}"),
        format!("/static/%2e%2e{path}"),
        format!("/static/%2E%2E%2F{bare}"),
        format!("/login/..{path}"),
        format!("/login;{path}"),
        format!("/login%2f..{path}"),
        format!("/metrics/..{path}"),
        format!("/health/..{path}"),
        format!("{path};x=1"),
        format!("{path}?login"),
        format!("{path}%3flogin"),
        format!("{path}#login"),
        format!("{path}%00"),
        format!("{path}%20"),
        format!("{path}%0a"),
        format!("{path}.html"),
        path.to_uppercase(),
        format!("/{first}{}", &bare[1..]),
        format!("/{before}%{last:02X}"),
        format!("/{}", hex(false)),
        format!("/{}", hex(true)),
        format!("/{}", bare.replace('/', "%2f")),
        format!("/{}", bare.replace('/', "%2F")),
        format!("/{}", bare.replace('/', "//")),
        format!("/%25{:02x}{}", bare.as_bytes()[0], &bare[1..]),
        format!("http://127.0.0.1{path}"),
        format!("HTTP://127.0.0.1/{first}{}", &bare[1..]),
        format!("\\{bare}"),
    ]
}

/// W3
#[test]
fn no_spelling_and_no_method_gets_past_the_login() {
    let site = start();
    for path in PROTECTED {
        for spelling in spellings(path) {
            for method in METHODS {
                let reply = site.visitor().send(method, &spelling, "");
                let told = format!("{method} {spelling}: {}", reply.status);
                assert!(
                    [302, 400, 401, 403, 404, 405].contains(&reply.status),
                    "{told}"
                );
                if reply.status == 302 {
                    assert_eq!(reply.header("location"), "/login", "{told}");
                }
                assert!(reply.body.len() < 200, "{told}: {}", reply.body);
            }
        }
    }
}

/// W3: who has logged in changes nothing without the token of a form (pages) or of the API, however a path is written.
#[test]
fn a_session_alone_changes_nothing_under_any_spelling() {
    let site = start();
    assert!(site.announce("192.0.2.1", [7; 20], true));
    let mut operator = site.operator();
    let fields = [("ip", "192.0.2.0/24"), ("confirm", "192.0.2.0/24")];
    assert_eq!(
        operator.submit("/blocklist", "/blocklist", &fields).status,
        302
    );
    for path in PROTECTED {
        for spelling in spellings(path) {
            for method in METHODS.iter().filter(|m| !["GET", "HEAD"].contains(m)) {
                for body in [
                    "",
                    "ip=198.51.100.1&name=x&csrf=",
                    r#"{"ip":"198.51.100.1"}"#,
                ] {
                    let status = operator.clone().send(method, &spelling, body).status;
                    assert!(
                        [400, 401, 403, 404, 405].contains(&status),
                        "{method} {spelling} {body}: {status}"
                    );
                }
            }
        }
    }
    assert_eq!(site.tracker.access().blocks().len(), 1);
    assert_eq!(operator.get("/stat").status, 200);
    let tokens = retracker::web::Tokens::new(site.folder.path());
    assert!(tokens.list().unwrap().is_empty());
}

/// W3: one spelling that the router takes for another path is still behind that path's guard.
#[test]
fn a_spelling_of_a_page_is_that_page() {
    let site = start();
    let mut operator = site.operator();
    assert_eq!(operator.get("/%73tat").status, 200);
    assert_eq!(site.visitor().get("/%73tat").status, 302);
    assert_eq!(site.visitor().get("/%61pi/v1/stats").status, 401);
    let body = r#"{"ip":"198.51.100.1"}"#;
    assert_eq!(
        operator.send("POST", "/%61pi/v1/blocklist", body).status,
        401
    );
    let mut program = site.visitor();
    let header = format!("Bearer {}", site.token());
    program.headers.push(("Authorization".into(), header));
    assert_eq!(
        program.send("POST", "/%61pi/v1/blocklist", body).status,
        201
    );
}

/// W3: a page of another site reads nothing and changes nothing, but may link here.
#[test]
fn cross_site_requests_are_refused_but_for_links_to_pages() {
    let site = start();
    let operator = site.operator();
    let with = |headers: &[(&str, &str)]| {
        let mut visitor = operator.clone();
        let headers = headers.iter();
        visitor.headers = headers
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        visitor
    };
    let fetch = [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Mode", "no-cors"),
    ];
    let neighbour = [("Sec-Fetch-Site", "same-site"), ("Sec-Fetch-Mode", "cors")];
    let cors = [("Origin", "http://evil.example")];
    let frame = [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Dest", "iframe"),
    ];
    let link = [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Dest", "document"),
    ];
    let pages = ["/stat", "/blocklist", "/login", "/static/app.js", "/health"];
    let programs = ["/metrics", "/stats.json", "/api/v1/stats"];
    for path in pages.into_iter().chain(programs) {
        for headers in [&fetch[..], &neighbour, &cors, &frame] {
            let status = with(headers).get(path).status;
            assert_eq!(status, 403, "{path} {headers:?}");
        }
        assert_eq!(with(&[]).get(path).status / 200, 1, "{path}");
    }
    for path in pages {
        let status = with(&link).get(path).status;
        assert!([200, 302].contains(&status), "{path}: {status}");
        assert_eq!(with(&link).post(path, &[]).status, 403, "{path}");
    }
    for path in programs {
        assert_eq!(with(&link).get(path).status, 403, "{path}");
    }
}

#[test]
fn every_link_and_form_of_the_pages_leads_to_a_known_path() {
    let site = start();
    let mut operator = site.operator();
    for page in PROTECTED
        .iter()
        .filter(|path| !path.contains("/1") && !path.starts_with("/api") && !path.contains("000"))
    {
        let body = operator.get(page).body;
        for part in body
            .split(&['"', '\''][..])
            .filter(|part| part.starts_with('/') && part.len() > 1)
        {
            let path = part.split('?').next().unwrap();
            let is_known = path.starts_with("/static/")
                || PROTECTED.contains(&path)
                || path == "/api/v1/openapi.json";
            assert!(is_known, "{page} leads to {part}");
        }
    }
}

#[test]
fn no_path_reaches_a_file_outside_the_static_ones() {
    let site = start();
    let names = [
        "../Cargo.toml",
        "..%2fCargo.toml",
        "%2e%2e/Cargo.toml",
        "%2e%2e%2fCargo.toml",
        "..\\Cargo.toml",
        "....//Cargo.toml",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "style.css%00.svg",
        "style.css/",
        "./style.css",
        "../stat.html",
        "..%2fstat.html",
        "..%252fstat.html",
        "static/style.css",
        "%c0%ae%c0%ae/stat.html",
        "..;/stat.html",
        "stat.html",
        "lang/en.json",
        "",
    ];
    let prefixes = ["/static/", "/static//", "/static/./", "/static/x/../"];
    for prefix in prefixes {
        for name in names {
            let path = format!("{prefix}{name}");
            let reply = site.visitor().get(&path);
            let is_style =
                reply.status == 200 && reply.header("content-type").starts_with("text/css");
            assert!(
                is_style || [400, 404].contains(&reply.status),
                "{path}: {}",
                reply.status
            );
            assert!(
                !reply.body.contains("[package]") && !reply.body.contains("root:"),
                "{path}"
            );
        }
    }
    assert_eq!(site.visitor().get("/static/style.css").status, 200);
}

#[test]
fn odd_parameters_never_give_a_fault() {
    let site = start();
    let mut operator = site.operator();
    let values = [
        "abc",
        "-1",
        "0",
        "100000000000000000000",
        "1e9",
        "%00",
        "%ff%fe",
        "%",
        "%zz",
        "'",
        "\"",
        "<script>alert(1)</script>",
        "{{7*7}}",
        "{%25%20if%20%25}",
        "../../etc",
        "999.1.1.1",
        "10.0.0.0/99",
        "::/0",
        "-qB",
        "&&&",
        "a=b=c",
        "%F0%9F%90%88",
    ];
    for path in [
        "/all_peers",
        "/torrents",
        "/stat",
        "/blocklist",
        "/login",
        "/about",
        "/api/v1/history",
        "/api/v1/torrents",
    ] {
        for name in [
            "page",
            "sort_by",
            "sort",
            "q",
            "lang",
            "theme",
            "ip",
            "info_hash",
            "done",
            "range",
        ] {
            for value in values {
                let value = value
                    .replace('<', "%3C")
                    .replace('"', "%22")
                    .replace('{', "%7B")
                    .replace('}', "%7D");
                let reply = operator.get(&format!("{path}?{name}={value}"));
                assert!(
                    reply.status < 500 && reply.status != 0,
                    "{path}?{name}={value}: {}",
                    reply.status
                );
                assert!(!reply.body.contains("<script>alert") && !reply.body.contains(">49<"));
            }
        }
    }
    assert!(
        operator
            .get(&format!("/all_peers?q={}", "x".repeat(3_000)))
            .status
            < 500
    );
}

/// Payloads that would run in a page that does not escape them.
const PAYLOADS: [&str; 9] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "</title><script>alert(1)</script>",
    "<svg/onload=alert(1)>",
    "javascript:alert(1)",
    "{{ 7 * 7 }}",
    "<!--<script>-->",
    "`${alert(1)}`",
];

fn holds_no_payload(body: &str, told: &str) {
    for raw in [
        "<script>alert",
        "<img src=x",
        "<svg/onload",
        "' onmouseover='",
        "<!--<script>",
    ] {
        assert!(!body.contains(raw), "{told} shows {raw}");
    }
}

#[test]
fn what_strangers_and_operators_write_is_escaped_everywhere() {
    let site = start();
    let mut operator = site.operator();
    for payload in PAYLOADS {
        for field in ["ip", "info_hash", "reason", "hours"] {
            let mut fields = vec![("ip", "192.0.2.1"), ("reason", payload)];
            fields.retain(|(name, _)| *name != field);
            fields.push((field, payload));
            let mut reply = operator.submit("/blocklist", "/blocklist", &fields);
            if reply.status == 409 {
                holds_no_payload(&reply.body, "the question");
                fields.push(("confirm", "192.0.2.1"));
                reply = operator.submit("/blocklist", "/blocklist", &fields);
            }
            assert!([302, 400].contains(&reply.status));
            holds_no_payload(&reply.body, "the form");
        }
        holds_no_payload(&operator.get("/blocklist").body, "the list");
        let made = operator.submit("/about", "/about/tokens", &[("name", payload)]);
        holds_no_payload(&made.body, "the tokens");
        let login = site.visitor().log_in(payload, payload);
        holds_no_payload(&login.body, "the login");
        let path = format!("/{}", crate::harness::encode(payload));
        holds_no_payload(&operator.get(&path).body, "the 404");
    }
    announce_with_hostile_ids(&site);
    for path in [
        "/stat",
        "/all_peers",
        "/clients",
        "/torrents/0707070707070707070707070707070707070707",
    ] {
        holds_no_payload(&operator.get(path).body, path);
    }
}

fn announce_with_hostile_ids(site: &Site) {
    use retracker::tracker::{
        Announce, AnnounceContext, Event, InfoHash, ListOptions, PeerId, PeerList,
    };
    for (port, id) in [
        (1, b"<script>alert(1)</sc"),
        (2, b"-<i>1234-onload=x()>"),
        (3, b"\"'><b>&amp;{{77}}\n\r\0"),
    ] {
        let announce = Announce {
            info_hash: InfoHash([7; 20]),
            peer_id: PeerId(*id),
            key: None,
            ip: "203.0.113.7".parse().unwrap(),
            inner_ip: None,
            is_reported: false,
            port,
            is_seeder: true,
            downloaded: 0,
            event: Event::None,
            num_want: None,
            options: ListOptions::default(),
        };
        let mut turn = AnnounceContext {
            now: site.clock.now(),
            rng: &mut fastrand::Rng::with_seed(1),
            counters: site.tracker.metrics().counters(0),
        };
        let mut list = PeerList::default();
        assert!(
            site.tracker
                .announce(&announce, &mut turn, &mut list)
                .is_ok()
        );
    }
    site.count();
}

#[test]
fn every_reply_carries_the_protecting_headers() {
    let site = start();
    let mut operator = site.operator();
    for path in [
        "/login",
        "/stat",
        "/about",
        "/stats.json",
        "/nothing",
        "/metrics",
        "/static/app.js",
        "/health",
    ] {
        let reply = operator.get(path);
        let policy = reply.header("content-security-policy");
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{path}"
        );
        assert!(
            !policy.contains("unsafe") && !policy.contains("http"),
            "{path}"
        );
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(reply.header("referrer-policy"), "same-origin", "{path}");
        let caching = reply.header("cache-control");
        assert_eq!(
            caching == "no-store",
            !path.starts_with("/static"),
            "{path}: {caching}"
        );
        assert!(reply.header("server").is_empty() && reply.header("x-powered-by").is_empty());
        assert!(
            !reply.body.contains("style=\"") && !reply.body.contains("onclick"),
            "{path}"
        );
    }
}

#[test]
fn long_and_wrong_bodies_are_refused_without_a_fault() {
    let site = start();
    let mut operator = site.operator();
    let long = format!("ip={}", "1".repeat(10_000));
    for body in [
        long.as_str(),
        "{\"ip\":1}",
        "=&=&&=%",
        "%ff=%fe",
        "\u{1}\u{2}",
    ] {
        let status = operator.send("POST", "/blocklist", body).status;
        assert!([400, 403, 413].contains(&status), "{status}");
    }
}
