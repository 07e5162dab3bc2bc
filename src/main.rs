//! Arguments and exit code.

use std::process::ExitCode;

use retracker::cli::Arguments;
use retracker::config::Loaded;
use retracker::{app, cli, logging};

/// Swarms are very many small lists that grow by little: this allocator wastes the least on them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before anything else: a signal that comes in the first moments must not kill.
    let signals = match app::Signals::catch() {
        Ok(signals) => signals,
        Err(error) => return fail("signals cannot be caught", error),
    };
    let arguments = Arguments::read();
    if !arguments.is_for_the_tracker() {
        signals.let_be();
        return cli::obey(arguments, &what_the_start_would_say);
    }
    let loader = arguments.loader();
    match loader.load() {
        Ok(loaded) => match logging::start(&loaded.config.logging) {
            Ok(log) => app::serve(&loader, loaded, &log, signals),
            Err(error) => {
                let is_denied = error.is_denied();
                let code = fail("the tracker cannot start", error);
                if is_denied {
                    ExitCode::from(app::NO_PERMISSION)
                } else {
                    code
                }
            }
        },
        Err(problems) => cli::refuse(&problems),
    }
}

fn what_the_start_would_say(loaded: &Loaded) -> cli::Outlook {
    let outlook = app::examine(loaded);
    cli::Outlook {
        obstacles: outlook.obstacles().collect(),
        warnings: outlook.remarks.into_iter().map(|(_, text)| text).collect(),
    }
}

fn fail(what: &'static str, error: impl std::error::Error + Send + Sync + 'static) -> ExitCode {
    cli::fail(anyhow::Error::new(error).context(what))
}
