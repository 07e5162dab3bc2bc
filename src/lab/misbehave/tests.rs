//! Each misbehaviour, byte for byte, and each fault of a script.

use std::net::SocketAddr;
use std::time::Duration;

use super::actor::Actor;
use super::peers::Places;
use super::scenario::Scenario;
use super::script::Script;
use crate::lab::bencode::writing::Value;
use crate::lab::exchange::{Body, Delivery, HttpHead, Request, Step, Transport};

const HONEST_BODY: &[u8] =
    b"d8:completei1e10:incompletei2e8:intervali1800e5:peers6:\x7f\0\0\x09\x1a\xe1e";

/// An answer's steps by a script of one `then`, for one announce.
fn http(then: &str) -> Delivery {
    answer(
        &format!("[[step]]\nthen = {{ {then} }}"),
        &announce("/announce", "started"),
    )
}

fn answer(script: &str, request: &Request) -> Delivery {
    let mut actor = Actor::new(Script::parse("it.toml", script).unwrap());
    actor.answer(request, honest(request), &places())
}

fn places() -> Places {
    Places {
        planted: vec![
            "127.0.0.1:1111".parse().unwrap(),
            "[::1]:1111".parse().unwrap(),
        ],
        decoys: vec!["127.0.0.1:2222".parse().unwrap()],
        second: Some("http://127.0.0.1:33".into()),
        second_udp: Some("udp://127.0.0.1:34".into()),
    }
}

fn announce(path: &str, event: &str) -> Request {
    let query = format!(
        "info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=bbbbbbbbbbbbbbbbbbbb&port=6881&uploaded=0&downloaded=0&left=9&compact=1&event={event}"
    );
    let head = HttpHead {
        method: b"GET".to_vec(),
        path: path.into(),
        query: Some(query.into_bytes()),
        minor_version: 1,
        ..HttpHead::default()
    };
    Request::of_test(Transport::Http, Body::Http(head))
}

/// `action` 0 is a connect, 1 an announce, with the transaction 7.
fn datagram(action: u32, client: &str) -> Request {
    let mut bytes = Vec::new();
    bytes.extend(99_u64.to_be_bytes());
    bytes.extend(action.to_be_bytes());
    bytes.extend(7_u32.to_be_bytes());
    if action == 1 {
        bytes.extend([b'a'; 20]);
        bytes.extend([b'b'; 20]);
        bytes.extend([0; 24]);
        bytes.extend(2_u32.to_be_bytes());
        bytes.extend([0; 12]);
        bytes.extend(6881_u16.to_be_bytes());
    }
    let mut request = Request::of_test(Transport::Udp, Body::Datagram(bytes));
    request.client = client.parse().unwrap();
    request
}

fn honest(request: &Request) -> Vec<u8> {
    match &request.body {
        Body::Http(_) => {
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
                HONEST_BODY.len()
            );
            [head.as_bytes(), HONEST_BODY].concat()
        }
        Body::Datagram(bytes) if bytes.len() == 16 => {
            let mut out = Vec::new();
            out.extend([0_u32, 7].map(u32::to_be_bytes).concat());
            out.extend(99_u64.to_be_bytes());
            out
        }
        _ => {
            let mut out = [1_u32, 7, 1800, 2, 1].map(u32::to_be_bytes).concat();
            if request.client.is_ipv4() {
                out.extend(b"\x7f\0\0\x09\x1a\xe1");
            }
            out
        }
    }
}

/// What a delivery sends in all.
fn sent(delivery: &Delivery) -> Vec<u8> {
    let sends = delivery.steps.iter().filter_map(|step| match step {
        Step::Send(bytes) => Some(bytes.as_slice()),
        _ => None,
    });
    sends.collect::<Vec<_>>().concat()
}

/// Head and body of a delivery over HTTP.
fn parts(delivery: &Delivery) -> (String, Vec<u8>) {
    let bytes = sent(delivery);
    let end = bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap()
        + 4;
    (
        String::from_utf8(bytes[..end].to_vec()).unwrap(),
        bytes[end..].to_vec(),
    )
}

fn body(then: &str) -> Vec<u8> {
    parts(&http(then)).1
}

fn text(then: &str) -> String {
    String::from_utf8_lossy(&body(then)).into_owned()
}

