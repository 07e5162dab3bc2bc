//! The pages that people look at, one file each.

pub(super) mod about;
pub(super) mod audit;
pub(super) mod bans;
pub(super) mod block_effects;
pub(super) mod block_entries;
pub(super) mod blocklist;
pub(super) mod clients;
pub(super) mod frequent_announcers;
pub(super) mod keys;
pub(super) mod listed;
pub(super) mod locality;
pub(super) mod login;
pub(super) mod overview;
pub(super) mod peers;
pub(super) mod sites;
pub(super) mod torrents;
pub(super) mod zones;
