//! One row of the table of keys: everything that parsing, printing, the sample and the nearest-name search know of a key.

use super::Config;
use super::problem::Location;
use super::value::Slot;

/// What stands for a secret.
pub(super) const HIDDEN: &str = "(hidden)";

/// A section of the configuration file.
#[derive(Debug)]
pub struct Section {
    /// Its name; case counts.
    pub name: &'static str,
    /// What it is for, in a sentence or two.
    pub about: &'static str,
    /// Its keys, in the order of the sample.
    pub keys: &'static [Key],
    /// How keys that are in no table are taken, where any may stand.
    pub(super) free: Option<&'static FreeKeys>,
}

impl Section {
    /// A line of it, where its keys are names that the operator gives.
    pub fn example(&self) -> Option<&'static str> {
        self.free.map(|free| free.example)
    }
}

/// A section whose keys are names that the operator gives.
pub(super) struct FreeKeys {
    /// A line of it, for the sample.
    pub example: &'static str,
    /// Whether no value is ever shown.
    pub(super) is_secret: bool,
    /// Takes one key.
    pub read: fn(&mut Config, name: &str, text: &str, location: &Location) -> Result<(), String>,
    /// Its keys, values and where they were given, in order.
    pub(super) write: fn(&Config) -> Vec<(String, String, Location)>,
}

impl std::fmt::Debug for FreeKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.example)
    }
}

/// One key.
pub struct Key {
    /// Its name; case does not count.
    pub name: &'static str,
    /// What it means, with its unit and the effect of 0; what it [expects](Slot::expects) and the default are added.
    pub about: &'static str,
    /// Whether its value is never shown.
    pub is_secret: bool,
    /// Whether a change wants a restart.
    pub is_fixed: bool,
    /// Whether the original had an environment variable `SECTION_KEY` for it, which then still counts.
    pub has_plain_variable: bool,
    pub(super) slot: for<'a> fn(&'a mut Config) -> Box<dyn Slot + 'a>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// A row; the methods below add what is not usual.
pub(super) const fn key(
    name: &'static str,
    about: &'static str,
    slot: for<'a> fn(&'a mut Config) -> Box<dyn Slot + 'a>,
) -> Key {
    Key {
        name,
        about,
        is_secret: false,
        is_fixed: false,
        has_plain_variable: false,
        slot,
    }
}

impl Key {
    /// Never shown.
    pub(super) const fn secret(self) -> Key {
        Key {
            is_secret: true,
            ..self
        }
    }

    /// Taken at the start only.
    pub(super) const fn fixed(self) -> Key {
        Key {
            is_fixed: true,
            ..self
        }
    }

    /// Set by the original's environment variable too.
    pub(super) const fn plain(self) -> Key {
        Key {
            has_plain_variable: true,
            ..self
        }
    }

    /// The value as the file takes it.
    pub(super) fn text(&self, config: &mut Config) -> String {
        (self.slot)(config).write()
    }
}

/// Something that the original read and that means nothing here: accepted with one warning.
#[derive(Debug)]
pub(super) struct Retired {
    pub section: &'static str,
    /// `None` for the whole section.
    pub key: Option<&'static str>,
    pub why: &'static str,
}
