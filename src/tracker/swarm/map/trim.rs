//! Which torrents without peers give up their counts when there are too many (S5): those of the sources that left most behind,
//! down to what each may keep alike, and of each the oldest first. Only when that is one apiece do the oldest of all go.

use std::cmp::Reverse;

use super::Swarms;
use crate::tracker::abuse::address_counts::Charge;
use crate::tracker::id::InfoHash;
use crate::tracker::peers::owner::StoredId;
use crate::tracker::swarm::upsert::Rules;

/// A torrent without peers whose count is kept.
#[derive(Clone, Copy, Debug)]
struct IdleTorrent {
    charge: Charge,
    last_used: u32,
    info_hash: InfoHash,
}

/// The widest network around a subscriber may keep so many times what one subscriber may.
const WIDEST: usize = 16;

/// Splits `idle` by [`IdleTorrent::charge`]; of whom nobody knows the source, each is its own.
fn groups(idle: &[IdleTorrent]) -> impl Iterator<Item = &[IdleTorrent]> {
    idle.chunk_by(|one, other| one.charge.widest == other.charge.widest && !one.charge.is_nobody())
}

fn subscribers(group: &[IdleTorrent]) -> impl Iterator<Item = &[IdleTorrent]> {
    group.chunk_by(|one, other| one.charge == other.charge)
}

/// How many stay when a subscriber may keep `level`.
fn kept(idle: &[IdleTorrent], level: usize) -> usize {
    let kept_of = |group| {
        let each = subscribers(group).map(|own| own.len().min(level));
        each.sum::<usize>().min(level * WIDEST)
    };
    groups(idle).map(kept_of).sum()
}

/// The greatest level at which at most `most` stay; 1 at least.
fn fair_level(idle: &[IdleTorrent], most: usize) -> usize {
    let (mut fair, mut unfair) = (1, idle.len() + 1);
    while unfair - fair > 1 {
        let middle = usize::midpoint(fair, unfair);
        if kept(idle, middle) <= most {
            fair = middle;
        } else {
            unfair = middle;
        }
    }
    fair
}

/// Chooses who goes, so that at most `most` stay; returns them with the level that everybody may keep. Cost: a sort.
fn surplus(mut idle: Vec<IdleTorrent>, most: usize) -> (Vec<InfoHash>, usize) {
    idle.sort_unstable_by_key(|idle| (idle.charge, Reverse(idle.last_used), idle.info_hash.0));
    let level = fair_level(&idle, most);
    let mut gone = Vec::new();
    let mut stay: Vec<IdleTorrent> = Vec::with_capacity(most.min(idle.len()));
    let mut of_group = Vec::new();
    for group in groups(&idle) {
        of_group.clear();
        for own in subscribers(group) {
            let (newest, rest) = own.split_at(own.len().min(level));
            of_group.extend_from_slice(newest);
            gone.extend(rest.iter().map(|idle| idle.info_hash));
        }
        cut(&mut of_group, level * WIDEST, &mut gone);
        stay.append(&mut of_group);
    }
    cut(&mut stay, most, &mut gone);
    (gone, level)
}

/// Takes the oldest out when there are more than `most`.
fn cut(idle: &mut Vec<IdleTorrent>, most: usize, gone: &mut Vec<InfoHash>) {
    if idle.len() > most {
        idle.sort_unstable_by_key(|idle| Reverse(idle.last_used));
        gone.extend(idle.drain(most..).map(|idle| idle.info_hash));
    }
}

