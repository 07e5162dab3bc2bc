//! How the sites are, as plain data: for the page, the API, the metrics and `/ready`.

use super::name::SiteName;

/// Makes an enum whose values index an array of counters and carry a fixed label.
macro_rules! labelled {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $value:ident = $label:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$doc])* $value,)+ }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [$name] = &[$($name::$value,)+];
            /// How many there are.
            pub const COUNT: usize = $name::ALL.len();

            /// The label in metrics.
            pub const fn label(self) -> &'static str {
                match self { $($name::$value => $label,)+ }
            }
        }
    };
}

labelled! {
    /// Why something that came from another site was dropped.
    Dropped {
        /// An entry of the log that is no frame: no such field, another magic, shorter than a header.
        Foreign = "foreign",
        /// A frame with a wrong checksum, or one that does not decode.
        Malformed = "malformed",
        /// A frame larger than any may be.
        TooLarge = "too_large",
        /// A frame of a later version of the format.
        Newer = "newer_version",
        /// An entry inside a frame of a kind that is not known here; the rest of the frame is taken.
        UnknownEntry = "unknown_entry",
        /// A peer, count or block that cannot be: a port 0, an address that nobody can have.
        Invalid = "invalid",
        /// A peer for whom a bound leaves no room: the quota of its origin, or a bound of the torrent or the tracker.
        NoRoom = "no_room",
        /// A block that could not be taken.
        Block = "block",
        /// A stream of an engine that was left out, because it could not be read within the bounds.
        Unreadable = "unreadable",
        /// A peer in an entry from the engine's future, read at the start: how old it is nobody can tell.
        Undated = "undated",
    }
}

labelled! {
    /// What an operator has to mend.
    TroubleKind {
        /// Another tracker has the own name, or somebody else writes under it.
        NameTaken = "name_taken",
        /// The own log on an engine is ahead of the engine's clock or has no ids left, and may not be begun anew.
        OwnLogAhead = "own_log_ahead",
        /// The log of another tracker is ahead of the engine's clock.
        OtherLogAhead = "other_log_ahead",
    }
}

/// Something that an operator has to mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What it is.
    pub kind: TroubleKind,
    /// Whose log it is about.
    pub site: SiteName,
    /// On which engine that is.
    pub engine: String,
}

labelled! {
    /// How an engine is.
    EngineState {
        /// Nothing has been tried yet.
        Starting = "starting",
        /// It is read and written.
        Writing = "writing",
        /// It is read; a nearer one is written.
        Reading = "reading",
        /// It does not answer.
        Silent = "silent",
        /// It answers and refuses: login, rights, memory, or it is not ready.
        Refusing = "refusing",
    }
}

/// Everything at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// What this tracker is called.
    pub name: SiteName,
    /// Of which network.
    pub network: SiteName,
    /// The version of this tracker.
    pub version: &'static str,
    /// After how many seconds a peer dies here.
    pub lifetime: u32,
    /// A digest of this tracker's zones: trackers with the same have the same.
    pub zones_digest: u64,
    /// Peers that announced here.
    pub own_peers: u64,
    /// The other trackers, by name.
    pub sites: Vec<SiteStatus>,
    /// The engines, the nearest first.
    pub engines: Vec<EngineStatus>,
    /// What is told to the others.
    pub outgoing: Outgoing,
    /// From the announce's frame entering the log to its being merged here, over the last minute.
    pub lag: Lag,
    /// Whether it knows what the others know: every log has been read to its end, or a minute has gone since the start.
    pub is_ready: bool,
    /// What is not whole yet or not reachable, in words, for `/ready`, with the troubles; empty when all is well.
    pub missing: Vec<String>,
    /// What an operator has to mend.
    pub troubles: Vec<Trouble>,
}

/// One other tracker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteStatus {
    /// Its name.
    pub name: SiteName,
    /// Its number as an origin, 1 to 62.
    pub index: u8,
    /// Seconds since its last frame entered a log; `None` when none has been read since this tracker started.
    pub heard_seconds: Option<u32>,
    /// How long its last frame took to come here, in milliseconds.
    pub lag_ms: Option<u64>,
    /// Peers that are known from it.
    pub peers: u64,
    /// Frames read.
    pub frames: u64,
    /// Changes of peers read.
    pub deltas: u64,
    /// Frames that its numbering says are missing.
    pub missed: u64,
    /// What was dropped, by [`Dropped`].
    pub dropped: [u64; Dropped::COUNT],
    /// Times that it had to wait because it told more than a partner may.
    pub throttled: u64,
    /// Its version; empty when it has not said it.
    pub version: String,
    /// After how many seconds peers die there.
    pub lifetime: Option<u32>,
    /// The digest of its zones.
    pub zones_digest: Option<u64>,
    /// Whether the operator had it forgotten and it has not been heard since.
    pub is_forgotten: bool,
}

/// One engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineStatus {
    /// Where it is, without secrets.
    pub url: String,
    /// How it is.
    pub state: EngineState,
    /// Seconds since it is so.
    pub since_seconds: u32,
    /// What is wrong, as a fixed text or the engine's own first line; `None` when it is well.
    pub error: Option<String>,
    /// The last round trip, in microseconds.
    pub rtt_us: Option<u64>,
    /// What it calls itself: `redis 7.0.15`, `valkey 8.0.1`.
    pub version: Option<String>,
    /// Bytes that it uses.
    pub memory: Option<u64>,
    /// Bytes that it may use; 0 for no bound.
    pub max_memory: Option<u64>,
    /// Its clock less the wall clock here, in milliseconds.
    pub clock_offset_ms: Option<i64>,
    /// Whether its logs have been read to their end since this tracker started.
    pub is_caught_up: bool,
    /// Streams of trackers found there.
    pub streams: usize,
    /// Bytes of replies read from it.
    pub bytes_read: u64,
    /// Times that the connection was made anew.
    pub reconnects: u64,
}

/// What this tracker tells the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// Frames that an engine has taken.
    pub frames: u64,
    /// Changes of peers in them.
    pub deltas: u64,
    /// Bytes of the frames.
    pub bytes: u64,
    /// Changes that were not told when they came, because no engine took them; told again by the next repair.
    pub dropped: u64,
    /// Times that a worker's queue was full.
    pub overflows: u64,
    /// Times that everything was, or is being, told again.
    pub resends: u64,
    /// Torrents that the repair under way has before it; 0 when none is.
    pub resend_left: u64,
    /// Times that another engine was chosen to write to.
    pub engine_changes: u64,
    /// Times that the own log was begun anew, because it was ahead of the engine's clock.
    pub new_logs: u64,
}

/// Percentiles of the lag, in milliseconds, rounded up to the bucket they fall into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// Half of all frames took at most so long.
    pub p50_ms: u64,
    /// 99 of 100 took at most so long.
    pub p99_ms: u64,
    /// The longest.
    pub most_ms: u64,
}
