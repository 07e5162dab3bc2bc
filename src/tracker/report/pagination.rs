//! The first rows of a list that is too long to be copied and sorted, in an order: one walk over the list, in whatever order it
//! comes, which forgets what can no longer be among the first.

use std::cmp::Ordering;

use super::census::LISTED_ROWS;

/// The rows of a page: `limit` of them after `offset` others.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageRange {
    pub offset: u64,
    pub limit: u32,
}

/// Takes the rows of a walk and keeps the first of them: at most twice as many as were wanted, so that sorting them out costs a
/// constant for each row.
pub(super) struct FirstRows<T, C> {
    compare: C,
    wanted: usize,
    rows: Vec<T>,
    /// The last of those that are the first so far, once there are enough: what comes behind it is only counted.
    last: Option<T>,
    total: u64,
}

impl<T: Copy, C: Fn(&T, &T) -> Ordering> FirstRows<T, C> {
    const fn new(wanted: usize, compare: C) -> FirstRows<T, C> {
        FirstRows {
            compare,
            wanted,
            rows: Vec::new(),
            last: None,
            total: 0,
        }
    }

    #[inline]
    pub(super) fn add(&mut self, row: T) {
        self.total += 1;
        if let Some(last) = &self.last
            && (self.compare)(&row, last).is_gt()
        {
            return;
        }
        self.rows.push(row);
        if self.rows.len() >= 2 * self.wanted {
            self.forget_behind();
        }
    }

    fn forget_behind(&mut self) {
        if let Some(at) = self.wanted.checked_sub(1)
            && at < self.rows.len()
        {
            let (_, last, _) = self.rows.select_nth_unstable_by(at, &self.compare);
            self.last = Some(*last);
        }
        self.rows.truncate(self.wanted);
    }
}

/// How many rows `walk` offers, and those of them that the range takes in the order of `compare`; it ends at [`LISTED_ROWS`]. No
/// two rows may be equal. Keeps twice as many rows as lie before the end of the range.
pub(super) fn paginate<T: Copy, C: Fn(&T, &T) -> Ordering>(
    range: PageRange,
    compare: C,
    walk: impl FnOnce(&mut FirstRows<T, C>),
) -> (u64, Vec<T>) {
    let end = range.offset.saturating_add(range.limit.into());
    let (offset, end) = (listed(range.offset), listed(end));
    let mut first = FirstRows::new(if offset < end { end } else { 0 }, compare);
    walk(&mut first);
    first.forget_behind();
    let FirstRows {
        compare,
        mut rows,
        total,
        ..
    } = first;
    if offset >= rows.len() {
        return (total, Vec::new());
    }
    rows.select_nth_unstable_by(offset, &compare);
    let mut page = rows.split_off(offset);
    page.sort_unstable_by(&compare);
    (total, page)
}

/// A number of rows, as far as rows are listed.
fn listed(rows: u64) -> usize {
    u32::try_from(rows).map_or(LISTED_ROWS, |rows| rows.min(LISTED_ROWS)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    fn sorted(rows: &[u32]) -> Vec<u32> {
        let mut rows = rows.to_vec();
        rows.sort_unstable();
        rows
    }

    fn expected(rows: &[u32], range: PageRange) -> Vec<u32> {
        let rows = sorted(rows).into_iter().take(LISTED_ROWS as usize);
        let offset = usize::try_from(range.offset).unwrap();
        rows.skip(offset).take(range.limit as usize).collect()
    }

    proptest! {
        #[test]
        fn a_page_is_cut_as_from_a_sorted_list(
            rows in proptest::collection::hash_set(any::<u32>(), 0..3_000),
            offset in 0_u64..3_200,
            limit in 0_u32..40,
            is_sorted in any::<bool>(),
        ) {
            let rows: Vec<u32> = rows.into_iter().collect();
            let rows = if is_sorted { sorted(&rows) } else { rows };
            let range = PageRange { offset, limit };
            let mut most = 0;
            let (total, page) = paginate(range, u32::cmp, |first| rows.iter().for_each(|row| {
                first.add(*row);
                most = first.rows.len().max(most);
            }));
            prop_assert_eq!(total, rows.len() as u64);
            prop_assert_eq!(page, expected(&rows, range));
            prop_assert!(most as u64 <= 2 * (offset + u64::from(limit)));
        }
    }

    #[test]
    fn rows_beyond_those_that_are_listed_are_counted() {
        let mut rng = fastrand::Rng::with_seed(3);
        let mut rows: Vec<u32> = (0..100_000).collect();
        rng.shuffle(&mut rows);
        let end = u64::from(LISTED_ROWS);
        for offset in [0, 400, end - 20, end - 5, end, 99_980, u64::MAX] {
            let range = PageRange { offset, limit: 20 };
            let mut most = 0;
            let (total, page) = paginate(range, u32::cmp, |first| {
                rows.iter().for_each(|row| {
                    first.add(*row);
                    most = first.rows.len().max(most);
                });
            });
            assert_eq!(total, 100_000);
            assert_eq!(page, expected(&rows, range), "{offset}");
            assert!(most <= 2 * LISTED_ROWS as usize, "{most} rows");
        }
    }
}
