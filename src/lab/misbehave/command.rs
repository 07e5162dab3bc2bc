//! The command line of `misbehave`.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;

use super::catalogue;
use super::script::Script;
use super::stand;
use crate::program;

/// What is listed, shown or served.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    what: What,
}

#[derive(Clone, Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct What {
    /// Lists the scenarios that come with the program.
    #[arg(long)]
    list: bool,
    /// Shows the file of a scenario, which is a script with texts and expectations.
    #[arg(long, value_name = "NAME")]
    show: Option<String>,
    /// Serves what a scenario says.
    #[arg(long, value_name = "NAME")]
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
    let script = match (&what.scenario, &what.script) {
        (Some(name), _) => {
            let scenario = catalogue::named(name)?;
            program::print(&format!(
                "{}: {}\na good client: {}\n",
                scenario.name, scenario.what, scenario.good
            ))?;
            scenario.script
        }
        (None, Some(file)) => {
            let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
            Script::parse(&file.display().to_string(), &text)?
        }
        (None, None) => anyhow::bail!("nothing to do"),
    };
    stand::run(script)
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
