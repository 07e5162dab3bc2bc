//! `retracker-lab simulate`: what choosing neighbours first does to a swarm, measured without a network.
//!
//! A flash crowd downloads one file: clients in zones, rarest first, tit for tat with a neighbour that is tried, upload
//! limits, second by second. Whom they meet is decided by the tracker's own core. Compared are a tracker that chooses at
//! random and ours over `local_share` and `min_external`, on the measures of Bindal et al., "Improving Traffic Locality in
//! BitTorrent via Biased Neighbor Selection" (ICDCS 2006). The same seed gives the same figures.

mod crowd;
mod guide;
mod outcome;
mod peer;
mod pieces;
mod plan;
mod plot;
mod table;

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, ensure};

use crowd::simulate;
use outcome::Outcome;
use plan::{Plan, Policy};
use table::Row;

/// Peers at most: every peer may need a /16 of its own.
const MAX_PEERS: usize = 50_000;

/// What is simulated.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Zones.
    #[arg(long, default_value_t = 14, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    zones: u16,
    /// Peers in each zone; the seeder is outside of all.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    peers: u16,
    /// Parts of each zone, over which its peers are spread: networks that the tracker finds by their /24.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=200))]
    parts: u16,
    /// The parts are zones of their own, below the one that is counted.
    #[arg(long)]
    tree: bool,
    /// Pieces of 256 KiB in the file.
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u16).range(1..=20_000))]
    pieces: u16,
    /// What a downloader uploads, in kB a second.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
    /// What the seeder uploads, in kB a second.
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    seeder_rate: u32,
    /// Connections up to which a client opens more; it accepts twice as many.
    #[arg(long, default_value_t = 35, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    neighbours: u16,
    /// Peers that a client asks for: 50 is what the tracker hands out to who does not say, 200 the most that it hands out.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
    numwant: u32,
    /// Seconds over which peers arrive after the seeder; 0: all are there and wait for it.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=86_400))]
    arrival: u32,
    /// Seconds that a peer seeds after its download.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=86_400))]
    stay: u32,
    /// Values of `local_share` to compare, in percent.
    #[arg(long, value_delimiter = ',', default_values_t = [50, 60, 70, 80, 90, 95, 98, 100], value_parser = clap::value_parser!(u32).range(0..=100))]
    local_share: Vec<u32>,
    /// Values of `min_external` to compare.
    #[arg(long, value_delimiter = ',', default_values_t = [0, 1, 2, 4, 8])]
    min_external: Vec<u32>,
    /// Runs of each, with seeds that follow one another.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    runs: u16,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Draws the figures there, as SVG.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

/// Simulates, and prints a table of the figures as they come.
///
/// # Errors
/// The plan is too big, or the plot cannot be written.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let plan = arguments.plan();
    ensure!(
        plan.peers() <= MAX_PEERS,
        "{} peers are too many: {MAX_PEERS} at most",
        plan.peers()
    );
    ensure!(
        plan.parts == 1 || plan.peers_per_zone.div_ceil(plan.parts) < plan::HOSTS,
        "{} peers do not fit into {} networks of {}",
        plan.peers_per_zone,
        plan.parts,
        plan::HOSTS
    );
    let mut out = io::stdout().lock();
    writeln!(out, "{}", table::heading(&plan, arguments.runs))?;
    let random = arguments.measure(&plan, Policy::Random)?;
    let mut rows = Vec::new();
    writeln!(out, "{}", table::line("random", &random, &random))?;
    for &min_external in &arguments.min_external {
        for &local_share in &arguments.local_share {
            let outcome = arguments.measure(&plan, Policy::near(local_share, min_external))?;
            let name = format!("{local_share} % / {min_external}");
            writeln!(out, "{}", table::line(&name, &outcome, &random))?;
            out.flush()?;
            rows.push(Row {
                local_share,
                min_external,
                outcome,
            });
        }
    }
    if let Some(file) = &arguments.plot {
        let svg = plot::draw(&plan, &random, &rows);
        fs::write(file, svg).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

impl Arguments {
    fn plan(&self) -> Plan {
        Plan {
            zones: self.zones.into(),
            peers_per_zone: self.peers.into(),
            parts: self.parts.into(),
            is_tree: self.tree,
            pieces: self.pieces.into(),
            rate: u64::from(self.rate) * 1_000,
            seeder_rate: u64::from(self.seeder_rate) * 1_000,
            neighbours: self.neighbours.into(),
            num_want: self.numwant,
            arrival: self.arrival,
            stay: self.stay,
        }
    }

    fn measure(&self, plan: &Plan, policy: Policy) -> anyhow::Result<Outcome> {
        let runs = (0..u64::from(self.runs))
            .map(|run| simulate(plan, policy, self.seed.wrapping_add(run)))
            .collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Outcome::of_runs(&runs))
    }
}

#[cfg(test)]
mod tests;