/// O28
#[test]
fn a_request_that_no_step_is_for_gets_the_honest_answer_with_the_planted_peer() {
    let script = "[[step]]\nwhen = { kind = \"scrape\" }\nthen = { failure = \"no\" }";
    let delivery = answer(script, &announce("/announce", "started"));
    assert_eq!(delivery.misbehaviour, None);
    let (head, body) = parts(&delivery);
    assert_eq!(
        head,
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())
    );
    let expected = b"d8:completei1e10:incompletei2e8:intervali1800e5:peers12:\x7f\0\0\x09\x1a\xe1\x7f\0\0\x01\x04\x576:peers618:\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x04\x57e";
    assert_eq!(body, expected);
    // Who leaves is told of nobody.
    let delivery = answer(script, &announce("/announce", "stopped"));
    assert_eq!(parts(&delivery).1, HONEST_BODY);
    let delivery = answer(
        "[[step]]\nwhen = { kind = \"scrape\" }\nthen = { loss = true }",
        &datagram(1, "127.0.0.1:5"),
    );
    assert_eq!(
        sent(&delivery)[20..],
        *b"\x7f\0\0\x09\x1a\xe1\x7f\0\0\x01\x04\x57"
    );
}

/// O28
#[test]
fn what_an_answer_tells_is_changed_as_the_script_says() {
    assert_eq!(
        text("failure = \"no\", retry_in = 5"),
        "d14:failure reason2:no8:retry ini5ee"
    );
    assert_eq!(
        text("failure = \"no\", retry_in = \"never\""),
        "d14:failure reason2:no8:retry in5:nevere"
    );
    let with_peer = body("failure = \"no\", peers = [\"decoy\"], interval = 9");
    assert_eq!(
        with_peer,
        b"d14:failure reason2:no8:intervali9e5:peers6:\x7f\0\0\x01\x08\xaee"
    );
    assert!(text("warning = \"careful\"").contains("15:warning message7:careful"));
    assert!(text("interval = -5, min_interval = 0").contains("8:intervali-5e12:min intervali0e"));
    assert!(!text("interval = \"absent\"").contains("interval"));
    assert!(text("interval = 99999999999").contains("8:intervali99999999999e"));
    assert!(!text("form = \"absent\"").contains("peers"));
    let six = body("form = \"peers6 only\"");
    assert!(six.ends_with(b"i1800e6:peers618:\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x04\x57e"));
    assert!(
        text("form = \"dictionaries\", peers = [\"planted\"]").contains(
            "5:peersld2:ip9:127.0.0.17:peer id20:-XX0000-laboratory004:porti1111eed2:ip3:::1"
        )
    );
    assert!(
        body("peers = [\"own\", \"127.0.0.2:0\"]")
            .ends_with(b"5:peers12:\x7f\0\0\x01\x1a\xe1\x7f\0\0\x02\0\0e")
    );
    assert!(
        body("peers = [\"planted v6\"]")
            .ends_with(b"5:peers0:6:peers618:\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x04\x57e")
    );
    assert!(
        body("peers = [\"decoy\"], odd_bytes = 3")
            .ends_with(b"5:peers9:\x7f\0\0\x01\x08\xae\0\0\0e")
    );
    assert!(text("peers = [], crowd = 10000").contains("5:peers60000:\x7f@"));
    assert!(body("order = \"unsorted\", peers = []").starts_with(b"d5:peers0:8:interval"));
    assert!(text("padding = 70").contains(&format!("7:padding70:{}", "x".repeat(70))));
    assert!(text("nesting = 3").contains("6:nestedlllee"));
    assert_eq!(text("body = \"<html>\""), "<html>");
    assert_eq!(text("body = \"\""), "");
}

