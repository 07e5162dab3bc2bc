//! `retracker-lab judge`: a tracker of the laboratory for one client, and a report of what the client did.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::Signal;

use super::recording;
use super::{Hearing, Options, Place, Report, Rule, Severity};
use crate::lab::launch::Launcher;
use crate::lab::misbehave::{Stand, catalogue, script_of};
use crate::lab::placeholders;
use crate::lab::process::{self, Process};
use crate::lab::serve::ca_file::CaFile;
use crate::lab::serve::ends::Ends;
use crate::lab::serve::serving::Serving;
use crate::lab::serve::writers::Missed;
use crate::lab::serve::{self, Events, Lab};
use crate::program;

/// The exit code when a rule that weighs `must` was broken, or with `--strict` one that weighs `should`.
pub const RULES_BROKEN: u8 = 3;

/// How often is looked whether the client has ended.
const LOOK: Duration = Duration::from_millis(50);
/// How long is waited for what a client that has ended sent last.
const LAST_WORDS: Duration = Duration::from_millis(300);
/// How long a client may take to end when it is asked to; then it is killed.
const FAREWELL: Duration = Duration::from_secs(30);

/// What is judged, and how the report is told.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    serving: Serving,
    /// Ends after so many seconds; a client that was started is asked to end then.
    #[arg(long = "for", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=604_800))]
    seconds: Option<u64>,
    /// The size of the torrent in bytes, to judge `left` by.
    #[arg(long, value_name = "BYTES")]
    size: Option<u64>,
    /// Announce URLs of one tier of the torrent, separated by commas, one option for each tier, to judge by BEP 12.
    #[arg(long = "tier", value_name = "URLS")]
    tiers: Vec<String>,
    /// The client can reach the tracker over IPv4 and IPv6, and is expected to.
    #[arg(long)]
    both_families: bool,
    /// The report as JSON; without it Markdown.
    #[arg(long)]
    json: bool,
    /// Writes the report there, not to standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Rules that weigh `should` count for the exit code too.
    #[arg(long)]
    strict: bool,
    /// Keeps all that happened there, for `--from`.
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    record: Option<PathBuf>,
    /// Judges what was recorded there, and serves nothing.
    #[arg(long, value_name = "FILE", conflicts_with_all = Serving::OPTIONS, conflicts_with_all = ["seconds", "command"])]
    from: Option<PathBuf>,
    /// Misbehaves as this scenario says, and judges beside it; `misbehave --list` tells all.
    #[arg(long, value_name = "NAME", value_parser = catalogue::known, conflicts_with = "from")]
    scenario: Option<String>,
    /// Misbehaves as a script of your own says.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["scenario", "from"])]
    script: Option<PathBuf>,
    /// Prints the rules as a table, and ends.
    #[arg(long)]
    rules: bool,
    /// The client: it is started, and the report comes when it has ended. `{http}`, `{https}`, `{udp}` in it, with a 6 behind for IPv6
    /// (`{http6}`), are announce URLs, and so are `RETRACKER_HTTP`, `RETRACKER_HTTP6` and so on in its environment; `{{http}}` is `{http}` as it is.
    /// Without a client the report comes on SIGINT, SIGTERM, or with the end of the program that started this one.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Serves, watches, and prints the report.
///
/// # Errors
/// Addresses cannot be had, the client cannot be started, or a file cannot be read or written.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if arguments.rules {
        program::print(&Rule::table())?;
        return Ok(ExitCode::SUCCESS);
    }
    let report = match &arguments.from {
        Some(file) => recording::judge(file, &arguments.options()?)?,
        None => arguments.judge_live()?,
    };
    let text = if arguments.json {
        format!("{:#}\n", report.to_json())
    } else {
        report.to_markdown()
    };
    match &arguments.output {
        Some(file) => std::fs::write(file, text)
            .with_context(|| format!("cannot write {}", file.display()))?,
        None => program::print(&text)?,
    }
    if let Some(end) = &report.client_end {
        say(&format!("the client ended with {end}"));
    }
    if report.requests == 0 {
        say("no request came: nothing is known of the client");
        return Ok(ExitCode::FAILURE);
    }
    let gravest = if arguments.strict {
        Severity::Should
    } else {
        Severity::Must
    };
    Ok(match report.worst() {
        Some(worst) if worst >= gravest => ExitCode::from(RULES_BROKEN),
        _ => ExitCode::SUCCESS,
    })
}

impl Arguments {
    fn options(&self) -> anyhow::Result<Options> {
        let mut tiers = Vec::new();
        for tier in &self.tiers {
            let places = tier.split(',').map(|url| {
                Place::of_url(url.trim()).with_context(|| {
                    format!("{url}: no announce URL with an address of numbers and a port")
                })
            });
            tiers.push(places.collect::<anyhow::Result<Vec<Place>>>()?);
        }
        Ok(Options {
            tiers,
            size: self.size,
            has_both_families: self.both_families,
            trackers: Vec::new(),
        })
    }

