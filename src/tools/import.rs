//! `retracker import FILE`: takes over peers and blocklist of the Flask original's `tracker.sqlite`, of either era.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::audited::Caller;
use crate::audit::Deed;
use crate::clock::Clock;
use crate::program;
use crate::regular_file::folder_of;
use crate::snapshot::{Error, Found, Import, Imported, Moment};
use crate::tools::configuration;
use crate::tools::owner::{become_owner, expect_folder};

/// What is imported, and into what.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The original's database; it is only read.
    file: PathBuf,
    /// Configuration that names the database of this tracker; looked for as the tracker does when it is not given, then where the
    /// installed service has it.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Database of this tracker, whatever the configuration says; made when it is missing.
    #[arg(long, value_name = "DATABASE", conflicts_with = "config")]
    into: Option<PathBuf>,
}

/// Imports, and prints what was taken over and what was not.
///
/// # Errors
/// Nothing was imported; the error says why.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let caller = Caller::new();
    let (into, place) = match &arguments.into {
        Some(into) => (into.clone(), None),
        None => {
            let loaded = configuration(arguments.config.clone())?;
            expect_folder(&loaded.place)?;
            (loaded.config.snapshot.file, Some(loaded.place))
        }
    };
    // Who calls may read the original; the user whom the tracker runs as need not.
    let import = Import::from(&arguments.file).context("nothing was imported")?;
    let acting = become_owner(&into, place.as_ref())?;
    let imported = import.run(&into, Moment::of(&Clock::start()));
    let failed = match &imported {
        Err(Error::InUse { .. }) => "stop the tracker first, then import",
        _ => "nothing was imported",
    };
    let imported = acting.blame(imported.context(failed))?;
    let what = format!(
        "{}: {} peers of {} torrents, {} blocks",
        arguments.file.display(),
        imported.peers,
        imported.swarms,
        imported.blocks
    );
    // The audit lies beside the database.
    caller.tell(folder_of(&into), Deed::Import, &what);
    let told = program::printed(tell(&into, &imported, &mut io::stdout().lock()));
    told.context("the import is done, and cannot be told of")
}

fn tell(into: &Path, imported: &Imported, out: &mut impl Write) -> io::Result<()> {
    let into = into.display();
    match &imported.found {
        Found::Whole => {}
        Found::Created => writeln!(out, "made {into}")?,
        Found::SetAside { to, why, .. } => {
            writeln!(
                out,
                "{into} could not be used: {why}; kept as {}",
                to.display()
            )?;
        }
    }
    writeln!(
        out,
        "imported {} peers of {} torrents and {} blocks into {into}",
        imported.peers, imported.swarms, imported.blocks
    )?;
    if imported.bad_rows > 0 {
        writeln!(out, "skipped {} rows that do not parse:", imported.bad_rows)?;
    }
    for bad in &imported.first_bad {
        writeln!(out, "  {} row {}: {}", bad.table, bad.row, bad.why)?;
    }
    if imported.bad_rows > imported.first_bad.len() as u64 {
        writeln!(out, "  …")?;
    }
    out.flush()
}
