//! `retracker-lab acid`: runs the scenarios of misbehaviour against clients, each started by a command, and tells which behave. What it
//! starts it ends; what it cannot see from outside it says so.

mod client;
pub(crate) mod listeners;
mod table;
#[cfg(test)]
mod tests;
pub mod torrent;
mod trial;
mod verdict;

use std::collections::VecDeque;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, bail, ensure};

use crate::clock::Clock;
use crate::lab::judge::Severity;
use crate::lab::launch::Launcher;
use crate::lab::misbehave::catalogue;
use crate::lab::misbehave::scenario::Scenario;
use crate::lab::serve::ends::Ends;
use crate::program;
use client::{Client, PROFILES, Ports};
pub use client::{Farewell, Profile};
use table::Outcome;
use trial::Manner;
use verdict::{Abilities, Verdict};

/// Which clients are tried, and how.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// A client that this program knows how to start; may be given more than once.
    #[arg(long, value_name = "NAME", value_enum)]
    client: Vec<Profile>,
    /// All clients that this program knows and that are installed.
    #[arg(long, conflicts_with = "client")]
    all: bool,
    /// The command that starts a client: words and quotes, no shell. `{torrent}` is the file to load, `{folder}` a folder of its own
    /// (also its home), `{port}` where it is to listen; `{{port}}` is `{port}` as it is.
    #[arg(long, value_name = "COMMAND")]
    client_command: Option<String>,
    /// What the table calls the client of --client-command.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "client",
        requires = "client_command"
    )]
    client_name: String,
    /// The signal on which the client of --client-command leaves in order.
    #[arg(long, value_enum, default_value = "term", requires = "client_command")]
    farewell: Farewell,
    /// Only this scenario (and the controls); may be given more than once. `misbehave --list` tells all.
    #[arg(long, value_name = "NAME", value_parser = catalogue::known)]
    scenario: Vec<String>,
    /// Trials at a time.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u8).range(1..=64))]
    jobs: u8,
    /// Waits so many times as long for what should come; for machines that are busy.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=60))]
    patience: u32,
    /// Where the peers listen that answers tell of: addresses of this machine, one of each family at most. Some clients take no peers
    /// on loopback.
    #[arg(long, value_name = "ADDRESS", default_values_t = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)])]
    peer_address: Vec<IpAddr>,
    /// Writes the table and what is behind it there, in Markdown.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Writes all outcomes there, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Keeps the clients' folders in this folder, with their logs and what each tracker heard, for `judge --from`.
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
}

/// What shows whether a client can be judged.
const CONTROLS: [&str; 3] = ["control-http", "control-udp", "control-v6"];

/// Tries the clients, and prints what came of it.
///
/// # Errors
/// When a client went wrong anywhere, broke a rule that weighs `must`, or asked no tracker at all, or nothing could be tried.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let clients = arguments.clients()?;
    let scenarios = arguments.scenarios()?;
    let stop = stop_at_signals().context("signals")?;
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    let seed = u64::from_ne_bytes(seed);
    let folder = match &arguments.keep {
        Some(folder) => folder.clone(),
        None => std::env::temp_dir().join(format!("retracker-acid-{seed:016x}")),
    };
    // Nobody else's to read, or to be in the way of.
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder);
    made.with_context(|| folder.display().to_string())?;
    let folder = folder
        .canonicalize()
        .with_context(|| folder.display().to_string())?;
    let _scratch = arguments.keep.is_none().then(|| Scratch(folder.clone()));
    let manner = Manner {
        folder,
        is_kept: arguments.keep.is_some(),
        launcher: Launcher::of_this_program().context("where this program is")?,
        peer_addresses: arguments.peer_address.clone(),
        patience: arguments.patience,
        grace: trial::GRACE,
        ports: Ports::from_seed(seed),
        stop,
    };
    let trials = clients.len() * scenarios.len();
    let outcomes = try_all(&manner, &clients, scenarios, arguments.jobs.into())?;
    let is_whole = outcomes.len() == trials;
    // Half a table takes no whole one's place.
    if let Some(file) = arguments.markdown.as_ref().filter(|_| is_whole) {
        let day = Clock::start().wall();
        let text = table::markdown(&clients, &outcomes, &arguments.said(), day);
        fs::write(file, text).with_context(|| file.display().to_string())?;
    }
    if let Some(file) = &arguments.json {
        let text = table::json(&clients, &outcomes);
        fs::write(file, text).with_context(|| file.display().to_string())?;
    }
    let mut lines = table::totals(&clients, &outcomes);
    lines.extend(table::rules(&clients, &outcomes));
    program::print(&format!("{}\n", lines.join("\n")))?;
    ensure!(
        is_whole,
        "interrupted: of {trials} trials {} were run, and no Markdown is written",
        outcomes.len()
    );
    ensure_asked(&clients, &outcomes)?;
    let is_wrong = |outcome: &&Outcome| matches!(outcome.whole(), Verdict::Wrong(_));
    let wrong = outcomes.iter().filter(is_wrong).count();
    let is_grave = |outcome: &&Outcome| outcome.worst() == Some(Severity::Must);
    let grave = outcomes.iter().filter(is_grave).count();
    ensure!(
        wrong == 0 && grave == 0,
        "of {} trials wrong: {wrong}; a rule that weighs `must` broken in: {grave}",
        outcomes.len()
    );
    Ok(())
}

