//! How many peers completed a torrent, as other trackers counted them: one counter for each, of which the greatest that was told is right.
//! So what is told twice is not counted twice.

use super::Swarm;
use crate::tracker::peers::owner::StoredId;
use crate::tracker::sites::Origin;

/// The counters of one torrent, by origin; none is 0, and no origin has two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CountsElsewhere {
    rows: Vec<(Origin, u32)>,
    sum: u32,
}

impl CountsElsewhere {
    pub(super) fn new(rows: &[(Origin, u32)]) -> CountsElsewhere {
        let mut counts = CountsElsewhere::default();
        counts.merge(rows);
        counts
    }

    pub(super) fn rows(&self) -> &[(Origin, u32)] {
        &self.rows
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The sum of all, with this tracker's own.
    #[inline]
    pub(super) fn plus(&self, own: u32) -> u32 {
        self.sum.saturating_add(own)
    }

    /// Takes over what is greater. Whether anything was.
    pub(super) fn merge(&mut self, rows: &[(Origin, u32)]) -> bool {
        let mut is_new = false;
        for (origin, count) in rows.iter().filter(|(_, count)| *count > 0) {
            let known = self.rows.iter_mut().find(|(of, _)| of == origin);
            match known {
                Some((_, known)) if *known >= *count => continue,
                Some((_, known)) => *known = *count,
                None => self.rows.push((*origin, *count)),
            }
            is_new = true;
        }
        self.add_up();
        is_new
    }

    /// Drops the counter of an origin. Whether there was one.
    pub(super) fn forget(&mut self, origin: Origin) -> bool {
        let before = self.rows.len();
        self.rows.retain(|(of, _)| *of != origin);
        self.add_up();
        self.rows.len() < before
    }

    fn add_up(&mut self) {
        let counts = self.rows.iter().map(|(_, count)| *count);
        self.sum = counts.fold(0, u32::saturating_add);
    }
}

impl<I: StoredId> Swarm<I> {
    /// Peers that ever completed it, as this tracker counted them.
    pub(crate) fn downloaded_here(&self) -> u32 {
        self.downloaded
    }

    /// Peers that ever completed it, as this tracker and all others counted them.
    pub(crate) fn downloaded_everywhere(&self) -> u32 {
        match &self.extra {
            Some(extra) => extra.elsewhere.plus(self.downloaded),
            None => self.downloaded,
        }
    }

    pub(super) fn downloaded_elsewhere(&self) -> CountsElsewhere {
        let extra = self.extra.as_ref();
        extra.map_or_else(CountsElsewhere::default, |extra| extra.elsewhere.clone())
    }

    /// Whether anybody ever completed it.
    pub(super) fn is_counted(&self) -> bool {
        self.downloaded > 0
            || self
                .extra
                .as_ref()
                .is_some_and(|extra| !extra.elsewhere.is_empty())
    }

    /// Takes over what others counted, where it is more than was known. Whether it was.
    pub(super) fn count_elsewhere(&mut self, rows: &[(Origin, u32)]) -> bool {
        if rows.iter().all(|(_, count)| *count == 0) {
            return false;
        }
        let extra = self.extra.get_or_insert_with(Box::default);
        extra.elsewhere.merge(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_of_each_counts_once() {
        let origin = |number| Origin::new(number).unwrap();
        let mut counts = CountsElsewhere::new(&[(origin(1), 3), (origin(2), 0), (origin(1), 2)]);
        assert!(!counts.merge(&[(origin(1), 3)]));
        assert!(counts.merge(&[(origin(2), 4)]));
        assert_eq!(counts.plus(10), 17);
        assert!(counts.merge(&[(origin(3), u32::MAX)]));
        assert_eq!(counts.plus(10), u32::MAX);
        assert!(counts.forget(origin(3)) && !counts.forget(origin(3)));
        assert_eq!(counts.plus(10), 17);
    }
}
