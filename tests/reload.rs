//! The built program as its unit runs it: a reload is checked first, and what monitoring asks is right from the first answer on.

#![expect(clippy::unwrap_used, reason = "test helpers")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

const UNIT: &str = include_str!("../systemd/retracker.service");

/// Longer than anything takes on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(10);

/// A tracker on a port of its own; ended with the test, however that ends.
struct Service {
    process: Child,
    address: String,
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Service {
    /// Runs `ExecStart` of the unit in `folder`, and waits until it serves.
    fn start(folder: &Path) -> Service {
        let log = folder.join("log");
        let mut command = command(unit_lines("ExecStart").first().unwrap(), folder, 0);
        command.args(["--listen", "127.0.0.1:0"]);
        let process = command
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut address = None;
        wait(|| {
            let text = fs::read_to_string(&log).unwrap();
            let begin = text.split_once("serving http://");
            let end = begin.and_then(|(_, rest)| rest.split_once("/announce"));
            address = end.map(|(address, _)| address.to_owned());
            address.is_some()
        });
        let address = address.unwrap();
        Service { process, address }
    }

    /// Runs the unit's `ExecReload` as systemd does: one line after another, until one fails.
    fn reload(&self, folder: &Path) -> ExitStatus {
        let mut last = None;
        for line in unit_lines("ExecReload") {
            let status = command(&line, folder, self.process.id()).status().unwrap();
            last = Some(status);
            if !status.success() {
                break;
            }
        }
        last.unwrap()
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let host = &self.address;
        let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).unwrap();
        String::from_utf8_lossy(&reply).into_owned()
    }

    /// The value of one series.
    fn metric(&self, series: &str) -> u64 {
        let metrics = self.get("/metrics");
        let row = metrics
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        row.unwrap().parse().unwrap()
    }

    fn stop(mut self) {
        let pid = Pid::from_raw(i32::try_from(self.process.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        assert!(self.process.wait().unwrap().success());
    }
}

/// The values of a key of the unit, in order.
fn unit_lines(key: &str) -> Vec<String> {
    let values = UNIT
        .lines()
        .filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    values.map(ToOwned::to_owned).collect()
}

/// A command line of the unit, with the built program and the configuration in `folder` in their places.
fn command(line: &str, folder: &Path, main_pid: u32) -> Command {
    let mut words = line.split(' ').map(|word| match word {
        "/usr/bin/retracker" => env!("CARGO_BIN_EXE_retracker").to_owned(),
        "/etc/retracker/config.ini" => folder.join("config.ini").display().to_string(),
        "$MAINPID" => main_pid.to_string(),
        other => other.to_owned(),
    });
    let mut command = Command::new(words.next().unwrap());
    command
        .args(words)
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::null());
    command
}

fn wait(mut is_so: impl FnMut() -> bool) {
    let mut waited = Duration::ZERO;
    while !is_so() {
        assert!(waited < PATIENCE, "nothing happens");
        thread::sleep(STEP);
        waited += STEP;
    }
}

fn configure(folder: &Path, numwant: &str) {
    let text = format!(
        "[TRACKER]\nnumwant = {numwant}\n[UDP]\nenabled = no\n[ZONES]\nhere = 127.0.0.0/8\n"
    );
    fs::write(folder.join("config.ini"), text).unwrap();
}

/// O15
#[test]
fn the_unit_checks_what_it_starts() {
    let (start, reload) = (unit_lines("ExecStart"), unit_lines("ExecReload"));
    assert_eq!(reload[0], format!("{} --check-config", start[0]));
    assert_eq!(reload[1..], ["/bin/kill -HUP $MAINPID"]);
}

/// O2, O15: a configuration that is refused makes the command fail, and the tracker is not bothered. One that is refused by the
/// tracker itself, since somebody sent the signal by hand, is seen in the metrics.
#[test]
fn a_reload_that_is_refused_fails_and_metrics_tell_how_reloads_ended() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    configure(folder, "50");
    let service = Service::start(folder);
    let done = || service.metric("retracker_config_reloads_total{result=\"done\"}");
    let refused = || service.metric("retracker_config_reloads_total{result=\"refused\"}");
    let is_good = || service.metric("retracker_config_last_reload_successful") == 1;
    let hash = || service.metric("retracker_config_hash");
    let since = || service.metric("retracker_config_last_reload_success_timestamp_seconds");
    assert_eq!((done(), refused(), is_good()), (0, 0, true));
    let (first_hash, started) = (hash(), since());
    assert!(started > 0);

