//! The daemon's log: to the console, to a rotated file, or to both, over `flexi_logger`.
//!
//! Logging never stops anything: a console that is gone or a disk that is full loses lines and nothing else. Helper tools do
//! not log here; they use `env_logger`.

mod format;
mod output;
mod rotated_file;

use std::io;
use std::path::PathBuf;

use flexi_logger::{ErrorChannel, LogSpecification, Logger, LoggerHandle};
use log::LevelFilter;

pub use format::Format;
use output::Output;
use rotated_file::RotatedFile;

/// What is logged, where and how (`[LOGGING]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What is less important than this is not logged (`level`). Default INFO.
    pub level: LevelFilter,
    /// Whether lines go to standard error (`console_output`). Default yes.
    pub console_output: bool,
    /// The file; relative paths count from the working directory (`log_file`). Default none.
    pub log_file: Option<PathBuf>,
    /// The file is rotated before it grows larger than this, in bytes (`max_bytes`). Default 5 MiB; 0: never.
    pub max_bytes: u64,
    /// Rotated copies to keep (`backup_count`). Default 5; 0: the file is never rotated.
    pub backup_count: u32,
    /// Whether the file and its copies are removed at the start (`clear_on_start`). Default no.
    pub clear_on_start: bool,
    /// How a line looks in the file and on a console that is not the journal (`format`).
    pub format: Format,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            level: LevelFilter::Info,
            console_output: true,
            log_file: None,
            max_bytes: 5 * 1024 * 1024,
            backup_count: 5,
            clear_on_start: false,
            format: Format::default(),
        }
    }
}

/// Why the log could not be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be opened.
    #[error("the log file {} cannot be opened", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A log runs already.
    #[error("the log cannot be started")]
    Logger(#[source] flexi_logger::FlexiLoggerError),
}

/// The running log; it ends with the process.
pub struct Running {
    handle: LoggerHandle,
}

/// Looks whether the file of the log can be opened, and makes nothing.
///
/// # Errors
/// As [`start`] would have.
pub fn examine(settings: &Settings) -> Result<(), Error> {
    let Some(path) = &settings.log_file else {
        return Ok(());
    };
    RotatedFile::look(path).map_err(|source| Error::File {
        path: path.clone(),
        source,
    })
}

/// Starts the log of this process, and sends panics to it.
///
/// # Errors
/// When the file cannot be opened (a full disk is no error), or when a log runs already.
pub fn start(settings: &Settings) -> Result<Running, Error> {
    let output = Output::open(settings).map_err(|source| Error::File {
        // It is a file that failed, so there is one; if not, the error still says why.
        path: settings.log_file.clone().unwrap_or_default(),
        source,
    })?;
    let handle = Logger::with(specification(settings.level))
        .log_to_writer(Box::new(output))
        .error_channel(ErrorChannel::DevNull)
        .panic_if_error_channel_is_broken(false)
        .start()
        .map_err(Error::Logger)?;
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        log::error!("thread {}: {panic}", thread.name().unwrap_or("-"));
    }));
    Ok(Running { handle })
}

impl Error {
    /// Whether the permissions of the file keep this process from it.
    pub fn is_denied(&self) -> bool {
        matches!(self, Error::File { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
    }
}

impl Running {
    /// Logs from `level` up from here on.
    pub fn set_level(&self, level: LevelFilter) {
        self.handle.set_new_spec(specification(level));
    }

    /// Opens the file again, after another program has moved it away (SIGUSR1).
    pub fn reopen(&self) {
        if let Err(error) = self.handle.reopen_output() {
            log::error!("the log file cannot be opened again: {error}");
        }
    }
}

/// Our own lines from `level` up. Libraries say what an operator can use from warnings up only; all of it at TRACE.
fn specification(level: LevelFilter) -> LogSpecification {
    let others = match level {
        LevelFilter::Trace => LevelFilter::Trace,
        level => level.min(LevelFilter::Warn),
    };
    let mut builder = LogSpecification::builder();
    builder.default(others).module("retracker", level);
    builder.build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use log::Level;

    #[test]
    fn libraries_are_quieter_than_the_tracker() {
        let debug = specification(LevelFilter::Debug);
        assert!(debug.enabled(Level::Debug, "retracker::http"));
        assert!(!debug.enabled(Level::Info, "actix_server::worker"));
        assert!(debug.enabled(Level::Warn, "actix_server::worker"));
        let error = specification(LevelFilter::Error);
        assert!(!error.enabled(Level::Warn, "retracker"));
        assert!(!error.enabled(Level::Warn, "actix_server"));
    }
}
