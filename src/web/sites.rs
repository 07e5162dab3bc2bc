//! Other sites as pages, API and metrics show them: plain values that the composition root fills. Who speaks with them is not known here.

use std::collections::BTreeMap;

use serde::Serialize;

/// What may be asked of the part that speaks with other sites. Every closure returns at once.
pub struct Sites {
    /// How they are.
    pub status: Box<dyn Fn() -> SitesStatus + Send + Sync>,
    /// Has everything told again.
    pub resend: Box<dyn Fn() + Send + Sync>,
    /// Drops what is known from a site only; how many peers, or nothing when there is no such site.
    pub forget: Forget,
}

/// Drops what is known from the site of a name.
type Forget = Box<dyn Fn(&str) -> Option<u64> + Send + Sync>;

/// How the sites are, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SitesStatus {
    /// What this tracker is called.
    pub name: String,
    /// Of which network of trackers.
    pub network: String,
    /// Its version.
    pub version: String,
    /// After how many seconds a peer dies here.
    pub lifetime_s: u32,
    /// A digest of its zones; equal where zones are.
    pub zones: String,
    /// Whether the logs of the engines have been read, or there was time enough to.
    pub ready: bool,
    /// What is not whole yet, or not reachable, in English, with the troubles.
    pub missing: Vec<String>,
    /// What an operator has to mend.
    pub troubles: Vec<SitesTrouble>,
    /// Seconds since the thread that has been silent longest last gave a sign of life.
    pub silent_s: u32,
    /// Peers that announced here.
    pub own_peers: u64,
    /// The other trackers, by name.
    pub sites: Vec<Site>,
    /// The engines, the nearest first.
    pub engines: Vec<Engine>,
    /// What is told to the others.
    #[serde(flatten)]
    pub outgoing: Outgoing,
    /// From the frame of an announce entering a log to its being merged here, over the last minute, in milliseconds.
    pub lag: Lag,
}

/// What an operator has to mend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SitesTrouble {
    /// One of [`SITES_TROUBLES`].
    pub kind: &'static str,
    /// Whose log it is about.
    pub site: String,
    /// On which engine that is.
    pub engine: String,
}

/// What there may be to mend: another tracker has the own name; the own log, or another's, is ahead of its engine's clock.
pub const SITES_TROUBLES: [&str; 3] = ["name_taken", "own_log_ahead", "other_log_ahead"];

/// One other tracker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Site {
    /// Its name.
    pub name: String,
    /// Seconds since its last frame; `None` when there has been none since this tracker started.
    pub heard_s: Option<u32>,
    /// How long its last frame took.
    pub lag_ms: Option<u64>,
    /// Peers that are known from it.
    pub peers: u64,
    /// Frames read.
    pub frames: u64,
    /// Changes of peers read.
    pub deltas: u64,
    /// Frames that are missing by their numbers.
    pub missed: u64,
    /// What was dropped, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Times that it had to wait because it told more than a partner may.
    pub throttled: u64,
    /// Its version; empty before it has said it.
    pub version: String,
    /// After how many seconds peers die there.
    pub lifetime_s: Option<u32>,
    /// The digest of its zones.
    pub zones: Option<String>,
    /// What of it is otherwise than here.
    pub differs: Vec<Difference>,
    /// Whether it was forgotten and has not been heard since.
    pub forgotten: bool,
}

/// What two trackers should have alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// The version.
    Version,
    /// How long a peer lives.
    Lifetime,
    /// The zones.
    Zones,
}

impl Difference {
    /// Every value.
    pub(crate) const ALL: [Difference; 3] =
        [Difference::Version, Difference::Lifetime, Difference::Zones];

    /// Its name in replies and metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Difference::Version => "version",
            Difference::Lifetime => "lifetime",
            Difference::Zones => "zones",
        }
    }
}

/// One engine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Engine {
    /// Where it is, without secrets.
    pub url: String,
    /// One of [`ENGINE_STATES`].
    pub state: &'static str,
    /// Seconds since it is so.
    pub since_s: u32,
    /// What is wrong with it.
    pub error: Option<String>,
    /// The last round trip in microseconds.
    pub rtt_us: Option<u64>,
    /// What it calls itself.
    pub version: Option<String>,
    /// Bytes that it uses.
    pub memory: Option<u64>,
    /// Bytes that it may use; 0 for no bound.
    pub max_memory: Option<u64>,
    /// Its clock less the clock here, in milliseconds.
    pub clock_offset_ms: Option<i64>,
    /// Whether its logs have been read to their end since this tracker started.
    pub caught_up: bool,
    /// Logs of trackers found there.
    pub streams: u64,
    /// Bytes read from it.
    pub read_bytes: u64,
    /// Times that the connection was made anew.
    pub reconnects: u64,
}

/// How an engine can be: the state of one that is written and read, of one that is read only, and of those that are neither.
pub const ENGINE_STATES: [&str; 5] = ["writing", "reading", "starting", "silent", "refusing"];

/// The one that takes what this tracker tells.
pub(crate) const WRITING: &str = "writing";

impl Engine {
    /// Whether it is of use at the moment.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.state, "writing" | "reading")
    }
}

/// What this tracker tells the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Outgoing {
    /// Frames that an engine has taken.
    pub sent_frames: u64,
    /// Changes of peers in them.
    pub sent_deltas: u64,
    /// Bytes of the frames.
    pub sent_bytes: u64,
    /// Changes that were not told when they came; the next repair tells them.
    pub dropped: u64,
    /// Times that a worker's queue was full.
    pub overflows: u64,
    /// Times that everything was, or is being, told again.
    pub resends: u64,
    /// Torrents that the repair under way has before it.
    pub resend_left: u64,
    /// Times that another engine was chosen to write to.
    pub engine_changes: u64,
    /// Times that the own log was begun anew, because it was ahead of the engine's clock.
    pub new_logs: u64,
}

/// Percentiles in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Lag {
    /// Half took at most so long.
    pub half_ms: u64,
    /// 99 of 100 took at most so long.
    pub ninety_nine_ms: u64,
    /// The longest.
    pub longest_ms: u64,
}

impl SitesStatus {
    /// What of `site` is otherwise than here.
    pub fn differences(&self, site: &Site) -> Vec<Difference> {
        let is_told = |difference: &Difference| match difference {
            Difference::Version => !site.version.is_empty() && site.version != self.version,
            Difference::Lifetime => site
                .lifetime_s
                .is_some_and(|other| other != self.lifetime_s),
            Difference::Zones => site
                .zones
                .as_ref()
                .is_some_and(|other| *other != self.zones),
        };
        Difference::ALL.into_iter().filter(is_told).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// O26
    #[test]
    fn what_is_otherwise_at_a_site_is_found_and_what_it_has_not_said_is_not() {
        let here = SitesStatus {
            version: "1.0.0".into(),
            lifetime_s: 3_600,
            zones: "aa".into(),
            ..SitesStatus::default()
        };
        let silent = Site::default();
        assert_eq!(here.differences(&silent), []);
        let same = Site {
            version: "1.0.0".into(),
            lifetime_s: Some(3_600),
            zones: Some("aa".into()),
            ..Site::default()
        };
        assert_eq!(here.differences(&same), []);
        let other = Site {
            version: "1.1.0".into(),
            lifetime_s: Some(1_800),
            zones: Some("bb".into()),
            ..Site::default()
        };
        assert_eq!(here.differences(&other), Difference::ALL);
    }
}