/// Set at the first signal to end: trials end then, with all that they have started.
fn stop_at_signals() -> std::io::Result<Arc<AtomicBool>> {
    let ends = Ends::of_signals()?;
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            // Where the system does not let it wait, no signal would end it.
            drop(ends.wait());
            told.store(true, Ordering::Relaxed);
        })?;
    Ok(stop)
}

/// The folder of all trials, which goes with them.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        trial::clear(&self.0);
    }
}

impl Arguments {
    fn clients(&self) -> anyhow::Result<Vec<Client>> {
        let mut clients = Vec::new();
        if let Some(command) = &self.client_command {
            clients.push(Client::of_command(
                &self.client_name,
                command,
                self.farewell,
            )?);
        }
        for profile in &self.client {
            let client = Client::of_profile(*profile);
            clients.push(client.with_context(|| format!("not installed: {}", profile.package()))?);
        }
        if self.all {
            clients.extend(PROFILES.into_iter().filter_map(Client::of_profile));
        }
        if clients.is_empty() {
            bail!("no client: --client-command, --client or --all says which");
        }
        Ok(clients)
    }

    /// Those that are wanted, and the controls that they need.
    fn scenarios(&self) -> anyhow::Result<Vec<Scenario>> {
        if self.scenario.is_empty() {
            return Ok(catalogue::all()?);
        }
        let wanted = self.scenario.iter().map(|name| catalogue::named(name));
        let mut wanted = wanted.collect::<anyhow::Result<Vec<Scenario>>>()?;
        for control in CONTROLS {
            let control = catalogue::named(control)?;
            let is_needed = match control.name.as_str() {
                "control-udp" => wanted
                    .iter()
                    .any(|one| one.has(crate::lab::exchange::Transport::Udp)),
                "control-v6" => wanted.iter().any(Scenario::is_of_v6),
                _ => true,
            };
            if is_needed && !wanted.iter().any(|one| one.name == control.name) {
                wanted.push(control);
            }
        }
        Ok(wanted)
    }

    /// The command line, as far as it decides what comes out.
    fn said(&self) -> String {
        let mut words = vec!["retracker-lab acid".to_owned()];
        if self.all {
            words.push("--all".to_owned());
        }
        for address in &self.peer_address {
            if !address.is_loopback() {
                words.push(format!("--peer-address {address}"));
            }
        }
        if self.patience > 1 {
            words.push(format!("--patience {}", self.patience));
        }
        words.push("--markdown docs/CLIENTS.md".to_owned());
        words.join(" ")
    }
}

/// Of a client that asked no tracker in any trial nothing is known, which is no success.
fn ensure_asked(clients: &[Client], outcomes: &[Outcome]) -> anyhow::Result<()> {
    for client in clients {
        let mut its = outcomes.iter().filter(|one| one.client == client.name);
        ensure!(
            its.any(|outcome| outcome.counts[0] + outcome.counts[1] > 0),
            "{} asked no tracker in any trial: nothing is known of it",
            client.name
        );
    }
    Ok(())
}

