//! Arguments and exit code.

use std::process::ExitCode;

use retracker::cli::Arguments;
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
        return cli::obey(arguments);
    }
    let loader = arguments.loader();
    match loader.load() {
        Ok(loaded) => match logging::start(&loaded.config.logging) {
            Ok(log) => app::serve(&loader, loaded, &log, signals),
            Err(error) => fail("the tracker cannot start", error),
        },
        Err(problems) => cli::refuse(&problems),
    }
}

fn fail(what: &'static str, error: impl std::error::Error + Send + Sync + 'static) -> ExitCode {
    cli::tell(&format!(
        "error: {:#}",
        anyhow::Error::new(error).context(what)
    ));
    ExitCode::FAILURE
}
