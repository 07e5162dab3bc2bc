//! Slow, silent and too many clients: every connection ends, and good ones are served meanwhile (R2, R7).

use std::time::Duration;

use retracker::metrics::Failure;

use crate::harness::{Client, PATIENCE, announce, start_with};

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
    let mut silent = server.connect();
    silent.send("GET /ann");
    assert!(silent.is_closed());
    assert_eq!(server.failures(Failure::Connections), 1);
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
