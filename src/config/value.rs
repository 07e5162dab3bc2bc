//! How the text of a value becomes what a component's settings hold, and back.
//!
//! A [`Slot`] is one field of the configuration, for as long as it takes to fill it or to show it.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use log::LevelFilter;

use crate::net::limits::Rate;
use crate::secret::Secret;

/// One field of the configuration.
pub(super) trait Slot {
    /// Puts the value of `text` there.
    ///
    /// # Errors
    /// What is wrong and what would be right; nothing has changed then.
    fn read(&mut self, text: &str) -> Result<(), String>;

    /// What may be shown of a `text` that was refused.
    fn shown(&self, text: &str) -> String {
        text.to_owned()
    }

    /// The value as [`Slot::read`] takes it.
    fn write(&self) -> String;

    /// What may stand there, as "a whole number from 1 to 9"; part of errors and of the sample.
    fn expects(&self) -> String;

    /// Whether no text at all is a value.
    fn may_be_empty(&self) -> bool {
        false
    }
}

/// Yes or no.
pub(super) struct Flag<'a>(pub &'a mut bool);

impl Slot for Flag<'_> {
    fn read(&mut self, text: &str) -> Result<(), String> {
        *self.0 = match text.to_ascii_lowercase().as_str() {
            "1" | "yes" | "true" | "on" => true,
            "0" | "no" | "false" | "off" => false,
            _ => return Err(format!("expected {}", self.expects())),
        };
        Ok(())
    }

    fn write(&self) -> String {
        if *self.0 { "yes" } else { "no" }.to_owned()
    }

    fn expects(&self) -> String {
        "yes or no".into()
    }
}

/// A number within bounds.
pub(super) struct Number<'a, T> {
    value: &'a mut T,
    bounds: RangeInclusive<T>,
}

pub(super) fn number<T>(value: &mut T, bounds: RangeInclusive<T>) -> Number<'_, T> {
    Number { value, bounds }
}

impl<T: Copy + PartialOrd + FromStr + Display> Slot for Number<'_, T> {
    fn read(&mut self, text: &str) -> Result<(), String> {
        match text.parse() {
            Ok(number) if self.bounds.contains(&number) => *self.value = number,
            _ => return Err(format!("expected {}", self.expects())),
        }
        Ok(())
    }

    fn write(&self) -> String {
        self.value.to_string()
    }

    fn expects(&self) -> String {
        let kind = if "0.5".parse::<T>().is_ok() {
            "a"
        } else {
            "a whole"
        };
        format!(
            "{kind} number from {} to {}",
            self.bounds.start(),
            self.bounds.end()
        )
    }
}

/// A duration in seconds.
pub(super) struct Seconds<'a> {
    value: &'a mut Duration,
    bounds: RangeInclusive<u64>,
}

pub(super) fn seconds(value: &mut Duration, bounds: RangeInclusive<u64>) -> Seconds<'_> {
    Seconds { value, bounds }
}

impl Slot for Seconds<'_> {
    fn read(&mut self, text: &str) -> Result<(), String> {
        let mut whole = self.value.as_secs();
        number(&mut whole, self.bounds.clone()).read(text)?;
        *self.value = Duration::from_secs(whole);
        Ok(())
    }

    fn write(&self) -> String {
        self.value.as_secs().to_string()
    }

    fn expects(&self) -> String {
        number(&mut 0, self.bounds.clone()).expects()
    }
}

/// Any text.
pub(super) struct Text<'a>(pub &'a mut String);

impl Slot for Text<'_> {
    fn read(&mut self, text: &str) -> Result<(), String> {
        text.clone_into(self.0);
        Ok(())
    }

    fn write(&self) -> String {
        self.0.clone()
    }

    fn expects(&self) -> String {
        "text".into()
    }

    fn may_be_empty(&self) -> bool {
        true
    }
}

/// A file or folder; relative ones count from the working directory.
pub(super) struct File<'a>(pub &'a mut PathBuf);

impl Slot for File<'_> {
    fn read(&mut self, text: &str) -> Result<(), String> {
        if text.is_empty() {
            return Err(format!("expected {}", self.expects()));
        }
        *self.0 = PathBuf::from(text);
        Ok(())
    }

    fn write(&self) -> String {
        self.0.display().to_string()
    }

    fn expects(&self) -> String {
        "a path".into()
    }
}

/// A value that may be missing, written as nothing at all.
pub(super) struct Optional<'a, T> {
    value: &'a mut Option<T>,
    expects: &'static str,
}