/// O28
#[test]
fn what_carries_an_answer_is_changed_as_the_script_says() {
    let head = |then: &str| parts(&http(then)).0;
    assert!(head("status = 404").starts_with("HTTP/1.1 404 Not Found\r\n"));
    let of_page = head("status = 404, body = \"<html>\"");
    assert!(of_page.contains("\r\nContent-Type: text/html\r\n"));
    assert!(head("body = \"d\"").contains("\r\nContent-Type: text/plain\r\n"));
    let busy = head("status = 503, retry_after = 30");
    assert!(
        busy.contains("503 Service Unavailable\r\n") && busy.contains("\r\nRetry-After: 30\r\n")
    );
    assert!(head("http_version = \"1.0\"").starts_with("HTTP/1.0 200 OK\r\n"));
    let length = |then: &str| {
        let (head, body) = parts(&http(then));
        let line = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "));
        line.map(|length| length.parse::<i64>().unwrap() - i64::try_from(body.len()).unwrap())
    };
    assert_eq!(length("delay = 0"), Some(0));
    assert_eq!(length("content_length = \"short\""), Some(-10));
    assert_eq!(length("content_length = \"long\""), Some(10));
    assert_eq!(length("content_length = \"absent\""), None);
    let (head_of_chunks, chunks) = parts(&http("chunked = true, peers = []"));
    assert!(head_of_chunks.contains("\r\nTransfer-Encoding: chunked\r\n"));
    assert!(chunks.starts_with(b"32\r\nd8:complete") && chunks.ends_with(b"\r\n0\r\n\r\n"));
    let (told, packed) = parts(&http("gzip = \"told\""));
    assert!(told.contains("\r\nContent-Encoding: gzip\r\n"));
    assert_eq!(packed[..3], [0x1f, 0x8b, 8]);
    assert_eq!(length("gzip = \"untold\""), Some(0));
    assert!(!head("gzip = \"untold\"").contains("Encoding"));
    let location = |then: &str| {
        let head = head(then);
        let line = head
            .lines()
            .find_map(|line| line.strip_prefix("Location: "));
        let (target, query) = line.unwrap().split_once('?').unwrap();
        assert!(query.starts_with("info_hash=aaaa"), "{query}");
        target.to_owned()
    };
    assert_eq!(location("redirect = \"loop\""), "/announce");
    assert_eq!(location("redirect = \"/announce.php\""), "/announce.php");
    assert_eq!(
        location("redirect = \"second\""),
        "http://127.0.0.1:33/announce"
    );
    assert_eq!(
        location("redirect = \"udp\", status = 307"),
        "udp://127.0.0.1:34/announce"
    );
    assert!(head("redirect = \"loop\"").starts_with("HTTP/1.1 302 Found\r\n"));
}

/// O28
#[test]
fn an_answer_is_late_lost_cut_or_doubled_as_the_script_says() {
    let whole = sent(&http("delay = 0"));
    let late = http("delay = 1.5");
    assert_eq!(late.steps[0], Step::Wait(Duration::from_millis(1500)));
    assert_eq!(late.misbehaviour.as_deref(), Some("delay = 1.5"));
    assert_eq!(http("loss = true").steps, []);
    assert_eq!(http("reset_after = 0").steps, [Step::Reset]);
    assert_eq!(
        http("reset_after = 20").steps,
        [Step::Send(whole[..20].to_vec()), Step::Reset]
    );
    let (head, body) = parts(&http("truncate = 12"));
    assert_eq!(body, *b"d8:completei");
    assert!(
        whole.starts_with(head.as_bytes()),
        "the head is that of the whole answer"
    );
    assert_eq!(http("truncate = 12").steps.last(), Some(&Step::Close));
    let twice = http("twice = true");
    let [Step::Send(one), Step::Send(other), Step::Close] = twice.steps.as_slice() else {
        panic!("{:?}", twice.steps);
    };
    assert_eq!(one, other);
}

/// O28
#[test]
fn datagrams_are_changed_as_the_script_says() {
    let v4 = |then: &str| {
        answer(
            &format!("[[step]]\nthen = {{ {then} }}"),
            &datagram(1, "127.0.0.1:5"),
        )
    };
    let head = [1_u32, 7, 1800, 2, 1].map(u32::to_be_bytes).concat();
    let planted = [
        head.clone(),
        b"\x7f\0\0\x09\x1a\xe1\x7f\0\0\x01\x04\x57".to_vec(),
    ]
    .concat();
    assert_eq!(sent(&v4("delay = 0")), planted);
    assert_eq!(sent(&v4("failure = \"no\"")), b"\0\0\0\x03\0\0\0\x07no");
    assert_eq!(
        sent(&v4("transaction = \"wrong\""))[..8],
        *b"\0\0\0\x01\x5a\x5a\x5a\x5d"
    );
    assert_eq!(sent(&v4("action = 2"))[..8], *b"\0\0\0\x02\0\0\0\x07");
    assert_eq!(sent(&v4("interval = -2"))[8..12], [0xff, 0xff, 0xff, 0xfe]);
    assert_eq!(
        sent(&v4("peers = [\"decoy\", \"own\"]"))[20..],
        *b"\x7f\0\0\x01\x08\xae\x7f\0\0\x01\x1a\xe1"
    );
    assert_eq!(
        sent(&v4("peers = [\"planted\"], entries = \"other family\"")).len(),
        20 + 18
    );
    assert_eq!(sent(&v4("truncate = 12")), planted[..12]);
    assert_eq!(v4("truncate = 0").steps, []);
    assert_eq!(v4("loss = true").steps, []);
    assert_eq!(
        v4("twice = true").steps,
        [Step::Send(planted.clone()), Step::Send(planted.clone())]
    );
    assert_eq!(sent(&v4("padding = 90000")).len(), 65_507);
    assert_eq!(sent(&v4("crowd = 10000")).len(), 20 + 12 + 60_000);
    let v6 = answer("[[step]]\nthen = { delay = 0 }", &datagram(1, "[::1]:5"));
    assert_eq!(
        sent(&v6),
        [
            head.clone(),
            b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x04\x57".to_vec()
        ]
        .concat()
    );
    let other = answer(
        "[[step]]\nthen = { entries = \"other family\" }",
        &datagram(1, "[::1]:5"),
    );
    assert_eq!(
        sent(&other),
        [head, b"\x7f\0\0\x01\x04\x57".to_vec()].concat()
    );
    let connect = answer(
        "[[step]]\nwhen = { kind = \"connect\" }\nthen = { transaction = \"wrong\", delay = 4 }",
        &datagram(0, "127.0.0.1:5"),
    );
    assert_eq!(connect.steps[0], Step::Wait(Duration::from_secs(4)));
    assert_eq!(sent(&connect)[4..8], *b"\x5a\x5a\x5a\x5d");
}

