//! What can be said of the pages' settings before the pages start: the start says it in the log, `--check-config` on the terminal.

use std::path::PathBuf;

use log::Level;

use super::Settings;
use super::auth::password::{Quality, judge};
use super::auth::{secrets, tokens, users};
use super::view::templates::Templates;

/// What is found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Examined {
    /// What the operator should know, and how badly.
    pub remarks: Vec<(Level, String)>,
    /// What will keep the pages from starting.
    pub faults: Vec<String>,
    /// Files that the pages read and write, and cannot start without.
    pub files: Vec<PathBuf>,
    /// The file of the API's tokens, which they can start without.
    pub tokens: Option<PathBuf>,
}

/// Looks at the settings, and makes nothing.
pub fn examine(settings: &Settings) -> Examined {
    let mut examined = Examined {
        files: secrets::files(settings),
        tokens: Some(tokens::file(&settings.state_folder)),
        ..Examined::default()
    };
    match secrets::configured_password(settings).map(judge) {
        None | Some(Ok(Quality::Hashed)) => {}
        Some(Ok(Quality::Plain)) => examined.remarks.push((
            Level::Warn,
            "the password of the pages is plain text; retracker hash-password makes a hash of it"
                .into(),
        )),
        Some(Ok(Quality::Known)) => examined.remarks.push((
            Level::Error,
            "the password of the pages stands in every manual; it works from this machine only. \
             Set a better one: retracker hash-password"
                .into(),
        )),
        Some(Err(error)) => examined
            .faults
            .push(format!("[STATS] access_password: {error}")),
    }
    if let Some(warning) = secrets::warning_of_key(settings) {
        examined.remarks.push((Level::Warn, warning));
    }
    let warnings = users::warnings(settings).into_iter();
    examined
        .remarks
        .extend(warnings.map(|text| (Level::Warn, text)));
    if let Err(error) = Templates::load(settings.templates.as_deref()) {
        examined.faults.push(format!("[STATS] templates: {error}"));
    }
    examined
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;
    use crate::web::auth::password::quick_hash;
    use crate::web::{User, hash_password};

    /// W13
    #[test]
    fn a_hash_that_takes_another_time_than_the_first_is_told_before_the_start() {
        let first = quick_hash("gutes-wort");
        let settings = |hash: &str| Settings {
            password: Some(Secret::new(first.clone())),
            users: vec![User::parse("anna", &format!("viewer {hash}")).unwrap()],
            ..Settings::default()
        };
        assert_eq!(examine(&settings(&quick_hash("anna-wort"))).remarks, []);
        let remarks = examine(&settings(&hash_password("anna-wort").unwrap())).remarks;
        assert_eq!(remarks.len(), 1);
        assert!(remarks[0].1.contains("anna"), "{remarks:?}");
    }

    /// O17, W3
    #[test]
    fn what_the_start_says_of_password_key_and_templates_is_known_before() {
        assert_eq!(examine(&Settings::default()).remarks, []);
        let settings = |password: &str, key: &str| Settings {
            password: Some(Secret::new(password)),
            secret_key: Some(Secret::new(key)),
            ..Settings::default()
        };
        let levels = |settings: &Settings| {
            let remarks = examine(settings).remarks.into_iter();
            remarks.map(|(level, _)| level).collect::<Vec<_>>()
        };
        let key = "k".repeat(64);
        assert_eq!(levels(&settings("a long one of ours", &key)), [Level::Warn]);
        assert_eq!(
            levels(&settings("password", "short")),
            [Level::Error, Level::Warn]
        );
        let malformed = examine(&settings("$argon2id$x", &key));
        assert!(
            malformed.faults[0].contains("access_password"),
            "{malformed:?}"
        );
        assert!(malformed.files.is_empty());
        assert_eq!(examine(&Settings::default()).files.len(), 2);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("about.html"), "{{").unwrap();
        let templates = Settings {
            templates: Some(folder.path().to_owned()),
            ..Settings::default()
        };
        assert_eq!(examine(&templates).faults.len(), 1);
    }
}
