//! `retracker token`: makes, lists and revokes the tokens of the API; the running tracker sees it at once.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::audited::Caller;
use crate::audit;
use crate::clock::{Clock, Wall};
use crate::program;
use crate::regular_file::folder_of;
use crate::shown::in_lines;
use crate::tools::configuration;
use crate::tools::owner::{become_owner, expect_folder};
use crate::web::{NewToken, Scope, Tokens, Uses, moment};

/// How many seconds the units of a lifetime have.
const SECONDS: [(char, u64); 3] = [('h', 3_600), ('d', 86_400), ('w', 604_800)];

/// A token lasts at most this long, in seconds, if it ends at all: ten years.
const MAX_LIFETIME: u64 = 3_650 * 86_400;

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
        /// What it opens: read (figures and lists), block (the blocklist as well) or admin (everything).
        #[arg(long, value_name = "SCOPE", default_value = "read", value_parser = scope)]
        scope: Scope,
        /// When it ends: a number with h (hours), d (days) or w (weeks), as 90d. Without it never.
        #[arg(long, value_name = "TIME", value_parser = lifetime)]
        expires: Option<u64>,
    },
    /// Lists the tokens by number: scope, end, last use (all in UTC), name.
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
    let caller = Caller::new();
    let (folder, acting) = match &arguments.file {
        Some(file) => (folder_of(file).to_owned(), become_owner(file, None)?),
        None => {
            let loaded = configuration(arguments.config.clone())?;
            if let Deed::New { .. } = arguments.deed {
                expect_folder(&loaded.place)?;
            }
            let acting = become_owner(&loaded.config.snapshot.file, Some(&loaded.place))?;
            (loaded.config.web.state_folder, acting)
        }
    };
    let done = obey(&arguments.deed, &folder, &caller, Clock::start().wall());
    let text = acting.blame(done)?;
    let mut out = io::stdout().lock();
    let printed = out.write_all(in_lines(&text).as_bytes());
    let printed = printed.and_then(|()| out.flush());
    if matches!(arguments.deed, Deed::New { .. }) {
        return printed.context("the token cannot be printed; revoke it and make another");
    }
    program::printed(printed)
}

/// A scope by its name.
fn scope(text: &str) -> Result<Scope, String> {
    Scope::from_name(text).ok_or_else(|| {
        let names = Scope::ALL.map(Scope::name);
        format!("expected one of {}", names.join(", "))
    })
}

/// The seconds of a lifetime as `90d`: from an hour to ten years.
fn lifetime(text: &str) -> Result<u64, String> {
    let unit = text.chars().next_back();
    let unit = unit.and_then(|unit| SECONDS.iter().find(|(name, _)| *name == unit));
    let seconds = unit.and_then(|(name, seconds)| {
        let number: u64 = text.strip_suffix(*name)?.parse().ok()?;
        number.checked_mul(*seconds)
    });
    seconds
        .filter(|seconds| (1..=MAX_LIFETIME).contains(seconds))
        .ok_or_else(|| "expected a number with h, d or w, as 90d; ten years are the most".into())
}

fn obey(deed: &Deed, folder: &Path, caller: &Caller, now: Wall) -> anyhow::Result<String> {
    let tokens = Tokens::new(folder);
    match deed {
        Deed::New {
            name,
            scope,
            expires,
        } => {
            let new = NewToken {
                name,
                scope: *scope,
                expires: expires.map(|seconds| Wall(now.0 + seconds)),
            };
            let secret = tokens.create(&new, now);
            let secret = secret.context("the token cannot be made")?;
            caller.tell(folder, audit::Deed::TokenMade, &new.in_words());
            Ok(format!("{secret}\n"))
        }
        Deed::List => {
            let listed = tokens.list().context("the tokens cannot be read")?;
            let uses = Uses::load(folder);
            let lines = listed.iter().map(|token| {
                let scope = token.scope.name();
                let end = token.expires.map_or_else(|| "never".to_owned(), moment);
                let mark = if token.has_expired(now) { " !" } else { "" };
                let used = uses.last(token);
                let used = used.map_or_else(|| "never used".to_owned(), moment);
                let (number, name) = (token.number, &token.name);
                format!(
                    "{number:>4}  {scope:<5}  {:<21}  {used:<19}  {name}\n",
                    end + mark
                )
            });
            Ok(lines.collect())
        }
        Deed::Revoke { number } => {
            let revoked = tokens.revoke(*number);
            match revoked.context("the token cannot be revoked")? {
                Some(token) => {
                    caller.tell(folder, audit::Deed::TokenRevoked, &token.name);
                    Ok(String::new())
                }
                None => bail!("there is no token {number}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::Admission;

    fn made(name: &str, scope: Scope, expires: Option<u64>) -> Deed {
        Deed::New {
            name: name.into(),
            scope,
            expires,
        }
    }

    /// W13
    #[test]
    fn a_token_is_made_listed_and_revoked() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let now = Wall(1_795_442_706);
        let obey = |deed: &Deed| obey(deed, folder, &Caller::new(), now);
        let secret = obey(&made("grafana", Scope::Read, Some(90 * 86_400))).unwrap();
        obey(&made("backup", Scope::Admin, None)).unwrap();
        let tokens = Tokens::new(folder);
        let admitted = tokens.admit(secret.trim(), now).unwrap();
        assert!(matches!(admitted, Admission::Token(token) if token.scope == Scope::Read));
        assert_eq!(
            obey(&Deed::List).unwrap(),
            "   1  read   2027-02-21 14:05:06    never used           grafana\n   \
             2  admin  never                  never used           backup\n"
        );
        obey(&Deed::Revoke { number: 1 }).unwrap();
        assert!(obey(&Deed::Revoke { number: 1 }).is_err());
        assert_eq!(tokens.admit(secret.trim(), now).unwrap(), Admission::Nobody);
    }

    /// W12
    #[test]
    fn the_tool_tells_the_audit() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let caller = Caller::new();
        let new = made("graf\u{e4}na", Scope::Block, None);
        obey(&new, folder, &caller, Wall(1)).unwrap();
        obey(&Deed::Revoke { number: 1 }, folder, &caller, Wall(1)).unwrap();
        let (ends, _) = std::sync::mpsc::channel();
        let window = std::time::Duration::from_secs(900);
        let running = audit::start(folder, window, Clock::start(), ends).unwrap();
        let told = running.audit().latest().unwrap();
        running.stop();
        let told: Vec<_> = told
            .iter()
            .map(|entry| (entry.deed, entry.actor, entry.about.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                (
                    audit::Deed::TokenRevoked,
                    audit::Actor::Tool,
                    "graf\u{e4}na"
                ),
                (
                    audit::Deed::TokenMade,
                    audit::Actor::Tool,
                    "graf\u{e4}na (block)"
                ),
            ]
        );
    }

    /// W13
    #[test]
    fn lifetimes_have_a_unit_and_a_bound() {
        for (text, seconds) in [("1h", 3_600), ("90d", 7_776_000), ("2w", 1_209_600)] {
            assert_eq!(lifetime(text), Ok(seconds));
        }
        for odd in [
            "",
            "d",
            "0d",
            "-1d",
            "90",
            "90y",
            "9999999d",
            "99999999999999999999w",
            "\u{44f}",
        ] {
            assert!(lifetime(odd).is_err(), "{odd}");
        }
    }
}