/// O28
#[test]
fn a_connection_id_lives_as_long_as_the_script_says() {
    let script = "[[step]]\nthen = { id_lifetime = 5 }";
    let mut actor = Actor::new(Script::parse("it.toml", script).unwrap());
    let mut ask = |action: u32, seconds: u64| {
        let mut request = datagram(action, "127.0.0.1:5");
        request.at.real = Duration::from_secs(seconds);
        let delivery = actor.answer(&request, honest(&request), &places());
        (sent(&delivery)[3], delivery.misbehaviour.is_some())
    };
    assert_eq!(ask(1, 0), (3, true), "without a connect");
    assert_eq!(ask(0, 10), (0, false));
    assert_eq!(ask(1, 14), (1, false));
    assert_eq!(ask(1, 15), (3, true));
}

/// O28
#[test]
fn the_first_step_that_matches_decides_and_each_counts_for_itself() {
    let script = r#"
        [[step]]
        when = { event = "started", nth = 2 }
        then = { failure = "second start" }
        [[step]]
        when = { path = "/other" }
        then = { failure = "other" }
        [[step]]
        when = { every = 3 }
        then = { failure = "third" }
        [[step]]
        when = { event = "none", after = 2 }
        then = { failure = "late" }
        [[step]]
        when = { transport = "https", kind = "any", first = 1 }
        then = { failure = "never" }
    "#;
    let mut actor = Actor::new(Script::parse("it.toml", script).unwrap());
    let mut ask = |path: &str, event: &str| {
        let request = announce(path, event);
        let delivery = actor.answer(&request, honest(&request), &places());
        let Some(Value::Dictionary(answer)) = Value::decode(&parts(&delivery).1) else {
            panic!("no answer");
        };
        match answer.find("failure reason") {
            Some(Value::Bytes(failure)) => String::from_utf8(failure.clone()).unwrap(),
            _ => String::new(),
        }
    };
    assert_eq!(ask("/announce", "started"), "");
    assert_eq!(ask("/announce", "started"), "second start");
    assert_eq!(ask("/announce", "started"), "third");
    assert_eq!(ask("/other", ""), "other");
    assert_eq!(ask("/announce", ""), "");
    assert_eq!(ask("/announce", ""), "third");
    assert_eq!(ask("/announce", ""), "late");
}

