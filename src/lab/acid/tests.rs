//! A scripted client, of plain sockets and a process of its own, that is right and one that is wrong for each kind of expectation.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::client::{Client, Farewell, Ports};
use super::table::{self, Outcome};
use super::trial::Manner;
use super::verdict::{Abilities, Verdict};
use crate::clock::Wall;
use crate::lab::bencode::writing::{Dictionary, Value};
use crate::lab::judge::{Rule, Severity};
use crate::lab::launch::Launcher;
use crate::lab::misbehave::scenario::Scenario;

/// What marks a run of this program as the client, before what it does.
const PLAN: &str = "plan:";

/// Tries the client of a plan: `announce+peers`.
fn outcome_of(scenario: &str, plan: &str) -> Outcome {
    outcome_of_named("planned", scenario, plan)
}

/// The same of a scenario that has this name.
fn outcome_of_named(name: &str, scenario: &str, plan: &str) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let texts = "what = \"It happens.\"\ngood = \"It copes.\"\nsource = \"practice\"\n";
    let scenario = Scenario::parse(name, &format!("{texts}{scenario}")).unwrap();
    let program = std::env::current_exe().unwrap();
    let test = "lab::acid::tests::plays_the_client";
    let command = format!(
        "'{}' --ignored --exact --nocapture {test} '{PLAN}{plan}' {{torrent}}",
        program.display()
    );
    let client = Client::of_command("scripted", &command, Farewell::Term).unwrap();
    let manner = Manner {
        folder: folder.path().into(),
        is_kept: true,
        launcher: Launcher::plain(),
        peer_addresses: vec!["127.0.0.1".parse().unwrap()],
        patience: 1,
        grace: Duration::from_secs(3),
        ports: Ports::from_seed(std::process::id().into()),
        stop: Arc::new(AtomicBool::new(false)),
    };
    let outcome = manner.run(&client, &scenario, Abilities::ALL);
    let kept = folder.path().join(format!("scripted-{name}"));
    let log = std::fs::read_to_string(kept.join("log"));
    let outcome = outcome.unwrap_or_else(|error| panic!("{error:#}\n{log:?}"));
    let heard = std::fs::read_to_string(kept.join("first.jsonl")).unwrap();
    // What comes with the farewell is recorded too, and not counted.
    let exchanges = heard.lines().filter(|line| line.contains("\"Exchange\""));
    assert!(exchanges.count() as u64 >= outcome.counts[0], "{heard}");
    assert!(heard.lines().last().unwrap().contains("\"End\""), "{heard}");
    outcome
}

/// What is said of the one expectation.
fn said(scenario: &str, plan: &str) -> Verdict {
    let outcome = outcome_of(scenario, plan);
    assert_eq!(outcome.verdicts.last().unwrap().1, Verdict::Right, "{plan}");
    outcome.verdicts[0].1.clone()
}

#[track_caller]
fn is_wrong(verdict: &Verdict, how: &str) {
    assert!(
        matches!(verdict, Verdict::Wrong(words) if words.contains(how)),
        "{verdict:?}"
    );
}

#[track_caller]
fn is_unseen(verdict: &Verdict) {
    assert!(matches!(verdict, Verdict::Unseen(_)), "{verdict:?}");
}

/// O29
#[test]
fn whoever_uses_an_answer_connects_to_its_peer() {
    let scenario = "seconds = 3\n[[expect]]\nconnects = \"planted\"\n";
    assert_eq!(said(scenario, "announce+peers"), Verdict::Right);
    is_wrong(
        &said(scenario, "announce"),
        "no connection to the planted peer",
    );
    is_unseen(&said(
        "seconds = 1\n[[expect]]\nconnects = \"planted\"\n",
        "stay-away",
    ));
}

/// O29: no trial of a control says wrong of who takes no peers there, and so neither do the lines that tell of it while it goes on.
#[test]
fn a_control_is_excused_as_soon_as_it_is_known() {
    let scenario = "seconds = 3\n[[expect]]\nconnects = \"planted\"\n";
    let outcome = outcome_of_named("control-http", scenario, "announce");
    is_unseen(&outcome.verdicts[0].1);
    is_unseen(&outcome.whole());
}

/// O29
#[test]
fn whoever_believes_a_failure_is_wrong() {
    let scenario = "seconds = 3\n[[step]]\nthen = { failure = \"no\", peers = [\"decoy\"] }\n[[expect]]\navoids = \"decoy\"\n";
    assert_eq!(said(scenario, "announce"), Verdict::Right);
    is_wrong(&said(scenario, "announce+peers"), "believes the answer");
}

