//! Starts programs that end with this one, also where it is killed: this program starts itself, asks the system to be killed at its
//! parent's end, and then becomes the program that is wanted. A program that leaves children behind takes none of them along.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf, absolute};
use std::process::Command;

use anyhow::{Context, ensure};
use rustix::fs::{Access, access};
use rustix::process::{
    Pid, Signal, getpid, getppid, set_child_subreaper, set_parent_process_death_signal,
};

/// The subcommand of `retracker-lab` that does so.
pub const SUBCOMMAND: &str = "become";

/// Whom the program follows, and which it is.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// The process that has to be its parent.
    parent: i32,
    /// The program and its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

/// Becomes the program.
///
/// # Errors
/// Always when it returns: the parent has ended, or the program cannot be started.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL)).context("cannot follow the parent")?;
    // It may have ended before the system knew of the wish.
    let parent = getppid().map(Pid::as_raw_nonzero);
    let is_there = parent.is_some_and(|parent| parent.get() == arguments.parent);
    ensure!(is_there, "the program that started this one has ended");
    let (program, rest) = arguments.words.split_first().context("no program")?;
    let error = Command::new(program).args(rest).exec();
    Err(error).with_context(|| program.display().to_string())
}

/// How programs are started.
#[derive(Clone, Debug)]
pub(crate) struct Launcher {
    /// `retracker-lab`; none starts them as they are.
    lab: Option<PathBuf>,
}

impl Launcher {
    /// By this program, which is `retracker-lab`. From now on it is the parent of what its clients leave behind, which it can wait for.
    ///
    /// # Errors
    /// When the system does not say where it is.
    pub(crate) fn of_this_program() -> io::Result<Launcher> {
        // Where the system has no such thing, its first process is.
        let _ = set_child_subreaper(Some(getpid()));
        let lab = Some(env::current_exe()?);
        Ok(Launcher { lab })
    }

    /// As they are: what is started may outlive this program.
    #[cfg(test)]
    pub(crate) fn plain() -> Launcher {
        Launcher { lab: None }
    }

    /// What starts a program, looked for as a shell does. The thread that starts it has to live as long as it shall: the system takes the
    /// end of that thread for the parent's.
    ///
    /// # Errors
    /// When there is no such program, or it may not be started.
    pub(crate) fn command(&self, program: &str) -> io::Result<Command> {
        let program = find(program)?;
        let Some(lab) = &self.lab else {
            return Ok(Command::new(program));
        };
        let mut command = Command::new(lab);
        let parent = std::process::id().to_string();
        command.args([SUBCOMMAND, &parent]).arg(program);
        Ok(command)
    }
}

/// Where a program is, wherever it will be started.
fn find(program: &str) -> io::Result<PathBuf> {
    let may_start = |path: &Path| access(path, Access::EXEC_OK);
    if program.contains('/') {
        let path = absolute(program)?;
        may_start(&path)?;
        return Ok(path);
    }
    let folders = env::var_os("PATH").unwrap_or_default();
    let mut there = env::split_paths(&folders).map(|folder| folder.join(program));
    let found = there.find(|path| path.is_file() && may_start(path).is_ok());
    absolute(found.ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, "there is no such program in PATH")
    })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_as_a_shell_finds_it() {
        let found = find("sh").unwrap();
        assert!(found.is_absolute() && found.ends_with("sh"), "{found:?}");
        assert_eq!(find(found.to_str().unwrap()).unwrap(), found);
        for missing in ["/nonexistent/program", "no-such-program", ""] {
            let error = find(missing).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{missing}");
        }
        let error = find("no-such-program").unwrap_err();
        assert_eq!(error.to_string(), "there is no such program in PATH");
        let error = find("/etc/passwd").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }
}
