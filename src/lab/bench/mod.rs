//! `retracker-lab bench`: a load generator for trackers over HTTP, HTTPS and UDP, on one thread.
//!
//! It plays a population of peers (see [`load`]), checks every reply, and reports rate, latency and what the server spent.
//! It talks to loopback addresses only, unless it is told otherwise, and always stops by itself.

mod batches;
mod datagram;
mod http;
mod load;
mod measure;
mod reply;
mod report;
mod target;
mod tls;
mod udp;
mod wording;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::clock::Clock;
use load::{Load, Shape};
use measure::{Expense, Phase, Process, Tally};
use report::Report;
use target::{Protocol, Target};
use tls::Tls;
use wording::Manner;

/// What is sent where, for how long.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Trackers to load, one after another: `http://127.0.0.1:8080/announce`, `https://127.0.0.1:8443/announce` or
    /// `udp://127.0.0.1:8080`.
    #[arg(required_unless_present = "hashes", value_name = "URL")]
    urls: Vec<String>,
    /// Writes the info hashes of the torrents there first, in hexadecimal, one a line: for trackers that want a list.
    #[arg(long, value_name = "FILE")]
    hashes: Option<PathBuf>,
    /// Requests in flight: connections over HTTP, datagrams over UDP.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=20_000))]
    connections: u16,
    /// HTTP: open a connection for every request, as libtorrent does.
    #[arg(long)]
    close: bool,
    /// HTTPS: a file of authorities in PEM, one of which has signed the tracker's certificate.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// HTTPS: every connection begins anew, as of a client that keeps no session.
    #[arg(long)]
    no_resumption: bool,
    /// HTTP: does not offer gzip, for trackers that would compress and chunk what is small.
    #[arg(long)]
    plain: bool,
    /// Seconds of measuring, at most.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    seconds: u32,
    /// Requests while measuring, at most; 0 for no such limit.
    #[arg(long, default_value_t = 0)]
    requests: u64,
    /// Requests per second, at most; latency then counts from when each was due. 0: as fast as it goes.
    #[arg(long, default_value_t = 0)]
    rate: u32,
    /// Torrents announced.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    torrents: u32,
    /// Bytes at the start of all info hashes that are the same, as somebody chooses them who wants them in one place.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=16))]
    alike: u8,
    /// Peers that announce; before measuring each does once.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=20_000_000))]
    peers: u32,
    /// Exponent of a Zipf distribution of the peers over the torrents; 0 spreads them evenly.
    #[arg(long, default_value_t = 0.0)]
    zipf: f64,
    /// Percentage of the peers that seed.
    #[arg(long, default_value_t = 75, value_parser = clap::value_parser!(u32).range(0..=100))]
    seeders: u32,
    /// Peers asked for in each announce.
    #[arg(long, default_value_t = 50)]
    numwant: u32,
    /// Percentage of the requests that are scrapes.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
    scrapes: u32,
    /// UDP: percentage of the requests that are connects, beside those that are needed.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
    connects: u32,
    /// Source addresses (127.1.0.1 and on; only towards v4 loopback, and over HTTP at most one per connection kept alive).
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65_000))]
    sources: u32,
    /// Spreads the source addresses over so many /16 networks: 127.1.0.0/16, 127.2.0.0/16 and on.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=200))]
    zones: u32,
    /// Sends regular announces only, instead of whole lives from `started` to `stopped`.
    #[arg(long)]
    regular: bool,
    /// Does not announce every peer before measuring; each is then found anywhere in its life.
    #[arg(long)]
    cold: bool,
    /// Also checks that no reply tells of more peers than this generator has announced. For a tracker that nobody else uses.
    #[arg(long)]
    exact: bool,
    /// The server only echoes datagrams: expects each back as it was sent.
    #[arg(long)]
    echo: bool,
    /// Process of the server: reports the CPU time it spent and the memory it has. Of several, as with a proxy in front, all together.
    #[arg(long)]
    pid: Vec<u32>,
    /// Seed of every choice.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Prints one JSON object per URL.
    #[arg(long)]
    json: bool,
    /// Lets addresses other than loopback be loaded. Only your own servers.
    #[arg(long)]
    allow_remote: bool,
}