impl<I: StoredId> Swarms<I> {
    /// Frees torrents without peers when there are too many, an eighth more than that so that it is not for each. Returns how
    /// many. Takes 32 bytes for each torrent without peers meanwhile.
    pub(super) fn trim(&self, rules: &Rules<'_>) -> u64 {
        if !self.usage.has_surplus(rules.settings) {
            return 0;
        }
        let mut idle = Vec::new();
        self.for_each(|hash, swarm| {
            if swarm.len() == 0 {
                idle.push(IdleTorrent {
                    charge: swarm.charge,
                    last_used: swarm.last_used().raw(),
                    info_hash: *hash,
                });
            }
        });
        let bound = rules.settings.max_torrents;
        let most = bound.saturating_sub((bound / 8).max(1));
        let (surplus, fair) = surplus(idle, most as usize);
        self.usage.set_fair(fair);
        let freed = surplus.iter().filter(|hash| self.free_idle(hash, rules));
        freed.count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
    use std::collections::{HashMap, HashSet};

    fn idle(number: u32, widest: u32, subscriber: u32, last_used: u32) -> IdleTorrent {
        let mut info_hash = InfoHash([0; 20]);
        info_hash.0[..4].copy_from_slice(&number.to_be_bytes());
        IdleTorrent {
            charge: Charge { widest, subscriber },
            last_used,
            info_hash,
        }
    }

    /// R28
    #[test]
    fn one_source_gives_up_its_own_oldest_and_nobody_elses() {
        let others = (0..50).map(|number| idle(number, 10 + number, number, 1));
        let own = (100..300).map(|number| idle(number, 5, 5, 1_000 + number));
        let all: Vec<IdleTorrent> = others.chain(own).collect();
        let (gone, level) = surplus(all, 100);
        let expected: Vec<InfoHash> = (100..250)
            .map(|number| idle(number, 5, 5, 0).info_hash)
            .collect();
        assert_eq!(level, 50);
        assert_eq!(gone.len(), 150);
        assert!(expected.iter().all(|hash| gone.contains(hash)));
    }

    /// R28: a /24 in one hand, each of its addresses with few.
    #[test]
    fn a_wide_network_keeps_what_sixteen_subscribers_may() {
        let others = (0..50).map(|number| idle(number, 10_000 + number, number, 1));
        let own = (100..2_660).map(|number| idle(number, 5, 100_000 + number / 10, 1_000 + number));
        let (gone, level) = surplus(others.chain(own).collect(), 100);
        assert_eq!((level, gone.len()), (3, 2_560 - 48));
        assert!(
            gone.iter()
                .all(|hash| *hash >= idle(100, 0, 0, 0).info_hash)
        );
    }

    #[test]
    fn where_all_have_one_the_oldest_go() {
        let all = (0..100).map(|number| idle(number, number, number, number));
        let (gone, level) = surplus(all.collect(), 60);
        let expected: HashSet<_> = (0..40)
            .map(|number| idle(number, 0, 0, 0).info_hash)
            .collect();
        assert_eq!(
            (gone.into_iter().collect::<HashSet<_>>(), level),
            (expected, 1)
        );
    }

    proptest! {
        /// Never more than are wanted, nobody twice, and nobody loses anything who has less than another may keep.
        #[test]
        fn who_has_little_loses_nothing(
            sources in proptest::collection::vec((0_u32..6, 0_u32..4, 0_u32..50), 1..300),
            most in 1_usize..300,
            is_known in any::<bool>(),
        ) {
            let all: Vec<IdleTorrent> = (0..).zip(&sources).map(|(number, (widest, subscriber, used))| {
                if is_known { idle(number, widest + 1, widest * 10 + subscriber + 1, *used) } else { idle(number, 0, 0, *used) }
            }).collect();
            let (gone, level) = surplus(all.clone(), most);
            let unique: HashSet<_> = gone.iter().copied().collect();
            prop_assert_eq!(unique.len(), gone.len());
            prop_assert!(all.len() - gone.len() <= most);
            if all.len() <= most {
                prop_assert!(gone.is_empty());
            }
            // Where sources are more than places, the oldest go, whoever's they are.
            let mut sorted = all.clone();
            sorted.sort_by_key(|idle| idle.charge);
            if kept(&sorted, level) <= most {
                let mut own: HashMap<Charge, usize> = HashMap::new();
                let mut widest: HashMap<u32, usize> = HashMap::new();
                for idle in &all {
                    *own.entry(idle.charge).or_default() += 1;
                    *widest.entry(idle.charge.widest).or_default() += 1;
                }
                for idle in all.iter().filter(|idle| unique.contains(&idle.info_hash)) {
                    let has_more = own[&idle.charge] > level || widest[&idle.charge.widest] > level * WIDEST;
                    prop_assert!(has_more && is_known);
                }
            }
        }
    }
}
