//! O31, O29: with whom the laboratory's programs end, and what they start.

use std::fs;
use std::process::{Child, Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

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
        let pid = loop {
            if let Ok(pid) = fs::read_to_string(&file) {
                break pid.trim().parse().unwrap();
            }
            assert_eq!(program.try_wait().unwrap(), None);
            std::thread::yield_now();
        };
        let client = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap();
        kill(&mut program);
        let mut end = [PollFd::new(&client, PollFlags::IN)];
        let patience = Timespec::try_from(PATIENCE).unwrap();
        assert_eq!(poll(&mut end, Some(&patience)), Ok(1), "{file:?}");
    }
}

fn kill(program: &mut Child) {
    kill_process(Pid::from_child(program), Signal::KILL).unwrap();
    program.wait().unwrap();
}
