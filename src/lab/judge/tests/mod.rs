//! A scripted good client, in which the judge finds nothing, and for each rule what spoils it.

mod cases;
mod script;

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::lab::exchange::{Answer, ConnectionUse, End, HttpHead, Moment, Request};
use cases::CASES;
use script::{Http, Script, Step, Udp};

/// O27
#[test]
fn each_planted_fault_is_found_and_nothing_else() {
    let mut faults = Vec::new();
    for case in CASES {
        let rule = case.rule;
        let good = (case.good)().report();
        if !broken(&good).is_empty() {
            faults.push(format!(
                "{}: found in the good client:\n{}",
                rule.id(),
                good.to_markdown()
            ));
        }
        if good.verdict(rule).unwrap().state() != State::Kept {
            faults.push(format!(
                "{}: the good client does not put it to the test",
                rule.id()
            ));
        }
        let mut script = (case.good)();
        (case.spoil)(&mut script);
        let bad = script.report();
        let found: Vec<Rule> = bad.rules(State::Broken).collect();
        if found != [rule] {
            faults.push(format!(
                "{}: found in the bad client:\n{}",
                rule.id(),
                bad.to_markdown()
            ));
        }
        for finding in &bad.verdict(rule).unwrap().findings {
            assert!(!finding.evidence.is_empty() && !finding.right.is_empty());
            assert!(finding.evidence.iter().all(|one| !one.raw.is_empty()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// O27: who was silent until it was asked to end is found, whether it went without a word or not; who ended by itself is not.
#[test]
fn silence_counts_until_the_client_is_asked_to_end() {
    let found = |dismissed: Option<u64>| {
        let mut script = cases::http_life();
        script.steps.truncate(1);
        let mut judge = Judge::new(Options::default());
        for event in script.events() {
            judge.hear(&event);
        }
        if let Some(dismissed) = dismissed {
            judge.client_dismissed(Duration::from_secs(dismissed));
        }
        judge.client_ended();
        let report = judge.finish(Duration::from_secs(20_000));
        report.verdict(Rule::AnnouncesAgain).unwrap().state() == State::Broken
    };
    assert!(found(Some(19_999)));
    assert!(!found(Some(1_900)));
    assert!(!found(None));
}

/// O27: a tracker over UDP that answers no connect was tried, though no announce came to it; one that answers was not.
#[test]
fn a_connect_that_failed_is_a_tracker_tried() {
    let broken_of = |sent: Option<u32>| {
        let mut script = cases::tiers();
        let mut connect = Udp::connect(0.0, 1, 7);
        connect.sent.clear();
        if let Some(transaction) = sent {
            connect.sent = Udp::connect(0.0, transaction, 7).sent;
        }
        let udp = Place::of_url("udp://127.0.0.1:81").unwrap();
        script.options.tiers.insert(0, vec![udp]);
        script.steps.insert(0, Step::Udp(connect));
        let report = script.report();
        let rules: Vec<Rule> = report.rules(State::Broken).collect();
        rules
    };
    assert_eq!(broken_of(None), []);
    // What is another's is no answer.
    assert_eq!(broken_of(Some(2)), []);
    assert!(broken_of(Some(1)).contains(&Rule::TierOrder));
}

/// O27: each announce begins with the first tier (BEP 12), so the tracker that answers sets the pace of the one before it that fails.
#[test]
fn a_tracker_that_fails_is_asked_as_often_as_another_one_takes() {
    let broken_with = |every: usize| {
        let mut script = cases::tiers();
        let (fails, takes) = (script.http(0).sent.clone(), Http::at(0.0).sent);
        script.options = Options::default();
        script.steps.clear();
        for number in 0..8 {
            let at = f64::from(u8::try_from(number).unwrap()) * 7.0;
            let event: &[(&str, &str)] = if number == 0 {
                &[("event", "started")]
            } else {
                &[]
            };
            let asks = |at: f64, path: &str, event: &[(&str, &str)], sent: &[u8]| {
                let mut http = Http::at(at).with(event);
                http.path = path.to_owned();
                http.sent = sent.to_vec();
                Step::Http(http)
            };
            let started = [("event", "started")];
            script.steps.push(asks(at, "/a", &started, &fails));
            if number % every == 0 {
                script.steps.push(asks(at + 1.0, "/b", event, &takes));
            }
        }
        let report = script.report();
        let verdict = report.verdict(Rule::NotHammered).unwrap();
        verdict.state() == State::Broken
    };
    assert!(!broken_with(1));
    assert!(!broken_with(2));
    assert!(broken_with(4));
}

/// O27: connects name no torrent, so two torrents of one socket that connect at once repeat nothing.
#[test]
fn connects_of_several_torrents_are_no_repeats() {
    let found = |second: Option<&[u8; 20]>| {
        let mut connects = [(0.0, 1), (0.1, 2), (0.2, 3)].map(|(at, id)| Udp::connect(at, id, 77));
        for lost in connects.iter_mut().take(2) {
            lost.sent.clear();
        }
        let mut steps: Vec<Step> = connects.into_iter().map(Step::Udp).collect();
        steps.push(Step::Udp(Udp::announce(0.3, 4, 77, 2, 1_000)));
        if let Some(hash) = second {
            let mut other = Udp::announce(0.4, 5, 77, 2, 1_000);
            other.bytes[16..36].copy_from_slice(hash);
            steps.push(Step::Udp(other));
        }
        Script::of(steps)
            .report()
            .verdict(Rule::UdpBackOff)
            .unwrap()
            .state()
    };
    assert_eq!(found(None), State::Broken);
    assert_eq!(found(Some(b"another-torrent-....")), State::NotSeen);
}

/// O27: a tracker that answers nothing is told of no torrent. Then only the same datagram is a repeat.
#[test]
fn connects_of_nobody_knows_how_many_torrents_are_repeats_when_they_are_the_same() {
    let found = |transactions: [u32; 4]| {
        let connects = [0.0, 0.1, 15.0, 15.1].into_iter().zip(transactions);
        let connects = connects.map(|(at, transaction)| {
            let mut connect = Udp::connect(at, transaction, 77);
            connect.sent.clear();
            Step::Udp(connect)
        });
        rules_broken(&Script::of(connects.collect()))
    };
    assert_eq!(found([1, 2, 3, 4]), []);
    assert_eq!(found([1, 2, 1, 2]), []);
    assert_eq!(found([1, 1, 2, 2]), [Rule::UdpBackOff]);
}

/// O27: requests are judged in the order in which they came, whenever they are told: of connections that overlap, or that were answered
/// late. Whatever the order, the report is the same.
#[test]
fn requests_are_judged_in_the_order_of_their_numbers() {
    for life in [cases::http_life(), cases::udp_life(), cases::tiers()] {
        let expected = life.report().to_json();
        let events = life.events();
        let told = |events: &mut dyn Iterator<Item = &Event>| {
            let mut judge = Judge::new(life.options.clone());
            events.for_each(|event| judge.hear(event));
            judge.client_ended();
            judge.finish(Duration::from_secs_f64(life.until)).to_json()
        };
        assert_eq!(told(&mut events.iter()), expected);
        let exchanges = events
            .iter()
            .filter(|event| matches!(event, Event::Exchange(_)));
        let ends = events
            .iter()
            .filter(|event| !matches!(event, Event::Exchange(_)));
        let backwards = exchanges.clone().rev().chain(ends.clone());
        assert_eq!(told(&mut backwards.into_iter()), expected);
        let swapped = exchanges.clone().skip(1).step_by(2);
        let swapped = swapped.chain(exchanges.step_by(2)).chain(ends);
        assert_eq!(told(&mut swapped.into_iter()), expected);
    }
}

/// O27: of more events than may wait those with the lowest numbers are judged.
#[test]
fn what_waits_for_its_turn_has_a_bound() {
    let mut judge = Judge::new(Options::default());
    let connects = (0..5_000).map(|number| Step::Udp(Udp::connect(0.0, number, 1)));
    for event in Script::of(connects.collect()).events().iter().rev() {
        judge.hear(event);
    }
    let waiting = crate::lab::serve::MAX_WAITING_EVENTS as u64;
    assert_eq!(judge.requests, 5_000 - waiting);
    assert_eq!(judge.finish(Duration::ZERO).requests, 5_000);
}

/// O27: what a client says before it has an answer does not depend on the answer.
#[test]
fn who_has_no_answer_yet_is_not_held_to_it() {
    let mut late = Http::at(0.0);
    late.set("event", "started");
    late.took = 1.9;
    let mut again = Http::at(0.5);
    again.set("event", "started");
    let mut stopped = Http::at(5.0);
    stopped.set("event", "stopped");
    let mut script = Script::of([late, again, stopped].map(Step::Http).into());
    assert_eq!(rules_broken(&script), []);
    script.http(0).took = 0.1;
    assert_eq!(rules_broken(&script), [Rule::StartedOnce]);
    let mut script = cases::udp_life();
    let again = Udp::connect(15.0, 1, 77);
    script.steps.insert(1, Step::Udp(again));
    script.udp(2).at = 15.1;
    assert_eq!(rules_broken(&script), [Rule::UdpTransactionNew]);
    script.udp(0).took = 20.0;
    assert_eq!(rules_broken(&script), []);
}

/// O27: who wants more files, or finds data broken, has more left: before, with and after `completed`.
#[test]
fn left_may_grow() {
    let mut script = cases::http_life();
    script.http(1).set("left", "5000");
    script.http(3).set("left", "600");
    assert_eq!(rules_broken(&script), []);
    script.http(4).set("left", "900");
    assert_eq!(rules_broken(&script), []);
}

/// O27: what is no connect is not waited for.
#[test]
fn a_connect_of_another_protocol_is_repeated_at_will() {
    let mut script = cases::udp_life();
    let mut odd = Udp::connect(0.0, 9, 77);
    odd.bytes[0] = 1;
    odd.sent.clear();
    script.steps.insert(0, Step::Udp(odd));
    assert_eq!(rules_broken(&script), [Rule::UdpProtocol]);
}

/// O27: `paused` tells of a change the first time; then it stands in each announce of a partial seed (BEP 21).
#[test]
fn the_first_paused_may_come_at_any_time() {
    let found = |seconds: f64| {
        let mut script = cases::http_life();
        script.steps.truncate(1);
        for at in [10.0, seconds] {
            let paused = [("event", "paused"), ("left", "600"), ("downloaded", "400")];
            let mut paused = Http::at(at).with(&paused);
            paused.sent = script.http(0).sent.clone();
            script.steps.push(Step::Http(paused));
        }
        rules_broken(&script)
    };
    assert_eq!(found(1_810.0), []);
    let early = found(20.0);
    assert!(
        early == [Rule::MinIntervalKept] || early == [Rule::IntervalKept],
        "{early:?}"
    );
}

/// O27: who has given up meanwhile never read it.
#[test]
fn an_answer_that_is_long_in_coming_proves_nothing() {
    let found = |took: f64| {
        let mut script = cases::http_life();
        script.steps.truncate(1);
        script.http(0).took = took;
        let mut again = Http::at(5.0).with(&[("event", "started")]);
        again.sent = script.http(0).sent.clone();
        script.steps.push(Step::Http(again));
        rules_broken(&script)
    };
    assert_eq!(found(0.5), [Rule::StartedOnce]);
    assert_eq!(found(4.0), []);
}

/// O27
#[test]
fn every_rule_has_a_fault_that_breaks_it() {
    let mut ids: Vec<&str> = Rule::ALL.iter().map(|rule| rule.id()).collect();
    for rule in Rule::ALL {
        assert!(
            CASES.iter().any(|case| case.rule == *rule),
            "{}: nothing shows that the judge finds it",
            rule.id()
        );
        assert!(!rule.asks().is_empty() && !rule.source().is_empty());
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), Rule::ALL.len());
    for (at, rule) in Rule::ALL.iter().enumerate() {
        assert_eq!(*rule as usize, at);
    }
}

#[test]
fn what_nothing_tests_is_not_said_to_be_kept() {
    let report = Judge::new(Options::default()).finish(Duration::from_secs(60));
    assert_eq!(report.rules(State::NotSeen).count(), Rule::ALL.len());
    assert_eq!(report.worst(), None);
    // Over HTTP alone nothing is known of UDP.
    let report = cases::http_life().report();
    for rule in [
        Rule::UdpIdFresh,
        Rule::UdpBackOff,
        Rule::TierOrder,
        Rule::RedirectsFollowed,
    ] {
        assert_eq!(report.verdict(rule).unwrap().state(), State::NotSeen);
    }
}

#[test]
fn both_reports_say_the_same() {
    let mut script = cases::http_life();
    script.http(1).set("left", "2000");
    script.http(3).set("uploaded", "5");
    let report = script.report();
    let json = report.to_json();
    let broken = json["rules"].as_array().unwrap().iter();
    let broken = broken.filter(|rule| rule["state"] == "broken");
    let ids: Vec<&str> = broken.map(|rule| rule["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["uploaded-grows"]);
    assert_eq!(json["worst"], "must");
    let text = report.to_markdown();
    assert!(text.contains("### `uploaded-grows` (must)"), "{text}");
    assert!(
        text.contains("`uploaded` went from 20 (request 3) to 5 (request 4)"),
        "{text}"
    );
    assert!(text.contains("uploaded=5"), "{text}");
    assert_eq!(
        json["sessions"].as_array().unwrap().len(),
        report.sessions.len()
    );
}

#[test]
fn what_a_client_sends_steers_no_terminal_and_ends_no_code() {
    let mut script = cases::http_life();
    script
        .http(0)
        .headers
        .push(("User-Agent".into(), "a`b\x1b[2J".into()));
    script.http(0).set("key", "`\x1b");
    let text = script.report().to_markdown();
    assert!(!text.contains('\x1b') && !text.contains("a`b"), "{text}");
}

/// The rules that answers which may be taken or left could break are not judged by what comes after them.
#[test]
fn nothing_is_concluded_from_odd_answers() {
    for body in [
        "d8:intervali0e5:peers0:e",
        "d8:intervali1800ee",
        "d5:peers0:8:intervali9ee",
    ] {
        for event in ["started", ""] {
            let mut script = cases::http_life();
            script.http(0).answer(body);
            script.http(1).set("event", event);
            script.http(1).at = 60.0;
            let report = script.report();
            let broken = broken(&report);
            assert!(broken.is_empty(), "{body} {event}: {broken:#?}");
        }
    }
}

#[test]
fn a_magnet_link_may_learn_its_size() {
    let mut script = cases::http_life();
    script.http(0).set("left", "1");
    assert!(broken(&script.report()).is_empty());
}

/// The table of the documentation is the one of the program.
#[test]
fn the_documentation_has_the_table_of_rules() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/CLIENT-DEVELOPERS.md")).unwrap();
    assert!(
        text.contains(&Rule::table()),
        "put this there:\n{}",
        Rule::table()
    );
}

/// What a script breaks that ends without `stopped`, besides that.
fn rules_broken(script: &Script) -> Vec<Rule> {
    let report = script.report();
    let broken = report.rules(State::Broken);
    broken.filter(|rule| *rule != Rule::StoppedAtEnd).collect()
}

fn broken(report: &Report) -> Vec<&Verdict> {
    let verdicts = report.verdicts.iter();
    verdicts
        .filter(|verdict| verdict.state() == State::Broken)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever comes in whatever order: no panic, and a report.
    #[test]
    fn any_events_give_a_report(events in prop::collection::vec(any_event(), 0..60), has_ended: bool) {
        let mut judge = Judge::new(cases::tiers().options);
        for event in &events {
            judge.hear(event);
        }
        if has_ended {
            judge.client_ended();
        }
        let report = judge.finish(Duration::from_secs(9));
        prop_assert!(!report.to_markdown().is_empty());
        prop_assert!(report.to_json().is_object());
    }
}

/// As many sessions, addresses and ids as anybody likes: what is kept stays within its bounds.
#[test]
fn memory_is_bounded() {
    let mut judge = Judge::new(Options::default());
    let mut script = Script::default();
    for number in 0..3_000u32 {
        let mut http = Http::at(f64::from(number));
        http.client = format!("10.{}.{}.1:7", number / 256, number % 256)
            .parse()
            .unwrap();
        http.set("peer_id", &format!("-LB1000-{number:012}"));
        http.set("event", "");
        script.steps.push(Step::Http(http));
        let mut udp = Udp::connect(f64::from(number), number, u64::from(number));
        udp.client = "10.9.9.9:7".parse().unwrap();
        script.steps.push(Step::Udp(udp));
    }
    for event in script.events() {
        judge.hear(&event);
    }
    judge.take_all();
    assert_eq!(judge.sessions.len(), SESSIONS);
    assert!(judge.by_id.len() <= SESSIONS && judge.by_port.len() <= SESSIONS);
    assert_eq!(judge.unfollowed, 3_000 - SESSIONS as u64);
    let report = judge.finish(Duration::from_secs(9_999));
    let started = report.verdict(Rule::StartedFirst).unwrap();
    assert_eq!(
        (started.broken, started.findings.len()),
        (SESSIONS as u64, FINDINGS_KEPT)
    );
}

/// A client whose id changes with each announce is one session, and found out each time.
#[test]
fn ids_without_end_are_one_session() {
    let mut script = cases::http_life();
    for number in 0..500 {
        let mut http = Http::at(8_100.0 + f64::from(number));
        http.set("peer_id", &format!("-LB1000-{number:012}"));
        http.set("event", if number == 0 { "started" } else { "" });
        script.steps.push(Step::Http(http));
    }
    let mut judge = Judge::new(Options::default());
    for event in script.events() {
        judge.hear(&event);
    }
    judge.take_all();
    assert_eq!((judge.sessions.len(), judge.by_id.len()), (2, 2));
    let report = judge.finish(Duration::from_secs(9_000));
    assert_eq!(report.verdict(Rule::SamePeerId).unwrap().broken, 499);
}

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..130)
}

fn any_body() -> impl Strategy<Value = Body> {
    let query = prop_oneof![
        "[?&=%a-z0-9]{0,80}".prop_map(String::into_bytes),
        ("(started|completed|stopped||x)", any::<u64>(), 0u8..3, "(key=1&)?").prop_map(
            |(event, left, id, key)| {
                let hash = "a".repeat(20);
                format!("{key}info_hash={hash}&peer_id=-LB1000-{id:012}&port=1&left={left}&event={event}&uploaded=0&downloaded={left}")
                    .into_bytes()
            }
        ),
    ];
    prop_oneof![
        (query, "/(announce|scrape|announce.php|x)").prop_map(|(query, path)| {
            Body::Http(HttpHead {
                raw: query.clone(),
                method: b"GET".to_vec(),
                path: path.into_bytes(),
                query: Some(query),
                minor_version: 1,
                headers: vec![(b"host".to_vec(), b"x".to_vec())],
            })
        }),
        any_bytes().prop_map(Body::Datagram),
        (0u8..4, any_bytes()).prop_map(|(action, rest)| {
            Body::Datagram([&[0; 11], &[action][..], &[0; 4], &rest].concat())
        }),
        any_bytes().prop_map(Body::Unreadable),
    ]
}

fn any_sent() -> impl Strategy<Value = Vec<u8>> {
    let endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n";
    prop_oneof![
        any_bytes(),
        Just(b"HTTP/1.1 200 OK\r\n\r\nd8:intervali30e5:peers0:e".to_vec()),
        Just(b"HTTP/1.0 302 x\r\nLocation: /announce\r\n\r\n".to_vec()),
        Just(endless.to_vec()),
        Just([[0u8; 8], [1; 8]].concat()),
    ]
}

fn any_event() -> impl Strategy<Value = Event> {
    let clock = prop_oneof![0u64..100, any::<u64>()];
    let sent = prop::collection::vec(any_sent(), 0..3);
    (any_body(), sent, clock, 0u64..3, any::<bool>()).prop_map(
        |(body, sent, seconds, connection, is_end)| {
            let real = Duration::from_secs(seconds);
            let at = Moment {
                real,
                virtual_time: real,
            };
            if is_end && seconds % 3 == 0 {
                return Event::Disconnected {
                    connection,
                    at,
                    requests: 1,
                    error: None,
                };
            }
            let request = Request {
                number: seconds,
                at,
                transport: Transport::Http,
                client: "127.0.0.1:2".parse().unwrap(),
                tracker: "127.0.0.1:80".parse().unwrap(),
                connection: Some(ConnectionUse {
                    connection,
                    earlier: 1,
                    is_pipelined: false,
                }),
                body,
            };
            let answer = Answer {
                sent,
                took: real,
                end: End::Closed,
                ..Answer::default()
            };
            Event::Exchange(Arc::new(Exchange { request, answer }))
        },
    )
}

/// What is recorded is read back as it was.
#[test]
fn events_survive_being_recorded() {
    let mut scripts = cases::http_life().events();
    scripts.extend(cases::udp_life().events());
    for event in scripts {
        let line = serde_json::to_string(&event).unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
    }
}
