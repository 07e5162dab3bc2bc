//! Lists that operators keep in files beside the configuration: which torrents are served, what is blocked, keys of announce addresses. Read line by line within
//! bounds, and read again when they change.
//!
//! - `files.rs` holds what the configured files say and puts it in force, `torrents.rs` and `blocklist.rs` read their lines.
//! - [`keys`] reads keys of announce addresses.
//! - [`lines`] reads any file line by line and names the lines that are wrong, [`watched`] tells when a file has become another.

mod blocklist;
mod files;
pub mod keys;
pub mod lines;
mod torrents;
pub mod watched;

use std::path::PathBuf;

pub use files::{FileStatus, ListFiles, Looked, Subject};

/// Which files there are, and what the one of torrents is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Whether only listed torrents are served (`torrents = listed`). Default no: all are.
    pub only_listed: bool,
    /// A file of torrents that are served then (`torrents_file`). Default none.
    pub torrents_file: Option<PathBuf>,
    /// Files of what is blocked (`blocklist_file`), at most [`MAX_BLOCKLIST_FILES`]. Default none.
    pub blocklist_files: Vec<PathBuf>,
}

/// Files of what is blocked at most: each is asked for itself.
pub const MAX_BLOCKLIST_FILES: usize = 16;
