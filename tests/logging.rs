//! The log of a whole process; one test, since a process has one log.

use std::fs;

use log::LevelFilter;
use retracker::logging;
use retracker::logging::{Format, Settings};

/// C10, R8
#[test]
fn the_log_follows_its_level_its_file_and_panics() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("logs/tracker.log");
    let settings = Settings {
        console_output: false,
        log_file: Some(path.clone()),
        format: Format::parse("%(levelname)s %(message)s").unwrap(),
        ..Settings::default()
    };
    let log = logging::start(&settings).unwrap();
    log::debug!(target: "retracker::test", "too small");
    log.set_level(LevelFilter::Debug);
    log::debug!(target: "retracker::test", "small");
    log::info!(target: "a_library", "not ours");
    assert_eq!(fs::read_to_string(&path).unwrap(), "DEBUG small\n");

    fs::rename(&path, folder.path().join("moved")).unwrap();
    log.reopen();
    log.set_level(LevelFilter::Error);
    log::warn!(target: "retracker::test", "not heard");
    let thread = std::thread::Builder::new().name("rash".into());
    let ended = thread.spawn(|| panic!("lost\nit")).unwrap().join();
    assert!(ended.is_err());
    let text = fs::read_to_string(&path).unwrap();
    assert!(
        text.starts_with("ERROR thread rash: panicked at tests/logging.rs:"),
        "{text}"
    );
    assert!(text.ends_with(":\\nlost\\nit\n"), "{text}");
    assert!(logging::start(&settings).is_err(), "a process has one log");
}
