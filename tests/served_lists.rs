//! Lists from files under the built program (O21, O22): read at the start, again when they change, refused whole when they are bad, and
//! what pages have listed is there after a kill -9.

#![expect(clippy::unwrap_used, clippy::panic, reason = "test helpers")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// Longer than anything takes on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(20);

/// A tracker on a port of its own; killed with the test, however that ends.
struct Tracker {
    process: Child,
    address: String,
}

impl Drop for Tracker {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn retracker(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_retracker"));
    command
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::null())
        .args(["--config", "config.ini"]);
    command
}

fn configure(folder: &Path, keys: &str) {
    let text =
        format!("[TRACKER]\nhost = 127.0.0.1\n{keys}\n[HTTP]\nworkers = 1\n[UDP]\nenabled = no\n");
    fs::write(folder.join("config.ini"), text).unwrap();
}

fn log(folder: &Path) -> String {
    fs::read_to_string(folder.join("log")).unwrap()
}

fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let mut waited = Duration::ZERO;
    while !is_so() {
        assert!(waited < PATIENCE, "not within {PATIENCE:?}: {what}");
        thread::sleep(STEP);
        waited += STEP;
    }
}

impl Tracker {
    fn start(folder: &Path) -> Tracker {
        let process = retracker(folder)
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut address = None;
        wait("it serves", || {
            let text = log(folder);
            let begin = text.split_once("serving http://");
            let end = begin.and_then(|(_, rest)| rest.split_once("/announce"));
            address = end.map(|(address, _)| address.to_owned());
            address.is_some()
        });
        let address = address.unwrap();
        Tracker { process, address }
    }

    fn send(&self, method: &str, path: &str, fields: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (host, length) = (&self.address, body.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n{fields}\r\n{body}"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).unwrap();
        String::from_utf8_lossy(&reply).into_owned()
    }

    /// What an announce of the torrent that has this byte twenty times is answered.
    fn announce(&self, byte: u8) -> String {
        let hash = format!("%{byte:02x}").repeat(20);
        let path = format!("/announce?info_hash={hash}&peer_id=-XX0001-000000000001&port=1&left=1");
        self.send("GET", &path, "", "")
    }

    fn serves(&self, byte: u8) -> bool {
        self.announce(byte).contains("8:interval")
    }

    fn metric(&self, series: &str) -> u64 {
        let metrics = self.send("GET", "/metrics", "", "");
        let row = metrics
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        row.unwrap_or_else(|| panic!("no {series}"))
            .parse()
            .unwrap()
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.process.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }
}

fn hash(byte: u8) -> String {
    format!("{byte:02x}").repeat(20)
}

/// O21: a file that is replaced is read without a signal; one that is bad changes nothing and is told once, with its line.
#[test]
fn a_file_of_torrents_is_followed_and_a_bad_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let file = folder.join("torrents");
    configure(folder, "torrents = listed\ntorrents_file = torrents");
    fs::write(&file, format!("{}\n", hash(1))).unwrap();
    let tracker = Tracker::start(folder);
    assert!(tracker.serves(1) && !tracker.serves(2));
    assert!(
        tracker
            .announce(2)
            .contains("torrent not registered with this tracker")
    );

    fs::write(&file, format!("# two now\n{}\n{}\n", hash(1), hash(2))).unwrap();
    wait("the second is served", || tracker.serves(2));
    assert_eq!(
        tracker.metric("retracker_listed_torrents{source=\"file\"}"),
        2
    );
    let refused = "retracker_errors_total{transport=\"http\",reason=\"torrent_not_listed\"}";
    assert!(tracker.metric(refused) > 0);

    let refused = || tracker.metric("retracker_list_files_refused");
    fs::write(&file, format!("{}\nnonsense\n", hash(1))).unwrap();
    wait("the file is refused", || refused() == 1);
    assert!(tracker.serves(1) && tracker.serves(2));
    let told = "the list is refused, what was in force of it stays: ";
    let line = format!("{told}torrents:2: no info hash");
    assert!(log(folder).contains(&line), "{}", log(folder));
    fs::remove_file(&file).unwrap();
    wait("the file is missed", || {
        log(folder).contains("torrents: cannot be read")
    });
    assert!(tracker.serves(2));
    assert_eq!((refused(), log(folder).matches(told).count()), (1, 2));

    let new = folder.join("new");
    fs::write(&new, format!("{}\n", hash(2))).unwrap();
    fs::rename(&new, &file).unwrap();
    wait("the first is refused", || !tracker.serves(1));
    assert!(tracker.serves(2) && refused() == 0);
}

