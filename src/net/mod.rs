//! Addresses, and whose they are: what the trackers, the pages and the core know of who asks. Arithmetic on addresses and on
//! what a request says of its sender; no socket but those that [`handover`] passes on.
//!
//! - [`client_address`] decides whose address a request counts for, [`reported_address`] what clients may say of their own.
//! - [`subscriber()`] says what counts as one subscriber, [`reach`] who can reach an address.
//! - [`AddressPair`] is an inside and an outside of the same hosts, [`Networks`] a set of networks, [`AddressRanges`] one of ranges.
//! - `compact` reads addresses as trackers send them.
//! - [`limits`] says who has asked for too much, and who is refused everything for a time because of it.
//! - [`hosts`] knows the tracker's own names, and pages of other sites.
//! - [`handover`] is the channel for connections that one listener accepts and another server serves, bounded by whose they are.

pub(crate) mod address_pair;
mod address_ranges;
pub mod client_address;
mod compact;
pub mod handover;
pub mod hosts;
pub mod limits;
mod networks;
mod reach;
pub mod reported_address;
pub(crate) mod subscriber;

pub use address_pair::AddressPair;
pub use address_ranges::{AddressRange, AddressRanges, UnsortedRanges};
pub(crate) use compact::compact_peers;
pub use networks::{Networks, host_or_network, is_wide};
pub use reach::{is_link_local, is_reachable};
pub use subscriber::subscriber;
