//! How a client in Rust is tested with `retracker::lab`: a tracker for one test, on free ports, gone when it goes out of scope.
//!
//! `cargo run --example lab` runs it; what follows `main` would stand in a test.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use retracker::lab::answer::AnswerReading;
use retracker::lab::exchange::{Event, Transport};
use retracker::lab::reading::Reading;
use retracker::lab::serve::{Lab, Options, SwarmPeer};
use retracker::tracker::{InfoHash, PeerId};

const TORRENT: InfoHash = InfoHash(*b"a torrent of a test.");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Ten times the speed: half an hour, the interval, is three minutes.
    let lab = Lab::start(Options {
        speed: 10.0,
        ..Options::default()
    })?;
    let events = lab.events();
    let seeder = SwarmPeer {
        address: "192.0.2.7:6881".parse()?,
        peer_id: PeerId(*b"-XX0001-somebody-els"),
        is_seeder: true,
    };
    assert!(lab.add_peer(TORRENT, seeder));

    // Here the client under test is pointed at the tracker.
    let url = lab.url(Transport::Http).ok_or("no HTTP")?;
    announce(&url)?;

    // What it said, and what it was answered.
    let exchange = events.iter().find_map(|event| match event {
        Event::Exchange(exchange) => Some(exchange),
        Event::Connected { .. } | Event::Disconnected { .. } => None,
    });
    let exchange = exchange.ok_or("no request")?;
    let Reading::Announce(said) = Reading::of(&exchange.request) else {
        return Err("no announce".into());
    };
    assert_eq!(said.event, "started");
    assert_eq!(said.left, Some(1_000));
    let answer = AnswerReading::of(&exchange);
    assert_eq!(answer.interval, Some(180));
    assert_eq!(answer.peers, Some(vec![seeder.address]));

    // Who is in the swarm; and that a client which falls silent is out of it after two intervals.
    assert_eq!(lab.peers(TORRENT).len(), 2);
    lab.advance(Duration::from_secs(2 * 1_800 + 1));
    assert_eq!(lab.peers(TORRENT), [seeder]);
    Ok(())
}

/// The client under test, if it were one.
fn announce(url: &str) -> Result<(), Box<dyn std::error::Error>> {
    let place = url.strip_prefix("http://").ok_or("no HTTP")?;
    let (host, _) = place.split_once('/').ok_or("no path")?;
    let mut stream = TcpStream::connect(host)?;
    write!(
        stream,
        "GET /announce?info_hash=a%20torrent%20of%20a%20test.&peer_id=-XX0001-the-client-1&port=6881\
         &uploaded=0&downloaded=0&left=1000&compact=1&event=started HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply)?;
    assert!(reply.starts_with(b"HTTP/1.1 200 OK"));
    Ok(())
}
