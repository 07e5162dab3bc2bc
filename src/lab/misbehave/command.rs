//! The command line of `misbehave`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::catalogue;
use super::scenario::Scenario;
use super::script::Script;
use super::stand;
use crate::lab::serve;
use crate::lab::serve::ready::PlayedScenario;
use crate::lab::serve::serving::{Serving, Showing};
use crate::program;

/// What is listed, shown or served.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    serving: Serving,
    #[command(flatten)]
    showing: Showing,
}

#[derive(Clone, Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct What {
    /// Lists the scenarios that come with the program.
    #[arg(long)]
    list: bool,
    /// Shows the file of a scenario, which is a script with texts and expectations.
    #[arg(long, value_name = "NAME", value_parser = catalogue::known)]
    show: Option<String>,
    /// Serves what a scenario says.
    #[arg(long, value_name = "NAME", value_parser = catalogue::known)]
    scenario: Option<String>,
    /// Serves what a script of your own says.
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
}

/// Lists, shows or serves.
///
/// # Errors
/// When a script cannot be read, a scenario is not there, or no tracker can be started.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let what = &arguments.what;
    if what.list {
        return list();
    }
    if let Some(name) = &what.show {
        // Names the nearest where there is none of the name.
        let scenario = catalogue::named(name)?;
        return program::print(catalogue::text(&scenario.name).unwrap_or_default());
    }
    serve::use_small_pages();
    // Before anything is said: whoever hears it may end.
    let ends = arguments.serving.ending.watch()?;
    let script = script_of(what.scenario.as_deref(), what.script.as_deref())?;
    let (scenario, script) = script.context("nothing to do")?;
    stand::run(
        script,
        scenario,
        &arguments.serving,
        &arguments.showing,
        ends,
    )
}

/// The script of a scenario or in a file, after the scenario; none where neither is named.
///
/// # Errors
/// When there is no such scenario, or the file cannot be read.
pub(crate) fn script_of(
    scenario: Option<&str>,
    file: Option<&Path>,
) -> anyhow::Result<Option<(Option<PlayedScenario>, Script)>> {
    if let Some(name) = scenario {
        let Scenario {
            name,
            what,
            good,
            script,
            ..
        } = catalogue::named(name)?;
        let played = PlayedScenario {
            name,
            what,
            good_client: good,
        };
        return Ok(Some((Some(played), script)));
    }
    let Some(file) = file else {
        return Ok(None);
    };
    let name = file.display().to_string();
    let text = fs::read_to_string(file).with_context(|| name.clone())?;
    Ok(Some((None, Script::parse(&name, &text)?)))
}

fn list() -> anyhow::Result<()> {
    let scenarios = catalogue::all()?;
    let width = scenarios.iter().map(|scenario| scenario.name.len()).max();
    let width = width.unwrap_or_default() + 2;
    let lines = scenarios
        .iter()
        .map(|scenario| format!("{:<width$}{}\n", scenario.name, scenario.what));
    program::print(&lines.collect::<String>())
}
