//! Drawing peers from ranks, every one with the same chance and none twice, and putting them onto a list.

use super::announce::PeerList;
use super::id::PeerId;
use super::peer::{Address, KeptId};
use super::peers::{Run, View};
use super::span::{Span, number};

/// How many leechers and seeds.
pub(super) type Count = [usize; 2];

/// `part` of `whole` of `amount`, rounded up or down at random so that the mean is right.
pub(super) fn share(amount: usize, part: usize, whole: usize, rng: &mut fastrand::Rng) -> usize {
    if part == 0 || whole == 0 {
        return 0;
    }
    let product = amount * part;
    product / whole + usize::from((below(number(whole), rng) as usize) < product % whole)
}

/// Divides `want` between leechers and seeds by how many of each there are, with at most `seeds_most` seeds.
pub(super) fn split(
    want: usize,
    [leechers, seeders]: Count,
    seeds_most: usize,
    rng: &mut fastrand::Rng,
) -> Count {
    let want = want.min(leechers + seeders);
    let fair = if want == leechers + seeders {
        seeders
    } else {
        share(want, seeders, leechers + seeders, rng)
    };
    let seeds = fair
        .max(want.saturating_sub(leechers))
        .min(seeders)
        .min(seeds_most);
    [(want - seeds).min(leechers), seeds]
}

pub(super) fn sum_of(count: &Count) -> usize {
    count.iter().sum()
}

pub(super) fn sum(near: &[Count; 2]) -> usize {
    near.iter().map(sum_of).sum()
}

/// Draws `take` of the peers in `outer` that are not in `gap`, which lies in it.
///
/// The ranks are cut into `take` equal strata, turned by a random offset, and one is drawn from each: every peer has the
/// same chance, no peer comes twice, and the ranks ascend (but for the turn), so that a big swarm is walked once.
pub(super) fn draw_from<A: Address, I: KeptId>(
    view: &View<'_, A, I>,
    outer: Span,
    gap: Span,
    take: usize,
    rng: &mut fastrand::Rng,
    put: &mut impl FnMut(A, &I),
) {
    let hidden = number(gap.len());
    let all = number(outer.len()).saturating_sub(hidden);
    let take = number(take);
    if take >= all {
        copy(view, outer.start.until(gap.start), put);
        copy(view, gap.end.until(outer.end), put);
        return;
    }
    let turned = below(all, rng);
    let mut strata = Strata {
        ahead: all - turned,
        turned,
        // Strata end at multiples of all ÷ take, in fixed point: one division for all of them.
        step: (u64::from(all) << 32) / u64::from(take),
        end: 0,
        low: 0,
    };
    let before = gap.start.rank.saturating_sub(outer.start.rank);
    let mut walk = Walk {
        view,
        run: Run::Flat(&[]),
        start: 0,
        end: 0,
        number: outer.start.chunk as usize,
    };
    for _ in 0..take {
        let at = strata.draw(rng);
        let skipped = if at >= before { hidden } else { 0 };
        if let Some((address, id)) = walk.peer(outer.start.rank + at + skipped) {
            put(address, id);
        }
    }
}

/// Random numbers, one from each of some equal strata.
struct Strata {
    /// How many numbers there are from the turn on, and how many before it.
    ahead: u32,
    turned: u32,
    step: u64,
    /// Where the last stratum ended, in fixed point and whole.
    end: u64,
    low: u32,
}

impl Strata {
    #[inline]
    fn draw(&mut self, rng: &mut fastrand::Rng) -> u32 {
        self.end += self.step;
        let high = u32::try_from(self.end >> 32).unwrap_or(u32::MAX);
        let at = self.low + below(high - self.low, rng);
        self.low = high;
        if at < self.ahead {
            self.turned + at
        } else {
            at - self.ahead
        }
    }
}

/// A random number below `width`. It misses being even by less than width ÷ 2³², which no draw ever shows.
#[inline]
fn below(width: u32, rng: &mut fastrand::Rng) -> u32 {
    let product = u64::from(rng.u32(..)) * u64::from(width);
    u32::try_from(product >> 32).unwrap_or(0)
}

/// Hands everybody in `span` to `put`.
pub(super) fn copy<A: Address, I: KeptId>(
    view: &View<'_, A, I>,
    span: Span,
    put: &mut impl FnMut(A, &I),
) {
    let (mut rank, mut near) = (span.start.rank, span.start.chunk as usize);
    while rank < span.end.rank {
        let (number_of_run, start, run) = view.run_of(rank, near);
        let most = (span.end.rank - rank) as usize;
        let taken = run.each(rank.saturating_sub(start) as usize, most, put);
        if taken == 0 {
            return;
        }
        rank += number(taken);
        near = number_of_run;
    }
}

/// Looks peers up by rank and remembers the run of memory that the last one stood in.
struct Walk<'a, 'v, A: Address, I> {
    view: &'a View<'v, A, I>,
    run: Run<'v, A, I>,
    /// The ranks that are in the run.
    start: u32,
    end: u32,
    number: usize,
}

impl<'v, A: Address, I: KeptId> Walk<'_, 'v, A, I> {
    #[inline]
    fn peer(&mut self, rank: u32) -> Option<(A, &'v I)> {
        if rank < self.start || rank >= self.end {
            (self.number, self.start, self.run) = self.view.run_of(rank, self.number);
            self.end = self.start + number(self.run.len());
        }
        self.run.get(rank.saturating_sub(self.start) as usize)
    }
}

/// How peers of a family get onto a list.
pub(super) trait Listed: Sized {
    /// Those of the family that are on a list.
    fn listed(list: &mut PeerList) -> &mut Vec<Self>;
    fn put(list: &mut PeerList, address: Self, id: Option<PeerId>);
}

/// What puts peers onto a list, but not who has the id `not`.
pub(super) fn onto<A: Address + Listed, I: KeptId>(
    list: &mut PeerList,
    not: Option<PeerId>,
) -> impl FnMut(A, &I) {
    let is_plain = not.is_none() && !list.wants_ids;
    move |address, id| {
        if is_plain {
            A::listed(list).push(address);
        } else if not.is_none_or(|not| !id.is(not)) {
            A::put(list, address, id.given());
        }
    }
}

impl Listed for [u8; 6] {
    fn listed(list: &mut PeerList) -> &mut Vec<Self> {
        &mut list.v4
    }

    #[inline]
    fn put(list: &mut PeerList, address: Self, id: Option<PeerId>) {
        list.v4.push(address);
        if list.wants_ids
            && let Some(id) = id
        {
            list.ids_v4.push(id);
        }
    }
}

impl Listed for [u8; 18] {
    fn listed(list: &mut PeerList) -> &mut Vec<Self> {
        &mut list.v6
    }

    #[inline]
    fn put(list: &mut PeerList, address: Self, id: Option<PeerId>) {
        list.v6.push(address);
        if list.wants_ids
            && let Some(id) = id
        {
            list.ids_v6.push(id);
        }
    }
}
