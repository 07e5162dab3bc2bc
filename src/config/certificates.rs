//! The certificates of `[TLS]`, read out of their files: at the start, on SIGHUP, and when the files change.

use std::io;
use std::path::{Path, PathBuf};

use super::list::ListenAddress;
use super::problem::{Locations, Problem, named};
use crate::tls::{Certificate, Files};

/// What is said of TLS, and what comes of it.
#[derive(Clone, Debug, Default)]
pub struct TlsSources {
    /// Where to listen (`listen`).
    pub listen: Vec<ListenAddress>,
    /// Files of certificates (`certificate`).
    pub certificate_files: Vec<PathBuf>,
    /// Files of their keys (`key`); none when the keys are in the files of the certificates.
    pub key_files: Vec<PathBuf>,
    /// The certificates, in the same order.
    pub certificates: Vec<Certificate>,
}

impl TlsSources {
    /// The files that are read, each once.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = Vec::new();
        for file in self.certificate_files.iter().chain(&self.key_files) {
            if !files.contains(file) {
                files.push(file.clone());
            }
        }
        files
    }

    /// Reads the certificates.
    pub(super) fn read(
        &self,
        locations: &Locations,
        read_file: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
    ) -> Result<Vec<Certificate>, Vec<Problem>> {
        let (certificates, keys) = (&self.certificate_files, &self.key_files);
        if certificates.is_empty() && !self.listen.is_empty() {
            let location = named(locations, "TLS", "listen");
            let text = format!("{location}: there is no certificate to show there");
            return Err(vec![Problem(text)]);
        }
        if !keys.is_empty() && keys.len() != certificates.len() {
            let (location, count) = (named(locations, "TLS", "key"), keys.len());
            let of = certificates.len();
            let text = format!(
                "{location}: {count} keys for {of} certificates; one for each, in the same order"
            );
            return Err(vec![Problem(text)]);
        }
        let (mut read, mut problems) = (Vec::new(), Vec::new());
        for (at, certificate) in certificates.iter().enumerate() {
            let files = Files {
                certificate: certificate.clone(),
                key: keys.get(at).unwrap_or(certificate).clone(),
            };
            match one(&files, locations, read_file) {
                Ok(certificate) => read.push(certificate),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() {
            Ok(read)
        } else {
            Err(problems)
        }
    }
}

/// Reads one certificate with its key.
fn one(
    files: &Files,
    locations: &Locations,
    read_file: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
) -> Result<Certificate, Problem> {
    let is_together = files.certificate == files.key;
    let fault = |is_of_key: bool, why: String| {
        let (key, file) = if is_of_key && !is_together {
            ("key", &files.key)
        } else {
            ("certificate", &files.certificate)
        };
        let location = named(locations, "TLS", key);
        Problem(format!("{location} = `{}`: {why}", file.display()))
    };
    let read = |is_of_key: bool, file: &Path| {
        read_file(file).map_err(|error| {
            let hint = if error.kind() == io::ErrorKind::PermissionDenied {
                "; the tracker's own user must be able to read it"
            } else {
                ""
            };
            fault(is_of_key, format!("cannot be read: {error}{hint}"))
        })
    };
    let certificate = read(false, &files.certificate)?;
    let key = if is_together {
        certificate.clone()
    } else {
        read(true, &files.key)?
    };
    Certificate::read(files.clone(), &certificate, &key)
        .map_err(|unusable| fault(unusable.is_of_key(), unusable.to_string()))
}
