//! A TOML document read key by key, so that every fault names its file, line, key and what would be right. It knows no key itself.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {key}{}{message}", if key.is_empty() { "" } else { ": " })]
pub struct Fault {
    /// As it was called for.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// With the tables that it stands in, as `step.when.nth`; empty where TOML itself is broken.
    pub key: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// A table whose keys are taken one after another; what is left then is unknown.
#[derive(Debug)]
pub(super) struct Table {
    file: String,
    /// With a dot behind it; empty for the document itself.
    path: String,
    line: usize,
    entries: Vec<Entry>,
    /// The keys that were asked for: what might have been meant.
    known: Vec<&'static str>,
}

#[derive(Clone, Debug)]
struct Entry {
    key: String,
    line: usize,
    value: Item,
}

/// A value of TOML, as far as scripts use them.
#[derive(Clone, Debug)]
enum Item {
    Text(String),
    Integer(i64),
    Float(f64),
    Flag(bool),
    List(Vec<(usize, Item)>),
    Table(Vec<Entry>),
    /// A kind of value that no script uses.
    Other(&'static str),
}

impl Table {
    /// Reads a document.
    ///
    /// # Errors
    /// When it is no TOML.
    pub(super) fn of_document(file: &str, text: &str) -> Result<Table, Fault> {
        let lines = Lines(text);
        let table = DeTable::parse(text).map_err(|error| Fault {
            file: file.to_owned(),
            line: lines.number(error.span().map_or(0, |span| span.start)),
            key: String::new(),
            message: error.message().to_owned(),
        })?;
        Ok(Table {
            file: file.to_owned(),
            path: String::new(),
            line: 1,
            entries: entries(table.get_ref(), &lines),
            known: Vec::new(),
        })
    }

    /// A fault at a key of this table.
    pub(super) fn fault(&self, line: usize, key: &str, message: impl Into<String>) -> Fault {
        let path = if key.is_empty() {
            self.path.trim_end_matches('.')
        } else {
            &self.path
        };
        Fault {
            file: self.file.clone(),
            line,
            key: format!("{path}{key}"),
            message: message.into(),
        }
    }

    /// A fault of the table as a whole.
    pub(super) fn fault_here(&self, message: impl Into<String>) -> Fault {
        self.fault(self.line, "", message)
    }

    /// The line of the table.
    pub(super) fn line(&self) -> usize {
        self.line
    }

    /// Whether nothing stands in it that was not taken.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What stands in it, in a few words: `failure = "closed", delay = 3`.
    pub(super) fn words(&self) -> String {
        let words: Vec<String> = self
            .entries
            .iter()
            .map(|entry| format!("{} = {}", entry.key, entry.value))
            .collect();
        words.join(", ")
    }

    /// The line of a key, before it is taken.
    pub(super) fn line_of(&self, key: &str) -> Option<usize> {
        let mut entries = self.entries.iter();
        entries
            .find(|entry| entry.key == key)
            .map(|entry| entry.line)
    }

    fn take(&mut self, key: &'static str) -> Option<Entry> {
        self.known.push(key);
        let place = self.entries.iter().position(|entry| entry.key == key)?;
        Some(self.entries.remove(place))
    }

    fn expected<T>(&self, entry: &Entry, right: &str) -> Result<T, Fault> {
        let message = format!("{} where {right} should be", entry.value.kind());
        Err(self.fault(entry.line, &entry.key, message))
    }

    /// A text, not empty.
    pub(super) fn text(&mut self, key: &'static str) -> Result<Option<String>, Fault> {
        let Some(entry) = self.take(key) else {
            return Ok(None);
        };
        match &entry.value {
            Item::Text(text) if !text.trim().is_empty() => Ok(Some(text.clone())),
            _ => self.expected(&entry, "a text"),
        }
    }

    /// A text, empty or not.
    pub(super) fn any_text(&mut self, key: &'static str) -> Result<Option<String>, Fault> {
        let Some(entry) = self.take(key) else {
            return Ok(None);
        };
        match &entry.value {
            Item::Text(text) => Ok(Some(text.clone())),
            _ => self.expected(&entry, "a text"),
        }
    }

    /// A text that must be there.
    pub(super) fn needed_text(&mut self, key: &'static str) -> Result<String, Fault> {
        let text = self.text(key)?;
        text.ok_or_else(|| self.fault(self.line, key, "missing: a text"))
    }

    /// An integer within a range.
    pub(super) fn integer(
        &mut self,
        key: &'static str,
        range: RangeInclusive<i64>,
    ) -> Result<Option<i64>, Fault> {
        let Some(entry) = self.take(key) else {
            return Ok(None);
        };
        match entry.value {
            Item::Integer(number) if range.contains(&number) => Ok(Some(number)),
            _ => {
                let right = format!("an integer from {} to {}", range.start(), range.end());
                self.expected(&entry, &right)
            }
        }
    }

