//! Drawing peers from ranks, every one with the same chance and none twice, and putting them onto a list.

use std::ops::Range;

use super::announce::PeerList;
use super::id::PeerId;
use super::peer::{Address, KeptId, Peer};
use super::peers::View;

/// How many leechers and seeds.
pub(super) type Count = [usize; 2];

/// `part` of `whole` of `amount`, rounded up or down at random so that the mean is right.
pub(super) fn share(amount: usize, part: usize, whole: usize, rng: &mut fastrand::Rng) -> usize {
    if part == 0 || whole == 0 {
        return 0;
    }
    let product = amount * part;
    product / whole + usize::from(rng.usize(0..whole) < product % whole)
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

/// What of `range` lies in `to`.
pub(super) fn clip(range: Range<usize>, to: &Range<usize>) -> Range<usize> {
    let start = range.start.clamp(to.start, to.end);
    start..range.end.clamp(start, to.end)
}

/// `outer` without `hole` and without `own`: up to three runs of ranks, in order.
pub(super) fn segments(
    outer: &Range<usize>,
    hole: &Range<usize>,
    own: Option<usize>,
) -> [Range<usize>; 4] {
    let hole = if hole.is_empty() {
        outer.start..outer.start
    } else {
        hole.clone()
    };
    let parts = [
        outer.start..hole.start.max(outer.start),
        hole.end.max(outer.start)..outer.end.max(hole.end),
    ];
    let mut cut = [0..0, 0..0, 0..0, 0..0];
    let mut cells = cut.iter_mut();
    for part in parts {
        let pieces = match own.filter(|own| part.contains(own)) {
            Some(own) => [part.start..own, own + 1..part.end],
            None => [part.clone(), part.end..part.end],
        };
        for piece in pieces {
            if let Some(cell) = cells.next() {
                *cell = piece;
            }
        }
    }
    cut
}

/// Draws `take` of the peers in `segments`.
///
/// The ranks are cut into `take` equal strata, turned by a random offset, and one is drawn from each: every peer has the
/// same chance, no peer comes twice, and the ranks ascend (but for the turn), so that a big swarm is walked once.
pub(super) fn draw_from<A: Address, I: KeptId>(
    view: &View<'_, A, I>,
    segments: &[Range<usize>; 4],
    take: usize,
    rng: &mut fastrand::Rng,
    put: &mut impl FnMut(&Peer<A, I>),
) {
    let all: usize = segments.iter().map(Range::len).sum();
    if take >= all {
        for segment in segments {
            copy_run(view, segment.clone(), put);
        }
        return;
    }
    let turn = rng.usize(0..all);
    let mut walk = Walk {
        view,
        run: &[],
        start: 0,
        chunk: 0,
    };
    // Strata end at multiples of all ÷ take, in fixed point: one division for all of them.
    let step = ((all as u64) << 32) / take as u64;
    let mut low = 0;
    for stratum in 1..=take as u64 {
        let high = usize::try_from((step * stratum) >> 32).unwrap_or(all);
        let mut at = turn + low + rng.usize(0..high - low);
        at -= if at >= all { all } else { 0 };
        low = high;
        if let Some(peer) = walk.peer(rank_in(segments, at)) {
            put(peer);
        }
    }
}

fn rank_in(segments: &[Range<usize>; 4], mut at: usize) -> usize {
    for segment in segments {
        if at < segment.len() {
            return segment.start + at;
        }
        at -= segment.len();
    }
    usize::MAX
}

fn copy_run<A: Address, I: KeptId>(
    view: &View<'_, A, I>,
    mut ranks: Range<usize>,
    put: &mut impl FnMut(&Peer<A, I>),
) {
    while !ranks.is_empty() {
        let run = view.run_from(ranks.start);
        if run.is_empty() {
            return;
        }
        run.iter().take(ranks.len()).for_each(&mut *put);
        ranks.start += run.len().min(ranks.len());
    }
}

/// Looks peers up by rank and remembers the chunk of memory that the last one stood in.
struct Walk<'a, 'v, A: Address, I> {
    view: &'a View<'v, A, I>,
    run: &'v [Peer<A, I>],
    start: usize,
    chunk: usize,
}

impl<'v, A: Address, I: KeptId> Walk<'_, 'v, A, I> {
    #[inline]
    fn peer(&mut self, rank: usize) -> Option<&'v Peer<A, I>> {
        if rank < self.start || rank - self.start >= self.run.len() {
            (self.chunk, self.start, self.run) = self.view.chunk_of(rank, self.chunk);
        }
        self.run.get(rank - self.start.min(rank))
    }
}

/// How peers of a family get onto a list.
pub(super) trait Listed: Sized {
    fn put(list: &mut PeerList, address: Self, id: Option<PeerId>);
}

impl Listed for [u8; 6] {
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