    configure(folder, "many");
    assert_eq!(service.reload(folder).code(), Some(78));
    assert_eq!((done(), refused(), is_good()), (0, 0, true));

    let pid = Pid::from_raw(i32::try_from(service.process.id()).unwrap()).unwrap();
    kill_process(pid, Signal::HUP).unwrap();
    wait(|| refused() == 1);
    assert_eq!((done(), is_good(), hash()), (0, false, first_hash));

    configure(folder, "40");
    assert!(service.reload(folder).success());
    wait(|| done() == 1);
    assert_eq!((refused(), is_good()), (1, true));
    assert!(hash() != first_hash && since() >= started);

    configure(folder, "50");
    assert!(service.reload(folder).success());
    wait(|| done() == 2);
    assert_eq!(hash(), first_hash);
    service.stop();
}

/// O16: what stands in `keys_file` is in force at the start and when it changes; what is bad in it is said, and changes nothing.
#[test]
fn the_file_of_keys_is_followed_while_the_tracker_runs() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (anna, boris) = ("a".repeat(32), "b".repeat(32));
    let keys = |text: &str| fs::write(folder.join("keys"), text).unwrap();
    let text = format!(
        "[TRACKER]\nkeys = required\nkeys_file = {}\n[UDP]\nenabled = no\n",
        folder.join("keys").display()
    );
    fs::write(folder.join("config.ini"), text).unwrap();
    keys(&format!("{anna}\nshort\n"));
    let start = unit_lines("ExecReload").first().unwrap().clone();
    let checked = command(&start, folder, 0).output().unwrap();
    let told = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert_eq!(checked.status.code(), Some(78), "{told}");
    let place = "config.ini:3: [TRACKER] keys_file: it is refused";
    assert!(told.contains(place) && told.contains("keys:2: a key has"));
    assert!(!told.contains(&anna));

    keys(&format!("{anna} anna\n"));
    let service = Service::start(folder);
    let has = |key: &str| {
        let path = format!("/{key}/scrape?info_hash=aaaaaaaaaaaaaaaaaaaa");
        service.get(&path).contains("5:files")
    };
    assert!(has(&anna) && !has(&boris));
    keys(&format!("{boris} boris\n"));
    wait(|| has(&boris));
    assert!(!has(&anna));
    let log = || fs::read_to_string(folder.join("log")).unwrap();
    // One that is bad and one that is empty revoke nobody.
    let refused = || service.metric("retracker_keys_file_refused");
    assert_eq!(refused(), 0);
    keys("short\n");
    wait(|| log().contains("the keys in force stay"));
    wait(|| refused() == 1);
    keys(&format!("{boris} Boris\n"));
    wait(|| refused() == 0);
    keys("");
    wait(|| log().contains("has no key, so nobody is revoked by it"));
    wait(|| refused() == 1);
    assert!(has(&boris));
    assert!(!log().contains(&anna) && !log().contains(&boris));
    assert!(service.reload(folder).success());
    wait(|| service.metric("retracker_config_reloads_total{result=\"done\"}") == 1);
    assert!(has(&boris));
    // Without the file nobody is its key's.
    let text = "[TRACKER]\nkeys = required\n[UDP]\nenabled = no\n";
    fs::write(folder.join("config.ini"), text).unwrap();
    assert!(service.reload(folder).success());
    wait(|| service.metric("retracker_config_reloads_total{result=\"done\"}") == 2);
    assert!(!has(&boris));
    assert_eq!(refused(), 0);
    service.stop();
}

