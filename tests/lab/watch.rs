//! O31: what is shown of requests, as JSON and as lines.

use std::io::Write;
use std::sync::Arc;

use retracker::lab::exchange::Transport;
use retracker::lab::serve::Options;
use retracker::lab::watch::{Form, Watcher};
use serde_json::{Value, json};

use crate::client::{
    Udp, address, announce_datagram, connect, end, exchange, get, only, start, target,
};

const LINES: Form = Form::Lines {
    has_colour: false,
    has_all: false,
};

fn parsed(line: &str) -> Value {
    serde_json::from_str(line).unwrap()
}

/// O31: who, transport, path, each parameter raw and read, headers, the answer; then the time since the last and what has changed.
#[test]
fn a_request_over_http_is_shown_whole() {
    let lab = start(only(Transport::Http));
    let events = lab.events();
    let mut client = connect(address(&lab, Transport::Http));
    client.send(get(&target(1_001, "&event=started&key=%41b&odd=%zz%0A")));
    client.reply();
    client.send(get(
        &target(1_001, "&event=completed&key=c").replace("left=1", "left=0")
    ));
    client.reply();
    let mut watcher = Watcher::new(Form::Json);
    let mut lines = Watcher::new(LINES);
    let told = [exchange(&events), exchange(&events)];
    let told = told.map(|told| retracker::lab::exchange::Event::Exchange(Arc::new(told)));
    let first = parsed(&watcher.show(&told[0]));
    assert_eq!(first["kind"], "announce");
    assert_eq!(
        (&first["number"], &first["transport"], &first["path"]),
        (&json!(1), &json!("http"), &json!("/announce"))
    );
    assert_eq!(
        first["client"],
        client.stream.local_addr().unwrap().to_string()
    );
    let parameters = first["parameters"].as_array().unwrap();
    assert!(parameters.contains(&json!({"name": "key", "raw": "%41b", "value": "Ab"})));
    assert!(parameters.contains(&json!({"name": "odd", "raw": "%zz%0A", "value": "%zz\\n"})));
    assert_eq!(parameters[0]["value"], "68".repeat(20));
    assert_eq!(
        first["headers"][1],
        json!({"name": "User-Agent", "value": "tester/1"})
    );
    assert_eq!(first["announce"]["left"], 1);
    assert_eq!(first["answer"]["interval"], 1_800);
    assert_eq!(
        first["answer"]["peers"],
        json!({"v4": 0, "v6": 0, "addresses": []})
    );
    assert_eq!(
        (&first["answer"]["leechers"], &first["answer"]["status"]),
        (&json!(1), &json!(200))
    );
    assert_eq!(
        (&first["since_last"], &first["changed"]),
        (&Value::Null, &json!([]))
    );
    let second = parsed(&watcher.show(&told[1]));
    assert!(second["since_last"].is_f64());
    assert_eq!(
        second["changed"],
        json!([
            {"name": "event", "from": "started", "to": "completed"},
            {"name": "left", "from": "1", "to": "0"},
            {"name": "key", "from": "Ab", "to": "c"},
        ])
    );
    let shown = lines.show(&told[0]) + &lines.show(&told[1]);
    for part in [
        "announce started  68686868…  by -XX0001-000000001001",
        "left 1  down 0  up 0  port 1001  key Ab  tester/1",
        "→ interval 1800 (min 1620)  0 seeders, 1 leechers  0 peers of v4, 0 of v6",
        "s since its last: event started → completed, left 1 → 0, key Ab → c",
    ] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
}

