//! O31: the program `retracker-lab serve` and `watch`: its first line, what it shows, and when it ends.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::client::{Udp, connect, get, seal, target};

/// The running program.
pub(crate) struct Program {
    pub(crate) child: Child,
    out: BufReader<ChildStdout>,
}

pub(crate) fn start(arguments: &[&str]) -> Program {
    let mut command = Command::new(env!("CARGO_BIN_EXE_retracker-lab"));
    command.args(arguments);
    spawn(command)
}

pub(crate) fn spawn(mut command: Command) -> Program {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    Program { child, out }
}

impl Program {
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line
    }

    fn json(&mut self) -> Value {
        serde_json::from_str(&self.line()).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// What is left of its output, and how it ended.
    pub(crate) fn end(mut self) -> (String, ExitStatus) {
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        (rest, self.child.wait().unwrap())
    }
}

/// Host and port of an announce URL.
fn place(url: &Value) -> SocketAddr {
    let (_, rest) = url.as_str().unwrap().split_once("://").unwrap();
    rest.strip_suffix("/announce").unwrap().parse().unwrap()
}

/// O31: one line of JSON when all listen, with what a client needs; SIGTERM and SIGINT end it in order.
#[test]
fn the_first_line_is_all_that_a_client_needs() {
    for signal in [Signal::TERM, Signal::INT] {
        let folder = tempfile::tempdir().unwrap();
        let ca_file = folder.path().join("ca.pem");
        let mut lab = start(&[
            "serve",
            "--json",
            "--interval",
            "5",
            "--ca-file",
            ca_file.to_str().unwrap(),
        ]);
        let ready = lab.json();
        assert_eq!(ready["kind"], "ready");
        assert_eq!(ready["pid"], lab.child.id());
        let mut http = connect(place(&ready["http"]));
        http.send(get(&target(1_001, "")));
        assert!(http.reply().1.windows(13).any(|at| at == b"8:intervali5e"));
        let pem = fs::read_to_string(&ca_file).unwrap();
        assert_eq!(ready["ca_pem"], pem);
        let mut https = seal(place(&ready["https"]), Some(&pem), "127.0.0.1");
        https.send(get(&target(1_002, "")));
        assert_eq!(https.reply().0, "HTTP/1.1 200 OK");
        Udp::new(place(&ready["udp"])).connection();
        let urls = ready["urls"].as_array().unwrap();
        assert_eq!(urls.len() + ready["left_out"].as_array().unwrap().len(), 6);
        lab.signal(signal);
        let (rest, status) = lab.end();
        assert_eq!((rest.as_str(), status.code()), ("", Some(0)));
        assert!(!ca_file.exists());
    }
}

/// O31: it ends with the program that started it, however that ended; and goes on where it was told to.
#[test]
fn it_ends_with_its_parent() {
    let lab = env!("CARGO_BIN_EXE_retracker-lab");
    let shell = |more: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{lab} serve --json {more} & wait")]);
        spawn(command)
    };
    let mut parent = shell("");
    assert_eq!(parent.json()["kind"], "ready");
    parent.signal(Signal::KILL);
    assert_eq!(parent.end().0, "");
    let mut parent = shell("--outlive-parent");
    let ready = parent.json();
    parent.signal(Signal::KILL);
    parent.child.wait().unwrap();
    let mut http = connect(place(&ready["http"]));
    http.send(get(&target(1_001, "")));
    assert_eq!(http.reply().0, "HTTP/1.1 200 OK");
    let pid = i32::try_from(ready["pid"].as_i64().unwrap()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();
    let mut rest = String::new();
    parent.out.read_to_string(&mut rest).unwrap();
}

/// O31
#[test]
fn it_ends_when_its_standard_input_is_closed_if_it_was_told_to() {
    let mut lab = start(&["serve", "--until-stdin-closes", "--no-https", "--no-v6"]);
    let lines = lab.line() + &lab.line();
    assert!(lines.starts_with("http   http://127.0.0.1:"), "{lines}");
    assert!(lines.contains("\nudp    udp://127.0.0.1:"), "{lines}");
    drop(lab.child.stdin.take());
    let (rest, status) = lab.end();
    assert_eq!((rest.as_str(), status.code()), ("", Some(0)));
}