/// O16: a restart with a bad `keys_file` locks nobody out who had a key, and lets nobody in who had none.
#[test]
fn the_start_goes_on_with_the_keys_that_are_known_when_the_file_is_bad() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (anna, boris) = ("a".repeat(32), "b".repeat(32));
    let keys = |text: &str| fs::write(folder.join("keys"), text).unwrap();
    let text = "[TRACKER]\nkeys = required\nkeys_file = keys\n[UDP]\nenabled = no\n";
    fs::write(folder.join("config.ini"), text).unwrap();
    let has = |service: &Service, key: &str| {
        let path = format!("/{key}/scrape?info_hash=aaaaaaaaaaaaaaaaaaaa");
        service.get(&path).contains("5:files")
    };
    let refused = |service: &Service| service.metric("retracker_keys_file_refused");
    let log = || fs::read_to_string(folder.join("log")).unwrap();

    // Never any key: everybody is refused, as `required` says.
    let service = Service::start(folder);
    assert!(log().contains("keys: cannot be read"), "{}", log());
    assert!(log().contains("no key is in force: every announce is refused"));
    assert_eq!(refused(&service), 1);
    assert!(!has(&service, &anna));
    // It has the file as soon as that is there.
    keys(&format!("{anna}\n"));
    wait(|| has(&service, &anna));
    wait(|| refused(&service) == 0);
    service.stop();

    for is_missing in [false, true] {
        keys(&format!("{boris}\nshort\n"));
        if is_missing {
            fs::remove_file(folder.join("keys")).unwrap();
        }
        let service = Service::start(folder);
        assert!(has(&service, &anna) && !has(&service, &boris));
        assert_eq!(refused(&service), 1);
        assert!(log().contains("1 keys that the database knows are"));
        assert!(!log().contains(&boris));
        service.stop();
    }
    keys(&format!("{boris}\n"));
    let service = Service::start(folder);
    assert!(!has(&service, &anna) && has(&service, &boris));
    assert_eq!(refused(&service), 0);
    service.stop();
}

/// O16: when keys become required, by a reload or by a restart, nobody is handed out who announced without one, and who has one stays.
#[test]
fn who_announced_without_a_key_leaves_when_keys_become_required() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let anna = "a".repeat(32);
    fs::write(folder.join("keys"), format!("{anna}\n")).unwrap();
    let configure = |mode: &str| {
        let text = format!("[TRACKER]\nkeys = {mode}\nkeys_file = keys\n[UDP]\nenabled = no\n");
        fs::write(folder.join("config.ini"), text).unwrap();
    };
    let announce = |service: &Service, before: &str, port: u16| {
        let query =
            format!("info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=-XX0001-{port:012}&port={port}&left=1");
        let reply = service.get(&format!("{before}/announce?{query}"));
        assert!(reply.contains("8:interval"), "{reply}");
    };
    let with = format!("/{anna}");
    let scraped = |service: &Service| {
        let reply = service.get(&format!("{with}/scrape?info_hash=aaaaaaaaaaaaaaaaaaaa"));
        let (_, count) = reply.split_once("10:incompletei").unwrap();
        count.split('e').next().unwrap().parse::<u32>().unwrap()
    };
    configure("accepted");
    let service = Service::start(folder);
    announce(&service, &with, 7001);
    announce(&service, "", 7002);
    announce(&service, "", 7003);
    assert_eq!(scraped(&service), 3);
    configure("required");
    assert!(service.reload(folder).success());
    wait(|| service.metric("retracker_config_reloads_total{result=\"done\"}") == 1);
    assert_eq!(scraped(&service), 1);
    let log = fs::read_to_string(folder.join("log")).unwrap();
    assert!(
        log.contains("2 peers that announced without a key"),
        "{log}"
    );
    configure("accepted");
    assert!(service.reload(folder).success());
    wait(|| service.metric("retracker_config_reloads_total{result=\"done\"}") == 2);
    announce(&service, "", 7004);
    assert_eq!(scraped(&service), 2);
    service.stop();
    configure("required");
    let service = Service::start(folder);
    assert_eq!(scraped(&service), 1);
    service.stop();
}