/// O29
#[test]
fn whoever_comes_too_often_or_too_early_is_wrong() {
    for (expect, how) in [
        ("announces_at_most = 2", "5 announces"),
        ("requests_at_most = 2", "5 requests"),
        ("not_before = 2", "comes again after 0."),
    ] {
        let scenario =
            format!("seconds = 3\n[[step]]\nthen = {{ interval = 0 }}\n[[expect]]\n{expect}\n");
        assert_eq!(said(&scenario, "announce"), Verdict::Right, "{expect}");
        let five = ["announce"; 5].join("+");
        is_wrong(&said(&scenario, &five), how);
    }
    let again = "seconds = 2\n[[expect]]\ncomes_again = true\n";
    assert_eq!(said(again, "announce+announce"), Verdict::Right);
    is_unseen(&said(again, "announce"));
}

/// O29
#[test]
fn whoever_never_tries_the_next_tier_is_wrong() {
    let scenario = "seconds = 3\ntrackers = [[\"http\"], [\"second http\"]]\n[[step]]\nthen = { status = 500 }\n[[expect]]\nfalls_back = true\n";
    assert_eq!(said(scenario, "announce+second"), Verdict::Right);
    is_wrong(
        &said(scenario, &["announce"; 4].join("+")),
        "never the second",
    );
    is_unseen(&said(scenario, "announce"));
    let either = scenario.replace(
        "falls_back = true",
        "any = [{ falls_back = true }, { connects = \"second\" }]",
    );
    assert_eq!(said(&either, "announce+second"), Verdict::Right);
    is_unseen(&said(&either, "announce"));
}

/// O29
#[test]
fn whoever_follows_no_redirect_is_wrong() {
    let scenario = "seconds = 3\n[[step]]\nwhen = { path = \"/announce\" }\nthen = { redirect = \"/announce.php\" }\n[[expect]]\nfollows = \"/announce.php\"\n";
    assert_eq!(said(scenario, "announce+follow"), Verdict::Right);
    is_wrong(&said(scenario, "announce"), "does not follow");
}

/// O29
#[test]
fn whoever_connects_anew_over_udp_is_seen() {
    let scenario = "seconds = 3\ntrackers = [[\"udp\"]]\n[[step]]\nwhen = { first = 1 }\nthen = { id_lifetime = 0 }\n[[expect]]\nreconnects = true\n";
    assert_eq!(said(scenario, "udp+udp"), Verdict::Right);
    is_unseen(&said(scenario, "udp"));
}

/// O29
#[test]
fn whoever_crashes_goes_or_stays_is_wrong() {
    let scenario = "seconds = 3\n[[expect]]\nannounces_at_most = 5\n";
    for (plan, how) in [
        ("announce+abort", "ends by itself, with signal 6 (SIGABRT)"),
        ("announce+leave", "ends by itself, with status 3"),
        ("announce+deaf", "does not end within 3 s"),
    ] {
        let outcome = outcome_of(scenario, plan);
        is_wrong(&outcome.verdicts.last().unwrap().1, how);
        is_wrong(&outcome.whole(), how);
    }
}

/// O29
#[test]
fn the_table_tells_who_was_right_and_how_others_were_wrong() {
    let client = Client::of_command("scripted", "it {torrent}", Farewell::Term).unwrap();
    let outcome = outcome_of(
        "seconds = 2\n[[expect]]\nconnects = \"planted\"\n",
        "announce",
    );
    let clients = [client];
    let text = table::markdown(&clients, std::slice::from_ref(&outcome), "it", Wall(86_399));
    let made = concat!(
        "Made by `it`, version ",
        env!("CARGO_PKG_VERSION"),
        ", on 1970-01-01."
    );
    assert!(text.contains(made), "{text}");
    assert!(
        text.contains("| [planned](#planned) | **wrong** |"),
        "{text}"
    );
    assert!(
        text.contains("- scripted: **wrong**: no connection to the planted peer"),
        "{text}"
    );
    assert!(
        text.contains("scripted: 0 right, 1 wrong, 0 not seen"),
        "{text}"
    );
    let told: serde_json::Value = serde_json::from_str(&table::json(&clients, &[outcome])).unwrap();
    assert_eq!(told["outcomes"][0]["verdict"], "wrong");
    assert_eq!(
        told["outcomes"][0]["expected"][0]["expected"],
        "connects to the planted peer"
    );
    assert_eq!(told["outcomes"][0]["expected"][1]["verdict"], "right");
    assert_eq!(told["outcomes"][0]["requests"], 1);
}

