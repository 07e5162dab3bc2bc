//! http
pub mod head;
pub mod query;
pub mod reply;
