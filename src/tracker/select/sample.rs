//! Drawing peers from ranks, every one with the same chance and none twice, and putting them onto a list.

use std::iter;

use super::region_ranks::RegionRanks;
use super::rounding::Rounding;
use crate::invariant::{certain, minus};
use crate::tracker::announce::PeerList;
use crate::tracker::id::PeerId;
use crate::tracker::peers::address::Address;
use crate::tracker::peers::by_role::ByRole;
use crate::tracker::peers::owner::StoredId;
use crate::tracker::peers::peer::PackedKey;
use crate::tracker::peers::position::{RankRange, number};
use crate::tracker::peers::view::{Run, View};

/// Divides `want` between leechers and seeders by how many of each there are, with at most `max_seeds` seeds.
pub(super) fn split(
    want: usize,
    count: ByRole<usize>,
    max_seeds: usize,
    rounding: &mut Rounding,
) -> ByRole<usize> {
    let ByRole { leechers, seeders } = count;
    let want = want.min(count.sum());
    let fair = if want == count.sum() {
        seeders
    } else {
        rounding.next(want, seeders, count.sum())
    };
    // Seeds stand in where leechers are too few, but never above their bound: then the region gives less than is wanted.
    let seeds = fair
        .max(want.saturating_sub(leechers))
        .min(seeders)
        .min(max_seeds);
    ByRole {
        leechers: (want - seeds).min(leechers),
        seeders: seeds,
    }
}

/// What the ids of peers mean for a list.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ids {
    /// Whether they are put beside the addresses.
    pub are_wanted: bool,
    /// Who has this one does not come onto the list: it is the requester's own other address.
    pub not: Option<PeerId>,
}

impl Ids {
    /// Whether nothing but addresses counts.
    fn is_nothing(&self) -> bool {
        self.not.is_none() && !self.are_wanted
    }
}

/// Puts `take` of the peers at `ranks` onto a list.
///
/// The ranks are cut into `take` equal strata, turned by a random offset, and one is drawn from each: every peer has the
/// same chance, no peer comes twice, and the ranks ascend (but for the offset), so that a big swarm is walked once. Of ranks 100 to 109
/// with a gap of 103 and 104, 8 are there; to take 3 of them, with an offset of 2, the numbers 2 to 7, 0, 1 are cut into strata of 2, 3 and 3:
/// 2 3 | 4 5 6 | 7 0 1. Numbers from 3 on stand behind the gap: 3 means rank 105.
pub(super) fn draw<A: Address + Listed, I: StoredId>(
    view: &View<'_, A, I>,
    ranks: RegionRanks,
    take: usize,
    rng: &mut fastrand::Rng,
    list: &mut PeerList,
    ids: Ids,
) {
    let RegionRanks { outer, gap } = ranks;
    let (hidden, all, take) = (number(gap.len()), number(ranks.len()), number(take));
    if take >= all {
        copy(view, outer.start.until(gap.start), list, ids);
        copy(view, gap.end.until(outer.end), list, ids);
        return;
    }
    let strata = Strata::new(all, take, rng);
    let before = minus(gap.start.rank, outer.start.rank, "the gap lies in it");
    let ranks = strata.map(|at| outer.start.rank + at + if at >= before { hidden } else { 0 });
    let near = outer.start.chunk as usize;
    if ids.is_nothing() {
        let listed = A::listed(list);
        view.pick(ranks, near, |address, _| listed.push(address));
    } else {
        view.pick(ranks, near, |address, id| put(list, ids, address, id));
    }
}

/// Puts one of the peers at `ranks` onto a list, as [`draw`] does; there is one at least.
#[inline]
pub(super) fn draw_one<A: Address + Listed, I: StoredId>(
    view: &View<'_, A, I>,
    ranks: RegionRanks,
    rng: &mut fastrand::Rng,
    list: &mut PeerList,
    ids: Ids,
) {
    let RegionRanks { outer, gap } = ranks;
    let rank = outer.start.rank + below(number(ranks.len()), rng);
    let rank = if rank < gap.start.rank {
        rank
    } else {
        rank + number(gap.len())
    };
    let near = gap.start.chunk as usize;
    view.pick(iter::once(rank), near, |address, id| {
        put(list, ids, address, id);
    });
}

