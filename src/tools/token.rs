//! `retracker token`: makes, lists and revokes the tokens of the API; the running tracker sees it at once.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, bail};

use crate::clock::Clock;
use crate::program;
use crate::shown::in_lines;
use crate::tools::configuration;
use crate::tools::owner::{become_owner, expect_folder};
use crate::web::Tokens;

/// What to do with the tokens.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Configuration that names the database of the tracker, beside which the tokens lie; looked for as the tracker does when it is not
    /// given, then where the installed service has it.
    #[arg(long, short, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Database of the tracker, whatever the configuration says.
    #[arg(
        long,
        value_name = "DATABASE",
        conflicts_with = "config",
        global = true
    )]
    file: Option<PathBuf>,
    #[command(subcommand)]
    deed: Deed,
}

#[derive(Debug, clap::Subcommand)]
enum Deed {
    /// Makes a token and prints it; it is not kept and cannot be shown again.
    New {
        /// What it is for.
        name: String,
    },
    /// Lists the tokens by number.
    List,
    /// Ends a token.
    Revoke {
        /// Its number in the list.
        number: u64,
    },
}

/// Does it.
///
/// # Errors
/// When the file of the tokens cannot be read or written, or the token cannot be.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let (folder, acting) = match &arguments.file {
        Some(file) => {
            let folder = file.parent().unwrap_or(file).to_owned();
            (folder, become_owner(file, None)?)
        }
        None => {
            let loaded = configuration(arguments.config.clone())?;
            if let Deed::New { .. } = arguments.deed {
                expect_folder(&loaded.place)?;
            }
            let acting = become_owner(&loaded.config.snapshot.file, Some(&loaded.place))?;
            (loaded.config.web.state_folder, acting)
        }
    };
    let text = acting.blame(obey(&arguments.deed, &Tokens::new(&folder)))?;
    let mut out = io::stdout().lock();
    let printed = out.write_all(in_lines(&text).as_bytes());
    let printed = printed.and_then(|()| out.flush());
    if matches!(arguments.deed, Deed::New { .. }) {
        return printed.context("the token cannot be printed; revoke it and make another");
    }
    program::printed(printed)
}

fn obey(deed: &Deed, tokens: &Tokens) -> anyhow::Result<String> {
    match deed {
        Deed::New { name } => {
            let secret = tokens.create(name, Clock::start().wall());
            Ok(format!("{}\n", secret.context("the token cannot be made")?))
        }
        Deed::List => {
            let tokens = tokens.list().context("the tokens cannot be read")?;
            let lines = tokens.iter();
            Ok(lines
                .map(|token| format!("{:>4}  {}\n", token.number, token.name))
                .collect())
        }
        Deed::Revoke { number } => {
            if !tokens
                .revoke(*number)
                .context("the token cannot be revoked")?
            {
                bail!("there is no token {number}");
            }
            Ok(String::new())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_listed_and_revoked() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = Tokens::new(folder.path());
        let made = Deed::New {
            name: "grafana".into(),
        };
        let secret = obey(&made, &tokens).unwrap();
        assert!(tokens.admit(secret.trim()).unwrap());
        assert_eq!(obey(&Deed::List, &tokens).unwrap(), "   1  grafana\n");
        obey(&Deed::Revoke { number: 1 }, &tokens).unwrap();
        assert!(obey(&Deed::Revoke { number: 1 }, &tokens).is_err());
        assert!(!tokens.admit(secret.trim()).unwrap());
    }
}
