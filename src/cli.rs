//! The command line: options, subcommands, what each does, and the exit codes.
//!
//! 0: an orderly end; 1: a failure at run time; 2: a command line that cannot be read (clap's own); 77: files that their
//! permissions keep from the tracker (`EX_NOPERM`); 78: a configuration that cannot be used (`EX_CONFIG`). The last two a service
//! manager should not try again.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, Parser, Subcommand};

use crate::config::{BAD_CONFIGURATION, Loaded, Loader, Override};
use crate::program::{self, Completions, print};
use crate::tools::{check, database_view, hash_password, import, owner, sites, token, zones};
use crate::{config, manual, shown};

/// What the program calls itself.
const NAME: &str = "retracker";

/// Subcommands of `retracker-lab`, which whoever looks for them here is told.
const IN_THE_LAB: [&str; 7] = [
    "acid",
    "bench",
    "judge",
    "misbehave",
    "serve",
    "simulate",
    "watch",
];

/// A BitTorrent tracker for the network of an internet provider: neighbours first.
#[derive(Debug, Parser)]
#[command(name = NAME, version, after_help = AFTER_HELP)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub struct Arguments {
    /// Configuration file; without it the one that `RETRACKER_CONFIG` names, else /config/config.ini
    /// or config/config.ini, if there is one.
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
    The load generator, the swarm simulator and the tracker for tests of clients are a program of their own: retracker-lab.\n\
    Exit codes: 0 orderly end, 1 failure, 2 bad command line, 77 no permission for its own files, 78 bad configuration.";

/// The tools that are not the tracker.
#[derive(Debug, Subcommand)]
enum Tool {
    /// Announces and scrapes as clients would, and prints what they would see.
    Check(check::Arguments),
    /// Takes over peers and blocklist of the database of the Flask retracker.
    Import(import::Arguments),
    /// Shows what is in a database, ours or that of the Flask retracker: schema, counts, latest rows.
    Db(database_view::Arguments),
    /// Makes and compares files of zones, explains what the zones mean for an address, and prints them for clients and ALTO servers.
    Zones(zones::Arguments),
    /// Hashes a password for the pages: reads it from standard input, prints what goes into the configuration.
    HashPassword(hash_password::Arguments),
    /// Makes, lists and revokes the tokens of the API.
    Token(token::Arguments),
    /// Tries the engines that several trackers speak over, and asks the running tracker how the others are.
    Sites(sites::Arguments),
    /// Prints the sample configuration: every key with its meaning, bounds and default.
    Sample {
        /// The language of its comments.
        #[arg(long, value_enum, value_name = "LANGUAGE", default_value_t)]
        language: config::Language,
    },
    /// Prints a manual page.
    Man {
        /// Which page.
        #[arg(value_enum, value_name = "PAGE", default_value_t)]
        page: Page,
        /// The language of the page.
        #[arg(long, value_enum, value_name = "LANGUAGE", default_value_t)]
        language: config::Language,
    },
    /// Prints the completion script of a shell.
    Completions(Completions),
}

/// The manual pages.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Page {
    /// The program, section 8.
    #[default]
    #[value(name = NAME)]
    Program,
    /// The configuration, section 5.
    #[value(name = "retracker.ini")]
    Configuration,
}

/// What the start of the tracker would say of a configuration that can be read.
#[derive(Clone, Debug, Default)]
pub struct Outlook {
    /// What an operator should know.
    pub warnings: Vec<String>,
    /// What would keep the tracker from starting, or is refused of what it names.
    pub obstacles: Vec<String>,
}

/// Does what the arguments ask for, when that is not to run the tracker. `examine` says what its start would say.
pub fn obey(arguments: Arguments, examine: &dyn Fn(&Loaded) -> Outlook) -> ExitCode {
    if let Some(tool) = arguments.tool {
        return tool.run();
    }
    let is_print = arguments.print_config;
    let loaded = match arguments.loader().for_tool().load() {
        Ok(loaded) => loaded,
        Err(problems) => return refuse(&problems),
    };
    if let Some(notice) = loaded.place.notice() {
        tell_line(&notice);
    }
    if is_print {
        for warning in &loaded.warnings {
            tell_line(&format!("warning: {warning}"));
        }
        return program::end(NAME, print(&config::printed(&loaded)));
    }
    // Root may read everything; the question is whether the service may.
    let place = Some(&loaded.place);
    let acting = match owner::become_owner(&loaded.config.snapshot.file, place) {
        Ok(acting) => acting,
        Err(error) => return program::end(NAME, Err(error)),
    };
    if let Some(who) = acting.who() {
        tell_line(&format!("checking as {who}"));
    }
    let outlook = examine(&loaded);
    for warning in &outlook.warnings {
        tell_line(&format!("warning: {warning}"));
    }
    for obstacle in &outlook.obstacles {
        tell_line(&format!("error: {obstacle}"));
    }
    if !outlook.obstacles.is_empty() {
        return ExitCode::from(BAD_CONFIGURATION);
    }
    program::end(NAME, print("the configuration can be used\n"))
}

/// Says what is wrong with a configuration, on standard error because no log runs yet.
pub fn refuse(problems: &config::Problems) -> ExitCode {
    for problem in &problems.0 {
        tell(&format!("error: {problem}"));
    }
    ExitCode::from(BAD_CONFIGURATION)
}

impl Arguments {
    /// Reads the command line of this process; one that cannot be read ends it, with what is wrong on standard error.
    pub fn read() -> Arguments {
        Arguments::try_parse().unwrap_or_else(|error| showing_the_lab(error).exit())
    }

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

/// Adds to an error where the subcommand is that somebody asked for.
fn showing_the_lab(mut error: clap::Error) -> clap::Error {
    if let Some(ContextValue::String(name)) = error.get(ContextKind::InvalidSubcommand)
        && IN_THE_LAB.contains(&name.as_str())
    {
        let hint = format!("it is in a program of its own: `retracker-lab {name}`");
        error.insert(
            ContextKind::Suggested,
            ContextValue::StyledStrs(vec![hint.into()]),
        );
    }
    error
}

impl Tool {
    fn run(self) -> ExitCode {
        program::start_log();
        let done = match self {
            Tool::Check(arguments) => check::run(&arguments),
            Tool::Import(arguments) => import::run(&arguments),
            Tool::Db(arguments) => database_view::run(&arguments),
            Tool::Zones(arguments) => {
                return match zones::run(&arguments) {
                    Ok(code) => code,
                    Err(error) => {
                        program::end(NAME, Err(error));
                        arguments.failure()
                    }
                };
            }
            Tool::HashPassword(arguments) => hash_password::run(&arguments),
            Tool::Token(arguments) => token::run(&arguments),
            Tool::Sites(arguments) => sites::run(&arguments),
            Tool::Sample { language } => print(&config::sample(language)),
            Tool::Man { page, language } => print(&match page {
                Page::Program => manual::daemon(Arguments::command(), language),
                Page::Configuration => manual::configuration(language),
            }),
            Tool::Completions(completions) => completions.print(Arguments::command()),
        };
        program::end(NAME, done)
    }
}

/// Says what failed before any log ran.
pub fn fail(error: anyhow::Error) -> ExitCode {
    program::end(NAME, Err(error))
}

fn tell_line(text: &str) {
    tell(&shown::on_one_line(&format_args!("{text}")));
}

/// Writes a line to standard error, if anybody has it open.
fn tell(text: &str) {
    program::tell(NAME, text);
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
