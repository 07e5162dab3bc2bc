//! O27: clients over real sockets, judged by what the laboratory tells of them; and the program.

use std::process::Command;

use retracker::lab::exchange::{Event, Transport};
use retracker::lab::judge::{Judge, Options, Report, Rule, Severity, State};
use retracker::lab::serve::{self, Events, Lab};
use serde_json::Value;

use crate::client::{
    PATIENCE, Udp, address, announce_datagram, connect, connect_datagram, get, start,
};

/// What a judge says that has heard so many exchanges.
fn judged(lab: &Lab, events: &Events, exchanges: usize) -> Report {
    let mut judge = Judge::new(Options::default());
    let mut heard = 0;
    while heard < exchanges {
        let event = events.recv_timeout(PATIENCE).unwrap();
        heard += usize::from(matches!(event, Event::Exchange(_)));
        judge.hear(&event);
    }
    judge.client_ended();
    judge.finish(lab.now().real)
}

fn announce(port: u16, more: &str) -> String {
    get(&format!(
        "/announce?info_hash=hhhhhhhhhhhhhhhhhhhh&peer_id=-XX0001-{port:012}&port={port}&key=9&compact=1{more}"
    ))
}

/// O27: nothing is found in a client that does what it should.
#[test]
fn a_good_client_is_found_good() {
    let lab = start(serve::Options::default());
    let events = lab.events();
    let mut http = connect(address(&lab, Transport::Http));
    for more in [
        "&uploaded=0&downloaded=0&left=5&event=started",
        "&uploaded=0&downloaded=5&left=0&event=completed",
        "&uploaded=0&downloaded=5&left=0&event=stopped",
    ] {
        http.send(announce(1_001, more));
        http.reply();
    }
    let udp = Udp::new(address(&lab, Transport::Udp));
    let id = udp.connection();
    udp.ask(&announce_datagram(id, 1_002));
    let mut stopped = announce_datagram(id, 1_002);
    stopped[15] = 9;
    stopped[83] = 3;
    udp.ask(&stopped);
    let report = judged(&lab, &events, 6);
    let broken: Vec<Rule> = report.rules(State::Broken).collect();
    assert!(broken.is_empty(), "{}", report.to_markdown());
    assert_eq!(report.sessions.len(), 2);
    let kept: Vec<Rule> = report.rules(State::Kept).collect();
    for rule in [
        Rule::StartedFirst,
        Rule::CompletedOnce,
        Rule::StoppedAtEnd,
        Rule::UdpIdIssued,
        Rule::UdpIdFresh,
        Rule::UdpTransactionNew,
    ] {
        assert!(kept.contains(&rule), "{}", rule.id());
    }
}

/// O27: nor in one that has a connection for each announce, which follow each other at once.
#[test]
fn a_hasty_client_is_found_good() {
    const LIVES: u16 = 60;
    let lab = start(serve::Options::default());
    let events = lab.events();
    for port in 1..=LIVES {
        for more in [
            "&uploaded=0&downloaded=0&left=5&event=started",
            "&uploaded=0&downloaded=5&left=0&event=completed",
            "&uploaded=0&downloaded=5&left=0&event=stopped",
        ] {
            let mut http = connect(address(&lab, Transport::Http));
            http.send(announce(port, more));
            http.reply();
        }
    }
    let report = judged(&lab, &events, 3 * usize::from(LIVES));
    assert_eq!(report.sessions.len(), usize::from(LIVES));
    let broken: Vec<Rule> = report.rules(State::Broken).collect();
    assert!(broken.is_empty(), "{}", report.to_markdown());
}

/// O27: each fault of one that does not is found, and no other.
#[test]
fn each_fault_of_a_bad_client_is_found() {
    let lab = start(serve::Options::default());
    let events = lab.events();
    let mut http = connect(address(&lab, Transport::Http));
    for more in [
        "&uploaded=7&downloaded=0&left=5",
        "&uploaded=3&downloaded=0&left=5",
        "&uploaded=3&downloaded=0&left=4&event=completed",
    ] {
        http.send(announce(1_001, more));
        http.reply();
    }
    let udp = Udp::new(address(&lab, Transport::Udp));
    let id = udp.connection();
    udp.ask(&announce_datagram(id, 1_002));
    udp.ask(&announce_datagram(id, 1_002));
    // An id that nobody was sent; and an answer, so that all before it has been told.
    udp.socket.send(&announce_datagram([9; 8], 1_002)).unwrap();
    udp.ask(&connect_datagram(77));
    let report = judged(&lab, &events, 7);
    let broken: Vec<&str> = report.rules(State::Broken).map(Rule::id).collect();
    assert_eq!(
        broken,
        [
            "started-first",
            "started-once",
            "completed-when-whole",
            "stopped-at-end",
            "min-interval-kept",
            "uploaded-grows",
            "downloaded-counts",
            "udp-id-issued",
            "udp-transaction-new",
        ],
        "{}",
        report.to_markdown()
    );
    assert_eq!(report.worst(), Some(Severity::Must));
}