    /// A count from 1 (or from 0) to `most`.
    pub(super) fn count(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u32>,
    ) -> Result<Option<u32>, Fault> {
        let range = i64::from(*range.start())..=i64::from(*range.end());
        let number = self.integer(key, range)?;
        Ok(number.and_then(|number| u32::try_from(number).ok()))
    }

    /// Seconds, with a fraction or without, at most an hour.
    pub(super) fn seconds(&mut self, key: &'static str) -> Result<Option<Duration>, Fault> {
        let Some(entry) = self.take(key) else {
            return Ok(None);
        };
        let seconds = match entry.value {
            Item::Integer(number) => u16::try_from(number).ok().map(f64::from),
            Item::Float(number) => Some(number),
            _ => None,
        };
        match seconds {
            Some(seconds) if (0.0..=3600.0).contains(&seconds) => {
                Ok(Some(Duration::from_secs_f64(seconds)))
            }
            _ => self.expected(&entry, "a number of seconds from 0 to 3600"),
        }
    }

    /// `true`; what is not wanted is left out.
    pub(super) fn flag(&mut self, key: &'static str) -> Result<bool, Fault> {
        let Some(entry) = self.take(key) else {
            return Ok(false);
        };
        match entry.value {
            Item::Flag(true) => Ok(true),
            _ => self.expected(&entry, "`true` (or no such key)"),
        }
    }

    /// An integer or one word.
    pub(super) fn integer_or_word(
        &mut self,
        key: &'static str,
        range: RangeInclusive<i64>,
        word: &str,
    ) -> Result<Option<IntegerOrWord>, Fault> {
        let Some(entry) = self.take(key) else {
            return Ok(None);
        };
        match &entry.value {
            Item::Integer(number) if range.contains(number) => {
                Ok(Some(IntegerOrWord::Integer(*number)))
            }
            Item::Text(text) if text == word => Ok(Some(IntegerOrWord::Word)),
            _ => {
                let (from, to) = range.into_inner();
                self.expected(
                    &entry,
                    &format!("an integer from {from} to {to} or \"{word}\""),
                )
            }
        }
    }

    /// One of some words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&str, T)],
    ) -> Result<Option<T>, Fault> {
        let Some(entry) = self.take(key) else {
            return Ok(None);
        };
        let text = match &entry.value {
            Item::Text(text) => text.as_str(),
            _ => "",
        };
        match choices.iter().find(|(word, _)| *word == text) {
            Some((_, choice)) => Ok(Some(*choice)),
            None => {
                let words: Vec<String> = choices
                    .iter()
                    .map(|(word, _)| format!("\"{word}\""))
                    .collect();
                self.expected(&entry, &format!("one of {}", words.join(", ")))
            }
        }
    }

    /// Texts that are read by `read`, which says what would be right of one that it cannot read.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        right: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<Vec<T>>, Fault> {
        let Some(entry) = self.take(key) else {
            return Ok(None);
        };
        let Item::List(items) = &entry.value else {
            return self.expected(&entry, &format!("a list, each {right}"));
        };
        let mut values = Vec::new();
        for (line, item) in items {
            let value = match item {
                Item::Text(text) => read(text),
                _ => None,
            };
            values.push(value.ok_or_else(|| {
                let message = format!("{} where {right} should be", item.kind());
                self.fault(*line, key, message)
            })?);
        }
        Ok(Some(values))
    }

