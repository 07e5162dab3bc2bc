//! The scenarios that come with the program.

use include_dir::{Dir, include_dir};

use super::document::Fault;
use super::scenario::Scenario;

static FILES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/src/lab/misbehave/scenarios");

/// All scenarios, in the order of their names.
///
/// # Errors
/// Never of the files that a test has read; the type says so because they are read here.
pub fn all() -> Result<Vec<Scenario>, Fault> {
    let mut scenarios = texts()
        .map(|(name, text)| Scenario::parse(name, text))
        .collect::<Result<Vec<_>, _>>()?;
    scenarios.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(scenarios)
}

/// The text of a scenario's file.
pub fn text(name: &str) -> Option<&'static str> {
    texts()
        .find(|(there, _)| *there == name)
        .map(|(_, text)| text)
}

fn texts() -> impl Iterator<Item = (&'static str, &'static str)> {
    FILES.files().filter_map(|file| {
        let name = file.path().file_stem()?.to_str()?;
        Some((name, file.contents_utf8()?))
    })
}

/// The scenario with this name.
///
/// # Errors
/// When there is none: with the nearest name.
pub fn named(name: &str) -> anyhow::Result<Scenario> {
    let scenarios = all()?;
    let nearness = |scenario: &Scenario| strsim::jaro_winkler(&scenario.name, name);
    let nearest = scenarios
        .iter()
        .max_by(|one, other| nearness(one).total_cmp(&nearness(other)))
        .filter(|scenario| nearness(scenario) > 0.8)
        .map(|scenario| format!(" did you mean {}?", scenario.name));
    let found = scenarios.into_iter().find(|scenario| scenario.name == name);
    found.ok_or_else(|| {
        anyhow::anyhow!(
            "no scenario {name:?};{} `misbehave --list` tells all",
            nearest.as_deref().unwrap_or_default()
        )
    })
}

/// A name of a scenario on a command line.
pub(crate) fn known(name: &str) -> Result<String, String> {
    match named(name) {
        Ok(scenario) => Ok(scenario.name),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// O28
    #[test]
    fn every_scenario_can_be_read_and_there_are_forty_at_least() {
        let scenarios = all().unwrap();
        assert!(scenarios.len() >= 40, "{}", scenarios.len());
        for scenario in &scenarios {
            for words in [&scenario.what, &scenario.good] {
                assert!(words.ends_with('.'), "{}: {words}", scenario.name);
            }
            let is_control = scenario.name.starts_with("control-");
            assert!(
                is_control || !scenario.script.steps.is_empty(),
                "{}",
                scenario.name
            );
        }
    }

    /// O29: a client that asks on and on is not right where every answer is a failure.
    #[test]
    fn scenarios_of_failures_bound_how_often_a_client_comes() {
        use super::super::scenario::Expectation::{AnnouncesAtMost, NotBefore, RequestsAtMost};
        for name in [
            "empty",
            "failure",
            "failure-hostile-text",
            "failure-with-peers",
            "html",
            "reset-at-once",
            "reset-in-body",
            "retry-in",
            "retry-never",
            "status-404",
            "status-500",
            "status-503-retry-after",
            "truncated",
            "udp-connect-error",
            "udp-error",
        ] {
            let scenario = named(name).unwrap();
            let mut expected = scenario.expect.iter();
            let is_bound = expected
                .any(|one| matches!(one, AnnouncesAtMost(_) | RequestsAtMost(_) | NotBefore(_)));
            assert!(is_bound, "{name}");
        }
    }

    #[test]
    fn a_name_that_is_not_there_brings_the_nearest() {
        let error = named("redirect-lop").unwrap_err().to_string();
        assert!(error.contains("redirect-loop"), "{error}");
        let error = named("zzz").unwrap_err().to_string();
        assert!(!error.contains("did you mean"), "{error}");
    }
}
