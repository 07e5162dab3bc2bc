//! A set of pieces, as bits.

#![expect(
    clippy::indexing_slicing,
    reason = "numbers of pieces come from the set itself or from one of the same length"
)]

const BITS: usize = u64::BITS as usize;

/// Which pieces somebody has, or has asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Pieces {
    words: Vec<u64>,
    count: usize,
    all: usize,
}

impl Pieces {
    pub(in super::super) fn none(all: usize) -> Pieces {
        Pieces {
            words: vec![0; all.div_ceil(BITS)],
            count: 0,
            all,
        }
    }

    pub(in super::super) fn is_complete(&self) -> bool {
        self.count == self.all
    }

    pub(in super::super) fn insert(&mut self, piece: usize) {
        let word = &mut self.words[piece / BITS];
        let bit = 1 << (piece % BITS);
        self.count += usize::from(*word & bit == 0);
        *word |= bit;
    }

    pub(in super::super) fn remove(&mut self, piece: usize) {
        let word = &mut self.words[piece / BITS];
        let bit = 1 << (piece % BITS);
        self.count -= usize::from(*word & bit != 0);
        *word &= !bit;
    }

    pub(in super::super) fn iter(&self) -> impl Iterator<Item = usize> {
        (0..self.all).filter(|piece| self.words[piece / BITS] & (1 << (piece % BITS)) != 0)
    }

    /// Whether there is a piece here that is not in `other`.
    pub(in super::super) fn interest(&self, other: &Pieces) -> bool {
        self.words
            .iter()
            .zip(&other.words)
            .any(|(ours, theirs)| ours & !theirs != 0)
    }

    /// The pieces here that are neither in `has` nor in `asked`, in order.
    pub(in super::super) fn without<'a>(
        &'a self,
        has: &'a Pieces,
        asked: &'a Pieces,
    ) -> impl Iterator<Item = usize> + 'a {
        let words = self.words.iter().zip(&has.words).zip(&asked.words);
        words.enumerate().flat_map(|(at, ((ours, has), asked))| {
            Ones(ours & !has & !asked).map(move |bit| at * BITS + bit)
        })
    }
}

/// The numbers of the bits that are set.
struct Ones(u64);

impl Iterator for Ones {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let bit = self.0.trailing_zeros() as usize;
        if bit == BITS {
            return None;
        }
        self.0 &= self.0 - 1;
        Some(bit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_found_across_words() {
        let mut ours = Pieces::none(130);
        for piece in [0, 63, 64, 127, 129] {
            ours.insert(piece);
        }
        let mut has = Pieces::none(130);
        has.insert(63);
        let mut asked = Pieces::none(130);
        asked.insert(129);
        assert_eq!(ours.without(&has, &asked).collect::<Vec<_>>(), [0, 64, 127]);
        assert!(ours.interest(&has) && !has.interest(&ours));
        ours.remove(0);
        ours.remove(0);
        assert_eq!(ours.iter().collect::<Vec<_>>(), [63, 64, 127, 129]);
        assert!(!ours.is_complete());
    }
}
