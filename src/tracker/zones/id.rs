//! Which zone: its number in the order of the tree.

use std::num::NonZeroU32;

/// The largest number of a zone: 22 bits of a peer's sort key are left beside the two of its tier.
pub(crate) const MAX_ZONE: u32 = (1 << 22) - 1;

/// The number of a zone in the order of the tree, from 1 to [`MAX_ZONE`]; good for the [`Zones`](super::Zones) that gave it. An
/// address in no zone has `None`, which comes before all zones and takes no memory beside them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZoneId(NonZeroU32);

impl ZoneId {
    /// Reads what [`ZoneId::pack`] wrote.
    #[inline]
    pub(crate) const fn unpack(number: u32) -> Option<ZoneId> {
        match NonZeroU32::new(number) {
            Some(number) => Some(ZoneId(number)),
            None => None,
        }
    }

    /// The number as peers and tables keep it: 0 where an address is in no zone.
    #[inline]
    pub(crate) const fn pack(zone: Option<ZoneId>) -> u32 {
        match zone {
            Some(ZoneId(number)) => number.get(),
            None => 0,
        }
    }

    /// Its row in a table with one for each zone, and the first one for no zone.
    #[inline]
    pub(crate) const fn index(zone: Option<ZoneId>) -> usize {
        ZoneId::pack(zone) as usize
    }
}

// A table of a million prefixes holds one for each.
const _: () = assert!(size_of::<Option<ZoneId>>() == 4);
