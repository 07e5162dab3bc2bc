//! What a list should be like: how long, and which shares of it are for seeds, neighbours and strangers (S6, S7, S12).

use super::id::PeerId;
use super::rounding::Rounding;
use super::settings::Settings;

/// Up to this part of a list, `min_external` holds for every single list; where it would be more of a shorter one, strangers get
/// their shares on average only: else who asks for one peer would never be told of a neighbour.
const PART_OF_EVERY_LIST: usize = 8;

/// What a list should be like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    /// How many peers are still wanted.
    pub(super) want: usize,
    /// How many were wanted in all.
    length: usize,
    /// Seeds that are on the list.
    seeds: usize,
    /// Seeds in the whole list at most, in percent, while leechers are there to fill it (S6).
    seed_share: usize,
    /// Percent.
    local_share: usize,
    min_external: usize,
    /// The length of list that `min_external` is meant for.
    usual: usize,
    /// No peer with this id: it is the requester's own other address.
    pub(super) not: Option<PeerId>,
}

/// How many peers of a list are from near, and how many of the others are strangers in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Strangers {
    pub(super) near: usize,
    pub(super) least: usize,
}

impl Wish {
    pub(super) fn new(settings: &Settings, want: usize) -> Wish {
        Wish {
            want,
            length: want,
            seeds: 0,
            seed_share: settings.seed_share.min(100) as usize,
            local_share: settings.local_share.min(100) as usize,
            min_external: settings.min_external as usize,
            usual: settings.num_want.max(1) as usize,
            not: None,
        }
    }

    /// What is left to wish for when so many more peers are on the list, with so many seeds among them.
    pub(super) fn after(self, listed: usize, seeds: usize) -> Wish {
        Wish {
            want: self.want.saturating_sub(listed),
            seeds: self.seeds + seeds,
            ..self
        }
    }

    /// How many seeds may still come, while there are leechers: as the shares of seeds are rounded.
    pub(super) fn seeds_most(&self, rounding: Rounding) -> usize {
        let most = rounding.bound(self.length, self.seed_share, 100);
        most.saturating_sub(self.seeds)
    }

    /// How much of the list is for strangers.
    pub(super) fn strangers(&self, rng: &mut fastrand::Rng) -> Strangers {
        let rounding = Rounding::new(rng);
        let far = rounding.bound(self.want, 100 - self.local_share, 100);
        let least = if self.min_external <= self.length / PART_OF_EVERY_LIST {
            self.min_external
        } else {
            rounding.bound(self.want, self.min_external.min(self.usual), self.usual)
        };
        let near = self.want.saturating_sub(far.max(least));
        Strangers { near, least }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(want: usize, local_share: u32, min_external: u32) -> Wish {
        let settings = Settings {
            local_share,
            min_external,
            ..Settings::default()
        };
        Wish::new(&settings, want)
    }

    /// S7, S12
    #[test]
    fn what_comes_out_even_is_exact() {
        for (want, local_share, min_external, near, least) in [
            (50, 80, 4, 40, 4),
            (50, 98, 1, 49, 1),
            (50, 100, 1, 49, 1),
            (200, 98, 1, 196, 1),
            (10, 100, 0, 10, 0),
            (10, 0, 0, 0, 0),
            (5, 80, 0, 4, 0),
        ] {
            for seed in 0..100 {
                let wish = wish(want, local_share, min_external);
                let strangers = wish.strangers(&mut fastrand::Rng::with_seed(seed));
                assert_eq!(strangers, Strangers { near, least });
            }
        }
    }

    /// S12: in a list too short for `min_external`, strangers have as much of it as of a usual one.
    #[test]
    fn short_lists_have_their_shares_on_average() {
        let mut rng = fastrand::Rng::with_seed(7);
        for (local_share, min_external, near) in [(98, 1, 0.98), (100, 1, 0.98), (80, 4, 0.8)] {
            for want in 1..=7 {
                let wish = wish(want, local_share, min_external);
                let draws = 20_000;
                let sum: usize = (0..draws).map(|_| wish.strangers(&mut rng).near).sum();
                #[expect(clippy::cast_precision_loss, reason = "small numbers")]
                let mean = sum as f64 / (draws * want) as f64;
                assert!((mean - near).abs() < 0.01, "{want}: {mean}");
            }
        }
    }
}
