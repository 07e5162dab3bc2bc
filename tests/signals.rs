//! Signals to the built program (O2, R32): from its first line on none kills it that has a meaning or is sent by mistake.

#![expect(clippy::unwrap_used, reason = "test helpers")]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// Longer than anything takes on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(5);

/// Announces are served over HTTP at a loopback address of this number, so that no two programs meet.
fn start(folder: &Path, number: u16) -> Child {
    let [high, low] = number.to_be_bytes();
    let process = std::process::id().to_be_bytes()[3];
    let listen = format!("127.{}.{}.{}:8095", 64 + process % 64, high, low.max(1));
    Command::new(env!("CARGO_BIN_EXE_retracker"))
        .args(["--listen", &listen])
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(folder.join("log")).unwrap())
        .spawn()
        .unwrap()
}

fn send(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// Waits for the first line of `main`. Before it, while the system loads the program, every signal does what it does to any
/// program; nothing has been opened then.
fn wait_for_handlers(child: &Child) {
    let status = format!("/proc/{}/status", child.id());
    wait(|| {
        let text = fs::read_to_string(&status).unwrap();
        let caught = text.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = u64::from_str_radix(caught.unwrap().trim(), 16).unwrap();
        // The last that is caught.
        caught & 1 << (Signal::XFSZ.as_raw() - 1) != 0
    });
}

fn wait(mut is_so: impl FnMut() -> bool) {
    let mut waited = Duration::ZERO;
    while !is_so() {
        assert!(waited < PATIENCE, "nothing happens");
        thread::sleep(STEP);
        waited += STEP;
    }
}

fn end_of(child: &mut Child) -> ExitStatus {
    let mut end = None;
    wait(|| {
        end = child.try_wait().unwrap();
        end.is_some()
    });
    end.unwrap()
}

fn log_in(folder: &Path) -> String {
    fs::read_to_string(folder.join("log")).unwrap()
}

/// Starts the program `times` times, sends `signal` after 0 to 300 ms, and SIGTERM later when it should live on.
fn try_early(signal: Signal, times: u16, from: u16, ends: bool) {
    for context in 0..times {
        let folder = tempfile::tempdir().unwrap();
        let mut child = start(folder.path(), from + context);
        wait_for_handlers(&child);
        let delay = Duration::from_millis(300) * u32::from(context) / u32::from(times);
        thread::sleep(delay);
        send(&child, signal);
        if !ends {
            wait(|| log_in(folder.path()).contains("serving udp"));
            assert_eq!(
                child.try_wait().unwrap(),
                None,
                "{signal:?} after {delay:?}"
            );
            send(&child, Signal::TERM);
        }
        let (end, log) = (end_of(&mut child), log_in(folder.path()));
        assert_eq!(
            end.code(),
            Some(0),
            "{signal:?} after {delay:?}: {end}\n{log}"
        );
        assert!(
            log.contains("snapshot:") && log.contains("stopped"),
            "{log}"
        );
        assert!(!log.contains("ERROR"), "{log}");
        if signal == Signal::HUP {
            assert!(log.contains("the configuration is reloaded"), "{log}");
        }
    }
}

/// O2, R32: an early SIGTERM ends the tracker in order.
#[test]
fn an_early_wish_to_end_ends_in_order() {
    try_early(Signal::TERM, 8, 0, true);
    try_early(Signal::INT, 4, 100, true);
    try_early(Signal::QUIT, 4, 200, true);
}

/// O2, R32: what comes early is done once the tracker is ready, and none of it kills.
#[test]
fn an_early_reload_is_remembered_and_kills_nobody() {
    try_early(Signal::HUP, 8, 300, false);
    try_early(Signal::USR1, 4, 400, false);
}

/// O2, R32
#[test]
fn signals_without_a_meaning_are_harmless() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = start(folder.path(), 500);
    wait_for_handlers(&child);
    let harmless = [
        Signal::USR2,
        Signal::ALARM,
        Signal::VTALARM,
        Signal::PROF,
        Signal::IO,
        Signal::XFSZ,
        Signal::PIPE,
    ];
    harmless.iter().for_each(|signal| send(&child, *signal));
    wait(|| log_in(folder.path()).contains("serving udp"));
    harmless.iter().for_each(|signal| send(&child, *signal));
    thread::sleep(Duration::from_millis(300));
    assert_eq!(child.try_wait().unwrap(), None);
    // One who is impatient does not cut the last snapshot short.
    for _ in 0..20 {
        send(&child, Signal::TERM);
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(end_of(&mut child).code(), Some(0));
    let log = log_in(folder.path());
    assert!(
        log.contains("snapshot:") && log.contains("stopped"),
        "{log}"
    );
}

/// O2: whatever somebody puts in the place of the configuration, a reload refuses it whole and holds nobody.
#[test]
fn a_reload_of_what_is_no_configuration_keeps_the_old_one() {
    use rustix::fs::{CWD, Mode, mkfifoat};
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("config")).unwrap();
    let config = at("config/config.ini");
    fs::write(&config, "[TRACKER]\nzones_file = zones\n").unwrap();
    fs::write(at("zones"), "10.1.0.0/16 a\n").unwrap();
    let mut child = start(folder.path(), 600);
    wait(|| log_in(folder.path()).contains("serving udp"));
    let refused = || log_in(folder.path()).matches("the old one stays").count();
    fs::remove_file(at("zones")).unwrap();
    mkfifoat(CWD, at("zones"), Mode::RUSR | Mode::WUSR).unwrap();
    send(&child, Signal::HUP);
    wait(|| refused() == 1);
    fs::remove_file(&config).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &config).unwrap();
    send(&child, Signal::HUP);
    wait(|| refused() == 2);
    fs::remove_file(&config).unwrap();
    fs::create_dir(&config).unwrap();
    send(&child, Signal::HUP);
    wait(|| refused() == 3);
    assert!(log_in(folder.path()).contains("it is a FIFO"));
    send(&child, Signal::TERM);
    assert_eq!(end_of(&mut child).code(), Some(0));
}

