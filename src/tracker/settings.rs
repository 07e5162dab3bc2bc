//! What the core can be told, with units and defaults. Bounds of 0 mean no bound.

use crate::invariant::present;

/// By which rule a list is composed where there are zones (S7, S15). Without zones they do the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Neighbours, and about one stranger at most.
    Few,
    /// Near peers up to a share, then strangers.
    Shares,
}

/// How swarms are kept and what is handed out.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Seconds between regular announces (`announce_interval`). Default 1,800.
    pub announce_interval: u32,
    /// Jitter of the interval handed out, in percent either way (`interval_jitter`). Default 10.
    pub interval_jitter: u32,
    /// `min interval` in percent of the interval (`min_interval_share`). Default 90.
    pub min_interval_share: u32,
    /// A peer lives for this many intervals after its last announce (`peer_expire_factor`). Default 2; below 2 counts as 2.
    pub peer_expire_factor: f64,
    /// Peers handed out to who does not say how many (`numwant`). Default 50.
    pub num_want: u32,
    /// Peers handed out at most (`max_numwant`). Default 200.
    pub max_num_want: u32,
    /// Seeds in a leecher's list at most, in percent, while leechers are there to fill it (`seed_share`). Default 50.
    pub seed_share: u32,
    /// Near peers in a list at most, in percent, while strangers are there to fill it (`local_share`). Default 98: see docs/LOCALITY.md.
    pub local_share: u32,
    /// Strangers in a list at least, when there are any (`min_external`); in lists of fewer than three times as many, they have only
    /// on average what they have of a list of `num_want` (S12). Default 1.
    pub min_external: u32,
    /// By which rule a list is composed where there are zones (`selection`). Default [`Selection::Few`].
    pub selection: Selection,
    /// By the rule `few`: up to so many peers in all, a leecher without as many neighbours is handed strangers (`enough`). Default 7.
    pub enough: u32,
    /// By the rule `few`: who lacks something that its zone lacks is told to come again after once to twice as many seconds
    /// (`short_interval`). 0: after the usual interval. Default 300.
    pub short_interval: u32,
    /// What a subscriber's line carries at most, in MiB a second (`max_line_rate`): bounds what counts as saved (O11). Default 125.
    pub line_mib: u32,
    /// Bound on peers in all (`max_peers`). Default 2,000,000.
    pub max_peers: u32,
    /// Bound on torrents with peers, and on those without (`max_torrents`). Default 1,000,000.
    pub max_torrents: u32,
    /// Bound on peers in one swarm (`max_peers_per_torrent`). Default 100,000.
    pub max_peers_per_torrent: u32,
    /// Bound on entries of one subscriber (v4 address, v6 /64) in all swarms (`max_torrents_per_address`), with the torrents whose
    /// counts it left behind; 16 times that for a /24 or a /48, four times for a /56, whose 256 parts have at least a 256th of it each.
    /// Default 20,000.
    pub max_torrents_per_address: u32,
    /// Bound on ports of one subscriber in one swarm (`max_ports_per_address`). Default 50.
    pub max_ports_per_address: u32,
    /// How long the `downloaded` count of a torrent without peers is kept, in seconds (`keep_downloaded`). Default 30 days.
    pub keep_downloaded: u32,
    /// Peers that may be known from one other tracker, in percent of `max_peers` (`max_share` of `[SITES]`). Default 50.
    pub max_share_of_site: u32,
    /// Whether peer ids are kept (`keep_peer_ids`). Default yes. Taken at the start only.
    pub keep_peer_ids: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            announce_interval: 1_800,
            interval_jitter: 10,
            min_interval_share: 90,
            peer_expire_factor: 2.0,
            num_want: 50,
            max_num_want: 200,
            seed_share: 50,
            local_share: 98,
            min_external: 1,
            selection: Selection::Few,
            enough: 7,
            short_interval: 300,
            line_mib: 125,
            max_peers: 2_000_000,
            max_torrents: 1_000_000,
            max_peers_per_torrent: 100_000,
            max_torrents_per_address: 20_000,
            max_ports_per_address: 50,
            keep_downloaded: 30 * 86_400,
            max_share_of_site: 50,
            keep_peer_ids: true,
        }
    }
}

impl Settings {
    /// Seconds that a peer lives after its last announce (S4).
    pub fn lifetime(&self) -> u32 {
        let seconds = f64::from(self.announce_interval) * self.peer_expire_factor.max(2.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to what fits"
        )]
        let seconds = seconds.clamp(1.0, f64::from(u32::MAX / 4)) as u32;
        seconds
    }

    /// Seconds after which other trackers are told that a peer is still there: half the `min interval`, so once for each regular announce.
    pub(super) fn told_period(&self) -> u32 {
        (self.min_interval(self.announce_interval) / 2).max(1)
    }

    /// How many peers to hand out to who wants `num_want` (`None`: the default) and has room for `max_peers` (`None`: for any number).
    pub fn list_length(&self, num_want: Option<u32>, max_peers: Option<usize>) -> usize {
        let wanted = num_want.unwrap_or(self.num_want).min(self.max_num_want) as usize;
        max_peers.map_or(wanted, |room| wanted.min(room))
    }

    /// How far the interval of a reply lies from `announce_interval` at most.
    fn spread(&self) -> u32 {
        let spread =
            u64::from(self.announce_interval) * u64::from(self.interval_jitter.min(100)) / 100;
        present(u32::try_from(spread).ok(), "no more than the interval").unwrap_or(0)
    }

    /// The interval of one reply, jittered (P12).
    pub fn interval(&self, rng: &mut fastrand::Rng) -> u32 {
        let spread = self.spread();
        if spread == 0 {
            return self.announce_interval;
        }
        self.announce_interval - spread + rng.u32(0..=spread * 2)
    }

    /// The interval for who is to come sooner by the rule `few`: between the short one and twice that, never longer than usual.
    pub fn shortened_interval(&self, rng: &mut fastrand::Rng) -> u32 {
        let short = self.short_interval.max(1);
        rng.u32(short..=short.saturating_mul(2))
            .min(self.interval(rng))
    }

    /// The shortest interval that anybody is told, where there are zones or not: without them the rule `few` tells nobody a short one.
    pub fn shortest_interval(&self, has_zones: bool) -> u32 {
        match self.selection {
            Selection::Few if has_zones && self.short_interval > 0 => {
                self.announce_interval.min(self.short_interval)
            }
            Selection::Few | Selection::Shares => self.announce_interval,
        }
    }

    /// Seconds of silence after which a peer is late, whatever interval it was told: a twentieth of the interval, and half a
    /// minute at least, is for slow clients (S1).
    pub fn overdue(&self) -> u32 {
        let slack = (self.announce_interval / 20).max(30);
        self.announce_interval
            .saturating_add(self.spread())
            .saturating_add(slack)
    }

    /// The interval for who announced at the address and port of another client that was last seen `since` seconds ago: when it
    /// comes again, the other is late and the place is its own (S1), if it is the same client restarted.
    pub fn interval_behind(&self, since: u32) -> u32 {
        let rest = self.overdue().saturating_sub(since).saturating_add(1);
        rest.max(self.announce_interval / 2)
    }

    /// The `min interval` that goes with `interval`.
    pub fn min_interval(&self, interval: u32) -> u32 {
        let share = u64::from(interval) * u64::from(self.min_interval_share.min(100)) / 100;
        present(u32::try_from(share).ok(), "no more than the interval").unwrap_or(interval)
    }
}
