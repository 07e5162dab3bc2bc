//! Files with a secret: the configuration itself, those that it names, and those that the tracker keeps: the start and `--check-config` tell of those that every user
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
    let own = loaded.files_with_secrets().into_iter();
    let own = own.map(|file| ("the secret in", file));
    let keys = loaded.key_files().into_iter();
    let keys = keys.map(|file| ("the private key", file));
    let password = loaded.sites_password_file();
    let password = password.map(|file| ("the password of [SITES]", file));
    let announce_keys = loaded.config.keys_file.clone();
    let announce_keys = announce_keys.map(|file| ("the list of keys", file));
    let of_pages = of_pages.into_iter().map(|file| ("the secret", file));
    let named = keys.chain(password).chain(announce_keys);
    own.chain(named).chain(of_pages).collect()
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
    use crate::config::Sources;
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

    /// O17: also of the configuration itself, where a secret stands in it.
    #[test]
    fn a_configuration_with_a_secret_that_every_user_can_read_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (ini, env) = (folder.path().join("c.ini"), folder.path().join(".env"));
        let told = |text: &str, variables: &str, mode: u32| {
            for (file, text) in [(&ini, text), (&env, variables)] {
                fs::write(file, text).unwrap();
                fs::set_permissions(file, Permissions::from_mode(mode)).unwrap();
            }
            let sources = Sources {
                file: Some((ini.display().to_string(), text.into())),
                env_file: variables.into(),
                ..Sources::default()
            };
            let mut loaded = sources.resolve(&|path| fs::read(path)).unwrap();
            loaded.place.file = Some(ini.clone());
            loaded.place.folder = folder.path().to_owned();
            open_to_all(&loaded, Vec::new())
        };
        let hash = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g";
        for text in [
            "[STATS]\naccess_password = hush-hush\n",
            "[FLASK]\nsecret_key = hush-hush\n",
            "[TRACKER]\nrun_gc_key = hush-hush\n",
            &format!("[USERS]\nanna = viewer {hash}\n"),
        ] {
            let lines = told(text, "", 0o644);
            let [line] = lines.as_slice() else {
                panic!("{text}: {lines:?}");
            };
            assert!(line.contains(&format!("{} is open to every user", ini.display())));
            assert!(!line.contains("hush"), "{line}");
            assert!(told(text, "", 0o640).is_empty());
        }
        // Nothing secret, or nothing at all.
        let open = "[TRACKER]\nnumwant = 20\n[STATS]\naccess_password =\n";
        assert!(told(open, "", 0o644).is_empty());
        let lines = told("", "RETRACKER_STATS_ACCESS_PASSWORD=hush-hush\n", 0o644);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines.concat().contains(&env.display().to_string()));
    }
}
