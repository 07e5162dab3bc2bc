//! Where a value comes from, and what is wrong with it.

use std::collections::HashMap;
use std::fmt;

use crate::shown::on_one_line;

/// Where the value of a key was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Location {
    /// Nowhere.
    #[default]
    Default,
    /// In the configuration file.
    File {
        /// Its path as it was given.
        path: String,
        /// From 1.
        line: usize,
    },
    /// In the `.env` file of the working directory.
    EnvFile {
        /// From 1.
        line: usize,
        /// The variable.
        variable: String,
    },
    /// In an environment variable.
    Environment(String),
    /// By an option of the command line.
    CommandLine(&'static str),
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Default => f.write_str("default"),
            Location::File { path, line } => write!(f, "{path}:{line}"),
            Location::EnvFile { line, variable } => write!(f, ".env:{line} ({variable})"),
            Location::Environment(variable) => write!(f, "environment variable {variable}"),
            Location::CommandLine(option) => write!(f, "command line {option}"),
        }
    }
}

/// One thing that keeps a configuration from being used. Its text names the location, section, key and value, and what would be
/// right; a secret's value is not in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", on_one_line(&format_args!("{}", _0)))]
pub struct Problem(pub(super) String);

/// Everything that is wrong with a configuration; never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// The one of `known` that `name` is most like, if it is like any: case counts nothing, and a third of the letters may differ.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    known
        .into_iter()
        .map(|known| {
            let distance = strsim::damerau_levenshtein(&name, &known.to_lowercase());
            (distance, known)
        })
        .filter(|(distance, known)| *distance <= name.len().max(known.len()).div_ceil(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// Where the keys that are not at their defaults were given.
pub(super) type Locations = HashMap<(&'static str, &'static str), Location>;

/// A key with the location of its value, as problems and warnings begin.
pub(super) fn named(locations: &Locations, section: &'static str, key: &'static str) -> String {
    // What is given nowhere is at its default.
    let location = locations.get(&(section, key)).cloned().unwrap_or_default();
    format!("{location}: [{section}] {key}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_finds_the_name_meant() {
        let known = ["announce_interval", "numwant", "max_numwant", "host"];
        assert_eq!(
            nearest("anounce_intervall", known),
            Some("announce_interval")
        );
        assert_eq!(nearest("NUMWNAT", known), Some("numwant"));
        assert_eq!(nearest("hots", known), Some("host"));
        assert_eq!(nearest("templates", known), None);
        assert_eq!(nearest("", known), None);
    }
}
