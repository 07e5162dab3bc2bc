//! Cuts one page out of an ordered list that is too long to be copied and sorted: the list is walked a few times, in
//! whatever order it comes, and each walk keeps only what is near the page.
//!
//! A page near the front takes one walk, which forgets what is too far behind. For any other a walk keeps the rows between
//! two bounds. When they do not all fit, it keeps every second, every fourth, … of them, and this sample tells where to set
//! closer bounds for the next walk. Two walks do for a million rows, three for 40 million. Each walk counts what is below
//! its bounds, so the page is exact whatever the sample was like; rows that change between two walks cost at most another.

use std::cmp::Ordering;

/// Rows that are kept at a time: what a page takes in memory, 2 MiB of peers, however many are walked.
const MAX: usize = 1 << 15;

/// Walks before everything between the bounds is kept after all. Chance alone does not come here.
const MAX_WALKS: u32 = 12;

/// How far the bounds are set from the page, in standard deviations of the sample's error; more after each miss.
const MARGIN: usize = 3;

/// The rows of a page: `limit` of them after `offset` others.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageRange {
    pub offset: u64,
    pub limit: u32,
}

/// Takes the rows of one walk.
pub(super) struct PageFilter<T, C> {
    compare: C,
    /// Rows before this are only counted.
    low: Option<T>,
    /// Rows from this on are only counted.
    high: Option<T>,
    below: u64,
    within: u64,
    above: u64,
    /// Every `stride`-th of the rows within.
    rows: Vec<T>,
    /// A power of two.
    stride: u64,
    most: usize,
    /// How many of the first rows hold the page, when few enough; else 0.
    front: usize,
}

impl<T: Copy, C: Fn(&T, &T) -> Ordering> PageFilter<T, C> {
    #[inline]
    pub(super) fn add(&mut self, row: T) {
        if let Some(low) = &self.low
            && (self.compare)(&row, low).is_lt()
        {
            self.below += 1;
        } else if let Some(high) = &self.high
            && (self.compare)(&row, high).is_ge()
        {
            self.above += 1;
        } else {
            if self.within & (self.stride - 1) == 0 {
                self.keep(row);
            } else {
                self.within += 1;
            }
        }
    }

    fn keep(&mut self, row: T) {
        if self.rows.len() >= self.most {
            if self.front > 0 {
                self.forget_behind();
                return self.add(row);
            }
            let mut number = 0_usize;
            self.rows.retain(|_| {
                number += 1;
                !number.is_multiple_of(2)
            });
            self.stride *= 2;
        }
        if self.within & (self.stride - 1) == 0 {
            self.rows.push(row);
        }
        self.within += 1;
    }

    /// Keeps only the front; what stands behind it is counted.
    fn forget_behind(&mut self) {
        let (_, behind, _) = self.rows.select_nth_unstable_by(self.front, &self.compare);
        self.high = Some(*behind);
        self.above += (self.rows.len() - self.front) as u64;
        self.within = self.front as u64;
        self.rows.truncate(self.front);
    }

    fn begin(&mut self) {
        (self.below, self.within, self.above, self.stride) = (0, 0, 0, 1);
        self.rows.clear();
    }

    const fn total(&self) -> u64 {
        self.below + self.within + self.above
    }

    /// Sets the bounds closer around the page, by the sample.
    fn narrow(&mut self, from: u64, to: u64, margin: usize) {
        self.rows.sort_unstable_by(&self.compare);
        let size = self.rows.len();
        let packed_key = |rank: u64| {
            usize::try_from(rank / self.stride)
                .unwrap_or(size)
                .min(size)
        };
        let (first, last) = (packed_key(from), packed_key(to));
        let reach = |packed_key: usize| {
            (packed_key * (size - packed_key) / size.max(1)).isqrt() * margin + 2
        };
        let low = first.checked_sub(reach(first));
        self.low = low.and_then(|at| self.rows.get(at)).copied().or(self.low);
        self.high = self.rows.get(last + reach(last)).copied().or(self.high);
    }
}

/// How many rows `walk` offers in all, and those of them that the part takes in the order of `compare`. No two rows may be
/// equal. `walk` is called several times and has to offer everything each time, in any order.
pub(super) fn paginate<T: Copy, C: Fn(&T, &T) -> Ordering>(
    part: PageRange,
    compare: C,
    walk: impl FnMut(&mut PageFilter<T, C>),
) -> (u64, Vec<T>) {
    paginate_keeping(MAX, part, compare, walk)
}