/// O31: over UDP each field is a parameter, and errors are read.
#[test]
fn datagrams_are_shown_field_by_field() {
    let lab = start(Options::default());
    let events = lab.events();
    let client = Udp::new(address(&lab, Transport::Udp));
    client.ask(&announce_datagram(client.connection(), 2_001));
    client.ask(&announce_datagram([0xff; 8], 2_001));
    let mut watcher = Watcher::new(Form::Json);
    let mut next = || parsed(&watcher.show(&events.recv().unwrap()));
    let connect = next();
    assert_eq!(
        (&connect["kind"], &connect["answer"]["kind"]),
        (&json!("connect"), &json!("connect"))
    );
    assert_eq!(
        connect["parameters"][0],
        json!({"name": "protocol_id", "raw": "0000041727101980", "value": "0x41727101980"})
    );
    let announce = next();
    let parameters = announce["parameters"].as_array().unwrap();
    for field in [
        json!({"name": "event", "raw": "00000002", "value": "started"}),
        json!({"name": "numwant", "raw": "00000032", "value": "50"}),
        json!({"name": "port", "raw": "07d1", "value": "2001"}),
    ] {
        assert!(parameters.contains(&field), "{field}");
    }
    assert_eq!(
        (&announce["answer"]["leechers"], &announce["connection"]),
        (&json!(1), &Value::Null)
    );
    let refused = next();
    assert_eq!(refused["answer"]["kind"], "failure");
    assert!(
        refused["answer"]["failure"]
            .as_str()
            .unwrap()
            .starts_with("Connection ID")
    );
    assert_eq!(refused["changed"], json!([]));
}

/// O31: what strangers send steers no terminal and breaks no line.
#[test]
fn nothing_that_is_sent_steers_a_terminal() {
    let lab = start(only(Transport::Http));
    let events = lab.events();
    let mut client = connect(address(&lab, Transport::Http));
    client.send(
        get(&target(1_001, "&event=%1b[31m%0Ax&key=%1b]0;x%07")).replace("tester", "te\u{9b}ster"),
    );
    client.reply();
    client.stream.write_all(b"\x1b[2J\r\n\r\n").unwrap();
    client.rest();
    drop(client);
    let ended = std::iter::repeat_with(|| events.recv().unwrap());
    let mut lines = Watcher::new(Form::Lines {
        has_colour: false,
        has_all: true,
    });
    let mut json = Watcher::new(Form::Json);
    for event in ended.take(4) {
        let shown = lines.show(&event);
        let steers = |c: char| c.is_control() && c != '\n';
        assert!(!shown.contains(steers), "{shown:?}");
        assert_eq!(json.show(&event).lines().count(), 1);
    }
    drop(lab);
    assert!(events.recv().is_err());
}

/// O31: neither does what has changed since the last announce.
#[test]
fn nothing_that_has_changed_steers_a_terminal() {
    let hostile = "%1b%5d0;PWNED%07%1b%5b2J%0d%0aFAKE%20LINE%c2%9b%e2%80%ae";
    let lab = start(only(Transport::Http));
    let events = lab.events();
    let mut client = connect(address(&lab, Transport::Http));
    let mut watcher = Watcher::new(LINES);
    for query in ["", &format!("&event={hostile}&key={hostile}"), ""] {
        client.send(get(&target(1_001, query)));
        client.reply();
        let told = Arc::new(exchange(&events));
        let shown = watcher.show(&retracker::lab::exchange::Event::Exchange(told));
        let steers = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!shown.contains(steers), "{shown:?}");
        assert!(shown.lines().count() <= 4, "{shown}");
        let head = shown.lines().next().unwrap();
        assert_eq!(head.contains(r"\x1b]0;PWNED\x07"), !query.is_empty());
    }
}

/// O31: a connection that ends in a way it should not is shown.
#[test]
fn a_connection_that_breaks_off_is_shown() {
    let lab = start(only(Transport::Http));
    let (events, again) = (lab.events(), lab.events());
    let mut client = connect(address(&lab, Transport::Http));
    client.send("GET /ann");
    drop(client);
    assert!(end(&again).1.is_some());
    drop(lab);
    let mut out = Vec::new();
    Watcher::new(LINES).show_all(&events, &mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    assert!(
        out.ends_with(
            "connection 1 ended after 0 requests: the client left within a request, after 8 bytes\n"
        ),
        "{out}"
    );
}