/// O31: what serves has the same options, whatever it serves.
#[test]
fn a_tracker_that_misbehaves_can_be_told_all_that_another_can() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("requests");
    let script = folder.path().join("mine.toml");
    let peers = "[[step]]\nwhen = { nth = 2 }\nthen = { warning = \"again\" }\n";
    fs::write(&script, peers).unwrap();
    let (script, to) = (script.to_str().unwrap(), file.to_str().unwrap());
    let words = ["misbehave", "--script", script, "--json", "--to", to];
    let more = ["--http", "127.0.0.2:0", "--no-https", "--no-udp"];
    let times = ["--speed", "60", "--interval", "7", "--min-interval", "3"];
    let mut lab = start(&[&words[..], &more, &times].concat());
    let ready = lab.json();
    assert_eq!(ready["speed"], 60.0);
    assert_eq!(ready["urls"].as_array().unwrap().len(), 1);
    assert_eq!(ready["misbehave"]["scenario"], Value::Null);
    let url = place(&ready["http"]);
    assert_eq!(url.ip().to_string(), "127.0.0.2");
    let mut http = connect(url);
    for _ in 0..2 {
        http.send(get(&target(1_001, "")));
        let (_, body) = http.reply();
        let told = body.escape_ascii().to_string();
        assert!(told.contains("8:intervali7e12:min intervali3e"), "{told}");
    }
    let mut line = || loop {
        let line = lab.json();
        if line["kind"] != "connected" {
            return line;
        }
    };
    assert_eq!(line()["answer"]["warning"], Value::Null);
    assert_eq!(line()["answer"]["warning"], "again");
    let planted = ready["misbehave"]["planted"][0].as_str().unwrap();
    let _peer = connect(planted.parse().unwrap());
    let told = line();
    assert_eq!(
        (&told["kind"], &told["peer"]),
        (&"peer".into(), &"planted".into())
    );
    lab.signal(Signal::TERM);
    assert_eq!(lab.end().1.code(), Some(0));
    let kept = fs::read_to_string(&file).unwrap();
    let announces = kept
        .lines()
        .filter(|line| line.starts_with("{\"kind\":\"announce\""));
    assert_eq!(announces.count(), 2);
}

/// O31: a scenario says of itself what it is, in either form.
#[test]
fn a_scenario_is_told_with_the_first_line() {
    let mut lab = start(&["misbehave", "--scenario", "html", "--json"]);
    let ready = lab.json();
    let scenario = &ready["misbehave"]["scenario"];
    assert_eq!(scenario["name"], "html");
    let mut lines = start(&["misbehave", "--scenario", "html"]);
    for (name, said) in [
        ("html", &scenario["what"]),
        ("a good client", &scenario["good_client"]),
    ] {
        assert_eq!(
            lines.line(),
            format!("{name}: {}\n", said.as_str().unwrap())
        );
    }
    for lab in [lab, lines] {
        lab.signal(Signal::TERM);
        lab.end();
    }
}

/// O31: who misbehaves ends as well when nobody reads what it shows.
#[test]
fn what_misbehaves_ends_with_its_reader() {
    let mut lab = start(&["misbehave", "--scenario", "html", "--json"]);
    let url = place(&lab.json()["http"]);
    drop(lab.out);
    while lab.child.try_wait().unwrap().is_none() {
        let request = get(&target(1_001, ""));
        if let Ok(mut stream) = std::net::TcpStream::connect(url) {
            drop(stream.write_all(request.as_bytes()));
        }
        std::thread::yield_now();
    }
    assert_eq!(lab.child.wait().unwrap().code(), Some(0));
}

/// O31: connections that say nothing more cost little memory, though each has a thread.
#[test]
fn a_connection_that_waits_costs_little_memory() {
    const CONNECTIONS: u64 = 100;
    const MOST_KIB: u64 = 400;
    for tool in [&["serve"][..], &["misbehave", "--scenario", "html"]] {
        let mut lab = start(&[tool, &["--json"]].concat());
        let place = place(&lab.json()["http"]);
        let status = format!("/proc/{}/status", lab.child.id());
        let resident = || {
            let status = fs::read_to_string(&status).unwrap();
            let line = status.lines().find(|line| line.starts_with("VmRSS:"));
            let kib = line.unwrap().split_whitespace().nth(1).unwrap();
            kib.parse::<u64>().unwrap()
        };
        let open = |port| {
            let mut http = connect(place);
            http.send(get(&target(port, "&event=stopped")));
            http.reply();
            http
        };
        let _first = open(1_000);
        let before = resident();
        let _all: Vec<_> = (0..CONNECTIONS).map(|_| open(1_001)).collect();
        let each = resident().saturating_sub(before) / CONNECTIONS;
        assert!(each < MOST_KIB, "{each} KiB each");
        lab.signal(Signal::TERM);
        lab.end();
    }
}

