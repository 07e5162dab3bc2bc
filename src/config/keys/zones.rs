//! `[ZONES]` and `[ZONE_WARNINGS]`, whose keys are the operator's own names.

use crate::config::key::{FreeKeys, Section};

pub(super) const ZONES: Section = Section {
    name: "ZONES",
    about: "Networks by where they are. A zone's name is a path; two clients are as near as their paths share leading parts, \
        and a list is filled from the nearest on. The longest network that covers a client decides. Far more of them go into \
        [TRACKER] zones_file.",
    keys: &[],
    free: Some(&FreeKeys {
        example: "moscow/north/building-7 = 10.7.0.0/24 2001:db8:7::/48",
        is_secret: false,
        read: |c, name, text, location| c.zoning.read(name, text, location),
        write: |c| c.zoning.written(),
    }),
};

pub(super) const WARNINGS: Section = Section {
    name: "ZONE_WARNINGS",
    about: "Texts that clients of a zone, and of those below it, are shown.",
    keys: &[],
    free: Some(&FreeKeys {
        example: "moscow/north = The backbone is under repair tonight",
        is_secret: false,
        read: |c, name, text, location| c.zoning.read_warning(name, text, location),
        write: |c| c.zoning.warnings.clone(),
    }),
};