/// O29: what the judge finds of a client stands beside what the scenario expects of it.
#[test]
fn whoever_breaks_a_rule_is_told_so() {
    let scenario = "seconds = 1\n[[expect]]\nannounces_at_most = 5\n";
    let good = outcome_of(scenario, "started+stopped");
    let ids = |outcome: &Outcome| {
        let broken = outcome.broken.iter();
        broken.map(|broken| broken.rule).collect::<Vec<Rule>>()
    };
    assert_eq!(
        (ids(&good), good.worst()),
        (vec![Rule::UserAgent], Some(Severity::Note))
    );
    let bad = outcome_of(scenario, "announce");
    assert_eq!(bad.whole(), Verdict::Right);
    assert_eq!(
        ids(&bad),
        [Rule::StartedFirst, Rule::StoppedAtEnd, Rule::UserAgent]
    );
    assert_eq!(bad.worst(), Some(Severity::Must));
    let clients = [Client::of_command("scripted", "it {torrent}", Farewell::Term).unwrap()];
    let text = table::markdown(&clients, std::slice::from_ref(&bad), "it", Wall(86_400));
    let line = "- scripted: `started-first` (must), in [planned](#planned): ";
    assert!(text.contains(line), "{text}");
    let told: serde_json::Value = serde_json::from_str(&table::json(&clients, &[bad])).unwrap();
    let first = &told["outcomes"][0]["rules"][0];
    assert_eq!(
        (&first["id"], &first["severity"]),
        (&"started-first".into(), &"must".into())
    );
    assert_eq!(first["finding"]["evidence"][0]["request"], 1);
}

