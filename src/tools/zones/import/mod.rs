//! `zones import`: writes a file of prefixes from what an operator has already: a table, NetBox's answer, an MMDB database.
//!
//! All or nothing: unless bad rows may be skipped, one of them is enough for nothing to be written, and a file is replaced whole.

mod found;
mod mmdb;
mod netbox;
mod table;
mod template;

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use ipnet::IpNet;

use crate::config;
use crate::regular_file;
use crate::regular_file::whole::{self, Manner};
use crate::tools::owner::become_owner_of_folder;
use found::Found;
use template::Template;

#[cfg(test)]
pub(super) use mmdb::sample as mmdb_sample;

/// What is read of one file at most: half a million prefixes of NetBox.
const MAX_BYTES: u64 = 1 << 30;

/// What is imported, and how.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Files to read; `-` or none for standard input. Several for the pages of one answer.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What they are; found out by what is in them when it is not given.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// How the path of a zone is made, as `{site}/{role}`: columns of a table, fields of NetBox (`{site.slug}`, `{tags:zone-}`)
    /// or of a database (`{country.iso_code}`). `{role|other}` has `other` where there is no role.
    #[arg(long, value_name = "TEMPLATE")]
    path: Option<String>,
    /// Column of a table that holds the prefixes.
    #[arg(long, value_name = "COLUMN")]
    prefix: Option<String>,
    /// Only prefixes in this network; may be given more than once.
    #[arg(long, value_name = "NETWORK")]
    within: Vec<IpNet>,
    /// Writes what can be used although other rows cannot.
    #[arg(long)]
    skip_bad: bool,
    /// File to write; standard output when it is not given.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replaces the file to write when it is there.
    #[arg(long, requires = "output")]
    force: bool,
}

/// What can be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A table with a header, separated by commas, semicolons or tabs.
    Csv,
    /// JSON of NetBox's /api/ipam/prefixes/.
    Netbox,
    /// A MaxMind DB of countries, autonomous systems and the like.
    Mmdb,
}

/// What came of an import.
pub(super) struct Imported {
    /// For standard output: the file of prefixes, unless it was written elsewhere.
    pub text: String,
    /// For standard error.
    pub told: String,
}

impl Arguments {
    /// Imports.
    ///
    /// # Errors
    /// Nothing was written; the error says why, row by row.
    pub(super) fn import(&self) -> anyhow::Result<Imported> {
        if let Some(file) = self.output.as_deref().filter(|_| !self.force) {
            ensure!(
                std::fs::symlink_metadata(file).is_err(),
                "{} is there already; --force replaces it",
                file.display()
            );
        }
        let template = self.path.as_deref().map(Template::parse).transpose();
        let template = template.map_err(anyhow::Error::msg).context("--path")?;
        let found = self.read(template.as_ref())?;
        let bad = found.bad_rows();
        if bad > 0 && !self.skip_bad {
            bail!(
                "nothing was written: {bad} rows cannot be used (--skip-bad leaves them out){}",
                found.complaint()
            );
        }
        let (prefixes, zones) = found.counts();
        ensure!(prefixes > 0, "nothing was written: no prefix was found");
        let text = found.written();
        // By the reader of the tracker itself: what is written will be taken.
        config::read_zones_file("what would be written", text.as_bytes())?;
        let mut told = format!("{prefixes} prefixes in {zones} zones");
        for (count, what) in [
            (found.doubled, "prefixes that stand twice were taken once"),
            (found.left_out, "prefixes without a zone were left out"),
            (
                found.altered,
                "paths had a # or a / in a name; - stands for it",
            ),
            (bad, "rows cannot be used and were left out"),
        ] {
            if count > 0 {
                told.push_str(&format!("; {count} {what}"));
            }
        }
        told.push_str(&found.complaint());
        let text = match &self.output {
            None => text,
            Some(file) => {
                // What is imported has been read; who calls may do that, whoever the folder belongs to.
                let (acting, target) = become_owner_of_folder(file)?;
                let written = write_whole(&target, &text, self.force);
                let written =
                    written.with_context(|| format!("{}: cannot be written", file.display()));
                acting.blame(written)?;
                String::new()
            }
        };
        Ok(Imported { text, told })
    }

