//! What is printed is what was read, and the sample is what holds without a file.

use std::fs;

use proptest::prelude::*;

use super::*;

/// C1: `config/config_example.ini` is the manual, in Russian too; it says what the defaults are and changes none of them.
#[test]
fn the_sample_file_is_the_table_and_equals_the_defaults() {
    for (file, language, option) in [
        ("config_example.ini", Language::English, ""),
        ("config_example.ru.ini", Language::Russian, " --language ru"),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("config")
            .join(file);
        let text = fs::read_to_string(path).unwrap();
        assert!(
            text == sample(language),
            "write it anew: cargo run -- sample{option} > config/{file}"
        );
        let loaded = resolve(&text).unwrap();
        assert_eq!(values(&loaded.config), values(&Config::default()));
        assert_eq!(loaded.warnings, Vec::<String>::new());
        for (section, key) in keys::all() {
            assert!(
                loaded.locations.contains_key(&(section.name, key.name)),
                "{file}: {}",
                key.name
            );
        }
    }
}

/// C2
#[test]
fn what_is_printed_may_be_used_again() {
    let text = "[TRACKER]\nhost = ::1 127.0.0.1:81\nignore_ip = 192.0.2.0/24\ndeny_clients = -XL, *\n\
        peer_expire_factor = 2.5\n[LOGGING]\nformat = 100%% %(message)s\nlevel = debug\n";
    let loaded = resolve(text).unwrap();
    let printed = printed(&loaded);
    assert!(printed.contains("numwant = 50  # default\n"), "{printed}");
    assert!(printed.contains("level = DEBUG  # c.ini:8\n"), "{printed}");
    assert_eq!(
        values(&resolve(&printed).unwrap().config),
        values(&loaded.config)
    );
}

/// C2, R6
#[test]
fn secrets_are_never_shown() {
    let text = "[FLASK]\nsecret_key = hush-hush\n[STATS]\naccess_password = hush-hush\n";
    let loaded = resolve(text).unwrap();
    let password = loaded.config.web.password.as_ref().unwrap();
    assert_eq!(password.reveal(), "hush-hush");
    let shown = format!("{} {:?} {loaded:?}", printed(&loaded), rows(&loaded));
    assert!(!shown.contains("hush"), "{shown}");
    assert_eq!(shown.matches("= (hidden)  # c.ini:").count(), 2);
    let bad = with_environment("", &[("FLASK_SECRET_KEY", "hush\u{7}")])
        .resolve(&no_file)
        .unwrap_err();
    assert!(
        bad.to_string().contains("(hidden): a control character"),
        "{bad}"
    );
}

const HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g";

/// W13, C2
#[test]
fn users_are_read_with_their_role_and_their_hashes_are_never_shown() {
    let text = format!("[USERS]\nanna = viewer {HASH}\nboris = operator  {HASH}\n");
    let loaded = resolve(&text).unwrap();
    let users: Vec<_> = loaded.config.web.users.iter().collect();
    assert_eq!(
        (users[0].name(), users[0].role()),
        ("anna", web::Role::Viewer)
    );
    assert_eq!(
        (users[1].name(), users[1].role()),
        ("boris", web::Role::Operator)
    );
    let shown = format!("{} {:?} {loaded:?}", printed(&loaded), rows(&loaded));
    assert!(
        shown.contains("anna = viewer (hidden)  # c.ini:2\n"),
        "{shown}"
    );
    assert!(!shown.contains("argon2id$v"), "{shown}");
}

/// W13
#[test]
fn what_is_no_user_is_refused_and_what_was_given_is_not_shown() {
    for (line, told) in [
        ("anna = viewer plain-secret".to_owned(), "hash-password"),
        ("anna = root plain-secret".to_owned(), "viewer or operator"),
        ("anna = plain-secret".to_owned(), "viewer or operator"),
        (format!("admin = viewer {HASH}"), "access_username"),
        (
            format!("anna = viewer {HASH}\nAnna = viewer {HASH}"),
            "stands twice",
        ),
    ] {
        let refused = resolve(&format!("[USERS]\n{line}\n"))
            .unwrap_err()
            .to_string();
        assert!(refused.contains(told), "{line}: {refused}");
        assert!(
            !refused.contains("plain-secret") && !refused.contains("argon2id$v"),
            "{refused}"
        );
    }
}

proptest! {
    #[test]
    fn any_bytes_give_a_configuration_or_problems(bytes: Vec<u8>) {
        let sources = Sources { file: Some(("c.ini".into(), bytes)), ..Sources::default() };
        if let Err(Problems(problems)) = sources.resolve(&no_file) {
            prop_assert!(!problems.is_empty());
        }
    }

    /// Lines that are nearly right reach deeper than random bytes.
    #[test]
    fn any_text_near_the_dialect_gives_a_configuration_that_prints_to_itself_or_problems(
        lines in prop::collection::vec(
            (0..keys::all().count(), prop_oneof!["[a-z0-9:./% ]{0,12}", "[0-9]{1,6}", "yes|no|-XL|0.0.0.0"]), 0..8)
    ) {
        let mut text = String::new();
        for (number, value) in &lines {
            let (section, key) = keys::all().nth(*number).unwrap();
            // A secret is not given back.
            if key.is_secret {
                continue;
            }
            if !text.contains(&format!("[{}]", section.name)) && !text.contains(key.name) {
                text.push_str(&format!("[{}]\n{} = {value}\n", section.name, key.name));
            }
        }
        if let Ok(loaded) = resolve(&text) {
            let again = resolve(&printed(&loaded)).unwrap();
            prop_assert_eq!(values(&again.config), values(&loaded.config));
        }
    }
}

/// O15: the digest tells configurations apart by what they mean, and not by where it stands; secrets it does not know.
#[test]
fn the_digest_follows_every_value_and_no_secret() {
    let digest = |file: &str| digest(&resolve(file).unwrap());
    let plain = digest("");
    assert_eq!(plain, digest("[TRACKER]\nnumwant = 50\n"));
    let variable = with_environment("", &[("RETRACKER_TRACKER_NUMWANT", "50")]);
    assert_eq!(plain, super::digest(&variable.resolve(&no_file).unwrap()));
    let zones = |zones: &str| digest(&format!("[ZONES]\n{zones}"));
    let different = [
        plain,
        digest("[TRACKER]\nnumwant = 51\n"),
        zones("a = 10.0.0.0/8\n"),
        zones("b = 10.0.0.0/8\n"),
        zones("a = 10.0.0.0/9\n"),
        zones("a = fd00::/8\n"),
    ];
    let distinct: std::collections::BTreeSet<_> = different.into_iter().collect();
    assert_eq!(distinct.len(), different.len());
    assert!(distinct.iter().all(|digest| *digest < 1 << 48));
    let password = |password: &str| digest(&format!("[STATS]\naccess_password = {password}\n"));
    assert_eq!(password("one-of-them"), password("another"));
}

/// O15
#[test]
fn the_digest_follows_the_file_of_prefixes() {
    let digest = |prefixes: &'static str| {
        let read = move |_: &Path| Ok(prefixes.as_bytes().to_vec());
        let loaded = sources("[TRACKER]\nzones_file = z\n").resolve(&read);
        digest(&loaded.unwrap())
    };
    assert_ne!(digest("10.7.0.0/24 a\n"), digest("10.8.0.0/24 a\n"));
}
