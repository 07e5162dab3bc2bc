//! `retracker-lab serve` and `watch`: the laboratory's tracker as a program.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::ca_file::CaFile;
use super::ends::Ending;
use super::writers::Writers;
use super::{Lab, MAX_SPEED, Options};
use crate::lab::exchange::Transport;
use crate::lab::watch::{Form, Watcher};
use crate::program;

/// What is served, and how it is shown.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Listens there for HTTP; more than once for several. Port 0: any free one.
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = address, default_values = ["127.0.0.1:0", "[::1]:0"])]
    http: Vec<SocketAddr>,
    /// Listens there for HTTPS, with a certificate of a throw-away authority.
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = address, default_values = ["127.0.0.1:0", "[::1]:0"])]
    https: Vec<SocketAddr>,
    /// Listens there for UDP.
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = address, default_values = ["127.0.0.1:0", "[::1]:0"])]
    udp: Vec<SocketAddr>,
    /// Without HTTP.
    #[arg(long, conflicts_with = "http")]
    no_http: bool,
    /// Without HTTPS.
    #[arg(long, conflicts_with = "https")]
    no_https: bool,
    /// Without UDP.
    #[arg(long, conflicts_with = "udp")]
    no_udp: bool,
    /// Without v6.
    #[arg(long)]
    no_v6: bool,
    /// How many times as fast the tracker's time runs: with 60 an hour passes in a minute. Clients are told intervals of real time.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = speed)]
    speed: f64,
    /// The interval that clients are told, in real seconds. Without it: half an hour of the tracker's time.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    interval: Option<u32>,
    /// The min interval that they are told over HTTP, in real seconds. Without it: nine tenths of the interval.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=86_400))]
    min_interval: Option<u32>,
    /// Writes the certificate of the authority there, in PEM; removes it at the end.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Tells in JSON, one object a line.
    #[arg(long)]
    json: bool,
    /// Shows every request as it comes.
    #[arg(long)]
    watch: bool,
    /// Shows every parameter raw and read, every header, and each connection.
    #[arg(long)]
    all: bool,
    /// Writes every request there as it comes, in JSON, one object a line.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    #[command(flatten)]
    ending: Ending,
}

/// Reads `--http`, `--https` and `--udp`.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse().ok();
    address.ok_or_else(|| "an address and a port, as 127.0.0.1:8090 or [::1]:8090".to_owned())
}

/// Reads `--speed`.
pub(crate) fn speed(text: &str) -> Result<f64, String> {
    let speed = text.parse().ok();
    let speed = speed.filter(|speed| (1.0..=MAX_SPEED).contains(speed));
    speed.ok_or_else(|| format!("a number from 1 to {MAX_SPEED}"))
}

impl Arguments {
    /// The same, showing every request: `retracker-lab watch`.
    #[must_use]
    pub fn watching(self) -> Arguments {
        Arguments {
            watch: true,
            ..self
        }
    }

    /// What the tracker is to be.
    fn options(&self) -> Options {
        let kept = |addresses: &[SocketAddr], is_left_out: bool| {
            let kept = addresses.iter().copied();
            kept.filter(|address| !(is_left_out || self.no_v6 && address.is_ipv6()))
                .collect()
        };
        Options {
            http: kept(&self.http, self.no_http),
            https: kept(&self.https, self.no_https),
            udp: kept(&self.udp, self.no_udp),
            speed: self.speed,
            interval: self.interval,
            min_interval: self.min_interval,
            ..Options::default()
        }
    }

    /// How requests are shown on standard output.
    fn form(&self) -> Form {
        if self.json {
            return Form::Json;
        }
        let wants_none = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Form::Lines {
            has_colour: io::stdout().is_terminal() && !wants_none,
            has_all: self.all,
        }
    }
}

