//! Where log lines go: the console, the file, and first of all past a limit, so that no flood of one message fills either.

use std::collections::HashMap;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use flexi_logger::writers::LogWriter;
use flexi_logger::{DeferredNow, FlexiLoggerError};
use log::{Level, Record};

use super::Settings;
use super::format::Format;
use super::rotated_file::RotatedFile;
use crate::shown::on_one_line;

/// Warnings and errors from one place in the code that are written in one second; the rest are counted.
const MAX_PER_SECOND: u32 = 10;

/// The writer under `flexi_logger`.
pub(super) struct Output {
    format: Format,
    console: Console,
    file: Option<Mutex<RotatedFile>>,
    limit: Mutex<Limit>,
}

/// How standard error is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Console {
    /// Not at all.
    Silent,
    /// As the format says.
    Plain,
    /// The same, with colours.
    Terminal,
    /// For the journal, which keeps time, name and level itself: the level in front as a number, then the message.
    Journal,
}

impl Output {
    pub(super) fn open(settings: &Settings) -> io::Result<Output> {
        let mut file = None;
        if let Some(path) = &settings.log_file {
            if settings.clear_on_start {
                RotatedFile::clear(path, settings.backup_count);
            }
            let opened = RotatedFile::open(path, settings.max_bytes, settings.backup_count)?;
            file = Some(Mutex::new(opened));
        }
        Ok(Output {
            format: settings.format.clone(),
            console: Console::choose(settings.console_output),
            file,
            limit: Mutex::default(),
        })
    }

    fn emit(&self, now: &mut DeferredNow, record: &Record<'_>) {
        // Lines are made before a lock is taken: a message's own code runs while it is formatted, and may log or panic.
        if let Some(line) = self.console.line(&self.format, now, record) {
            // A console that is gone, or that takes nothing more, is no reason to stop.
            drop(io::stderr().lock().write_all(line.as_bytes()));
        }
        if let Some(file) = &self.file {
            let line = self.format.line(now, record, false);
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            file.write(line.as_bytes(), now.now().timestamp());
        }
    }
}

impl LogWriter for Output {
    fn write(&self, now: &mut DeferredNow, record: &Record<'_>) -> io::Result<()> {
        let second = now.now().timestamp();
        let suppressed = match record.level() {
            Level::Error | Level::Warn => {
                let mut limit = self.limit.lock().unwrap_or_else(PoisonError::into_inner);
                // All records without a place share one.
                let place = (
                    record.file_static().unwrap_or_default(),
                    record.line().unwrap_or_default(),
                );
                let Some(suppressed) = limit.admit(place, second) else {
                    return Ok(());
                };
                suppressed
            }
            Level::Info | Level::Debug | Level::Trace => 0,
        };
        if suppressed > 0 {
            self.emit(
                now,
                &Record::builder()
                    .level(record.level())
                    .target(record.target())
                    .args(format_args!(
                        "{suppressed} more lines like the next one were left out"
                    ))
                    .build(),
            );
        }
        self.emit(now, record);
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    fn reopen_output(&self) -> Result<(), FlexiLoggerError> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        file.reopen().map_err(FlexiLoggerError::OutputIo)
    }
}

impl Console {
    fn choose(is_wanted: bool) -> Console {
        if !is_wanted {
            Console::Silent
        } else if is_journal() {
            Console::Journal
        } else if io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
            Console::Terminal
        } else {
            Console::Plain
        }
    }

    fn line(self, format: &Format, now: &mut DeferredNow, record: &Record<'_>) -> Option<String> {
        match self {
            Console::Silent => None,
            Console::Plain => Some(format.line(now, record, false)),
            Console::Terminal => Some(format.line(now, record, true)),
            Console::Journal => {
                let priority = match record.level() {
                    Level::Error => 3,
                    Level::Warn => 4,
                    Level::Info => 6,
                    Level::Debug | Level::Trace => 7,
                };
                Some(format!("<{priority}>{}\n", on_one_line(record.args())))
            }
        }
    }
}