/// Controls first, for all clients; then the rest, so many at a time. Where all is to end before, what has been run by then.
fn try_all(
    manner: &Manner,
    clients: &[Client],
    scenarios: Vec<Scenario>,
    jobs: usize,
) -> anyhow::Result<Vec<Outcome>> {
    let is_control = |scenario: &Scenario| CONTROLS.contains(&scenario.name.as_str());
    let (controls, others): (Vec<Scenario>, Vec<Scenario>) =
        scenarios.into_iter().partition(is_control);
    let mut outcomes = side_by_side(manner, clients, &controls, jobs, |_| Abilities::ALL)?;
    let shown = outcomes.clone();
    let can = |client: &Client| {
        let right = |name: &str| {
            let mut shown = shown.iter();
            shown
                .find(|outcome| outcome.client == client.name && outcome.scenario.name == name)
                .is_some_and(|outcome| {
                    outcome
                        .verdicts
                        .first()
                        .is_some_and(|(_, first)| *first == Verdict::Right)
                })
        };
        let asks_over_udp = shown
            .iter()
            .filter(|outcome| outcome.client == client.name && outcome.scenario.name == CONTROLS[1])
            .all(|outcome| outcome.counts[0] > 0);
        Abilities {
            speaks_udp: asks_over_udp,
            connects: right(CONTROLS[0]),
            connects_v6: right(CONTROLS[2]),
        }
    };
    outcomes.extend(side_by_side(manner, clients, &others, jobs, can)?);
    Ok(outcomes)
}

fn side_by_side(
    manner: &Manner,
    clients: &[Client],
    scenarios: &[Scenario],
    jobs: usize,
    can: impl Fn(&Client) -> Abilities + Sync,
) -> anyhow::Result<Vec<Outcome>> {
    let pairs = scenarios
        .iter()
        .flat_map(|scenario| clients.iter().map(move |client| (client, scenario)));
    let mut pairs: Vec<(&Client, &Scenario)> = pairs.collect();
    // The long ones first, so that the others run beside them.
    pairs.sort_by_key(|(_, scenario)| std::cmp::Reverse(scenario.seconds));
    let queue = Mutex::new(VecDeque::from(pairs));
    let done = Mutex::new(Vec::new());
    thread::scope(|threads| {
        for _ in 0..jobs {
            threads.spawn(|| {
                loop {
                    let next = queue
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .pop_front();
                    let Some((client, scenario)) = next else {
                        return;
                    };
                    if manner.stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let outcome = manner
                        .run(client, scenario, can(client))
                        .with_context(|| format!("{}, {}", client.name, scenario.name));
                    match &outcome {
                        Ok(outcome) => drop(tell(outcome)),
                        Err(error) if is_interruption(error) => {}
                        // Nothing that is the client's matter: the others would fail the same way.
                        Err(_) => manner.stop.store(true, Ordering::Relaxed),
                    }
                    done.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(outcome);
                }
            });
        }
    });
    let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (mut outcomes, mut errors) = (Vec::new(), Vec::new());
    for outcome in done {
        match outcome {
            Ok(outcome) => outcomes.push(outcome),
            Err(error) => errors.push(error),
        }
    }
    // The first fault stops the others, which say no more than that.
    match errors.into_iter().find(|error| !is_interruption(error)) {
        None => Ok(outcomes),
        Some(error) => Err(error),
    }
}

fn is_interruption(error: &anyhow::Error) -> bool {
    error.root_cause().to_string() == trial::INTERRUPTED
}

/// A line as soon as it is known.
fn tell(outcome: &Outcome) -> anyhow::Result<()> {
    let words = match outcome.whole() {
        Verdict::Right => "right".to_owned(),
        Verdict::Wrong(how) => format!("WRONG     {how}"),
        Verdict::Unseen(why) => format!("not seen  {why}"),
    };
    let (client, name) = (&outcome.client, &outcome.scenario.name);
    program::print(&format!("{client:<14}{name:<32}{words}\n"))
}