/// O29: what a client does at the second tracker is judged too, and said to be there.
#[test]
fn whoever_breaks_a_rule_at_the_second_tracker_is_told_so() {
    let scenario = "seconds = 1\ntrackers = [[\"http\"], [\"second http\"]]\n[[step]]\nthen = { status = 500, body = \"busy\" }\n[[expect]]\nfalls_back = true\n";
    let good = outcome_of(scenario, "started+second-started+second-stopped");
    let bad = outcome_of(scenario, "started+second");
    let graver = |outcome: &Outcome| {
        let broken = outcome.broken.iter();
        let broken = broken.filter(|one| one.rule.severity() > Severity::Note);
        broken
            .map(|one| {
                (
                    one.rule,
                    one.finding.what.starts_with("at the second tracker: "),
                )
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(graver(&good), []);
    assert_eq!(
        graver(&bad),
        [(Rule::StartedFirst, true), (Rule::StoppedAtEnd, true)]
    );
}

/// O29: what one tracker took need not be said again at the other; what none took must.
#[test]
fn what_the_other_tracker_took_is_known() {
    let trackers = "seconds = 1\ntrackers = [[\"http\"], [\"second http\"]]\n";
    let fails = "[[step]]\nthen = { status = 500, body = \"busy\" }\n";
    let expected = "[[expect]]\nfalls_back = true\n";
    let graver = |step: &str, plan: &str| {
        let outcome = outcome_of(&format!("{trackers}{step}{expected}"), plan);
        let broken = outcome.broken.iter().map(|broken| broken.rule);
        let broken = broken.filter(|rule| rule.severity() > Severity::Note);
        broken.collect::<Vec<Rule>>()
    };
    assert_eq!(
        graver(fails, "started+announce+second-started+second-stopped"),
        [Rule::EventRepeated]
    );
    assert_eq!(
        graver(fails, "started+second-started+announce+second-stopped"),
        []
    );
    assert_eq!(graver("", "started+stopped+second+second-stopped"), []);
    // A 500 that has an answer in it is taken by some.
    let answers = "[[step]]\nthen = { status = 500 }\n";
    assert_eq!(graver(answers, "started+second+second-stopped"), []);
    // As often as the second one takes them, for each announce begins with the first tier.
    let again = "started+second-started".to_owned() + &"+started+second".repeat(6);
    let ids = graver(fails, &format!("{again}+second-stopped"));
    assert!(!ids.contains(&Rule::NotHammered), "{ids:?}");
    let hammered = "started+second-started".to_owned() + &"+started".repeat(6);
    let ids = graver(fails, &format!("{hammered}+second-stopped"));
    assert_eq!(ids, [Rule::NotHammered]);
}

/// O29
#[test]
fn whoever_connects_to_nobody_is_not_said_to_be_wrong_by_a_control() {
    let mut outcome = outcome_of(
        "seconds = 1\n[[expect]]\nconnects = \"planted\"\n",
        "announce",
    );
    is_wrong(&outcome.whole(), "no connection");
    outcome.excuse();
    is_unseen(&outcome.whole());
    let mut right = outcome_of(
        "seconds = 3\n[[expect]]\nconnects = \"planted\"\n",
        "announce+peers",
    );
    right.excuse();
    assert_eq!(right.whole(), Verdict::Right);
}

/// The client: does what its plan says, one after another, and then waits for its end.
#[test]
#[ignore = "the client that the tests above start"]
fn plays_the_client() {
    let mut arguments = std::env::args();
    let Some(plan) = arguments.find_map(|word| word.strip_prefix(PLAN).map(str::to_owned)) else {
        return;
    };
    let torrent = std::fs::read("it.torrent").unwrap();
    let Some(Value::Dictionary(torrent)) = Value::decode(&torrent) else {
        panic!("no torrent");
    };
    let trackers = trackers(&torrent);
    let mut answer = Vec::new();
    for deed in plan.split('+') {
        match deed {
            "announce" => answer = get(&trackers[0], "/announce"),
            "started" | "stopped" => {
                answer = get(&trackers[0], &format!("/announce?event={deed}"));
            }
            "second-started" | "second-stopped" => {
                let event = deed.trim_start_matches("second-");
                answer = get(&trackers[1], &format!("/announce?event={event}"));
            }
            "second" => answer = get(&trackers[1], "/announce"),
            "follow" => {
                let text = String::from_utf8_lossy(&answer).into_owned();
                let target = text
                    .lines()
                    .find_map(|line| line.strip_prefix("Location: "))
                    .unwrap();
                answer = get(&trackers[0], target.split('?').next().unwrap());
            }
            "peers" => connect_to_peers(&answer),
            "udp" => announce_over_udp(&trackers[0]),
            "abort" => std::process::abort(),
            "leave" => std::process::exit(3),
            "deaf" => {
                let heard = Arc::new(AtomicBool::new(false));
                signal_hook::flag::register(signal_hook::consts::SIGTERM, heard).unwrap();
            }
            "stay-away" => {}
            other => panic!("no such deed: {other}"),
        }
    }
    std::thread::sleep(Duration::from_secs(120));
}

/// Host and port of each tracker.
fn trackers(torrent: &Dictionary) -> Vec<String> {
    let urls = match torrent.find("announce-list") {
        Some(Value::List(tiers)) => tiers.clone(),
        _ => vec![Value::List(vec![torrent.find("announce").unwrap().clone()])],
    };
    let url = |tier: &Value| match tier {
        Value::List(urls) => match &urls[0] {
            Value::Bytes(url) => String::from_utf8(url.clone()).unwrap(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    let urls = urls.iter().map(url);
    urls.map(|url| url.split('/').nth(2).unwrap().to_owned())
        .collect()
}

fn get(host: &str, path: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(host).unwrap();
    let query = "info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=-XX0001-bbbbbbbbbbbb&port=6881&uploaded=0&downloaded=0&left=9&compact=1&key=7";
    let sign = if path.contains('?') { '&' } else { '?' };
    let head =
        format!("GET {path}{sign}{query} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

fn connect_to_peers(answer: &[u8]) {
    let body = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap()
        + 4;
    let Some(Value::Dictionary(told)) = Value::decode(&answer[body..]) else {
        panic!("no answer");
    };
    let Some(Value::Bytes(peers)) = told.find("peers") else {
        panic!("no peers");
    };
    for peer in peers.chunks_exact(6) {
        let ip: [u8; 4] = peer[..4].try_into().unwrap();
        let port = u16::from_be_bytes([peer[4], peer[5]]);
        drop(TcpStream::connect(SocketAddr::from((ip, port))));
    }
}

/// Connects and announces (BEP 15), whatever is answered.
fn announce_over_udp(host: &str) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(host).unwrap();
    let connect = [
        &0x417_2710_1980_u64.to_be_bytes()[..],
        &[0; 4],
        &[0, 0, 0, 7],
    ]
    .concat();
    socket.send(&connect).unwrap();
    let mut answer = [0; 64];
    socket.recv(&mut answer).unwrap();
    let mut announce = answer[8..16].to_vec();
    announce.extend([0, 0, 0, 1, 0, 0, 0, 8]);
    announce.extend([b'a'; 20]);
    announce.extend([b'b'; 20]);
    announce.extend([0; 40]);
    announce.extend([0x1a, 0xe1]);
    socket.send(&announce).unwrap();
    socket.recv(&mut answer).unwrap();
}
