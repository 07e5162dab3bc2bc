//! Good clients, and for each rule what makes one of them break it.

use super::script::{HASH, Http, Script, Step, Udp, encoded, reply, with_headers};
use crate::lab::judge::{Options, Place, Rule};

pub(super) struct Case {
    pub(super) rule: Rule,
    /// A client that breaks nothing and puts the rule to the test.
    pub(super) good: fn() -> Script,
    /// What makes it break the rule.
    pub(super) spoil: fn(&mut Script),
}

const fn case(rule: Rule, good: fn() -> Script, spoil: fn(&mut Script)) -> Case {
    Case { rule, good, spoil }
}

fn announce(at: f64, changes: &[(&str, &str)]) -> Step {
    Step::Http(Http::at(at).with(changes))
}

fn answered(at: f64, changes: &[(&str, &str)], sent: Vec<u8>) -> Step {
    let mut http = Http::at(at).with(changes);
    http.sent = sent;
    Step::Http(http)
}

const STARTED: (&str, &str) = ("event", "started");
const STOPPED: (&str, &str) = ("event", "stopped");

/// Downloads, seeds, stops, and comes back to seed.
pub(super) fn http_life() -> Script {
    let whole = [("left", "0"), ("downloaded", "1000"), ("uploaded", "20")];
    let mut script = Script::of(vec![
        announce(0.0, &[STARTED]),
        announce(
            1_800.0,
            &[("left", "600"), ("downloaded", "400"), ("uploaded", "10")],
        ),
        announce(2_400.0, &[&whole[..], &[("event", "completed")]].concat()),
        announce(4_200.0, &whole),
        announce(5_000.0, &[&whole[..], &[STOPPED]].concat()),
        announce(6_000.0, &[("left", "0"), STARTED]),
        announce(7_800.0, &[("left", "0")]),
        announce(8_000.0, &[("left", "0"), STOPPED]),
    ]);
    script.http(0).connection = Some((1, 0, false));
    script.http(0).is_last = false;
    script.http(1).connection = Some((1, 1, false));
    let body = "d8:intervali1800e5:peers0:e";
    script.http(1).sent = with_headers("200 OK", "Connection: close\r\n", body);
    script
}

/// Two announces and the end, each answered with this.
fn answered_with(body: &str, gap: f64) -> Script {
    let sent = super::script::ok(body);
    Script::of(vec![
        answered(0.0, &[STARTED], sent.clone()),
        answered(gap, &[], sent.clone()),
        answered(gap * 2.0, &[STOPPED], sent),
    ])
}

fn min_interval() -> Script {
    answered_with("d8:intervali1800e12:min intervali900e5:peers0:e", 900.0)
}

fn warned() -> Script {
    answered_with("d8:intervali1800e5:peers0:15:warning message2:hoe", 1_800.0)
}

fn with_tracker_id() -> Script {
    let mut script = answered_with("d8:intervali1800e5:peers0:10:tracker id2:a e", 1_800.0);
    script.http(1).set("trackerid", "a%20");
    script.http(2).set("trackerid", "a%20");
    script
}

fn refused() -> Script {
    let no = super::script::ok("d14:failure reason2:no8:retry ini2ee");
    Script::of(vec![
        answered(0.0, &[STARTED], no),
        announce(120.0, &[STARTED]),
        announce(900.0, &[STOPPED]),
    ])
}

fn packed() -> Script {
    let mut script = answered_with("d8:intervali1800e5:peers0:e", 1_800.0);
    let first = script.http(0);
    first
        .headers
        .push(("Accept-Encoding".into(), "deflate, gzip".into()));
    first.honest = std::mem::take(&mut first.sent);
    first.sent = with_headers("200 OK", "Content-Encoding: gzip\r\n", "\x1f");
    script
}

fn redirect(at: f64, from: &str, to: &str) -> Step {
    let headers = format!("Location: {to}\r\n");
    let mut http = Http::at(at).with(&[STARTED]);
    http.path = from.into();
    http.sent = with_headers("302 Found", &headers, "");
    Step::Http(http)
}

fn redirected() -> Script {
    let mut script = Script::of(vec![
        redirect(0.0, "/announce", "/b/announce?x=1"),
        redirect(0.1, "/b/announce", "http://127.0.0.1:80/c/announce"),
        announce(0.2, &[STARTED]),
        announce(1_800.0, &[STOPPED]),
    ]);
    script.http(2).path = "/c/announce".into();
    script.http(3).path = "/c/announce".into();
    script
}

fn loops(count: u32) -> Vec<Step> {
    let links = (0..count).map(|link| redirect(f64::from(link) / 10.0, "/announce", "/announce"));
    links.collect()
}

