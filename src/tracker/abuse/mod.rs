//! What strangers could do too much of, counted per source in constant memory: entries stored, announces, reported addresses.

pub(super) mod address_counts;
pub(super) mod frequent_announcers;
pub(super) mod reporters;
