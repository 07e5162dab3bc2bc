//! `[LOGGING]`.

use crate::config::key::{Key, Section, key};
use crate::config::value::{Flag, LEVELS, OptionalFile, Slot, choice, number};
use crate::logging::Format;

pub(super) const SECTION: Section = Section {
    name: "LOGGING",
    about: "What is logged, and where. Under systemd the console is the journal, which adds the time itself.",
    keys: KEYS,
    free: None,
};

const KEYS: &[Key] = &[
    key("level", "What is less important is not logged. A change takes effect on SIGHUP.", |c| {
        Box::new(choice(&mut c.logging.level, LEVELS))
    })
    .plain(),
    key("console_output", "Whether the log goes to standard error.", |c| {
        Box::new(Flag(&mut c.logging.console_output))
    })
    .plain()
    .fixed(),
    key(
        "log_file",
        "A file that the log goes to; its folder is made. Opened again on SIGUSR1, for logrotate. Nothing: no file.",
        |c| Box::new(OptionalFile(&mut c.logging.log_file)),
    )
    .plain()
    .fixed(),
    key("max_bytes", "The file is rotated before it grows larger, in bytes. 0: never.", |c| {
        Box::new(number(&mut c.logging.max_bytes, 0..=1 << 50))
    })
    .plain()
    .fixed(),
    key(
        "backup_count",
        "Rotated copies to keep, as retracker.log.1 and so on. 0: the file is never rotated.",
        |c| Box::new(number(&mut c.logging.backup_count, 0..=10_000)),
    )
    .plain()
    .fixed(),
    key("clear_on_start", "Whether the file and its copies are removed at the start.", |c| {
        Box::new(Flag(&mut c.logging.clear_on_start))
    })
    .plain()
    .fixed(),
    key(
        "format",
        "How a line looks, with the names of Python's logging; %% is a percent sign, and so is a single one.",
        |c| Box::new(LineFormat(&mut c.logging.format)),
    )
    .plain()
    .fixed(),
];

struct LineFormat<'a>(&'a mut Format);

impl Slot for LineFormat<'_> {
    fn read(&mut self, text: &str) -> Result<(), String> {
        *self.0 = Format::parse(text)?;
        Ok(())
    }

    fn write(&self) -> String {
        self.0.to_string()
    }

    fn expects(&self) -> String {
        "a format, as %(asctime)s [%(levelname)s] %(message)s".into()
    }
}
