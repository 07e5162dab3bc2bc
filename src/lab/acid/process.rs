//! A client's process, in a group of its own that ends with the trial. Where this program is killed, the client goes too.

use std::fs::File;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::lab::launch::Launcher;

/// A client that runs.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    group: Pid,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts a program with its arguments; its output goes to a file. Of the environment it has `PATH`, a home of its own, and no proxy.
    ///
    /// # Errors
    /// When there is no such program, or it cannot be started.
    pub(super) fn start(
        launcher: &Launcher,
        words: &[String],
        folder: &Path,
        log: &Path,
    ) -> io::Result<Process> {
        let (program, arguments) = words
            .split_first()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "an empty command"))?;
        let output = File::create(log)?;
        let path = std::env::var_os("PATH").unwrap_or_default();
        let child = launcher
            .command(program)?
            .args(arguments)
            .env_clear()
            .env("PATH", path)
            .env("HOME", folder)
            .env("LANG", "C.UTF-8")
            .env("TERM", "xterm")
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .spawn()?;
        let group = Pid::from_child(&child);
        Ok(Process {
            child,
            group,
            ended: None,
        })
    }

    /// How it has ended, if it has; never waits.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().unwrap_or_default();
        }
        self.ended
    }

    /// Sends a signal to all of the group.
    pub(super) fn tell(&mut self, signal: Signal) {
        if self.ended().is_none() {
            // Who has ended meanwhile needs none.
            let _ = kill_process_group(self.group, signal);
        }
    }
}

impl Drop for Process {
    /// Ends the whole group, also where the first of it has ended by itself and left others behind.
    fn drop(&mut self) {
        let _ = kill_process_group(self.group, Signal::KILL);
        drop(self.child.wait());
    }
}

/// How a process ended, in words; `None` of an end in order.
pub(super) fn fault_of(status: ExitStatus) -> Option<String> {
    match (status.code(), status.signal()) {
        (Some(0), _) => None,
        (Some(code), _) => Some(format!("status {code}")),
        (None, Some(signal)) => Some(format!("signal {signal}{}", name_of(signal))),
        (None, None) => Some("an unknown status".to_owned()),
    }
}

/// Whether it was killed by a fault of its own.
pub(super) fn is_crash(status: ExitStatus) -> bool {
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
    use super::*;

    fn start(folder: &Path, command: &str) -> Process {
        let words = ["sh", "-c", command].map(str::to_owned);
        Process::start(&Launcher::plain(), &words, folder, &folder.join("log")).unwrap()
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
