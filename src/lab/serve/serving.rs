//! What every command that serves a tracker can be told: where it listens, which times it tells, when it ends, how requests are shown.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal};
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;

use super::ends::Ending;
use super::writers::Writers;
use super::{Lab, MAX_SPEED, Options};
use crate::lab::watch::{Form, Watcher};

/// The tracker, and when it ends.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Serving {
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
    pub(super) speed: f64,
    /// The interval that clients are told, in real seconds. Without it: half an hour of the tracker's time.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    interval: Option<u32>,
    /// The min interval that they are told over HTTP, in real seconds, no more than the interval. Without it: nine tenths of the interval.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    min_interval: Option<u32>,
    /// Writes the certificate of the authority of HTTPS there, in PEM; removes it at the end.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) ending: Ending,
}

/// Reads `--http`, `--https` and `--udp`.
fn address(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse().ok();
    address.ok_or_else(|| "an address and a port, as 127.0.0.1:8090 or [::1]:8090".to_owned())
}

/// Reads `--speed`.
fn speed(text: &str) -> Result<f64, String> {
    let speed = text.parse().ok();
    let speed = speed.filter(|speed| (1.0..=MAX_SPEED).contains(speed));
    speed.ok_or_else(|| format!("a number from 1 to {MAX_SPEED}"))
}

impl Serving {
    /// Those of its options that say what the tracker is.
    pub(crate) const OPTIONS: [&str; 11] = [
        "http",
        "https",
        "udp",
        "no_http",
        "no_https",
        "no_udp",
        "no_v6",
        "speed",
        "interval",
        "min_interval",
        "ca_file",
    ];

    /// What the tracker is to be.
    pub(crate) fn options(&self) -> Options {
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
}

/// How requests are shown, by those commands that show them.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Showing {
    /// Tells in JSON, one object a line.
    #[arg(long)]
    pub(super) json: bool,
    /// Shows every parameter raw and read, every header, and each connection.
    #[arg(long)]
    all: bool,
    /// Writes every request there as it comes, in JSON, one object a line.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

impl Showing {
    /// How they are shown on standard output.
    pub(super) fn form(&self) -> Form {
        if self.json {
            return Form::Json;
        }
        let wants_none = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Form::Lines {
            has_colour: io::stdout().is_terminal() && !wants_none,
            has_all: self.all,
        }
    }

    /// Begins to write them to the file, if there is to be one.
    ///
    /// # Errors
    /// When the file cannot be written, or the system gives no thread.
    pub(super) fn keep(&self, lab: &Lab, writers: &mut Writers) -> anyhow::Result<()> {
        let Some(path) = &self.to else {
            return Ok(());
        };
        let place = path.display().to_string();
        let mut file = BufWriter::new(File::create(path).with_context(|| place.clone())?);
        let events = lab.events();
        writers.begin(move || {
            let mut watcher = Watcher::new(Form::Json);
            watcher.show_all(&events, &mut file).context(place)
        })?;
        Ok(())
    }
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
