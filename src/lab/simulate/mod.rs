//! `retracker-lab simulate`: what a policy of choosing neighbours does to a swarm, measured without a network.
//!
//! A crowd downloads one file: clients in zones, rarest first, tit for tat with a neighbour that is tried, limits on lines, second
//! by second. They connect, retry and exchange neighbours as libtorrent does, or as a simple client; they come and go and
//! fail. Whom they are handed is decided by the tracker's own core. Policies are compared side by side with the same seeds, on the
//! measures of Bindal et al., "Improving Traffic Locality in BitTorrent via Biased Neighbor Selection" (ICDCS 2006).

mod comparison;
mod crowd_options;
mod crowds;
mod outcome;
mod peer;
mod places;
mod plan;
mod plot;
mod policy;
mod profile;
mod simulation;
mod source;
mod table;
mod tracker;

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;

use comparison::Comparison;
use crowd_options::CrowdOptions;
use outcome::{Outcome, simulate};
use plan::Plan;
use policy::Policy;

/// What is simulated.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Named crowds, one after another. The options of the crowd change each of them.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "waiting", value_parser = crowds::names())]
    crowd: Vec<String>,
    /// Policies to compare with `random`: `few`, `shares`, or `shares:` with other values of `local_share/min_external`.
    #[arg(long, value_delimiter = ',', default_values_t = Policy::ALL)]
    policies: Vec<Policy>,
    /// Runs of each, with seeds that follow one another.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    runs: u16,
    /// The first seed. The same seed gives the same figures.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Draws the figures there, as SVG.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    #[command(flatten)]
    changes: CrowdOptions,
}

/// Simulates, and prints a table of the figures as they come.
///
/// # Errors
/// A crowd is too big, or the plot cannot be written.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut plans = Vec::new();
    for crowd in crowds::named(&arguments.crowd) {
        let mut plan = crowd.plan()?;
        arguments.changes.apply(&mut plan);
        plan.places.check()?;
        plans.push((crowd.name, plan));
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{}", table::heading(arguments.runs, arguments.seed))?;
    let mut comparisons = Vec::new();
    for (name, plan) in plans {
        let random = arguments.measure(&plan, Policy::Random)?;
        let mut comparison = Comparison::new(name, &plan, random.clone());
        writeln!(out, "{}", table::line(&comparison, Policy::Random, &random))?;
        out.flush()?;
        let policies = arguments.policies.iter().copied();
        for policy in policies.filter(|&policy| policy != Policy::Random) {
            let outcome = arguments.measure(&plan, policy)?;
            writeln!(out, "{}", table::line(&comparison, policy, &outcome))?;
            out.flush()?;
            comparison.others.push((policy, outcome));
        }
        comparisons.push(comparison);
    }
    if let Some(file) = &arguments.plot {
        let svg = plot::draw(&comparisons);
        fs::write(file, svg).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

impl Arguments {
    fn measure(&self, plan: &Plan, policy: Policy) -> anyhow::Result<Outcome> {
        let runs = (0..u64::from(self.runs))
            .map(|run| simulate(plan, policy, self.seed.wrapping_add(run)))
            .collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Outcome::of_runs(&runs))
    }
}

#[cfg(test)]
mod tests;
