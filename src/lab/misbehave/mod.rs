//! `retracker-lab misbehave`: a tracker that answers by a script, to see what a client makes of it.

pub mod act;
mod actor;
pub(in crate::lab) mod bencode;
pub mod catalogue;
mod datagram;
mod document;
mod http;
mod peers;
pub mod scenario;
pub mod script;
#[cfg(test)]
mod tests;

pub use actor::answerer;
pub use document::Fault;
pub use peers::Places;