/// O16: what the disk refuses of the file is in force when the disk is mended, though nobody touches the file.
#[test]
fn keys_that_the_disk_refused_are_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (anna, boris) = ("a".repeat(32), "b".repeat(32));
    let keys = |text: &str| fs::write(folder.join("keys"), text).unwrap();
    let text = "[TRACKER]\nkeys = required\nkeys_file = keys\n[UDP]\nenabled = no\n\
        [SNAPSHOTS]\nfile = state.sqlite\n";
    fs::write(folder.join("config.ini"), text).unwrap();
    keys(&format!("{anna}\n"));
    let service = Service::start(folder);
    let has = |key: &str| {
        let path = format!("/{key}/scrape?info_hash=aaaaaaaaaaaaaaaaaaaa");
        service.get(&path).contains("5:files")
    };
    assert!(has(&anna));
    // Another program keeps the database to itself.
    let other = rusqlite::Connection::open(folder.join("state.sqlite")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    keys(&format!("{boris}\n"));
    let log = || fs::read_to_string(folder.join("log")).unwrap();
    let failures = || {
        log()
            .matches("not put in force, and are tried again")
            .count()
    };
    wait(|| failures() >= 2);
    assert_eq!(service.metric("retracker_keys_file_refused"), 1);
    assert!(has(&anna) && !has(&boris));
    other.execute_batch("ROLLBACK").unwrap();
    wait(|| has(&boris));
    assert!(!has(&anna));
    wait(|| service.metric("retracker_keys_file_refused") == 0);
    service.stop();
}

/// O15: nobody is told of no peers because nobody has counted yet.
#[test]
fn the_first_scrape_after_a_restart_tells_the_peers_that_were_restored() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    configure(folder, "50");
    let service = Service::start(folder);
    for (port, left) in [(7001, 0), (7002, 1), (7003, 1)] {
        let announce = format!(
            "/announce?info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=-XX0001-{port:012}&port={port}&left={left}"
        );
        assert!(service.get(&announce).contains("8:interval"));
    }
    service.stop();
    let service = Service::start(folder);
    let metrics = service.get("/metrics");
    for row in [
        "retracker_peers{role=\"seeder\",ip_version=\"4\"} 1",
        "retracker_peers{role=\"leecher\",ip_version=\"4\"} 2",
        "retracker_torrents 1",
        "retracker_peer_addresses 1",
        "retracker_zone_peers{zone=\"here\",role=\"leecher\"} 2",
    ] {
        assert!(metrics.lines().any(|line| line == row), "{row}\n{metrics}");
    }
    service.stop();
}

/// O8: limits come into force by SIGHUP, and a ban outlives them and the process.
#[test]
fn a_ban_outlives_a_reload_that_changes_the_limits_and_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let configure = |limits: &str| {
        // Else this machine were exempt.
        let admins = "[TRACKER]\nadmin_networks = 192.0.2.0/24\n[UDP]\nenabled = no\n";
        fs::write(folder.join("config.ini"), format!("{admins}{limits}")).unwrap();
    };
    let announce =
        "/announce?info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=-XX0001-000000000001&port=1&left=1";
    configure("");
    let service = Service::start(folder);
    let is_served = |service: &Service| service.get(announce).contains("8:interval");
    let is_banned = |service: &Service| service.get(announce).contains("banned for a time");
    (0..20).for_each(|_| assert!(is_served(&service)));
    configure("[LIMITS]\nrequests = 1/h 5\nban_after = 4\n");
    assert!(service.reload(folder).success());
    wait(|| !is_served(&service));
    wait(|| is_banned(&service));
    configure("[LIMITS]\nrequests = off\n");
    assert!(service.reload(folder).success());
    let log = || fs::read_to_string(folder.join("log")).unwrap();
    wait(|| log().matches("the configuration is reloaded").count() == 2);
    assert!(is_banned(&service));
    service.stop();
    let service = Service::start(folder);
    assert!(is_banned(&service));
    service.stop();
}
