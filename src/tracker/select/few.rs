//! The rule `few` (S15): neighbours, and about one stranger at most; only who has too few neighbours is handed more. It has no
//! state and no special peers, so nobody's failure or fraud hits a whole zone.
//!
//! It decides how many strangers a list holds, and how soon the announcer is to come again. Both are functions of what the
//! zone holds, of what the announcer says, and of chance. docs/LOCALITY.md tells why, with the figures.

use crate::metrics::StrangerReason;
use crate::tracker::settings::Settings;

/// A zone that has a seed for every so many leechers needs no strangers.
const LEECHERS_PER_SEED: usize = 8;

/// In a zone with too few seeds, on average so many announces of all its leechers are told of a stranger in each interval.
const LINKS: usize = 100;

/// So many leechers of such a zone come again early, on average, to look for what the others lack.
const SCOUTS: usize = 10;

/// Strangers for a scout that has downloaded nothing since its last announce.
const FOR_IDLE_SCOUT: usize = 8;

/// Strangers for a seed whose zone has nobody to give to.
const FOR_LONE_SEED: usize = 50;

/// Who downloads nothing for so many seconds is idle. After fewer, it may only just have begun.
const IDLE_SECONDS: u32 = 60;

/// What the rule looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Situation {
    /// Whether the announcer wants to download: neither a seed nor paused.
    pub is_leecher: bool,
    /// Other leechers of its zone that are for everybody, of the families that its list has.
    pub leechers: usize,
    /// Other seeds of it, likewise.
    pub seeders: usize,
    /// Seconds since its last announce, when it was here before and this is a regular one (no event).
    pub since: Option<u32>,
    /// Whether it has downloaded since then, in whole MiB.
    pub has_gained: bool,
}

/// What the rule decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    /// Strangers on the list at most.
    pub strangers: usize,
    /// Why it is that many; `None` for none.
    pub reason: Option<StrangerReason>,
    /// Whether the announcer is to come again after [`Settings::short_interval`] instead of the usual interval.
    pub is_short: bool,
}

impl Situation {
    /// Whether the whole file is likely to be in the zone, often enough for its leechers.
    fn is_self_sufficient(&self) -> bool {
        self.seeders > 0 && LEECHERS_PER_SEED * self.seeders > self.leechers
    }

    /// Decides. One random number is drawn for each chance that there is, and none where the zone is self-sufficient.
    // Inlined into its two callers, which spares an announce its arguments in memory.
    #[inline(always)]
    pub(crate) fn decide(&self, settings: &Settings, rng: &mut fastrand::Rng) -> Decision {
        if !self.is_leecher {
            return self.for_seed();
        }
        let neighbours = self.leechers + self.seeders;
        let mut decision = Decision::none();
        decision.raise(
            (settings.enough as usize).saturating_sub(neighbours),
            StrangerReason::FewNeighbours,
        );
        if self.is_self_sufficient() {
            return decision;
        }
        let all = self.leechers + 1;
        if is_one_of(LINKS, all, rng) {
            decision.raise(1, StrangerReason::Chance);
        }
        let is_idle = !self.has_gained && self.since.is_some_and(|since| since >= IDLE_SECONDS);
        let is_scout = self
            .since
            .is_some_and(|since| since < settings.announce_interval / 2);
        if is_scout {
            decision.raise(1, StrangerReason::Scout);
            if is_idle {
                decision.raise(FOR_IDLE_SCOUT, StrangerReason::Idle);
            }
        }
        // An idle scout has its strangers now. One that gains nothing by them is stalled, cut off or a fake, and would come early for ever.
        decision.is_short =
            settings.short_interval > 0 && ((is_idle && !is_scout) || is_one_of(SCOUTS, all, rng));
        decision
    }

    fn for_seed(&self) -> Decision {
        let mut decision = Decision::none();
        if self.leechers == 0 {
            decision.raise(FOR_LONE_SEED, StrangerReason::LoneSeed);
        }
        decision
    }
}

impl Decision {
    fn none() -> Decision {
        Decision {
            strangers: 0,
            reason: None,
            is_short: false,
        }
    }

    /// The same with at most so many strangers.
    pub(crate) fn with_at_most(self, strangers: usize) -> Decision {
        let strangers = self.strangers.min(strangers);
        Decision {
            strangers,
            reason: self.reason.filter(|_| strangers > 0),
            ..self
        }
    }

    /// Has at least so many strangers, for that reason if it makes a difference.
    fn raise(&mut self, strangers: usize, reason: StrangerReason) {
        if strangers > self.strangers {
            (self.strangers, self.reason) = (strangers, Some(reason));
        }
    }
}