fn scraping() -> Script {
    let mut script = answered_with("d8:intervali1800e5:peers0:e", 1_800.0);
    script.steps.insert(0, Step::Http(Http::scrape(0.0)));
    script.steps.insert(2, Step::Http(Http::scrape(60.0)));
    script
}

fn both_families() -> Script {
    let mut script = answered_with("d8:intervali1800e5:peers0:e", 1_800.0);
    script.options.has_both_families = true;
    for place in 0..3 {
        let v4 = script.http(place);
        let mut v6 = Http::at(v4.at);
        v6.parameters.clone_from(&v4.parameters);
        v6.client = "[::1]:40000".parse().unwrap();
        v6.tracker = "[::1]:80".parse().unwrap();
        script.steps.push(Step::Http(v6));
    }
    script
        .steps
        .sort_by(|one, other| time(one).total_cmp(&time(other)));
    script
}

fn time(step: &Step) -> f64 {
    match step {
        Step::Http(http) => http.at,
        Step::Udp(udp) => udp.at,
        Step::Unreadable(at) => *at,
    }
}

fn sized() -> Script {
    let mut script = http_life();
    script.options.size = Some(1_000);
    script
}

fn at_path(step: Step, path: &str) -> Step {
    match step {
        Step::Http(mut http) => {
            http.path = path.into();
            Step::Http(http)
        }
        other => other,
    }
}

fn place(path: &str) -> Place {
    Place::of_url(&format!("http://127.0.0.1:80{path}")).unwrap()
}

/// Two trackers of one tier fail, that of the next answers.
pub(super) fn tiers() -> Script {
    let fails = |at, path| at_path(answered(at, &[STARTED], Vec::new()), path);
    let mut script = Script::of(vec![
        fails(0.0, "/b"),
        fails(1.0, "/a"),
        at_path(announce(2.0, &[STARTED]), "/c"),
        at_path(announce(900.0, &[STOPPED]), "/c"),
    ]);
    script.options = Options {
        tiers: vec![vec![place("/a"), place("/b")], vec![place("/c")]],
        ..Options::default()
    };
    script
}

/// One tracker of a tier fails, and the other answers.
fn promoted() -> Script {
    let mut script = tiers();
    script.options.tiers.truncate(1);
    script.steps = vec![
        at_path(answered(0.0, &[STARTED], Vec::new()), "/b"),
        at_path(announce(1.0, &[STARTED]), "/a"),
        at_path(announce(1_801.0, &[]), "/a"),
        at_path(announce(1_900.0, &[STOPPED]), "/a"),
    ];
    script
}

pub(super) fn udp_life() -> Script {
    Script::of(vec![
        Step::Udp(Udp::connect(0.0, 1, 77)),
        Step::Udp(Udp::announce(0.1, 2, 77, 2, 1_000)),
        Step::Udp(Udp::scrape(30.0, 3, 77, 74)),
        Step::Udp(Udp::connect(1_800.0, 4, 78)),
        Step::Udp(Udp::announce(1_800.1, 5, 78, 0, 600)),
        Step::Udp(Udp::connect(2_400.0, 6, 79)),
        Step::Udp(Udp::announce(2_400.1, 7, 79, 1, 0)),
        Step::Udp(Udp::announce(2_420.0, 8, 79, 3, 0)),
    ])
}

fn udp_silence() -> Script {
    let mut script = udp_life();
    let mut first = Udp::announce(0.1, 2, 77, 2, 1_000);
    first.sent.clear();
    let mut second = Udp::announce(15.1, 2, 77, 2, 1_000);
    second.sent.clear();
    let third = Udp::announce(45.1, 2, 77, 2, 1_000);
    let [first, second, third] = [first, second, third].map(Step::Udp);
    script.steps.splice(1..2, [first, second, third]);
    script
}

fn udp_v6() -> Script {
    let mut script = udp_life();
    for step in &mut script.steps {
        if let Step::Udp(udp) = step {
            udp.client = "[::1]:6881".parse().unwrap();
            udp.tracker = "[::1]:81".parse().unwrap();
        }
    }
    script
}

fn hash_with(raw: &str) -> String {
    format!("{}{raw}", encoded(&HASH[..19]))
}