impl Arguments {
    /// The population, dealt to lanes from source addresses.
    fn shape(&self, lanes: usize, sources: usize) -> Shape {
        Shape {
            torrents: self.torrents,
            alike: usize::from(self.alike),
            peers: self.peers,
            zipf: self.zipf,
            seeders: self.seeders,
            num_want: self.numwant,
            scrapes: self.scrapes,
            connects: self.connects,
            is_regular: self.regular,
            lanes,
            sources,
            seed: self.seed,
        }
    }
}

/// Loads each tracker in turn and prints a report of it on standard output.
///
/// # Errors
/// When a target is no tracker's address or is not allowed, when it cannot be reached at all, when any reply was wrong, and
/// when standard output is gone.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if let Some(file) = &arguments.hashes {
        let load = Load::new(&arguments.shape(1, 1));
        fs::write(file, load.hashes()).with_context(|| format!("{}", file.display()))?;
    }
    let mut is_faulty = false;
    for url in &arguments.urls {
        let target = Target::parse(url, arguments.allow_remote)?;
        let report = measure_one(arguments, &target).with_context(|| format!("loading {url}"))?;
        is_faulty |= report.has_faults();
        report.print(arguments.json)?;
    }
    if is_faulty {
        bail!("some requests were not answered as they should be: the figures above are void");
    }
    Ok(())
}

fn measure_one(arguments: &Arguments, target: &Target) -> anyhow::Result<Report> {
    let clock = Clock::start();
    let mut engine = Engine::new(arguments, target)?;
    let (lanes, sources) = engine.lanes();
    let mut load = Load::new(&arguments.shape(lanes, sources));
    let server: Vec<Process> = arguments.pid.iter().copied().map(Process::new).collect();
    let at_start = Expense::of_all(&server)?;

    let mut warm_up = Tally::new()?;
    if !arguments.cold {
        load.announce_everybody();
        let mut phase = Phase::new(&clock, &mut load, &mut warm_up, "warming up");
        phase.is_exact = arguments.exact;
        phase.requests_left = u64::from(arguments.peers);
        engine.run(&mut phase)?;
    }
    let before = Expense::of_all(&server)?;

    let mut tally = Tally::new()?;
    load.live();
    let own_before = Process::own().read()?;
    let mut phase = Phase::new(&clock, &mut load, &mut tally, "measuring");
    phase.is_exact = arguments.exact;
    phase.deadline = clock.elapsed() + Duration::from_secs(u64::from(arguments.seconds));
    phase.pace(arguments.rate);
    if arguments.requests > 0 {
        phase.requests_left = arguments.requests;
    }
    let started = clock.elapsed();
    engine.run(&mut phase)?;
    let took = clock.elapsed().saturating_sub(started);
    let after = Expense::of_all(&server)?;
    let own_after = Process::own().read()?;

    Ok(Report {
        url: target.url.clone(),
        peers_announced: if arguments.cold { 0 } else { arguments.peers },
        warm_up,
        tally,
        took,
        at_start,
        server: before.zip(after),
        own: (own_before, own_after),
    })
}

/// The way to the tracker.
enum Engine {
    Http(Box<http::Engine>),
    Udp(Box<udp::Engine>),
}

impl Engine {
    fn new(arguments: &Arguments, target: &Target) -> anyhow::Result<Engine> {
        let sources = target::Sources::new(arguments.sources, arguments.zones, target.address);
        let tls = match (target.protocol, &arguments.ca) {
            (Protocol::Http | Protocol::Udp, _) => None,
            (Protocol::Https, None) => {
                bail!(
                    "--ca is missing: whose certificates are believed; those of the system are not"
                )
            }
            (Protocol::Https, Some(file)) => {
                Some(Tls::new(file, &target.host, !arguments.no_resumption)?)
            }
        };
        Ok(match target.protocol {
            Protocol::Http | Protocol::Https => Engine::Http(Box::new(http::Engine::new(
                target,
                sources,
                usize::from(arguments.connections),
                Manner {
                    is_closing: arguments.close,
                    takes_gzip: !arguments.plain,
                },
                tls,
            )?)),
            Protocol::Udp => Engine::Udp(Box::new(udp::Engine::new(
                target,
                sources,
                usize::from(arguments.connections),
                arguments.echo,
            )?)),
        })
    }

