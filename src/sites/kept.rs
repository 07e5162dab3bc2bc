//! What outlives a restart, in the snapshot: under which name this tracker counted, the numbers of the other trackers, and up to where
//! each log has been read.

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
    /// Empty in what was written before names were kept.
    #[serde(default)]
    own: String,
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
    /// Under which name this tracker counted; `None` where that was not kept.
    pub(super) own: Option<SiteName>,
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
            own: self
                .own
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
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
        let mut kept = Kept {
            own: written.own.parse().ok(),
            ..Kept::default()
        };
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

    /// Makes it that of a tracker that is called `own` now. What it counted under another name is that one's, which is another tracker
    /// from now on, with the number `former`; what another of the name `own` had counted is its own.
    pub(super) fn rename(&mut self, own: &SiteName) -> Option<Renamed> {
        let former_name = self.own.replace(own.clone());
        let own_number = self.origins.remove(own);
        let former_name = former_name.filter(|former| former != own)?;
        let is_free = |origin: &Origin| {
            Some(*origin) != own_number && self.origins.values().all(|other| other != origin)
        };
        let named = || {
            (1..)
                .map_while(Origin::new)
                .filter(|origin| *origin != Origin::UNKNOWN)
        };
        let known = self.origins.get(&former_name).copied();
        let former = known.or_else(|| named().find(is_free));
        self.origins
            .extend(former.map(|former| (former_name.clone(), former)));
        Some(Renamed {
            former_name,
            former,
            own: own_number,
        })
    }
}

/// A tracker that has another name than when its database was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renamed {
    /// What it was called.
    pub former_name: SiteName,
    /// The number of that name, whose the counts are that it made; `None` when all are taken, and they stay its own.
    pub former: Option<Origin>,
    /// The number that its present name had, whose counts are its own now.
    pub own: Option<Origin>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_reads_back() {
        let name: SiteName = "msk".parse().unwrap();
        let mut kept = Kept {
            own: Some("spb".parse().unwrap()),
            ..Kept::default()
        };
        kept.origins.insert(name.clone(), Origin::new(5).unwrap());
        let id = EntryId {
            ms: 1_700_000_000_000,
            number: 9,
        };
        kept.positions.insert(("redis://e1:6379".into(), name), id);
        assert_eq!(Kept::read(&kept.write()), Some(kept));
    }

    /// O18
    #[test]
    fn a_name_that_changed_leaves_its_counts_to_the_former_one() {
        let name = |text: &str| -> SiteName { text.parse().unwrap() };
        let origin = |number| Origin::new(number).unwrap();
        let mut kept = Kept::default();
        assert_eq!(kept.rename(&name("a")), None, "nothing was kept of a name");
        assert_eq!(kept.rename(&name("a")), None);
        kept.origins.insert(name("b"), origin(1));
        kept.origins.insert(name("c"), origin(2));
        let mut renamed = |to: &str| {
            let renamed = kept.rename(&name(to)).unwrap();
            assert_eq!(
                kept.origins.get(&renamed.former_name),
                renamed.former.as_ref()
            );
            assert!(!kept.origins.contains_key(&name(to)));
            (
                renamed.former.map(Origin::get),
                renamed.own.map(Origin::get),
            )
        };
        assert_eq!(renamed("x"), (Some(3), None));
        // To the name of another, and back.
        assert_eq!(renamed("b"), (Some(4), Some(1)));
        assert_eq!(renamed("a"), (Some(1), Some(3)));
        for number in 1..=62 {
            kept.origins
                .insert(name(&format!("n{number}")), origin(number));
        }
        let renamed = kept.rename(&name("y")).unwrap();
        assert_eq!((renamed.former, renamed.own), (None, None));
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
