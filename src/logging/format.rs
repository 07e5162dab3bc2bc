//! Formats of log lines as Python's logging writes them: `%(asctime)s [%(levelname)s] %(message)s`.
//!
//! Names, widths and alignment are taken; a percent sign that begins no name is itself. Whatever a message holds, it stays on
//! its line: control characters are escaped.

use std::fmt;

use flexi_logger::DeferredNow;
use log::{Level, Record};

use crate::shown::on_one_line;

/// A format, read once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    source: String,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Field(Field, Width),
}

/// What may stand between `%(` and `)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Time,
    Millis,
    Created,
    Level,
    LevelNumber,
    Message,
    Target,
    Module,
    File,
    Path,
    Line,
    Process,
    ProcessName,
    Thread,
}

/// The names, in the order in which an error lists them. What Rust does not know (the function) or has no number for (the
/// thread) is told by the nearest thing it does know.
const FIELDS: &[(&str, Field)] = &[
    ("asctime", Field::Time),
    ("levelname", Field::Level),
    ("message", Field::Message),
    ("name", Field::Target),
    ("module", Field::Module),
    ("funcName", Field::Module),
    ("filename", Field::File),
    ("pathname", Field::Path),
    ("lineno", Field::Line),
    ("process", Field::Process),
    ("processName", Field::ProcessName),
    ("thread", Field::Thread),
    ("threadName", Field::Thread),
    ("levelno", Field::LevelNumber),
    ("msecs", Field::Millis),
    ("created", Field::Created),
];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Width {
    least: usize,
    is_left: bool,
}

/// Padding beyond this is a slip, not a wish.
const WIDEST: usize = 200;

impl Default for Format {
    fn default() -> Format {
        let source = "%(asctime)s [%(levelname)s] %(message)s";
        let field = |field| Piece::Field(field, Width::default());
        let literal = |text: &str| Piece::Literal(text.to_owned());
        Format {
            source: source.to_owned(),
            pieces: vec![
                field(Field::Time),
                literal(" ["),
                field(Field::Level),
                literal("] "),
                field(Field::Message),
            ],
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

impl Format {
    /// Reads a format.
    ///
    /// # Errors
    /// The name or conversion that Python's logging does not have.
    pub fn parse(source: &str) -> Result<Format, String> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = source;
        while let Some((before, after)) = rest.split_once("%(") {
            literal.push_str(before);
            if !literal.is_empty() {
                pieces.push(Piece::Literal(std::mem::take(&mut literal)));
            }
            let (name, after) = after
                .split_once(')')
                .ok_or_else(|| format!("`%({after}` has no closing bracket"))?;
            let field = FIELDS.iter().find(|(known, _)| *known == name);
            let (_, field) = field.ok_or_else(|| {
                let known: Vec<&str> = FIELDS.iter().map(|(name, _)| *name).collect();
                format!("`%({name})` is not known; there are {}", known.join(", "))
            })?;
            let (width, after) = conversion(name, after)?;
            pieces.push(Piece::Field(*field, width));
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Ok(Format {
            source: source.to_owned(),
            pieces,
        })
    }

    /// The line for `record`, with its end; `paint` frames the name of the level with terminal colours.
    pub(super) fn line(&self, now: &mut DeferredNow, record: &Record<'_>, paint: bool) -> String {
        let mut line = String::with_capacity(120);
        for piece in &self.pieces {
            let (field, width) = match piece {
                Piece::Literal(text) => {
                    line.push_str(text);
                    continue;
                }
                Piece::Field(field, width) => (*field, *width),
            };
            let text = field.text(now, record);
            let pad = " ".repeat(width.least.saturating_sub(text.chars().count()));
            let colour = if paint && field == Field::Level {
                colour(record.level())
            } else {
                ""
            };
            let reset = if colour.is_empty() { "" } else { "\x1b[0m" };
            let (before, after) = if width.is_left {
                ("", pad.as_str())
            } else {
                (pad.as_str(), "")
            };
            line.push_str(before);
            line.push_str(colour);
            line.push_str(&text);
            line.push_str(reset);
            line.push_str(after);
        }
        line.push('\n');
        line
    }
}

/// Reads what follows the bracket: flags, width, precision (neither of which a log needs beyond the width), letter.
fn conversion<'a>(name: &str, after: &'a str) -> Result<(Width, &'a str), String> {
    let end = after.find(|c: char| !matches!(c, '-' | '+' | ' ' | '#' | '.' | '0'..='9'));
    let (flags, rest) = after.split_at(end.unwrap_or(after.len()));
    let Some(rest) = rest.strip_prefix(['s', 'd', 'f', 'i', 'r']) else {
        return Err(format!("`%({name})` wants an `s` or a `d` behind it"));
    };
    let digits = flags.trim_start_matches(['-', '+', ' ', '#', '0']);
    let digits = digits.split('.').next().unwrap_or_default();
    let least = match digits {
        "" => 0,
        // More digits than a number holds are too wide as well.
        digits => digits.parse().unwrap_or(usize::MAX),
    };
    if least > WIDEST {
        return Err(format!("`%({name}){flags}` is wider than {WIDEST}"));
    }
    let is_left = flags.contains('-');
    Ok((Width { least, is_left }, rest))
}

impl Field {
    fn text(self, now: &mut DeferredNow, record: &Record<'_>) -> String {
        match self {
            Field::Time => now.format("%Y-%m-%d %H:%M:%S,%3f").to_string(),
            Field::Millis => now.format("%3f").to_string(),
            Field::Created => now.format("%s.%6f").to_string(),
            Field::Level => level_name(record.level()).to_owned(),
            Field::LevelNumber => level_number(record.level()).to_owned(),
            Field::Message => on_one_line(record.args()),
            Field::Target => record.target().to_owned(),
            Field::Module => record.module_path().unwrap_or_default().to_owned(),
            Field::File => {
                let path = record.file().unwrap_or_default();
                path.rsplit('/').next().unwrap_or_default().to_owned()
            }
            Field::Path => record.file().unwrap_or_default().to_owned(),
            Field::Line => record.line().unwrap_or_default().to_string(),
            Field::Process => std::process::id().to_string(),
            Field::ProcessName => "retracker".to_owned(),
            Field::Thread => std::thread::current().name().unwrap_or("-").to_owned(),
        }
    }
}

/// Python's name of a level.
const fn level_name(level: Level) -> &'static str {
    match level {
        Level::Error => "ERROR",
        Level::Warn => "WARNING",
        Level::Info => "INFO",
        Level::Debug => "DEBUG",
        Level::Trace => "TRACE",
    }
}

const fn level_number(level: Level) -> &'static str {
    match level {
        Level::Error => "40",
        Level::Warn => "30",
        Level::Info => "20",
        Level::Debug => "10",
        Level::Trace => "5",
    }
}

