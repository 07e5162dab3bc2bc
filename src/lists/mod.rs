//! Lists that operators keep in files beside the configuration: read line by line within bounds, and read again when they change.
//!
//! - [`lines`] reads a file line by line and names the lines that are wrong, [`watched`] tells when a file has become another.

pub mod lines;
pub mod watched;
