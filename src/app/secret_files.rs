//! Files with a secret that the configuration names, or that the tracker keeps: the start and `--check-config` tell of those that every user
//! of the machine can read.
//!
//! A group may read them: the packages' files belong to root and the tracker's group.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::config::Loaded;

/// The permissions of users who are neither the owner nor in the group.
const OTHERS: u32 = 0o007;

/// The files with secrets of a configuration, and what each has; `of_pages` are those that the pages keep.
fn files(loaded: &Loaded, of_pages: Vec<PathBuf>) -> Vec<(&'static str, PathBuf)> {
    let keys = loaded.key_files().into_iter();
    let keys = keys.map(|file| ("the private key", file));
    let password = loaded.sites_password_file();
    let password = password.map(|file| ("the password of [SITES]", file));
    let announce_keys = loaded.config.keys_file.clone();
    let announce_keys = announce_keys.map(|file| ("the list of keys", file));
    let of_pages = of_pages.into_iter().map(|file| ("the secret", file));
    let all = keys.chain(password).chain(announce_keys).chain(of_pages);
    all.collect()
}

/// What is said of those that every user of this machine can read or change, a line each. What cannot be looked at is told elsewhere.
pub(super) fn open_to_all(loaded: &Loaded, of_pages: Vec<PathBuf>) -> Vec<String> {
    let open = |(what, file): (&str, PathBuf)| {
        let mode = fs::metadata(&file).ok()?.mode() & 0o7777;
        let file = file.display();
        (mode & OTHERS != 0).then(|| {
            format!(
                "{what} {file} is open to every user of this machine (mode {mode:04o}): chmod o= {file}"
            )
        })
    };
    files(loaded, of_pages)
        .into_iter()
        .filter_map(open)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    /// O17, P23, O16
    #[test]
    fn secrets_that_every_user_can_read_are_told_and_those_of_a_group_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let file = folder.path().join(name);
            fs::write(&file, "secret").unwrap();
            file
        };
        let (password, keys, tokens) = (file("password"), file("keys"), file("tokens"));
        let mut loaded = Loaded::default();
        loaded.config.keys_file = Some(keys.clone());
        let sites = &mut loaded.config.site_sources;
        sites.engines = vec!["redis://127.0.0.1".parse().unwrap()];
        sites.password_file = Some(password.clone());
        let told = |loaded: &Loaded, mode: u32| {
            for file in [&password, &keys, &tokens] {
                fs::set_permissions(file, Permissions::from_mode(mode)).unwrap();
            }
            let missing = folder.path().join("missing");
            open_to_all(loaded, vec![tokens.clone(), missing])
        };
        assert!(told(&loaded, 0o640).is_empty());
        let lines = told(&loaded, 0o644);
        assert_eq!(lines.len(), 3, "{lines:?}");
        for (line, (what, file)) in lines.iter().zip([
            ("the password of [SITES]", &password),
            ("the list of keys", &keys),
            ("the secret", &tokens),
        ]) {
            let file = file.display();
            assert!(line.starts_with(&format!("{what} {file} is open to every user")));
            assert!(line.ends_with(&format!("(mode 0644): chmod o= {file}")));
        }
        assert_eq!(told(&loaded, 0o602).len(), 3);
        // Where there are no engines, nobody reads the password.
        loaded.config.site_sources.engines.clear();
        assert_eq!(told(&loaded, 0o644).len(), 2);
    }
}