/// O28
#[test]
#[expect(clippy::too_many_lines, reason = "a table of faults")]
fn a_fault_names_file_line_key_and_what_would_be_right() {
    let step =
        |when: &str, then: &str| format!("[[step]]\nwhen = {{ {when} }}\nthen = {{ {then} }}\n");
    for (script, fault) in [
        (
            "[[step]]\nthen = { failure = \"x\"".to_owned(),
            "it.toml:2: ",
        ),
        (
            String::new(),
            "it.toml:1: no [[step]]: a script has one at least",
        ),
        (
            "[[steps]]\n".to_owned(),
            "it.toml:1: steps: unknown; did you mean `step`?",
        ),
        (
            "[[step]]\n\nwhen = {}\n".to_owned(),
            "it.toml:1: step.then: missing: what is to be done",
        ),
        (
            step("", "falure = \"x\""),
            "it.toml:3: step.then.falure: unknown; did you mean `failure`?",
        ),
        (
            step("nth = 0", "loss = true"),
            "it.toml:2: step.when.nth: 0 stands where an integer from 1 to 1000000 should be",
        ),
        (
            step("transport = \"tcp\"", "loss = true"),
            "it.toml:2: step.when.transport: \"tcp\" stands where one of \"http\", \"https\", \"udp\" should be",
        ),
        (
            step("nth = 1, first = 2", "loss = true"),
            "it.toml:2: step.when.first: beside `nth`: only one of nth, first, after, every",
        ),
        (
            step("kind = \"scrape\", event = \"none\"", "loss = true"),
            "it.toml:2: step.when.event: only announces have one",
        ),
        (
            step("", "loss = true, delay = 1"),
            "it.toml:3: step.then.loss: what is lost differs in nothing else: it stands alone",
        ),
        (
            step("", "delay = -1"),
            "it.toml:3: step.then.delay: -1 stands where a number of seconds from 0 to 3600 should be",
        ),
        (
            step("", "retry_in = \"soon\""),
            "it.toml:3: step.then.retry_in: \"soon\" stands where an integer from 0 to 1000000 or \"never\" should be",
        ),
        (
            step("transport = \"udp\"", "status = 404"),
            "it.toml:3: step.then.status: only HTTP has it, and this step is for udp",
        ),
        (
            step("path = \"/a\"", "action = 2"),
            "it.toml:3: step.then.action: only UDP has it, and this step is for HTTP",
        ),
        (
            step("", "action = 2, status = 404"),
            "it.toml:3: step.then.action: of UDP, beside a key of HTTP: make two steps",
        ),
        (
            step("", "peers = [\"planted\", \"nobody\"]"),
            "it.toml:3: step.then.peers: \"nobody\" stands where \"planted\", \"planted v6\", \"decoy\", \"own\" or an address with its port",
        ),
        (
            step("", "chunked = true, content_length = \"long\""),
            "it.toml:3: step.then.chunked: beside `content_length`",
        ),
        (
            step("", "truncate = 1, reset_after = 1"),
            "it.toml:3: step.then.truncate: beside `reset_after`",
        ),
        (
            step("", "body = \"x\", warning = \"y\""),
            "it.toml:3: step.then.body: stands in the place of the whole answer",
        ),
        (
            step("", "twice = false"),
            "it.toml:3: step.then.twice: false stands where `true` (or no such key) should be",
        ),
        (
            step("", "redirect = \"example.com\""),
            "it.toml:3: step.then.redirect: one of \"loop\"",
        ),
    ] {
        let error = Script::parse("it.toml", &script).unwrap_err().to_string();
        assert!(error.starts_with(fault), "{script}\n{error}");
    }
}

#[test]
fn a_scenario_says_what_is_expected() {
    let head = "what = \"It happens.\"\ngood = \"It copes.\"\nsource = \"practice\"\n";
    for (rest, fault) in [
        (
            "",
            "one.toml:1: no [[expect]]: what is seen of a good client?",
        ),
        ("[[expect]]\n", "one.toml:4: expect: nothing is expected"),
        (
            "[[expect]]\ncomes_again = true\nfalls_back = true\n",
            "one.toml:4: expect: one expectation each",
        ),
        (
            "[[expect]]\nconnects = \"somebody\"\n",
            "one.toml:5: expect.connects: \"somebody\" stands where one of",
        ),
        (
            "trackers = [[\"ftp\"]]\n[[expect]]\ncomes_again = true\n",
            "one.toml:4: trackers: each should be",
        ),
    ] {
        let error = Scenario::parse("one", &format!("{head}{rest}"))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(fault), "{rest}\n{error}");
    }
}

#[test]
fn own_and_named_addresses_are_written_in_their_family() {
    let list: Vec<SocketAddr> = vec![
        "127.0.0.1:1".parse().unwrap(),
        "[::ffff:127.0.0.2]:2".parse().unwrap(),
    ];
    let bytes = super::peers::compact(&list, super::script::AddressFamily::V4);
    assert_eq!(bytes, b"\x7f\0\0\x01\0\x01\x7f\0\0\x02\0\x02");
    assert_eq!(
        super::peers::read_compact(&bytes, super::script::AddressFamily::V4)[1].port(),
        2
    );
}
