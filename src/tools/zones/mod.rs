//! `retracker zones`: where the zones' prefixes come from and what another file of them would change, what the configured zones
//! mean for an address, and the same zones in the forms that clients and ALTO servers read. Reads the configuration and the
//! snapshot database; writes the file that `import` is told to, and nothing else.

mod alto;
mod diff;
mod explain;
mod import;
mod kept;
mod near;
mod peer_policy;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::ensure;

use crate::config::Config;
use crate::program;
use crate::shown::in_lines;
use crate::tools::configuration;
use crate::tools::owner::become_owner;

/// Which zones, and what of them.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Configuration with the zones; looked for as the tracker does when it is not given, then where the installed service has it.
    #[arg(long, short, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    what: What,
}

/// What is printed.
#[derive(Debug, clap::Subcommand)]
enum What {
    /// Where an address lies, who is near it, and what it would be handed.
    Explain(explain::Arguments),
    /// The zones as µTorrent's peer policy (btpolicy), IPv4 only.
    PeerPolicy(peer_policy::Arguments),
    /// The zones as resources of an ALTO server (RFC 7285).
    Alto(alto::Arguments),
    /// Makes a file of prefixes and zones from a table, from NetBox or from an MMDB database.
    Import(import::Arguments),
    /// What would change from one file of prefixes to another; ends with 0 when nothing would, 1 when something would, 2 when they
    /// cannot be compared.
    Diff(diff::Arguments),
}

/// The exit code of [`What::Diff`] where there is a difference, as diff(1) has it.
const DIFFERENT: u8 = 1;

/// Its exit code when it cannot compare.
const NOT_COMPARED: u8 = 2;

impl Arguments {
    /// The exit code of a failure.
    pub fn failure(&self) -> ExitCode {
        match self.what {
            What::Diff(_) => ExitCode::from(NOT_COMPARED),
            What::Explain(_) | What::PeerPolicy(_) | What::Alto(_) | What::Import(_) => {
                ExitCode::FAILURE
            }
        }
    }

    fn config(&self) -> anyhow::Result<Config> {
        Ok(configuration(self.config.clone())?.config)
    }
}

/// Does what is asked for, and prints what there is to print. Returns the exit code.
///
/// # Errors
/// The configuration, the database or a file cannot be used, or what is asked for is not in them.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    let text = match &arguments.what {
        What::Explain(explain) => {
            let loaded = configuration(arguments.config.clone())?;
            // Reading a database makes files beside it.
            let file = explain.database(&loaded.config);
            let acting = become_owner(file, Some(&loaded.place))?;
            acting.blame(explain.explain(&loaded.config))?
        }
        What::PeerPolicy(policy) => policy.policy(&with_zones(arguments.config()?)?)?,
        What::Alto(alto) => alto.resource(&with_zones(arguments.config()?)?)?,
        What::Import(import) => {
            let imported = import.import()?;
            // Who closed our standard error does not want to know.
            let told = in_lines(&imported.told);
            drop(writeln!(io::stderr().lock(), "retracker: {told}"));
            imported.text
        }
        What::Diff(diff) => {
            let loaded = configuration(arguments.config.clone());
            let compared = diff.compare(loaded.map(|loaded| (loaded.config, loaded.place)))?;
            if !compared.is_same {
                code = ExitCode::from(DIFFERENT);
            }
            compared.text
        }
    };
    program::print(&in_lines(&text))?;
    Ok(code)
}

fn with_zones(config: Config) -> anyhow::Result<Config> {
    ensure!(!config.zones.is_empty(), "no zones are configured");
    Ok(config)
}

#[cfg(test)]
mod tests {
    use crate::tracker::ZoneRule;

    /// Zones as a configuration gives them.
    pub(super) fn zones(lines: &[(&str, &str)]) -> Vec<ZoneRule> {
        let rule = |(path, prefixes): &(&str, &str)| ZoneRule {
            path: (*path).into(),
            prefixes: prefixes
                .split_whitespace()
                .map(|prefix| prefix.parse().unwrap())
                .collect(),
            ..ZoneRule::default()
        };
        lines.iter().map(rule).collect()
    }

    /// A street, its city, another city, and a zone that only names a place.
    pub(super) fn sample() -> Vec<ZoneRule> {
        zones(&[
            (
                "moscow/north/building-7",
                "10.1.7.0/24 10.1.9.0/24 2001:db8:1:7::/64",
            ),
            ("moscow/north", "10.1.0.0/16 2001:db8:1::/48"),
            ("moscow/south", "10.2.0.0/16"),
            ("тверь", "10.3.0.0/16 2001:db8:3::/48"),
        ])
    }
}
