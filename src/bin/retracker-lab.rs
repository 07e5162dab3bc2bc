//! `retracker-lab`: the load generator, the swarm simulator and the tracker to develop clients against, on the command line. The
//! daemon has nothing of them.
//!
//! Exit codes: 0: an orderly end; 1: a failure, or replies that make the figures void; 2: a command line that cannot be read
//! (clap's own); 3: a client broke rules (`judge`).

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use retracker::lab::{acid, bench, judge, launch, misbehave, serve, simulate};
use retracker::manual::{self, Block, Part};
use retracker::program::{self, Completions};

/// The tracker's allocator: the simulator runs the tracker's core.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NAME: &str = "retracker-lab";

/// A tracker for tests of clients, which shows what they say; a load generator for trackers; and a simulator of swarms.
#[derive(Debug, Parser)]
#[command(name = NAME, version, after_help = AFTER_HELP, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    tool: Tool,
}

const AFTER_HELP: &str = "Exit codes: 0 orderly end, 1 failure or void figures, 2 bad command line, 3 rules broken (judge).";

#[derive(Debug, Subcommand)]
enum Tool {
    /// Loads a tracker as a population of clients would, and measures it.
    Bench(bench::Arguments),
    /// Simulates a swarm in zones: what choosing neighbours first saves, and what it costs.
    Simulate(simulate::Arguments),
    /// Runs a tracker for tests on loopback, until it is told to end or the program that started it ends.
    Serve(serve::Arguments),
    /// The same, showing every request as it comes and what it is answered.
    Watch(serve::Arguments),
    /// Serves a tracker that misbehaves by a script, or lists the scenarios that are ready.
    Misbehave(misbehave::Arguments),
    /// Runs all scenarios of misbehaviour against clients, and tells which behave.
    Acid(acid::Arguments),
    /// Serves a tracker for a client, and judges what the client does by the BEPs and by what trackers need.
    Judge(judge::Arguments),
    /// Prints the manual page.
    Man,
    /// Prints the completion script of a shell.
    Completions(Completions),
    /// Becomes a program that ends with the one that started this.
    #[command(name = launch::SUBCOMMAND, hide = true)]
    Become(launch::Arguments),
}

/// What the manual page says beside options and commands.
const PARTS: &[Part] = &[(
    "EXIT STATUS",
    &[
        Block::Item("0", "An orderly end."),
        Block::Item("1", "A failure, or replies that make the figures void."),
        Block::Item("2", "A command line that cannot be read."),
        Block::Item(
            "3",
            "judge: a rule that weighs `must` was broken; with --strict also one that weighs `should`.",
        ),
    ],
)];

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    program::start_log();
    let done = match arguments.tool {
        Tool::Bench(arguments) => bench::run(&arguments),
        Tool::Simulate(arguments) => simulate::run(&arguments),
        Tool::Serve(arguments) => serve::run(&arguments),
        Tool::Watch(arguments) => serve::run(&arguments.watching()),
        Tool::Misbehave(arguments) => misbehave::run(&arguments),
        Tool::Acid(arguments) => acid::run(&arguments),
        Tool::Judge(arguments) => match judge::run(&arguments) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Tool::Man => program::print(&manual::program(Arguments::command(), PARTS)),
        Tool::Completions(completions) => completions.print(Arguments::command()),
        Tool::Become(arguments) => launch::run(&arguments),
    };
    program::end(NAME, done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }
}
