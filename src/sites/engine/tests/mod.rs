//! The client against an engine in the same process.

pub(in crate::sites) mod fake;