/// Puts everybody in `range` onto a list.
pub(super) fn copy<A: Address + Listed, I: StoredId>(
    view: &View<'_, A, I>,
    range: RankRange,
    list: &mut PeerList,
    ids: Ids,
) {
    let (mut rank, mut near) = (range.start.rank, range.start.chunk as usize);
    while rank < range.end.rank {
        let (number_of_run, start, run) = view.run_of(rank, near);
        let first = minus(rank, start, "a rank is in its run") as usize;
        let run = run.cut(first, (range.end.rank - rank) as usize);
        match run {
            Run::Flat([]) | Run::Chunk([], _) => return,
            Run::Flat(peers) if ids.is_nothing() => {
                A::listed(list).extend(peers.iter().map(|peer| peer.packed_key.address()));
            }
            Run::Chunk(packed_keys, _) if ids.is_nothing() => {
                A::listed(list).extend(packed_keys.iter().map(PackedKey::address));
            }
            Run::Flat(peers) => peers
                .iter()
                .for_each(|peer| put(list, ids, peer.packed_key.address(), &peer.state.id)),
            Run::Chunk(packed_keys, states) => packed_keys
                .iter()
                .zip(states)
                .for_each(|(packed_key, state)| put(list, ids, packed_key.address(), &state.id)),
        }
        rank += number(run.len());
        near = number_of_run;
    }
}

fn put<A: Listed, I: StoredId>(list: &mut PeerList, ids: Ids, address: A, id: &I) {
    if ids.not.is_none_or(|not| !id.is(not)) {
        let id = if ids.are_wanted { id.given() } else { None };
        A::put(list, address, id);
    }
}

/// Random numbers, one from each of some equal strata, in order but for a random offset.
struct Strata<'a> {
    left: u32,
    /// How many numbers there are from the offset on, and how many before it.
    ahead: u32,
    turned: u32,
    step: u64,
    /// Where the last stratum ended, in fixed point and whole.
    end: u64,
    low: u32,
    rng: &'a mut fastrand::Rng,
}

impl Strata<'_> {
    /// Takes `take` of the numbers below `all`, which are more.
    fn new(all: u32, take: u32, rng: &mut fastrand::Rng) -> Strata<'_> {
        let turned = below(all, rng);
        Strata {
            left: take,
            ahead: all - turned,
            turned,
            // Strata end at multiples of all ÷ take, in fixed point: one division for all of them.
            step: (u64::from(all) << 32) / u64::from(take),
            end: 0,
            low: 0,
            rng,
        }
    }
}

impl Iterator for Strata<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        self.left = self.left.checked_sub(1)?;
        self.end += self.step;
        let high = whole_part(self.end);
        let at = self.low + below(high - self.low, self.rng);
        self.low = high;
        Some(if at < self.ahead {
            self.turned + at
        } else {
            at - self.ahead
        })
    }
}

/// A random number below `width`. It misses being even by less than width ÷ 2³², which no draw ever shows.
#[inline]
fn below(width: u32, rng: &mut fastrand::Rng) -> u32 {
    let product = u64::from(rng.u32(..)) * u64::from(width);
    whole_part(product)
}

/// Of a number in 32.32 fixed point.
#[inline]
fn whole_part(number: u64) -> u32 {
    let whole = u32::try_from(number >> 32).ok();
    certain(whole, u32::MAX, "32 of 64 bits are left")
}

/// How peers of a family get onto a list.
pub(crate) trait Listed: Sized {
    /// Those of the family that are on a list.
    fn listed(list: &mut PeerList) -> &mut Vec<Self>;
    /// Their ids, in the same order; empty unless wanted and kept.
    fn ids(list: &mut PeerList) -> &mut Vec<PeerId>;
    /// Puts one there, with its id when that is wanted and kept.
    fn put(list: &mut PeerList, address: Self, id: Option<PeerId>);
}

impl Listed for [u8; 6] {
    fn listed(list: &mut PeerList) -> &mut Vec<Self> {
        &mut list.v4
    }

    fn ids(list: &mut PeerList) -> &mut Vec<PeerId> {
        &mut list.ids_v4
    }

    #[inline]
    fn put(list: &mut PeerList, address: Self, id: Option<PeerId>) {
        list.v4.push(address);
        list.ids_v4.extend(id);
    }
}

impl Listed for [u8; 18] {
    fn listed(list: &mut PeerList) -> &mut Vec<Self> {
        &mut list.v6
    }

    fn ids(list: &mut PeerList) -> &mut Vec<PeerId> {
        &mut list.ids_v6
    }

    #[inline]
    fn put(list: &mut PeerList, address: Self, id: Option<PeerId>) {
        list.v6.push(address);
        list.ids_v6.extend(id);
    }
}
