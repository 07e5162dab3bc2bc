//! The figures as a table in Markdown.

use super::outcome::Outcome;
use super::plan::Plan;

/// The figures of one pair of settings.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub local_share: u32,
    pub min_external: u32,
    pub outcome: Outcome,
}

/// What was simulated, and the head of the table.
pub(super) fn heading(plan: &Plan, runs: u16) -> String {
    let arrival = match plan.arrival {
        0 => "all waiting for the seeder".to_owned(),
        seconds => format!("arriving within {seconds} s"),
    };
    let parts = match (plan.parts, plan.is_tree) {
        (1, _) => String::new(),
        (parts, false) => format!(" in {parts} networks"),
        (parts, true) => format!(" in {parts} zones below"),
    };
    format!(
        "{} zones × {} peers{parts}, {arrival}; {} MiB; uploads {} kB/s, seeder {} kB/s;\n\
         {} neighbours, {} asked for; peers leave {} s after their download; mean of {runs} runs\n\n\
         | local_share / min_external | copies into a zone | most | mean download, s | of random | 95 % below, s | of random | never done |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|",
        plan.zones,
        plan.peers_per_zone,
        plan.file_bytes() >> 20,
        plan.rate / 1_000,
        plan.seeder_rate / 1_000,
        plan.neighbours,
        plan.num_want,
        plan.stay,
    )
}

/// One line of the table. Times of a swarm that split say nothing and are left out.
pub(super) fn line(name: &str, outcome: &Outcome, random: &Outcome) -> String {
    let Outcome {
        copies,
        max_copies,
        mean,
        late,
        unfinished,
    } = outcome;
    let times = if *unfinished > 0 {
        "– | – | – | –".to_owned()
    } else {
        format!(
            "{mean:.0} | {:+.1} % | {late:.0} | {:+.1} %",
            change(*mean, random.mean),
            change(*late, random.late)
        )
    };
    format!("| {name} | {copies:.1} | {max_copies:.1} | {times} | {unfinished} |")
}

/// By how many percent `value` is above `base`.
pub(super) fn change(value: f64, base: f64) -> f64 {
    if base > 0.0 {
        (value / base - 1.0) * 100.0
    } else {
        0.0
    }
}
