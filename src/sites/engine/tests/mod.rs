//! The client against an engine in the same process.

pub(crate) mod fake;
