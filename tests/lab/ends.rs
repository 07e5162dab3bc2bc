//! O31, O29: with whom the laboratory's programs end, and what they start.

use std::fs;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, geteuid, kill_process, pidfd_open, pidfd_send_signal,
};

use crate::client::PATIENCE;
use crate::program::{spawn, start};

const LAB: &str = env!("CARGO_BIN_EXE_retracker-lab");
/// Those that serve until they are told to end.
const SERVING: [&str; 3] = ["serve", "misbehave --scenario failure", "judge"];

/// O31: they end with the program that started them, however that ended.
#[test]
fn what_serves_ends_with_its_parent() {
    for tool in SERVING {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{LAB} {tool} 2>&1 & wait")]);
        let mut parent = spawn(command);
        assert!(!parent.line().is_empty(), "{tool}");
        parent.signal(Signal::KILL);
        // Its output is open as long as it is there.
        parent.end();
    }
}

/// O31
#[test]
fn what_serves_ends_with_its_standard_input_if_it_was_told_to() {
    for tool in SERVING {
        let mut words: Vec<&str> = tool.split(' ').collect();
        words.push("--until-stdin-closes");
        let mut lab = start(&words);
        drop(lab.child.stdin.take());
        // A judge that has heard nobody says so by its status.
        let code = i32::from(tool.starts_with("judge"));
        assert_eq!(lab.end().1.code(), Some(code), "{tool}");
    }
}

/// O27, O29: a program that is killed takes along the client that it has started.
#[test]
fn a_client_ends_with_the_program_that_started_it() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept");
    let pid_file = kept.join("client-control-http/pid");
    let command = "sh -c 'echo $$ > pid.new; mv pid.new pid; exec sleep 600' {torrent}";
    let mut acid = Command::new(LAB);
    acid.args(["acid", "--jobs", "1", "--scenario", "failure"]);
    acid.args(["--client-command", command, "--keep"])
        .arg(&kept);
    let judged = folder.path().join("pid");
    let mut judge = Command::new(LAB);
    judge.args(["judge", "--", "sh", "-c"]);
    judge.arg("echo $$ > \"$0.new\"; mv \"$0.new\" \"$0\"; exec sleep 600");
    judge.arg(&judged);
    for (mut command, file) in [(acid, pid_file), (judge, judged)] {
        let mut program = command.stdout(Stdio::null()).spawn().unwrap();
        let client = written(&file, &mut program);
        kill(&mut program);
        await_end(&client, &format!("{file:?}"));
    }
}

/// A wrapper: a shell that starts something, writes its number, and waits for it.
const WRAPPER: &str = "sleep 600 & echo $! > \"$0.new\"; mv \"$0.new\" \"$0\"; wait";

/// The process whose number stands in a file, once it does.
fn written(file: &Path, program: &mut Child) -> OwnedFd {
    let pid: i32 = loop {
        if let Ok(pid) = fs::read_to_string(file) {
            break pid.trim().parse().unwrap();
        }
        assert_eq!(program.try_wait().unwrap(), None);
        std::thread::yield_now();
    };
    pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap()
}

fn await_end(client: &OwnedFd, of: &str) {
    let mut end = [PollFd::new(client, PollFlags::IN)];
    let patience = Timespec::try_from(PATIENCE).unwrap();
    assert_eq!(poll(&mut end, Some(&patience)), Ok(1), "{of}");
}

/// O27: every signal to end gives the report, and ends what a wrapper has started.
#[test]
fn a_judge_that_is_told_to_end_reports_and_leaves_nobody() {
    let folder = tempfile::tempdir().unwrap();
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT, Signal::HUP] {
        for more in [&[][..], &["--outlive-parent"]] {
            let file = folder.path().join(format!("{signal:?}-{}", more.len()));
            let mut command = Command::new(LAB);
            command
                .arg("judge")
                .args(more)
                .args(["--", "sh", "-c", WRAPPER]);
            command.arg(&file);
            let mut judge = spawn(command);
            let client = written(&file, &mut judge.child);
            judge.signal(signal);
            let (report, status) = judge.end();
            assert!(report.contains("No request came"), "{signal:?}: {report}");
            assert_eq!(status.code(), Some(1), "{signal:?}");
            await_end(&client, &format!("{signal:?}"));
        }
    }
}