fn paginate_keeping<T: Copy, C: Fn(&T, &T) -> Ordering>(
    most: usize,
    part: PageRange,
    compare: C,
    mut walk: impl FnMut(&mut PageFilter<T, C>),
) -> (u64, Vec<T>) {
    let (mut outer_low, mut outer_high) = (None, None);
    let mut margin = MARGIN;
    let last = part.offset.saturating_add(part.limit.into());
    let front = usize::try_from(last)
        .ok()
        .filter(|front| *front <= most / 2);
    let mut filter = PageFilter {
        compare,
        low: None,
        high: None,
        below: 0,
        within: 0,
        above: 0,
        rows: Vec::new(),
        stride: 1,
        most,
        front: front.unwrap_or(0),
    };
    for number in 0.. {
        if number == MAX_WALKS {
            (filter.low, filter.high, filter.most) = (None, None, usize::MAX);
        }
        filter.begin();
        walk(&mut filter);
        let end = last.min(filter.total());
        if part.offset >= end {
            break;
        }
        let is_low_enough = filter.below <= part.offset;
        let is_high_enough = end <= filter.below + filter.within;
        if !is_low_enough || !is_high_enough {
            // A bound went past the page: back to the one before it, and further from the page the next time.
            filter.low = if is_low_enough { filter.low } else { outer_low };
            filter.high = if is_high_enough {
                filter.high
            } else {
                outer_high
            };
            margin *= 2;
        } else if filter.stride > 1 {
            (outer_low, outer_high) = (filter.low, filter.high);
            filter.narrow(part.offset - filter.below, end - filter.below, margin);
        } else {
            let offset = usize::try_from(part.offset - filter.below).unwrap_or(usize::MAX);
            let limit = usize::try_from(end - part.offset).unwrap_or(usize::MAX);
            let total = filter.total();
            return (total, slice_of(filter.rows, offset, limit, filter.compare));
        }
    }
    (filter.total(), Vec::new())
}

/// Sorts only as much as the slice needs.
fn slice_of<T>(
    mut rows: Vec<T>,
    offset: usize,
    limit: usize,
    compare: impl Fn(&T, &T) -> Ordering,
) -> Vec<T> {
    if offset >= rows.len() {
        return Vec::new();
    }
    if offset > 0 {
        rows.select_nth_unstable_by(offset, &compare);
    }
    let mut rows = rows.split_off(offset);
    if limit < rows.len() {
        rows.select_nth_unstable_by(limit, &compare);
        rows.truncate(limit);
    }
    rows.sort_unstable_by(&compare);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert_eq, proptest};

    fn sorted(rows: &[u32]) -> Vec<u32> {
        let mut rows = rows.to_vec();
        rows.sort_unstable();
        rows
    }

    fn expected(rows: &[u32], part: PageRange) -> Vec<u32> {
        let rows = sorted(rows).into_iter();
        let offset = usize::try_from(part.offset).unwrap();
        rows.skip(offset).take(part.limit as usize).collect()
    }

    proptest! {
        #[test]
        fn a_page_is_cut_as_from_a_sorted_list(
            rows in proptest::collection::hash_set(any::<u32>(), 0..3_000),
            offset in 0_u64..3_200,
            limit in 0_u32..40,
            most in 8_usize..400,
            is_sorted in any::<bool>(),
        ) {
            let rows: Vec<u32> = rows.into_iter().collect();
            let rows = if is_sorted { sorted(&rows) } else { rows };
            let part = PageRange { offset, limit };
            let (total, page) = paginate_keeping(most, part, u32::cmp, |filter| rows.iter().for_each(|row| filter.add(*row)));
            prop_assert_eq!(total, rows.len() as u64);
            prop_assert_eq!(page, expected(&rows, part));
        }

        #[test]
        fn a_list_that_changes_between_walks_gives_a_page_of_the_last_walk(
            rows in proptest::collection::hash_set(any::<u32>(), 100..2_000),
            offset in 0_u64..2_000,
            moved in 0_u32..1 << 30,
        ) {
            let rows: Vec<u32> = rows.into_iter().collect();
            let part = PageRange { offset, limit: 20 };
            let mut last = Vec::new();
            let (total, page) = paginate_keeping(64, part, u32::cmp, |filter| {
                let shift = if last.is_empty() { 0 } else { moved };
                last = rows.iter().map(|row| row.wrapping_add(shift)).collect();
                last.iter().for_each(|row| filter.add(*row));
            });
            prop_assert_eq!(total, rows.len() as u64);
            prop_assert_eq!(page, expected(&last, part));
        }
    }

    #[test]
    fn two_walks_do_for_a_million_rows_one_at_the_front_and_few_are_kept() {
        let mut rng = fastrand::Rng::with_seed(3);
        let mut rows: Vec<u32> = (0..1_000_000).collect();
        rng.shuffle(&mut rows);
        for offset in [0, 400, 250_000, 500_000, 999_980] {
            let (mut walks, mut most) = (0, 0);
            let part = PageRange { offset, limit: 20 };
            let (_, page) = paginate(part, u32::cmp, |filter| {
                walks += 1;
                rows.iter().for_each(|row| filter.add(*row));
                most = filter.rows.len().max(most);
            });
            assert_eq!(page, expected(&rows, part));
            let expected = if offset < 1_000 { 1 } else { 2 };
            assert!(
                walks == expected && most <= MAX,
                "{walks} walks, {most} rows"
            );
        }
    }

    /// The rows come so that the sample sees only the greatest half of them.
    #[test]
    fn a_sample_that_misleads_costs_walks_and_nothing_else() {
        let rows: Vec<u32> = (0..4_096_u32)
            .map(|number| (number % 64).wrapping_neg() ^ (number << 12))
            .collect();
        for offset in (0..4_096).step_by(97) {
            let mut walks = 0;
            let part = PageRange { offset, limit: 20 };
            let (_, page) = paginate_keeping(16, part, u32::cmp, |filter| {
                walks += 1;
                rows.iter().for_each(|row| filter.add(*row));
            });
            assert_eq!(page, expected(&rows, part));
            assert!(walks <= MAX_WALKS + 1);
        }
    }
}
