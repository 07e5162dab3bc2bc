//! O19: the library: what is answered, what is told of it, time, and the end.

use std::net::{TcpListener, UdpSocket};
use std::sync::mpsc::channel;
use std::time::Duration;

use retracker::lab::exchange::{Body, Delivery, End, Event, Step, Transport};
use retracker::lab::serve::{Options, SwarmPeer};
use retracker::tracker::PeerId;

use crate::client::{
    HASH, PATIENCE, Udp, address, announce_datagram, connect, connect_datagram, end, exchange, get,
    only, seal, start, target,
};

/// O19: what is asked on one connection is answered and told one by one, however it was sent.
#[test]
fn requests_of_one_connection_are_told_one_by_one() {
    let lab = start(only(Transport::Http));
    let events = lab.events();
    let mut client = connect(address(&lab, Transport::Http));
    client.send(get(&target(1_001, "&event=started")));
    let (status, body) = client.reply();
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(
        body.starts_with(b"d8:completei0e"),
        "{}",
        body.escape_ascii()
    );
    let both = [
        get(&target(1_002, "")),
        get("/scrape?info_hash=hhhhhhhhhhhhhhhhhhhh"),
    ];
    client.send(both.concat());
    let (_, announced) = client.reply();
    // Loopback is handed to loopback: the first peer at 127.0.0.1.
    let peer = b"5:peers6:\x7f\0\0\x01\x03\xe9";
    assert!(
        announced.windows(peer.len()).any(|at| at == peer),
        "{}",
        announced.escape_ascii()
    );
    client.reply();
    client.send("GET /nothing HTTP/1.0\r\n\r\n");
    let last = client.rest();
    assert!(last.starts_with(b"HTTP/1.1 404 "));

    let told: Vec<_> = (0..4).map(|_| exchange(&events)).collect();
    let uses = told.iter().map(|told| told.request.connection.unwrap());
    let uses: Vec<_> = uses
        .map(|there| (there.connection, there.earlier, there.is_pipelined))
        .collect();
    assert_eq!(
        uses,
        [(1, 0, false), (1, 1, false), (1, 2, true), (1, 3, false)]
    );
    let numbers: Vec<u64> = told.iter().map(|told| told.request.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    let Body::Http(head) = &told[0].request.body else {
        panic!("no head");
    };
    assert_eq!(head.raw, get(&target(1_001, "&event=started")).into_bytes());
    assert_eq!(
        (&head.method[..], &head.path[..], head.minor_version),
        (&b"GET"[..], &b"/announce"[..], 1)
    );
    assert_eq!(head.header("user-agent"), Some(&b"tester/1"[..]));
    let Body::Http(last_head) = &told[3].request.body else {
        panic!("no head");
    };
    assert_eq!(
        (last_head.query.as_deref(), last_head.minor_version),
        (None, 0)
    );
    assert_eq!(told[3].answer.sent.concat(), last);
    assert_eq!(told[3].answer.honest, last);
    let ends: Vec<End> = told.iter().map(|told| told.answer.end).collect();
    assert_eq!(ends, [End::Open, End::Open, End::Open, End::Closed]);
    drop(client);
    assert_eq!(end(&events), (4, None));
}

/// O19: requests that follow each other at once, each on a connection of its own, are told in the order in which they came, and behind
/// those of a connection its end.
#[test]
fn requests_of_many_connections_are_told_as_they_came() {
    const ROUNDS: u64 = 200;
    let lab = start(Options::default());
    let events = lab.events();
    let udp = Udp::new(address(&lab, Transport::Udp));
    let http = address(&lab, Transport::Http);
    for _ in 0..ROUNDS {
        let mut client = connect(http);
        client.send(get(&target(1_001, "")));
        client.reply();
        udp.connection();
    }
    let (mut requests, mut ended) = (0, Vec::new());
    let mut last = Duration::ZERO;
    while requests < 2 * ROUNDS || ended.len() < usize::try_from(ROUNDS).unwrap() {
        match events.recv_timeout(PATIENCE).unwrap() {
            Event::Exchange(exchange) => {
                requests += 1;
                let request = &exchange.request;
                assert_eq!(request.number, requests);
                assert!(request.at.real >= last);
                last = request.at.real;
                if let Some(there) = request.connection {
                    assert!(!ended.contains(&there.connection));
                }
            }
            Event::Disconnected { connection, .. } => ended.push(connection),
            Event::Connected { .. } => {}
        }
    }
}

/// O19: an answer that waits holds up what is told of no other, over TCP and UDP; it is told when it comes.
#[test]
fn an_answer_that_waits_holds_up_no_other() {
    let (decided, decisions) = channel();
    let lab = start(Options {
        answerer: Box::new(move |request, honest| {
            decided.send(request.number).unwrap();
            let step = match request.number {
                1 | 2 => Step::Wait(10 * PATIENCE),
                _ => Step::Send(honest),
            };
            Delivery {
                misbehaviour: None,
                steps: vec![step],
            }
        }),
        ..Options::default()
    });
    let events = lab.events();
    let next = || exchange(&events).request.number;
    let http = address(&lab, Transport::Http);
    let udp = address(&lab, Transport::Udp);
    let slow = UdpSocket::bind("127.0.0.1:0").unwrap();
    slow.send_to(&connect_datagram(1), udp).unwrap();
    assert_eq!(decisions.recv_timeout(PATIENCE), Ok(1));
    let mut other = connect(http);
    other.send(get(&target(1_001, "")));
    assert_eq!(decisions.recv_timeout(PATIENCE), Ok(2));
    for expected in [3, 4] {
        let mut client = connect(http);
        client.send(get(&target(1_002, "")));
        client.reply();
        assert_eq!(next(), expected);
    }
    Udp::new(udp).connection();
    assert_eq!(next(), 5);
    drop(lab);
    assert_eq!(next(), 2);
}

/// O19: a client that knows the throw-away authority, by address and by name, in v4 and v6; and one that does not.
#[test]
fn https_is_believed_by_who_knows_the_authority() {
    let lab = start(Options::default());
    let events = lab.events();
    let ca = lab.ca_pem().unwrap();
    for url in lab
        .urls()
        .iter()
        .filter(|url| url.transport == Transport::Https)
    {
        for name in [url.address.ip().to_string(), "localhost".to_owned()] {
            let mut client = seal(url.address, Some(ca), &name);
            for _ in 0..2 {
                client.send(get(&target(1_001, "")));
                assert_eq!(client.reply().0, "HTTP/1.1 200 OK");
                let told = exchange(&events);
                assert_eq!(told.request.transport, Transport::Https);
                assert!(told.answer.sent.concat().starts_with(b"HTTP/1.1 200 OK"));
            }
            client.stream.conn.send_close_notify();
            client.send("");
            drop(client);
            assert_eq!(end(&events), (2, None));
        }
    }
    let mut stranger = seal(address(&lab, Transport::Https), None, "localhost");
    assert!(
        stranger
            .stream
            .conn
            .complete_io(&mut stranger.stream.sock)
            .is_err()
    );
    assert_eq!(
        end(&events),
        (0, Some("TLS: the client refused".to_owned()))
    );
}

/// O19: connect and announce of BEP 15, in both families; what is no request is told and not answered.
#[test]
fn udp_is_served_and_told() {
    let lab = start(Options::default());
    let events = lab.events();
    let mut urls = Vec::from(lab.urls());
    urls.retain(|url| url.transport == Transport::Udp);
    assert_eq!(urls.len() + lab.left_out().len() / 3, 2);
    for url in urls {
        let client = Udp::new(url.address);
        client.socket.send(b"what").unwrap();
        let told = exchange(&events);
        assert_eq!(told.request.body, Body::Datagram(b"what".to_vec()));
        assert_eq!((told.answer.honest.len(), told.answer.sent.len()), (0, 0));
        let id = client.connection();
        let reply = client.ask(&announce_datagram(id, 2_001));
        assert_eq!(
            reply[..20],
            [1_u32, 8, 1_800, 1, 0].map(u32::to_be_bytes).concat()
        );
        assert_eq!(
            exchange(&events).request.body,
            Body::Datagram(connect_datagram(7))
        );
        let told = exchange(&events);
        assert_eq!(told.request.client, client.socket.local_addr().unwrap());
        assert_eq!(told.request.tracker, url.address);
        assert_eq!(told.answer.sent, [reply]);
        let announced = client.socket.local_addr().unwrap().ip();
        assert!(
            lab.peers(HASH)
                .iter()
                .any(|peer| peer.address == (announced, 2_001).into())
        );
    }
}

/// O19: what is no HTTP is answered with 400 and told as it came; so is what breaks off.
#[test]
fn bytes_that_are_no_request_are_told() {
    let lab = start(only(Transport::Http));
    let events = lab.events();
    let mut client = connect(address(&lab, Transport::Http));
    client.send("\x16\x03\x01\x02\x00hello\r\n\r\n");
    assert!(client.rest().starts_with(b"HTTP/1.1 400 Bad Request\r\n"));
    let told = exchange(&events);
    assert_eq!(
        told.request.body,
        Body::Unreadable(b"\x16\x03\x01\x02\x00hello\r\n\r\n".to_vec())
    );
    assert_eq!(told.answer.end, End::Closed);
    assert_eq!(end(&events), (1, None));
    let mut client = connect(address(&lab, Transport::Http));
    client.send("GET /announce");
    drop(client);
    let error = "the client left within a request, after 13 bytes".to_owned();
    assert_eq!(end(&events), (0, Some(error)));
}

/// O19: peers expire, and connection ids end, in virtual time; planted peers stay.
#[test]
fn virtual_time_can_be_set_forward() {
    let lab = start(Options::default());
    let planted = SwarmPeer {
        address: "10.1.2.3:6881".parse().unwrap(),
        peer_id: PeerId(*b"-XX0001-planted-peer"),
        is_seeder: true,
    };
    assert!(lab.add_peer(HASH, planted));
    let client = Udp::new(address(&lab, Transport::Udp));
    let id = client.connection();
    client.ask(&announce_datagram(id, 2_001));
    assert_eq!(lab.peers(HASH).len(), 2);
    lab.advance(Duration::from_secs(600));
    let refused = client.ask(&announce_datagram(id, 2_001));
    assert_eq!(refused[..8], [3_u32, 8].map(u32::to_be_bytes).concat());
    assert_eq!(lab.peers(HASH).len(), 2);
    lab.advance(Duration::from_secs(3_001));
    assert_eq!(lab.peers(HASH), [planted]);
    assert!(lab.now().virtual_time >= Duration::from_secs(3_601));
    assert!(lab.now().real < Duration::from_secs(3_601));
    assert!(lab.remove_peer(HASH, planted.address));
    assert!(!lab.remove_peer(HASH, planted.address));
    assert_eq!(lab.peers(HASH), []);
}

/// O19: at sixty times the speed clients are told a sixtieth; an interval that was asked for is told as it is.
#[test]
fn intervals_are_told_in_real_seconds() {
    for (interval, min_interval, told) in [
        (None, None, "8:intervali30e12:min intervali27e"),
        (Some(5), None, "8:intervali5e12:min intervali4e"),
        (Some(5), Some(2), "8:intervali5e12:min intervali2e"),
        (Some(5), Some(5), "8:intervali5e12:min intervali5e"),
        (Some(1), None, "8:intervali1e12:min intervali1e"),
    ] {
        let lab = start(Options {
            speed: 60.0,
            interval,
            min_interval,
            ..Options::default()
        });
        let mut client = connect(address(&lab, Transport::Http));
        client.send(get(&target(1_001, "")));
        let (_, body) = client.reply();
        let body = body.escape_ascii().to_string();
        assert!(body.contains(told), "{body}");
        let client = Udp::new(address(&lab, Transport::Udp));
        let reply = client.ask(&announce_datagram(client.connection(), 1));
        assert_eq!(reply[8..12], interval.unwrap_or(30).to_be_bytes());
        assert!(lab.now().virtual_time >= lab.now().real * 30);
    }
}

/// O19: a second has no nine tenths to tell.
#[test]
fn a_min_interval_is_a_second_at_least() {
    let lab = start(Options {
        interval: Some(1),
        ..only(Transport::Http)
    });
    let mut client = connect(address(&lab, Transport::Http));
    client.send(get(&target(1_001, "")));
    let body = client.reply().1.escape_ascii().to_string();
    assert!(body.contains("8:intervali1e12:min intervali1e"), "{body}");
}

/// O19: what the system threw away before it was read is counted.
#[test]
fn datagrams_that_nobody_read_are_counted() {
    let (go, wait) = channel::<()>();
    let lab = start(Options {
        answerer: Box::new(move |_, _| {
            // Until the test has sent enough.
            let _ = wait.recv();
            Delivery::default()
        }),
        ..only(Transport::Udp)
    });
    assert_eq!(lab.dropped_datagrams(), 0);
    let client = Udp::new(address(&lab, Transport::Udp));
    while lab.dropped_datagrams() == 0 {
        for _ in 0..100 {
            client.socket.send(&[0; 1_000]).unwrap();
        }
    }
    drop(go);
}

/// O19: answers that wait to be sent have few bytes together; one beyond is not sent, and told at once.
#[test]
fn datagrams_that_wait_to_be_sent_have_few_bytes() {
    let lab = start(Options {
        answerer: Box::new(|_, _| Delivery {
            misbehaviour: None,
            steps: vec![Step::Wait(PATIENCE * 10), Step::Send(vec![0; 60_000])],
        }),
        ..only(Transport::Udp)
    });
    let events = lab.events();
    let client = Udp::new(address(&lab, Transport::Udp));
    let mut sent = 0;
    let told = loop {
        client.socket.send(&connect_datagram(1)).unwrap();
        sent += 1;
        if let Ok(event) = events.recv_timeout(Duration::from_millis(1)) {
            break event;
        }
    };
    let Event::Exchange(told) = told else {
        panic!("no exchange");
    };
    assert!(told.answer.sent.is_empty());
    // 16 MiB of them.
    assert!(sent > 270, "{sent}");
}

/// O19: an answerer has its way: with what is sent, in which pieces, and how the connection ends.
#[test]
fn an_answerer_decides_what_is_sent() {
    let answerer = |request: &retracker::lab::exchange::Request, honest: Vec<u8>| {
        let steps = match (request.transport, request.number) {
            (Transport::Udp, _) => vec![
                Step::Wait(Duration::from_millis(1)),
                Step::Send(honest.clone()),
                Step::Send(b"more".to_vec()),
            ],
            (_, 1) => vec![Step::Send(honest[..9].to_vec()), Step::Close],
            (_, 2) => vec![Step::Send(b"HTTP".to_vec()), Step::Reset],
            _ => Vec::new(),
        };
        Delivery {
            misbehaviour: Some("odd".to_owned()),
            steps,
        }
    };
    let lab = start(Options {
        answerer: Box::new(answerer),
        ..Options::default()
    });
    let events = lab.events();
    let http = address(&lab, Transport::Http);
    let mut client = connect(http);
    client.send(get(&target(1_001, "")));
    assert_eq!(client.rest(), b"HTTP/1.1 ");
    let told = exchange(&events).answer;
    assert_eq!(
        (told.end, told.misbehaviour.as_deref()),
        (End::Closed, Some("odd"))
    );
    assert!(told.honest.len() > 9);
    let mut client = connect(http);
    client.send(get(&target(1_001, "")));
    assert_eq!(exchange(&events).answer.end, End::Reset);
    let mut bytes = Vec::new();
    let reset = std::io::Read::read_to_end(&mut client.stream, &mut bytes);
    assert_eq!(
        reset.unwrap_err().kind(),
        std::io::ErrorKind::ConnectionReset
    );
    let mut client = connect(http);
    // Silence stays silence, also where HTTP would close.
    let closing = get(&target(1_001, "")).replace("User-Agent: tester/1", "Connection: close");
    client.send(closing.repeat(2));
    let told = [exchange(&events), exchange(&events)];
    assert!(
        told.iter()
            .all(|told| told.answer.sent.is_empty() && told.answer.end == End::Open)
    );
    let client = Udp::new(address(&lab, Transport::Udp));
    let honest = client.ask(&connect_datagram(9));
    assert_eq!(client.hear(), b"more");
    let told = exchange(&events).answer;
    assert_eq!(told.sent, [honest, b"more".to_vec()]);
    assert!(told.took >= Duration::from_millis(1));
}

/// O19: dropping a lab waits for its threads; it leaves no socket and no connection, whatever its clients do, and its readers see the end.
#[test]
fn nothing_is_left_of_a_lab_that_is_dropped() {
    // An address of its own: what other tests listen on is none of it.
    let own = || vec!["127.77.0.1:0".parse().unwrap()];
    let lab = start(Options {
        http: own(),
        https: own(),
        udp: own(),
        answerer: Box::new(|_, _| Delivery {
            misbehaviour: None,
            steps: vec![Step::Wait(PATIENCE * 10)],
        }),
        ..Options::default()
    });
    let urls = Vec::from(lab.urls());
    let events = lab.events();
    let mut waiting = connect(address(&lab, Transport::Http));
    waiting.send(get(&target(1_001, "")));
    let mut midway = connect(address(&lab, Transport::Http));
    midway.send("GET ");
    let silent = connect(address(&lab, Transport::Https));
    let udp = Udp::new(address(&lab, Transport::Udp));
    udp.socket.send(&connect_datagram(1)).unwrap();
    let connected = |event: &Event| matches!(event, Event::Connected { .. });
    let mut seen = 0;
    while seen < 3 {
        seen += usize::from(connected(&events.recv_timeout(PATIENCE).unwrap()));
    }
    drop(lab);
    assert!(events.iter().count() >= 3);
    for mut client in [waiting, midway, silent] {
        let mut bytes = Vec::new();
        let end = std::io::Read::read_to_end(&mut client.stream, &mut bytes);
        let end_is_orderly = end.is_ok();
        // Reset where something had come that nobody will read.
        let is_reset = end.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset);
        assert!(bytes.is_empty() && (is_reset || end_is_orderly));
    }
    for url in urls {
        if url.transport == Transport::Udp {
            UdpSocket::bind(url.address).unwrap();
        } else {
            assert!(std::net::TcpStream::connect(url.address).is_err());
            assert!(TcpListener::bind(url.address).is_ok());
        }
    }
}

/// O19
#[test]
fn a_lab_that_cannot_be_is_refused() {
    let nowhere = Options {
        http: Vec::new(),
        https: Vec::new(),
        udp: Vec::new(),
        ..Options::default()
    };
    let taken = start(only(Transport::Http));
    let again = Options {
        http: vec![taken.urls()[0].address],
        ..Options::default()
    };
    for options in [
        nowhere,
        again,
        Options {
            speed: 0.5,
            ..Options::default()
        },
        Options {
            speed: f64::NAN,
            ..Options::default()
        },
        Options {
            min_interval: Some(0),
            ..Options::default()
        },
        // Thirty seconds are told.
        Options {
            speed: 60.0,
            min_interval: Some(31),
            ..Options::default()
        },
    ] {
        assert!(retracker::lab::serve::Lab::start(options).is_err());
    }
}
