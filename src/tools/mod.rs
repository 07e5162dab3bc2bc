//! Helper tools of the command line: each is a module with `Arguments` and `run`.

mod audited;
pub mod check;
pub mod database_view;
pub mod hash_password;
pub mod import;
pub mod owner;
pub mod sites;
pub mod token;
pub mod zones;

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;

use crate::config::{Loaded, Loader};
use crate::shown::on_one_line;

/// The configuration for a tool that was called with `--config` as `file`; says so where that is not what the working directory has.
fn configuration(file: Option<PathBuf>) -> anyhow::Result<Loaded> {
    let loaded = Loader::new(file, Vec::new()).for_tool().load();
    let loaded = loaded.context("the configuration cannot be used")?;
    if let Some(notice) = loaded.place.notice() {
        let notice = on_one_line(&format_args!("{notice}"));
        // Nobody reads it when standard error is closed.
        drop(writeln!(io::stderr().lock(), "retracker: {notice}"));
    }
    Ok(loaded)
}
