//! Slow, silent and too many clients: every connection ends, and good ones are served meanwhile (R2, R7).

use std::time::Duration;

use retracker::metrics::{Failure, Gauge};

use crate::harness::{Client, PATIENCE, Server, announce, start_with};

/// Limits that a test does not have to wait for long, and that a client which does its part at once does not meet even where
/// other programs have taken the machine.
const SHORT: Duration = Duration::from_secs(3);

/// R2
#[test]
fn a_request_that_drips_is_cut_off() {
    let server = start_with(|settings| settings.request_timeout = SHORT);
    let mut first = server.connect();
    first.send("GET /announce?x=");
    let mut second = server.connect();
    assert_eq!(second.get(&announce(1, "")).status, 200);
    second.send("GET /");
    let mut clients = [first, second];
    let step = Duration::from_millis(20);
    let mut open = 2;
    for _ in 0..PATIENCE.as_millis() / step.as_millis() {
        clients.iter_mut().for_each(|client| {
            client.try_send("x");
        });
        open = clients.iter().filter(|client| !is_gone(client)).count();
        if open == 0 {
            break;
        }
        std::thread::sleep(step);
    }
    assert_eq!(open, 0);
    server.await_failures(Failure::TimedOut, 2);
}

fn is_gone(client: &Client) -> bool {
    client.stream.set_nonblocking(true).unwrap();
    let seen = client.stream.peek(&mut [0]);
    client.stream.set_nonblocking(false).unwrap();
    !matches!(seen, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

/// R2
#[test]
fn idle_connections_end_and_good_ones_are_served_meanwhile() {
    let server = start_with(|settings| settings.idle_timeout = SHORT);
    let mut idle: Vec<Client> = (0..90)
        .map(|port| {
            let mut client = server.connect();
            assert_eq!(client.get(&announce(port, "")).status, 200);
            client
        })
        .collect();
    for client in &mut idle {
        assert_eq!(server.announce("127.0.0.2", 1, "").status, 200);
        assert!(client.is_closed());
    }
    server.await_connections(0);
}

/// R2
#[test]
fn a_client_that_does_not_read_is_cut_off() {
    let server = start_with(|settings| settings.write_timeout = SHORT);
    let mut client = server.connect();
    let path = announce(1, "&numwant=200");
    let mut filler = server.connect();
    for port in 1..=200 {
        filler.get(&announce(port, ""));
    }
    let many = format!("GET {path} HTTP/1.1\r\n\r\n").repeat(200);
    client.stream.set_write_timeout(Some(PATIENCE)).unwrap();
    // Replies of more than 1 KiB fill every buffer between here and there, until the server has had enough.
    let mut rounds = 0;
    while client.try_send(&many) {
        rounds += 1;
        assert!(
            rounds < 2_000,
            "the server takes requests without end from a client that does not read"
        );
    }
    server.await_failures(Failure::TimedOut, 1);
}

/// R2
#[test]
fn no_connection_is_kept_when_the_idle_time_is_zero() {
    let server = start_with(|settings| settings.idle_timeout = Duration::ZERO);
    let mut client = server.connect();
    assert_eq!(
        client.get(&announce(1, "")).field("connection"),
        Some("close")
    );
    assert!(client.is_closed());
}

#[test]
fn connections_of_one_address_are_bounded_and_others_are_served() {
    let server = start_with(|settings| settings.max_connections_per_address = 5);
    let mut kept: Vec<Client> = (0..5).map(|_| server.connect()).collect();
    for client in &mut kept {
        assert_eq!(client.get(&announce(1, "")).field("connection"), None);
    }
    // The sixth is answered as well, but not kept.
    let mut sixth = server.connect();
    assert_eq!(
        sixth.get(&announce(1, "")).field("connection"),
        Some("close")
    );
    assert!(sixth.is_closed());
    assert_eq!(
        server
            .connect_from("127.0.0.2")
            .get(&announce(2, ""))
            .field("connection"),
        None
    );
    drop(kept);
    for _ in 0..1_000 {
        let mut again = server.connect();
        if again.get(&announce(1, "")).field("connection").is_none() {
            return;
        }
    }
    panic!("places are not given back");
}

fn strangers(settings: &mut retracker::http::Settings) {
    settings.address_rules.admin_networks =
        std::iter::once("127.9.0.0/16".parse().unwrap()).collect();
}

/// Sends an announce in two segments, the second when the server has the first; the connection, if it was answered.
fn announce_in_two_segments(server: &Server, ip: &str) -> Option<Client> {
    let request = format!("GET {} HTTP/1.1\r\nHost: t\r\n\r\n", announce(2, ""));
    let (start, end) = request.split_at(60);
    let mut client = server.connect_from(ip);
    client.send(start);
    // Both workers have been asked since, so the first segment has been read.
    for _ in 0..20 {
        server.get_from("127.9.0.1", "/status", "");
    }
    (client.try_send(end) && client.answers()).then_some(client)
}

/// R30
#[test]
fn a_request_in_two_segments_outranks_a_hundred_idle_connections_of_its_address() {
    let server = start_with(|settings| {
        strangers(settings);
        settings.idle_timeout = Duration::from_secs(600);
    });
    let mut idle: Vec<Client> = (0..100).map(|_| server.connect()).collect();
    for client in &mut idle {
        assert_eq!(client.get(&announce(1, "")).field("connection"), None);
    }
    let newcomers = (0..30).map(|_| announce_in_two_segments(&server, "127.0.0.1"));
    let newcomers: Option<Vec<Client>> = newcomers.collect();
    assert!(newcomers.is_some());
    assert_eq!(server.failures(Failure::Connections), 0);
    assert_eq!(server.core.metrics().gauge(Gauge::Connections), 100);
    // As many idle ones have gone, and no more.
    let gone = idle.iter().filter(|client| is_gone(client)).count();
    assert_eq!(gone, 30);
}

/// R30
#[test]
fn the_longest_idle_connection_of_all_gives_way_to_a_request_at_the_bound_in_all() {
    let server = start_with(|settings| {
        strangers(settings);
        settings.idle_timeout = Duration::from_secs(600);
        settings.max_connections = 20;
    });
    let mut idle: Vec<Client> = (0..20_u8)
        .map(|last| {
            let mut client = server.connect_from(&format!("127.0.1.{last}"));
            assert_eq!(client.get(&announce(1, "")).field("connection"), None);
            // Longer than what is told apart.
            std::thread::sleep(Duration::from_millis(120));
            client
        })
        .collect();
    assert_eq!(idle[0].get(&announce(1, "")).status, 200);
    let newcomers = (0..3).map(|_| announce_in_two_segments(&server, "127.0.2.1"));
    let newcomers: Option<Vec<Client>> = newcomers.collect();
    assert!(newcomers.is_some());
    // The first has asked again since; of the others the oldest went first.
    let gone: Vec<bool> = idle.iter().take(6).map(is_gone).collect();
    assert_eq!(gone, [false, true, true, true, false, false]);
}

/// R30: where nobody is idle, the newcomer is refused; but an admin is not.
#[test]
fn a_newcomer_is_refused_when_all_are_at_work_and_admins_have_places_of_their_own() {
    let server = start_with(|settings| {
        strangers(settings);
        settings.max_connections = 10;
    });
    let begun = format!("GET {}", announce(1, ""));
    let mut busy: Vec<Client> = (0..10_u8)
        .map(|last| server.connect_from(&format!("127.0.1.{last}")))
        .collect();
    for client in &mut busy {
        client.send(&begun);
    }
    for _ in 0..1_000 {
        if server.core.metrics().gauge(Gauge::Connections) == 10 {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(announce_in_two_segments(&server, "127.0.2.1").is_none());
    assert_eq!(server.failures(Failure::Connections), 1);
    assert!(announce_in_two_segments(&server, "127.9.0.1").is_some());
    for client in &mut busy {
        client.send(" HTTP/1.1\r\n\r\n");
        assert_eq!(client.reply().status, 200);
    }
}

#[test]
fn connections_in_all_are_bounded() {
    let server = start_with(|settings| {
        settings.max_connections = 4;
        settings.max_connections_per_address = 0;
    });
    let mut kept: Vec<Client> = (0..4).map(|_| server.connect()).collect();
    for client in &mut kept {
        assert_eq!(client.get(&announce(1, "")).field("connection"), None);
    }
    server.await_connections(4);
    let mut fifth = server.connect_from("127.0.0.2");
    assert_eq!(
        fifth.get(&announce(1, "")).field("connection"),
        Some("close")
    );
    assert_eq!(server.announce("127.0.0.3", 1, "").status, 200);
}
