//! What a simulated download came to: the measures of the paper, and their means over several runs.

use super::plan::Plan;

/// The measures of one run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Outcome {
    /// Copies of the file that crossed into a zone: mean over the zones, and the most.
    pub copies: f64,
    pub max_copies: f64,
    /// Seconds that a download took: mean, and what 95 % stayed below.
    pub mean: f64,
    pub late: f64,
    /// Peers that never got the whole file because the swarm split.
    pub unfinished: usize,
}

impl Outcome {
    pub(super) fn new(
        plan: &Plan,
        imported: &[u64],
        mut times: Vec<u32>,
        unfinished: usize,
    ) -> Outcome {
        times.sort_unstable();
        let copies = imported
            .iter()
            .map(|&bytes| bytes as f64 / plan.file_bytes() as f64);
        let late = times.get((times.len() * 95).div_ceil(100).saturating_sub(1));
        Outcome {
            copies: copies.clone().sum::<f64>() / plan.zones as f64,
            max_copies: copies.fold(0.0, f64::max),
            mean: times.iter().copied().map(f64::from).sum::<f64>() / times.len().max(1) as f64,
            // Of a run in which nobody got the file there is no time; the table leaves it out.
            late: f64::from(late.copied().unwrap_or(0)),
            unfinished,
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
            unfinished: runs.iter().map(|run| run.unfinished).sum(),
        }
    }
}