/// Whether standard error is the very stream that systemd connected to the journal: the variable is inherited by programs
/// whose output goes elsewhere.
fn is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    rustix::fs::fstat(io::stderr())
        .is_ok_and(|stat| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// How often each place in the code has logged this second. There are as many entries as places, so the map is bounded.
#[derive(Debug, Default)]
struct Limit {
    places: HashMap<(&'static str, u32), Spell>,
}

#[derive(Debug, Default)]
struct Spell {
    second: i64,
    written: u32,
    suppressed: u64,
}

impl Limit {
    /// Whether a line from `place` is to be written; if so, how many before it were not.
    fn admit(&mut self, place: (&'static str, u32), second: i64) -> Option<u64> {
        let spell = self.places.entry(place).or_default();
        if spell.second != second {
            spell.second = second;
            spell.written = 0;
        }
        if spell.written >= MAX_PER_SECOND {
            spell.suppressed = spell.suppressed.saturating_add(1);
            return None;
        }
        spell.written += 1;
        Some(std::mem::take(&mut spell.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn output(folder: &std::path::Path, clear_on_start: bool) -> Output {
        let settings = Settings {
            console_output: false,
            log_file: Some(folder.join("tracker.log")),
            format: Format::parse("%(levelname)s %(message)s").unwrap(),
            clear_on_start,
            ..Settings::default()
        };
        Output::open(&settings).unwrap()
    }

    fn log(output: &Output, level: Level, message: &str) {
        let written = output.write(
            &mut DeferredNow::new(),
            &Record::builder()
                .level(level)
                .file_static(Some(file!()))
                .line(Some(line!()))
                .args(format_args!("{message}"))
                .build(),
        );
        written.unwrap();
    }

    /// R20
    #[test]
    fn a_flood_from_one_place_is_cut_and_counted() {
        let mut limit = Limit::default();
        let admitted = (0..100)
            .filter(|_| limit.admit(("a", 1), 5).is_some())
            .count();
        assert_eq!(admitted, 10);
        assert_eq!(limit.admit(("a", 2), 5), Some(0));
        assert_eq!(limit.admit(("a", 1), 6), Some(90));
        assert_eq!(limit.admit(("a", 1), 6), Some(0));
    }

    /// C10
    #[test]
    fn lines_go_to_the_file_as_the_format_says_and_on_after_it_was_moved() {
        let folder = tempfile::tempdir().unwrap();
        let output = output(folder.path(), false);
        log(&output, Level::Info, "one");
        fs::rename(
            folder.path().join("tracker.log"),
            folder.path().join("moved"),
        )
        .unwrap();
        output.reopen_output().unwrap();
        log(&output, Level::Warn, "two");
        assert_eq!(
            fs::read_to_string(folder.path().join("moved")).unwrap(),
            "INFO one\n"
        );
        assert_eq!(
            fs::read_to_string(folder.path().join("tracker.log")).unwrap(),
            "WARNING two\n"
        );
    }

    /// C10
    #[test]
    fn the_log_is_cleared_at_the_start_when_told_so() {
        let folder = tempfile::tempdir().unwrap();
        log(&output(folder.path(), false), Level::Info, "old");
        log(&output(folder.path(), true), Level::Info, "new");
        assert_eq!(
            fs::read_to_string(folder.path().join("tracker.log")).unwrap(),
            "INFO new\n"
        );
    }

    #[test]
    fn the_journal_gets_the_level_and_the_message_only() {
        let line = Console::Journal.line(
            &Format::default(),
            &mut DeferredNow::new(),
            &Record::builder()
                .level(Level::Warn)
                .args(format_args!("odd"))
                .build(),
        );
        assert_eq!(line.as_deref(), Some("<4>odd\n"));
    }
}
