//! One crowd under several policies, with random selection as the measure of the others.

use super::outcome::Outcome;
use super::plan::Plan;
use super::policy::Policy;

/// What a crowd came to under each policy.
#[derive(Clone, Debug)]
pub(super) struct Comparison {
    pub crowd: String,
    /// Peers of a zone on average.
    pub zone_size: f64,
    pub random: Outcome,
    /// The other policies.
    pub others: Vec<(Policy, Outcome)>,
}

impl Comparison {
    pub(super) fn new(crowd: &str, plan: &Plan, random: Outcome) -> Comparison {
        let sizes = &plan.places.sizes;
        Comparison {
            crowd: crowd.to_owned(),
            zone_size: sizes.iter().sum::<usize>() as f64 / sizes.len().max(1) as f64,
            random,
            others: Vec::new(),
        }
    }

    /// All policies, `random` first.
    pub(super) fn all(&self) -> impl Iterator<Item = (Policy, &Outcome)> {
        let others = self
            .others
            .iter()
            .map(|(policy, outcome)| (*policy, outcome));
        std::iter::once((Policy::Random, &self.random)).chain(others)
    }
}

/// By how many percent `value` is above `base`, to a tenth; 0 when there is no base.
pub(super) fn change(value: f64, base: f64) -> f64 {
    if base <= 0.0 {
        return 0.0;
    }
    // Without the zero, what rounds to nothing from below would be shown as -0.0.
    ((value / base - 1.0) * 1_000.0).round() / 10.0 + 0.0
}