pub(super) const CASES: &[Case] = &[
    case(Rule::StartedFirst, http_life, |script| {
        script.http(0).remove("event");
    }),
    case(Rule::StartedOnce, http_life, |script| {
        script.http(1).set("event", "started");
    }),
    case(Rule::EventRepeated, refused, |script| {
        script.http(1).remove("event");
    }),
    case(Rule::CompletedOnce, http_life, |script| {
        script.http(3).set("event", "completed");
    }),
    case(Rule::CompletedWhenWhole, http_life, |script| {
        script.http(2).set("left", "100");
        script.http(3).set("left", "100");
        script.http(4).set("left", "100");
    }),
    case(Rule::CompletedAfterLeft, http_life, |script| {
        script.http(0).set("left", "0");
        script.http(1).set("left", "0");
    }),
    case(Rule::CompletedSent, http_life, |script| {
        script.http(2).at = 3_600.0;
        script.http(2).remove("event");
        script.http(3).at = 5_400.0;
        script.http(4).at = 5_500.0;
    }),
    case(Rule::StoppedAtEnd, http_life, |script| {
        script.steps.pop();
    }),
    case(Rule::NothingAfterStopped, http_life, |script| {
        script.http(5).remove("event");
    }),
    case(Rule::EventKnown, http_life, |script| {
        script.http(1).set("event", "update");
    }),
    case(Rule::IntervalKept, http_life, |script| {
        script.http(1).at = 1_600.0;
    }),
    case(Rule::MinIntervalKept, min_interval, |script| {
        script.http(1).at = 800.0;
    }),
    case(Rule::AnnouncesAgain, http_life, |script| {
        for place in 6..8 {
            script.http(place).at += 4_000.0;
        }
    }),
    case(Rule::RetryInKept, refused, |script| {
        script.http(1).at = 90.0;
    }),
    case(Rule::NotHammered, refused, |script| {
        let no = super::script::ok("d14:failure reason2:noe");
        script.http(0).sent.clone_from(&no);
        let tries = (1..7u8).map(|number| answered(f64::from(number), &[STARTED], no.clone()));
        script.steps.splice(1..1, tries);
    }),
    case(Rule::WarningIsNoFailure, warned, |script| {
        script.http(1).set("event", "started");
    }),
    case(Rule::TrackerIdReturned, with_tracker_id, |script| {
        script.http(1).remove("trackerid");
    }),
    case(Rule::NumbersPlausible, sized, |script| {
        script.http(0).set("left", "1001");
    }),
    case(Rule::LeftShrinks, http_life, |script| {
        for place in [3, 4] {
            script.http(place).set("left", "600");
            script.http(place).set("downloaded", "1600");
        }
    }),
    case(Rule::DownloadedGrows, http_life, |script| {
        script.http(4).set("downloaded", "999");
    }),
    case(Rule::UploadedGrows, http_life, |script| {
        script.http(4).set("uploaded", "19");
    }),
    case(Rule::DownloadedCounts, http_life, |script| {
        for place in 1..5 {
            script.http(place).set("downloaded", "0");
        }
    }),
    case(Rule::SamePeerId, http_life, |script| {
        script.http(3).set("peer_id", "-LB1000-aaaaaaaaaaaa");
        script.http(4).set("peer_id", "-LB1000-aaaaaaaaaaaa");
    }),
    case(Rule::SameKey, http_life, |script| {
        for place in 1..8 {
            script.http(place).set("key", "99");
        }
    }),
    case(Rule::KeyPresent, http_life, |script| {
        for place in 0..8 {
            script.http(place).remove("key");
        }
    }),
    case(Rule::BothFamilies, both_families, |script| {
        script
            .steps
            .retain(|step| matches!(step, Step::Http(http) if http.client.is_ipv4()));
    }),
    case(Rule::RequiredParameters, http_life, |script| {
        script.http(0).set("uploaded", "-1");
    }),
    case(Rule::ParametersOnce, http_life, |script| {
        let again = ("left".into(), "1000".into());
        script.http(0).parameters.push(again);
    }),
    case(Rule::QueryWellFormed, http_life, |script| {
        script.http(0).before = "?".into();
    }),
    case(Rule::EscapesWellFormed, http_life, |script| {
        for place in 0..8 {
            script.http(place).set("key", "50%");
        }
    }),
    case(Rule::EncodedOnce, http_life, |script| {
        for place in 0..8 {
            let twice = encoded(encoded(HASH).as_bytes());
            script.http(place).set("info_hash", &twice);
        }
    }),
    case(Rule::ReservedEncoded, http_life, |script| {
        for place in 0..8 {
            script.http(place).set("key", "a/b");
        }
    }),
    case(Rule::PlusEncoded, http_life, |script| {
        for place in 0..8 {
            script.http(place).set("info_hash", &hash_with("+"));
        }
    }),
    case(Rule::HashLength, http_life, |script| {
        for place in 0..8 {
            script.http(place).set("info_hash", &hash_with("ab"));
        }
    }),
    case(Rule::PeerIdLength, http_life, |script| {
        for place in 0..8 {
            script.http(place).set("peer_id", "-LB1000-short");
        }
    }),
    case(Rule::PeerIdNamed, http_life, |script| {
        for place in 0..8 {
            script
                .http(place)
                .set("peer_id", "%00%01aaaaaaaaaaaaaaaaaa");
        }
    }),
    case(Rule::PortValid, http_life, |script| {
        script.http(0).set("port", "0");
    }),
    case(Rule::CompactSane, http_life, |script| {
        script.http(0).set("compact", "yes");
    }),
    case(Rule::NoPeerIdSane, http_life, |script| {
        script.http(0).set("no_peer_id", "true");
    }),
    case(Rule::NumwantSane, http_life, |script| {
        script.http(0).set("numwant", "-1");
    }),
    case(Rule::HttpReadable, http_life, |script| {
        script.steps.push(Step::Unreadable(9_000.0));
    }),
    case(Rule::HttpGet, http_life, |script| {
        script.http(0).method = "POST".into();
    }),
    case(Rule::HttpHost, http_life, |script| {
        script.http(0).headers.retain(|(name, _)| name != "Host");
    }),
    case(Rule::HttpNoBody, http_life, |script| {
        script
            .http(0)
            .headers
            .push(("Content-Length".into(), "5".into()));
    }),
    case(Rule::HttpAnswersAwaited, http_life, |script| {
        script.http(1).connection = Some((1, 1, true));
    }),
    case(Rule::HttpCloseHonoured, http_life, |script| {
        script.http(1).is_last = false;
        script.http(2).connection = Some((1, 2, false));
    }),
    case(Rule::EncodingRead, packed, |script| {
        script.http(1).set("event", "started");
    }),
    case(Rule::UserAgent, http_life, |script| {
        script
            .http(0)
            .headers
            .retain(|(name, _)| name != "User-Agent");
    }),
    case(Rule::RedirectsFollowed, redirected, |script| {
        script.steps.truncate(1);
        script.steps.push(announce(1_800.0, &[STARTED]));
        script.steps.push(announce(1_900.0, &[STOPPED]));
    }),
    case(Rule::RedirectsEnd, redirected, |script| {
        script.steps = loops(22);
    }),
    case(Rule::ScrapeWhere, scraping, |script| {
        script.http(0).path = "/announce/scrape".into();
    }),
    case(Rule::ScrapeHashes, scraping, |script| {
        script.http(0).remove("info_hash");
    }),
    case(Rule::ScrapeSize, udp_life, |script| {
        script.steps[2] = Step::Udp(Udp::scrape(30.0, 3, 77, 75));
    }),
    case(Rule::ScrapeRate, scraping, |script| {
        script.http(2).at = 20.0;
    }),
    case(Rule::TierOrder, tiers, |script| {
        script.steps.remove(1);
    }),
    case(Rule::TierFallback, tiers, |script| {
        for place in 1..4 {
            script.http(place).path = "/b".into();
        }
    }),
    case(Rule::TierPromoted, promoted, |script| {
        let fails = at_path(answered(1_800.0, &[("event", "started")], Vec::new()), "/b");
        script.steps.insert(2, fails);
    }),
    case(Rule::UdpLength, udp_life, |script| {
        script.udp(3).bytes.push(0);
    }),
    case(Rule::UdpAction, udp_life, |script| {
        script.steps.push(Step::Udp(Udp::connect(3_000.0, 9, 80)));
        script.udp(8).bytes[11] = 7;
    }),
    case(Rule::UdpProtocol, udp_life, |script| {
        script.udp(0).bytes[7] = 0;
    }),
    case(Rule::UdpIdIssued, udp_life, |script| {
        script.udp(4).bytes[7] = 9;
    }),
    case(Rule::UdpIdFresh, udp_life, |script| {
        script.udp(4).bytes[7] = 77;
    }),
    case(Rule::UdpTransactionChecked, udp_life, |script| {
        script.udp(3).sent = vec![reply(0, 99, &78u64.to_be_bytes())];
    }),
    case(Rule::UdpTransactionNew, udp_life, |script| {
        script.udp(1).bytes[15] = 1;
        script.udp(1).sent[0][7] = 1;
    }),
    case(Rule::UdpBackOff, udp_silence, |script| {
        script.udp(3).at = 35.0;
    }),
    case(Rule::UdpOptions, udp_life, |script| {
        script.udp(1).bytes[99] = 200;
    }),
    case(Rule::UdpUrlData, udp_life, |script| {
        script.udp(1).bytes[100] = b'x';
    }),
    case(Rule::UdpV6, udp_v6, |script| script.udp(1).bytes[87] = 1),
];
