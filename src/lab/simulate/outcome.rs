//! What a simulated download came to: the measures of the paper and of clients, and their means over several runs.

use super::places::Kind;
use super::plan::Plan;
use super::policy::Policy;
use super::simulation::Simulation;
use super::source::Source;

/// The measures of one run, or of several.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Outcome {
    /// Copies of the file that crossed into a zone: mean over the zones.
    pub copies: f64,
    /// The same of the zone, and run, with the most.
    pub max_copies: f64,
    /// Seconds that a download took: the mean of those that came to an end.
    pub mean: f64,
    /// Seconds that 95 % of them stayed below.
    pub late: f64,
    /// Announces of a peer on average, from its arrival on.
    pub announces: f64,
    /// Share of the connections whose address came from the DHT or from peer exchange, 0 to 1.
    pub elsewhere: f64,
    /// Peers that never got the whole file, though they did not fail.
    pub unfinished: usize,
}

/// Simulates one download of everybody.
pub(super) fn simulate(plan: &Plan, policy: Policy, seed: u64) -> anyhow::Result<Outcome> {
    let mut simulation = Simulation::new(plan, policy, seed)?;
    simulation.run()?;
    Ok(Outcome::new(plan, &simulation))
}

impl Outcome {
    fn new(plan: &Plan, simulation: &Simulation<'_>) -> Outcome {
        let leechers = simulation.peers.iter();
        let leechers = leechers.filter(|peer| peer.profile.kind == Kind::Leecher);
        let times = leechers.filter_map(|peer| Some(peer.done? - peer.profile.arrives));
        let mut times: Vec<u32> = times.collect();
        times.sort_unstable();
        let file = plan.file_bytes() as f64;
        let copies = simulation.imported.iter().map(|&bytes| bytes as f64 / file);
        let late = times.get((times.len() * 95).div_ceil(100).saturating_sub(1));
        let opened: usize = simulation.opened.iter().sum();
        let by_tracker = simulation.opened.get(Source::Tracker as usize);
        let elsewhere = opened - by_tracker.copied().unwrap_or(0);
        Outcome {
            copies: copies.clone().sum::<f64>() / simulation.imported.len().max(1) as f64,
            max_copies: copies.fold(0.0, f64::max),
            mean: times.iter().copied().map(f64::from).sum::<f64>() / times.len().max(1) as f64,
            // Of a run in which nobody got the file there is no time; the table leaves it out.
            late: f64::from(late.copied().unwrap_or(0)),
            announces: simulation.announces as f64 / simulation.peers.len() as f64,
            elsewhere: elsewhere as f64 / opened.max(1) as f64,
            unfinished: simulation.downloading,
        }
    }

    /// The mean of several runs; of `max_copies` the most, of `unfinished` the sum.
    pub(super) fn of_runs(runs: &[Outcome]) -> Outcome {
        let mean = |measure: fn(&Outcome) -> f64| {
            runs.iter().map(measure).sum::<f64>() / runs.len().max(1) as f64
        };
        Outcome {
            copies: mean(|run| run.copies),
            max_copies: runs.iter().map(|run| run.max_copies).fold(0.0, f64::max),
            mean: mean(|run| run.mean),
            late: mean(|run| run.late),
            announces: mean(|run| run.announces),
            elsewhere: mean(|run| run.elsewhere),
            unfinished: runs.iter().map(|run| run.unfinished).sum(),
        }
    }
}
