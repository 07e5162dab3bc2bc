//! The policies that are compared: how the tracker chooses whom to hand out.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, ensure};

use crate::tracker::{Selection, Settings};

/// How the tracker chooses peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    /// At random, as trackers do: it knows no zones, and no two addresses share a prefix that it looks at.
    Random,
    /// Nearest first, up to a share of the list (S7).
    Shares { local_share: u32, min_external: u32 },
    /// Neighbours and about one stranger at most (S15).
    Few,
}

impl Policy {
    /// What is compared unless somebody says otherwise.
    pub(super) const ALL: [Policy; 3] = [Policy::Random, Policy::SHARES, Policy::Few];

    const SHARES: Policy = Policy::Shares {
        local_share: 98,
        min_external: 1,
    };

    /// The settings of a tracker with this policy.
    pub(super) fn settings(self) -> Settings {
        let settings = Settings::default();
        match self {
            Policy::Random => settings,
            Policy::Shares {
                local_share,
                min_external,
            } => Settings {
                selection: Selection::Shares,
                local_share,
                min_external,
                ..settings
            },
            Policy::Few => Settings {
                selection: Selection::Few,
                ..settings
            },
        }
    }

    /// Whether the tracker is told who lives where.
    pub(super) fn knows_zones(self) -> bool {
        self != Policy::Random
    }
}

impl FromStr for Policy {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Policy> {
        let shares = match text {
            "random" => return Ok(Policy::Random),
            "shares" => return Ok(Policy::SHARES),
            "few" => return Ok(Policy::Few),
            text => text.strip_prefix("shares:"),
        };
        let (local_share, min_external) = shares
            .and_then(|shares| shares.split_once('/'))
            .context("`random`, `few`, `shares`, or `shares:` with local_share/min_external")?;
        let [local_share, min_external] = [local_share.parse()?, min_external.parse()?];
        ensure!(local_share <= 100, "local_share is in percent");
        Ok(Policy::Shares {
            local_share,
            min_external,
        })
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Policy::Random => f.write_str("random"),
            &Policy::SHARES => f.write_str("shares"),
            Policy::Few => f.write_str("few"),
            Policy::Shares {
                local_share,
                min_external,
            } => write!(f, "shares:{local_share}/{min_external}"),
        }
    }
}
