//! `[SITES]`: what comes of it, and what is refused with its place.

use super::*;

/// The settings of other sites, with files `secret` and `ca.pem` beside the configuration.
fn settled(text: &str) -> Loaded {
    sources(text).resolve(&files).unwrap()
}

fn files(path: &Path) -> io::Result<Vec<u8>> {
    match path.to_str() {
        Some("secret") => Ok(b"hunter2\n".to_vec()),
        Some("two-lines") => Ok(b"one\ntwo\n".to_vec()),
        Some("empty") => Ok(b"\n".to_vec()),
        Some("ca.pem") => Ok(b"-----BEGIN CERTIFICATE-----".to_vec()),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

/// The text of the one thing that is wrong, where those files are there.
fn problem(text: &str) -> String {
    let Problems(problems) = sources(text).resolve(&files).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems[0].to_string()
}

/// O23
#[test]
fn without_engines_a_tracker_is_alone() {
    let loaded = settled("");
    assert_eq!(loaded.config.sites, None);
    assert_eq!(loaded.warnings, Vec::<String>::new());
    // The name of the network is one.
    assert_eq!(loaded.config.site_sources.network.to_string(), "retracker");
    // Files of what is not used are not asked for.
    let loaded = settled("[SITES]\nname = msk\npassword_file = none\n");
    assert_eq!(loaded.config.sites, None);
    assert_eq!(loaded.warnings.len(), 1);
    assert!(
        loaded.warnings[0].starts_with("c.ini:2: [SITES] name has no effect"),
        "{:?}",
        loaded.warnings
    );
}

/// O23
#[test]
fn what_is_said_of_other_sites_becomes_their_settings() {
    let text = "[SITES]\nname = msk-1\nengines = rediss://E1.example, redis://[::1]:7000\nnetwork = isp\nuser = rt-msk\n\
        password_file = secret\nca_file = ca.pem\nblocklist = local\nmax_share = 25\n";
    let loaded = settled(text);
    let sites = loaded.config.sites.clone().unwrap();
    assert_eq!(
        (sites.name.as_str(), sites.network.as_str()),
        ("msk-1", "isp")
    );
    let engines: Vec<String> = sites.engines.iter().map(ToString::to_string).collect();
    assert_eq!(engines, ["rediss://e1.example:6379", "redis://[::1]:7000"]);
    assert_eq!(sites.user.as_deref(), Some("rt-msk"));
    assert_eq!(sites.password, Some(crate::secret::Secret::new("hunter2")));
    assert_eq!(sites.ca_file.as_deref(), Some(Path::new("ca.pem")));
    assert!(!sites.share_blocklist);
    assert_eq!(loaded.config.tracker.max_share_of_site, 25);
    assert_eq!(loaded.warnings, Vec::<String>::new());
    // Nowhere is the password shown.
    assert!(!printed(&loaded).contains("hunter2"));
    // And what comes of it is what is said.
    let again = values(&loaded.config);
    assert!(
        again.contains(&"[SITES] engines = rediss://e1.example:6379 redis://[::1]:7000".to_owned()),
        "{again:?}"
    );
    assert!(again.contains(&"[SITES] blocklist = local".to_owned()));
}

/// O23
#[test]
fn bad_values_are_refused_with_their_place() {
    let one = |line: &str| {
        problem(&format!(
            "[SITES]\nname = msk\nengines = redis://e1\n{line}\n"
        ))
    };
    for (line, place, why) in [
        ("user = a b", "c.ini:4: [SITES] user = `a b`", "expected"),
        (
            "blocklist = no",
            "c.ini:4: [SITES] blocklist = `no`",
            "one of shared, local",
        ),
        (
            "max_share = 0",
            "c.ini:4: [SITES] max_share = `0`",
            "from 1 to 100",
        ),
        ("network = A*", "c.ini:4: [SITES] network = `A*`", "a-z"),
        (
            "password_file = none",
            "c.ini:4: [SITES] password_file = `none`",
            "cannot be read",
        ),
        (
            "password_file = empty",
            "c.ini:4: [SITES] password_file = `empty`",
            "one line",
        ),
        (
            "password_file = two-lines",
            "c.ini:4: [SITES] password_file = `two-lines`",
            "one line",
        ),
        (
            "ca_file = none",
            "c.ini:4: [SITES] ca_file = `none`",
            "cannot be read",
        ),
        (
            "pasword_file = x",
            "c.ini:4: [SITES] has no key pasword_file",
            "did you mean password_file?",
        ),
    ] {
        let told = one(line);
        assert!(told.starts_with(place) && told.contains(why), "{told}");
    }
}

/// O23
#[test]
fn engines_without_what_they_need_are_refused() {
    for (text, why) in [
        (
            "name = MSK",
            "c.ini:2: [SITES] name = `MSK`: expected 1 to 32 of a-z",
        ),
        (
            "engines = redis://e1",
            "c.ini:2: [SITES] engines = `redis://e1:6379`: [SITES] name is missing",
        ),
        (
            "engines = http://e1\nname = a",
            "c.ini:2: [SITES] engines = `http://e1`: `http://e1`: an engine is redis://",
        ),
        (
            "engines = redis://a redis://b redis://c redis://d\nname = a",
            "c.ini:2: [SITES] engines = `redis://a redis://b redis://c redis://d`: at most 3 engines",
        ),
        (
            "engines = redis://a redis://A:6379\nname = a",
            "c.ini:2: [SITES] engines = `redis://a redis://A:6379`: redis://a:6379 stands there twice",
        ),
        (
            "engines = rediss://a\nname = a",
            "c.ini:2: [SITES] engines = `rediss://a:6379`: [SITES] ca_file is missing",
        ),
    ] {
        let told = problem(&format!("[SITES]\n{text}\n"));
        assert!(told.starts_with(why), "{told}");
    }
}

/// O23
#[test]
fn a_password_in_the_address_of_an_engine_is_refused_and_not_shown() {
    for engine in [
        "redis://:hunter2@e1",
        "redis://user:hunter2@e1:6379",
        "redis://user:a@hunter2@e1",
        "redis://user:hunter2 more@e1",
        "user:hunter2@e1",
        "hunter2://x@e1",
        "redis://ok redis://user:hunter2@e1",
    ] {
        let text = format!("[SITES]\nname = a\nengines = {engine}\n");
        let told = problem(&text);
        assert!(told.starts_with("c.ini:3: [SITES] engines"), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
}

/// O23
#[test]
fn a_password_that_travels_in_the_clear_is_warned_of() {
    let warnings = |engine: &str| {
        let text = format!(
            "[SITES]\nname = a\nengines = {engine}\npassword_file = secret\nca_file = ca.pem\n"
        );
        settled(&text).warnings
    };
    assert_eq!(warnings("redis://127.0.0.1").len(), 0);
    assert_eq!(warnings("redis://localhost rediss://e1").len(), 0);
    let told = warnings("rediss://e1 redis://e2");
    assert!(
        told[0].contains("goes to redis://e2:6379 unencrypted"),
        "{told:?}"
    );
}

/// O23
#[test]
fn a_change_of_it_wants_a_restart() {
    let text = |user: &str, share: u32| {
        format!("[SITES]\nname = a\nengines = redis://e1\nuser = {user}\nmax_share = {share}\n")
    };
    let old = settled(&text("x", 50));
    assert_eq!(
        old.changed_but_fixed(&settled(&text("y", 50))),
        ["[SITES] user"]
    );
    assert!(old.changed_but_fixed(&settled(&text("x", 40))).is_empty());
}