/// O31: every request as it comes, on standard output as lines and in a file as JSON; it ends when nobody reads.
#[test]
fn watch_shows_every_request_and_ends_with_its_reader() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("requests");
    let mut lab = start(&[
        "watch",
        "--no-https",
        "--no-udp",
        "--no-v6",
        "--to",
        file.to_str().unwrap(),
    ]);
    let first = lab.line();
    let url = first.split_whitespace().nth(1).unwrap();
    let mut http = connect(place(&url.into()));
    http.send(get(&target(1_001, "&event=started")));
    http.reply();
    assert!(lab.line().contains("announce started  68686868…"));
    let mut child = lab.child;
    drop(lab.out);
    // What is shown first may not meet the end of its reader yet.
    while child.try_wait().unwrap().is_none() {
        let request = get(&target(1_001, ""));
        drop(http.stream.write_all(request.as_bytes()));
        std::thread::yield_now();
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let kept = fs::read_to_string(&file).unwrap();
    let kinds = kept.lines().take(2).map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["kind"].as_str().unwrap().to_owned()
    });
    assert_eq!(kinds.collect::<Vec<_>>(), ["connected", "announce"]);
}

/// O31: whoever reads nothing of what is shown keeps it from no end.
#[test]
fn it_ends_though_nobody_reads() {
    for tool in [
        &["watch", "--all"][..],
        &["misbehave", "--scenario", "interval-0"],
    ] {
        let mut lab = start(tool);
        let place = loop {
            let line = lab.line();
            if let Some(url) = line
                .split_whitespace()
                .find(|it| it.starts_with("http://127"))
            {
                break place(&url.into());
            }
        };
        // More than a pipe holds.
        for _ in 0..400 {
            let mut http = connect(place);
            http.send(get(&target(1_001, &format!("&key={}", "x".repeat(1_000)))));
            http.reply();
        }
        lab.signal(Signal::TERM);
        assert_eq!(lab.child.wait().unwrap().code(), Some(0), "{tool:?}");
    }
}

/// O31: a file that cannot be written is named, and ends it.
#[test]
fn a_file_that_cannot_be_written_ends_it() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_retracker-lab"));
    command.args(["serve", "--json", "--to", "/dev/full"]);
    command.stderr(Stdio::piped());
    let mut lab = spawn(command);
    let mut http = connect(place(&lab.json()["http"]));
    // It may have ended with the connection.
    drop(http.stream.write_all(get(&target(1_001, "")).as_bytes()));
    let mut told = String::new();
    let mut errors = lab.child.stderr.take().unwrap();
    errors.read_to_string(&mut told).unwrap();
    assert!(told.contains("/dev/full"), "{told}");
    assert_eq!(lab.end().1.code(), Some(1));
}

/// O31: a file that was there before is neither overwritten nor removed.
#[test]
fn a_file_of_somebody_else_stays() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    fs::write(&file, "mine").unwrap();
    for tool in [&["serve"][..], &["misbehave", "--scenario", "html"]] {
        let words = [tool, &["--ca-file", file.to_str().unwrap()]].concat();
        assert_eq!(start(&words).end().1.code(), Some(1), "{tool:?}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    }
}

/// O31
#[test]
fn what_cannot_be_is_refused() {
    for (arguments, code) in [
        (&["serve", "--speed", "0"][..], 2),
        (&["judge", "--speed", "0"], 2),
        (&["judge", "--interval", "4000000000"], 2),
        (&["judge", "--scenario", "nonsuch"], 2),
        (&["misbehave", "--scenario", "nonsuch"], 2),
        (&["misbehave", "--show", "nonsuch"], 2),
        (&["acid", "--all", "--scenario", "nonsuch"], 2),
        (&["serve", "--no-http", "--http", "127.0.0.1:0"], 2),
        (&["serve", "--min-interval", "0"], 2),
        (&["serve", "--interval", "5", "--min-interval", "6"], 1),
        (&["misbehave", "--scenario", "html", "--speed", "0"], 2),
        (&["judge", "--from", "/dev/null", "--no-udp"], 2),
        (&["judge", "--from", "/dev/null", "--ca-file", "x"], 2),
        (&["serve", "--no-http", "--no-https", "--no-udp"], 1),
        (&["serve", "--http", "192.0.2.1:1"], 1),
        (&["serve", "--ca-file", "/nonexistent/x"], 1),
    ] {
        let (rest, status) = start(arguments).end();
        assert_eq!(
            (rest.as_str(), status.code()),
            ("", Some(code)),
            "{arguments:?}"
        );
    }
}
