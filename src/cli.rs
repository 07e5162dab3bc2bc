//! The command line: options, subcommands, what each does, and the exit codes.
//!
//! 0: an orderly end; 1: a failure at run time; 2: a command line that cannot be read (clap's own); 78: a configuration that
//! cannot be used (`EX_CONFIG`), which a service manager should not try again.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::config::{Loader, Override};
use crate::lab::{bench, simulate};
use crate::tools::{check, database_view, hash_password, import, token, zones};
use crate::{config, shown};

/// The exit code of a configuration that cannot be used: `EX_CONFIG`.
pub const BAD_CONFIGURATION: u8 = 78;

/// A BitTorrent tracker for the network of an internet provider: neighbours first.
#[derive(Debug, Parser)]
#[command(name = "retracker", version, after_help = AFTER_HELP)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub struct Arguments {
    /// Configuration file; without it /config/config.ini or config/config.ini is read, if there is one.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Reads and checks the configuration, says what is wrong with it, and ends.
    #[arg(long)]
    check_config: bool,
    /// Prints every value with its origin, secrets hidden, and ends.
    #[arg(long, conflicts_with = "check_config")]
    print_config: bool,
    /// Address to listen at, with or without a port; may be given more than once.
    #[arg(long, value_name = "ADDR")]
    listen: Vec<String>,
    /// Port of addresses without one.
    #[arg(long, value_name = "PORT", allow_negative_numbers = true)]
    port: Option<String>,
    /// What is less important is not logged: ERROR, WARNING, INFO, DEBUG or TRACE.
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    #[command(subcommand)]
    tool: Option<Tool>,
}

const AFTER_HELP: &str = "Without a subcommand the tracker runs in the foreground.\n\
    SIGTERM, SIGINT and SIGQUIT end it in order, SIGHUP reloads, SIGUSR1 reopens the log file.\n\
    Exit codes: 0 orderly end, 1 failure, 2 bad command line, 78 bad configuration.";

/// The tools that are not the tracker.
#[derive(Debug, Subcommand)]
enum Tool {
    /// Loads a tracker as a population of clients would, and measures it.
    Bench(bench::Arguments),
    /// Announces and scrapes as clients would, and prints what they would see.
    Check(check::Arguments),
    /// Takes over peers and blocklist of the database of the Flask retracker.
    Import(import::Arguments),
    /// Shows what is in a database, ours or that of the Flask retracker: schema, counts, latest rows.
    Db(database_view::Arguments),
    /// Explains what the configured zones mean for an address, and prints them for clients and ALTO servers.
    Zones(zones::Arguments),
    /// Hashes a password for the pages: reads it from standard input, prints what goes into the configuration.
    HashPassword(hash_password::Arguments),
    /// Makes, lists and revokes the tokens of the API.
    Token(token::Arguments),
    /// Simulates a swarm in zones: what choosing neighbours first saves, and what it costs.
    Simulate(simulate::Arguments),
    /// Prints the sample configuration: every key with its meaning, bounds and default.
    Sample,
    /// Prints the manual page.
    Man,
    /// Prints the completion script of a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// Does what the arguments ask for, when that is not to run the tracker.
pub fn obey(arguments: Arguments) -> ExitCode {
    if let Some(tool) = arguments.tool {
        return tool.run();
    }
    let is_print = arguments.print_config;
    match arguments.loader().load() {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                tell(&shown::on_one_line(&format_args!("warning: {warning}")));
            }
            if is_print {
                print(&config::printed(&loaded));
            } else {
                print("the configuration can be used\n");
            }
            ExitCode::SUCCESS
        }
        Err(problems) => refuse(&problems),
    }
}

/// Says what is wrong with a configuration, on standard error because no log runs yet.
pub fn refuse(problems: &config::Problems) -> ExitCode {
    for problem in &problems.0 {
        tell(&format!("error: {problem}"));
    }
    ExitCode::from(BAD_CONFIGURATION)
}

impl Arguments {
    /// Whether they ask for the tracker itself, and not for a tool or a look at the configuration.
    pub fn is_for_the_tracker(&self) -> bool {
        self.tool.is_none() && !self.check_config && !self.print_config
    }

    /// The way to the configuration that they name.
    pub fn loader(self) -> Loader {
        let mut overrides = Vec::new();
        let mut set = |option, section, key, value: Option<String>| {
            overrides.extend(value.map(|value| Override {
                option,
                section,
                key,
                value,
            }));
        };
        let doors = (!self.listen.is_empty()).then(|| self.listen.join(" "));
        set("--listen", "TRACKER", "host", doors);
        set("--port", "TRACKER", "port", self.port);
        set("--log-level", "LOGGING", "level", self.log_level);
        Loader::new(self.config, overrides)
    }
}

impl Tool {
    /// Runs the tool, with its log on standard error (`RUST_LOG`; warnings without it).
    fn run(self) -> ExitCode {
        let level = env_logger::Env::default().default_filter_or("warn");
        env_logger::Builder::from_env(level).init();
        let done = match self {
            Tool::Bench(arguments) => bench::run(&arguments),
            Tool::Check(arguments) => check::run(&arguments),
            Tool::Import(arguments) => import::run(&arguments),
            Tool::Db(arguments) => database_view::run(&arguments),
            Tool::Zones(arguments) => zones::run(&arguments),
            Tool::HashPassword(arguments) => hash_password::run(&arguments),
            Tool::Token(arguments) => token::run(&arguments),
            Tool::Simulate(arguments) => simulate::run(&arguments),
            Tool::Sample => {
                print(&config::sample());
                Ok(())
            }
            Tool::Man => manual(),
            Tool::Completions { shell } => {
                let mut text = Vec::new();
                clap_complete::generate(shell, &mut Arguments::command(), "retracker", &mut text);
                print_bytes(&text);
                Ok(())
            }
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tell(&format!("error: {error:#}"));
                ExitCode::FAILURE
            }
        }
    }
}

fn manual() -> anyhow::Result<()> {
    let mut text = Vec::new();
    clap_mangen::Man::new(Arguments::command())
        .section("8")
        .render(&mut text)?;
    print_bytes(&text);
    Ok(())
}

fn print(text: &str) {
    print_bytes(text.as_bytes());
}

/// Writes to standard output; a reader that went away is no fault.
fn print_bytes(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    drop(out.write_all(bytes).and_then(|()| out.flush()));
}

/// Writes a line to standard error, if anybody has it open. What files and strangers gave for it steers no terminal.
pub fn tell(text: &str) {
    let text = shown::in_lines(text);
    drop(writeln!(io::stderr().lock(), "retracker: {text}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    /// C2
    #[test]
    fn every_option_sets_a_key_that_exists() {
        let line = [
            "retracker",
            "--listen",
            "::1",
            "--listen",
            "127.0.0.1:81",
            "--port",
            "82",
            "--log-level",
            "debug",
        ];
        let loader = Arguments::parse_from(line).loader();
        let text = format!("{loader:?}");
        assert!(text.contains("\"::1 127.0.0.1:81\""), "{text}");
        for (_, section, key) in [
            ("--listen", "TRACKER", "host"),
            ("--port", "TRACKER", "port"),
            ("--log-level", "LOGGING", "level"),
        ] {
            let sections = config::SECTIONS
                .iter()
                .find(|known| known.name == section)
                .unwrap();
            assert!(sections.keys.iter().any(|known| known.name == key));
        }
    }
}
