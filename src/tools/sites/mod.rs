//! `retracker sites`: tries the engines, and asks the running tracker how the other trackers are, over its own API as any program would.

mod api;
mod table;

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use serde_json::json;

use super::audited::Caller;
use crate::audit;
use crate::clock::{Clock, Wall};
use crate::config::Loaded;
use crate::program;
use crate::regular_file;
use crate::shown::{in_lines, on_one_line};
use crate::sites::{self, Finding, Grade};
use crate::tools::configuration;
use crate::tools::owner::become_owner;
use crate::web::{Admission, NewToken, Scope, Tokens};
use api::Api;

/// The variable that may hold a token.
const VARIABLE: &str = "RETRACKER_TOKEN";

/// How long a token lasts that is made for one call.
const TOKEN_SECONDS: u64 = 60;

/// What is read of a file with a token at most.
const MAX_TOKEN_BYTES: u64 = 4_096;

/// What to ask of the other sites.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Configuration of the tracker; looked for as the tracker does when it is not given, then where the installed service has it.
    #[arg(long, short, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// A file with a token of the API, for status, resend and forget; without it the variable `RETRACKER_TOKEN`, else a token that is
    /// made for this call and revoked after it.
    #[arg(long, value_name = "FILE", global = true)]
    token_file: Option<PathBuf>,
    /// Where the tracker is asked; without it at its first address.
    #[arg(long, value_name = "ADDR", global = true)]
    address: Option<SocketAddr>,
    #[command(subcommand)]
    deed: Deed,
}

#[derive(Debug, clap::Subcommand)]
enum Deed {
    /// Tries every engine of the configuration as the tracker would, and says what is wrong with it.
    Check,
    /// Shows the other trackers and the engines as the running tracker sees them.
    Status {
        /// As JSON, as the API has it.
        #[arg(long)]
        json: bool,
    },
    /// Has the running tracker tell the others everything again.
    Resend,
    /// Has the running tracker drop what it knows from one other tracker only.
    Forget {
        /// What that tracker is called.
        name: String,
    },
}

/// Does it.
///
/// # Errors
/// When the configuration cannot be used, the tracker cannot be asked or refuses, or an engine is not as it should be.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let loaded = configuration(arguments.config.clone())?;
    if let Deed::Check = arguments.deed {
        return check(&loaded);
    }
    let address = match arguments.address {
        Some(address) => address,
        None => first_address(&loaded)?,
    };
    let caller = Caller::new();
    // The file may be the caller's own, and not its that the tools become.
    let given = given_token(arguments)?;
    let acting = become_owner(&loaded.config.snapshot.file, Some(&loaded.place))?;
    let scope = match arguments.deed {
        Deed::Check | Deed::Status { .. } => Scope::Read,
        Deed::Resend | Deed::Forget { .. } => Scope::Admin,
    };
    let token = match given {
        Some(secret) => Token::Given(secret),
        None => {
            let made = Token::make(&loaded, &caller, scope);
            acting.blame(made)?
        }
    };
    let api = Api {
        address,
        token: token.secret(),
    };
    let asked = ask(&api, &arguments.deed);
    token.revoke(&loaded, &caller);
    let text = asked.with_context(|| format!("the tracker at {address}"))?;
    program::printed(io::stdout().lock().write_all(in_lines(&text).as_bytes()))
}

fn ask(api: &Api<'_>, deed: &Deed) -> anyhow::Result<String> {
    match deed {
        Deed::Check => Ok(String::new()),
        Deed::Status { json } => {
            let status = api.get("/api/v1/sites")?;
            if *json {
                return Ok(format!("{status:#}\n"));
            }
            Ok(table::status(&status))
        }
        Deed::Resend => {
            api.post("/api/v1/sites/resend", &json!({}))?;
            Ok("everything is being told again\n".to_owned())
        }
        Deed::Forget { name } => {
            let told = api.post("/api/v1/sites/forget", &json!({ "name": name }))?;
            let peers = told.get("peers").and_then(serde_json::Value::as_u64);
            let peers = peers.context("the reply does not say how many peers")?;
            Ok(format!(
                "{peers} peers that were known from {name} only are dropped\n"
            ))
        }
    }
}

