//! Handshakes within their bounds: of time, in number, per address; and what a flood of them leaves to others.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use retracker::metrics::{Failure, Handshake};
use retracker::net::client_address::Mode;
use retracker::net::limits::{Levels, Limits, Settings};

use super::client::{Client, VERSIONS, config, connect, rest};
use super::server::{Server, announce, start_limited, start_with};

/// The hello of a client, as it would send it.
fn hello() -> Vec<u8> {
    let name = "localhost".to_owned().try_into().unwrap();
    let config = Arc::new(config(&VERSIONS));
    let mut client = rustls::ClientConnection::new(config, name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

/// Connections that send the first part of a hello, from one address, until so many handshakes are under way.
fn stalled(server: &Server, ip: &str, count: u64) -> Vec<TcpStream> {
    let begin = |_| {
        let mut stream = connect(ip, server.address);
        stream.write_all(&hello()[..50]).unwrap();
        stream
    };
    let streams = (0..count).map(begin).collect();
    server.await_open(count);
    streams
}

/// P23
#[test]
fn one_address_has_few_handshakes_at_once() {
    let server = start_with(|settings| settings.tls.max_handshakes_per_address = 3);
    let mut held = stalled(&server, "127.0.0.1", 3);
    let mut more = connect("127.0.0.1", server.address);
    more.write_all(&hello()).unwrap();
    assert_eq!(rest(&mut more), b"");
    server.await_handshakes(Handshake::TooMany, 1);
    assert_eq!(server.failures(Failure::Connections), 1);
    // Others do not notice.
    let mut other = Client::from("127.0.0.2", server.address, &config(&VERSIONS), "localhost");
    assert_eq!(other.get(&announce(1)).status, 200);
    // Nor does the address itself once one of its own is over, one way or the other.
    let mut first = held.remove(0);
    first.write_all(&hello()[50..]).unwrap();
    assert!(first.read(&mut [0; 100]).unwrap() > 0);
    drop(first);
    server.await_handshakes(Handshake::Gone, 1);
    let mut own = Client::new(server.address, &config(&VERSIONS));
    assert_eq!(own.get(&announce(2)).number("incomplete"), 2);
    // Connections whose handshake is over are none of these.
    drop(held.pop());
    server.await_handshakes(Handshake::Gone, 2);
    let _next = stalled_besides(&server, 2);
}

/// One more of an address that has one under way and two connections open.
fn stalled_besides(server: &Server, open: u64) -> TcpStream {
    let mut stream = connect("127.0.0.1", server.address);
    stream.write_all(&hello()[..50]).unwrap();
    server.await_open(open + 2);
    stream
}

/// Who runs the tracker in these tests: nobody else comes from there.
fn admins(settings: &mut retracker::http::Settings) {
    let admins = "127.9.0.0/16".parse().unwrap();
    settings.address_rules.admin_networks = std::iter::once(admins).collect();
}

/// One connection from each address that has sent the first part of a hello; all of them are under way.
fn half_open(server: &Server, ips: impl Iterator<Item = String>) -> Vec<TcpStream> {
    let begin = |ip: String| {
        let mut stream = connect(&ip, server.address);
        stream.write_all(&hello()[..50]).unwrap();
        stream
    };
    let streams: Vec<TcpStream> = ips.map(begin).collect();
    server.await_open(streams.len() as u64);
    streams
}

/// A client of that address, if it gets a handshake.
fn introduced(server: &Server, ip: &str) -> Option<Client> {
    let client = Client::from(ip, server.address, &config(&VERSIONS), "localhost");
    client.shake_hands().ok()
}

/// P23: as many addresses as it takes to fill all places, each with as many handshakes as it may have, keep nobody out.
#[test]
fn half_handshakes_of_few_sources_give_way_to_others_at_once() {
    let server = start_with(admins);
    let ips = (0..16).flat_map(|net| (0..16).map(move |_| format!("127.0.{net}.1")));
    let held = half_open(&server, ips);
    for (net, port) in (100_u64..110).zip(1_u16..) {
        let mut client = introduced(&server, &format!("127.0.{net}.1")).unwrap();
        assert_eq!(
            client.get(&announce(port)).number("incomplete"),
            u64::from(port)
        );
    }
    let mut admin = introduced(&server, "127.9.0.1").unwrap();
    assert_eq!(admin.get(&announce(11)).status, 200);
    // The first of those that came had to make room, and a place in which a handshake is over is free for the next.
    server.await_handshakes(Handshake::GaveWay, 1);
    assert_eq!(server.handshakes(Handshake::Full), 11);
    assert_eq!(server.handshakes(Handshake::TooMany), 0);
    drop((held, admin));
    server.await_open(0);
    server.await_handshakes(Handshake::Gone, 255);
}

/// P23: nor do as many sources as there are places, with one each; who runs the tracker does not even wait.
#[test]
fn half_handshakes_of_many_sources_give_way_after_a_moment() {
    let server = start_with(|settings| {
        admins(settings);
        settings.tls.max_handshakes = 40;
    });
    let held = half_open(&server, (0..40).map(|net| format!("127.0.{net}.1")));
    let mut admin = introduced(&server, "127.9.0.1").unwrap();
    assert_eq!(admin.get(&announce(1)).status, 200);
    // As a client does that was refused, it comes again.
    let mut client = (0..10_000)
        .find_map(|_| {
            let client = introduced(&server, "127.0.100.1");
            if client.is_none() {
                std::thread::sleep(Duration::from_millis(5));
            }
            client
        })
        .unwrap();
    assert_eq!(client.get(&announce(2)).number("incomplete"), 2);
    server.await_handshakes(Handshake::GaveWay, 1);
    let refused = server.handshakes(Handshake::TooMany);
    assert_eq!(server.failures(Failure::Connections), refused + 1);
    drop(held);
    server.await_handshakes(Handshake::Gone, 39);
}

/// P23: whoever has said hello and then nothing keeps nobody out either, and its end is not waited for.
#[test]
fn whole_hellos_without_an_end_give_way_too() {
    let server = start_with(|settings| {
        admins(settings);
        settings.tls.max_handshakes = 4;
    });
    let mut held: Vec<TcpStream> = (0..4)
        .map(|_| {
            let mut stream = connect("127.0.0.1", server.address);
            stream.write_all(&hello()).unwrap();
            assert!(stream.read(&mut [0; 10]).unwrap() > 0);
            stream
        })
        .collect();
    let mut client = introduced(&server, "127.0.1.1").unwrap();
    assert_eq!(client.get(&announce(1)).status, 200);
    server.await_handshakes(Handshake::GaveWay, 1);
    // Its socket is shut at once.
    assert!(rest(&mut held[0]).len() > 500);
    drop(held);
    server.await_handshakes(Handshake::Gone, 3);
}

/// P23: whole hellos that some subscribers leave lying cost the others of their network nothing, who say theirs slowly.
#[test]
fn whole_hellos_without_an_end_are_not_paid_for_by_neighbours() {
    let server = start_with(|settings| {
        admins(settings);
        settings.tls.handshake_timeout = Duration::from_secs(600);
    });
    let held: Vec<TcpStream> = (1..=16)
        .flat_map(|host| [host; 16])
        .map(|host| {
            let mut stream = connect(&format!("127.0.0.{host}"), server.address);
            stream.write_all(&hello()).unwrap();
            assert!(stream.read(&mut [0; 10]).unwrap() > 0);
            stream
        })
        .collect();
    let neighbours: Vec<(Client, Vec<u8>)> = (1..=8_u8)
        .map(|host| {
            let ip = format!("127.0.0.{}", 100 + host);
            let mut client = Client::from(&ip, server.address, &config(&VERSIONS), "localhost");
            let mut bytes = Vec::new();
            client.tls.write_tls(&mut bytes).unwrap();
            client.socket.write_all(&bytes[..50]).unwrap();
            server.await_handshakes(Handshake::GaveWay, host.into());
            (client, bytes)
        })
        .collect();
    for ((mut client, bytes), port) in neighbours.into_iter().zip(1_u16..) {
        client.socket.write_all(&bytes[50..]).unwrap();
        let mut client = client.shake_hands().unwrap();
        assert_eq!(
            client.get(&announce(port)).number("incomplete"),
            u64::from(port)
        );
    }
    drop(held);
    server.await_handshakes(Handshake::Gone, 248);
}

/// P23: full places are for handshakes, and plain announces have nothing to do with them.
#[test]
fn announces_go_on_beside_full_places() {
    let server = start_with(|settings| {
        admins(settings);
        settings.tls.max_handshakes = 8;
    });
    let held = half_open(&server, (1..=8).map(|host| format!("127.0.0.{host}")));
    for port in 1..50 {
        let mut plain = connect("127.0.0.1", server.plain);
        write!(plain, "GET {} HTTP/1.0\r\n\r\n", announce(port)).unwrap();
        assert!(rest(&mut plain).starts_with(b"HTTP/1.1 200"));
    }
    drop(held);
    server.await_open(0);
    server.await_handshakes(Handshake::Gone, 8);
    let mut client = Client::new(server.address, &config(&VERSIONS));
    assert_eq!(client.get(&announce(50)).status, 200);
}

/// P23
#[test]
fn a_handshake_that_stalls_is_ended() {
    let server = start_with(|settings| {
        settings.tls.handshake_timeout = Duration::from_millis(300);
    });
    let mut silent = connect("127.0.0.1", server.address);
    let mut half = connect("127.0.0.1", server.address);
    half.write_all(&hello()[..100]).unwrap();
    let mut unfinished = connect("127.0.0.1", server.address);
    unfinished.write_all(&hello()).unwrap();
    // The hello of the server and its certificate come, and then the end.
    assert!(rest(&mut unfinished).len() > 500);
    assert_eq!((rest(&mut half), rest(&mut silent)), (vec![], vec![]));
    server.await_handshakes(Handshake::TimedOut, 3);
    server.await_open(0);
}

/// P23: a handshake in pieces of any size is as good as a whole one.
#[test]
fn a_hello_may_come_byte_by_byte() {
    let server = start_with(|_| {});
    let mut client = Client::new(server.address, &config(&VERSIONS));
    let mut bytes = Vec::new();
    client.tls.write_tls(&mut bytes).unwrap();
    for byte in bytes {
        client.socket.write_all(&[byte]).unwrap();
    }
    let mut client = client.shake_hands().unwrap();
    assert_eq!(client.get(&announce(1)).status, 200);
}

/// P23: whatever number of clients come at once, each gets its turn.
#[test]
fn many_handshakes_at_once_are_all_answered() {
    let server = start_with(|settings| settings.tls.max_handshakes_per_address = 0);
    let clients: Vec<Client> = (0..100)
        .map(|_| {
            let mut client = Client::new(server.address, &config(&VERSIONS));
            client.tls.write_tls(&mut client.socket).unwrap();
            client
        })
        .collect();
    for (mut client, port) in clients.into_iter().zip(1_u16..) {
        assert_eq!(
            client.get(&announce(port)).number("incomplete"),
            u64::from(port)
        );
    }
    assert_eq!(server.handshakes(Handshake::Full), 100);
}

/// P23, O7, O8: whom a proxy names has no handshake beyond the limit of his connections.
#[test]
fn a_client_that_a_proxy_names_counts_before_the_handshake() {
    let settings = Settings {
        connections: Levels {
            source: "1/h 1".parse().ok(),
            prefix: None,
        },
        ..Settings::off()
    };
    let exempt = || std::iter::once("127.0.0.1/32".parse().unwrap()).collect();
    let limits = Arc::new(Limits::new(settings, exempt()));
    let proxied = |settings: &mut retracker::http::Settings| {
        settings.proxy_protocol = true;
        settings.address_rules.mode = Mode::Proxy;
        settings.address_rules.trusted_proxies = exempt();
    };
    let server = start_limited(proxied, limits);
    let begin = |named: &str| {
        let mut client = Client::new(server.address, &config(&VERSIONS));
        let header = format!("PROXY TCP4 {named} 198.51.100.1 40000 443\r\n");
        client.socket.write_all(header.as_bytes()).unwrap();
        client.shake_hands()
    };
    let mut served = begin("192.0.2.1").unwrap();
    assert_eq!(served.get(&announce(1)).status, 200);
    assert!(begin("192.0.2.1").is_err());
    assert_eq!(server.failures(Failure::ConnectionRate), 1);
    let mut other = begin("192.0.2.2").unwrap();
    assert_eq!(other.get(&announce(2)).status, 200);
    assert_eq!(server.handshakes(Handshake::Full), 2);
}
