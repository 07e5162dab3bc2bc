//! What outlives a restart, in the snapshot: the numbers of the other trackers, and up to where each log has been read.

use std::collections::BTreeMap;

use super::entry_id::EntryId;
use super::name::SiteName;
use crate::tracker::Origin;

/// The format that is written and read.
const FORMAT: u32 = 1;

/// As it is kept: JSON, which a later version can add to.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
struct Written {
    format: u32,
    origins: Vec<(u8, String)>,
    positions: Vec<Position>,
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Position {
    engine: String,
    name: String,
    ms: u64,
    number: u64,
}

/// What was kept.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) origins: BTreeMap<SiteName, Origin>,
    /// By the engine's address.
    pub(super) positions: BTreeMap<(String, SiteName), EntryId>,
}

impl Kept {
    pub(super) fn write(&self) -> Vec<u8> {
        let origins = self.origins.iter();
        let positions = self.positions.iter();
        let written = Written {
            format: FORMAT,
            origins: origins
                .map(|(name, origin)| (origin.get(), name.to_string()))
                .collect(),
            positions: positions
                .map(|((engine, name), id)| Position {
                    engine: engine.clone(),
                    name: name.to_string(),
                    ms: id.ms,
                    number: id.number,
                })
                .collect(),
        };
        serde_json::to_vec(&written).unwrap_or_default()
    }

    /// `None` for what is not of this format. What is in it and cannot be is left out.
    pub(super) fn read(bytes: &[u8]) -> Option<Kept> {
        let written: Written = serde_json::from_slice(bytes).ok()?;
        if written.format != FORMAT {
            return None;
        }
        let mut kept = Kept::default();
        for (number, name) in written.origins {
            let origin = Origin::new(number).filter(|origin| *origin != Origin::UNKNOWN);
            let is_free = |origin: &Origin| !kept.origins.values().any(|other| other == origin);
            if let (Some(origin), Ok(name)) = (origin.filter(is_free), name.parse()) {
                kept.origins.insert(name, origin);
            }
        }
        for position in written.positions {
            let Position { ms, number, .. } = position;
            if let Ok(name) = position.name.parse() {
                kept.positions
                    .insert((position.engine, name), EntryId { ms, number });
            }
        }
        Some(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_reads_back() {
        let name: SiteName = "msk".parse().unwrap();
        let mut kept = Kept::default();
        kept.origins.insert(name.clone(), Origin::new(5).unwrap());
        let id = EntryId {
            ms: 1_700_000_000_000,
            number: 9,
        };
        kept.positions.insert(("redis://e1:6379".into(), name), id);
        assert_eq!(Kept::read(&kept.write()), Some(kept));
    }

    #[test]
    fn what_is_damaged_or_twice_is_not_taken() {
        assert_eq!(Kept::read(b"\x00"), None);
        assert_eq!(
            Kept::read(br#"{"format":2,"origins":[],"positions":[]}"#),
            None
        );
        let odd = br#"{"format":1,"origins":[[1,"a"],[1,"b"],[0,"c"],[63,"d"],[2,"E"]],"positions":[],"later":1}"#;
        let kept = Kept::read(odd).unwrap();
        assert_eq!(kept.origins.len(), 1);
    }
}
