//! What a list should be like: how long, and which shares of it are for seeds, neighbours and strangers (S6, S7, S12).

use super::rounding::Rounding;
use super::sample::Ids;
use crate::invariant::minus;
use crate::tracker::announce::Announce;
use crate::tracker::settings::Settings;

/// Up to this part of a list, `min_external` holds for every single list; where it would be more of a shorter one, strangers get
/// their shares on average only: else who asks for one peer would never be told of a neighbour.
const PART_OF_EVERY_LIST: usize = 3;

/// What a list should be like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits<'a> {
    settings: &'a Settings,
    /// How many peers are still wanted.
    pub want: usize,
    /// How many were wanted in all.
    length: usize,
    /// Seeds that are on the list.
    seeds: usize,
    /// What the peers' ids mean for the list.
    pub ids: Ids,
}

/// How many peers of a list are from near at most, and how many of the others are strangers in any case. Both hold as far as there
/// are such peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shares {
    pub near: usize,
    pub min_strangers: usize,
}

impl<'a> Limits<'a> {
    /// Those of the whole list that the reply to an announce has.
    pub(crate) fn of(announce: &Announce, settings: &'a Settings) -> Limits<'a> {
        let options = &announce.options;
        let want = settings.list_length(announce.num_want, options.max_peers);
        let mut limits = Limits::new(settings, want);
        limits.ids.are_wanted = options.with_ids;
        limits
    }

    pub(super) fn new(settings: &'a Settings, want: usize) -> Limits<'a> {
        Limits {
            settings,
            want,
            length: want,
            seeds: 0,
            ids: Ids::default(),
        }
    }

    /// Notes that so many more peers are on the list, with so many seeds among them.
    pub(crate) fn note(&mut self, listed: usize, seeds: usize) {
        self.want = minus(self.want, listed, "no more are listed than are wanted");
        self.seeds += seeds;
    }

    /// The limits that are left when so many more peers are on the list, with so many seeds among them.
    pub(super) fn after(mut self, listed: usize, seeds: usize) -> Limits<'a> {
        self.note(listed, seeds);
        self
    }

    /// How many seeds may still come, while there are leechers: as the shares of seeds are rounded (S6).
    pub(super) fn max_seeds(&self, rounding: Rounding) -> usize {
        let percent = self.settings.seed_share.min(100) as usize;
        let most = rounding.bound(self.length, percent, 100);
        // There may be more already: where leechers were too few, or the share was rounded up before and is rounded down here.
        most.saturating_sub(self.seeds)
    }

    /// How much of the list is for whom.
    pub(super) fn shares(&self, rng: &mut fastrand::Rng) -> Shares {
        let rounding = Rounding::new(rng);
        let percent = 100 - self.settings.local_share.min(100) as usize;
        let far = rounding.bound(self.want, percent, 100);
        let min_external = self.settings.min_external as usize;
        let min_strangers = if min_external <= self.length / PART_OF_EVERY_LIST {
            min_external
        } else {
            // As many as they would be of a list of the usual length.
            let usual = self.settings.num_want.max(1) as usize;
            rounding.bound(self.want, min_external.min(usual), usual)
        };
        // What is left of a list by the other family may be less than the strangers that the whole list should have.
        let near = self.want.saturating_sub(far.max(min_strangers));
        Shares {
            near,
            min_strangers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(local_share: u32, min_external: u32) -> Settings {
        Settings {
            local_share,
            min_external,
            ..Settings::default()
        }
    }

    /// S7, S12
    #[test]
    fn what_comes_out_even_is_exact() {
        for (want, local_share, min_external, near, min_strangers) in [
            (50, 80, 4, 40, 4),
            (50, 98, 1, 49, 1),
            (50, 100, 1, 49, 1),
            (200, 98, 1, 196, 1),
            (10, 100, 0, 10, 0),
            (10, 0, 0, 0, 0),
            (5, 80, 0, 4, 0),
            (3, 98, 1, 2, 1),
            (12, 80, 4, 8, 4),
        ] {
            for seed in 0..100 {
                let settings = shares(local_share, min_external);
                let limits = Limits::new(&settings, want);
                let shares = limits.shares(&mut fastrand::Rng::with_seed(seed));
                let expected = Shares {
                    near,
                    min_strangers,
                };
                assert_eq!(shares, expected);
            }
        }
    }

    /// S12: in a list too short for `min_external`, strangers have as much of it as of a usual one.
    #[test]
    fn short_lists_have_their_shares_on_average() {
        let mut rng = fastrand::Rng::with_seed(7);
        for (local_share, min_external, longest, near) in [
            (98, 1, 2, 0.98),
            (100, 1, 2, 0.98),
            (100, 2, 5, 0.96),
            (80, 4, 11, 0.8),
        ] {
            let settings = shares(local_share, min_external);
            for want in 1..=longest {
                let limits = Limits::new(&settings, want);
                let draws = 20_000;
                let sum: usize = (0..draws).map(|_| limits.shares(&mut rng).near).sum();
                #[expect(clippy::cast_precision_loss, reason = "small numbers")]
                let mean = sum as f64 / (draws * want) as f64;
                assert!((mean - near).abs() < 0.01, "{want}: {mean}");
            }
        }
    }
}
