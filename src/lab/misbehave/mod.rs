//! `retracker-lab misbehave`: a tracker that answers by a script, to see what a client makes of it.

pub mod act;
mod actor;
pub mod catalogue;
mod command;
mod datagram;
mod document;
mod http;
mod peers;
pub mod scenario;
pub mod script;
mod stand;
#[cfg(test)]
mod tests;

pub use actor::answerer;
pub(crate) use command::script_of;
pub use command::{Arguments, run};
pub use document::Fault;
pub use peers::Places;
pub(crate) use stand::Stand;