/// Whether the announcer is one of `few` out of `all`, by chance.
fn is_one_of(few: usize, all: usize, rng: &mut fastrand::Rng) -> bool {
    few >= all || rng.usize(..all) < few
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    /// A regular announce of a leecher that has downloaded something, half an hour after its last.
    fn regular(leechers: usize, seeders: usize) -> Situation {
        Situation {
            is_leecher: true,
            leechers,
            seeders,
            since: Some(1_800),
            has_gained: true,
        }
    }

    fn decide(situation: Situation) -> Decision {
        situation.decide(&Settings::default(), &mut fastrand::Rng::with_seed(1))
    }

    /// S15
    #[test]
    fn who_has_few_neighbours_is_handed_strangers_up_to_seven_in_all() {
        for (leechers, seeders, strangers) in
            [(0, 0, 7), (3, 0, 4), (2, 1, 4), (0, 6, 1), (7, 1, 0)]
        {
            assert_eq!(
                decide(regular(leechers, seeders)).strangers,
                strangers,
                "{leechers} leechers and {seeders} seeds"
            );
        }
    }

    /// S15
    #[test]
    fn in_a_zone_without_seeds_enough_everybody_hears_of_one_stranger() {
        let decision = decide(regular(49, 0));
        assert_eq!(
            (decision.strangers, decision.reason),
            (1, Some(StrangerReason::Chance))
        );
        // One seed for more than eight leechers, the announcer included, is not enough.
        assert_eq!(decide(regular(8, 1)).strangers, 1);
        assert_eq!(decide(regular(7, 1)).strangers, 0);
    }

    /// S15
    #[test]
    fn of_a_thousand_leechers_a_hundred_hear_of_a_stranger_and_ten_come_sooner() {
        let mut rng = fastrand::Rng::with_seed(7);
        let settings = Settings::default();
        let (mut strangers, mut short) = (0, 0);
        for _ in 0..100_000 {
            let decision = regular(999, 0).decide(&settings, &mut rng);
            strangers += decision.strangers;
            short += usize::from(decision.is_short);
        }
        assert!((9_500..10_500).contains(&strangers), "{strangers}");
        assert!((850..1_150).contains(&short), "{short}");
    }

    /// S15
    #[test]
    fn who_came_early_and_gained_nothing_is_handed_eight_strangers() {
        let early = |since, has_gained| Situation {
            since: Some(since),
            has_gained,
            ..regular(200, 0)
        };
        let idle = decide(early(400, false));
        assert_eq!(
            (idle.strangers, idle.reason),
            (8, Some(StrangerReason::Idle))
        );
        assert_eq!(decide(early(400, true)).strangers, 1);
        // After less than a minute it may only just have begun.
        assert_eq!(decide(early(59, false)).strangers, 1);
        // Half the usual interval after the last is no scout any more, but idle all the same.
        let late = decide(early(900, false));
        assert!(late.strangers <= 1 && late.is_short);
    }

    /// S15: who cannot download at all does not come early for ever.
    #[test]
    fn an_idle_leecher_is_told_to_come_early_once_and_then_as_seldom_as_others() {
        let settings = Settings::default();
        let short_of_thousand = |since| {
            let idle = Situation {
                since: Some(since),
                has_gained: false,
                ..regular(999, 0)
            };
            let mut rng = fastrand::Rng::with_seed(11);
            let all = (0..1_000).map(|_| idle.decide(&settings, &mut rng));
            all.filter(|decision| decision.is_short).count()
        };
        assert_eq!(short_of_thousand(1_800), 1_000);
        // What is left are the ten of a thousand that are told so by chance.
        assert!(short_of_thousand(450) < 25);
    }

    /// S15
    #[test]
    fn seeds_are_handed_strangers_only_where_nobody_near_wants_anything() {
        let seed = |leechers| Situation {
            is_leecher: false,
            ..regular(leechers, 3)
        };
        assert_eq!(decide(seed(1)), Decision::none());
        let lone = decide(seed(0));
        assert_eq!(
            (lone.strangers, lone.reason),
            (50, Some(StrangerReason::LoneSeed))
        );
        assert!(!lone.is_short);
    }

    /// S15
    #[test]
    fn a_first_announce_is_neither_idle_nor_a_scout() {
        let first = Situation {
            since: None,
            has_gained: false,
            ..regular(20_000, 0)
        };
        let mut rng = fastrand::Rng::with_seed(3);
        let short = (0..1_000).filter(|_| first.decide(&Settings::default(), &mut rng).is_short);
        assert!(short.count() < 20);
    }

    proptest! {
        /// S15: nobody is without neighbours and without strangers, and a self-sufficient zone draws no random number.
        #[test]
        fn nobody_is_left_alone(
            leechers in 0_usize..5_000,
            seeders in 0_usize..5_000,
            is_leecher in any::<bool>(),
            since in proptest::option::of(0_u32..4_000),
            has_gained in any::<bool>(),
            seed in any::<u64>(),
        ) {
            let situation = Situation { is_leecher, leechers, seeders, since, has_gained };
            let mut rng = fastrand::Rng::with_seed(seed);
            let decision = situation.decide(&Settings::default(), &mut rng);
            let of_use = if is_leecher { leechers + seeders } else { leechers };
            prop_assert!(of_use + decision.strangers > 0);
            prop_assert_eq!(decision.strangers > 0, decision.reason.is_some());
            prop_assert!(decision.strangers <= FOR_LONE_SEED);
            if situation.is_self_sufficient() {
                prop_assert!(!decision.is_short);
                prop_assert_eq!(rng.get_seed(), fastrand::Rng::with_seed(seed).get_seed());
            }
        }
    }
}
