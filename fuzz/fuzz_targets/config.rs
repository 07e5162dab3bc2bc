//! Any bytes, as a configuration file and as `.env`, give a configuration or problems; a configuration prints to itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use retracker::config::{Loaded, Sources, printed as printed_as};

fn read(file: &[u8], env_file: &[u8]) -> Option<Loaded> {
    let sources = Sources {
        file: Some(("config.ini".into(), file.to_vec())),
        env_file: env_file.to_vec(),
        ..Sources::default()
    };
    match sources.resolve(&|_| Err(std::io::ErrorKind::NotFound.into())) {
        Ok(loaded) => Some(loaded),
        Err(problems) => {
            assert!(!problems.0.is_empty() && !problems.to_string().is_empty());
            None
        }
    }
}

/// The values without where they came from.
fn values(printed: &str) -> Vec<&str> {
    printed.lines().map(|line| line.rsplit_once("  # ").map_or(line, |(value, _)| value)).collect()
}

fuzz_target!(|bytes: &[u8]| {
    // What follows the first zero byte, which no configuration holds, is the second file.
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (file, env_file) = bytes.split_at(end);
    let Some(loaded) = read(file, env_file) else {
        return;
    };
    let printed = printed_as(&loaded);
    // Secrets are hidden, so their text is not given back.
    if !printed.contains("(hidden)") {
        let again = read(printed.as_bytes(), b"").expect("what is printed can be read");
        assert_eq!(values(&printed_as(&again)), values(&printed));
    }
});