/// Serves until it is to end: at a signal, with the program that started this one, when standard input closes if that was asked for, or
/// when nobody reads what is shown.
///
/// # Errors
/// When it cannot listen as it was told to, or a file cannot be written.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut ends = arguments.ending.watch()?;
    let lab = Lab::start(arguments.options())?;
    let authority = CaFile::write(arguments.ca_file.as_deref(), &lab)?;
    let mut writers = Writers::new(ends.take_end());
    if let Some(path) = &arguments.to {
        let place = path.display().to_string();
        let mut file = BufWriter::new(File::create(path).with_context(|| place.clone())?);
        let events = lab.events();
        writers.begin(move || {
            let mut watcher = Watcher::new(Form::Json);
            watcher.show_all(&events, &mut file).context(place)
        })?;
    }
    // Before anybody knows where to announce to.
    let shown = arguments.watch.then(|| lab.events());
    let ready = if arguments.json {
        ready_json(&lab, arguments)
    } else {
        ready_lines(&lab, &authority)
    };
    program::print(&ready)?;
    if let Some(events) = shown {
        let mut watcher = Watcher::new(arguments.form());
        writers.begin(move || program::printed(watcher.show_all(&events, &mut io::stdout())))?;
    }
    ends.wait()?;
    let lost = lab.lost_events();
    drop(lab);
    writers.finish(lost)
}

/// What is told when all listen.
#[derive(serde::Serialize)]
struct Ready<'a> {
    kind: &'static str,
    version: &'static str,
    pid: u32,
    http: Option<String>,
    https: Option<String>,
    udp: Option<String>,
    urls: Vec<ReadyUrl>,
    left_out: Vec<String>,
    ca_file: Option<&'a Path>,
    ca_pem: Option<&'a str>,
    speed: f64,
}

#[derive(serde::Serialize)]
struct ReadyUrl {
    transport: String,
    family: &'static str,
    url: String,
}

fn ready_json(lab: &Lab, arguments: &Arguments) -> String {
    let urls = lab.urls().iter().map(|url| ReadyUrl {
        transport: url.transport.to_string(),
        family: if url.address.is_ipv4() { "v4" } else { "v6" },
        url: url.to_string(),
    });
    let ready = Ready {
        kind: "ready",
        version: env!("CARGO_PKG_VERSION"),
        pid: std::process::id(),
        http: lab.url(Transport::Http),
        https: lab.url(Transport::Https),
        udp: lab.url(Transport::Udp),
        urls: urls.collect(),
        left_out: lab.left_out().iter().map(ToString::to_string).collect(),
        ca_file: arguments
            .ca_file
            .as_deref()
            .filter(|_| lab.ca_pem().is_some()),
        ca_pem: lab.ca_pem(),
        speed: arguments.speed,
    };
    // Texts and numbers can always be written.
    serde_json::to_string(&ready).map_or_else(|_| String::new(), |json| json + "\n")
}

fn ready_lines(lab: &Lab, authority: &CaFile) -> String {
    let mut lines = Vec::new();
    for url in lab.urls() {
        lines.push(format!("{:5}  {url}", url.transport.to_string()));
    }
    for address in lab.left_out() {
        lines.push(format!("       not on {address}: this machine has no v6"));
    }
    if let Some(path) = authority.path() {
        lines.push(format!(
            "       https is believed by who knows the authority in {}",
            path.display()
        ));
    } else if lab.ca_pem().is_some() {
        lines.push(
            "       https is of a throw-away authority; --ca-file FILE writes its certificate"
                .to_owned(),
        );
    }
    let is_open = |url: &super::Url| !url.address.ip().is_loopback();
    if lab.urls().iter().any(is_open) {
        lines.push(
            "       other machines reach it: it is a tracker for tests, open to anybody".to_owned(),
        );
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_none_is_told_what_one_is() {
        assert_eq!(address("[::1]:0"), Ok("[::1]:0".parse().unwrap()));
        for wrong in ["80", "127.0.0.1", "::1:80", "localhost:80", ""] {
            let error = address(wrong).unwrap_err();
            assert!(error.contains("127.0.0.1:8090"), "{wrong}: {error}");
        }
    }
}
