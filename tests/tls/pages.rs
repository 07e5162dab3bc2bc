//! Pages, their login and the API over TLS, of the built program.

use super::client::{Client, VERSIONS, config};
use super::program::{PASSWORD, Program};
use super::server::announce;

fn cookie(set: &str) -> &str {
    set.split(';').next().unwrap()
}

/// P23, W3: who logs in over TLS has a cookie that is never sent without it, and a browser that comes back the same way.
#[test]
fn one_logs_in_over_tls() {
    let program = Program::start("", "");
    let form = program.get("/login", "");
    assert_eq!(form.status, 200);
    assert_eq!(
        form.field("strict-transport-security"),
        Some("max-age=86400")
    );
    let first = form.field("set-cookie").unwrap();
    assert!(first.contains("; Secure"), "{first}");
    let (_, token) = form.text().split_once("name=\"csrf\" value=\"").unwrap();
    let token = token.split('"').next().unwrap();
    let body = format!("csrf={token}&username=admin&password={PASSWORD}");
    let reply = program.ask(&format!(
        "POST /login HTTP/1.1\r\nHost: localhost\r\nOrigin: https://localhost\r\nCookie: {}\r\nContent-Type: \
         application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        cookie(first),
        body.len()
    ));
    assert_eq!(
        (reply.status, reply.field("location")),
        (302, Some("/stat"))
    );
    let session = reply.head.lines().filter_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("set-cookie").then_some(value)
    });
    let session: Vec<&str> = session.collect();
    assert!(!session.is_empty() && session.iter().all(|set| set.contains("; Secure")));
    let session = session
        .iter()
        .map(|set| cookie(set))
        .collect::<Vec<_>>()
        .join("; ");
    let stat = program.get("/stat", &format!("Cookie: {session}\r\n"));
    assert_eq!(stat.status, 200);
    // Clients of whoever is here are to come the same way.
    assert!(stat.text().contains("https://localhost/announce"));
    let style = stat.text().split_once("href=\"/static/").unwrap().1;
    let style = format!("/static/{}", style.split('"').next().unwrap());
    // As long as several records.
    assert_eq!(program.get(&style, "").status, 200);
}

/// P23, W3: where there is no TLS nothing is said of it.
#[test]
fn without_tls_nothing_is_changed() {
    let program = Program::start("", "");
    let form = program.get_plain("/login").to_ascii_lowercase();
    assert!(form.contains("set-cookie") && !form.contains("; secure"));
    assert!(!form.contains("strict-transport-security"));
    let quiet = Program::start("hsts = 0", "");
    assert_eq!(
        quiet.get("/login", "").field("strict-transport-security"),
        None
    );
}

/// P23: requests before that for a page are answered by the lean loop, on the same connection and in order.
#[test]
fn a_page_is_asked_for_behind_announces() {
    let program = Program::start("", "");
    for version in VERSIONS {
        let mut client = Client::new(program.address, &config(&[version]));
        let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        client.send(request(&announce(1)) + &request(&announce(1)) + &request("/login"));
        assert_eq!(client.reply().number("incomplete"), 1);
        assert_eq!(client.reply().number("incomplete"), 1);
        let login = client.reply();
        assert!(login.status == 200 && login.text().contains("name=\"csrf\""));
        assert!(client.is_closed());
        // A page that is asked for in pieces, sealed one by one.
        let mut slow = Client::new(program.address, &config(&[version]));
        for piece in request("/login").as_bytes().chunks(5) {
            slow.send(piece);
        }
        assert_eq!(slow.reply().status, 200);
        assert!(slow.is_closed());
    }
    assert_eq!(program.metric("retracker_tls_connections"), 0);
    assert_eq!(
        program.metric("retracker_tls_connections_total{version=\"1.2\"}"),
        2
    );
    assert_eq!(
        program.metric("retracker_tls_handshakes_total{outcome=\"full\"}"),
        4
    );
}

/// P23: the API is asked over TLS with a body, and refuses one that is too long over TLS as well.
#[test]
fn a_body_comes_over_tls() {
    let program = Program::start("", "");
    for (length, status) in [(100, 401), (100_000, 413)] {
        let mut client = Client::new(program.address, &program.tls);
        client.send(format!(
            "POST /api/v1/blocklist HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
        ));
        client.send(vec![b'x'; length.min(5_000)]);
        let reply = client.reply();
        assert_eq!(reply.status, status, "{}", reply.head);
        assert!(client.is_closed());
    }
}
