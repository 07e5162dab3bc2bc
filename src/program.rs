//! What the programs of this crate have in common on the command line: how they speak, how a tool ends, and how a program prints its
//! own completions.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::Command;

use crate::shown;

/// The completion script of a shell, which a program prints of itself.
#[derive(Debug, clap::Args)]
pub struct Completions {
    /// Which shell.
    shell: clap_complete::Shell,
}

impl Completions {
    /// Prints it for the program whose command line `command` is.
    ///
    /// # Errors
    /// As [`print()`].
    pub fn print(self, mut command: Command) -> anyhow::Result<()> {
        let mut text = Vec::new();
        let name = command.get_name().to_owned();
        clap_complete::generate(self.shell, &mut command, name, &mut text);
        print_bytes(&text)
    }
}

/// Starts the log of a tool, on standard error (`RUST_LOG`; warnings without it).
pub fn start_log() {
    let level = env_logger::Env::default().default_filter_or("warn");
    env_logger::Builder::from_env(level).init();
}

/// The exit code of a tool of `program`, after its error has been told.
pub fn end(program: &str, done: anyhow::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(program, &format!("error: {}", shown::with_causes(&error)));
            ExitCode::FAILURE
        }
    }
}

/// Writes to standard output.
///
/// # Errors
/// It is full, or fails otherwise; a reader that went away is no fault.
pub fn print(text: &str) -> anyhow::Result<()> {
    print_bytes(text.as_bytes())
}

fn print_bytes(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    printed(out.write_all(bytes).and_then(|()| out.flush()))
}

/// What came of writing to standard output: who closed it has read enough, but what does not fit is missing.
///
/// # Errors
/// As [`print()`].
pub fn printed(done: io::Result<()>) -> anyhow::Result<()> {
    match done {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("standard output cannot be written")
        }
        _ => Ok(()),
    }
}

/// Writes a line of `program` to standard error, if anybody has it open. What files and strangers gave for it steers no terminal.
pub fn tell(program: &str, text: &str) {
    let text = shown::in_lines(text);
    drop(writeln!(io::stderr().lock(), "{program}: {text}"));
}