/// O27: a request behind `Connection: close` is found, and one that was under way before the answer is not taken for it.
#[test]
fn a_request_behind_the_close_is_found() {
    let lab = start(serve::Options::default());
    let events = lab.events();
    let closing = announce(1_001, "&uploaded=0&downloaded=0&left=5&event=started")
        .replace("User-Agent", "Connection: close\r\nUser-Agent");
    let mut http = connect(address(&lab, Transport::Http));
    http.send(closing.repeat(2));
    http.rest();
    let report = judged(&lab, &events, 1);
    let state = |report: &Report| report.verdict(Rule::HttpCloseHonoured).unwrap().state();
    assert_ne!(state(&report), State::Broken, "{}", report.to_markdown());
    // The laboratory listens for a second after the close, which a busy machine may miss.
    for _ in 0..20 {
        let mut judge = Judge::new(Options::default());
        let mut http = connect(address(&lab, Transport::Http));
        http.send(&closing);
        http.rest();
        http.send(&closing);
        drop(http);
        loop {
            let event = events.recv_timeout(PATIENCE).unwrap();
            judge.hear(&event);
            if matches!(event, Event::Disconnected { requests: 1.., .. }) {
                break;
            }
        }
        let report = judge.finish(lab.now().real);
        if state(&report) == State::Broken {
            return;
        }
    }
    panic!("never found");
}

/// O27: the program starts a client, ends with it, and says the same of what it recorded.
#[test]
fn the_program_judges_a_command() {
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("events");
    let lab = env!("CARGO_BIN_EXE_retracker-lab");
    let client = format!("exec {} check \"$0\"", env!("CARGO_BIN_EXE_retracker"));
    let run = Command::new(lab)
        .args(["judge", "--json", "--size", "7", "--both-families"])
        .args(["--tier", "http://127.0.0.1:9/announce", "--record"])
        .arg(&record)
        .args(["--", "sh", "-c", &client, "{http}"])
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert!(report["requests"].as_u64().unwrap() > 0, "{report:#}");
    assert!(
        !report["sessions"].as_array().unwrap().is_empty(),
        "{report:#}"
    );
    let is_broken = report["worst"] == "must";
    assert_eq!(
        run.status.code(),
        Some(if is_broken { 3 } else { 0 }),
        "{report:#}"
    );
    let again = Command::new(lab)
        .args(["judge", "--json", "--from"])
        .arg(&record)
        .output()
        .unwrap();
    let again: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(again, report);
    let rules = Command::new(lab)
        .args(["judge", "--rules"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(rules.stdout).unwrap(), Rule::table());
    let missing = Command::new(lab)
        .args(["judge", "--", "/nonexistent/client"])
        .output()
        .unwrap();
    assert_eq!(missing.status.code(), Some(1));
}

/// O27: a client that was never heard is not passed, and how it ended is told.
#[test]
fn the_program_passes_no_client_that_it_never_heard() {
    let lab = env!("CARGO_BIN_EXE_retracker-lab");
    for (arguments, end) in [
        (&["--", "sh", "-c", "exit 7"][..], Some("status 7")),
        (&["--", "true"], None),
        (&["--for", "1", "--", "sleep", "1000"], None),
    ] {
        let run = Command::new(lab)
            .arg("judge")
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!(run.status.code(), Some(1), "{arguments:?}");
        let report = String::from_utf8(run.stdout).unwrap();
        let said = String::from_utf8(run.stderr).unwrap();
        for text in [&report, &said] {
            assert!(text.to_lowercase().contains("no request came"), "{text}");
            let words = end.map_or("ended with".to_owned(), |end| format!("ended with {end}"));
            assert_eq!(text.contains(&words), end.is_some(), "{text}");
        }
    }
}

/// O27: the tracker may misbehave meanwhile, and the client can believe its certificate.
#[test]
fn the_program_judges_beside_misbehaviour() {
    let folder = tempfile::tempdir().unwrap();
    let lab = env!("CARGO_BIN_EXE_retracker-lab");
    let refusing = "[[step]]\nthen = { failure = \"no\" }\n";
    let script = folder.path().join("mine.toml");
    std::fs::write(&script, refusing).unwrap();
    let ca_file = folder.path().join("ca.pem");
    for misbehaviour in [
        ["--scenario", "failure"],
        ["--script", script.to_str().unwrap()],
    ] {
        let run = Command::new(lab)
            .args(["judge", "--json", "--ca-file"])
            .arg(&ca_file)
            .args(misbehaviour)
            .args(["--", "sh", "-c", "[ -s \"$0\" ] && exec \"$@\""])
            .arg(&ca_file)
            .args([env!("CARGO_BIN_EXE_retracker"), "check", "{udp}"])
            .output()
            .unwrap();
        let report: Value = serde_json::from_slice(&run.stdout).unwrap();
        let requests = report["requests"].as_u64().unwrap();
        let said = String::from_utf8_lossy(&run.stderr);
        assert!(
            requests > 0 && said.contains("planted peer at "),
            "{said}\n{report:#}"
        );
        let mut outcomes = report["sessions"].as_array().unwrap().iter();
        let is_refused = |session: &Value| session["steps"][0]["outcome"] == "refused";
        assert!(outcomes.all(is_refused), "{report:#}");
        assert!(!ca_file.exists());
    }
}

/// O27: a placeholder that is misspelt, or of an address that there is not, is refused before the client is started.
#[test]
fn a_misspelt_placeholder_is_refused() {
    for (placeholder, right) in [("{htp}", "{http}, {udp}"), ("{https}", "{http}, {udp}")] {
        let run = Command::new(env!("CARGO_BIN_EXE_retracker-lab"))
            .args(["judge", "--http", "127.0.0.1:0", "--udp", "127.0.0.1:0"])
            .args(["--no-https", "--", "echo", "it was started", placeholder])
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&run.stderr);
        let expected =
            format!("{placeholder} in the command stands for nothing: there are {right};");
        assert!(told.contains(&expected), "{told}");
        assert!(!told.contains("it was started"), "{told}");
        assert_eq!(run.status.code(), Some(1));
    }
}