    /// Lists of texts, each text read by `read`.
    pub(super) fn lists<T>(
        &mut self,
        key: &'static str,
        right: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<Vec<Vec<T>>>, Fault> {
        let Some(entry) = self.take(key) else {
            return Ok(None);
        };
        let Item::List(lists) = &entry.value else {
            return self.expected(&entry, &format!("a list of lists, each of {right}"));
        };
        let mut read_lists = Vec::new();
        for (line, list) in lists {
            let Item::List(items) = list else {
                let message = format!("{} where a list of {right} should be", list.kind());
                return Err(self.fault(*line, key, message));
            };
            let values: Option<Vec<T>> = items
                .iter()
                .map(|(_, item)| match item {
                    Item::Text(text) => read(text),
                    _ => None,
                })
                .collect();
            let values = values.filter(|values| !values.is_empty());
            let message = format!("each should be {right}");
            read_lists.push(values.ok_or_else(|| self.fault(*line, key, message))?);
        }
        Ok(Some(read_lists))
    }

    /// A table in this one; an empty one where there is none.
    pub(super) fn table(&mut self, key: &'static str) -> Result<Table, Fault> {
        let Some(entry) = self.take(key) else {
            return Ok(self.below(key, self.line, Vec::new()));
        };
        match entry.value {
            Item::Table(entries) => Ok(self.below(key, entry.line, entries)),
            _ => self.expected(&entry, "a table"),
        }
    }

    /// The tables of a list, `[[key]]`.
    pub(super) fn tables(&mut self, key: &'static str) -> Result<Vec<Table>, Fault> {
        let Some(entry) = self.take(key) else {
            return Ok(Vec::new());
        };
        let Item::List(items) = &entry.value else {
            return self.expected(&entry, &format!("tables, as `[[{key}]]`"));
        };
        let mut tables = Vec::new();
        for (line, item) in items {
            let Item::Table(entries) = item else {
                return self.expected(&entry, &format!("tables, as `[[{key}]]`"));
            };
            // A table's place is that of its first key where it has one: TOML's span of `[[…]]` is its header.
            tables.push(self.below(key, *line, entries.clone()));
        }
        Ok(tables)
    }

    fn below(&self, key: &str, line: usize, entries: Vec<Entry>) -> Table {
        Table {
            file: self.file.clone(),
            path: format!("{}{key}.", self.path),
            line,
            entries,
            known: Vec::new(),
        }
    }

    /// Ends the reading: whatever was not taken is no key of this table.
    ///
    /// # Errors
    /// Names the first such key, with the nearest known one.
    pub(super) fn end(&self) -> Result<(), Fault> {
        let Some(entry) = self.entries.iter().min_by_key(|entry| entry.line) else {
            return Ok(());
        };
        let nearness = |known: &str| strsim::jaro_winkler(known, &entry.key);
        let nearest = self
            .known
            .iter()
            .max_by(|one, other| nearness(one).total_cmp(&nearness(other)));
        let nearest = nearest.filter(|known| nearness(known) > 0.8);
        let right = match nearest {
            Some(known) => format!("unknown; did you mean `{known}`?"),
            None => format!("unknown; there are: {}", self.known.join(", ")),
        };
        Err(self.fault(entry.line, &entry.key, right))
    }
}

/// An integer, or the one word that may stand in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IntegerOrWord {
    Integer(i64),
    Word,
}

impl Item {
    fn kind(&self) -> String {
        match self {
            Item::Text(text) if text.trim().is_empty() => "an empty text".to_owned(),
            Item::Text(_) | Item::Integer(_) | Item::Float(_) | Item::Flag(_) => {
                format!("{self} stands")
            }
            Item::List(_) => "a list stands".to_owned(),
            Item::Table(_) => "a table stands".to_owned(),
            Item::Other(kind) => format!("a {kind} stands"),
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Item::Text(text) => {
                let short: String = text.chars().take(LONGEST_WORDS).collect();
                let more = if short.len() < text.len() { "…" } else { "" };
                write!(f, "{short:?}{more}")
            }
            Item::Integer(number) => write!(f, "{number}"),
            Item::Float(number) => write!(f, "{number}"),
            Item::Flag(flag) => write!(f, "{flag}"),
            Item::List(items) => {
                let items: Vec<String> = items.iter().map(|(_, item)| item.to_string()).collect();
                write!(f, "[{}]", items.join(", "))
            }
            Item::Table(_) => f.write_str("{…}"),
            Item::Other(kind) => f.write_str(kind),
        }
    }
}

/// Characters of a text that are repeated where it is named.
const LONGEST_WORDS: usize = 40;

/// Finds the line of a byte.
struct Lines<'t>(&'t str);

impl Lines<'_> {
    fn number(&self, offset: usize) -> usize {
        let before = self.0.as_bytes().get(..offset).unwrap_or_default();
        1 + before.iter().filter(|byte| **byte == b'\n').count()
    }
}

fn entries(table: &DeTable<'_>, lines: &Lines<'_>) -> Vec<Entry> {
    let mut entries: Vec<(usize, Entry)> = table
        .iter()
        .map(|(key, value)| {
            let entry = Entry {
                key: key.get_ref().to_string(),
                line: lines.number(key.span().start),
                value: item(value, lines),
            };
            (key.span().start, entry)
        })
        .collect();
    entries.sort_by_key(|(offset, _)| *offset);
    entries.into_iter().map(|(_, entry)| entry).collect()
}

fn item(value: &Spanned<DeValue<'_>>, lines: &Lines<'_>) -> Item {
    match value.get_ref() {
        DeValue::String(text) => Item::Text(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(Item::Other("number out of range"), Item::Integer),
        DeValue::Float(number) => number
            .as_str()
            .parse()
            .map_or(Item::Other("number out of range"), Item::Float),
        DeValue::Boolean(flag) => Item::Flag(*flag),
        DeValue::Array(values) => Item::List(
            values
                .iter()
                .map(|value| (lines.number(value.span().start), item(value, lines)))
                .collect(),
        ),
        DeValue::Table(table) => Item::Table(entries(table, lines)),
        DeValue::Datetime(_) => Item::Other("date"),
    }
}
