//! Shares of a few peers, rounded up or down by chance, so that they hold on average for every length of list (S12).

use crate::invariant::certain;

/// The chance by which shares are rounded. What follows one another is rounded so that the sum is what the sum of all would be
/// rounded to: parts of one list do not go over the bound that was rounded by the same chance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rounding {
    /// What is over from the last share, or chance, in 2³²ths. Even over all lists, before and after every share.
    carry: u32,
}

impl Rounding {
    pub(super) fn new(rng: &mut fastrand::Rng) -> Rounding {
        Rounding { carry: rng.u32(..) }
    }

    /// `part` of `whole` of `amount`, rounded; the rest is left to the next share. What comes out even is exact.
    #[inline]
    pub(super) fn next(&mut self, amount: usize, part: usize, whole: usize) -> usize {
        if part == 0 || whole == 0 {
            return 0;
        }
        let product = amount * part;
        let over = product % whole;
        if over == 0 {
            return product / whole;
        }
        let fraction = ((over as u64) << 32) / whole as u64;
        let fraction = certain(
            u32::try_from(fraction).ok(),
            u32::MAX,
            "what is over is less than the whole",
        );
        let (carry, is_up) = self.carry.overflowing_add(fraction);
        self.carry = carry;
        product / whole + usize::from(is_up)
    }

    /// As [`Rounding::next`], with nothing left to others: a bound for shares that are yet to come.
    #[inline]
    pub(super) fn bound(mut self, amount: usize, part: usize, whole: usize) -> usize {
        self.next(amount, part, whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    proptest! {
        /// S12
        #[test]
        fn shares_are_rounded_to_a_neighbour_and_their_sum_too(
            seed in proptest::prelude::any::<u64>(),
            whole in 1_usize..1_000,
            parts in proptest::collection::vec((0_usize..200, 0_usize..1_000), 1..6),
        ) {
            let mut rounding = Rounding::new(&mut fastrand::Rng::with_seed(seed));
            let (mut sum, mut exact) = (0, 0);
            for (amount, part) in parts {
                let part = part.min(whole);
                let share = rounding.next(amount, part, whole);
                prop_assert!(share >= amount * part / whole && share <= (amount * part).div_ceil(whole));
                sum += share;
                exact += amount * part;
                if exact % whole == 0 && amount * part % whole == 0 {
                    prop_assert_eq!(share, amount * part / whole);
                }
            }
            prop_assert!(sum >= exact / whole && sum <= exact.div_ceil(whole), "{} of {}", sum, exact);
        }
    }
}