const fn colour(level: Level) -> &'static str {
    match level {
        Level::Error => "\x1b[1;31m",
        Level::Warn => "\x1b[33m",
        Level::Info => "\x1b[32m",
        Level::Debug | Level::Trace => "\x1b[2m",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(format: &str, level: Level, message: &str) -> String {
        let format = Format::parse(format).unwrap();
        format.line(
            &mut DeferredNow::new(),
            &Record::builder()
                .level(level)
                .target("retracker::http")
                .file(Some("src/http/mod.rs"))
                .line(Some(7))
                .args(format_args!("{message}"))
                .build(),
            false,
        )
    }

    /// C10
    #[test]
    fn pythons_fields_widths_and_literals_are_written() {
        let text = line(
            "%(levelname)-8s|%(lineno)4d|%(filename)s|%(name)s %(message)s",
            Level::Warn,
            "odd",
        );
        assert_eq!(text, "WARNING |   7|mod.rs|retracker::http odd\n");
        assert_eq!(line("100% %(message)s %", Level::Info, "x"), "100% x %\n");
    }

    /// C10
    #[test]
    fn times_look_as_python_writes_them() {
        let text = line("%(asctime)s", Level::Info, "");
        let shape: String = text
            .chars()
            .map(|c| if c.is_ascii_digit() { '0' } else { c })
            .collect();
        assert_eq!(shape, "0000-00-00 00:00:00,000\n");
    }

    #[test]
    fn the_default_is_what_its_text_says() {
        let default = Format::default();
        assert_eq!(Format::parse(&default.to_string()), Ok(default));
    }

    #[test]
    fn unknown_fields_and_conversions_are_named() {
        assert!(Format::parse("%(asctim)s").unwrap_err().contains("asctime"));
        assert!(Format::parse("%(message").unwrap_err().contains("bracket"));
        assert!(
            Format::parse("%(message)q")
                .unwrap_err()
                .contains("`%(message)`")
        );
        assert!(Format::parse("%(message)99999999999999999999s").is_err());
    }

    /// R20
    #[test]
    fn a_message_cannot_forge_a_line_nor_steer_a_terminal() {
        let text = line(
            "%(message)s",
            Level::Info,
            "a\n2026-01-01 ERROR b\r\x1b[2J\0",
        );
        assert_eq!(text, "a\\n2026-01-01 ERROR b\\r\\u{1b}[2J\\u{0}\n");
    }

    proptest! {
        #[test]
        fn any_text_is_a_format_or_an_error(source: String, message: String) {
            if let Ok(format) = Format::parse(&source) {
                let record = Record::builder().build();
                format.line(&mut DeferredNow::new(), &record, true);
                prop_assert_eq!(format.to_string(), source);
            }
            let text = line("%(message)s", Level::Info, &message);
            prop_assert_eq!(text.matches('\n').count(), 1);
        }
    }
}