pub(super) fn optional<'a, T>(value: &'a mut Option<T>, expects: &'static str) -> Optional<'a, T> {
    Optional { value, expects }
}

impl<T: FromStr + Display> Slot for Optional<'_, T> {
    fn read(&mut self, text: &str) -> Result<(), String> {
        let mut value = None;
        if !text.is_empty() {
            value = Some(
                text.parse()
                    .map_err(|_| format!("expected {}", self.expects()))?,
            );
        }
        *self.value = value;
        Ok(())
    }

    /// Empty for none, as it is read.
    fn write(&self) -> String {
        self.value.as_ref().map(T::to_string).unwrap_or_default()
    }

    fn expects(&self) -> String {
        format!("{}, or nothing", self.expects)
    }

    fn may_be_empty(&self) -> bool {
        true
    }
}

/// A rate and how many at once, or no limit.
pub(super) struct OptionalRate<'a>(pub &'a mut Option<Rate>);

impl Slot for OptionalRate<'_> {
    fn read(&mut self, text: &str) -> Result<(), String> {
        let is_off = ["off", "no", "0"]
            .iter()
            .any(|off| text.eq_ignore_ascii_case(off));
        *self.0 = if is_off {
            None
        } else {
            Some(text.parse().map_err(|error| format!("{error}, or off"))?)
        };
        Ok(())
    }

    fn write(&self) -> String {
        self.0.map_or_else(|| "off".into(), |rate| rate.to_string())
    }

    fn expects(&self) -> String {
        "a rate and how many at once, as 5/s 100, 30/min 60 or 100/h 50, or off".into()
    }
}

/// A text that is never shown, or nothing. What [`Slot::write`] gives is for comparing and for hiding.
pub(super) struct SecretText<'a>(pub &'a mut Option<Secret>);

impl Slot for SecretText<'_> {
    fn read(&mut self, text: &str) -> Result<(), String> {
        *self.0 = (!text.is_empty()).then(|| Secret::new(text));
        Ok(())
    }

    /// Empty for none, as it is read.
    fn write(&self) -> String {
        let secret = self.0.as_ref().map(Secret::reveal);
        secret.unwrap_or_default().to_owned()
    }

    fn expects(&self) -> String {
        "text, or nothing".into()
    }

    fn may_be_empty(&self) -> bool {
        true
    }
}

/// A path that may be missing.
pub(super) struct OptionalFile<'a>(pub &'a mut Option<PathBuf>);

impl Slot for OptionalFile<'_> {
    fn read(&mut self, text: &str) -> Result<(), String> {
        *self.0 = (!text.is_empty()).then(|| PathBuf::from(text));
        Ok(())
    }

    /// Empty for none, as it is read.
    fn write(&self) -> String {
        let path = self.0.as_ref();
        path.map(|path| path.display().to_string())
            .unwrap_or_default()
    }

    fn expects(&self) -> String {
        "a path, or nothing".into()
    }

    fn may_be_empty(&self) -> bool {
        true
    }
}

/// Files, separated by commas: their names may hold blanks.
pub(super) struct FileList<'a> {
    pub files: &'a mut Vec<PathBuf>,
    pub most: usize,
}

impl Slot for FileList<'_> {
    fn read(&mut self, text: &str) -> Result<(), String> {
        let names = text.split(',').map(str::trim);
        let files: Vec<PathBuf> = names
            .filter(|name| !name.is_empty())
            .map(PathBuf::from)
            .collect();
        if files.len() > self.most {
            return Err(format!("{} files are the most", self.most));
        }
        if let Some((at, twice)) = (files.iter().enumerate())
            .find(|(at, file)| files.iter().take(*at).any(|before| before == *file))
        {
            let number = at + 1;
            return Err(format!(
                "{} stands twice, as file {number}",
                twice.display()
            ));
        }
        *self.files = files;
        Ok(())
    }

    fn write(&self) -> String {
        let files = self.files.iter().map(|file| file.display().to_string());
        files.collect::<Vec<_>>().join(", ")
    }

    fn expects(&self) -> String {
        "paths, separated by commas".into()
    }

    fn may_be_empty(&self) -> bool {
        true
    }
}

/// One of a few words; the first name of a value is the one that is written.
pub(super) struct Choice<'a, T: 'static> {
    value: &'a mut T,
    names: &'static [(&'static str, T)],
}

pub(super) fn choice<'a, T>(
    value: &'a mut T,
    names: &'static [(&'static str, T)],
) -> Choice<'a, T> {
    Choice { value, names }
}