/// O21, O22, O2: a reload reads every file; one that is bad refuses it whole.
#[test]
fn a_reload_puts_files_in_force_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    configure(folder, "");
    let tracker = Tracker::start(folder);
    assert!(tracker.serves(1));
    let results = |result: &str| {
        tracker.metric(&format!(
            "retracker_config_reloads_total{{result=\"{result}\"}}"
        ))
    };
    fs::write(folder.join("p2p"), "home:127.0.0.0-127.0.0.255\n").unwrap();
    configure(folder, "blocklist_file = p2p, missing");
    tracker.signal(Signal::HUP);
    wait("the reload is refused", || results("refused") == 1);
    assert!(tracker.serves(1));
    assert!(
        log(folder)
            .contains("the configuration is refused, the old one stays: missing: cannot be read")
    );

    let hashes = format!("{}\n", hash(9));
    fs::write(folder.join("missing"), hashes).unwrap();
    tracker.signal(Signal::HUP);
    wait("the reload is done", || results("done") == 1);
    assert!(tracker.announce(1).contains("address blocked"));
    assert_eq!(
        tracker.metric("retracker_blocked_by_files{kind=\"range\"}"),
        1
    );
    assert_eq!(
        tracker.metric("retracker_blocked_by_files{kind=\"torrent\"}"),
        1
    );
    // The loopback is an admin network.
    assert!(log(folder).contains("p2p covers addresses of the admin network 127.0.0.0/8"));

    configure(folder, "allow_networks = 192.0.2.0/24");
    tracker.signal(Signal::HUP);
    wait("the reload is done", || results("done") == 2);
    assert!(
        tracker
            .announce(1)
            .contains("address outside the networks that are served")
    );
    configure(folder, "");
    tracker.signal(Signal::HUP);
    wait("the reload is done", || results("done") == 3);
    assert!(tracker.serves(1));
}

/// O21, O22: the start goes on without a list that is bad, says so, and has it as soon as it is mended; the check says the same.
#[test]
fn the_start_and_the_check_tell_of_bad_files() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    configure(
        folder,
        "blocklist_file = blocked\ntorrents = listed\ntorrents_file = none",
    );
    fs::write(folder.join("blocked"), "127.0.0.1\n10.0.0.9/8\n").unwrap();
    let check = retracker(folder).arg("--check-config").output().unwrap();
    let said = String::from_utf8_lossy(&check.stdout) + String::from_utf8_lossy(&check.stderr);
    assert_eq!(check.status.code(), Some(78), "{said}");
    for line in [
        "blocked:2: a network with bits set behind its length",
        "none: cannot be read",
    ] {
        assert!(said.contains(line), "{said}");
    }
    let tracker = Tracker::start(folder);
    assert!(log(folder).contains("blocked:2: a network with bits set behind its length"));
    assert!(log(folder).contains("no torrent is listed: every announce is refused"));
    assert!(tracker.announce(1).contains("torrent not registered"));
    assert_eq!(tracker.metric("retracker_list_files_refused"), 2);
    fs::write(folder.join("blocked"), "127.0.0.1\n").unwrap();
    wait("the mended file is read", || {
        tracker.announce(1).contains("address blocked")
    });
}

/// O21, R12: what a program was told is listed is so after a kill -9, and the stored peers with it.
#[test]
fn what_is_listed_outlives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    configure(folder, "torrents = listed");
    let token = retracker_token(folder);
    let fields = format!("Authorization: Bearer {token}\r\nContent-Type: application/json\r\n");
    let mut tracker = Tracker::start(folder);
    let change = |tracker: &Tracker, body: &str| {
        let reply = tracker.send("POST", "/api/v1/listed", &fields, body);
        assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    };
    change(
        &tracker,
        &format!(r#"{{"add":["{}","{}"]}}"#, hash(1), hash(2)),
    );
    assert!(tracker.serves(1));
    change(&tracker, &format!(r#"{{"remove":["{}"]}}"#, hash(2)));
    tracker.process.kill().unwrap();
    tracker.process.wait().unwrap();
    let tracker = Tracker::start(folder);
    assert!(tracker.serves(1) && !tracker.serves(2));
    assert_eq!(
        tracker.metric("retracker_listed_torrents{source=\"added\"}"),
        1
    );
}

fn retracker_token(folder: &Path) -> String {
    let made = Command::new(env!("CARGO_BIN_EXE_retracker"))
        .current_dir(folder)
        .env_clear()
        .args([
            "token",
            "new",
            "site",
            "--scope",
            "block",
            "--config",
            "config.ini",
        ])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&made.stdout).into_owned();
    let token = text.split_whitespace().find(|word| word.starts_with("rt_"));
    token.unwrap_or_else(|| panic!("{text}")).to_owned()
}