/// W12: reloads and what tools do beside the running tracker are told, and a kill loses nothing of it.
#[test]
fn reloads_and_tools_are_in_the_audit_which_outlives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("config")).unwrap();
    let mut child = start(folder.path(), 700);
    wait(|| log_in(folder.path()).contains("serving udp"));
    send(&child, Signal::HUP);
    wait(|| log_in(folder.path()).contains("SIGHUP reloaded the configuration"));
    fs::write(at("config/config.ini"), "[TRACKER]\nnumwnat = 5\n").unwrap();
    send(&child, Signal::HUP);
    wait(|| log_in(folder.path()).contains("SIGHUP brought a configuration that was refused: "));
    let token = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_retracker"));
        command
            // The configuration, which would say where, is the refused one by now.
            .args(["token", "--file", "snapshots/retracker.sqlite"])
            .args(arguments)
            .current_dir(folder.path());
        assert!(command.output().unwrap().status.success());
    };
    token(&["new", "grafana", "--scope", "read", "--expires", "90d"]);
    // The tracker says what a tool did, too.
    wait(|| log_in(folder.path()).contains("made the token grafana (read until "));
    send(&child, Signal::KILL);
    assert_eq!(end_of(&mut child).code(), None);
    // Without the tracker as well.
    token(&["revoke", "1"]);
    let kept = || fs::read_to_string(at("snapshots/retracker.audit")).unwrap();
    let deeds = ["reload", "reload_refused", "token_made", "token_revoked"];
    let places: Vec<usize> = deeds
        .iter()
        .map(|deed| kept().find(&format!("\"deed\":\"{deed}\"")).unwrap())
        .collect();
    assert!(places.is_sorted(), "{}", kept());
    assert!(kept().contains("did you mean numwant"), "{}", kept());
    let before = kept();
    fs::remove_file(at("config/config.ini")).unwrap();
    let mut child = start(folder.path(), 701);
    wait(|| log_in(folder.path()).contains("serving udp"));
    send(&child, Signal::TERM);
    assert_eq!(end_of(&mut child).code(), Some(0));
    assert_eq!(kept(), before);
}

/// A tool is ended by a signal as any program is.
#[test]
fn a_tool_can_be_ended() {
    use std::os::unix::process::ExitStatusExt;
    let folder = tempfile::tempdir().unwrap();
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::USR1] {
        // It waits for a password.
        let mut child = Command::new(env!("CARGO_BIN_EXE_retracker"))
            .arg("hash-password")
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        wait_for_handlers(&child);
        send(&child, signal);
        assert_eq!(end_of(&mut child).signal(), Some(signal.as_raw()));
    }
}