/// O27: a client that does not end when it is told to is not waited for when a second signal comes.
#[test]
fn a_second_signal_ends_a_judge_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let mut command = Command::new(LAB);
    let stubborn = format!("trap '' TERM INT; {WRAPPER}");
    command
        .args(["judge", "--", "sh", "-c", &stubborn])
        .arg(&file);
    command.stderr(Stdio::piped());
    let mut judge = spawn(command);
    let client = written(&file, &mut judge.child);
    judge.signal(Signal::INT);
    judge.signal(Signal::TERM);
    let mut said = String::new();
    let mut errors = judge.child.stderr.take().unwrap();
    errors.read_to_string(&mut said).unwrap();
    assert!(said.contains("a second signal"), "{said}");
    assert!(judge.end().0.contains("No request came"));
    await_end(&client, "stubborn");
}

/// O27: a client that has become another user cannot be killed, and is not waited for.
#[test]
fn a_client_out_of_reach_keeps_no_judge() {
    const NOBODY: u32 = 65_534;
    let setpriv = Path::new("/usr/bin/setpriv");
    if !geteuid().is_root() || !setpriv.exists() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str, from: &Path, mode| {
        let path = folder.path().join(name);
        fs::copy(from, &path).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        path
    };
    fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let lab = place("lab", Path::new(LAB), 0o755);
    let sudo = place("sudo", setpriv, 0o4755);
    let file = folder.path().join("pid");
    let mut command = Command::new(lab);
    command.uid(NOBODY).gid(NOBODY).current_dir("/");
    command.args(["judge", "--"]).arg(sudo);
    command.args(["--reuid", "0", "sh", "-c"]);
    let client = "echo $$ > \"$0.new\"; mv \"$0.new\" \"$0\"; exec sleep 600";
    command.arg(client).arg(&file);
    let mut judge = spawn(command);
    let client = written(&file, &mut judge.child);
    judge.signal(Signal::INT);
    judge.signal(Signal::TERM);
    assert!(judge.end().0.contains("No request came"));
    pidfd_send_signal(&client, Signal::KILL).unwrap();
    await_end(&client, "out of reach");
}

/// O27: a wrapper that ends before the client that it has started leaves nobody behind.
#[test]
fn a_wrapper_that_ends_early_leaves_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let mut command = Command::new(LAB);
    let early = WRAPPER.replace("wait", "read line; exit 7");
    command.args(["judge", "--", "sh", "-c", &early]).arg(&file);
    let mut judge = spawn(command);
    let client = written(&file, &mut judge.child);
    drop(judge.child.stdin.take());
    assert!(judge.end().0.contains("status 7"));
    await_end(&client, "early");
}

/// O29: every signal to end tells what came of the trials until then, and leaves neither clients nor folders.
#[test]
fn an_acid_test_that_is_told_to_end_leaves_nothing() {
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT, Signal::HUP] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let temporary = folder.path().join("temporary");
        fs::create_dir(&temporary).unwrap();
        let markdown = folder.path().join("table.md");
        let json = folder.path().join("outcomes.json");
        let mut command = Command::new(LAB);
        command.args(["acid", "--jobs", "1", "--scenario", "failure"]);
        let client = format!("sh -c '{WRAPPER}' {} {{torrent}}", file.display());
        command.args(["--client-command", &client, "--markdown"]);
        command.arg(&markdown).arg("--json").arg(&json);
        command.env("TMPDIR", &temporary).stderr(Stdio::piped());
        let mut acid = spawn(command);
        let client = written(&file, &mut acid.child);
        acid.signal(signal);
        let mut said = String::new();
        let mut errors = acid.child.stderr.take().unwrap();
        errors.read_to_string(&mut said).unwrap();
        let told = "interrupted: of 2 trials 0 were run";
        assert!(said.contains(told), "{signal:?}: {said}");
        let (out, status) = acid.end();
        assert!(out.contains("client: 0 right"), "{signal:?}: {out}");
        assert_eq!(status.code(), Some(1), "{signal:?}");
        assert!(!markdown.exists() && json.exists(), "{signal:?}");
        assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0, "{signal:?}");
        await_end(&client, &format!("{signal:?}"));
    }
}

fn kill(program: &mut Child) {
    kill_process(Pid::from_child(program), Signal::KILL).unwrap();
    program.wait().unwrap();
}
