//! A client's process, in a group of its own that ends as a whole: what a wrapper has started ends with it.

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitOptions, kill_process_group, test_kill_process, test_kill_process_group,
    waitpgid,
};

/// A client that runs, and everything of its process group.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    group: Pid,
    ended: Option<ExitStatus>,
    is_gone: bool,
}

impl Process {
    /// Starts a program as the first of a new process group.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start(mut command: Command) -> io::Result<Process> {
        let child = command.process_group(0).spawn()?;
        let group = Pid::from_child(&child);
        Ok(Process {
            child,
            group,
            ended: None,
            is_gone: false,
        })
    }

    /// How the first of the group has ended, if it has; never waits.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().unwrap_or_default();
        }
        self.ended
    }

    /// The same, once nobody of the group is left; never waits.
    pub(crate) fn gone(&mut self) -> Option<ExitStatus> {
        let ended = self.ended()?;
        if !self.is_gone {
            // Whose parent has ended became this program's (`Launcher::of_this_program`): without that it would stay as a zombie.
            while let Ok(Some(_)) = waitpgid(self.group, WaitOptions::NOHANG) {}
            // Whoever is left as another user (`sudo`) may not be told anything, and is there.
            self.is_gone = test_kill_process_group(self.group) == Err(Errno::SRCH);
        }
        self.is_gone.then_some(ended)
    }

    /// Sends a signal to all of the group.
    pub(crate) fn tell(&mut self, signal: Signal) {
        // Once it is gone, its number may be another's.
        if self.gone().is_none() {
            // Who has ended meanwhile needs none.
            let _ = kill_process_group(self.group, signal);
        }
    }
}

impl Drop for Process {
    /// Ends the whole group, also where the first of it has ended by itself and left others behind.
    fn drop(&mut self) {
        self.tell(Signal::KILL);
        // One that runs as another user was not reached: its end may never come.
        if self.ended.is_some() || test_kill_process(self.group).is_ok() {
            drop(self.child.wait());
        }
        // Waits for whoever of them was left to this program.
        let _ = self.gone();
    }
}

/// How a process ended, in words; `None` of an end in order.
pub(crate) fn fault_of(status: ExitStatus) -> Option<String> {
    match (status.code(), status.signal()) {
        (Some(0), _) => None,
        (Some(code), _) => Some(format!("status {code}")),
        (None, Some(signal)) => Some(format!("signal {signal}{}", name_of(signal))),
        (None, None) => Some("an unknown status".to_owned()),
    }
}

/// Whether it was killed by a fault of its own.
pub(crate) fn is_crash(status: ExitStatus) -> bool {
    matches!(status.signal(), Some(4 | 6 | 7 | 8 | 11))
}

fn name_of(signal: i32) -> &'static str {
    match signal {
        4 => " (SIGILL)",
        6 => " (SIGABRT)",
        7 => " (SIGBUS)",
        8 => " (SIGFPE)",
        9 => " (SIGKILL)",
        11 => " (SIGSEGV)",
        15 => " (SIGTERM)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn start(folder: &Path, script: &str) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(folder);
        Process::start(command).unwrap()
    }

    fn end_of(process: &mut Process) -> ExitStatus {
        loop {
            if let Some(status) = process.ended() {
                return status;
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn an_end_is_told_by_its_status_or_signal() {
        let folder = tempfile::tempdir().unwrap();
        for (command, fault) in [
            ("exit 0", None),
            ("exit 7", Some("status 7")),
            ("kill -SEGV $$", Some("signal 11 (SIGSEGV)")),
        ] {
            let mut process = start(folder.path(), command);
            assert_eq!(
                fault_of(end_of(&mut process)).as_deref(),
                fault,
                "{command}"
            );
        }
    }

    /// O29
    #[test]
    fn the_whole_group_ends_with_the_trial() {
        let folder = tempfile::tempdir().unwrap();
        let process = start(folder.path(), "sleep 600 & echo $! > child; wait");
        let written = || {
            let text = std::fs::read_to_string(folder.path().join("child")).unwrap_or_default();
            text.trim().parse::<u32>().ok()
        };
        let child = loop {
            if let Some(child) = written() {
                break child;
            }
            std::thread::yield_now();
        };
        drop(process);
        // A zombie whose parent is gone is reaped by the system's first process, when that comes to it.
        let state = || std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        while state().contains(") S ") || state().contains(") R ") {
            std::thread::yield_now();
        }
    }
}