    fn read(&self, template: Option<&Template>) -> anyhow::Result<Found> {
        let standard_input = [PathBuf::from("-")];
        let files = if self.files.is_empty() {
            &standard_input
        } else {
            self.files.as_slice()
        };
        let mut found = Found::default();
        let mut pages = netbox::Pages::default();
        for file in files {
            let (name, bytes) = read_file(file)?;
            found.begin(name.clone());
            self.read_one(&bytes, template, &mut pages, &mut found)
                .with_context(|| format!("nothing was written: {name}"))?;
        }
        pages.finish().context("nothing was written")?;
        found.keep(|prefix| self.is_wanted(prefix));
        Ok(found)
    }

    fn read_one(
        &self,
        bytes: &[u8],
        template: Option<&Template>,
        pages: &mut netbox::Pages,
        found: &mut Found,
    ) -> anyhow::Result<()> {
        match self.format.unwrap_or_else(|| Format::of(bytes)) {
            Format::Csv => table::read(bytes, self.prefix.as_deref(), template, found),
            Format::Netbox => {
                let template = template.context(
                    "how is the path of a zone made? Say it, as --path '{site}/{role}' or '{tags:zone-}'",
                )?;
                pages.read(bytes, template, found)
            }
            Format::Mmdb => mmdb::read(bytes, template, |prefix| self.is_wanted(prefix), found),
        }
    }

    fn is_wanted(&self, prefix: &IpNet) -> bool {
        self.within.is_empty() || self.within.iter().any(|within| within.contains(prefix))
    }
}

impl Format {
    /// What it is by what is in it.
    fn of(bytes: &[u8]) -> Format {
        if mmdb::is_one(bytes) {
            return Format::Mmdb;
        }
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        match text.trim_ascii_start().first() {
            Some(b'{' | b'[') => Format::Netbox,
            _ => Format::Csv,
        }
    }
}

/// Reads a file, or standard input for `-`; its name for people, and what is in it.
pub(super) fn read_file(file: &Path) -> anyhow::Result<(String, Vec<u8>)> {
    if file != Path::new("-") {
        let name = file.display().to_string();
        let bytes = regular_file::read(file, MAX_BYTES);
        let bytes = bytes.with_context(|| format!("{name}: cannot be read"))?;
        return Ok((name, bytes));
    }
    let mut bytes = Vec::new();
    let input = io::stdin().lock().take(MAX_BYTES + 1);
    let name = "standard input".to_owned();
    { input }
        .read_to_end(&mut bytes)
        .context("standard input")?;
    ensure!(
        bytes.len() as u64 <= MAX_BYTES,
        "{name} is longer than {MAX_BYTES} bytes"
    );
    Ok((name, bytes))
}

/// Writes a file beside its place and moves it there, so that whoever reads it meets all of it or what was there before. Follows no
/// link: whoever owns the folder could put one there.
fn write_whole(path: &Path, text: &str, may_replace: bool) -> io::Result<()> {
    whole::write(path, text.as_bytes(), Manner::AsBefore { may_replace })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// O14
    #[test]
    fn a_file_is_written_whole_and_replaced_only_when_that_was_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("zones");
        write_whole(&path, "one", false).unwrap();
        let error = write_whole(&path, "two", false).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        // What a link leads to is replaced, not the link; but nobody may turn it round in between.
        let (_, target) = become_owner_of_folder(&link).unwrap();
        write_whole(&target, "three", true).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "three");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        write_whole(&link, "four", true).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "three");
        assert!(fs::symlink_metadata(&link).unwrap().is_file());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    /// O14
    #[test]
    fn what_a_file_is_shows_in_what_is_in_it() {
        let database =
            mmdb_sample::database("Test", &[("192.0.2.0/24", mmdb_sample::country("RU"))]);
        for (bytes, format) in [
            (database.as_slice(), Format::Mmdb),
            (b"\xef\xbb\xbf [1]".as_slice(), Format::Netbox),
            (b"{\"results\": []}", Format::Netbox),
            (b"prefix,zone\n", Format::Csv),
            (b"", Format::Csv),
        ] {
            assert_eq!(Format::of(bytes), format);
        }
    }
}
