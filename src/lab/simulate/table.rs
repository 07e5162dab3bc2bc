//! The figures as a table in Markdown.

use super::comparison::{Comparison, change};
use super::outcome::Outcome;
use super::policy::Policy;

/// The head of the table.
pub(super) fn heading(runs: u16, seed: u64) -> String {
    format!(
        "Mean of {runs} runs, seeds from {seed}; the worst zone of all runs; percentages against random; connections to addresses that \
         the DHT or peer exchange named\n\n\
         | crowd | policy | copies into a zone | worst zone | mean download, s | of random | 95 % below, s | of random | announces | elsewhere | never done |\n\
         |---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    )
}

/// One line of the table. Where nobody was ever done there are no times.
pub(super) fn line(comparison: &Comparison, policy: Policy, outcome: &Outcome) -> String {
    let Outcome {
        copies,
        max_copies,
        mean,
        late,
        announces,
        elsewhere,
        unfinished,
    } = outcome;
    let random = &comparison.random;
    let times = if *mean > 0.0 {
        format!(
            "{mean:.0} | {:+.1} % | {late:.0} | {:+.1} %",
            change(*mean, random.mean),
            change(*late, random.late)
        )
    } else {
        "– | – | – | –".to_owned()
    };
    format!(
        "| {} | {policy} | {copies:.1} | {max_copies:.1} | {times} | {announces:.1} | {:.0} % | {unfinished} |",
        comparison.crowd,
        elsewhere * 100.0,
    )
}