    fn judge_live(&self) -> anyhow::Result<Report> {
        let ends = self.serving.ending.watch()?;
        let script = script_of(self.scenario.as_deref(), self.script.as_deref())?;
        let (stand, honest);
        let lab = match script {
            Some((scenario, script)) => {
                let options = self.serving.options();
                stand = Stand::set(script, scenario, options).context("cannot serve")?;
                let words = [stand.played.words(), stand.played.peers()].concat();
                words.iter().for_each(|words| say(words));
                &stand.lab
            }
            None => {
                honest = Lab::start(self.serving.options()).context("cannot serve")?;
                &honest
            }
        };
        let _authority = CaFile::write(self.serving.ca_file.as_deref(), lab)?;
        let events = lab.events();
        let mut judged = self.options()?;
        judged.trackers = lab.urls().iter().map(|url| url.address).collect();
        let mut hearing = Hearing::begin(judged, self.record.as_deref())?;
        let urls: Vec<String> = lab.urls().iter().map(ToString::to_string).collect();
        say(&format!("announce to {}", urls.join(" ")));
        let end = self.watch(&mut hearing, lab, &events, &ends)?;
        let until = lab.now().real + LAST_WORDS;
        while lab.now().real < until && !ends.is_urgent() {
            hear(&mut hearing, &events, LOOK)?;
        }
        let missed = Missed::of(lab).words();
        missed.iter().for_each(|words| say(words));
        hearing.end(lab.now().real, end.is_orderly(), end.words())
    }

    /// Watches until the client has ended, or the time is over, or this is to end; how the client has ended.
    fn watch(
        &self,
        hearing: &mut Hearing,
        lab: &Lab,
        events: &Events,
        ends: &Ends,
    ) -> anyhow::Result<ClientEnd> {
        let end = self.seconds.map(Duration::from_secs);
        let mut client = self.start(lab)?;
        loop {
            hear(hearing, events, LOOK)?;
            if let Some(client) = &mut client
                && let Some(status) = client.ended()
            {
                if client.gone().is_some() {
                    return Ok(ClientEnd::ByItself(status));
                }
                // A wrapper has ended, and left others behind.
                return Ok(match dismiss(hearing, client, lab, events, ends)? {
                    ClientEnd::Dismissed => ClientEnd::ByItself(status),
                    end => end,
                });
            }
            let now = lab.now().real;
            if ends.have_come()? || end.is_some_and(|end| now >= end) {
                return match &mut client {
                    Some(client) => dismiss(hearing, client, lab, events, ends),
                    None => Ok(ClientEnd::Unknown),
                };
            }
        }
    }

    fn start(&self, lab: &Lab) -> anyhow::Result<Option<Process>> {
        let Some((program, rest)) = self.command.split_first() else {
            return Ok(None);
        };
        let mut named = Vec::new();
        for url in lab.urls() {
            let family = if url.address.is_ipv6() { "6" } else { "" };
            named.push((format!("{}{family}", url.transport), url.to_string()));
        }
        let values: Vec<(&str, &str)> = named
            .iter()
            .map(|(name, url)| (name.as_str(), url.as_str()))
            .collect();
        let filled = |word: &String| placeholders::fill(word, &values);
        let variables = named
            .iter()
            .map(|(name, url)| (format!("RETRACKER_{}", name.to_uppercase()), url));
        let program = filled(program)?;
        let rest: Vec<String> = rest.iter().map(filled).collect::<anyhow::Result<_>>()?;
        let mut command = Launcher::of_this_program()?
            .command(&program)
            .with_context(|| format!("cannot start {program}"))?;
        command.args(rest).envs(variables);
        // Standard output is the report's.
        command.stdout(io::stderr());
        // Who is not of the terminal's process group is stopped when it reads from there.
        if self.serving.ending.until_stdin_closes || io::stdin().is_terminal() {
            command.stdin(Stdio::null());
        }
        if let Some(pem) = lab.ca_pem() {
            command.env("RETRACKER_CA_PEM", pem);
        }
        let client = Process::start(command).with_context(|| format!("cannot start {program}"))?;
        Ok(Some(client))
    }
}

/// How a client ended.
enum ClientEnd {
    /// Before it was asked to.
    ByItself(ExitStatus),
    /// When it was asked to.
    Dismissed,
    /// None was started, or it had to be killed.
    Unknown,
}

impl ClientEnd {
    /// Whether it had its time to say what it should have said by then.
    fn is_orderly(&self) -> bool {
        !matches!(self, ClientEnd::Unknown)
    }

    /// In words, where it ended by itself and not with status 0.
    fn words(&self) -> Option<String> {
        let ClientEnd::ByItself(status) = self else {
            return None;
        };
        process::fault_of(*status)
    }
}

/// Hears what has happened, and waits a while for more.
fn hear(hearing: &mut Hearing, events: &Events, wait: Duration) -> anyhow::Result<()> {
    match events.recv_timeout(wait) {
        Ok(event) => hearing.hear(&event)?,
        Err(RecvTimeoutError::Timeout) => {}
        Err(RecvTimeoutError::Disconnected) => bail!("the laboratory has ended"),
    }
    for event in events.try_iter().take(serve::MAX_WAITING_EVENTS) {
        hearing.hear(&event)?;
    }
    Ok(())
}

/// Asks a client to end, with all that it has started, and kills it where it does not, or a second signal comes; how it ended.
fn dismiss(
    hearing: &mut Hearing,
    client: &mut Process,
    lab: &Lab,
    events: &Events,
    ends: &Ends,
) -> anyhow::Result<ClientEnd> {
    hearing.dismiss(lab.now().real)?;
    client.tell(Signal::TERM);
    let until = lab.now().real + FAREWELL;
    while lab.now().real < until && !ends.is_urgent() {
        hear(hearing, events, LOOK)?;
        if client.gone().is_some() {
            return Ok(ClientEnd::Dismissed);
        }
    }
    say(if ends.is_urgent() {
        "a second signal: the client is killed"
    } else {
        "the client does not end, and is killed"
    });
    client.tell(Signal::KILL);
    Ok(ClientEnd::Unknown)
}

/// Says something beside the report.
fn say(text: &str) {
    drop(writeln!(io::stderr().lock(), "retracker-lab: {text}"));
}