/// Tries the engines.
fn check(loaded: &Loaded) -> anyhow::Result<()> {
    let Some(settings) = &loaded.config.sites else {
        bail!("[SITES] engines is empty: this tracker is alone");
    };
    let mut out = io::stdout().lock();
    program::printed(writeln!(
        out,
        "{} of the network {}",
        settings.name, settings.network
    ))?;
    let findings = sites::check(settings, Clock::start());
    let mut about = None;
    for finding in &findings {
        if about != Some(&finding.engine) {
            about = Some(&finding.engine);
            let engine = finding.engine.as_deref().unwrap_or("settings");
            program::printed(writeln!(out, "{engine}"))?;
        }
        program::printed(writeln!(out, "{}", line(finding)))?;
    }
    let bad = findings
        .iter()
        .filter(|finding| finding.grade == Grade::Bad)
        .count();
    ensure!(bad == 0, "{bad} of {} findings are bad", findings.len());
    Ok(())
}

fn line(finding: &Finding) -> String {
    let grade = match finding.grade {
        Grade::Good => "good",
        Grade::Doubtful => "DOUBTFUL",
        Grade::Bad => "BAD",
    };
    // An engine's own words may be anything.
    on_one_line(&format_args!("  {grade}: {}", finding.text))
}

/// The tracker's first address, as it is reached from this machine.
fn first_address(loaded: &Loaded) -> anyhow::Result<SocketAddr> {
    let first = loaded.config.http.listen.first();
    let mut address = *first.context("the tracker listens nowhere")?;
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    ensure!(
        address.port() != 0,
        "the configuration does not say at which port; give --address"
    );
    Ok(address)
}

/// The token that the caller has.
fn given_token(arguments: &Arguments) -> anyhow::Result<Option<String>> {
    let text = match &arguments.token_file {
        Some(file) => {
            let bytes = regular_file::read(file, MAX_TOKEN_BYTES);
            let bytes = bytes.with_context(|| file.display().to_string())?;
            String::from_utf8(bytes).context("the file holds no token")?
        }
        None => match std::env::var(VARIABLE) {
            Ok(text) => text,
            Err(_) => return Ok(None),
        },
    };
    let token = text.trim();
    let is_plain = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    ensure!(is_plain, "that is no token");
    Ok(Some(token.to_owned()))
}

/// What the API is asked with.
enum Token {
    Given(String),
    /// Made for this call.
    Made(String),
}

/// The name of a token that is made for one call.
const MADE: &str = "retracker sites";

impl Token {
    /// Makes one that lasts for a moment, in the folder of the tracker's state.
    fn make(loaded: &Loaded, caller: &Caller, scope: Scope) -> anyhow::Result<Token> {
        let folder = &loaded.config.web.state_folder;
        let now = Clock::start().wall();
        let new = NewToken {
            name: MADE,
            scope,
            expires: Some(Wall(now.0.saturating_add(TOKEN_SECONDS))),
        };
        let secret = Tokens::new(folder).create(&new, now);
        let secret = secret.with_context(|| {
            format!(
                "no token can be made for this call; give one with --token-file or in {VARIABLE}"
            )
        })?;
        caller.tell(folder, audit::Deed::TokenMade, &new.in_words());
        Ok(Token::Made(secret))
    }

    fn secret(&self) -> &str {
        match self {
            Token::Given(secret) | Token::Made(secret) => secret,
        }
    }

    /// Revokes it, if it was made for this call. One that cannot be revoked ends within a minute.
    fn revoke(&self, loaded: &Loaded, caller: &Caller) {
        let Token::Made(secret) = self else { return };
        let folder = &loaded.config.web.state_folder;
        let tokens = Tokens::new(folder);
        let now = Clock::start().wall();
        let revoked = match tokens.admit(secret, now) {
            Ok(Admission::Token(token)) => tokens.revoke(token.number),
            Ok(_) => Ok(None),
            Err(error) => Err(error.into()),
        };
        match revoked {
            Ok(Some(token)) => caller.tell(folder, audit::Deed::TokenRevoked, &token.name),
            Ok(None) => {}
            Err(error) => log::warn!("the token is not revoked: {error}"),
        }
    }
}
