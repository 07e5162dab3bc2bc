//! `retracker zones`: what the configured zones mean for an address, and the same zones in the forms that clients and ALTO
//! servers read. Reads the configuration and the snapshot database; changes nothing.

mod alto;
mod explain;
mod kept;
mod near;
mod peer_policy;

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::ensure;

use crate::config::Config;
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
}

/// Prints what is asked for.
///
/// # Errors
/// The configuration or the database cannot be used, or what is asked for is not in them.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let loaded = configuration(arguments.config.clone())?;
    let config = loaded.config;
    let text = match &arguments.what {
        What::Explain(arguments) => {
            // Reading a database makes files beside it.
            let file = arguments.database(&config);
            let acting = become_owner(file, Some(&loaded.place))?;
            acting.blame(arguments.explain(&config))?
        }
        What::PeerPolicy(arguments) => arguments.policy(&with_zones(config)?)?,
        What::Alto(arguments) => arguments.resource(&with_zones(config)?)?,
    };
    // Who closed our output has read enough.
    let mut out = io::stdout().lock();
    let text = in_lines(&text);
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
    Ok(())
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
