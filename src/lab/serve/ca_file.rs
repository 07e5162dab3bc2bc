//! The certificate of the throw-away authority, in a file for clients.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::Lab;

/// The authority's certificate in a file, which is gone with this.
#[derive(Debug)]
pub(crate) struct CaFile(Option<PathBuf>);

impl CaFile {
    /// Writes it where it is wanted and there is one.
    ///
    /// # Errors
    /// When the file cannot be written, or is somebody else's.
    pub(crate) fn write(path: Option<&Path>, lab: &Lab) -> anyhow::Result<CaFile> {
        let Some((path, pem)) = path.zip(lab.ca_pem()) else {
            return Ok(CaFile(None));
        };
        // It is removed at the end: somebody's own file must not be. An empty one was made for this, as `mktemp` does.
        if fs::metadata(path).is_ok_and(|there| there.len() > 0 || !there.is_file()) {
            bail!(
                "{}: is there already; it would be overwritten, and removed at the end",
                path.display()
            );
        }
        fs::write(path, pem).with_context(|| format!("{}", path.display()))?;
        Ok(CaFile(Some(path.to_owned())))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.0.as_deref()
    }
}

impl Drop for CaFile {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // Somebody else may have removed it.
            drop(fs::remove_file(path));
        }
    }
}
