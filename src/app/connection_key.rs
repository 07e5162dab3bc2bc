//! The key of UDP connection ids, kept beside the database and readable by its owner only, so that clients who connected before a
//! restart are known after it. The seconds that ids live by are the database's, which go on over a restart as well.
//!
//! A key whose time does not go on is thrown away, since ids of before might live again; so is one that is damaged, or that
//! others could read or have put there. Nothing about it stops the start: it costs UDP clients a minute to be without.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use crate::clock::Clock;
use crate::regular_file::whole::{self, Manner, Owner};
use crate::regular_file::{folder_of, without_following};
use crate::snapshot::{Restored, Settings};
use crate::udp::connection_id::{ConnectionIds, Key};

/// The file, in the folder of the database.
const FILE: &str = "retracker.udp-key";

/// The ids that go on from the last run, or else new ones.
///
/// # Errors
/// When the system has no random bytes.
pub(super) fn ids(
    settings: &Settings,
    restored: &Restored,
    clock: Clock,
) -> Result<ConnectionIds, getrandom::Error> {
    let now = clock.now();
    let (elapsed, goes_on) = restored.elapsed(now);
    let folder = folder_of(&settings.file);
    // Why there is none that can be used has been said: see `warning`.
    let kept = read(&folder.join(FILE)).ok();
    if let Some(key) = kept.filter(|_| goes_on) {
        return Ok(ConnectionIds::resume(&key, elapsed, now));
    }
    let key = Key::generate()?;
    if let Err(error) = write(folder, &key) {
        log::warn!(
            "the key of UDP clients cannot be kept in {}: {error}; they will connect anew after a restart",
            folder.display()
        );
    }
    Ok(ConnectionIds::resume(&key, elapsed, now))
}

/// What the operator is told of a key that is there and cannot be used.
pub(super) fn warning(settings: &Settings) -> Option<String> {
    let path = folder_of(&settings.file).join(FILE);
    match read(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Some(format!(
            "{}: {error}; UDP clients of before connect anew",
            path.display()
        )),
        _ => None,
    }
}

/// Reads the key. A link, a FIFO or a device is not followed nor waited for.
fn read(path: &Path) -> io::Result<Key> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(without_following())
        .open(path)?;
    let unusable = |why| Err(io::Error::new(io::ErrorKind::InvalidData, why));
    let found = file.metadata()?;
    if !found.is_file() {
        return unusable("is no regular file");
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return unusable("belongs to another user");
    }
    if found.mode() & 0o077 != 0 {
        return unusable("others may read it");
    }
    let mut text = String::new();
    file.take(64).read_to_string(&mut text)?;
    Key::parse(&text).map_or_else(|| unusable("is damaged"), Ok)
}

/// Writes the key so that no part of it is ever seen under its name, even after a power cut.
fn write(folder: &Path, key: &Key) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o750)
        .create(folder)?;
    // It is looked at whose it is, so it is this process's own.
    let manner = Manner::Secret(Owner::Own);
    whole::write(&folder.join(FILE), key.to_text().as_bytes(), manner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    /// P24
    #[test]
    fn a_key_is_kept_for_its_owner_only_and_replaces_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let key = Key::generate().unwrap();
        write(&state, &key).unwrap();
        let next = Key::generate().unwrap();
        write(&state, &next).unwrap();
        let path = state.join(FILE);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(read(&path).unwrap().to_text(), next.to_text());
        let names: Vec<_> = fs::read_dir(&state)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, [FILE]);
    }

    /// P24: nothing that is not a key of ours is taken for one, and nothing is waited for
    #[test]
    fn what_is_no_key_of_ours_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let refused = || read(&path).unwrap_err().to_string();
        assert_eq!(read(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        write(folder.path(), &Key::generate().unwrap()).unwrap();
        let whole = fs::read(&path).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        assert_eq!(refused(), "others may read it");
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        let zeros = vec![0; 33];
        let long = whole.repeat(1_000);
        for damaged in [&whole[1..], &whole[..32], &zeros, b"", &long] {
            fs::write(&path, damaged).unwrap();
            assert_eq!(refused(), "is damaged");
        }
        fs::write(&path, [0xff; 33]).unwrap();
        refused();
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        refused();
        fs::remove_dir(&path).unwrap();
        let elsewhere = folder.path().join("elsewhere");
        fs::write(&elsewhere, &whole).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        refused();
        fs::remove_file(&path).unwrap();
        rustix::fs::mkfifoat(
            rustix::fs::CWD,
            &path,
            rustix::fs::Mode::from_raw_mode(0o600),
        )
        .unwrap();
        assert_eq!(refused(), "is no regular file");
    }
}
