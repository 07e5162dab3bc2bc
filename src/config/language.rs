//! The languages in which the sample and the manual pages are printed.

/// A language.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Language {
    /// English.
    #[default]
    #[value(name = "en")]
    English,
    /// Russian.
    #[value(name = "ru")]
    Russian,
}