    /// How many lanes the peers are dealt to, and how many source addresses these share.
    fn lanes(&self) -> (usize, usize) {
        match self {
            Engine::Http(engine) => engine.lanes(),
            Engine::Udp(engine) => engine.lanes(),
        }
    }

    fn run(&mut self, phase: &mut Phase<'_>) -> anyhow::Result<()> {
        match self {
            Engine::Http(engine) => engine.run(phase),
            Engine::Udp(engine) => engine.run(phase),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::channel;

    use clap::Parser;

    use super::*;
    use crate::metrics::Metrics;
    use crate::tls::{Acceptor, Certificate, Files};
    use crate::tracker::Tracker;
    use crate::{http, tracker, udp as server};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        bench: Arguments,
    }

    #[test]
    fn a_udp_tracker_is_loaded_in_both_families() {
        let settings = server::Settings {
            listen: vec!["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()],
            workers: 1,
            ..server::Settings::default()
        };
        let bound = server::bind(&settings, Vec::new()).unwrap();
        let addresses = bound.addresses().to_vec();
        let metrics = Arc::new(Metrics::new(bound.threads()));
        let tracker = Arc::new(Tracker::new(tracker::Settings::default(), metrics));
        let (ends, _reports) = channel();
        let running = bound.start(&tracker, Clock::start(), 0, &ends).unwrap();
        for address in addresses {
            let report = loaded(&format!("udp://{address}"), &[]);
            assert!(!report.has_faults(), "{:?}", report.tally);
            assert!(report.tally.announces >= 200, "{:?}", report.tally);
        }
        running.stop();
    }

    /// What loading this URL with these words finds.
    fn loaded(url: &str, words: &[&str]) -> Report {
        let line = [
            &["", "--peers=100", "--torrents=10", "--requests=300"],
            words,
            &[url],
        ];
        let arguments = Line::parse_from(line.concat()).bench;
        let target = Target::parse(url, false).unwrap();
        measure_one(&arguments, &target).unwrap()
    }

    #[test]
    fn a_tracker_is_loaded_over_tls_with_and_without_resumption() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls");
        let read = |name: &str| fs::read(format!("{folder}/{name}")).unwrap();
        let files = Files {
            certificate: "one.pem".into(),
            key: "one.key".into(),
        };
        let certificate = Certificate::read(files, &read("one.pem"), &read("one.key")).unwrap();
        let any = "127.0.0.1:0".parse().unwrap();
        let settings = http::Settings {
            listen: vec![any],
            workers: 1,
            tls: http::TlsSettings {
                listen: vec![any],
                ..http::TlsSettings::default()
            },
            ..http::Settings::default()
        };
        let (ends, _reports) = channel();
        let tracker = Tracker::new(tracker::Settings::default(), Arc::new(Metrics::new(1)));
        let running = http::bind(&settings, Vec::new())
            .unwrap()
            .with_tls(
                &settings,
                Vec::new(),
                Acceptor::new(vec![certificate]).unwrap(),
            )
            .unwrap()
            .start(&Arc::new(tracker), Clock::start(), None, &ends)
            .unwrap();
        let url = format!("https://{}", running.tls_addresses()[0]);
        let ca = format!("--ca={folder}/authority.pem");
        let found = |words: &[&str]| {
            let report = loaded(&url, &[&[ca.as_str(), "--connections=4"], words].concat());
            assert!(!report.has_faults(), "{:?}", report.tally);
            assert!(report.tally.announces >= 200, "{:?}", report.tally);
            let warm_up = report.warm_up;
            let whole = warm_up.handshakes + report.tally.handshakes;
            (whole, warm_up.resumed + report.tally.resumed)
        };
        assert_eq!(found(&[]), (4, 0));
        let (whole, resumed) = found(&["--close"]);
        assert!(resumed > whole, "{whole} whole, {resumed} resumed");
        let (whole, resumed) = found(&["--close", "--no-resumption"]);
        assert!(
            whole >= 400 && resumed == 0,
            "{whole} whole, {resumed} resumed"
        );
        // Another authority is not believed.
        let other = format!("--ca={folder}/one.pem");
        assert!(loaded(&url, &[&other]).has_faults());
        running.stop(Duration::from_secs(1));
    }
}
