//! The place of an entry in a log: the engine's milliseconds since 1970 when it was appended, and a number among those of one
//! millisecond (`1700000000000-3`).

use std::fmt;
use std::str::FromStr;

/// By how much a log may be ahead of its engine's clock, which somebody may have set back a little. What is further ahead is never
/// dropped from the log for its age, and its age means nothing.
const MAX_AHEAD_MS: u64 = 60_000;

/// By how much the engine's clock, measured every 10 s and over a line that may be slow, may be estimated too low.
const ESTIMATE_MS: u64 = 1_000;

/// A concrete id. Logs are read from such ids only: what the engine calls `$` loses what comes between two questions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct EntryId {
    pub(super) ms: u64,
    pub(super) number: u64,
}

impl EntryId {
    /// Before everything that was appended at or after `ms`.
    pub(super) fn before(ms: u64) -> EntryId {
        EntryId {
            ms: ms.saturating_sub(1),
            number: u64::MAX,
        }
    }

    /// By how many milliseconds it is ahead of the engine's clock, where that is more than may be.
    pub(super) fn ahead_of(self, engine_ms: u64) -> Option<u64> {
        Some(self.ms.saturating_sub(engine_ms)).filter(|ahead| *ahead > MAX_AHEAD_MS)
    }

    /// Whether it is ahead of the engine's clock at all, but for what an estimate of that may be wrong by. It may have been further ahead
    /// a moment ago, and its log may be another by now, whose ids are lesser.
    pub(super) fn leads(self, engine_ms: u64) -> bool {
        self.ms > engine_ms.saturating_add(ESTIMATE_MS)
    }
}

/// By how much something is ahead, as one says it.
pub(super) fn in_words(ahead_ms: u64) -> String {
    const YEAR_MS: u64 = 365 * 24 * 3_600 * 1_000;
    if ahead_ms > 100 * YEAR_MS {
        "more than a century".to_owned()
    } else {
        format!("{} s", ahead_ms / 1_000)
    }
}

impl FromStr for EntryId {
    type Err = ();

    fn from_str(text: &str) -> Result<EntryId, ()> {
        let (ms, number) = text.split_once('-').ok_or(())?;
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(ms) || !digits(number) {
            return Err(());
        }
        Ok(EntryId {
            ms: ms.parse().map_err(drop)?,
            number: number.parse().map_err(drop)?,
        })
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}-{}", self.ms, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_and_is_ordered_by_time() {
        let id: EntryId = "1700000000000-3".parse().unwrap();
        assert_eq!(id.to_string(), "1700000000000-3");
        assert!(EntryId::before(1_700_000_000_000) < EntryId { number: 0, ..id });
        assert_eq!(id.ahead_of(id.ms - MAX_AHEAD_MS), None);
        assert_eq!(id.ahead_of(id.ms + 1), None);
        assert_eq!(id.ahead_of(id.ms - 60_001), Some(60_001));
        assert!(id.leads(id.ms - 1_001) && !id.leads(id.ms - 1_000) && !id.leads(u64::MAX));
        assert_eq!(in_words(60_001), "60 s");
        assert_eq!(in_words(u64::MAX - id.ms), "more than a century");
        for bad in [
            "",
            "1",
            "-",
            "1-",
            "-1",
            "1-x",
            "+1-1",
            "99999999999999999999-1",
        ] {
            assert!(bad.parse::<EntryId>().is_err(), "{bad}");
        }
    }
}