impl<T: Clone + PartialEq> Slot for Choice<'_, T> {
    fn read(&mut self, text: &str) -> Result<(), String> {
        match self
            .names
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(text))
        {
            Some((_, value)) => *self.value = value.clone(),
            None => return Err(format!("expected {}", self.expects())),
        }
        Ok(())
    }

    fn write(&self) -> String {
        let name = self.names.iter().find(|(_, value)| value == self.value);
        name.map_or("", |(name, _)| name).to_owned()
    }

    fn expects(&self) -> String {
        let mut shown: Vec<&(&str, T)> = Vec::new();
        for one in self.names {
            if shown.iter().all(|(_, value)| *value != one.1) {
                shown.push(one);
            }
        }
        let names: Vec<&str> = shown.iter().map(|(name, _)| *name).collect();
        format!("one of {}", names.join(", "))
    }
}

/// The levels of the log, by Python's names and ours.
pub(super) const LEVELS: &[(&str, LevelFilter)] = &[
    ("INFO", LevelFilter::Info),
    ("DEBUG", LevelFilter::Debug),
    ("WARNING", LevelFilter::Warn),
    ("ERROR", LevelFilter::Error),
    ("TRACE", LevelFilter::Trace),
    ("OFF", LevelFilter::Off),
    ("WARN", LevelFilter::Warn),
    ("CRITICAL", LevelFilter::Error),
    ("FATAL", LevelFilter::Error),
    ("NOTSET", LevelFilter::Trace),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// C1
    #[test]
    fn flags_are_read_as_python_reads_them() {
        let mut flag = false;
        for (text, expected) in [
            ("1", true),
            ("No", false),
            ("TRUE", true),
            ("off", false),
            ("On", true),
        ] {
            Flag(&mut flag).read(text).unwrap();
            assert_eq!(flag, expected, "{text}");
        }
        assert_eq!(
            Flag(&mut flag).read("maybe"),
            Err("expected yes or no".into())
        );
        assert!(flag, "a bad value changes nothing");
    }

    #[test]
    fn numbers_stay_within_their_bounds() {
        let mut port = 80_u16;
        for text in ["0", "65536", "-1", "", "80 ", "0x50", "8e1"] {
            let fault = number(&mut port, 1..=65_535).read(text).unwrap_err();
            assert_eq!(fault, "expected a whole number from 1 to 65535", "{text}");
        }
        let mut factor = 2.0;
        assert_eq!(number(&mut factor, 1.0..=100.0).read("2.5"), Ok(()));
        assert!(number(&mut factor, 1.0..=100.0).read("nan").is_err());
        assert!(number(&mut factor, 1.0..=100.0).read("inf").is_err());
        assert_eq!(number(&mut factor, 1.0..=100.0).write(), "2.5");
    }

    #[test]
    fn the_first_name_of_a_choice_is_written() {
        let mut level = LevelFilter::Off;
        choice(&mut level, LEVELS).read("critical").unwrap();
        assert_eq!(choice(&mut level, LEVELS).write(), "ERROR");
        let fault = choice(&mut level, LEVELS).read("loud").unwrap_err();
        assert_eq!(
            fault,
            "expected one of INFO, DEBUG, WARNING, ERROR, TRACE, OFF"
        );
    }

    /// O8
    #[test]
    fn a_limit_is_a_rate_or_off() {
        let mut rate = None;
        OptionalRate(&mut rate).read("5/s 100").unwrap();
        assert_eq!(OptionalRate(&mut rate).write(), "5/s 100");
        for (text, expected) in [
            ("5", "as 5/s 100; the unit is s, min or h, or off"),
            ("0/s 5", "the rate is 1 to 10000"),
            ("1/h 1000", "more than a day to fill"),
            ("", "as 5/s 100"),
        ] {
            let fault = OptionalRate(&mut rate).read(text).unwrap_err();
            assert!(fault.contains(expected), "{text}: {fault}");
        }
        assert!(rate.is_some(), "a bad value changes nothing");
        OptionalRate(&mut rate).read("Off").unwrap();
        assert_eq!(
            (rate, OptionalRate(&mut rate).write()),
            (None, "off".into())
        );
    }

    #[test]
    fn nothing_is_a_value_where_one_may_be_missing() {
        let mut address: Option<std::net::Ipv4Addr> = None;
        optional(&mut address, "an IPv4 address")
            .read("192.0.2.1")
            .unwrap();
        assert_eq!(
            optional(&mut address, "an IPv4 address").write(),
            "192.0.2.1"
        );
        optional(&mut address, "an IPv4 address").read("").unwrap();
        assert_eq!(address, None);
        assert!(optional(&mut address, "an IPv4 address").read("x").is_err());
    }
}
